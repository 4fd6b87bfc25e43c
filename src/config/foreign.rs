//! Suggestions for keys of other programs (systemd, Compose, PM2, …), using their values where they help.
//!
//! The table of keys is in `keys`, what their values mean is in `values`.

mod keys;
mod translation;
mod values;

pub(crate) use translation::{Translated, reason, translate};

use super::scope::is_secret;
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::words::{self, definition, list, quoted_if_needed};
use super::{scalar, value_hints};
use crate::signals;
use crate::suggest::{did_you_mean, nearest};
use keys::{ForeignKeys, PROCESS_KEYS, TOP_KEYS, lookup, normalized};
use translation::advice;

/// Interpreters by the extension of a script that is given as the program.
const INTERPRETERS: [(&str, &str); 4] = [(".js", "node"), (".py", "python3"), (".rb", "ruby"), (".sh", "sh")];

/// Longest value that is quoted in a help, in bytes.
const MAX_VALUE: usize = 40;

/// What to write instead of an entry of a process, if its value makes that clear.
pub(super) fn instead_of_entry(key: &str, value: &Node) -> Option<String> {
    let plain = normalized(key);
    if let Some(help) = values::instead_of(&plain, value) {
        return Some(help);
    }
    match plain.as_str() {
        "environment" => environment(value),
        "execstop" | "execreload" if value.text().is_some_and(|line| line.contains("$MAINPID")) => {
            let (field, usual) = if plain == "execstop" { ("stop", "TERM") } else { ("reload", "HUP") };
            let signal = value.text().and_then(signal_of).unwrap_or_else(|| usual.to_owned());
            Some(format!("write `{field}: {{signal: {signal}}}`: navigator knows the pid"))
        }
        "environmentfile" if value.text().is_some_and(|path| path.starts_with('-')) => {
            let path = printable_value(key, value)?.trim_start_matches('-');
            Some(format!("write `env_file: {{path: {}, required: false}}`", quoted_if_needed(path)))
        }
        "stdout_logfile" | "stderr_logfile"
            if value.text().is_some_and(|text| !text.contains('/') || text.starts_with("/dev/")) =>
        {
            Some(if value.text() == Some("NONE") { "write `output: null`" } else { "write `output: log`" }.to_owned())
        }
        "standardoutput" | "standarderror" if value.text().is_none_or(|text| !text.contains('/')) => {
            Some("write `output: log`, or `output: null` to drop it".to_owned())
        }
        "execstart" | "entrypoint" | "program" | "script" | "cmd" | "exec" | "run" | "executable" => {
            let line = value.text().filter(|line| !is_secret(line))?;
            match definition(&with_interpreter(line), &[])?.as_slice() {
                [command] => Some(format!("write `{command}`")),
                lines => Some(format!("write\n{}", lines.join("\n"))),
            }
        }
        plain => {
            let instead = lookup(plain, PROCESS_KEYS).map(str::to_owned).or_else(|| advice(plain))?;
            if instead.contains("[…]") {
                return Some(instead.replace("[…]", &printable_list(key, value)?));
            }
            let shown = printable_value(key, value)?;
            Some(filled_in(&instead, shown))
        }
    }
}

/// A help with a value in place of its `…`, as YAML; as it is, if the value isn't valid there.
fn filled_in(instead: &str, value: &str) -> String {
    let Some(at) = instead.find('…') else { return instead.to_owned() };
    let (before, behind) = (&instead[..at], &instead[at + '…'.len_utf8()..]);
    let field = before.trim_end().trim_end_matches(':').rsplit(['`', '{', ' ']).next().unwrap_or_default();
    let unit = if behind.starts_with("ms") { "ms" } else { "s" };
    let filled = match field {
        "#" => Some(value.to_owned()),
        "initial" | "max" | "backoff" | "timeout" | "deadline" | "reset_after" | "start_delay" | "stable" => {
            values::duration(value, unit)
        }
        "max_size" => value_hints::size(value).or_else(|| scalar::size(value).is_ok().then(|| value.to_owned())),
        "replicas" => values::whole(value, 1, 1000),
        "max_restarts" | "keep" => values::whole(value, 0, 1000),
        "oom_score_adj" => values::whole(value, -1000, 1000),
        "factor" => scalar::number(value, 1.0, 100.0).map(|_| value.to_owned()),
        "signal" => signals::parse(value).map(|signal| signal.to_string()),
        "name" => scalar::name(value).is_ok().then(|| quoted_if_needed(value)),
        "enabled" | "auto_restart" => values::truth(value).map(|is_true| is_true.to_string()),
        _ => Some(quoted_if_needed(value)),
    };
    match filled {
        Some(filled) => format!("{before}{filled}{}", behind.trim_start_matches("ms")),
        None if value == "infinity" => format!("{before}1d{behind}: a long one, as there is always a limit"),
        None => instead.to_owned(),
    }
}

/// The signal that a line such as `/bin/kill -USR1 $MAINPID` sends.
fn signal_of(line: &str) -> Option<String> {
    let mut words = line
        .split_whitespace()
        .skip(1)
        .map(|word| word.trim_start_matches("-s").trim_start_matches("--signal=").trim_start_matches('-'));
    words.find_map(signals::parse).map(|signal| signal.to_string())
}

/// What to write instead of a top-level entry, if its value makes that clear.
pub(super) fn instead_of_top_entry(key: &str, value: &Node) -> Option<String> {
    let instead = lookup(&normalized(key), TOP_KEYS)?;
    if !instead.contains("`managed_processes`") {
        return Some(instead.replace("…", printable_value(key, value)?));
    }
    let lines = match &value.kind {
        NodeKind::Map(map) => map.entries.iter().find_map(|process| match &process.value.kind {
            NodeKind::Map(fields) => Some(process_as_yaml(&process.key, &fields.entries)),
            _ => None,
        }),
        NodeKind::List(items) => first_of_list(items),
        NodeKind::Scalar(_) => None,
    }?;
    let lines: Vec<String> = lines.into_iter().map(|line| format!("  {line}")).collect();
    Some(format!("write a list of processes:\nmanaged_processes:\n{}", lines.join("\n")))
}

/// The first process in a list of them, as YAML lines.
pub(super) fn first_of_list(items: &[Node]) -> Option<Vec<String>> {
    items.iter().find_map(|item| match &item.kind {
        NodeKind::Map(fields) => {
            let name = entry(&fields.entries, "name").and_then(|name| name.value.text())?;
            Some(process_as_yaml(name, &fields.entries))
        }
        _ => None,
    })
}

/// A value that may be quoted in a help: short, on one line, not secret.
fn printable_value<'a>(key: &str, value: &'a Node) -> Option<&'a str> {
    let text = value.text()?;
    let is_short = !text.is_empty() && text.len() <= MAX_VALUE && !text.contains('\n');
    (is_short && !is_secret(key) && !is_secret(text)).then_some(text)
}

/// A list of names, or the words of a command, if they may be quoted in a help.
fn printable_list(key: &str, value: &Node) -> Option<String> {
    let words: Vec<String> = match &value.kind {
        NodeKind::List(items) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        _ => words::split(printable_value(key, value)?).ok()?,
    };
    // Other units than services are no processes.
    let is_other = |word: &str| {
        [".target", ".socket", ".mount", ".device", ".timer", ".path", ".slice"].iter().any(|kind| word.ends_with(kind))
    };
    let words = words.iter().filter(|word| !is_other(word)).map(|word| word.trim_end_matches(".service").to_owned());
    let words: Vec<String> = words.collect();
    (!words.is_empty() && words.len() <= 8 && !words.iter().any(|word| is_secret(word))).then(|| list(&words))
}

/// Help for variables in Compose's list form, `- NAME=value`. The values are not shown.
fn environment(value: &Node) -> Option<String> {
    let NodeKind::List(items) = &value.kind else { return None };
    let Some((name, _)) = items.iter().find_map(|item| item.text()?.split_once('=')) else {
        return Some("a process inherits navigator's own variables: remove this, or list them in `inherit_env`".to_owned());
    };
    Some(format!("write `env`, as a map:\nenv:\n  {name}: …"))
}

/// What to write instead of a key that is not a process field.
pub(super) fn instead_of_field<'a>(key: &str, fields: impl Iterator<Item = &'a str>) -> Option<String> {
    let translated = translation::keys().filter(|key| key.len() >= 8);
    let near = || nearest(&normalized(key), translated).and_then(advice);
    advice(&normalized(key)).or_else(|| instead_of(key, PROCESS_KEYS, fields)).or_else(near)
}

/// What to write instead of an unknown top-level key.
pub(super) fn instead_of_top_key<'a>(key: &str, keys: impl Iterator<Item = &'a str>) -> Option<String> {
    instead_of(key, TOP_KEYS, keys)
}

/// Tries an exact foreign key, then a similar key of ours, then a similar foreign key.
fn instead_of<'a>(key: &str, foreign: ForeignKeys, ours: impl Iterator<Item = &'a str>) -> Option<String> {
    let plain = normalized(key);
    // Short words are similar to too many others.
    let long = foreign.iter().flat_map(|(keys, _)| keys.iter().copied()).filter(|key| key.len() >= 8);
    let near = || nearest(&plain, long).and_then(|near| lookup(near, foreign));
    let instead = lookup(&plain, foreign).map(str::to_owned);
    instead.or_else(|| did_you_mean(key, ours)).or_else(|| near().map(str::to_owned))
}

/// A command line, or a script behind the program that reads it: PM2 finds that by the extension.
fn with_interpreter(line: &str) -> String {
    let interpreter = INTERPRETERS.iter().find(|(ending, _)| line.ends_with(ending) && !line.contains(' '));
    interpreter.map_or(line.to_owned(), |(_, program)| format!("{program} {line}"))
}

/// A foreign process definition as YAML lines of an item of a list.
pub(super) fn process_as_yaml(name: &str, entries: &[MapEntry]) -> Vec<String> {
    let given = ["command", "cmd", "script", "entrypoint", "exec", "run"].iter().find_map(|key| entry(entries, key));
    let line = given.and_then(|given| match &given.value.kind {
        NodeKind::Scalar(scalar) if !scalar.text.contains('\n') && !is_secret(&scalar.text) => Some(scalar.text.as_str()),
        _ => None,
    });
    if let Some(NodeKind::List(items)) = given.map(|given| &given.value.kind) {
        let words: Vec<String> = items.iter().filter_map(Node::text).map(str::to_owned).collect();
        if let Some((program, args)) =
            words.split_first().filter(|_| !words.iter().any(|word| is_secret(word) || word.contains('\n')))
        {
            return list_item(name, vec![format!("command: {}", quoted_if_needed(program)), format!("args: {}", list(args))]);
        }
    }
    let is_script = given.is_some_and(|given| given.key == "script");
    let line = line.map(|line| if is_script { with_interpreter(line) } else { line.to_owned() });
    let args = entry(entries, "args").map_or(Some(Vec::new()), |args| match &args.value.kind {
        NodeKind::Scalar(args) => words::split(&args.text).ok(),
        NodeKind::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
        NodeKind::Map(_) => None,
    });
    let args = args.filter(|args| !args.iter().any(|arg| is_secret(arg) || arg.contains('\n')));
    let command = match line.as_deref().zip(args).and_then(|(line, args)| definition(line, &args)) {
        Some(lines) => lines,
        None => vec![format!("command: {}", line.as_deref().map_or("…".to_owned(), quoted_if_needed))],
    };
    list_item(name, command)
}

/// A line of a Procfile, `web: bundle exec puma`, as YAML lines of an item of a list.
pub(super) fn procfile_line(name: &str, line: &str) -> Option<Vec<String>> {
    let lines = if is_secret(name) || is_secret(line) { vec!["command: …".to_owned()] } else { definition(line, &[])? };
    Some(list_item(name, lines))
}

/// YAML lines of an item of a list of processes. An unknown name is `…`.
pub(super) fn list_item(name: &str, lines: Vec<String>) -> Vec<String> {
    let name = match scalar::name(name) {
        Ok(()) => quoted_if_needed(name),
        Err(_) => value_hints::name(name).unwrap_or_else(|| "…".to_owned()),
    };
    std::iter::once(format!("- name: {name}")).chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::PROCESS;
    use crate::config::top::TOP;
    use crate::config::yaml::{Loose, Value};

    #[test]
    fn no_key_of_ours_is_foreign() {
        let foreign = |table: ForeignKeys| table.iter().flat_map(|(keys, _)| keys.iter().copied()).collect::<Vec<_>>();
        for field in PROCESS {
            assert!(!foreign(PROCESS_KEYS).contains(&field.key.name), "{}", field.key.name);
            assert_eq!(advice(field.key.name), None, "{}", field.key.name);
        }
        for key in TOP {
            assert!(!foreign(TOP_KEYS).contains(&key.name), "{}", key.name);
        }
    }

    #[test]
    fn no_key_has_two_meanings() {
        for table in [PROCESS_KEYS, TOP_KEYS] {
            let mut keys: Vec<&str> = table.iter().flat_map(|(keys, _)| keys.iter().copied()).collect();
            keys.sort_unstable();
            assert_eq!(keys.windows(2).find(|pair| pair[0] == pair[1]), None);
        }
    }

    /// What `check` advises for a key is what `import` makes of it.
    #[test]
    fn advice_and_import_agree() {
        for (key, text, expected) in [
            ("TimeoutStopSec", "90", "write `stop: {timeout: 90s}`"),
            ("kill_timeout", "1600", "write `stop: {timeout: 1600ms}`"),
            ("WorkingDirectory", "/srv", "write `working_dir: /srv`"),
            ("KillSignal", "SIGINT", "write `stop: {signal: INT}`"),
            ("startretries", "3", "write `max_restarts: 3`"),
            ("RestartSec", "1min 30s", "write `backoff: 1m30s`"),
        ] {
            let translated = translate(key, &Loose::of(text, 1)).expect("it is in the table");
            let value = match translated.value {
                Value::Text(text) => text,
                Value::Number(number) => number.to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!(filled_in(&advice(&normalized(key)).expect("it is in the table"), text), expected, "{key}");
            assert!(expected.contains(&format!(" {value}")), "{key}: {value}");
        }
    }

    #[test]
    fn similar_keys_are_suggested() {
        let fields = || PROCESS.iter().map(|field| field.key.name);
        for (key, expected) in [
            ("ExecStart", Some("write `command` for the program and `args` for its arguments")),
            ("comand", Some("did you mean `command`?")),
            ("Working-Dir", Some("did you mean `working_dir`?")),
            ("enviroment", Some("write `env`, as a map")),
            ("colour", None),
        ] {
            assert_eq!(instead_of_field(key, fields()).as_deref(), expected, "{key}");
        }
    }
}
