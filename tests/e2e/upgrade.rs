//! Another version of navigator takes the place of the running one: nothing else happens.

use crate::harness::{Navigator, Signal, Site, socket};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program of the tests, and its version.
const PROGRAM: &str = env!("CARGO_BIN_EXE_navigator");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A copy of the program in which one text is replaced by another one of the same length.
fn patched(site: &Site, name: &str, from: &str, to: &str) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut program = fs::read(PROGRAM).expect("it was built");
    let mut count = 0;
    for place in memchr::memmem::find_iter(&program.clone(), from.as_bytes()) {
        program[place..place + to.len()].copy_from_slice(to.as_bytes());
        count += 1;
    }
    assert!(count > 0, "`{from}` is in the program");
    let path = site.path(name);
    fs::write(&path, program).expect("the site can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Upgrades to this program, and returns what is said about it.
fn upgrade(site: &Site, program: &Path) -> String {
    site.asks(&["upgrade", "--binary", program.to_str().expect("UTF-8")], 0).stdout().trim_end().to_owned()
}

/// What is said when the upgrade to this program is refused.
fn refused(site: &Site, program: &str) -> String {
    site.asks(&["upgrade", "--binary", program], 1).stderr().replace('\n', " ")
}

fn statuses(site: &Site) -> BTreeMap<String, Value> {
    let status = socket::ask(site, "GET", "/v1/status", "").json();
    let processes = status["processes"].as_array().cloned().unwrap_or_else(|| panic!("{status}"));
    processes.into_iter().map(|process| (process["name"].as_str().expect("a name").to_owned(), process)).collect()
}

/// Without the time that it took.
fn untimed(text: &str) -> &str {
    text.rsplit_once(", ").expect("it ends with a time").0
}

/// How many upgrades a test makes.
fn rounds() -> usize {
    std::env::var("UPGRADES").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

const BUSY: &str = r#"managed_processes:
  - name: counting
    command: python3
    args: [-u, "${FIXTURES}/counting.py"]
    output: {file: lines}
  - {name: crashing, command: sh, args: [-c, "sleep 0.03; exit 7"], restart: always, backoff: 20ms, output: null}
  - {name: kept, command: sh, args: [-c, "echo the first; echo the second >&2; exec sleep 3600"]}
"#;

#[test]
fn no_process_line_or_exit_code_is_lost() {
    let site = Site::new();
    let (other, rounds) = (site.path("other"), rounds());
    fs::copy(PROGRAM, &other).expect("the site can be written");
    let navigator = site.start(BUSY);
    for name in ["counting", "crashing", "kept"] {
        navigator.started(name);
    }
    let before = statuses(&site);
    for round in 0..rounds {
        let said = upgrade(&site, if round % 2 == 0 { &other } else { Path::new(PROGRAM) });
        assert!(
            said.starts_with(&format!("{VERSION} → {VERSION}: ")) && said.contains(" taken over, none restarted, "),
            "{said}"
        );
        let status = socket::ask(&site, "GET", "/v1/status", "").json();
        assert_eq!(status["pid"], json!(navigator.pid()));
        // It crashes again before the next one.
        let crashes = navigator.count("Process crashed", "crashing");
        navigator.nth_event("Process crashed", "crashing", crashes);
    }
    assert_eq!(site.asks(&["logs", "kept"], 0).stdout(), "the first\nthe second\n");
    let after = statuses(&site);
    for name in ["counting", "kept"] {
        for key in ["pid", "generation", "restarts", "started_at"] {
            assert_eq!(before[name][key], after[name][key], "{key} of {name}");
        }
    }
    let ended = navigator.ends();
    let crashes: Vec<_> = ended.events().into_iter().filter(|event| event.is("Process crashed", "crashing")).collect();
    let codes: Vec<_> = crashes.iter().map(|event| event.field("status")).collect();
    assert!(codes.len() >= rounds && codes.iter().all(|code| *code == Some("7")), "{}", ended.description);
    let text = site.read("lines");
    let lines: Vec<&str> = text.lines().collect();
    // It may be stopped in the middle of one.
    let (last, whole) = lines.split_last().expect("it writes");
    let expected: Vec<String> = (0..whole.len()).map(|number| format!("line {number} end")).collect();
    assert_eq!(whole, expected);
    assert!(format!("line {} end", whole.len()).starts_with(last), "{last}");
}

#[test]
fn sockets_and_notifications_stay_open() {
    let site = Site::new();
    let path = site.path("waits.sock");
    let text = format!(
        r#"managed_processes:
  - {{name: waits, command: sh, args: [-c, "exit 1"], listen: "{}", restart: always, backoff: 1h, output: null}}
  - name: watched
    command: python3
    args: ["${{FIXTURES}}/watchdog.py"]
    ready: {{notify: true}}
    liveness: {{notify: true, interval: 500ms}}
"#,
        path.display()
    );
    let navigator = site.start(&text);
    navigator.event("Process crashed", "waits");
    navigator.event("Process ready", "watched");
    let pid = navigator.started("watched");
    // It waits in the queue of a process that does not run.
    let mut waiting = UnixStream::connect(&path).expect("navigator listens");
    for _ in 0..rounds() {
        upgrade(&site, Path::new(PROGRAM));
    }
    waiting.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
    let read = waiting.read(&mut [0]);
    assert!(read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{read:?}");
    UnixStream::connect(&path).expect("navigator listens");
    let pings = || fs::read_to_string(site.path("pings")).map_or(0, |pings| pings.lines().count());
    let before = pings();
    navigator.log().until("further pings", || (pings() > before + 20).then_some(()));
    assert_eq!(statuses(&site)["watched"]["pid"], json!(pid), "{}", navigator.log().describe());
    assert_eq!(statuses(&site)["waits"]["restarts"], json!(0), "it waits");
    navigator.ends();
    assert!(!path.exists());
}

#[test]
fn what_is_no_navigator_is_refused() {
    let site = Site::new();
    let navigator = site.start("managed_processes:\n  - { name: kept, command: sleep, args: ['3600'], output: null }\n");
    let pid = navigator.started("kept");
    let script = site.script("script", "#!/bin/sh\necho hello\n").display().to_string();
    let open = site.script("open", "#!/bin/sh\nexit 0\n").display().to_string();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let plain = site.write("plain", "text").display().to_string();
    let missing = site.path("missing").display().to_string();
    for (program, why) in [
        ("/bin/false", "`/bin/false` is no navigator that can take over (exit status 1 when it was tried out)"),
        (&script, "is no navigator that can take over (it said nothing when it was tried out)"),
        (&open, "can be written by every user"),
        (&plain, "is not an executable file"),
        (&missing, "can't be opened: no such file or directory"),
    ] {
        let said = refused(&site, program);
        assert!(said.contains(why), "{program}: {said}");
    }
    assert_eq!(
        untimed(&upgrade(&site, Path::new(PROGRAM))),
        format!("{VERSION} → {VERSION}: 1 process taken over, none restarted")
    );
    assert_eq!(statuses(&site)["kept"]["pid"], json!(pid));
    site.write("navigator.yml", "managed_processes: [");
    navigator.wait("the verdict", |event| event.message == "Configuration rejected");
    let said = refused(&site, PROGRAM);
    assert!(said.contains("navigator.yml:1:"), "{said}");
    site.write("navigator.yml", "managed_processes: []\n");
    navigator.event("Process stopped", "kept");
    navigator.ends();
}

#[test]
fn a_program_that_hangs_is_refused() {
    let site = Site::new();
    let navigator = site.start("managed_processes:\n  - { name: kept, command: sleep, args: ['3600'], output: null }\n");
    navigator.started("kept");
    let hanging = site.script("hanging", "#!/bin/sh\nexec sleep 3600\n").display().to_string();
    let said = refused(&site, &hanging);
    assert!(said.contains("is no navigator that can take over (no end within 10s when it was tried out)"), "{said}");
    navigator.ends();
}

#[test]
fn a_program_that_gives_up_is_replaced_by_the_former_one() {
    let site = Site::new();
    // It looks for the instance in another directory.
    let confused = patched(&site, "confused", "NAVIGATOR_STATE_DIR", "NAVIGATOR_STATE_DIX");
    let navigator = site.start(BUSY);
    let pids = ["counting", "kept"].map(|name| navigator.started(name));
    for _ in 0..2 {
        let said = refused(&site, &confused.display().to_string());
        assert!(said.contains("upgrade failed: ") && said.contains("is not in state directory"), "{said}");
        assert!(said.contains(&format!("; {VERSION} goes on")), "{said}");
        navigator.wait("the failure", |event| event.message == "Upgrade failed");
    }
    upgrade(&site, Path::new(PROGRAM));
    let status = statuses(&site);
    assert_eq!(["counting", "kept"].map(|name| status[name]["pid"].clone()), pids.map(|pid| json!(pid)));
    navigator.ends();
}

#[test]
fn a_program_that_reads_the_file_otherwise_needs_to_be_forced() {
    let site = Site::new();
    let text = |port| {
        format!(
            "managed_processes:\n  - {{ name: web, command: sleep, args: ['3600'], env: {{ PORT: '{port}' }}, output: null }}\n"
        )
    };
    let navigator = site.start_unwatched(&text(1));
    let pid = navigator.started("web");
    site.write("navigator.yml", &text(2));
    let said = site.asks(&["upgrade", "--check"], 0);
    assert_eq!(said.stdout(), format!("{VERSION} → {VERSION}: would restart web (env.PORT differs)\n"));
    let said = refused(&site, PROGRAM);
    let why = format!(
        "{VERSION} would restart web, because it reads the file otherwise: env.PORT differs; `--force` upgrades all the same"
    );
    assert!(said.contains(&why), "{said}");
    assert_eq!(statuses(&site)["web"]["pid"], json!(pid));
    let said = site.asks(&["upgrade", "--force"], 0);
    assert_eq!(untimed(said.stdout().trim_end()), format!("{VERSION} → {VERSION}: 1 process taken over, 1 restarted"));
    navigator.nth_event("Process started", "web", 1);
    site.asks(&["upgrade", "--check"], 0);
    navigator.ends();
}

#[test]
fn nothing_of_an_upgrade_reaches_later_processes() {
    let site = Site::new();
    let navigator = site.start(BUSY);
    navigator.started("kept");
    for _ in 0..2 {
        upgrade(&site, Path::new(PROGRAM));
    }
    site.asks(&["restart", "kept"], 0);
    let pid = u32::try_from(statuses(&site)["kept"]["pid"].as_u64().expect("it runs")).expect("a pid");
    navigator.variable(pid, "NAVIGATOR_RUN");
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("it runs");
    assert!(!environment.contains("HANDOVER"), "{environment}");
    navigator.log().until("its three descriptors and no other", || descriptors(pid, 3));
    // Those of navigator don't accumulate: the pipes of two processes, and what it always has.
    let before = fs::read_dir(format!("/proc/{}/fd", navigator.pid())).expect("it runs").count();
    for _ in 0..3 {
        upgrade(&site, Path::new(PROGRAM));
    }
    navigator.log().until("no more descriptors than before", || descriptors(navigator.pid(), before + 4));
    is_alone(&navigator);
    navigator.ends();
}

/// Whether a process has at most so many descriptors.
fn descriptors(pid: u32, most: usize) -> Option<()> {
    (fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count() <= most).then_some(())
}

/// No process is left of those that tried programs out.
fn is_alone(navigator: &Navigator<'_>) {
    let lines = navigator.command_lines_below();
    assert!(!lines.iter().any(|line| line.contains("__trial")), "{lines:?}");
}

/// As systemd would start it (`sd_notify(3)`).
#[test]
fn the_service_manager_hears_of_navigator_through_an_upgrade() {
    let site = Site::new();
    let path = site.path("manager.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let hears = |wanted: &str| {
        let mut buffer = [0; 512];
        loop {
            let count = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("waited for `{wanted}`: {error}"));
            if String::from_utf8_lossy(&buffer[..count]) == wanted {
                return;
            }
        }
    };
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: kept, command: sh, args: [-c, 'env > env; exec sleep 3600'], output: null }\n",
    );
    let named = site.command(["navigator.yml"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let mut navigator = named.start();
    hears("READY=1\nSTATUS=generation 1, 1 process");
    for _ in 0..3 {
        hears("WATCHDOG=1");
    }
    upgrade(&site, Path::new(PROGRAM));
    hears("READY=1\nSTATUS=generation 1, 1 process");
    hears("WATCHDOG=1");
    let text = site.read("navigator.yml");
    site.write("navigator.yml", "managed_processes: 1\n");
    hears("READY=1\nSTATUS=generation 1, 1 process; the file on disk is rejected, see `navigator status`");
    site.write("navigator.yml", &text);
    navigator.log().until("what it inherits", || site.path("env").exists().then_some(()));
    assert!(!site.read("env").contains("NOTIFY_SOCKET") && !site.read("env").contains("WATCHDOG_USEC"));
    navigator.signal(Signal::TERM);
    hears("STOPPING=1\nSTATUS=stopping the processes");
    navigator.exits(0);
}
