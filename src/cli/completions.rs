//! `navigator completions SHELL`: what a shell needs to complete command lines. The shell then asks this very program each
//! time, so that names of processes are those of the instance that runs.

use super::arguments::Arguments;
use super::locate::locate;
use super::{INVALID, OK, fail, print, state_dir_of, variable};
use crate::control::Client;
use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use std::process::ExitCode;

/// The variable by which a shell asks for completions instead of running a command.
const ASKS: &str = "NAVIGATOR_COMPLETE";

/// Answers a shell that asks for completions, and ends then.
pub(super) fn answer() {
    CompleteEnv::with_factory(Arguments::command).var(ASKS).complete();
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

/// The names of the processes of the navigator that runs here; none, if none does.
pub(super) fn process_names() -> Vec<CompletionCandidate> {
    let Ok(config) = locate(None, variable("NAVIGATOR_CONFIG")) else { return Vec::new() };
    let answer = Client::connect(&state_dir_of(None), &config).and_then(|mut client| client.get("/v1/status"));
    let Ok((200, status)) = answer else { return Vec::new() };
    let processes = status["processes"].as_array().into_iter().flatten();
    let candidate = |process: &serde_json::Value| {
        let state = process["state"].as_str().unwrap_or_default().to_owned();
        Some(CompletionCandidate::new(process["name"].as_str()?).help(Some(state.into())))
    };
    processes.filter_map(candidate).collect()
}
