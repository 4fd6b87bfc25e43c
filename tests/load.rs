//! Results of loading other than the spec: inputs, kinds of rejection, JSON diagnostics, limits, equal meanings.

#[path = "support/memory.rs"]
mod memory;

use memory::Memory;
use navigator::config::{
    Disk, Environment, Loaded, MAX_BYTES, Rejected, RejectedKind, load, load_in_place, not_yet, process_keys, render,
};
use navigator::terminal::TerminalStyle;
use std::fs;
use std::path::{Path, PathBuf};

fn read(files: &Memory) -> Result<Loaded, Rejected> {
    load(Path::new("etc/navigator.yml"), files, &Environment::from_iter([("STAGE", "test")]))
}

fn loaded(text: &str) -> Loaded {
    read(&Memory::default().with("etc/navigator.yml", text)).expect("it is valid")
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn every_file_and_directory_that_affects_the_result_is_an_input() {
    let main = "include: [conf.d/*.yml, ../extra.yml]\nenv_file: global.env\nmanaged_processes: [{name: a, command: ./a, env_file: /run/a.env}]\n";
    let without_env_files = || Memory::default().with("etc/navigator.yml", main).with("extra.yml", "applications: []");
    let files = without_env_files()
        .with("etc/conf.d/b.yml", "managed_processes: [{name: b, command: ./b, env_file: b.env}]")
        .with("etc/global.env", "A=1")
        .with("/run/a.env", "B=1")
        .with("etc/conf.d/b.env", "C=1");
    let expected =
        paths(&["/run/a.env", "etc/conf.d/b.env", "etc/conf.d/b.yml", "etc/global.env", "etc/navigator.yml", "extra.yml"]);
    let loaded = read(&files).expect("it is valid");
    assert_eq!(loaded.inputs.files.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(loaded.inputs.directories.into_keys().collect::<Vec<_>>(), paths(&["etc/conf.d"]));

    let broken = without_env_files().with("etc/conf.d/b.yml", "managed_processes: [");
    let rejected = read(&broken).expect_err("it is not valid");
    let files: Vec<PathBuf> = rejected.inputs.files.into_iter().collect();
    let without_broken: Vec<PathBuf> = expected.into_iter().filter(|path| path != Path::new("etc/conf.d/b.env")).collect();
    assert_eq!(files, without_broken);
    assert_eq!(rejected.inputs.directories.into_keys().collect::<Vec<_>>(), paths(&["etc/conf.d"]));
}

#[test]
fn an_unreadable_main_file_is_distinguished_from_an_invalid_one() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{}", std::process::id()));
    fs::create_dir_all(directory.join("directory.yml")).expect("a directory can be made");
    let fifo = directory.join("fifo.yml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR, 0)
        .expect("a FIFO can be made");
    fs::write(directory.join("large.yml"), vec![b'#'; usize::try_from(MAX_BYTES).expect("it fits") + 1])
        .expect("a file can be written");
    fs::write(directory.join("wrong.yml"), "x").expect("a file can be written");
    for (name, kind, words) in [
        ("missing.yml", RejectedKind::Unreadable, "there is no such file"),
        ("directory.yml", RejectedKind::Unreadable, "it is a directory"),
        ("fifo.yml", RejectedKind::Unreadable, "a FIFO"),
        ("large.yml", RejectedKind::Invalid, "larger than 4 MiB"),
        ("wrong.yml", RejectedKind::Invalid, "must be a map"),
    ] {
        let path = directory.join(name);
        let rejected = load(&path, &Disk, &Environment::default()).expect_err("it can't be loaded");
        assert_eq!(rejected.kind, kind, "{name}");
        assert_eq!(rejected.inputs.files, [path].into(), "{name}");
        assert!(rejected.diagnostics[0].message.contains(words), "{name}: {}", rejected.diagnostics[0].message);
    }
    fs::remove_dir_all(&directory).expect("the directory can be removed");
}

#[test]
fn files_with_the_same_meaning_load_into_equal_values() {
    let plain = loaded(
        "env: {STAGE: test}\nmanaged_processes:\n  - name: a\n    command: ./a\n    args: [--port, '80']\n    start_delay: 90\n    auto_restart: true\n",
    );
    for other in [
        "# comment\nmanaged_processes:\n- {auto_restart: true, args: [\"--port\", 80], start_delay: 1m30s, command: './a', name: a}\nenv: {STAGE: test}\n",
        "x-a: &args [--port, 80]\nenv: {STAGE: \"${STAGE}\"}\r\nmanaged_processes: [{name: a, command: ./a, args: *args, start_delay: 1.5m, restart: on-failure}]",
    ] {
        assert_eq!(loaded(other).desired, plain.desired, "{other}");
    }
    assert_ne!(loaded("managed_processes: [{name: a, command: ./a}]").desired, plain.desired);
}

#[test]
fn a_variable_removed_from_an_env_file_is_removed_from_the_process() {
    let main = "managed_processes: [{name: a, command: ./a, env_file: a.env}]";
    let keys = |content: &str| {
        let files = Memory::default().with("etc/navigator.yml", main).with("etc/a.env", content);
        let loaded = read(&files).expect("it is valid");
        loaded.desired.get("a").expect("it is defined").spec.exec.env.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys("A=1\nB=2\n"), ["A", "B"]);
    assert_eq!(keys("B=2\n"), ["B"]);
}

#[test]
fn a_diagnostic_has_every_field_in_json() {
    let text = "managed_processes:\n- {name: a, comand: b}\n- {name: c, command: d}\napplications:\n- {name: c, command: e}\n";
    let rejected = read(&Memory::default().with("etc/navigator.yml", text)).expect_err("a typo, and a name given twice");
    let json = serde_json::to_value(&rejected.diagnostics).expect("it can be serialized");
    let expected = serde_json::json!([
        {
            "severity": "error", "file": "etc/navigator.yml", "line": 2, "column": 13, "end_column": 19,
            "message": "unknown key `comand` of `a`", "help": "did you mean `command`?", "labels": []
        },
        {
            "severity": "error", "file": "etc/navigator.yml", "line": 5, "column": 10, "end_column": 11,
            "message": "duplicate process name `c`", "help": "give one of the two another name",
            "labels": [{
                "file": "etc/navigator.yml", "line": 3, "column": 10, "end_column": 11, "message": "first given here"
            }]
        }
    ]);
    assert_eq!(json, expected);
}

#[test]
fn a_caret_is_aligned_after_wide_characters_and_tabs() {
    let text = "managed_processes: [{name: a, command: 日本,\tcomand: b}]";
    let rejected = read(&Memory::default().with("etc/navigator.yml", text)).expect_err("a typo");
    let rendered = render(&rejected.diagnostics[0], TerminalStyle::PLAIN);
    let lines: Vec<&str> = rendered.lines().collect();
    assert_eq!(lines[0], "etc/navigator.yml:1:44: error: unknown key `comand` of `a`");
    assert_eq!(lines[2], format!("    | {}\t^^^^^^", " ".repeat("managed_processes: [{name: a, command: ____,".len())));
}

#[test]
fn control_characters_are_escaped() {
    let text = "managed_processes: [{name: \"a\\e[2J\", command: \"./a\\nb\", \"k\\e[31m\": 1}]";
    let rejected = read(&Memory::default().with("etc/navigator.yml", text)).expect_err("the name is wrong");
    let rendered: String = rejected.diagnostics.iter().map(|diagnostic| render(diagnostic, TerminalStyle::PLAIN)).collect();
    assert!(rendered.contains("\\u{1b}[31m"), "{rendered}");
    assert!(!rendered.contains('\x1b'), "{rendered}");
    assert!(
        render(&rejected.diagnostics[0], TerminalStyle { color: true, width: None }).contains('\x1b'),
        "colour is made of escapes"
    );
}

#[test]
fn thousands_of_processes_may_share_a_merge_base() {
    let processes = (0..2_000).map(|n| format!("- {{<<: *base, name: p{n}}}\n")).collect::<Vec<_>>().concat();
    let text = format!("x-base: &base {{command: ./p, restart: always, env: {{A: a}}}}\nmanaged_processes:\n{processes}");
    assert_eq!(loaded(&text).desired.entries().len(), 2_000);
}

#[test]
fn a_file_has_at_most_200000_values() {
    // Eight more than the items: the map and the two lists count twice, and there are two keys.
    let of_items = |count: usize| format!("managed_processes: []\nx-own:\n{}", "- a\n".repeat(count));
    assert!(loaded(&of_items(200_000 - 8)).desired.entries().is_empty());
    let text = of_items(200_001 - 8);
    let rejected = read(&Memory::default().with("etc/navigator.yml", text)).expect_err("too large");
    let messages: Vec<_> = rejected.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(messages, ["this document is too large: it has more than 200000 values, keys, lists and maps"]);
}

#[test]
fn too_many_processes_are_a_single_error() {
    let processes =
        (0..12_010).map(|n| format!("- {{name: p{n}, command: ./p, depends_on: [p12009]}}\n")).collect::<Vec<_>>().concat();
    let rejected =
        read(&Memory::default().with("etc/navigator.yml", format!("managed_processes:\n{processes}"))).expect_err("too many");
    let errors: Vec<_> = rejected.diagnostics.iter().map(|error| (error.line, error.message.as_str())).collect();
    assert_eq!(errors, [(12_002, "too many processes: this is number 12001")]);
}

fn messages(outcome: &Result<Loaded, Rejected>) -> Vec<String> {
    let diagnostics = outcome.as_ref().map_or_else(|rejected| &rejected.diagnostics, |loaded| &loaded.warnings);
    diagnostics.iter().map(|found| format!("{}: {}", found.file.display(), found.message)).collect()
}

#[test]
fn a_file_is_loaded_as_if_it_were_in_the_place_of_another() {
    let place = Path::new("/etc/navigator/navigator.yml");
    let main = "include: [conf.d/*.yml]\nenv_file: app.env\nmanaged_processes: [{name: a, command: \"${NAVIGATOR_CONFIG_DIR}/a\", \
                watch: [a.conf]}, {name: a, command: b}]\n";
    let files = |text: &str| {
        let files = Memory::default().with("new.yml", text).with("/etc/navigator/app.env", "A=1");
        files.with("/etc/navigator/conf.d/b.yml", "managed_processes: [{name: b, comand: ./b}]").with(place, "wrong")
    };
    let outcome = load_in_place(Path::new("new.yml"), place, &files(main), &Environment::default());
    let found = messages(&outcome);
    let expected = ["new.yml: duplicate process name `a`", "/etc/navigator/conf.d/b.yml: unknown key `comand` of `b`"];
    assert!(expected.iter().all(|expected| found.iter().any(|found| found.starts_with(expected))), "{found:?}");
    let labels = outcome.expect_err("a name is repeated").diagnostics.into_iter().flat_map(|found| found.labels);
    assert!(labels.map(|label| label.file).eq(paths(&["new.yml"])));

    let valid = "managed_processes: [{name: a, command: \"${NAVIGATOR_CONFIG_DIR}/a\", watch: [a.conf]}]\n";
    let loaded = load_in_place(Path::new("new.yml"), place, &files(valid), &Environment::default()).expect("it is valid");
    let spec = &loaded.desired.entries()[0].spec;
    assert_eq!(spec.exec.command.value(), "/etc/navigator/a");
    assert_eq!(spec.watch[0].value(), "/etc/navigator/a.conf");
}

#[test]
fn for_another_machine_every_value_of_a_variable_is_taken_as_given() {
    // `~` is the value of a variable.
    let values = [
        "args: [~, b]",
        "working_dir: \"/srv/${X}\"",
        "env: {A: ~, B: \"${A}\"}",
        "env_file: ~",
        "env_file: [{path: ~, required: false}]",
        "auto_restart: ~",
        "restart: ~",
        "backoff: ~",
        "backoff: {initial: ~, factor: ~, max: ~, jitter: ~, reset_after: ~}",
        "success_exit_codes: [0, ~]",
        "shutdown_on: ~",
        "max_restarts: ~",
        "start_delay: ~",
        "depends_on: [~]",
        "depends_on: {b: {condition: ~, restart: ~, required: ~}}",
        "ready: {http: ~, interval: ~, timeout: ~, deadline: ~}",
        "ready: {http: \"http://localhost:${X}/\", headers: {Host: ~}}",
        "ready: {tcp: \"localhost:${X}\"}",
        "ready: {exec: [~]}",
        "ready: {log: ~}",
        "ready: {fd: ~}",
        "ready: {notify: ~}",
        "liveness: {http: ~, failures: ~}",
        "stop: {signal: ~, timeout: ~, scope: ~}",
        "stop: {command: [~], drain: {signal: ~, timeout: ~}}",
        "reload: {signal: ~}",
        "watch: [~], on_watch: ~",
        "type: ~",
        "output: ~",
        "output: {file: ~, max_size: ~, keep: ~, stderr: ~}",
        "user: ~, group: ~, umask: ~, nice: ~, oom_score_adj: ~",
        "no_new_privs: ~, inherit_env: ~, limits: {nofile: ~}",
        "inherit_env: [~]",
        "enabled: ~",
        "on_change: ~",
        "type: task, schedule: ~",
        "type: task, schedule: {cron: ~, timezone: ~}",
        "type: task, schedule: {every: ~}",
        "resources: {memory: ~, cpu: ~, tasks: ~}",
        "listen: ~",
        "listen: [\"0.0.0.0:${X}\"]",
        "listen: {web: {address: ~, backlog: ~, mode: ~, user: ~}}",
        "replicas: ~",
        "replicas: ~, on_change: rolling, rolling: {surge: 0}, ready: {notify: true}",
        "on_change: rolling, rolling: {surge: ~, stable: ~}, listen: \"localhost:80\", ready: {http: \"http://localhost:80/\"}",
        "name: \"a-${X}\"",
        "command: ~",
    ];
    for key in process_keys().into_iter().filter(|key| !not_yet().any(|later| later == key.name)) {
        let is_tried = |value: &&str| value.split(['{', ' ', ',']).any(|word| word == format!("{}:", key.name));
        assert!(values.iter().any(is_tried), "no case has a variable in `{}`", key.name);
    }
    for value in values {
        let keys = [("name", "a"), ("command", "./a")].map(|(key, written)| {
            let is_given = value.starts_with(&format!("{key}:"));
            if is_given { String::new() } else { format!("{key}: {written}, ") }
        });
        let value = value.replace('~', "\"${X}\"");
        let text = format!("managed_processes:\n- {{{}{value}}}\n- {{name: b, command: ./b}}\n", keys.concat());
        let files = Memory::default().with("navigator.yml", text.as_str());
        let load = |environment: &Environment| load(Path::new("navigator.yml"), &files, environment);
        assert!(load(&Environment::default()).is_err(), "here it has no value: {text}");
        let outcome = load(&Environment::default().elsewhere());
        assert!(outcome.is_ok() && messages(&outcome).is_empty(), "{text}{:?}", messages(&outcome));
    }
}

#[test]
fn for_another_machine_missing_files_outside_of_the_directory_are_taken_as_given() {
    let main = |text: &str| format!("{text}\nmanaged_processes: [{{name: web, command: ./web, depends_on: [db]}}]\n");
    let db = "managed_processes: [{name: db, command: ./db}]";
    let cases: [(&str, &[&str]); 9] = [
        ("include: /etc/navigator/db.yml", &[]),
        ("include: [/etc/navigator/*.yml]", &[]),
        ("include: [\"${WHERE}/db.yml\"]", &[]),
        ("include: db.yml\nenv_file: /etc/navigator/secrets.env", &[]),
        ("include: [db.yml, /etc/navigator/db.yml]", &[]),
        ("include: [db.yml, more.yml]", &["`more.yml` in `include`: there is no such file"]),
        ("include: [db.yml, conf.d/*.yml]", &["`conf.d/*.yml` in `include` matches no file"]),
        ("include: db.yml\nenv_file: app.env", &["env file `app.env`: there is no such file"]),
        ("include: db.yml\nx-own: ${X}", &[]),
    ];
    for (text, expected) in cases {
        let files = Memory::default().with("navigator.yml", main(text)).with("db.yml", db);
        let outcome = load(Path::new("navigator.yml"), &files, &Environment::default().elsewhere());
        assert_eq!(messages(&outcome), expected.iter().map(|message| format!("navigator.yml: {message}")).collect::<Vec<_>>());
        let is_error = expected.iter().any(|message| message.ends_with("file") && !message.contains("matches"));
        assert_eq!(outcome.is_err(), is_error, "{text}");
    }
    // Nothing beside the file can be known if its directory belongs to the other machine.
    let files =
        Memory { below: Some(Disk), ..Memory::default() }.with("new.yml", main("env_file: app.env\ninclude: conf.d/*.yml"));
    let environment = Environment::default().elsewhere();
    let outcome = load_in_place(Path::new("new.yml"), Path::new("/etc/no-such-directory/navigator.yml"), &files, &environment);
    assert!(outcome.is_ok() && messages(&outcome).is_empty(), "{:?}", messages(&outcome));
}
