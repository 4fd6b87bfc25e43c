//! The bugs to plant.

use super::Bug;

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        title: "the time to wake is not that of the last plan",
        code: "outcome.wake_at = «next.wake_at».into_iter().chain(self.next_proof()).min();",
        instead: "next.wake_at.filter(|_| outcome.actions.is_empty())",
    },
    Bug {
        title: "a dependent follows a name instead of a run",
        code: "«other.id < run.id && other.was_undisturbed(run.begun)»",
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
    Bug { title: "the readiness deadline is ignored", code: "if «view.now >= deadline» {", instead: "false" },
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
        code: "«*process = Facts { runs: core::mem::take(&mut process.runs), ..Facts::default() }.into()»;",
        instead: "let _ = process;",
    },
    Bug {
        title: "a late exit is taken for that of the next run",
        code: "reports.push(report_of(run, TransitionKind::MainChanged)); } } Event::Exited { run, status } => «self.fold_exited(now, run, status, reports)», Event::Gone { run } => self.fold_gone(now, run, reports)",
        instead: "let next = RunId(run.0 + 1); self.fold_exited(now, self.observed.run(run).map_or(next, |run| run.id), status, reports)",
    },
    Bug {
        title: "a stop is over when the main process is gone",
        code: "«run.exit = Some((status, now))»;",
        instead: "run.exit = Some((status, now)); self.fold_gone(now, id, reports);",
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
        code: "is_only_run && «!run.spec.stop.timeout.is_zero()»",
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
        code: "is_well && Arc::ptr_eq(&self.spec, wanted) && self.content.is_none() && «!self.unwanted_by_hand»",
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
        code: "self.processes.get_mut(name).inspect(|_| «self.dirty.mark(name)»)",
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
        code: "let is_closing = orders.closing().is_some() && «process.due_since.is_none()» && process.is_settled(spec);",
        instead: "true",
    },
    Bug { title: "the list is no order", code: "let Some(before) = «self.before(rest)» else {", instead: "None" },
    Bug {
        title: "the start of a dependency that was down restarts nothing",
        code: "(is_replaced || «was_replaced»).then_some(dependency.name)",
        instead: "false",
    },
    Bug {
        title: "two obsolete runs wait for each other's successor",
        code: "(other.ready.is_some() && is_same(other, wanted)) || «service(other) > service(run)»",
        instead: "false",
    },
    Bug {
        title: "the readiness deadline counts again after a lapse",
        code: "let (Some(up), None) = (run.up, «run.first_ready») else {",
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
        code: "«run.first_ready».map(|_| (run.ready.is_some(), run.id))",
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
        code: "if self.desired.get(name).is_none_or(|entry| «entry.spec.watch != content.watch») {",
        instead: "false",
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
];
