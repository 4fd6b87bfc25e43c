//! The keeper: navigator is killed, or the keeper, or both, and no process, exit code or socket is lost.

use crate::faults;
use crate::harness::leftovers::Process;
use crate::harness::{Navigator, Signal, Site, leftovers, ports, report, socket};
use crate::taken_over::{kill, next, statuses};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// The one keeper of a navigator.
#[track_caller]
fn keeper(navigator: &Navigator<'_>) -> Process {
    let keepers: Vec<Process> = navigator.keepers().into_iter().collect();
    let [keeper] = keepers.as_slice() else { panic!("{keepers:?}\n{}", navigator.log().describe()) };
    keeper.clone()
}

/// What `status` shows of the keeper.
fn shown(site: &Site) -> Value {
    socket::ask(site, "GET", "/v1/status", "").json()["keeper"].clone()
}

/// Processes that wait for a file, say their last words, and end, each in its own way.
fn enders(count: usize) -> String {
    let ender = |number: usize| {
        let way = if number % 5 == 4 { "kill -SEGV $$$$".to_owned() } else { format!("exit {number}") };
        format!(
            "  - {{ name: p{number}, command: sh, args: [-c, 'echo up; until [ -e end ]; do sleep 0.05; done; echo last of {number}; {way}'], restart: never, depends_on: [] }}\n"
        )
    };
    format!("managed_processes:\n{}", (0..count).map(ender).collect::<String>())
}

#[test]
fn how_processes_end_while_navigator_is_away_is_known_and_so_is_what_they_said_last() {
    const COUNT: usize = 20;
    let site = Site::new();
    let first = site.start(&enders(COUNT));
    let processes: Vec<Process> = (0..COUNT)
        .map(|number| {
            first.says(&format!("p{number}"), |line| line == "up");
            leftovers::process(first.started(&format!("p{number}"))).expect("it runs")
        })
        .collect();
    let log = first.log().describe();
    kill(first);
    site.write("end", "");
    let until = Instant::now() + Duration::from_secs(30);
    while processes.iter().any(leftovers::is_alive) {
        assert!(Instant::now() < until, "they end\n{log}");
        std::thread::yield_now();
    }
    let (second, taken_over) = next(&site);
    assert_eq!(taken_over.field("ended"), Some("20"));
    for number in 0..COUNT {
        let name = format!("p{number}");
        second.wait("its end", |event| {
            event.field("name") == Some(&name) && event.message.starts_with("Process ") && event.message != "Process started"
        });
        let exit = if number % 5 == 4 { json!({ "signal": "SEGV" }) } else { json!({ "code": number }) };
        assert_eq!(statuses(&site)[&name]["last_exit"], exit, "{}", second.log().describe());
        second.says(&name, |line| line == format!("last of {number}"));
        assert_eq!(second.said(&name).len(), 1, "its first line was taken by the first navigator");
    }
    second.ends();
}

#[test]
fn a_keeper_that_is_killed_takes_nothing_with_it() {
    let site = Site::new();
    let navigator = site.start(
        "managed_processes:
  - { name: steady, command: sleep, args: ['3600'], output: null }
  - { name: later, command: sh, args: [-c, 'echo up; until [ -e end ]; do sleep 0.05; done; exit 7'], restart: always }
  - { name: family, command: sh, args: [-c, 'sleep 3600 & sleep 3600'], output: null }
",
    );
    let pids = ["steady", "later", "family"].map(|name| navigator.started(name));
    navigator.says("later", |line| line == "up");
    let former = keeper(&navigator);
    assert_eq!(shown(&site), json!({ "state": "holding", "pid": former.pid, "version": env!("CARGO_PKG_VERSION") }));
    leftovers::send(&former, Signal::KILL);
    let lost = navigator.wait("the loss", |event| event.message == "Keeper lost, its processes are navigator's own now");
    assert_eq!(lost.field("pid"), Some(former.pid.to_string().as_str()));
    let now = statuses(&site);
    assert_eq!(["steady", "later", "family"].map(|name| now[name]["pid"].as_u64()), pids.map(|pid| Some(u64::from(pid))));
    let another = keeper(&navigator);
    assert_ne!(another.pid, former.pid);
    assert_eq!(shown(&site)["pid"], json!(another.pid));
    // How it ends is known, and its next run is the new keeper's.
    site.write("end", "");
    assert_eq!(navigator.event("Process crashed", "later").field("reason"), Some("exit status 7"));
    std::fs::remove_file(site.path("end")).expect("it was written");
    let restarted = navigator.event_after(&lost, "Process started", "later").pid();
    assert!(leftovers::descendants(another.pid).iter().any(|process| process.pid == restarted));
    // A tree of navigator's own ends whole.
    site.asks(&["stop", "family"], 0);
    navigator.ends();
}

#[test]
fn without_navigator_orphans_are_reaped_and_main_processes_kept_until_the_host_shuts_down() {
    let site = Site::new();
    let first = site.start(
        "managed_processes:
  - { name: parent, command: sh, args: [-c, '(until [ -e end ]; do sleep 0.02; done; echo >>ended) & until [ -e gone ]; do sleep 0.02; done'], output: null }
  - { name: polite, command: sh, args: [-c, 'trap \"echo >>termed; exit 0\" TERM; echo up; while :; do sleep 0.05; done'] }
",
    );
    let parent = first.started("parent");
    first.says("polite", |line| line == "up");
    let keeper = keeper(&first);
    let log = std::sync::Arc::new(first.log().describe());
    first.log().until("the subshell", || (leftovers::descendants(parent).len() > 1).then_some(()));
    kill(first);
    site.write("gone", "");
    let until = Instant::now() + Duration::from_secs(30);
    let wait = |what: &str, is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < until, "{what}\n{log}");
            std::thread::yield_now();
        }
    };
    wait("its main process is kept as it ended", &|| leftovers::zombies(keeper.pid) == [parent]);
    site.write("end", "");
    wait("the orphan has ended", &|| site.path("ended").exists());
    wait("the orphan is reaped", &|| leftovers::zombies(keeper.pid) == [parent] && leftovers::descendants(keeper.pid).len() <= 2);
    leftovers::send(&keeper, Signal::TERM);
    wait("the keeper ends with the last process", &|| !leftovers::is_alive(&keeper));
    assert!(site.path("termed").exists());
}

#[test]
fn a_socket_that_no_process_has_is_held_while_navigator_is_away() {
    let site = Site::new();
    let port = ports::free_port();
    let server = "import os, socket, sys\nif not os.path.exists('go'): sys.exit(1)\ns = socket.socket(fileno=3)\nwhile True:\n c = s.accept()[0]; c.sendall(b'hello'); c.close()";
    site.write("server.py", server);
    let first = site.start(&format!(
        "managed_processes:\n  - {{ name: web, command: python3, args: [server.py], listen: ['127.0.0.1:{port}'], restart: always, backoff: 1h }}\n"
    ));
    first.event("Process crashed", "web");
    kill(first);
    let mut waiting = TcpStream::connect(("127.0.0.1", port)).expect("the keeper holds the socket");
    site.write("go", "");
    let (second, _) = next(&site);
    site.asks(&["restart", "web"], 0);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("it was kept");
    assert_eq!(answer, "hello", "{}", second.log().describe());
    // A socket that isn't wanted any more is free at once.
    site.write(
        "navigator.yml",
        &format!(
            "managed_processes:\n  - {{ name: other, command: python3, args: [-m, http.server, --bind, 127.0.0.1, '{port}'] }}\n"
        ),
    );
    second.started("other");
    second.log().until("another program's own socket", || TcpStream::connect(("127.0.0.1", port)).ok());
    assert_eq!(second.count("Process crashed", "other"), 0, "{}", second.log().describe());
    second.ends();
}

#[test]
fn clients_are_told_of_a_keeper_without_navigator_and_it_ends_with_the_next_one() {
    let site = Site::new();
    let first = site.start("managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    let web = first.started("web");
    let former = keeper(&first);
    kill(first);
    let told = site.asks(&["status", "navigator.yml"], 4);
    let text = format!(
        "no navigator runs; its keeper (pid {}) holds 1 process; start `navigator navigator.yml` to take over",
        former.pid
    );
    assert!(told.stderr().contains(&text), "{}", told.description);
    let (second, _) = next(&site);
    assert_eq!(statuses(&site)["web"]["pid"], json!(web));
    // The former keeper has its process, and the new one those that are started from now on.
    let current = u32::try_from(shown(&site)["pid"].as_u64().expect("a pid")).expect("a pid");
    assert!(current != former.pid && leftovers::is_alive(&former), "{}", second.log().describe());
    site.asks(&["restart", "web"], 0);
    second.log().until("the end of the former keeper", || (!leftovers::is_alive(&former)).then_some(()));
    let web = u32::try_from(statuses(&site)["web"]["pid"].as_u64().expect("it runs")).expect("a pid");
    assert!(leftovers::descendants(current).iter().any(|process| process.pid == web));
    let keepers = second.keepers();
    second.ends();
    assert!(!keepers.iter().any(leftovers::is_alive), "navigator's keeper ends before it");
}

#[test]
fn navigator_runs_without_a_keeper_where_it_is_asked_to() {
    let site = Site::new();
    site.write("navigator.yml", "managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    let navigator = site.command(["--no-keeper", "navigator.yml"]).start();
    navigator.started("web");
    assert!(navigator.keepers().is_empty());
    assert_eq!(shown(&site), json!({ "state": "none", "pid": null, "version": null }));
    navigator.ends();
}

#[test]
fn a_keeper_of_a_later_protocol_or_none_at_all_is_refused_clearly() {
    let site = Site::new();
    let first = site.start("managed_processes: []\n");
    first.wait("the configuration", |event| event.message == "Configuration loaded");
    let directory = socket::instance(&site);
    first.ends();
    for (number, answer) in [(3, r#"{"protocol":99,"version":"9.0.0","pid":1,"processes":0,"is_taken":false}"#), (5, "rubbish")] {
        let listener = UnixListener::bind(directory.join(format!("keeper.{number}"))).expect("a socket");
        std::thread::spawn(move || {
            while let Ok((mut link, _)) = listener.accept() {
                let mut greeting = [0; 4];
                let _gone = link.read_exact(&mut greeting);
                let length = u32::try_from(answer.len()).expect("short").to_le_bytes();
                let _gone = link.write_all(&[&length[..], answer.as_bytes()].concat());
            }
        });
    }
    let second = site.start("managed_processes:\n  - { name: web, command: sleep, args: ['3600'], output: null }\n");
    second.started("web");
    let refused =
        |name: &str| second.wait(name, |event| event.message == "Keeper can't be used" && event.field("name") == Some(name));
    let why = refused("keeper.3");
    assert_eq!(
        why.field("error"),
        Some("it speaks version 99 of the keeper's protocol, and this navigator version 1"),
        "{}",
        second.log().describe()
    );
    refused("keeper.5");
    assert_eq!(shown(&site)["state"], json!("holding"));
    second.ends();
}

#[test]
fn a_probe_ends_with_navigator_and_its_process_goes_on() {
    let site = Site::new();
    let first = site.start(
        "managed_processes:
  - name: web
    command: sleep
    args: ['3600']
    output: null
    ready: { exec: [sh, -c, 'sleep 3601 & echo $$$$ $! >probe; wait'], timeout: 1m, deadline: 5m }
",
    );
    let web = leftovers::process(first.started("web")).expect("it runs");
    let probe = first.log().until("both processes of the probe", || {
        let text = std::fs::read_to_string(site.path("probe")).unwrap_or_default();
        let found: Vec<Process> = text.split_whitespace().filter_map(|pid| leftovers::process(pid.parse().ok()?)).collect();
        (found.len() == 2).then_some(found)
    });
    let log = first.log().describe();
    kill(first);
    let until = Instant::now() + Duration::from_secs(30);
    while probe.iter().any(leftovers::is_alive) {
        assert!(Instant::now() < until, "the probe goes on\n{log}");
        std::thread::yield_now();
    }
    assert!(leftovers::is_alive(&web));
    next(&site).0.ends();
}

/// The record is slow, so navigator is killed after the exec of a program and before that is recorded.
#[test]
fn a_program_whose_start_was_not_recorded_any_more_is_started_anew_and_has_not_failed() {
    let test = "keeper::a_program_whose_start_was_not_recorded_any_more_is_started_anew_and_has_not_failed";
    if !faults::is_possible(test) {
        return;
    }
    let site = Site::new();
    let first = site.start("managed_processes: []\n");
    first.wait("the configuration", |event| event.message == "Configuration loaded");
    let record = socket::instance(&site).join("runs").display().to_string();
    first.ends();
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: web, command: sh, args: [-c, 'echo $$$$ >>begun; exec sleep 3600'], restart: never }\n",
    );
    site.write("begun", "");
    let trace = site.path("calls").display().to_string();
    let slow = ["-D", "-f", "-b", "execve", "-qq", "-o", &trace, "-P", &record, "-e", "inject=write:delay_enter=400000"];
    let second = site.command_through("strace", &slow, &["navigator.yml"]).start();
    let begun = || site.read("begun").lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>();
    let unrecorded = second.log().until("its program", || begun().first().copied());
    let unrecorded = leftovers::process(unrecorded).expect("it runs");
    assert_eq!(second.count("Process started", "web"), 0, "{}", second.log().describe());
    kill(second);
    let (third, _) = next(&site);
    let started = third.started("web");
    third.log().until("the second run", || (begun() == [unrecorded.pid, started]).then_some(()));
    assert!(!leftovers::is_alive(&unrecorded));
    assert_eq!(statuses(&site)["web"]["state"], json!("running"), "{}", third.log().describe());
    let ended = third.ends();
    let failed =
        ended.events().iter().filter(|event| event.is("Process failed", "web") || event.is("Process crashed", "web")).count();
    assert_eq!(failed, 0, "{}", ended.description);
}

/// How often the next test kills; `KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Of ten kills, six are of navigator, three of its keeper, and one of both.
#[test]
fn killed_at_any_moment_every_end_counts_once_and_is_known() {
    const STEADY: [&str; 2] = ["s1", "s2"];
    const ENDING: [(&str, u32); 3] = [("e3", 3), ("e4", 4), ("e0", 0)];
    let site = Site::new();
    let steady = STEADY.map(|name| format!("  - {{ name: {name}, command: sleep, args: ['3600'], output: null }}\n"));
    let ending = ENDING.map(|(name, code)| {
        format!(
            "  - {{ name: {name}, command: sh, args: [-c, 'echo start $$$$ >>{name}.journal; sleep 0.1; echo end $$$$ >>{name}.journal; exit {code}'], restart: always, backoff: 10ms }}\n"
        )
    });
    site.write(
        "navigator.yml",
        &format!("defaults: {{ depends_on: [] }}\nmanaged_processes:\n{}{}", steady.concat(), ending.concat()),
    );
    let seed = u64::from(std::process::id());
    let mut dice = seed;
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    let mut logs = Vec::new();
    let mut navigator = site.command(["navigator.yml"]).start();
    let pids = STEADY.map(|name| navigator.started(name));
    // Kills that may hide how a process ended: of both, and of navigator after its keeper, since the processes were its own then.
    let (mut hiding, mut is_keeper_lost) = (0, false);
    for _ in 0..kills() {
        let until = Instant::now() + Duration::from_millis(roll(400));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        match roll(10) {
            0..6 => {
                hiding += usize::from(std::mem::take(&mut is_keeper_lost));
                navigator.signal(Signal::KILL);
                let ended = navigator.ended();
                assert_eq!(ended.code, None, "{}", ended.description);
                logs.push(ended.events());
                navigator = next(&site).0;
            }
            6..9 => {
                let current = shown(&site)["pid"].as_u64().and_then(|pid| leftovers::process(u32::try_from(pid).ok()?));
                if let Some(keeper) = current {
                    leftovers::send(&keeper, Signal::KILL);
                }
                is_keeper_lost = true;
            }
            _ => {
                hiding += 1;
                is_keeper_lost = false;
                navigator.kill_with_keepers();
                logs.push(navigator.ended().events());
                navigator = next(&site).0;
            }
        }
    }
    let now = statuses(&site);
    assert_eq!(STEADY.map(|name| now[name]["pid"].as_u64()), pids.map(|pid| Some(u64::from(pid))), "seed {seed}");
    let ended = navigator.ends();
    logs.push(ended.events());
    for (name, code) in ENDING {
        let journal = site.read(&format!("{name}.journal"));
        let ended_by_itself: Vec<&str> = journal.lines().filter_map(|line| line.strip_prefix("end ")).collect();
        // Each end by its pid, as it was logged.
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in logs.iter().flatten() {
            if event.field("name") == Some(name) && ["Process exited", "Process crashed"].contains(&event.message.as_str()) {
                // Of an unknown end, not even the pid is said.
                let Some(pid) = event.field("pid") else { continue };
                said.entry(pid.to_owned()).or_default().push(event.field("status").unwrap_or("unknown").to_owned());
            }
        }
        let wrong = ended_by_itself
            .iter()
            .filter(|pid| said.get(**pid).is_none_or(|statuses| statuses.iter().any(|status| *status != code.to_string())));
        let wrong: Vec<String> = wrong.map(|pid| format!("{pid}: {:?}", said.get(*pid))).collect();
        assert!(wrong.len() <= hiding, "{name}, seed {seed}: {wrong:?} of {}\n{}", ended_by_itself.len(), ended.description);
    }
    report(&format!("{} kills, {hiding} of them may hide an end, seed {seed}", kills()));
}
