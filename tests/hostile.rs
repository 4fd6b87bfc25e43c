//! `navigator check` takes bounded memory and CPU time for any text: huge files, garbage, and attacks such as alias bombs.
//!
//! Each text is checked by the program itself, under limits of the kernel for memory (`RLIMIT_DATA`) and CPU time
//! (`RLIMIT_CPU`). The CPU time is compared with that for a large ordinary configuration in the same run, so that the result
//! doesn't depend on the machine or on the build. `cargo test --release --test hostile -- --nocapture | sort -rn` prints
//! the time for each text with an optimized build.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

/// Memory limit of the program, in KiB.
const MEMORY: usize = 64 << 10;

/// CPU time after which the kernel kills the program, in seconds.
const SECONDS: usize = 5;

/// CPU time limit of a text, in configurations of 10,000 processes. The slowest texts take about half of it.
const MOST: u32 = 3;

/// Size limit of a configuration, in bytes.
const MAX: usize = 4 << 20;

/// Checks a text, and returns the exit code and the output.
fn check(name: &str, text: &str) -> (i32, String) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let path = directory.join(format!("{name}.yml"));
    fs::write(&path, text).expect("a file can be written");
    // Retried: load by other programs can slow an attempt down.
    let mut attempts = (0..3).map(|_| run(name, &path));
    let (mut code, mut output, mut time) = attempts.next().expect("there is a first");
    let limit = MOST * *ordinary();
    while time > limit {
        (code, output, time) = attempts.next().unwrap_or_else(|| panic!("`{name}` takes {time:?}, more than {limit:?}"));
    }
    fs::remove_file(&path).expect("the file can be removed");
    // Fails while another test has a file in it; the last one removes it.
    drop(fs::remove_dir(&directory));
    show(name, time);
    (code, output)
}

/// Runs the program once, and returns its exit code, output and CPU time.
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
fn run(name: &str, path: &Path) -> (i32, String, Duration) {
    let limits = format!("ulimit -d {MEMORY}; ulimit -t {SECONDS}; ulimit -c 0");
    let script = format!("{limits}; \"$0\" check \"$1\" 2>&1; code=$?; times >&2; exit $code");
    let Output { status, stdout, stderr } = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_navigator")])
        .arg(path)
        .env("EMPTY", "")
        .output()
        .expect("a shell can be started");
    let output = String::from_utf8(stdout).expect("it is text");
    let code = status.code().unwrap_or_else(|| panic!("`{name}`: {status}"));
    assert!(code <= 1, "`{name}`: {status}: {}", output.lines().last().unwrap_or_default());
    assert!(output.len() < 256 << 10, "`{name}` has {} bytes of output", output.len());
    // The second line of `times` has the user and system time of children: `0m0.123s 0m0.045s`.
    let times = String::from_utf8(stderr).expect("it is text");
    let time = times.lines().nth(1).unwrap_or_default().split_whitespace().map(duration).sum();
    (code, output, time)
}

/// Parses `1m2.345s`.
fn duration(text: &str) -> Duration {
    let parsed = text.strip_suffix('s').and_then(|text| text.split_once('m')).and_then(|(minutes, seconds)| {
        let minutes: u64 = minutes.parse().ok()?;
        Some(Duration::from_secs(60 * minutes) + Duration::from_secs_f64(seconds.parse().ok()?))
    });
    parsed.unwrap_or_else(|| panic!("`{text}` is not a time"))
}

/// CPU time for an ordinary configuration of 10,000 processes, the reference for all others.
fn ordinary() -> &'static Duration {
    static ORDINARY: OnceLock<Duration> = OnceLock::new();
    ORDINARY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ordinary-{}.yml", std::process::id()));
        fs::write(&path, processes(10_000)).expect("a file can be written");
        let time = (0..3).map(|_| run("ordinary", &path).2).min().expect("there are three");
        fs::remove_file(&path).expect("the file can be removed");
        show("ordinary", time);
        time
    })
}

#[expect(clippy::print_stdout, reason = "output for a run by hand")]
fn show(name: &str, time: Duration) {
    println!("{:6} ms  {name}", time.as_millis());
}

/// Checks a text that is valid.
fn valid(name: &str, text: &str) {
    let (code, output) = check(name, text);
    assert_eq!(code, 0, "`{name}`: {output}");
}

/// Checks a text that is invalid, and returns the output.
fn invalid(name: &str, text: &str) -> String {
    let (code, output) = check(name, text);
    assert_eq!(code, 1, "`{name}` was accepted");
    output
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

fn list(count: usize, process: impl Fn(usize) -> String) -> String {
    format!("managed_processes:\n{}", lines(count, process))
}

/// An ordinary configuration.
fn processes(count: usize) -> String {
    list(count, |n| format!("- {{name: p{n}, command: ./p, args: [a, b], env: {{N: {n}}}, restart: always}}\n"))
}

fn argument(argument: &str) -> String {
    list(1, |_| format!("- {{name: p, command: ./p, args: [\"{argument}\"]}}\n"))
}

/// A text under an `x-` key, where anything is allowed.
fn own(text: &str) -> String {
    format!("managed_processes: []\nx-own: {text}\n")
}

#[test]
fn large_configurations_load() {
    valid("processes", &processes(10_000));
    valid(
        "shared-base",
        &format!(
            "x-base: &base {{command: ./p, restart: always}}\n{}",
            list(10_000, |n| format!("- {{<<: *base, name: p{n}}}\n"))
        ),
    );
    valid("variables", &format!("managed_processes: []\nenv:\n{}", lines(30_000, |n| format!("  V{n}: {}\n", "x".repeat(100)))));
    valid("keys", &format!("x-own:\n{}managed_processes: []\n", lines(99_000, |n| format!("  k{n}: v\n"))));
    valid("anchors", &format!("{}managed_processes: []\n", lines(9_000, |n| format!("x-{n}: &a{n} v\n"))));
    valid("plain", &own(&"x".repeat(MAX - 60)));
    valid("quoted", &own(&format!("\"{}\"", "x".repeat(MAX - 60))));
    valid("escaped", &own(&format!("\"{}\"", "\\x41".repeat(MAX / 4 - 60))));
    valid("folded", &own(&format!("'{}'", "x\n\n".repeat(MAX / 3 - 60))));
    valid("block", &own(&format!("|\n{}", format!("  {}\n", "x".repeat(77)).repeat(MAX / 80 - 2))));
    valid("several-lines", &own(&format!("x\n{}", format!("  {}\n", "x".repeat(77)).repeat(MAX / 80 - 2))));
    let sockets = |n: usize| lines(2, |m| format!("\"[::1:{n:x}:{m:x}]:80\", "));
    valid("sockets", &list(8_000, |n| format!("- {{name: p{n}, command: ./p, listen: [{}]}}\n", sockets(n))));
    valid(
        "paths",
        &list(8_000, |n| format!("- {{name: p{n}, command: ./p, listen: [{}]}}\n", lines(2, |m| format!("{n}/{m}, ")))),
    );
    valid("references", &argument(&"${EMPTY:-}".repeat(300_000)));
}

#[test]
fn at_most_100_errors_are_shown_and_the_others_counted() {
    for (name, text) in [
        ("names", list(12_000, |n| format!("- {{name: p {n}, comand: x}}\n"))),
        ("misspelled", list(12_000, |n| format!("- {{name: p{n}, comand{n}: x}}\n"))),
        ("unset", list(12_000, |n| format!("- {{name: p{n}, command: \"${{NO{n}}}\"}}\n"))),
        ("top-keys", lines(99_000, |n| format!("k{n}: v\n"))),
        ("duplicates", format!("managed_processes: []\n{}", "env: {}\n".repeat(66_000))),
        ("dependencies", list(5_000, |n| format!("- {{name: p{n}, command: ./p, depends_on: [q{n}]}}\n"))),
        ("variables", argument(&"${NONE}".repeat(500_000))),
        ("addresses", list(1, |_| format!("- {{name: p, command: ./p, listen: [{}]}}\n", "127.0.0.1:80, ".repeat(190_000)))),
        (
            "overlaps",
            list(12_000, |n| {
                format!("- {{name: p{n}, command: ./p, listen: [\"*:80\", \"127.0.{}.{}:80\"]}}\n", n / 250, n % 250 + 1)
            }),
        ),
        (
            "chain",
            format!("managed_processes: []\nenv:\n{}  V50000: x\n", lines(50_000, |n| format!("  V{n}: \"${{V{}}}\"\n", n + 1))),
        ),
    ] {
        let output = invalid(name, &text);
        let count = output.lines().filter(|line| line.contains(": error: ")).count();
        assert_eq!(count, 100, "`{name}`");
        let last = output.lines().last().unwrap_or_default();
        assert!(last.starts_with("and ") && last.ends_with(" more"), "`{name}` ends in {last}");
    }
}

#[test]
fn long_cycles_are_reported_in_short() {
    let cycle = list(3_000, |n| format!("- {{name: p{n}, command: ./p, depends_on: [p{}]}}\n", (n + 1) % 3_000));
    assert!(invalid("cycle", &cycle).contains("dependency cycle of 3000 processes"));
    let doubling = lines(40, |n| format!("    V{n}: \"${{V{0}}}${{V{0}}}\"\n", n + 1));
    invalid("doubling", &format!("managed_processes:\n- name: p\n  command: ./p\n  env:\n{doubling}    V40: \"0123456789\"\n"));
}

#[test]
fn a_single_error_at_the_end_of_a_large_file_is_found() {
    let keys = |last: &str| format!("x-own:\n{}{last}\n", lines(99_000, |n| format!("  k{n}: v\n")));
    assert!(invalid("key-at-the-end", &keys("managed_process: []")).contains("did you mean `managed_processes`"));
    assert!(invalid("bracket-at-the-end", &keys("managed_processes: [")).contains("never closed"));
    assert!(invalid("crowd", &list(30_000, |n| format!("- {{name: p{n}, command: p}}\n"))).contains("number 12001"));
}

#[test]
fn huge_values_are_rejected() {
    for (name, value) in [
        ("long", "x".repeat(2 << 20)),
        ("dollars", "$".repeat(MAX - 100)),
        ("escaped-references", "$${A}".repeat(MAX / 5 - 100)),
        ("nested-references", "${A:-".repeat(500_000)),
        ("long-then-none", format!("{}${{NONE}}", "${EMPTY:-}".repeat(300_000))),
    ] {
        invalid(name, &argument(&value));
    }
}

#[test]
fn alias_and_merge_bombs_are_rejected() {
    let nested = lines(6, |level| format!("x-{}: &a{} [{}]\n", level + 1, level + 1, format!("*a{level}, ").repeat(10)));
    let laughs = invalid("laughs", &format!("x-0: &a0 [x]\n{nested}managed_processes: []\n"));
    assert!(laughs.contains("expand to too many values"), "{laughs}");
    invalid("one-long-anchor", &format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(20_000)));
    invalid("many-aliases", &format!("x-a: &a [1,2,3,4,5,6,7,8,9]\nx-b: [{}]\nmanaged_processes: []\n", "*a, ".repeat(25_000)));
    invalid("many-anchors", &format!("{}managed_processes: []\n", lines(100_000, |n| format!("x-{n}: &a{n} v\n"))));
    let chain = lines(900, |n| format!("x-{}: &a{} {{<<: *a{n}, k{n}: v}}\n", n + 1, n + 1));
    invalid("merge-chain", &format!("x-0: &a0 {{k: v}}\n{chain}managed_processes: []\n"));
    invalid("merges", &format!("x-b: &b {{a: 1, b: 2}}\nx-c:\n{}managed_processes: []\n", "- {<<: *b}\n".repeat(40_000)));
    let deeper = lines(100, |n| format!("x-{}: &a{} [*a{n}]\n", n + 1, n + 1));
    let deep = invalid("deep-aliases", &format!("x-0: &a0 [x]\n{deeper}managed_processes: []\n"));
    assert!(deep.contains("nested deeper than"), "{deep}");
    let nested = format!("{}{}{}", lines(60, |n| format!("&n{n} [")), "x, ".repeat(10_000), "]".repeat(60));
    invalid("anchors-in-each-other", &own(&nested));
}

#[test]
fn deep_nesting_is_rejected() {
    for (name, text) in [
        ("brackets", format!("x: {}", "[".repeat(MAX - 10))),
        ("braces", format!("x: {}", "{a: ".repeat(1_000_000))),
        ("dashes", "- ".repeat(2_000_000)),
        ("questions", "? ".repeat(2_000_000)),
        ("indentation", lines(2_000, |n| format!("{}a:\n", " ".repeat(n)))),
        ("anchors-in-a-row", format!("x: {}\n", "&a ".repeat(1_000_000))),
    ] {
        invalid(name, &text);
    }
}

#[test]
fn garbage_is_rejected() {
    let printable = |mut state: u64| {
        let next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b' ' + u8::try_from(state >> 33 & 63).expect("six bits fit")
        };
        String::from_utf8(std::iter::repeat_with(next).take(MAX).collect()).expect("it is ASCII")
    };
    for (name, text) in [
        ("printable", printable(1)),
        ("lines", printable(2).replace(['A', '0', 'Z'], "\n")),
        ("newlines", "\n".repeat(MAX)),
        ("carriage-returns", "\r".repeat(MAX)),
        ("spaces", " ".repeat(MAX)),
        ("tabs", "\t".repeat(MAX)),
        ("comments", "#\n".repeat(MAX / 2)),
        ("quotes", "\"".repeat(MAX)),
        ("colons", "a: b: ".repeat(MAX / 6)),
        ("nuls", "\0".repeat(MAX)),
        ("items", own(&format!("[{}]", "a,".repeat(MAX / 2 - 60)))),
        ("item-lines", own(&format!("\n{}", "- a\n".repeat(MAX / 4 - 60)))),
        ("empty-processes", format!("managed_processes: [{}]", "{},".repeat(MAX / 3 - 60))),
        ("empty-items", format!("managed_processes:\n{}", "-\n".repeat(MAX / 2 - 60))),
        ("one-line", format!("managed_processes: [{}]", "{name: a b},".repeat(200_000))),
        ("too-large", format!("managed_processes: []\n{}", "#".repeat(MAX))),
    ] {
        invalid(name, &text);
    }
}
