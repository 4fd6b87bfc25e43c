//! What is recorded of one process, and the way from the core's facts and back.

use super::reasons::{RecordedReason, RecordedStatus};
use reconcile::backoff::Streak;
use reconcile::event::{Content, Pid, RunId};
use reconcile::observed::{Past, ProcessFacts, Replaced, Run, Stopping, Unwanted};
use reconcile::reason::Reason;
use reconcile::schedule::{NextDate, WallDate};
use reconcile::spec::Spec;
use reconcile::take_over::{Remembered, RememberedPutBack, StandingOrder};
use reconcile::text::{Name, Text};
use reconcile::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is recorded of a process. A definition is named by the hash of all its fields; a time is in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFact {
    /// Its name.
    pub name: String,
    /// Its definition in the file; `None`: it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<u64>,
    /// The generation of that.
    pub generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<RecordedOrder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put_back: Option<RecordedPutBack>,
    restarts: u32,
    tried: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacing_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cue: Option<RecordedReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<RecordedPast>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_date: Option<RecordedDate>,
    /// In milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    served_date: Option<i64>,
    /// Its runs that are not gone, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RecordedRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordedOrder {
    Stopped,
    Started,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedPutBack {
    rejected: u64,
    serving: u64,
    serving_generation: u64,
    why: RecordedReason,
}

/// The next date of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedDate {
    /// The schedule, as it is shown.
    of: String,
    /// In milliseconds since 1970.
    date: i64,
    at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedPast {
    run: u64,
    definition: u64,
    status: RecordedStatus,
    at: u64,
    why: RecordedReason,
    /// Its length, and whether it came after health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streak: Option<(u32, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<RecordedContent>,
}

/// What was read of watched files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedContent {
    /// The paths of the definition, as they are shown.
    watch: Vec<String>,
    files: BTreeMap<String, u64>,
}

/// What is recorded of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRun {
    /// Its number.
    pub id: u64,
    /// Its definition.
    pub definition: u64,
    generation: u64,
    taken_over: u64,
    bound: (u64, u64),
    reason: RecordedReason,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waits: Vec<String>,
    begun: u64,
    /// Its main process, once its program ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready: Option<u64>,
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    was_ready_for: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lapsed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_ready: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listens_on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unready: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unhealthy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<RecordedContent>,
    /// Why, and whether it stops first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwanted: Option<(RecordedReason, bool)>,
    /// The definition, and its generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop: Option<RecordedStop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest_stop: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    killed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<(RecordedStatus, u64)>,
    #[serde(default, skip_serializing_if = "is_false")]
    forgiven: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedStop {
    since: u64,
    why: RecordedReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drains_until: Option<u64>,
    told: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl ProcessFact {
    /// What to record of a process. `digest` returns the hash of a definition.
    pub fn of(name: &Name, known: &Remembered, mut digest: impl FnMut(&Arc<Spec>) -> u64) -> ProcessFact {
        let facts = &*known.facts;
        let ProcessFacts { runs, past, tried, cue, replacement, replacing_since, restarts, next_date, served_date, .. } = facts;
        ProcessFact {
            name: name.to_string(),
            definition: known.definition.as_ref().map(&mut digest),
            generation: known.generation,
            order: known.order.map(|order| match order {
                StandingOrder::Stopped => RecordedOrder::Stopped,
                StandingOrder::Started => RecordedOrder::Started,
            }),
            put_back: known.put_back.as_ref().map(|put_back| RecordedPutBack {
                rejected: put_back.rejected,
                serving: digest(&put_back.serving),
                serving_generation: put_back.serving_generation,
                why: (&put_back.why).into(),
            }),
            restarts: *restarts,
            tried: *tried,
            replacement: replacement.map(|run| run.0),
            replacing_since: replacing_since.map(nanos),
            cue: cue.as_ref().map(Into::into),
            past: past.as_ref().map(|past| RecordedPast {
                run: past.run.0,
                definition: digest(&past.spec),
                status: (&past.status).into(),
                at: nanos(past.at),
                why: (&past.why).into(),
                streak: past.streak.map(|streak| (streak.length, streak.after_health)),
                content: past.content.as_ref().map(Into::into),
            }),
            next_date: next_date.as_ref().map(|next| RecordedDate {
                of: next.schedule.shown(),
                date: next.date.0,
                at: nanos(next.at),
            }),
            served_date: served_date.map(|date| date.0),
            runs: runs.iter().map(|run| RecordedRun::of(run, &mut digest)).collect(),
        }
    }

    /// What was known of the process. `spec` returns a definition by its hash, as far as it is known.
    pub fn recall(&self, spec: impl Fn(u64) -> Arc<Spec>) -> Remembered {
        let definition = self.definition.map(&spec);
        let facts = ProcessFacts {
            runs: self.runs.iter().map(|run| run.recall(&spec)).collect(),
            past: self.past.as_ref().map(|past| {
                let spec = spec(past.definition);
                Past {
                    run: RunId(past.run),
                    status: (&past.status).into(),
                    at: time(past.at),
                    why: (&past.why).into(),
                    streak: past.streak.map(|(length, after_health)| Streak { length, after_health }),
                    content: content(past.content.as_ref(), &spec),
                    spec,
                }
            }),
            tried: self.tried,
            cue: self.cue.as_ref().map(Into::into),
            replacement: self.replacement.map(RunId),
            replacing_since: self.replacing_since.map(time),
            restarts: self.restarts,
            next_date: self.next_date.as_ref().and_then(|next| {
                let schedule = definition.as_ref()?.schedule.as_deref().filter(|schedule| schedule.shown() == next.of)?;
                Some(Box::new(NextDate { schedule: schedule.clone(), date: WallDate(next.date), at: time(next.at) }))
            }),
            served_date: self.served_date.map(WallDate),
            ..ProcessFacts::default()
        };
        Remembered {
            definition,
            generation: self.generation,
            order: self.order.map(|order| match order {
                RecordedOrder::Stopped => StandingOrder::Stopped,
                RecordedOrder::Started => StandingOrder::Started,
            }),
            put_back: self.put_back.as_ref().map(|put_back| RememberedPutBack {
                rejected: put_back.rejected,
                serving: spec(put_back.serving),
                serving_generation: put_back.serving_generation,
                why: (&put_back.why).into(),
            }),
            facts: facts.into(),
        }
    }

    /// The hashes of all definitions that it names.
    pub(super) fn definitions(&self) -> impl Iterator<Item = u64> {
        let past = self.past.iter().map(|past| past.definition);
        let put_back = self.put_back.iter().map(|put_back| put_back.serving);
        let runs = self.runs.iter().flat_map(|run| [Some(run.definition), run.replaces.map(|(definition, _)| definition)]);
        self.definition.into_iter().chain(past).chain(put_back).chain(runs.flatten())
    }

    /// The newest run that it names.
    pub(super) fn last_run(&self) -> u64 {
        let past = self.past.iter().map(|past| past.run);
        self.runs.iter().map(|run| run.id).chain(past).chain(self.replacement).max().unwrap_or_default()
    }
}

impl RecordedRun {
    fn of(run: &Run, mut digest: impl FnMut(&Arc<Spec>) -> u64) -> RecordedRun {
        RecordedRun {
            id: run.id.0,
            definition: digest(&run.spec),
            generation: run.generation,
            taken_over: run.taken_over.0,
            bound: (run.bound.0.0, nanos(run.bound.1)),
            reason: (&run.reason).into(),
            waits: run.waits.iter().map(Name::to_string).collect(),
            begun: nanos(run.begun),
            pid: run.pid.map(|pid| pid.0),
            up: run.up.map(nanos),
            ready: run.ready.map(nanos),
            was_ready_for: run.was_ready_for,
            lapsed: run.lapsed.map(nanos),
            first_ready: run.first_ready.map(nanos),
            listens_on: run.listens_on.as_deref().map(str::to_owned),
            unready: run.unready.clone(),
            unhealthy: run.unhealthy.clone(),
            content: run.content.as_ref().map(Into::into),
            unwanted: run.unwanted.as_ref().map(|unwanted| ((&unwanted.why).into(), unwanted.stops_first)),
            replaces: run.replaces.as_ref().map(|replaced| (digest(&replaced.spec), replaced.generation)),
            stop: run.stop.as_ref().map(|stop| RecordedStop {
                since: nanos(stop.since),
                why: (&stop.why).into(),
                drains_until: stop.drains_until.map(nanos),
                told: nanos(stop.told),
            }),
            rest_stop: run.rest_stop.map(nanos),
            killed: run.killed.map(nanos),
            exit: run.exit.as_ref().map(|(status, at)| (status.into(), nanos(*at))),
            forgiven: run.forgiven,
        }
    }

    fn recall(&self, spec: impl Fn(u64) -> Arc<Spec>) -> Run {
        let of = spec(self.definition);
        Run {
            id: RunId(self.id),
            content: content(self.content.as_ref(), &of),
            spec: of,
            generation: self.generation,
            taken_over: RunId(self.taken_over),
            bound: (RunId(self.bound.0), time(self.bound.1)),
            reason: Reason::from(&self.reason),
            waits: self.waits.iter().map(|name| Name::from(name.as_str())).collect(),
            after: None,
            begun: time(self.begun),
            pid: self.pid.map(Pid),
            up: self.up.map(time),
            ready: self.ready.map(time),
            was_ready_for: self.was_ready_for,
            lapsed: self.lapsed.map(time),
            first_ready: self.first_ready.map(time),
            unready: self.unready.clone(),
            unhealthy: self.unhealthy.clone(),
            kept_by: None,
            listens_on: self.listens_on.as_deref().map(Into::into),
            reloads: 0,
            unwanted: self.unwanted.as_ref().map(|(why, stops_first)| Unwanted { why: why.into(), stops_first: *stops_first }),
            replaces: self.replaces.map(|(definition, generation)| Box::new(Replaced { spec: spec(definition), generation })),
            stop: self.stop.as_ref().map(|stop| Stopping {
                since: time(stop.since),
                why: (&stop.why).into(),
                drains_until: stop.drains_until.map(time),
                told: time(stop.told),
            }),
            rest_stop: self.rest_stop.map(time),
            killed: self.killed.map(time),
            exit: self.exit.as_ref().map(|(status, at)| (status.into(), time(*at))),
            kill_refused: None,
            reported: false,
            forgiven: self.forgiven,
        }
    }
}

impl From<&Content> for RecordedContent {
    fn from(content: &Content) -> RecordedContent {
        RecordedContent { watch: shown(&content.watch), files: content.files.clone() }
    }
}

fn shown(watch: &[Text]) -> Vec<String> {
    watch.iter().map(|path| path.shown().to_owned()).collect()
}

/// What was read of watched files, if the definition still watches the same.
fn content(recorded: Option<&RecordedContent>, spec: &Spec) -> Option<Content> {
    let recorded = recorded.filter(|recorded| recorded.watch == shown(&spec.watch))?;
    Some(Content { watch: spec.watch.clone(), files: recorded.files.clone() })
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.since_epoch().as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> Time {
    Time::after_epoch(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::event::{ExitStatus, Refusal};
    use reconcile::schedule::Schedule;
    use reconcile::spec::Signal;

    fn run(spec: &Arc<Spec>) -> Run {
        let mut run = Run::left(RunId(7), spec.clone(), Some(Pid(42)), time(3));
        run.content = Some(Content { watch: spec.watch.clone(), files: BTreeMap::from([("a.conf".to_owned(), 5)]) });
        run.waits = vec!["db".into()];
        run.listens_on = Some("127.0.0.1:80".into());
        (run.ready, run.lapsed, run.was_ready_for) = (Some(time(4)), Some(time(5)), Duration::from_nanos(6));
        (run.unready, run.unhealthy) = (Some("refused".to_owned()), Some("no answer".to_owned()));
        run.replaces = Some(Box::new(Replaced { spec: spec.clone(), generation: 2 }));
        run.stop = Some(Stopping { since: time(8), why: Reason::Removed, drains_until: Some(time(9)), told: time(10) });
        (run.rest_stop, run.killed, run.forgiven) = (Some(time(11)), Some(time(12)), true);
        run.exit = Some((ExitStatus::Signal(Signal::TERM), time(13)));
        run.reason = Reason::PutBack { why: Box::new(Reason::Unready(Duration::from_secs(3), None)), generation: 4, bound: None };
        run
    }

    /// Every fact that is recorded, with a value of its own.
    fn known(spec: &Arc<Spec>) -> Remembered {
        let refusal = Refusal::CommandNotFound { command: "x".to_owned(), path: "/bin".to_owned() };
        let past = Past {
            run: RunId(6),
            spec: spec.clone(),
            status: ExitStatus::NotStarted(refusal),
            at: time(2),
            why: Reason::Watched("a.conf".to_owned()),
            streak: Some(Streak { length: 3, after_health: true }),
            content: None,
        };
        let facts = ProcessFacts {
            runs: vec![run(spec)],
            past: Some(past),
            tried: true,
            cue: Some(Reason::With("db".into())),
            replacement: Some(RunId(5)),
            replacing_since: Some(time(1)),
            restarts: 9,
            next_date: spec
                .schedule
                .as_ref()
                .map(|schedule| Box::new(NextDate { schedule: Schedule::clone(schedule), date: WallDate(14), at: time(15) })),
            served_date: Some(WallDate(13)),
            ..ProcessFacts::default()
        };
        let put_back =
            RememberedPutBack { rejected: 3, serving: spec.clone(), serving_generation: 2, why: Reason::StartedByHand };
        let (definition, put_back) = (Some(spec.clone()), Some(put_back));
        Remembered { definition, generation: 3, order: Some(StandingOrder::Stopped), put_back, facts: facts.into() }
    }

    #[test]
    fn what_is_recorded_is_recalled() {
        let schedule = Schedule::Cron { expression: "0 3 * * *".into(), timezone: Some("Europe/Berlin".into()) };
        let schedule = Some(Box::new(schedule));
        let spec = Arc::new(Spec { schedule, watch: vec!["a.conf".into()], ..Spec::new("web", "server") });
        let known = known(&spec);
        let recorded = ProcessFact::of(&"web".into(), &known, |_| 17);
        let json = serde_json::to_string(&recorded).expect("strings and numbers are JSON");
        let read: ProcessFact = serde_json::from_str(&json).expect("it was written");
        assert_eq!(read, recorded);
        let recalled = read.recall(|whole| {
            assert_eq!(whole, 17);
            spec.clone()
        });
        assert_eq!(format!("{recalled:#?}"), format!("{known:#?}"));
        assert_eq!((recorded.last_run(), recorded.definitions().collect::<Vec<_>>()), (7, vec![17; 5]));
    }

    #[test]
    fn files_that_are_watched_no_more_are_not_recalled() {
        let spec = Arc::new(Spec { watch: vec!["a.conf".into()], ..Spec::new("web", "server") });
        let recorded = ProcessFact::of(&"web".into(), &known(&spec), |_| 1);
        let other = Arc::new(Spec { watch: vec!["b.conf".into()], ..Spec::clone(&spec) });
        assert!(recorded.recall(|_| other.clone()).facts.runs[0].content.is_none());
    }

    #[test]
    fn every_reason_is_recalled() {
        let reasons = [
            Reason::Added,
            Reason::Removed,
            Reason::Changed(vec!["env".to_owned()]),
            Reason::Enabled,
            Reason::Disabled,
            Reason::With("db".into()),
            Reason::StoppedByHand,
            Reason::StartedByHand,
            Reason::RestartedByHand,
            Reason::Scheduled,
            Reason::Ended(ExitStatus::Code(7)),
            Reason::Ended(ExitStatus::Lost),
            Reason::Ended(ExitStatus::OutOfMemory),
            Reason::Unready(Duration::from_millis(1), Some("refused".to_owned())),
            Reason::Unhealthy("no answer".to_owned()),
            Reason::Watched("a.conf".to_owned()),
            Reason::PutBack { why: Box::new(Reason::Left), generation: 1, bound: None },
            Reason::Left,
            Reason::Shutdown,
        ];
        for reason in reasons {
            let json = serde_json::to_string(&RecordedReason::from(&reason)).expect("strings and numbers are JSON");
            let read: RecordedReason = serde_json::from_str(&json).expect("it was written");
            assert_eq!(Reason::from(&read), reason, "{json}");
        }
    }
}
