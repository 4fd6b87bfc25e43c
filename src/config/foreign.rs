//! Keys that people bring from other programs, and what they are called here.

use super::suggest::{did_you_mean, nearest};

/// Keys with one meaning, in lower case with underscores, and what to write instead.
type Foreign = &'static [(&'static [&'static str], &'static str)];

const PROCESS_KEYS: Foreign = &[
    // Docker Compose
    (&["environment"], "write `env`, as a map"),
    (
        &["image", "build", "container_name", "networks", "volumes", "cap_add", "privileged"],
        "navigator runs programs of this host, not containers: write `command`",
    ),
    (&["entrypoint"], "write `command` for the program and `args` for its arguments"),
    (&["ports", "expose"], "the program opens its own port: remove this line"),
    (&["healthcheck", "readiness_probe"], "write `ready`, or `liveness` for a check that never ends"),
    (&["liveness_probe"], "write `liveness`"),
    (&["stop_grace_period"], "write `stop: {timeout: …}`"),
    (&["stop_signal", "stopsignal", "killsignal"], "write `stop: {signal: …}`"),
    (&["ulimits"], "write `limits`"),
    (&["restart_policy"], "write `restart`, and `backoff` for the delays"),
    (&["scale", "numprocs", "instances"], "write `replicas`"),
    // systemd
    (&["execstart"], "write `command` for the program and `args` for its arguments"),
    (&["execstop"], "write `stop: {command: […]}`"),
    (&["execreload"], "write `reload: {command: […]}`"),
    (&["execstartpre", "execstartpost"], "write a process of its own with `type: task`, and `depends_on`"),
    (&["workingdirectory", "cwd", "directory", "dir", "chdir", "workdir"], "write `working_dir`"),
    (&["environmentfile", "envfile"], "write `env_file`"),
    (&["after", "requires", "wants", "bindsto"], "write `depends_on`"),
    (&["restartsec"], "write `backoff: {initial: …}`"),
    (&["startlimitburst", "startretries", "max_retries"], "write `max_restarts`"),
    (&["timeoutstopsec", "stopwaitsecs", "kill_timeout"], "write `stop: {timeout: …}`"),
    (&["limitnofile"], "write `limits: {nofile: …}`"),
    (&["oomscoreadjust"], "write `oom_score_adj`"),
    (&["standardoutput", "standarderror", "stdout_logfile", "stderr_logfile", "logfile", "log_file"], "write `output`"),
    // supervisord, process managers of other languages
    (&["autostart", "disabled", "is_disabled", "autoload"], "write `enabled`"),
    (&["autorestart"], "write `auto_restart`, or `restart`"),
    (&["startsecs"], "write `backoff: {reset_after: …}`"),
    (&["priority"], "processes start in the order of the list: write `depends_on` where that isn't enough"),
    (&["stopasgroup", "killasgroup"], "navigator always stops the whole tree: remove this line"),
    (&["program", "script", "cmd", "exec", "run", "executable"], "write `command`"),
    (&["arguments", "argv", "params"], "write `args`"),
    (&["delay", "wait"], "write `start_delay`"),
    (&["runas", "uid"], "write `user`"),
    (&["gid"], "write `group`"),
    (&["shell"], "write `command: sh` and `args: [-c, \"…\"]`"),
];

const TOP_KEYS: Foreign = &[
    (
        &["services", "processes", "programs", "apps", "units", "jobs", "process"],
        "write `managed_processes`: a list in which every process has a `name` and a `command`",
    ),
    (&["environment"], "write `env`, as a map"),
    (&["version"], "the format has no version: remove this line"),
    (&["includes", "import", "imports"], "write `include`"),
    (&["log", "log_level"], "write `logging: {level: …}`"),
    (&["name", "command"], "write `managed_processes:` and, below it, `- name: …`"),
];

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
    let plain = key.to_ascii_lowercase().replace('-', "_");
    let known = |key: &str| foreign.iter().find(|(keys, _)| keys.contains(&key)).map(|&(_, instead)| instead.to_owned());
    let near = || nearest(&plain, foreign.iter().flat_map(|(keys, _)| keys.iter().copied())).and_then(known);
    known(&plain).or_else(|| did_you_mean(key, ours)).or_else(near)
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
