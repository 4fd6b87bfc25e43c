//! The sum of all journal entries: which runs may be left, and how each is stopped. A value; it reads no file.

use super::entry::{Accepted, Definition, GroupDirectory, JournalEntry, RunKey, Started, entry_line, read_lines};
use super::facts::MainFact;
use super::line_file::Recorded;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The sum of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The boot that each navigator lived in, and where its control groups are.
    lives: BTreeMap<String, (String, Option<GroupDirectory>)>,
    /// How to stop each process that was ever wanted and may still run.
    definitions: BTreeMap<String, Definition>,
    /// The names in the last configuration. Its order counts.
    wanted: BTreeSet<String>,
    shutdown_ms: Option<u64>,
    accepted: Option<Accepted>,
    runs: BTreeMap<RunKey, Started>,
}

impl Record {
    /// The sum of these entries.
    pub fn of(entries: impl IntoIterator<Item = JournalEntry>) -> Record {
        let mut record = Record::default();
        entries.into_iter().for_each(|entry| record.fold(entry));
        record
    }

    /// Reads a journal. Also returns the number of damaged lines.
    pub fn read(text: &[u8]) -> (Record, usize) {
        let mut record = Record::default();
        let bad_lines = read_lines(text, |entry| record.fold(entry));
        (record, bad_lines)
    }

    /// Forgets the runs of other boots.
    pub(super) fn forget_other_boots(&mut self, boot: &str) {
        self.lives.retain(|_, (of, _)| of == boot);
        let lives = &self.lives;
        self.runs.retain(|key, _| lives.contains_key(&key.life));
        let running: BTreeSet<&str> = self.runs.values().map(|run| run.name.as_str()).collect();
        // A start that was never recorded may be in the groups of a life without runs.
        self.lives.retain(|life, (_, groups)| groups.is_some() || self.runs.keys().any(|key| key.life == *life));
        if running.is_empty() {
            self.definitions.retain(|name, _| self.wanted.contains(name));
        }
    }

    /// Takes the main processes that took the place of others.
    pub(super) fn change_mains<'a>(&mut self, mains: impl Iterator<Item = &'a MainFact>) {
        for MainFact { key, pid, ticks, inode } in mains {
            if let Some(run) = self.runs.get_mut(key) {
                (run.pid, run.ticks, run.inode) = (*pid, *ticks, *inode);
            }
        }
    }

    /// The runs that were started and not reported gone, in any order.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &Started> {
        self.runs.values()
    }

    /// The entry of a run.
    pub fn run(&self, key: &RunKey) -> Option<&Started> {
        self.runs.get(key)
    }

    /// The recorded directories for control groups, each with its life.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupDirectory)> {
        self.lives.iter().filter_map(|(life, (_, groups))| Some((life.as_str(), groups.as_ref()?)))
    }

    /// How a process is stopped.
    pub fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    /// How to stop every process in the record.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.values()
    }

    /// The revision that was accepted last, if its journal says so.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_ref()
    }

    /// The shutdown timeout, if one was recorded.
    pub fn shutdown_timeout(&self) -> Option<Duration> {
        self.shutdown_ms.map(Duration::from_millis)
    }

    /// Adds one entry.
    pub(super) fn fold(&mut self, entry: JournalEntry) {
        match entry {
            JournalEntry::Life { life, boot, groups } => drop(self.lives.insert(life, (boot, groups))),
            JournalEntry::Wanted { shutdown_ms, processes, accepted } => {
                self.accepted = accepted;
                self.shutdown_ms = Some(shutdown_ms);
                self.wanted = processes.iter().map(|process| process.name.clone()).collect();
                let running: BTreeSet<&str> = self.runs.values().map(|run| run.name.as_str()).collect();
                self.definitions.retain(|name, _| running.contains(name.as_str()));
                for definition in self.definitions.values_mut() {
                    // A process that is stopping because it was removed has no place in the order.
                    definition.after.clear();
                }
                self.definitions.extend(processes.into_iter().map(|process| (process.name.clone(), process)));
            }
            JournalEntry::Started(started) => drop(self.runs.insert(started.key.clone(), started)),
            JournalEntry::Gone { key } => drop(self.runs.remove(&key)),
        }
    }

    /// The fewest entries that say the same.
    fn entries(&self) -> Vec<JournalEntry> {
        let lives = self.lives.clone().into_iter().map(|(life, (boot, groups))| JournalEntry::Life { life, boot, groups });
        let removed = self.definitions.values().filter(|definition| !self.wanted.contains(&definition.name));
        let wanted = self.definitions.values().filter(|definition| self.wanted.contains(&definition.name));
        let shutdown_ms = self.shutdown_ms;
        // Removed processes that still run come first, then those of the last configuration.
        let configurations = [removed.cloned().collect::<Vec<_>>(), wanted.cloned().collect()].into_iter();
        let accepted = self.accepted.clone();
        let configurations = shutdown_ms.map(|shutdown_ms| {
            configurations.map(move |processes| JournalEntry::Wanted { shutdown_ms, processes, accepted: accepted.clone() })
        });
        let runs = self.runs.values().cloned().map(JournalEntry::Started);
        lives.chain(runs).chain(configurations.into_iter().flatten()).collect()
    }
}

impl Recorded for Record {
    type Entry = JournalEntry;
    const FILE: &'static str = "runs";

    fn add(&mut self, entry: JournalEntry) -> Option<String> {
        let line = entry_line(&entry);
        self.fold(entry);
        Some(line)
    }

    fn lines(&mut self) -> Vec<String> {
        self.entries().iter().map(entry_line).collect()
    }

    fn useful_lines(&self) -> usize {
        self.runs.len()
    }
}
