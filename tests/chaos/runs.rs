//! What a story says of runs and generations: which process ran from when to when, and which saves can be in force.

use crate::host::{Host, Name, Process, Version};
use crate::story::{Story, Told, What};

/// How far back in time a start may have been begun that is told only now. A start reads what is wanted at the moment it
/// is begun, and that moment is told by nobody; so whatever was wanted within this time excuses it, unless something else
/// shows that it was begun later. Generous: a slow machine must not be taken for a bug.
const BEGUN: u64 = 1_000_000;

/// One execution of a process. Entries are given by their places in the story.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: Name,
    pub(crate) pid: u32,
    /// What navigator says of its definition.
    pub(crate) generation: u64,
    pub(crate) reason: String,
    /// `Starting process`.
    pub(crate) starting: usize,
    /// What its leader was started with, if it lived long enough to say so.
    pub(crate) version: Option<Version>,
    /// The records of its leader.
    pub(crate) of_leader: Vec<usize>,
    /// The records of its whole tree, the leader included.
    pub(crate) of_tree: Vec<usize>,
    /// `Stopping process`.
    pub(crate) stopping: Option<usize>,
    /// `Killing process`.
    pub(crate) killing: Option<usize>,
    /// `Process exited` or `Process crashed`: it ended by itself.
    pub(crate) ended: Option<usize>,
    /// `Process stopped`, `Process not started`, `Restarting process` or `Process failed`: nothing of it is left.
    pub(crate) gone: Option<usize>,
    /// Signals from somebody else.
    pub(crate) hits: Vec<usize>,
}

/// A configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// The line that tells of it.
    pub(crate) told: usize,
    /// The saves that it can be, by what is told of it. None: no whole file that was there.
    pub(crate) saves: Vec<usize>,
}

/// A story with what follows from it.
pub(crate) struct Account<'s> {
    pub(crate) story: &'s Story,
    pub(crate) runs: Vec<Run>,
    pub(crate) generations: Vec<Generation>,
}

impl Run {
    /// Whether its leader was there when the entry at this place was written, as far as navigator knew.
    pub(crate) fn is_up(&self, place: usize) -> bool {
        self.starting < place && self.over().is_none_or(|over| over > place)
    }

    /// When navigator says that it is over.
    pub(crate) fn over(&self) -> Option<usize> {
        self.ended.or(self.gone)
    }
}

impl<'s> Account<'s> {
    pub(crate) fn of(story: &'s Story) -> Account<'s> {
        Account { story, runs: runs(story), generations: generations(story) }
    }

    /// The hosts that can be in force when the entry at this place is written.
    pub(crate) fn in_force(&self, place: usize) -> Vec<&'s Host> {
        self.in_force_within(place, place)
    }

    /// The hosts that can have been in force at any moment between two entries.
    pub(crate) fn in_force_within(&self, from: usize, to: usize) -> Vec<&'s Host> {
        let first = self.generations.iter().rposition(|generation| generation.told < from).unwrap_or(0);
        let all =
            self.generations[first.min(self.generations.len())..].iter().take_while(|generation| generation.told < to.max(1));
        all.flat_map(|generation| self.hosts(generation)).collect()
    }

    /// The hosts that a generation can be.
    pub(crate) fn hosts(&self, generation: &Generation) -> Vec<&'s Host> {
        generation.saves.iter().filter_map(|&save| self.story.saves[save].host.as_ref()).collect()
    }

    pub(crate) fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    /// From where on what was wanted may have been read by a start: see [`BEGUN`]. A start is begun after its predecessor
    /// is over, too.
    pub(crate) fn begun_after(&self, run: &Run) -> usize {
        let before = self.before(run).and_then(|before| before.gone.or(before.ended)).unwrap_or(0);
        self.story.since(run.starting, BEGUN).max(before)
    }

    /// The run of the same process before this one.
    pub(crate) fn before(&self, run: &Run) -> Option<&Run> {
        self.runs.iter().rev().find(|other| other.name == run.name && other.starting < run.starting)
    }

    /// Whether this is the stop of a run that was begun before this moment, and is told of only since: what was settled then was
    /// settled for all but that one.
    pub(crate) fn stops_what_was_on_its_way(&self, stop: usize, settled: usize) -> bool {
        self.runs.iter().any(|run| run.stopping == Some(stop) && run.starting > settled)
    }

    /// The last run of a process.
    pub(crate) fn last(&self, name: Name) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.name == name)
    }

    /// What a run was started with: what it says itself or, if it never could, what its generation says.
    pub(crate) fn version(&self, run: &Run) -> Option<Version> {
        let by_generation = || {
            let hosts = self.hosts(self.generation(run.generation)?);
            Some(hosts.first()?.get(run.name)?.version())
        };
        run.version.clone().or_else(by_generation)
    }

    /// The line of the log at this place.
    pub(crate) fn told(&self, place: usize) -> Option<&'s Told> {
        match &self.story.entries.get(place)?.what {
            What::Told(told) => Some(told),
            _ => None,
        }
    }

    /// The word of the record at this place.
    pub(crate) fn word(&self, place: usize) -> &'s str {
        match self.story.entries.get(place).map(|entry| &entry.what) {
            Some(What::Did(did)) => &did.word,
            _ => "",
        }
    }

    /// Whether a run ended with status 0 by itself.
    pub(crate) fn succeeded(&self, run: &Run) -> bool {
        run.ended.and_then(|place| self.told(place)).is_some_and(|told| told.message == "Process exited")
    }
}

fn runs(story: &Story) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (place, told) in story.told() {
        let (Some(name), Some(pid)) = (told.name(), told.number("pid").and_then(|pid| u32::try_from(pid).ok())) else { continue };
        if told.message == "Starting process" {
            runs.push(Run {
                name,
                pid,
                generation: told.number("generation").unwrap_or(0),
                reason: told.reason().to_owned(),
                starting: place,
                version: None,
                of_leader: Vec::new(),
                of_tree: Vec::new(),
                stopping: None,
                killing: None,
                ended: None,
                gone: None,
                hits: Vec::new(),
            });
            continue;
        }
        let Some(run) = runs.iter_mut().rev().find(|run| (run.name, run.pid) == (name, pid)) else { continue };
        match told.message.as_str() {
            "Stopping process" => run.stopping = Some(place),
            "Killing process" => run.killing = Some(place),
            "Process exited" | "Process crashed" => run.ended = Some(place),
            "Process stopped" | "Process not started" | "Restarting process" | "Process failed" => run.gone = Some(place),
            _ => {}
        }
    }
    for (place, entry) in story.entries.iter().enumerate() {
        let (name, leader) = match &entry.what {
            What::Did(did) => (did.name, did.leader),
            What::Hit(name, pid, _) => (*name, *pid),
            _ => continue,
        };
        let Some(run) = run_of(&mut runs, name, leader, place) else { continue };
        match &entry.what {
            What::Did(did) => {
                run.of_tree.push(place);
                if did.pid == did.leader {
                    run.version.get_or_insert_with(|| did.version.clone());
                    run.of_leader.push(place);
                }
            }
            _ => run.hits.push(place),
        }
    }
    runs
}

/// The run that a record of this place belongs to. Its number may have been given out again, to one of the same name even:
/// then it is the first of them that wasn't over yet.
fn run_of(runs: &mut [Run], name: Name, pid: u32, place: usize) -> Option<&mut Run> {
    let same: Vec<usize> = (0..runs.len()).filter(|&number| (runs[number].name, runs[number].pid) == (name, pid)).collect();
    let lives = |number: &&usize| runs[**number].gone.or(runs[**number].ended).is_none_or(|over| over > place);
    let number = *same.iter().find(lives).or(same.last())?;
    runs.get_mut(number)
}

/// What was in force, by what navigator tells: which saves had begun by then, and the numbers that the line gives.
fn generations(story: &Story) -> Vec<Generation> {
    let mut generations: Vec<Generation> = Vec::new();
    // No earlier save can come into force after everything was as this one says.
    let mut settled = 0;
    let mut begun = 0;
    for (place, entry) in story.entries.iter().enumerate() {
        match &entry.what {
            What::Saving(save) => begun = *save,
            What::Settled(save) => settled = *save,
            What::Told(told) if told.message == "Configuration loaded" => {
                generations.push(Generation { number: told.number("generation").unwrap_or(0), told: place, saves: vec![0] });
            }
            What::Told(told) if told.message == "Configuration reloaded" => {
                let before = generations.last().map_or(&[][..], |last| &last.saves);
                let host = |save: usize| story.saves.get(save)?.host.as_ref();
                let follows = |from: usize, to: usize| {
                    from < to && host(from).zip(host(to)).is_some_and(|(from, to)| is_told_of(told, from, to))
                };
                let saves = (settled..=begun).filter(|&save| before.iter().any(|&from| follows(from, save))).collect();
                generations.push(Generation { number: told.number("generation").unwrap_or(0), told: place, saves });
            }
            _ => {}
        }
    }
    generations
}

/// Whether the numbers of `Configuration reloaded` can be those of this change. What was changed and what merely updated
/// also depends on what ran.
fn is_told_of(told: &Told, from: &Host, to: &Host) -> bool {
    let runs = |host: &Host, process: &Process| host.wanted(process.name).is_some();
    let added = to.processes.iter().filter(|process| process.enabled && !runs(from, process)).count();
    let removed = from.processes.iter().filter(|process| process.enabled && !runs(to, process)).count();
    let gone = from.processes.iter().filter(|process| to.get(process.name).is_none()).count();
    let sum: u64 = ["added", "removed", "changed", "updated", "unchanged"].iter().filter_map(|field| told.number(field)).sum();
    let is = |field: &str, count: usize| told.number(field) == u64::try_from(count).ok();
    from != to && is("added", added) && is("removed", removed) && u64::try_from(to.processes.len() + gone) == Ok(sum)
}
