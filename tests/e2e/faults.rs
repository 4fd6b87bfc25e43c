//! System calls that fail: each cell of a table makes one call of navigator's fail in one way, for a while. Navigator
//! then refuses to start and says why, or lives, says what is wrong, and is all that its file says when the fault ends.
//!
//! `strace` is the fault: it lets navigator's calls fail, and those of its children until they execute their program.
//! The fault ends when it is killed. Navigator has no keeper here, so it makes all these calls itself.
//! A cell counts only if a call was made to fail.

use crate::harness::{Ended, Navigator, Site, leftovers, report, servers};
use rustix::process::Signal;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many cells are tried at the same time. Most of their time is waiting.
const AT_ONCE: usize = 4;
/// As many have to be there at least.
const CELLS_WANTED: usize = 40;

/// What is to come of a fault.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Navigator doesn't start: its exit code, and a part of what it says.
    Refuses(i32, &'static str),
    /// It lives, and its log has this.
    Says(&'static str),
    /// It lives, and there is nothing to say: there is another way, or the call is tried again.
    Copes,
}

use Outcome::{Copes, Refuses, Says};

/// One fault.
#[derive(Debug)]
struct Cell {
    /// The system calls, as `strace` names them.
    calls: &'static str,
    error: &'static str,
    /// Which calls of each thread: `1`, `1..3`, `7+`; all, if empty.
    when: &'static str,
    /// Only calls on this file; in the site, if it's relative. All, if empty.
    on: &'static str,
    outcome: Outcome,
}

const fn cell(calls: &'static str, error: &'static str, when: &'static str, on: &'static str, outcome: Outcome) -> Cell {
    Cell { calls, error, when, on, outcome }
}

const OPEN: &str = "open,openat";
const MKDIR: &str = "mkdir,mkdirat";
const RENAME: &str = "rename,renameat,renameat2";
/// One of them is tried where the other fails.
const CLONE: &str = "clone,clone3";
const NO_PROCESSES: Outcome = Says("reason=\"host exhausted: no more processes or threads");
const NO_MEMORY: Outcome = Says("reason=\"host exhausted: no more memory\"");
const NO_FILES: Outcome = Says("reason=\"host exhausted: navigator may open no more files (see `ulimit -n`)\"");
const NO_FILES_ON_HOST: Outcome = Says("reason=\"host exhausted: no more open files on the whole host");

const CELLS: &[Cell] = &[
    // Before it runs.
    cell("rt_sigprocmask", "EINVAL", "1", "", Refuses(1, "failed to reset the signals")),
    cell("prctl", "EPERM", "1", "", Refuses(1, "become the subreaper of orphaned processes")),
    cell("prctl", "EINVAL", "1", "", Refuses(1, "become the subreaper of orphaned processes")),
    cell("epoll_create1", "EMFILE", "1", "", Refuses(1, "failed to listen for signals: navigator may open no more files")),
    cell("eventfd2", "ENFILE", "1", "", Refuses(1, "failed to listen for signals: no more open files on the whole host")),
    cell("socketpair", "EMFILE", "1", "", Refuses(1, "failed to listen for signals: navigator may open no more files")),
    cell("epoll_ctl", "ENOMEM", "1", "", Refuses(1, "failed to listen for signals: no more memory")),
    cell("fcntl", "EMFILE", "1..4", "", Refuses(1, "failed to listen for signals: navigator may open no more files")),
    cell(OPEN, "EACCES", "1+", "conf/navigator.yml", Refuses(2, "navigator.yml")),
    cell(OPEN, "EIO", "1+", "conf/navigator.yml", Refuses(2, "navigator.yml")),
    cell(MKDIR, "EROFS", "1", "", Refuses(1, "failed to make state directory")),
    cell(MKDIR, "ENOSPC", "1", "", Refuses(1, "choose another with `--state-dir`")),
    cell(MKDIR, "EACCES", "1", "", Refuses(1, "choose another with `--state-dir`")),
    cell("clone3", "EAGAIN", "1", "", Refuses(1, "failed to start logging: no more processes or threads")),
    cell("clone3", "EAGAIN", "2", "", Refuses(1, "failed to open the journal: no more processes or threads")),
    cell("clone3", "EAGAIN", "3", "", Refuses(1, "failed to follow the configuration: no more processes or threads")),
    cell("clone3", "EAGAIN", "4", "", Refuses(1, "failed to start the threads of the runtime: no more processes or threads")),
    cell(
        OPEN,
        "EMFILE",
        "1",
        "/dev/null",
        Refuses(1, "failed to start the threads of the runtime: navigator may open no more files"),
    ),
    cell(
        OPEN,
        "ENFILE",
        "6",
        "/dev/null",
        Refuses(1, "failed to start the threads of the runtime: no more open files on the whole host"),
    ),
    cell(OPEN, "EACCES", "3", "/dev/null", Refuses(1, "failed to start the threads of the runtime: permission denied")),
    cell(
        "epoll_ctl",
        "ENOSPC",
        "3+",
        "",
        Refuses(1, "failed to watch for the end of processes that are no children: no space left"),
    ),
    cell("eventfd2", "EMFILE", "2", "", Refuses(1, "failed to start the threads of the runtime: navigator may open no more")),
    // What it does without.
    cell("clone3", "ENOSYS", "", "", Copes),
    cell("close_range", "ENOSYS", "", "", Copes),
    cell("close_range", "EPERM", "", "", Copes),
    cell("pidfd_open", "ENOSYS", "", "", Copes),
    cell("pidfd_open", "EPERM", "", "", Copes),
    cell("pidfd_open", "EMFILE", "", "", Copes),
    // A start, in navigator itself.
    // The first nine calls create navigator's own threads.
    cell(CLONE, "EAGAIN", "10+", "", NO_PROCESSES),
    cell(CLONE, "ENOMEM", "10+", "", NO_MEMORY),
    cell(
        CLONE,
        "EPERM",
        "10+",
        "",
        Says("Process not started name=again reason=\"creating a process: operation not permitted\""),
    ),
    cell("clone3", "EINVAL", "10+", "", Copes),
    cell("pipe2", "EMFILE", "1", "", NO_FILES),
    cell("pipe2", "EMFILE", "3", "", NO_FILES),
    cell("pipe2", "ENFILE", "7+", "", NO_FILES_ON_HOST),
    // A start, in the child.
    cell("setsid", "EPERM", "", "", Says("Process not started name=again reason=\"making a session: operation not permitted\"")),
    cell("dup3", "EMFILE", "1", "", NO_FILES),
    // In the child of every start, and once where the streams are put back.
    cell("dup3", "EMFILE", "3", "", Says("reason=\"setting up its standard streams: navigator may open no more files")),
    cell(
        "prlimit64",
        "EPERM",
        "1",
        "",
        Says("reason=\"setting limits.nofile: operation not permitted; only root may exceed the hard limit"),
    ),
    cell("execve", "EAGAIN", "", "/bin/sh", NO_PROCESSES),
    cell("execve", "ENOMEM", "", "/bin/sh", NO_MEMORY),
    cell("execve", "EIO", "", "/bin/sh", Says("reason=\"executing `/bin/sh`: input/output error\"")),
    cell("execve", "EPERM", "", "/bin/sh", Says("reason=\"executing `/bin/sh`: operation not permitted\"")),
    cell("execve", "ETXTBSY", "", "/bin/sh", Says("reason=\"text file busy: `/bin/sh`")),
    // Waiting and signals.
    cell("waitid", "EINTR", "3..6", "", Says("Failed to wait for child processes")),
    cell("waitid", "ENOMEM", "7+", "", Says("Failed to wait for child processes")),
    // Two ask whether the child of the one that leaves, and that one itself, are still there.
    cell("pidfd_send_signal", "EPERM", "3", "", Says("Signal refused")),
    // Reading what processes write, and writing it.
    cell("epoll_ctl", "ENOMEM", "9+", "", Says("Output can't be watched; polling it instead")),
    cell("epoll_ctl", "ENOSPC", "9+", "", Says("Output can't be watched; polling it instead")),
    cell(OPEN, "EACCES", "", "conf/own.log", Says("Output can't be written")),
    cell(OPEN, "EROFS", "", "conf/own.log", Says("reason=\"read-only file system\"")),
    cell(OPEN, "EIO", "1..3", "conf/own.log", Says("reason=\"input/output error\"")),
    cell(OPEN, "EMFILE", "3..9", "conf/own.log", Says("reason=\"navigator may open no more files (see `ulimit -n`)\"")),
    cell("write", "ENOSPC", "", "conf/own.log", Says("reason=\"no space left on device\"")),
    cell("write", "EIO", "3", "conf/own.log", Says("Output can't be written")),
    cell("write", "EDQUOT", "7+", "conf/own.log", Says("Output can't be written")),
    cell("write", "EINTR", "1..5", "conf/own.log", Copes),
    cell(RENAME, "EROFS", "", "", Says("Output can't be rotated")),
    cell(RENAME, "EIO", "1", "", Says("Output can't be rotated")),
    cell(RENAME, "ENOSPC", "3", "", Says("Output can't be rotated")),
    // Following the file.
    cell("inotify_init1", "EMFILE", "", "", Says("Files can't be watched by events")),
    cell("inotify_init1", "ENOSYS", "", "", Says("Files can't be watched by events")),
    cell("inotify_add_watch", "ENOSPC", "", "", Says("Files can't be watched by events")),
    cell("inotify_add_watch", "ENOMEM", "", "", Says("Files can't be watched by events")),
];

/// One that stays, one that writes a file of its own, and one that is started again and again.
const PROCESSES: &str = r#"
defaults: { depends_on: [], restart: always, backoff: { initial: 20ms, max: 100ms }, stop: { timeout: 500ms } }
managed_processes:
  - { name: steady, command: /bin/sh, args: [-c, 'echo steady >>"$JOURNAL"; echo up; exec sleep 3600'] }
  - { name: again, command: /bin/sh, args: [-c, 'echo again >>"$JOURNAL"; sleep 0.02'] }
  - name: own
    command: /bin/sh
    args: [-c, 'i=0; while :; do i=$((i+1)); echo "$i own lines"; echo own >>"$JOURNAL"; sleep 0.02; done']
    output: { file: own.log, max_size: 200, keep: 2 }
"#;

/// It has a child, so that somebody has to be held who is no child of navigator's.
const LEAVING: &str = "  - { name: leaving, command: /bin/sh, args: [-c, 'sleep 3600 & wait'] }\n";
const LATE: &str = "  - { name: late, command: /bin/sh, args: [-c, 'echo late >>\"$JOURNAL\"; exec sleep 3600'] }\n";

impl Cell {
    fn describe(&self) -> String {
        let on = if self.on.is_empty() { String::new() } else { format!(" on {}", self.on) };
        let when = if self.when.is_empty() { "1+" } else { self.when };
        format!("{:17} {:7} {when:5}{on}", self.calls, self.error)
    }

    /// What `strace` is told.
    fn arguments(&self, site: &Site) -> Vec<String> {
        let when = if self.when.is_empty() { String::new() } else { format!(":when={}", self.when) };
        // As a grandchild, so that navigator keeps its number; and away from children that execute their program. What it
        // writes lies where navigator doesn't watch.
        let mut arguments: Vec<String> = ["-D", "-f", "-b", "execve", "-qq", "-o"].map(str::to_owned).into();
        arguments.push(site.path("trace/calls").display().to_string());
        if !self.on.is_empty() {
            // By the names that navigator uses, from its own directory and from a held one, and by the one that the kernel has.
            let names = [self.on.to_owned(), site.path(self.on).display().to_string(), self.on.replace("conf/", "")];
            for path in names {
                arguments.extend(["-P".to_owned(), path]);
            }
        }
        let inject = format!("inject={}:error={}{when}", self.calls, self.error);
        arguments.extend(["-e".to_owned(), format!("trace={}", self.calls), "-e".to_owned(), inject]);
        arguments
    }

    /// Starts navigator with this fault.
    fn start<'s>(&self, site: &'s Site, configuration: &str) -> Navigator<'s> {
        fs::create_dir(site.path("trace")).expect("it is ours");
        site.write("conf/navigator.yml", configuration);
        let arguments = self.arguments(site);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        site.command_through("strace", &arguments, &["conf/navigator.yml", "--no-keeper"]).start()
    }

    /// Tries it.
    ///
    /// # Panics
    /// If something else comes of it.
    fn try_out(&self) {
        let site = Site::new();
        let navigator = self.start(&site, &format!("{PROCESSES}{LEAVING}"));
        match self.outcome {
            Refuses(code, text) => refuses(&site, &navigator.ended(), code, text),
            Says(text) => lives(&site, navigator, text),
            Copes => lives(&site, navigator, ""),
        }
    }
}

#[track_caller]
fn refuses(site: &Site, ended: &Ended, code: i32, text: &str) {
    assert!(was_injected(site), "no call was made to fail\n{}", ended.description);
    assert_eq!(ended.code, Some(code), "{}", ended.description);
    assert!(ended.stderr().contains(text), "`{text}` is expected\n{}", ended.description);
}

#[track_caller]
fn lives(site: &Site, mut navigator: Navigator<'_>, text: &str) {
    navigator.wait("the configuration", |event| event.message == "Configuration loaded");
    navigator.log().until("a call that fails, or the child of what is to leave", || {
        let sleeps = navigator.command_lines_below().iter().filter(|line| line.ends_with("sleep 3600")).count();
        (was_injected(site) || sleeps > 1).then_some(())
    });
    site.write("conf/navigator.yml", &format!("{PROCESSES}{LATE}"));
    navigator.log().until(&format!("a call that fails, and `{text}` in the log"), || {
        let says = |line: &crate::harness::log::Line| line.text().contains(text);
        (was_injected(site) && navigator.log().lines().iter().any(says)).then_some(())
    });
    // Where another fault kept it from being told to stop, that it is gone is news only when the fault is over.
    end_fault(&navigator);
    let runs = || site.journal().iter().filter(|line| *line == "again").count();
    let before = runs();
    navigator.log().until("two more runs of `again`", || (runs() > before + 1).then_some(()));
    for name in ["steady", "again", "own", "late"] {
        navigator.journals(name);
    }
    navigator.log().until("the end of what is no longer in the file", || {
        (!navigator.command_lines_below().iter().any(|line| line.ends_with(" sleep 3600") && line.contains("leaving"))
            && navigator
                .events()
                .iter()
                .any(|event| event.is("Process stopped", "leaving") || event.is("Process failed", "leaving")))
        .then_some(())
    });
    navigator.says("steady", |line| line == "up");
    navigator.log().until("lines in the file", || (!site.read("conf/own.log").is_empty()).then_some(()));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

fn was_injected(site: &Site) -> bool {
    site.read("trace/calls").contains("(INJECTED)")
}

/// Kills the tracer, and only then navigator's calls are its own again.
pub(crate) fn end_fault(navigator: &Navigator<'_>) {
    let tracer = u32::try_from(navigator.status("TracerPid")).expect("a number of a process");
    if let Some(tracer) = leftovers::process(tracer) {
        leftovers::send(&tracer, Signal::KILL);
        navigator.log().until("the end of the fault", || (!leftovers::is_alive(&tracer)).then_some(()));
    }
}

/// Whether faults can be made here. If they can't, the test is skipped.
pub(crate) fn is_possible(test: &str) -> bool {
    let probe =
        ["strace", "-D", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", "inject=setsid:error=EPERM:when=1..2", "true"];
    servers::present(test, &["strace"]) && servers::permitted(test, &probe)
}

/// At rest but for one process, nothing else makes navigator look at its children again.
#[test]
fn an_end_that_can_not_be_asked_for_is_asked_for_again() {
    if !is_possible("faults::an_end_that_can_not_be_asked_for_is_asked_for_again") {
        return;
    }
    let site = Site::new();
    let mut navigator = cell("waitid", "EINTR", "20..60", "", Copes).start(&site, PROCESSES);
    navigator.log().until("many runs", || (site.journal().iter().filter(|line| *line == "again").count() > 40).then_some(()));
    assert!(was_injected(&site));
    end_fault(&navigator);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn whatever_call_fails_navigator_says_so_and_goes_on_when_it_is_over() {
    if !is_possible("faults::whatever_call_fails_navigator_says_so_and_goes_on_when_it_is_over") {
        return;
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let try_cells = || {
        while let Some(cell) = CELLS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = catch_unwind(AssertUnwindSafe(|| cell.try_out()));
            report(&format!("{} {} → {:?}", if outcome.is_ok() { "ok  " } else { "FAIL" }, cell.describe(), cell.outcome));
            if outcome.is_err() {
                failed.lock().expect("nobody panics here").push(cell.describe());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(try_cells);
        }
    });
    let failed = failed.into_inner().expect("nobody panics here");
    assert!(failed.is_empty(), "{} of {} cells failed:\n{}", failed.len(), CELLS.len(), failed.join("\n"));
    assert!(CELLS.len() >= CELLS_WANTED);
}
