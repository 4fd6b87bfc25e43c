//! What a configuration changes, written for people: a line for each process with its sign, and below it, field by
//! field, what was and what is to be. A reload shows it on a terminal, and `navigator plan` wherever it is asked.
//!
//! It writes down a plan that is given, and computes nothing of it.

use super::plural;
use crate::config::Look;
use crate::snapshot::Plan;
use crate::snapshot::plan::{Change, Field, Stale};
use reconcile::forecast::EffectKind;
use std::fmt::Write;

/// As many processes are shown of a reload; who changes more doesn't read them one by one.
const PROCESSES: usize = 40;

/// As many columns a value gets, however narrow the terminal is.
const ROOM: usize = 20;

/// How far the fields of a process stand from the margin.
const INDENT: usize = 8;

/// What is shown of a reload, while it goes on: no more than somebody reads meanwhile. The log has the counts.
pub fn brief(plan: &Plan, look: Look) -> String {
    let page = Page { look, names: widest_name(plan.names().take(PROCESSES)) };
    let mut all = page.entries(plan, |change| page.change(change));
    let omitted = all.len().saturating_sub(PROCESSES);
    all.truncate(PROCESSES);
    let mut text = all.concat();
    if omitted > 0 {
        let _ = writeln!(text, "    and {omitted} more");
    }
    text
}

/// The whole plan: every process, each changed definition as a unified diff, and the counts at the end.
pub fn whole(plan: &Plan, look: Look) -> String {
    let page = Page { look, names: widest_name(plan.names().chain(plan.stopped_by_hand.iter().map(String::as_str))) };
    let mut text = page.entries(plan, |change| page.change(change) + &page.diff(change)).concat();
    text.extend(plan.stopped_by_hand.iter().map(|name| page.process('·', "2", name, "stopped by hand, and stays so", &[])));
    if !text.is_empty() {
        text.push('\n');
    }
    text + &count(plan)
}

/// The last line: how many of each.
fn count(plan: &Plan) -> String {
    let by_hand = match plan.stopped_by_hand.len() {
        0 => String::new(),
        count => format!(", {count} of them stopped by hand"),
    };
    if plan.changes.is_empty() && plan.stale.is_empty() {
        return format!("no changes: {} unchanged{by_hand}\n", plural(plan.summary.unchanged, "process", "processes"));
    }
    let count = |kind: EffectKind| plan.changes.iter().filter(|change| change.action == kind.as_str()).count();
    let counts = [
        (count(EffectKind::Start), "to start"),
        (count(EffectKind::Stop), "to stop"),
        (count(EffectKind::Restart), "to restart"),
        (count(EffectKind::Update), "to update in place"),
        (plan.stale.len(), "stale"),
        (plan.summary.unchanged, "unchanged"),
    ];
    let words: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("plan: {}{by_hand}\n", words.join(", "))
}

fn widest_name<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).max().unwrap_or(0)
}

struct Page {
    look: Look,
    /// How many columns names take.
    names: usize,
}

impl Page {
    /// The lines of each process.
    fn entries(&self, plan: &Plan, change: impl Fn(&Change) -> String) -> Vec<String> {
        plan.changes.iter().map(change).chain(plan.stale.iter().map(|stale| self.stale(stale))).collect()
    }

    fn change(&self, change: &Change) -> String {
        let (sign, color) = match change.action.as_str() {
            "start" => (EffectKind::Start.sign(), "32"),
            "stop" => (EffectKind::Stop.sign(), "31"),
            "restart" => (EffectKind::Restart.sign(), "33"),
            "update" => (EffectKind::Update.sign(), "36"),
            // A newer navigator may know more of them than the client that asks it.
            _ => ('?', "35"),
        };
        self.process(sign, color, &change.name, &change.reason, &change.fields)
    }

    fn stale(&self, stale: &Stale) -> String {
        let why = format!("stale: {}, but `on_change: none` keeps what runs", stale.reason);
        self.process('!', "35", &stale.name, &why, &stale.fields)
    }

    fn process(&self, sign: char, color: &str, name: &str, why: &str, fields: &[Field]) -> String {
        let (sign, why) = (self.look.painted(&sign.to_string(), color), self.look.painted(why, "2"));
        let mut text = format!("  {sign} {name:names$}  {why}\n", names = self.names);
        let paths = fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
        for field in fields {
            text.push_str(&self.field(field, paths));
        }
        text
    }

    /// Old and new on one line where they fit, else each on a line of its own.
    fn field(&self, field: &Field, paths: usize) -> String {
        let room = self.look.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT + paths + 2).max(ROOM));
        let path = harmless(&field.field);
        let start = format!("{:INDENT$}{path:paths$}  ", "");
        let (old, new) = match (&field.old, &field.new) {
            // It differs in what may not be seen.
            (Some(old), Some(new)) if old == new => {
                return format!("{start}{}, its value changed\n", cut(old, room));
            }
            (old, new) => (shown(old.as_ref()), shown(new.as_ref())),
        };
        if old.chars().count() + new.chars().count() + 3 <= room {
            return format!("{start}{} → {}\n", self.look.painted(&old, "31"), self.look.painted(&new, "32"));
        }
        let below = " ".repeat(INDENT + paths);
        let (old, new) = (cut(&old, room - 2), cut(&new, room - 2));
        format!("{start}  {}\n{below}  → {}\n", self.look.painted(&old, "31"), self.look.painted(&new, "32"))
    }

    /// The definition before and after. The whole of what is new or gone stands in the file; what differs is worth seeing
    /// among what surrounds it.
    fn diff(&self, change: &Change) -> String {
        let room = self.look.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT).max(ROOM));
        let is_edited = !change.fields.is_empty();
        let lines = change.diff.iter().filter(|_| is_edited).flat_map(|diff| diff.lines());
        let line = |line: &str| {
            let style = match line.chars().next() {
                Some('+') => "32",
                Some('-') => "31",
                Some('@') => "36",
                _ => "2",
            };
            format!("{:INDENT$}{}\n", "", self.look.painted(&cut(line, room), style))
        };
        lines.map(line).collect()
    }
}

fn shown(value: Option<&String>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| harmless(value))
}

/// A text without what would move a terminal's cursor.
fn harmless(text: &str) -> String {
    text.chars().flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] }).collect()
}

/// A text that is no longer than that; what differs is nearer to its end than to its beginning as often as not, so what
/// is left out is in the middle.
fn cut(text: &str, room: usize) -> String {
    let text = harmless(text);
    let length = text.chars().count();
    if length <= room {
        return text;
    }
    let half = (room - 1) / 2;
    let (start, end): (String, String) = (text.chars().take(half).collect(), text.chars().skip(length - half).collect());
    format!("{start}…{end}")
}
