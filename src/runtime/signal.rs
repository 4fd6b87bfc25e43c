//! Signals by number: the core speaks of names, the kernel of numbers, and real-time numbers differ between C libraries.

use reconcile::spec::Signal;

/// Names and numbers of this system, real-time signals aside.
const NAMED: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Names of the real-time signals, counted from the first one.
const REAL_TIME: [&str; 31] = [
    "RTMIN", "RTMIN+1", "RTMIN+2", "RTMIN+3", "RTMIN+4", "RTMIN+5", "RTMIN+6", "RTMIN+7", "RTMIN+8", "RTMIN+9", "RTMIN+10",
    "RTMIN+11", "RTMIN+12", "RTMIN+13", "RTMIN+14", "RTMIN+15", "RTMIN+16", "RTMIN+17", "RTMIN+18", "RTMIN+19", "RTMIN+20",
    "RTMIN+21", "RTMIN+22", "RTMIN+23", "RTMIN+24", "RTMIN+25", "RTMIN+26", "RTMIN+27", "RTMIN+28", "RTMIN+29", "RTMIN+30",
];

/// The number of a signal; `None` if this system has none of this name.
pub(super) fn number(signal: Signal) -> Option<i32> {
    let named = NAMED.iter().find(|(name, _)| *name == signal.0).map(|&(_, number)| number);
    let first = libc::SIGRTMIN();
    let mut real_time = REAL_TIME.iter().zip(first..=libc::SIGRTMAX());
    named.or_else(|| real_time.find(|(name, _)| **name == signal.0).map(|(_, number)| number))
}

/// The signal of a number. A number without a name (the C library keeps a few for itself) is `unknown`.
pub(super) fn named(number: i32) -> Signal {
    let name = NAMED.iter().find(|&&(_, other)| other == number).map(|&(name, _)| name);
    let place = usize::try_from(number - libc::SIGRTMIN()).ok();
    Signal(name.or_else(|| REAL_TIME.get(place?).copied()).unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_itself() {
        for name in NAMED.iter().map(|&(name, _)| name).chain(REAL_TIME) {
            let number = number(Signal(name)).unwrap_or_else(|| panic!("`{name}` has no number"));
            assert_eq!(named(number), Signal(name));
        }
        assert_eq!(number(Signal("NONSENSE")), None);
        assert_eq!(named(32), Signal("unknown"));
    }
}
