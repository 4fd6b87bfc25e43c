//! Readiness with real servers: each becomes ready when it can do its work, and its dependents start then.

use crate::harness::{Navigator, Signal, Site, attempt, client, ports, servers};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// Cold starts of the worker; more when run by hand.
fn cold_starts() -> usize {
    let asked = std::env::var("NAVIGATOR_COLD_STARTS").ok();
    asked.map_or(3, |count| count.parse().expect("NAVIGATOR_COLD_STARTS is a number"))
}

/// Checks the order: the server starts, is ready, and only then the client starts.
#[track_caller]
fn assert_in_order(navigator: &Navigator<'_>, server: &str, client: &str) {
    let client = navigator.event("Process started", client);
    let ready = navigator.event("Process ready", server);
    let started = navigator.event("Process started", server);
    assert!(started.index < ready.index && ready.index < client.index, "{}", navigator.log().describe());
}

#[test]
fn redis_is_ready_by_a_command_and_by_its_log() {
    if !servers::present("ready::redis_is_ready_by_a_command_and_by_its_log", &["redis-server", "redis-cli"]) {
        return;
    }
    let site = Site::new();
    let [asked, logged] = [(); 2].map(|()| ports::free_port());
    let mut navigator = site.start(&format!(
        r#"
defaults: {{ depends_on: [] }}
managed_processes:
  - name: asked
    command: redis-server
    args: [--port, {asked}, --save, ""]
    ready: {{ exec: [redis-cli, -p, {asked}, ping] }}
  - name: logged
    command: redis-server
    args: [--port, {logged}, --save, ""]
    ready: {{ log: Ready to accept connections }}
  - name: ping-asked
    command: redis-cli
    args: [-p, {asked}, ping]
    type: task
    depends_on: [asked]
  - name: ping-logged
    command: redis-cli
    args: [-p, {logged}, ping]
    type: task
    depends_on: [logged]
"#
    ));
    for server in ["asked", "logged"] {
        let task = format!("ping-{server}");
        assert_in_order(&navigator, server, &task);
        assert_eq!(navigator.event("Process exited", &task).field("status"), Some("0"));
        navigator.says(&task, |line| line == "PONG");
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn postgres_is_ready_by_pg_isready() {
    const TEST: &str = "ready::postgres_is_ready_by_pg_isready";
    if !servers::root(TEST) || !servers::present(TEST, &["postgres", "initdb", "pg_isready", "psql"]) {
        return;
    }
    let site = Site::new();
    let directory = site.path("postgres");
    std::fs::create_dir(&directory).expect("the site can be written");
    client(Command::new("chown").arg("postgres").arg(&directory));
    let mut initdb = Command::new("setpriv");
    initdb.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    initdb.arg(servers::find("initdb").expect("it was found before"));
    initdb.args(["-A", "trust", "-N", "-D"]).arg(directory.join("data")).current_dir(&directory);
    client(&mut initdb);
    site.write(
        "navigator.yml",
        r#"
env: { PATH: "${SERVERS}:${PATH}" }
managed_processes:
  - name: postgres
    command: postgres
    args: [-D, "${SITE}/postgres/data", -k, "${SITE}/postgres", -c, listen_addresses=]
    user: postgres
    stop: { signal: INT }
    ready: { exec: [pg_isready, -q, -h, "${SITE}/postgres"], timeout: 10s }
  - name: ask
    command: psql
    args: [-h, "${SITE}/postgres", -U, postgres, -Atc, select 40 + 2]
    type: task
    depends_on: [postgres]
"#,
    );
    let mut navigator = site.command(["navigator.yml"]).env("SERVERS", servers::directory("postgres")).start();
    assert_in_order(&navigator, "postgres", "ask");
    navigator.says("ask", |line| line == "42");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Puma with the fixture's application and this readiness.
fn puma(port: u16, ready: &str) -> String {
    format!(
        r#"
applications:
  - name: web
    command: puma
    args: [-b, "tcp://127.0.0.1:{port}", -t, "1:2", config.ru]
    working_dir: "${{FIXTURES}}"
    ready: {ready}
  - name: client
    command: sh
    args: [-c, "exec sleep 3600"]
    depends_on: [web]
"#
    )
}

#[test]
fn puma_is_ready_by_http() {
    if !servers::present("ready::puma_is_ready_by_http", &["puma"]) {
        return;
    }
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&puma(port, &format!("{{ http: \"http://127.0.0.1:{port}/hello\", timeout: 10s }}")));
    assert_in_order(&navigator, "web", "client");
    assert!(servers::get(port, "/hello").is_some(), "it answers at once");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Puma uses the protocol through the gem `sd_notify`, in Debian `ruby-sd-notify`.
#[test]
fn puma_is_ready_by_notification() {
    const TEST: &str = "ready::puma_is_ready_by_notification";
    if !servers::present(TEST, &["puma", "ruby"])
        || !servers::succeeds(TEST, Command::new("ruby").args(["-e", "require 'sd_notify'"]))
    {
        return;
    }
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&puma(port, "{ notify: true }\n    liveness: { notify: true, interval: 20s }"));
    assert_in_order(&navigator, "web", "client");
    assert!(servers::get(port, "/hello").is_some(), "it answers at once");
    // On USR2 it restarts itself with the same pid, and is unready until it serves again.
    let web = navigator.started("web");
    navigator.send(web, Signal::USR2);
    let unready = navigator.event("Process unready", "web");
    assert_eq!(unready.field("reason"), Some("it is reloading"), "{unready:?}");
    navigator.event_after(&unready, "Process ready", "web");
    assert!(servers::get(port, "/hello").is_some_and(|answer| answer.contains(&format!("pid={web} "))));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_flood_of_notifications_of_another_user_logs_one_line() {
    const TEST: &str = "ready::a_flood_of_notifications_of_another_user_logs_one_line";
    if !servers::root(TEST) || !servers::present(TEST, &["python3"]) {
        return;
    }
    let site = Site::new();
    let navigator = site.start(
        r#"
managed_processes:
  - { name: web, command: sleep, args: ["3600"], user: "64123", group: "64123", ready: { notify: true } }
"#,
    );
    let web = navigator.started("web");
    let socket = navigator.variable(web, "NOTIFY_SOCKET");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("we are root");
    let flood = "import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                 os.setgid(64125); os.setuid(64125)\n\
                 for _ in range(300): s.sendto(b'READY=1', sys.argv[1])";
    attempt(Command::new("python3").args(["-c", flood, &socket])).expect("the socket is open");
    assert_eq!(navigator.count("Process ready", "web"), 0);
    // When this message of root is handled, all before it are.
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.send_to(b"READY=1", socket).expect("navigator listens");
    navigator.event("Process ready", "web");
    let ignored = navigator.event("Ignored notifications of other processes", "web");
    assert_eq!((ignored.field("count"), ignored.field("user")), (Some("1"), Some("64125")), "{ignored:?}");
    assert_eq!(navigator.count("Ignored notifications of other processes", "web"), 1);
    navigator.ends();
}

/// Redis starts slowly, so a worker that doesn't wait for it is refused.
#[test]
fn a_worker_never_connects_to_redis_before_it_is_ready() {
    const TEST: &str = "ready::a_worker_never_connects_to_redis_before_it_is_ready";
    if !servers::present(TEST, &["redis-server", "redis-cli", "sidekiq"]) {
        return;
    }
    for _ in 0..cold_starts() {
        let site = Site::new();
        let port = ports::free_port();
        let mut navigator = site.start(&format!(
            r#"
env: {{ REDIS_URL: "redis://127.0.0.1:{port}/0" }}
managed_processes:
  - name: redis
    command: sh
    args: [-c, "sleep 0.5; exec redis-server --port {port} --bind 127.0.0.1 --save ''"]
    ready: {{ exec: [redis-cli, -p, {port}, ping] }}
  - name: sidekiq
    command: sidekiq
    args: [-r, ./worker.rb, -c, "1", -t, "1"]
    working_dir: "${{FIXTURES}}"
    depends_on: [redis]
"#
        ));
        // A running worker has registered in this set.
        let registered = || attempt(Command::new("redis-cli").args(["-p", &port.to_string(), "scard", "processes"]));
        navigator.log().until("the worker's registration", || registered().ok().filter(|count| count.trim() == "1"));
        assert_in_order(&navigator, "redis", "sidekiq");
        navigator.signal(Signal::TERM);
        let ended = navigator.exits(0);
        let lines = ended.said("sidekiq").join("\n");
        assert!(!lines.to_lowercase().contains("refused") && !lines.contains("ECONN"), "{lines}");
    }
}

#[test]
fn a_process_that_misses_its_ready_deadline_fails_with_the_reason() {
    let site = Site::new();
    let port = ports::free_port();
    let mut navigator = site.start(&format!(
        r"
managed_processes:
  - name: deaf
    command: sleep
    args: [3600]
    ready: {{ tcp: 127.0.0.1:{port}, deadline: 300ms }}
"
    ));
    let failed = navigator.event("Process failed", "deaf");
    assert_eq!(failed.field("reason"), Some("not ready within 300ms: connection refused"), "{failed:?}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_log_probe_sees_what_a_person_reads() {
    let site = Site::new();
    let navigator = site.start(
        r#"
defaults: { depends_on: [] }
managed_processes:
  - { name: coloured, command: sh, args: [-c, 'printf "\033[1;32mListening\033[0m on 3000\r\n"; exec sleep 1h'], ready: { log: ^Listening on 3000$ } }
  - { name: unfinished, command: sh, args: [-c, 'printf Listening; exec sleep 1h'], ready: { log: ^Listening$ } }
  - { name: progress, command: sh, args: [-c, 'printf "50%%\rListening" >&2; exec sleep 1h'], ready: { log: ^Listening$ } }
"#,
    );
    for name in ["coloured", "unfinished", "progress"] {
        navigator.event("Process ready", name);
    }
    navigator.ends();
}

#[test]
fn a_log_probe_without_any_output_hints_at_buffering() {
    let site = Site::new();
    let navigator = site.start(
        r"
defaults: { depends_on: [] }
managed_processes:
  - { name: silent, command: sh, args: [-c, 'exec sleep 1h'], ready: { log: Listening, deadline: 300ms } }
  - { name: talking, command: sh, args: [-c, 'echo hello; exec sleep 1h'], ready: { log: Listening, deadline: 1s } }
",
    );
    let reason = |name: &str| navigator.event("Process failed", name).field("reason").unwrap_or_default().to_owned();
    let silent = reason("silent");
    assert!(silent.starts_with("not ready within 300ms: no output, so no line matches `Listening`; "), "{silent}");
    assert!(silent.contains("PYTHONUNBUFFERED=1") && silent.contains("stdbuf -oL"), "{silent}");
    assert_eq!(reason("talking"), "not ready within 1s: no output line matches `Listening`");
    let status = site.run(["status"]);
    assert!(status.stdout().contains("PYTHONUNBUFFERED=1"), "{}", status.description);
    navigator.ends();
}

/// A container with a read-only root has no writable directory for temporary files.
#[test]
fn notifications_work_without_a_writable_directory_for_temporary_files() {
    let site = Site::new();
    let user = if servers::root("ready::notifications_work_without_a_writable_directory_for_temporary_files") {
        "user: '61237', group: '61237', "
    } else {
        ""
    };
    let notify = "import os, socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\nos.execvp('sleep', ['sleep', '1h'])\n";
    site.write("notify.py", notify);
    site.write(
        "navigator.yml",
        &format!(
            "managed_processes:\n  - {{ name: web, command: python3, args: [notify.py], {user}ready: {{ notify: true }} }}\n"
        ),
    );
    let navigator = site.command(["navigator.yml"]).env("TMPDIR", "/proc").start();
    navigator.event("Process ready", "web");
    let modes = std::fs::read_dir(site.path("state")).expect("it is ours").flatten();
    let modes: Vec<u32> = modes.map(|entry| entry.metadata().expect("it is ours").permissions().mode() & 0o777).collect();
    assert!(modes.contains(&0o700) && modes.contains(&0o711) && modes.len() == 2, "{modes:?}");
    navigator.ends();
    assert_eq!(std::fs::read_dir(site.path("state")).expect("it is ours").count(), 1, "the sockets are removed");
}
