//! Loader and schema agree on single values of each field, and the tables name the right bounds and defaults.
//!
//! The expected result is listed with each value, so that the two can't be wrong together.

use super::Validator;
use crate::fixtures::over_disk;
use navigator::config::{
    ConfigKey, DefaultValue, Environment, Loaded, ValueShape, load, not_yet, process_keys, render_all, top_keys,
};
use navigator::terminal::TerminalStyle;
use std::path::Path;

/// A configuration with these fields in a process, on one line.
fn process(with: &str) -> String {
    format!("managed_processes: [{{name: b, command: ./b}}, {{name: a, command: ./a, {with}}}]\n")
}

fn loaded(text: &str) -> Result<Loaded, String> {
    let path = Path::new("navigator.yml");
    let environment: Environment = [("ONE", "1")].into_iter().collect();
    let files = over_disk(path, text.as_bytes().to_vec());
    load(path, &files, &environment).map_err(|rejected| render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN))
}

/// Fields with valid and invalid values.
const VALUES: &[(&str, &[&str], &[&str])] = &[
    ("auto_restart", &["true", "False", "TRUE", "\"${NONE:-true}\""], &["yes", "\"true\"", "1", "[]", "null", ""]),
    ("restart", &["always", "\"never\"", "\"${NONE:-always}\""], &["Always", "true", "\"\"", "sometimes", "$ONE"]),
    ("on_change", &["none"], &["[none]"]),
    ("ready: {notify: true}, on_change", &["rolling", "\"${NONE:-rolling}\""], &["start-first"]),
    (
        "ready: {notify: true}, on_change: rolling, rolling",
        &["{}", "{stable: 0}", "{stable: 5s}", "{surge: 1}", "{surge: 25%}", "{surge: \"100%\"}"],
        &["5s", "{stable: -1}", "{stable: }", "{surge: -1}", "{surge: 101%}", "{surge: x}", "{settle: 1s}", "[]"],
    ),
    (
        "listen",
        &[
            "127.0.0.1:80",
            "\"*:65535\"",
            "\"[::1]:080\"",
            "\"[fe80::1%2]:80\"",
            "localhost:1",
            "/run/web.sock",
            "web.sock",
            "run/web",
            "./web",
            "../a:b",
            "\"@web\"",
            "\"${NONE:-*}:80\"",
            "[]",
            "[127.0.0.1:80, \"[::1]:80\", /run/a]",
            "{}",
            "{http: \"*:80\", admin: {address: /run/a, mode: 0660, user: www, group: 33, backlog: 10}}",
            "{a b: {address: \"@a\", backlog: 65535}}",
        ],
        &[
            "80",
            "\":80\"",
            "nowhere",
            "127.0.0.1",
            "\"*:0\"",
            "\"*:65536\"",
            "\"::1:80\"",
            "\"tcp://a:80\"",
            "\"unix:/run/a\"",
            "run/",
            "\"@\"",
            "\"~/web.sock\"",
            "\"\"",
            "null",
            "[80]",
            "[{address: \"*:80\"}]",
            "[[\"*:80\"]]",
            "{http: 80}",
            "{http: }",
            "{http: [\"*:80\"]}",
            "{http: {}}",
            "{http: {backlog: 1}}",
            "{http: {address: \"*:80\", mode: 0660}}",
            "{http: {address: \"@a\", user: www}}",
            "{http: {address: /run/a, mode: rw}}",
            "{http: {address: /run/a, backlog: 0}}",
            "{http: {address: /run/a, port: 80}}",
            "{address: \"*:80\"}",
            "{\"a:b\": \"*:80\"}",
            "{\"\": \"*:80\"}",
        ],
    ),
    ("output", &["log", "null", "\"null\"", "~", "{file: a.log}"], &["{}", "{file: \"\"}", "{file: a, keep: 1001}", "file"]),
    ("nice", &["-20", "19", "\"${ONE}\"", "0"], &["-21", "20", "1.5", "\"5\"", "five"]),
    ("oom_score_adj", &["-1000", "1000"], &["-1001", "1001"]),
    ("max_restarts", &["0", "4294967295"], &["-1", "4294967296"]),
    (
        "inherit_env",
        &["true", "FALSE", "[]", "[PATH, LANG, 1]", "[\"${NONE:-PATH}\"]", "\"${NONE:-false}\""],
        &["PATH", "\"true\"", "{}", "{PATH: /bin}", "[\"\"]", "[PATH, PATH]", "[A=B]", "[null]", "[[PATH]]", "[~]", "1", "null"],
    ),
    ("no_new_privs", &["true", "False"], &["yes", "\"true\"", "1", "[]", "null"]),
    ("umask", &["0027", "22", "\"0o077\"", "777", "0", "\"${NONE:-0}\""], &["1000", "-1", "rwx", "\"0899\"", "\"\"", "true"]),
    (
        "start_delay",
        &["0", "0.5", ".5", "2s", "250ms", "1m30s", "\"5\"", "1d2h3m4.5s6ms", "3650d", "007", "\"${ONE}\"", "315360000"],
        &["-1", "1M", "s", "\"\"", "1m30", "30s1m", "1s1s", "2 s", "5.s", "true", "[1]", "315360001", "1_000", "5parsecs"],
    ),
    (
        "stop",
        &["{}", "{signal: TERM}", "{signal: sigquit}", "{signal: 15}", "{signal: SIGRTMIN+3, timeout: 5}", "{signal: Usr1}"],
        &["{signal: TREM}", "{signal: 0}", "{signal: 65}", "{signal: \"\"}", "{signal: RTMIN+31}", "{sgnal: TERM}", "TERM", "[]"],
    ),
    (
        "backoff",
        &["{factor: 1, jitter: 0}", "{factor: 100, jitter: 1}", "{initial: 1, max: 1h, jitter: .5}"],
        &["{factor: 0.9}", "{factor: 101}", "{jitter: 1.1}", "{jitter: \"0\"}", "{inital: 1}", "{max: }"],
    ),
    (
        "limits",
        &["{}", "{nofile: 512, core: unlimited}", "{as: \"18446744073709551615\"}"],
        &["{nofile: -1}", "{cores: 1}", "{core: infinity}", "{core: null}", "[nofile]"],
    ),
    ("args", &["[]", "[1, 1.5, yes, true, null, ~, \"\"]"], &["x", "{}", "[[x]]", "[{a: b}]", "null"]),
    ("env", &["{}", "{A: 1, B: null, \"1\": x, a.b-c: \"\"}"], &["{A: [x]}", "{\"\": x}", "{A=B: x}", "[A=B]", "x", "null"]),
    ("working_dir", &["/srv", "1", "\"${NONE:-x}\""], &["\"\"", "[x]", "{}", "null"]),
    ("user", &["1000", "deploy"], &["\"\"", "[deploy]"]),
    (
        "depends_on",
        &["[]", "{}", "[\"${NONE:-}b\"]", "{b: }", "{b: {condition: started, restart: true, required: false}}"],
        &["b", "[b, b]", "[a b]", "{a b: }", "{b: started}", "{b: {condition: healthy}}", "{b: {restart: \"true\"}}", "[[b]]"],
    ),
    ("enabled", &["false"], &["0", "off"]),
    ("backoff", &["5s", "1", "{initial: 1ms, max: 1ms}", "1m30s"], &["0", "0.0005", "500us", "0.9ms", "{initial: 0}", "[1s]"]),
    ("success_exit_codes", &["[]", "[0, 3]", "143"], &["[256]", "[-1]", "[a]", "{}"]),
    ("shutdown_on", &["failure", "exit"], &["true", "always"]),
    ("stop", &["{scope: main}", "{scope: tree}"], &["{scope: group}", "{scope: [main]}"]),
    (
        "stop",
        &["{drain: {signal: QUIT}}", "{drain: {signal: 10, timeout: 1m}}", "{drain: {command: [./drain, 1], timeout: 0.5}}"],
        &[
            "{drain: QUIT}",
            "{drain: {}}",
            "{drain: {timeout: 5s}}",
            "{drain: {signal: QUIT, command: [a]}}",
            "{drain: {signal: QUIT, timeout: 0}}",
            "{drain: {command: a}}",
            "{drain: {scope: main, signal: QUIT}}",
        ],
    ),
    ("type", &["task", "service"], &["oneshot"]),
    (
        "resources",
        &[
            "{}",
            "{memory: 512M, cpu: 50%, tasks: 100}",
            "{memory: 1g, cpu: 99999%, tasks: 1}",
            "{memory: 4194304}",
            "{memory: \"2GiB\"}",
            "{memory: 5MB, cpu: \"1%\"}",
            "{cpu: \"${NONE:-10%}\"}",
        ],
        &[
            "512M",
            "{memory: 0}",
            "{memory: 0M}",
            "{memory: -1}",
            "{memory: lots}",
            "{memory: 1.5G}",
            "{cpu: 50}",
            "{cpu: 0%}",
            "{cpu: 0.5}",
            "{cpu: half}",
            "{cpu: 100000%}",
            "{tasks: 0}",
            "{tasks: 4194305}",
            "{mem: 1G}",
            "[]",
        ],
    ),
    (
        "type: task, schedule",
        &[
            "\"0 3 * * *\"",
            "\"*/15 8-18 * jan,JUL mon-fri\"",
            "\"@annually\"",
            "{cron: \"@daily\"}",
            "{cron: 0 3 1 * *, timezone: Europe/Berlin}",
            "{every: 15m}",
            "{every: 0.5}",
            "\"${NONE:-@daily}\"",
        ],
        &[
            "15m",
            "nightly",
            "\"0 3 * *\"",
            "\"0 0 3 * * *\"",
            "\"@noon\"",
            "{}",
            "{cron: \"@daily\", every: 1h}",
            "{timezone: UTC}",
            "{every: 1h, timezone: UTC}",
            "{every: 0}",
            "{evry: 1h}",
            "[\"@daily\"]",
            "null",
        ],
    ),
    (
        "ready",
        &[
            "{tcp: \"localhost:80\"}",
            "{http: \"http://localhost/\", status: 204}",
            "{http: \"http://localhost/\", status: [100, 599], headers: {Host: a, X-Up: 1}}",
            "{exec: [test, -e, up], interval: 1s, timeout: .5, deadline: 1h}",
            "{notify: true}",
            "{fd: 3}",
            "{log: \"up( and running)?$\"}",
        ],
        &[
            "{}",
            "{interval: 1s}",
            "{tcp: \"localhost:80\", fd: 3}",
            "{tcp: localhost}",
            "{http: \"https://localhost/\"}",
            "{http: \"http://localhost/\", status: 99}",
            "{http: \"http://localhost/\", status: [600]}",
            "{http: \"http://localhost/\", headers: {\"a b\": c}}",
            "{http: \"http://localhost/\", headers: [a]}",
            "{exec: test}",
            "{exec: []}",
            "{notify: false}",
            "{fd: 2}",
            "{log: \"\"}",
            "{tcp: \"localhost:80\", deadline: 0}",
            "tcp",
        ],
    ),
    (
        "liveness",
        &["{notify: true}", "{tcp: \"localhost:80\", failures: 1, interval: 1m}"],
        &["{failures: 1}", "{fd: 3}", "{log: up}", "{notify: true, failures: 0}"],
    ),
    (
        "reload",
        &["{signal: HUP}", "{signal: 1}", "{command: [./reload, 1]}"],
        &["{}", "{signal: HUP, command: [a]}", "{signal: HPU}", "{command: a}", "HUP"],
    ),
    ("watch", &["a.conf", "[a.conf, conf.d/*.conf]", "[]"], &["\"\"", "\"**\"", "[a/**/b]", "{a: b}"]),
    ("reload: {signal: HUP}, watch: a, on_watch", &["reload", "restart"], &["none", "true"]),
    ("restart: never, auto_restart", &[], &["true"]),
    ("unknown", &[], &["x"]),
];

/// Whole files, and whether they are valid.
const FILES: &[(&str, bool)] = &[
    ("managed_processes: []", true),
    ("applications: []", true),
    ("include: []", true),
    ("applications: {}", false),
    ("applications: {}\nmanaged_processes: []", true),
    ("{}", false),
    ("[]", false),
    ("env: {}", false),
    ("x-mine: 1", false),
    ("x-mine: {a: [1]}\nmanaged_processes: []", true),
    ("y-mine: 1\nmanaged_processes: []", false),
    ("server: 1\nroutes: []\nmanaged_processes: []", true),
    ("managed_processes: null", false),
    ("managed_processes: {}", false),
    ("managed_processes: [{name: a}]", false),
    ("managed_processes: [{command: a}]", false),
    ("managed_processes: [{name: 9, command: true}]", true),
    ("managed_processes: [{name: -9, command: true}]", false),
    ("managed_processes: [{name: a, command: null}]", true),
    ("managed_processes: [a]", false),
    ("managed_processes: []\nshutdown_timeout: 1m\nenv: {A: 1}", true),
    ("managed_processes: []\nshutdown_timeout: soon", false),
    ("managed_processes: []\ndefaults: {restart: always, env: {A: 1}, limits: {core: 0}}", true),
    ("managed_processes: []\ndefaults: {name: a}", false),
    ("managed_processes: []\ndefaults: {on_change: rolling, rolling: {stable: 2s}, stop: {drain: {signal: QUIT}}}", true),
    ("managed_processes: []\ndefaults: {listen: \"*:80\"}", false),
    ("managed_processes: []\ndefaults: {restart: always, auto_restart: true}", false),
    ("managed_processes: []\nlogging: {level: debug, format: json, file: a.log, vector: {}}", true),
    ("managed_processes: []\nlogging: {level: warning}", false),
    ("managed_processes: []\nlogging: {files: x}", false),
    ("include: [a/**/b.yml]", false),
    ("source: {git: {url: /srv/hosts.git}}", true),
    ("source: {git: {url: [\"git@a:hosts\", https://b/hosts], tag: v1, path: a/b.yml}, host: web1}\nenv: {A: 1}", true),
    ("source: {git: {url: /srv/hosts.git}}\nlogging: {level: warn}\nshutdown_timeout: 1m\nx-mine: 1", true),
    ("source: {git: {url: /srv/hosts.git}}\nmanaged_processes: []", false),
    ("source: {git: {url: /srv/hosts.git}}\nrollback: true", false),
    ("source: {git: {url: /srv/hosts.git, branch: a, tags: \"v*\"}}", false),
    ("source: {git: {url: /srv/hosts.git, verify: {}}}", false),
    ("source: {git: {url: []}}", false),
    ("source: {git: {url: http://a/hosts}}", false),
    ("source: {git: {url: \"https://a:b@c/hosts\"}}", false),
    ("source: {git: {url: \"ext::sh\"}}", false),
    ("source: {git: {branch: main}}", false),
    ("source: {}", false),
    ("source: main", false),
    ("managed_processes: []\ninclude: [\"none/*.yml\"]", true),
];

#[test]
fn loader_and_schema_agree_on_listed_values() {
    let mut failures = Vec::new();
    let validator = Validator::new();
    let mut check = |text: &str, expected: bool| failures.extend(disagreement(&validator, text, expected));
    for (field, good, bad) in VALUES {
        good.iter().for_each(|value| check(&process(&format!("{field}: {value}")), true));
        bad.iter().for_each(|value| check(&process(&format!("{field}: {value}")), false));
    }
    for (text, expected) in FILES {
        check(text, *expected);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Describes a wrong result of the loader or the schema for a text.
fn disagreement(validator: &Validator, text: &str, expected: bool) -> Option<String> {
    let (found, objection) = (loaded(text).err(), validator.objection(text.as_bytes()));
    if found.is_none() == expected && objection.is_none() == expected {
        return None;
    }
    let found = found.unwrap_or_else(|| "none".to_owned());
    let objection = objection.unwrap_or_else(|| "none".to_owned());
    let expected = if expected { "is valid" } else { "is invalid" };
    Some(format!("{text} {expected}\n  error of the loader: {found}\n  error of the schema: {objection}\n"))
}

/// Makes a configuration in which a key has this value, or is missing.
type MakeConfig = Box<dyn Fn(Option<&str>) -> String>;

/// Every supported key of a process and of its map fields: path, key, configuration.
fn supported_keys() -> Vec<(String, ConfigKey, MakeConfig)> {
    let mut found: Vec<(String, ConfigKey, MakeConfig)> = Vec::new();
    let usable = |path: &str| !not_yet().any(|later| later == path);
    for key in process_keys().into_iter().filter(|key| usable(key.name)) {
        let name = key.name;
        found.push((
            name.to_owned(),
            key,
            Box::new(move |value| process(&value.map(|value| format!("{name}: {value}")).unwrap_or_default())),
        ));
        let (parts, open, close) = match key.shape {
            ValueShape::Part(keys) | ValueShape::DelayOrPart(keys) => (keys(), "{", "}"),
            // One of these keys is required, so `http` is added to the others.
            ValueShape::Choice(of, keys) => {
                (keys(), if of.contains(&"http") { "{http: \"http://localhost/\", " } else { "{" }, "}")
            }
            ValueShape::Edges(keys) => (keys(), "{b: {", "}}"),
            ValueShape::WordsOrPart(_, keys) => (keys(), "{file: a.log, ", "}"),
            ValueShape::CronOrPart(keys) => (keys(), "{cron: \"@daily\", ", "}"),
            ValueShape::Sockets(keys) => (keys(), "{http: {address: /run/a, ", "}}"),
            _ => continue,
        };
        for part in parts
            .into_iter()
            .filter(|part| !["file", "address", "cron", "every"].contains(&part.name) && usable(&format!("{name}.{}", part.name)))
        {
            let is_chosen = matches!(key.shape, ValueShape::Choice(of, _) if of.contains(&part.name));
            let open = if is_chosen { "{" } else { open };
            let beside = match name {
                "rolling" => "ready: {notify: true}, replicas: 2, on_change: rolling, ",
                "schedule" => "type: task, ",
                _ => "",
            };
            let around = move |value: Option<&str>| {
                let inner = value.map(|value| format!("{}: {value}", part.name)).unwrap_or_default();
                process(&format!("{beside}{name}: {open}{inner}{close}"))
            };
            found.push((format!("{name}.{}", part.name), part, Box::new(around)));
        }
    }
    found
}

#[test]
fn the_loader_enforces_the_bounds_in_the_tables() {
    let validator = Validator::new();
    let (mut count, mut failures) = (0, Vec::new());
    for (_, key, text) in supported_keys() {
        let (good, bad) = match key.shape {
            ValueShape::Whole(from, to) | ValueShape::WholeOrPercent(from, to) | ValueShape::Wholes(from, to) => {
                ([from.to_string(), to.to_string()], [(from - 1).to_string(), (to + 1).to_string()])
            }
            ValueShape::Number(from, to) => {
                ([from.to_string(), to.to_string()], [(from - 0.01).to_string(), (to + 0.01).to_string()])
            }
            _ => continue,
        };
        count += 1;
        for (values, expected) in [(good, true), (bad, false)] {
            failures.extend(values.iter().filter_map(|value| disagreement(&validator, &text(Some(value)), expected)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 5, "only {count} bounds were found");
}

#[test]
fn a_missing_key_has_the_default_in_the_tables() {
    let mut count = 0;
    for (path, key, text) in supported_keys() {
        let DefaultValue::Written(default) = key.otherwise else { continue };
        let [with, without] = [Some(default), None].map(|value| loaded(&text(value)).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(with.desired, without.desired, "`{path}: {default}`");
        count += 1;
    }
    for key in top_keys() {
        let DefaultValue::Written(default) = key.otherwise else { continue };
        let base = "managed_processes: []\n";
        let [with, without] = [format!("{base}{}: {default}\n", key.name), base.to_owned()]
            .map(|text| loaded(&text).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!((with.desired, with.settings), (without.desired, without.settings), "`{}: {default}`", key.name);
        count += 1;
    }
    assert!(count >= 20, "only {count} defaults were found");
}
