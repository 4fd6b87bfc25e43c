//! How fast lines go through navigator, beside `cat` doing the same: 200 MB of lines of 100 bytes, from one process and from
//! 100 at once.
//!
//! Who takes them takes turns, and each takes the same lines to the same disk:
//!
//! - `cat`: through a pipe and `cat` into a file, for each producer one of each. One `cat` for all would split lines, as writes
//!   to a pipe that many share are whole up to 4 KiB alone;
//! - navigator, raw: `output: {file: …}`, a file for each producer, with its usual limits;
//! - navigator, with a prefix: `output: log`, all to its standard output, a file.
//!
//! The producers wait at a gate until all of them are there, so starting them is in no figure; the time ends when whoever takes
//! the lines has ended. After every run each line is there once, whole, and in its producer's order, or the bench ends.

use crate::contender::{self, Contender, Order};
use crate::figures::{Table, median};
use crate::host::{Host, processor_of_thread, wait_for_end};
use crate::journal::now;
use crate::life::PATIENCE;
use crate::lines::{Arrived, LINE, PRODUCE};
use crate::place::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, mknodat, open};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Lines of all producers together.
const LINES: usize = 200_000_000 / LINE;
const PRODUCERS: [usize; 2] = [1, 100];
/// How many files navigator puts aside at most; its usual number.
const KEEP: usize = 5;

/// Who takes the lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taker {
    Cat,
    Raw,
    Prefixed,
}

const TAKERS: [Taker; 3] = [Taker::Cat, Taker::Raw, Taker::Prefixed];

/// What it took, in milliseconds.
#[derive(Clone, Copy)]
struct Taken {
    clock: f64,
    processor: f64,
}

pub(crate) fn measure(place: &Place, rounds: usize) {
    let mut taken: [[Vec<Taken>; TAKERS.len()]; PRODUCERS.len()] = Default::default();
    for _ in 0..rounds {
        for (producers, taken) in PRODUCERS.into_iter().zip(&mut taken) {
            for (taker, taken) in TAKERS.into_iter().zip(taken) {
                let run = Run::prepare(place, producers);
                taken.push(taker.take(&run, place));
            }
        }
    }
    let [of_one, of_many] =
        PRODUCERS.map(|producers| if producers == 1 { "one".to_owned() } else { format!("{producers} at once") });
    let mut table =
        Table::new(&["", &format!("from {of_one}"), "a second of CPU", &format!("from {of_many}"), "a second of CPU"]);
    for (index, taker) in TAKERS.into_iter().enumerate() {
        let cells = taken.iter().flat_map(|by_taker| {
            let cell = |time: fn(&Taken) -> f64| beside(&by_taker[index], &by_taker[0], time);
            [cell(|taken| taken.clock), cell(|taken| taken.processor)]
        });
        table.row(Some(taker.name().to_owned()).into_iter().chain(cells).collect());
    }
    let megabytes = LINES * LINE / 1_000_000;
    table.print(&format!(
        "{megabytes} MB in lines of {LINE} bytes, every line found whole and in order; medians of {rounds} rounds, and the median \
         of the ratios of speed to `cat` in the same round"
    ));
}

/// A speed, and how it compares.
fn beside(own: &[Taken], reference: &[Taken], time: fn(&Taken) -> f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than that")]
    let kilobytes = (LINES * LINE / 1000) as f64;
    let speeds: Vec<f64> = own.iter().map(|taken| kilobytes / time(taken)).collect();
    let ratios: Vec<f64> = own.iter().zip(reference).map(|(own, reference)| time(reference) / time(own)).collect();
    format!("{:.0} MB/s ({:.2} ×)", median(&speeds), median(&ratios))
}

impl Taker {
    fn name(self) -> &'static str {
        match self {
            Taker::Cat => "`cat`",
            Taker::Raw => "navigator, raw to a file",
            Taker::Prefixed => "navigator, with a prefix",
        }
    }

    /// Has the lines of a run taken, and looks whether all of them have arrived.
    fn take(self, run: &Run, place: &Place) -> Taken {
        let taken = if self == Taker::Cat { run.through_cat() } else { run.through_navigator(self, place) };
        let mut arrived = Arrived::none(run.producers);
        if self == Taker::Prefixed {
            arrived.take(&run.log(), |producer| format!("[process-{producer}.stdout] "));
        } else {
            (0..run.producers).flat_map(|producer| run.files(producer)).for_each(|file| arrived.take(&file, |_| String::new()));
        }
        arrived.all(run.lines);
        taken
    }
}

/// Producers that are yet to write, and where their lines are to go.
struct Run {
    producers: usize,
    /// Of each producer.
    lines: usize,
    directory: PathBuf,
}

impl Run {
    fn prepare(place: &Place, producers: usize) -> Run {
        Run { producers, lines: LINES / producers, directory: place.fresh("output") }
    }

    /// The arguments that make the bench a producer.
    fn arguments(&self, producer: usize) -> [String; 5] {
        let path = |name| self.directory.join(name).display().to_string();
        [PRODUCE.to_owned(), path(HERE), path(GATE), producer.to_string(), self.lines.to_string()]
    }

    /// The file for the lines of a producer.
    fn file(&self, producer: usize) -> PathBuf {
        self.directory.join(format!("process-{producer}.log"))
    }

    /// That file and those that it was before it had grown, in the order of their lines.
    fn files(&self, producer: usize) -> impl Iterator<Item = PathBuf> {
        let file = self.file(producer);
        let aside = (1..=KEEP).rev().map(|number| file.with_extension(format!("log.{number}")));
        aside.filter(|path| path.exists()).chain(Some(file.clone())).collect::<Vec<_>>().into_iter()
    }

    /// Navigator's standard output.
    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn through_cat(&self) -> Taken {
        let gate = Gate::new(&self.directory);
        let program = std::env::current_exe().expect("this program");
        let (mut producers, mut cats) = (Vec::new(), Vec::new());
        for producer in 0..self.producers {
            let mut own = Command::new(&program);
            let mut own = spawn(own.args(self.arguments(producer)).stdout(Stdio::piped()));
            let pipe = own.stdout.take().expect("it is piped");
            let file = File::create(self.file(producer)).expect("a file");
            cats.push(spawn(Command::new("cat").stdin(pipe).stdout(file)));
            producers.push(own);
        }
        gate.wait_for_all(self.producers);
        let before: f64 = cats.iter().map(processor).sum();
        let opened = now();
        gate.open();
        cats.iter().for_each(wait_for_end);
        let clock = now() - opened;
        let processor = cats.iter().map(processor).sum::<f64>() - before;
        for child in producers.iter_mut().chain(&mut cats) {
            assert!(child.wait().expect("it is ours").success(), "producers and `cat` have come to their end");
        }
        Taken { clock, processor }
    }

    fn through_navigator(&self, taker: Taker, place: &Place) -> Taken {
        let gate = Gate::new(&self.directory);
        // What happens around the lines would wake whoever watches for saves.
        let configuration = place.fresh("host");
        fs::write(configuration.join(contender::FILE), self.text(taker)).expect("a file");
        let mut command = contender::navigator(&configuration, place);
        let [out, log] = [self.log(), place.own("log")].map(|path| File::create(path).expect("a file"));
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        let program = std::env::current_exe().expect("this program");
        let host = Host::start(Contender::Navigator(Order::Free), configuration, command, program);
        gate.wait_for_all(self.producers);
        let before = host.spent();
        let opened = now();
        gate.open().wait_for_ends();
        let ended = host.stop_and_count();
        Taken { clock: ended.at - opened, processor: ended.spent - before }
    }

    fn text(&self, taker: Taker) -> String {
        let program = std::env::current_exe().expect("this program");
        let mut text = "managed_processes:\n".to_owned();
        for producer in 0..self.producers {
            let file = format!("{{ file: {} }}", self.file(producer).display());
            writeln!(
                text,
                "  - {{ name: process-{producer}, command: {}, args: {:?}, depends_on: [], output: {} }}",
                program.display(),
                self.arguments(producer),
                if taker == Taker::Raw { &file } else { "log" },
            )
            .expect("a string takes all");
        }
        text
    }
}

const HERE: &str = "here";
const GATE: &str = "gate";

/// Where producers wait for one another.
struct Gate {
    /// Every producer writes a byte, and closes it when it ends.
    here: OwnedFd,
    /// Closed, when it opens.
    gate: OwnedFd,
}

/// The gate, when it has been opened.
struct Opened {
    here: OwnedFd,
}

impl Gate {
    fn new(directory: &Path) -> Gate {
        let fifo = |name, flags| {
            let path = directory.join(name);
            mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
            open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).expect("it was made")
        };
        Gate { here: fifo(HERE, OFlags::RDONLY), gate: fifo(GATE, OFlags::RDWR) }
    }

    fn wait_for_all(&self, producers: usize) {
        let mut present = 0;
        while present < producers {
            let mut bytes = [0; 128];
            wait_for(&self.here);
            let more = rustix::io::read(&self.here, &mut bytes).expect("something is there");
            assert!(more > 0, "a producer has ended before its time");
            present += more;
        }
    }

    fn open(self) -> Opened {
        drop(self.gate);
        Opened { here: self.here }
    }
}

impl Opened {
    fn wait_for_ends(&self) {
        wait_for(&self.here);
        let more = rustix::io::read(&self.here, &mut [0; 1]).expect("its end is there");
        assert_eq!(more, 0, "every producer says once that it is there");
    }
}

fn wait_for(here: &OwnedFd) {
    let patience = Timespec::try_from(PATIENCE).expect("it is short");
    let ready = poll(&mut [PollFd::new(here, PollFlags::IN)], Some(&patience)).expect("a FIFO can be waited for");
    assert_eq!(ready, 1, "nothing is heard of the producers within {PATIENCE:?}");
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().expect("it runs")
}

fn processor(child: &Child) -> f64 {
    processor_of_thread(Path::new(&format!("/proc/{}", child.id())))
}
