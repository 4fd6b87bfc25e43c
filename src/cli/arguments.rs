//! The words of the command line.

use super::completions::process_names;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;
use std::time::Duration;

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
    pub(super) signal: Option<SignalOrder>,

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

    /// Trust files and directories of this user, too
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) trust_user: Option<String>,

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
    /// Print the effective configuration: one file of the same meaning
    #[command(after_help = CONFIG_HELP)]
    Config {
        /// The configuration to print
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Only these processes and their dependencies; with `--config`, all arguments are names
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = ConfigFormat::Yaml)]
        format: ConfigFormat,
        /// Also write the defaults of keys that are left out
        #[arg(long)]
        defaults: bool,
    },
    /// Tell what this host offers, and what of a configuration will not work on it
    Doctor {
        /// The configuration to examine
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
    /// Everything that talks to a running navigator
    #[command(flatten)]
    Client(ClientCommand),
    /// Show what comes after what
    Graph {
        /// The configuration to show
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// How to show it
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
    },
    /// Print the JSON Schema of configurations, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Write what a shell needs to complete command lines (bash, zsh, fish, elvish, powershell)
    Completions {
        /// The shell, as in `source <(navigator completions bash)`
        shell: String,
    },
    /// Write the manual page
    Man,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text)
}

const SCHEMA_HELP: &str = "An editor that has the YAML language server completes and checks as you type:\n\n    \
    navigator schema > navigator.schema.json\n\n\
    and, as the first line of the configuration:\n\n    \
    # yaml-language-server: $schema=navigator.schema.json\n\n\
    The path is relative to the configuration. What variables and other files hold, an\n\
    editor doesn't know: `navigator check` says what it can't.";

const CONFIG_HELP: &str = "Includes, defaults, anchors and merge keys are resolved. Texts keep their references, such as `${PORT}`, \
    and no secret is printed. Paths are relative to the directory of the configuration: keep the output there.";

/// An order by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SignalOrder {
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

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    Yaml,
    Json,
}

/// A command that talks to a running navigator.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Show what a configuration would do to the running navigator
    #[command(visible_alias = "diff")]
    Plan {
        /// The configuration to plan for [default: the one that runs]
        #[arg(value_name = "CANDIDATE")]
        candidate: Option<PathBuf>,
        /// How to show it
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
        /// Exit with 0 if nothing would change, with 2 if something would
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Show how the processes stand
    Status {
        /// Only these
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what processes wrote last
    Logs {
        /// Of which [default: all]
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Go on with what they write
        #[arg(short, long)]
        follow: bool,
        /// How many of the last lines of each
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        lines: u64,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
        /// Escape nothing: also on a terminal, pass every byte on
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Run processes, also such as were stopped by hand, failed or completed
    Start {
        /// Which
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Stop processes, and keep them stopped
    Stop {
        /// Which
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Stop processes and start them anew
    Restart {
        /// Which
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Send a signal to the leaders of processes
    Signal {
        /// Its name or number
        #[arg(value_name = "SIG")]
        signal: String,
        /// To which
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Read the configuration again; with names, have these processes read their own files again
    Reload {
        /// Which
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Wait until everything, or these processes, are as the file says
    Wait {
        /// Which
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// For how long
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Write what happens as it happens, one JSON object a line
    Events {
        /// Begin with what has happened since this generation
        #[arg(long, value_name = "GENERATION")]
        since: Option<u64>,
    },
}

/// How a graph is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    Text,
    Dot,
    Mermaid,
}
