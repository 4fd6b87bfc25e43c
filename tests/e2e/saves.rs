//! Saving the file is enough: every way of saving is seen, once per content, and a file that isn't finished or isn't right
//! stops nobody.

use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site, client, fixtures, report, servers};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Two processes, of which the second says in its argument which version of the file this is.
fn version(number: u32) -> String {
    format!(
        r#"x-child: &child {{ command: "${{FIXTURES}}/child.sh" }}
managed_processes:
  - {{ <<: *child, name: kept, args: [kept] }}
  - {{ <<: *child, name: moved, args: [version-{number}] }}
"#
    )
}

/// A way of saving, as shell scripts that run in the site. The configuration is `conf/navigator.yml`; what is to be saved
/// lies in `new`, and is version `$1`.
struct Way {
    name: &'static str,
    /// A program that may be missing.
    needs: &'static str,
    before: &'static str,
    save: &'static str,
    /// How many of its two saves change the content.
    changes: u32,
}

const fn way(name: &'static str, save: &'static str) -> Way {
    Way { name, needs: "sh", before: ":", save, changes: 2 }
}

/// Vim, with one of the settings that decide how it writes.
macro_rules! vim {
    ($option:literal) => {
        Way {
            needs: "vim",
            ..way(
                concat!("vim, ", $option),
                concat!(
                    "vim -u NONE -i NONE -N -n -es -c 'set ",
                    $option,
                    "' -c \"%s/version-[0-9]*/version-$1/\" -c wq conf/navigator.yml"
                ),
            )
        }
    };
}

const WAYS: [Way; 25] = [
    way("in place", "cat new > conf/navigator.yml"),
    way("in place, slowly", "{ head -c 90 new; sleep 0.4; tail -c +91 new; } > conf/navigator.yml"),
    way("cp", "cp new conf/navigator.yml"),
    way("mv over, from beside", "cp new conf/tmp; mv conf/tmp conf/navigator.yml"),
    way("mv over, from elsewhere", "cp new tmp; mv tmp conf/navigator.yml"),
    way("mv over, then chmod", "cp new conf/tmp; mv conf/tmp conf/navigator.yml; chmod 640 conf/navigator.yml"),
    way("sed -i", "sed -i \"s/version-[0-9]*/version-$1/\" conf/navigator.yml"),
    way("ln -f", "cp new conf/link$1; ln -f conf/link$1 conf/navigator.yml"),
    way("rm, ln", "cp new conf/link$1; rm conf/navigator.yml; ln conf/link$1 conf/navigator.yml"),
    way("rm, created", "rm conf/navigator.yml; cat new > conf/navigator.yml"),
    way("backup by rename", "mv conf/navigator.yml conf/navigator.yml~; cat new > conf/navigator.yml"),
    way(
        "backup by rename, removed",
        ": > conf/4913; rm conf/4913; mv conf/navigator.yml conf/navigator.yml~; cat new > conf/navigator.yml; chmod 644 conf/navigator.yml; rm conf/navigator.yml~",
    ),
    vim!("backupcopy=no"),
    vim!("backupcopy=yes"),
    Way {
        before: "mkdir conf/..1; mv conf/navigator.yml conf/..1; ln -s ..1 conf/..data; ln -s ..data/navigator.yml conf/navigator.yml",
        ..way(
            "ConfigMap",
            "mkdir conf/..$1; cp new conf/..$1/navigator.yml; ln -s ..$1 conf/..tmp; mv -T conf/..tmp conf/..data; rm -r conf/..$(($1 - 1))",
        )
    },
    Way {
        before: "mkdir releases; mv conf/navigator.yml releases/1; ln -s ../releases/1 conf/navigator.yml",
        ..way("link to another file", "cp new releases/$1; ln -sfn ../releases/$1 conf/navigator.yml")
    },
    Way {
        before: "mkdir releases; mv conf/navigator.yml releases/1; ln -s ../releases/1 conf/navigator.yml",
        ..way("link removed, made", "cp new releases/$1; rm conf/navigator.yml; ln -s ../releases/$1 conf/navigator.yml")
    },
    Way {
        before: "mkdir releases; mv conf/navigator.yml releases/live; ln -s ../releases/live conf/navigator.yml",
        ..way("behind a link, mv over", "cp new releases/tmp; mv releases/tmp releases/live")
    },
    Way {
        before: "mv conf release1; ln -s release1 conf",
        ..way("link to another directory", "mkdir release$1; cp new release$1/navigator.yml; ln -sfn release$1 conf")
    },
    way("directory swapped", "mkdir next; cp new next/navigator.yml; mv conf conf$1; mv next conf"),
    way("directory removed, made", "rm -r conf; mkdir conf; cat new > conf/navigator.yml"),
    Way {
        needs: "git",
        before: r#"cd conf; git init -q; for v in 1 2 3; do sed -i "s/version-[0-9]*/version-$v/" navigator.yml; git add .
                   git -c user.name=n -c user.email=e commit -qm $v; git tag v$v; done; git checkout -q v1"#,
        ..way("git checkout", "git -C conf checkout -q v$1")
    },
    Way { changes: 0, ..way("chmod", "chmod 60$1 conf/navigator.yml") },
    Way { changes: 0, ..way("touch", "touch conf/navigator.yml") },
    Way { changes: 0, ..way("the same again, mv over", "cp conf/navigator.yml tmp; mv tmp conf/navigator.yml") },
];

/// Runs a script in the site.
fn shell(site: &Site, script: &str, argument: u32) {
    let mut command = Command::new("sh");
    command.args(["-euc", script, "sh", &argument.to_string()]).current_dir(site.path(""));
    client(&mut command);
}

/// What navigator has said of files that it read after the first.
fn verdicts(navigator: &Navigator<'_>) -> Vec<Event> {
    let is_verdict = |event: &Event| event.message.starts_with("Configuration ") && event.message != "Configuration loaded";
    navigator.events().into_iter().filter(is_verdict).collect()
}

/// Navigator on `conf/navigator.yml`.
fn on_directory<'s>(site: &'s Site, configuration: &str) -> Navigator<'s> {
    site.write("conf/navigator.yml", configuration);
    site.command(["conf/navigator.yml"]).start()
}

#[test]
fn every_way_of_saving_is_seen_once() {
    report("way of saving                 first   second");
    let mut all = Vec::new();
    for way in &WAYS {
        if servers::present(&format!("saves: {}", way.name), &[way.needs]) {
            let times = saves_are_seen_once(way);
            let shown: Vec<String> = times.iter().map(|time| format!("{:4} ms", time.as_millis())).collect();
            report(&format!("{:27} {}", way.name, shown.join("  ")));
            all.extend(times);
        }
    }
    // The poll alone would need over a second on average, so it was the kernel who told.
    let count = u32::try_from(all.len()).expect("there are few");
    let mean = all.iter().sum::<Duration>() / count;
    assert!(mean < Duration::from_millis(700), "{mean:?} on average");
}

/// Saves twice and checks what happened; how long it took from before each save until its process ran.
fn saves_are_seen_once(way: &Way) -> Vec<Duration> {
    let site = Site::new();
    site.write("conf/navigator.yml", &version(1));
    shell(&site, way.before, 1);
    let mut navigator = site.command(["conf/navigator.yml"]).start();
    navigator.journals("kept start");
    navigator.journals("version-1 start");
    let mut times = Vec::new();
    for number in [2, 3] {
        site.write("new", &version(number));
        let begun = Instant::now();
        shell(&site, way.save, number);
        if way.changes > 0 {
            let started = navigator.nth_event("Process started", "moved", times.len() + 1);
            times.push(started.at.saturating_duration_since(begun));
            navigator.journals(&format!("version-{number} start"));
        }
    }
    // One more, the slow way: whatever was still to come of those before has come by then.
    site.write("conf/navigator.yml", &version(9));
    navigator.journals("version-9 start");
    let found: Vec<String> = verdicts(&navigator)
        .iter()
        .map(|event| format!("{} {}", event.message, event.field("generation").unwrap_or("-")))
        .collect();
    let expected: Vec<String> = (2..=way.changes + 2).map(|number| format!("Configuration reloaded {number}")).collect();
    assert_eq!(found, expected, "{}\n{}", way.name, navigator.log().describe());
    let stops = site.stops();
    assert!(!stops.iter().any(|line| line.starts_with("kept")), "{}: {stops:?}", way.name);
    assert_eq!(navigator.count("Starting process", "kept"), 1, "{}", way.name);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    times
}

#[test]
fn the_time_from_a_rename_to_the_start_of_its_process() {
    const SAVES: usize = 40;
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(1));
    navigator.journals("version-1 start");
    let mut times = Vec::new();
    let mut text = version(1);
    for number in 0..SAVES {
        writeln!(text, "  - {{ <<: *child, name: added-{number}, args: [added], depends_on: [] }}")
            .expect("a string takes everything");
        site.write("conf/tmp", &text);
        let begun = Instant::now();
        fs::rename(site.path("conf/tmp"), site.path("conf/navigator.yml")).expect("it is ours");
        let started = navigator.event("Process started", &format!("added-{number}"));
        times.push(started.at.saturating_duration_since(begun));
    }
    times.sort_unstable();
    let [median, late] = [times[SAVES / 2], times[SAVES * 95 / 100]];
    report(&format!("from the rename to the start of its process: median {median:.1?}, 95% within {late:.1?}"));
    assert_eq!(verdicts(&navigator).len(), SAVES, "each save is one generation");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn where_the_kernel_refuses_to_tell_a_poll_sees_it_and_the_log_says_so() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let test = format!("saves: without events, {limit}");
        let site = Site::new();
        // Limits of a user namespace of its own, in which this user is root.
        let refuse = format!("echo 0 > /proc/sys/user/{limit}");
        let mut attempt = Command::new("unshare");
        attempt.args(["--user", "--map-root-user", "sh", "-c", &refuse]);
        if !servers::succeeds(&test, &mut attempt) {
            return;
        }
        site.write("conf/navigator.yml", &version(1));
        let refused = format!("{refuse}; exec \"$0\" \"$@\"");
        let namespace = ["--user", "--map-root-user", "sh", "-c", &refused];
        let mut navigator = site.command_through("unshare", &namespace, &["conf/navigator.yml"]).start();
        navigator.journals("version-1 start");
        let warnings = || navigator.events().iter().filter(|event| event.message == "Files can't be watched by events").count();
        navigator.log().until("the warning", || (warnings() > 0).then_some(()));
        for (number, save) in [(2, "cat new > conf/navigator.yml"), (3, "mv new conf/navigator.yml")] {
            site.write("new", &version(number));
            shell(&site, save, number);
            navigator.journals(&format!("version-{number} start"));
        }
        assert_eq!((warnings(), verdicts(&navigator).len()), (1, 2), "{}", navigator.log().describe());
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    }
}

#[test]
fn includes_and_env_files_are_watched_too() {
    let site = Site::new();
    site.write("conf/shared.env", "COLOUR=red\n");
    site.write("conf/parts/one.yml", &part("one", "one-1"));
    let main = r#"
include: parts/*.yml
managed_processes:
  - { name: kept, command: "${FIXTURES}/child.sh", args: [kept], depends_on: [] }
  - { name: painted, command: "${FIXTURES}/child.sh", args: ["${COLOUR}"], env_file: shared.env, depends_on: [] }
"#;
    let mut navigator = on_directory(&site, main);
    for name in ["kept", "red", "one-1"] {
        navigator.journals(&format!("{name} start"));
    }
    let steps = [
        ("printf 'COLOUR=blue\\n' > conf/shared.env", "Process started", "painted"),
        ("printf 'COLOUR=green\\n' > conf/tmp; mv conf/tmp conf/shared.env", "Process started", "painted"),
        ("sed -i s/one-1/one-2/ conf/parts/one.yml", "Process started", "one"),
        // A new one, that takes its time.
        ("{ head -n 1 two; sleep 0.4; tail -n +2 two; } > conf/parts/two.yml", "Process started", "two"),
        ("mv conf/parts/two.yml conf/parts/two.off", "Process stopped", "two"),
        ("mv conf/parts/two.off conf/parts/two.yml", "Process started", "two"),
        ("rm conf/parts/two.yml", "Process stopped", "two"),
        (
            "mv conf/parts parts.old; cp -r parts.old next; sed -i s/one-2/one-3/ next/one.yml; mv next conf/parts",
            "Process started",
            "one",
        ),
    ];
    site.write("two", &part("two", "two-1"));
    for (done, (script, message, name)) in steps.iter().enumerate() {
        let before = navigator.count(message, name);
        shell(&site, script, 0);
        navigator.nth_event(message, name, before);
        // Nobody is interested in these.
        shell(&site, "echo noise >> conf/parts/noise.log; : > conf/parts/.one.yml.swp; rm conf/parts/.one.yml.swp", 0);
        let found: Vec<String> = verdicts(&navigator).into_iter().map(|event| event.message).collect();
        assert_eq!(found, vec!["Configuration reloaded"; done + 1], "after `{script}`\n{}", navigator.log().describe());
    }
    assert_eq!(navigator.count("Starting process", "kept"), 1);
    assert!(!site.stops().iter().any(|line| line.starts_with("kept")), "{:?}", site.stops());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

fn part(name: &str, argument: &str) -> String {
    format!(
        "managed_processes:\n  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{argument}], depends_on: [] }}\n"
    )
}

#[test]
fn a_file_that_is_no_configuration_stops_nobody_and_is_told_once() {
    let site = Site::new();
    site.write("conf/navigator.yml", &version(1));
    let mut navigator = site.command(["--verbose", "conf/navigator.yml"]).start();
    navigator.journals("version-1 start");
    let kinds = [
        ("echo 'managed_processes: [' > conf/navigator.yml", "touch conf/navigator.yml"),
        (
            "head -c 100 conf/navigator.yml > tmp; mv tmp conf/navigator.yml",
            "cp conf/navigator.yml tmp; mv tmp conf/navigator.yml",
        ),
        (": > conf/navigator.yml", "chmod 600 conf/navigator.yml"),
        ("rm conf/navigator.yml", ""),
        ("rm conf/navigator.yml; mkdir conf/navigator.yml", "touch conf/navigator.yml/inside"),
        ("rm conf/navigator.yml; mkfifo conf/navigator.yml", "chmod 600 conf/navigator.yml"),
        ("mv conf gone", ""),
    ];
    each_kind_is_rejected_once(&navigator, &site, &kinds);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_file_that_may_not_be_read_stops_nobody_and_is_told_once() {
    let site = Site::new();
    site.write("conf/navigator.yml", &version(1));
    shell(&site, "chmod 1777 .", 0);
    let arguments = ["--verbose", "conf/navigator.yml"];
    // Root may read everything, so somebody else is navigator.
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    let is_root = rustix::process::geteuid().is_root();
    let launch = if is_root { site.command_through("setpriv", &nobody, &arguments) } else { site.command(arguments) };
    let mut navigator = launch.start();
    navigator.journals("version-1 start");
    let kinds = [("chmod 000 conf/navigator.yml", "chmod 200 conf/navigator.yml"), ("chmod 000 conf", "")];
    each_kind_is_rejected_once(&navigator, &site, &kinds);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Breaks the file in each of these ways, then does something that changes nothing about what can be read of it (or
/// nothing at all), and mends it.
#[track_caller]
fn each_kind_is_rejected_once(navigator: &Navigator<'_>, site: &Site, kinds: &[(&str, &str)]) {
    let verdict = |n: usize| navigator.log().until("a verdict", || verdicts(navigator).into_iter().nth(n));
    let readings =
        || navigator.events().iter().filter(|event| event.message == "Files were read again, and say the same").count();
    for (done, (kind, nothing)) in kinds.iter().enumerate() {
        shell(site, kind, 0);
        let rejected = verdict(2 * done);
        assert_eq!(rejected.message, "Configuration rejected", "{kind}\n{}", navigator.log().describe());
        assert!(rejected.field("diagnostics").is_some_and(|text| text.contains("navigator.yml:")), "{rejected:?}");
        if !nothing.is_empty() {
            let before = readings();
            shell(site, nothing, 0);
            navigator.log().until("another reading", || (readings() > before).then_some(()));
        }
        let number = u32::try_from(done).expect("there are few") + 2;
        site.write("new", &version(number));
        shell(site, "mkdir -p conf; chmod 755 conf; rm -rf conf/navigator.yml; mv new conf/navigator.yml", 0);
        let mended = verdict(2 * done + 1);
        assert_eq!(mended.message, "Configuration reloaded", "{kind}\n{}", navigator.log().describe());
        assert_eq!(mended.field("generation"), Some(number.to_string().as_str()), "{kind}");
        navigator.journals(&format!("version-{number} start"));
    }
    assert_eq!(verdicts(navigator).len(), 2 * kinds.len(), "{}", navigator.log().describe());
    assert!(!site.stops().iter().any(|line| line.starts_with("kept")), "{:?}", site.stops());
}

#[test]
fn a_slow_writer_stops_nobody_that_both_files_want() {
    const ROUNDS: u32 = 20;
    let site = Site::new();
    let ten = |number: u32| {
        let kept = (1..10).map(|index| format!("  - {{ <<: *child, name: kept-{index}, args: [kept-{index}] }}\n"));
        format!(
            r#"x-child: &child {{ command: "${{FIXTURES}}/child.sh", depends_on: [] }}
managed_processes:
  - {{ <<: *child, name: moved, args: [version-{number}] }}
{}"#,
            kept.collect::<String>()
        )
    };
    let mut navigator = on_directory(&site, &ten(0));
    for index in 1..10 {
        navigator.journals(&format!("kept-{index} start"));
    }
    navigator.journals("version-0 start");
    for number in 1..=ROUNDS {
        let new = site.write("new", &ten(number));
        client(Command::new(fixtures().join("dribble.sh")).arg(new).arg(site.path("conf/navigator.yml")));
        navigator.journals(&format!("version-{number} start"));
    }
    let stops = site.stops();
    assert!(!stops.iter().any(|line| line.starts_with("kept")), "{stops:?}\n{}", navigator.log().describe());
    assert_eq!(verdicts(&navigator).len(), usize::try_from(ROUNDS).expect("few"), "{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_save_in_a_flood_of_other_changes_is_seen() {
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(1));
    navigator.journals("version-1 start");
    site.write("new", &version(2));
    // More than the kernel queues for a slow reader (`max_queued_events` in `inotify(7)`).
    let flood = "noise() { i=0; while [ $i -lt 10000 ]; do : > conf/noise; i=$((i + 1)); done; }; noise; cat new > conf/navigator.yml; noise";
    shell(&site, flood, 0);
    navigator.journals("version-2 start");
    assert_eq!(verdicts(&navigator).len(), 1, "{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
