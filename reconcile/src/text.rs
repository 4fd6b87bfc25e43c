//! Strings of a definition: names, and texts that may be secret.
//!
//! A [`Text`] has the value for the program and, if that is secret, the text that is shown instead. Equality compares values, so
//! another spelling of the same value is no change.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// Whether a text can be the name of a process: `[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}`.
pub fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte));
    first && plain && text.len() <= 64
}

/// The name of a process, unique in a configuration. Cheap to clone.
#[derive(Clone, Default, Eq)]
pub struct Name(Arc<str>);

// Nearly all comparisons are of a name with a clone of itself. Comparing pointers first is faster.
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

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

/// A string for a program, which may be secret.
///
/// `Debug` and `Display` write the shown text. Comparisons use the value alone.
#[derive(Clone)]
pub struct Text(TextForm);

// There are very many texts and few secrets, so a plain text has no room for a second string.
#[derive(Clone)]
enum TextForm {
    Plain(Arc<str>),
    Secret(Arc<SecretText>),
}

struct SecretText {
    value: Box<str>,
    shown: Box<str>,
}

impl Text {
    /// A text that may be shown as it is.
    pub fn plain(value: &str) -> Text {
        Text(TextForm::Plain(Arc::from(value)))
    }

    /// A secret: the program gets `value`; logs and plans show `shown`, its source text such as `${PASSWORD}`, or a mark.
    pub fn secret(value: &str, shown: &str) -> Text {
        Text(TextForm::Secret(Arc::new(SecretText { value: Box::from(value), shown: Box::from(shown) })))
    }

    /// The value for the program. Never use it in logs, plans, status or errors.
    pub fn value(&self) -> &str {
        match &self.0 {
            TextForm::Plain(value) => value,
            TextForm::Secret(secret) => &secret.value,
        }
    }

    /// The text to show.
    pub fn shown(&self) -> &str {
        match &self.0 {
            TextForm::Plain(value) => value,
            TextForm::Secret(secret) => &secret.shown,
        }
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.0, TextForm::Secret(_))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.value() == other.value()
    }
}

impl Eq for Text {}

impl Default for Text {
    fn default() -> Text {
        // This allocates nothing: each definition begins with several of these.
        Text(TextForm::Plain(Arc::default()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_text_is_no_larger_than_its_pointer() {
        assert_eq!(size_of::<Text>(), size_of::<Arc<str>>());
    }

    #[test]
    fn a_secret_is_shown_as_its_source_text() {
        let secret = Text::secret("hunter2", "${PASSWORD}");
        assert_eq!((secret.value(), secret.shown(), secret.is_secret()), ("hunter2", "${PASSWORD}", true));
        assert_eq!(format!("{secret} {secret:?}"), "${PASSWORD} \"${PASSWORD}\"");
        assert_eq!(secret, Text::plain("hunter2"));
        let plain = Text::plain("80");
        assert_eq!((plain.value(), plain.shown(), plain.is_secret()), ("80", "80", false));
    }
}
