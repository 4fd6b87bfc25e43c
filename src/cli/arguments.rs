//! The command line's commands and options, with their help texts.

use super::completions::process_names;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;
use std::time::Duration;

/// Keeps the processes on a host in sync with a YAML file.
#[derive(Debug, Parser)]
#[command(name = "navigator", version, max_term_width = 100)]
#[command(override_usage = "navigator [OPTIONS] [CONFIG]\n       navigator [OPTIONS] <COMMAND>")]
#[command(after_help = "Without CONFIG: $NAVIGATOR_CONFIG, else config/navigator.yml, else navigator.yml.\n\n\
    Signals: TERM and INT stop everything in order (a second INT kills everything), QUIT kills everything, \
    HUP reloads the configuration (or stops everything in order, if the terminal was closed), USR2 reopens log files. \
    Others are logged and ignored.\n\n\
    Environment: LOG_LEVEL (error, warn, info, debug), NAVIGATOR_CONFIG, NAVIGATOR_PID_FILE, NAVIGATOR_STATE_DIR.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Configuration to run
    #[arg(value_name = "CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Check the configuration instead of running it
    #[arg(long, visible_alias = "validate", conflicts_with = "signal")]
    pub(super) check: bool,

    /// Send a signal to the running navigator: `reload` (HUP), `stop` (TERM) or `quit` (QUIT)
    #[arg(short = 's', value_name = "SIGNAL")]
    pub(super) signal: Option<SignalOrder>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Use this configuration
    #[arg(short = 'c', long = "config", value_name = "CONFIG", global = true)]
    pub(super) named: Option<PathBuf>,

    /// Log debug messages too
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,

    /// Log warnings and errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Do not watch files; reload on request only
    #[arg(long, global = true)]
    pub(super) no_watch: bool,

    /// Also trust files and directories of this user
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) trust_user: Option<String>,

    /// Directory for the state of instances [default: `/run/navigator`, or `$XDG_RUNTIME_DIR/navigator`]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a configuration in the foreground
    Run {
        /// Configuration to run
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
    /// Report every problem in a configuration
    #[command(visible_alias = "validate")]
    Check {
        /// Configuration to check
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// Print the effective configuration as one file
    #[command(after_help = CONFIG_HELP)]
    Config {
        /// Configuration to print
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Only these processes and their dependencies; with `--config`, all arguments are names
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t = ConfigFormat::Yaml)]
        format: ConfigFormat,
        /// Include the defaults of omitted keys
        #[arg(long)]
        defaults: bool,
    },
    /// Show what this host supports, and what in a configuration will not work on it
    Doctor {
        /// Configuration to examine
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
    /// A command for a running navigator
    #[command(flatten)]
    Client(ClientCommand),
    /// Show the dependency graph
    Graph {
        /// Configuration to show
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
    },
    /// Print the JSON Schema of configurations, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Print shell completions (bash, zsh, fish, elvish, powershell)
    Completions {
        /// Shell, as in `source <(navigator completions bash)`
        shell: String,
    },
    /// Print the manual page
    Man,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text)
}

const SCHEMA_HELP: &str = "An editor with the YAML language server completes and checks as you type. Run:\n\n    \
    navigator schema > navigator.schema.json\n\n\
    and begin the configuration with:\n\n    \
    # yaml-language-server: $schema=navigator.schema.json\n\n\
    The path is relative to the configuration. An editor does not check values from variables and other files; \
    `navigator check` does.";

const CONFIG_HELP: &str = "Includes, defaults, anchors and merge keys are resolved. References such as `${PORT}` are kept, and no secret is \
    printed. Paths are relative to the directory of the configuration: keep the output there.";

/// The signal that `-s` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SignalOrder {
    Reload,
    Stop,
    Quit,
}

/// An output format: for people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Text,
    Json,
}

/// The notation of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    Yaml,
    Json,
}

/// A command for a running navigator.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Show what a configuration would change
    #[command(visible_alias = "diff")]
    Plan {
        /// Configuration to plan for [default: the file that navigator runs]
        #[arg(value_name = "CANDIDATE")]
        candidate: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
        /// Exit with 0 if nothing would change, with 2 if something would
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Show process status
    Status {
        /// Only these processes
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the last output lines of processes
    Logs {
        /// Only these processes
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Continue with new lines
        #[arg(short, long)]
        follow: bool,
        /// Number of last lines of each process
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        lines: u64,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// Do not escape control characters on a terminal
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Start processes, also those that were stopped by hand, failed or completed
    Start {
        /// Processes to start
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Stop processes and keep them stopped
    Stop {
        /// Processes to stop
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Restart processes
    Restart {
        /// Processes to restart
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Send a signal to the main process of each named process
    Signal {
        /// Name or number of the signal
        #[arg(value_name = "SIG")]
        signal: String,
        /// Processes to signal
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Reload the configuration; with names, make these processes re-read their own files
    Reload {
        /// Processes that re-read their own files
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Wait until all processes, or the named ones, are as the file says
    Wait {
        /// Only these processes
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Time limit
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Print events as they happen, one JSON object per line
    Events {
        /// Begin with past events, from this generation on
        #[arg(long, value_name = "GENERATION")]
        since: Option<u64>,
    },
}

/// An output format for graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    Text,
    Dot,
    Mermaid,
}
