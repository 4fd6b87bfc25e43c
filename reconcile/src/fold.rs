//! How events become facts. An event that is known already, or is about a run that is gone, is ignored.

use crate::backoff::Streak;
use crate::begin_step::report_of;
use crate::desired::{Desired, DesiredProcess};
use crate::diff::changed_fields;
use crate::engine::Engine;
use crate::event::{Event, ExitStatus, Order, Pid, Refusal, RunId};
use crate::merge_lookup::MergeLookup;
use crate::observed::{ObservedProcess, Past, ProcessFacts, Run, Unwanted};
use crate::plan::{RestingState, is_same, resting_state_after};
use crate::reason::Reason;
use crate::report::{Report, Summary, Transition, TransitionKind};
use crate::socket::{HoldState, Listener, SocketChange};
use crate::spec::ProcessKind;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    pub(crate) fn fold(&mut self, now: Time, event: Event, reports: &mut Vec<Report>) {
        match event {
            Event::Wanted(desired) => self.fold_wanted(now, desired, reports),
            Event::Order(order) => self.fold_order(now, &order, reports),
            Event::Spawned { run, pid } => self.fold_spawned(now, run, pid, reports),
            Event::NotSpawned { run, why } => self.fold_not_spawned(now, run, why, reports),
            Event::Ready { run } => {
                if let Some(run) = self.undisturbed_mut(run)
                    && run.ready.is_none()
                {
                    run.become_ready(now);
                    reports.push(report_of(run, TransitionKind::Ready));
                }
            }
            Event::Unready { run, why } => self.fold_unready(now, run, why, reports),
            Event::Unhealthy { run, why } => {
                // Until it has been ready, a program need not answer; its deadline decides.
                if let Some(run) = self.undisturbed_mut(run)
                    && run.spec.liveness.is_some()
                    && run.first_ready.is_some()
                {
                    run.unhealthy.get_or_insert(why);
                }
            }
            Event::Reloaded { run, failure } => self.fold_reloaded(run, failure, reports),
            Event::Content { name, content } => self.fold_content(now, &name, content),
            Event::NextDate { name, next } => self.fold_next_date(&name, next),
            Event::Held { name, listeners, refusal } => self.fold_held(now, &name, &listeners, refusal),
            Event::Socket { name, address, what } => self.fold_socket(name, address, what, reports),
            Event::SocketsKept { run, by } => self.fold_sockets_kept(run, by, reports),
            Event::Listens { run, on } => {
                if let Some(run) = self.undisturbed_mut(run) {
                    run.listens_on = Some(on.into());
                }
            }
            // It is told to end at once.
            Event::NotDrained { run, .. } => {
                let stop = self.observed.run_mut(run).and_then(|run| run.stop.as_mut());
                if let Some(until) = stop.and_then(|stop| stop.drains_until.as_mut()) {
                    *until = now.min(*until);
                }
            }
            Event::KillRefused { run, why } => {
                if let Some(run) = self.observed.run_mut(run).filter(|run| run.killed.is_some()) {
                    run.kill_refused.get_or_insert(why);
                }
            }
            Event::MainChanged { run, pid } => {
                if let Some(run) = self.observed.run_mut(run).filter(|run| run.up.is_some() && run.exit.is_none()) {
                    run.pid = Some(pid);
                    reports.push(report_of(run, TransitionKind::MainChanged));
                }
            }
            Event::Exited { run, status } => self.fold_exited(now, run, status, reports),
            Event::Gone { run } => self.fold_gone(now, run, reports),
        }
    }

    fn fold_wanted(&mut self, now: Time, mut desired: Desired, reports: &mut Vec<Report>) {
        if self.orders.closing().is_some() {
            return;
        }
        desired.share(&self.file);
        if self.is_known_bad(&desired) {
            return reports.push(Report::KnownBad);
        }
        if !self.is_news(&desired) {
            self.end_rollback();
            return reports.push(Report::Unchanged);
        }
        self.begin_trial(now, &desired);
        self.adopt(Arc::new(desired), reports);
    }

    /// Puts a configuration in force as a new generation.
    pub(crate) fn adopt(&mut self, file: Arc<Desired>, reports: &mut Vec<Report>) {
        let summary = Summary::of(&self.changes(&file));
        self.generation += 1;
        reports.push(Report::Accepted(Summary { generation: self.generation, ..summary }));
        self.remember_former_replicas(&file);
        self.forget_changed_put_backs(&file);
        self.file = file;
        let in_force = self.file_in_force();
        let former = core::mem::replace(&mut self.desired, in_force);
        self.planner.reset(&self.desired);
        self.apply_changed_definitions(&former);
        self.bridge_places(&former);
        self.reset_removed();
        self.update_places();
        self.forget_unused();
    }

    /// Records the generation of each changed definition, and resets the processes that are to start for it.
    fn apply_changed_definitions(&mut self, former: &Desired) {
        let orders_lifted = self.orders.forget_changed(&self.file);
        self.observed.add_missing(self.desired.specs().map(|(name, _)| name));
        // What counts as a failure may have changed; what doesn't is forgotten at the end of the step.
        let ended = self
            .observed
            .processes()
            .iter()
            .filter(|(_, process)| process.past.as_ref().is_some_and(|past| past.streak.is_some()));
        let ended: Vec<Name> = ended.map(|(name, _)| name.clone()).collect();
        self.observed.unproven.extend(ended);
        let since = Arc::make_mut(&mut self.since);
        let mut former = MergeLookup::over(former.specs());
        let mut processes = MergeLookup::over(self.observed.processes_mut());
        for (name, wanted) in self.desired.specs() {
            let before = former.to(name);
            if before != Some(wanted) {
                since.insert(name.clone(), self.generation);
            }
            let Some(process) = processes.to(name) else { continue };
            if before.is_some_and(|before| before.exec != wanted.exec) {
                // The new definition has a readiness deadline of its own.
                process.replacing_since = None;
            }
            // A date that came meanwhile isn't made up for.
            if !self.orders.enable(wanted) || orders_lifted.contains(name) {
                process.next_date = None;
            }
            match before {
                _ if !self.orders.enable(wanted) => {
                    process.forgive();
                    process.tried = false;
                }
                None => process.request_start(Reason::Added),
                Some(before) if !before.enabled && wanted.enabled => process.request_start(Reason::Enabled),
                Some(_) if wanted.schedule.is_some() => {}
                Some(before) if orders_lifted.contains(name) => {
                    process.request_start(Reason::Changed(changed_fields(before, wanted)));
                }
                Some(_) => {}
            }
        }
    }

    /// Forgets removed processes except for their runs. A process that is added again is new.
    fn reset_removed(&mut self) {
        let mut wanted = MergeLookup::over(self.desired.specs());
        Arc::make_mut(&mut self.since).retain(|name, _| wanted.to(name).is_some());
        let mut wanted = MergeLookup::over(self.desired.specs());
        for (_, process) in self.observed.processes_mut().filter(|(name, _)| wanted.to(name).is_none()) {
            let (runs, sockets) = (core::mem::take(&mut process.runs), process.sockets.take());
            *process = ProcessFacts { runs, sockets, ..ProcessFacts::default() }.into();
        }
    }

    /// Keeps the order of the runs that end, where it leads over processes that have other places now, or none. Each such run gets
    /// the nearest ones before it as further places.
    fn bridge_places(&mut self, former: &Desired) {
        let names = |desired: &Desired, entry: &DesiredProcess| desired.names_before(entry);
        let is_moved = |entry: &DesiredProcess| {
            self.desired.get(&entry.spec.name).is_none_or(|new| names(&self.desired, new) != names(former, entry))
        };
        let moved: Vec<bool> = former.entries().iter().map(is_moved).collect();
        if !moved.contains(&true) {
            return;
        }
        let ends = |name: &Name, process: &ObservedProcess| {
            let wanted = self.desired.get(name).map(|entry| &entry.spec).filter(|spec| spec.enabled);
            let goes_on = |run: &Run| run.is_undisturbed() && wanted.is_some_and(|wanted| is_same(run, wanted));
            !process.runs.is_empty() && !process.runs.iter().any(goes_on)
        };
        let mut processes = MergeLookup::over(self.observed.processes());
        let by_name = former.specs().map(|(name, _)| processes.to(name).is_some_and(|process| ends(name, process)));
        let ending: Vec<bool> = by_name.collect();
        let mut further = Vec::new();
        for (name, process) in self.observed.processes().iter().filter(|(name, process)| ends(name, process)) {
            let places: BTreeSet<Name> = process.runs.iter().flat_map(|run| &run.waits).cloned().collect();
            let found = places_behind(former, &places, &moved, &ending);
            further.extend((!found.is_empty()).then(|| (name.clone(), found)));
        }
        for (name, found) in further {
            let Some(process) = self.observed.process_mut(&name) else { continue };
            for run in &mut process.runs {
                run.waits.extend(found.iter().filter(|name| !run.waits.contains(name)).cloned().collect::<Vec<_>>());
            }
        }
    }

    /// Gives runs that go on their places of the new file. Runs that are to stop keep their former places.
    pub(crate) fn update_places(&mut self) {
        let mut processes = MergeLookup::over(self.observed.processes_mut());
        for entry in self.desired.entries().iter().filter(|entry| self.orders.enable(&entry.spec)) {
            let Some(process) = processes.to(&entry.spec.name) else { continue };
            process.place(&entry.spec, &self.desired.names_before(entry));
        }
    }

    /// Takes an order by hand. One about a process that isn't in the file is ignored.
    fn fold_order(&mut self, now: Time, order: &Order, reports: &mut Vec<Report>) {
        let name = match order {
            Order::Shutdown | Order::Hurry => return self.close(now, order == &Order::Hurry),
            Order::Retry => {
                self.retry_all_put_back();
                return self.retry_rollout(now, reports);
            }
            Order::Start(name) | Order::Stop(name) | Order::Restart(name) | Order::RestartStopFirst(name) => name,
        };
        self.retry_put_back(name);
        let Some(entry) = self.desired.get(name) else { return };
        let process = self.observed.process_or_new(name);
        match order {
            Order::Stop(_) => {
                self.orders.stop(&entry.spec);
                process.tried &= entry.spec.enabled;
                process.forgive();
            }
            Order::Restart(_) | Order::RestartStopFirst(_) if process.is_running() => {
                self.orders.start(&entry.spec);
                let stops_first = matches!(order, Order::RestartStopFirst(_));
                for run in process.runs.iter_mut().filter(|run| run.is_undisturbed()) {
                    run.unwanted = Some(Unwanted { why: Reason::RestartedByHand, stops_first });
                }
            }
            Order::Restart(_) | Order::RestartStopFirst(_) => {
                self.orders.start(&entry.spec);
                process.request_start(Reason::RestartedByHand);
            }
            _ => {
                self.orders.start(&entry.spec);
                // One that is disabled goes on after all.
                process.place(&entry.spec, &self.desired.names_before(entry));
                if !process.is_running() {
                    process.request_start(Reason::StartedByHand);
                }
            }
        }
    }

    /// Begins a shutdown, which makes every process dirty.
    fn close(&mut self, now: Time, hurry: bool) {
        self.observed.mark_all_dirty();
        if hurry {
            self.orders.hurry(now);
        } else {
            self.orders.shut_down(now);
        }
    }

    fn fold_spawned(&mut self, now: Time, id: RunId, pid: Pid, reports: &mut Vec<Report>) {
        let Some(run) = self.observed.run_mut(id) else { return };
        if run.up.is_some() {
            return;
        }
        run.pid = Some(pid);
        run.up = Some(now);
        if !run.spec.has_readiness() {
            run.become_ready(now);
        }
        reports.push(report_of(run, TransitionKind::Starting(run.reason.clone())));
        reports.push(report_of(run, TransitionKind::Started));
        if run.spec.exec.sockets.is_empty() {
            return;
        }
        let spec = run.spec.clone();
        // A start gets by itself what was refused before.
        if let Some(held) = self.observed.process_mut(&spec.name).and_then(|process| process.sockets.as_deref_mut())
            && held.listeners == spec.exec.sockets
        {
            held.state = HoldState::Held;
        }
    }

    fn fold_not_spawned(&mut self, now: Time, id: RunId, why: Refusal, reports: &mut Vec<Report>) {
        if self.observed.run(id).is_none_or(|run| run.up.is_some()) {
            return;
        }
        let status = ExitStatus::NotStarted(why);
        // Its line comes after those of the start.
        let mut put_back = Vec::new();
        self.put_back_run(now, id, &Reason::Ended(status.clone()), &mut put_back);
        let Some(run) = self.observed.remove(id) else { return };
        if let Some(stop) = &run.stop {
            // It was killed in a hurry before its program ran: that is no failure.
            reports.push(report_of(&run, TransitionKind::Stopped { status: status.clone(), reason: stop.why.clone() }));
        } else {
            reports.push(report_of(&run, TransitionKind::Starting(run.reason.clone())));
        }
        let not_started = run.stop.is_none().then(|| TransitionKind::NotStarted(Reason::Ended(status.clone())));
        let place = reports.len();
        self.record_end(&run, status, now, reports);
        let is_final =
            |report: &Report| matches!(report, Report::Process(about) if matches!(about.what, TransitionKind::Failed(_)));
        if let Some(not_started) = not_started.filter(|_| !reports[place..].iter().any(is_final)) {
            reports.insert(place, report_of(&run, not_started));
        }
        reports.append(&mut put_back);
    }

    /// A run with a running program, unless it is stopping or ending.
    fn undisturbed_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.observed.run_mut(id).filter(|run| run.up.is_some() && run.is_undisturbed())
    }

    /// A run is no longer ready if its probe fails, unless the new definition has no probe.
    fn fold_unready(&mut self, now: Time, id: RunId, why: String, reports: &mut Vec<Report>) {
        let Some(run) = self.undisturbed_mut(id).filter(|run| run.spec.has_readiness()) else { return };
        if run.ready.is_some() {
            run.lapse(now);
            reports.push(report_of(run, TransitionKind::Unready(why.clone())));
        }
        run.unready = Some(why);
    }

    /// An answer to a reload that no run waits for is late, and ignored.
    fn fold_reloaded(&mut self, id: RunId, failure: Option<String>, reports: &mut Vec<Report>) {
        let Some(run) = self.undisturbed_mut(id).filter(|run| run.reloads > 0) else { return };
        run.reloads -= 1;
        if let Some(failure) = failure {
            reports.push(report_of(run, TransitionKind::NotReloaded(failure)));
        }
    }

    /// An answer about other sockets than the current ones is late, and one that came before is known. Both are ignored.
    fn fold_held(&mut self, now: Time, name: &Name, listeners: &[Listener], refusal: Option<Refusal>) {
        let Some(sockets) = self.observed.process_mut(name).and_then(|process| process.sockets.as_deref_mut()) else { return };
        if sockets.listeners != listeners || !matches!(sockets.state, HoldState::Pending { .. }) {
            return;
        }
        sockets.state = match refusal {
            None => HoldState::Held,
            Some(why) => HoldState::Refused { why, at: now, count: sockets.refusals().saturating_add(1) },
        };
    }

    fn fold_socket(&mut self, name: Name, address: String, what: SocketChange, reports: &mut Vec<Report>) {
        let generation = self.generation_of(&name);
        let what = TransitionKind::Socket(address, what);
        reports.push(Report::Process(Transition { name, run: None, pid: None, generation, what }));
    }

    fn fold_sockets_kept(&mut self, id: RunId, by: Vec<Option<Pid>>, reports: &mut Vec<Report>) {
        let Some(run) = self.undisturbed_mut(id).filter(|run| run.spec.exec.sockets.len() == by.len()) else { return };
        if by.iter().all(Option::is_none) && run.kept_by.is_none() {
            reports.push(report_of(run, TransitionKind::KeepsNoSocket));
        }
        run.kept_by = Some(by);
    }

    fn fold_exited(&mut self, now: Time, id: RunId, status: ExitStatus, reports: &mut Vec<Report>) {
        let Some(run) = self.observed.run_mut(id) else { return };
        if run.exit.is_some() {
            return;
        }
        // A run that ended has run, even if its start was not reported.
        run.up.get_or_insert(now);
        if run.stop.is_none() && run.killed.is_none() {
            let success = status.is_success(&run.spec);
            let what = if success { TransitionKind::Exited(status.clone()) } else { TransitionKind::Crashed(status.clone()) };
            reports.push(report_of(run, what));
        }
        run.exit = Some((status.clone(), now));
        let completes = run.spec.exec.kind == ProcessKind::Task && status.is_success(&run.spec);
        if run.stop.is_none() && !completes {
            self.put_back_run(now, id, &Reason::Ended(status), reports);
        }
    }

    fn fold_gone(&mut self, now: Time, id: RunId, reports: &mut Vec<Report>) {
        if self.observed.run(id).is_some_and(Run::is_undisturbed) {
            self.put_back_run(now, id, &Reason::Ended(ExitStatus::Lost), reports);
        }
        let Some(run) = self.observed.remove(id) else { return };
        let (status, at) = run.exit.clone().unwrap_or((ExitStatus::Lost, now));
        if let Some(stop) = &run.stop {
            reports.push(report_of(&run, TransitionKind::Stopped { status: status.clone(), reason: stop.why.clone() }));
        }
        self.record_end(&run, status, at, reports);
        // What it ran can't be started again.
        if !run.spec.exec.unknown_fields.is_empty() {
            self.retry_put_back(&run.spec.name);
        }
    }

    /// Records how a run ended. If it ended by itself, the restart policy decides by that.
    fn record_end(&mut self, run: &Run, status: ExitStatus, at: Time, reports: &mut Vec<Report>) {
        let name = &run.spec.name;
        let entry = self.desired.get(name);
        if let Some(process) = self.observed.process_mut(name) {
            let past = past_of(run, process, status, at);
            let by_itself = past.streak.is_some();
            let wanted = entry.filter(|entry| self.orders.let_run(&entry.spec));
            if let Some(entry) = wanted.filter(|_| by_itself) {
                let report = |what| {
                    let (name, generation) = (name.clone(), run.generation);
                    Report::Process(Transition { name, run: Some(run.id), pid: run.pid, generation, what })
                };
                match resting_state_after(process, Some(&past), &entry.spec) {
                    RestingState::Again(due) => {
                        reports.push(report(TransitionKind::Restarting { delay: due.since(at), reason: past.why.clone() }));
                    }
                    RestingState::Failed => {
                        reports.push(report(TransitionKind::Failed(past.why.clone())));
                    }
                    RestingState::Completed | RestingState::Fresh | RestingState::Dated => {}
                }
            }
            if wanted.is_some_and(|entry| entry.spec.schedule.is_some()) {
                process.call_again(&past.why);
            }
            // The stop of one run doesn't count as the end of another run beside it.
            let is_outweighed = process.past.as_ref().is_some_and(|past| past.outweighs_stop_of(run));
            if entry.is_some() && (by_itself || (!process.is_running() && !is_outweighed)) {
                let has_failed = past.streak.is_some();
                process.past = Some(past);
                if has_failed {
                    self.observed.unproven.insert(name.clone());
                }
            }
        }
        self.forget_if_unused(name);
    }

    /// Forgets the processes that are neither in the file nor running.
    fn forget_unused(&mut self) {
        let mut wanted = MergeLookup::over(self.desired.specs());
        let others = self.observed.processes().iter().filter(|(name, _)| wanted.to(name).is_none());
        let unused: Vec<Name> = others.filter(|(_, process)| process.is_unused()).map(|(name, _)| name.clone()).collect();
        self.observed.forget(&unused);
    }

    pub(crate) fn forget_if_unused(&mut self, name: &Name) {
        let unused = self.observed.processes().get(name).is_some_and(|process| process.is_unused());
        if unused && self.desired.get(name).is_none() {
            self.observed.forget(core::slice::from_ref(name));
        }
    }
}

/// How a run of a process ended.
pub(crate) fn past_of(run: &Run, process: &ProcessFacts, status: ExitStatus, at: Time) -> Past {
    let stopped = run.stop.as_ref().map(|stop| stop.why.clone());
    let by_itself = !run.forgiven && stopped.as_ref().is_none_or(Reason::is_failure);
    let before = process.past.as_ref().filter(|past| past.spec.exec == run.spec.exec).and_then(|past| past.streak);
    let streak = by_itself.then(|| extend_streak(before, run, at));
    let why = stopped.unwrap_or_else(|| Reason::Ended(status.clone()));
    Past { run: run.id, spec: run.spec.clone(), status, at, why, streak, content: run.content.clone() }
}

/// The ending processes that come next before these places, behind a process that was moved.
fn places_behind(former: &Desired, places: &BTreeSet<Name>, moved: &[bool], ending: &[bool]) -> Vec<Name> {
    let mut next: Vec<(usize, bool)> = places.iter().filter_map(|name| Some((former.index(name)?, false))).collect();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    while let Some((index, is_behind)) = next.pop() {
        let entry = &former.entries()[index];
        if !seen.insert((index, is_behind)) {
            continue;
        }
        if !ending[index] {
            next.extend(entry.comes_after().map(|on| (on, is_behind || moved[index])));
        } else if is_behind {
            found.push(entry.spec.name.clone());
        }
    }
    found
}

/// The streak with one more end, or a new streak if the run was healthy for long enough.
fn extend_streak(before: Option<Streak>, run: &Run, at: Time) -> Streak {
    let healthy = run.first_ready.is_some() && run.longest_ready(at) >= run.spec.backoff.reset_after;
    match before {
        _ if healthy => Streak { length: 1, after_health: true },
        None => Streak { length: 1, after_health: false },
        Some(streak) => Streak { length: streak.length.saturating_add(1), ..streak },
    }
}
