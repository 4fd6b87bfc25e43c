//! The real servers that some tests drive: where they are, a free port for them, and what happens where one is missing.
//!
//! A missing server skips the test, visibly: with its name and the reason, and not at all under `NAVIGATOR_NO_SKIP=1`.
//! `tests/run` installs them.

use super::{attempt, report};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `tests/run` unpacks programs that it doesn't install.
const UNPACKED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/servers/usr/bin");

/// The program's path, looked for in `PATH` and where Debian and `tests/run` put servers.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from(UNPACKED)]).chain(postgres_directories());
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Debian keeps each version of PostgreSQL in a directory of its own, outside `PATH`.
fn postgres_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect()
}

/// Whether every program is there. If one isn't, the test is skipped, or fails where nothing may be skipped.
#[track_caller]
pub(crate) fn present(test: &str, programs: &[&str]) -> bool {
    match programs.iter().find(|program| find(program).is_none()) {
        Some(missing) => skip(test, &format!("`{missing}` is not installed")),
        None => true,
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the test runs as root. If it doesn't, it is skipped.
#[track_caller]
pub(crate) fn root(test: &str) -> bool {
    is_root() || skip(test, "it needs root")
}

/// Whether a command succeeds here, such as one that needs a permission. If it doesn't, the test is skipped.
#[track_caller]
pub(crate) fn permitted(test: &str, command: &[&str]) -> bool {
    succeeds(test, Command::new(command[0]).args(&command[1..]))
}

/// Whether a command that a test depends on succeeds here. If it doesn't, the test is skipped.
#[track_caller]
pub(crate) fn succeeds(test: &str, command: &mut Command) -> bool {
    match attempt(command) {
        Ok(_) => true,
        Err(error) => skip(test, &error.replace('\n', " ")),
    }
}

/// The programs of these packages of Python, in an environment of their own below `target/`: the folder that they are in. `None`:
/// they can't be installed, and the test is skipped.
#[track_caller]
pub(crate) fn python_packages(test: &str, packages: &[&str]) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(packages.join("-").replace("==", "-"));
    let finished = directory.join("finished");
    let lock = File::create(directory.with_added_extension("lock")).expect("the directory of the build can be written");
    lock.lock().expect("a file can be locked");
    if !finished.exists() {
        let mut environment = Command::new("python3");
        environment.args(["-m", "venv", "--clear"]).arg(&directory);
        let mut install = Command::new(directory.join("bin/pip"));
        install.args(["--quiet", "--disable-pip-version-check", "install"]).args(packages);
        if !succeeds(test, &mut environment) || !succeeds(test, &mut install) {
            return None;
        }
        fs::write(finished, "").expect("the directory is ours");
    }
    Some(directory.join("bin"))
}

/// Says that a test is skipped; `false`, for the caller to return on.
#[track_caller]
fn skip(test: &str, reason: &str) -> bool {
    assert!(std::env::var_os("NAVIGATOR_NO_SKIP").is_none(), "{test}: {reason}, and nothing may be skipped");
    let line = format!("SKIP {test}: {reason}");
    report(&line);
    if let Some(file) = std::env::var_os("NAVIGATOR_SKIP_LOG") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).expect("NAVIGATOR_SKIP_LOG can be written");
        writeln!(file, "{line}").expect("NAVIGATOR_SKIP_LOG can be written");
    }
    false
}

/// The answer of a web server on this machine; `None` until it gives one.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(connection, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then(|| body.to_owned())
}

/// The folder a program lies in, for a `PATH`.
pub(crate) fn directory(program: &str) -> String {
    let file = find(program).unwrap_or_else(|| panic!("`{program}` was found before"));
    file.parent().unwrap_or(Path::new("/")).display().to_string()
}
