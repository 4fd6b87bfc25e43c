//! Finds the configuration: from the command line, the environment, or a default path.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where a configuration is looked for by default, in this order.
pub(super) const DEFAULT_PATHS: [&str; 2] = ["config/navigator.yml", "navigator.yml"];

/// No configuration is named, and there is none at a default path.
#[derive(Debug, thiserror::Error)]
#[error("no configuration: name one, set `NAVIGATOR_CONFIG`, or put it at `{}` or `{}`", DEFAULT_PATHS[0], DEFAULT_PATHS[1])]
pub(super) struct NoConfiguration;

/// The configuration: the one named on the command line, else `$NAVIGATOR_CONFIG`, else the first default path that
/// exists.
pub(super) fn locate(named: Option<PathBuf>, variable: Option<OsString>) -> Result<PathBuf, NoConfiguration> {
    named
        .or_else(|| variable.map(PathBuf::from))
        .or_else(|| DEFAULT_PATHS.iter().map(PathBuf::from).find(|path| path.exists()))
        .ok_or(NoConfiguration)
}

/// Whether an argument among names of processes is a path of a configuration.
pub(super) fn is_path(argument: &str) -> bool {
    argument.contains('/') || [".yml", ".yaml"].iter().any(|end| argument.ends_with(end))
}
