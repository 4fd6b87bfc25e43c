//! Many stuck destinations at the same time: memory and threads are bounded, other processes are not affected, and each dropped
//! line is counted.
//!
//! `STUCK=1000` sets their number; the default is 100, with the same total output.

use crate::faults::{end_fault, is_possible};
use crate::harness::{Navigator, Site, report};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that all stuck processes write together.
const TOTAL: usize = 400_000_000;
/// Bytes of each of their lines.
const LINE: usize = 100;
/// Maximum memory of navigator while they are stuck, in kilobytes.
const MEMORY: u64 = 64 * 1024;
/// Additional threads of navigator, at most.
const THREADS: u64 = 8;

fn count() -> usize {
    std::env::var("STUCK").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

/// A process that writes to its own file, and one that writes to navigator's output.
const HEALTHY: &str = r"
defaults: { depends_on: [], restart: never }
managed_processes:
  - { name: file, command: sh, args: [-c, 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'], output: { file: healthy.log } }
  - { name: shared, command: sh, args: [-c, 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'] }
";

/// Waits until both have written this many lines more, and checks that no line is missing.
#[track_caller]
fn healthy_lines_arrive(site: &Site, navigator: &Navigator<'_>, more: usize) {
    let of_file = || site.read("healthy.log").lines().map(str::to_owned).collect::<Vec<_>>();
    let of_shared = || navigator.said("shared").into_iter().map(|said| said.message).collect::<Vec<_>>();
    let before = [of_file().len(), of_shared().len()];
    let both = navigator.log().until("further lines of healthy processes", || {
        let both = [of_file(), of_shared()];
        both.iter().zip(before).all(|(now, before)| now.len() >= before + more).then_some(both)
    });
    for lines in both {
        let expected: Vec<String> = (1..=lines.len()).map(|number| number.to_string()).collect();
        assert_eq!(lines, expected);
    }
}

/// Resident memory of navigator in kilobytes.
fn memory(navigator: &Navigator<'_>) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", navigator.pid())).expect("it runs");
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("the kernel reports it");
    rss.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Checks that each line of a stuck destination arrived or is counted in its place. Returns whether lines were dropped.
fn check(text: &str, lines: usize, name: &str) -> bool {
    let count = |line: &str| {
        let Some(rest) = line.strip_prefix("… dropped ") else {
            assert_eq!(line.len(), LINE - 1, "a whole line of `{name}`: {line}");
            return 1;
        };
        rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    assert_eq!(text.lines().map(count).sum::<usize>(), lines, "lines of `{name}`");
    text.contains("… dropped ")
}

/// A process that writes this many lines into a file and ends.
fn stuck(number: usize, lines: usize, file: &str) -> String {
    let script = format!("yes {} | head -n {lines}", "7".repeat(LINE - 1));
    format!("  - {{ name: stuck-{number}, command: sh, args: [-c, '{script}'], output: {{ file: {file} }} }}\n")
}

#[test]
fn many_stuck_destinations_use_little_memory_and_affect_no_other() {
    let (count, site) = (count(), Site::new());
    let navigator = site.start(HEALTHY);
    healthy_lines_arrive(&site, &navigator, 5);
    let threads = navigator.status("Threads");
    // Pipes that are open for reading but not read.
    let pipes: Vec<OwnedFd> = (0..count).map(|_| pipe_with(PipeFlags::CLOEXEC).expect("descriptors are left").0).collect();
    let lines = TOTAL / count / LINE;
    let mut configuration = HEALTHY.to_owned();
    for (number, pipe) in pipes.iter().enumerate() {
        let output = format!("/proc/{}/fd/{}", std::process::id(), pipe.as_raw_fd());
        configuration.push_str(&stuck(number, lines, &output));
    }
    site.write("navigator.yml", &configuration);
    for number in 0..count {
        navigator.event("Process exited", &format!("stuck-{number}"));
    }
    healthy_lines_arrive(&site, &navigator, 20);
    let (after, memory) = (navigator.status("Threads"), memory(&navigator));
    report(&format!("{count} stuck: {threads} threads, then {after}; {memory} kB"));
    assert!(after <= threads + THREADS, "{after} threads, {threads} before");
    assert!(memory < MEMORY, "{memory} kB");
    let mut losing = 0;
    for (number, pipe) in pipes.into_iter().enumerate() {
        let mut text = String::new();
        File::from(pipe).read_to_string(&mut text).expect("it is text");
        losing += usize::from(check(&text, lines, &format!("stuck-{number}")));
    }
    // The first ones may have had room for all their output.
    assert!(losing > count / 2, "{losing} of {count} lost lines");
    healthy_lines_arrive(&site, &navigator, 5);
    navigator.ends();
}

/// A directory on another filesystem, removed with it.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// `strace` plays the hung filesystem: writes to its files don't return while it lives.
#[test]
fn a_hung_filesystem_with_many_files_affects_no_other() {
    const FILES: usize = 20;
    // Twice the share of one process.
    const LINES: usize = 40_000;
    if !is_possible("stuck::a_hung_filesystem_with_many_files_affects_no_other") {
        return;
    }
    let site = Site::new();
    let elsewhere = Elsewhere(Path::new("/dev/shm").join(site.path("").file_name().expect("it has a name")));
    fs::create_dir(&elsewhere.0).expect("its name is new");
    let files: Vec<String> = (0..FILES).map(|number| elsewhere.0.join(number.to_string()).display().to_string()).collect();
    let calls = site.path("trace/calls").display().to_string();
    fs::create_dir(site.path("trace")).expect("it is ours");
    let mut arguments = vec!["-D", "-f", "-b", "execve", "-qq", "-o", &calls, "-e", "inject=write:delay_enter=3600000000"];
    arguments.extend(files.iter().flat_map(|file| ["-P", file]));
    site.write("navigator.yml", HEALTHY);
    let navigator = site.command_through("strace", &arguments, &["navigator.yml"]).start();
    healthy_lines_arrive(&site, &navigator, 5);
    let threads = navigator.status("Threads");
    let configuration = files.iter().enumerate().map(|(number, file)| stuck(number, LINES, file));
    site.write("navigator.yml", &[HEALTHY.to_owned()].into_iter().chain(configuration).collect::<String>());
    for number in 0..FILES {
        navigator.event("Process exited", &format!("stuck-{number}"));
    }
    healthy_lines_arrive(&site, &navigator, 20);
    assert!(files.iter().all(|file| fs::read(file).unwrap_or_default().is_empty()), "a write came back");
    let after = navigator.status("Threads");
    assert!(after <= threads + THREADS, "{after} threads, {threads} before");
    end_fault(&navigator);
    for (number, file) in files.iter().enumerate() {
        let is_done = || fs::read_to_string(file).is_ok_and(|text| !text.is_empty() && text.ends_with(" bytes)\n"));
        navigator.log().until("the loss in the file", || is_done().then_some(()));
        assert!(check(&fs::read_to_string(file).expect("it is text"), LINES, &format!("stuck-{number}")));
    }
    navigator.ends();
}
