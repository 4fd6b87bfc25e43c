//! Probes of process-compose, in the notation of Kubernetes.

use crate::config::{Loose, Value};
use crate::import::context::Reader;
use crate::import::model::{NoteKind, words_of_our_line};

/// Sets `ready`.
pub(super) fn readiness(value: &Loose, shell: &str, reader: &mut Reader<'_>) {
    if check("ready", value, shell, reader) {
        let number = |key: &str, otherwise: u64| value.get_text(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        let tries = number("failure_threshold", 3).max(1);
        let each = number("period_seconds", 10).saturating_add(number("timeout_seconds", 1));
        let deadline = number("initial_delay_seconds", 0).saturating_add(tries.saturating_mul(each)).clamp(1, 86_400);
        reader.fields.text("ready.deadline", format!("{deadline}s"));
    }
}

/// Sets `liveness`.
pub(super) fn liveness(value: &Loose, shell: &str, reader: &mut Reader<'_>) {
    if check("liveness", value, shell, reader) {
        let tries = value.get_text("failure_threshold").and_then(|text| text.parse::<u32>().ok()).unwrap_or(3);
        reader.fields.set("liveness.failures", Value::Number(tries.clamp(1, 1000).into()));
    }
}

/// Sets a probe with its times, if there is one.
fn check(field: &str, value: &Loose, shell: &str, reader: &mut Reader<'_>) -> bool {
    if let Some(line) = value.get("exec").and_then(|exec| exec.get_text("command")) {
        let words = words_of_our_line(line, shell);
        reader.fields.set(&format!("{field}.exec"), Value::Row(words.into_iter().map(Value::Text).collect()));
        if let Some(directory) = value.get("exec").and_then(|exec| exec.get("working_dir")) {
            reader.note(
                NoteKind::Changed,
                "exec.working_dir",
                directory.line,
                "a check runs in the `working_dir` of its process",
            );
        }
    } else if let Some(get) = value.get("http_get") {
        let or = |key: &str, otherwise: &str| get.get_text(key).unwrap_or(otherwise).to_owned();
        if or("scheme", "http").eq_ignore_ascii_case("https") {
            reader.drop("http_get", get.line, Some("navigator's probes have no TLS: write `exec: [curl, --fail, URL]`"));
            return false;
        }
        let port = get.get_text("port").map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("http://{}{port}/{}", or("host", "127.0.0.1"), or("path", "/").trim_start_matches('/'));
        reader.fields.text(&format!("{field}.http"), url);
        if let Some(status) = get.get_text("status_code").and_then(|text| text.parse::<u16>().ok()) {
            reader.fields.set(&format!("{field}.status"), Value::Number(status.into()));
        }
        let headers = get.get("headers").map(Loose::entries).unwrap_or_default();
        if !headers.is_empty() {
            let headers = headers.iter().filter_map(|(name, value)| Some((name.clone(), Value::text(value.text()?))));
            reader.fields.set(&format!("{field}.headers"), Value::Map(headers.collect()));
        }
    } else {
        reader.drop(field, value.line, Some("it has neither `exec` nor `http_get`"));
        return false;
    }
    let time = |key: &str, otherwise: &str| {
        let seconds = value.get_text(key).filter(|text| text.parse::<u32>().is_ok_and(|seconds| seconds > 0));
        format!("{}s", seconds.unwrap_or(otherwise))
    };
    reader.fields.text(&format!("{field}.interval"), time("period_seconds", "10"));
    reader.fields.text(&format!("{field}.timeout"), time("timeout_seconds", "1"));
    true
}
