//! What happened in one history: what was done to navigator, what it logged, and what its processes journaled, in one order.
//!
//! Who wrote an entry decides what its time is worth. A process journals the moment itself. A line of the log is dated when
//! it has been read, a moment *after* what it tells; the lines among themselves are in the order in which they were written.
//! What the harness does is dated just before it is done.

use crate::host::{Host, Name, Version};
use std::collections::BTreeMap;
use std::fmt;

/// What happened in one history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// What was saved, by number. The first stood there before navigator began.
    pub(crate) saves: Vec<Saved>,
    pub(crate) entries: Vec<Entry>,
}

/// What a save put in the file's place.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// `None`: what is no configuration.
    pub(crate) host: Option<Host>,
    /// Whether nothing else could be seen at any moment but what was there before, and this.
    pub(crate) is_atomic: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Microseconds of the monotonic clock.
    pub(crate) at: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A save begins.
    Saving(usize),
    /// A save is complete.
    Saved(usize),
    /// Everything is as this save says.
    Settled(usize),
    /// What was waited for didn't come about.
    Unsettled(String),
    /// Somebody else is about to send a process a signal.
    Hit(Name, u32, String),
    /// Navigator is about to be told to end.
    Shutdown,
    /// Navigator has ended, with this code; these processes are left.
    Ended(Option<i32>, Vec<String>),
    /// A line of navigator's log.
    Told(Told),
    /// A record of a process.
    Did(Did),
}

/// A line of navigator's log.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) message: String,
    pub(crate) fields: BTreeMap<String, String>,
}

/// A record of a process.
#[derive(Clone, Debug)]
pub(crate) struct Did {
    pub(crate) pid: u32,
    pub(crate) name: Name,
    pub(crate) version: Version,
    /// The process at the top of its tree.
    pub(crate) leader: u32,
    pub(crate) word: String,
}

impl Told {
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.parse().ok()
    }

    pub(crate) fn name(&self) -> Option<Name> {
        self.fields.get("name")?.chars().next()
    }

    pub(crate) fn reason(&self) -> &str {
        self.fields.get("reason").map_or("", String::as_str)
    }
}

impl Story {
    /// Everything in the order of time. Of one moment, what was entered first comes first.
    pub(crate) fn sort(&mut self) {
        self.entries.sort_by_key(|entry| entry.at);
    }

    /// The lines of the log, each with its place.
    pub(crate) fn told(&self) -> impl Iterator<Item = (usize, &Told)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| match &entry.what {
            What::Told(told) => Some((place, told)),
            _ => None,
        })
    }

    /// The records of processes, each with its place.
    pub(crate) fn did(&self) -> impl Iterator<Item = (usize, &Did)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| match &entry.what {
            What::Did(did) => Some((place, did)),
            _ => None,
        })
    }

    /// The place of an entry, if there is one like it.
    pub(crate) fn place(&self, is_it: impl Fn(&What) -> bool) -> Option<usize> {
        self.entries.iter().position(|entry| is_it(&entry.what))
    }

    /// The place where a save begins.
    pub(crate) fn saving(&self, save: usize) -> usize {
        let begins = self.place(|what| matches!(what, What::Saving(number) if *number == save));
        begins.unwrap_or(self.entries.len())
    }

    /// When the entry at this place happened.
    pub(crate) fn at(&self, place: usize) -> u64 {
        self.entries.get(place).map_or(u64::MAX, |entry| entry.at)
    }

    /// The place of the first entry that is not older than this before that place.
    pub(crate) fn since(&self, place: usize, micros: u64) -> usize {
        let from = self.at(place).saturating_sub(micros);
        self.entries.partition_point(|entry| entry.at < from)
    }

    /// The entries around a place, as a person reads them; those that only say that somebody still lives are left out.
    pub(crate) fn around(&self, place: usize, before: usize, after: usize) -> String {
        let says_more = |here: &usize| {
            let lives = matches!(&self.entries[*here].what, What::Did(did) if did.word == "alive");
            *here == place || !lives
        };
        let former = (0..place.min(self.entries.len())).rev().filter(says_more).take(before);
        let mut shown: Vec<usize> = former.chain((place..self.entries.len()).filter(says_more).take(after)).collect();
        shown.sort_unstable();
        let begun = self.at(0);
        let mark = |here: usize| if here == place { '>' } else { ' ' };
        let line = |here: usize| {
            let at = self.at(here) - begun;
            format!("{}{:5}.{:03} {}\n", mark(here), at / 1_000, at % 1_000, self.entries[here].what)
        };
        shown.into_iter().map(line).collect()
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Saving(save) => write!(f, "save {save} begins"),
            What::Saved(save) => write!(f, "save {save} is complete"),
            What::Settled(save) => write!(f, "settled on save {save}"),
            What::Unsettled(why) => write!(f, "unsettled {why}"),
            What::Hit(name, pid, signal) => write!(f, "hit {name} {pid} {signal}"),
            What::Shutdown => f.write_str("shutdown"),
            What::Ended(code, left) => {
                let code = code.map_or("by a signal".to_owned(), |code| code.to_string());
                write!(f, "ended {code} {}", left.join(", "))
            }
            What::Told(Told { message, fields }) => {
                write!(f, "log {message}")?;
                let quote = |value: &String| if value.contains(' ') { format!("{value:?}") } else { value.clone() };
                fields.iter().try_for_each(|(key, value)| write!(f, " {key}={}", quote(value)))
            }
            What::Did(Did { pid, name, version, leader, word }) => write!(f, "{name} {pid} {version} {leader} {word}"),
        }
    }
}

/// Reads the record of a process: when, in microseconds, and what.
pub(crate) fn record(line: &str) -> Option<Entry> {
    let (nanos, did) = line.split_once(' ')?;
    Some(Entry { at: nanos.parse::<u64>().ok()? / 1_000, what: What::Did(parse_did(did)?) })
}

fn parse_did(text: &str) -> Option<Did> {
    let mut parts = text.splitn(5, ' ');
    let (pid, name, version) = (parts.next()?, parts.next()?, parts.next()?);
    let (leader, word) = (parts.next()?, parts.next()?);
    Some(Did {
        pid: pid.parse().ok()?,
        name: name.chars().next()?,
        version: Version(version.to_owned()),
        leader: leader.parse().ok()?,
        word: word.to_owned(),
    })
}

/// Stories made by hand, for the tests of rules.
#[cfg(test)]
pub(crate) mod made {
    use super::*;
    use crate::host::Process;

    /// A story in the notation in which stories are shown, with milliseconds in front; what is saved is given beside it.
    pub(crate) fn story(hosts: &[Host], text: &str) -> Story {
        let saves = hosts.iter().map(|host| Saved { host: Some(host.clone()), is_atomic: true }).collect();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Story { saves, entries: lines.map(|line| entry(line).unwrap_or_else(|| panic!("`{line}` is no entry"))).collect() }
    }

    /// A host of these processes.
    pub(crate) fn host(processes: &[Process]) -> Host {
        Host::new(processes.to_vec())
    }

    fn entry(line: &str) -> Option<Entry> {
        let (millis, what) = line.split_once(' ')?;
        let at = millis.parse::<u64>().ok()? * 1_000;
        let (first, rest) = what.split_once(' ').unwrap_or((what, ""));
        let number = || rest.split(' ').find_map(|word| word.parse().ok());
        let what = match first {
            "save" if rest.ends_with("begins") => What::Saving(number()?),
            "save" => What::Saved(number()?),
            "settled" => What::Settled(number()?),
            "unsettled" => What::Unsettled(rest.to_owned()),
            "hit" => {
                let mut parts = rest.split(' ');
                What::Hit(parts.next()?.chars().next()?, parts.next()?.parse().ok()?, parts.next()?.to_owned())
            }
            "shutdown" => What::Shutdown,
            "ended" => {
                let (code, left) = rest.split_once(' ').unwrap_or((rest, ""));
                What::Ended(code.parse().ok(), left.split(", ").filter(|left| !left.is_empty()).map(str::to_owned).collect())
            }
            "log" => What::Told(told(rest)),
            // As a person writes it, with the name first.
            name => {
                let (pid, rest) = rest.split_once(' ')?;
                What::Did(parse_did(&format!("{pid} {name} {rest}"))?)
            }
        };
        Some(Entry { at, what })
    }

    /// A line of the log: a message, fields, and perhaps a reason, which is the rest.
    fn told(text: &str) -> Told {
        let (text, reason) = text.split_once(" reason=").map_or((text, None), |(text, reason)| (text, Some(reason)));
        let (message, fields): (Vec<&str>, Vec<&str>) = text.split(' ').partition(|word| !word.contains('='));
        let fields = fields.iter().filter_map(|field| field.split_once('='));
        let fields = fields.chain(reason.map(|reason| ("reason", reason.trim_matches('"'))));
        Told { message: message.join(" "), fields: fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }
}
