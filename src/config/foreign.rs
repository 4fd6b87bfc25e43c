//! Keys that people bring from other programs, and what they are called here.

use super::scope::is_secret;
use super::strangers;
use super::suggest::{did_you_mean, nearest};
use super::tree::{Kind, Node, entry};
use super::words::{definition, list, quoted_if_needed};

/// Keys with one meaning, in lower case with underscores, and what to write instead; `…` stands for the value.
type Foreign = &'static [(&'static [&'static str], &'static str)];

const PROCESS_KEYS: Foreign = &[
    // What a process runs.
    (&["program", "script", "cmd", "exec", "run", "executable", "bin"], "write `command: …`"),
    (&["entrypoint", "execstart"], "write `command` for the program and `args` for its arguments"),
    (&["arguments", "argv", "params", "parameters", "cmd_args"], "write `args`, as a list"),
    (&["shell"], "write `command: sh` and `args: [-c, \"…\"]`"),
    (&["interpreter", "exec_interpreter"], "write `command: …`, and the script as the first of `args`"),
    (
        &["execstartpre", "execstartpost", "pre_start", "post_start"],
        "write a process of its own with `type: task`, and `depends_on`",
    ),
    (&["workingdirectory", "cwd", "directory", "dir", "chdir", "workdir", "root"], "write `working_dir: …`"),
    (&["environment", "vars", "variables", "envs"], "write `env`, as a map"),
    (&["environmentfile", "envfile", "env_files", "dotenv"], "write `env_file: …`"),
    (&["runas", "run_as", "uid", "user_id", "dynamicuser"], "write `user: …`"),
    (&["gid", "group_id", "supplementarygroups"], "write `group: …`"),
    (&["title", "id", "label", "process_name", "program_name"], "write `name: …`"),
    // Containers.
    (
        &[
            "image",
            "build",
            "container_name",
            "networks",
            "network_mode",
            "volumes",
            "cap_add",
            "cap_drop",
            "privileged",
            "platform",
        ],
        "navigator runs programs of this host, not containers: write `command`",
    ),
    (&["ports", "expose", "port"], "the program opens its own port: remove this, and give the port in `args` or `env`"),
    (
        &["labels", "annotations", "description", "summary", "documentation", "namespace", "comment"],
        "write it as a comment: `# …`",
    ),
    (&["profiles", "wantedby", "tags"], "write `enabled`"),
    (&["deploy"], "write `replicas` and `limits`"),
    (&["tty", "stdin_open", "is_tty", "is_interactive", "is_foreground"], "a process has no terminal here: remove this line"),
    // How it is known to be well.
    (
        &["healthcheck", "readiness_probe", "readiness", "health_check", "health"],
        "write `ready`, or `liveness` for a check that never ends",
    ),
    (&["liveness_probe", "watchdogsec", "watchdog"], "write `liveness`"),
    (&["wait_ready"], "write `ready: {notify: true}`"),
    (&["listen_timeout", "timeoutstartsec", "start_timeout", "startup_timeout"], "write `ready: {deadline: …}`"),
    // When it is started again.
    (&["autorestart", "restart_on_exit"], "write `auto_restart: …`, or `restart`"),
    (&["availability"], "write its keys beside `command`: `restart`, `max_restarts`, `backoff: {initial: …}`"),
    (
        &["restart_policy", "on_success", "on_failure", "exitcodes", "exit_on_failure"],
        "write `restart`, and `backoff` for the delays",
    ),
    (&["on_check_failure"], "write `liveness`, and `restart: on-failure`"),
    (&["restartsec", "restart_delay", "backoff_delay", "backoff_seconds", "restart_sec"], "write `backoff: {initial: …}`"),
    (&["backoff_factor"], "write `backoff: {factor: …}`"),
    (&["backoff_limit", "exp_backoff_restart_delay"], "write `backoff: {max: …}`"),
    (&["startsecs", "min_uptime", "startlimitintervalsec"], "write `backoff: {reset_after: …}`"),
    (&["startlimitburst", "startretries", "max_retries", "retries"], "write `max_restarts: …`"),
    (
        &["max_memory_restart", "memorymax", "cpuquota", "mem_limit", "cpus", "memory"],
        "navigator doesn't limit memory or CPU in this way: see `limits`",
    ),
    // How it is stopped.
    (
        &["stop_grace_period", "timeoutstopsec", "stopwaitsecs", "kill_timeout", "kill_delay", "stop_timeout"],
        "write `stop: {timeout: …}`",
    ),
    (&["stop_signal", "stopsignal", "killsignal", "kill_signal"], "write `stop: {signal: …}`"),
    (&["execstop", "stop_command"], "write `stop: {command: […]}`"),
    (&["shutdown"], "write `stop: {signal: TERM, timeout: 10s}`"),
    (&["execreload", "reload_command"], "write `reload: {command: […]}`"),
    (&["stopasgroup", "killasgroup", "killmode", "treekill"], "navigator always stops the whole tree: remove this line"),
    (&["is_daemon", "pidfile", "pid_file", "forking", "daemon"], "let the program run in the foreground, and remove this line"),
    // Where it stands.
    (&["after", "requires", "wants", "bindsto", "needs", "dependencies", "requisite"], "write `depends_on: [NAME]`"),
    (&["before"], "write `depends_on` in the other process"),
    (&["priority", "order"], "processes start in the order of the list: write `depends_on` where that isn't enough"),
    (&["delay", "wait", "startdelay", "start_after"], "write `start_delay: …`"),
    (&["autostart", "autoload", "startup"], "write `enabled: true`, or `false`"),
    (&["disabled", "is_disabled", "disable"], "write `enabled: false`"),
    (&["override"], "a process is defined once, and nothing overrides it: remove this line"),
    (&["scale", "numprocs", "instances", "count", "exec_mode"], "write `replicas: …`"),
    (&["cron", "cron_restart", "oncalendar"], "write `schedule: …`"),
    // What becomes of its output.
    (
        &[
            "standardoutput",
            "standarderror",
            "stdout_logfile",
            "stderr_logfile",
            "logfile",
            "log_file",
            "out_file",
            "error_file",
            "log_location",
            "stdout",
            "stderr",
        ],
        "write `output: {file: …}`, or `output: log`",
    ),
    (&["stdout_logfile_maxbytes", "stderr_logfile_maxbytes", "logfile_maxbytes"], "write `output: {file: PATH, max_size: …}`"),
    (&["stdout_logfile_backups", "stderr_logfile_backups", "logfile_backups"], "write `output: {file: PATH, keep: …}`"),
    (&["redirect_stderr", "merge_logs"], "both go the same way: remove this line"),
    (&["logging", "log_driver"], "write `output`"),
    (&["ulimits"], "write `limits: {nofile: 65536}`"),
    (&["oomscoreadjust"], "write `oom_score_adj: …`"),
    (&["watch_files", "ignore_watch", "watch_paths"], "write `watch`, a list of what to look at"),
];

const TOP_KEYS: Foreign = &[
    (
        &["services", "processes", "programs", "apps", "units", "jobs", "process", "tasks", "procs", "containers", "spec"],
        "write `managed_processes`: a list in which every process has a `name` and a `command`",
    ),
    (&["environment", "vars"], "write `env`, as a map"),
    (&["version", "apiversion"], "the format has no version: remove this line"),
    (&["includes", "import", "imports", "extends", "files"], "write `include: …`"),
    (&["log_level", "loglevel"], "write `logging: {level: …}`"),
    (&["log_format"], "write `logging: {format: …}`"),
    (&["log", "log_location", "logfile", "log_file"], "write `logging: {file: …}`"),
    (&["timeout", "stop_timeout", "grace_period"], "write `shutdown_timeout: …`"),
    (&["volumes", "networks", "secrets", "configs"], "navigator runs programs of this host, not containers: remove this section"),
    (&["checks", "healthchecks"], "write `ready` or `liveness` in the process that is checked"),
    (&["summary", "description", "kind", "metadata", "title"], "write it as a comment: `# …`"),
    (&["default", "common"], "write `defaults`"),
];

/// The longest value that is written into a help.
const MAX_SHOWN: usize = 40;

/// What to write instead of an entry whose value shows what is meant.
pub(super) fn instead_of_entry(key: &str, value: &Node) -> Option<String> {
    match plain(key).as_str() {
        "environment" => environment(value),
        "healthcheck" => healthcheck(value),
        "execstart" | "entrypoint" | "program" | "script" | "cmd" | "exec" | "run" | "executable" => {
            let lines = scalar_text(value).filter(|line| line.trim().contains(' '))?;
            Some(format!("write\n{}", definition(lines)?.join("\n")))
        }
        limit if limit.starts_with("limit") && limit.len() > 5 => {
            Some(format!("write `limits: {{{}: {}}}`", &limit[5..], shown(key, value).unwrap_or("…")))
        }
        plain => {
            let instead = known(plain, PROCESS_KEYS)?;
            Some(instead.replace("…", shown(key, value)?))
        }
    }
}

/// What to write instead of an entry at the top of a file whose value shows what is meant.
pub(super) fn instead_of_top_entry(key: &str, value: &Node) -> Option<String> {
    let instead = known(&plain(key), TOP_KEYS)?;
    if !instead.contains("`managed_processes`") {
        return Some(instead.replace("…", shown(key, value)?));
    }
    let lines = match &value.kind {
        Kind::Map(map) => map.entries.iter().find_map(|process| match &process.value.kind {
            Kind::Map(fields) => Some(strangers::as_lines(&process.key, &fields.entries)),
            _ => None,
        }),
        Kind::List(items) => items.iter().find_map(|item| match &item.kind {
            Kind::Map(fields) => {
                let name = entry(&fields.entries, "name").and_then(|name| scalar_text(&name.value))?;
                Some(strangers::as_lines(name, &fields.entries))
            }
            _ => None,
        }),
        Kind::Scalar(_) => None,
    }?;
    let lines: Vec<String> = lines.into_iter().map(|line| format!("  {line}")).collect();
    Some(format!("write a list of processes:\nmanaged_processes:\n{}", lines.join("\n")))
}

fn scalar_text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}

/// A value that may be written into a help.
fn shown<'a>(key: &str, value: &'a Node) -> Option<&'a str> {
    let text = scalar_text(value)?;
    let is_short = !text.is_empty() && text.len() <= MAX_SHOWN && !text.contains('\n');
    (is_short && !is_secret(key) && !is_secret(text)).then_some(text)
}

/// Variables as Compose has them, `- NAME=value`, without their values.
fn environment(value: &Node) -> Option<String> {
    let Kind::List(items) = &value.kind else { return None };
    let name = items.iter().find_map(|item| scalar_text(item)?.split_once('='))?.0;
    Some(format!("write `env`, as a map:\nenv:\n  {name}: …"))
}

/// A check as Compose has it, `test: [CMD, …]`.
fn healthcheck(value: &Node) -> Option<String> {
    let Kind::Map(map) = &value.kind else { return None };
    let Kind::List(items) = &entry(&map.entries, "test")?.value.kind else { return None };
    let words: Vec<String> = items.iter().filter_map(|item| scalar_text(item).map(str::to_owned)).collect();
    let command = match words.split_first()? {
        (first, rest) if first == "CMD" => list(rest),
        (first, [line]) if first == "CMD-SHELL" => format!("[sh, -c, {}]", quoted_if_needed(line)),
        _ => return None,
    };
    Some(format!("write `ready`, or `liveness` for a check that never ends:\nready:\n  exec: {command}"))
}

/// What to write instead of a key that is no field of processes.
pub(super) fn instead_of_field<'a>(key: &str, fields: impl Iterator<Item = &'a str>) -> Option<String> {
    instead_of(key, PROCESS_KEYS, fields)
}

/// What to write instead of a key that doesn't belong at the top of a file.
pub(super) fn instead_of_top_key<'a>(key: &str, keys: impl Iterator<Item = &'a str>) -> Option<String> {
    instead_of(key, TOP_KEYS, keys)
}

/// What is known from elsewhere, then what is near to a key of ours, then what is near to one from elsewhere.
fn instead_of<'a>(key: &str, foreign: Foreign, ours: impl Iterator<Item = &'a str>) -> Option<String> {
    let plain = plain(key);
    let near =
        || nearest(&plain, foreign.iter().flat_map(|(keys, _)| keys.iter().copied())).and_then(|near| known(near, foreign));
    let instead = known(&plain, foreign).map(str::to_owned);
    instead.or_else(|| did_you_mean(key, ours)).or_else(|| near().map(str::to_owned))
}

fn known(plain: &str, foreign: Foreign) -> Option<&'static str> {
    foreign.iter().find(|(keys, _)| keys.contains(&plain)).map(|&(_, instead)| instead)
}

/// A key without the differences that nobody means.
fn plain(key: &str) -> String {
    key.to_ascii_lowercase().replace(['-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::PROCESS;
    use crate::config::top::TOP;

    #[test]
    fn no_key_of_ours_is_foreign() {
        let foreign = |table: Foreign| table.iter().flat_map(|(keys, _)| keys.iter().copied()).collect::<Vec<_>>();
        for field in PROCESS {
            assert!(!foreign(PROCESS_KEYS).contains(&field.key.name), "{}", field.key.name);
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

    #[test]
    fn the_nearest_meaning_is_found() {
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
