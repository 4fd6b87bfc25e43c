//! The matrix of saves: every way of saving, by events and by the poll alone, twice in a row, each applied exactly once.

use super::{Means, assert_reloads, assert_untouched, fruitless_readings, median_and_late, shell, started_after, version};
use crate::harness::{Site, report, servers};
use crate::instances;
use std::thread;
use std::time::{Duration, SystemTime};

/// A way of saving, as shell scripts that run in the site. The configuration is `conf/navigator.yml`; what is to be saved
/// lies in `new`, and is version `$1`.
struct Way {
    name: &'static str,
    /// A program that may be missing.
    needs: &'static str,
    before: &'static str,
    save: &'static str,
    /// How many of its two saves change the content.
    changes: usize,
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

const WAYS: [Way; 26] = [
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
    Way {
        before: "mkdir -p top/middle; mv conf top/middle/conf; ln -s top/middle/conf conf",
        ..way(
            "swapped two levels above",
            "mkdir -p next/middle/conf; cp new next/middle/conf/navigator.yml; mv top top$1; mv next top",
        )
    },
    way("directory removed, made", "rm -r conf; mkdir conf; cat new > conf/navigator.yml"),
    Way {
        needs: "git",
        before: r#"cd conf; git init -q; for v in 1 2 3; do sed -i "s/version-[0-9]*/version-$v/" navigator.yml; git add .
                   git -c user.name=n -c user.email=e commit -qm $v; git tag v$v; done; git checkout -q v1"#,
        ..way("git checkout", "git -C conf checkout -q v$1")
    },
    Way { changes: 0, ..way("chmod", "chmod 6$((4 * ($1 - 2)))0 conf/navigator.yml") },
    Way { changes: 0, ..way("touch", "touch conf/navigator.yml") },
    Way { changes: 0, ..way("the same again, mv over", "cp conf/navigator.yml tmp; mv tmp conf/navigator.yml") },
];

/// What the matrix shows of a way: how long after the end of each save the changed process ran.
struct Row {
    way: &'static str,
    times: Vec<Duration>,
}

/// The rows of all ways whose programs are here.
fn present() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| servers::present(&format!("saves: {}", way.name), &[way.needs]))
}

#[test]
fn every_way_of_saving_is_seen_once() {
    let rows: Vec<Row> = present().map(|way| saved_twice(way, Means::Events)).collect();
    let (median, _) = show("by events", &rows);
    // The poll alone would need over a second, so it was the kernel who told.
    assert!(median < Duration::from_millis(700), "{median:?}");
}

#[test]
fn every_way_of_saving_is_seen_once_by_the_poll_alone() {
    if !Means::Poll.is_available("saves: by the poll alone") {
        return;
    }
    // Nearly all of the time is spent waiting for the poll.
    let rows: Vec<Row> = thread::scope(|scope| {
        let running: Vec<_> = present().map(|way| scope.spawn(|| saved_twice(way, Means::Poll))).collect();
        running.into_iter().map(|way| way.join().expect("the save was seen once")).collect()
    });
    show("by the poll", &rows);
}

/// Prints the matrix; the figures of all saves together.
fn show(means: &str, rows: &[Row]) -> (Duration, Duration) {
    report(&format!("way of saving, {means:16} first    second"));
    for Row { way, times } in rows {
        let shown: Vec<String> = times.iter().map(|time| format!("{:4} ms", time.as_millis())).collect();
        report(&format!("{way:27}  {}", shown.join("   ")));
    }
    let (median, late) = median_and_late(rows.iter().flat_map(|row| row.times.clone()).collect());
    report(&format!("{means}: median {median:.1?}, 95% within {late:.1?}"));
    (median, late)
}

/// Saves twice and checks what happened.
fn saved_twice(way: &Way, means: Means) -> Row {
    let site = Site::new();
    site.write("conf/navigator.yml", &version(1));
    shell(&site, way.before, 1);
    let navigator = means.start(&site);
    navigator.journals("kept start");
    navigator.journals("version-1 start");
    let mut times = Vec::new();
    for number in [2, 3] {
        site.write("new", &version(number));
        let before = fruitless_readings(&navigator);
        shell(&site, way.save, number);
        let saved = SystemTime::now();
        if way.changes == 0 {
            navigator.log().until("another reading", || (fruitless_readings(&navigator) > before).then_some(()));
        } else {
            navigator.journals(&format!("version-{number} start"));
            times.push(started_after(&site, &format!("version-{number}"), saved));
        }
    }
    // One more, the slow way: whatever was still to come of those before has come by then.
    site.write("conf/navigator.yml", &version(9));
    navigator.journals("version-9 start");
    assert_reloads(&navigator, way.changes + 1, way.name);
    assert_untouched(&navigator, &site, &["kept"]);
    // The poll differs in how a save is seen, not in where the instance is found.
    let navigator = if means == Means::Events { instances::outlives_its_killing(&site, navigator, way.name) } else { navigator };
    navigator.ends();
    Row { way: way.name, times }
}
