//! From a definition to a running program: everything is looked up and laid out here, before the clone, so that the
//! child has nothing left to do but system calls ([`crate::sys::clone`]).
//!
//! What fails is a fact for the core ([`Refusal`]), found by the stage and the error number ([`super::refusal`]). Runs
//! on a spawner's thread: an exec from a slow disk, or a look-up of a user over the network, holds nobody else.

use super::environment::{Inherited, ProgramEnvironment};
use super::launcher::Launcher;
use super::refusal::{self, Attempt};
use super::spawn_extras::SpawnExtras;
use crate::access::identity::Identity;
use crate::sys;
use crate::sys::clone::{self, Born, Child, CloneFailure, SetLimit, Stack, Stage};
use crate::sys::slot::Slot;
use reconcile::event::Refusal;
use reconcile::spec::{Exec, Limit, Output};
use reconcile::text::Text;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{DupFlags, Errno, dup3};
use rustix::pipe::{PipeFlags, pipe_with};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// What `execvp(3)` searches where there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program that runs.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its number.
    pub(super) pid: u32,
    /// A descriptor of it, if the kernel gave one with it.
    pub(super) pidfd: Option<OwnedFd>,
    /// What it runs as.
    pub(super) identity: Identity,
    /// The ends to read its standard output and error from, unless they go nowhere.
    pub(super) output: Option<[OwnedFd; 2]>,
    /// Why it is not in the control group that was meant for it, if it isn't.
    pub(super) not_in_group: Option<i32>,
}

/// A program that doesn't.
#[derive(Debug)]
pub(super) struct NotSpawned {
    /// Whether there was a child; it then ends by itself, and has to be reaped.
    pub(super) had_child: bool,
    /// Why.
    pub(super) why: Refusal,
}

/// The parts of a start that stay the same from one to the next.
pub(super) struct SpawnContext<'a> {
    /// What navigator was started with.
    pub(super) launcher: &'a Launcher,
    /// The environment that programs inherit.
    pub(super) environment: &'a Inherited,
}

/// What is particular to one start, beside its definition.
pub(super) struct SpawnParameters<'a> {
    /// What marks its processes.
    pub(super) mark: &'a str,
    /// Where the kernel writes its leader's number.
    pub(super) slot: &'a Slot,
    /// The directory of the control group that it is to be in.
    pub(super) group: Option<BorrowedFd<'a>>,
    /// What it is passed beyond its definition.
    pub(super) passed: &'a SpawnExtras,
    /// The starts that must be over before its exec.
    pub(super) after: &'a [Arc<Slot>],
}

/// Starts a program; returns when its exec has succeeded or failed.
pub(super) fn spawn(
    exec: &Exec,
    start: &SpawnParameters<'_>,
    ground: &SpawnContext<'_>,
    cradle: &mut SpawnSlot,
) -> Result<Spawned, NotSpawned> {
    let refuse = |why| NotSpawned { had_child: false, why };
    let layout = ExecImage::of(exec, start, ground).map_err(refuse)?;
    if let Some(socket) = &start.passed.socket {
        layout.attempt.identity.set_owner(socket).map_err(|error| refuse(refusal::of_socket(exec, &error)))?;
    }
    let SpawnSlot { stack, seats } = cradle;
    let output = seats.take(&exec.output, start.passed).map_err(refuse)?;
    let child = layout.child(exec, start, ground, seats);
    let born = clone::start(&child, stack, start.slot);
    // From here on the streams end with the child.
    seats.clear();
    match born {
        Ok(Born { pid, pidfd, not_in_group }) => {
            let identity = layout.attempt.identity;
            Ok(Spawned { pid, pidfd, identity, output, not_in_group })
        }
        Err(CloneFailure::Clone(error)) => Err(refuse(refusal::of_clone(error))),
        Err(CloneFailure::Child(stage, error)) => {
            let why = refusal::of_stage(exec, &layout.attempt, stage, error);
            Err(NotSpawned { had_child: true, why })
        }
    }
}

/// Goes through a start up to its last step, and doesn't execute the program: a child does all that the program's would
/// have done before, and ends. To be called where nobody else reaps.
pub(super) fn rehearse(exec: &Exec, ground: &SpawnContext<'_>, cradle: &mut SpawnSlot) -> Result<(), Refusal> {
    let (slot, passed) = (Slot::default(), SpawnExtras::default());
    let start = SpawnParameters { mark: "rehearsal", slot: &slot, group: None, passed: &passed, after: &[] };
    let layout = ExecImage::of(exec, &start, ground)?;
    let child = Child { programs: &[], ..layout.child(exec, &start, ground, &cradle.seats) };
    let ended = clone::start(&child, &mut cradle.stack, &slot);
    if let Some(pid) = slot.pid() {
        // Nothing of what it was could be told from its status.
        let _reaped = sys::wait_for(pid);
    }
    match ended {
        Ok(Born { .. }) | Err(CloneFailure::Child(Stage::Execute, _)) => refusal::of_files(exec, &layout.attempt),
        Err(CloneFailure::Child(stage, error)) => Err(refusal::of_stage(exec, &layout.attempt, stage, error)),
        Err(CloneFailure::Clone(error)) => Err(refusal::of_clone(error)),
    }
}

/// A definition, looked up and laid out for the child.
struct ExecImage<'a> {
    attempt: Attempt,
    arguments: Vec<CString>,
    environment: Vec<Cow<'a, CStr>>,
    directory: Option<CString>,
    oom_score_adj: Option<Vec<u8>>,
    limits: Vec<SetLimit>,
}

impl<'a> ExecImage<'a> {
    fn of(exec: &Exec, start: &SpawnParameters<'_>, ground: &SpawnContext<'a>) -> Result<ExecImage<'a>, Refusal> {
        let (identity, account) = Identity::of(exec).map_err(refusal::of_identity)?;
        let mut environment = ground.environment.layer(&exec.inherit_env);
        if let Some(account) = &account {
            environment = environment.account(account);
        }
        let environment = environment.configured(&exec.env).passed(&start.passed.variables).marked(start.mark);
        let (programs, path) = candidates(exec, &environment)?;
        let (limit_names, limits) = limits(exec, ground.launcher)?.into_iter().unzip();
        let arguments = std::iter::once(&exec.command).chain(&exec.args);
        Ok(ExecImage {
            attempt: Attempt { programs, path, limit_names, identity },
            arguments: arguments.map(|text| string(text, "args")).collect::<Result<_, _>>()?,
            environment: environment.to_strings().map_err(|name| nul(&format!("env.{name}")))?,
            directory: exec.working_dir.as_ref().map(|text| string(text, "working_dir")).transpose()?,
            oom_score_adj: exec.oom_score_adj.map(|value| value.to_string().into_bytes()),
            limits,
        })
    }
}

impl ExecImage<'_> {
    fn child<'a>(
        &'a self,
        exec: &Exec,
        start: &'a SpawnParameters<'_>,
        ground: &SpawnContext<'_>,
        seats: &'a StdioFds,
    ) -> Child<'a> {
        Child {
            programs: &self.attempt.programs,
            arguments: &self.arguments,
            environment: &self.environment,
            own_number: start.passed.own_number,
            stdio: seats.0.each_ref().map(AsFd::as_fd),
            oom_score_adj: self.oom_score_adj.as_deref(),
            limits: &self.limits,
            umask: exec.umask.unwrap_or(ground.launcher.umask),
            nice: exec.nice,
            groups: self.attempt.identity.groups.as_deref(),
            group: self.attempt.identity.group,
            user: self.attempt.identity.user,
            directory: self.directory.as_deref(),
            no_new_privs: exec.no_new_privs,
            passed: start.passed.descriptor.as_ref().map(|(descriptor, number)| (descriptor.as_fd(), *number)),
            in_group: start.group,
            after: start.after,
        }
    }
}

/// The files that a command may mean: itself if it has a slash, else one in each directory of the program's own `PATH`.
///
/// All of them relative to the directory that the child enters, as its own shell would take them.
fn candidates(exec: &Exec, environment: &ProgramEnvironment<'_, '_>) -> Result<(Vec<CString>, Option<String>), Refusal> {
    let command = exec.command.value();
    if command.contains('/') {
        return Ok((vec![string(&exec.command, "command")?], None));
    }
    let path = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    let shown = exec.env.get("PATH").map_or_else(|| path.display().to_string(), |text| text.shown().to_owned());
    if command.is_empty() {
        return Err(Refusal::CommandNotFound { command: String::new(), path: shown });
    }
    let in_directory = |directory: &[u8]| {
        // An empty entry means the current directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        CString::new([directory, b"/", command.as_bytes()].concat()).map_err(|_| nul("command"))
    };
    let files = path.as_bytes().split(|&byte| byte == b':').map(in_directory).collect::<Result<_, _>>()?;
    Ok((files, Some(shown)))
}

/// The limits to set, by name: what navigator raised for itself goes back to what it was, under what the definition says.
fn limits(exec: &Exec, launcher: &Launcher) -> Result<BTreeMap<&'static str, SetLimit>, Refusal> {
    let (soft, hard) = launcher.nofile;
    let mut by_name = BTreeMap::from([("nofile", (libc::RLIMIT_NOFILE, soft, hard))]);
    for (&name, limit) in &exec.limits {
        let Some(resource) = resource(name) else {
            let error = "this system has no such limit".to_owned();
            return Err(Refusal::Failed { stage: format!("setting limits.{name}"), error });
        };
        let value = match limit {
            Limit::Unlimited => libc::RLIM_INFINITY,
            Limit::To(value) => *value,
        };
        by_name.insert(name, (resource, value, value));
    }
    Ok(by_name)
}

/// The number of a limit, by the name that `limits.conf(5)` and the shell's `ulimit` know, or by the kernel's.
fn resource(name: &str) -> Option<u32> {
    Some(match name {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "locks" => libc::RLIMIT_LOCKS,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rss" => libc::RLIMIT_RSS,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    })
}

/// What starts one child at a time, and is used again for the next.
pub(super) struct SpawnSlot {
    stack: Stack,
    seats: StdioFds,
}

impl SpawnSlot {
    /// # Errors
    /// No memory, no descriptor, or no `/dev/null`.
    pub(super) fn new() -> io::Result<SpawnSlot> {
        Ok(SpawnSlot { stack: Stack::new()?, seats: StdioFds::new()? })
    }
}

/// Where the standard input, output and error of the next child lie. They are taken at the very start and so have low
/// numbers, below which the child has to copy next to nothing. At rest all of them are `/dev/null`.
struct StdioFds([OwnedFd; 3]);

impl StdioFds {
    fn new() -> io::Result<StdioFds> {
        let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        Ok(StdioFds([null()?, null()?, null()?]))
    }

    /// Puts the child's ends in place, and answers with ours, unless its output goes to somebody else or nowhere.
    fn take(&mut self, output: &Output, passed: &SpawnExtras) -> Result<Option<[OwnedFd; 2]>, Refusal> {
        match (output, &passed.output) {
            (_, Some(taker)) => self.both_to(taker).map(|()| None).map_err(of_descriptors),
            (Output::Null, None) if passed.log_matcher.is_none() => Ok(None),
            (Output::Null | Output::Log | Output::File { .. }, None) => self.pipes().map(Some).map_err(of_descriptors),
        }
    }

    fn both_to(&mut self, taker: &OwnedFd) -> Result<(), Errno> {
        let [_, out, err] = &mut self.0;
        dup3(taker, out, DupFlags::CLOEXEC)?;
        dup3(taker, err, DupFlags::CLOEXEC)
    }

    fn pipes(&mut self) -> Result<[OwnedFd; 2], Errno> {
        let [_, out, err] = &mut self.0;
        let (ours_out, theirs_out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ours_err, theirs_err) = pipe_with(PipeFlags::CLOEXEC)?;
        // Our ends alone: the process's own go on blocking, as programs expect of their output.
        for ours in [&ours_out, &ours_err] {
            rustix::fs::fcntl_setfl(ours, OFlags::NONBLOCK)?;
        }
        dup3(theirs_out, out, DupFlags::CLOEXEC)?;
        dup3(theirs_err, err, DupFlags::CLOEXEC)?;
        Ok([ours_out, ours_err])
    }

    fn clear(&mut self) {
        let [null, out, err] = &mut self.0;
        for seat in [out, err] {
            // A stream has to end with its process, if need be at the price of the low number.
            if dup3(&*null, &mut *seat, DupFlags::CLOEXEC).is_err()
                && let Ok(other) = null.try_clone()
            {
                *seat = other;
            }
        }
    }
}

fn of_descriptors(error: Errno) -> Refusal {
    refusal::of_descriptors(error.raw_os_error())
}

fn string(text: &Text, place: &str) -> Result<CString, Refusal> {
    CString::new(text.value()).map_err(|_| nul(place))
}

fn nul(place: &str) -> Refusal {
    Refusal::Failed { stage: format!("preparing `{place}`"), error: "it holds a NUL byte".to_owned() }
}
