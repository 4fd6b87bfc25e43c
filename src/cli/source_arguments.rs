//! The commands about a followed repository.

use clap::Subcommand;
use std::time::Duration;

/// A command about the repository that a running navigator follows.
#[derive(Debug, Subcommand)]
pub(super) enum SourceCommand {
    /// Show the followed repository: what is in force, what is newest, and the conditions
    Source {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which commits were tried, and what became of them
    History {
        /// `show`: show one attempt with its plan
        #[arg(value_name = "show", value_parser = ["show"], requires = "number")]
        show: Option<String>,
        /// Number of the attempt, counted from the newest
        #[arg(value_name = "N")]
        number: Option<usize>,
        /// Number of attempts
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        count: usize,
        /// Also those that changed nothing
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Do not follow the repository until `resume`
    Suspend {
        /// Resume after this time
        #[arg(long = "for", value_name = "DURATION", value_parser = crate::config::duration)]
        within: Option<Duration>,
        /// Why; shown by `status`
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Follow the repository again after `suspend` or `pin`
    Resume,
    /// Put a commit in force, and stay there until `resume`
    Pin {
        /// Commit, branch or tag
        #[arg(value_name = "REV")]
        rev: String,
    },
    /// Go back to the commit that was in force before; the next one that differs is taken again
    Rollback {
        /// Commit, branch or tag [default: the last one that differs]
        #[arg(value_name = "REV")]
        rev: Option<String>,
    },
    /// Take a commit although it does not descend from those before
    Accept {
        /// Commit, branch or tag
        #[arg(value_name = "REV")]
        rev: String,
    },
    /// Try the newest commit again
    Retry,
}
