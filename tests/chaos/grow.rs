//! Random hosts, and how one grows out of another: always valid, with everything in them that order depends on.

use crate::dice::Dice;
use crate::host::{Condition, Doings, Host, Identity, Name, Need, Process, Restart};
use std::collections::BTreeMap;

/// Grows hosts out of one another. What a process does belongs to its number, so each new doing has a new number.
pub(crate) struct Growth {
    dice: Dice,
    /// The processes that there may be.
    names: Vec<Name>,
    numbers: u32,
}

impl Growth {
    /// Hosts of 2 to 12 processes, that belong to this seed.
    pub(crate) fn new(seed: usize) -> Growth {
        let mut dice = Dice::of(&[u64::try_from(seed).unwrap_or(u64::MAX), 1]);
        let most = 2 + dice.below(11).max(dice.below(11));
        Growth { dice, names: ('a'..='l').take(most).collect(), numbers: 0 }
    }

    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// One of the processes that there may be.
    pub(crate) fn name(&mut self) -> Name {
        self.dice.pick(&self.names)
    }

    /// A first host.
    pub(crate) fn first(&mut self) -> Host {
        let mut processes = Vec::new();
        for name in self.names.clone() {
            if self.dice.chance(85) {
                let place = if self.dice.chance(80) { processes.len() } else { self.dice.below(processes.len() + 1) };
                let process = self.process(name);
                processes.insert(place, process);
            }
        }
        without_patience(Host::new(processes)).mended()
    }

    /// A host that differs from this one, mostly in little.
    pub(crate) fn changed(&mut self, host: &Host) -> Host {
        let mut changed = host.clone();
        if self.dice.chance(10) {
            // A deploy: everything is new.
            for process in &mut changed.processes {
                process.identity.number = self.next_number();
            }
        }
        for _ in 0..self.dice.pick(&[1, 1, 2, 3, 5, 8]) {
            self.change_once(&mut changed);
        }
        without_patience(changed).mended()
    }

    fn change_once(&mut self, host: &mut Host) {
        let name = self.name();
        let Some(place) = host.processes.iter().position(|process| process.name == name) else {
            let place = self.dice.below(host.processes.len() + 1);
            return host.processes.insert(place, self.process(name));
        };
        match self.dice.below(14) {
            0 | 1 => {
                host.processes.remove(place);
            }
            2..=4 => host.processes[place].identity.number = self.next_number(),
            5 => host.processes[place].identity.colour = self.dice.pick(&['r', 'g', 'b']),
            6 => host.processes[place].identity = self.identity(),
            7 | 8 => {
                let identity = host.processes[place].identity.clone();
                host.processes[place] = Process { identity, ..self.process(name) };
            }
            9 => host.processes[place].needs = self.needs(name),
            10 => host.processes[place].enabled ^= true,
            11 => {
                let process = host.processes.remove(place);
                host.processes.insert(self.dice.below(host.processes.len() + 1), process);
            }
            12 => self.flip_edge(host, place),
            _ => host.processes[place] = self.process(name),
        }
    }

    /// What depended on another one is now depended on by it.
    fn flip_edge(&mut self, host: &mut Host, place: usize) {
        let name = host.processes[place].name;
        let Some(needs) = &mut host.processes[place].needs else { return };
        let Some(&on) = needs.keys().nth(self.dice.below(needs.len())) else { return };
        let Some(need) = needs.remove(&on) else { return };
        if let Some(other) = host.processes.iter_mut().find(|process| process.name == on) {
            other.needs.get_or_insert_default().insert(name, need);
        }
    }

    fn process(&mut self, name: Name) -> Process {
        let identity = self.identity();
        let (needs, dice) = (self.needs(name), &mut self.dice);
        Process {
            name,
            is_application: dice.chance(20),
            identity,
            enabled: dice.chance(93),
            needs,
            restart: dice.pick(&[Restart::Never, Restart::OnFailure, Restart::OnFailure, Restart::Always]),
            max_restarts: dice.pick(&[None, None, None, Some(1), Some(3)]),
            reset_after: dice.pick(&[200, 10_000]),
            start_delay: dice.pick(&[0, 0, 0, 0, 0, 60, 250]),
            stop_timeout: dice.pick(&[200, 400, 3_000]),
        }
    }

    fn identity(&mut self) -> Identity {
        let is_task = self.dice.chance(15);
        let doings = self.doings(is_task);
        Identity { number: self.next_number(), colour: self.dice.pick(&['r', 'g', 'b']), is_task, doings }
    }

    /// A number that nobody has had.
    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn doings(&mut self, is_task: bool) -> Doings {
        let dice = &mut self.dice;
        let below = ["child", "session", "daemon", "child!", "session!", "daemon!"];
        let most = dice.pick(&[0, 0, 0, 1, 1, 2]);
        Doings {
            ignores: dice.chance(12),
            lingers: dice.pick(&[None, None, Some(30), Some(80)]),
            ends: if is_task {
                Some((dice.pick(&[0, 30, 120]), dice.pick(&[0, 0, 0, 3])))
            } else {
                dice.chance(8).then(|| (dice.pick(&[20, 150]), dice.pick(&[0, 4])))
            },
            below: (0..most).map(|_| dice.pick(&below)).collect(),
        }
    }

    fn needs(&mut self, name: Name) -> Option<BTreeMap<Name, Need>> {
        if self.dice.chance(40) {
            return None;
        }
        let mut needs = BTreeMap::new();
        let before: Vec<Name> = self.names.iter().copied().filter(|&other| other < name).collect();
        for _ in 0..self.dice.pick(&[0, 1, 1, 2, 3]) {
            // Mostly on one before it: with as many backwards, few edges would be left of a dozen.
            let among = if before.is_empty() || self.dice.chance(20) { &self.names } else { &before };
            let on = self.dice.pick(among);
            let condition =
                self.dice.pick(&[None, None, Some(Condition::Started), Some(Condition::Ready), Some(Condition::Completed)]);
            needs.insert(on, Need { condition, restarts: self.dice.chance(35), is_optional: self.dice.chance(20) });
        }
        Some(needs)
    }
}

/// What may have to be killed isn't waited for long.
fn without_patience(mut host: Host) -> Host {
    for process in &mut host.processes {
        let Doings { ignores, ref below, .. } = process.identity.doings;
        if ignores || !below.is_empty() {
            process.stop_timeout = process.stop_timeout.min(400);
        }
    }
    host
}
