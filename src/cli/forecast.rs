//! What a configuration changes, written for a terminal: a line for each process with its sign, and below it, field by
//! field, what was and what is to be. It renders what the core has forecast, and computes nothing.

use crate::config::Look;
use reconcile::diff::{Difference, tops};
use reconcile::forecast::{Effect, EffectKind, Forecast, Stale};
use reconcile::reason::Reason;
use std::fmt::Write;

/// As many processes are shown; who changes more doesn't read them one by one.
const PROCESSES: usize = 40;

/// As many columns a value gets, however narrow the terminal is.
const ROOM: usize = 20;

/// How far the fields of a process stand from the margin.
const INDENT: usize = 8;

/// The lines of a forecast.
pub fn render(forecast: &Forecast, look: Look) -> String {
    let page = Page { look, names: longest_name(forecast) };
    let effects = forecast.effects.iter().map(|effect| page.effect(effect));
    let all: Vec<String> = effects.chain(forecast.stale.iter().map(|stale| page.stale(stale))).collect();
    let mut text: String = all.iter().take(PROCESSES).map(String::as_str).collect();
    if all.len() > PROCESSES {
        let _ = writeln!(text, "    and {} more", all.len() - PROCESSES);
    }
    text
}

struct Page {
    look: Look,
    /// How many columns names take.
    names: usize,
}

fn longest_name(forecast: &Forecast) -> usize {
    let names = forecast.effects.iter().map(|effect| &effect.name).chain(forecast.stale.iter().map(|stale| &stale.name));
    names.take(PROCESSES).map(|name| name.len()).max().unwrap_or(0)
}

impl Page {
    fn effect(&self, effect: &Effect) -> String {
        let color = match effect.kind {
            EffectKind::Start => "32",
            EffectKind::Stop => "31",
            EffectKind::Restart => "33",
            EffectKind::Update => "36",
        };
        self.process(effect.kind.sign(), color, &effect.name, &effect.reason.to_string(), &effect.fields)
    }

    fn stale(&self, stale: &Stale) -> String {
        let why = format!("stale: {}, but `on_change: none` keeps what runs", Reason::Changed(tops(&stale.fields)));
        self.process('!', "35", &stale.name, &why, &stale.fields)
    }

    fn process(&self, sign: char, color: &str, name: &str, why: &str, fields: &[Difference]) -> String {
        let mut text = format!(
            "  {} {name:names$}  {}\n",
            self.look.painted(&sign.to_string(), color),
            self.look.painted(why, "2"),
            names = self.names
        );
        let paths = fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
        for field in fields {
            text.push_str(&self.field(field, paths));
        }
        text
    }

    /// Old and new on one line where they fit, else each on a line of its own.
    fn field(&self, field: &Difference, paths: usize) -> String {
        let room = self.look.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT + paths + 2).max(ROOM));
        let path = harmless(&field.field);
        let start = format!("{:INDENT$}{path:paths$}  ", "");
        let (old, new) = match (&field.old, &field.new) {
            (Some(old), Some(new)) if field.secret && old == new => {
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
