//! Strings of a definition: names, and texts that may be secret.
//!
//! A [`Text`] carries what the program gets and, where that must not be shown, what people see instead. Equality is
//! about what the program gets, so that a changed spelling of the same value is no change.

use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

/// The name of a process: what the file calls it, unique on a host. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(Arc::from(name))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Arc::from(name))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A string that a program gets, and what people see of it.
///
/// `Debug` and `Display` write what people see. Comparisons look at the value alone.
#[derive(Clone)]
pub struct Text {
    value: Arc<str>,
    shown: Option<Arc<str>>,
}

impl Text {
    /// A text that may be shown as it is.
    pub fn plain(value: &str) -> Text {
        Text { value: Arc::from(value), shown: None }
    }

    /// A secret: the program gets `value`, people see `shown` (the source text, such as `${PASSWORD}`, or a mark).
    pub fn secret(value: &str, shown: &str) -> Text {
        Text { value: Arc::from(value), shown: Some(Arc::from(shown)) }
    }

    /// What the program gets. Never for logs, plans, status or errors.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What people see.
    pub fn shown(&self) -> &str {
        self.shown.as_ref().unwrap_or(&self.value)
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.shown.is_some()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.value == other.value
    }
}

impl Eq for Text {}

impl Default for Text {
    fn default() -> Text {
        Text::plain("")
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Text {
        Text::plain(value)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}
