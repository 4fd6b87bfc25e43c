//! Readiness and liveness by probes, against test servers that answer well, badly, or not at all.

use crate::host::{Host, on_host, script};
use crate::ports::free_port;
use crate::server::Server;
use reconcile::event::{Action, Event, RunId};
use reconcile::spec::{Http, Liveness, Probe, ReadyTiming, Spec};
use reconcile::text::Text;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// A process that only runs.
fn idle(name: &str) -> Spec {
    script(name, "exec sleep 3600")
}

fn with_ready(mut spec: Spec, probe: Probe) -> Spec {
    spec.ready = Some(probe);
    let millis = Duration::from_millis;
    spec.ready_timing = ReadyTiming { interval: millis(20), timeout: Duration::from_secs(20), ..ReadyTiming::default() };
    spec
}

fn http(url: &str) -> Probe {
    Probe::Http(Box::new(Http { url: url.into(), ..Http::default() }))
}

fn exec(script: &str) -> Probe {
    Probe::Exec(["sh", "-c", script].map(Text::plain).to_vec())
}

async fn end(host: &mut Host, run: RunId) {
    host.kill(run);
    host.gone(run).await;
}

#[test]
fn a_status_of_2xx_or_3xx_passes_and_the_request_is_complete() {
    on_host("http-passes", async |host| {
        let informed = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly this";
        for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n", informed, endless] {
            let server = Server::answering(answer);
            let run = host.spawn(with_ready(idle("web"), http(&server.url())));
            host.ready(run).await;
            let asked = server.requests.lock().expect("no server thread panics")[0].clone();
            assert!(asked.starts_with("GET /health?full=1 HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{asked}");
            assert!(!asked.to_lowercase().contains("content-length"), "{asked}");
            end(host, run).await;
        }
    });
}

#[test]
fn a_failed_http_probe_says_why() {
    on_host("http-fails", async |host| {
        let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300_000));
        let cases = [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP response: "),
            ("", "the connection was closed before an answer came"),
            ("HTTP/1.1 200 O", "the connection was closed before an answer came"),
            (&huge, "not an HTTP response: message head is too large"),
        ];
        for (answer, why) in cases {
            let server = Server::answering(answer);
            let run = host.spawn(with_ready(idle("web"), http(&server.url())));
            host.unready(run, why).await;
            end(host, run).await;
        }
        let run = host.spawn(with_ready(idle("web"), http(&format!("http://127.0.0.1:{}/", free_port()))));
        host.unready(run, "connection refused").await;
        end(host, run).await;
        let mut slow = with_ready(idle("web"), http(&Server::silent().url()));
        slow.ready_timing.timeout = Duration::from_millis(50);
        let run = host.spawn(slow);
        host.unready(run, "no answer within 50ms").await;
        end(host, run).await;
        let run = host.spawn(with_ready(idle("web"), http("http://no-such-host.invalid/")));
        host.unready(run, "unknown host: ").await;
        end(host, run).await;
        assert!(!host.events.iter().any(|event| matches!(event, Event::Ready { .. })));
    });
}

#[test]
fn configured_statuses_headers_host_names_and_ipv6_are_used() {
    on_host("http-asked", async |host| {
        let server = Server::answering("HTTP/1.1 401 Unauthorized\r\n\r\n");
        let headers = BTreeMap::from([("Authorization".to_owned(), "Bearer x".into()), ("Host".to_owned(), "shop".into())]);
        let url = format!("http://localhost:{}", server.port);
        let asked = Http { url: url.as_str().into(), status: vec![200, 401], headers };
        let run = host.spawn(with_ready(idle("web"), Probe::Http(Box::new(asked))));
        host.ready(run).await;
        let request = server.requests.lock().expect("no server thread panics")[0].clone();
        assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer x\r\n") && request.contains("host: shop\r\n"), "{request}");
        end(host, run).await;

        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let port = listener.local_addr().expect("it is bound").port();
        let run = host.spawn(with_ready(idle("web"), Probe::Tcp(format!("[::1]:{port}").as_str().into())));
        host.ready(run).await;
        end(host, run).await;
    });
}

#[test]
fn a_port_that_opens_later_makes_it_ready() {
    on_host("tcp", async |host| {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let run = host.spawn(with_ready(idle("redis"), Probe::Tcp(address.as_str().into())));
        host.unready(run, "connection refused").await;
        let listener = TcpListener::bind(address).expect("it was free a moment ago");
        host.ready(run).await;
        drop(listener);
        let reports = host.events.iter().filter(|event| matches!(event, Event::Unready { .. })).count();
        assert_eq!(reports, 1, "the same reason is reported once: {:?}", host.events);
        end(host, run).await;
    });
}

#[test]
fn an_exec_probe_has_the_environment_and_directory_of_its_process() {
    on_host("exec", async |host| {
        let found = host.fifo("found");
        let mut spec = idle("redis");
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        spec.exec.env.insert("GREETING", "hello".into());
        let says = r#"echo "$PWD $GREETING $MAINPID $NAVIGATOR_PID $(cat /proc/$$/stat | cut -d' ' -f 6)" > found; exit 0"#;
        let run = host.spawn(with_ready(spec, exec(says)));
        let main = host.spawned(run).await;
        let said = host.read_fifo(&found).await;
        let expected = format!("{} hello {main} {main}", host.directory.display());
        let (said, session) = said.trim_end().rsplit_once(' ').expect("five words");
        assert_eq!(said, expected);
        assert_ne!(session, main.to_string(), "it has a session, and a tree, of its own");
        host.ready(run).await;
        end(host, run).await;
    });
}

#[test]
fn a_failed_exec_probe_is_reported_with_its_last_line() {
    on_host("exec-fails", async |host| {
        let noisy = "yes | head -c 300000; echo; echo 'could not connect: connection refused' >&2; echo; exit 3";
        let run = host.spawn(with_ready(idle("redis"), exec(noisy)));
        host.unready(run, "exit status 3: could not connect: connection refused").await;
        end(host, run).await;
        let missing = Probe::Exec(vec!["no-such-command".into()]);
        let run = host.spawn(with_ready(idle("redis"), missing));
        host.unready(run, "command not found: `no-such-command`").await;
        end(host, run).await;
    });
}

#[test]
fn an_exec_probe_past_its_timeout_is_killed_with_its_tree_before_the_next() {
    on_host("exec-slow", async |host| {
        let journal = host.directory.join("journal");
        let third = host.fifo("third");
        let mut spec = idle("redis");
        // Each records how many processes of the one before are left; the third one writes to its FIFO.
        let slow = "trap '' TERM; (exec sleep 3600) & \
                    echo $(ps -o pid= -s $(cat last 2>/dev/null || echo 0) | wc -l) >> journal; echo $$ > last; \
                    [ $(wc -l < journal) -ne 3 ] || echo > third; wait";
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        let mut spec = with_ready(spec, exec(slow));
        spec.ready_timing.timeout = Duration::from_millis(300);
        let run = host.spawn(spec);
        host.unready(run, "no end within 300ms").await;
        host.read_fifo(&third).await;
        let left = fs::read_to_string(&journal).expect("it was written");
        assert!(left.starts_with("0\n0\n0\n"), "the one before was still there: {left}");
        end(host, run).await;
    });
}

#[test]
fn three_failures_make_a_ready_process_unready_and_it_recovers() {
    on_host("lapse", async |host| {
        let answers = Arc::new(AtomicUsize::new(200));
        let status = Arc::clone(&answers);
        let server = Server::new(move |mut stream| {
            let status = status.load(Ordering::SeqCst);
            drop(stream.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()));
        });
        let run = host.spawn(with_ready(idle("web"), http(&server.url())));
        host.ready(run).await;
        host.forget();
        answers.store(500, Ordering::SeqCst);
        let before = server.requests.lock().expect("no server thread panics").len();
        host.unready(run, "status 500").await;
        let asked = server.requests.lock().expect("no server thread panics").len() - before;
        assert_eq!(asked, 3, "one or two failures say nothing");
        host.forget();
        answers.store(200, Ordering::SeqCst);
        host.ready(run).await;
        end(host, run).await;
    });
}

#[test]
fn liveness_begins_when_it_is_ready_and_fails_once() {
    on_host("liveness", async |host| {
        let server = Server::answering("HTTP/1.1 500 X\r\n\r\n");
        let ready = host.directory.join("ready");
        let mut spec = with_ready(idle("web"), exec(&format!("test -e {}", ready.display())));
        let probe = Some(http(&server.url()));
        let (interval, timeout) = (Duration::from_millis(30), Duration::from_secs(10));
        spec.liveness = Some(Liveness { probe, interval, timeout, failures: 4 });
        let run = host.spawn(spec);
        host.unready(run, "exit status 1").await;
        assert_eq!(server.requests.lock().expect("no server thread panics").len(), 0, "it isn't ready yet");
        fs::write(ready, "").expect("it is ours");
        assert_eq!(host.unhealthy(run).await, "status 500");
        assert_eq!(server.requests.lock().expect("no server thread panics").len(), 4);
        let place = |wanted: fn(&Event) -> bool| host.events.iter().position(wanted);
        let ready = place(|event| matches!(event, Event::Ready { .. }));
        assert!(ready.is_some() && ready < place(|event| matches!(event, Event::Unhealthy { .. })), "{:?}", host.events);
        end(host, run).await;
    });
}

#[test]
fn an_update_changes_how_a_run_is_probed() {
    on_host("update", async |host| {
        let (refusing, passing) = (Server::answering("HTTP/1.1 500 X\r\n\r\n"), Server::answering("HTTP/1.1 200 X\r\n\r\n"));
        let spec = with_ready(idle("web"), http(&refusing.url()));
        let run = host.spawn(spec.clone());
        host.unready(run, "status 500").await;
        let spec = with_ready(spec, http(&passing.url()));
        host.perform(Action::Update { run, spec: Arc::new(spec.clone()) });
        host.ready(run).await;

        // It stays ready: one failure of the new probe is not enough.
        host.forget();
        let mut spec = with_ready(spec, Probe::Tcp(format!("127.0.0.1:{}", free_port()).as_str().into()));
        let liveness = Liveness {
            probe: Some(http(&refusing.url())),
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(10),
            failures: 1,
        };
        spec.liveness = Some(liveness);
        host.perform(Action::Update { run, spec: Arc::new(spec) });
        host.unhealthy(run).await;
        assert_eq!(host.events.len(), 1, "{:?}", host.events);
        end(host, run).await;
    });
}

#[test]
fn hundreds_of_hanging_probes_delay_no_other_probe() {
    on_host("many", async |host| {
        let silent = Server::silent();
        let mut runs = Vec::new();
        for number in 0..200 {
            let mut spec = with_ready(idle(&format!("slow-{number}")), http(&silent.url()));
            spec.ready_timing.timeout = Duration::from_mins(10);
            runs.push(host.spawn(spec));
        }
        let passing = Server::answering("HTTP/1.1 200 X\r\n\r\n");
        let run = host.spawn(with_ready(idle("quick"), http(&passing.url())));
        host.ready(run).await;
        for run in runs.into_iter().chain([run]) {
            end(host, run).await;
        }
    });
}

#[test]
fn a_stopping_run_is_not_probed() {
    on_host("stopping", async |host| {
        let (asked, is_asked) = mpsc::channel();
        let server = Server::new(move |mut stream| {
            asked.send(()).expect("the test lives on");
            drop(stream.write_all(b"HTTP/1.1 500 X\r\n\r\n"));
        });
        let run = host
            .spawn(with_ready(script("web", "trap 'sleep 0.2; exit 0' TERM; while :; do sleep 0.01; done"), http(&server.url())));
        host.unready(run, "status 500").await;
        host.stop(run);
        while is_asked.try_recv().is_ok() {}
        host.gone(run).await;
        assert!(is_asked.try_iter().count() <= 1, "one may have been under way");

        host.forget();
        let run = host.spawn(with_ready(idle("web"), http(&server.url())));
        host.stop(run);
        host.gone(run).await;
        assert!(!host.events.iter().any(|event| matches!(event, Event::Unready { .. })), "{:?}", host.events);
    });
}
