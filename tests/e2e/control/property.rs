//! A property tester of HTTP interfaces, `schemathesis`, finds no difference between `docs/openapi.json` and the program: it sends
//! random requests, valid ones and wrong ones.
//!
//! It speaks TCP alone, so the test relays it to the socket.

use crate::harness::socket::instance;
use crate::harness::{Signal, Site, client, servers};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::str;
use std::thread;
use std::time::Duration;

const TESTER: &str = "schemathesis==4.32.5";

const PROCESSES: &str = "\
managed_processes:
  - { name: web, command: sleep, args: [1h] }
  - { name: silent, command: sleep, args: [1h], output: null }
";

/// Answers that are described, and that the tester would take for a refusal of a valid request: a file that is no configuration, a
/// revision where no repository is followed, and the end of a wait.
const SETTINGS: &str = r#"
[[operations]]
include-name = "GET /v1/plan"
checks.positive_data_acceptance.expected-statuses = ["200", "409", "422"]

[[operations]]
include-name = "GET /v1/wait"
checks.positive_data_acceptance.expected-statuses = ["200", "404", "408"]
"#;

#[test]
fn a_property_tester_finds_nothing() {
    let test = "control::property::a_property_tester_finds_nothing";
    let Some(programs) = servers::python_packages(test, &[TESTER]) else { return };
    let site = Site::new();
    let mut navigator = site.start_unwatched(PROCESSES);
    navigator.started("silent");
    site.write("schemathesis.toml", SETTINGS);
    let url = format!("http://127.0.0.1:{}", relay(instance(&site).join("socket")));
    let mut command = Command::new(programs.join("schemathesis"));
    command.args(["--config-file", "schemathesis.toml", "run", concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")]);
    command.args(["--url", &url, "--max-examples", "20", "--request-timeout", "10", "--seed", "1", "--no-color"]);
    let report = client(command.current_dir(site.path("")));
    assert!(report.contains("Tested: 13"), "{report}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Relays connections to the socket; returns the port. It ends with the test.
fn relay(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = UnixStream::connect(&socket);
            // A connection that fails is the tester's to report.
            thread::spawn(move || drop(server.and_then(|server| pass(client, server))));
        }
    });
    port
}

/// A stream of lines that is quiet for this long is ended: the tester waits for its end.
const QUIET: Duration = Duration::from_millis(100);

/// The end of a body in chunks (RFC 9112, 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn pass(mut client: TcpStream, mut server: UnixStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut is_stream = false;
    loop {
        match server.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let part = &buffer[..length];
                let head = part.split(|&byte| byte == b'{').next().and_then(|head| str::from_utf8(head).ok()).unwrap_or_default();
                is_stream |= head.to_ascii_lowercase().contains("transfer-encoding: chunked");
                is_stream &= !part.ends_with(LAST_CHUNK);
                server.set_read_timeout(is_stream.then_some(QUIET))?;
                client.write_all(part)?;
            }
            Err(error) if is_stream && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                client.write_all(LAST_CHUNK)?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    client.shutdown(Shutdown::Both)?;
    server.shutdown(Shutdown::Both)
}
