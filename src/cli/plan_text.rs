//! Formats a plan for people: a line for each process with its sign, and below it the fields that differ, old → new.
//!
//! `navigator plan` prints it in full; a reload shows a short form on a terminal. Nothing is computed here.

use crate::snapshot::PlanReport;
use crate::snapshot::plan::{FieldChange, PlanSummary, PlannedChange, PlannedSocket, PlannedStale, PlannedStep};
use crate::terminal::columns::{cut_within, padded, width, wrapped};
use crate::terminal::{TerminalStyle, escape, plural};
use reconcile::forecast::EffectKind;
use std::fmt::Write;

/// How many processes the short form shows.
const MAX_PROCESSES: usize = 40;

/// A text gets at least this many columns, however narrow the terminal is.
const MIN_WIDTH: usize = 20;

/// The indentation of fields.
const INDENT: usize = 8;

/// The short form, for a reload. The log has the counts.
pub fn brief(plan: &PlanReport, style: TerminalStyle) -> String {
    let page = PlanPage { style, names: widest_name(plan.names().take(MAX_PROCESSES)) };
    let mut all = page.entries(plan, |change| page.change(change));
    let omitted = all.len().saturating_sub(MAX_PROCESSES);
    all.truncate(MAX_PROCESSES);
    let mut text = all.concat();
    if omitted > 0 {
        let _ = writeln!(text, "    and {omitted} more");
    }
    text
}

/// The full form: every process, and the counts at the end. With `diffs`, each changed definition as a unified diff.
pub fn full(plan: &PlanReport, diffs: bool, style: TerminalStyle) -> String {
    let page = PlanPage { style, names: widest_name(plan.names().chain(plan.stopped_by_hand.iter().map(String::as_str))) };
    let mut text = page.entries(plan, |change| page.change(change) + &page.diff(change, diffs)).concat();
    text.extend(plan.sockets.iter().map(|socket| page.socket(socket)));
    text.extend(plan.stopped_by_hand.iter().map(|name| page.process('·', "2", name, "stopped by hand, and stays so", &[])));
    for part in [page.order(&plan.waves), counts(plan)].iter().filter(|part| !part.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(part);
    }
    text
}

/// The last line: the counts.
pub(super) fn counts(plan: &PlanReport) -> String {
    let by_hand = match plan.stopped_by_hand.len() {
        0 => String::new(),
        count => format!(", {count} of them stopped by hand"),
    };
    if plan.is_empty() {
        return format!("no changes: {} unchanged{by_hand}\n", plural(plan.summary.unchanged, "process", "processes"));
    }
    let count = |kind: EffectKind| plan.changes.iter().filter(|change| change.action == kind.as_str()).count();
    let counts = [
        (count(EffectKind::Start), "to start"),
        (count(EffectKind::Stop), "to stop"),
        (count(EffectKind::Restart), "to restart"),
        (count(EffectKind::Update), "to update in place"),
        (plan.stale.len(), "stale"),
        (untouched(plan), "unchanged"),
    ];
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let start = if plan.is_known { "no changes" } else { "plan" };
    format!("{start}: {}{by_hand}\n", parts.join(", "))
}

/// How many processes are left alone. The summary counts unchanged definitions, but some of these processes are started, stopped or
/// restarted along with others.
fn untouched(plan: &PlanReport) -> usize {
    let PlanSummary { added, removed, unchanged, .. } = plan.summary;
    let without_fields = plan.changes.iter().filter(|change| change.fields.is_empty()).count();
    unchanged.saturating_sub(without_fields.saturating_sub(added + removed))
}

fn widest_name<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| width(&escape(name))).max().unwrap_or(0)
}

const KINDS: [EffectKind; 4] = [EffectKind::Start, EffectKind::Stop, EffectKind::Restart, EffectKind::Update];

/// The kind of a change. A newer navigator may send actions that this client doesn't know.
fn kind(action: &str) -> Option<EffectKind> {
    KINDS.into_iter().find(|kind| kind.as_str() == action)
}

/// The sign of a change.
pub(super) fn sign(action: &str) -> char {
    kind(action).map_or('?', EffectKind::sign)
}

/// Why a process changes, and how it is restarted.
pub(super) fn why(change: &PlannedChange) -> String {
    match (&change.manner, change.how.as_deref()) {
        (Some(manner), Some("rolling")) => format!("{manner} ({})", change.reason),
        (Some(manner), _) => format!("{}; {manner}", change.reason),
        (None, _) => change.reason.clone(),
    }
}

/// Why a process keeps running an older definition.
pub(super) fn why_stale(stale: &PlannedStale) -> String {
    let PlannedStale { name, reason, put_back, rolled_back, .. } = stale;
    match (rolled_back, put_back) {
        (Some(why), _) => format!("stale: {reason}, but {why}; `navigator reload --retry` tries it again"),
        (None, Some(why)) => format!("stale: {reason}, but was {why}; `navigator restart {name}` tries it again"),
        (None, None) => format!("stale: {reason}, but `on_change: none` keeps what runs"),
    }
}

fn color(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Start => "32",
        EffectKind::Stop => "31",
        EffectKind::Restart => "33",
        EffectKind::Update => "36",
    }
}

fn names_of(wave: &[PlannedStep], kind: EffectKind) -> impl Iterator<Item = &str> {
    wave.iter().filter(move |step| step.action == kind.as_str()).map(|step| step.name.as_str())
}

struct PlanPage {
    style: TerminalStyle,
    /// How many columns names take.
    names: usize,
}

impl PlanPage {
    /// The lines of each process.
    fn entries(&self, plan: &PlanReport, change: impl Fn(&PlannedChange) -> String) -> Vec<String> {
        plan.changes.iter().map(change).chain(plan.stale.iter().map(|stale| self.stale(stale))).collect()
    }

    fn change(&self, change: &PlannedChange) -> String {
        let color = kind(&change.action).map_or("35", color);
        self.process(sign(&change.action), color, &change.name, &why(change), &change.fields)
    }

    fn socket(&self, socket: &PlannedSocket) -> String {
        let PlannedSocket { action, address, name, from } = socket;
        let (sign, color) = match action.as_str() {
            "open" => ('+', "32"),
            "close" => ('-', "31"),
            _ => ('~', "36"),
        };
        let from = from.as_ref().map(|from| format!(", held for {} now", escape(from))).unwrap_or_default();
        format!("  {} socket {} for {}{from}\n", self.style.painted(&sign.to_string(), color), escape(address), escape(name))
    }

    fn stale(&self, stale: &PlannedStale) -> String {
        self.process('!', "35", &stale.name, &why_stale(stale), &stale.fields)
    }

    fn process(&self, sign: char, color: &str, name: &str, why: &str, fields: &[FieldChange]) -> String {
        let margin = 4 + self.names + 2;
        let why: Vec<String> =
            wrapped(&escape(why), self.room(margin)).iter().map(|line| self.style.painted(line, "2")).collect();
        let why = why.join(&format!("\n{:margin$}", ""));
        let mut text =
            format!("  {} {}  {why}\n", self.style.painted(&sign.to_string(), color), padded(&escape(name), self.names));
        let paths = fields.iter().map(|field| width(&escape(&field.field))).max().unwrap_or(0);
        for field in fields {
            text.push_str(&self.field(field, paths));
        }
        text
    }

    /// Old and new value on one line if they fit, else on two.
    fn field(&self, field: &FieldChange, paths: usize) -> String {
        let room = self.room(INDENT + paths + 2);
        let start = format!("{:INDENT$}{}  ", "", padded(&escape(&field.field), paths));
        let (old, new) = match (&field.old, &field.new) {
            // The difference is secret.
            (Some(old), Some(new)) if old == new => {
                return format!("{start}{}, its value changed\n", cut_within(&escape(old), room));
            }
            (old, new) => (shown(old.as_ref()), shown(new.as_ref())),
        };
        if width(&old) + width(&new) + 3 <= room {
            return format!("{start}{} → {}\n", self.style.painted(&old, "31"), self.style.painted(&new, "32"));
        }
        let below = " ".repeat(INDENT + paths);
        let (old, new) = (cut_within(&old, room - 2), cut_within(&new, room - 2));
        format!("{start}  {}\n{below}  → {}\n", self.style.painted(&old, "31"), self.style.painted(&new, "32"))
    }

    /// The steps in waves; empty if they are all for one process.
    fn order(&self, waves: &[Vec<PlannedStep>]) -> String {
        let mut names = waves.iter().flatten().map(|step| &step.name);
        let first = names.next();
        if names.all(|name| Some(name) == first) {
            return String::new();
        }
        let digits = waves.len().to_string().len();
        let mut text = "in this order, each when the one before it is done:\n".to_owned();
        for (number, wave) in waves.iter().enumerate() {
            let mut start = format!("  {:>digits$}. ", number + 1);
            for kind in [EffectKind::Update, EffectKind::Stop, EffectKind::Start] {
                let names: Vec<&str> = names_of(wave, kind).collect();
                if !names.is_empty() {
                    text.push_str(&self.steps(&start, kind, &names.join(", ")));
                    start = " ".repeat(start.len());
                }
            }
        }
        text
    }

    /// The steps of one kind in a wave, as aligned lines.
    fn steps(&self, start: &str, kind: EffectKind, names: &str) -> String {
        let margin = start.len() + kind.as_str().len() + 1;
        let verb = self.style.painted(kind.as_str(), color(kind));
        format!("{start}{verb} {}\n", wrapped(&escape(names), self.room(margin)).join(&format!("\n{:margin$}", "")))
    }

    /// How many columns remain after the `taken` ones.
    fn room(&self, taken: usize) -> usize {
        self.style.width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(MIN_WIDTH))
    }

    /// The diff of a definition, if it is asked for.
    fn diff(&self, change: &PlannedChange, is_shown: bool) -> String {
        let room = self.room(INDENT);
        let lines = change.diff.iter().filter(|_| is_shown).flat_map(|diff| diff.lines());
        let line = |line: &str| {
            let style = match line.chars().next() {
                Some('+') => "32",
                Some('-') => "31",
                Some('@') => "36",
                _ => "2",
            };
            format!("{:INDENT$}{}\n", "", self.style.painted(&cut_within(&escape(line), room), style))
        };
        lines.map(line).collect()
    }
}

fn shown(value: Option<&String>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| escape(value).into_owned())
}
