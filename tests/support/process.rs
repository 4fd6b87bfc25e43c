//! The notation of scenario fixtures for what is wanted: `db, web(after db ready restart, delay 2s)`.
//!
//! Everything that isn't said has the default of the configuration file, save that backoff has no jitter, so that times
//! are whole.

use super::script::span;
use reconcile::socket::{Address, Listener};
use reconcile::spec::{
    Announce, Condition, Dependency, Drain, Liveness, OnChange, OnWatch, Probe, ProcessKind, Restart, Signal, SignalOrCommand,
    Spec, Tier,
};
use reconcile::text::{Name, Text};
use std::time::Duration;

/// Reads the list of a `want`; the word `nothing` alone is the empty one.
pub(crate) fn list(text: &str) -> Result<Vec<Spec>, String> {
    if text == "nothing" { Ok(Vec::new()) } else { items(text).into_iter().map(process).collect() }
}

/// The items between commas, save commas within parentheses.
fn items(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let outside = |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    };
    text.split(outside).map(str::trim).collect()
}

fn process(text: &str) -> Result<Spec, String> {
    let (name, traits) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(|| format!("`{text}`: `)` is missing"))?)),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("`{name}` is no name of a process"));
    }
    let mut spec = Spec::new(name, name);
    spec.backoff.jitter = 0.0;
    for item in traits.into_iter().flat_map(items) {
        let words: Vec<&str> = item.split_whitespace().collect();
        trait_of(&mut spec, &words).map_err(|error| format!("`{name}`: `{item}`: {error}"))?;
    }
    Ok(spec)
}

fn trait_of(spec: &mut Spec, words: &[&str]) -> Result<(), String> {
    match *words {
        ["after", "nothing"] => spec.depends_on = Some(std::collections::BTreeMap::new()),
        ["after", name, ref how @ ..] => {
            let needs = spec.depends_on.get_or_insert_default();
            needs.insert(Name::from(name), dependency(how)?);
        }
        ["application"] => spec.tier = Tier::Application,
        ["task"] => spec.exec.kind = ProcessKind::Task,
        ["disabled"] => spec.enabled = false,
        ["delay", time] => spec.start_delay = span(time)?,
        ["probe"] => spec.ready = Some(Probe::Tcp(Text::plain("localhost"))),
        ["notify"] => spec.exec.announce = Some(Announce::Notify),
        ["liveness"] => spec.liveness = Some(liveness()),
        ["watch", path] => spec.watch.push(Text::plain(path)),
        ["reload"] => (spec.reload, spec.on_watch) = (Some(SignalOrCommand::Signal(Signal("HUP"))), OnWatch::Reload),
        ["deadline", time] => spec.ready_timing.deadline = span(time)?,
        ["restart", word] => {
            spec.restart = match word {
                "never" => Restart::Never,
                "on-failure" => Restart::OnFailure,
                "always" => Restart::Always,
                _ => return Err("write `never`, `on-failure` or `always`".into()),
            }
        }
        ["backoff", time] => spec.backoff.initial = span(time)?,
        ["reset", "after", time] => spec.backoff.reset_after = span(time)?,
        ["max", "restarts", count] => spec.max_restarts = Some(count.parse().map_err(|_| "that is no number")?),
        ["stop", "INT"] => spec.stop.signal = Signal("INT"),
        ["stop", "timeout", time] => spec.stop.timeout = span(time)?,
        ["stable", time] => spec.stable = span(time)?,
        ["drain", time] => spec.stop.drain = Some(Drain { by: SignalOrCommand::Signal(Signal("QUIT")), timeout: span(time)? }),
        ["socket", port] => {
            let port = port.parse().map_err(|_| "write `socket PORT`")?;
            let listener = Listener::new(&spec.name, Address::Any(port));
            spec.exec.sockets.push(listener);
        }
        ["on", "change", word] => {
            spec.on_change = match word {
                "restart" => OnChange::Restart,
                "none" => OnChange::Keep,
                "rolling" => OnChange::Rolling,
                _ => return Err("write `restart`, `none` or `rolling`".into()),
            }
        }
        [version] if version.starts_with('v') => spec.exec.args = vec![Text::plain(version)],
        _ => return Err("nothing that a process has reads like this".into()),
    }
    Ok(())
}

fn liveness() -> Liveness {
    let probe = Some(Probe::Tcp(Text::plain("localhost")));
    Liveness { probe, interval: Duration::from_secs(10), timeout: Duration::from_secs(1), failures: 3 }
}

fn dependency(words: &[&str]) -> Result<Dependency, String> {
    let mut dependency = Dependency::default();
    for word in words {
        match *word {
            "started" => dependency.condition = Some(Condition::Started),
            "ready" => dependency.condition = Some(Condition::Ready),
            "completed" => dependency.condition = Some(Condition::Completed),
            "restart" => dependency.restart = true,
            "optional" => dependency.required = false,
            _ => return Err(format!("`{word}`: write `started`, `ready`, `completed`, `restart` or `optional`")),
        }
    }
    Ok(dependency)
}
