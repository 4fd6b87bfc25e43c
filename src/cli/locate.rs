//! Which configuration is meant, where none or several ways of naming it are given.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where a configuration is looked for if nobody names one, in this order.
pub(super) const USUAL_PLACES: [&str; 2] = ["config/navigator.yml", "navigator.yml"];

/// Nobody named a configuration, and none is where one usually is.
#[derive(Debug, thiserror::Error)]
#[error("no configuration: name one, set `NAVIGATOR_CONFIG`, or put it at `{}` or `{}`", USUAL_PLACES[0], USUAL_PLACES[1])]
pub(super) struct NoConfiguration;

/// The configuration: the one named on the command line, else that of `$NAVIGATOR_CONFIG`, else the first usual place.
pub(super) fn locate(named: Option<PathBuf>, variable: Option<OsString>) -> Result<PathBuf, NoConfiguration> {
    named
        .or_else(|| variable.map(PathBuf::from))
        .or_else(|| USUAL_PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
        .ok_or(NoConfiguration)
}
