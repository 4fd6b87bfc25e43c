//! Keys of service units.

use super::exec;
use super::specifiers::Specifiers;
use super::unit::{Unit, UnitEntry};
use crate::config::{Loose, Translated, Value, translate};
use crate::import::context::{ImportContext, Reader};
use crate::import::model::NoteKind;
use crate::import::words::{shell_escaped, words_without_shell};
use crate::signals;

/// Keys of which every entry counts.
pub(super) const ADD_UP: [&str; 12] = [
    "Environment",
    "EnvironmentFile",
    "PassEnvironment",
    "UnsetEnvironment",
    "SuccessExitStatus",
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "ExecStop",
    "ExecStopPost",
    "ExecReload",
    "ExecCondition",
];

/// Keys that are read together with others, or say nothing about a process.
const READ_ELSEWHERE: [&str; 36] = [
    "Type",
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "Environment",
    "Restart",
    "RestartSec",
    "StartLimitBurst",
    "StartLimitIntervalSec",
    "StartLimitInterval",
    "TimeoutStartSec",
    "Description",
    "Documentation",
    "After",
    "Before",
    "Requires",
    "Wants",
    "BindsTo",
    "PartOf",
    "Requisite",
    "Upholds",
    "WantedBy",
    "RequiredBy",
    "Also",
    "Alias",
    "DefaultInstance",
    "DefaultDependencies",
    "RemainAfterExit",
    "NotifyAccess",
    "SyslogIdentifier",
    "RestartSteps",
    "RestartMaxDelaySec",
    "SyslogFacility",
    "Sockets",
    "StandardInput",
    "TimeoutAbortSec",
];

/// Keys that protect the host from a program.
pub(super) const HARDENING: [&str; 47] = [
    "ProtectSystem",
    "ProtectHome",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectClock",
    "ProtectHostname",
    "ProtectProc",
    "ProcSubset",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateUsers",
    "PrivateMounts",
    "PrivateIPC",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "InaccessiblePaths",
    "ExecPaths",
    "NoExecPaths",
    "TemporaryFileSystem",
    "BindPaths",
    "BindReadOnlyPaths",
    "CapabilityBoundingSet",
    "AmbientCapabilities",
    "SystemCallFilter",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallLog",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "RestrictFileSystems",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "RemoveIPC",
    "DynamicUser",
    "SecureBits",
    "KeyringMode",
    "DevicePolicy",
    "DeviceAllow",
    "IPAddressDeny",
    "IPAddressAllow",
    "RootDirectory",
    "RootImage",
];

/// A duration of systemd; `infinity` is a day.
pub(super) fn duration(text: &str) -> Option<String> {
    if text == "infinity" {
        return Some("1d".to_owned());
    }
    match translate("stop_timeout", &Loose::of(&text.replace("week", "w"), 0))?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// `Restart=` with its delay and its limit.
pub(super) fn restarts(unit: &Unit<'_>, is_task: bool, reader: &mut Reader<'_>) {
    let Some(entry) = unit.last("Service", "Restart") else { return };
    let restart = match entry.value.as_str() {
        "no" => return,
        "always" if is_task => "on-failure",
        "always" => "always",
        "on-success" => {
            reader.note(
                NoteKind::Changed,
                "Restart=on-success",
                entry.line,
                "the process is restarted after a failure, too: see `restart`",
            );
            "always"
        }
        _ => "on-failure",
    };
    reader.fields.text("restart", restart);
    if ["on-abnormal", "on-abort", "on-watchdog"].contains(&entry.value.as_str()) {
        let what = format!("Restart={}", entry.value);
        reader.note(
            NoteKind::Changed,
            &what,
            entry.line,
            "the process is restarted after every failure: see `success_exit_codes`",
        );
    }
    let delay = unit.text("Service", "RestartSec").and_then(duration).unwrap_or_else(|| "100ms".to_owned());
    let limit = |key: &'static str| unit.text("Unit", key).or_else(|| unit.text("Service", key));
    let interval = limit("StartLimitIntervalSec").or_else(|| limit("StartLimitInterval")).unwrap_or("10s");
    let interval = if interval == "0" { None } else { duration(interval) };
    let burst = limit("StartLimitBurst").and_then(|text| text.parse::<u64>().ok()).unwrap_or(5);
    let millis = |text: &str| crate::config::duration(text).map_or(0, |duration| duration.as_millis());
    let is_reached = interval.as_ref().is_some_and(|interval| millis(&delay) * u128::from(burst) < millis(interval));
    if let (true, Some(interval), 1..) = (is_reached, interval, burst) {
        reader.fields.set(
            "backoff",
            Value::Map(vec![
                ("initial".to_owned(), Value::text(&delay)),
                ("factor".to_owned(), Value::Number(1.into())),
                ("reset_after".to_owned(), Value::Text(interval.clone())),
            ]),
        );
        reader.fields.set_from(
            "max_restarts",
            Value::Number((burst - 1).into()),
            format!("systemd: at most {burst} starts in {interval}"),
        );
    } else {
        reader.fields.text("backoff", delay);
    }
}

/// Carries a key over, or notes why not.
pub(super) fn carry(
    context: &ImportContext<'_>,
    unit: &Unit<'_>,
    entry: &UnitEntry,
    specifiers: &Specifiers,
    reader: &mut Reader<'_>,
) {
    let key = entry.key.as_str();
    let text = specifiers.text(&entry.value);
    let value = Loose::of(&text, entry.line);
    if READ_ELSEWHERE.contains(&key) || key.starts_with("X-") || entry.section.starts_with("X-") {
        return;
    }
    if HARDENING.contains(&key) {
        if value.truth() != Some(false) {
            reader.note(
                NoteKind::Hardening,
                key,
                entry.line,
                "navigator does not sandbox programs: see `user`, `limits` and `no_new_privs`",
            );
        }
        return;
    }
    match key {
        "EnvironmentFile" => {
            reader.env_file(context, text.trim_start_matches('-'), !text.starts_with('-'), entry.line);
        }
        "PassEnvironment" => {
            let mut names = vec!["LANG".to_owned(), "PATH".to_owned()];
            for entry in unit.all("Service", "PassEnvironment") {
                names.extend(entry.value.split_whitespace().map(str::to_owned));
            }
            reader.fields.set("inherit_env", Value::Row(names.into_iter().map(Value::Text).collect()));
        }
        "WorkingDirectory" => {
            let path = text.trim_start_matches('-');
            let path = if path == "~" { "${HOME}" } else { path };
            reader.fields.text("working_dir", path);
        }
        "ExecReload" | "ExecStop" => command(unit, key, specifiers, reader),
        "KillMode" => match entry.value.as_str() {
            "control-group" => {}
            "mixed" => reader.fields.set_from("stop.scope", Value::text("main"), "systemd: KillMode=mixed"),
            mode => {
                reader.fields.set_from("stop.scope", Value::text("main"), format!("systemd: KillMode={mode}"));
                reader.note(
                    NoteKind::Changed,
                    "KillMode",
                    entry.line,
                    "what is left of the tree when the main process has ended is stopped, too",
                );
            }
        },
        "StandardOutput" | "StandardError" => output(key, &text, entry, reader),
        "TimeoutStopSec" | "TimeoutSec" => {
            let limit = if text == "0" { Some("1d".to_owned()) } else { duration(&text) };
            match limit {
                Some(limit) => reader.fields.text("stop.timeout", limit),
                None => reader.drop(key, entry.line, None),
            }
        }
        "WatchdogSec" => {
            if let Some(limit) = duration(&text).filter(|_| text != "0" && text != "infinity") {
                reader.fields.set("liveness.notify", Value::Bool(true));
                reader.fields.text("liveness.interval", limit);
            }
        }
        "SuccessExitStatus" => success(unit, reader),
        "UMask" | "User" | "Group" | "Nice" | "OOMScoreAdjust" | "NoNewPrivileges" | "CPUQuota" | "KillSignal"
        | "ReloadSignal" => {
            reader.carry(key, &value);
        }
        "MemoryMax" | "MemoryLimit" | "TasksMax" => {
            if text != "infinity" {
                reader.carry(if key == "TasksMax" { key } else { "MemoryMax" }, &value);
            }
        }
        "FailureAction" | "SuccessAction" => match entry.value.as_str() {
            "none" => {}
            "exit" | "exit-force" => {
                let on = if key == "FailureAction" { "failure" } else { "exit" };
                reader.fields.text("shutdown_on", on);
            }
            _ => reader.drop(key, entry.line, Some("navigator does not shut down the host: see `shutdown_on`")),
        },
        "Slice" | "CPUWeight" | "IOWeight" | "CPUAccounting" | "MemoryAccounting" | "TasksAccounting" | "Delegate"
        | "OOMPolicy" => {
            reader.drop(key, entry.line, Some("each process has a control group of its own: see `resources` for its limits"));
        }
        "RuntimeDirectory" | "StateDirectory" | "CacheDirectory" | "LogsDirectory" | "ConfigurationDirectory" => {
            reader.drop(key, entry.line, Some("navigator makes no directories: create it once, or in a task before the process"));
        }
        key if key.starts_with("Condition") || key.starts_with("Assert") => {
            reader.drop(key, entry.line, Some("navigator has no conditions: write `enabled: false` where it should not run"));
        }
        key if key.starts_with("Limit") => reader.carry(key, &value),
        key => reader.drop(key, entry.line, None),
    }
}

/// `ExecReload` and `ExecStop`: a signal to the main process, or a command.
fn command(unit: &Unit<'_>, key: &str, specifiers: &Specifiers, reader: &mut Reader<'_>) {
    let (field, usual) = if key == "ExecStop" { ("stop", "TERM") } else { ("reload", "HUP") };
    let entries = unit.all("Service", key);
    let Some(entry) = entries.first() else { return };
    if entries.len() > 1 && reader.fields.has(field) {
        return;
    }
    if entries.len() > 1 {
        reader.note(NoteKind::Changed, key, entry.line, "only its first line is carried over: write a script that does all");
    }
    let words = words_without_shell(entry.value.trim_start_matches(['-', '@', ':', '+', '!']));
    let is_kill = words.first().is_some_and(|program| program == "kill" || program.ends_with("/kill"));
    if is_kill && words.iter().any(|word| word.contains("MAINPID")) {
        let signal = words.iter().skip(1).find_map(|word| {
            signals::parse(word.trim_start_matches("-s").trim_start_matches("--signal=").trim_start_matches('-'))
        });
        reader.fields.text(&format!("{field}.signal"), signal.map_or(usual.to_owned(), |signal| signal.to_string()));
        return;
    }
    let exec = if entry.value.contains("MAINPID") {
        let line = shell_escaped(&specifiers.raw(entry.value.trim_start_matches(['-', '@', ':', '+', '!'])));
        vec!["sh".to_owned(), "-c".to_owned(), line]
    } else {
        exec::parse(&entry.value, specifiers, &[]).words
    };
    if !exec.is_empty() {
        reader.fields.set(&format!("{field}.command"), Value::Row(exec.into_iter().map(Value::Text).collect()));
    }
}

fn output(key: &str, text: &str, entry: &UnitEntry, reader: &mut Reader<'_>) {
    let path = ["file:", "append:", "truncate:"].iter().find_map(|head| text.strip_prefix(head));
    match (path, text) {
        (Some(path), _) => {
            reader.fields.text(if key == "StandardOutput" { "output.file" } else { "output.stderr" }, path);
            reader.fields.set_from("output.max_size", Value::Number(0.into()), "systemd does not rotate");
        }
        (_, "null") if key == "StandardOutput" => reader.fields.set("output", Value::Null),
        (_, "null") => reader.note(NoteKind::Changed, key, entry.line, "standard error goes where standard output goes"),
        (_, "journal" | "inherit" | "syslog" | "journal+console" | "kmsg" | "console") => {}
        _ => reader.drop(key, entry.line, Some("navigator passes pipes: see `output`")),
    }
}

/// Exit statuses by number; names and signals have no equivalent.
fn success(unit: &Unit<'_>, reader: &mut Reader<'_>) {
    let entries = unit.all("Service", "SuccessExitStatus");
    let words: Vec<&str> = entries.iter().flat_map(|entry| entry.value.split_whitespace()).collect();
    let (numbers, others): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.parse::<u8>().is_ok());
    if !numbers.is_empty()
        && let Some(Translated { field, value }) = translate("successexitstatus", &Loose::of(&numbers.join(" "), 0))
    {
        reader.fields.set(&field, value);
    }
    let line = entries.first().map_or(0, |entry| entry.line);
    for other in others {
        let why = "a stop by its signal is no failure, and other statuses are numbers: see `success_exit_codes`";
        reader.note(NoteKind::Changed, &format!("SuccessExitStatus={other}"), line, why);
    }
}
