//! What all entries together say: which runs may be left, and how each is to be stopped. A value; it reads no file.

use super::entry::{Accepted, Definition, Entry, GroupDirectory, RunKey, Started};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The sum of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The boot that each navigator lived in, and where its control groups are.
    lives: BTreeMap<String, (String, Option<GroupDirectory>)>,
    /// How each process is stopped that was ever wanted, and still matters.
    definitions: BTreeMap<String, Definition>,
    /// The names of the last configuration: the order between these is the one that counts.
    wanted: BTreeSet<String>,
    shutdown_ms: Option<u64>,
    accepted: Option<Accepted>,
    runs: BTreeMap<RunKey, Started>,
}

impl Record {
    /// What these entries say.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Record {
        let mut record = Record::default();
        entries.into_iter().for_each(|entry| record.fold(entry));
        record
    }

    /// Reads a journal. Says how many lines of it are not whole; those don't count. A last line without its end was
    /// being written when its navigator was killed, which is no damage.
    pub fn read(text: &[u8]) -> (Record, usize) {
        let mut record = Record::default();
        let mut bad_lines = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            match Entry::read(whole) {
                Some(entry) => record.fold(entry),
                None => bad_lines += 1,
            }
        }
        (record, bad_lines)
    }

    /// Takes up one entry.
    pub(super) fn fold(&mut self, entry: Entry) {
        match entry {
            Entry::Life { life, boot, groups } => drop(self.lives.insert(life, (boot, groups))),
            Entry::Wanted { shutdown_ms, processes, accepted } => {
                self.accepted = accepted;
                self.shutdown_ms = Some(shutdown_ms);
                self.wanted = processes.iter().map(|process| process.name.clone()).collect();
                let running: BTreeSet<&str> = self.runs.values().map(|run| run.name.as_str()).collect();
                self.definitions.retain(|name, _| running.contains(name.as_str()));
                for definition in self.definitions.values_mut() {
                    // What is stopping since it was removed has no place any more.
                    definition.after.clear();
                }
                self.definitions.extend(processes.into_iter().map(|process| (process.name.clone(), process)));
            }
            Entry::Started(started) => drop(self.runs.insert(started.key.clone(), started)),
            Entry::Gone { key } => drop(self.runs.remove(&key)),
        }
    }

    /// The fewest entries that say the same.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let lives = self.lives.clone().into_iter().map(|(life, (boot, groups))| Entry::Life { life, boot, groups });
        let removed = self.definitions.values().filter(|definition| !self.wanted.contains(&definition.name));
        let wanted = self.definitions.values().filter(|definition| self.wanted.contains(&definition.name));
        let shutdown_ms = self.shutdown_ms;
        // What was removed comes before what was wanted last, as it came about; it is kept because it runs.
        let configurations = [removed.cloned().collect::<Vec<_>>(), wanted.cloned().collect()].into_iter();
        let accepted = self.accepted.clone();
        let configurations = shutdown_ms.map(|shutdown_ms| {
            configurations.map(move |processes| Entry::Wanted { shutdown_ms, processes, accepted: accepted.clone() })
        });
        let runs = self.runs.values().cloned().map(Entry::Started);
        lives.chain(runs).chain(configurations.into_iter().flatten()).collect()
    }

    /// Forgets what another boot has ended.
    pub(super) fn forget_other_boots(&mut self, boot: &str) {
        self.lives.retain(|_, (of, _)| of == boot);
        let lives = &self.lives;
        self.runs.retain(|key, _| lives.contains_key(&key.life));
        let running: BTreeSet<&str> = self.runs.values().map(|run| run.name.as_str()).collect();
        // A start that was never noted may be in the groups of a life without runs.
        self.lives.retain(|life, (_, groups)| groups.is_some() || self.runs.keys().any(|key| key.life == *life));
        if running.is_empty() {
            self.definitions.retain(|name, _| self.wanted.contains(name));
        }
    }

    /// The runs that were started and not said to be gone, in no order that means anything.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &Started> {
        self.runs.values()
    }

    /// What was noted of a run.
    pub fn run(&self, key: &RunKey) -> Option<&Started> {
        self.runs.get(key)
    }

    /// The directories that lives noted for their control groups, each with its life.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupDirectory)> {
        self.lives.iter().filter_map(|(life, (_, groups))| Some((life.as_str(), groups.as_ref()?)))
    }

    /// How a process is stopped.
    pub fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    /// How every process is stopped that the record knows.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.values()
    }

    /// The revision that was accepted last, if its journal says so.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_ref()
    }

    /// The longest that the shutdown may take, as far as it was said.
    pub fn shutdown_timeout(&self) -> Option<Duration> {
        self.shutdown_ms.map(Duration::from_millis)
    }
}
