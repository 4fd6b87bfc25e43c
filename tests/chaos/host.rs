//! What a file says of a host, as plain data: which processes, placed how, and what each is like.
//!
//! How it is written down is [`crate::text`], where the processes stand is [`crate::places`], where a host comes from is
//! [`crate::grow`].

use std::collections::BTreeMap;
use std::fmt;

/// The name of a process: a letter.
pub(crate) type Name = char;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Managed processes first, each tier in the order of its list.
    pub(crate) processes: Vec<Process>,
}

/// What a file says of one process. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) name: Name,
    pub(crate) is_application: bool,
    pub(crate) identity: Identity,
    pub(crate) enabled: bool,
    /// `None`: placed by the list.
    pub(crate) needs: Option<BTreeMap<Name, Need>>,
    pub(crate) restart: Restart,
    pub(crate) max_restarts: Option<usize>,
    pub(crate) reset_after: u64,
    pub(crate) start_delay: u64,
    pub(crate) stop_timeout: u64,
}

/// What another run is needed for. What it does belongs to its number: two with one number do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) number: u32,
    /// A variable of its environment.
    pub(crate) colour: char,
    pub(crate) is_task: bool,
    pub(crate) doings: Doings,
}

/// What a process does, in the words of `child.rs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doings {
    pub(crate) ignores: bool,
    pub(crate) lingers: Option<u64>,
    /// After how long it ends by itself, and with which status.
    pub(crate) ends: Option<(u64, i32)>,
    pub(crate) below: Vec<&'static str>,
}

/// A dependency by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) condition: Option<Condition>,
    pub(crate) restarts: bool,
    pub(crate) is_optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Started,
    Ready,
    Completed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Restart {
    #[default]
    Never,
    OnFailure,
    Always,
}

/// What identifies what a child was started with, as it journals it: number and colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) String);

impl Identity {
    pub(crate) fn version(&self) -> Version {
        Version(format!("{}{}", self.number, self.colour))
    }
}

impl Process {
    /// One that says no more than it must.
    pub(crate) fn new(name: Name) -> Process {
        Process {
            name,
            is_application: false,
            identity: Identity { number: 0, colour: 'r', is_task: false, doings: Doings::default() },
            enabled: true,
            needs: None,
            restart: Restart::Never,
            max_restarts: None,
            reset_after: 10_000,
            start_delay: 0,
            stop_timeout: 10_000,
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.identity.version()
    }

    /// Whether its policy lets it come back after it ended by itself, with status 0 or not.
    pub(crate) fn comes_back(&self, succeeded: bool) -> bool {
        match self.restart {
            Restart::Never => false,
            Restart::OnFailure => !succeeded,
            Restart::Always => !succeeded || !self.identity.is_task,
        }
    }

    /// Whether it ends by itself and comes back, for ever.
    pub(crate) fn comes_and_goes(&self) -> bool {
        let succeeds = self.identity.doings.ends.map(|(_, code)| code == 0);
        succeeds.is_some_and(|succeeds| self.comes_back(succeeds) && (succeeds || self.max_restarts.is_none()))
    }

    /// The dependencies that it doesn't start without.
    pub(crate) fn required(&self) -> impl Iterator<Item = (Name, Need)> {
        self.needs.iter().flatten().map(|(on, need)| (*on, *need)).filter(|(_, need)| !need.is_optional)
    }
}

impl Host {
    /// A host with these processes; sorted by tier, as the lists of a file are.
    pub(crate) fn new(mut processes: Vec<Process>) -> Host {
        processes.sort_by_key(|process| process.is_application);
        Host { processes }
    }

    pub(crate) fn get(&self, name: Name) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }

    /// The process, if it is to run.
    pub(crate) fn wanted(&self, name: Name) -> Option<&Process> {
        self.get(name).filter(|process| process.enabled)
    }

    /// What has to hold of a dependency: what its edge says or, of one that says nothing, what its kind implies.
    pub(crate) fn condition(&self, on: Name, need: Need) -> Condition {
        let is_task = self.get(on).is_some_and(|process| process.identity.is_task);
        need.condition.unwrap_or(if is_task { Condition::Completed } else { Condition::Ready })
    }

    /// The same without the edges that a file may not have: to nobody, to itself, from below to an application, in a
    /// circle, and for the completion of what isn't a task. Of the edges that make a circle, the first ones stay.
    pub(crate) fn mended(self) -> Host {
        let mut host = Host::new(self.processes);
        let wished: Vec<_> = host.processes.iter_mut().map(|process| process.needs.replace(BTreeMap::new())).collect();
        for (place, needs) in wished.into_iter().enumerate() {
            let process = host.processes[place].clone();
            let Some(needs) = needs else {
                host.processes[place].needs = None;
                continue;
            };
            for (on, mut need) in needs {
                let Some(other) = host.get(on) else { continue };
                if need.condition == Some(Condition::Completed) && !other.identity.is_task {
                    need.condition = None;
                }
                let descends = other.is_application && !process.is_application;
                if on != process.name && !descends && !host.depends(on, process.name) {
                    host.processes[place].needs.get_or_insert_default().insert(on, need);
                }
            }
        }
        host
    }

    /// Whether a process depends on another by names alone, however indirectly.
    fn depends(&self, name: Name, on: Name) -> bool {
        let needs = self.get(name).and_then(|process| process.needs.as_ref());
        needs.is_some_and(|needs| needs.keys().any(|&next| next == on || self.depends(next, on)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For whoever reads a history: what differs from the least that can be said.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Process::new(self.name);
        let mut says = vec![format!("version {}", self.version())];
        says.extend(self.is_application.then(|| "application".to_owned()));
        says.extend(self.identity.is_task.then(|| "task".to_owned()));
        says.extend((!self.enabled).then(|| "disabled".to_owned()));
        says.extend((self.identity.doings != Doings::default()).then(|| self.identity.doings.to_string()));
        says.extend(self.needs.iter().filter(|needs| needs.is_empty()).map(|_| "after nothing".to_owned()));
        for (on, need) in self.needs.iter().flatten() {
            let condition = need.condition.map_or(String::new(), |condition| format!(" {}", condition.word()));
            let restarts = if need.restarts { ", restarted along" } else { "" };
            let optional = if need.is_optional { ", if it comes" } else { "" };
            says.push(format!("after {on}{condition}{restarts}{optional}"));
        }
        says.extend((self.restart != plain.restart).then(|| format!("restart {}", self.restart.word())));
        says.extend(self.max_restarts.map(|most| format!("max_restarts {most}")));
        says.extend((self.reset_after != plain.reset_after).then(|| format!("reset_after {}", self.reset_after)));
        says.extend((self.start_delay != plain.start_delay).then(|| format!("start_delay {}", self.start_delay)));
        says.extend((self.stop_timeout != plain.stop_timeout).then(|| format!("stop_timeout {}", self.stop_timeout)));
        write!(f, "{}({})", self.name, says.join("; "))
    }
}

/// As `child.rs` takes it.
impl fmt::Display for Doings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.ignores.then(|| "ignore".to_owned()));
        words.extend(self.lingers.map(|time| format!("linger={time}")));
        words.extend(self.ends.map(|(time, code)| format!("end={time}:{code}")));
        words.extend(self.below.iter().map(|below| (*below).to_owned()));
        f.write_str(if words.is_empty() { "-" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.processes.iter().map(Process::to_string).collect();
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

impl Condition {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Condition::Started => "started",
            Condition::Ready => "ready",
            Condition::Completed => "completed",
        }
    }
}

impl Restart {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Restart::Never => "never",
            Restart::OnFailure => "on-failure",
            Restart::Always => "always",
        }
    }
}
