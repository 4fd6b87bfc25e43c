//! Completions, driven by the shells themselves: names of processes are those of the navigator that the line is about.

use crate::harness::{Navigator, Signal, Site, attempt, servers};
use std::path::Path;
use std::process::Command;

/// Two navigators of one site: `navigator.yml` runs `web` and `worker`; `other/other.yml`, with a state directory of its own,
/// `wiki`.
fn two(site: &Site) -> [Navigator<'_>; 2] {
    let text = "managed_processes: [{ name: web, command: sleep, args: [infinity] }, { name: worker, command: sleep, args: [infinity] }]";
    site.write("navigator.yml", text);
    site.write("other/other.yml", "managed_processes: [{ name: wiki, command: sleep, args: [infinity] }]");
    let first = site.command(["--no-watch", "navigator.yml"]).start();
    let second = site.command(["--no-watch", "--state-dir", "other/state", "other/other.yml"]).start();
    first.started("worker");
    second.started("wiki");
    let is_reached = |arguments: &[&str]| (site.run(arguments).code != Some(4)).then_some(());
    first.log().until("the first navigator", || is_reached(&["status"]));
    second.log().until("the second", || is_reached(&["status", "-c", "other/other.yml", "--state-dir", "other/state"]));
    [first, second]
}

/// What a shell offers for the last word of each of these lines.
const LINES: [(&str, &[&str]); 9] = [
    ("navigator stop w", &["web", "worker"]),
    ("navigator status web wo", &["worker"]),
    ("navigator --state-dir other/state -c other/other.yml restart w", &["wiki"]),
    ("navigator restart --config=other/other.yml --state-dir=other/state w", &["wiki"]),
    ("navigator --state-dir other/state restart other/other.yml w", &["wiki"]),
    ("navigator stop x", &[]),
    ("navigator comp", &["completions"]),
    // Only the options that a command uses.
    ("navigator run --no", &["--no-watch", "--no-keeper"]),
    ("navigator status --no", &[]),
];

/// Has a shell complete each line by this script, which gets the words of the line, and prints what is offered a line each.
fn complete(shell: &str, script: &str) {
    let site = Site::new();
    let navigators = two(&site);
    let program = Path::new(env!("CARGO_BIN_EXE_navigator")).parent().expect("it lies in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    for (line, expected) in LINES {
        let mut command = Command::new(shell);
        site.surround(&mut command);
        command.env("PATH", &path).args(["-c", script]).env("LINE", line).env("HOME", site.path(""));
        let offered = attempt(&mut command).unwrap_or_else(|error| panic!("{line}: {error}"));
        // Shells that show it have the state behind the name.
        let mut names: Vec<&str> = offered.lines().filter_map(|line| line.split(['\t', ':', ' ']).next()).collect();
        names.retain(|name| !name.is_empty());
        assert_eq!(names, expected, "{shell}: {line}");
    }
    let [mut first, mut second] = navigators;
    first.signal(Signal::TERM);
    assert_eq!(first.ended().code, Some(0));
    second.signal(Signal::TERM);
    second.exits(0);
}

#[test]
fn bash_completes_the_names_of_what_runs() {
    complete("bash", BASH);
}

/// As bash itself completes the last word of `$LINE`: `=` parts words.
const BASH: &str = r#"source <(navigator completions bash)
        read -ra COMP_WORDS <<<"${LINE//=/ = }"
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
        _clap_complete_navigator navigator "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\n' "${COMPREPLY[@]}""#;

#[test]
fn a_navigator_that_does_not_answer_holds_up_no_shell() {
    let site = Site::new();
    site.write("navigator.yml", "managed_processes: [{ name: web, command: sleep, args: [infinity] }]");
    let mut navigator = site.command(["--no-watch", "navigator.yml"]).start();
    navigator.started("web");
    navigator.signal(Signal::STOP);
    let program = Path::new(env!("CARGO_BIN_EXE_navigator")).parent().expect("it lies in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    site.surround(&mut command);
    command.env("PATH", &path).args(["-c", BASH]).env("LINE", "navigator stop w").env("HOME", site.path(""));
    // It would wait for as long as navigator is stopped.
    assert_eq!(attempt(&mut command).map(|offered| offered.trim().to_owned()), Ok(String::new()));
    navigator.signal(Signal::CONT);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn zsh_completes_the_names_of_what_runs() {
    if !servers::present("completions of zsh", &["zsh"]) {
        return;
    }
    // Outside of an editor there is nobody to describe it to; what would be described is printed.
    complete(
        "zsh",
        r#"compdef() { }
        _describe() { print -rl -- "${(@P)argv[-1]}" }
        source <(navigator completions zsh)
        words=(${(z)LINE}) CURRENT=$#words
        _clap_dynamic_completer_navigator"#,
    );
}

#[test]
fn fish_completes_the_names_of_what_runs() {
    if !servers::present("completions of fish", &["fish"]) {
        return;
    }
    complete("fish", "navigator completions fish | source; complete -C \"$LINE\"");
}
