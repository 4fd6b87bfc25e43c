//! The followed repository in words, for `status` and `source`.

use super::explain::{elapsed, short_duration};
use crate::snapshot::{Moment, NewestSnapshot, SourceSnapshot};
use crate::terminal::columns::cut;
use crate::terminal::{TerminalStyle, escape};
use jiff::Timestamp;
use std::time::Duration;

/// How many digits of a commit's id are shown.
const SHORT: usize = 7;

/// The followed repository, with what is in force, what is newest, and when it is looked at.
pub(super) fn source_text(source: &SourceSnapshot, now: Timestamp, style: TerminalStyle) -> String {
    let SourceSnapshot { url, reference, path, .. } = source;
    let mut lines = vec![format!("source  {reference} of {url}, {path}")];
    let ago = |at: &Moment| short_duration(elapsed(*at, now));
    let commit = |id: &str, subject: &str| format!("{} \"{subject}\"", short(id));
    lines.push(match &source.in_force {
        Some(taken) => format!("  in force  {}, since {}", commit(&taken.commit, &taken.subject), ago(&taken.since)),
        None => "  in force  no commit yet".to_owned(),
    });
    if let Some(NewestSnapshot { commit: id, subject, outcome, reason: Some(_), message, since, .. }) = &source.newest {
        let message = message.as_deref().unwrap_or_default();
        lines.push(format!("  newest    {}, {outcome} {} ago: {message}", commit(id, subject), ago(since)));
    }
    let fetched = source.condition("Fetched");
    let when = source.fetched_at.as_ref().map_or_else(|| "not yet".to_owned(), |at| format!("{} ago", ago(at)));
    let next = source.next_at.as_ref().map(|at| Duration::try_from(at.0.duration_since(now)).unwrap_or_default());
    let next = next.map(|left| format!(", next in {}", short_duration(left))).unwrap_or_default();
    let why = fetched.filter(|fetched| !fetched.message.is_empty() && fetched.reason == "FetchFailed");
    let why = why.map(|fetched| format!("; the last fetch failed: {}", fetched.message)).unwrap_or_default();
    lines.push(format!("  fetched   {when}{next}{why}"));
    let trouble = source.condition("Synced").filter(|synced| synced.reason == "Trouble");
    let trouble = trouble.filter(|synced| fetched.is_none_or(|fetched| fetched.message != synced.message));
    lines.extend(trouble.map(|synced| format!("  trouble   {}", synced.message)));
    if let Some(suspended) = &source.suspended {
        let until = suspended.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        let why = suspended.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("  suspended{until}{why}"));
    }
    if let Some(pinned) = &source.pinned {
        lines.push(format!("  pinned    {}", short(pinned)));
    }
    lines.extend(Some(source.drift.join("; ")).filter(|drift| !drift.is_empty()).map(|drift| format!("  drift     {drift}")));
    let shown = |line: &String| {
        let line = escape(line).into_owned();
        style.columns().map_or(line.clone(), |room| cut(&line, room)) + "\n"
    };
    lines.iter().map(shown).collect()
}

/// The beginning of a commit's id.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}
