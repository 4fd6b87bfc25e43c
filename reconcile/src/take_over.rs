//! What outlives navigator: the facts from which its next life goes on.
//!
//! [`Engine::remember`] says what is to be recorded of a process, and [`Engine::take_over`] makes an engine of what was recorded.
//! Times and run numbers go on, so both lives have one epoch. What the host holds for navigator alone is forgotten and asked for
//! again: sockets, and the content of watched files.

use crate::desired::Desired;
use crate::engine::Engine;
use crate::event::{Pid, RunId};
use crate::observed::{ObservedProcess, ProcessFacts, Run, Unwanted};
use crate::put_back::PutBack;
use crate::reason::Reason;
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a former life of navigator left.
#[derive(Clone, Debug)]
pub struct FormerLife {
    /// The configuration of its file.
    pub file: Desired,
    /// The number of that configuration.
    pub generation: u64,
    /// The newest of all its runs, gone or not.
    pub last_run: RunId,
    /// When it is taken over.
    pub at: Time,
    /// What it knew of each process.
    pub processes: BTreeMap<Name, Remembered>,
}

/// What is known of one process.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Its definition in [`FormerLife::file`]; `None`: it isn't in there any more.
    pub definition: Option<Arc<Spec>>,
    /// The generation that its definition came with.
    pub generation: u64,
    /// The order by hand that applies to it.
    pub order: Option<StandingOrder>,
    /// Why another definition than that of the file is in force.
    pub put_back: Option<RememberedPutBack>,
    /// Its facts, shared with the engine until they change.
    pub facts: ObservedProcess,
}

/// A definition that is not in force, because a run of it failed.
#[derive(Clone, Debug)]
pub struct RememberedPutBack {
    /// The generation that the definition of the file came with.
    pub rejected: u64,
    /// The definition that is in force instead.
    pub serving: Arc<Spec>,
    /// The generation of that one.
    pub serving_generation: u64,
    /// Why.
    pub why: Reason,
}

/// An order by hand that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingOrder {
    /// It stays stopped.
    Stopped,
    /// It runs although it is disabled.
    Started,
}

impl Engine {
    /// The processes that changed since the last call, so that [`Engine::remember`] may say something else of them.
    pub fn take_unrecorded(&mut self) -> Vec<Name> {
        self.observed.take_unrecorded()
    }

    /// What the next life of navigator needs to know about a process; `None`: there is nothing to know.
    pub fn remember(&self, name: &Name) -> Option<Remembered> {
        let definition = self.file.get(name).map(|entry| entry.spec.clone());
        let facts = self.observed.processes().get(name);
        if definition.is_none() && facts.is_none() {
            return None;
        }
        let put_back = self.put_back.get(name).map(PutBack::remember);
        Some(Remembered {
            definition,
            generation: self.generation_of(name),
            order: self.orders.of(name),
            put_back,
            facts: facts.cloned().unwrap_or_default(),
        })
    }

    /// When it went on from a former life of navigator, if it did.
    pub fn taken_over_at(&self) -> Option<Time> {
        self.taken_over_at
    }

    /// An engine that goes on from what a former life left. Its first step takes the file as it is now.
    pub fn take_over(former: FormerLife) -> Engine {
        let FormerLife { file, generation, last_run, at, processes } = former;
        let mut engine = Engine { file: Arc::new(file), generation, taken_over_at: Some(at), ..Engine::new() };
        let file = engine.file.clone();
        for (name, remembered) in processes {
            let Remembered { definition, generation, order, put_back, mut facts } = remembered;
            if facts.past.as_ref().is_some_and(|past| past.streak.is_some()) {
                engine.observed.unproven.insert(name.clone());
            }
            if let Some(spec) = definition {
                Arc::make_mut(&mut engine.since).insert(name.clone(), generation);
                match order {
                    Some(StandingOrder::Stopped) => engine.orders.stop(&spec),
                    Some(StandingOrder::Started) => engine.orders.start(&spec),
                    None => {}
                }
                if let Some(put_back) = put_back {
                    engine.put_back.insert(name.clone(), PutBack::recall(spec, put_back));
                }
            }
            facts.forget_what_ends_with_navigator();
            engine.observed.take_over(name, facts);
        }
        engine.observed.number_from(last_run);
        engine.observed.add_missing(file.specs().map(|(name, _)| name));
        engine.desired = engine.file_in_force();
        engine.planner.reset(&engine.desired);
        engine
    }
}

impl Remembered {
    /// Whether both surely say the same. They may also if this is false.
    pub fn is_unchanged(&self, former: &Remembered) -> bool {
        let (facts, former_facts): (&ProcessFacts, &ProcessFacts) = (&self.facts, &former.facts);
        let definitions = self.definition.as_ref().zip(former.definition.as_ref());
        definitions.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
            && core::ptr::eq(facts, former_facts)
            && (self.generation, self.order) == (former.generation, former.order)
            && self.put_back.is_none()
            && former.put_back.is_none()
    }
}

impl Run {
    /// A run of which nothing is known but that a process of it lives. It stops before its process is started again.
    pub fn left(id: RunId, spec: Arc<Spec>, pid: Option<Pid>, now: Time) -> Run {
        Run { pid, up: Some(now), first_ready: Some(now), ..Run::begun(id, spec, Reason::Left, now) }.not_taken_over()
    }

    /// The same after its program was found running, although nothing was recorded since its start was begun.
    #[must_use]
    pub fn found_running(mut self, pid: Pid) -> Run {
        self.pid = Some(pid);
        if self.up.is_none() {
            self.up = Some(self.begun);
            if !self.spec.has_readiness() {
                self.become_ready(self.begun);
            }
        }
        self
    }

    /// The same, to be stopped before its process is started again.
    #[must_use]
    pub fn not_taken_over(mut self) -> Run {
        self.unwanted = Some(Unwanted { why: Reason::Left, stops_first: true });
        self
    }
}

impl ProcessFacts {
    /// Forgets what a life of navigator holds, or waits for, for itself.
    fn forget_what_ends_with_navigator(&mut self) {
        (self.due_since, self.content, self.sockets, self.stalled) = (None, None, None, None);
        for run in &mut self.runs {
            (run.after, run.kept_by, run.reloads) = (None, None, 0);
        }
    }
}
