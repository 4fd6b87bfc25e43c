//! A history: what is done to an engine and its world, when, as plain data that can be cut down.
//!
//! What the world itself does (how long a start takes, who crashes) is not in here: it is thrown from the history's seed
//! for each run by its process and its count, so that taking out one operation leaves the rest of the world as it was.

use crate::dice::Dice;
use crate::wishes::{Wish, random_process};

/// What is done to an engine and its world.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) ops: Vec<(Delay, Op)>,
}

/// Milliseconds since the operation before; with none between them, both come as one batch of news.
pub(crate) type Delay = u64;

/// One thing that is done.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A configuration is accepted.
    Want(Wish),
    /// A process, or all replicas of a definition, is started by hand.
    Start(usize),
    /// The same is stopped by hand.
    Stop(usize),
    /// The same is restarted by hand.
    Restart(usize),
    /// The same, and it is to stop before it is started.
    RestartStopFirst(usize),
    /// What was put back is tried again.
    Retry,
    /// A process is killed by somebody else.
    Crash(usize),
    /// A process is not ready any more, as its probe sees it.
    Lapse(usize),
    /// A process is ready, as its probe sees it.
    Recover(usize),
    /// A process is not alive, as its probe sees it.
    Sicken(usize),
    /// A file that a process may watch gets this content.
    Write(usize, usize, u64),
    /// Old news comes once more; the number says which.
    Echo(u64),
    /// News of a run that nobody ever asked for.
    Stranger(u64),
    /// The engine is woken for nothing.
    Nudge,
    /// Everything is to end.
    Shutdown,
    /// Everything is to end at once.
    Hurry,
}

impl History {
    /// The history that belongs to this seed: 3 to 20 processes, at most 50 operations.
    pub(crate) fn random(seed: u64) -> History {
        let mut dice = Dice::of(&[seed]);
        // Small hosts are faster, and most of what can go wrong goes wrong among few.
        let most = 3 + (0..4).map(|_| dice.below(18)).min().unwrap_or_default();
        let length = 1 + dice.below(50);
        let mut wishes = vec![Wish::random(&mut dice, most)];
        let mut ops = vec![(0, Op::Want(wishes[0].clone()))];
        for _ in 1..length {
            let delay = random_delay(&mut dice);
            ops.push((delay, random_op(&mut dice, most, &mut wishes)));
        }
        History { seed, ops }
    }
}

fn random_delay(dice: &mut Dice) -> Delay {
    let span = dice.pick(&[1, 1, 20, 20, 300, 300, 1_500, 1_500, 4_000, 4_000, 15_000, 90_000]);
    u64::try_from(dice.below(span)).unwrap_or(0)
}

fn random_op(dice: &mut Dice, most: usize, wishes: &mut Vec<Wish>) -> Op {
    let process = random_process(dice, most);
    match dice.below(100) {
        0..28 => {
            let last = &wishes[wishes.len() - 1];
            let wish = match dice.below(10) {
                0 => wishes[dice.below(wishes.len())].clone(),
                1 => last.clone(),
                _ => last.changed(dice, most),
            };
            wishes.push(wish.clone());
            Op::Want(wish)
        }
        28..36 => Op::Start(process),
        36..44 => Op::Stop(process),
        44..48 => Op::Restart(process),
        48 => Op::RestartStopFirst(process),
        49 => Op::Retry,
        50..63 => Op::Crash(process),
        63..70 => Op::Write(process, dice.below(2), dice.next() % 3),
        70..74 => Op::Lapse(process),
        74..77 => Op::Recover(process),
        77..80 => Op::Sicken(process),
        80..88 => Op::Echo(dice.next()),
        88..92 => Op::Stranger(dice.next()),
        98 if dice.chance(60) => Op::Shutdown,
        99 if dice.chance(40) => Op::Hurry,
        _ => Op::Nudge,
    }
}
