//! Processes that navigator may not signal, because they have become another user's.

use crate::harness::{Signal, Site, leftovers, servers};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

#[test]
fn a_process_that_may_not_be_killed_is_named_with_the_reason() {
    let test = "unkillable::a_process_that_may_not_be_killed_is_named_with_the_reason";
    if !servers::root(test) || !servers::present(test, &["setpriv"]) {
        return;
    }
    let site = Site::new();
    let privileged = site.path("become-root");
    fs::copy("/usr/bin/setpriv", &privileged).expect("every host has it");
    fs::set_permissions(&privileged, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: foreign, command: ./become-root, args: [--reuid, '0', --clear-groups, sleep, '3600'], \
         stop: { timeout: 300ms } }\n",
    );
    for directory in ["", "run", "navigator.yml"] {
        let path = site.path(directory);
        if directory == "run" {
            fs::create_dir(&path).expect("it is ours");
        }
        chown(&path, Some(65534), Some(65534)).expect("the test is root");
    }
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let state = site.path("run/state");
    let launch = site.command_through("setpriv", &nobody, &["navigator.yml"]);
    let mut navigator = launch.env("NAVIGATOR_STATE_DIR", &state).env("NAVIGATOR_PID_FILE", site.path("run/pid")).start();
    let pid = navigator.started("foreign");
    navigator.log().until("a process of root", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().any(|line| line.split_whitespace().eq(["Uid:", "0", "0", "0", "0"])).then_some(())
    });
    let state = state.display().to_string();
    let ask = |command: &str| {
        let arguments = ["--state-dir", &state, "-c", "navigator.yml", command, "foreign"];
        site.command_through("setpriv", &nobody, &arguments).start().ended()
    };
    let restart = ask("restart");
    assert_eq!(restart.code, Some(1), "{}", restart.description);
    let why = format!("it can't be killed: pids {pid}: operation not permitted");
    assert!(restart.stderr().contains(&why), "{}", restart.description);
    let refused = navigator.wait("a refused signal", |event| event.message == "Signal refused");
    assert_eq!(refused.field("name"), Some("foreign"), "{refused:?}");
    let survives = navigator.event("Process survives KILL", "foreign");
    assert_eq!(survives.field("pids"), Some(&*pid.to_string()), "{survives:?}");
    let status = ask("status").stdout();
    assert!(status.contains("operation not permitted"), "{status}");
    navigator.signal(Signal::TERM);
    let ended = navigator.ended();
    assert_eq!(ended.code, Some(1), "a process is left\n{}", ended.description);
    site.living().iter().for_each(|process| leftovers::send(process, Signal::KILL));
}
