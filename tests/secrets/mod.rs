//! A secret that a configuration holds or refers to is told nowhere: not by diagnostics, whatever is wrong beside it, and not by
//! what a definition shows of itself.
//!
//! `hunter2` is the secret. What navigator does with it while it runs is looked at in `tests/e2e/secrets.rs`.

use super::fixtures::{environment, over_disk};
use navigator::config::{EffectiveRequest, Environment, Files, Notation, effective, load, render_all};
use navigator::terminal::TerminalStyle;
use reconcile::preview::preview;
use reconcile::{engine::Engine, time::Time};
use std::path::Path;

/// What is told of a text: by diagnostics for people and machines, and of what is accepted by the definitions and by the plan
/// to reach them.
fn told(text: &str) -> [String; 2] {
    let path = Path::new("etc/navigator.yml");
    let files = over_disk(path, text.as_bytes().to_vec());
    let with_secret = [("SECRET", "hunter2"), ("SECRET_DIR", "none/hunter2"), ("HOME", "/home/deploy")];
    let environment: Environment = with_secret.into_iter().collect();
    match load(path, &files, &environment) {
        Ok(loaded) => {
            let engine = Engine::new();
            let changes = engine.changes(&loaded.desired);
            let plan = preview(&engine, Time::ZERO, loaded.desired.clone());
            let shown = format!("{:?}\n{changes:?}\n{plan:?}", loaded.desired);
            [render_all(&loaded.warnings, 0, TerminalStyle::PLAIN), shown + &printed(path, &files, &environment)]
        }
        Err(rejected) => {
            let json = serde_json::to_string(&rejected.diagnostics).expect("diagnostics can be written as JSON");
            [render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN) + &json, String::new()]
        }
    }
}

/// What `navigator config` prints, in each way.
fn printed(path: &Path, files: &dyn Files, environment: &Environment) -> String {
    let print = |(notation, defaults)| {
        let effective = effective(path, files, environment, EffectiveRequest { names: &[], defaults, notation });
        let effective = effective.unwrap_or_else(|error| panic!("an accepted file can be written: {error:?}"));
        format!("{effective:?}\n{}", effective.text)
    };
    [(Notation::Yaml, true), (Notation::Yaml, false), (Notation::Json, true)].map(print).concat()
}

/// Holds every text to the rule, and shows each that breaks it.
#[track_caller]
fn assert_untold(texts: impl IntoIterator<Item = String>) {
    assert_none(texts.into_iter().map(|text| (told(&text).concat(), text)));
}

/// The same for values that are no secrets as such: what is accepted may show them, but no diagnostic.
#[track_caller]
fn assert_undiagnosed(texts: impl IntoIterator<Item = String>) {
    assert_none(texts.into_iter().map(|text| {
        let [diagnostics, _] = told(&text);
        (diagnostics, text)
    }));
}

#[track_caller]
fn assert_none(told: impl Iterator<Item = (String, String)>) {
    let leaks: Vec<String> =
        told.filter(|(told, _)| told.contains("unter2")).map(|(told, text)| format!("{text}\n{told}")).collect();
    assert!(leaks.is_empty(), "{} texts tell it:\n{}", leaks.len(), leaks.join("\n----\n"));
}

/// Values that begin with what means something to YAML, as generated passwords do, and others that are half written.
const VALUES: &[&str] = &[
    "hunter2",
    "\"hunter2\"",
    "'hunter2'",
    "!hunter2",
    "!!hunter2 x",
    "!<hunter2>",
    "!h!hunter2 x",
    "&hunter2",
    "&h hunter2",
    "*hunter2",
    "|hunter2",
    ">hunter2",
    "%hunter2",
    "@hunter2",
    "`hunter2",
    "\"hunter2",
    "'hunter2",
    "\"hunter2\" hunter2",
    "{hunter2",
    "[hunter2}",
    "{hunter2}",
    "{hunter2: }",
    "{hunter2, hunter2}",
    "{a: hunter2, a: hunter2}",
    "[hunter2, [hunter2]]",
    "a: hunter2",
    "hunter2: a",
    "- hunter2",
    "? hunter2",
    ": hunter2",
    "-hunter2: x",
    "hunter2 # x",
    "#hunter2",
    "!!int hunter2",
    "!!float hunter2",
    "!!bool hunter2",
    "!!binary hunter2!",
    "!!null hunter2",
    "!!timestamp hunter2",
    "\"\\hunter2\"",
    "\"hunter2\\",
    "hunter2\tx",
    "hunter2${NONE}",
    "${NONE}hunter2",
    "${NONE:-hunter2",
    "$${NONE:?hunter2}${NONE}",
    "hunter2\\",
    "|\n        hunter2",
    ">-\n        hunter2\n        hunter2",
    "|9\n        hunter2",
    "\n        hunter2",
    "\n      hunter2",
    "\n    hunter2",
    "\n        - hunter2",
    "\n        hunter2: x\n        hunter2: y",
    "hunter2\n      hunter2",
    "\"hunter2\n      hunter2\"",
    "\"a\n        hunter2",
    "hunter2\n",
    "&a\n        hunter2",
    "!a\n        hunter2",
];

/// Where a value can stand: `VALUE` stands for it.
const PLACES: &[&str] = &[
    "managed_processes:\n  - name: a\n    command: ./a\n    env:\n      PASSWORD: VALUE\n      PORT: 80\n    args: [x]\n",
    "managed_processes:\n  - name: a\n    command: ./a\n    env:\n      PASSWORD: VALUE\n",
    "managed_processes:\n  - name: a b\n    env: {URL: VALUE, PORT: 80}\n    args: [x]\n",
    "managed_processes: [{name: a b, env: {URL: VALUE, PORT: }, comand: x}]\n",
    "env:\n      URL: VALUE\nmanaged_processes:\n  - name: a b\n",
    "defaults:\n  env:\n      URL: VALUE\nmanaged_processes:\n  - name: a b\n",
    "x-env: &env\n      URL: VALUE\nmanaged_processes:\n  - name: a b\n    env: *env\n",
    "{\"managed_processes\": [{\"name\": \"a b\",\n\"env\": {\n\"URL\": VALUE,\n\"PORT\": \"80\"}}]}\n",
    "managed_processes:\n  - name: a b\n    env:\n      - URL=VALUE\n      - URL: VALUE\n",
    "managed_processes:\n  - name: a b\n    api_token: VALUE\n    environment: {URL: VALUE}\n",
    "env: VALUE\nmanaged_processes: []\n",
];

#[test]
fn no_value_of_a_variable_is_told_however_it_is_written() {
    let texts = PLACES.iter().flat_map(|place| VALUES.iter().map(move |value| (place, value)));
    // Between brackets, or as `env` itself, what is in a map or on lines of its own is no value but names.
    let is_value = |place: &str, value: &str| match value {
        _ if place.starts_with("env: VALUE") => !value.contains(['{', ':']),
        _ if place.contains(['{', '=']) => !value.contains('\n'),
        _ => true,
    };
    let texts = texts.filter(|(place, value)| is_value(place, value));
    assert_undiagnosed(texts.map(|(place, value)| place.replace("VALUE", value)));
}

/// What people leave behind while they type, at the beginning and at the end of every line.
#[test]
fn no_value_is_told_whatever_is_typed_around_it() {
    let typed = [
        "\t", " ", "\"", "'", "{", "}", "[", "]", ":", ": ", "- ", "-", "@", "&a ", "*a ", "!a ", "#", "|", "%", ",", "? ", "=",
        "x", "\0", "é",
    ];
    // An `env` that is misspelled or commented out holds no variables any more.
    let spoils_key = |text: &str, at: usize, typed: &str| {
        let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        line.contains("env") && ["x", "é", "=", "#", "%"].contains(&typed)
    };
    let mut texts = Vec::new();
    for text in PLACES.iter().map(|place| place.replace("VALUE", "hunter2")) {
        let ends = text.match_indices('\n').map(|(at, _)| at);
        for at in ends.flat_map(|end| [end, end + 1]).chain([0]) {
            for typed in typed.into_iter().filter(|typed| !spoils_key(&text, at, typed)) {
                texts.push(format!("{}{typed}{}", &text[..at], &text[at..]));
            }
        }
    }
    assert_undiagnosed(texts);
}

/// A secret stays one where an alias, a merge key or a reference brings it.
#[test]
fn a_secret_is_one_wherever_it_is_brought() {
    let process = |with: &str| format!("managed_processes:\n  - name: a\n    command: ./a\n{with}");
    let alias = |with: &str| process(&format!("    env: {{PASSWORD: &secret hunter2}}\n{with}"));
    let fields = [
        "args: [*secret ]",
        "args: *secret ",
        "working_dir: *secret ",
        "user: *secret ",
        "nice: *secret ",
        "restart: *secret ",
        "start_delay: *secret ",
        "output: *secret ",
        "output: {file: *secret }",
        "env_file: *secret ",
        "depends_on: *secret ",
        "depends_on: [*secret ]",
        "stop: *secret ",
        "stop: {signal: *secret }",
        "limits: {core: *secret }",
        "umask: *secret ",
        "inherit_env: *secret ",
        "enabled: *secret ",
        "backoff: {initial: *secret }",
        "comand: *secret ",
        "env_file: [*secret ]",
        "type: *secret ",
    ];
    assert_untold(fields.iter().map(|field| alias(&format!("    {field}\n"))));
    assert_untold(
        fields.iter().map(|field| format!("x-all: {{db_password: &secret hunter2}}\n{}", process(&format!("    {field}\n")))),
    );
    assert_untold(
        fields
            .iter()
            .filter(|field| !field.starts_with("depends_on: ["))
            .map(|field| process(&format!("    {field}\n").replace("*secret ", "\"${SECRET}\""))),
    );
    assert_untold(fields.iter().map(|field| process(&format!("    {field}\n").replace("*secret ", "\"${SECRET}!\""))));
    assert_untold([
        "include: \"${SECRET_DIR}/a.yml\"\nmanaged_processes: []\n".to_owned(),
        "include: [\"${SECRET_DIR}/*.yml\", \"${SECRET}/**\"]\nmanaged_processes: []\n".to_owned(),
        "env_file: \"${SECRET_DIR}/.env\"\nmanaged_processes: []\n".to_owned(),
        "shutdown_timeout: \"${SECRET}\"\nmanaged_processes: []\n".to_owned(),
        "logging: {level: \"${SECRET}\", format: \"${SECRET}\", file: \"${SECRET}\"}\nmanaged_processes: []\n".to_owned(),
        "logging: {file: \"${SECRET}\"}\nmanaged_processes: []\n".to_owned(),
        process("    args: [\"${SECRET:+${NONE}}\", \"${SECRET\", \"${SECRET:?}\", \"${NONE:?${SECRET}}\"]\n"),
        process(
            "    args: [\"${SECRET}\", \"--x=${NONE:-${SECRET}}\"]\n    env: {A: \"${SECRET}\", TOKEN: hunter2, K: \"x${TOKEN}\"}\n",
        ),
        process("    <<: {env: {TOKEN: hunter2}}\n    env: {TOKEN: [hunter2]}\n"),
    ]);
}

/// A rule that nothing could break would hold nothing.
#[test]
fn what_is_no_secret_is_told() {
    let text = "managed_processes:\n  - name: a\n    command: ./a\n    args: [hunter2]\n";
    assert!(told(text).concat().contains("hunter2"));
    assert!(told("managed_processes: [{name: hunter2 x}]").concat().contains("hunter2"));
    assert!(environment().get("DATABASE_PASSWORD").is_some_and(|secret| secret == "hunter2"));
}
