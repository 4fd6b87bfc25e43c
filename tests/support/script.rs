//! The notation of scenario fixtures, read: a line becomes a [`Command`]. It runs nothing.
//!
//! `fixtures/README.md` describes the notation for those who write it.

use super::process;
use reconcile::desired::Desired;
use reconcile::event::{ExitStatus, Order, RunId};
use reconcile::spec::{Signal, Spec};
use reconcile::text::Name;
use reconcile::time::Time;
use std::time::Duration;

/// One command of a script.
pub(crate) enum Command {
    /// `at TIME: COMMAND`
    At(Time, Box<Command>),
    /// `until TIME`
    Until(Time),
    /// `until quiet`
    UntilQuiet,
    /// `shutdown timeout SPAN`, for what is wanted from here on
    ShutdownTimeout(Duration),
    /// `want PROCESS, …`
    Want(Vec<Spec>),
    /// `stop NAME by hand` and the like
    Order(Order),
    /// `status`
    Status,
    /// Something happens to the newest run of a process, or to the one that is named.
    Happens(Run, Happening),
    /// A file that may be watched has another content, or the one that it had at first.
    File(String, Written),
    /// From now on, every run of a process behaves like this.
    Habit(Name, Habit),
    /// `all goes well`: from now on, no process has a habit.
    AllGoesWell,
}

/// A run as a script names it: `web` is the newest one, `web#3` that very one, whether or not it is still there.
pub(crate) enum Run {
    /// The newest of a process.
    Newest(Name),
    /// By its number.
    Number(RunId),
}

/// What happens to a run.
pub(crate) enum Happening {
    /// Its program runs.
    Starts,
    /// Its probe passes.
    Ready,
    /// Its probe doesn't pass.
    Unready,
    /// Its liveness probe has failed as often as is allowed.
    Unhealthy,
    /// Its leader ends.
    Ends(ExitStatus),
    /// Nothing of it is left.
    Gone,
}

/// What a file contains from now on.
#[derive(Clone, Copy)]
pub(crate) enum Written {
    /// What it never contained before.
    Something,
    /// What it contained at first.
    AtFirst,
}

/// How the runs of a process behave, where that isn't as the ideal would have it.
pub(crate) enum Habit {
    /// Its starts fail.
    FailsToStart,
    /// Its starts succeed.
    Starts,
    /// A start takes this long; `None`: the script says when it is done.
    StartTakes(Option<Duration>),
    /// It gets ready this long after its start; `None`: the script says when.
    ReadyTakes(Option<Duration>),
    /// Its probe fails and passes in turns, each for this long.
    Flaps(Duration),
    /// It can't be told to read its files again.
    Unreloadable,
    /// Each run ends by itself after this long.
    EndsAfter(Duration, ExitStatus),
    /// Runs go on until they are stopped.
    LivesOn,
    /// It does or doesn't go when it is told to stop.
    Ignores(bool),
    /// It takes this long to finish its work; `None`: it isn't told.
    DrainTakes(Option<Duration>),
    /// It does or doesn't finish its work when it is told to.
    IgnoresDrain(bool),
    /// Its sockets can or can't be had.
    GetsSockets(bool),
    /// It goes this long after it is told to stop.
    StopTakes(Duration),
    /// It can't be killed.
    SurvivesKill,
    /// When its leader ends, other processes are left.
    LeavesChildren,
}

/// Reads a line of a script; the error says what is wrong with it.
pub(crate) fn command(line: &str) -> Result<Command, String> {
    if let Some(rest) = line.strip_prefix("at ") {
        let (time, rest) = rest.split_once(": ").ok_or("write `at TIME: COMMAND`")?;
        return Ok(Command::At(Time::after_epoch(span(time)?), Box::new(command(rest)?)));
    }
    if let Some(list) = line.strip_prefix("want ") {
        return Ok(Command::Want(process::list(list)?));
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match *words.as_slice() {
        ["until", "quiet"] => Command::UntilQuiet,
        ["until", time] => Command::Until(Time::after_epoch(span(time)?)),
        ["shutdown", "timeout", timeout] => Command::ShutdownTimeout(span(timeout)?),
        ["status"] => Command::Status,
        ["start", name, "by", "hand"] => Command::Order(Order::Start(name.into())),
        ["stop", name, "by", "hand"] => Command::Order(Order::Stop(name.into())),
        ["restart", name, "by", "hand"] => Command::Order(Order::Restart(name.into())),
        ["restart", name, "by", "hand", "at", "once"] => Command::Order(Order::RestartStopFirst(name.into())),
        ["try", "again"] => Command::Order(Order::Retry),
        ["shut", "down"] => Command::Order(Order::Shutdown),
        ["all", "goes", "well"] => Command::AllGoesWell,
        ["file", path, "changes"] => Command::File(path.into(), Written::Something),
        ["file", path, "changes", "back"] => Command::File(path.into(), Written::AtFirst),
        ["hurry"] => Command::Order(Order::Hurry),
        ["each", name, ref rest @ ..] => Command::Habit(name.into(), each(rest)?),
        [name, ref rest @ ..] => {
            if let Some(habit) = habit(rest)? {
                Command::Habit(name.into(), habit)
            } else {
                Command::Happens(run(name)?, happening(rest)?)
            }
        }
        [] => return Err("an empty line is no command".into()),
    })
}

fn run(name: &str) -> Result<Run, String> {
    let Some((_, number)) = name.split_once('#') else { return Ok(Run::Newest(name.into())) };
    number.parse().map(|number| Run::Number(RunId(number))).map_err(|error| format!("`{name}`: {error}"))
}

fn happening(words: &[&str]) -> Result<Happening, String> {
    Ok(match *words {
        ["starts"] => Happening::Starts,
        ["is", "ready"] => Happening::Ready,
        ["is", "unready"] => Happening::Unready,
        ["becomes", "unhealthy"] => Happening::Unhealthy,
        ["is", "gone"] => Happening::Gone,
        ["exits", ..] | ["is", "killed", ..] => Happening::Ends(status(words)?),
        _ => return Err(format!("nothing that happens reads like `{}`", words.join(" "))),
    })
}

fn each(words: &[&str]) -> Result<Habit, String> {
    match words.split_last_chunk() {
        _ if words == ["lives", "on"] => Ok(Habit::LivesOn),
        Some((end, ["after", time])) => Ok(Habit::EndsAfter(span(time)?, status(end)?)),
        _ => Err("write `each NAME exits STATUS after SPAN` or `each NAME lives on`".into()),
    }
}

fn habit(words: &[&str]) -> Result<Option<Habit>, String> {
    Ok(Some(match *words {
        ["fails", "to", "start"] => Habit::FailsToStart,
        ["can", "start"] => Habit::Starts,
        ["takes", "forever", "to", "start"] => Habit::StartTakes(None),
        ["takes", time, "to", "start"] => Habit::StartTakes(Some(span(time)?)),
        ["takes", "forever", "to", "get", "ready"] => Habit::ReadyTakes(None),
        ["takes", time, "to", "get", "ready"] => Habit::ReadyTakes(Some(span(time)?)),
        ["flaps", "every", time] => Habit::Flaps(span(time)?),
        ["can't", "be", "reloaded"] => Habit::Unreloadable,
        ["takes", time, "to", "stop"] => Habit::StopTakes(span(time)?),
        ["takes", time, "to", "drain"] => Habit::DrainTakes(Some(span(time)?)),
        ["can't", "be", "drained"] => Habit::DrainTakes(None),
        ["ignores", "QUIT"] => Habit::IgnoresDrain(true),
        ["can't", "have", "its", "sockets"] => Habit::GetsSockets(false),
        ["can", "have", "its", "sockets"] => Habit::GetsSockets(true),
        ["ignores", "TERM"] => Habit::Ignores(true),
        ["obeys", "TERM"] => Habit::Ignores(false),
        ["survives", "KILL"] => Habit::SurvivesKill,
        ["leaves", "children"] => Habit::LeavesChildren,
        _ => return Ok(None),
    }))
}

fn status(words: &[&str]) -> Result<ExitStatus, String> {
    match *words {
        ["exits", code] => code.parse().map(ExitStatus::Code).map_err(|error| format!("exit status `{code}`: {error}")),
        ["is", "killed", "by", "SEGV"] => Ok(ExitStatus::Signal(Signal("SEGV"))),
        ["is", "killed", "by", "KILL"] => Ok(ExitStatus::Signal(Signal::KILL)),
        _ => Err(format!("no end reads like `{}`; write `exits 1` or `is killed by SEGV`", words.join(" "))),
    }
}

/// A length of time: `250ms`, `2s`, `0.320s`, `2m`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write `250ms`, `2s`, `0.320s` or `2m`");
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let (number, unit) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale))).ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let millis = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?.as_secs_f64() * 1_000.0;
    // Times of scripts are whole milliseconds; binary fractions are not.
    Duration::try_from_secs_f64(millis.round() / 1_000.0).map_err(|_| wrong())
}

/// What is wanted by a list of processes.
pub(crate) fn desired(specs: Vec<Spec>, shutdown_timeout: Duration) -> Result<Desired, String> {
    Desired::new(specs, shutdown_timeout).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })
}
