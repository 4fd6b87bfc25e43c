//! Builds a program's environment from navigator's own, the user's account, the configuration, and the mark.

use super::mark::MARK;
use crate::sys::accounts::Account;
use reconcile::spec::InheritEnv;
use reconcile::variables::Variables;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Variables meant for navigator itself: `sd_notify(3)`, `sd_listen_fds(3)`, `sd_watchdog_enabled(3)`, `systemd.exec(5)`.
/// A process that inherited them could send notifications in navigator's name. Also the directories of navigator's shell.
const NOT_INHERITED: [&str; 10] = [
    "PWD",
    "OLDPWD",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];

/// The part of navigator's environment that processes may inherit: by name, the whole `NAME=value`.
#[derive(Clone, Debug)]
pub(super) struct Inherited(BTreeMap<OsString, CString>);

/// Variables by name; a later layer replaces an earlier one.
///
/// Each start builds one, so inherited variables are borrowed, not copied.
#[derive(Debug)]
pub(super) struct ProgramEnvironment<'i, 'v>(BTreeMap<&'v OsStr, InheritedVariable<'i, 'v>>);

/// A variable's text.
#[derive(Debug)]
enum InheritedVariable<'i, 'v> {
    /// Inherited: `NAME=value`.
    Whole(&'i CStr),
    /// Set here: the value.
    Value(&'v OsStr),
}

impl Inherited {
    /// Takes the inheritable variables from these.
    pub(super) fn of(own: impl IntoIterator<Item = (OsString, OsString)>) -> Inherited {
        let others = own.into_iter().filter(|(name, _)| !NOT_INHERITED.iter().any(|own| name == own));
        // None is skipped: the kernel passed them as strings that end with NUL.
        Inherited(others.filter_map(|(name, value)| joined(&name, &value).ok().map(|whole| (name, whole))).collect())
    }

    /// The first layer: what a process inherits by its `inherit_env`.
    pub(super) fn layer<'i>(&'i self, inherit: &InheritEnv) -> ProgramEnvironment<'i, 'i> {
        let variable = |(name, whole): (&'i OsString, &'i CString)| (name.as_os_str(), InheritedVariable::Whole(whole));
        ProgramEnvironment(match inherit {
            InheritEnv::All => self.0.iter().map(variable).collect(),
            InheritEnv::Only(names) => {
                let inherited = names.as_slice().iter().filter_map(|name| self.0.get_key_value(OsStr::new(name.value())));
                inherited.map(variable).collect()
            }
        })
    }
}

impl<'i, 'v> ProgramEnvironment<'i, 'v> {
    /// Adds the variables of the account that the program runs as.
    pub(super) fn account(mut self, account: &'v Account) -> ProgramEnvironment<'i, 'v> {
        let values = [("HOME", &account.home), ("USER", &account.name), ("LOGNAME", &account.name), ("SHELL", &account.shell)];
        for (name, value) in values {
            self.set(name, OsStr::from_bytes(value.as_bytes()));
        }
        self
    }

    /// Adds `PWD`, the program's working directory. Navigator's own would be wrong.
    pub(super) fn in_directory(mut self, directory: &'v Path) -> ProgramEnvironment<'i, 'v> {
        self.set("PWD", directory.as_os_str());
        self
    }

    /// Adds what the configuration sets.
    pub(super) fn configured(mut self, variables: &'v Variables) -> ProgramEnvironment<'i, 'v> {
        for (name, text) in variables.iter() {
            self.set(name, text.value().as_ref());
        }
        self
    }

    /// Adds the variables of protocols between navigator and the program, like `NOTIFY_SOCKET`.
    pub(super) fn protocol(mut self, variables: &'v [(&'static str, String)]) -> ProgramEnvironment<'i, 'v> {
        for (name, value) in variables {
            self.set(name, value.as_ref());
        }
        self
    }

    /// Adds the mark by which the runtime recognizes its processes. It comes last, so that nothing replaces it.
    pub(super) fn marked(mut self, mark: &'v str) -> ProgramEnvironment<'i, 'v> {
        self.set(MARK, mark.as_ref());
        self
    }

    fn set(&mut self, name: &'v str, value: &'v OsStr) {
        self.0.insert(name.as_ref(), InheritedVariable::Value(value));
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        match *self.0.get(OsStr::new(name))? {
            InheritedVariable::Whole(whole) => whole.to_bytes().get(name.len() + 1..).map(OsStr::from_bytes),
            InheritedVariable::Value(value) => Some(value),
        }
    }

    /// The form that `execve(2)` takes.
    ///
    /// # Errors
    /// The name of a variable that holds a NUL byte.
    pub(super) fn to_strings(&self) -> Result<Vec<Cow<'i, CStr>>, String> {
        let whole = |(name, variable): (&&OsStr, &InheritedVariable<'i, '_>)| match *variable {
            InheritedVariable::Whole(whole) => Ok(Cow::Borrowed(whole)),
            InheritedVariable::Value(value) => joined(name, value).map(Cow::Owned),
        };
        self.0.iter().map(whole).collect()
    }
}

fn joined(name: &OsStr, value: &OsStr) -> Result<CString, String> {
    CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).map_err(|_| name.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::text::Text;

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(OsString, OsString)> {
        pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn later_layers_win_and_variables_for_navigator_are_not_inherited() {
        let account =
            Account { name: c"www".into(), user: 65534, group: 65534, home: c"/nonexistent".into(), shell: c"/bin/false".into() };
        let mut configured = Variables::default();
        configured.insert("SHELL", "/bin/dash".into());
        configured.insert("NAVIGATOR_RUN", "x".into());
        let inherited =
            Inherited::of(pairs([("HOME", "/root"), ("NOTIFY_SOCKET", "/run/x"), ("LANG", "C"), ("SHELL", "/bin/sh")]));
        let passed = [("NOTIFY_SOCKET", "/run/own".to_owned())];
        let environment =
            inherited.layer(&InheritEnv::All).account(&account).configured(&configured).protocol(&passed).marked("mark");
        let expected = [
            "HOME=/nonexistent",
            "LANG=C",
            "LOGNAME=www",
            "NAVIGATOR_RUN=mark",
            "NOTIFY_SOCKET=/run/own",
            "SHELL=/bin/dash",
            "USER=www",
        ];
        let expected: Vec<CString> = expected.map(|text| CString::new(text).unwrap()).into();
        let strings = environment.to_strings().expect("none of them holds a NUL byte");
        assert_eq!(strings.iter().map(|text| CString::from(&**text)).collect::<Vec<_>>(), expected);
        assert_eq!(
            ["LANG", "SHELL", "TERM"].map(|name| environment.get(name)),
            [Some("C".as_ref()), Some("/bin/dash".as_ref()), None]
        );
    }

    #[test]
    fn only_listed_names_are_inherited() {
        let inherited = Inherited::of(pairs([("LANG", "C"), ("NOTIFY_SOCKET", "/run/x"), ("PATH", "/bin"), ("SECRET", "x")]));
        let mut configured = Variables::default();
        configured.insert("SET", "1".into());
        let strings = |names: &[&str]| -> Vec<String> {
            let only = InheritEnv::Only(names.iter().map(|name| Text::plain(name)).collect());
            let strings = inherited.layer(&only).configured(&configured).marked("mark").to_strings();
            strings.expect("none of them holds a NUL byte").iter().map(|text| text.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(strings(&["PATH", "UNSET", "NOTIFY_SOCKET"]), ["NAVIGATOR_RUN=mark", "PATH=/bin", "SET=1"]);
        assert_eq!(strings(&[]), ["NAVIGATOR_RUN=mark", "SET=1"]);
    }

    #[test]
    fn a_variable_with_a_nul_byte_is_named() {
        let mut configured = Variables::default();
        configured.insert("BAD", "a\0b".into());
        let inherited = Inherited::of(pairs([("GOOD", "1")]));
        let environment = inherited.layer(&InheritEnv::All).configured(&configured);
        assert_eq!(environment.to_strings(), Err("BAD".to_owned()));
    }
}
