//! The story of a history, in the notation of scenario fixtures; written only if somebody wants to read it.

use crate::facts::Facts;
use crate::history::{History, Op};
use crate::wishes::{Definition, FILES, Surge, Wish, name};
use reconcile::engine::StepOutcome;
use reconcile::event::{Action, Event, RunId};
use reconcile::fields::condition_word;
use reconcile::human_duration::HumanDuration;
use reconcile::plan::Waiting;
use reconcile::report::{Report, TransitionKind};
use reconcile::socket::Listener;
use reconcile::spec::{OnChange, OnWatch, ProcessKind, Restart, Spec, Tier};
use reconcile::text::Name;
use reconcile::time::Time;
use std::fmt::Write;

/// The story so far, or nothing.
pub(crate) struct Trace(Option<String>);

impl Trace {
    /// Nobody wants to read it.
    pub(crate) fn silent() -> Trace {
        Trace(None)
    }

    /// Everything is written down.
    pub(crate) fn told() -> Trace {
        Trace(Some(String::new()))
    }

    /// What was written down.
    pub(crate) fn text(self) -> String {
        self.0.unwrap_or_default()
    }

    fn line(&mut self, line: impl FnOnce() -> String) {
        if let Some(text) = &mut self.0 {
            text.push_str(&line());
            text.push('\n');
        }
    }

    pub(crate) fn op(&mut self, now: Time, op: &Op) {
        self.line(|| format!("at {now}: {}", describe(op)));
    }

    pub(crate) fn kind(&mut self, now: Time) {
        self.line(|| format!("at {now}: the world turns kind"));
    }

    pub(crate) fn news(&mut self, now: Time, event: &Event, facts: &Facts) {
        let of = |run: &RunId| facts.run(*run).map_or_else(|| format!("?{run}"), |known| format!("{}{run}", known.spec.name));
        self.line(|| match event {
            Event::Wanted(_) | Event::Order(_) => format!("  {now} <- as said"),
            Event::Spawned { run, .. } => format!("  {now} <- {} started", of(run)),
            Event::NotSpawned { run, .. } => format!("  {now} <- {} did not start", of(run)),
            Event::Ready { run } => format!("  {now} <- {} is ready", of(run)),
            Event::Unready { run, why } => format!("  {now} <- {} is unready: {why}", of(run)),
            Event::Unhealthy { run, why } => format!("  {now} <- {} is unhealthy: {why}", of(run)),
            Event::Reloaded { run, failure } => {
                format!("  {now} <- {} was {}told to reload", of(run), if failure.is_some() { "not " } else { "" })
            }
            Event::NextDate { name, next } => format!("  {now} <- the next date of {name} is at {}", next.at),
            Event::Content { name, content } => format!("  {now} <- the files of {name}: {:?}", content.files),
            Event::Exited { run, status } => format!("  {now} <- {} ended: {status}", of(run)),
            Event::KillRefused { run, why } => format!("  {now} <- {} can't be killed: {why}", of(run)),
            Event::MainChanged { run, .. } => format!("  {now} <- {} has another leader", of(run)),
            Event::Held { name, refusal, .. } => match refusal {
                None => format!("  {now} <- the sockets of {name} are held"),
                Some(why) => format!("  {now} <- a socket of {name} can't be had: {why}"),
            },
            Event::Socket { name, address, what } => format!("  {now} <- socket {address} of {name}: {what:?}"),
            Event::SocketsKept { run, by } => format!("  {now} <- the sockets of {} are kept by {by:?}", of(run)),
            Event::Listens { run, on } => format!("  {now} <- {} listens on {on}", of(run)),
            Event::NotDrained { run, why } => format!("  {now} <- {} can't be drained: {why}", of(run)),
            Event::Gone { run } => format!("  {now} <- {} is gone", of(run)),
        });
    }

    pub(crate) fn outcome(&mut self, now: Time, outcome: &StepOutcome, waiting: &[(Name, Waiting)], facts: &Facts) {
        if self.0.is_none() {
            return;
        }
        for report in &outcome.reports {
            let Report::Process(transition) = report else { continue };
            let name = &transition.name;
            match &transition.what {
                TransitionKind::Stopping(reason) => self.line(|| format!("  {now} -- {name} stops: {reason}")),
                TransitionKind::Killing(reason) => self.line(|| format!("  {now} -- {name} is killed: {reason}")),
                TransitionKind::Restarting { delay, reason } => {
                    self.line(|| format!("  {now} -- {name} restarts after {}: {reason}", HumanDuration(*delay)));
                }
                TransitionKind::Failed(reason) => self.line(|| format!("  {now} -- {name} failed: {reason}")),
                TransitionKind::Reloading(reason) => self.line(|| format!("  {now} -- {name} reads its files again: {reason}")),
                TransitionKind::PutBack(reason) => self.line(|| format!("  {now} -- {name}: {reason}")),
                TransitionKind::Updated(_) => self.line(|| format!("  {now} -- {name} is updated")),
                TransitionKind::Survives(_) => self.line(|| format!("  {now} -- {name} survives")),
                _ => {}
            }
        }
        for action in &outcome.actions {
            let of = |run: &RunId| facts.run(*run).map_or_else(|| run.to_string(), |known| format!("{}{run}", known.spec.name));
            self.line(|| match action {
                Action::Spawn { run, spec, after: None } => format!("  {now} -> spawn {}{run}", spec.name),
                Action::Spawn { run, spec, after: Some(after) } => {
                    format!("  {now} -> spawn {}{run} after {}", spec.name, of(after))
                }
                Action::Hold { name, listeners } => {
                    let addresses: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
                    format!("  {now} -> hold {} for {name}", addresses.join(" "))
                }
                Action::Drain { run, .. } => format!("  {now} -> drain {}", of(run)),
                Action::Stop { run, .. } => format!("  {now} -> stop {}", of(run)),
                Action::Update { run, .. } => format!("  {now} -> update {}", of(run)),
                Action::Reload { run, .. } => format!("  {now} -> reload {}", of(run)),
                Action::StopRest { run, .. } => format!("  {now} -> stop the rest of {}", of(run)),
                Action::Kill { run } => format!("  {now} -> kill {}", of(run)),
            });
        }
        for (name, waiting) in waiting {
            self.line(|| format!("         | {name} {waiting}"));
        }
        if let Some(wake_at) = outcome.wake_at {
            self.line(|| format!("         | wakes at {wake_at}"));
        }
    }
}

/// A history, operation by operation.
pub(crate) fn script(history: &History) -> String {
    let mut text = String::new();
    let mut at = 0;
    for (delay, op) in &history.ops {
        at += delay;
        let _ = writeln!(text, "at {}: {}", Time::from_millis(at), describe(op));
    }
    text
}

fn describe(op: &Op) -> String {
    match op {
        Op::Want(wish) => format!("want {}", describe_wish(wish)),
        Op::Start(process) => format!("start {} by hand", name(*process)),
        Op::Stop(process) => format!("stop {} by hand", name(*process)),
        Op::Restart(process) => format!("restart {} by hand", name(*process)),
        Op::RestartStopFirst(process) => format!("restart {} by hand at once", name(*process)),
        Op::Retry => "try again".to_string(),
        Op::Crash(process) => format!("{} crashes", name(*process)),
        Op::Lapse(process) => format!("{} is unready", name(*process)),
        Op::Recover(process) => format!("{} is ready", name(*process)),
        Op::Sicken(process) => format!("{} is unhealthy", name(*process)),
        Op::Write(process, file, content) => format!("{} of {} contains {content}", FILES[*file], name(*process)),
        Op::Echo(which) => format!("old news comes again ({which})"),
        Op::Stranger(which) => format!("news of an unknown run comes ({which})"),
        Op::Nudge => "nothing".to_string(),
        Op::Shutdown => "shut down".to_string(),
        Op::Hurry => "hurry".to_string(),
    }
}

/// A wish in a line: of each process, what differs from the default.
pub(crate) fn describe_wish(wish: &Wish) -> String {
    let all: Vec<String> = wish.definitions.iter().map(describe_definition).collect();
    let within = HumanDuration(wish.shutdown_timeout);
    if all.is_empty() { "nothing".to_string() } else { format!("{} | shutdown within {within}", all.join(", ")) }
}

/// What differs from the default.
fn describe_definition(Definition { spec, replicas }: &Definition) -> String {
    let plain = Spec::new("a", "run");
    let mut says: Vec<String> = Vec::new();
    says.extend(spec.exec.args.iter().filter(|arg| arg.value() != "0").map(|arg| format!("version {arg}")));
    says.extend(spec.exec.env.iter().map(|(key, value)| format!("{key} {value}")));
    if let Some(needs) = &spec.depends_on {
        says.extend(needs.is_empty().then(|| "after nothing".to_string()));
        for (on, edge) in needs {
            let condition = edge.condition.map_or(String::new(), |condition| format!(" {}", condition_word(condition)));
            let restart = if edge.restart { " restart along" } else { "" };
            let required = if edge.required { "" } else { " order alone" };
            says.push(format!("after {on}{condition}{restart}{required}"));
        }
    }
    says.extend((spec.tier == Tier::Application).then(|| "application".to_string()));
    says.extend((spec.exec.kind == ProcessKind::Task).then(|| "task".to_string()));
    says.extend((!spec.enabled).then(|| "disabled".to_string()));
    says.extend(match spec.restart {
        Restart::Never => None,
        Restart::OnFailure => Some("restarts on failure".to_string()),
        Restart::Always => Some("restarts always".to_string()),
    });
    let backoff = &spec.backoff;
    if spec.restart != Restart::Never {
        let (initial, max, reset) =
            (HumanDuration(backoff.initial), HumanDuration(backoff.max), HumanDuration(backoff.reset_after));
        says.push(format!("backoff {initial} x{} to {max} jitter {} reset {reset}", backoff.factor, backoff.jitter));
        says.extend(spec.max_restarts.map(|most| format!("at most {most} restarts")));
    }
    says.extend((!spec.start_delay.is_zero()).then(|| format!("delay {}", HumanDuration(spec.start_delay))));
    says.extend(spec.ready.as_ref().map(|probe| format!("probed by {probe:?}")));
    says.extend(spec.liveness.as_ref().map(|liveness| format!("alive but for {} failures", liveness.failures)));
    if !spec.watch.is_empty() {
        let files: Vec<String> = spec.watch.iter().map(ToString::to_string).collect();
        says.push(format!("watches {}", files.join(" and ")));
    }
    says.extend(spec.reload.as_ref().map(|_| "can reload".to_string()));
    says.extend((spec.on_watch == OnWatch::Reload).then(|| "reloads".to_string()));
    says.extend(spec.exec.announce.map(|_| "notifies".to_string()));
    says.extend(spec.has_readiness().then(|| format!("ready within {}", HumanDuration(spec.ready_timing.deadline))));
    says.extend((spec.stop.timeout != plain.stop.timeout).then(|| format!("stops within {}", HumanDuration(spec.stop.timeout))));
    says.extend(match spec.on_change {
        OnChange::Restart => None,
        OnChange::Keep => Some("kept on change".to_string()),
        OnChange::Rolling => Some(format!("rolling stable {}", HumanDuration(spec.stable))),
    });
    if let Some(replicas) = replicas {
        let surge = match replicas.surge {
            Surge::Count(count) => count.to_string(),
            Surge::Percent(percent) => format!("{percent}%"),
        };
        let sockets = if replicas.have_sockets { " with sockets" } else { "" };
        says.push(format!("{} replicas surge {surge}{sockets}", replicas.count));
    }
    if !spec.exec.sockets.is_empty() {
        let of = |socket: &Listener| format!("{}{}", socket.address, if socket.backlog == 1 { " short" } else { "" });
        says.push(format!("listens on {}", spec.exec.sockets.iter().map(of).collect::<Vec<_>>().join(" and ")));
    }
    says.extend(spec.stop.drain.as_ref().map(|drain| format!("drains for {}", HumanDuration(drain.timeout))));
    if says.is_empty() { spec.name.to_string() } else { format!("{}({})", spec.name, says.join(", ")) }
}
