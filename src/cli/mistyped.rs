//! Finds the command that was meant, if a word is no command and no file: a typing error, or a command of another program.

use super::arguments::command_line;
use crate::suggest::did_you_mean;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Commands of systemctl, Docker Compose, supervisorctl, PM2, nginx and their kind, and what does the same here.
const ELSEWHERE: [(&[&str], &str); 18] = [
    (&["ps", "top", "list", "ls", "show", "info", "inspect", "describe", "get", "pid"], "`navigator status` shows the processes"),
    (
        &["up", "launch", "serve", "boot", "begin"],
        "`navigator run` starts navigator and its processes, `navigator start NAME` starts one",
    ),
    (
        &["down", "halt", "shutdown", "exit", "terminate", "stopall"],
        "`navigator -s stop` stops navigator and all its processes, `navigator stop NAME` stops one",
    ),
    (&["quit", "abort"], "`navigator -s quit` kills navigator's processes and ends it, `navigator -s stop` stops them in order"),
    (&["kill", "hup"], "`navigator signal KILL NAME` sends a signal to a process, `navigator stop NAME` stops it"),
    (
        &["log", "tail", "journal", "output", "maintail"],
        "`navigator logs` shows the last lines of output, `navigator logs -f` follows them",
    ),
    (&["lint", "verify", "configtest", "test"], "`navigator check` reports every problem in a configuration"),
    (
        &["update", "reread", "refresh", "rehash", "daemon-reload", "sync"],
        "`navigator reload` reads the configuration again; saving the file does the same",
    ),
    (
        &["deploy", "install", "replace"],
        "`navigator apply FILE` checks a file, puts it in the place of the configuration and waits",
    ),
    (&["dry-run", "preview", "whatif"], "`navigator plan` shows what a configuration would change"),
    (&["monit", "monitor", "watch"], "`navigator events` prints events as they happen, `navigator status` shows the processes"),
    (&["cat", "dump", "render", "convert", "env"], "`navigator config` prints the effective configuration"),
    (&["tree", "deps", "list-dependencies"], "`navigator graph` shows the dependencies"),
    (&["version"], "`navigator --version` prints the version"),
    (
        &["new", "setup"],
        "`navigator init` writes a first configuration for this directory, `navigator import FILE` makes one of another tool's files",
    ),
    (&["enable"], "set `enabled: true` in the file and save it; `navigator start NAME` starts a process by hand"),
    (&["disable"], "set `enabled: false` in the file and save it; `navigator stop NAME` stops a process by hand"),
    (
        &["add", "create", "rm", "remove", "delete", "scale"],
        "processes are added to and removed from the file, and it takes effect when it is saved; `navigator plan` shows the changes",
    ),
];

/// The error if the configuration of a command line is a mistyped command, or a command of another program.
pub(super) fn command(config: &Path) -> Option<String> {
    let word = config.to_str().filter(|_| !config.exists())?;
    let elsewhere = || ELSEWHERE.iter().find(|(words, _)| words.contains(&word)).map(|(_, advice)| (*advice).to_owned());
    let commands = command_line();
    let near = || did_you_mean(word, commands.get_subcommands().map(clap::Command::get_name));
    Some(format!("`{word}` is neither a command nor a file; {}", elsewhere().or_else(near)?))
}

/// The same for a command line that can't be parsed, mostly because the command has arguments and options.
pub(super) fn command_of(line: impl IntoIterator<Item = OsString>) -> Option<String> {
    let matches = command_line().ignore_errors(true).try_get_matches_from(line).ok()?;
    matches.get_one::<PathBuf>("config").and_then(|config| command(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::Arguments;

    #[test]
    fn every_advice_is_a_command_line_that_is_accepted() {
        let mut checked = 0;
        for (words, advice) in ELSEWHERE {
            for line in advice.split('`').filter(|part| part.starts_with("navigator ")) {
                let parsed = Arguments::parse_line(line.split(' ').map(OsString::from));
                let is_accepted = parsed.map_or_else(|error| !error.use_stderr(), |line| line.config.is_none());
                assert!(is_accepted, "{words:?}: `{line}`");
                checked += 1;
            }
        }
        assert!(checked > 20, "only {checked} command lines were found");
    }

    #[test]
    fn no_word_of_another_program_is_a_command_or_is_listed_twice() {
        let words: Vec<&str> = ELSEWHERE.iter().flat_map(|(words, _)| *words).copied().collect();
        let commands = command_line();
        for (at, word) in words.iter().enumerate() {
            assert!(commands.find_subcommand(word).is_none(), "`{word}` is a command");
            assert!(!words[..at].contains(word), "`{word}` is listed twice");
        }
    }

    #[test]
    fn the_command_is_found_beside_options_and_arguments() {
        for line in ["navigator ps -a", "navigator -c x.yml ps --all", "navigator ps web db", "navigator ps web --format json"] {
            let advice = command_of(line.split(' ').map(OsString::from)).unwrap_or_default();
            assert!(advice.starts_with("`ps` is neither a command nor a file; `navigator status`"), "{line}: {advice}");
        }
        for line in ["navigator other.yml -a", "navigator --no-such-option", "navigator status --all"] {
            assert_eq!(command_of(line.split(' ').map(OsString::from)), None, "{line}");
        }
    }
}
