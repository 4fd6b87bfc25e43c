//! A string that is a part of a shared text.
//!
//! A tree has one for every key and value, hundreds of thousands in a large configuration. Allocating each would cost more than
//! everything else that is done with them.

use super::source_map::SourceSpan;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// A range of a shared text.
#[derive(Clone)]
pub(super) struct SharedStr {
    // A thin pointer: there are very many of these, and few texts.
    text: Rc<String>,
    start: u32,
    end: u32,
}

impl SharedStr {
    /// The range of a text at this place.
    pub(super) fn of(text: &Rc<String>, place: SourceSpan) -> SharedStr {
        SharedStr { text: Rc::clone(text), start: place.start, end: place.end }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }
}

impl From<String> for SharedStr {
    /// All of a new text, for a value that differs from its source.
    fn from(text: String) -> SharedStr {
        let end = super::source_map::offset(text.len());
        SharedStr { text: Rc::new(text), start: 0, end }
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
