//! Names and numbers of the signals of this system.
//!
//! Sources: `signal(7)`; for real-time names `kill -l` (`RTMIN+n` for the lower half of the range, `RTMAX-n` for the upper).
//! Numbers come from the C library, which reserves the first real-time signals.

use reconcile::spec::Signal;

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
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Aliases.
const ALIASES: [(&str, i32); 4] = [("IOT", libc::SIGIOT), ("CLD", libc::SIGCHLD), ("IO", libc::SIGIO), ("UNUSED", libc::SIGSYS)];

const FROM_RTMIN: [&str; 16] = [
    "RTMIN", "RTMIN+1", "RTMIN+2", "RTMIN+3", "RTMIN+4", "RTMIN+5", "RTMIN+6", "RTMIN+7", "RTMIN+8", "RTMIN+9", "RTMIN+10",
    "RTMIN+11", "RTMIN+12", "RTMIN+13", "RTMIN+14", "RTMIN+15",
];

const FROM_RTMAX: [&str; 16] = [
    "RTMAX", "RTMAX-1", "RTMAX-2", "RTMAX-3", "RTMAX-4", "RTMAX-5", "RTMAX-6", "RTMAX-7", "RTMAX-8", "RTMAX-9", "RTMAX-10",
    "RTMAX-11", "RTMAX-12", "RTMAX-13", "RTMAX-14", "RTMAX-15",
];

/// The number of a signal on this system.
///
/// # Panics
/// If the signal is neither from [`parse`] or [`name`] nor a constant of [`Signal`].
pub fn number(signal: Signal) -> i32 {
    parse(signal.0).and_then(|name| number_of(name.0)).unwrap_or_else(|| panic!("`{signal}` is not a signal of this system"))
}

/// The signal with this number; `0` if there is none.
pub fn name(number: i32) -> Signal {
    by_number(number).unwrap_or(Signal("0"))
}

/// Parses a signal: its name with or without `SIG`, in any case, or its number.
pub fn parse(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        return by_number(number);
    }
    let upper = text.to_ascii_uppercase();
    number_of(upper.strip_prefix("SIG").unwrap_or(&upper)).and_then(by_number)
}

/// The names without the real-time ones, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|&(name, _)| name)
}

/// The signals that would end a program that doesn't handle them, except `KILL` and those of faults (`SEGV`, `ABRT` and the like).
pub fn deadly() -> impl Iterator<Item = i32> {
    const OTHERS: [i32; 16] = [
        // Faults of the program itself.
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGSYS,
        // Not to be handled, or for job control.
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        // Ignored by default.
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
    ];
    let named = NAMED.iter().map(|&(_, number)| number).filter(|number| !OTHERS.contains(number));
    named.chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

/// All names and aliases without the real-time ones.
pub fn spellings() -> impl Iterator<Item = &'static str> {
    names().chain(ALIASES.iter().map(|&(name, _)| name))
}

fn by_number(number: i32) -> Option<Signal> {
    let named = NAMED.iter().find(|&&(_, of)| of == number).map(|&(name, _)| name);
    let from = |names: &[&'static str; 16], distance: i32| usize::try_from(distance).ok().and_then(|at| names.get(at).copied());
    let (min, max) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    named
        .or_else(|| {
            (min..=max).contains(&number).then(|| from(&FROM_RTMIN, number - min).or_else(|| from(&FROM_RTMAX, max - number)))?
        })
        .map(Signal)
}

fn number_of(name: &str) -> Option<i32> {
    if let Some(&(_, number)) = NAMED.iter().chain(&ALIASES).find(|&&(known, _)| known == name) {
        return Some(number);
    }
    let distance = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i32>().ok(),
        None if rest.is_empty() => Some(0),
        _ => None,
    };
    let (min, max) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => min.checked_add(distance(rest, '+')?)?,
        (_, Some(rest)) => max.checked_sub(distance(rest, '-')?)?,
        _ => return None,
    };
    (min..=max).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name_that_maps_back() {
        for number_under_test in (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
            let signal = name(number_under_test);
            assert_ne!(signal.0, "0", "{number_under_test}");
            assert_eq!(number(signal), number_under_test);
        }
    }

    #[test]
    fn names_are_parsed_in_all_spellings() {
        for text in ["TERM", "SIGTERM", "sigterm", "Term", "15"] {
            assert_eq!(parse(text), Some(Signal::TERM), "{text}");
        }
        assert_eq!(parse("RTMIN+3").map(number), Some(libc::SIGRTMIN() + 3));
        assert_eq!(parse("SIGRTMAX-2").map(number), Some(libc::SIGRTMAX() - 2));
        assert_eq!(parse("RTMIN+30"), parse("RTMAX"));
        for text in ["", "SIG", "TREM", "0", "99", "-15", "RTMIN+31", "RTMIN-1", "RTMIN++1", "RTMIN+"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
