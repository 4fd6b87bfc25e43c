//! The bugs to plant.

use super::Bug;

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        title: "the time to wake is not that of the last plan",
        code: "self.prove(now); return «next.wake_at»;",
        instead: "next.wake_at.filter(|_| outcome.actions.is_empty())",
    },
    Bug {
        title: "a dependency that isn't required is not waited for",
        code: "let is_awaited = |on| required || «self.order.is_awaited(self.view, self.dispositions, on)»;",
        instead: "false",
    },
    Bug {
        title: "a dependent follows a name instead of a run",
        code: "let was_there = |other: &Run| «other.id < bound && other.was_undisturbed(at)»;",
        instead: "true",
    },
    Bug {
        title: "cycles of old and new places are waited for",
        code: "«component_of[index] != component_of[on]»",
        instead: "component_of.len() > index.max(on)",
    },
    Bug {
        title: "a run that is kept until it is replaced blocks stops",
        code: "Ending => !row.runs()[place].reported, Disposition::Keep | Disposition::KeepUntilReplaced => «false»",
        instead: "*disposition != Disposition::Keep",
    },
    Bug {
        title: "no kill is scheduled when a stop begins",
        code: "«plan.wake(until)»; plan.wait(name, Waiting::Grace(until));",
        instead: "",
    },
    Bug {
        title: "a process stops before those that depend on it",
        code: "(true, false) => «blockers(view, dispositions)»",
        instead: "(Blockers::none(), (0..view.count()).collect())",
    },
    Bug {
        title: "a shutdown has no end",
        code: "closing.hurry || «view.now >= closing.since + view.desired.shutdown_timeout()»",
        instead: "false",
    },
    Bug {
        title: "the readiness deadline is ignored",
        code: "let deadline = up + run.spec.ready_timing.deadline; if «view.now >= deadline» {",
        instead: "false",
    },
    Bug {
        title: "a change of the environment is no change",
        code: "Arc::ptr_eq(&run.spec, wanted) || «run.spec.exec == wanted.exec»",
        instead: "run.spec.exec.args == wanted.exec.args && run.spec.exec.kind == wanted.exec.kind",
    },
    Bug {
        title: "a failed check counts although it is another check now",
        code: "past.spec.exec != spec.exec || «other_check»",
        instead: "false",
    },
    Bug {
        title: "every backoff delay is the first of its row",
        code: "let step = «streak.length» - u32::from(streak.after_health && backoff.first_at_once);",
        instead: "1",
    },
    Bug {
        title: "one restart too few",
        code: "let is_exhausted = !success && spec.max_restarts.is_some_and(|most| «streak.length > most»);",
        instead: "streak.length >= most",
    },
    Bug {
        title: "a removed process is remembered when it comes back",
        code: "«*process = ProcessFacts { runs, sockets, ..ProcessFacts::default() }.into()»;",
        instead: "(process.runs, process.sockets) = (runs, sockets)",
    },
    Bug {
        title: "a late exit is taken for that of the next run",
        code: "reports.push(report_of(run, TransitionKind::MainChanged)); } } Event::Exited { run, status } => «self.fold_exited(now, run, status, reports)», Event::Gone { run } => self.fold_gone(now, run, reports)",
        instead: "let next = RunId(run.0 + 1); self.fold_exited(now, self.observed.run(run).map_or(next, |run| run.id), status, reports)",
    },
    Bug {
        title: "a stop is over when the main process is gone",
        code: "«if run.stop.is_none() && !completes { self.put_back_run(now, id, &Reason::Ended(status), reports); }»",
        instead: "self.fold_gone(now, id, reports);",
    },
    Bug {
        title: "a reload restarts every delay",
        code: "«self.generation += 1»;",
        instead: "self.generation += 1; self.observed.processes_mut().for_each(|(_, process)| process.due_since = None);",
    },
    Bug {
        title: "an order by hand forgives nothing that came before",
        code: "for run in self.runs.iter_mut().filter(|run| «!run.is_undisturbed()») {",
        instead: "run.forgiven",
    },
    Bug { title: "any reload lifts an order by hand", code: "Some(entry) if entry.spec == *spec => «true»,", instead: "false" },
    Bug {
        title: "a process is started beside a run that survives a kill",
        code: "if «self.row.runs().len() > kept || kept > 1» {",
        instead: "self.row.runs().iter().any(|run| !run.reported) && self.row.runs().len() > kept",
    },
    Bug {
        title: "an added process does not wait for removed ones",
        code: "let removed = «still_removing(view)»;",
        instead: "None",
    },
    Bug {
        title: "a plan counts as the last one although a dependent may follow",
        code: "steps.is_empty() || («no_dependents» && steps.iter().all(|step| leads_to_nothing(view, step)))",
        instead: "true",
    },
    Bug {
        title: "a plan counts as the last one although the next of a list may follow",
        code: "Step::Start { after, .. } => «is_last_in_row(view, *after)»,",
        instead: "true",
    },
    Bug {
        title: "a plan counts as the last one although a kill follows",
        code: "run.spec.stop.drain.is_none() && «!run.spec.stop.timeout.is_zero()»",
        instead: "true",
    },
    Bug {
        title: "all of a list may be started behind each other",
        code: "(«execs_before(before, self.under_way)» < STARTS_AHEAD).then_some(before)",
        instead: "0",
    },
    Bug {
        title: "the process behind an exec in the list is not considered",
        code: "self.before_in_list(entry).is_none() || «exec_before(view, dispositions, entry).is_some()»",
        instead: "false",
    },
    Bug {
        title: "a run counts as settled although it is to be restarted by hand",
        code: "is_well && Arc::ptr_eq(&self.spec, wanted) && self.content.is_none() && «self.unwanted.is_none()»",
        instead: "true",
    },
    Bug {
        title: "a run counts as settled although it isn't ready",
        code: "let is_well = self.up.is_some() && «self.ready.is_some()» && self.unhealthy.is_none() && self.is_undisturbed();",
        instead: "true",
    },
    Bug { title: "settled processes miss a shutdown", code: "«self.observed.mark_all_dirty()»; if hurry", instead: "" },
    Bug {
        title: "a process with changed facts is not marked dirty",
        code: "«self.dirty.mark(name)»; self.unrecorded.mark(name); Some(process)",
        instead: "",
    },
    Bug {
        title: "the first of a queue is not considered",
        code: "order.next = «list.firsts().chain(behind_execs(view, dispositions, &list)).collect()»;",
        instead: "behind_execs(view, dispositions, &list)",
    },
    Bug {
        title: "the quota of starts is spent on processes that can't start",
        code: "«is_waiting(index)» && is_room(*index)",
        instead: "true",
    },
    Bug {
        title: "a process that stops because others do is not considered",
        code: "«view.activate(index, all.0.len())»;",
        instead: "",
    },
    Bug {
        title: "a process is queued before its start delay is over",
        code: "let delay_is_over = «process.due_since.is_some_and(|since| now >= since + spec.start_delay)»;",
        instead: "true",
    },
    Bug {
        title: "a failed process is queued",
        code: "[] => («resting_state(Some(process), spec) == RestingState::Fresh»).then_some(Quiescent::Queued)",
        instead: "true",
    },
    Bug {
        title: "an outdated process is quiescent although its place changed",
        code: "run.up.is_some() && run.is_undisturbed() && «run.waits.iter().all(is_wanted)»",
        instead: "true",
    },
    Bug {
        title: "a process that is to forget its delay counts as closing",
        code: "let is_closing = !has_sockets && orders.closing().is_some() && «process.due_since.is_none()» && process.is_settled(spec);",
        instead: "true",
    },
    Bug { title: "the list is no order", code: "let Some(before) = «self.before(rest)» else {", instead: "None" },
    Bug {
        title: "the start of a dependency that was down restarts nothing",
        code: "is_replaced || «was_replaced» }",
        instead: "false",
    },
    Bug {
        title: "two obsolete runs wait for each other's successor",
        code: "|| «healthy_runs(row).any(serves_better)»",
        instead: "false",
    },
    Bug {
        title: "the readiness deadline counts again after a lapse",
        code: "let in_time = if run.replaces.is_some() { run.ready } else { «run.first_ready» };",
        instead: "run.ready",
    },
    Bug {
        title: "an unhealthy run is kept",
        code: "if «run.unhealthy.is_some()» { return Disposition::Stop(Cause::Unhealthy); }",
        instead: "false",
    },
    Bug {
        title: "an unhealthy run serves until it is replaced",
        code: "OnChange::Keep | OnChange::Rolling if «run.unhealthy.is_none()» && service(run).is_some()",
        instead: "true",
    },
    Bug {
        title: "an unhealthy replacement takes the place of the old run",
        code: "row.runs().iter().filter(|run| run.is_undisturbed() && «run.unhealthy.is_none()»)",
        instead: "true",
    },
    Bug {
        title: "an old run is given up because it isn't ready for a moment",
        code: "«run.first_ready».map(|_| (run.ready.is_some(), run.replaces.is_none(), run.id))",
        instead: "run.ready",
    },
    Bug {
        title: "a failed run gets no new upkeep",
        code: "Disposition::Stop(cause) => «cause.is_failure()», Disposition::KeepUntilReplaced | Disposition::Ending => false",
        instead: "false",
    },
    Bug {
        title: "the result of a removed check is remembered",
        code: "if «run.spec.liveness != spec.liveness» { run.unhealthy = None; } outcome.actions.push",
        instead: "false",
    },
    Bug {
        title: "a program is told to reload before it can know what to do",
        code: "run.spec.on_watch == OnWatch::Reload && run.spec.reload.is_some() && «run.first_ready.is_some()»",
        instead: "true",
    },
    Bug {
        title: "a changed list of files counts all changes as read",
        code: "Some(former) => *read = Some(«content.as_read(former)»),",
        instead: "content.clone()",
    },
    Bug {
        title: "late news of files that are no longer watched counts",
        code: "let Some(entry) = self.desired.get(name).filter(|entry| «entry.spec.watch == content.watch») else {",
        instead: "true",
    },
    Bug {
        title: "a completed task never reads its files again",
        code: "if «spec.on_watch == OnWatch::Restart» { changed_file(past.content.as_ref(), content, spec) } else { None }",
        instead: "false",
    },
    Bug {
        title: "a lapse undoes healthy running",
        code: "self.was_ready_for = «self.longest_ready(now)»;",
        instead: "Duration::ZERO",
    },
    Bug {
        title: "the time it takes to stop counts as healthy running",
        code: "let end = «self.stop.as_ref().map_or(at, |stop| stop.since.min(at))»;",
        instead: "at",
    },
    Bug {
        title: "an old run is stopped as soon as the new one is ready",
        code: "«run.ready.filter(|_| takes_over).map(|ready| ready + stable)»",
        instead: "run.ready.filter(|_| is_same(run, wanted))",
    },
    Bug {
        title: "a new run has taken over before it stayed ready",
        code: "let until = ready + run.spec.stable; if «view.now >= until» {",
        instead: "view.now >= ready",
    },
    Bug {
        title: "a new run that was ready once needn't be ready in the end",
        code: "let in_time = if «run.replaces.is_some()» { run.ready } else { run.first_ready };",
        instead: "false",
    },
    Bug {
        title: "a run that has yet to take over is preferred to the old one",
        code: "run.first_ready.map(|_| (run.ready.is_some(), «run.replaces.is_none()», run.id))",
        instead: "true",
    },
    Bug {
        title: "what was put back is still to be replaced",
        code: "let unwanted = «run.unwanted.take()».filter(|_| put_back.is_of_same_program());",
        instead: "run.unwanted.clone()",
    },
    Bug {
        title: "what was put back is tried again with any new configuration",
        code: "self.put_back.retain(|name, put_back| «file.get(name).is_some_and(|entry| entry.spec == put_back.rejected.0)»);",
        instead: "false",
    },
    Bug {
        title: "what was put back follows the same replacement again",
        code: "(run.taken_over, run.bound) = «(newest, (newest, now))»;",
        instead: "(newest, run.bound)",
    },
    Bug {
        title: "the failure of a new run counts against the old one",
        code: "if run.id == id { «run.forgiven = true»; } else if",
        instead: "",
    },
    Bug {
        title: "an order to stop first is a rolling one",
        code: "self.unwanted.as_ref().is_some_and(|unwanted| «unwanted.stops_first»)",
        instead: "false",
    },
    Bug {
        title: "one more replica than allowed is replaced at once",
        code: "Some(other) if «*under_way >= limit» =>",
        instead: "*under_way > limit",
    },
    Bug {
        title: "a replica isn't being replaced any more while its old run stops",
        code: "«runs > 1» || current_run(row, dispositions).is_some_and(|run| run.replaces.is_some())",
        instead: "false",
    },
    Bug {
        title: "a replica isn't being replaced any more once its old run has died",
        code: "runs > 1 || current_run(row, dispositions).is_some_and(|run| «run.replaces.is_some()»)",
        instead: "false",
    },
    Bug {
        title: "without surge a replica is stopped although another one doesn't serve",
        code: "let absent = «turn.absent.iter().find(|(number, _)| *number != entry.number())»;",
        instead: "None",
    },
    Bug {
        title: "without surge all replicas are stopped at once",
        code: "let earlier = «turn.next.iter().find(|(number, _)| *number < entry.number())»;",
        instead: "None",
    },
    Bug {
        title: "without surge a replica serves as soon as it is ready",
        code: "match serving.filter(|_| stable.is_some_and(|stable| «stable <= view.now»)) {",
        instead: "true",
    },
    Bug {
        title: "without surge a replacement that is under way is never finished",
        code: "if «superseded == Some(false)» && let Some(other) =",
        instead: "superseded.is_some()",
    },
    Bug {
        title: "a replica that is put back leaves the others as they are",
        code: "if !put_back.is_of_same_program() { «renewed.extend(self.put_back_replicas(now, &name, &why, reports))»; }",
        instead: "",
    },
    Bug {
        title: "replicas return to what they were just being replaced by",
        code: "if «go_on.peek().is_some() && replicas.iter().any(is_being_replaced)» {",
        instead: "false",
    },
    Bug {
        title: "what follows replicas is restarted with the first of them",
        code: "let goes_on = «edge.len() > 1 && edge.iter().any(|need| is_to_be_replaced(&view.row(need.on), all))»;",
        instead: "false",
    },
    Bug {
        title: "steps that were planned before a run was put back are begun",
        code: "self.begin(now, step, outcome); if «!Arc::ptr_eq(&self.desired, &desired)» { break; }",
        instead: "false",
    },
    Bug {
        title: "sockets are closed during a backoff",
        code: "«matches!(resting_state(row.process(), wanted), RestingState::Completed | RestingState::Failed)» } fn wait(",
        instead: "resting_state(row.process(), wanted) != RestingState::Fresh",
    },
    Bug {
        title: "sockets are closed before others are opened",
        code: "_ if needed.iter().all(is_held) => «shrinking.push(Step::Hold(row.name.clone(), needed))»,",
        instead: "plan.steps.push(Step::Hold(row.name.clone(), needed))",
    },
    Bug {
        title: "an address is closed although another process gets it in exchange",
        code: "lost.into_iter().filter(|listener| «gained.contains(&listener.address)»)",
        instead: "false",
    },
    Bug {
        title: "a run is stopped for a definition that can't have its sockets",
        code: "OnChange::Restart | OnChange::Rolling if «!are_held(row.process(), &entry.spec)» => health(view, run, plan),",
        instead: "false",
    },
    Bug {
        title: "a start doesn't wait for its sockets",
        code: "if «are_pending(self.row.process(), &self.entry.spec, plan)» {",
        instead: "false",
    },
    Bug {
        title: "an answer about sockets that comes again counts again",
        code: "sockets.listeners != listeners || «!matches!(sockets.state, HoldState::Pending { .. })»",
        instead: "false",
    },
    Bug {
        title: "a removed process leaves its sockets open",
        code: "let (runs, sockets) = (core::mem::take(&mut process.runs), «process.sockets.take()»);",
        instead: "None",
    },
    Bug {
        title: "a process is told to finish its work a second time",
        code: "(stop.drains_until, stop.told) = (None, now); «outcome.actions.push(stop_action(run))»;",
        instead: "outcome.actions.extend(run.spec.stop.drain.clone().map(|drain| Action::Drain { run: id, by: drain.by }))",
    },
    Bug {
        title: "a process may finish its work for ever",
        code: "return if «view.now < until» { grant_drain(name, run, until, plan) } else",
        instead: "true",
    },
    Bug {
        title: "a process that failed is to finish its work first",
        code: "let drain = run.spec.stop.drain.clone().filter(|_| «!why.is_failure()»);",
        instead: "true",
    },
];

/// Those of rollback.
pub(crate) const BUGS_OF_ROLLBACK: &[Bug] = &[
    Bug {
        title: "a configuration is good before it was well for long enough",
        code: "trial.converged.is_some_and(|since| «now >= since + trial.settings.bake»)",
        instead: "now >= since",
    },
    Bug {
        title: "a configuration is good although it was not well in between",
        code: "let converged = «if is_converged { trial.converged.or(Some(now)) } else { None }»;",
        instead: "trial.converged.or(is_converged.then_some(now))",
    },
    Bug { title: "a trial has no deadline", code: "if «now >= trial.since + trial.settings.deadline» {", instead: "false" },
    Bug {
        title: "a bad configuration is tried again when it is saved again",
        code: "self.rollout.bad.as_ref().is_some_and(|bad| bad.is_undone() && «*bad.file == *wanted»)",
        instead: "false",
    },
    Bug {
        title: "a bad configuration is remembered although the file has another",
        code: "«self.rollout.bad = None»; self.rollout.trial = Some(Trial { since: now, settings, converged: None });",
        instead: "",
    },
    Bug {
        title: "the configuration that came back is undone, too",
        code: "self.rollout.good = Some((good, self.generation)); «return true»;",
        instead: "self.begin_trial(now, &self.file.clone()); return true",
    },
    Bug {
        title: "what comes back is what failed",
        code: "let good = «self.rollout.good.clone()»;",
        instead: "self.rollout.good.clone().map(|(_, generation)| (self.file.clone(), generation))",
    },
    Bug {
        title: "what was well before the first trial doesn't come back",
        code: "self.generation > 0 && self.rollout.trial.is_none() && «self.all_as_wanted()»",
        instead: "false",
    },
];

/// Bugs of schedules.
pub(crate) const BUGS_OF_SCHEDULES: &[Bug] = &[
    Bug {
        title: "a scheduled task starts as soon as it is wanted",
        code: "RestingState::Fresh if spec.schedule.is_some() && «!process.is_called()» => RestingState::Dated,",
        instead: "false",
    },
    Bug {
        title: "a date doesn't wake the engine",
        code: "plan.steps.extend(self.shutdown(rest)); if let Some(date) = date { «plan.wake(date)»; }",
        instead: "",
    },
    Bug {
        title: "a date is served again and again",
        code: "if let Some(next) = «self.next_date.take_if(|next| next.at <= now)» {",
        instead: "self.next_date.clone().filter(|next| next.at <= now)",
    },
    Bug {
        title: "a start by hand leaves the date that has come",
        code: "process.tried = true; «process.serve_date(now)»;",
        instead: "",
    },
];
