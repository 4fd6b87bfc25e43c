//! Where a test lives, and how programs are started there.

use super::leftovers::{self, Process};
use super::{Ended, Navigator, report};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program under test.
const NAVIGATOR: &str = env!("CARGO_BIN_EXE_navigator");

/// The variable that every process of a site inherits from its navigator.
const MARKER: &str = "NAVIGATOR_E2E";

/// A directory in which one test lives; removed at the end, kept where the test failed.
#[derive(Debug)]
pub(crate) struct Site {
    directory: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Site {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            // Short, for the length of a socket's path; in the system's place, because other users have to enter it.
            let directory = std::env::temp_dir().join(format!("nav-{}-{number}", std::process::id()));
            match fs::create_dir(&directory) {
                Ok(()) => {
                    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("it is ours");
                    return Site { directory };
                }
                // What a failed test of a process with this number left for a person to look at.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("`{}` can't be made: {error}", directory.display()),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it lies in the site")).expect("the site can be written");
        fs::write(&path, text).expect("the site can be written");
        path
    }

    /// A file that can be executed.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The lines that the children of this site have written to their journal; see `fixtures/e2e/child.sh`.
    pub(crate) fn journal(&self) -> Vec<String> {
        self.read("journal").lines().map(str::to_owned).collect()
    }

    /// The journal without the lines of starting, which processes write whenever they get to it.
    pub(crate) fn stops(&self) -> Vec<String> {
        self.journal().into_iter().filter(|line| !line.ends_with(" start")).collect()
    }

    /// A run of navigator with these arguments, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Launch<'_> {
        let mut launch = self.launch(NAVIGATOR);
        launch.command.args(arguments);
        launch
    }

    /// As [`Site::command`], but through another program, which gets navigator and its arguments behind its own.
    pub(crate) fn command_through(&self, program: &str, its: &[&str], arguments: &[&str]) -> Launch<'_> {
        let mut launch = self.launch(program);
        launch.command.args(its).arg(NAVIGATOR).args(arguments);
        launch
    }

    fn launch(&self, program: &str) -> Launch<'_> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.surround(&mut command);
        Launch { site: self, command }
    }

    /// Gives a command the directory and the environment of this site.
    pub(crate) fn surround(&self, command: &mut Command) {
        command
            .current_dir(&self.directory)
            .env_remove("NAVIGATOR_CONFIG")
            .env_remove("LOG_LEVEL")
            .env(MARKER, &self.directory)
            .env("NAVIGATOR_STATE_DIR", self.path("state"))
            .env("NAVIGATOR_DATA_DIR", self.path("data"))
            .env("NAVIGATOR_PID_FILE", self.path("navigator.pid"))
            .env("SITE", &self.directory)
            .env("JOURNAL", self.path("journal"))
            .env("FIXTURES", fixtures());
    }

    /// Runs navigator on this text as `navigator.yml`.
    pub(crate) fn start(&self, configuration: &str) -> Navigator<'_> {
        self.write("navigator.yml", configuration);
        self.command(["navigator.yml"]).start()
    }

    /// As [`Site::start`], but a changed file is read only when navigator is told to.
    pub(crate) fn start_unwatched(&self, configuration: &str) -> Navigator<'_> {
        self.write("navigator.yml", configuration);
        self.command(["--no-watch", "navigator.yml"]).start()
    }

    /// Runs navigator to its end, for commands that don't stay.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        self.command(arguments).start().ended()
    }

    /// Runs a command to its end, which must have this exit code.
    #[track_caller]
    pub(crate) fn asks(&self, arguments: &[&str], code: i32) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}\n{}", ended.description);
        ended
    }

    /// Every living process of this site.
    pub(crate) fn living(&self) -> BTreeSet<Process> {
        leftovers::carrying(&format!("{MARKER}={}", self.directory.display()))
    }

    /// Every living keeper of this site.
    pub(crate) fn keepers(&self) -> BTreeSet<Process> {
        leftovers::keepers(&self.directory)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Those of a navigator that was killed.
        self.keepers().iter().for_each(|keeper| leftovers::send(keeper, rustix::process::Signal::KILL));
        if std::thread::panicking() {
            report(&format!("the files of the failed test are in `{}`", self.directory.display()));
        } else if let Err(error) = fs::remove_dir_all(&self.directory) {
            report(&format!("`{}` could not be removed: {error}", self.directory.display()));
        }
    }
}

/// The folder of applications and scripts that the tests run.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/e2e")
}

/// A run of navigator that is being prepared.
#[derive(Debug)]
pub(crate) struct Launch<'s> {
    site: &'s Site,
    command: Command,
}

impl<'s> Launch<'s> {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn with_stdin(mut self, input: OwnedFd) -> Self {
        self.command.stdin(input);
        self
    }

    pub(crate) fn start(mut self) -> Navigator<'s> {
        Navigator::watch(self.site, spawn(&mut self.command))
    }
}

#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
pub(super) fn spawn(command: &mut Command) -> std::process::Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs another program to its end, such as a client of a server under test.
///
/// # Panics
/// If it fails.
#[track_caller]
pub(crate) fn client(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|error| panic!("{error}"))
}

/// As [`client`], for one that may fail: what it wrote, or how it failed.
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
pub(crate) fn attempt(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
