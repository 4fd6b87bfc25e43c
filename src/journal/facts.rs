//! What is recorded of processes beside their runs: the facts from which the next life of navigator goes on.
//!
//! ```text
//!  directory/facts    one entry per line: checksum, space, JSON
//! ```
//!
//! The last entry about a process counts. Times are those of the engine, in nanoseconds since its epoch, and the epoch is a time
//! of the kernel's monotonic clock. Definitions are recorded as digests ([`super::digest`]).

use super::digest::DefinitionDigest;
use super::entry::{RunKey, entry_line};
use super::line_file::Recorded;
use super::process_fact::ProcessFact;
use reconcile::take_over::Remembered;
use reconcile::text::Name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The version of these entries. A file of another version is ignored.
const FORMAT: u32 = 1;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FactEntry {
    /// Where the engine's time and numbers begin.
    Epoch {
        /// See [`FORMAT`].
        format: u32,
        /// The kernel's id of the boot.
        boot: String,
        /// The engine's epoch by `CLOCK_MONOTONIC` (`clock_gettime(2)`).
        epoch: Duration,
        /// A run number that is used, as is every lower one.
        last_run: u64,
    },
    /// A configuration of this number is in force.
    Generation(u64),
    /// What a definition is recognized by.
    Definition(DefinitionDigest),
    /// Another process of a run has become its main process.
    Main(MainFact),
    /// Everything about a process.
    Process(Box<ProcessFact>),
    /// There is nothing to know about this process any more.
    Forgotten(String),
}

/// A main process that took the place of the one that was started, as [`super::Started`] has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainFact {
    /// The run.
    pub key: RunKey,
    /// Its pid.
    pub pid: u32,
    /// When it was started, where the inode is not known.
    pub ticks: Option<u64>,
    /// The inode of its pidfd.
    pub inode: Option<u64>,
}

/// Something that the next life of navigator needs to know.
#[derive(Debug)]
pub enum FactUpdate {
    /// Another process of a run has become its main process.
    Main(MainFact),
    /// A configuration of this number is in force.
    Generation(u64),
    /// Everything about a process; `None`: there is nothing to know any more.
    Process(Name, Option<Box<Remembered>>),
}

/// The sum of all entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedFacts {
    boot: String,
    epoch: Duration,
    last_run: u64,
    generation: u64,
    definitions: BTreeMap<u64, DefinitionDigest>,
    mains: BTreeMap<RunKey, MainFact>,
    processes: BTreeMap<String, ProcessFact>,
}

impl RecordedFacts {
    /// Those of a life that begins now, by the monotonic clock.
    pub(super) fn begin(boot: String, epoch: Duration) -> RecordedFacts {
        RecordedFacts { boot, epoch, ..RecordedFacts::default() }
    }

    /// Whether they are about this boot. Otherwise nothing of them is left.
    pub(super) fn is_of(&self, boot: &str) -> bool {
        self.boot == boot
    }

    /// The engine's epoch by the kernel's monotonic clock.
    pub fn epoch(&self) -> Duration {
        self.epoch
    }

    /// The newest run.
    pub fn last_run(&self) -> u64 {
        self.last_run
    }

    /// The number of the configuration in force; 0: none was.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is recorded of each process.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessFact> {
        self.processes.values()
    }

    /// The processes about which something is recorded.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.processes.keys().map(|name| name.as_str().into())
    }

    /// What is recorded of a process.
    pub fn process(&self, name: &str) -> Option<&ProcessFact> {
        self.processes.get(name)
    }

    /// What the definition with this digest is recognized by.
    pub fn definition(&self, whole: u64) -> Option<&DefinitionDigest> {
        self.definitions.get(&whole)
    }

    /// Forgets main processes of runs that are not recorded any more.
    pub(super) fn retain_mains(&mut self, is_recorded: impl Fn(&RunKey) -> bool) {
        self.mains.retain(|key, _| is_recorded(key));
    }

    /// The main processes that took the place of others.
    pub(super) fn mains(&self) -> impl Iterator<Item = &MainFact> {
        self.mains.values()
    }

    /// Adds one entry.
    pub(super) fn fold(&mut self, entry: FactEntry) {
        match entry {
            FactEntry::Epoch { format, boot, epoch, last_run } => {
                *self = if format == FORMAT {
                    RecordedFacts { last_run, ..RecordedFacts::begin(boot, epoch) }
                } else {
                    RecordedFacts::default()
                };
            }
            FactEntry::Generation(generation) => self.generation = generation,
            FactEntry::Definition(digest) => drop(self.definitions.insert(digest.whole, digest)),
            FactEntry::Main(main) => drop(self.mains.insert(main.key.clone(), main)),
            FactEntry::Process(process) => {
                self.last_run = self.last_run.max(process.last_run());
                self.processes.insert(process.name.clone(), *process);
            }
            FactEntry::Forgotten(name) => drop(self.processes.remove(&name)),
        }
    }

    fn into_entries(self) -> impl Iterator<Item = FactEntry> {
        let RecordedFacts { boot, epoch, last_run, generation, definitions, mains, processes } = self;
        let begin = [FactEntry::Epoch { format: FORMAT, boot, epoch, last_run }, FactEntry::Generation(generation)];
        let definitions = definitions.into_values().map(FactEntry::Definition);
        let processes = processes.into_values().map(|process| FactEntry::Process(Box::new(process)));
        let mains = mains.into_values().map(FactEntry::Main);
        begin.into_iter().chain(definitions).chain(mains).chain(processes)
    }
}

/// The lines of the file. As values, they would take several times as much memory.
#[derive(Debug, Default)]
pub(super) struct FactLines {
    /// What the first line says; the number of the newest run changes.
    boot: String,
    epoch: Duration,
    last_run: u64,
    generation: u64,
    definitions: BTreeMap<u64, Box<str>>,
    mains: BTreeMap<RunKey, Box<str>>,
    processes: BTreeMap<Box<str>, ProcessLine>,
}

/// A line about a process.
#[derive(Debug)]
struct ProcessLine {
    line: Box<str>,
    /// The definitions that it names.
    definitions: Box<[u64]>,
}

impl FactLines {
    pub(super) fn of(facts: RecordedFacts) -> FactLines {
        let mut lines = FactLines::default();
        for entry in facts.into_entries() {
            let _line = lines.add(entry);
        }
        lines
    }
}

impl Recorded for FactLines {
    type Entry = FactEntry;
    const FILE: &'static str = "facts";

    fn add(&mut self, entry: FactEntry) -> Option<String> {
        let line = entry_line(&entry);
        match entry {
            FactEntry::Epoch { boot, epoch, last_run, .. } => (self.boot, self.epoch, self.last_run) = (boot, epoch, last_run),
            FactEntry::Generation(generation) => self.generation = generation,
            FactEntry::Definition(digest) => {
                if self.definitions.insert(digest.whole, line.as_str().into()).is_some() {
                    return None;
                }
            }
            FactEntry::Main(main) => drop(self.mains.insert(main.key, line.as_str().into())),
            FactEntry::Process(process) => {
                self.last_run = self.last_run.max(process.last_run());
                let recorded = ProcessLine { line: line.as_str().into(), definitions: process.definitions().collect() };
                let former = self.processes.insert(process.name.into(), recorded);
                if former.is_some_and(|former| *former.line == *line) {
                    return None;
                }
            }
            FactEntry::Forgotten(name) => {
                self.processes.remove(name.as_str())?;
            }
        }
        Some(line)
    }

    fn lines(&mut self) -> Vec<String> {
        let used: BTreeSet<u64> = self.processes.values().flat_map(|process| process.definitions.iter().copied()).collect();
        self.definitions.retain(|whole, _| used.contains(whole));
        let FactLines { boot, epoch, last_run, generation, .. } = self;
        let epoch = FactEntry::Epoch { format: FORMAT, boot: boot.clone(), epoch: *epoch, last_run: *last_run };
        let begin = [epoch, FactEntry::Generation(*generation)].map(|entry| entry_line(&entry));
        let definitions = self.definitions.values().chain(self.mains.values()).map(ToString::to_string);
        let processes = self.processes.values().map(|process| process.line.to_string());
        begin.into_iter().chain(definitions).chain(processes).collect()
    }

    fn useful_lines(&self) -> usize {
        // Each process has a line, and most have a definition of their own.
        2 + 2 * self.processes.len()
    }
}
