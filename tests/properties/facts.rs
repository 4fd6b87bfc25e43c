//! What the journal says happened: wishes, orders, news and actions, folded a second time and without a look at the
//! engine's own facts.
//!
//! Where the contract gives an event a meaning (what is forgiven, what ends a streak), that meaning is written down here
//! once more, from the contract. What ought to follow from the facts stands in [`crate::rules`].

use crate::places::Places;
use crate::records::{Past, Process, Run};
use crate::rolling::Asked;
use crate::rules::{Rest, Why, rest};
use crate::wishes::{MOST, Wish, number};
use reconcile::event::{Action, Content, Event, ExitStatus, Order, RunId};
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{ProcessKind, Spec};
use reconcile::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is known to have happened.
#[derive(Clone)]
pub(crate) struct Facts {
    /// What the file wants.
    pub(crate) wish: Wish,
    pub(crate) places: Places,
    pub(crate) generation: u64,
    /// Runs that are not known to be gone, oldest first.
    pub(crate) runs: Vec<Run>,
    pub(crate) processes: [Process; MOST],
    pub(crate) last_run: RunId,
    /// Everything is to end: since when, and whether at once.
    pub(crate) closing: Option<(Time, bool)>,
}

impl Facts {
    /// Nothing has happened.
    pub(crate) fn new() -> Facts {
        Facts {
            wish: Wish::nothing(),
            places: Places::default(),
            generation: 0,
            runs: Vec::new(),
            processes: std::array::from_fn(|_| Process::default()),
            last_run: RunId(0),
            closing: None,
        }
    }

    /// The definition that the file gives a process.
    pub(crate) fn in_file(&self, process: usize) -> Option<&Spec> {
        self.places.listed[process].map(|place| &self.wish.specs[place])
    }

    /// The definition that a process is wanted by: that of the file, unless it was put back.
    pub(crate) fn spec(&self, process: usize) -> Option<&Spec> {
        let in_file = self.in_file(process)?;
        Some(self.processes[process].put_back.as_ref().map_or(in_file, |put_back| &*put_back.in_force))
    }

    /// The runs of a process that are not known to be gone, oldest first.
    pub(crate) fn runs_of(&self, process: usize) -> impl DoubleEndedIterator<Item = &Run> + Clone {
        self.runs.iter().filter(move |run| run.process == process)
    }

    pub(crate) fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// Takes a wish: a generation of its own only if it differs from the one before.
    pub(crate) fn want(&mut self, wish: &Wish) {
        if self.closing.is_some() || (self.generation > 0 && *wish == self.wish) {
            return;
        }
        self.generation += 1;
        self.remember_before_roll(wish);
        let programs =
            |facts: &Facts| std::array::from_fn::<_, MOST, _>(|process| facts.spec(process).map(|spec| spec.exec.clone()));
        let former_programs = programs(self);
        for process in 0..MOST {
            if self.in_file(process) != wish.spec(process) {
                self.processes[process].put_back = None;
                self.processes[process].causes += 1;
            }
        }
        let before = std::mem::replace(&mut self.wish, wish.clone());
        let former = std::mem::replace(&mut self.places, Places::of(wish));
        self.keep_order(&former);
        for (process, (old, new)) in former_programs.into_iter().zip(programs(self)).enumerate() {
            if old.is_some() && new.is_some() && old != new {
                // Another program has a time to get ready of its own.
                self.processes[process].trying_since = None;
            }
        }
        for process in 0..MOST {
            let (old, new) = (before.spec(process), wish.spec(process));
            self.doubt(process);
            let Some(new) = new else {
                let sockets = self.processes[process].sockets.take();
                let causes = self.processes[process].causes;
                self.processes[process] = Process { causes, sockets, ..Process::default() };
                self.forgive(process);
                continue;
            };
            if new.enabled || self.processes[process].started.as_ref() == Some(new) {
                self.take_place(process);
            }
            let lifted = self.processes[process].stopped.take_if(|stopped| stopped != new).is_some();
            let was_started = self.processes[process].started.is_some();
            self.processes[process].started.take_if(|started| started != new);
            let enabled = new.enabled || self.processes[process].started.is_some();
            let now_enabled = old.is_none_or(|old| !old.enabled && new.enabled);
            let added = now_enabled && !was_started;
            if added || !enabled {
                self.processes[process].new = true;
            }
            if now_enabled || lifted || !enabled {
                self.forgive(process);
            }
        }
    }

    /// What runs as it is wanted gets its place in the file.
    pub(crate) fn take_place(&mut self, process: usize) {
        let Some(exec) = self.spec(process).map(|spec| spec.exec.clone()) else { return };
        let runs = self.runs.iter_mut().filter(|run| run.process == process && run.undisturbed());
        for run in runs.filter(|run| run.spec.exec == exec) {
            run.waits = self.places.waits[process];
        }
    }

    /// The same for everything that is to run, when other definitions are in force.
    pub(crate) fn take_places(&mut self) {
        (0..MOST).filter(|&process| self.enabled(process)).collect::<Vec<_>>().into_iter().for_each(|one| self.take_place(one));
    }

    /// Takes an order by hand.
    pub(crate) fn order(&mut self, now: Time, order: &Order) {
        let process = match order {
            Order::Start(name) | Order::Stop(name) | Order::Restart(name) | Order::RestartStopFirst(name) => number(name),
            Order::Retry => {
                for process in 0..MOST {
                    self.processes[process].causes += 1;
                    self.try_again(process);
                }
                return;
            }
            Order::Shutdown => {
                self.closing.get_or_insert((now, false));
                return;
            }
            Order::Hurry => {
                self.closing.get_or_insert((now, true)).1 = true;
                return;
            }
        };
        self.processes[process].causes += 1;
        self.try_again(process);
        let Some(spec) = self.spec(process).cloned() else { return };
        let by_hand = (!spec.enabled && !matches!(order, Order::Stop(_))).then(|| spec.clone());
        self.processes[process].started = by_hand;
        match order {
            Order::Stop(_) => {
                self.processes[process].new |= !spec.enabled;
                self.processes[process].stopped = Some(spec);
                self.forgive(process);
            }
            Order::Restart(_) | Order::RestartStopFirst(_) if self.runs_of(process).any(Run::undisturbed) => {
                self.processes[process].stopped = None;
                let stop_first = matches!(order, Order::RestartStopFirst(_));
                for run in self.runs.iter_mut().filter(|run| run.process == process && run.undisturbed()) {
                    run.asked = Some(Asked { why: Why::RestartedByHand, stop_first });
                }
            }
            _ => {
                self.processes[process].stopped = None;
                if matches!(order, Order::Start(_)) {
                    self.take_place(process);
                }
                if !self.runs_of(process).any(Run::undisturbed) {
                    self.forgive(process);
                }
            }
        }
    }

    /// What follows a process has a reason to be started again: that is replaced.
    fn cause_others(&mut self, process: usize) {
        for other in 0..MOST {
            let follows = self.places.needs[other].iter().any(|need| need.on == process && need.restart);
            self.processes[other].causes += u32::from(follows);
        }
    }

    /// Another definition may ask for more before a process counts as healthy.
    pub(crate) fn doubt(&mut self, process: usize) {
        self.processes[process].past.iter_mut().for_each(|past| past.proven = false);
    }

    /// Nothing that happened counts against a process any more.
    fn forgive(&mut self, process: usize) {
        if let Some(past) = &mut self.processes[process].past {
            past.streak = None;
        }
        for run in self.runs.iter_mut().filter(|run| run.process == process && !run.undisturbed()) {
            run.forgiven = true;
        }
    }

    /// Takes news of a run; of one that is unknown or gone, or of what is known already, there is nothing to take.
    pub(crate) fn news(&mut self, now: Time, news: &Event) {
        match news {
            Event::Wanted(_)
            | Event::Order(_)
            | Event::Reloaded { .. }
            | Event::NextDate { .. }
            | Event::Socket { .. }
            | Event::SocketsKept { .. }
            | Event::Listens { .. }
            | Event::KillRefused { .. }
            | Event::MainChanged { .. } => {}
            Event::Held { name, listeners, refusal } => self.held(now, number(name), listeners, refusal.is_some()),
            Event::NotDrained { run, .. } => {
                if let Some(until) = self.run_mut(*run).and_then(|run| run.drain.as_mut()) {
                    *until = now.min(*until);
                }
            }
            Event::Spawned { run, .. } => {
                if let Some(run) = self.run_mut(*run).filter(|run| run.up.is_none()) {
                    run.up = Some(now);
                    run.ready = (!run.spec.has_readiness()).then_some(now);
                    run.was_ready = run.ready.is_some();
                    let (process, spec) = (run.process, run.spec.clone());
                    self.had_by_start(process, &spec);
                }
            }
            Event::Ready { run } => {
                if let Some(run) = self.at_work(*run) {
                    run.ready.get_or_insert(now);
                    run.was_ready = true;
                }
            }
            Event::Unready { run, .. } => {
                if let Some(run) = self.at_work(*run).filter(|run| run.spec.has_readiness())
                    && let Some(since) = run.ready.take()
                {
                    run.ready_for = run.ready_for.max(now.since(since));
                }
            }
            Event::Unhealthy { run, .. } => {
                if let Some(run) = self.at_work(*run).filter(|run| run.spec.liveness.is_some() && run.was_ready) {
                    run.unhealthy = true;
                }
            }
            Event::Content { name, content } => self.look(now, number(name), content),
            Event::Exited { run, status } => {
                let Some(run) = self.run_mut(*run).filter(|run| run.exit.is_none()) else { return };
                run.up.get_or_insert(now);
                run.exit = Some((status.clone(), now));
                let is_done = run.spec.exec.kind == ProcessKind::Task && status.is_success(&run.spec);
                let (id, by_itself) = (run.id, run.stop.is_none());
                if by_itself && !is_done {
                    let _ = self.fail_trial(now, id);
                }
            }
            Event::NotSpawned { run, why } => {
                if self.run(*run).is_some_and(|run| run.up.is_none()) {
                    let status = ExitStatus::NotStarted(why.clone());
                    if !self.has_time_for_room(now, *run, &status) {
                        let _ = self.fail_trial(now, *run);
                    }
                    self.end(now, *run, Some(status));
                }
            }
            Event::Gone { run } => {
                if self.run(*run).is_some_and(Run::undisturbed) {
                    let _ = self.fail_trial(now, *run);
                }
                self.end(now, *run, None);
            }
        }
    }

    /// A run that is up, and neither going nor at its end.
    fn at_work(&mut self, id: RunId) -> Option<&mut Run> {
        self.run_mut(id).filter(|run| run.up.is_some() && run.undisturbed())
    }

    /// Takes what the files of a process contain, if these are still the ones that it watches.
    fn look(&mut self, now: Time, process: usize, content: &Content) {
        let in_file = self.in_file(process).is_some_and(|spec| spec.watch == content.watch);
        let Some(spec) = self.spec(process).filter(|spec| spec.watch == content.watch).cloned() else {
            return self.look_apart(process, content, in_file);
        };
        let mut changed = false;
        let known = &mut self.processes[process];
        if known.files.as_ref().is_some_and(|files| files.watch == content.watch && files.files != content.files) {
            known.watch_restarts.files_changed(now);
            changed = true;
        }
        known.files = Some(content.clone());
        let runs = self.runs.iter_mut().filter(|run| run.process == process).map(|run| (&run.spec, &mut run.read));
        let past = known.past.as_mut().map(|past| (&past.spec, &mut past.read));
        for (_, read) in runs.chain(past).filter(|(read_by, _)| read_by.exec == spec.exec) {
            let former = read.take();
            let mut all = content.clone();
            for (path, now) in &mut all.files {
                // A file that is looked at for the first time is as it was read.
                *now = former.as_ref().and_then(|former| former.files.get(path)).copied().unwrap_or(*now);
            }
            *read = Some(all);
        }
        if changed {
            self.processes[process].causes += 1;
        }
        if changed && in_file {
            self.try_again(process);
        }
    }

    fn end(&mut self, now: Time, id: RunId, refused: Option<ExitStatus>) {
        let Some(place) = self.runs.iter().position(|run| run.id == id) else { return };
        let run = self.runs.remove(place);
        if self.spec(run.process).is_none() {
            return;
        }
        let last = !self.runs_of(run.process).any(Run::undisturbed);
        let process = &mut self.processes[run.process];
        let by_itself = !run.forgiven && (run.failing() || (run.stop.is_none() && run.exit.is_none()));
        let (status, at) = run.exit.clone().unwrap_or((ExitStatus::Lost, now));
        let status = refused.unwrap_or(status);
        let streak = streak_after(process.past.as_ref(), &run, at);
        // How its newest run ended counts, or how one failed that was there beside it.
        let newer = process.past.as_ref().is_some_and(|past| past.run > id);
        let failed = process.past.as_ref().is_some_and(|past| past.streak.is_some() && past.at > run.begun);
        if by_itself || (last && !newer && !failed) {
            let streak = by_itself.then_some(streak);
            let why = run.stop.map(|(_, why)| why);
            process.past = Some(Past { run: id, spec: run.spec, status, at, why, streak, read: run.read, proven: false });
        }
    }

    /// Takes an action of the engine: with why it ought to have been taken if it is a stop, and whether it says that what
    /// it starts replaces what ran before, and is started for files that changed. Answers whether something is put back for it.
    pub(crate) fn act(&mut self, now: Time, action: &Action, why: Option<Why>, (replaces, for_files): (bool, bool)) -> bool {
        let mut is_put_back = false;
        if let Some(process) =
            action.run().and_then(|run| self.run(run)).map(|run| run.process).filter(|_| why.is_some_and(Why::replaces))
        {
            self.cause_others(process);
        }
        match action {
            Action::Spawn { run, spec, after } => {
                let process = number(&spec.name);
                let trial = self.begin_trial(now, process);
                self.processes[process].new = false;
                // What it needs holds, perhaps since an action of the same step.
                self.processes[process].due_since.get_or_insert(now);
                if for_files {
                    self.processes[process].watch_restarts.count(now);
                }
                if rest(self, process) == Rest::Fresh
                    && let Some(past) = &mut self.processes[process].past
                {
                    past.streak = None;
                }
                let read = self.processes[process].files.clone().filter(|files| files.watch == spec.watch);
                self.last_run = *run;
                if replaces {
                    self.processes[process].replacement = Some(*run);
                    self.cause_others(process);
                }
                self.runs.push(Run {
                    id: *run,
                    process,
                    spec: spec.clone(),
                    begun: now,
                    after: *after,
                    taken_over: *run,
                    bound: (*run, now),
                    up: None,
                    ready: None,
                    was_ready: false,
                    ready_for: Duration::ZERO,
                    unhealthy: false,
                    read,
                    stop: None,
                    drain: None,
                    told: None,
                    rest_stop: None,
                    killed: None,
                    exit: None,
                    reported: false,
                    asked: None,
                    causes: self.processes[process].causes,
                    trial,
                    forgiven: false,
                    waits: self.places.waits[process],
                });
            }
            Action::Update { run, spec } => self.update(now, *run, spec),
            Action::Reload { run, .. } => {
                let files = self.run(*run).and_then(|run| self.processes[run.process].files.clone());
                if let Some(run) = self.run_mut(*run) {
                    run.read = files;
                }
            }
            Action::Stop { run, .. } => {
                if why.is_some_and(Why::fails) {
                    is_put_back = self.fail_trial(now, *run);
                }
                if let Some(run) = self.run_mut(*run) {
                    (run.stop, run.drain, run.told) = (run.stop.or(why.map(|why| (now, why))), None, Some(now));
                }
            }
            Action::Drain { run, .. } => {
                if let Some(run) = self.run_mut(*run) {
                    run.stop = why.map(|why| (now, why));
                    run.drain = run.spec.stop.drain.as_ref().map(|drain| now + drain.timeout);
                }
            }
            Action::Hold { name, listeners } => self.hold(number(name), listeners),
            Action::StopRest { run, .. } => {
                if let Some(run) = self.run_mut(*run) {
                    run.rest_stop = Some(now);
                }
            }
            Action::Kill { run } => {
                if let Some(run) = self.run_mut(*run) {
                    run.killed = Some(now);
                    if run.exit.is_none() && run.stop.is_none() {
                        (run.stop, run.told) = (why.map(|why| (now, why)), Some(now));
                    }
                }
            }
        }
        is_put_back
    }

    /// A run takes over another definition in place.
    fn update(&mut self, now: Time, id: RunId, spec: &Arc<Spec>) {
        let newest = self.last_run;
        if let Some(run) = self.run_mut(id) {
            if run.spec.liveness != spec.liveness {
                run.unhealthy = false;
            }
            if run.up.is_some() && !spec.has_readiness() {
                run.ready.get_or_insert(now);
                run.was_ready = true;
            }
            run.spec = spec.clone();
            run.taken_over = newest;
            let process = run.process;
            self.doubt(process);
        }
    }

    /// Takes what was reported of a run that isn't known from actions.
    pub(crate) fn report(&mut self, report: &Report) {
        let Report::Process(transition) = report else { return };
        if matches!(transition.what, TransitionKind::Survives(_))
            && let Some(run) = transition.run.and_then(|run| self.run_mut(run))
        {
            run.reported = true;
        }
    }

    /// Whether more, or something else, is known than before: of runs and of what was ordered.
    pub(crate) fn differs(&self, before: &Facts) -> bool {
        let known = |facts: &Facts| {
            let told = |run: &Run| (run.ready, run.unhealthy, run.drain, run.read.clone());
            let runs = facts.runs.iter().map(|run| (run.id, run.up, run.exit.clone(), told(run)));
            let processes = facts.processes.each_ref();
            let sockets = processes.map(|process| process.sockets.as_ref().map(|sockets| (sockets.state, sockets.refusals)));
            (runs.collect::<Vec<_>>(), processes.map(|process| process.files.clone()), sockets)
        };
        known(self) != known(before)
    }

    /// The longest that one thing after another may take in a kind world.
    pub(crate) fn patience(&self) -> Duration {
        let each = Duration::from_mins(1);
        each * 2 + each * u32::try_from(self.wish.specs.len()).unwrap_or(0)
    }
}

/// The ends in a row with this one, and whether the first of them followed healthy running.
pub(crate) fn streak_after(past: Option<&Past>, run: &Run, at: Time) -> (u32, bool) {
    let told = run.stop.map_or(at, |(told, _)| told.min(at));
    let ready_for = run.ready.map_or(run.ready_for, |since| told.since(since).max(run.ready_for));
    let healthy = run.was_ready && ready_for >= run.spec.backoff.reset_after;
    match past.filter(|past| past.spec.exec == run.spec.exec).and_then(|past| past.streak) {
        _ if healthy => (1, true),
        None => (1, false),
        Some((length, after_health)) => (length + 1, after_health),
    }
}
