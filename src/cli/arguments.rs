//! The words of the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Makes the processes of one host be what a YAML file says, and keeps them so.
#[derive(Debug, Parser)]
#[command(name = "navigator", version, max_term_width = 100)]
#[command(override_usage = "navigator [OPTIONS] [CONFIG]\n       navigator [OPTIONS] <COMMAND>")]
#[command(after_help = "Without CONFIG: $NAVIGATOR_CONFIG, else config/navigator.yml, else navigator.yml.\n\n\
    Signals: TERM and INT stop everything in order (a second INT at once), QUIT kills everything now,\n\
    HUP reads the configuration again, USR2 opens log files anew.\n\n\
    Environment: LOG_LEVEL (error, warn, info, debug), NAVIGATOR_CONFIG, NAVIGATOR_PID_FILE, NAVIGATOR_STATE_DIR.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// The configuration to run
    #[arg(value_name = "CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Check the configuration instead of running it
    #[arg(long, visible_alias = "validate", conflicts_with = "signal")]
    pub(super) check: bool,

    /// Tell the running navigator: `reload` (HUP), `stop` (TERM) or `quit` (QUIT)
    #[arg(short = 's', value_name = "SIGNAL")]
    pub(super) signal: Option<Order>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The configuration, as an option
    #[arg(short = 'c', long = "config", value_name = "CONFIG", global = true)]
    pub(super) named: Option<PathBuf>,

    /// Log more: debug
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,

    /// Log less: warnings and errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Don't watch the files: reload only when told to
    #[arg(long, global = true)]
    pub(super) no_watch: bool,

    /// Where instances keep their state [default: `/run/navigator`, or `$XDG_RUNTIME_DIR/navigator`]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the processes of a configuration in the foreground
    Run {
        /// The configuration to run
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
    /// Report every problem of a configuration
    #[command(visible_alias = "validate")]
    Check {
        /// The configuration to check
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// How to report
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// Tell what this host offers, and what of a configuration will not work on it
    Doctor {
        /// The configuration to examine
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print the JSON Schema of configurations, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
}

const SCHEMA_HELP: &str = "An editor that has the YAML language server completes and checks as you type:\n\n    \
    navigator schema > navigator.schema.json\n\n\
    and, as the first line of the configuration:\n\n    \
    # yaml-language-server: $schema=navigator.schema.json\n\n\
    The path is relative to the configuration. What variables and other files hold, an\n\
    editor doesn't know: `navigator check` says what it can't.";

/// An order by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    Reload,
    Stop,
    Quit,
}

/// For people, or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Text,
    Json,
}
