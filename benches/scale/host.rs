//! A contender that runs: its own processes, what they take, and its end.

use crate::contender::Contender;
use crate::figures::milliseconds;
use crate::journal::now;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, wait, waitid};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// A contender that runs.
pub(crate) struct Host {
    contender: Contender,
    directory: PathBuf,
    own: Child,
    has_ended: bool,
    program: PathBuf,
    /// When it was started, in milliseconds on the clock of the journal.
    pub(crate) begun: f64,
}

/// What a contender has taken since it was started, without the processes that it keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// How often a thread of it began to run.
    pub(crate) wakes: u64,
    /// Processor time, in milliseconds.
    pub(crate) processor: f64,
}

/// What a contender holds, without the processes that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Proportional set size, in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

/// The end of a contender's first process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// When, in milliseconds on the clock of the journal.
    pub(crate) at: f64,
    /// Its processor time, in milliseconds.
    pub(crate) spent: f64,
}

impl Host {
    #[expect(clippy::disallowed_methods, reason = "the ban on starting programs protects navigator's own reaper; this has none")]
    pub(crate) fn start(contender: Contender, directory: PathBuf, mut command: Command, program: PathBuf) -> Host {
        let begun = now();
        let own = command.spawn().expect("it runs");
        Host { contender, directory, own, has_ended: false, program, begun }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The contender's processes: itself, and whatever it has running beside the children.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.own.id()];
        let mut next = 0;
        while next < family.len() {
            let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", family[next])).unwrap_or_default();
            let children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            family.extend(children.filter(|pid| !self.is_child(*pid)));
            next += 1;
        }
        family
    }

    fn is_child(&self, pid: u32) -> bool {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == self.program)
    }

    pub(crate) fn taken(&self) -> Taken {
        let mut taken = Taken { wakes: 0, processor: 0.0 };
        for thread in self.family().into_iter().flat_map(threads) {
            let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
            let switches = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
            taken.wakes += switches.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
            taken.processor += processor_of_thread(&thread);
        }
        taken
    }

    pub(crate) fn held(&self) -> Held {
        let mut held = Held { memory: 0, descriptors: 0, threads: 0 };
        for pid in self.family() {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
            held.memory += 1024 * pss.and_then(|pss| pss.trim().parse::<u64>().ok()).unwrap_or(0);
            held.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            held.threads += threads(pid).count();
        }
        held
    }

    /// Processor time of the contender's first process, with all threads that it ever had, in milliseconds; the kernel tells it in
    /// ticks of ten.
    pub(crate) fn spent(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.own.id())).expect("it isn't reaped");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name in parentheses").1.split(' ').collect();
        // Fields 14 and 15 of `proc_pid_stat(5)`, counted from 3 here.
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
        milliseconds(Duration::from_millis(1000 * ticks / rustix::param::clock_ticks_per_second()))
    }

    /// Tells it to end with everything that it keeps, and waits until nothing is left. Answers when it itself had ended.
    pub(crate) fn stop(self) -> f64 {
        self.stop_and_count().at
    }

    /// The same; answers also what it had spent by then.
    pub(crate) fn stop_and_count(mut self) -> Ended {
        self.end()
    }

    fn end(&mut self) -> Ended {
        let signal = if self.contender == Contender::Runit { Signal::HUP } else { Signal::TERM };
        signal_process(self.own.id().cast_signed(), signal);
        wait_for_end(&self.own);
        let ended = Ended { at: now(), spent: self.spent() };
        self.own.wait().expect("it is ours");
        self.has_ended = true;
        // Whatever it has not waited for itself has been handed to us.
        while !matches!(wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
        ended
    }
}

impl Drop for Host {
    /// A bench that fails leaves nothing behind.
    fn drop(&mut self) {
        if !self.has_ended {
            self.end();
        }
    }
}

/// The directories of a process's threads.
fn threads(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path()))
}

/// The processor time of a thread, or of a process that has only ever had one, in milliseconds.
pub(crate) fn processor_of_thread(directory: &Path) -> f64 {
    let spent = fs::read_to_string(directory.join("schedstat")).unwrap_or_default();
    let nanoseconds = spent.split(' ').next().and_then(|spent| spent.parse().ok());
    milliseconds(Duration::from_nanos(nanoseconds.expect("the kernel counts them")))
}

/// Waits for the end of a child and leaves it to be reaped: the kernel keeps its account until then.
pub(crate) fn wait_for_end(child: &Child) {
    waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is ours");
}

/// Sends a signal to a process of the bench's own.
#[expect(
    clippy::disallowed_methods,
    reason = "only what the bench measures ends here, and nobody else gets its number meanwhile"
)]
pub(crate) fn signal_process(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a number"), signal).expect("it runs");
}
