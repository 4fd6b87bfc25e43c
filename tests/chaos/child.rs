//! The process that the chaos test lets navigator run: it journals its own life, and misbehaves as it is told.
//!
//! `chaos-child NAME NUMBER DOINGS [LEADER]`: DOINGS are words with commas between them.
//!
//! ```text
//! -                nothing special: a `TERM` ends it
//! ignore           it takes no notice of TERM
//! linger=MS        it takes this long between TERM and its end
//! end=MS:CODE      it ends by itself, this long after its start
//! child, session, daemon   another process below it: of its session, of one of its own, or forked twice as well
//! child!, …        the same, and that one ignores TERM
//! ```
//!
//! Each record is one line of the file `$JOURNAL`, appended in one write: `NANOSECONDS PID NAME VERSION LEADER WORD`, by the
//! monotonic clock. The version is the number it was given with the variable `$COLOUR` behind it. Words are `start`, the name
//! of each signal as it comes, and `end CODE`. KILL leaves no record; so whoever may be killed soon (it was told to end, or its
//! leader has ended) says `alive` over and over, and is known to have lived at least until then.
#![expect(clippy::disallowed_methods, reason = "its children are its own affair: this is what navigator has to cope with")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open, setsid};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How often somebody who may be killed soon says that it lives.
const PULSE: Duration = Duration::from_millis(10);

/// What it was told to be.
#[derive(Debug, Default)]
struct Part {
    name: String,
    number: String,
    ignores: bool,
    lingers: Duration,
    ends: Option<(Duration, u8)>,
    below: Vec<String>,
    /// It is to have a session of its own.
    detaches: bool,
    /// It is to start the real process, and end.
    leaves: bool,
    leader: Option<u32>,
}

fn main() -> ExitCode {
    let part = match parse(std::env::args().skip(1)) {
        Ok(part) => part,
        Err(problem) => return complain(&problem),
    };
    if part.detaches
        && let Err(error) = setsid()
    {
        return complain(&error.to_string());
    }
    if part.leaves {
        let started = another(&part, if part.ignores { "ignore" } else { "-" }, part.leader.unwrap_or_default()).spawn();
        return started.map_or_else(|error| complain(&error.to_string()), |_| ExitCode::SUCCESS);
    }
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match tokio.and_then(|tokio| tokio.block_on(live(&part))) {
        Ok(code) => code.into(),
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(problem: &str) -> ExitCode {
    // The only thing that can be done about an error while complaining is to end, which comes next.
    drop(writeln!(io::stderr(), "chaos-child: {problem}"));
    ExitCode::from(111)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Part, String> {
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("no {what}; it takes NAME NUMBER DOINGS [LEADER]"));
    let mut part = Part { name: next("name")?, number: next("number")?, ..Part::default() };
    for word in next("doings")?.split(',') {
        match word.split_once('=').unwrap_or((word, "")) {
            ("-", _) => {}
            ("ignore", _) => part.ignores = true,
            ("linger", time) => part.lingers = millis(time)?,
            ("end", end) => {
                let (time, code) = end.split_once(':').ok_or_else(|| format!("`{end}` is no MS:CODE"))?;
                part.ends = Some((millis(time)?, code.parse().map_err(|_| format!("`{code}` is no exit code"))?));
            }
            ("child" | "child!" | "session" | "session!" | "daemon" | "daemon!", _) => part.below.push(word.to_owned()),
            // What it says to those below it, and nobody else does.
            ("detach", _) => part.detaches = true,
            ("leave", _) => part.leaves = true,
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    if let Some(leader) = arguments.next() {
        part.leader = Some(leader.parse().map_err(|_| format!("`{leader}` is no process"))?);
    }
    Ok(part)
}

fn millis(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| format!("`{text}` is no number of milliseconds"))
}

fn another(part: &Part, doings: &str, leader: u32) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([&part.name, &part.number, doings, &leader.to_string()]);
    command
}

async fn live(part: &Part) -> io::Result<u8> {
    let mut journal = Journal::open(part)?;
    // Before anybody can know of it: a signal that is sent to what has said `start` is never lost.
    let mut signals = Signals::listen()?;
    journal.write("start")?;
    for below in &part.below {
        start_below(part, below)?;
    }
    let born = Instant::now();
    let mut end = part.ends.map(|(after, code)| (born + after, code));
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let leader = part.leader.map(hold);
    let mut is_told = false;
    loop {
        tokio::select! {
            name = signals.next() => {
                journal.write(name)?;
                if name != "CONT" {
                    is_told = true;
                    if !part.ignores {
                        end = Some((Instant::now() + part.lingers, 0));
                    }
                }
            }
            _ = pulse.tick(), if is_told || leader.is_some() => {
                if is_told || leader.as_ref().is_some_and(|leader| has_ended(leader.as_ref())) {
                    journal.write("alive")?;
                }
            }
            () = sleep_until(end.map_or(born, |(at, _)| at)), if end.is_some() => {
                let code = end.map_or(0, |(_, code)| code);
                journal.write(&format!("end {code}"))?;
                return Ok(code);
            }
        }
    }
}

fn start_below(part: &Part, below: &str) -> io::Result<()> {
    let ignores = if below.ends_with('!') { ",ignore" } else { "" };
    let me = std::process::id();
    match below.trim_end_matches('!') {
        "session" => another(part, &format!("detach{ignores}"), me).spawn().map(drop),
        // Twice forked: the one in the middle is waited for, the one below it belongs to nobody then.
        "daemon" => another(part, &format!("detach,leave{ignores}"), me).status().map(drop),
        _ => another(part, &format!("-{ignores}"), me).spawn().map(drop),
    }
}

/// Whether the leader of the tree has ended. What holds it is opened while it lives, so that its number can't mislead.
fn has_ended(leader: Option<&OwnedFd>) -> bool {
    let Some(held) = leader else { return true };
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pidfd is readable once its process has ended.
    !matches!(poll(&mut [PollFd::new(held, PollFlags::IN)], Some(&at_once)), Ok(0))
}

fn hold(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()
}

/// Every signal that might be sent, and that can be caught.
struct Signals([Signal; 6]);

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals([
            signal(SignalKind::terminate())?,
            signal(SignalKind::from_raw(18))?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::user_defined1())?,
        ]))
    }

    async fn next(&mut self) -> &'static str {
        let [terminate, proceed, hangup, interrupt, quit, user] = &mut self.0;
        tokio::select! {
            biased;
            _ = terminate.recv() => "TERM",
            _ = proceed.recv() => "CONT",
            _ = hangup.recv() => "HUP",
            _ = interrupt.recv() => "INT",
            _ = quit.recv() => "QUIT",
            _ = user.recv() => "USR1",
        }
    }
}

struct Journal {
    file: File,
    rest: String,
}

impl Journal {
    fn open(part: &Part) -> io::Result<Journal> {
        let path = std::env::var_os("JOURNAL").ok_or_else(|| io::Error::other("`JOURNAL` is not set"))?;
        let colour = std::env::var("COLOUR").unwrap_or_default();
        let me = std::process::id();
        let rest = format!("{me} {} {}{colour} {}", part.name, part.number, part.leader.unwrap_or(me));
        Ok(Journal { file: OpenOptions::new().append(true).create(true).open(path)?, rest })
    }

    fn write(&mut self, word: &str) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let line = format!("{}{:09} {} {word}\n", now.tv_sec, now.tv_nsec, self.rest);
        self.file.write_all(line.as_bytes())
    }
}
