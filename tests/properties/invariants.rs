//! The invariants: what must hold for each action, after each step, and once everything has settled.

use crate::facts::{Facts, Run};
use crate::places::has;
use crate::rules::{Fate, Free, Holds, Moment, Rest, Why, is_removed, is_to_reload, rest, slowed_down};
use crate::wishes::{MOST, name, number};
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, RunId};
use reconcile::plan::{KILL_PATIENCE, Plan, STARTS_AT_ONCE, STARTS_OF_ONE_USER};
use reconcile::reason::Reason;
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{OnChange, ProcessKind, SignalOrCommand, Spec, StopScope};
use reconcile::state::{ProcessState, ProcessStatus};
use reconcile::time::Time;
use std::fmt::Display;

/// What didn't hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// The invariant.
    pub(crate) rule: &'static str,
    /// In this case.
    pub(crate) story: String,
}

pub(crate) type Check = Result<(), Violation>;

/// Holds a rule to a case.
pub(crate) fn ensure<S: Display>(holds: bool, rule: &'static str, story: impl FnOnce() -> S) -> Check {
    if holds { Ok(()) } else { Err(Violation { rule, story: story().to_string() }) }
}

/// Checks an action at the moment it is taken; answers with why it had to be, if it ends something.
///
/// `before` is the moment at which the step began: one restarted in this very step may be passed by those after it.
pub(crate) fn check_action(facts: &Facts, now: Time, before: &Free, action: &Action) -> Result<Option<Why>, Violation> {
    match action {
        Action::Spawn { run, spec, after } => {
            check_spawn(facts, before, &Moment::of(facts, now), (*run, *after), spec).map(|()| None)
        }
        Action::Hold { .. } | Action::Drain { .. } => Ok(None),
        Action::Update { .. } => check_update(facts, action).map(|()| None),
        Action::Reload { run, by } => check_reload(facts, &Moment::of(facts, now), *run, by).map(|()| None),
        Action::Stop { run, .. } => {
            let found = facts.run(*run);
            ensure(found.is_some(), "actions are about runs that live", || format!("stop {run}"))?;
            found.map_or(Ok(None), |run| check_stop(facts, before, &Moment::of(facts, now), run).map(Some))
        }
        Action::StopRest { run, .. } => {
            let rest = facts.run(*run).filter(|run| run.exit.is_some() && run.rest_stop.is_none() && run.killed.is_none());
            let is_new = rest.is_some_and(|run| run.stop.is_none() || run.spec.stop.scope == StopScope::Main);
            ensure(is_new, "what a leader leaves behind is told to stop once", || run).map(|()| None)
        }
        Action::Kill { run } => {
            let found = facts.run(*run);
            ensure(found.is_some(), "actions are about runs that live", || format!("kill {run}"))?;
            found.map_or(Ok(None), |run| check_kill(facts, &Moment::of(facts, now), run))
        }
    }
}

/// Checks that an engine does, reports and explains the same as one without anything that makes planning fast.
pub(crate) fn check_speed(fast: (&StepOutcome, &Plan), slow: (&StepOutcome, &Plan)) -> Check {
    ensure(fast == slow, "fast planning yields the same", || format!("{fast:?}, but slowly {slow:?}"))
}

/// Checks that a definition is taken over in place where that is all there is to do.
pub(crate) fn check_update(facts: &Facts, action: &Action) -> Check {
    let Action::Update { run: id, spec } = action else { return Ok(()) };
    let run = facts.run(*id).filter(|run| run.undisturbed());
    let wanted = |run: &Run| facts.spec(run.process).is_some_and(|wanted| *wanted == **spec);
    let takes = run.is_some_and(|run| wanted(run) && *run.spec != **spec && run.spec.exec == spec.exec);
    ensure(takes, "only a changed upkeep is taken over in place", || format!("{}{id}", spec.name))
}

/// Checks that whoever performs actions and whoever reads reports are told of the same updates.
pub(crate) fn check_updates(outcome: &StepOutcome) -> Check {
    let performed = outcome.actions.iter().filter(|action| matches!(action, Action::Update { .. })).filter_map(Action::run);
    let told = outcome.reports.iter().filter_map(|report| match report {
        Report::Process(about) if matches!(about.what, TransitionKind::Updated(_)) => about.run,
        _ => None,
    });
    ensure(performed.eq(told), "what is taken over in place is told", || format!("{:?}", outcome.actions))
}

fn check_reload(facts: &Facts, moment: &Moment, id: RunId, by: &SignalOrCommand) -> Check {
    let story = || format!("{id} is told to read its files again");
    let Some(run) = facts.run(id) else { return ensure(false, "actions are about runs that live", story) };
    let stays = run.undisturbed() && run.up.is_some() && moment.fate(facts, run) == Fate::Stay;
    ensure(stays && run.was_ready, "only what has been ready and stays is reloaded", story)?;
    ensure(is_to_reload(facts, run), "a reload is for files that were not read yet", story)?;
    ensure(run.spec.reload.as_ref() == Some(by), "a reload is by the definition that runs", story)
}

fn check_spawn(facts: &Facts, before: &Free, moment: &Moment, (id, after): (RunId, Option<RunId>), spec: &Spec) -> Check {
    let process = number(&spec.name);
    let story = || format!("{}{id} is started", spec.name);
    ensure(facts.run(id).is_none(), "a run's number is never used again", story)?;
    ensure(moment.wanted(facts, process), "what is not wanted is not started", story)?;
    ensure(facts.spec(process) == Some(spec), "obsolete definitions are never started", story)?;
    let outlived = |run: &Run| moment.fate(facts, run) == Fate::Outlive && run.spec.exec != spec.exec;
    let beside = facts.runs_of(process).count();
    let fits = beside == 0 || (beside == 1 && facts.runs_of(process).all(outlived));
    ensure(fits, "at most one run of a name", || format!("{} beside {beside}", story()))?;
    for need in facts.places.needs[process].iter().filter(|need| need.required) {
        let holds = moment.holds(facts, need);
        ensure(holds == Holds::Yes, "a start waits for its dependencies", || {
            format!("{}, but {} is not {:?}", story(), name(need.on), need.condition)
        })?;
    }
    let in_order = moment.needs_hold(facts, process) || has(before.needs, process);
    ensure(in_order, "order alone is order all the same", story)?;
    let rest = rest(facts, process);
    match rest {
        Rest::Completed | Rest::Failed => ensure(false, "what rests is not started", || format!("{}: {rest:?}", story()))?,
        Rest::Again(least, _) => ensure(moment.now() >= least, "no start before its backoff is over", story)?,
        Rest::Fresh => {
            let in_order = match after {
                None => moment.has_turn(facts, process) || has(before.turn, process),
                Some(_) => moment.behind(facts, process) == after || before.behind[process] == after,
            };
            ensure(in_order, "starts follow the order of the list", story)?;
            let removing = facts.runs.iter().find(|run| is_removed(facts, run) && !run.reported);
            let free = removing.is_none() || !facts.processes[process].new;
            ensure(free, "removed processes are gone before added ones start", story)?;
        }
    }
    ensure(after.is_none() || rest == Rest::Fresh, "who has had his place waits for nobody's exec", story)?;
    let due = facts.processes[process].due_since.is_some_and(|since| moment.now() >= since + spec.start_delay);
    ensure(due || spec.start_delay.is_zero(), "no start before its delay is over", story)
}

fn check_stop(facts: &Facts, before: &Free, moment: &Moment, run: &Run) -> Result<Why, Violation> {
    let story = || format!("{}{} is told to stop", run.spec.name, run.id);
    let fate = moment.fate(facts, run);
    let had_to = before.going.iter().find(|(id, _)| *id == run.id && run.undisturbed()).map(|(_, why)| *why);
    let now_has_to = if let Fate::Go(why) = fate { Some(why) } else { None };
    let Some(why) = now_has_to.or(had_to) else {
        let rule = if fate == Fate::Leaving { "nothing is told to stop twice" } else { "what is unchanged gets no signal" };
        return Err(Violation { rule, story: format!("{}, but is to {fate:?}", story()) });
    };
    ensure(run.up.is_some(), "nothing is told to stop before it runs", story)?;
    let before = moment.stops_after(facts, run.process);
    ensure(before == 0, "stops follow the order turned round", || {
        format!("{}, but {} still goes", story(), (0..MOST).filter(|&other| has(before, other)).map(name).collect::<String>())
    })?;
    Ok(why)
}

fn check_kill(facts: &Facts, moment: &Moment, run: &Run) -> Result<Option<Why>, Violation> {
    let story = || format!("{}{} is killed", run.spec.name, run.id);
    ensure(run.killed.is_none(), "nothing is killed twice", story)?;
    let told = run.stop.map(|(since, _)| since).or(run.rest_stop);
    let overdue = told.is_some_and(|since| moment.now() >= since + run.spec.stop.timeout);
    ensure(overdue || is_hurried(facts, moment.now()), "nothing is killed before its time", story)?;
    Ok(facts.closing.map(|_| Why::Closing))
}

fn is_hurried(facts: &Facts, now: Time) -> bool {
    facts.closing.is_some_and(|(since, hurry)| hurry || now >= since + facts.wish.shutdown_timeout)
}

/// Checks what must hold whenever a step is done, after which this is the plan.
pub(crate) fn check_step(facts: &Facts, moment: &Moment, engine: &Engine, outcome: &StepOutcome, after: &Plan) -> Check {
    let now = moment.now();
    let story = || format!("generation {}", engine.generation());
    ensure(engine.generation() == facts.generation, "a generation is a difference in meaning", story)?;
    let adds = !after.steps.is_empty() || after.wake_at != outcome.wake_at;
    ensure(!adds, "a step ends with its last plan", || format!("{after:?} after {outcome:?}"))?;
    ensure(outcome.wake_at.is_none_or(|at| at > now), "nothing that is due is left for later", || {
        format!("{:?}", outcome.wake_at)
    })?;
    let waiting = after.waiting.iter().fold(0, |set, (name, _)| set | 1 << number(name));
    let watch = Watch { facts, moment, wake_at: outcome.wake_at };
    for run in &facts.runs {
        watch.run(run)?;
        let quiet = run.undisturbed() && run.ready.is_some() && !matches!(moment.fate(facts, run), Fate::Go(_));
        ensure(quiet || has(waiting, run.process), "what is not done says what it waits for", || run.spec.name.clone())?;
    }
    let starting = || facts.runs.iter().filter(|run| run.up.is_none() && run.exit.is_none());
    let under_way = starting().count();
    let of_user = |process| {
        let user = facts.spec(process).and_then(|spec| spec.exec.user.as_ref());
        starting().filter(|run| run.spec.exec.user.as_ref() == user).count()
    };
    ensure(under_way <= STARTS_AT_ONCE, "starts take turns", || under_way)?;
    for process in (0..MOST).filter(|&process| moment.wanted(facts, process)) {
        ensure(of_user(process) <= STARTS_OF_ONE_USER, "the starts of a user take turns", || of_user(process))?;
        watch.start(process, under_way < STARTS_AT_ONCE && of_user(process) < STARTS_OF_ONE_USER)?;
        let rests = matches!(rest(facts, process), Rest::Completed | Rest::Failed);
        let settled = moment.current(facts, process).is_some() || rests;
        ensure(settled || has(waiting, process), "what is not done says what it waits for", || name(process))?;
    }
    Ok(())
}

/// What is due, or will be with nothing but time: it must be done now, or the engine must wake in time.
struct Watch<'a> {
    facts: &'a Facts,
    moment: &'a Moment,
    wake_at: Option<Time>,
}

impl Watch<'_> {
    fn deadline(&self, at: Time, rule: &'static str, subject: &dyn Display) -> Check {
        ensure(self.moment.now() < at, rule, || format!("{subject} was due at {at}"))?;
        ensure(self.wake_at.is_some_and(|wake| wake <= at), rule, || {
            format!("{subject} is due at {at}, and the engine wakes at {:?}", self.wake_at)
        })
    }

    fn run(&self, run: &Run) -> Check {
        let subject = format_args!("{}{}", run.spec.name, run.id).to_string();
        let (facts, now) = (self.facts, self.moment.now());
        if let Some(killed) = run.killed {
            return if run.reported { Ok(()) } else { self.deadline(killed + KILL_PATIENCE, "survivors are reported", &subject) };
        }
        let hurried = is_hurried(facts, now) && run.up.is_some();
        ensure(!hurried, "in a hurry everything is killed", || &subject)?;
        if let Some((closing, false)) = facts.closing.filter(|_| !is_hurried(facts, now)) {
            self.deadline(closing + facts.wish.shutdown_timeout, "a shutdown ends in time", &subject)?;
        }
        let late = run.stop.is_none() || run.spec.stop.scope == StopScope::Main;
        ensure(run.exit.is_none() || !late || run.rest_stop.is_some(), "what a leader leaves behind is told to stop", || {
            &subject
        })?;
        if let Some(since) = run.stop.map(|(since, _)| since).or(run.rest_stop) {
            return self.deadline(since + run.spec.stop.timeout, "what doesn't stop in time is killed", &subject);
        }
        match self.moment.fate(facts, run) {
            Fate::Go(why) => {
                let held = run.up.is_none() || self.moment.stops_after(facts, run.process) != 0;
                ensure(held, "what must go is told to", || format!("{subject}: {why:?}"))?;
                // By the new one, it may not have failed.
                ensure(!why.fails() || self.is_up_to_date(run), "a changed upkeep is taken over in place", || &subject)
            }
            Fate::Stay => {
                ensure(self.is_up_to_date(run), "a changed upkeep is taken over in place", || &subject)?;
                ensure(!run.unhealthy, "nothing that isn't alive goes on", || &subject)?;
                ensure(!is_to_reload(facts, run), "what has changed is read again", || &subject)?;
                if let Some(due) = slowed_down(facts, run, now) {
                    self.deadline(due, "a restart for files is put off, not forgotten", &subject)?;
                }
                match run.up.filter(|_| !run.was_ready) {
                    Some(up) => self.deadline(up + run.spec.ready_timing.deadline, "readiness has a deadline", &subject),
                    None => Ok(()),
                }
            }
            Fate::Outlive => ensure(!run.unhealthy, "nothing that isn't alive goes on", || &subject),
            Fate::Leaving => Ok(()),
        }
    }

    /// Whether a run goes by the upkeep that its file gives it.
    fn is_up_to_date(&self, run: &Run) -> bool {
        self.facts.spec(run.process).is_none_or(|spec| *spec == *run.spec || spec.exec != run.spec.exec)
    }

    fn start(&self, process: usize, turns: bool) -> Check {
        let (facts, moment) = (self.facts, self.moment);
        let Some(spec) = facts.spec(process).filter(|_| moment.current(facts, process).is_none()) else { return Ok(()) };
        let outlived = facts.runs_of(process).filter(|run| moment.fate(facts, run) == Fate::Outlive).count();
        let blocked = outlived > 1 || facts.runs_of(process).count() > outlived || !moment.needs_hold(facts, process);
        let rest = rest(facts, process);
        if blocked || matches!(rest, Rest::Completed | Rest::Failed) {
            return Ok(());
        }
        let removing = facts.runs.iter().any(|run| is_removed(facts, run) && !run.reported);
        let free = moment.has_turn(facts, process) && !(removing && facts.processes[process].new);
        let since = facts.processes[process].due_since.unwrap_or(moment.now());
        let subject = name(process);
        match rest {
            Rest::Again(_, most) if moment.now() < most => {
                self.deadline(most.max(since + spec.start_delay), "a backoff ends in time", &subject)
            }
            _ if moment.now() < since + spec.start_delay => {
                self.deadline(since + spec.start_delay, "a delay ends in time", &subject)
            }
            Rest::Fresh if !free => Ok(()),
            _ => ensure(!turns, "what may start is started", || subject),
        }
    }
}

/// Checks what is told, before it is taken for a fact.
pub(crate) fn check_report(facts: &Facts, report: &Report) -> Check {
    let Report::Process(about) = report else { return Ok(()) };
    ensure(about.generation <= facts.generation, "no generation is ahead of the last", || about.generation)?;
    match &about.what {
        TransitionKind::Starting(reason) => {
            let tells = !matches!(reason, Reason::Removed | Reason::Disabled | Reason::StoppedByHand | Reason::Shutdown);
            ensure(tells, "a start's reason is why it is started", || format!("{}: {reason}", about.name))
        }
        _ => Ok(()),
    }
}

/// Checks that the words for people agree with the facts.
pub(crate) fn check_standings(facts: &Facts, now: Time, engine: &Engine) -> Check {
    let moment = Moment::of(facts, now);
    let standings = engine.statuses();
    let wished = facts.wish.specs.len();
    let leaving = (0..MOST).filter(|&process| facts.spec(process).is_none() && facts.runs_of(process).next().is_some());
    ensure(standings.len() == wished + leaving.count(), "every process has a state", || format!("{standings:?}"))?;
    for standing in &standings {
        let process = number(&standing.name);
        let expected = state(facts, &moment, process);
        ensure(standing.state == expected, "states agree with facts", || format!("{standing:?} is {expected}"))?;
        check_standing(facts, standing, process)?;
    }
    let all = (0..MOST).filter(|&process| facts.spec(process).is_some() || facts.runs_of(process).next().is_some());
    let converged = { all }.all(|process| is_as_wanted(facts, &moment, process));
    ensure(engine.is_converged() == converged, "converged is what the file says", || format!("{standings:?}"))
}

fn check_standing(facts: &Facts, standing: &ProcessStatus, process: usize) -> Check {
    let newest = facts.runs_of(process).next_back();
    let pid = newest.is_some_and(|run| run.up.is_some() && run.exit.is_none());
    ensure(standing.pid.is_some() == pid, "a pid is one of something that runs", || format!("{standing:?}"))?;
    let stale = |run: &Run| {
        let kept = facts.spec(process).filter(|spec| spec.on_change == OnChange::Keep);
        run.undisturbed() && kept.is_some_and(|spec| spec.exec != run.spec.exec)
    };
    ensure(standing.stale == newest.is_some_and(stale), "stale is what is kept on purpose", || format!("{standing:?}"))
}

fn state(facts: &Facts, moment: &Moment, process: usize) -> ProcessState {
    match facts.runs_of(process).next_back() {
        Some(run) if !run.undisturbed() => ProcessState::Stopping,
        Some(run) if run.ready.is_some() => ProcessState::Running,
        Some(_) => ProcessState::Starting,
        None if !moment.wanted(facts, process) => ProcessState::Stopped,
        None => match rest(facts, process) {
            Rest::Fresh => ProcessState::Pending,
            Rest::Completed => ProcessState::Completed,
            Rest::Failed => ProcessState::Failed,
            Rest::Again(..) => ProcessState::Backoff,
        },
    }
}

/// Whether one process is as the file and the operator want it.
fn is_as_wanted(facts: &Facts, moment: &Moment, process: usize) -> bool {
    if !moment.wanted(facts, process) {
        return facts.runs_of(process).next().is_none();
    }
    let Some(spec) = facts.spec(process) else { return false };
    if facts.runs_of(process).next().is_none() {
        return rest(facts, process) == Rest::Completed;
    }
    let Some(run) = facts.runs_of(process).next_back() else { return false };
    let failed = facts.processes[process]
        .past
        .as_ref()
        .is_some_and(|past| past.streak.is_some() && !past.success(spec) && past.run < run.id);
    let ready_for = run.ready.map_or(run.ready_for, |since| moment.now().since(since).max(run.ready_for));
    if failed && ready_for < run.spec.backoff.reset_after {
        return false;
    }
    let right = *run.spec == *spec || (spec.on_change == OnChange::Keep && run.spec.exec != spec.exec);
    run.undisturbed() && run.ready.is_some() && !run.unwanted_by_hand && right && spec.exec.kind == ProcessKind::Service
}

/// Checks what must hold once a kind world has settled.
pub(crate) fn check_settled(facts: &Facts, now: Time, engine: &Engine, outcome: &StepOutcome) -> Check {
    const RULE: &str = "a kind world settles on what is wanted";
    let moment = Moment::of(facts, now);
    ensure(outcome.wake_at.is_none(), "a settled world needs no waking", || format!("{:?}", outcome.wake_at))?;
    ensure(engine.is_finished() == facts.closing.is_some(), RULE, || "the engine says otherwise of being finished")?;
    for process in 0..MOST {
        let runs = facts.runs_of(process).count();
        let story = || format!("{} has {runs} runs: {:?}", name(process), engine.waiting(now));
        if !moment.wanted(facts, process) {
            ensure(runs == 0, RULE, story)?;
            continue;
        }
        let rests = matches!(rest(facts, process), Rest::Completed | Rest::Failed);
        let blocked = rests || moment.is_blocked(facts, process);
        match moment.current(facts, process) {
            Some(run) => {
                let task = facts.spec(process).is_some_and(|spec| spec.exec.kind == ProcessKind::Task);
                let stale = task && facts.spec(process).is_some_and(|spec| spec.exec != run.spec.exec);
                ensure(runs == 1 && run.ready.is_some() && (!task || stale), RULE, story)?;
            }
            None => ensure(blocked && runs <= 1, RULE, story)?,
        }
    }
    Ok(())
}

impl Facts {
    /// Whether a process is enabled, or was started by hand all the same.
    pub(crate) fn enabled(&self, process: usize) -> bool {
        self.spec(process).is_some_and(|spec| spec.enabled) || self.processes[process].started.is_some()
    }
}
