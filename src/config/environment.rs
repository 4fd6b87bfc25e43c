//! Snapshot of navigator's own environment: the lowest layer in which `${VAR}` is looked up.
//!
//! Processes do not get their variables from here: they inherit them when they are started.

use std::collections::BTreeMap;
use std::fmt;

/// A snapshot of environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    is_elsewhere: bool,
}

impl Environment {
    /// The current environment of this process. Variables that are not UTF-8 are left out.
    pub fn current() -> Environment {
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// The same for a configuration of another machine: variables without a value and missing files outside of the configuration's
    /// directory are taken as given.
    #[must_use]
    pub fn elsewhere(self) -> Environment {
        Environment { is_elsewhere: true, ..self }
    }

    /// Whether the configuration is for another machine.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    /// The names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// A copy with these variables added.
    pub(super) fn with<'v>(&self, variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Environment {
        let mut all = self.clone();
        all.variables.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        all
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Environment {
        let variables = variables.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Environment { variables, is_elsewhere: false }
    }
}

impl fmt::Debug for Environment {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
