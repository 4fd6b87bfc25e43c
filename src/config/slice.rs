//! A string that is a part of a text which is held anyway. It knows neither what the text is nor what the string says.
//!
//! A tree has one for every key and every value, hundreds of thousands in a large configuration. As a piece of memory of its own
//! each would cost more than all else that is done about it.

use super::source_map::SourceSpan;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Characters of a text that many share.
#[derive(Clone)]
pub(super) struct SharedStr {
    // A thin pointer: there are very many of these, and few texts.
    of: Rc<String>,
    start: u32,
    end: u32,
}

impl SharedStr {
    /// The characters at a place of this text.
    pub(super) fn of(text: &Rc<String>, place: SourceSpan) -> SharedStr {
        SharedStr { of: Rc::clone(text), start: place.start, end: place.end }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.of[self.start as usize..self.end as usize]
    }
}

impl From<String> for SharedStr {
    /// All of a text of its own, for what is written in another way than it is meant.
    fn from(text: String) -> SharedStr {
        let end = super::source_map::offset(text.len());
        SharedStr { of: Rc::new(text), start: 0, end }
    }
}

impl Deref for SharedStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for SharedStr {
    fn eq(&self, other: &SharedStr) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<str> for SharedStr {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SharedStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
