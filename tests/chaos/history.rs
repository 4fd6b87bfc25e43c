//! A history: what is done to a navigator, its file and its processes, as plain data that can be cut down and read.

use crate::grow::Growth;
use crate::host::{Host, Name, Process};
use crate::save::Way;
use std::fmt;

/// What is done to one navigator, from its start to its end.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) seed: usize,
    pub(crate) first: Host,
    pub(crate) ops: Vec<Op>,
}

/// One thing that is done. Every history ends with a shutdown after its last one.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A file is saved.
    Save { host: Host, way: Way, style: u64, then: Then },
    /// The file becomes something that is none.
    Spoil(Spoilt),
    /// A process is sent a signal by somebody else.
    Hit(Name, Hit),
    /// Nothing is done for so many milliseconds, and nothing is expected.
    Watch(u64),
}

/// What is waited for before the next thing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// That everything is as the file says.
    Settle,
    /// That the file is in force.
    Accept,
    /// Nothing.
    GoOn,
}

/// What stands in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    Invalid,
    Half,
    Empty,
    Missing,
    Directory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    Kill,
    Term,
    /// Like a fault in the program. `SEGV` itself ends no Rust program that somebody else sends it to.
    Abort,
    Stop,
}

impl History {
    /// The history that belongs to this seed, with so many edits.
    pub(crate) fn random(seed: usize, edits: usize) -> History {
        let mut growth = Growth::new(seed);
        let first = growth.first();
        let mut hosts = vec![first.clone()];
        let mut ops = Vec::new();
        let mut left = edits;
        while left > 0 {
            let op = random_op(&mut growth, &mut hosts);
            left -= usize::from(op.is_edit());
            ops.push(op);
        }
        History { seed, first, ops }
    }

    /// How many of its operations change what stands in the file's place.
    pub(crate) fn edits(&self) -> usize {
        self.ops.iter().filter(|op| op.is_edit()).count()
    }
}

impl Op {
    fn is_edit(&self) -> bool {
        matches!(self, Op::Save { .. } | Op::Spoil(_))
    }
}

fn random_op(growth: &mut Growth, hosts: &mut Vec<Host>) -> Op {
    match growth.dice().below(100) {
        0..66 => {
            let last = hosts[hosts.len() - 1].clone();
            let host = match growth.dice().below(12) {
                0 => hosts[growth.dice().below(hosts.len())].clone(),
                1 => last,
                _ => growth.changed(&last),
            };
            hosts.push(host.clone());
            let dice = growth.dice();
            let then = dice.pick(&[Then::Settle, Then::Settle, Then::Settle, Then::Accept, Then::GoOn, Then::GoOn]);
            Op::Save { host, way: dice.pick(&Way::ALL), style: dice.next(), then }
        }
        66..73 => {
            let all = [Spoilt::Invalid, Spoilt::Half, Spoilt::Empty, Spoilt::Missing, Spoilt::Directory];
            Op::Spoil(growth.dice().pick(&all))
        }
        73..92 => {
            let name = growth.name();
            Op::Hit(name, growth.dice().pick(&[Hit::Kill, Hit::Kill, Hit::Term, Hit::Abort, Hit::Stop]))
        }
        _ => Op::Watch(growth.dice().pick(&[5, 30, 120, 300])),
    }
}

/// For whoever reads or repeats it. Of each save, what differs from the one before.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   start with {}", self.first)?;
        let mut last = &self.first;
        for (number, op) in self.ops.iter().enumerate() {
            write!(f, "{number:2} ")?;
            match op {
                Op::Save { host, way, then, .. } => {
                    writeln!(f, "save ({way}; then {}): {}", then.word(), difference(last, host))?;
                    last = host;
                }
                Op::Spoil(spoilt) => writeln!(f, "spoil the file: {}", spoilt.word())?,
                Op::Hit(name, hit) => writeln!(f, "{} to {name}", hit.word())?,
                Op::Watch(millis) => writeln!(f, "watch for {millis} ms")?,
            }
        }
        f.write_str("   shut down\n")
    }
}

fn difference(old: &Host, new: &Host) -> String {
    let mut says: Vec<String> = Vec::new();
    let gone = old.processes.iter().filter(|process| new.get(process.name).is_none());
    says.extend(gone.map(|process| format!("without {}", process.name)));
    let changed = new.processes.iter().filter(|process| old.get(process.name) != Some(process));
    says.extend(changed.map(Process::to_string));
    let order = |host: &Host, other: &Host| -> String {
        host.processes.iter().map(|process| process.name).filter(|&name| other.get(name).is_some()).collect()
    };
    if order(old, new) != order(new, old) || new.processes.iter().any(|process| old.get(process.name).is_none()) {
        says.push(format!("in the order {}", order(new, new)));
    }
    if says.is_empty() { "the same in other words".to_owned() } else { says.join(", ") }
}

impl Then {
    fn word(self) -> &'static str {
        match self {
            Then::Settle => "wait until everything is so",
            Then::Accept => "wait until it is in force",
            Then::GoOn => "go on",
        }
    }
}

impl Spoilt {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Spoilt::Invalid => "invalid",
            Spoilt::Half => "half of one, that is not valid",
            Spoilt::Empty => "empty",
            Spoilt::Missing => "missing",
            Spoilt::Directory => "a directory",
        }
    }
}

impl Hit {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Hit::Kill => "KILL",
            Hit::Term => "TERM",
            Hit::Abort => "ABRT",
            Hit::Stop => "STOP",
        }
    }
}
