//! Starts a program from its definition. Everything is looked up and prepared before the clone, so that the child only makes
//! system calls ([`crate::sys::clone`]).
//!
//! A failure is reported to the core as a [`Refusal`] ([`super::refusal`]). This runs on a spawner's thread, because an exec
//! from a slow disk or a look-up of a user over the network may block.

use super::child_maker::{ChildMaker, StartPlace};
use super::environment::{Inherited, ProgramEnvironment};
use super::launcher::Launcher;
use super::pipes;
use super::refusal::{self, Attempt};
use super::spawn_extras::SpawnExtras;
use crate::access::identity::{Identity, IdentityError};
use crate::keeper::KeptWithChild;
use crate::sys;
use crate::sys::child_stdio::ChildStdio;
use crate::sys::clone::{self, Child, CloneFailure, SetLimit, Stage, StartedChild};
use crate::sys::slot::Slot;
use reconcile::event::Refusal;
use reconcile::socket::Listener;
use reconcile::spec::{Exec, InheritEnv, Limit, Output};
use reconcile::text::Text;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, PathBuf};
use std::sync::Arc;

/// The directories that `execvp(3)` searches without a `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its pid.
    pub(super) pid: u32,
    /// Its pidfd, if the clone returned one.
    pub(super) pidfd: Option<OwnedFd>,
    /// The user and groups that it runs as.
    pub(super) identity: Identity,
    /// The read ends of its standard output and error; `None` if navigator doesn't read them.
    pub(super) output: Option<[OwnedFd; 2]>,
    /// Error number, if it could not enter its control group.
    pub(super) group_error: Option<i32>,
}

/// A program that could not be started.
#[derive(Debug)]
pub(super) struct NotSpawned {
    /// Whether there is a child. It ends without help, and has to be reaped.
    pub(super) has_child: bool,
    /// Why.
    pub(super) why: Refusal,
}

/// The parameters that all starts share.
pub(super) struct SpawnContext<'a> {
    /// The settings that navigator was started with.
    pub(super) launcher: &'a Launcher,
    /// The environment that programs inherit.
    pub(super) environment: &'a Inherited,
}

/// The parameters of one start, beside its definition.
pub(super) struct SpawnParameters<'a> {
    /// The mark of its processes.
    pub(super) mark: &'a str,
    /// Where the kernel writes the pid of its main process.
    pub(super) slot: &'a Slot,
    /// The directory of its control group.
    pub(super) group: Option<BorrowedFd<'a>>,
    /// What it is passed beyond its definition.
    pub(super) extras: &'a SpawnExtras,
    /// Its sockets, in the order of their descriptors.
    pub(super) sockets: &'a [Arc<OwnedFd>],
    /// The starts that must be over before its exec.
    pub(super) after: &'a [Arc<Slot>],
}

/// Starts a program; returns when its exec has succeeded or failed.
pub(super) fn spawn(
    exec: &Exec,
    start: &SpawnParameters<'_>,
    context: &SpawnContext<'_>,
    slot: &mut SpawnSlot,
) -> Result<Spawned, NotSpawned> {
    let refuse = |why| NotSpawned { has_child: false, why };
    let image = ExecImage::of(exec, start, context).map_err(refuse)?;
    if let Some((descriptor, _)) = &start.extras.descriptor {
        image.attempt.identity.own(descriptor).map_err(|error| refuse(of_descriptors(error)))?;
    }
    if let Some(socket) = &start.extras.socket {
        image.attempt.identity.set_owner(socket).map_err(|error| refuse(refusal::of_socket(exec, &error)))?;
    }
    let SpawnSlot { maker, stdio } = slot;
    let output = prepare(stdio, &exec.output, start.extras, &image.attempt.identity);
    let output = output.map_err(|error| refuse(of_descriptors(error)))?;
    let descriptors = PassedFds::of(start).map_err(|error| refuse(of_descriptors(error)))?;
    let passed = descriptors.placed();
    let child = Child { passed: &passed, ..image.child(exec, start, context, stdio) };
    let kept = KeptWithChild {
        descriptors: output.as_ref().map_or(&[], |read_ends| &read_ends[..]),
        ends_with_navigator: start.extras.ends_with_navigator,
    };
    let started = maker.start(&child, start.slot, kept);
    // So that the streams end with the child.
    stdio.reset();
    match started {
        Ok(StartedChild { pid, pidfd, group_error }) => {
            let identity = image.attempt.identity;
            Ok(Spawned { pid, pidfd, identity, output, group_error })
        }
        Err(CloneFailure::Clone(error)) => Err(refuse(refusal::of_clone(error))),
        Err(CloneFailure::Child(stage, error)) => {
            let why = refusal::of_stage(exec, &image.attempt, stage, error);
            Err(NotSpawned { has_child: true, why })
        }
    }
}

/// The setting that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    User,
    Group,
    Identity,
    Directory,
    Limit(&'static str),
    Nice,
    OomScoreAdj,
    NoNewPrivs,
    /// The program itself, or something that no setting could be left out for.
    Program,
}

/// A problem that a rehearsal found.
pub(super) struct Unstartable {
    pub(super) why: Refusal,
    pub(super) setting: Setting,
}

/// Performs a start without its exec: a child makes all earlier steps and ends. The caller must have no other reaper.
pub(super) fn rehearse(exec: &Exec, context: &SpawnContext<'_>, slot: &mut SpawnSlot) -> Result<(), Unstartable> {
    let (pid_slot, extras) = (Slot::default(), SpawnExtras::default());
    let start = SpawnParameters { mark: "rehearsal", slot: &pid_slot, group: None, extras: &extras, sockets: &[], after: &[] };
    let about = |setting| move |why| Unstartable { why, setting };
    if let Err(error) = Identity::of(exec) {
        let setting = match &error {
            IdentityError::UnknownUser(_) | IdentityError::NoPrimaryGroup(_) => Setting::User,
            IdentityError::UnknownGroup(_) => Setting::Group,
            IdentityError::LookUp { .. } => Setting::Identity,
        };
        return Err(about(setting)(refusal::of_identity(error)));
    }
    let image = ExecImage::of(exec, &start, context).map_err(about(Setting::Program))?;
    let child = Child { programs: &[], ..image.child(exec, &start, context, &slot.stdio) };
    let ended = slot.maker.start_here(&child, &pid_slot);
    if let Some(pid) = pid_slot.pid() {
        // Its exit status says nothing more.
        let _reaped = sys::wait_for(pid);
    }
    match ended {
        Ok(StartedChild { .. }) | Err(CloneFailure::Child(Stage::Execute, _)) => {
            refusal::of_files(exec, &image.attempt).map_err(about(Setting::Program))
        }
        Err(CloneFailure::Child(stage, error)) => {
            let setting = match stage {
                Stage::Directory => Setting::Directory,
                Stage::Limit(place) => image.attempt.limit_names.get(place).map_or(Setting::Program, |name| Setting::Limit(name)),
                Stage::Nice => Setting::Nice,
                Stage::OomScoreAdj => Setting::OomScoreAdj,
                Stage::NoNewPrivs => Setting::NoNewPrivs,
                Stage::Groups | Stage::Group | Stage::User | Stage::Undumpable => Setting::Identity,
                _ => Setting::Program,
            };
            Err(about(setting)(refusal::of_stage(exec, &image.attempt, stage, error)))
        }
        Err(CloneFailure::Clone(error)) => Err(about(Setting::Program)(refusal::of_clone(error))),
    }
}

/// A definition, prepared for the child.
struct ExecImage<'a> {
    attempt: Attempt,
    arguments: Vec<CString>,
    environment: Vec<Cow<'a, CStr>>,
    directory: Option<CString>,
    oom_score_adj: Option<Vec<u8>>,
    limits: Vec<SetLimit>,
}

impl<'a> ExecImage<'a> {
    fn of(exec: &Exec, start: &SpawnParameters<'_>, context: &SpawnContext<'a>) -> Result<ExecImage<'a>, Refusal> {
        let (identity, account) = Identity::of(exec).map_err(refusal::of_identity)?;
        let directory = inherits_pwd(&exec.inherit_env).then(|| absolute_directory(exec.working_dir.as_ref())).flatten();
        let mut environment = context.environment.layer(&exec.inherit_env);
        if let Some(account) = &account {
            environment = environment.account(account);
        }
        if let Some(directory) = &directory {
            environment = environment.in_directory(directory);
        }
        let environment = environment.configured(&exec.env).protocol(&start.extras.variables).marked(start.mark);
        let (programs, path) = candidates(exec, &environment)?;
        let (limit_names, limits) = limits(exec, context.launcher)?.into_iter().unzip();
        let arguments = std::iter::once(&exec.command).chain(&exec.args);
        Ok(ExecImage {
            attempt: Attempt { programs, path, limit_names, identity },
            arguments: arguments.map(|text| c_string(text, "args")).collect::<Result<_, _>>()?,
            environment: environment.to_strings().map_err(|name| nul_byte(&format!("env.{name}")))?,
            directory: exec.working_dir.as_ref().map(|text| c_string(text, "working_dir")).transpose()?,
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
        context: &SpawnContext<'_>,
        stdio: &'a ChildStdio,
    ) -> Child<'a> {
        Child {
            programs: &self.attempt.programs,
            arguments: &self.arguments,
            environment: &self.environment,
            pid_variables: &start.extras.pid_variables,
            stdio: stdio.each(),
            oom_score_adj: self.oom_score_adj.as_deref(),
            limits: &self.limits,
            umask: exec.umask.unwrap_or(context.launcher.umask),
            nice: exec.nice,
            groups: self.attempt.identity.groups.as_deref(),
            group: self.attempt.identity.group,
            user: self.attempt.identity.user,
            directory: self.directory.as_deref(),
            no_new_privs: exec.no_new_privs,
            passed: &[],
            in_group: start.group,
            after: start.after,
        }
    }
}

/// The descriptors that a program is passed, beside its standard streams.
struct PassedFds<'a> {
    passed: Vec<(BorrowedFd<'a>, u32)>,
    /// Copies of those that have the number of another one in the program.
    copies: Vec<Option<OwnedFd>>,
}

impl<'a> PassedFds<'a> {
    fn of(start: &'a SpawnParameters<'_>) -> Result<PassedFds<'a>, Errno> {
        let sockets = start.sockets.iter().map(AsFd::as_fd).zip(Listener::FIRST_DESCRIPTOR..);
        let further = start.extras.descriptor.iter().map(|(descriptor, number)| (descriptor.as_fd(), *number));
        let passed: Vec<_> = sockets.chain(further).collect();
        let above = passed.iter().map(|(_, number)| number + 1).max().unwrap_or(0).cast_signed();
        let copy = |&one: &(BorrowedFd<'_>, u32)| {
            clone::would_be_overwritten(one, &passed).then(|| fcntl_dupfd_cloexec(one.0, above)).transpose()
        };
        Ok(PassedFds { copies: passed.iter().map(copy).collect::<Result<_, _>>()?, passed })
    }

    fn placed(&self) -> Vec<(BorrowedFd<'_>, u32)> {
        let with_copies = self.passed.iter().zip(&self.copies);
        with_copies.map(|(&(descriptor, number), copy)| (copy.as_ref().map_or(descriptor, AsFd::as_fd), number)).collect()
    }
}

/// Whether a program finds its working directory in `PWD`.
fn inherits_pwd(inherit: &InheritEnv) -> bool {
    match inherit {
        InheritEnv::All => true,
        InheritEnv::Only(names) => names.as_slice().iter().any(|name| name.value() == "PWD"),
    }
}

/// The working directory as an absolute path without `..`, which shells then keep as their `PWD`; `None`: navigator's own has
/// no path.
fn absolute_directory(working_dir: Option<&Text>) -> Option<PathBuf> {
    let path = std::path::absolute(working_dir.map_or(".", Text::value)).ok()?;
    let goes_up = path.components().any(|component| component == Component::ParentDir);
    // A directory that is missing is reported by the child.
    if goes_up { std::fs::canonicalize(path).ok() } else { Some(path) }
}

/// The files that a command may mean: itself if it has a slash, otherwise one in each directory of the program's own `PATH`.
/// All are relative to the child's working directory, as in a shell there.
fn candidates(exec: &Exec, environment: &ProgramEnvironment<'_, '_>) -> Result<(Vec<CString>, Option<String>), Refusal> {
    let command = exec.command.value();
    if command.contains('/') {
        return Ok((vec![c_string(&exec.command, "command")?], None));
    }
    let path = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    let shown = exec.env.get("PATH").map_or_else(|| path.display().to_string(), |text| text.shown().to_owned());
    if command.is_empty() {
        return Err(Refusal::CommandNotFound { command: String::new(), path: shown });
    }
    let in_directory = |directory: &[u8]| {
        // An empty entry means the current directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        CString::new([directory, b"/", command.as_bytes()].concat()).map_err(|_| nul_byte("command"))
    };
    let files = path.as_bytes().split(|&byte| byte == b':').map(in_directory).collect::<Result<_, _>>()?;
    Ok((files, Some(shown)))
}

/// The limits to set, by name: those of the definition over the original value of the one that navigator raised for itself.
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

/// The number of a limit, by its name in `limits.conf(5)`, or in `getrlimit(2)`.
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

/// What one child at a time needs, reused for the next.
pub(super) struct SpawnSlot {
    maker: ChildMaker,
    stdio: ChildStdio,
}

impl SpawnSlot {
    /// # Errors
    /// No memory, no descriptor, or no `/dev/null`.
    pub(super) fn new(place: Arc<StartPlace>) -> io::Result<SpawnSlot> {
        Ok(SpawnSlot { maker: ChildMaker::new(place)?, stdio: ChildStdio::new()? })
    }
}

/// Prepares the child's output. Returns our ends of its pipes, or `None` if navigator doesn't read it.
fn prepare(
    stdio: &mut ChildStdio,
    output: &Output,
    extras: &SpawnExtras,
    identity: &Identity,
) -> Result<Option<[OwnedFd; 2]>, Errno> {
    match (output, &extras.output) {
        (_, Some(target)) => {
            let errors = extras.errors.as_ref().unwrap_or(target);
            identity.own(target)?;
            identity.own(errors)?;
            stdio.place(target, errors).map(|()| None)
        }
        (Output::Null, None) if extras.log_matcher.is_none() => Ok(None),
        (Output::Null | Output::Log | Output::Files(_), None) => {
            let (our_out, child_out) = pipes::lasting()?;
            let (our_err, child_err) = pipes::lasting()?;
            // The pipes belong to the process's user, so that it may open `/dev/stdout`.
            identity.own(&child_out)?;
            identity.own(&child_err)?;
            stdio.place(child_out, child_err)?;
            Ok(Some([our_out, our_err]))
        }
    }
}

fn of_descriptors(error: Errno) -> Refusal {
    refusal::of_descriptors(error.raw_os_error())
}

fn c_string(text: &Text, place: &str) -> Result<CString, Refusal> {
    CString::new(text.value()).map_err(|_| nul_byte(place))
}

fn nul_byte(place: &str) -> Refusal {
    Refusal::Failed { stage: format!("preparing `{place}`"), error: "it holds a NUL byte".to_owned() }
}
