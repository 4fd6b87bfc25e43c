//! Random wishes, and how one grows out of another: always valid, with everything in them that the planner looks at.
//!
//! A wish is a list of definitions, as a file would give it, called `a` to `t`. Two of them may ask for replicas. So a name and a
//! number are the same thing.

use crate::dice::Dice;
use crate::places::Set;
use reconcile::desired::Desired;
use reconcile::replica::Replica;
use reconcile::rollback::Rollback;
use reconcile::socket::{Address, Listener};
use reconcile::spec::{
    Announce, Backoff, Condition, Dependency, Drain, Liveness, OnChange, OnWatch, Probe, ProcessKind, ReadyTiming, Restart,
    Signal, SignalOrCommand, Spec, StopScope, Tier,
};
use reconcile::text::{Name, Text};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most processes that a history has to do with: definitions and replicas.
pub(crate) const MOST: usize = 27;

/// The most definitions.
pub(crate) const DEFINITIONS: usize = 20;

/// The definitions that may ask for replicas, each with the number of its first one and the most that it may have.
const REPLICATED: [(usize, usize, usize); 2] = [(1, DEFINITIONS, 4), (2, DEFINITIONS + 4, 3)];

/// What a file wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// What it says, place by place.
    pub(crate) definitions: Vec<Definition>,
    /// The definitions of all processes that this means.
    pub(crate) specs: Vec<Spec>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) rollback: Option<Rollback>,
}

/// Two wishes that mean the same are equal.
impl PartialEq for Wish {
    fn eq(&self, other: &Wish) -> bool {
        (&self.specs, self.shutdown_timeout, self.rollback) == (&other.specs, other.shutdown_timeout, other.rollback)
    }
}

/// What a file says in one place.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) spec: Spec,
    pub(crate) replicas: Option<Replicas>,
}

/// How many equal processes a definition asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) count: u32,
    pub(crate) surge: Surge,
    /// Each has a socket of its own.
    pub(crate) have_sockets: bool,
}

/// How many of them are replaced at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Surge {
    Count(u32),
    Percent(u32),
}

/// The name of the process with this number.
pub(crate) fn name(process: usize) -> &'static str {
    const LETTERS: &str = "abcdefghijklmnopqrst";
    const NAMES: [&str; MOST - DEFINITIONS] = ["b:1", "b:2", "b:3", "b:4", "c:1", "c:2", "c:3"];
    if process < DEFINITIONS { &LETTERS[process..=process] } else { NAMES[process - DEFINITIONS] }
}

/// The number of the process with this name.
pub(crate) fn number(name: &str) -> usize {
    let definition = usize::from(name.as_bytes()[0] - b'a');
    match name.as_bytes().get(2) {
        None => definition,
        Some(digit) => REPLICATED[definition - 1].1 + usize::from(digit - b'1'),
    }
}

/// A random process: one of the first definitions, or a replica of one.
pub(crate) fn random_process(dice: &mut Dice, most: usize) -> usize {
    let process = dice.below(most);
    match REPLICATED.iter().find(|(definition, ..)| *definition == process) {
        Some((_, first, most)) if dice.chance(50) => first + dice.below(*most),
        _ => process,
    }
}

impl Wish {
    /// Nothing.
    pub(crate) fn nothing() -> Wish {
        Wish { definitions: Vec::new(), specs: Vec::new(), shutdown_timeout: Desired::SHUTDOWN_TIMEOUT, rollback: None }
    }

    /// A first wish for some of the first `most` processes.
    pub(crate) fn random(dice: &mut Dice, most: usize) -> Wish {
        let mut wish = Wish { shutdown_timeout: millis(dice.pick(&[1_000, 5_000, 90_000])), ..Wish::nothing() };
        for process in 0..most {
            if dice.chance(85) {
                let count = wish.definitions.len();
                let place = if dice.chance(80) { count } else { dice.below(count + 1) };
                wish.definitions.insert(place, random_definition(dice, process, most));
            }
        }
        // A list without a named dependency is planned in another way.
        if dice.chance(30) {
            for definition in &mut wish.definitions {
                definition.spec.depends_on = dice.chance(20).then(BTreeMap::new);
            }
        }
        wish.mended()
    }

    /// Whether everything has its place in a single list.
    pub(crate) fn is_list(&self) -> bool {
        self.specs.iter().all(|spec| spec.depends_on.is_none() && spec.tier == Tier::Managed)
    }

    /// The processes that a number means: those of a definition, or one.
    pub(crate) fn meant(&self, process: usize) -> Vec<usize> {
        let replicas = self.definitions.iter().find(|definition| number(&definition.spec.name) == process);
        match replicas.and_then(|definition| definition.replicas) {
            Some(replicas) => numbers(process, replicas).collect(),
            None => vec![process],
        }
    }

    /// The processes that a name in `depends_on` means.
    pub(crate) fn named(&self, name: &str) -> Vec<usize> {
        self.meant(number(name))
    }

    /// The replicas of the same definition as a process, itself among them.
    pub(crate) fn siblings(&self, spec: &Spec) -> Set {
        self.named(spec.definition()).into_iter().fold(0, |set, process| set | 1 << process)
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
            let place = dice.below(self.definitions.len() + 1);
            return self.definitions.insert(place, random_definition(dice, process, most));
        };
        let Definition { spec, replicas } = &mut self.definitions[place];
        if let Some(replicas) = replicas.as_mut().filter(|_| dice.chance(25)) {
            *replicas = match dice.below(3) {
                0 => Replicas { count: random_count(dice, process), ..*replicas },
                1 => Replicas { surge: random_surge(dice), ..*replicas },
                _ => random_replicas(dice, process),
            };
            return;
        }
        match dice.below(18) {
            0 | 1 => {
                self.definitions.remove(place);
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
                let definition = self.definitions.remove(place);
                let place = dice.below(self.definitions.len() + 1);
                self.definitions.insert(place, definition);
            }
            11 => self.flip_edge(dice, place),
            12 => spec.ready = random_probe(dice),
            13 => spec.liveness = random_liveness(dice),
            14 => random_watch(dice, spec),
            15 => spec.exec.sockets = random_sockets(dice),
            16 => self.move_address(dice, place),
            _ => self.definitions[place] = random_definition(dice, process, most),
        }
    }

    /// A process gets an address that another one has.
    fn move_address(&mut self, dice: &mut Dice, place: usize) {
        let all = &mut self.definitions;
        let others: Vec<usize> = (0..all.len()).filter(|&other| !all[other].spec.exec.sockets.is_empty()).collect();
        let Some(&from) = others.get(dice.below(others.len())) else { return };
        if from != place {
            let sockets = &mut all[from].spec.exec.sockets;
            let listener = sockets.remove(dice.below(sockets.len()));
            all[place].spec.exec.sockets.push(listener);
        }
    }

    /// What depended on another one is now depended on by it.
    fn flip_edge(&mut self, dice: &mut Dice, place: usize) {
        let name = self.definitions[place].spec.name.clone();
        let Some(needs) = &mut self.definitions[place].spec.depends_on else { return };
        let Some((on, edge)) = needs.keys().nth(dice.below(needs.len())).cloned().and_then(|on| needs.remove_entry(&on)) else {
            return;
        };
        if let Some(other) = self.definitions.iter_mut().find(|definition| definition.spec.name == on) {
            other.spec.depends_on.get_or_insert_default().insert(name, edge);
        }
    }

    /// The same without the edges that would make it invalid.
    fn mended(mut self) -> Wish {
        let mut reach = [0_u32; DEFINITIONS];
        for place in 0..self.definitions.len() {
            let from = number(&self.definitions[place].spec.name);
            let Some(mut needs) = self.definitions[place].spec.depends_on.take() else { continue };
            needs.retain(|on, edge| {
                let Some(other) = self.place(number(on)).map(|place| &self.definitions[place].spec) else { return false };
                if edge.condition == Some(Condition::Completed) && other.exec.kind == ProcessKind::Service {
                    // Nobody could say when that is to settle.
                    edge.condition = None;
                }
                let on = number(on);
                let legal = on != from && self.definitions[place].spec.tier >= other.tier && reach[on] & (1 << from) == 0;
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
            self.definitions[place].spec.depends_on = Some(needs);
        }
        let mut taken = Vec::new();
        for Definition { spec, replicas } in &mut self.definitions {
            if spec.exec.kind == ProcessKind::Task {
                // Tasks serve no clients.
                (*replicas, spec.exec.sockets, spec.stop.drain) = (None, Vec::new(), None);
                // A service that is kept in place of a task never completes, nor do those settle that wait for it.
                spec.on_change = OnChange::Restart;
            }
            // An address is that of one definition.
            spec.exec.sockets.retain(|listener| !taken.contains(&listener.address));
            taken.extend(spec.exec.sockets.iter().map(|listener| listener.address.clone()));
        }
        // Managed processes stand before applications, as in a file.
        self.definitions.sort_by_key(|definition| definition.spec.tier);
        self.specs = self.definitions.iter().flat_map(Definition::specs).collect();
        self
    }

    /// The same without this definition.
    pub(crate) fn without(&self, definition: usize) -> Wish {
        let mut wish = self.clone();
        wish.definitions.retain(|one| number(&one.spec.name) != definition);
        wish.mended()
    }

    /// The same with this done to a definition.
    pub(crate) fn with(&self, definition: usize, simplify: impl Fn(&mut Definition)) -> Wish {
        let mut wish = self.clone();
        if let Some(place) = wish.place(definition) {
            simplify(&mut wish.definitions[place]);
        }
        wish.mended()
    }

    /// The same with this done to every definition.
    pub(crate) fn with_each(mut self, simplify: impl FnMut(&mut Spec)) -> Wish {
        self.definitions.iter_mut().map(|definition| &mut definition.spec).for_each(simplify);
        self.mended()
    }

    fn place(&self, definition: usize) -> Option<usize> {
        self.definitions.iter().position(|one| number(&one.spec.name) == definition)
    }

    /// The definition of a process.
    pub(crate) fn spec(&self, process: usize) -> Option<&Spec> {
        self.specs.iter().find(|spec| number(&spec.name) == process)
    }

    /// The same as the core sees it.
    pub(crate) fn desired(&self) -> Desired {
        match Desired::new(self.specs.clone(), self.shutdown_timeout) {
            Ok(desired) => desired.with_rollback(self.rollback),
            Err(problems) => panic!("a wish without illegal edges is called invalid: {problems:?}"),
        }
    }
}

impl Definition {
    /// Those of its processes.
    fn specs(&self) -> Vec<Spec> {
        let Some(replicas) = self.replicas else { return vec![self.spec.clone()] };
        let spec = |process: usize| {
            let mut spec = self.spec.clone();
            let of = std::mem::replace(&mut spec.name, Name::from(name(process)));
            let number = reconcile::replica::number(name(process)).unwrap_or_default();
            spec.exec.env.insert("NAVIGATOR_REPLICA", Text::plain(&number.to_string()));
            if replicas.have_sockets {
                spec.exec.sockets.push(listener(OWN + u16::try_from(process).unwrap_or_default()));
            }
            let surge = if spec.on_change == OnChange::Rolling { replicas.surge() } else { 1 };
            spec.replica = Some(Replica { of, number, surge });
            spec
        };
        numbers(number(&self.spec.name), replicas).map(spec).collect()
    }
}

impl Replicas {
    /// How many are replaced at once. One alone can't be without it.
    fn surge(self) -> u32 {
        let surge = match self.surge {
            Surge::Count(count) => count,
            Surge::Percent(percent) => (self.count * percent).div_ceil(100),
        };
        if self.count == 1 { surge.max(1) } else { surge }
    }
}

/// The numbers of the replicas of a definition.
fn numbers(definition: usize, replicas: Replicas) -> impl Iterator<Item = usize> {
    let first = REPLICATED.iter().find(|(of, ..)| *of == definition).map_or(0, |(_, first, _)| *first);
    first..first + usize::try_from(replicas.count).unwrap_or_default()
}

fn random_definition(dice: &mut Dice, process: usize, most: usize) -> Definition {
    let mut spec = random_spec(dice, process, most);
    let may_have_replicas = REPLICATED.iter().any(|(definition, ..)| *definition == process);
    let replicas = (may_have_replicas && dice.chance(40)).then(|| random_replicas(dice, process));
    if replicas.is_some() && dice.chance(50) {
        spec.on_change = OnChange::Rolling;
    }
    Definition { spec, replicas }
}

fn random_replicas(dice: &mut Dice, definition: usize) -> Replicas {
    Replicas { count: random_count(dice, definition), surge: random_surge(dice), have_sockets: dice.chance(15) }
}

fn random_count(dice: &mut Dice, definition: usize) -> u32 {
    let most = REPLICATED.iter().find(|(of, ..)| *of == definition).map_or(0, |(.., most)| *most);
    1 + u32::try_from(dice.below(most)).unwrap_or_default()
}

fn random_surge(dice: &mut Dice) -> Surge {
    dice.pick(&[Surge::Count(0), Surge::Count(1), Surge::Count(1), Surge::Count(2), Surge::Percent(0), Surge::Percent(50)])
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

/// From this number on, sockets are of one replica each.
const OWN: u16 = 2 * ADDRESSES;

/// A socket by its number: one of few addresses, in one of two ways, or that of a replica.
pub(crate) fn listener(number: u16) -> Listener {
    if number >= OWN {
        return Listener::new("own", Address::Any(number));
    }
    let backlog = if number < ADDRESSES { Listener::BACKLOG } else { 1 };
    Listener { backlog, ..Listener::new("socket", Address::Any(number % ADDRESSES)) }
}

/// The number of a socket.
pub(crate) fn socket_number(of: &Listener) -> u16 {
    let all = OWN + u16::try_from(MOST).unwrap_or_default();
    (0..all).find(|&number| listener(number) == *of).unwrap_or_default()
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
