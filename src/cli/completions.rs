//! `navigator completions SHELL`: what a shell needs to complete command lines. The shell then asks this very program each
//! time, so that names of processes are those of the instance that runs.

use super::console::{INVALID, OK, fail, print, state_dir, variable};
use super::locate::locate;
use crate::access::Trust;
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

/// A line that is being typed waits no longer than this, once for a navigator that is starting and once for its answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The variable by which a shell asks for completions instead of running a command.
const ASKS: &str = "NAVIGATOR_COMPLETE";

/// Answers a shell that asks for completions, and ends then.
pub(super) fn answer(command_line: impl Fn() -> Command) {
    CompleteEnv::with_factory(command_line).var(ASKS).complete();
}

/// Writes the hook for a shell.
pub(super) fn completions(shell: &str) -> ExitCode {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(shell) else {
        let known: Vec<&str> = shells.names().collect();
        return fail(INVALID, &format!("no completions for `{shell}`; there are some for {}", known.join(", ")));
    };
    match completer.write_registration(ASKS, "navigator", "navigator", "navigator", &mut script) {
        Ok(()) => {
            print(&String::from_utf8_lossy(&script));
            OK.into()
        }
        Err(error) => fail(INVALID, &format!("failed to write completions: {error}")),
    }
}

/// The names of the processes of the navigator that the line is about; none, if none runs.
pub(super) fn process_names() -> Vec<CompletionCandidate> {
    let line: Vec<OsString> = env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let named = option(&line, &["-c", "--config"]).map(PathBuf::from);
    let state = option(&line, &["--state-dir"]).map(PathBuf::from);
    let Ok(config) = locate(named, variable("NAVIGATOR_CONFIG")) else { return Vec::new() };
    let client = Client::connect_within(&state_dir(state, Trust::of_this_process()), &config, PATIENCE);
    let answer = client.and_then(|client| client.within(PATIENCE).get("/v1/status"));
    let Ok((200, status)) = answer else { return Vec::new() };
    let processes = status["processes"].as_array().into_iter().flatten();
    let candidate = |process: &serde_json::Value| {
        let state = process["state"].as_str().unwrap_or_default().to_owned();
        Some(CompletionCandidate::new(process["name"].as_str()?).help(Some(state.into())))
    };
    processes.filter_map(candidate).collect()
}

/// The value that an option has on a line, which may be wrong or not yet finished, so that it isn't parsed as a whole. Bash makes
/// three words of `--config=web.yml`.
fn option(line: &[OsString], names: &[&str]) -> Option<OsString> {
    let of_word = |(at, word): (usize, &OsString)| {
        let value = |at: usize| line.get(at).filter(|value| !value.is_empty()).cloned();
        names.iter().find_map(|name| match word.as_bytes().strip_prefix(name.as_bytes())? {
            [] if line.get(at + 1).is_some_and(|next| next == "=") => value(at + 2),
            [] => value(at + 1),
            [b'=', rest @ ..] => Some(OsStr::from_bytes(rest).to_owned()),
            // A short option may have its value right behind it.
            rest if !name.starts_with("--") => Some(OsStr::from_bytes(rest).to_owned()),
            _ => None,
        })
    };
    line.iter().enumerate().find_map(of_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_however_it_is_written() {
        for line in
            ["navigator -c a.yml stop", "navigator --config=a.yml", "navigator stop -ca.yml", "navigator --config = a.yml we"]
        {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(option(&line, &["-c", "--config"]), Some("a.yml".into()), "{line:?}");
        }
        for line in ["navigator stop c", "navigator --config", "navigator --configuration a.yml"] {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(option(&line, &["-c", "--config"]), None, "{line:?}");
        }
    }
}
