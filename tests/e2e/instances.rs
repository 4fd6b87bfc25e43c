//! An instance is known by the path that it was started with, wherever that path leads by now: it is found, it runs once, and
//! what a killed navigator left is found by the next one.

use crate::harness::{Navigator, Signal, Site, client};
use crate::taken_over::kill;
use serde_json::Value;
use std::process::Command;
use std::thread;

/// What happens to the path of a configuration, as shell scripts that run in the site. The file is `conf/navigator.yml` at
/// first; `new` holds another one.
struct Layout {
    name: &'static str,
    before: &'static str,
    /// The path that navigator is started with.
    path: &'static str,
    change: &'static str,
    /// Other paths that lead to the same file after the change.
    aliases: &'static [&'static str],
    /// Makes the file readable again, if the change doesn't leave it so.
    mend: Option<&'static str>,
}

const PLAIN: Layout = Layout {
    name: "",
    before: ":",
    path: "conf/navigator.yml",
    change: "",
    aliases: &["./conf/../conf/navigator.yml"],
    mend: None,
};

const CURRENT: Layout =
    Layout { before: "mkdir releases; mv conf releases/1; ln -s releases/1 current", path: "current/navigator.yml", ..PLAIN };

const LAYOUTS: [Layout; 11] = [
    Layout {
        name: "ConfigMap",
        before: "mkdir conf/..1; mv conf/navigator.yml conf/..1; ln -s ..1 conf/..data; ln -s ..data/navigator.yml conf/navigator.yml",
        change: "mkdir conf/..2; cp new conf/..2/navigator.yml; ln -s ..2 conf/..tmp; mv -T conf/..tmp conf/..data; rm -r conf/..1",
        aliases: &["conf/..data/navigator.yml", "conf/..2/navigator.yml"],
        ..PLAIN
    },
    Layout {
        name: "switched directory link",
        change: "mkdir releases/2; cp new releases/2/navigator.yml; ln -sfn releases/2 current",
        aliases: &["releases/2/navigator.yml", "current/../2/navigator.yml"],
        ..CURRENT
    },
    Layout {
        name: "switched file link",
        before: "mv conf/navigator.yml one.yml; ln -s ../one.yml conf/navigator.yml",
        change: "ln -sfn ../new conf/navigator.yml",
        aliases: &["new"],
        ..PLAIN
    },
    Layout {
        name: "link replaced by a file",
        change: "rm current; mkdir current; cp new current/navigator.yml",
        aliases: &[],
        ..CURRENT
    },
    Layout { name: "moved directory", change: "mv conf elsewhere", mend: Some("mv elsewhere conf"), ..PLAIN },
    Layout { name: "replaced directory", change: "mv conf old; mkdir conf; cp new conf/navigator.yml", ..PLAIN },
    Layout { name: "moved release", change: "mv releases/1 gone", mend: Some("ln -sfn gone current"), aliases: &[], ..CURRENT },
    Layout { name: "missing file", change: "rm conf/navigator.yml", mend: Some("cp new conf/navigator.yml"), ..PLAIN },
    Layout {
        name: "missing file behind a link",
        change: "rm releases/1/navigator.yml",
        mend: Some("cp new releases/1/navigator.yml"),
        aliases: &["releases/1/navigator.yml"],
        ..CURRENT
    },
    Layout {
        name: "device",
        change: "ln -sf /dev/null conf/navigator.yml",
        mend: Some("cp --remove-destination new conf/navigator.yml"),
        ..PLAIN
    },
    Layout {
        name: "pipe",
        change: "rm conf/navigator.yml; mkfifo conf/navigator.yml",
        mend: Some("cp --remove-destination new conf/navigator.yml"),
        ..PLAIN
    },
];

/// The commands of clients, and their exit codes where the file is readable and where it isn't.
const COMMANDS: [(&[&str], i32, i32); 11] = [
    (&["wait", "--timeout", "2s"], 0, 3),
    (&["status"], 0, 3),
    (&["status", "web"], 0, 3),
    (&["logs"], 0, 0),
    (&["plan"], 0, 1),
    (&["stop", "web"], 0, 0),
    (&["start", "web"], 0, 0),
    (&["restart", "web"], 0, 0),
    (&["signal", "CONT", "web"], 0, 0),
    (&["reload"], 0, 1),
    (&["-s", "reload"], 0, 0),
];

fn configuration(number: u32) -> String {
    format!(
        "managed_processes:\n  - {{ name: web, command: \"${{FIXTURES}}/child.sh\", args: [web], env: {{ V: \"{number}\" }}, output: null }}\n"
    )
}

fn shell(site: &Site, script: &str) {
    client(Command::new("sh").args(["-euc", script]).current_dir(site.path("")));
}

fn start<'s>(site: &'s Site, path: &str) -> Navigator<'s> {
    let navigator = site.command([path]).start();
    navigator.started("web");
    navigator
}

/// That a second navigator on this path ends at once, and names the pid of the first one if it can read the file.
#[track_caller]
fn assert_refused(site: &Site, navigator: &Navigator<'_>, path: &str, is_readable: bool, what: &str) {
    let second = site.run([path]);
    if is_readable {
        assert_eq!(second.code, Some(1), "{what}: {path}\n{}", second.description);
        let pid = format!("is already run by the navigator with pid {}", navigator.pid());
        assert!(second.stderr().contains(&pid), "{what}: {path}\n{}", second.description);
    } else {
        assert!(matches!(second.code, Some(1 | 2)), "{what}: {path}\n{}", second.description);
    }
}

#[track_caller]
fn assert_found(site: &Site, navigator: &Navigator<'_>, path: &str, what: &str) {
    let status = site.run(["-c", path, "status", "--json"]);
    let shown: Value =
        serde_json::from_str(&status.stdout()).unwrap_or_else(|_| panic!("{what}: {path}\n{}", status.description));
    assert_eq!(shown["pid"], navigator.pid(), "{what}: {path}");
}

/// Starts navigator, which has to take over what the killed one left.
fn restart<'s>(site: &'s Site, path: &str, what: &str) -> Navigator<'s> {
    let navigator = site.command([path]).start();
    navigator.wait(&format!("the takeover: {what}, {path}"), |event| event.message == "Processes taken over");
    navigator
}

/// That the navigator of `conf/navigator.yml` is found by its path and runs once, also after it was killed.
#[track_caller]
pub(crate) fn outlives_its_killing<'s>(site: &'s Site, navigator: Navigator<'s>, what: &str) -> Navigator<'s> {
    const PATH: &str = "conf/navigator.yml";
    assert_found(site, &navigator, PATH, what);
    assert_refused(site, &navigator, PATH, true, what);
    kill(navigator);
    let next = site.command([PATH]).start();
    next.wait("the takeover", |event| event.message == "Processes taken over");
    assert_found(site, &next, PATH, what);
    next
}

fn assert_layout(layout: &Layout) {
    let &Layout { name, path, aliases, .. } = layout;
    let site = Site::new();
    site.write("conf/navigator.yml", &configuration(1));
    site.write("new", &configuration(2));
    shell(&site, layout.before);
    let navigator = start(&site, path);
    shell(&site, layout.change);
    let is_readable = layout.mend.is_none();
    // The change has been seen.
    let message = if is_readable { "Configuration reloaded" } else { "Configuration rejected" };
    navigator.wait(name, |event| event.message == message);
    for (arguments, readable, not) in COMMANDS {
        let ended = site.run(["-c", path].iter().chain(arguments));
        assert_eq!(ended.code, Some(if is_readable { readable } else { not }), "{name}: {arguments:?}\n{}", ended.description);
    }
    let mut events = site.command(["-c", path, "events", "--since", "1"]).start();
    events.log().wait_for("an event", |lines| lines.first().map(|_| ()));
    events.signal(Signal::TERM);
    events.ended();
    let shown: Value = serde_json::from_str(&site.run(["-c", path, "status", "--json"]).stdout()).expect("it is JSON");
    assert_eq!(shown["config"]["path"], site.path(path).display().to_string(), "{name}");
    for other in aliases.iter().chain([&path]) {
        assert_found(&site, &navigator, other, name);
        assert_refused(&site, &navigator, other, is_readable, name);
    }
    kill(navigator);
    if let Some(mend) = layout.mend {
        shell(&site, mend);
    }
    let mut navigator = restart(&site, path, name);
    for alias in aliases {
        kill(navigator);
        navigator = restart(&site, alias, name);
        assert_found(&site, &navigator, path, name);
    }
    assert_refused(&site, &navigator, path, true, name);
    navigator.ends();
}

#[test]
fn wherever_its_path_leads_by_now_an_instance_is_found_runs_once_and_leaves_nothing() {
    thread::scope(|scope| {
        for layout in &LAYOUTS {
            scope.spawn(|| assert_layout(layout));
        }
    });
}

#[test]
fn a_directory_that_the_shell_reached_through_a_link_is_followed_too() {
    let site = Site::new();
    site.write("conf/navigator.yml", &configuration(1));
    site.write("new", &configuration(2));
    shell(&site, CURRENT.before);
    let current = site.path("current");
    let navigator = site.command(["navigator.yml"]).in_directory(&current).env("PWD", &current).start();
    navigator.started("web");
    shell(&site, "mkdir releases/2; cp new releases/2/navigator.yml; ln -sfn releases/2 current");
    navigator.wait("the other release", |event| event.message == "Configuration reloaded");
    assert_found(&site, &navigator, "current/navigator.yml", "by its path");
    navigator.ends();
}

#[test]
fn paths_in_a_configuration_go_by_the_path_as_given() {
    let site = Site::new();
    site.write("conf/navigator.yml", "include: ['${NAVIGATOR_CONFIG_DIR}/parts/*.yml']\n");
    site.write("conf/parts/web.yml", "managed_processes:\n  - { name: web, command: sh, args: [-c, 'echo \"$0\"; sleep 1h', '${NAVIGATOR_CONFIG_DIR}/x'], env_file: ../one.env }\n");
    site.write("conf/one.env", "ONE=1\n");
    shell(&site, "mkdir releases; mv conf releases/1; ln -s releases/1 current");
    let navigator = site.command(["current/navigator.yml"]).start();
    let expected = site.path("current/x").display().to_string();
    navigator.says("web", |line| line == expected);
    shell(&site, "mkdir elsewhere; cp -r releases/1/. elsewhere; echo ONE=2 > elsewhere/one.env; ln -sfn elsewhere current");
    assert_eq!(navigator.event("Stopping process", "web").field("reason"), Some("env changed"));
    let plan = site.asks(&["-c", "current/navigator.yml", "plan"], 0).stdout();
    assert!(plan.starts_with("no changes"), "{plan}");
    // It is not secret, as other variables are.
    let changed = "managed_processes:
  - { name: web, command: x, args: ['${NAVIGATOR_CONFIG_DIR}/new', '${NAVIGATOR_CONFIG_DIRE}', '${HOME}'] }\n";
    site.write("current/next.yml", changed);
    let rejected = site.asks(&["check", "current/next.yml"], 1).stderr();
    assert!(rejected.contains("did you mean `${NAVIGATOR_CONFIG_DIR}`?"), "{rejected}");
    site.write("current/next.yml", &changed.replace("${NAVIGATOR_CONFIG_DIRE}", "-"));
    let plan = site.asks(&["-c", "current/navigator.yml", "plan", "current/next.yml"], 0).stdout();
    let shown = site.path("current/new").display().to_string();
    assert!(plan.contains(&shown) && plan.contains("${HOME}"), "{plan}");
    navigator.ends();
}

#[test]
fn of_many_that_are_started_at_once_through_different_paths_one_runs() {
    let site = Site::new();
    site.write("conf/navigator.yml", &configuration(1));
    shell(&site, "ln -s conf current; ln -s conf/navigator.yml link.yml");
    let paths = ["conf/navigator.yml", "current/navigator.yml", "link.yml", "./conf/../current/navigator.yml"];
    let mut all: Vec<Navigator<'_>> = (0..40).map(|number| site.command([paths[number % paths.len()]]).start()).collect();
    let last = all.len() - 1;
    all[last].log().until("all but one to end", || {
        (all.iter().filter(|navigator| navigator.log().has_ended()).count() == last).then_some(())
    });
    let running = all.iter().position(|navigator| !navigator.log().has_ended()).expect("one runs on");
    let one = all.swap_remove(running);
    one.started("web");
    for other in all {
        let ended = other.ended();
        let names_it = ended.stderr().contains(&format!("is already run by the navigator with pid {}", one.pid()));
        assert!(ended.code == Some(1) && names_it, "{}", ended.description);
    }
    one.journals("web start");
    assert_eq!(site.journal(), ["web start"], "it was started once");
    one.ends();
}

#[test]
fn without_a_configuration_the_only_instance_is_meant_and_several_are_listed() {
    let site = Site::new();
    site.write("a/conf.yml", &configuration(1));
    site.write("b/conf.yml", "managed_processes: []\n");
    let none = site.asks(&["status"], 4).stderr();
    assert!(none.starts_with("navigator: no navigator runs, and there is no configuration: name one"), "{none}");
    let mut only = site.command(["a/conf.yml"]).start();
    only.started("web");
    for arguments in [&["wait"][..], &["status"], &["logs"], &["plan"], &["restart", "web"], &["reload"], &["-s", "reload"]] {
        site.asks(arguments, 0);
    }
    let other = site.command(["b/conf.yml"]).env("NAVIGATOR_PID_FILE", site.path("other.pid")).start();
    other.wait("its start", |event| event.message == "Configuration loaded");
    let list = ["a/conf.yml", "b/conf.yml"].map(|path| format!("`{}`", site.path(path).display())).join(", ");
    for arguments in [&["status"][..], &["wait"], &["stop", "web"], &["plan"], &["events"]] {
        let several = site.asks(arguments, 2).stderr();
        assert_eq!(several, format!("navigator: several navigators run; name one with `--config`: {list}\n"), "{arguments:?}");
    }
    site.asks(&["-c", "a/conf.yml", "status"], 0);
    only.signal(Signal::TERM);
    only.log().wait_for_exit();
    site.asks(&["status"], 0);
    other.ends();
}

#[test]
fn the_configuration_may_come_before_the_names_of_processes() {
    let site = Site::new();
    site.write("conf/navigator.yml", &configuration(1));
    let navigator = start(&site, "conf/navigator.yml");
    let conf = site.path("conf");
    // What can be a file of this directory, and the names after it; and the exit code.
    let found: [(&[&str], &str, &[&str], i32); 11] = [
        (&["status"], "conf/navigator.yml", &[], 0),
        (&["status"], "conf/navigator.yml", &["web"], 0),
        (&["wait"], "conf/navigator.yml", &["web"], 0),
        (&["logs"], "conf/navigator.yml", &[], 0),
        (&["stop"], "conf/navigator.yml", &["web"], 0),
        (&["start"], "conf/navigator.yml", &["web"], 0),
        (&["signal", "CONT"], "conf/navigator.yml", &["web"], 0),
        (&["reload"], "conf/navigator.yml", &[], 0),
        (&["status"], "conf/other.yml", &[], 4),
        (&["stop"], "conf/navigator.yml", &[], 2),
        (&["graph"], "conf/navigator.yml", &[], 0),
    ];
    for (command, config, names, code) in found {
        let other = site.path("elsewhere/navigator.yml").display().to_string();
        let arguments = command.iter().chain([&config]).chain(names);
        let ended = site.command(arguments).env("NAVIGATOR_CONFIG", &other).start().ended();
        assert_eq!(ended.code, Some(code), "{command:?} {config} {names:?}\n{}", ended.description);
    }
    let within = site.command(["status", "navigator.yml"]).in_directory(&conf).start().ended();
    assert_eq!(within.code, Some(0), "{}", within.description);
    // With `--config`, all are names.
    let named = site.asks(&["-c", "conf/navigator.yml", "status", "navigator.yml"], 1).stderr();
    assert!(named.contains("no process `navigator.yml` in the file"), "{named}");
    site.asks(&["-c", "conf/navigator.yml", "events", "conf/other.yml"], 2);
    let none = site.asks(&["stop", "conf/navigator.yml"], 2).stderr();
    assert_eq!(none, "navigator: no process is named: write `navigator stop CONFIG NAME`\n");
    navigator.ends();
}

#[test]
fn standard_input_is_checked_like_a_file() {
    let site = Site::new();
    site.write("part.yml", "managed_processes: [{ name: part, command: sleep, args: ['1'] }]\n");
    site.write("valid.yml", "include: [part.yml]\n");
    site.write("wrong.yml", "managed_processes: [{ name: web, comand: sleep }]\n");
    let check = |file: &str| {
        let piped = format!("\"$0\" \"$@\" <{file}");
        site.command_through("sh", &["-c", &piped], &["check", "-"]).start().ended()
    };
    let valid = check("valid.yml");
    assert_eq!((valid.code, valid.stdout().trim()), (Some(0), "-: valid: 1 managed process"), "{}", valid.description);
    let wrong = check("wrong.yml");
    assert_eq!(wrong.code, Some(1), "{}", wrong.description);
    assert!(wrong.stderr().starts_with("-:1:34: error: ") && wrong.stderr().contains("`command`"), "{}", wrong.description);
    assert_eq!(check("/dev/null").code, Some(1), "an empty text is no configuration");
}
