//! `navigator completions SHELL`: shell completions. The shell runs navigator for each completion, which asks the running
//! instance for names of processes.

use super::console::{FAILURE, OK, USAGE, fail, print, state_dir, variable};
use super::locate::{is_path, locate};
use crate::access::{Trust, uid_of};
use crate::control::Client;
use clap::Command;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a completion may wait: for a navigator that is starting, and again for its answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The environment variable with which a shell asks for completions.
const REQUEST_VARIABLE: &str = "NAVIGATOR_COMPLETE";

const CONFIG: [&str; 2] = ["-c", "--config"];
const STATE_DIR: &str = "--state-dir";
const TRUST_USER: &str = "--trust-user";

/// Prints completions and exits, if a shell asks for them.
pub(super) fn answer(command_line: impl Fn() -> Command) {
    CompleteEnv::with_factory(command_line).var(REQUEST_VARIABLE).complete();
}

/// Prints the script that sets up completions in a shell.
pub(super) fn completions(shell: &str) -> ExitCode {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(shell) else {
        let names: Vec<&str> = shells.names().collect();
        return fail(USAGE, &format!("no completions for `{shell}`; available: {}", names.join(", ")));
    };
    match completer.write_registration(REQUEST_VARIABLE, "navigator", "navigator", "navigator", &mut script) {
        Ok(()) => {
            print(&String::from_utf8_lossy(&script));
            OK.into()
        }
        Err(error) => fail(FAILURE, &format!("failed to write completions: {error}")),
    }
}

/// The names of the running navigator's processes, for the configuration that the line names.
pub(super) fn process_names() -> Vec<CompletionCandidate> {
    let line: Vec<OsString> = env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let named = option(&line, &CONFIG).or_else(|| path_before_names(&line)).map(PathBuf::from);
    let user = option(&line, &[TRUST_USER]).and_then(|name| uid_of(name.to_str()?).ok()?);
    let own = Trust::of_this_process();
    let trust = user.map_or(own, |user| own.and(user));
    let state = option(&line, &[STATE_DIR]).map(PathBuf::from);
    let config = locate(named, variable("NAVIGATOR_CONFIG")).ok();
    let client = Client::connect_within(&state_dir(state, trust), config.as_deref(), TIMEOUT);
    let answer = client.and_then(|client| client.within(TIMEOUT).get("/v1/status"));
    let Ok((200, status)) = answer else { return Vec::new() };
    let processes = status["processes"].as_array().into_iter().flatten();
    let candidate = |process: &serde_json::Value| {
        let (name, state) = (process["name"].as_str()?, process["state"].as_str().unwrap_or_default());
        // The first replica stands for the name that means all of them.
        let all = name.strip_suffix(":1").map(|all| CompletionCandidate::new(all).help(Some("all replicas".into())));
        Some(all.into_iter().chain([CompletionCandidate::new(name).help(Some(state.to_owned().into()))]))
    };
    processes.filter_map(candidate).flatten().collect()
}

/// A configuration that comes before names of processes on a line, of which the last word is being completed.
fn path_before_names(line: &[OsString]) -> Option<OsString> {
    let takes_value = |word: &OsString| word == "=" || CONFIG.iter().chain(&[STATE_DIR, TRUST_USER]).any(|name| word == name);
    let mut pairs = line.windows(2).take(line.len().saturating_sub(2));
    let is_argument = |word: &OsString| word.to_str().is_some_and(|word| !word.starts_with('-') && is_path(word));
    pairs.find(|pair| !takes_value(&pair[0]) && is_argument(&pair[1])).map(|pair| pair[1].clone())
}

/// The value of an option on a line. The line may be unfinished, so it can't be parsed by clap. Bash splits `--config=web.yml` into
/// three words.
fn option(line: &[OsString], names: &[&str]) -> Option<OsString> {
    let value_after = |(at, word): (usize, &OsString)| {
        let value = |at: usize| line.get(at).filter(|value| !value.is_empty()).cloned();
        names.iter().find_map(|name| match word.as_bytes().strip_prefix(name.as_bytes())? {
            [] if line.get(at + 1).is_some_and(|next| next == "=") => value(at + 2),
            [] => value(at + 1),
            [b'=', rest @ ..] => Some(OsStr::from_bytes(rest).to_owned()),
            // The value may follow a short option directly.
            rest if !name.starts_with("--") => Some(OsStr::from_bytes(rest).to_owned()),
            _ => None,
        })
    };
    line.iter().enumerate().find_map(value_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_every_notation() {
        for line in
            ["navigator -c a.yml stop", "navigator --config=a.yml", "navigator stop -ca.yml", "navigator --config = a.yml we"]
        {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(option(&line, &["-c", "--config"]), Some("a.yml".into()), "{line:?}");
        }
        let before_names = |line: &str| path_before_names(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in
            ["navigator stop a.yml w", "navigator --state-dir b/c stop a.yml web w", "navigator --trust-user = d/e stop a.yml "]
        {
            assert_eq!(before_names(line), Some("a.yml".into()), "{line}");
        }
        for line in ["navigator stop a.yml", "navigator --state-dir b/c stop w", "navigator stop web w"] {
            assert_eq!(before_names(line), None, "{line}");
        }
        for line in ["navigator stop c", "navigator --config", "navigator --configuration a.yml"] {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(option(&line, &["-c", "--config"]), None, "{line:?}");
        }
    }
}
