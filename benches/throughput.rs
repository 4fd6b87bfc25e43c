//! How fast lines go through navigator, beside `cat` doing the same: `cargo bench --bench throughput [-- MEGABYTES]`.
//!
//! One process writes lines of 100 bytes as fast as it can. Each way takes the same bytes to the same disk:
//!
//! - `cat`: through a pipe and `cat` into a file, which is what the ways of navigator are measured against;
//! - `file`: `output: {file: …}`, the lines as they are;
//! - `log to a file`, `log to nowhere`: `output: log`, each line behind its prefix.
//!
//! Two figures for each: megabytes of the process's own bytes by the clock, and by the processor time of whoever took
//! them. The second is the one to trust on a machine that does other things too. It is *not* a test: nothing fails by
//! being slow, only by a byte that is missing.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "the ban on starting programs protects navigator's own reaper; this has none")]

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAVIGATOR: &str = env!("CARGO_BIN_EXE_navigator");
const LINE: usize = 100;
/// What the process hands to the kernel at once.
const BLOCK: usize = 64 * 1024 / LINE * LINE;
/// The word that makes this program the process that writes.
const PRODUCE: &str = "produce";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, bytes] = &arguments[..]
        && word == PRODUCE
    {
        return produce(bytes.parse().expect("a number of bytes"));
    }
    let megabytes: usize = arguments.first().map_or(1000, |number| number.parse().expect("a number of megabytes"));
    let bytes = megabytes * 1_000_000;
    let place = Place::new();
    let cat = place.through_cat(bytes);
    print("cat", bytes, &cat, &cat);
    for (name, way) in [("file", Way::File), ("log to a file", Way::Log), ("log to nowhere", Way::Nowhere)] {
        let taken = place.through_navigator(bytes, way);
        print(name, bytes, &taken, &cat);
    }
}

/// Writes this many bytes of lines to standard output.
fn produce(bytes: usize) {
    let block: Vec<u8> = (0..BLOCK).map(|at| if at % LINE == LINE - 1 { b'\n' } else { b'x' }).collect();
    let mut out = std::io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let now = left.min(BLOCK);
        out.write_all(&block[..now]).expect("somebody reads");
        left -= now;
    }
}

/// Where navigator is told to write.
#[derive(Clone, Copy)]
enum Way {
    File,
    Log,
    Nowhere,
}

/// What a run took.
struct Taken {
    clock: Duration,
    processor: Duration,
}

fn print(name: &str, bytes: usize, taken: &Taken, reference: &Taken) {
    // Bytes in a microsecond are megabytes in a second.
    let rate = |time: Duration| bytes as u128 / time.as_micros().max(1);
    let (clock, processor) = (rate(taken.clock), rate(taken.processor));
    let beside = 100 * clock / rate(reference.clock).max(1);
    println!("{name:15} {clock:6} MB/s, {beside:3} % of cat; {processor:6} MB per second of processor time");
}

/// A directory for the files, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("throughput-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the files");
        Place(directory)
    }

    fn through_cat(&self, bytes: usize) -> Taken {
        let path = self.0.join("cat");
        let begun = Instant::now();
        let mut producer = producer(bytes).stdout(Stdio::piped()).spawn().expect("this program runs");
        let pipe = producer.stdout.take().expect("it is piped");
        let mut cat = Command::new("cat").stdin(pipe).stdout(File::create(&path).expect("a file")).spawn().expect("cat runs");
        let processor = processor_time_at_end(&cat);
        let clock = begun.elapsed();
        for child in [&mut producer, &mut cat] {
            assert!(child.wait().expect("it is ours").success());
        }
        assert_eq!(size(&path), bytes);
        fs::remove_file(path).expect("it is ours");
        Taken { clock, processor }
    }

    fn through_navigator(&self, bytes: usize, way: Way) -> Taken {
        let (config, own, log) = (self.0.join("navigator.yml"), self.0.join("own"), self.0.join("log"));
        let output = if matches!(way, Way::File) { "{ file: own, max_size: 1000GB }" } else { "log" };
        let program = std::env::current_exe().expect("this program");
        let text = format!(
            "managed_processes:\n  - {{ name: producer, command: \"{}\", args: [{PRODUCE}, \"{bytes}\"], output: {output} }}\n",
            program.display()
        );
        fs::write(&config, text).expect("a file");
        let stdout = if matches!(way, Way::Nowhere) { "/dev/null".into() } else { log.clone() };
        let mut navigator = Command::new(NAVIGATOR)
            .arg(&config)
            .env("NAVIGATOR_STATE_DIR", self.0.join("state"))
            .env("NAVIGATOR_PID_FILE", self.0.join("pid"))
            .stdout(File::create(stdout).expect("a file"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("navigator runs");
        let mut events = BufReader::new(navigator.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        events.find(|line| line.contains("Process started")).expect("it starts");
        let begun = Instant::now();
        events.find(|line| line.contains("Process exited")).expect("it writes all of it");
        // It ends when the last line is written.
        kill_process(pid(&navigator), Signal::TERM).expect("it runs");
        let processor = processor_time_at_end(&navigator);
        let clock = begun.elapsed();
        assert!(navigator.wait().expect("it is ours").success());
        let prefixes = "[producer.stdout] ".len() * bytes.div_ceil(LINE);
        match way {
            Way::File => assert_eq!(size(&own), bytes),
            Way::Log => assert_eq!(size(&log), bytes + prefixes),
            Way::Nowhere => {}
        }
        for file in [own, log] {
            // Not every way makes each of them.
            let _none = fs::remove_file(file);
        }
        Taken { clock, processor }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}

fn producer(bytes: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([PRODUCE, &bytes.to_string()]);
    command
}

fn size(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX))
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits for the end of a child and leaves it to be reaped; the kernel keeps its account until then.
fn processor_time_at_end(child: &Child) -> Duration {
    waitid(WaitId::Pid(pid(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is ours");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it isn't reaped");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name in parentheses").1.split(' ').collect();
    // Fields 14 and 15 of `proc_pid_stat(5)`, counted from 3 here.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(1000 * ticks / rustix::param::clock_ticks_per_second())
}
