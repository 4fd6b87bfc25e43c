//! From a save to the first request that the new program answers, and the longest request meanwhile: a server on a socket that
//! navigator holds, replaced by stopping first and by rolling, while clients ask without a pause.

use crate::contender::{Contender, FILE, Order, navigator};
use crate::figures::{Table, median, milliseconds};
use crate::host::{Host, signal_process, wait_for_end};
use crate::journal::now;
use crate::place::Place;
use rustix::process::Signal;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How often each manner is measured.
const SAVES: u32 = 31;
/// How many clients ask at the same time.
const CLIENTS: usize = 4;
/// After this time without an answer of the old program, a replacement is over, in milliseconds. A new run is ready for 50 ms
/// before the old one stops.
const SETTLED: f64 = 300.0;
/// A request, or a replacement, that takes longer fails the bench.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
struct Answer {
    release: u32,
    /// When it was begun, and when its answer was there.
    begun: f64,
    ended: f64,
}

pub(crate) fn measure(place: &Place) {
    let mut table = Table::new(&[
        "a save",
        "save → first answer of the new program",
        "exec → first answer, without navigator",
        "ratio",
        "longest request, median",
        "longest of all",
        "requests",
        "failed",
    ]);
    for (title, keys) in [
        ("stops first (`restart`)", "on_change: restart"),
        ("starts first (`rolling`)", "on_change: rolling\n    rolling: { stable: 50ms }"),
    ] {
        let Figures { firsts, floors, longest, requests } = replace(place, keys);
        let ratios: Vec<f64> = firsts.iter().zip(&floors).map(|(first, floor)| first / floor).collect();
        table.row(vec![
            title.to_owned(),
            format!("{:.1} ms", median(&firsts)),
            format!("{:.1} ms", median(&floors)),
            format!("{:.1} ×", median(&ratios)),
            format!("{:.1} ms", median(&longest)),
            format!("{:.1} ms", longest.iter().copied().fold(0.0, f64::max)),
            requests.to_string(),
            "0".to_owned(),
        ]);
    }
    table.print(&format!(
        "Replacements of a server on a held socket, {CLIENTS} clients, a connection for each request; {SAVES} saves each"
    ));
}

struct Figures {
    firsts: Vec<f64>,
    floors: Vec<f64>,
    /// The longest request of each replacement.
    longest: Vec<f64>,
    requests: usize,
}

/// Saves again and again. A request that fails fails the bench.
fn replace(place: &Place, keys: &str) -> Figures {
    let directory = place.fresh("host");
    let (held, own) = (free_port(), free_port());
    let save = |release: u32| {
        let text = format!(
            "managed_processes:\n  - name: web\n    command: {}\n    args: ['{release}']\n    listen: '{held}'\n    \
             ready: {{ notify: true }}\n    {keys}\n",
            place.server().display()
        );
        let new = directory.join("new.yml");
        fs::write(&new, text).expect("a file");
        let saved = now();
        fs::rename(new, directory.join(FILE)).expect("it was written");
        saved
    };
    save(0);
    let mut command = navigator(&directory, place);
    command.stderr(fs::File::create(place.own("log")).expect("a file"));
    let host = Host::start(Contender::Navigator(Order::Listed), directory.clone(), command, place.server());
    while request(held).is_none() {
        assert!(now() < host.begun + milliseconds(PATIENCE), "it serves");
    }
    let is_over = AtomicBool::new(false);
    let figures = thread::scope(|scope| {
        let (sender, answers) = channel();
        for _ in 0..CLIENTS {
            let (sender, is_over) = (sender.clone(), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let begun = now();
                    let release = request(held).expect("no request fails");
                    // After the last figure, none is taken.
                    let _over = sender.send(Answer { release, begun, ended: now() });
                }
            });
        }
        let mut figures = Figures { firsts: Vec::new(), floors: Vec::new(), longest: Vec::new(), requests: 0 };
        for release in 1..=SAVES {
            // The clients keep on, so that both are measured beside the same load.
            figures.floors.push(floor(&place.server(), release, own));
            let saved = save(release);
            figures.take(&answers, release, saved);
        }
        is_over.store(true, Ordering::Relaxed);
        figures
    });
    host.stop();
    figures
}

impl Figures {
    /// Takes answers until this release alone has answered for some time.
    fn take(&mut self, answers: &Receiver<Answer>, release: u32, saved: f64) {
        let (mut first, mut last_old, mut longest) = (None, saved, 0.0_f64);
        for answer in answers {
            self.requests += 1;
            assert!(answer.ended < saved + milliseconds(PATIENCE), "release {release} answers");
            if answer.ended < saved {
                continue;
            }
            longest = longest.max(answer.ended - answer.begun);
            if answer.release == release {
                first.get_or_insert(answer.ended - saved);
            } else {
                last_old = answer.ended;
            }
            if let Some(first) = first.filter(|_| answer.ended > last_old.max(saved) + SETTLED) {
                self.firsts.push(first);
                self.longest.push(longest);
                return;
            }
        }
    }
}

/// How long the program itself takes from its start to its first answer.
#[expect(clippy::disallowed_methods, reason = "the ban on starting programs protects navigator's own reaper; this has none")]
fn floor(server: &Path, release: u32, own: SocketAddr) -> f64 {
    let begun = now();
    let mut child = Command::new(server).arg(release.to_string()).arg(own.port().to_string()).spawn().expect("it runs");
    while request(own) != Some(release) {
        assert!(now() < begun + milliseconds(PATIENCE), "it serves");
    }
    let taken = now() - begun;
    signal_process(child.id().cast_signed(), Signal::TERM);
    wait_for_end(&child);
    child.wait().expect("it is ours");
    taken
}

/// The release that answers; `None`: none does.
fn request(at: SocketAddr) -> Option<u32> {
    let (mut answer, mut server) = (String::new(), TcpStream::connect(at).ok()?);
    server.set_read_timeout(Some(PATIENCE)).expect("it isn't zero");
    server.read_to_string(&mut answer).ok()?;
    answer.trim_end().parse().ok()
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound")
}
