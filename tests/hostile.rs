//! No text takes long or much: what nobody writes by hand, what a broken disk leaves, and what an attacker would write.
//!
//! Each text is checked by the program itself, which the kernel ends if it takes more than its share of memory
//! (`RLIMIT_DATA`) or far too much processor time (`RLIMIT_CPU`). What it takes of that, which the kernel counts too, is held
//! to what a large but ordinary configuration takes in the same run, so that neither this machine nor how the program was
//! built decides. `cargo test --release --test hostile -- --nocapture | sort -rn` shows what an optimized build takes of each.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

/// All that the program may allocate, in KiB.
const MEMORY: usize = 64 << 10;

/// All the processor time that it may take, in seconds, before it is ended.
const SECONDS: usize = 5;

/// No text may take longer than so many configurations of 10,000 processes. The longest take about half of that.
const MOST: u32 = 3;

/// The largest text that is read at all.
const MAX: usize = 4 << 20;

/// Checks a text, and returns the exit code and what was said.
fn check(name: &str, text: &str) -> (i32, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join(format!("{name}.yml"));
    fs::write(&path, text).expect("a file can be written");
    // Another program may have been in the way of the first attempts.
    let mut attempts = (0..3).map(|_| run(name, &path));
    let (mut code, mut said, mut time) = attempts.next().expect("there is a first");
    let limit = MOST * *ordinary();
    while time > limit {
        (code, said, time) = attempts.next().unwrap_or_else(|| panic!("`{name}` takes {time:?}, more than {limit:?}"));
    }
    fs::remove_file(&path).expect("the file can be removed");
    // Gone with its last file; another test of this program may still have one there.
    drop(fs::remove_dir(&folder));
    show(name, time);
    (code, said)
}

/// Runs the program once, and returns its exit code, what it said, and what it took of processor time.
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
    let said = String::from_utf8(stdout).expect("it is text");
    let code = status.code().unwrap_or_else(|| panic!("`{name}`: {status}"));
    assert!(code <= 1, "`{name}`: {status}: {}", said.lines().last().unwrap_or_default());
    assert!(said.len() < 256 << 10, "`{name}` is answered by {} bytes", said.len());
    // The second line of `times` is about children: `0m0.123s 0m0.045s`, in user space and in the kernel.
    let times = String::from_utf8(stderr).expect("it is text");
    let time = times.lines().nth(1).unwrap_or_default().split_whitespace().map(duration).sum();
    (code, said, time)
}

/// `1m2.345s`.
fn duration(text: &str) -> Duration {
    let parsed = text.strip_suffix('s').and_then(|text| text.split_once('m')).and_then(|(minutes, seconds)| {
        let minutes: u64 = minutes.parse().ok()?;
        Some(Duration::from_secs(60 * minutes) + Duration::from_secs_f64(seconds.parse().ok()?))
    });
    parsed.unwrap_or_else(|| panic!("`{text}` is no time"))
}

/// What an ordinary configuration of 10,000 processes takes: what all else is compared with.
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

#[expect(clippy::print_stdout, reason = "for whoever runs this by hand")]
fn show(name: &str, time: Duration) {
    println!("{:6} ms  {name}", time.as_millis());
}

/// Checks a text that is valid.
fn valid(name: &str, text: &str) {
    let (code, said) = check(name, text);
    assert_eq!(code, 0, "`{name}`: {said}");
}

/// Checks a text that is not, and returns what was said.
fn invalid(name: &str, text: &str) -> String {
    let (code, said) = check(name, text);
    assert_eq!(code, 1, "`{name}` was accepted");
    said
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

/// A text under a key of the user's own, where anything is allowed.
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
    valid("references", &argument(&"${EMPTY:-}".repeat(300_000)));
}

#[test]
fn as_many_mistakes_as_fit_are_counted() {
    for (name, text) in [
        ("names", list(12_000, |n| format!("- {{name: p {n}, comand: x}}\n"))),
        ("misspelled", list(12_000, |n| format!("- {{name: p{n}, comand{n}: x}}\n"))),
        ("unset", list(12_000, |n| format!("- {{name: p{n}, command: \"${{NO{n}}}\"}}\n"))),
        ("top-keys", lines(99_000, |n| format!("k{n}: v\n"))),
        ("duplicates", format!("managed_processes: []\n{}", "env: {}\n".repeat(66_000))),
        ("dependencies", list(5_000, |n| format!("- {{name: p{n}, command: ./p, depends_on: [q{n}]}}\n"))),
        ("variables", argument(&"${NONE}".repeat(500_000))),
        (
            "chain",
            format!("managed_processes: []\nenv:\n{}  V50000: x\n", lines(50_000, |n| format!("  V{n}: \"${{V{}}}\"\n", n + 1))),
        ),
    ] {
        let said = invalid(name, &text);
        let count = said.lines().filter(|line| line.contains(": error: ")).count();
        assert_eq!(count, 100, "`{name}`");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("and ") && last.ends_with(" more"), "`{name}` ends in {last}");
    }
}

#[test]
fn cycles_and_loops_are_told_in_short() {
    let cycle = list(3_000, |n| format!("- {{name: p{n}, command: ./p, depends_on: [p{}]}}\n", (n + 1) % 3_000));
    assert!(invalid("cycle", &cycle).contains("dependency cycle of 3000 processes"));
    let doubling = lines(40, |n| format!("    V{n}: \"${{V{0}}}${{V{0}}}\"\n", n + 1));
    invalid("doubling", &format!("managed_processes:\n- name: p\n  command: ./p\n  env:\n{doubling}    V40: \"0123456789\"\n"));
}

#[test]
fn one_mistake_behind_all_else_is_found() {
    let keys = |last: &str| format!("x-own:\n{}{last}\n", lines(99_000, |n| format!("  k{n}: v\n")));
    assert!(invalid("key-at-the-end", &keys("managed_process: []")).contains("did you mean `managed_processes`"));
    assert!(invalid("bracket-at-the-end", &keys("managed_processes: [")).contains("never closed"));
    assert!(invalid("crowd", &list(30_000, |n| format!("- {{name: p{n}, command: p}}\n"))).contains("12001 processes"));
}

#[test]
fn values_without_end_are_refused() {
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
fn bombs_do_not_go_off() {
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
fn depth_is_bounded() {
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
fn garbage_is_refused() {
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
