//! Values of other programs' keys, written as fields of ours.

use super::keys::normalized;
use crate::config::address::of_another_program;
use crate::config::parts::LIMITS;
use crate::config::scope::is_secret;
use crate::config::tree::{MapEntry, Node, NodeKind};
use crate::config::words::{list, quoted_if_needed, split};
use crate::config::{scalar, value_hints};
use crate::signals;
use std::time::Duration;

/// Longest text within a map that is quoted in a help, in bytes.
const MAX_TEXT: usize = 80;

/// What to write instead of a key with this value, if the value makes that clear.
pub(super) fn instead_of(key: &str, value: &Node) -> Option<String> {
    let text = value.text().filter(|text| !text.is_empty());
    let is_on = text.and_then(truth);
    let write = |line: &str| Some(format!("write `{line}`"));
    match key {
        "killmode" | "stopasgroup" | "killasgroup" | "treekill" | "stop_children" => scope(key, text?),
        "exitcodes" | "successexitstatus" | "stop_exit_codes" => exit_codes(key, value),
        "autostart" | "autoload" | "startup" => match text? {
            "enabled" => write("enabled: true"),
            "disabled" => write("enabled: false"),
            _ => write(&format!("enabled: {}", is_on?)),
        },
        "autorestart" if text == Some("unexpected") => write("restart: on-failure"),
        "autorestart" | "restart_on_exit" | "respawn" if is_on == Some(false) => write("restart: never"),
        "disabled" | "is_disabled" | "disable" => write(&format!("enabled: {}", !is_on?)),
        "on_success" => match text? {
            "restart" => write("restart: always"),
            "ignore" => write("restart: on-failure"),
            "shutdown" | "failure-shutdown" => write("shutdown_on: exit"),
            _ => None,
        },
        "on_failure" => match text? {
            "restart" => write("restart: on-failure"),
            "ignore" => write("restart: never"),
            "shutdown" | "success-shutdown" => write("shutdown_on: failure"),
            _ => None,
        },
        "nonewprivileges" | "no_new_privileges" => write(&format!("no_new_privs: {}", is_on?)),
        "process_name" if text.is_some_and(|text| text.contains("%(")) => {
            Some("an item runs one process, named by `name`: remove this line".to_owned())
        }
        "exit_on_failure" | "exit_on_end" if is_on == Some(false) => {
            Some("nothing shuts navigator down unless `shutdown_on` is given: remove this line".to_owned())
        }
        "max_retry" | "retries" | "max_retries" if text == Some("-1") => {
            Some("restarts are unlimited unless you write `max_restarts`: remove this line".to_owned())
        }
        "is_daemon" | "daemon" | "is_tty" | "tty" | "stdin_open" if is_on == Some(false) => Some("remove this line".to_owned()),
        "availability" => availability(entries(value)?),
        "restart_policy" => restart_policy(entries(value)?),
        "deploy" => restart_policy(entries(of(entries(value)?, "restart_policy")?)?),
        "shutdown" => shutdown(entries(value)?),
        "healthcheck" => healthcheck(entries(value)?),
        "readiness_probe" | "readinessprobe" | "liveness_probe" | "livenessprobe" => probe(key, entries(value)?),
        "ready_log_line" => write(&format!("ready: {{log: {}}}", quoted_if_needed(&regex::escape(shown(text?)?)))),
        "ulimits" => ulimits(entries(value)?),
        "listenstream" | "socket" | "sockets" | "bind" => write(&format!("listen: {}", of_another_program(shown(text?)?)?)),
        "security_opt" => {
            let is_set = |item: &Node| item.text().is_some_and(|text| text.starts_with("no-new-privileges"));
            value.one_or_more().iter().any(is_set).then(|| "write `no_new_privs: true`".to_owned())
        }
        _ => {
            let name = key.strip_prefix("limit").or_else(|| key.strip_prefix("rlimit_"))?;
            let example = || "write `limits`, as in `limits: {nofile: 65536}`".to_owned();
            let help = limit(name, text.unwrap_or_default()).map(|limit| format!("write `limits: {{{limit}}}`"));
            (!name.is_empty()).then(|| help.unwrap_or_else(example))
        }
    }
}

/// A boolean as other programs write it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A duration, of which a bare number has this unit.
pub(super) fn duration(text: &str, unit: &str) -> Option<String> {
    let is_bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let written = if is_bare { format!("{text}{unit}") } else { text.to_owned() };
    let written = if scalar::duration(&written).is_ok() { written } else { value_hints::duration(&written)? };
    scalar::duration(&written).is_ok_and(|duration| duration >= Duration::from_millis(1)).then_some(written)
}

/// A whole number within bounds.
pub(super) fn whole(text: &str, from: i64, to: i64) -> Option<String> {
    scalar::whole_number::<i64>(text, from, to).map(|number| number.to_string())
}

/// Which processes of a tree get the stop signal.
fn scope(key: &str, text: &str) -> Option<String> {
    let whole = "the whole tree is stopped unless you write `stop: {scope: main}`: remove this line";
    let main = "write `stop: {scope: main}`, for a signal to the main process alone";
    match (key, text, truth(text)) {
        ("killasgroup", _, Some(_)) => Some("`KILL` always goes to the whole tree: remove this line".to_owned()),
        ("killmode", "control-group", _) | (_, _, Some(true)) => Some(whole.to_owned()),
        ("killmode", "mixed" | "process" | "none", _) | (_, _, Some(false)) => Some(main.to_owned()),
        _ => None,
    }
}

/// `0,2`, `143 SIGTERM`, `[0, 2]`
fn exit_codes(key: &str, value: &Node) -> Option<String> {
    let texts: Vec<&str> = value.one_or_more().iter().map(Node::text).collect::<Option<_>>()?;
    let words = || texts.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty());
    let mut codes: Vec<i64> = words().filter_map(|word| scalar::whole_number(word, 0, 255)).collect();
    if codes.is_empty() {
        return None;
    }
    // systemd's are beside 0, not instead of it.
    if key == "successexitstatus" && !codes.contains(&0) {
        codes.insert(0, 0);
    }
    let codes: Vec<String> = codes.iter().map(i64::to_string).collect();
    let rest =
        if words().any(|word| scalar::whole_number::<i64>(word, 0, 255).is_none()) { ": it takes numbers only" } else { "" };
    Some(format!("write `success_exit_codes: [{}]`{rest}", codes.join(", ")))
}

/// The `availability` of process-compose.
fn availability(entries: &[MapEntry]) -> Option<String> {
    let mut lines = Vec::new();
    match text(entries, "restart") {
        Some("always") => lines.push("restart: always".to_owned()),
        Some("on_failure") => lines.push("restart: on-failure".to_owned()),
        Some("exit_on_failure") => lines.push("shutdown_on: failure".to_owned()),
        Some("no") => lines.push("restart: never".to_owned()),
        _ => {}
    }
    lines
        .extend(text(entries, "backoff_seconds").and_then(|delay| duration(delay, "s")).map(|delay| format!("backoff: {delay}")));
    lines.extend(restarts(text(entries, "max_restarts")));
    if text(entries, "exit_on_end").and_then(truth) == Some(true) {
        lines.retain(|line| !line.starts_with("shutdown_on"));
        lines.push("shutdown_on: exit".to_owned());
    }
    beside_command(&lines)
}

/// The `restart_policy` of Compose.
fn restart_policy(entries: &[MapEntry]) -> Option<String> {
    let restart = match text(entries, "condition") {
        Some("none") => "never",
        Some("on-failure") => "on-failure",
        _ => "always",
    };
    let mut lines = vec![format!("restart: {restart}")];
    lines.extend(text(entries, "delay").and_then(|delay| duration(delay, "s")).map(|delay| format!("backoff: {delay}")));
    lines.extend(restarts(text(entries, "max_attempts")));
    beside_command(&lines)
}

fn restarts(most: Option<&str>) -> Option<String> {
    Some(format!("max_restarts: {}", whole(most?, 1, i64::from(u32::MAX))?))
}

fn beside_command(lines: &[String]) -> Option<String> {
    match lines {
        [] => None,
        [line] => Some(format!("write `{line}` beside `command`")),
        lines => Some(format!("write beside `command`:\n{}", lines.join("\n"))),
    }
}

/// The `shutdown` of process-compose.
fn shutdown(entries: &[MapEntry]) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(text(entries, "signal").and_then(signals::parse).map(|signal| format!("signal: {signal}")));
    parts.extend(text(entries, "timeout_seconds").and_then(|time| duration(time, "s")).map(|time| format!("timeout: {time}")));
    parts.extend(text(entries, "command").map(|line| format!("command: {}", command(line))));
    if text(entries, "parent_only").and_then(truth) == Some(true) {
        parts.push("scope: main".to_owned());
    }
    (!parts.is_empty()).then(|| format!("write `stop: {{{}}}`", parts.join(", ")))
}

/// The `healthcheck` of Compose, with `test: [CMD, …]`.
fn healthcheck(entries: &[MapEntry]) -> Option<String> {
    let exec = match &of(entries, "test")?.kind {
        NodeKind::List(items) => {
            let words: Vec<String> = items.iter().map(|item| shown(item.text()?).map(str::to_owned)).collect::<Option<_>>()?;
            match words.split_first()? {
                (first, rest) if first == "CMD" && !rest.is_empty() => list(rest),
                (first, [line]) if first == "CMD-SHELL" => command(line),
                _ => return None,
            }
        }
        NodeKind::Scalar(line) => command(shown(&line.text)?),
        NodeKind::Map(_) => return None,
    };
    Some(check("ready", &format!("exec: {exec}"), entries, &[("interval", "interval"), ("timeout", "timeout")]))
}

/// A probe of process-compose or Kubernetes.
fn probe(key: &str, entries: &[MapEntry]) -> Option<String> {
    let field = if key.starts_with("ready") || key.starts_with("readiness") { "ready" } else { "liveness" };
    let exec = || match &of(self::entries(of(entries, "exec")?)?, "command")?.kind {
        NodeKind::List(items) => {
            let words = items.iter().map(|item| shown(item.text()?).map(str::to_owned));
            words.collect::<Option<Vec<String>>>().filter(|words| !words.is_empty()).map(|words| list(&words))
        }
        NodeKind::Scalar(line) => shown(&line.text).map(command),
        NodeKind::Map(_) => None,
    };
    let http = || {
        let get = self::entries(of(entries, "http_get").or_else(|| of(entries, "httpget"))?)?;
        let or = |key, otherwise| text(get, key).unwrap_or(otherwise);
        let port = text(get, "port").map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("http://{}{port}/{}", or("host", "127.0.0.1"), or("path", "").trim_start_matches('/'));
        (or("scheme", "http").eq_ignore_ascii_case("http")).then_some(url)
    };
    let tcp = || text(self::entries(of(entries, "tcpsocket")?)?, "port").map(|port| format!("127.0.0.1:{port}"));
    let check_line = exec().map(|exec| format!("exec: {exec}"));
    let check_line = check_line.or_else(|| http().map(|url| format!("http: {}", quoted_if_needed(&url))));
    let check_line = check_line.or_else(|| tcp().map(|address| format!("tcp: {address}")))?;
    let times = [
        ("period_seconds", "interval"),
        ("periodseconds", "interval"),
        ("timeout_seconds", "timeout"),
        ("timeoutseconds", "timeout"),
    ];
    Some(check(field, &check_line, entries, &times))
}

/// A probe as a block of YAML, with durations under other names.
fn check(field: &str, probe: &str, entries: &[MapEntry], times: &[(&str, &str)]) -> String {
    let time = |&(theirs, ours): &(&str, &str)| Some(format!("  {ours}: {}", duration(text(entries, theirs)?, "s")?));
    let times: Vec<String> = times.iter().filter_map(time).collect();
    let lead = match field {
        "ready" => "write `ready`, or `liveness` for a check that repeats while the process runs",
        _ => "write `liveness`",
    };
    [format!("{lead}:\n{field}:\n  {probe}")].into_iter().chain(times).collect::<Vec<_>>().join("\n")
}

/// A command line as a list in brackets; with a shell where it needs one.
fn command(line: &str) -> String {
    match split(line) {
        Ok(words) if !words.is_empty() => list(&words),
        _ => format!("[sh, -c, {}]", quoted_if_needed(line)),
    }
}

/// Compose's `{nofile: 65536}` or `{nofile: {soft: 1024, hard: 65536}}`.
fn ulimits(entries: &[MapEntry]) -> Option<String> {
    let limit = |entry: &MapEntry| match &entry.value.kind {
        NodeKind::Map(map) => limit(&entry.key, text(&map.entries, "hard")?),
        _ => limit(&entry.key, entry.value.text()?),
    };
    let limits: Option<Vec<String>> = entries.iter().map(limit).collect();
    limits.filter(|limits| !limits.is_empty()).map(|limits| format!("write `limits: {{{}}}`", limits.join(", ")))
}

/// A limit; of `SOFT:HARD` the second.
fn limit(name: &str, value: &str) -> Option<String> {
    limit_of(name, value).map(|(name, most)| format!("{name}: {most}"))
}

/// The name of a limit and its value.
pub(super) fn limit_of(name: &str, value: &str) -> Option<(&'static str, String)> {
    let most = match value.rsplit(':').next()? {
        "infinity" | "-1" => "unlimited",
        most => most,
    };
    let is_number = most.len() <= 15 && !most.is_empty() && most.bytes().all(|byte| byte.is_ascii_digit());
    let name = LIMITS.into_iter().find(|limit| *limit == name)?;
    (is_number || most == "unlimited").then(|| (name, most.to_owned()))
}

fn entries(value: &Node) -> Option<&[MapEntry]> {
    match &value.kind {
        NodeKind::Map(map) => Some(&map.entries),
        _ => None,
    }
}

/// The value of a key, which may be written with underscores, hyphens or capitals.
fn of<'n>(entries: &'n [MapEntry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| normalized(&entry.key) == key).map(|entry| &entry.value)
}

fn text<'n>(entries: &'n [MapEntry], key: &str) -> Option<&'n str> {
    of(entries, key)?.text().and_then(shown)
}

/// A text that may be quoted in a help.
fn shown(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= MAX_TEXT && !text.contains(char::is_control) && !is_secret(text)).then_some(text)
}
