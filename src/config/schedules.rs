//! Decodes `schedule`: a cron expression, or a map with an expression or an interval.

use super::draft::Draft;
use super::parts::{key, part};
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader};
use super::scalar;
use super::subject::{KEY, OWNER};
use super::table::ValueShape;
use super::tree::{Node, NodeKind, entry};
use crate::schedule::{Cron, time_zone, time_zones};
use crate::suggest::did_you_mean;
use reconcile::schedule::Schedule;
use reconcile::spec::ProcessKind;
use reconcile::text::Text;
use std::time::Duration;

/// `schedule` in its map form while it is being decoded.
#[derive(Default)]
pub(super) struct ScheduleParts {
    cron: Option<Text>,
    every: Option<Duration>,
    timezone: Option<Text>,
}

/// Keys of which exactly one is needed.
pub(super) const WHEN: [&str; 2] = ["cron", "every"];

pub(super) static SCHEDULE: &[FieldReader<ScheduleParts>] = &[
    part(
        key("cron", ValueShape::Cron)
            .means("minute, hour, day of the month, month and day of the week, or a word such as `@daily`"),
        |reader, node, parts| parts.cron = cron(reader, node),
    ),
    part(key("every", ValueShape::Delay).means("time from one date to the next"), |reader, node, parts| {
        parts.every = every(reader, node);
    }),
    part(
        key("timezone", ValueShape::Text("IANA name"))
            .otherwise("the host's")
            .means("time zone of the `cron` expression, such as `Europe/Berlin`"),
        |reader, node, parts| parts.timezone = timezone(reader, node),
    ),
];

/// Decodes `schedule`.
pub(super) fn schedule(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    draft.schedule = Some(node.span);
    let NodeKind::Map(map) = &node.kind else {
        let schedule = cron(reader, node).map(|expression| Schedule::Cron { expression, timezone: None });
        draft.spec.schedule = schedule.map(Box::new);
        return;
    };
    let mut parts = ScheduleParts::default();
    reader.map(node, "schedule", SCHEDULE, &mut parts);
    let given = |key: &str| entry(&map.entries, key);
    let is_known = map.entries.iter().all(|entry| SCHEDULE.iter().any(|field| entry.key == field.key.name));
    if is_known && WHEN.iter().filter(|key| given(key).is_some()).count() != 1 {
        let problem = Problem::error(node.span, format!("{KEY} takes either `cron` or `every`"));
        return reader.report(problem.help("write exactly one of the two"));
    }
    if let (Some(zone), Some(_)) = (given("timezone"), given("every")) {
        let problem = Problem::error(zone.key_span, format!("`timezone` in {KEY} means nothing beside `every`"));
        reader.report(problem.help("remove it, or write a `cron` expression instead of `every`"));
    }
    let ScheduleParts { cron, every, timezone } = parts;
    let cron = cron.map(|expression| Schedule::Cron { expression, timezone });
    draft.spec.schedule = cron.or(every.map(Schedule::Every)).map(Box::new);
}

/// Reports the schedule of a service.
pub(super) fn check_kind(reader: &mut NodeReader<'_, '_, '_>, draft: &Draft) {
    if let (Some(span), ProcessKind::Service) = (draft.schedule, draft.spec.exec.kind) {
        let problem = Problem::error(span, format!("`schedule`{OWNER} needs `type: task`"));
        reader.report(problem.help("add `type: task`, or remove `schedule`: a service runs all the time"));
    }
}

fn cron(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Text> {
    let text = reader.filled(node)?;
    let Err(mistake) = Cron::parse(text.value()) else { return Some(text) };
    if reader.is_unknown(&text) {
        return None;
    }
    // What is known about a substituted value would reveal it.
    let (what, help) = match () {
        () if text.is_secret() => (String::new(), "write five fields, such as `0 3 * * *` for every night at three".to_owned()),
        () if scalar::duration(text.value()).is_ok() => (String::new(), format!("write `{{every: {}}}`", text.value())),
        () => (format!(": it {}", mistake.what), mistake.help),
    };
    let mut shown: String = text.shown().chars().take(60).collect();
    if shown.len() < text.shown().len() {
        shown.push('…');
    }
    let message = format!("{KEY} must be a cron expression, not `{shown}`{what}");
    reader.report(Problem::error(node.span, message).help(help));
    None
}

fn every(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Duration> {
    let interval = reader.duration(node)?;
    if interval < Duration::from_millis(1) {
        let problem = Problem::error(node.span, format!("{KEY} must be at least `1ms`"));
        reader.report(problem.help("write a longer time, such as `15m`"));
        return None;
    }
    Some(interval)
}

fn timezone(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Text> {
    let text = reader.filled(node)?;
    if time_zone(Some(text.value())).is_some() {
        return Some(text);
    }
    let names = time_zones();
    let in_area = |name: &&String| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text.value()));
    let near = || match names.iter().find(in_area) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None => did_you_mean(text.value(), names.iter().map(String::as_str)),
    };
    let near = if text.is_secret() { None } else { near() };
    let help = near.unwrap_or_else(|| "write its IANA name, such as `Europe/Berlin` or `UTC`".to_owned());
    reader.refuse(node, &text, "a time zone", Some(&help));
    None
}
