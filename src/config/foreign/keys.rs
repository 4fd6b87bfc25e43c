//! Table of keys of other programs without one equivalent of ours, and what to write instead of each. The others are in
//! `translation`.

/// Keys with one meaning, in lower case with underscores, and the help for them; `…` is replaced by the value.
pub(super) type ForeignKeys = &'static [(&'static [&'static str], &'static str)];

/// Help for keys of a process.
pub(super) const PROCESS_KEYS: ForeignKeys = &[
    // Program and environment.
    (&["program", "script", "cmd", "exec", "run", "executable", "bin"], "write `command: …`"),
    (&["entrypoint", "execstart"], "write `command` for the program and `args` for its arguments"),
    (&["arguments", "argv", "params", "parameters", "cmd_args"], "write `args`, as a list"),
    (&["shell"], "name the shell: write `command: sh`, and `args: [-c, LINE]` with the whole line in quotes"),
    (&["interpreter", "exec_interpreter"], "write `command: …`, and the script as the first of `args`"),
    (&["node_args", "interpreter_args"], "write them at the beginning of `args`, before the script"),
    (
        &["execstartpre", "execstartpost", "pre_start", "post_start"],
        "write a process of its own with `type: task`, and `depends_on`",
    ),
    (&["environment", "vars", "variables", "envs"], "write `env`, as a map"),
    (&["passenvironment", "pass_env"], "write `inherit_env: […]`, a list of names"),
    (&["copy_env"], "a process inherits navigator's own variables: remove this, or list them in `inherit_env`"),
    (&["filter_env"], "write `inherit_env`, a list of the variables to keep"),
    (&["env_production", "env_development", "env_staging"], "write `env`: there is one for each file"),
    (&["environmentfile", "envfile", "env_files", "dotenv"], "write `env_file: …`"),
    (&["dynamicuser"], "write `user` with the name of a user that exists"),
    (&["supplementarygroups"], "write `group` with one of them; a process gets the groups of its `user`"),
    (&["title", "id", "label", "process_name", "program_name"], "write `name: …`"),
    // Containers.
    (
        &["image", "build"],
        "navigator runs programs on this host, not containers: write the program as `command`, and remove this line",
    ),
    (
        &[
            "container_name",
            "networks",
            "network_mode",
            "volumes",
            "cap_add",
            "cap_drop",
            "privileged",
            "platform",
            "init",
            "hostname",
            "extra_hosts",
            "dns",
            "tmpfs",
            "devices",
            "ipc",
            "shm_size",
            "read_only",
            "pull_policy",
            "secrets",
            "configs",
        ],
        "navigator runs programs on this host, not containers: remove this line",
    ),
    (
        &["ports", "expose", "port"],
        "the program opens its own port: remove this, and give the port in `args` or `env`, or write `listen` for a socket that navigator holds",
    ),
    // Sockets and replacement.
    (
        &["listenstream", "socket", "sockets", "bind", "use_sockets", "listeners"],
        "write `listen`, as in `listen: 127.0.0.1:3000`",
    ),
    (
        &["listendatagram", "listensequentialpacket", "listenfifo", "listennetlink"],
        "navigator holds stream sockets only: let the program open this one, and remove this line",
    ),
    (&["filedescriptorname"], "write `listen` as a map of names, as in `listen: {http: 127.0.0.1:3000}`"),
    (
        &["socketmode", "socketuser", "socketgroup", "socket_mode", "socket_owner", "socket_backlog", "backlog"],
        "write it beside the address, as in `listen: {http: {address: /run/web.sock, mode: 0660, user: web, backlog: 128}}`",
    ),
    (&["accept"], "the program accepts connections itself: write `listen`, and remove this line"),
    (
        &["update_config", "rolling_update", "rollingupdate", "strategy", "blue_green"],
        "write `on_change: rolling`, and `ready` for when the new one serves",
    ),
    (&["minreadyseconds", "min_ready_seconds", "min_healthy_time"], "write `rolling: {stable: …}`, beside `on_change: rolling`"),
    (&["drain", "drain_signal", "graceful_signal"], "write `stop: {drain: {signal: …}}`"),
    (&["drain_timeout", "drain_time"], "write `stop: {drain: {signal: QUIT, timeout: …}}`"),
    (&["prestop", "lifecycle"], "write `stop: {drain: {command: [./drain]}}`"),
    (
        &["labels", "annotations", "description", "summary", "documentation", "namespace", "comment"],
        "write it as a comment: `# …`",
    ),
    (&["wantedby", "requiredby", "alias"], "every process in the file is started: remove this line"),
    (&["profiles", "tags"], "write `enabled: false` for a process that should not run"),
    (&["deploy"], "write `replicas`, and `resources`"),
    (&["security_opt"], "write `no_new_privs: true`, or remove this line"),
    (
        &[
            "protectsystem",
            "protecthome",
            "privatetmp",
            "privatedevices",
            "privatenetwork",
            "readonlypaths",
            "readwritepaths",
            "capabilityboundingset",
            "ambientcapabilities",
            "systemcallfilter",
            "restrictaddressfamilies",
        ],
        "navigator does not sandbox programs: remove this line, and see `user`, `limits` and `no_new_privs`",
    ),
    (&["syslogidentifier"], "each line carries the name of its process: remove this line"),
    (&["tty", "stdin_open", "is_tty", "is_interactive", "is_foreground"], "processes run without a terminal: remove this line"),
    // Health checks.
    (
        &["healthcheck", "readiness_probe", "readinessprobe", "readiness", "health_check", "health"],
        "write `ready`, or `liveness` for a check that repeats while the process runs",
    ),
    (&["liveness_probe", "livenessprobe", "watchdogsec", "watchdog"], "write `liveness`"),
    (&["ready_log_line"], "write `ready: {log: …}`"),
    (&["wait_ready"], "write `ready: {notify: true}`"),
    (
        &["timeoutstartsec", "start_timeout", "startup_timeout"],
        "write it beside a probe, as in `ready: {notify: true, deadline: …}`",
    ),
    // Restarts.
    (&["autorestart", "restart_on_exit", "respawn"], "write `auto_restart: …`, or `restart: on-failure`"),
    (&["availability"], "write its keys beside `command`: `restart`, `max_restarts`, `backoff: …`"),
    (&["restart_policy"], "write `restart`, and `backoff` for the delays"),
    (&["exitcodes", "successexitstatus", "stop_exit_codes"], "write it as a list, as in `success_exit_codes: [0, 2]`"),
    (&["exit_on_failure", "failureaction"], "write `shutdown_on: failure`"),
    (&["exit_on_end", "successaction"], "write `shutdown_on: exit`"),
    (&["on_success", "on_failure"], "write `restart: always`, `on-failure` or `never`"),
    (&["on_check_failure"], "write `liveness`, and `restart: on-failure`"),
    (&["memoryhigh"], "write `resources: {memory: …}`"),
    (&["cpuquota", "cpus"], "write `resources: {cpu: …}`, in percent of one processor"),
    (&["cpu_shares", "cpuweight"], "shares of the processor are not supported: see `nice`, and `resources` for a limit"),
    // PM2 uses milliseconds.
    (&["listen_timeout"], "write it beside a probe, as in `ready: {notify: true, deadline: …ms}`"),
    // Stop and reload.
    (&["timeoutsec"], "write `stop: {timeout: …}`; for the start, `deadline` beside a probe in `ready`"),
    (&["execstop", "stop_command", "pre_stop"], "write `stop: {command: […]}`"),
    (&["shutdown"], "write `stop: {signal: TERM, timeout: 10s}`"),
    (&["execreload", "reload_command"], "write `reload: {command: […]}`"),
    (&["send_hup"], "write `reload: {signal: HUP}`"),
    (
        &["stopasgroup", "killasgroup", "killmode", "treekill", "stop_children"],
        "the whole tree is stopped: write `stop: {scope: main}` for a signal to the main process alone, or remove this line",
    ),
    (&["is_daemon", "pidfile", "pid_file", "forking", "daemon"], "let the program run in the foreground, and remove this line"),
    // Order, dependencies and scheduling.
    (
        &["after", "requires", "wants", "bindsto", "partof", "needs", "dependencies", "requisite", "links"],
        "write `depends_on: […]`",
    ),
    (&["before"], "write `depends_on` in the other process"),
    (&["priority", "order"], "processes start in the order of the list: write `depends_on` where that isn't enough"),
    (&["delay", "wait", "startdelay", "start_after", "warmup_delay"], "write `start_delay: …`"),
    (&["autostart", "autoload", "startup"], "write `enabled: true`, or `false`"),
    (&["disabled", "is_disabled", "disable"], "write `enabled: false`"),
    (&["override"], "definitions can't be overridden: remove this line"),
    (
        &["scale", "numprocs", "numprocesses", "instances", "count"],
        "write `replicas: …`: each process has its number in `NAVIGATOR_REPLICA`",
    ),
    (&["remainafterexit"], "write `type: task`: one that has ended with status 0 is done"),
    (&["exec_mode"], "each item runs one process: remove this line; for updates without a gap, write `on_change: rolling`"),
    (&["cron", "crontab", "oncalendar"], "give it `type: task`, and a `schedule` such as `0 3 * * *`"),
    (&["cron_restart"], "restarts by the clock are not supported: remove this line"),
    // Output and limits.
    (
        &["standardoutput", "stdout_logfile", "logfile", "log_file", "out_file", "log_location", "stdout"],
        "write `output: {file: …}`, or `output: log`",
    ),
    (&["standarderror", "stderr_logfile", "error_file", "stderr"], "write `output: {stderr: …}`, or `output: log`"),
    (&["stdout_logfile_maxbytes", "stderr_logfile_maxbytes", "logfile_maxbytes"], "write `output: {file: PATH, max_size: …}`"),
    (&["stdout_logfile_backups", "stderr_logfile_backups", "logfile_backups"], "write `output: {file: PATH, keep: …}`"),
    (&["redirect_stderr", "merge_logs", "combine_logs"], "both streams go to the same output: remove this line"),
    (&["logging", "log_driver", "log_configuration"], "write `output`"),
    (&["log_date_format"], "`navigator logs --timestamps` shows times: remove this line"),
    (&["ulimits"], "write `limits`, as in `limits: {nofile: 65536}`"),
    (&["nonewprivileges", "no_new_privileges"], "write `no_new_privs: true`"),
    (&["watch_files", "ignore_watch", "watch_paths"], "write `watch`, a list of paths"),
];

/// Help for top-level keys.
pub(super) const TOP_KEYS: ForeignKeys = &[
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
    (&["volumes", "networks", "secrets", "configs"], "navigator runs programs on this host, not containers: remove this section"),
    (&["checks", "healthchecks"], "write `ready` or `liveness` in the process"),
    (&["sockets", "socket", "listeners"], "write `listen` in the process that is to have it"),
    (&["summary", "description", "kind", "metadata", "title"], "write it as a comment: `# …`"),
    (&["default", "common"], "write `defaults`"),
];

/// The help for a key in lower case with underscores.
pub(super) fn lookup(plain: &str, foreign: ForeignKeys) -> Option<&'static str> {
    foreign.iter().find(|(keys, _)| keys.contains(&plain)).map(|&(_, instead)| instead)
}

/// A key in lower case, with underscores.
pub(super) fn normalized(key: &str) -> String {
    key.to_ascii_lowercase().replace(['-', ' '], "_")
}
