//! Log events as a person reads them on a terminal: `22:08:52 mailer | exited with status 1, restarting in 1s`.
//!
//! An event with a `sentence` shows that alone; without one, it shows its message and fields. No line is wider than the terminal:
//! what is worth an attention is wrapped, the rest is cut.

use super::log_fields::EventFields;
use crate::sys::clock::time_of_day;
use crate::terminal::columns::{cut, width, wrapped};
use crate::terminal::{TerminalStyle, escape};
use jiff::Timestamp;
use tracing::{Level, Metadata};

/// The lines for an event; `None`: another event says it. `prefix` formats the name of a process, with colours or without.
pub(super) fn lines(
    metadata: &Metadata<'_>,
    fields: &EventFields,
    style: TerminalStyle,
    prefix: &dyn Fn(&str, bool) -> String,
) -> Option<String> {
    if fields.sentence.as_deref() == Some("") {
        return None;
    }
    let name = Some(fields.process()).flatten().filter(|_| metadata.target() == "managed_processes");
    let name = name.map(escape);
    let text = match &fields.sentence {
        Some(sentence) => escape(sentence).into_owned(),
        None => escape(&fields.message).into_owned() + &fields.as_text(if name.is_some() { &["name"] } else { &[] }),
    };
    let time = wall_clock(Timestamp::now());
    let plain = name.as_ref().map(|name| prefix(name, false)).unwrap_or_default();
    let margin = width(&time) + 1 + width(&plain);
    let room = style.columns().map_or(usize::MAX, |columns| columns.saturating_sub(margin).max(MIN_WIDTH));
    let texts = if *metadata.level() == Level::INFO { vec![cut(&text, room)] } else { wrapped(&text, room) };
    let colour = match *metadata.level() {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "",
        Level::DEBUG | Level::TRACE => "2",
    };
    let painted = |text: &String| if colour.is_empty() { text.clone() } else { style.painted(text, colour) };
    let named = name.map(|name| prefix(&name, style.color)).unwrap_or_default();
    let texts: Vec<String> = texts.iter().map(painted).collect();
    Some(format!("{} {named}{}\n", style.painted(&time, "2"), texts.join(&format!("\n{:margin$}", ""))))
}

/// A text gets at least this many columns, however narrow the terminal is.
const MIN_WIDTH: usize = 20;

/// The time of day in this place.
fn wall_clock(now: Timestamp) -> String {
    let local = time_of_day(now.as_second());
    let parts = local.unwrap_or_else(|| {
        let seconds = i32::try_from(now.as_second().rem_euclid(86_400)).unwrap_or(0);
        [seconds / 3_600, seconds / 60 % 60, seconds % 60]
    });
    parts.map(|part| format!("{part:02}")).join(":")
}
