//! Navigator's own environment, as a value: the lowest layer that `${VAR}` is looked up in.
//!
//! A snapshot, so that loading the same files twice means the same. It is not copied into the processes here; they
//! inherit it when they are started.

use std::collections::BTreeMap;
use std::fmt;

/// A snapshot of environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's environment now. A variable whose name or value is not UTF-8 can't be written in a YAML file
    /// either, and counts as not set.
    pub fn current() -> Environment {
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// The names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The same, with these variables in it.
    pub(super) fn with<'v>(&self, variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Environment {
        let mut all = self.0.clone();
        all.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Environment(all)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Environment {
        Environment(variables.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
