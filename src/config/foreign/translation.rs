//! Table of other programs' keys that have an equivalent of ours, each with the conversion of its value.

use super::keys::{PROCESS_KEYS, lookup, normalized};
use super::values::{duration, limit_of, truth, whole};
use crate::config::yaml::{Loose, LooseKind, Value};
use crate::config::{scalar, value_hints};
use crate::signals;
use serde_json::Number;

/// A key of ours with its value, for a key of another program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Translated {
    /// The key with the keys above it, such as `stop.timeout`.
    pub(crate) field: String,
    pub(crate) value: Value,
}

/// How a value becomes ours.
#[derive(Clone, Copy)]
enum Conversion {
    /// A text, as it is.
    Text,
    /// A duration, a bare number being seconds.
    Seconds,
    /// A duration, a bare number being milliseconds.
    Millis,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// A number with a fraction.
    Decimal,
    Signal,
    Bool,
    /// The opposite of a truth value.
    Not,
    /// `0,2` or `[0, 2]`: instead of 0.
    Codes,
    /// `143 SIGTERM`: beside 0.
    MoreCodes,
    /// An amount of memory, in multiples of 1024.
    Memory,
    /// `50%`
    Percent,
    /// A number of processors.
    Processors,
    Octal,
}

use Conversion::{
    Bool, Codes, Decimal, Memory, Millis, MoreCodes, Not, Octal, Percent, Processors, Seconds, Signal, Text, Whole,
};

const MOST: i64 = u32::MAX as i64;

/// The keys in lower case with underscores, our key, and the conversion.
const TRANSLATIONS: &[(&[&str], &str, Conversion)] = &[
    (&["workingdirectory", "cwd", "directory", "dir", "chdir", "workdir", "root", "working_dir"], "working_dir", Text),
    (&["runas", "run_as", "uid", "user_id", "user"], "user", Text),
    (&["gid", "group_id", "group"], "group", Text),
    (&["umask"], "umask", Octal),
    (&["nice"], "nice", Whole(-20, 19)),
    (&["oomscoreadjust", "oom_score_adj"], "oom_score_adj", Whole(-1000, 1000)),
    (&["nonewprivileges", "no_new_privileges"], "no_new_privs", Bool),
    (&["autostart", "autoload"], "enabled", Bool),
    (&["disabled", "is_disabled", "disable"], "enabled", Not),
    (&["scale", "numprocs", "numprocesses", "replicas"], "replicas", Whole(1, 1000)),
    (&["restartsec", "backoff_seconds", "restart_sec"], "backoff", Seconds),
    (&["backoff_delay"], "backoff.initial", Seconds),
    (&["backoff_factor"], "backoff.factor", Decimal),
    (&["backoff_limit", "restartmaxdelaysec"], "backoff.max", Seconds),
    (&["startsecs", "startlimitintervalsec", "startlimitinterval"], "backoff.reset_after", Seconds),
    (&["startlimitburst", "startretries", "max_retries", "max_retry", "retries", "max_restarts"], "max_restarts", Whole(1, MOST)),
    (&["restart_delay"], "backoff", Millis),
    (&["exp_backoff_restart_delay"], "backoff.initial", Millis),
    (&["min_uptime"], "backoff.reset_after", Millis),
    (&["kill_timeout"], "stop.timeout", Millis),
    (
        &[
            "stop_grace_period",
            "timeoutstopsec",
            "stopwaitsecs",
            "kill_delay",
            "stop_timeout",
            "graceful_timeout",
            "terminationgraceperiodseconds",
        ],
        "stop.timeout",
        Seconds,
    ),
    (&["stop_signal", "stopsignal", "killsignal", "kill_signal"], "stop.signal", Signal),
    (&["reloadsignal"], "reload.signal", Signal),
    (&["exitcodes"], "success_exit_codes", Codes),
    (&["successexitstatus", "stop_exit_codes"], "success_exit_codes", MoreCodes),
    (&["max_memory_restart", "memorymax", "mem_limit", "memory"], "resources.memory", Memory),
    (&["cpuquota"], "resources.cpu", Percent),
    (&["cpus"], "resources.cpu", Processors),
    (&["tasksmax", "pids_limit", "pids"], "resources.tasks", Whole(1, 4_194_304)),
];

/// Our key with its value for a key of another program, if both are known.
pub(crate) fn translate(key: &str, value: &Loose) -> Option<Translated> {
    let plain = normalized(key);
    if let Some(name) = plain.strip_prefix("limit").or_else(|| plain.strip_prefix("rlimit_")) {
        let (name, most) = limit_of(name, value.text()?)?;
        let most = most.parse::<u64>().map_or_else(|_| Value::text(&most), |most| Value::Number(most.into()));
        return Some(Translated { field: format!("limits.{name}"), value: most });
    }
    let (_, field, conversion) = TRANSLATIONS.iter().find(|(keys, ..)| keys.contains(&plain.as_str()))?;
    Some(Translated { field: (*field).to_owned(), value: conversion.of(value)? })
}

/// Every key of the table.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    TRANSLATIONS.iter().flat_map(|(keys, ..)| keys.iter().copied())
}

/// What to write instead of a key in lower case with underscores, with `…` for the value.
pub(super) fn advice(plain: &str) -> Option<String> {
    let (_, field, conversion) = TRANSLATIONS.iter().find(|(keys, field, _)| keys.contains(&plain) && *field != plain)?;
    let unit = if matches!(conversion, Millis) { "ms" } else { "" };
    Some(match field.split_once('.') {
        Some((key, inner)) => format!("write `{key}: {{{inner}: …{unit}}}`"),
        None => format!("write `{field}: …{unit}`"),
    })
}

/// Why a key of another program is not carried over, and what to write instead.
pub(crate) fn reason(key: &str) -> Option<&'static str> {
    lookup(&normalized(key), PROCESS_KEYS)
}

impl Conversion {
    fn of(self, value: &Loose) -> Option<Value> {
        match self {
            Codes => return codes(value, false),
            MoreCodes => return codes(value, true),
            _ => {}
        }
        let text = value.text()?.trim();
        match self {
            Text => (!text.is_empty()).then(|| Value::text(text)),
            Seconds => duration(text, "s").map(Value::Text),
            Millis => duration(text, "ms").map(Value::Text),
            Whole(from, to) => whole(text, from, to)?.parse::<i64>().ok().map(|number| Value::Number(number.into())),
            Decimal => {
                let number = scalar::number(text, 1.0, 100.0)?;
                let whole = text.parse::<i64>().ok().map(Number::from);
                Some(Value::Number(whole.or_else(|| Number::from_f64(number))?))
            }
            Signal => signals::parse(text).map(|signal| Value::text(signal.0)),
            Bool => truth(text).map(Value::Bool),
            Not => truth(text).map(|is_true| Value::Bool(!is_true)),
            Memory => {
                let plain = text.to_ascii_uppercase();
                let plain = plain.strip_suffix("IB").or_else(|| plain.strip_suffix('B')).unwrap_or(&plain);
                let plain = match value_hints::size(&format!("{plain}iB")) {
                    Some(_) if plain.contains('.') => return None,
                    _ => plain.to_owned(),
                };
                scalar::memory(&plain).is_ok().then_some(Value::Text(plain))
            }
            Percent => scalar::percent(text).is_ok().then(|| Value::text(text)),
            Processors => {
                let percent = scalar::decimal(text, 100).filter(|percent| (1..=99_999).contains(percent))?;
                Some(Value::Text(format!("{percent}%")))
            }
            Octal => scalar::umask(text).is_ok().then(|| Value::text(text)),
            Codes | MoreCodes => None,
        }
    }
}

/// Exit statuses, if all are numbers.
fn codes(value: &Loose, beside_zero: bool) -> Option<Value> {
    let texts: Vec<&str> = value.items().iter().map(Loose::text).collect::<Option<_>>()?;
    let words = texts.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty());
    let mut codes: Vec<i64> = words.map(|word| scalar::whole_number(word, 0, 255)).collect::<Option<_>>()?;
    if beside_zero && !codes.contains(&0) {
        codes.insert(0, 0);
    }
    (!codes.is_empty()).then(|| Value::Row(codes.into_iter().map(|code| Value::Number(code.into())).collect()))
}

impl Loose {
    /// Whether nothing is written here.
    pub(crate) fn is_null(&self) -> bool {
        self.kind == LooseKind::Null
    }

    /// A truth value as other programs write it.
    pub(crate) fn truth(&self) -> Option<bool> {
        truth(self.text()?)
    }
}
