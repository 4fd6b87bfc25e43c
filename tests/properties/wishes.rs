//! Random wishes, and how one grows out of another: always valid, with everything in them that the planner looks at.
//!
//! A wish is a list of definitions, as a file would give it. Processes are called `a` to `t`, so that a name and a
//! number are the same thing.

use crate::dice::Dice;
use reconcile::desired::Desired;
use reconcile::socket::{Address, Listener};
use reconcile::spec::{
    Announce, Backoff, Condition, Dependency, Drain, Liveness, OnChange, OnWatch, Probe, ProcessKind, ReadyTiming, Restart,
    Signal, SignalOrCommand, Spec, StopScope, Tier,
};
use reconcile::text::{Name, Text};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most processes that a history has to do with.
pub(crate) const MOST: usize = 20;

/// What a file wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) specs: Vec<Spec>,
    pub(crate) shutdown_timeout: Duration,
}

/// The name of the process with this number.
pub(crate) fn name(process: usize) -> &'static str {
    const LETTERS: &str = "abcdefghijklmnopqrst";
    &LETTERS[process..=process]
}

/// The number of the process with this name.
pub(crate) fn number(name: &str) -> usize {
    usize::from(name.as_bytes()[0] - b'a')
}

impl Wish {
    /// Nothing.
    pub(crate) fn nothing() -> Wish {
        Wish { specs: Vec::new(), shutdown_timeout: Desired::SHUTDOWN_TIMEOUT }
    }

    /// A first wish for some of the first `most` processes.
    pub(crate) fn random(dice: &mut Dice, most: usize) -> Wish {
        let mut wish = Wish { specs: Vec::new(), shutdown_timeout: millis(dice.pick(&[1_000, 5_000, 90_000])) };
        for process in 0..most {
            if dice.chance(85) {
                let place = if dice.chance(80) { wish.specs.len() } else { dice.below(wish.specs.len() + 1) };
                wish.specs.insert(place, random_spec(dice, process, most));
            }
        }
        // A list without a named dependency is planned in another way.
        if dice.chance(30) {
            for spec in &mut wish.specs {
                spec.depends_on = dice.chance(20).then(BTreeMap::new);
            }
        }
        wish.mended()
    }

    /// Whether everything has its place in a single list.
    pub(crate) fn is_list(&self) -> bool {
        self.specs.iter().all(|spec| spec.depends_on.is_none() && spec.tier == Tier::Managed)
    }

    /// A wish that differs from this one, usually in little.
    pub(crate) fn changed(&self, dice: &mut Dice, most: usize) -> Wish {
        let mut wish = self.clone();
        for _ in 0..dice.pick(&[1, 1, 1, 2, 3, 5]) {
            wish.change_once(dice, most);
        }
        wish.mended()
    }

    fn change_once(&mut self, dice: &mut Dice, most: usize) {
        let process = dice.below(most);
        let Some(place) = self.place(process) else {
            let place = dice.below(self.specs.len() + 1);
            return self.specs.insert(place, random_spec(dice, process, most));
        };
        let spec = &mut self.specs[place];
        match dice.below(18) {
            0 | 1 => {
                self.specs.remove(place);
            }
            2..=4 => spec.exec.args = vec![Text::plain(&dice.below(3).to_string())],
            5 => {
                spec.exec.env.insert("KEY", Text::plain(&dice.below(2).to_string()));
            }
            6 | 7 => {
                let other = random_spec(dice, process, most);
                *spec = Spec { exec: spec.exec.clone(), tier: spec.tier, ..other };
            }
            8 => spec.depends_on = random_needs(dice, process, most),
            9 => spec.enabled = !spec.enabled,
            10 => {
                let spec = self.specs.remove(place);
                let place = dice.below(self.specs.len() + 1);
                self.specs.insert(place, spec);
            }
            11 => self.flip_edge(dice, place),
            12 => spec.ready = random_probe(dice),
            13 => spec.liveness = random_liveness(dice),
            14 => random_watch(dice, spec),
            15 => spec.exec.sockets = random_sockets(dice),
            16 => self.move_address(dice, place),
            _ => *spec = random_spec(dice, process, most),
        }
    }

    /// A process gets an address that another one has.
    fn move_address(&mut self, dice: &mut Dice, place: usize) {
        let others: Vec<usize> = (0..self.specs.len()).filter(|&other| !self.specs[other].exec.sockets.is_empty()).collect();
        let Some(&from) = others.get(dice.below(others.len())) else { return };
        if from != place {
            let sockets = &mut self.specs[from].exec.sockets;
            let listener = sockets.remove(dice.below(sockets.len()));
            self.specs[place].exec.sockets.push(listener);
        }
    }

    /// What depended on another one is now depended on by it.
    fn flip_edge(&mut self, dice: &mut Dice, place: usize) {
        let name = self.specs[place].name.clone();
        let Some(needs) = &mut self.specs[place].depends_on else { return };
        let Some((on, edge)) = needs.keys().nth(dice.below(needs.len())).cloned().and_then(|on| needs.remove_entry(&on)) else {
            return;
        };
        if let Some(other) = self.specs.iter_mut().find(|spec| spec.name == on) {
            other.depends_on.get_or_insert_default().insert(name, edge);
        }
    }

    /// The same without the edges that would make it invalid.
    fn mended(mut self) -> Wish {
        let mut reach = [0_u32; MOST];
        for place in 0..self.specs.len() {
            let from = number(&self.specs[place].name);
            let Some(mut needs) = self.specs[place].depends_on.take() else { continue };
            needs.retain(|on, edge| {
                let Some(other) = self.spec(number(on)) else { return false };
                if edge.condition == Some(Condition::Completed) && other.exec.kind == ProcessKind::Service {
                    // Nobody could say when that is to settle.
                    edge.condition = None;
                }
                let on = number(on);
                let legal = on != from && self.specs[place].tier >= other.tier && reach[on] & (1 << from) == 0;
                if legal {
                    let gained = reach[on] | 1 << on;
                    for (other, mask) in reach.iter_mut().enumerate() {
                        if other == from || *mask & (1 << from) != 0 {
                            *mask |= gained;
                        }
                    }
                }
                legal
            });
            self.specs[place].depends_on = Some(needs);
        }
        for spec in self.specs.iter_mut().filter(|spec| spec.exec.kind == ProcessKind::Task && spec.on_change == OnChange::Keep) {
            // A service that is kept in place of a task never completes, nor do those settle that wait for it.
            spec.on_change = OnChange::Restart;
        }
        let mut taken = Vec::new();
        for spec in &mut self.specs {
            if spec.exec.kind == ProcessKind::Task {
                // Tasks serve no clients.
                (spec.exec.sockets, spec.stop.drain) = (Vec::new(), None);
                if spec.on_change == OnChange::Rolling {
                    spec.on_change = OnChange::Restart;
                }
            }
            // An address is that of one process.
            spec.exec.sockets.retain(|listener| !taken.contains(&listener.address));
            taken.extend(spec.exec.sockets.iter().map(|listener| listener.address.clone()));
        }
        // Managed processes stand before applications, as in a file.
        self.specs.sort_by_key(|spec| spec.tier);
        self
    }

    /// The same without this process.
    pub(crate) fn without(&self, process: usize) -> Wish {
        let mut wish = self.clone();
        wish.specs.retain(|spec| number(&spec.name) != process);
        wish.mended()
    }

    /// The same with this done to every definition of this process.
    pub(crate) fn with(&self, process: usize, simplify: fn(&mut Spec)) -> Wish {
        let mut wish = self.clone();
        if let Some(place) = wish.place(process) {
            simplify(&mut wish.specs[place]);
        }
        wish.mended()
    }

    fn place(&self, process: usize) -> Option<usize> {
        self.specs.iter().position(|spec| number(&spec.name) == process)
    }

    /// The definition of a process.
    pub(crate) fn spec(&self, process: usize) -> Option<&Spec> {
        self.specs.iter().find(|spec| number(&spec.name) == process)
    }

    /// The same as the core sees it.
    pub(crate) fn desired(&self) -> Desired {
        match Desired::new(self.specs.clone(), self.shutdown_timeout) {
            Ok(desired) => desired,
            Err(problems) => panic!("a wish without illegal edges is called invalid: {problems:?}"),
        }
    }
}

fn random_spec(dice: &mut Dice, process: usize, most: usize) -> Spec {
    let mut spec = Spec::new(name(process), "run");
    spec.exec.args = vec![Text::plain(&dice.below(3).to_string())];
    // Two of twenty run as another user: their starts have turns of their own.
    spec.exec.user = (process % 10 == 9).then(|| Text::plain("other"));
    spec.exec.kind = if dice.chance(15) { ProcessKind::Task } else { ProcessKind::Service };
    spec.exec.announce = dice.chance(12).then_some(Announce::Notify);
    spec.tier = if dice.chance(20) { Tier::Application } else { Tier::Managed };
    spec.enabled = dice.chance(92);
    spec.depends_on = random_needs(dice, process, most);
    spec.restart = dice.pick(&[Restart::Never, Restart::OnFailure, Restart::OnFailure, Restart::Always]);
    spec.backoff = Backoff {
        initial: millis(dice.pick(&[0, 100, 500])),
        factor: dice.pick(&[1.0, 2.0, 3.0]),
        max: millis(dice.pick(&[50, 1_000, 30_000])),
        jitter: dice.pick(&[0.0, 0.0, 0.1, 0.5]),
        reset_after: millis(dice.pick(&[500, 10_000])),
        first_at_once: dice.chance(80),
    };
    spec.success_exit_codes = dice.chance(15).then(|| vec![0, 1]);
    spec.max_restarts = dice.pick(&[None, None, Some(0), Some(1), Some(3)]);
    spec.start_delay = millis(dice.pick(&[0, 0, 0, 0, 1_000, 4_000]));
    spec.ready = random_probe(dice);
    spec.liveness = random_liveness(dice);
    random_watch(dice, &mut spec);
    spec.ready_timing = ReadyTiming { deadline: millis(dice.pick(&[1_000, 5_000, 60_000])), ..ReadyTiming::default() };
    spec.stop.timeout = millis(dice.pick(&[0, 1_000, 1_000, 10_000]));
    spec.stop.drain = random_drain(dice);
    spec.stop.scope = dice.pick(&[StopScope::Tree, StopScope::Tree, StopScope::Main]);
    spec.on_change = dice.pick(&[
        OnChange::Restart,
        OnChange::Restart,
        OnChange::Restart,
        OnChange::Rolling,
        OnChange::Rolling,
        OnChange::Keep,
    ]);
    spec.stable = millis(dice.pick(&[0, 0, 1_000, 1_000, 5_000]));
    spec.exec.sockets = random_sockets(dice);
    spec
}

/// How many addresses there are.
const ADDRESSES: u16 = 5;

/// A socket by its number: one of few addresses, in one of two ways.
pub(crate) fn listener(number: u16) -> Listener {
    let backlog = if number < ADDRESSES { Listener::BACKLOG } else { 1 };
    Listener { backlog, ..Listener::new("socket", Address::Any(number % ADDRESSES)) }
}

/// The number of a socket.
pub(crate) fn socket_number(of: &Listener) -> u16 {
    (0..2 * ADDRESSES).find(|&number| listener(number) == *of).unwrap_or_default()
}

fn random_sockets(dice: &mut Dice) -> Vec<Listener> {
    let count = dice.pick(&[0, 0, 0, 1, 1, 2]);
    let mut sockets: Vec<Listener> = Vec::new();
    for _ in 0..count {
        let other = if dice.chance(10) { ADDRESSES } else { 0 };
        let listener = listener(other + u16::try_from(dice.below(usize::from(ADDRESSES))).unwrap_or_default());
        if sockets.iter().all(|known| known.address != listener.address) {
            sockets.push(listener);
        }
    }
    sockets
}

fn random_drain(dice: &mut Dice) -> Option<Drain> {
    let by = if dice.chance(50) { SignalOrCommand::Signal(Signal("QUIT")) } else { SignalOrCommand::Command(Vec::new()) };
    dice.chance(25).then(|| Drain { by, timeout: millis(dice.pick(&[0, 500, 3_000, 10_000])) })
}

fn random_probe(dice: &mut Dice) -> Option<Probe> {
    dice.chance(30).then(|| Probe::Tcp(Text::plain(dice.pick(&["localhost:80", "localhost:81"]))))
}

fn random_liveness(dice: &mut Dice) -> Option<Liveness> {
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
    dice.chance(35).then(|| Liveness { probe: None, interval, timeout, failures: dice.pick(&[1, 3]) })
}

/// The files that a process may watch.
pub(crate) const FILES: [&str; 2] = ["x", "y"];

fn random_watch(dice: &mut Dice, spec: &mut Spec) {
    let which: &[&str] = dice.pick(&[&[], &[], &[], &FILES[..1], &FILES[1..], &FILES]);
    spec.watch = which.iter().map(|path| Text::plain(path)).collect();
    spec.reload = dice.chance(50).then_some(SignalOrCommand::Signal(Signal("HUP")));
    spec.on_watch = if spec.reload.is_some() && dice.chance(80) { OnWatch::Reload } else { OnWatch::Restart };
}

fn random_needs(dice: &mut Dice, process: usize, most: usize) -> Option<BTreeMap<Name, Dependency>> {
    if dice.chance(40) {
        return None;
    }
    let mut needs = BTreeMap::new();
    for _ in 0..dice.pick(&[0, 1, 1, 2, 3]) {
        // Mostly on one before it: with as many backwards, few edges would be left of a list of twenty.
        let on = if dice.chance(80) { dice.below(process.max(1)) } else { dice.below(most) };
        let condition = dice.pick(&[None, None, Some(Condition::Started), Some(Condition::Ready), Some(Condition::Completed)]);
        needs.insert(Name::from(name(on)), Dependency { condition, restart: dice.chance(35), required: dice.chance(80) });
    }
    Some(needs)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
