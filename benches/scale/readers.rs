//! What readers cost: a start with and without a crowd of them, how long `status` takes while a large plan is made, a restart of many
//! by name beside the same by file, and how a preview grows.

use crate::contender::{Contender, FILE, Order, put_in_place};
use crate::figures::{Table, median, milliseconds};
use crate::host::Host;
use crate::journal::{Journal, Kind, now};
use crate::life::PATIENCE;
use crate::place::Place;
use navigator::config::{Environment, Files, load};
use navigator::snapshot::PlanReport;
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::preview::settle;
use reconcile::time::Time;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, park_timeout};
use std::time::{Duration, Instant};

/// How long after one `status` the next is asked for.
const EVERY: Duration = Duration::from_millis(10);

pub(crate) fn measure(place: &Place, rounds: usize, count: usize) {
    boots(place, rounds, 3 * count);
    plans(place, 4 * count);
    restarts(place, rounds, count);
    previews(&[count, 2 * count, 4 * count]);
}

/// A start of all processes in the order of the list, alone and beside readers by turns.
fn boots(place: &Place, rounds: usize, count: usize) {
    let (mut alone, mut beside, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(boot(place, count, || ()).0);
        let (time, latencies) = boot(place, count, || Readers::start(place));
        beside.push(time);
        asked.extend(latencies.stop());
    }
    let ratio = median(&alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect::<Vec<_>>());
    let mut table = Table::new(&[&format!("start of {count} in list order"), "median", "ratio"]);
    table.row(vec!["alone".to_owned(), shown(median(&alone)), String::new()]);
    let beside = shown(median(&beside));
    table.row(vec!["beside `wait`, a `status` each 10 ms and a reader of events".to_owned(), beside, format!("{ratio:.2} ×")]);
    table.row(vec![format!("one of {} `status`", asked.len()), shown(median(&asked)), String::new()]);
    table.print(&format!("{rounds} rounds of both"));
}

fn boot<R>(place: &Place, count: usize, readers: impl FnOnce() -> R) -> (f64, R) {
    let mut journal = Journal::new(place);
    journal.pass(Duration::from_secs(1));
    let host = Contender::Navigator(Order::Listed).start(place, &journal, count);
    let readers = readers();
    journal.wait(Kind::Exec, u32::try_from(count).expect("it is a number of processes"), PATIENCE);
    let started = journal.news().iter().map(|record| record.at).fold(0.0, f64::max) - host.begun;
    journal.pass(Duration::from_secs(1));
    host.stop();
    (started, readers)
}

/// A plan in which all processes change, beside a `status` each 10 ms.
fn plans(place: &Place, count: usize) {
    let (journal, host) = started(place, Order::Free, count);
    let candidate = place.own("candidate.yml");
    fs::write(&candidate, changed(&host)).expect("a file");
    let readers = Readers::start(place);
    journal.pass(Duration::from_secs(1));
    let begun = Instant::now();
    let path = form_urlencoded::byte_serialize(candidate.to_string_lossy().as_bytes()).collect::<String>();
    let plan = Client::connect(place).ask("GET", &format!("/v1/plan?path={path}"), "").expect("an answer");
    let time = milliseconds(begun.elapsed());
    assert!(plan.len() > count, "all of them change");
    let asked = readers.stop();
    host.stop();
    let longest = asked.iter().copied().fold(0.0, f64::max);
    let mut table = Table::new(&["", "time"]);
    table.row(vec![format!("a plan of {count} changes"), shown(time)]);
    table.row(vec![format!("the longest of {} `status` beside it", asked.len()), shown(longest)]);
    table.row(vec!["their median".to_owned(), shown(median(&asked))]);
    table.print("A large plan");
}

/// A restart of all processes in the order of the list, by a saved file and by their names, by turns.
fn restarts(place: &Place, rounds: usize, count: usize) {
    let (mut journal, host) = started(place, Order::Listed, count);
    let names: Vec<String> = (0..count).map(|number| format!("\"process-{number}\"")).collect();
    let body = format!("{{\"names\": [{}]}}", names.join(", "));
    let all = u32::try_from(count).expect("it is a number of processes");
    let (mut by_file, mut by_name) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let former = journal.count(Kind::Exec);
        let text = fs::read_to_string(host.directory().join(FILE)).expect("it was written");
        let (old, new) = (format!("\"{round}\"]"), format!("\"{}\"]", round + 1));
        fs::write(host.directory().join("navigator.yml.new"), text.replace(&old, &new)).expect("a file");
        let saved = now();
        put_in_place(host.directory());
        journal.wait(Kind::Exec, former + all, PATIENCE);
        by_file.push(journal.last(Kind::Exec) - saved);
        journal.pass(Duration::from_secs(1));
        let asked = now();
        Client::connect(place).ask("POST", "/v1/restart", &body).expect("an answer");
        by_name.push(now() - asked);
        journal.pass(Duration::from_secs(1));
    }
    host.stop();
    let ratio = median(&by_file.iter().zip(&by_name).map(|(file, name)| name / file).collect::<Vec<_>>());
    let mut table = Table::new(&[&format!("restart of {count} in list order"), "median", "ratio"]);
    table.row(vec!["by a saved file".to_owned(), shown(median(&by_file)), String::new()]);
    table.row(vec!["by their names".to_owned(), shown(median(&by_name)), format!("{ratio:.2} ×")]);
    table.print(&format!("{rounds} rounds of both"));
}

/// The preview of a change of all processes, without a system around it.
fn previews(counts: &[usize]) {
    let mut table = Table::new(&["preview of so many changes", "`depends_on: []`", "in list order"]);
    for &count in counts {
        let time = |order| {
            let mut engine = Engine::new();
            // Started one after the other, they would take much longer.
            let mut now = settle(&mut engine, Time::ZERO, wish(count, Order::Free, 0));
            if order == Order::Listed {
                now = settle(&mut engine, now, wish(count, order, 0));
            }
            let next = wish(count, order, 1);
            let begun = Instant::now();
            let plan = PlanReport::of(&engine, now, &next);
            assert_eq!(plan.changes.len(), count);
            shown(milliseconds(begun.elapsed()))
        };
        table.row(vec![count.to_string(), time(Order::Free), time(Order::Listed)]);
    }
    table.print("Previews");
}

/// A file in memory.
struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
}

fn wish(count: usize, order: Order, version: usize) -> Desired {
    let mut text = "managed_processes:\n".to_owned();
    let placed = if order == Order::Free { "    depends_on: []\n" } else { "" };
    for number in 0..count {
        write!(text, "  - name: process-{number}\n    command: worker\n    args: [\"{version}\"]\n{placed}")
            .expect("it takes all");
    }
    load(Path::new("navigator.yml"), &Text(text), &Environment::default()).expect("it is valid").desired
}

fn started(place: &Place, order: Order, count: usize) -> (Journal, Host) {
    let journal = Journal::new(place);
    let host = Contender::Navigator(order).start(place, &journal, count);
    journal.wait(Kind::Exec, u32::try_from(count).expect("it is a number of processes"), PATIENCE);
    journal.pass(Duration::from_secs(2));
    (journal, host)
}

/// The configuration with another version of every process.
fn changed(host: &Host) -> String {
    fs::read_to_string(host.directory().join(FILE)).expect("it was written").replace("\"0\"]", "\"1\"]")
}

fn shown(time: f64) -> String {
    format!("{time:.1} ms")
}

/// A `wait`, a `status` each 10 ms, and a reader of events.
struct Readers {
    is_over: Arc<AtomicBool>,
    asking: JoinHandle<Vec<f64>>,
}

impl Readers {
    /// They begin as soon as navigator lets them in.
    fn start(place: &Place) -> Readers {
        let state = place.state().to_owned();
        let is_over = Arc::new(AtomicBool::new(false));
        for path in ["/v1/wait?timeout=600", "/v1/events"] {
            let state = state.clone();
            // Navigator's end is theirs.
            thread::spawn(move || Client::reach(&state).read_to_end(path));
        }
        let until = Arc::clone(&is_over);
        let asking = thread::spawn(move || {
            let mut client = Client::reach(&state);
            let mut latencies = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let begun = Instant::now();
                if client.ask("GET", "/v1/status", "").is_err() {
                    break;
                }
                latencies.push(milliseconds(begun.elapsed()));
                park_timeout(EVERY.saturating_sub(begun.elapsed()));
            }
            latencies
        });
        Readers { is_over, asking }
    }

    /// Answers how long each `status` took, in milliseconds.
    fn stop(self) -> Vec<f64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.asking.join().expect("it ends")
    }
}

/// A connection to the navigator of the bench.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(place: &Place) -> Client {
        Client::reach(place.state())
    }

    /// Waits for the socket, which is there a moment after the start.
    fn reach(state: &Path) -> Client {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(stream) = sockets(state).into_iter().find_map(|socket| UnixStream::connect(socket).ok()) {
                return Client(BufReader::new(stream));
            }
            assert!(Instant::now() < until, "navigator opens its socket");
            park_timeout(Duration::from_millis(1));
        }
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: navigator\r\ncontent-length: {length}\r\n\r\n");
        self.0.get_mut().write_all((head + body).as_bytes())
    }

    /// Answers with the body.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        self.send(method, path, body)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text)?;
        Ok(text)
    }

    /// Reads whatever comes.
    fn read_to_end(mut self, path: &str) {
        let mut piece = vec![0; 64 * 1024];
        let asked = self.send("GET", path, "");
        while asked.is_ok() && self.0.read(&mut piece).is_ok_and(|length| length > 0) {}
    }
}

/// The sockets of the instances below a state directory.
fn sockets(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("socket")).filter(|socket| socket.exists()).collect()
}
