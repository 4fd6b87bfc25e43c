//! The environment of a program: navigator's own, what the account says, what the configuration sets, and the mark.

use super::sys::accounts::Account;
use super::tree::MARK;
use reconcile::variables::Variables;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What others say to navigator itself, by the protocols of `sd_notify(3)`, `sd_listen_fds(3)`, `sd_watchdog_enabled(3)`
/// and `systemd.exec(5)`. A process that took it for its own would announce itself in navigator's name.
const OWN_AFFAIRS: [&str; 8] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];

/// Variables by name, the later layer over the earlier.
#[derive(Clone, Debug)]
pub(super) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Navigator's own, as far as it is anybody else's affair.
    pub(super) fn inherited(own: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
        Environment(own.into_iter().filter(|(name, _)| !OWN_AFFAIRS.iter().any(|own| name == own)).collect())
    }

    /// Who the program runs as, where it changes its user.
    pub(super) fn account(mut self, account: &Account) -> Environment {
        let values = [("HOME", &account.home), ("USER", &account.name), ("LOGNAME", &account.name), ("SHELL", &account.shell)];
        for (name, value) in values {
            self.0.insert(name.into(), OsStr::from_bytes(value.as_bytes()).to_owned());
        }
        self
    }

    /// What the configuration sets.
    pub(super) fn configured(mut self, variables: &Variables) -> Environment {
        self.0.extend(variables.iter().map(|(name, text)| (name.into(), text.value().into())));
        self
    }

    /// What navigator says to the program by protocols of its own.
    pub(super) fn passed(mut self, variables: &[(&'static str, String)]) -> Environment {
        self.0.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The mark by which the runtime knows its processes; nothing goes over it.
    pub(super) fn marked(mut self, mark: &str) -> Environment {
        self.0.insert(MARK.into(), mark.into());
        self
    }

    /// One variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// As `execve(2)` takes it.
    ///
    /// # Errors
    /// The name of a variable that holds a NUL byte, which no environment can.
    pub(super) fn to_strings(&self) -> Result<Vec<CString>, String> {
        self.0.iter().map(|(name, value)| joined(name, value)).collect()
    }
}

fn joined(name: &OsStr, value: &OsStr) -> Result<CString, String> {
    let mut text = name.to_owned();
    text.push("=");
    text.push(value);
    CString::new(text.into_vec()).map_err(|_| name.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(OsString, OsString)> {
        pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn later_layers_win_and_own_affairs_stay_here() {
        let account = Account {
            name: c"nobody".into(),
            user: 65534,
            group: 65534,
            home: c"/nonexistent".into(),
            shell: c"/bin/false".into(),
        };
        let mut configured = Variables::default();
        configured.insert("SHELL", "/bin/dash".into());
        configured.insert("NAVIGATOR_RUN", "x".into());
        let environment =
            Environment::inherited(pairs([("HOME", "/root"), ("NOTIFY_SOCKET", "/run/x"), ("LANG", "C"), ("SHELL", "/bin/sh")]))
                .account(&account)
                .configured(&configured)
                .passed(&[("NOTIFY_SOCKET", "/run/own".to_owned())])
                .marked("mark");
        let expected = [
            "HOME=/nonexistent",
            "LANG=C",
            "LOGNAME=nobody",
            "NAVIGATOR_RUN=mark",
            "NOTIFY_SOCKET=/run/own",
            "SHELL=/bin/dash",
            "USER=nobody",
        ];
        let expected: Vec<CString> = expected.map(|text| CString::new(text).unwrap()).into();
        assert_eq!(environment.to_strings(), Ok(expected));
    }

    #[test]
    fn what_no_environment_can_hold_is_named() {
        let environment = Environment::inherited(pairs([("GOOD", "1"), ("BAD", "a\0b")]));
        assert_eq!(environment.to_strings(), Err("BAD".to_owned()));
    }
}
