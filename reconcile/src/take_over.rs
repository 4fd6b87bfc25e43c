//! What outlives navigator: the facts from which its next life goes on.
//!
//! [`Engine::remember`] says what is to be recorded of a process, and [`Engine::take_over`] makes an engine of what was recorded.
//! Times and run numbers go on, so both lives have one epoch. What the host holds for navigator alone is forgotten and asked for
//! again: sockets, and the content of watched files.

use crate::desired::Desired;
use crate::engine::Engine;
use crate::event::RunId;
use crate::observed::ProcessFacts;
use crate::put_back::PutBack;
use crate::reason::Reason;
use crate::spec::Spec;
use crate::text::Name;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// What a former life of navigator left.
#[derive(Clone, Debug)]
pub struct FormerLife {
    /// The configuration of its file.
    pub file: Desired,
    /// The number of that configuration.
    pub generation: u64,
    /// The newest of all its runs, gone or not.
    pub last_run: RunId,
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
    pub order: Option<ManualOrder>,
    /// Why another definition than that of the file is in force.
    pub put_back: Option<RememberedPutBack>,
    /// Its facts.
    pub facts: ProcessFacts,
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
pub enum ManualOrder {
    /// It stays stopped.
    Stopped,
    /// It runs although it is disabled.
    Started,
}

impl Engine {
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
            facts: facts.map(|facts| ProcessFacts::clone(facts)).unwrap_or_default(),
        })
    }

    /// An engine that goes on from what a former life left. Its first step takes the file as it is now.
    pub fn take_over(former: FormerLife) -> Engine {
        let FormerLife { file, generation, last_run, processes } = former;
        let mut engine = Engine { file: Arc::new(file), generation, ..Engine::new() };
        let file = engine.file.clone();
        for (name, remembered) in processes {
            let Remembered { definition, generation, order, put_back, facts } = remembered;
            if facts.past.as_ref().is_some_and(|past| past.streak.is_some()) {
                engine.observed.unproven.insert(name.clone());
            }
            if let Some(spec) = definition {
                Arc::make_mut(&mut engine.since).insert(name.clone(), generation);
                match order {
                    Some(ManualOrder::Stopped) => engine.orders.stop(&spec),
                    Some(ManualOrder::Started) => engine.orders.start(&spec),
                    None => {}
                }
                if let Some(put_back) = put_back {
                    engine.put_back.insert(name.clone(), PutBack::recall(spec, put_back));
                }
            }
            engine.observed.take_over(name, facts.without_what_ends_with_navigator());
        }
        engine.observed.number_from(last_run);
        engine.observed.add_missing(file.specs().map(|(name, _)| name));
        engine.desired = engine.file_in_force();
        engine.planner.reset(&engine.desired);
        engine
    }
}

impl ProcessFacts {
    /// Forgets what a life of navigator holds, or waits for, for itself.
    fn without_what_ends_with_navigator(mut self) -> ProcessFacts {
        (self.due_since, self.content, self.sockets, self.stalled) = (None, None, None, None);
        for run in &mut self.runs {
            (run.after, run.kept_by, run.reloads) = (None, None, 0);
        }
        self
    }
}
