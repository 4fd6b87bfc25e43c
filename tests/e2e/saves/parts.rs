//! What is watched beside the file itself, and what is left where the kernel tells nothing.

use super::{assert_reloads, assert_untouched, on_directory, shell, unwatchable, verdicts, version};
use crate::harness::{Signal, Site, servers};
use std::process::Command;

#[test]
fn includes_and_env_files_are_watched_too() {
    let site = Site::new();
    site.write("conf/shared.env", "COLOUR=red\n");
    site.write("conf/parts/one.yml", &part("one", "one-1"));
    let main = r#"
include: parts/*.yml
managed_processes:
  - { name: kept, command: "${FIXTURES}/child.sh", args: [kept], depends_on: [] }
  - { name: painted, command: "${FIXTURES}/child.sh", args: ["${COLOUR}"], env_file: shared.env, depends_on: [] }
"#;
    let mut navigator = on_directory(&site, main);
    for name in ["kept", "red", "one-1"] {
        navigator.journals(&format!("{name} start"));
    }
    let steps = [
        ("printf 'COLOUR=blue\\n' > conf/shared.env", "Process started", "painted"),
        ("printf 'COLOUR=green\\n' > conf/tmp; mv conf/tmp conf/shared.env", "Process started", "painted"),
        ("sed -i s/one-1/one-2/ conf/parts/one.yml", "Process started", "one"),
        // A new one, that takes its time.
        ("{ head -n 1 two; sleep 0.4; tail -n +2 two; } > conf/parts/two.yml", "Process started", "two"),
        ("mv conf/parts/two.yml conf/parts/two.off", "Process stopped", "two"),
        ("mv conf/parts/two.off conf/parts/two.yml", "Process started", "two"),
        ("rm conf/parts/two.yml", "Process stopped", "two"),
        (
            "cp -r conf/parts next; sed -i s/one-2/one-3/ next/one.yml; mv conf/parts parts.old; mv next conf/parts",
            "Process started",
            "one",
        ),
    ];
    site.write("two", &part("two", "two-1"));
    for (done, (script, message, name)) in steps.iter().enumerate() {
        let before = navigator.count(message, name);
        shell(&site, script, 0);
        navigator.nth_event(message, name, before);
        // Nobody is interested in these.
        shell(&site, "echo noise >> conf/parts/noise.log; : > conf/parts/.one.yml.swp; rm conf/parts/.one.yml.swp", 0);
        let found: Vec<String> = verdicts(&navigator).into_iter().map(|event| event.message).collect();
        assert_eq!(found, vec!["Configuration reloaded"; done + 1], "after `{script}`\n{}", navigator.log().describe());
    }
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

fn part(name: &str, argument: &str) -> String {
    format!(
        "managed_processes:\n  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{argument}], depends_on: [] }}\n"
    )
}

#[test]
fn where_the_kernel_refuses_to_tell_a_poll_sees_it_and_the_log_says_so() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let test = format!("saves: without events, {limit}");
        if !servers::succeeds(&test, Command::new("unshare").args(unwatchable(limit)).arg("true")) {
            return;
        }
        let site = Site::new();
        site.write("conf/navigator.yml", &version(1));
        let mut navigator = site.command_through("unshare", &unwatchable(limit), &["conf/navigator.yml"]).start();
        navigator.journals("version-1 start");
        let warnings = || navigator.events().iter().filter(|event| event.message == "Files can't be watched by events").count();
        navigator.log().until("the warning", || (warnings() > 0).then_some(()));
        for (number, save) in [(2, "cat new > conf/navigator.yml"), (3, "mv new conf/navigator.yml")] {
            site.write("new", &version(number));
            shell(&site, save, number);
            navigator.journals(&format!("version-{number} start"));
        }
        assert_eq!(warnings(), 1, "{}", navigator.log().describe());
        assert_reloads(&navigator, 2, limit);
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    }
}

#[test]
fn a_save_in_a_flood_of_other_changes_is_seen() {
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(1));
    navigator.journals("version-1 start");
    site.write("new", &version(2));
    // More than the kernel queues for a slow reader (`max_queued_events` in `inotify(7)`).
    let flood = "noise() { i=0; while [ $i -lt 10000 ]; do : > conf/noise; i=$((i + 1)); done; }; noise; cat new > conf/navigator.yml; noise";
    shell(&site, flood, 0);
    navigator.journals("version-2 start");
    assert_reloads(&navigator, 1, "the flood");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
