//! Where output goes: files, links, devices, and each stream alone; and what a process sees of its own output.

use crate::harness::{Navigator, Signal, Site, servers};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A user without an account.
const USER: u32 = 61_236;

/// Writes a hundred lines to standard output.
const HUNDRED: &str = "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done";

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with("line ")).map(str::to_owned).collect()
}

fn hundred() -> Vec<String> {
    (0..100).map(|number| format!("line {number}")).collect()
}

/// Runs a process `web` with this script and output until it has exited, and ends navigator.
fn written(site: &Site, script: &str, output: &str) -> String {
    let navigator =
        site.start(&format!("managed_processes:\n  - {{ name: web, command: sh, args: [-c, {script:?}], output: {output} }}\n"));
    navigator.event("Process exited", "web");
    navigator.ends().stdout()
}

#[test]
fn what_a_link_leads_to_is_rotated_and_the_link_stays() {
    // What the link names, and the file that is rotated.
    for (to, real) in [("real.log", "real.log"), ("deeper/real.log", "deeper/real.log"), ("second", "third.log")] {
        let site = Site::new();
        site.write("deeper/other", "");
        symlink("third.log", site.path("second")).expect("its name is new");
        symlink(to, site.path("web.log")).expect("its name is new");
        written(&site, HUNDRED, "{ file: web.log, max_size: 400, keep: 5 }");
        assert_eq!(fs::read_link(site.path("web.log")).expect("the link stays"), Path::new(to));
        assert!(!site.path("web.log.1").exists(), "{to}");
        let all: String = [".2", ".1", ""].iter().map(|end| site.read(&format!("{real}{end}"))).collect();
        assert_eq!(lines(&all), hundred(), "{to}");
    }
}

#[test]
fn what_lies_under_dev_or_proc_is_never_rotated() {
    let shared = PathBuf::from(format!("/dev/shm/navigator-{}.log", std::process::id()));
    let device = |path: &str| fs::symlink_metadata(path).ok().map(|stat| (stat.is_symlink(), fs::read_link(path).ok()));
    let before = ["/dev/stdout", "/dev/stderr"].map(device);
    let site = Site::new();
    symlink("/dev/stdout", site.path("link.log")).expect("its name is new");
    let shared_text = shared.display().to_string();
    for path in ["/dev/stdout", "/proc/self/fd/1", "link.log", "/dev/stderr", &shared_text] {
        let stdout = written(&site, HUNDRED, &format!("{{ file: {path}, max_size: 100, keep: 1 }}"));
        if path == shared_text {
            assert_eq!(lines(&fs::read_to_string(&shared).expect("it was made")), hundred());
            assert!(!Path::new(&format!("{path}.1")).exists());
            fs::remove_file(&shared).expect("it is ours");
        } else if path != "/dev/stderr" {
            assert_eq!(lines(&stdout), hundred(), "{path}");
        }
    }
    assert_eq!(["/dev/stdout", "/dev/stderr"].map(device), before);
    assert!(!Path::new("/dev/stdout.1").exists());
    assert!(site.path("link.log").is_symlink());
}

#[test]
fn a_size_of_zero_keeps_every_line_in_one_file() {
    let site = Site::new();
    written(&site, HUNDRED, "{ file: web.log, max_size: 0 }");
    assert_eq!(lines(&site.read("web.log")), hundred());
    assert!(!site.path("web.log.1").exists());
}

#[test]
fn the_log_file_of_navigator_may_be_a_link_or_standard_output() {
    for path in ["/dev/stdout", "link.log"] {
        let site = Site::new();
        symlink("deeper.log", site.path("link.log")).expect("its name is new");
        let mut navigator = site.start(&format!(
            "logging: {{ file: {path} }}\nmanaged_processes:\n  - {{ name: web, command: sh, args: [-c, 'echo up; exec sleep 1h'] }}\n"
        ));
        let text = |navigator: &Navigator<'_>| {
            let lines: Vec<String> = navigator.log().lines().iter().map(|line| line.text() + "\n").collect();
            lines.concat() + &site.read("deeper.log")
        };
        navigator.log().until("its line", || text(&navigator).contains("[web.stdout] up").then_some(()));
        navigator.signal(Signal::USR2);
        let ended = navigator.ends();
        assert!(site.path("link.log").is_symlink() && Path::new("/dev/stdout").is_symlink(), "{}", ended.description);
        let whole = ended.stdout() + &site.read("deeper.log");
        assert!(whole.contains("Process stopped name=web"), "{}", ended.description);
    }
}

#[test]
fn missing_directories_are_made() {
    let site = Site::new();
    let navigator = site.start(
        r"
logging: { file: own/deep/navigator.log }
managed_processes:
  - { name: web, command: sh, args: [-c, 'echo out; echo err >&2'], output: { file: a/b/web.log, stderr: c/d/web.err } }
",
    );
    navigator.log().until("both lines", || (site.read("a/b/web.log") + &site.read("c/d/web.err") == "out\nerr\n").then_some(()));
    navigator.log().until("the log", || site.read("own/deep/navigator.log").contains("Process exited").then_some(()));
    navigator.ends();
}

#[test]
fn standard_error_goes_to_a_file_of_its_own() {
    let script = "echo out; i=0; while [ $i -lt 50 ]; do echo err $i >&2; i=$((i+1)); done";
    // The output, and what remains for the file and for navigator's own output.
    for (output, file, own) in [
        ("{ file: web.log, stderr: web.err, max_size: 200, keep: 2 }", "out\n", ""),
        ("{ stderr: web.err, max_size: 200, keep: 2 }", "", "[web.stdout] out\n"),
    ] {
        let site = Site::new();
        let stdout = written(&site, script, output);
        assert_eq!((site.read("web.log").as_str(), stdout.as_str()), (file, own));
        let all: String = [".2", ".1", ""].iter().map(|end| site.read(&format!("web.err{end}"))).collect();
        assert!(all.ends_with("err 48\nerr 49\n") && all.lines().all(|line| line.starts_with("err ")), "{all}");
        assert!(site.path("web.err.1").exists() && fs::metadata(site.path("web.err")).expect("it is there").len() <= 200);
    }
}

#[test]
fn a_process_of_another_user_can_open_its_own_output() {
    if !servers::root("destinations::a_process_of_another_user_can_open_its_own_output") {
        return;
    }
    let site = Site::new();
    let navigator = site.start(&format!(
        r"
managed_processes:
  - name: web
    command: sh
    args: [-c, 'echo out >/dev/stdout; echo err >/dev/stderr; echo >/dev/fd/5; exec sleep 1h']
    user: '{USER}'
    group: '{USER}'
    ready: {{ fd: 5 }}
  - name: checked
    command: sleep
    args: [1h]
    user: '{USER}'
    group: '{USER}'
    ready: {{ exec: [sh, -c, 'echo checked >/dev/stderr'] }}
"
    ));
    for name in ["web", "checked"] {
        navigator.event("Process ready", name);
    }
    assert_eq!(navigator.says("web", |line| line == "out").stream, "stdout");
    assert_eq!(navigator.says("web", |line| line == "err").stream, "stderr");
    navigator.ends();
}

#[test]
fn pwd_is_the_working_directory() {
    let site = Site::new();
    site.write("inner/file", "");
    let root = site.path("").display().to_string();
    let root = root.trim_end_matches('/').to_owned();
    let inner = format!("{root}/inner");
    let expected = [
        ("plain", "", root.as_str()),
        ("relative", "working_dir: inner", &inner),
        ("dotted", "working_dir: ./inner/", &inner),
        ("upwards", "working_dir: inner/../inner", &inner),
        ("absolute", "working_dir: /", "/"),
        ("set", "working_dir: inner, env: { PWD: /elsewhere }", "/elsewhere"),
        ("bare", "working_dir: inner, inherit_env: [PATH, PWD]", &inner),
    ];
    let processes: Vec<String> = expected
        .iter()
        .map(|(name, with, _)| format!("  - {{ name: {name}, command: printenv, args: [PWD], {with} }}"))
        .collect();
    site.write("navigator.yml", &format!("managed_processes:\n{}\n", processes.join("\n")));
    let navigator = site.command(["navigator.yml"]).env("PWD", "/of/the/shell").env("OLDPWD", "/before").start();
    for (name, _, directory) in expected {
        let said = navigator.says(name, |_| true).message;
        assert_eq!(said.trim_end_matches('/'), directory.trim_end_matches('/'), "{name}");
    }
    navigator.ends();
}
