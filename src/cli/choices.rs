//! The values that options take: formats, signals and moments.

use clap::ValueEnum;
use jiff::Timestamp;

/// The signal that `-s` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SignalOrder {
    Reload,
    Stop,
    Quit,
}

/// An output format of `plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    Text,
    Json,
    Markdown,
}

/// An output format of `check`: for people, for programs, and for services that show problems beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    Text,
    Json,
    Github,
    Gitlab,
    Sarif,
    Junit,
}

/// The notation of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    Yaml,
    Json,
}

/// An output format for graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    Text,
    Dot,
    Mermaid,
}

/// A moment: a time, or how long ago it was.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wrong = || "write a duration such as `10m`, or a time such as `2026-11-22T18:00:00Z`".to_owned();
    let ago = crate::config::duration(text).map_err(|_| wrong())?;
    Ok(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN))
}
