//! A secret reaches the process that it is for, and nothing else: no log, no diagnostic, no file of navigator's, no command line.
//!
//! Every secret in here has `c4n4ry` in it, and comes another way: from navigator's environment, from an env file, under a secret
//! name, as a default, by an alias, through an included file.

use crate::harness::{Ended, Navigator, Signal, Site};
use std::fs;
use std::path::Path;

const SECRET: &str = "c4n4ry";

/// A configuration in which every process gets secrets, and all but the first two fail, each in its own way.
fn configuration(logging: &str) -> String {
    format!(
        r#"
logging: {logging}
env: {{ DB_PASSWORD: c4n4ry-literal, GLOBAL: "${{CANARY}}" }}
env_file: global.env
include: "${{CANARY_DIR}}/*.yml"
defaults:
  env: {{ DEFAULT_SECRET: &secret c4n4ry-default }}
  max_restarts: 1
  backoff: {{ initial: 1ms }}
managed_processes:
  - name: child
    command: ${{FIXTURES}}/child.sh
    args: [child, "${{CANARY}}", *secret ]
    env: {{ OWN: "x${{FILE_TOKEN}}", FALLBACK: "${{NONE:-${{CANARY}}}}" }}
  - name: teller
    command: sh
    args: [-c, 'echo "$GLOBAL $DB_PASSWORD $FILE_TOKEN $DEFAULT_SECRET $OWN $1" > told', sh, "${{CANARY}}"]
    env: {{ OWN: "c4n4ry-plain-name-${{FILE_TOKEN}}" }}
  - {{ name: crashes, command: sh, args: [-c, "exit 3", "${{CANARY}}"], restart: on-failure }}
  - {{ name: missing, command: "${{CANARY_DIR}}/nothing", args: [*secret ], restart: always }}
  - {{ name: nowhere, command: "true", working_dir: "${{CANARY_DIR}}/nowhere" }}
  - {{ name: nobody, command: "true", user: "${{CANARY}}" }}
  - {{ name: unwritable, command: echo, args: [hello], output: {{ file: "${{CANARY_DIR}}/missing/out.log" }} }}
"#
    )
}

/// The site of such a configuration.
fn site() -> Site {
    let site = Site::new();
    site.write("global.env", "FILE_TOKEN=c4n4ry-file\n");
    // In the way of log files.
    site.write("c4n4ry-dir/missing", "");
    site.write(
        "c4n4ry-dir/included.yml",
        "managed_processes:\n  - { name: included, command: sh, args: [-c, \"exit 4\", \"${CANARY}\"] }\n",
    );
    site
}

fn start<'s>(site: &'s Site, arguments: &[&str]) -> Navigator<'s> {
    site.command(arguments).env("CANARY", "c4n4ry-env").env("CANARY_DIR", site.path("c4n4ry-dir")).start()
}

#[track_caller]
fn assert_untold(what: &str, text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(lines.is_empty(), "{what} tells a secret:\n{}", lines.join("\n"));
}

#[track_caller]
fn assert_untold_by(ended: &Ended) {
    assert_untold("standard output", &ended.stdout());
    assert_untold("standard error", &ended.stderr());
}

/// Every file below a directory, in one text.
pub(crate) fn files_below(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.expect("an entry of a directory of ours").path());
    paths.map(|path| if path.is_dir() { files_below(&path) } else { read(&path) }).collect()
}

/// A file and its name. What can't be read as a file, such as a socket, holds nothing.
fn read(path: &Path) -> String {
    let content = fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    format!("{name}: {content}\n")
}

/// Starts it, lets everything fail that can, changes secrets, breaks the file, and looks at all that navigator has said.
fn live(logging: &str, arguments: &[&str]) {
    let site = site();
    site.write("navigator.yml", &configuration(logging));
    let mut navigator = start(&site, arguments);
    navigator.journals("child start");
    for name in ["crashes", "missing", "nowhere", "nobody"] {
        navigator.event("Process failed", name);
    }
    navigator.event("Process crashed", "included");
    navigator.wait("a warning", |event| event.message == "Output can't be written");
    let told =
        navigator.log().until("what the process was given", || Some(site.read("told")).filter(|told| told.ends_with('\n')));
    assert_eq!(told, "c4n4ry-env c4n4ry-literal c4n4ry-file c4n4ry-default c4n4ry-plain-name-c4n4ry-file c4n4ry-env\n");

    // A changed secret is a change, and is told as one.
    site.write("global.env", "FILE_TOKEN=c4n4ry-other\n");
    verdict(&mut navigator, "Configuration reloaded");
    navigator.event("Stopping process", "child");
    navigator.journals("child exit");
    for broken in [
        configuration(logging).replace("restart: on-failure", "restart: \"${CANARY}\""),
        configuration(logging).replace("args: [child, ", "args: [child "),
        configuration(logging).replace("DB_PASSWORD: ", "DB_PASSWORD: !"),
        configuration(logging).replace("    command: ${", "    nice: *secret \n    command: ${"),
    ] {
        site.write("navigator.yml", &broken);
        verdict(&mut navigator, "Configuration rejected");
    }
    site.write("navigator.yml", &configuration(logging));
    site.write("c4n4ry-dir/wrong.yml", "managed_processes: [{name: wrong, comand: \"${CANARY}\"}]\n");
    verdict(&mut navigator, "Configuration rejected");

    let pid = navigator.pid();
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).expect("navigator runs");
    assert_untold("navigator's command line", &String::from_utf8_lossy(&command_line));
    assert_untold("a file of navigator's state", &files_below(&site.path("state")));
    assert_untold("the pid file", &site.read("navigator.pid"));
    navigator.signal(Signal::TERM);
    assert_untold_by(&navigator.exits(0));
    assert_untold("the log file", &site.read("navigator.log"));
}

/// Has the file read, and waits for this to be said of it once more.
#[track_caller]
fn verdict(navigator: &mut Navigator<'_>, message: &str) {
    let is_it = |navigator: &Navigator<'_>| navigator.events().into_iter().filter(|event| event.message == message).count();
    let before = is_it(navigator);
    navigator.signal(Signal::HUP);
    navigator.log().until(message, || (is_it(navigator) > before).then_some(()));
}

#[test]
fn no_log_tells_a_secret() {
    live("{}", &["--no-watch", "navigator.yml"]);
}

#[test]
fn no_log_tells_a_secret_with_all_that_it_can_say() {
    live("{level: trace}", &["-v", "--no-watch", "navigator.yml"]);
}

#[test]
fn no_log_in_json_tells_a_secret() {
    live("{format: json, level: trace}", &["--no-watch", "navigator.yml"]);
}

#[test]
fn a_log_file_that_cannot_be_written_is_told_without_its_path() {
    let site = site();
    site.write("navigator.yml", &configuration("{file: \"${CANARY_DIR}/missing/navigator.log\"}"));
    let mut navigator = start(&site, &["--no-watch", "navigator.yml"]);
    navigator.journals("child start");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.stderr().contains("can't be written"), "{}", ended.description);
    assert_untold_by(&ended);
}

#[test]
fn check_tells_no_secret() {
    let right = configuration("{}");
    let texts = [
        right.clone(),
        right.replace("comma", "coma"),
        right.replace("args: [child, ", "args: [child "),
        right.replace("c4n4ry-literal", "!c4n4ry-literal"),
        right.replace("c4n4ry-literal", "\"c4n4ry-literal"),
        right.replace("c4n4ry-literal, ", "c4n4ry-literal, DB_PASSWORD: c4n4ry-again, "),
        right.replace("${NONE:-${CANARY}}", "${NONE}${CANARY}"),
        right.replace("max_restarts: 1", "max_restarts: *secret "),
        right.replace("    command: sh\n", "    command: sh\n    args: *secret \n"),
        right.replace("global.env", "wrong.env"),
        right.replace("name: teller", "name: \"${CANARY} \""),
        right.replace("include: \"${CANARY_DIR}/*.yml\"", "include: \"${CANARY_DIR}/none.yml\""),
    ];
    let site = site();
    site.write("wrong.env", "FILE_TOKEN=\"c4n4ry-file\nc4n4ry more\n");
    for text in texts {
        site.write("navigator.yml", &text);
        for arguments in [&["check", "navigator.yml"][..], &["check", "--format", "json", "navigator.yml"]] {
            let ended = start(&site, arguments).ended();
            assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.description);
            assert_eq!(ended.code == Some(0), text == right, "{}", ended.description);
            assert_untold_by(&ended);
        }
    }
}
