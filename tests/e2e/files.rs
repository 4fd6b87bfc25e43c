//! Files that processes' lines go to: every byte, across rotations, whoever takes the file away meanwhile, and through
//! disks that are full or gone.

use crate::harness::{Navigator, Signal, Site, servers};
use std::fs;
use std::path::{Path, PathBuf};

/// A script that writes `seq` of each pair of numbers, each when the test says so, and then stays.
fn parts(file: &str, parts: &[(u32, u32)]) -> String {
    let part = |(number, (first, last)): (usize, &(u32, u32))| {
        format!("cat gate{number} >/dev/null; seq {first} {last}; echo part{number} >>\"$JOURNAL\"; ")
    };
    let script = parts.iter().enumerate().map(part).collect::<Vec<_>>().concat();
    format!(
        "managed_processes:\n  - {{ name: writer, command: sh, args: [-c, '{script}exec sleep 3600'], output: {{ {file} }} }}\n"
    )
}

/// Makes the gates of [`parts`].
fn gates(site: &Site, count: usize) {
    for part in 0..count {
        rustix::fs::mkfifoat(rustix::fs::CWD, site.path(&format!("gate{part}")), rustix::fs::Mode::RWXU).expect("a FIFO");
    }
}

/// Has a part of [`parts`] written; returns when the process has written it.
fn write_part(site: &Site, navigator: &Navigator<'_>, part: usize) {
    fs::write(site.path(&format!("gate{part}")), "").expect("the process waits there");
    navigator.journals(&format!("part{part}"));
}

/// What stands in the rotated files and in the file itself, oldest first.
fn all(path: &Path) -> String {
    let rotated = |number: &u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<PathBuf> = (1..1000).map(|number| rotated(&number)).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
}

/// Every number that arrived, and how many lines a mark of this kind says are missing.
#[track_caller]
fn count(text: &str, mark: &str) -> (Vec<u32>, u32) {
    let (mut numbers, mut missing) = (Vec::new(), 0);
    for line in text.lines() {
        if let Some(told) = line.strip_prefix(&format!("… {mark} ")) {
            missing += told.split(' ').next().and_then(|number| number.parse::<u32>().ok()).expect("a number");
        } else {
            numbers.push(line.parse().unwrap_or_else(|_| panic!("`{line}` is no whole line")));
        }
    }
    assert!(numbers.is_sorted(), "out of order");
    (numbers, missing)
}

#[test]
fn every_byte_of_256_arrives_as_it_is() {
    let site = Site::new();
    let every = (0..=255).map(|byte: u8| format!("\\\\{byte:03o}")).collect::<Vec<_>>().concat();
    let mut navigator = site.start(&format!(
        "managed_processes:\n  - {{ name: binary, command: printf, args: [\"{every}\"], output: {{ file: raw }} }}\n"
    ));
    navigator.event("Process exited", "binary");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    let mut expected: Vec<u8> = (0..=255).collect();
    // The last line had no newline.
    expected.push(b'\n');
    assert_eq!(fs::read(site.path("raw")).expect("the file"), expected);
}

#[test]
fn rotation_loses_no_line_and_breaks_none() {
    let site = Site::new();
    let output = "output: { file: own.log, max_size: 20KB, keep: 500 }";
    let mut navigator =
        site.start(&format!("managed_processes:\n  - {{ name: counter, command: seq, args: [1, '300000'], {output} }}\n"));
    navigator.event("Process exited", "counter");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    let text = all(&site.path("own.log"));
    assert!(text.lines().map(str::to_owned).eq((1..=300_000).map(|number| number.to_string())), "{} lines", text.lines().count());
    assert!(fs::metadata(site.path("own.log.1")).expect("it is rotated").len() <= 20_000);
}

#[test]
fn no_more_files_are_kept_than_asked_for() {
    for keep in [0, 2] {
        let site = Site::new();
        let output = format!("output: {{ file: logs/own.log, max_size: 5KB, keep: {keep} }}");
        fs::create_dir(site.path("logs")).expect("it is ours");
        let mut navigator =
            site.start(&format!("managed_processes:\n  - {{ name: counter, command: seq, args: [1, '20000'], {output} }}\n"));
        navigator.event("Process exited", "counter");
        navigator.signal(Signal::TERM);
        navigator.exits(0);
        assert_eq!(fs::read_dir(site.path("logs")).expect("it is ours").count(), keep + 1);
        let numbers = count(&all(&site.path("logs/own.log")), "lost").0;
        let last = u32::try_from(numbers.len()).expect("a small number");
        assert!(last > 0 && numbers.into_iter().eq(20_001 - last..=20_000), "the newest lines are kept");
    }
}

#[test]
fn whoever_moves_the_file_away_loses_no_line() {
    for tells in [true, false] {
        let site = Site::new();
        let script = "i=0; while :; do echo $i; i=$((i+1)); [ $((i % 100)) -ne 0 ] || sleep 0.01; done";
        let mut navigator = site.start(&format!(
            "managed_processes:\n  - {{ name: counter, command: sh, args: [-c, '{script}'], output: {{ file: own.log }} }}\n"
        ));
        let path = site.path("own.log");
        let is_written = || fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        for number in (1..=20).rev() {
            navigator.log().until("lines in the file", || is_written().then_some(()));
            fs::rename(&path, site.path(&format!("own.log.{number}"))).expect("it is there");
            if tells {
                navigator.signal(Signal::USR2);
            }
        }
        navigator.log().until("lines in the last file", || is_written().then_some(()));
        navigator.signal(Signal::TERM);
        navigator.exits(0);
        let numbers = count(&all(&path), "lost").0;
        let last = u32::try_from(numbers.len()).expect("a small number");
        assert!(numbers.into_iter().eq(0..last), "complete, told: {tells}");
    }
}

#[test]
fn a_file_that_is_emptied_in_place_goes_on_at_its_beginning() {
    let site = Site::new();
    gates(&site, 2);
    let mut navigator = site.start(&parts("file: own.log", &[(1, 1000), (1001, 2000)]));
    write_part(&site, &navigator, 0);
    let path = site.path("own.log");
    let has = |last: &str| fs::read_to_string(&path).is_ok_and(|text| text.ends_with(last)).then_some(());
    navigator.log().until("the first part", || has("\n1000\n"));
    fs::copy(&path, site.path("own.log.1")).expect("a copy");
    fs::write(&path, "").expect("it can be emptied");
    write_part(&site, &navigator, 1);
    navigator.log().until("the second part", || has("\n2000\n"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert!(count(&all(&path), "lost").0.into_iter().eq(1..=2000));
}

#[test]
fn a_directory_that_is_missing_is_made_and_an_obstacle_holds_nothing_up() {
    let site = Site::new();
    gates(&site, 4);
    site.write("logs", "a file is in the way");
    let mut navigator = site.start(&parts("file: logs/own.log", &[(1, 10), (11, 20), (21, 30), (31, 40)]));
    // Said at once, not with the first line.
    navigator.wait("a warning", |event| event.message == "Output can't be written");
    write_part(&site, &navigator, 0);
    fs::remove_file(site.path("logs")).expect("it is there");
    write_part(&site, &navigator, 1);
    let path = site.path("logs/own.log");
    let has = |last: &str| fs::read_to_string(&path).is_ok_and(|text| text.ends_with(last)).then_some(());
    navigator.log().until("lines in the file", || has("\n20\n"));
    fs::remove_dir_all(site.path("logs")).expect("it is there");
    write_part(&site, &navigator, 2);
    navigator.log().until("lines in a new directory", || has("\n30\n"));
    fs::rename(site.path("logs"), site.path("old")).expect("it is there");
    write_part(&site, &navigator, 3);
    navigator.log().until("lines in the new file", || has("\n40\n"));
    assert_eq!(navigator.count("Process crashed", "writer"), 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert!(count(&fs::read_to_string(&path).expect("the file"), "lost").0.into_iter().eq(31..=40));
    assert!(count(&site.read("old/own.log"), "lost").0.into_iter().eq(21..=30));
}

#[test]
fn a_full_disk_holds_nobody_and_what_it_costs_is_told_when_there_is_room() {
    let test = "files::a_full_disk_holds_nobody_and_what_it_costs_is_told_when_there_is_room";
    let own_disk = ["-rm", "sh", "-c", "mount -t tmpfs -o size=64k none disk && exec \"$0\" \"$@\""];
    if !servers::permitted(test, &["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]) {
        return;
    }
    let site = Site::new();
    gates(&site, 2);
    fs::create_dir(site.path("disk")).expect("it is ours");
    // A hundred kilobytes, and then a little more.
    site.write("navigator.yml", &parts("file: disk/own.log", &[(1, 20_000), (20_001, 20_010)]));
    let mut navigator = site.command_through("unshare", &own_disk, &["navigator.yml"]).start();
    navigator.started("writer");
    let disk = PathBuf::from(format!("/proc/{}/root{}", navigator.pid(), site.path("disk").display()));
    write_part(&site, &navigator, 0);
    let warning = navigator.wait("a warning", |event| event.message == "Output can't be written");
    assert_eq!(warning.field("reason"), Some("no space left on device"));
    let before = fs::read_to_string(disk.join("own.log")).expect("the file");
    fs::write(disk.join("own.log"), "").expect("there is room for nothing");
    write_part(&site, &navigator, 1);
    let after = navigator
        .log()
        .until("the last line", || fs::read_to_string(disk.join("own.log")).ok().filter(|text| text.ends_with("\n20010\n")));
    assert_eq!(navigator.count("Process crashed", "writer"), 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    // The disk was full in the middle of a line, which counts as lost.
    let whole = &before[..=before.rfind('\n').expect("lines")];
    let (first, none_told) = count(whole, "lost");
    let (second, lost) = count(after.trim_start_matches('\n'), "lost");
    assert_eq!(none_told, 0);
    assert_eq!(first.len() + second.len() + usize::try_from(lost).expect("a small number"), 20_010);
}

#[test]
fn a_limit_on_the_size_of_files_does_not_end_navigator() {
    let site = Site::new();
    gates(&site, 1);
    site.write("navigator.yml", &parts("file: own.log", &[(1, 20_000)]));
    // Beyond it, the kernel sends a signal that kills whoever doesn't ignore it.
    let limited = "ulimit -f 8; exec \"$0\" \"$@\"";
    let mut navigator = site.command_through("sh", &["-c", limited], &["navigator.yml"]).start();
    write_part(&site, &navigator, 0);
    let warning = navigator.wait("a warning", |event| event.message == "Output can't be written");
    assert_eq!(warning.field("reason"), Some("file too large"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_gibibyte_without_a_newline_takes_no_memory() {
    for output in ["log", "{ file: own.log, max_size: 20MB, keep: 1 }"] {
        let site = Site::new();
        gates(&site, 1);
        site.write(
            "navigator.yml",
            &format!(
                "managed_processes:\n  - {{ name: zero, command: sh, args: [-c, 'cat gate0; exec head -c 1G /dev/zero'], output: {output} }}\n"
            ),
        );
        let elsewhere = ["-c", "exec \"$0\" \"$@\" >/dev/null"];
        let mut navigator = site.command_through("sh", &elsewhere, &["navigator.yml"]).start();
        navigator.started("zero");
        let before = navigator.status("VmRSS");
        fs::write(site.path("gate0"), "").expect("the process waits there");
        navigator.event("Process exited", "zero");
        let grown = navigator.status("VmHWM") - before;
        assert!(grown < 8 * 1024, "{grown} kB more with `output: {output}`");
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    }
}

#[test]
fn a_terminal_that_is_stopped_holds_nothing_else() {
    let site = Site::new();
    gates(&site, 1);
    site.write(
        "navigator.yml",
        r#"
defaults: { depends_on: [] }
managed_processes:
  - { name: flood, command: sh, args: [-c, 'seq 1 2000000; echo flooded >>"$JOURNAL"; exec sleep 3600'] }
  - { name: own, command: sh, args: [-c, 'until grep -qs flooded "$JOURNAL"; do sleep 0.02; done; seq 1 50000; exec sleep 3600'], output: { file: own.log } }
  - { name: again, command: sh, args: [-c, 'until grep -qs flooded "$JOURNAL"; do sleep 0.02; done; echo again >>"$JOURNAL"'], restart: always, backoff: { initial: 10ms } }
"#,
    );
    // A reader that reads nothing until it is told to, and then everything.
    let reader = "\"$0\" \"$@\" | { cat gate0; cat; }";
    let navigator = site.command_through("sh", &["-c", reader], &["navigator.yml"]).start();
    navigator.journals("flooded");
    navigator
        .log()
        .until("restarts that go on", || (site.journal().iter().filter(|line| *line == "again").count() > 3).then_some(()));
    let path = site.path("own.log");
    navigator
        .log()
        .until("the file of another", || fs::read_to_string(&path).is_ok_and(|text| text.ends_with("\n50000\n")).then_some(()));
    fs::write(site.path("gate0"), "").expect("the reader waits there");
    assert_eq!(site.run(["-s", "stop"]).code, Some(0));
    let ended = navigator.exits(0);
    let text = ended.said("flood").join("\n");
    let (numbers, dropped) = count(&text, "dropped");
    assert!(dropped > 0, "more than a queue holds");
    assert_eq!(numbers.len() + usize::try_from(dropped).expect("a small number"), 2_000_000);
    assert!(count(&fs::read_to_string(path).expect("the file"), "dropped").0.into_iter().eq(1..=50_000));
}
