//! Explains why a program didn't start, from the stage that failed, the error number, and the file.
//!
//! The file matters because the kernel answers an exec with the same `ENOENT` for three different mistakes.

use crate::access::identity::{Identity, IdentityError};
use crate::access::regular::open_regular;
use crate::error_text::{exhausted_resource, words};
use crate::sys::clone::Stage;
use reconcile::event::Refusal;
use reconcile::human_duration::HumanDuration;
use reconcile::spec::{Announce, Exec};
use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The parts of a start that a refusal depends on.
pub(super) struct Attempt {
    /// The files to try, in order.
    pub(super) programs: Vec<CString>,
    /// The `PATH` that they come from, without secrets; `None` for a command with a slash.
    pub(super) path: Option<String>,
    /// Names of the limits, in the order in which they are set.
    pub(super) limit_names: Vec<&'static str>,
    /// The user and groups that it runs as.
    pub(super) identity: Identity,
}

impl Attempt {
    /// Whether the program runs as another user than navigator.
    fn changes_user(&self) -> bool {
        self.identity.user.is_some_and(|user| user != rustix::process::geteuid().as_raw())
    }
}

fn error_words(error: i32) -> String {
    words(&io::Error::from_raw_os_error(error))
}

/// The clone failed, mostly because processes or memory are used up.
pub(super) fn of_clone(error: i32) -> Refusal {
    exhausted(error).unwrap_or_else(|| failed("creating a process".to_owned(), error))
}

/// The pipes of the process could not be made.
pub(super) fn of_descriptors(error: i32) -> Refusal {
    exhausted(error).unwrap_or_else(|| failed("opening its standard streams".to_owned(), error))
}

/// The notification socket could not be given to the user of the process.
pub(super) fn of_socket(exec: &Exec, error: &io::Error) -> Refusal {
    let owner = match (&exec.user, &exec.group) {
        (None, Some(group)) => format!("group `{}`", group.shown()),
        _ => of_user(exec),
    };
    let advice = error.raw_os_error().map_or("", |error| permission_hint(Stage::User, error));
    Refusal::Failed { stage: format!("giving its notification socket to {owner}"), error: words(error) + advice }
}

/// The user or group of the process could not be looked up.
pub(super) fn of_identity(error: IdentityError) -> Refusal {
    match error {
        IdentityError::UnknownUser(user) => Refusal::UnknownUser { user },
        IdentityError::UnknownGroup(group) => Refusal::UnknownGroup { group },
        IdentityError::NoPrimaryGroup(user) => Refusal::Failed {
            stage: format!("looking up user `{user}`"),
            error: "this user id has no account, hence no primary group: set `group` too".to_owned(),
        },
        IdentityError::LookUp { what, error } => Refusal::Failed { stage: format!("looking up {what}"), error: words(&error) },
    }
}

/// The child failed at this stage.
pub(super) fn of_stage(exec: &Exec, attempt: &Attempt, stage: Stage, error: i32) -> Refusal {
    let advice = permission_hint(stage, error);
    let stage = match stage {
        Stage::Execute => return of_execute(exec, attempt, error),
        Stage::Directory => return of_directory(exec, error),
        Stage::Descriptors => "getting descriptors of its own".to_owned(),
        Stage::Session => "making a session".to_owned(),
        Stage::Signals | Stage::Mask => "resetting signals".to_owned(),
        Stage::Stdio => "setting up its standard streams".to_owned(),
        Stage::Turn => "waiting for the start before it".to_owned(),
        Stage::Cancelled => {
            let error = "it was killed before its program was executed".to_owned();
            return Refusal::Failed { stage: "starting".to_owned(), error };
        }
        Stage::Passing(number) => return of_passing(exec, number, error),
        Stage::OomScoreAdj => "setting oom_score_adj".to_owned(),
        Stage::Limit(place) => format!("setting limits.{}", attempt.limit_names.get(place).copied().unwrap_or("?")),
        Stage::Nice => "setting nice".to_owned(),
        Stage::NoNewPrivs => "setting no_new_privs".to_owned(),
        Stage::Groups => match (&exec.user, &exec.group) {
            (None, Some(group)) => format!("taking no group but `{}`", group.shown()),
            _ => format!("taking the groups of {}", of_user(exec)),
        },
        Stage::Group => exec.group.as_ref().map_or_else(
            || format!("becoming the group of {}", of_user(exec)),
            |group| format!("becoming group `{}`", group.shown()),
        ),
        Stage::User => format!("becoming {}", of_user(exec)),
        Stage::Undumpable => format!("keeping processes of {} from attaching to it", of_user(exec)),
    };
    Refusal::Failed { stage, error: error_words(error) + advice }
}

/// A hint for a stage that isn't permitted; empty for other errors.
fn permission_hint(stage: Stage, error: i32) -> &'static str {
    if ![libc::EPERM, libc::EACCES].contains(&error) {
        return "";
    }
    match stage {
        Stage::Groups | Stage::Group | Stage::User => "; only root may run a process as another user or group",
        Stage::Nice => "; only root may raise a priority",
        Stage::OomScoreAdj => "; only root may lower it",
        Stage::Limit(_) => "; only root may exceed the hard limit, and only up to the kernel's maximum",
        _ => "",
    }
}

/// The child was killed because its program had not been executed within this time.
pub(super) fn of_hanging(exec: &Exec, after: Duration) -> Refusal {
    Refusal::Failed {
        stage: format!("starting `{}`", exec.command.shown()),
        error: format!(
            "it was not executed within {}: a file system does not answer, or another process has a lease on the program",
            HumanDuration(after)
        ),
    }
}

fn of_user(exec: &Exec) -> String {
    format!("user `{}`", exec.user.as_ref().map_or("?", |user| user.shown()))
}

/// The descriptor of `ready.fd` or of a socket could not be put in place, mostly because its number is beyond the limit.
fn of_passing(exec: &Exec, number: u32, error: i32) -> Refusal {
    let key = if exec.announce == Some(Announce::Fd(number)) { "ready.fd" } else { "listen" };
    let stage = format!("passing descriptor {number} of `{key}`");
    match error {
        libc::EBADF => Refusal::Failed { stage, error: "`limits.nofile` allows no descriptor of this number".to_owned() },
        _ => failed(stage, error),
    }
}

fn of_directory(exec: &Exec, error: i32) -> Refusal {
    let directory = exec.working_dir.as_ref().map_or(".", |text| text.shown()).to_owned();
    match error {
        libc::ENOENT => Refusal::DirectoryMissing { directory },
        libc::ENOTDIR => Refusal::NotADirectory { directory },
        libc::EACCES => Refusal::DirectoryDenied { directory },
        _ => failed(format!("entering working_dir `{directory}`"), error),
    }
}

/// Checks without executing it that there is a program, and that it may be executed. The latter is not checked for another
/// user: only a process of that user can find out.
pub(super) fn of_files(exec: &Exec, attempt: &Attempt) -> Result<(), Refusal> {
    let files: Vec<_> = attempt.programs.iter().map(|program| file(exec, program)).filter(|file| file.exists()).collect();
    let may_execute = |file: &Path| !file.is_dir() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    if files.is_empty() {
        Err(of_execute(exec, attempt, libc::ENOENT))
    } else if attempt.changes_user() || files.iter().any(|file| may_execute(file)) {
        Ok(())
    } else {
        Err(of_execute(exec, attempt, libc::EACCES))
    }
}

/// A program's path from navigator's working directory.
fn file(exec: &Exec, program: &CStr) -> PathBuf {
    Path::new(exec.working_dir.as_ref().map_or("", |text| text.value())).join(OsStr::from_bytes(program.to_bytes()))
}

fn of_execute(exec: &Exec, attempt: &Attempt, error: i32) -> Refusal {
    let command = exec.command.shown().to_owned();
    let mut files = attempt.programs.iter().map(|program| file(exec, program)).filter(|file| file.exists());
    match error {
        libc::ENOENT | libc::ENOTDIR => match (files.next(), &attempt.path) {
            // The file exists, so its interpreter or loader is missing.
            (Some(file), _) => without_interpreter(command, &file, attempt),
            (None, Some(path)) => Refusal::CommandNotFound { command, path: path.clone() },
            (None, None) => Refusal::FileNotFound { command },
        },
        // A search skips directories with the command's name, unless it finds nothing else.
        libc::EACCES if files.next().is_some_and(|file| file.is_dir()) && files.all(|file| file.is_dir()) => {
            Refusal::IsDirectory { command }
        }
        libc::EACCES => Refusal::NotExecutable { command },
        libc::ENOEXEC => Refusal::NotAProgram { command },
        libc::ETXTBSY => Refusal::Busy { command },
        libc::E2BIG => Refusal::TooLong { command },
        _ => exhausted(error).unwrap_or_else(|| failed(format!("executing `{command}`"), error)),
    }
}

/// The exec found no file although the program exists: its interpreter or loader is missing.
fn without_interpreter(command: String, file: &Path, attempt: &Attempt) -> Refusal {
    match interpreter(file, attempt) {
        Ok(Some(interpreter)) => Refusal::InterpreterMissing { command, interpreter },
        Ok(None) => Refusal::Failed {
            stage: format!("executing `{command}`"),
            error: "its dynamic loader does not exist: it was built for another system or C library".to_owned(),
        },
        Err(error) => Refusal::Failed { stage: format!("reading `{command}`"), error: words(&error) },
    }
}

/// The interpreter that a script's first line names (`execve(2)`); `None` for other files. Like the kernel, this reads the file
/// with the rights of the process's user.
fn interpreter(file: &Path, attempt: &Attempt) -> io::Result<Option<String>> {
    /// As much as the kernel reads.
    const FIRST_BYTES: u64 = 256;
    let mut start = Vec::new();
    let rights = attempt.identity.borrow()?;
    let (opened, _) = open_regular(file)?;
    drop(rights);
    std::fs::File::from(opened).take(FIRST_BYTES).read_to_end(&mut start)?;
    let Some(line) = start.strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let word = line.split(is_blank).find(|word| !word.is_empty()).unwrap_or_default();
    // For the kernel a carriage return is part of the name, so it is shown.
    Ok(Some(String::from_utf8_lossy(word).replace('\r', "\\r")))
}

fn exhausted(error: i32) -> Option<Refusal> {
    exhausted_resource(error).map(|what| Refusal::Exhausted { what: what.to_owned() })
}

fn failed(stage: String, error: i32) -> Refusal {
    Refusal::Failed { stage, error: error_words(error) }
}
