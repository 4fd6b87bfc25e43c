//! Output of processes: it arrives complete and in order, and a slow reader never blocks a process.

use crate::host::{on_host, output_file, script};
use reconcile::event::ExitStatus;
use std::collections::HashMap;
use std::fs;

#[test]
fn the_last_line_before_the_end_is_never_lost() {
    const RUNS: usize = 1000;
    let printed = on_host("last", async |host| {
        let runs: Vec<_> = (0..RUNS)
            .map(|number| host.spawn(script("last", &format!("echo first {number}; printf 'last %s' {number}"))))
            .collect();
        for run in runs {
            host.gone(run).await;
        }
    });
    for number in 0..RUNS {
        // Lines of other processes may come between the two.
        for line in ["first", "last"] {
            assert!(printed.contains(&format!("[last.stdout] {line} {number}\n")), "{line} {number}");
        }
    }
    assert_eq!(printed.lines().count(), 2 * RUNS);
}

#[test]
fn lines_of_different_processes_are_never_mixed() {
    const LINES: usize = 3000;
    let printed = on_host("writers", async |host| {
        let writer = |name: &str| {
            let line = format!("echo {name} $n end; echo {name} $n end >&2");
            script(name, &format!("n=0; while [ $n -lt {LINES} ]; do {line}; n=$((n+1)); done"))
        };
        let runs = ["one", "two", "three"].map(|name| host.spawn(writer(name)));
        for run in runs {
            assert_eq!(host.exited(run).await, ExitStatus::Code(0));
        }
    });
    let mut next: HashMap<&str, usize> = HashMap::new();
    for line in printed.lines() {
        let (source, text) = line.split_once(' ').expect(line);
        let name = source.trim_start_matches('[').split('.').next().unwrap();
        let number = next.entry(source).or_default();
        assert_eq!(text, format!("{name} {number} end"));
        *number += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [LINES; 6]);
}

#[test]
fn a_line_of_ten_megabytes_arrives_in_pieces() {
    const SIZE: usize = 10_000_000;
    let printed = on_host("long", async |host| {
        let run = host.spawn(script("long", &format!("head -c {SIZE} /dev/zero | tr '\\0' x; echo; echo next")));
        assert_eq!(host.exited(run).await, ExitStatus::Code(0));
    });
    let lines: Vec<_> = printed.lines().map(|line| line.strip_prefix("[long.stdout] ").expect("a prefix")).collect();
    assert_eq!(lines.last(), Some(&"next"));
    assert!(lines.iter().all(|line| line.len() <= 64 * 1024 + "… ".len()));
    assert!(lines[1..lines.len() - 1].iter().all(|line| line.starts_with("… x")));
    // If the writer of the file is slower than the pipe, the dropped bytes are counted.
    let number =
        |line: &str| line.strip_prefix("… dropped ").and_then(|rest| rest.split(['(', ' ']).nth(3)?.parse::<usize>().ok());
    assert!(lines.iter().all(|line| number(line).is_none()), "a file is fast enough");
    assert_eq!(printed.bytes().filter(|&byte| byte == b'x').count(), SIZE + printed.matches("next").count());
}

#[test]
fn a_process_that_closes_its_output_goes_on() {
    let printed = on_host("closed", async |host| {
        let run = host.spawn(script("closed", "echo before; exec >&- 2>&-; exec sleep 3600"));
        host.spawned(run).await;
        host.stop(run);
        host.exited(run).await;
        host.gone(run).await;
    });
    // It may be stopped before it has written anything.
    assert!(["", "[closed.stdout] before\n"].contains(&printed.as_str()), "{printed}");
}

#[test]
fn each_line_names_its_stream() {
    let printed = on_host("streams", async |host| {
        assert_eq!(host.complete(script("web", "echo out; echo err >&2; echo")).await, ExitStatus::Code(0));
    });
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[web.stderr] err", "[web.stdout] ", "[web.stdout] out"]);
}

#[test]
fn floods_arrive_complete_and_in_order_in_a_file_and_in_the_log() {
    const LINES: usize = 500_000;
    let directory = std::env::temp_dir().join(format!("navigator-own-flood-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let path = directory.join("own.log");
    let printed = on_host("floods", async |host| {
        let flood = |name: &str| script(name, &format!("seq {LINES}"));
        let mut own = flood("own");
        own.exec.output = output_file(path.to_str().unwrap(), u64::MAX, 1);
        for run in [own, flood("a"), flood("b")].map(|spec| host.spawn(spec)) {
            assert_eq!(host.exited(run).await, ExitStatus::Code(0));
        }
    });
    let own = fs::read_to_string(&path).unwrap();
    fs::remove_dir_all(directory).unwrap();
    let expected = |prefix: &str| (1..=LINES).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
    assert!(own.lines().eq(expected("")), "{} lines", own.lines().count());
    for prefix in ["[a.stdout] ", "[b.stdout] "] {
        let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with(prefix)).collect();
        assert!(lines == expected(prefix), "{prefix}: {} lines", lines.len());
    }
    assert_eq!(printed.lines().count(), 2 * LINES);
}

#[test]
fn an_output_file_is_rotated_without_loss() {
    let directory = std::env::temp_dir().join(format!("navigator-own-file-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let printed = on_host("file", async |host| {
        let path = directory.join("own.log");
        let mut spec = script("file", "seq 10000 10999; seq 20000 20999 >&2");
        spec.exec.output = output_file(path.to_str().unwrap(), 1000, 20);
        assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
    });
    assert_eq!(printed, "");
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    fs::remove_dir_all(directory).unwrap();
    assert_eq!(texts.len(), 13, "12,000 bytes in lines of 6, at most 996 in each file");
    assert!(texts.iter().all(|text| text.len() <= 1000));
    let mut lines: Vec<u32> = texts.concat().lines().map(|line| line.parse().expect("a whole line")).collect();
    lines.sort_unstable();
    assert!(lines.into_iter().eq((10_000..11_000).chain(20_000..21_000)));
}
