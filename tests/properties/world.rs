//! A host that never was: it performs actions in virtual time, hostile at first, then kind, and tells what comes of them.
//!
//! Hostile, programs crash, don't start, ignore their signals, leave processes behind and survive being killed for a
//! while, probes fail and pass again, files change, and news comes late, twice, or after it ceased to matter. Kind, everything
//! does what it is meant to. It knows nothing of what is wanted.

use crate::dice::Dice;
use crate::history::Op;
use crate::news::{End, News, Trouble};
use crate::wishes::{FILES, MOST, Wish, number, socket_number};
use reconcile::event::{Action, Event, RunId};
use reconcile::socket::Listener;
use reconcile::spec::{ProcessKind, Signal, Spec};
use reconcile::time::Time;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// The host.
pub(crate) struct World {
    seed: u64,
    kind: bool,
    trees: BTreeMap<RunId, Tree>,
    /// How many runs each process has had.
    counts: [u64; MOST],
    agenda: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    happenings: u64,
    /// What the files of each process contain.
    files: [[u64; 2]; MOST],
    /// Which of them are watched for it.
    watched: [[bool; 2]; MOST],
    /// No news of them may overtake what was told before.
    files_told_until: [Time; MOST],
    sockets_told_until: [Time; MOST],
    /// News that has come, for it to come once more.
    told: Vec<Event>,
}

/// What one run amounts to.
struct Tree {
    process: usize,
    dice: Dice,
    task: bool,
    left: Left,
    asked: Asked,
    /// It gets ready some time.
    ready: bool,
    /// No news of it may overtake what was told before.
    told_until: Time,
}

/// What is left of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    All,
    /// What a leader that ended left behind.
    Orphans,
    /// Nothing, or it was never started.
    Nothing,
}

/// What a run was asked to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Drain,
    Stop,
    Kill,
}

/// What is going to happen by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The news arrives.
    Told(News),
    /// The leader ends.
    Ends(RunId, End),
    /// Everything ends.
    Vanishes(RunId),
}

impl World {
    /// A hostile host on which nothing runs.
    pub(crate) fn new(seed: u64) -> World {
        World {
            seed,
            kind: false,
            trees: BTreeMap::new(),
            counts: [0; MOST],
            agenda: BinaryHeap::new(),
            happenings: 0,
            files: [[0; 2]; MOST],
            watched: [[false; 2]; MOST],
            files_told_until: [Time::ZERO; MOST],
            sockets_told_until: [Time::ZERO; MOST],
            told: Vec::new(),
        }
    }

    /// When something happens next by itself.
    pub(crate) fn next(&self) -> Option<Time> {
        self.agenda.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets everything happen that happens until `now`, and gives the news of it.
    pub(crate) fn news(&mut self, now: Time) -> Vec<Event> {
        let mut news = Vec::new();
        while let Some(Reverse((at, ..))) = self.agenda.peek()
            && *at <= now
            && let Some(Reverse((_, _, happening))) = self.agenda.pop()
        {
            match happening {
                Happening::Told(told) => {
                    let event = told.event();
                    self.told.push(event.clone());
                    news.push(event);
                }
                Happening::Ends(run, end) => self.end(now, run, end),
                Happening::Vanishes(run) => self.vanish(now, run),
            }
        }
        news
    }

    /// Performs an action.
    pub(crate) fn perform(&mut self, now: Time, action: &Action) {
        match action {
            Action::Spawn { run, spec, after } => self.spawn(now, *run, spec, *after),
            Action::Stop { run, .. } | Action::StopRest { run, .. } => self.stop(now, *run),
            Action::Hold { name, listeners } => self.hold(now, number(name), listeners),
            Action::Drain { run, .. } => self.drain(now, *run),
            Action::Update { .. } => {}
            Action::Reload { run, .. } => self.reload(now, *run),
            Action::Kill { run } => self.kill(now, *run),
        }
    }

    /// How many trees of a process live, whatever has been told of them.
    pub(crate) fn living(&self, process: usize) -> usize {
        self.trees.values().filter(|tree| tree.process == process && tree.left != Left::Nothing).count()
    }

    /// Somebody does something to a process, or to a file that it may watch.
    pub(crate) fn undergo(&mut self, now: Time, op: &Op) {
        match *op {
            Op::Write(process, file, content) => {
                self.files[process][file] = content;
                if self.watched[process][file] {
                    self.tell_files(now, process);
                }
            }
            Op::Crash(process) | Op::Lapse(process) | Op::Recover(process) | Op::Sicken(process) => {
                let Some(run) = self.newest(process) else { return };
                match op {
                    Op::Lapse(_) => self.tell(now, run, News::Unready(run)),
                    Op::Recover(_) => self.tell(now, run, News::Ready(run)),
                    Op::Sicken(_) => self.tell(now, run, News::Unhealthy(run)),
                    _ => self.end(now, run, End::Signal(Signal("SEGV"))),
                }
            }
            _ => {}
        }
    }

    /// Whoever watches files is told for whom, and has a look where that is new.
    pub(crate) fn watch(&mut self, now: Time, wish: &Wish) {
        for process in 0..MOST {
            let names = |path: &str| wish.spec(process).is_some_and(|spec| spec.watch.iter().any(|one| one.value() == path));
            let watched = FILES.map(names);
            if std::mem::replace(&mut self.watched[process], watched) != watched && watched.contains(&true) {
                self.tell_files(now, process);
            }
        }
    }

    /// Tells what the watched files of a process contain, sometimes late.
    fn tell_files(&mut self, now: Time, process: usize) {
        let mut dice = Dice::of(&[self.seed, process as u64, self.happenings]);
        let late = if !self.kind && dice.chance(12) { dice.pick(&[200, 4_000]) } else { 0 };
        let at = self.files_told_until[process].max(now + millis(late));
        // Hardly ever, what is seen later is told before.
        if self.kind || late == 0 || dice.chance(50) {
            self.files_told_until[process] = at;
        }
        let seen = [0, 1].map(|file| self.watched[process][file].then_some(self.files[process][file]));
        self.happens(at, Happening::Told(News::Content(process, seen)));
    }

    /// The newest run of a process whose leader lives.
    fn newest(&self, process: usize) -> Option<RunId> {
        let mut runs = self.trees.iter().rev();
        runs.find(|(_, tree)| tree.process == process && tree.left == Left::All).map(|(run, _)| *run)
    }

    /// News that came before, once more.
    pub(crate) fn echo(&self, which: u64) -> Option<Event> {
        let which = usize::try_from(which).unwrap_or(0).checked_rem(self.told.len())?;
        // Rather what came lately.
        self.told.get(self.told.len() - 1 - which.min(which % 8)).cloned()
    }

    /// From now on everything does what it is meant to.
    pub(crate) fn turn_kind(&mut self, now: Time) {
        self.kind = true;
        let soon = now + millis(100);
        let mut agenda: Vec<_> = std::mem::take(&mut self.agenda).into_iter().collect();
        agenda.retain(|Reverse((_, _, happening))| match happening {
            Happening::Ends(run, _) => self.trees.get(run).is_some_and(|tree| tree.asked != Asked::Nothing || tree.task),
            Happening::Told(_) | Happening::Vanishes(_) => true,
        });
        // Those that are already on their way keep their order among them.
        self.agenda = agenda.into_iter().map(|Reverse((at, count, what))| Reverse((at.min(soon), count, what))).collect();
        for process in 0..MOST {
            self.sockets_told_until[process] = soon + millis(1);
            self.files_told_until[process] = soon + millis(1);
            if self.watched[process].contains(&true) {
                self.tell_files(soon, process);
            }
        }
        let runs: Vec<RunId> = self.trees.keys().copied().collect();
        for run in runs {
            let tree = &self.trees[&run];
            let task = tree.task;
            match (tree.left, tree.asked) {
                // What a leader left behind is told to stop as soon as its end is known.
                (Left::Nothing, _) | (Left::Orphans, Asked::Nothing | Asked::Drain) => {}
                (_, Asked::Kill) | (Left::Orphans, Asked::Stop) => self.happens(soon, Happening::Vanishes(run)),
                (Left::All, Asked::Drain | Asked::Stop) => self.happens(soon, Happening::Ends(run, End::Signal(Signal::TERM))),
                (Left::All, Asked::Nothing) => {
                    // Whatever was told of it, its probe passes.
                    self.happens(soon + millis(1), Happening::Told(News::Ready(run)));
                    if task {
                        self.happens(soon + millis(2), Happening::Ends(run, End::Code(0)));
                    }
                }
            }
        }
    }

    /// Whatever comes after another start is told after it, too.
    fn spawn(&mut self, now: Time, run: RunId, spec: &Spec, after: Option<RunId>) {
        let process = number(&spec.name);
        self.counts[process] += 1;
        let mut dice = Dice::of(&[self.seed, process as u64, self.counts[process]]);
        let task = spec.exec.kind == ProcessKind::Task;
        let before = after.and_then(|after| self.trees.get(&after)).map_or(now, |tree| tree.told_until);
        let up = before.max(now) + self.latency(&mut dice);
        let mut troubles = vec![Trouble::Missing, Trouble::NoRoom];
        if !spec.exec.sockets.is_empty() {
            troubles.push(Trouble::NoSocket);
        }
        let refused = !self.kind && dice.chance(10);
        let told = if self.is_late(&mut dice) { up + millis(4_000) } else { up };
        let mut tree = Tree {
            process,
            task,
            left: if refused { Left::Nothing } else { Left::All },
            asked: Asked::Nothing,
            ready: false,
            told_until: told,
            dice: dice.clone(),
        };
        if refused {
            self.happens(told, Happening::Told(News::NotSpawned(run, dice.pick(&troubles))));
            self.trees.insert(run, tree);
            return;
        }
        self.happens(told, Happening::Told(News::Spawned(run)));
        tree.ready = self.kind || !dice.chance(15);
        if tree.ready {
            let after = if self.kind { 1 } else { dice.pick(&[0, 0, 10, 400, 3_000]) };
            self.happens(told + millis(after), Happening::Told(News::Ready(run)));
        }
        self.trees.insert(run, tree);
        if !self.kind {
            self.ail(told, run, &mut dice);
        }
        if task {
            let (after, code) = if self.kind { (2, 0) } else { (dice.pick(&[0, 50, 2_000, 9_000]), dice.pick(&[0, 0, 0, 1])) };
            self.happens(up + millis(after), Happening::Ends(run, End::Code(code)));
        } else if !self.kind && dice.chance(35) {
            let after = dice.pick(&[0, 10, 300, 700, 3_000, 20_000]);
            let end = dice.pick(&[End::Code(0), End::Code(1), End::Signal(Signal::KILL)]);
            self.happens(up + millis(after), Happening::Ends(run, end));
        }
    }

    /// How it goes with a run's health: its probe fails for a while, perhaps again and again, or it isn't alive any more.
    fn ail(&mut self, up: Time, run: RunId, dice: &mut Dice) {
        if dice.chance(12) {
            let mut at = up;
            for _ in 0..dice.pick(&[1, 1, 2, 5]) {
                at = at + millis(dice.pick(&[1, 300, 900, 6_000, 11_000]));
                self.happens(at, Happening::Told(News::Unready(run)));
                at = at + millis(dice.pick(&[1, 300, 2_000, 20_000]));
                self.happens(at, Happening::Told(News::Ready(run)));
            }
        }
        if dice.chance(8) {
            let after = dice.pick(&[0, 10, 600, 3_000, 12_000]);
            self.happens(up + millis(after), Happening::Told(News::Unhealthy(run)));
        }
    }

    /// Holds sockets, or can't; tells it sooner or later, seldom twice.
    fn hold(&mut self, now: Time, process: usize, listeners: &[Listener]) {
        let mut dice = Dice::of(&[self.seed, process as u64, self.happenings]);
        let held = listeners.is_empty() || self.kind || !dice.chance(30);
        let mut sockets = [None; 10];
        for (place, listener) in sockets.iter_mut().zip(listeners) {
            *place = Some(socket_number(listener));
        }
        let late = if self.is_late(&mut dice) { millis(4_000) } else { self.latency(&mut dice) };
        // Nothing of what is told of sockets overtakes what was told of them before.
        let at = self.sockets_told_until[process].max(now + late);
        self.sockets_told_until[process] = at;
        self.happens(at, Happening::Told(News::Held(process, sockets, held)));
        if !self.kind && dice.chance(10) {
            self.happens(at + millis(dice.pick(&[0, 300])), Happening::Told(News::Held(process, sockets, held)));
        }
    }

    /// Lets a run finish its work; that may last, never end, or be refused.
    fn drain(&mut self, now: Time, run: RunId) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run).filter(|tree| tree.left == Left::All) else { return };
        let fails = !kind && tree.dice.chance(15);
        let after = if kind { 1 } else { tree.dice.pick(&[0, 20, 500, 3_000, 40_000]) };
        if fails {
            self.tell(now + millis(after), run, News::NotDrained(run));
        } else if kind || !tree.dice.chance(35) {
            // What ends for that may leave others behind.
            tree.asked = Asked::Drain;
            self.happens(now + millis(after), Happening::Ends(run, End::Code(0)));
        }
    }

    fn reload(&mut self, now: Time, run: RunId) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run) else { return };
        let told = kind || !tree.dice.chance(20);
        self.tell(now, run, News::Reloaded(run, told));
    }

    fn stop(&mut self, now: Time, run: RunId) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run).filter(|tree| tree.left != Left::Nothing) else { return };
        tree.asked = Asked::Stop;
        if !kind && tree.dice.chance(20) {
            return;
        }
        let after = if kind { 1 } else { tree.dice.pick(&[0, 0, 20, 500, 3_000]) };
        let end = tree.dice.pick(&[End::Signal(Signal::TERM), End::Code(0), End::Code(143)]);
        let happening = if tree.left == Left::All { Happening::Ends(run, end) } else { Happening::Vanishes(run) };
        self.happens(now + millis(after), happening);
    }

    fn kill(&mut self, now: Time, run: RunId) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run).filter(|tree| tree.left != Left::Nothing) else { return };
        tree.asked = Asked::Kill;
        let after = match () {
            () if kind => 1,
            () if tree.dice.chance(8) => tree.dice.pick(&[5_000, 6_000, 40_000]),
            () => tree.dice.pick(&[0, 1, 30]),
        };
        self.happens(now + millis(after), Happening::Vanishes(run));
    }

    /// The leader ends; what it leaves behind lives on until it is stopped or killed.
    fn end(&mut self, now: Time, run: RunId, end: End) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run).filter(|tree| tree.left == Left::All) else { return };
        tree.left = Left::Orphans;
        let leaves_some = !kind && tree.dice.chance(15);
        self.tell(now, run, News::Exited(run, end));
        if !leaves_some {
            self.vanish(now, run);
        }
    }

    fn vanish(&mut self, now: Time, run: RunId) {
        let Some(tree) = self.trees.get_mut(&run).filter(|tree| tree.left != Left::Nothing) else { return };
        if std::mem::replace(&mut tree.left, Left::Nothing) == Left::All {
            self.tell(now, run, News::Exited(run, End::Signal(Signal::KILL)));
        }
        self.tell(now, run, News::Gone(run));
    }

    /// Tells news about a run, rarely late; hardly ever so late that what comes after it is told first.
    fn tell(&mut self, now: Time, run: RunId, news: News) {
        let kind = self.kind;
        let Some(tree) = self.trees.get_mut(&run) else { return };
        let mut at = now.max(tree.told_until);
        if !kind && tree.dice.chance(5) {
            at = at + millis(tree.dice.pick(&[1, 200, 4_000]));
            if tree.dice.chance(70) {
                tree.told_until = at;
            }
        }
        if !kind && tree.dice.chance(3) {
            // Before news that is still to come.
            at = now;
        }
        self.happens(at, Happening::Told(news));
    }

    fn is_late(&self, dice: &mut Dice) -> bool {
        !self.kind && dice.chance(4)
    }

    fn latency(&self, dice: &mut Dice) -> Duration {
        millis(if self.kind { 1 } else { dice.pick(&[0, 0, 2, 2, 60, 900]) })
    }

    fn happens(&mut self, at: Time, what: Happening) {
        self.happenings += 1;
        self.agenda.push(Reverse((at, self.happenings, what)));
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
