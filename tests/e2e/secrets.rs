//! A secret reaches the process that it is for, and nothing else: no log, no diagnostic, no file of navigator's, no command line.
//!
//! Every secret in here has `c4n4ry` in it, and comes another way: from navigator's environment, from an env file, under a secret
//! name, as a default, by an alias, through an included file.

use crate::harness::{Ended, Navigator, Signal, Site, socket};
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

/// Programs that tell secrets in words that become a reason: the output of checks, and `STATUS=`.
const TELLERS: &str = r#"
rollback: true
env_file: global.env
defaults:
  depends_on: []
  env: { OWN_TOKEN: c4n4ry-literal, URL: "postgres://app:${CANARY}@db" }
managed_processes:
  - name: unready
    command: sh
    args: [-c, exec sleep 3600, sh, "--password=${CANARY}"]
    ready: { exec: [sh, -c, *tell , sh, "${CANARY}"], interval: 10ms, deadline: 10m }
  - name: late
    command: sleep
    args: ['3600']
    ready: { exec: [sh, -c, *tell ], interval: 10ms, deadline: 200ms }
  - name: unhealthy
    command: sleep
    args: ['3600']
    liveness: { exec: [sh, -c, *tell ], interval: 10ms, failures: 1 }
  - name: notifier
    command: python3
    args:
      - -c
      - |-
        import os, socket, time
        status = "STATUS=wrong " + os.environ["OWN_TOKEN"] + " " + os.environ["FILE_TOKEN"]
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(status.encode(), os.environ["NOTIFY_SOCKET"])
        time.sleep(3600)
    ready: { notify: true, deadline: 10m }
  - { name: homeless, command: sleep, args: ['3600'], listen: "${CANARY_HOST}:1" }
x-tell: &tell 'echo "wrong $OWN_TOKEN $FILE_TOKEN $URL ${URL#*//} $CANARY $INHERITED_SECRET $1"; exit 1'
"#;

/// A rolling replacement whose probe tells a secret once `RELEASE` is 2.
const REPLACED: &str = r#"
  - name: replaced
    command: sleep
    args: ['3600']
    env: { OWN_TOKEN: c4n4ry-literal, RELEASE: '1' }
    ready: { exec: [sh, -c, 'test $RELEASE = 1 || { echo "wrong $OWN_TOKEN"; exit 1; }'], interval: 10ms, deadline: 200ms }
    on_change: rolling
    rolling: { stable: 10ms }
"#;

#[test]
fn no_reason_tells_a_secret_that_a_program_has_told() {
    let site = Site::new();
    site.write("global.env", "FILE_TOKEN=c4n4ry-file\n");
    let (tellers, anchor) = TELLERS.rsplit_once("x-tell:").expect("it has an anchor");
    let text = |replaced: &str| format!("x-tell:{anchor}{tellers}{replaced}");
    site.write("navigator.yml", &text(REPLACED));
    let launch = site.command(["-v", "navigator.yml"]).env("CANARY", "c4n4ry-env").env("INHERITED_SECRET", "c4n4ry-inherited");
    let navigator = launch.env("CANARY_HOST", "203.0.113.7").start();
    for (name, message) in [("replaced", "Process ready"), ("late", "Process failed"), ("unhealthy", "Stopping process")] {
        navigator.event(message, name);
    }
    let events = site.command(["events", "--since", "0"]).start();
    site.write("navigator.yml", &text(&REPLACED.replace("RELEASE: '1'", "RELEASE: '2'")));
    let put_back = navigator.event("Process put back", "replaced");
    let told = "put back: not ready within 200ms: exit status 1: wrong (secret) (generation 2)";
    assert_eq!(put_back.field("reason"), Some(told));

    let all = "exit status 1: wrong (secret) (from global.env) postgres://app:${CANARY}@db app:${CANARY}@db ${CANARY} \
               ${INHERITED_SECRET}";
    let reasons = [
        ("unready", format!("{all} ${{CANARY}}")),
        ("late", all.to_owned()),
        ("unhealthy", all.to_owned()),
        ("notifier", "wrong (secret) (from global.env)".to_owned()),
        ("homeless", "can't listen on ${CANARY_HOST}:1: this host doesn't have that address".to_owned()),
        ("replaced", told.to_owned()),
    ];
    let status = navigator.log().until("each reason in the status", || {
        let status = socket::ask(&site, "GET", "/v1/status", "").json();
        let is_told = |(name, reason): &(&str, String)| {
            let mut processes = status["processes"].as_array().into_iter().flatten();
            processes.any(|process| process["name"] == *name && process.to_string().contains(reason))
        };
        reasons.iter().all(is_told).then(|| status.to_string())
    });
    let ended = navigator.ends();
    assert_untold("the status", &status);
    assert_untold("a file of navigator's state", &files_below(&site.path("state")));
    let events = events.ended();
    for line in events.stdout().lines() {
        assert!(line.matches("\"reason\":").count() == 1, "one reason each: {line}");
    }
    for told in [&ended, &events] {
        assert_untold_by(told);
        assert!(!format!("{}{}", told.stdout(), told.stderr()).contains("203.0.113.7"), "{}", told.description);
    }
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
