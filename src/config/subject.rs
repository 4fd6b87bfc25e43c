//! What is being read: a key, and the process that it belongs to. A message has placeholders for both, which are filled in when
//! the problem is added. So it stands on its own, where no source line is shown beside it.

use super::redact::short;
use super::slice::SharedStr;
use super::words::is_variable;
use std::borrow::Cow;

/// Stands for the key that is being read, with its process: `` `stop.timeout` of `web` ``.
pub(super) const KEY: &str = "\u{1}";

/// Stands for the process that is being read, as in `` of `web` ``, or for `defaults`, or for nothing.
pub(super) const OWNER: &str = "\u{2}";

/// A list's item, as the last part of a path of keys.
pub(super) const ITEM: &str = "";

/// What is being read.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) owner: Owner,
    /// The keys from the process, or from the top of the file, down to the value.
    path: Vec<Cow<'static, str>>,
    /// The variable of an `env` map.
    variable: Option<String>,
}

/// What a key belongs to.
#[derive(Debug, Default)]
pub(super) enum Owner {
    /// The top of the file.
    #[default]
    File,
    /// `defaults`.
    Defaults,
    /// A process, by its name as written, if it has one.
    Process(Option<SharedStr>),
}

impl Subject {
    /// Goes down to a key, or to [`ITEM`].
    pub(super) fn enter(&mut self, key: Cow<'static, str>) {
        self.path.push(key);
    }

    /// Goes back up.
    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// Goes to a variable of `env`; returns the former one.
    pub(super) fn enter_variable(&mut self, name: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.variable, name)
    }

    /// The name of the process, as it is shown.
    pub(super) fn owner_name(&self) -> Option<&str> {
        match &self.owner {
            Owner::Process(Some(name)) => Some(name),
            _ => None,
        }
    }

    /// Replaces the placeholders of a message.
    pub(super) fn fill_in(&self, message: &str) -> String {
        if !message.contains([KEY, OWNER].map(|mark| mark.chars().next().unwrap_or_default())) {
            return message.to_owned();
        }
        message.replace(KEY, &format!("{}{OWNER}", self.key())).replace(OWNER, &self.of_owner())
    }

    fn key(&self) -> String {
        if let Some(variable) = &self.variable {
            return format!("`{}` in `env`", if is_variable(variable) { variable } else { "…" });
        }
        match &self.path[..] {
            [] => "this value".to_owned(),
            [path @ .., last] if last == ITEM => format!("an item of `{}`", path.join(".")),
            path => format!("`{}`", path.join(".")),
        }
    }

    fn of_owner(&self) -> String {
        match &self.owner {
            Owner::File => String::new(),
            Owner::Defaults => " in `defaults`".to_owned(),
            Owner::Process(Some(name)) => format!(" of `{}`", short(name)),
            Owner::Process(None) => " of a process".to_owned(),
        }
    }
}
