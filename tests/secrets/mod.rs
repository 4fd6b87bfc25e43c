//! Secrets never appear in output: not in diagnostics, plans, `Debug` output or the effective configuration.
//!
//! The secret is `hunter2`. `tests/e2e/secrets.rs` tests the same for a running navigator.

use super::fixtures::{environment, over_disk};
use navigator::config::{EffectiveRequest, Environment, Files, Notation, effective, load, render_all};
use navigator::terminal::TerminalStyle;
use reconcile::preview::preview;
use reconcile::{engine::Engine, time::Time};
use std::path::Path;

/// Everything that is printed about a text: its diagnostics; and if it is valid, its definitions, plan and effective forms.
fn outputs(text: &str) -> [String; 2] {
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

/// What `navigator config` prints, with each of its options.
fn printed(path: &Path, files: &dyn Files, environment: &Environment) -> String {
    let print = |(notation, defaults)| {
        let effective = effective(path, files, environment, EffectiveRequest { names: &[], defaults, notation });
        let effective = effective.unwrap_or_else(|error| panic!("an accepted file can be written: {error:?}"));
        format!("{effective:?}\n{}", effective.text)
    };
    [(Notation::Yaml, true), (Notation::Yaml, false), (Notation::Json, true)].map(print).concat()
}

/// Fails if any output for one of the texts contains the secret.
#[track_caller]
fn assert_not_shown(texts: impl IntoIterator<Item = String>) {
    assert_no_leak(texts.into_iter().map(|text| (outputs(&text).concat(), text)));
}

/// Fails if a diagnostic contains the secret; for values that the outputs of a valid text may show.
#[track_caller]
fn assert_not_in_diagnostics(texts: impl IntoIterator<Item = String>) {
    assert_no_leak(texts.into_iter().map(|text| {
        let [diagnostics, _] = outputs(&text);
        (diagnostics, text)
    }));
}

#[track_caller]
fn assert_no_leak(outputs: impl Iterator<Item = (String, String)>) {
    let leaks: Vec<String> =
        outputs.filter(|(output, _)| output.contains("unter2")).map(|(output, text)| format!("{text}\n{output}")).collect();
    assert!(leaks.is_empty(), "{} texts leak the secret:\n{}", leaks.len(), leaks.join("\n----\n"));
}

/// Values that begin with special characters of YAML, as generated passwords do, and incomplete ones.
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

/// Contexts of a value; `VALUE` is replaced by it.
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
fn no_diagnostic_shows_the_value_of_a_variable_in_any_notation() {
    let texts = PLACES.iter().flat_map(|place| VALUES.iter().map(move |value| (place, value)));
    // In flow style, or as `env` itself, a map or a value on its own lines is not a value but names.
    let is_value = |place: &str, value: &str| match value {
        _ if place.starts_with("env: VALUE") => !value.contains(['{', ':']),
        _ if place.contains(['{', '=']) => !value.contains('\n'),
        _ => true,
    };
    let texts = texts.filter(|(place, value)| is_value(place, value));
    assert_not_in_diagnostics(texts.map(|(place, value)| place.replace("VALUE", value)));
}

/// Inserts incomplete syntax at the beginning and end of every line, as while typing.
#[test]
fn no_diagnostic_shows_a_value_next_to_incomplete_syntax() {
    let typed = [
        "\t", " ", "\"", "'", "{", "}", "[", "]", ":", ": ", "- ", "-", "@", "&a ", "*a ", "!a ", "#", "|", "%", ",", "? ", "=",
        "x", "\0", "é",
    ];
    // A misspelled or commented-out `env` has no variables.
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
    assert_not_in_diagnostics(texts);
}

#[test]
fn a_value_stays_secret_through_aliases_merge_keys_and_references() {
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
        "on_change: *secret ",
        "rolling: {stable: *secret }",
        "stop: {drain: *secret }",
        "stop: {drain: {signal: *secret }}",
        "stop: {drain: {command: [*secret ]}}",
        "listen: *secret ",
        "listen: [*secret , *secret ]",
        "listen: {address: *secret }",
        "listen: {http: *secret }",
        "listen: {http: {address: *secret , mode: *secret , backlog: *secret }}",
        "listen: {http: {address: /run/a.sock, user: *secret , group: *secret }}",
    ];
    assert_not_shown(fields.iter().map(|field| alias(&format!("    {field}\n"))));
    assert_not_shown(
        fields.iter().map(|field| format!("x-all: {{db_password: &secret hunter2}}\n{}", process(&format!("    {field}\n")))),
    );
    assert_not_shown(
        fields
            .iter()
            .filter(|field| !field.starts_with("depends_on: ["))
            .map(|field| process(&format!("    {field}\n").replace("*secret ", "\"${SECRET}\""))),
    );
    assert_not_shown(fields.iter().map(|field| process(&format!("    {field}\n").replace("*secret ", "\"${SECRET}!\""))));
    assert_not_shown([
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
        process("    listen: [\"${SECRET}:80\", \"/run/${SECRET}.sock\", \"${SECRET}.sock\", \"@${SECRET}\"]\n"),
        process(
            "    listen: [\"${SECRET}:80\", \"${SECRET}:80\", \"@${SECRET}\", \"@${SECRET}\"]\n    ready: {tcp: \"${SECRET}:80\"}\n",
        ),
        process(
            "    listen: {http: {address: \"@${SECRET}\", mode: 0660}, long: \"/0123456789012345678901234567890123456789/0123456789012345678901234567890123456789/0123456789012345678/${SECRET}/a.sock\"}\n",
        ),
        process("    env: {HOST_TOKEN: &host \"hunter2:80\", RUN_KEY: &path hunter2.sock}\n    listen: [*host , *path ]\n"),
        process("    listen: {http: {address: \"hunter2:${NONE:-80}\"}}\n").replace("hunter2", "${SECRET}"),
        process("    <<: {env: {TOKEN: hunter2}}\n    env: {TOKEN: [hunter2]}\n"),
    ]);
}

/// Shows that the other tests can fail.
#[test]
fn a_value_that_is_not_secret_is_shown() {
    let text = "managed_processes:\n  - name: a\n    command: ./a\n    args: [hunter2]\n";
    assert!(outputs(text).concat().contains("hunter2"));
    assert!(outputs("managed_processes: [{name: hunter2 x}]").concat().contains("hunter2"));
    assert!(environment().get("DATABASE_PASSWORD").is_some_and(|secret| secret == "hunter2"));
}
