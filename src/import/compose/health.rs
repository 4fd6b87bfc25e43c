//! `healthcheck` as our `ready`.

use crate::config::{Loose, LooseKind, Translated, Value, translate};
use crate::import::context::Reader;
use crate::import::model::{NoteKind, shell_words};
use crate::import::words::words_without_shell;

/// Compose's defaults.
const INTERVAL: f64 = 30.0;
const TIMEOUT: f64 = 30.0;
const RETRIES: u32 = 3;

/// Sets `ready` for a health check.
pub(super) fn check(value: &Loose, reader: &mut Reader<'_>) {
    let is_off = value.get("disable").and_then(Loose::truth) == Some(true);
    let Some(test) = value.get("test").filter(|_| !is_off) else { return };
    let words: Vec<String> = match &test.kind {
        LooseKind::List(items) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        _ => vec!["CMD-SHELL".to_owned(), test.text().unwrap_or_default().to_owned()],
    };
    let exec = match words.split_first() {
        Some((first, _)) if first == "NONE" => return,
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => rest.to_vec(),
        Some((first, [line])) if first == "CMD-SHELL" => {
            if line.contains('$') {
                vec!["sh".to_owned(), "-c".to_owned(), line.clone()]
            } else {
                without_exit(line)
            }
        }
        _ => {
            reader.note(NoteKind::Dropped, "healthcheck", test.line, "its `test` begins with neither `CMD` nor `CMD-SHELL`");
            return;
        }
    };
    let time = |key: &str, otherwise: f64| value.get(key).and_then(seconds).unwrap_or(otherwise);
    let (interval, timeout) = (time("interval", INTERVAL), time("timeout", TIMEOUT));
    let start = time("start_period", 0.0);
    let retries = value.get_text("retries").and_then(|text| text.parse().ok()).filter(|retries| *retries > 0).unwrap_or(RETRIES);
    reader.fields.set("ready.exec", Value::Row(exec.into_iter().map(Value::Text).collect()));
    // A check of Compose comes first after one interval, ours at once: in between it may as well succeed earlier.
    reader.fields.text("ready.interval", written(interval.min(3600.0)));
    reader.fields.text("ready.timeout", written(timeout));
    reader.fields.text("ready.deadline", written((start + f64::from(retries) * (interval + timeout)).max(1.0)));
    reader.fields.comment(
        "ready",
        "Compose only reports a failed check; here the process has failed if none succeeds before the deadline",
    );
}

/// The words of a check, without `|| exit 1`, which says nothing.
fn without_exit(line: &str) -> Vec<String> {
    let plain = line.trim();
    let plain = plain.strip_suffix("exit 1").and_then(|line| line.trim_end().strip_suffix("||")).map_or(plain, str::trim_end);
    let words = shell_words(plain, "sh");
    if words.first().is_some_and(|word| word == "sh") && plain != line.trim() { shell_words(line, "sh") } else { words }
}

/// A duration in seconds.
pub(super) fn seconds(value: &Loose) -> Option<f64> {
    let Some(Translated { value: Value::Text(text), .. }) = translate("stop_grace_period", value) else { return None };
    crate::config::duration(&text).ok().map(|duration| duration.as_secs_f64())
}

/// A number of seconds as a duration.
fn written(seconds: f64) -> String {
    if seconds.fract() == 0.0 { format!("{seconds:.0}s") } else { format!("{:.0}ms", seconds * 1000.0) }
}

/// The words of a command: a list, or a text that is split without a shell.
pub(super) fn command_words(value: &Loose) -> Vec<String> {
    match &value.kind {
        LooseKind::List(items) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        LooseKind::Text(text) => words_without_shell(text),
        _ => Vec::new(),
    }
}
