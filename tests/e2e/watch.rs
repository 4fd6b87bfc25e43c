//! Watched files: another content reloads or restarts the process that reads them, and nothing else does.

use crate::harness::{Navigator, Signal, Site, ports, servers};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What clients of a server met with.
#[derive(Default)]
struct Met {
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Met {
    /// Asks until told to stop, each time by another connection.
    fn by_new_connections(&self, port: u16) {
        while !self.stop.load(Ordering::Relaxed) {
            let outcome = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string());
            self.note(outcome.and_then(|stream| ask(&mut BufReader::new(stream)).map_err(|(why, _)| why)));
        }
    }

    /// Asks until told to stop, by one connection as long as the server keeps it. A server may close one that is idle just
    /// when it's asked; every client then asks again by a new one (RFC 9112, section 9.3.1), and so does this one.
    fn by_kept_connections(&self, port: u16) {
        let mut kept: Option<BufReader<TcpStream>> = None;
        while !self.stop.load(Ordering::Relaxed) {
            let was_kept = kept.is_some();
            let connection = kept.take().map_or_else(|| TcpStream::connect(("127.0.0.1", port)).map(BufReader::new), Ok);
            match connection {
                Err(error) => self.note(Err(error.to_string())),
                Ok(mut connection) => match ask(&mut connection) {
                    Ok(()) => {
                        self.note(Ok(()));
                        kept = Some(connection);
                    }
                    Err((_, began)) if was_kept && !began => {}
                    Err((why, _)) => self.note(Err(why)),
                },
            }
        }
    }

    fn note(&self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            Err(why) => self.failures.lock().expect("nobody panics").push(why),
        }
    }

    #[track_caller]
    fn until_answered(&self, navigator: &Navigator<'_>, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        let enough = || (self.answered.load(Ordering::Relaxed) >= wanted).then_some(());
        navigator.log().until("answers", enough);
    }
}

/// One request and its whole answer; else why not, and whether an answer had begun.
fn ask(connection: &mut BufReader<TcpStream>) -> Result<(), (String, bool)> {
    let failed = |began: bool| move |error: std::io::Error| (error.to_string(), began);
    connection.get_ref().set_read_timeout(Some(Duration::from_secs(30))).map_err(failed(false))?;
    connection.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").map_err(failed(false))?;
    let (mut length, mut line) = (0, String::new());
    while connection.read_line(&mut line).map_err(failed(!line.is_empty()))? > 0 {
        if line.ends_with("\r\n\r\n") {
            break;
        }
        length = line
            .to_ascii_lowercase()
            .rsplit_once("content-length: ")
            .map_or(length, |(_, rest)| rest.lines().next().and_then(|number| number.trim().parse().ok()).unwrap_or(0));
    }
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err((format!("no good answer: {line:?}"), !line.is_empty()));
    }
    connection.read_exact(&mut vec![0; length]).map_err(failed(true))
}

fn nginx(site: &Site, port: u16, answer: &str) -> String {
    let site = site.path("").display().to_string();
    format!(
        "daemon off; error_log stderr warn; pid {site}/nginx.pid; worker_processes 1;\n\
         events {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{answer}\"; }} }} }}\n"
    )
}

#[test]
fn nginx_reloads_a_changed_configuration_without_losing_a_request() {
    const TEST: &str = "watch::nginx_reloads_a_changed_configuration_without_losing_a_request";
    if !servers::root(TEST) || !servers::present(TEST, &["nginx"]) {
        return;
    }
    let site = Site::new();
    let port = ports::free_port();
    site.write("nginx/nginx.conf", &nginx(&site, port, "one"));
    let mut navigator = site.start(&format!(
        r#"
managed_processes:
  - name: nginx
    command: nginx
    args: [-e, stderr, -c, "${{SITE}}/nginx/nginx.conf"]
    stop: {{ signal: QUIT }}
    ready: {{ tcp: "127.0.0.1:{port}" }}
    reload: {{ signal: HUP }}
    watch: nginx
"#
    ));
    navigator.event("Process ready", "nginx");
    let pid = navigator.started("nginx");
    let met = Met::default();
    std::thread::scope(|clients| {
        clients.spawn(|| met.by_new_connections(port));
        clients.spawn(|| met.by_kept_connections(port));
        clients.spawn(|| met.by_kept_connections(port));
        met.until_answered(&navigator, 200);
        for answer in ["two", "three", "four"] {
            site.write("nginx/new", &nginx(&site, port, answer));
            std::fs::rename(site.path("nginx/new"), site.path("nginx/nginx.conf")).expect("the site can be written");
            navigator.log().until("the new answer", || servers::get(port, "/").filter(|found| found == answer));
            met.until_answered(&navigator, 200);
        }
        met.stop.store(true, Ordering::Relaxed);
    });
    let failures = met.failures.lock().expect("nobody panics");
    assert!(failures.is_empty(), "of {} requests these failed: {failures:#?}", met.answered.load(Ordering::Relaxed));
    let reasons: Vec<_> = navigator.events().into_iter().filter(|event| event.is("Reloading process", "nginx")).collect();
    assert!(reasons.len() >= 3, "{reasons:#?}");
    assert!(reasons[0].field("reason").is_some_and(|reason| reason.ends_with("changed")), "{reasons:#?}");
    assert_eq!(navigator.count("Process started", "nginx"), 1, "its number is still {pid}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_process_without_reload_is_restarted_and_others_are_left_alone() {
    let site = Site::new();
    site.write("web.conf", "one");
    let mut navigator = site.start(
        r#"
defaults: { depends_on: [] }
managed_processes:
  - { name: web, command: "${FIXTURES}/child.sh", args: [web], watch: web.conf }
  - { name: other, command: "${FIXTURES}/child.sh", args: [other] }
"#,
    );
    navigator.journals("web start");
    navigator.journals("other start");
    site.write("web.conf", "two");
    let again = navigator.nth_event("Process started", "web", 1);
    let stopping = navigator.event("Stopping process", "web");
    assert_eq!(stopping.field("reason"), Some("web.conf changed"), "{again:?}");
    assert_eq!(navigator.count("Process started", "other"), 1);
    // The same content again, by another way of saving, is no change.
    site.write("new", "two");
    std::fs::rename(site.path("new"), site.path("web.conf")).expect("the site can be written");
    site.write("web.conf", "three");
    navigator.nth_event("Process started", "web", 2);
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let restarts = ended.events().into_iter().filter(|event| event.is("Process started", "web")).count();
    assert_eq!(restarts, 3, "{}", ended.description);
}

#[test]
fn a_reload_that_fails_is_told_and_the_process_goes_on() {
    let site = Site::new();
    site.write("web.conf", "one");
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: web
    command: "${FIXTURES}/child.sh"
    args: [web]
    watch: web.conf
    reload: { command: [sh, -c, "echo 'web.conf:1: syntax error' >&2; exit 3"] }
"#,
    );
    navigator.journals("web start");
    site.write("web.conf", "two");
    let event = navigator.event("Process not reloaded", "web");
    assert_eq!(event.field("reason"), Some("exit status 3"), "{event:?}");
    navigator.says("web", |line| line == "web.conf:1: syntax error");
    assert_eq!(navigator.count("Process started", "web"), 1);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_stop_command_stops_and_a_failing_one_leaves_it_to_the_signal() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: asked
    command: "${FIXTURES}/child.sh"
    args: [asked]
    stop: { command: [sh, -c, 'echo "asking $MAINPID"; kill -TERM $MAINPID'] }
  - name: told
    command: "${FIXTURES}/child.sh"
    args: [told]
    stop: { command: ["false"] }
"#,
    );
    navigator.journals("asked start");
    navigator.journals("told start");
    let pid = navigator.started("asked");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.said("asked").contains(&format!("asking {pid}")), "{}", ended.description);
    let failed = ended.events().into_iter().find(|event| event.is("Stop command failed", "told")).expect("it is told");
    assert_eq!((failed.field("reason"), failed.field("signal")), (Some("exit status 1"), Some("TERM")));
    assert_eq!(site.stops(), ["told term", "told exit", "asked term", "asked exit"]);
}
