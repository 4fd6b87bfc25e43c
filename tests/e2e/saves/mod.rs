//! Saving the file is enough: every way of saving is seen, once per content, and a file that isn't finished or isn't right
//! stops nobody.
//!
//! The kernel's events are taken away where that matters: see [`Means`].

mod bursts;
mod figures;
mod mounts;

mod parts;
mod slow;
mod together;
mod ways;
mod wrong;

use crate::harness::entry::Event;
use crate::harness::{Navigator, Site, client, servers};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Two processes, of which the second says in its argument which version of the file this is, and notes when it starts.
fn version(number: u32) -> String {
    format!(
        r#"x-child: &child {{ command: "${{FIXTURES}}/child.sh" }}
managed_processes:
  - {{ <<: *child, name: kept, args: [kept] }}
  - {{ command: "${{FIXTURES}}/moment.sh", name: moved, args: [version-{number}] }}
"#
    )
}

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

/// How often files have been read again that say the same, which only `--verbose` tells.
fn fruitless_readings(navigator: &Navigator<'_>) -> usize {
    navigator.events().iter().filter(|event| event.message == "Files read again, content unchanged").count()
}

/// That each verdict was `Configuration reloaded`, with the generations from 2 on.
#[track_caller]
fn assert_reloads(navigator: &Navigator<'_>, count: usize, what: &str) {
    // What a process writes when it is started may be here before the lines of the log that tell why it was.
    let last = (count + 1).to_string();
    navigator.wait("the last of the reloads", |event| event.field("generation") == Some(&last));
    let found: Vec<String> = verdicts(navigator)
        .iter()
        .map(|event| format!("{} {}", event.message, event.field("generation").unwrap_or("-")))
        .collect();
    let expected: Vec<String> = (2..count + 2).map(|number| format!("Configuration reloaded {number}")).collect();
    assert_eq!(found, expected, "{what}\n{}", navigator.log().describe());
}

/// That these processes, named in the journal as in the file, are what they were at the beginning.
#[track_caller]
fn assert_untouched(navigator: &Navigator<'_>, site: &Site, names: &[&str]) {
    let journal = site.journal();
    for name in names {
        let about: Vec<&String> = journal.iter().filter(|line| line.split(' ').next() == Some(*name)).collect();
        assert_eq!(about, [&format!("{name} start")], "{}", navigator.log().describe());
        let told = ["Starting process", "Stopping process", "Restarting process"].map(|message| navigator.count(message, name));
        assert_eq!(told, [1, 0, 0], "{name}\n{}", navigator.log().describe());
        let pid = navigator.started(name);
        assert!(navigator.descendants().iter().any(|process| process.pid == pid), "{name} has another pid than {pid}");
    }
}

/// How navigator learns of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// As usual: by the kernel's events, and by the poll beside them.
    Events,
    /// By the poll alone: this user may watch nothing.
    Poll,
}

impl Means {
    /// Whether this can be had here. If it can't, the test is skipped.
    #[track_caller]
    fn is_available(self, test: &str) -> bool {
        match self {
            Means::Events => true,
            Means::Poll => {
                servers::succeeds(test, Command::new("unshare").args(unwatchable("max_inotify_instances")).arg("true"))
            }
        }
    }

    /// Navigator on `conf/navigator.yml`, as it is.
    fn start(self, site: &Site) -> Navigator<'_> {
        let arguments = ["--verbose", "conf/navigator.yml"];
        match self {
            Means::Events => site.command(arguments).start(),
            Means::Poll => {
                let navigator = site.command_through("unshare", &unwatchable("max_inotify_instances"), &arguments).start();
                navigator.wait("the poll", |event| event.message == "Files can't be watched by events");
                navigator
            }
        }
    }
}

/// The arguments for `unshare` to run a program where a limit on watching is 0: in a user namespace of its own, in which
/// this user is root.
fn unwatchable(limit: &str) -> [&str; 6] {
    let refuse = match limit {
        "max_inotify_instances" => "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$0\" \"$@\"",
        "max_inotify_watches" => "echo 0 > /proc/sys/user/max_inotify_watches; exec \"$0\" \"$@\"",
        other => panic!("`{other}` is no limit on watching"),
    };
    ["--user", "--map-root-user", "--", "sh", "-ec", refuse]
}

/// Navigator on `conf/navigator.yml`.
fn on_directory<'s>(site: &'s Site, configuration: &str) -> Navigator<'s> {
    site.write("conf/navigator.yml", configuration);
    Means::Events.start(site)
}

/// How long after this moment a child that runs `moment.sh` was started, by its own account. The clock is the same.
fn started_after(site: &Site, name: &str, moment: SystemTime) -> Duration {
    let text = site.read("moments");
    let noted = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).next_back();
    let noted = SystemTime::UNIX_EPOCH + Duration::from_micros(noted.unwrap_or_else(|| panic!("`{name}` in {text}")));
    // It may have started before the last step of the save was done.
    noted.duration_since(moment).unwrap_or_default()
}

/// The middle one, and the one that 95 of 100 don't exceed.
fn median_and_late(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}
