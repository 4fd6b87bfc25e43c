//! What every command prints, and how it exits: the transcripts of `fixtures/cli/`, played against a real navigator on a
//! terminal of 80 columns.

mod document;
mod script;
mod veil;

use crate::harness::{Navigator, Signal, Site, on_terminal};
use script::{Part, parts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use veil::{Veil, pattern};

/// Each case is a test of its own, so that they run beside one another and fail by name.
macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { play(stringify!($name)); })*

        #[test]
        fn every_transcript_is_played() {
            let mut found: Vec<String> = fs::read_dir(folder()).expect("the folder of transcripts")
                .map(|entry| entry.expect("an entry of the folder").path().file_stem().expect("a name").to_string_lossy().into_owned())
                .collect();
            found.sort();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

cases! {
    apply
    check
    check_elsewhere
    check_formats
    config
    errors
    events
    graph
    help
    logs
    orders
    plan
    plan_against
    plan_looks
    plan_markdown
    plan_rolled_back
    plan_stale
    plan_without_navigator
    reload
    status
    status_backoff
    status_failed
    status_on_purpose
    status_rejected
    status_stopping
    status_waiting
    status_warned
    tools
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cli")
}

/// Plays a transcript, and compares what comes of it with what it says.
fn play(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let site = Site::new();
    let mut stage = Stage { site: &site, navigators: Vec::new() };
    let mut played = String::new();
    for part in parts(&text) {
        played.push_str(&stage.part(part));
    }
    stage.close();
    let mut failures = Vec::new();
    crate::golden::settle(&path, &played, &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Where a transcript is played.
struct Stage<'s> {
    site: &'s Site,
    /// Those that run, oldest first.
    navigators: Vec<Navigator<'s>>,
}

impl Stage<'_> {
    /// Does what a part says; answers with the part as it then is.
    fn part(&mut self, part: Part) -> String {
        match part {
            Part::Verbatim(text) => text,
            Part::Write { name, content, text } => {
                self.site.script(&name, &content);
                text
            }
            Part::Run { arguments, text } => {
                self.run(&arguments);
                text
            }
            Part::Until { wanted, command, text } => {
                let newest = self.navigators.last().expect("a navigator runs");
                let shows = || self.play(&command).stdout.contains(&wanted).then_some(());
                newest.log().until(&format!("`{wanted}` from `{command}`"), shows);
                text
            }
            Part::Command { command } => {
                let played = self.play(&command);
                format!(
                    "$ {command}\n{}",
                    script::answer(&self.veiled(&played.stdout), &self.veiled(&played.stderr), played.code)
                )
            }
        }
    }

    /// Starts a navigator that runs on, and waits until it can be asked.
    fn run(&mut self, arguments: &str) {
        let navigator = self.site.command(arguments.split(' ')).env("PATH", self.path()).start();
        let is_reached = || {
            assert!(!navigator.log().has_ended(), "`{arguments}` ended at once\n{}", navigator.log().describe());
            (self.play("navigator status").code != Some(4)).then_some(())
        };
        navigator.log().until("a navigator that can be asked", is_reached);
        self.navigators.push(navigator);
    }

    /// Programs are looked for in the site, and navigator where it was built.
    fn path(&self) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_navigator")).parent().expect("it lies in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{}:{}:{path}", self.site.path("bin").display(), program.display())
    }

    fn play(&self, command: &str) -> crate::harness::Played {
        let mut shell = Command::new("sh");
        self.site.surround(&mut shell);
        shell.args(["-c", command]).env("PATH", self.path()).env("NO_COLOR", "1");
        on_terminal(&mut shell, 80)
    }

    /// A text without what differs from run to run.
    fn veiled(&self, text: &str) -> String {
        let own = self.navigators.iter().map(Navigator::pid).chain(self.site.keepers().into_iter().map(|keeper| keeper.pid));
        let theirs = self.navigators.iter().flat_map(Navigator::events).filter_map(|event| event.field("pid")?.parse().ok());
        Veil::new(self.site.path(""), own.chain(theirs)).over(text)
    }

    /// Ends what still runs; nothing of it may be left.
    fn close(self) {
        for mut navigator in self.navigators {
            if navigator.log().has_ended() {
                navigator.ended();
                continue;
            }
            navigator.signal(Signal::TERM);
            navigator.exits(0);
        }
    }
}
