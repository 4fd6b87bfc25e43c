//! Output of processes arrives complete: prefixed, in order, to the last line, whatever the reader of navigator's output does.

use crate::harness::log::{Line, Stream};
use crate::harness::{Signal, Site};
use std::time::{Duration, Instant};

#[test]
fn lines_name_their_process_and_the_log_goes_to_standard_error() {
    let site = Site::new();
    let mut navigator =
        site.start("managed_processes:\n  - { name: talker, command: sh, args: [-c, 'echo to stdout; echo to stderr >&2'] }\n");
    navigator.says("talker", |line| line == "to stdout");
    navigator.says("talker", |line| line == "to stderr");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let mut lines: Vec<String> = ended.stdout().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["[talker.stderr] to stderr", "[talker.stdout] to stdout"]);
    // The log is on standard error: time, level, target, message, fields.
    let start = ended.stderr().lines().find(|line| line.contains("Starting process")).map(str::to_owned).expect("it is logged");
    let words: Vec<&str> = start.split_whitespace().collect();
    assert!(words[0].starts_with("20") && words[0].ends_with('Z') && words[0].contains('T'), "{start}");
    assert_eq!(words[1..6], ["INFO", "managed_processes:", "Starting", "process", "name=talker"], "{start}");
    assert!(!ended.stderr().contains('\x1b') && !ended.stdout().contains('\x1b'), "no colours outside of a terminal");
}

#[test]
fn json_lines_are_json_on_both_streams() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
logging: { format: json }
managed_processes:
  - { name: talker, command: sh, args: [-c, 'echo "say \"hi\"	\\ €"; printf "bad \377 byte\n" >&2'] }
"#,
    );
    navigator.event("Process exited", "talker");
    assert_eq!(navigator.says("talker", |line| line.starts_with("bad")).stream, "stderr");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    for line in &ended.lines {
        let text = line.text();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let keys = if line.stream == Stream::Stdout {
            ["@timestamp", "source", "stream", "message"]
        } else {
            ["@timestamp", "level", "target", "message"]
        };
        for key in keys {
            assert!(value[key].is_string(), "`{key}` of {value}");
        }
    }
    assert_eq!(ended.said("talker").len(), 2, "{}", ended.description);
    assert!(ended.said("talker").contains(&"say \"hi\"\t\\ €".to_owned()), "{:?}", ended.said("talker"));
    assert!(ended.said("talker").contains(&"bad \u{fffd} byte".to_owned()), "{:?}", ended.said("talker"));
}

#[test]
fn the_last_line_without_newline_is_never_lost() {
    let site = Site::new();
    // Each writes one text without newline and ends.
    let mut configuration = "managed_processes:\n".to_owned();
    for n in 0..100 {
        let process =
            format!("  - {{ name: short-{n}, command: sh, depends_on: [], args: [-c, \"printf 'last words of {n}'\"] }}\n");
        configuration.push_str(&process);
    }
    let mut navigator = site.start(&configuration);
    for n in 0..100 {
        navigator.event("Process exited", &format!("short-{n}"));
    }
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    for n in 0..100 {
        assert_eq!(ended.said(&format!("short-{n}")), [format!("last words of {n}")]);
    }
}

#[test]
fn output_while_stopping_arrives() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: parting
    command: sh
    args: [-c, '. "$FIXTURES/idle.sh"; trap "i=0; while [ \$i -lt 5000 ]; do echo \$i; i=\$((i+1)); done; exit 0" TERM; echo set; idle']
"#,
    );
    navigator.says("parting", |line| line == "set");
    navigator.signal(Signal::TERM);
    let said = navigator.exits(0).said("parting");
    let wanted: Vec<String> = std::iter::once("set".to_owned()).chain((0..5000).map(|n| n.to_string())).collect();
    assert_eq!(said, wanted);
}

#[test]
fn lines_of_several_processes_are_never_mixed() {
    let site = Site::new();
    let writer = r#"'i=0; while [ $i -lt 3000 ]; do echo "$0 $i $0 $i $0 $i"; i=$((i+1)); done'"#;
    let mut navigator = site.start(&format!(
        r"
defaults: {{ depends_on: [] }}
managed_processes:
  - {{ name: alpha, command: sh, args: [-c, {writer}, alpha] }}
  - {{ name: beta, command: sh, args: [-c, {writer}, beta] }}
  - {{ name: gamma, command: sh, args: [-c, {writer}, gamma] }}
"
    ));
    let names = ["alpha", "beta", "gamma"];
    for name in names {
        navigator.event("Process exited", name);
    }
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    for name in names {
        let wanted: Vec<String> = (0..3000).map(|i| format!("{name} {i} {name} {i} {name} {i}")).collect();
        assert_eq!(ended.said(name), wanted);
    }
}

#[test]
fn a_long_line_is_split_and_every_byte_arrives() {
    let site = Site::new();
    // Three megabytes without a newline, then a separate line.
    let mut navigator = site.start(
        "managed_processes:\n  - { name: long, command: sh, args: [-c, \"head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo after\"] }\n",
    );
    navigator.says("long", |line| line == "after");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let longest = ended.lines.iter().map(|line| line.bytes.len()).max().unwrap_or(0);
    // 64 KiB of text, a prefix, and a mark.
    assert!(longest <= 64 * 1024 + 200, "the longest line has {longest} bytes");
    let bytes: usize = ended.said("long").iter().map(|line| line.matches('x').count()).sum();
    assert_eq!(bytes, 3_000_000);
}

#[test]
fn invalid_utf8_is_not_changed() {
    let site = Site::new();
    let mut navigator =
        site.start("managed_processes:\n  - { name: binary, command: printf, args: ['\\001\\377\\376\\200\\r\\t.\\n'] }\n");
    navigator.event("Process exited", "binary");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let wanted = b"[binary.stdout] \x01\xff\xfe\x80\r\t.";
    assert!(ended.lines.iter().any(|line| line.bytes == wanted), "{}", ended.description);
}

#[test]
fn output_null_is_discarded() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - { name: silent, command: sh, args: [-c, 'echo unheard; echo unheard >&2; touch done'], output: null }
",
    );
    navigator.event("Process exited", "silent");
    assert!(site.path("done").exists());
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert_eq!(ended.said("silent"), Vec::<String>::new());
}

#[test]
fn an_unwritable_output_file_is_logged_without_its_secrets() {
    let site = Site::new();
    site.write("missing", "a file is in the way");
    site.write(
        "navigator.yml",
        r#"
logging: { format: json }
managed_processes:
  - { name: writer, command: sh, args: [-c, 'echo unheard; sleep 3600'], output: { file: "missing/${WORD}/log" } }
"#,
    );
    let mut navigator = site.command(["navigator.yml"]).env("WORD", "hunter2").start();
    let warning = navigator.wait("a warning", |event| event.message == "Output can't be written");
    assert!(warning.field("path").is_some_and(|path| path.ends_with("missing/${WORD}/log")), "{warning:?}");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(!ended.stderr().contains("hunter2"), "{}", ended.description);
}

/// Writes thirty megabytes, and then `done` to the journal.
const FLOOD: &str = r#"
managed_processes:
  - { name: flood, command: sh, args: [-c, 'yes "$(printf %0200d 7)" | head -c 30000000; echo done >>"$JOURNAL"; exec sleep 3600'] }
"#;

#[test]
fn a_reader_that_does_not_read_blocks_no_process() {
    let site = Site::new();
    site.write("navigator.yml", FLOOD);
    // A pipe that is open on both ends and never read.
    let stuck = "mkfifo stuck; exec 3<>stuck; exec \"$0\" \"$@\" >&3";
    let mut navigator = site.command_through("sh", &["-c", stuck], &["navigator.yml"]).start();
    navigator.journals("done");
    let begun = Instant::now();
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert!(ended.at - begun < Duration::from_secs(20), "{}", ended.description);
}

/// Reads standard input at about 2 MB/s, and passes on all lines but those of `yes`.
const SLOW_READER: &str = r"
import os, sys, time
rest = b''
while chunk := os.read(0, 65536):
    time.sleep(0.03)
    *lines, rest = (rest + chunk).split(b'\n')
    for line in lines:
        if not line.endswith(b'] y'):
            os.write(1, line + b'\n')
";

#[test]
fn a_slow_reader_and_a_flooding_process_lose_no_line_of_another() {
    const LINES: usize = 400;
    let site = Site::new();
    site.write("reader.py", SLOW_READER);
    site.write(
        "navigator.yml",
        &format!(
            r#"
defaults: {{ depends_on: [] }}
managed_processes:
  - {{ name: flood, command: "yes" }}
  - name: third
    command: sh
    args: [-c, 'cat go; i=0; while [ $i -lt {LINES} ]; do echo $i; i=$((i+1)); sleep 0.01; done; exec sleep 3600']
"#
        ),
    );
    let reads_slowly = "mkfifo go; { \"$0\" \"$@\"; echo $? >code; } | python3 reader.py";
    let around = site.command_through("sh", &["-c", reads_slowly], &["navigator.yml"]).start();
    // From here on, the flood has used up its share of the queue.
    around.says("flood", |line| line.starts_with("… dropped"));
    std::fs::write(site.path("go"), "").expect("the third process reads it");
    around.says("third", |line| line == (LINES - 1).to_string() || line.starts_with("… "));
    assert_eq!(site.run(["-s", "stop"]).code, Some(0));
    let ended = around.exits(0);
    let wanted: Vec<String> = (0..LINES).map(|number| number.to_string()).collect();
    assert_eq!(ended.said("third"), wanted);
    assert_eq!(site.read("code"), "0\n", "navigator's own exit code\n{}", ended.description);
}

#[test]
fn a_closed_standard_output_stops_no_process() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        r#"
managed_processes:
  - { name: talker, command: sh, args: [-c, 'i=0; while :; do echo "line $i"; echo "$i" >>"$JOURNAL"; i=$((i+1)); sleep 0.01; done'] }
"#,
    );
    let reads_one_line = "{ \"$0\" \"$@\"; echo $? >code; } | head -n 1";
    let around = site.command_through("sh", &["-c", reads_one_line], &["navigator.yml"]).start();
    around.journals("50");
    assert_eq!(site.run(["-s", "stop"]).code, Some(0));
    let ended = around.exits(0);
    assert_eq!(site.read("code"), "0\n", "navigator's own exit code\n{}", ended.description);
}

#[test]
fn a_full_disk_stops_no_process() {
    let site = Site::new();
    site.write("navigator.yml", FLOOD);
    let mut navigator = site.command_through("sh", &["-c", "exec \"$0\" \"$@\" >/dev/full"], &["navigator.yml"]).start();
    navigator.journals("done");
    assert_eq!(navigator.count("Process crashed", "flood"), 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_descendant_that_keeps_the_pipe_open_delays_nothing() {
    let site = Site::new();
    let mut navigator = site
        .start("managed_processes:\n  - { name: brief, command: sh, args: [-c, 'sleep 3600 & echo bye'], auto_restart: true }\n");
    assert_eq!(navigator.event("Process exited", "brief").field("status"), Some("0"));
    navigator.says("brief", |line| line == "bye");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn usr2_reopens_the_log_file() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
logging: { file: navigator.log }
managed_processes:
  - { name: talker, command: sh, args: [-c, 'i=0; while :; do echo "line $i"; i=$((i+1)); sleep 0.05; done'] }
"#,
    );
    navigator.log().until("a line in the log", || site.read("navigator.log").contains("line 3").then_some(()));
    std::fs::rename(site.path("navigator.log"), site.path("navigator.log.1")).expect("it exists");
    navigator.signal(Signal::USR2);
    navigator.log().until("a line in the new log", || site.read("navigator.log").contains("[talker.stdout] line").then_some(()));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    // No line is lost between the two files.
    let both = site.read("navigator.log.1") + &site.read("navigator.log");
    let numbers: Vec<usize> = both.lines().filter_map(|line| line.strip_prefix("[talker.stdout] line ")?.parse().ok()).collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
}

#[test]
fn a_terminal_gets_names_and_colours_unless_no_color_is_set() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: talker, command: echo, args: [hello] }\n  - { name: a-longer-name, command: echo, args: [hello] }\n",
    );
    for (no_color, coloured) in [("", true), ("1", false)] {
        // `script` gives its command a terminal of its own.
        let through = site.command_through("sh", &["-c", "exec script -qefc \"$0 navigator.yml\" /dev/null"], &[]);
        let navigator = through.env("NO_COLOR", no_color).env("TERM", "xterm").start();
        navigator.log().wait_for("both greetings", |lines| {
            (lines.iter().filter(|line| line.text().contains("hello")).count() == 2).then_some(())
        });
        assert_eq!(site.run(["-s", "stop"]).code, Some(0));
        let ended = navigator.exits(0);
        let greetings: Vec<String> = ended.lines.iter().map(Line::text).filter(|line| line.contains("hello")).collect();
        for greeting in &greetings {
            assert_eq!(greeting.contains('\x1b'), coloured, "{greeting:?}");
            let plain = plain(greeting);
            assert!(["talker", "a-longer-name"].iter().any(|name| plain.starts_with(name)), "{greeting:?}");
            assert!(plain.trim_end().ends_with(" | hello"), "{greeting:?}");
        }
    }
}

#[test]
fn a_terminal_shows_the_changes_of_a_save_and_no_secret() {
    let site = Site::new();
    let talker = |greeting: &str, token: &str, rest: &str| {
        format!(
            "managed_processes:\n  - {{ name: talker, command: echo, args: [{greeting}], env: {{ API_TOKEN: {token} }} }}\n{rest}"
        )
    };
    site.write("navigator.yml", &talker("hello", "s3cret", ""));
    let through = site.command_through("sh", &["-c", "exec script -qefc \"$0 navigator.yml\" /dev/null"], &[]);
    let navigator = through.env("NO_COLOR", "1").env("TERM", "xterm").start();
    let says = |what: &str| {
        navigator.log().wait_for(what, |lines| lines.iter().any(|line| line.text().contains(what)).then_some(()));
    };
    says("talker | hello");
    says("talker | exited with status 0");
    site.write("new", &talker("goodbye", "0ther", "  - { name: other, command: echo, args: [again] }\n"));
    std::fs::rename(site.path("new"), site.path("navigator.yml")).expect("it is ours");
    says("other  | again");
    assert_eq!(site.run(["-s", "stop"]).code, Some(0));
    let ended = navigator.exits(0);
    let lines: Vec<String> = ended.lines.iter().map(|line| line.text().trim_end().to_owned()).collect();
    let shown: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("  ")).collect();
    let wanted = [
        "  + talker  args, env changed",
        "        args           [\"hello\"] → [\"goodbye\"]",
        "        env.API_TOKEN  (secret), its value changed",
        "  + other   added to file",
    ];
    assert_eq!(shown, wanted, "{lines:#?}");
    let position = |what: &str| lines.iter().position(|line| line.contains(what));
    assert!(position("Configuration reloaded") < position("  + talker"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("s3cret") || line.contains("0ther")), "{lines:#?}");
}

/// Removes colours from a text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once('\x1b') {
        plain += before;
        rest = sequence.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}
