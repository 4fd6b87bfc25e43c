//! A process is its whole tree: whatever it started is signalled, killed and waited for with it.

use crate::harness::{Navigator, Signal, Site, leftovers, report, servers};

/// Starts, below a leader, three ways of getting away: a plain child, one in a session of its own, and one that was
/// forked twice and ignores TERM.
const FAMILY: &str = r#"#!/bin/sh
sleep 3601 &
setsid sleep 3602 &
(setsid sh -c 'trap "" TERM; while :; do sleep 3603; done' &)
"#;

/// A fourth way: a session of its own, no parent and an empty environment, so that nothing tells whose it was.
const STRANGER: &str = "(env -i setsid sleep 3604 &)\n";

/// Waits until all of these run.
fn family_is_complete(navigator: &Navigator<'_>, members: &[u16]) {
    navigator.log().until("the whole family", || {
        let lines = navigator.command_lines_below();
        members.iter().all(|member| lines.iter().any(|line| line.ends_with(&format!(" sleep {member}")))).then_some(())
    });
}

#[track_caller]
fn nobody_is_left_below(navigator: &Navigator<'_>) {
    navigator.log().until("the end of the whole family", || {
        let below = navigator.command_lines_below();
        below.is_empty().then_some(())
    });
}

/// A family whose leader stays; `others` are lines of the script.
fn staying(site: &Site, others: &str) -> String {
    site.script("family.sh", &format!("{FAMILY}{others}exec sleep 3600\n"));
    "managed_processes:\n  - { name: family, command: ./family.sh, stop: { timeout: 500ms } }\n".to_owned()
}

#[test]
fn nobody_outlives_a_shutdown() {
    let site = Site::new();
    let mut navigator = site.start(&staying(&site, STRANGER));
    family_is_complete(&navigator, &[3601, 3602, 3603, 3604]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn nobody_outlives_a_quit() {
    let site = Site::new();
    let mut navigator = site.start(&staying(&site, STRANGER));
    family_is_complete(&navigator, &[3601, 3602, 3603, 3604]);
    navigator.signal(Signal::QUIT);
    navigator.exits(130);
}

#[test]
fn nobody_outlives_a_process_that_was_removed_from_the_file() {
    let site = Site::new();
    let mut navigator = site.start_unwatched(&staying(&site, ""));
    family_is_complete(&navigator, &[3601, 3602, 3603]);
    site.write("navigator.yml", "managed_processes: []\n");
    navigator.signal(Signal::HUP);
    navigator.event("Process stopped", "family");
    // "Stopped" is said of the whole tree, so nothing is left to wait for.
    assert_eq!(navigator.command_lines_below(), Vec::<String>::new());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_leader_that_exits_takes_its_tree_with_it() {
    let site = Site::new();
    site.script("family.sh", &format!("{FAMILY}until [ -e go ]; do sleep 0.05; done\nexit 0\n"));
    let mut navigator = site.start("managed_processes:\n  - { name: family, command: ./family.sh, stop: { timeout: 500ms } }\n");
    family_is_complete(&navigator, &[3601, 3602, 3603]);
    site.write("go", "");
    assert_eq!(navigator.event("Process exited", "family").field("status"), Some("0"));
    nobody_is_left_below(&navigator);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_leader_that_is_killed_takes_its_tree_with_it_before_it_comes_back() {
    let site = Site::new();
    site.script("family.sh", &format!("{FAMILY}exec sleep 3600\n"));
    let mut navigator = site
        .start("managed_processes:\n  - { name: family, command: ./family.sh, auto_restart: true, stop: { timeout: 500ms } }\n");
    family_is_complete(&navigator, &[3601, 3602, 3603]);
    let former = navigator.descendants();
    navigator.kill(navigator.started("family"));
    navigator.nth_event("Process started", "family", 1);
    family_is_complete(&navigator, &[3601, 3602, 3603]);
    let survivors: Vec<_> = navigator.descendants().intersection(&former).cloned().collect();
    assert!(survivors.is_empty(), "{survivors:?} of the first life live beside the second\n{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn every_process_of_a_tree_is_asked_to_stop() {
    let site = Site::new();
    site.script(
        "leader.sh",
        "#!/bin/sh\nsetsid \"$FIXTURES/child.sh\" inner &\n(\"$FIXTURES/child.sh\" twice-forked &)\nexec \"$FIXTURES/child.sh\" leader\n",
    );
    let mut navigator = site.start("managed_processes:\n  - { name: tree, command: ./leader.sh }\n");
    let members = ["leader", "inner", "twice-forked"];
    for name in members {
        navigator.journals(&format!("{name} start"));
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    let journal = site.journal();
    for name in members {
        assert!(journal.contains(&format!("{name} exit")), "{name} stopped by itself: {journal:?}");
    }
}

#[test]
fn who_ignores_the_signal_is_killed_though_the_leader_has_gone_before() {
    let site = Site::new();
    site.script("leader.sh", "#!/bin/sh\nIGNORE=TERM setsid \"$FIXTURES/child.sh\" deaf &\nexec \"$FIXTURES/child.sh\" leader\n");
    let mut navigator = site.start("managed_processes:\n  - { name: tree, command: ./leader.sh, stop: { timeout: 700ms } }\n");
    navigator.journals("leader start");
    navigator.journals("deaf start");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    let journal = site.journal();
    assert!(journal.contains(&"leader exit".into()) && journal.contains(&"deaf ignored".into()), "{journal:?}");
}

#[test]
fn what_a_main_process_leaves_behind_is_asked_to_stop_and_named() {
    let site = Site::new();
    for end in ["exit 0", "kill -9 $$"] {
        site.script(
            "main.sh",
            &format!("#!/bin/sh\nsetsid \"$FIXTURES/child.sh\" worker &\nuntil [ -e go ]; do sleep 0.02; done\n{end}\n"),
        );
        let navigator = site.start("managed_processes:\n  - { name: main, command: ./main.sh }\n");
        navigator.journals("worker start");
        let worker =
            leftovers::descendants(navigator.pid()).into_iter().find(|process| leftovers::describe(process).contains("worker"));
        let worker = worker.expect("it runs").pid.to_string();
        site.write("go", "");
        let stopping = navigator.event("Stopping remaining processes", "main");
        let pids: Vec<&str> = stopping.field("pids").unwrap_or_default().split(' ').collect();
        assert!(pids.contains(&&*worker), "{stopping:?}");
        navigator.journals("worker exit");
        nobody_is_left_below(&navigator);
        assert_eq!(navigator.count("Killing process", "main"), 0);
        navigator.ends();
        std::fs::remove_file(site.path("go")).expect("it was written");
        std::fs::remove_file(site.path("journal")).expect("it was written");
    }
}

#[test]
fn a_stop_of_the_main_process_lets_it_end_before_its_workers() {
    let site = Site::new();
    // The main process stops its worker by itself, and needs it until then.
    site.script("main.sh", "#!/bin/sh\nsetsid \"$FIXTURES/child.sh\" worker &\nexec \"$FIXTURES/child.sh\" main\n");
    for (scope, expected) in [
        ("main", ["main term", "main exit", "worker term", "worker exit"]),
        ("tree", ["main term", "worker term", "worker exit", "main exit"]),
    ] {
        let stop = format!("stop: {{ scope: {scope} }}, env: {{ LINGER: '0.3' }}");
        let navigator = site.start(&format!("managed_processes:\n  - {{ name: main, command: ./main.sh, {stop} }}\n"));
        navigator.journals("main start");
        navigator.journals("worker start");
        navigator.ends();
        let stops = site.stops();
        let place = |line: &str| stops.iter().position(|stop| stop == line).unwrap_or_else(|| panic!("{line}: {stops:?}"));
        let in_order = place(expected[1]) < place(expected[2]);
        assert!(if scope == "main" { in_order } else { place("worker term") < place("main exit") }, "{stops:?}");
        std::fs::remove_file(site.path("journal")).expect("it was written");
    }
}

#[test]
fn output_that_a_grandchild_holds_open_delays_nothing() {
    let site = Site::new();
    // It would hold it for an hour, and take no notice of being told to stop, until it is killed.
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: holder
    command: sh
    args: [-c, 'setsid sh -c "trap \"\" TERM; sleep 3600; :" & echo done']
    type: task
    stop: { timeout: 500ms }
  - name: next
    command: sleep
    args: ["3600"]
    depends_on: [holder]
"#,
    );
    let (done, next) = (navigator.event("Process exited", "holder"), navigator.event("Process started", "next"));
    report(&format!("what came after it was started {:?} after its end", next.at.duration_since(done.at)));
    navigator.says("holder", |line| line == "done");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn navigator_reaps_what_its_processes_abandon() {
    let site = Site::new();
    // Ten grandchildren end long before their leader, and their parents before them.
    let mut navigator = site.start(
        r"
managed_processes:
  - name: abandoning
    command: sh
    args: [-c, 'for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.05 &) ; done; echo abandoned; exec sleep 3600']
",
    );
    navigator.says("abandoning", |line| line == "abandoned");
    navigator.log().until("no zombie below navigator", || navigator.zombies().is_empty().then_some(()));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn as_pid_1_it_stops_and_reaps_the_same_way() {
    let test = "trees::as_pid_1_it_stops_and_reaps_the_same_way";
    let namespace = ["--pid", "--fork", "--mount-proc"];
    if !servers::root(test) || !servers::permitted(test, &["unshare", "--pid", "--fork", "--mount-proc", "true"]) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", &staying(&site, STRANGER));
    // `unshare` waits outside of the new process namespace, in which navigator is the first process.
    let around = site.command_through("unshare", &namespace, &["navigator.yml"]).start();
    family_is_complete(&around, &[3601, 3602, 3603, 3604]);
    let navigator =
        around.descendants().into_iter().find(|process| leftovers::describe(process).ends_with("navigator navigator.yml"));
    leftovers::send(&navigator.expect("it runs below"), Signal::TERM);
    around.exits(0);
}
