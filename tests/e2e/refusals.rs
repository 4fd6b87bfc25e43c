//! Starts that fail: each says what is wrong in words of its own, and what to do about it.

use crate::harness::{Signal, Site, servers};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};

/// Starts that fail for everybody: a name, the definition, and what `Process failed` has to say.
const FOR_ALL: &[(&str, &str, &str)] = &[
    (
        "unknown-command",
        "command: no-such-tool, env: { PATH: /opt/tools:/bin }",
        "command not found: `no-such-tool` is in no directory of its PATH; `navigator doctor` shows them",
    ),
    ("missing-file", "command: ./missing", "command not found: `./missing` does not exist"),
    (
        "not-executable",
        "command: ./plain",
        "not executable: `./plain` may not be executed by its user; `chmod +x` allows it, a `noexec` mount doesn't",
    ),
    ("a-directory", "command: ./directory", "not executable: `./directory` is a directory"),
    (
        "no-interpreter",
        "command: ./orphaned",
        "interpreter missing: `./orphaned` wants `/no/such/interpreter`, which does not exist",
    ),
    (
        "windows-lines",
        "command: ./carriage",
        "interpreter missing: `./carriage` wants `/bin/sh\\r`, which does not exist; save the script with unix line ends",
    ),
    (
        "no-program",
        "command: ./bare",
        "not a program: `./bare` is no binary of this machine's kind, and a script begins with `#!/bin/sh`",
    ),
    (
        "busy",
        "command: ./busy",
        "text file busy: `./busy` is open for writing; replace a program by renaming the new one to its name",
    ),
    (
        "too-long",
        "command: \"true\", args: [LONG, LONG], limits: { stack: 500000 }",
        "argument list too long: the arguments and variables of `true` together take more than a quarter of `limits.stack`",
    ),
    ("no-directory", "command: \"true\", working_dir: /no/such", "working_dir does not exist: `/no/such`"),
    ("file-as-directory", "command: \"true\", working_dir: ./plain", "working_dir is not a directory: `./plain`"),
    ("unknown-user", "command: \"true\", user: no-such-user", "unknown user: `no-such-user` has no account on this host"),
    ("unknown-group", "command: \"true\", group: no-such-group", "unknown group: `no-such-group` does not exist on this host"),
    (
        "beyond-the-kernel",
        "command: \"true\", limits: { nofile: 99999999999 }",
        "setting limits.nofile: operation not permitted; only root may exceed the hard limit, and only up to the kernel's maximum",
    ),
];

/// Starts that fail where navigator is root.
const FOR_ROOT: &[(&str, &str, &str)] = &[
    (
        "closed-directory",
        "command: \"true\", working_dir: ./closed, user: nobody",
        "working_dir may not be entered by its user: `./closed`",
    ),
    (
        "no-more-processes",
        "command: \"true\", user: nobody, limits: { nproc: 0 }, depends_on: [crowd]",
        "host exhausted: no more processes or threads (see `ulimit -u`, the control group's `pids.max`, `kernel.pid_max`)",
    ),
];

/// Starts that fail where it isn't.
const FOR_OTHERS: &[(&str, &str, &str)] = &[
    (
        "other-user",
        "command: \"true\", user: root",
        "taking the groups of user `root`: operation not permitted; only root may run a process as another user or group",
    ),
    ("priority", "command: \"true\", nice: -5", "setting nice: permission denied; only root may raise a priority"),
    ("spared", "command: \"true\", oom_score_adj: -500", "setting oom_score_adj: permission denied; only root may lower it"),
];

/// The files that the table names.
fn furnish(site: &Site) -> fs::File {
    site.write("plain", "#!/bin/sh\n");
    site.script("orphaned", "#! /no/such/interpreter -x\n");
    site.script("carriage", "#!/bin/sh\r\n");
    site.script("bare", "echo hello\n");
    site.script("busy", "");
    fs::copy("/bin/true", site.path("busy")).expect("every host has it");
    for directory in ["directory", "closed"] {
        fs::create_dir(site.path(directory)).expect("it is ours");
    }
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(site.path("closed"), closed).expect("it is ours");
    OpenOptions::new().append(true).open(site.path("busy")).expect("it is ours")
}

fn configuration(table: &[(&str, &str, &str)]) -> String {
    let long = "x".repeat(100_000);
    let lines = table.iter().map(|(name, fields, _)| format!("  - {{ name: {name}, {} }}\n", fields.replace("LONG", &long)));
    "managed_processes:\n".to_owned() + &lines.collect::<String>()
}

#[test]
fn every_kind_of_failed_start_has_words_of_its_own() {
    let is_root = rustix::process::geteuid().is_root();
    let site = Site::new();
    let _open_for_writing = furnish(&site);
    let table: Vec<_> = FOR_ALL.iter().chain(if is_root { FOR_ROOT } else { FOR_OTHERS }).copied().collect();
    let crowd = if is_root { "  - { name: crowd, command: sleep, args: [3600], user: nobody }\n" } else { "" };
    let mut navigator = site.start(&(configuration(&table) + crowd));
    let mut reasons = BTreeSet::new();
    for (name, _, expected) in &table {
        let failed = navigator.event("Process failed", name);
        assert_eq!(failed.field("reason"), Some(*expected), "{name}");
        reasons.insert(*expected);
    }
    assert_eq!(reasons.len(), table.len(), "no two kinds say the same");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn the_searched_path_is_logged_with_verbose_only() {
    let process = "managed_processes: [{ name: tool, command: no-such-tool, env: { PATH: /opt/tools } }]\n";
    for (option, is_shown) in [("--verbose", true), ("--no-watch", false)] {
        let site = Site::new();
        site.write("navigator.yml", process);
        let mut navigator = site.command([option, "navigator.yml"]).start();
        navigator.event("Process failed", "tool");
        assert_eq!(navigator.log().describe().contains("/opt/tools"), is_shown, "{option}\n{}", navigator.log().describe());
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    }
}

#[test]
fn a_start_that_only_root_could_make_says_so() {
    let test = "refusals::a_start_that_only_root_could_make_says_so";
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    if !servers::root(test)
        || !servers::permitted(test, &["setpriv", nobody[0], nobody[1], nobody[2], env!("CARGO_BIN_EXE_navigator"), "--version"])
    {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", &configuration(FOR_OTHERS));
    for directory in ["", "run"] {
        let path = site.path(directory);
        fs::create_dir_all(&path).expect("it is ours");
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).expect("the test is root");
    }
    std::os::unix::fs::chown(site.path("navigator.yml"), Some(65534), Some(65534)).expect("the test is root");
    let state = site.path("run/state");
    let launch = site.command_through("setpriv", &nobody, &["navigator.yml"]);
    let mut navigator = launch.env("NAVIGATOR_STATE_DIR", &state).env("NAVIGATOR_PID_FILE", site.path("run/pid")).start();
    for (name, _, expected) in FOR_OTHERS {
        assert_eq!(navigator.event("Process failed", name).field("reason"), Some(*expected), "{name}");
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
