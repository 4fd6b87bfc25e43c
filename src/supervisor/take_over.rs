//! Takes over what a former life of navigator left: its processes go on, and the engine goes on from its facts.

use super::former_life::{FormerDefinitions, RecordedLife};
use super::host::Perform;
use super::log_events;
use crate::journal::RunKey;
use crate::runtime::{FormerRun, OrphanRun, TakenOver, is_command};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Event, ExitStatus, RunId};
use reconcile::observed::{ObservedProcess, ProcessFacts, Run, Unwanted};
use reconcile::reason::Reason;
use reconcile::take_over::{FormerLife, Remembered};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// An engine that goes on from a former life, and what has happened since to its runs.
pub(super) fn take_over<P: Perform>(performer: &P, former: &RecordedLife, file: &Desired, now: Time) -> (Engine, Vec<Event>) {
    let mut takeover = Takeover {
        performer,
        former,
        definitions: FormerDefinitions::new(former, file),
        now,
        events: Vec::new(),
        names: BTreeSet::new(),
        ended: 0,
    };
    let mut processes = BTreeMap::new();
    for recorded in former.facts.processes() {
        let name = Name::from(recorded.name.as_str());
        let mut process = recorded.recall(|whole| takeover.definitions.get(&name, whole));
        takeover.runs_of(&name, &mut process.facts);
        processes.insert(name, process);
    }
    let last_run = takeover.take_over_unrecorded(file, &mut processes);
    let Takeover { definitions, events, names, ended, .. } = takeover;
    let file = definitions.configuration();
    log_events::taken_over(&names, ended);
    performer.release_orphans();
    let generation = former.facts.generation();
    (Engine::take_over(FormerLife { file, generation, last_run, at: now, processes }), events)
}

struct Takeover<'a, P> {
    performer: &'a P,
    former: &'a RecordedLife,
    definitions: FormerDefinitions<'a>,
    now: Time,
    events: Vec<Event>,
    /// The processes that go on.
    names: BTreeSet<Name>,
    /// How many runs have ended since.
    ended: usize,
}

impl<P: Perform> Takeover<'_, P> {
    /// Takes over the runs of a process. Those that have ended since are still among its facts, and their ends are events.
    fn runs_of(&mut self, name: &Name, facts: &mut ProcessFacts) {
        for run in mem::take(&mut facts.runs) {
            let orphan = self.former.orphans.iter().find(|orphan| orphan.name == *name && orphan.key.run == run.id.0);
            match orphan {
                Some(orphan) if orphan.can_be_held => facts.runs.push(self.run(orphan, run)),
                // It may live, and can't be signalled. Its process is not started beside it.
                Some(orphan) => {
                    log_events::not_taken_over(name, orphan.pids.first().copied(), "the system refuses pidfds of its processes");
                }
                None if run.up.is_some() => {
                    let recorded = self.former.record.runs().find(|started| started.key.run == run.id.0);
                    let taken = recorded.map(|started| self.ask(&started.key, &run)).unwrap_or_default();
                    self.end(&run, taken.exit, true);
                    facts.runs.push(run);
                }
                // Its program was never started.
                None => facts.cue = facts.cue.take().or(run.stop.is_none().then_some(run.reason)),
            }
        }
    }

    fn run(&mut self, orphan: &OrphanRun, run: Run) -> Run {
        let TakenOver { main, is_left, exit, problem } = self.ask(&orphan.key, &run);
        let Some(pid) = main else {
            if is_left && !self.former.record.runs().any(|started| started.key == orphan.key) {
                // Its program was executed, and navigator was killed before that was recorded: which process of it is the main one
                // is not known, so none has ended.
                return Run::left(run.id, run.spec, None, self.now);
            }
            self.end(&run, exit, !is_left);
            return run;
        };
        let run = run.found_running(pid);
        if let Some(why) = problem {
            log_events::not_taken_over(&run.spec.name, run.pid, &why);
            return run.not_taken_over();
        }
        if !matches!(run.unwanted, Some(Unwanted { why: Reason::Left, .. })) {
            self.names.insert(run.spec.name.clone());
        }
        run
    }

    fn ask(&self, key: &RunKey, run: &Run) -> TakenOver {
        self.performer.take_over(&FormerRun {
            run: run.id,
            key: key.clone(),
            spec: run.spec.clone(),
            is_ready: run.ready.is_some(),
            is_ending: !run.is_undisturbed(),
        })
    }

    /// The main process of a run has ended while navigator was away, and perhaps everything of it. How is mostly unknown.
    fn end(&mut self, run: &Run, how: Option<ExitStatus>, is_gone: bool) {
        if run.exit.is_none() {
            self.ended += 1;
            self.events.push(Event::Exited { run: run.id, status: how.unwrap_or(ExitStatus::Lost) });
        }
        self.events.extend(is_gone.then_some(Event::Gone { run: run.id }));
    }

    /// Takes over the runs about which there are no facts, so that they can be stopped. Returns the newest of all runs.
    fn take_over_unrecorded(&mut self, file: &Desired, processes: &mut BTreeMap<Name, Remembered>) -> RunId {
        let recorded = self.former.record.runs().map(|run| run.key.run).filter(|&run| !is_command(run));
        let mut last = recorded.chain([self.former.facts.last_run()]).max().unwrap_or_default();
        for orphan in self.former.orphans.iter().filter(|orphan| orphan.can_be_held) {
            let known = processes.get(&orphan.name).into_iter().flat_map(|process| &process.facts.runs);
            if known.into_iter().any(|run| run.id.0 == orphan.key.run) {
                continue;
            }
            last += 1;
            let spec = file.get(&orphan.name).map_or_else(
                || self.definitions.removed(&orphan.name),
                |entry| self.definitions.unknown(&entry.spec, Vec::new()),
            );
            let run = Run::left(RunId(last), spec, None, self.now);
            let run = self.run(orphan, run);
            let nothing = || Remembered {
                definition: None,
                generation: self.former.facts.generation(),
                order: None,
                put_back: None,
                facts: ObservedProcess::default(),
            };
            processes.entry(orphan.name.clone()).or_insert_with(nothing).facts.runs.push(run);
        }
        RunId(last)
    }
}
