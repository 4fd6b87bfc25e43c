//! The invariants: what must hold for each action, after each step, and once everything has settled.

use crate::facts::Facts;
use crate::fates::Fate;
use crate::places::has;
use crate::records::Run;
use crate::rules::{Free, Moment, Rest, Why, condition, is_removed, is_to_reload, rest, slowed_down};
use crate::sockets::{check_held, check_hold};
use crate::wishes::{MOST, name, number};
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, RunId};
use reconcile::plan::{KILL_PATIENCE, Plan, STARTS_AT_ONCE, STARTS_OF_ONE_USER};
use reconcile::reason::Reason;
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{OnChange, ProcessKind, SignalOrCommand, Spec, StopScope};
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
pub(crate) fn check_action(facts: &Facts, moment: &Moment, before: &Free, action: &Action) -> Result<Option<Why>, Violation> {
    match action {
        Action::Spawn { run, spec, after } => check_spawn(facts, before, moment, (*run, *after), spec).map(|()| None),
        Action::Hold { name, listeners } => check_hold(facts, moment, number(name), listeners).map(|()| None),
        Action::Drain { run, by } => {
            let found = facts.run(*run);
            let knows = found.is_some_and(|run| run.spec.stop.drain.as_ref().is_some_and(|drain| drain.by == *by));
            ensure(knows, "a drain is by the definition that runs", || format!("drain {run}"))?;
            let why = found.map_or(Ok(None), |run| check_stop(facts, before, moment, run).map(Some))?;
            ensure(!why.is_some_and(Why::fails), "what failed isn't drained", || format!("drain {run}"))?;
            Ok(why)
        }
        Action::Update { .. } => check_update(facts, action).map(|()| None),
        Action::Reload { run, by } => check_reload(facts, moment, *run, by).map(|()| None),
        Action::Stop { run, .. } => {
            let found = facts.run(*run);
            ensure(found.is_some(), "actions are about runs that live", || format!("stop {run}"))?;
            found.map_or(Ok(None), |run| match run.drain {
                Some(until) => {
                    let is_over = moment.now() >= until && run.exit.is_none();
                    ensure(is_over, "what finishes its work isn't told to end before its time", || run.id).map(|()| None)
                }
                None => check_end(facts, before, moment, run).map(Some),
            })
        }
        Action::StopRest { run, .. } => {
            let rest = facts.run(*run).filter(|run| run.exit.is_some() && run.rest_stop.is_none() && run.killed.is_none());
            let is_new = rest.is_some_and(|run| run.told.is_none() || run.spec.stop.scope == StopScope::Main);
            ensure(is_new, "what a leader leaves behind is told to stop once", || run).map(|()| None)
        }
        Action::Kill { run } => {
            let found = facts.run(*run);
            ensure(found.is_some(), "actions are about runs that live", || format!("kill {run}"))?;
            found.map_or(Ok(None), |run| check_kill(facts, moment, run))
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
    let outlived = |run: &Run| moment.fate(facts, run) == Fate::Outlive && (run.spec.exec != spec.exec || run.asked.is_some());
    let beside = facts.runs_of(process).count();
    let fits = beside == 0 || (beside == 1 && facts.runs_of(process).all(outlived));
    ensure(fits, "at most one run of a name", || format!("{} beside {beside}", story()))?;
    let known = &facts.processes[process];
    ensure(beside == 0 || known.failed_at != Some(known.causes), "what was put back is tried once", story)?;
    ensure(facts.may_start_with_sockets(process, spec), "nothing is started before its sockets are had or refused", story)?;
    ensure(beside == 0 || facts.may_be_replaced(moment, process), "at most `surge` replicas are replaced at once", story)?;
    ensure(beside == 0 || facts.has_room_beside(process), "no more replicas run than there are, and `surge`", story)?;
    for edge in facts.places.edges(process).filter(|edge| edge[0].required) {
        ensure(moment.one_holds(facts, edge), "a start waits for its dependencies", || {
            format!("{}, but {} is not {:?}", story(), name(edge[0].on), condition(facts, &edge[0]))
        })?;
    }
    let in_order = moment.needs_hold(facts, process) || has(before.needs, process);
    ensure(in_order, "order alone is order all the same", story)?;
    let rest = rest(facts, process);
    match rest {
        Rest::Completed | Rest::Failed => ensure(false, "what rests is not started", || format!("{}: {rest:?}", story()))?,
        Rest::Again(least, _) => ensure(moment.now() >= least, "no start before its backoff is over", story)?,
        Rest::Fresh => {}
    }
    // What ended by itself has had its turn.
    let takes_turn = rest == Rest::Fresh || beside > 0;
    if takes_turn {
        let in_order = match after {
            None => moment.has_turn(facts, process) || has(before.turn, process),
            Some(_) => moment.behind(facts, process) == after || before.behind[process] == after,
        };
        ensure(in_order, "starts follow the order of the list", story)?;
        let removing = facts.runs.iter().find(|run| is_removed(facts, run) && !run.reported);
        let free = removing.is_none() || !facts.processes[process].new;
        ensure(free, "removed processes are gone before added ones start", story)?;
    }
    ensure(after.is_none() || takes_turn, "a process that has had its place waits for no exec", story)?;
    let due = facts.processes[process].due_since.is_some_and(|since| moment.now() >= since + spec.start_delay);
    ensure(due || spec.start_delay.is_zero(), "no start before its delay is over", story)
}

/// Checks a stop without a time to finish the work.
fn check_end(facts: &Facts, before: &Free, moment: &Moment, run: &Run) -> Result<Why, Violation> {
    let why = check_stop(facts, before, moment, run)?;
    ensure(run.spec.stop.drain.is_none() || why.fails(), "work is finished before a stop", || run.id)?;
    Ok(why)
}

fn check_stop(facts: &Facts, before: &Free, moment: &Moment, run: &Run) -> Result<Why, Violation> {
    let story = || format!("{}{} is told to stop", run.spec.name, run.id);
    let fate = moment.fate(facts, run);
    let had_to = before.going.iter().find(|(id, _)| *id == run.id && run.undisturbed()).map(|(_, why)| *why);
    let now_has_to = if let Fate::Go(why) = fate { Some(why) } else { None };
    let Some(why) = had_to.or(now_has_to) else {
        let rule = if fate == Fate::Leaving { "nothing is told to stop twice" } else { "what is unchanged gets no signal" };
        return Err(Violation { rule, story: format!("{}, but is to {fate:?}", story()) });
    };
    ensure(run.up.is_some(), "nothing is told to stop before it runs", story)?;
    let before = moment.stops_after(facts, run.process);
    ensure(before == 0, "stops follow the order turned round", || {
        format!("{}, but {} still goes", story(), (0..MOST).filter(|&other| has(before, other)).map(name).collect::<String>())
    })?;
    check_served(facts, moment.now(), run, why)?;
    Ok(why)
}

/// Checks that clients are served when a run is told to stop for a replacement.
fn check_served(facts: &Facts, now: Time, run: &Run, why: Why) -> Check {
    let story = || format!("{}{} is told to stop: {why:?}", run.spec.name, run.id);
    let Some(spec) = facts.spec(run.process).filter(|_| why.replaces()) else { return Ok(()) };
    let wants_sockets = run.spec.exec != spec.exec && run.asked.is_none() && run.trial.is_none() && why == Why::Changed;
    let well = || facts.runs_of(run.process).filter(|other| other.id != run.id && other.undisturbed() && !other.unhealthy);
    let mut ready = well().filter(|other| other.ready.is_some());
    let has_sockets = !wants_sockets || facts.has_sockets(run.process, spec) || ready.clone().next().is_some();
    let has_completed = rest(facts, run.process) == Rest::Completed;
    ensure(has_sockets || has_completed || well().next().is_some(), "nothing is stopped for sockets that can't be had", story)?;
    let serves = run.ready.is_some() && !run.unhealthy && spec.on_change == OnChange::Rolling;
    if !serves || run.asked.is_some_and(|asked| asked.stop_first) || has_completed {
        return Ok(());
    }
    // Of two, the one on trial may go at any time.
    let is_proven = |other: &Run| other.trial.is_none() && (run.trial.is_some() || other.steady(now) || other.id < run.id);
    let is_replaced = ready.any(is_proven);
    if facts.is_one_by_one(spec) {
        let others_serve = is_replaced || facts.others_serve(run.process, now);
        return ensure(others_serve, "a replica is stopped to be replaced while all others serve", story);
    }
    ensure(is_replaced, "a rolling process goes on serving", story)
}

fn check_kill(facts: &Facts, moment: &Moment, run: &Run) -> Result<Option<Why>, Violation> {
    let story = || format!("{}{} is killed", run.spec.name, run.id);
    ensure(run.killed.is_none(), "nothing is killed twice", story)?;
    let told = run.told.or(run.rest_stop);
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
        let replaces = engine.observed().run(run.id).is_some_and(|run| run.replaces.is_some());
        ensure(replaces == run.trial.is_some(), "a trial ends after it was ready for long enough", || run.id)?;
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
    check_held(facts, moment, outcome.wake_at)
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
        let late = run.told.is_none() || run.spec.stop.scope == StopScope::Main;
        ensure(run.exit.is_none() || !late || run.rest_stop.is_some(), "what a leader leaves behind is told to stop", || {
            &subject
        })?;
        if let Some(until) = run.drain.filter(|_| run.exit.is_none()) {
            return self.deadline(until, "what doesn't finish its work in time is told to end", &subject);
        }
        if let Some(since) = run.told.or(run.rest_stop) {
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
                if let Some(due) = facts.turn_at(run, now) {
                    self.deadline(due, "a replica is replaced once the others serve", &subject)?;
                }
                if let Some(due) = slowed_down(facts, run, now) {
                    self.deadline(due, "a restart for files is put off, not forgotten", &subject)?;
                }
                if let Some(ready) = run.ready.filter(|_| run.trial.is_some()) {
                    self.deadline(ready + run.spec.stable, "a trial ends in time", &subject)?;
                }
                let in_time = if run.trial.is_some() { run.ready.is_some() } else { run.was_ready };
                match run.up.filter(|_| !in_time) {
                    Some(up) => self.deadline(up + run.spec.ready_timing.deadline, "readiness has a deadline", &subject),
                    None => Ok(()),
                }
            }
            Fate::Outlive | Fate::Roll(_) => ensure(!run.unhealthy, "nothing that isn't alive goes on", || &subject),
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
        let has_room = outlived <= 1 && facts.runs_of(process).count() == outlived;
        let has_turn = outlived == 0 || facts.may_be_replaced(moment, process);
        let has_room = has_room && has_turn;
        let blocked = !has_room || !moment.needs_hold(facts, process) || !facts.may_start_with_sockets(process, spec);
        let rest = rest(facts, process);
        if blocked || matches!(rest, Rest::Completed | Rest::Failed) {
            return Ok(());
        }
        let removing = facts.runs.iter().any(|run| is_removed(facts, run) && !run.reported);
        let free = moment.has_turn(facts, process) && !(removing && facts.processes[process].new);
        let since = facts.processes[process].due_since.unwrap_or(moment.now());
        let subject = name(process);
        match rest {
            // What runs takes its turn, too.
            _ if !free && outlived > 0 => Ok(()),
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

/// Checks what must hold once a kind world has settled.
pub(crate) fn check_settled(facts: &Facts, now: Time, engine: &Engine, outcome: &StepOutcome) -> Check {
    const RULE: &str = "a kind world settles on what is wanted";
    let moment = Moment::of(facts, now);
    ensure(outcome.wake_at.is_none(), "a settled world needs no waking", || format!("{:?}", outcome.wake_at))?;
    ensure(engine.is_finished() == facts.closing.is_some(), RULE, || "the engine says otherwise of being finished")?;
    for process in 0..MOST {
        let runs = facts.runs_of(process).count();
        check_forgotten(facts, engine, process)?;
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
                ensure(runs == 1 && run.ready.is_some() && run.trial.is_none() && (!task || stale), RULE, story)?;
            }
            None => ensure(blocked && runs <= 1, RULE, story)?,
        }
    }
    Ok(())
}

/// Checks that nothing is remembered of what is no longer in the file, nor of what isn't put back.
fn check_forgotten(facts: &Facts, engine: &Engine, process: usize) -> Check {
    let of_it = reconcile::text::Name::from(name(process));
    let known = engine.observed().processes().get(&of_it);
    let is_needed = facts.in_file(process).is_some() || facts.runs_of(process).next().is_some();
    ensure(is_needed || known.is_none(), "what is removed is forgotten", || format!("{known:?}"))?;
    let (put_back, expected) = (engine.put_back(&of_it), facts.processes[process].put_back.is_some());
    ensure(put_back.is_some() == expected, "what is put back is remembered", || format!("{of_it}: {put_back:?}"))?;
    let sockets = known.and_then(|known| known.sockets.as_ref()).map(|held| &held.listeners);
    let expected = facts.processes[process].sockets.as_ref().map(|sockets| &sockets.listeners);
    ensure(sockets == expected, "the sockets that are held are those that were asked for", || format!("{of_it}: {sockets:?}"))
}

impl Facts {
    /// Whether a process is enabled, or was started by hand all the same.
    pub(crate) fn enabled(&self, process: usize) -> bool {
        self.spec(process).is_some_and(|spec| spec.enabled) || self.processes[process].started.is_some()
    }
}
