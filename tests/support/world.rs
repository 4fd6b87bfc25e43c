//! A world in virtual time around an engine: it performs what the engine asks for, as the script says that it goes.
//!
//! Where the script says nothing, everything goes well and takes no time: programs start, probes pass, tasks complete, and
//! what is told to stop goes. Time jumps from event to event. It decides nothing and writes nothing.

use super::script::{Habit, Happening, Run, Written};
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Content, Event, ExitStatus, Pid, Refusal, RunId, StopBy};
use reconcile::socket::Listener;
use reconcile::spec::{ProcessKind, Signal, Spec};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many steps may follow one another at one moment before that counts as going round in circles.
const STEPS_AT_ONCE: usize = 1_000;

/// An engine, and the world that it acts on: an empty host at first.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    wake_at: Option<Time>,
    /// News to come, in order; the number keeps apart what comes at the same time.
    coming: BTreeMap<(Time, u64), Event>,
    count: u64,
    habits: BTreeMap<Name, Habits>,
    /// Files that have another content than at first.
    files: BTreeMap<String, u64>,
    /// What was last told of the files that each process watches.
    told: BTreeMap<Name, Content>,
}

/// Each `None` and each zero is what goes well.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that goes wrong by itself; together they make any world")]
struct Habits {
    fails_to_start: bool,
    never_answers_start: bool,
    start_takes: Duration,
    never_ready: bool,
    ready_takes: Duration,
    flaps: Option<Duration>,
    unreloadable: bool,
    ends_after: Option<(Duration, ExitStatus)>,
    lives_on: bool,
    lacks_sockets: bool,
    can_not_drain: bool,
    ignores_drain: bool,
    drain_takes: Duration,
    ignores_stop: bool,
    stop_takes: Duration,
    survives_kill: bool,
    leaves_children: bool,
}

impl World {
    /// Gives the engine some news now, and tells `seen` of each step that follows at this moment.
    pub(crate) fn news(&mut self, news: impl IntoIterator<Item = Event>, mut seen: impl FnMut(&World, &StepOutcome)) {
        self.step(news.into_iter().collect(), &mut seen);
        self.play_moment(&mut seen);
    }

    /// Lets time pass until `end`.
    pub(crate) fn pass_until(&mut self, end: Time, mut seen: impl FnMut(&World, &StepOutcome)) {
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = at;
            let news = self.arrived();
            self.step(news, &mut seen);
            self.play_moment(&mut seen);
        }
        self.now = self.now.max(end);
    }

    /// When something happens next, if nothing is said before.
    pub(crate) fn next(&self) -> Option<Time> {
        let news = self.coming.keys().next().map(|(at, _)| *at);
        news.into_iter().chain(self.wake_at).min()
    }

    /// Changes how every run of a process behaves.
    pub(crate) fn habit(&mut self, name: Name, habit: Habit) {
        let habits = self.habits.entry(name).or_default();
        match habit {
            Habit::FailsToStart => habits.fails_to_start = true,
            Habit::Starts => habits.fails_to_start = false,
            Habit::StartTakes(time) => {
                habits.never_answers_start = time.is_none();
                habits.start_takes = time.unwrap_or_default();
            }
            Habit::ReadyTakes(time) => {
                habits.never_ready = time.is_none();
                habits.ready_takes = time.unwrap_or_default();
            }
            Habit::Flaps(time) => habits.flaps = Some(time),
            Habit::Unreloadable => habits.unreloadable = true,
            Habit::EndsAfter(time, status) => (habits.ends_after, habits.lives_on) = (Some((time, status)), false),
            Habit::LivesOn => (habits.ends_after, habits.lives_on) = (None, true),
            Habit::GetsSockets(gets) => habits.lacks_sockets = !gets,
            Habit::DrainTakes(time) => {
                habits.can_not_drain = time.is_none();
                habits.drain_takes = time.unwrap_or_default();
            }
            Habit::IgnoresDrain(ignores) => habits.ignores_drain = ignores,
            Habit::Ignores(ignores) => habits.ignores_stop = ignores,
            Habit::StopTakes(time) => habits.stop_takes = time,
            Habit::SurvivesKill => habits.survives_kill = true,
            Habit::LeavesChildren => habits.leaves_children = true,
        }
    }

    /// Lets everything go well from now on.
    pub(crate) fn forget_habits(&mut self) {
        self.habits.clear();
    }

    /// The news of something that happens to a run.
    pub(crate) fn happening(&self, run: &Run, happening: Happening) -> Result<Vec<Event>, String> {
        let (run, name) = match run {
            Run::Number(run) => (*run, self.engine.observed().run(*run).map(|run| run.spec.name.clone())),
            Run::Newest(name) => {
                let newest = self.engine.observed().processes().get(name).and_then(|process| process.runs.last());
                (newest.ok_or_else(|| format!("nothing of `{name}` runs"))?.id, Some(name.clone()))
            }
        };
        let leaves_children = name.and_then(|name| self.habits.get(&name)).is_some_and(|habits| habits.leaves_children);
        Ok(match happening {
            Happening::Starts => vec![spawned(run)],
            Happening::Ready => vec![Event::Ready { run }],
            Happening::Unready => vec![unready(run)],
            Happening::Unhealthy => vec![Event::Unhealthy { run, why: "no answer".to_owned() }],
            Happening::Ends(status) if leaves_children => vec![Event::Exited { run, status }],
            Happening::Ends(status) => vec![Event::Exited { run, status }, Event::Gone { run }],
            Happening::Gone => self.end(run, ExitStatus::Signal(Signal::KILL)),
        })
    }

    /// Writes a file; the news of it for everybody who watches it.
    pub(crate) fn write(&mut self, path: String, written: Written) -> Vec<Event> {
        match written {
            Written::Something => *self.files.entry(path).or_default() += 1,
            Written::AtFirst => drop(self.files.remove(&path)),
        }
        self.look()
    }

    /// What has not been told yet of the files that are watched.
    fn look(&mut self) -> Vec<Event> {
        let mut news = Vec::new();
        for entry in self.engine.desired().entries().iter().filter(|entry| !entry.spec.watch.is_empty()) {
            let name = &entry.spec.name;
            let files = entry.spec.watch.iter().map(|path| path.value().to_owned());
            let files = files.map(|path| (self.files.get(&path).copied().unwrap_or_default(), path)).map(|(is, path)| (path, is));
            let content = Content { watch: entry.spec.watch.clone(), files: files.collect() };
            if self.told.get(name) != Some(&content) {
                self.told.insert(name.clone(), content.clone());
                news.push(Event::Content { name: name.clone(), content });
            }
        }
        self.told.retain(|name, _| self.engine.desired().get(name).is_some_and(|entry| !entry.spec.watch.is_empty()));
        news
    }

    /// Plays everything that takes no time.
    fn play_moment(&mut self, seen: &mut impl FnMut(&World, &StepOutcome)) {
        for _ in 0..STEPS_AT_ONCE {
            if self.next().is_none_or(|at| at > self.now) {
                return;
            }
            let news = self.arrived();
            self.step(news, seen);
        }
        panic!("at {}: no rest after {STEPS_AT_ONCE} steps", self.now);
    }

    fn arrived(&mut self) -> Vec<Event> {
        let later = self.coming.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.coming, later).into_values().collect()
    }

    fn step(&mut self, news: Vec<Event>, seen: &mut impl FnMut(&World, &StepOutcome)) {
        for event in &news {
            self.flap(event);
        }
        let wanted = news.iter().any(|event| matches!(event, Event::Wanted(_)));
        let gone: Vec<RunId> =
            news.iter().filter_map(|event| if let Event::Gone { run } = event { Some(*run) } else { None }).collect();
        let outcome = self.engine.step(self.now, news);
        self.wake_at = outcome.wake_at;
        assert!(self.engine.plan(self.now).steps.is_empty(), "at {}: planned again, it would do more", self.now);
        // What is gone has nothing more to say.
        self.coming.retain(|_, event| event.run().is_none_or(|run| !gone.contains(&run)));
        seen(self, &outcome);
        if wanted {
            self.look().into_iter().for_each(|event| self.come(Duration::ZERO, event));
        }
        for action in &outcome.actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: &Action) {
        match action {
            Action::Spawn { run, spec, .. } => self.spawn(*run, spec),
            Action::Hold { name, listeners } => {
                let lacks = self.habits.get(name).is_some_and(|habits| habits.lacks_sockets);
                let refusal = listeners.first().filter(|_| lacks).map(in_use);
                let event = Event::Held { name: name.clone(), listeners: listeners.clone(), refusal };
                self.come(Duration::ZERO, event);
            }
            Action::Drain { run, .. } => self.drain(*run),
            Action::Update { .. } => {}
            Action::Reload { run, .. } => {
                let unreloadable = self.habits_of(*run).is_some_and(|habits| habits.unreloadable);
                let failure = unreloadable.then(|| "no such process".to_owned());
                self.come(Duration::ZERO, Event::Reloaded { run: *run, failure });
            }
            Action::Stop { run, by: StopBy::Signal(signal) | StopBy::Command(_, signal), .. }
            | Action::StopRest { run, signal } => {
                let habits = self.habits_of(*run);
                if !habits.is_some_and(|habits| habits.ignores_stop) {
                    let takes = habits.map_or(Duration::ZERO, |habits| habits.stop_takes);
                    for event in self.end(*run, ExitStatus::Signal(*signal)) {
                        self.come(takes, event);
                    }
                }
            }
            Action::Kill { run } => {
                if !self.habits_of(*run).is_some_and(|habits| habits.survives_kill) {
                    for event in self.end(*run, ExitStatus::Signal(Signal::KILL)) {
                        self.come(Duration::ZERO, event);
                    }
                }
            }
        }
    }

    fn drain(&mut self, run: RunId) {
        let none = Habits::default();
        let habits = self.habits_of(run).unwrap_or(&none);
        let takes = habits.drain_takes;
        if habits.can_not_drain {
            self.come(Duration::ZERO, Event::NotDrained { run, why: "exit status 1".to_owned() });
        } else if !habits.ignores_drain {
            for event in self.end(run, ExitStatus::Code(0)) {
                self.come(takes, event);
            }
        }
    }

    fn spawn(&mut self, run: RunId, spec: &Spec) {
        let none = Habits::default();
        let habits = self.habits.get(&spec.name).unwrap_or(&none);
        if habits.never_answers_start {
            return;
        }
        let takes = habits.start_takes;
        if habits.fails_to_start {
            let why = Refusal::FileNotFound { command: spec.exec.command.shown().to_owned() };
            return self.come(takes, Event::NotSpawned { run, why });
        }
        if let Some(listener) = spec.exec.sockets.first().filter(|_| habits.lacks_sockets) {
            return self.come(takes, Event::NotSpawned { run, why: in_use(listener) });
        }
        let ready = Some(habits.ready_takes).filter(|_| spec.has_readiness() && !habits.never_ready);
        let task =
            Some((Duration::ZERO, ExitStatus::Code(0))).filter(|_| spec.exec.kind == ProcessKind::Task && !habits.lives_on);
        let end = habits.ends_after.clone().or(task);
        let leaves_children = habits.leaves_children;
        self.come(takes, spawned(run));
        if let Some(ready) = ready {
            self.come(takes + ready, Event::Ready { run });
        }
        if let Some((after, status)) = end {
            self.come(takes + after, Event::Exited { run, status });
            if !leaves_children {
                self.come(takes + after, Event::Gone { run });
            }
        }
    }

    /// Follows what a probe that flaps has told by the opposite.
    fn flap(&mut self, event: &Event) {
        let (run, next) = match event {
            Event::Ready { run } => (*run, unready(*run)),
            Event::Unready { run, .. } => (*run, Event::Ready { run: *run }),
            _ => return,
        };
        if let Some(time) = self.habits_of(run).and_then(|habits| habits.flaps) {
            self.come(time, next);
        }
    }

    /// The end of a whole tree; its leader may have ended before.
    fn end(&self, run: RunId, status: ExitStatus) -> Vec<Event> {
        let ended = self.engine.observed().run(run).is_some_and(|run| run.exit.is_some());
        let exited = Some(Event::Exited { run, status }).filter(|_| !ended);
        exited.into_iter().chain([Event::Gone { run }]).collect()
    }

    fn habits_of(&self, run: RunId) -> Option<&Habits> {
        self.habits.get(&self.engine.observed().run(run)?.spec.name)
    }

    fn come(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.coming.insert((self.now + after, self.count), event);
    }
}

fn in_use(listener: &Listener) -> Refusal {
    Refusal::Listen { address: listener.shown.to_string(), why: "address in use".to_owned() }
}

fn unready(run: RunId) -> Event {
    Event::Unready { run, why: "connection refused".to_owned() }
}

/// A leader has the number of its run, so that traces read easily.
fn spawned(run: RunId) -> Event {
    Event::Spawned { run, pid: Pid(u32::try_from(run.0).unwrap_or(u32::MAX)) }
}
