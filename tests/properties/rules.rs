//! What the contract makes of the facts at one moment: who must go and why, who is on the way, what rests.
//!
//! It is a second opinion, written from the contract and in another manner than the planner (all at once, over sets of
//! at most twenty, without a thought for speed of large hosts), so that the two can disagree.

use crate::facts::Facts;
use crate::fates::{Fate, own_fate, roll_or_go};
use crate::places::{Need, Set, has};
use crate::records::{Past, Run};
use crate::wishes::{MOST, name, number};
use reconcile::event::{Content, ExitStatus, Refusal, RunId};
use reconcile::plan::STARTS_AHEAD;
use reconcile::spec::{Backoff, Condition, OnChange, OnWatch, ProcessKind, Restart, Spec, Tier};
use reconcile::time::Time;
use std::time::Duration;

/// Why a run must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Closing,
    Removed,
    Disabled,
    ByHand,
    RestartedByHand,
    Changed,
    Unready,
    Unhealthy,
    Watched,
    With(usize),
}

impl Why {
    pub(crate) fn replaces(self) -> bool {
        matches!(self, Why::RestartedByHand | Why::Changed | Why::Watched | Why::With(_))
    }

    /// Whether it is the run's own failure, for its restart policy to decide about.
    pub(crate) fn fails(self) -> bool {
        matches!(self, Why::Unready | Why::Unhealthy)
    }
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    Out,
    Through,
    Coming,
    Stuck,
}

/// What is due to a process of which nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Fresh,
    Completed,
    Failed,
    /// Between these two moments.
    Again(Time, Time),
}

/// Whether a dependency holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    NotYet,
    No,
}

/// All answers for one moment.
pub(crate) struct Moment {
    now: Time,
    /// As [`Facts::runs`].
    pub(crate) fates: Vec<Fate>,
    outlooks: [Outlook; MOST],
    /// A managed process is on its way, for which applications wait.
    managed_coming: bool,
}

impl Moment {
    pub(crate) fn of(facts: &Facts, now: Time) -> Moment {
        let mut moment =
            Moment { now, fates: Vec::with_capacity(facts.runs.len()), outlooks: [Outlook::Out; MOST], managed_coming: false };
        moment.fates.extend(facts.runs.iter().map(|run| own_fate(facts, run, now)));
        for &process in &facts.places.order {
            for place in 0..facts.runs.len() {
                if facts.runs[place].process == process && moment.fates[place] == Fate::Stay {
                    moment.fates[place] = moment.along(facts, &facts.runs[place]);
                }
            }
            let outlook = moment.outlook(facts, process);
            moment.outlooks[process] = outlook;
            let managed = facts.spec(process).is_some_and(|spec| spec.tier == Tier::Managed);
            moment.managed_coming |= managed && outlook == Outlook::Coming;
        }
        moment
    }

    /// Whether a process is to run.
    pub(crate) fn wanted(&self, facts: &Facts, process: usize) -> bool {
        let _ = self;
        facts.wanted(process)
    }

    /// The fate of a run.
    pub(crate) fn fate(&self, facts: &Facts, run: &Run) -> Fate {
        facts.runs.iter().position(|other| other.id == run.id).map_or(Fate::Leaving, |place| self.fates[place])
    }

    /// The run of a process that stays.
    pub(crate) fn current<'f>(&self, facts: &'f Facts, process: usize) -> Option<&'f Run> {
        let runs = facts.runs.iter().zip(&self.fates).rev();
        runs.filter(|(run, _)| run.process == process).find(|(_, fate)| **fate == Fate::Stay).map(|(run, _)| run)
    }

    /// Whether everything that a process needs holds, and what isn't required holds or won't soon.
    pub(crate) fn needs_hold(&self, facts: &Facts, process: usize) -> bool {
        facts.places.edges(process).all(|edge| {
            let awaits = |need: &Need| match self.holds(facts, need) {
                Holds::Yes => false,
                Holds::No => need.required,
                Holds::NotYet => need.required || self.is_awaited(facts, need.on),
            };
            self.one_holds(facts, edge) || !edge.iter().any(awaits)
        })
    }

    /// Whether a dependency holds: one replica is enough.
    pub(crate) fn one_holds(&self, facts: &Facts, edge: &[Need]) -> bool {
        edge.iter().any(|need| self.holds(facts, need) == Holds::Yes)
    }

    /// Whether a dependency on its way has neither failed nor ended yet.
    fn is_awaited(&self, facts: &Facts, on: usize) -> bool {
        match self.current(facts, on) {
            Some(run) => (run.ready.is_some() || !run.was_ready) && rest(facts, on) == Rest::Fresh,
            None => self.outlooks[on] == Outlook::Coming,
        }
    }

    /// Whether everything that a process can't do without holds, so that its delay counts.
    pub(crate) fn is_due(&self, facts: &Facts, process: usize) -> bool {
        let mut required = facts.places.edges(process).filter(|edge| edge[0].required);
        required.all(|edge| self.one_holds(facts, edge))
    }

    /// Whether a required dependency can't hold without somebody's help.
    pub(crate) fn is_blocked(&self, facts: &Facts, process: usize) -> bool {
        let mut required = facts.places.edges(process).filter(|edge| edge[0].required);
        required.any(|edge| edge.iter().all(|need| self.holds(facts, need) == Holds::No))
    }

    /// Who keeps those waiting that come after a process: itself, or one before it in whose place it stands.
    fn holder(&self, facts: &Facts, process: usize) -> Option<usize> {
        match self.outlooks[process] {
            Outlook::Coming => Some(process),
            Outlook::Through => self.before(facts, process),
            Outlook::Out | Outlook::Stuck => self.listed_before(facts, process),
        }
    }

    /// Who keeps a process waiting that it comes after: in the list, whoever is on the way; by name, only who is replaced.
    fn before(&self, facts: &Facts, process: usize) -> Option<usize> {
        let is_returning = |other: &usize| {
            let past = facts.processes[*other].past.as_ref();
            facts.runs_of(*other).next().is_some() || past.and_then(|past| past.why).is_some_and(Why::replaces)
        };
        let needs = facts.places.needs[process].iter();
        let named = || needs.filter_map(|need| self.holder(facts, need.on)).find(is_returning);
        self.listed_before(facts, process).or_else(named)
    }

    fn listed_before(&self, facts: &Facts, process: usize) -> Option<usize> {
        let after = facts.places.after[process];
        (0..MOST).filter(|&before| has(after, before)).find_map(|before| self.holder(facts, before))
    }

    /// Whether those before a process have had their turn.
    pub(crate) fn has_turn(&self, facts: &Facts, process: usize) -> bool {
        let managed = facts.spec(process).is_none_or(|spec| spec.tier == Tier::Managed);
        self.before(facts, process).is_none() && (managed || !self.managed_coming)
    }

    /// The run of the one right before a process in the list, if its exec is under way and all that there is to wait for in the
    /// list, and not too many others come before it.
    pub(crate) fn behind(&self, facts: &Facts, process: usize) -> Option<RunId> {
        let is_under_way = |run: &&Run| run.up.is_none() && run.exit.is_none();
        let before = |run: &Run| run.after.and_then(|after| facts.run(after)).filter(is_under_way);
        let after = facts.places.after[process];
        let next = (0..MOST).find(|&next| after == 1 << next).filter(|&next| self.listed_before(facts, process) == Some(next))?;
        let run = self.current(facts, next).filter(is_under_way)?;
        let waits_for = std::iter::successors(before(run), |run| before(run)).count();
        (waits_for < STARTS_AHEAD).then_some(run.id)
    }

    /// The processes of which something is going or must go.
    pub(crate) fn going(&self, facts: &Facts) -> Set {
        let runs = facts.runs.iter().zip(&self.fates);
        let going = runs.filter(|(run, fate)| matches!(fate, Fate::Go(_) | Fate::Leaving) && !run.reported);
        going.fold(0, |set, (run, _)| set | 1 << run.process)
    }

    fn outlook(&self, facts: &Facts, process: usize) -> Outlook {
        if !self.wanted(facts, process) {
            return Outlook::Out;
        }
        if let Some(run) = self.current(facts, process) {
            return if run.up.is_some() { Outlook::Through } else { Outlook::Coming };
        }
        let runs = facts.runs_of(process);
        if self.is_leaving(facts, process) {
            let fails = |run: &Run| matches!(self.fate(facts, run), Fate::Go(why) if why.fails());
            let failing = runs.clone().all(|run| fails(run) || (run.failing() && !run.forgiven));
            return if failing { Outlook::Through } else { Outlook::Coming };
        }
        match rest(facts, process) {
            Rest::Fresh if runs.clone().any(|run| run.reported) || self.is_blocked(facts, process) => Outlook::Stuck,
            Rest::Fresh => Outlook::Coming,
            Rest::Completed | Rest::Failed | Rest::Again(..) => Outlook::Through,
        }
    }

    /// Whether something of a process is going, and will be gone.
    fn is_leaving(&self, facts: &Facts, process: usize) -> bool {
        let serves = |run: &Run| matches!(self.fate(facts, run), Fate::Outlive | Fate::Roll(_));
        facts.runs_of(process).any(|run| !run.reported && !serves(run))
    }

    /// Whether a dependency holds.
    pub(crate) fn holds(&self, facts: &Facts, need: &Need) -> Holds {
        let Some(spec) = facts.spec(need.on).filter(|_| self.wanted(facts, need.on)) else { return Holds::No };
        if let Some(run) = self.current(facts, need.on) {
            let holds = match condition(facts, need) {
                Condition::Started => run.up.is_some(),
                Condition::Ready => run.ready.is_some(),
                Condition::Completed => false,
            };
            return if holds { Holds::Yes } else { Holds::NotYet };
        }
        if self.is_leaving(facts, need.on) {
            return Holds::NotYet;
        }
        match rest(facts, need.on) {
            Rest::Completed if spec.exec.kind == ProcessKind::Task => Holds::Yes,
            Rest::Fresh if self.outlooks[need.on] != Outlook::Stuck => Holds::NotYet,
            _ => Holds::No,
        }
    }

    /// A run that stays by itself goes if its file says that it follows a dependency which is replaced.
    fn along(&self, facts: &Facts, run: &Run) -> Fate {
        let Some(spec) = facts.spec(run.process).filter(|spec| run.asked.is_none() || !facts.is_one_by_one(spec)) else {
            return Fate::Stay;
        };
        for edge in facts.places.edges(run.process).filter(|edge| edge[0].restart) {
            let replaced = edge.iter().find(|need| self.was_replaced(facts, run, need.on));
            // Replicas are followed once, when the last of them is replaced.
            let goes_on = edge.len() > 1 && edge.iter().any(|need| self.is_to_be_replaced(facts, need.on));
            if let Some(need) = replaced.filter(|_| !goes_on) {
                return roll_or_go(facts, run, spec, Why::With(need.on));
            }
        }
        Fate::Stay
    }

    /// Whether the run of a dependency that serves a run is replaced, or was.
    fn was_replaced(&self, facts: &Facts, run: &Run, on: usize) -> bool {
        let serving = self.serving(facts, run, on);
        let replaced = serving.is_some_and(|on| match self.fate(facts, on) {
            Fate::Go(why) => why.replaces(),
            Fate::Leaving => on.exit.is_none() && on.stop.is_some_and(|(_, why)| why.replaces()),
            Fate::Stay | Fate::Outlive | Fate::Roll(_) => false,
        });
        // It was down, and came back as another, under a definition that this run follows it by.
        let came_back = serving.is_none_or(|on| on.id > run.bound.0)
            && facts.processes[on].replacement.is_some_and(|replacement| replacement > run.taken_over);
        replaced || (came_back && follows(run, on))
    }

    /// The run of a dependency that serves a run: of those that were there when it was bound the one that stays, or else the newest;
    /// one on trial doesn't serve beside the one that it is to replace. Once all are gone, it is the oldest that came later.
    fn serving<'f>(&self, facts: &'f Facts, run: &Run, on: usize) -> Option<&'f Run> {
        let (bound, at) = run.bound;
        let was_leaving = |other: &Run| {
            let since = [other.stop.map(|(at, _)| at), other.killed, other.exit.as_ref().map(|(_, at)| *at)];
            since.into_iter().flatten().any(|since| since <= at)
        };
        let before = || facts.runs_of(on).rev().filter(|other| other.id < bound && !was_leaving(other));
        let stays = before().find(|other| self.fate(facts, other) == Fate::Stay);
        let newest = || before().find(|other| other.trial.is_none()).or_else(|| before().next());
        stays.or_else(newest).or_else(|| facts.runs_of(on).find(|other| other.id > bound))
    }

    /// Whether a run of a replica goes on until it can be replaced.
    fn is_to_be_replaced(&self, facts: &Facts, process: usize) -> bool {
        let Some(spec) = facts.spec(process) else { return false };
        let is_old = |run: &Run| run.asked.is_some() || run.spec.exec != spec.exec;
        facts.runs_of(process).any(|run| match self.fate(facts, run) {
            Fate::Outlive | Fate::Roll(_) => true,
            Fate::Stay => is_old(run) && spec.on_change != OnChange::Keep,
            Fate::Go(_) | Fate::Leaving => false,
        })
    }

    /// Who has to be gone before a run of this process is told to stop: everything going that comes after it, however
    /// indirectly, where old and new places agree that it does.
    pub(crate) fn stops_after(&self, facts: &Facts, process: usize) -> Set {
        const TIERS: usize = MOST;
        let mut edges = [0 as Set; MOST + 1];
        edges[..MOST].copy_from_slice(&facts.places.waits);
        for other in 0..MOST {
            let old = facts.runs_of(other).next().map(|run| run.spec.tier);
            match facts.spec(other).map(|spec| spec.tier).or(old) {
                Some(Tier::Application) => edges[other] |= 1 << TIERS,
                Some(Tier::Managed) => edges[TIERS] |= 1 << other,
                None => {}
            }
        }
        let wanted = edges;
        for run in &facts.runs {
            edges[run.process] |= run.waits;
        }
        let reach = closure(edges);
        for (from, edges) in edges.iter_mut().enumerate() {
            // In a circle only the new places count: they alone are never circular.
            let circle = (0..=MOST).filter(|&to| has(reach[from], to) && has(reach[to], from)).fold(0, |set, to| set | 1 << to);
            *edges = *edges & !circle | wanted[from];
        }
        let reach = closure(edges);
        let going = self.going(facts);
        (0..MOST).filter(|&other| has(going, other) && has(reach[other], process)).fold(0, |set, other| set | 1 << other)
    }

    /// When this was.
    pub(crate) fn now(&self) -> Time {
        self.now
    }
}

/// What a dependency must have reached: usually, that it is ready, or completed.
pub(crate) fn condition(facts: &Facts, need: &Need) -> Condition {
    let is_task = facts.spec(need.on).is_some_and(|spec| spec.exec.kind == ProcessKind::Task);
    need.condition.unwrap_or(if is_task { Condition::Completed } else { Condition::Ready })
}

fn closure(mut reach: [Set; MOST + 1]) -> [Set; MOST + 1] {
    for over in 0..=MOST {
        for from in 0..=MOST {
            if has(reach[from], over) {
                reach[from] |= reach[over];
            }
        }
    }
    reach
}

/// Who was free to start or to stop when a step began, as far as others are concerned.
pub(crate) struct Free {
    /// Everything that it needs held.
    pub(crate) needs: Set,
    /// Those before it had had their turn.
    pub(crate) turn: Set,
    /// The run whose exec was all that they had to wait for.
    pub(crate) behind: [Option<RunId>; MOST],
    /// The runs that had to go.
    pub(crate) going: Vec<(RunId, Why)>,
}

impl Free {
    pub(crate) fn at(facts: &Facts, moment: &Moment) -> Free {
        let all =
            |free: &dyn Fn(usize) -> bool| (0..MOST).filter(|&process| free(process)).fold(0, |set, process| set | 1 << process);
        let runs = facts.runs.iter().zip(&moment.fates);
        let going = runs.filter_map(|(run, fate)| if let Fate::Go(why) = fate { Some((run.id, *why)) } else { None });
        Free {
            needs: all(&|process| moment.needs_hold(facts, process)),
            turn: all(&|process| moment.has_turn(facts, process)),
            behind: std::array::from_fn(|process| moment.behind(facts, process)),
            going: going.collect(),
        }
    }
}

/// Whether the files that a definition watches are known to be other than somebody has read them.
pub(crate) fn has_missed(facts: &Facts, process: usize, read: Option<&Content>, spec: &Spec) -> bool {
    let files = facts.processes[process].files.as_ref().filter(|files| files.watch == spec.watch);
    files.zip(read).is_some_and(|(files, read)| files.watch == read.watch && files.files != read.files)
}

/// Whether a run is to be told to read its files again, by the definition that it runs.
pub(crate) fn is_to_reload(facts: &Facts, run: &Run) -> bool {
    let told = run.spec.on_watch == OnWatch::Reload && run.spec.reload.is_some() && run.was_ready;
    told && has_missed(facts, run.process, run.read.as_ref(), &run.spec)
}

/// Whether the definition that a run has says that it is restarted along with a process.
fn follows(run: &Run, on: usize) -> bool {
    let of = name(on).split(':').next();
    run.spec.depends_on.iter().flatten().any(|(name, edge)| Some(name.as_str()) == of && edge.restart)
}

/// Whether what a run failed by is no longer wanted like that: its program, or the check that it didn't stand.
fn is_mended(past: &Past, spec: &Spec) -> bool {
    let old = &past.spec;
    let same_check = match past.why {
        Some(Why::Unready) => old.ready == spec.ready && old.ready_timing == spec.ready_timing,
        Some(Why::Unhealthy) => old.liveness == spec.liveness,
        _ => true,
    };
    old.exec != spec.exec || !same_check
}

/// What is due to a process by how it ended last.
pub(crate) fn rest(facts: &Facts, process: usize) -> Rest {
    let Some(spec) = facts.spec(process) else { return Rest::Fresh };
    facts.processes[process].past.as_ref().map_or(Rest::Fresh, |past| rest_after(facts, process, past, spec))
}

/// The same after this end, by this definition.
pub(crate) fn rest_after(facts: &Facts, process: usize, past: &Past, spec: &Spec) -> Rest {
    let Some(streak) = past.streak.filter(|_| !is_mended(past, spec)) else { return Rest::Fresh };
    if spec.on_watch == OnWatch::Restart && has_missed(facts, process, past.read.as_ref(), spec) {
        let due = facts.processes[process].watch_restarts.due(&spec.backoff, past.at, past.run.0);
        return due.map_or(Rest::Fresh, |due| Rest::Again(due, due));
    }
    again(spec, (past.success(spec), past.is_missing()), streak, past.at)
}

/// What the policy of a definition says after an end in a row, which was a success or not, and whether a program was missing.
pub(crate) fn again(spec: &Spec, (success, missing): (bool, bool), (length, after_health): (u32, bool), at: Time) -> Rest {
    let again = match spec.restart {
        Restart::Never => false,
        Restart::OnFailure => !success,
        Restart::Always => !success || spec.exec.kind == ProcessKind::Service,
    };
    let spent = !success && spec.max_restarts.is_some_and(|most| length > most);
    match success {
        _ if again && !spent => {
            // A program that isn't there is tried again soon once, then rarely.
            let (least, most) = if missing && length > 1 { longest(spec) } else { backoff(spec, length, after_health) };
            Rest::Again(at + least, at + most)
        }
        true => Rest::Completed,
        false => Rest::Failed,
    }
}

/// When a run whose files changed is restarted, if that is put off because it happened too often.
pub(crate) fn slowed_down(facts: &Facts, run: &Run, now: Time) -> Option<Time> {
    let spec = facts.spec(run.process).filter(|spec| spec.on_watch == OnWatch::Restart && spec.exec == run.spec.exec)?;
    let missed = has_missed(facts, run.process, run.read.as_ref(), spec);
    let restarts = &facts.processes[run.process].watch_restarts;
    restarts.due(&spec.backoff, now, run.id.0).filter(|_| missed)
}

/// The longest backoff, at least and at most.
fn longest(spec: &Spec) -> (Duration, Duration) {
    spread(&spec.backoff, spec.backoff.max.as_secs_f64())
}

/// The least and the most that lies between the last of so many ends in a row and the start that follows it.
fn backoff(spec: &Spec, length: u32, after_health: bool) -> (Duration, Duration) {
    if length == 1 && after_health && spec.backoff.first_at_once {
        return (Duration::ZERO, Duration::ZERO);
    }
    let backoff = &spec.backoff;
    let power = i32::try_from(length - u32::from(after_health && backoff.first_at_once) - 1).unwrap_or(i32::MAX);
    let middle = (backoff.initial.as_secs_f64() * backoff.factor.powi(power)).min(backoff.max.as_secs_f64());
    spread(backoff, middle)
}

fn spread(backoff: &Backoff, middle: f64) -> (Duration, Duration) {
    let slack = Duration::from_micros(1);
    let at = |share: f64| Duration::from_secs_f64(middle * share);
    (at(1.0 - backoff.jitter).saturating_sub(slack), at(1.0 + backoff.jitter) + slack)
}

/// Whether a process was removed from the file, by its own name.
pub(crate) fn is_removed(facts: &Facts, run: &Run) -> bool {
    !facts.enabled(number(&run.spec.name))
}

impl Past {
    /// Whether it ended with a success by this definition, and not because it failed.
    pub(crate) fn success(&self, spec: &Spec) -> bool {
        self.status.is_success(spec) && self.why.is_none_or(|why| !why.fails())
    }

    /// Whether its program wasn't there.
    fn is_missing(&self) -> bool {
        matches!(self.status, ExitStatus::NotStarted(Refusal::FileNotFound { .. }))
    }
}
