//! The command line's commands and options, with their help texts.

use super::choices::since;
pub(super) use super::choices::{CheckFormat, ConfigFormat, GraphFormat, PlanFormat, SignalOrder};

use super::completions::process_names;
use super::help_texts::{
    APPLY_HELP, CHECK_HELP, COMPLETIONS_HELP, CONFIG_HELP, GRAPH_HELP, IMPORT_HELP, INIT_HELP, PLAN_HELP, SCHEMA_HELP,
    SERVICE_HELP, STATUS_HELP, UPGRADE_HELP, WAIT_HELP,
};
use super::locate::is_path;
use super::service::ServiceCommand;
use super::source_arguments::SourceCommand;
use crate::import::Kind;
use clap::error::Error;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use std::ffi::OsString;
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
    Environment: LOG_LEVEL (error, warn, info, debug), NAVIGATOR_CONFIG, NAVIGATOR_DATA_DIR, NAVIGATOR_PID_FILE, \
    NAVIGATOR_STATE_DIR.")]
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

impl Arguments {
    /// Parses a command line. Its first word is the program.
    ///
    /// # Errors
    /// It is wrong, or asks for help or the version.
    pub(super) fn parse_line(line: impl IntoIterator<Item = OsString>) -> Result<Arguments, Error> {
        let mut command = command_line();
        let matches = command.try_get_matches_from_mut(line)?;
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// The common options that a command uses. Without a command, all are used.
pub(super) fn used_options(command: &str) -> &'static [&'static str] {
    match command {
        "run" => &["named", "verbose", "quiet", "no_watch", "fresh", "no_keeper", "trust_user", "state_dir", "data_dir"],
        "check" | "config" | "graph" | "service" => &["named"],
        "import" | "init" | "schema" | "completions" | "man" | "help" => &[],
        _ => &["named", "trust_user", "state_dir"],
    }
}

fn common_options(command: &clap::Command) -> Vec<Arg> {
    command.get_arguments().filter(|option| option.is_global_set()).cloned().collect()
}

/// The command line. A command accepts every common option, as if it came before it. Its help has those that it uses.
pub(super) fn command_line() -> clap::Command {
    let command = Arguments::command();
    let common = common_options(&command);
    command.mut_subcommands(|part| {
        let used = used_options(part.get_name());
        let unused = common.iter().filter(|option| !used.contains(&option.get_id().as_str()));
        unused.cloned().fold(part, |part, option| part.arg(option.hide(true)))
    })
}

/// The command line for completions, in which a command has only the common options that it uses. (A hidden option would be offered
/// where no other one matches.)
pub(super) fn completed_line() -> clap::Command {
    let command = Arguments::command();
    let common = common_options(&command);
    command.mut_args(|option| option.global(false)).mut_subcommands(|part| {
        let used = used_options(part.get_name());
        let used = common.iter().filter(|option| used.contains(&option.get_id().as_str()));
        used.cloned().fold(part, |part, option| part.arg(option.global(false)))
    })
}

/// Options of several commands; see [`used_options`].
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
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

    /// Stop processes of a killed navigator first, instead of taking them over
    #[arg(long, global = true)]
    pub(super) fresh: bool,

    /// Start processes as navigator's own children; how they end is lost if navigator is killed
    #[arg(long, global = true)]
    pub(super) no_keeper: bool,

    /// Also trust files and directories of this user
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) trust_user: Option<String>,

    /// Directory for the state of instances [default: `/run/navigator`, or `$XDG_RUNTIME_DIR/navigator`]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) state_dir: Option<PathBuf>,

    /// Directory for followed repositories [default: `/var/lib/navigator`, or `$XDG_STATE_HOME/navigator`]
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) data_dir: Option<PathBuf>,
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
    #[command(visible_alias = "validate", after_help = CHECK_HELP)]
    Check {
        /// Configurations to check; `-` is standard input
        #[arg(value_name = "CONFIG")]
        configs: Vec<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
        /// Check one file as if it were at this path: relative paths and `${NAVIGATOR_CONFIG_DIR}` go by it
        #[arg(long = "as", value_name = "PATH", requires = "configs")]
        place: Option<PathBuf>,
        /// Check for another machine: variables without a value and absolute paths that are missing here are taken as given
        #[arg(long)]
        elsewhere: bool,
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
    /// Show what each process waits for at its start, as a tree
    #[command(after_help = GRAPH_HELP)]
    Graph {
        /// Configuration to show
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
    },
    /// Make a configuration of another tool's files
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// Files of one tool, or service directories
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Kind of the files [default: by their names and contents]
        #[arg(long, value_name = "KIND", value_parser = super::import::kind)]
        from: Option<Kind>,
        /// File to write [default: standard output]
        #[arg(short = 'o', long, value_name = "OUT")]
        out: Option<PathBuf>,
    },
    /// Write a first configuration for this directory, by what is in it
    #[command(after_help = INIT_HELP)]
    Init,
    /// Install or remove the systemd unit for a configuration
    #[command(subcommand, after_help = SERVICE_HELP)]
    Service(ServiceCommand),
    /// Print the JSON Schema of configurations, for editors
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Print shell completions (bash, zsh, fish, elvish, powershell)
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Name of the shell
        shell: String,
    },
    /// Print the manual page
    Man,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text)
}

/// A command for a running navigator.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Show what a configuration would change
    #[command(visible_alias = "diff", after_help = PLAN_HELP)]
    Plan {
        /// Configuration to plan for [default: the file of the running navigator]
        #[arg(value_name = "CANDIDATE")]
        candidate: Option<PathBuf>,
        /// Compare the candidate with this file, without a running navigator; `-` is standard input
        #[arg(long, value_name = "OLD", requires = "candidate")]
        against: Option<PathBuf>,
        /// Compare files of another machine: variables without a value and absolute paths that are missing here are taken as given
        #[arg(long, requires = "against")]
        elsewhere: bool,
        /// Plan for this commit, branch or tag of the followed repository
        #[arg(long, value_name = "REV", conflicts_with_all = ["candidate", "against"])]
        rev: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
        /// Add a unified diff of each definition
        #[arg(long)]
        diff: bool,
        /// Exit with 0 if nothing would change, with 2 if something would
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// About the followed repository
    #[command(flatten)]
    Source(SourceCommand),
    /// Check a file, put it in the place of the configuration, and wait until all processes are as it says
    #[command(after_help = APPLY_HELP)]
    Apply {
        /// File to apply; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only if this generation is in force
        #[arg(long, value_name = "N")]
        if_generation: Option<u64>,
        /// Time limit of the wait
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Show process status
    #[command(after_help = STATUS_HELP)]
    Status {
        /// Only these processes, after the configuration if it is given here
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the last output lines of processes
    Logs {
        /// Only these processes, after the configuration if it is given here
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Continue with new lines
        #[arg(short, long)]
        follow: bool,
        /// Number of last lines of each process [default: 100, or all with `--since`]
        #[arg(short = 'n', long, value_name = "N")]
        lines: Option<u64>,
        /// Only lines since then: a duration such as `10m`, or a time such as `2026-11-22T18:00:00Z`
        #[arg(long, value_name = "WHEN", value_parser = since)]
        since: Option<Timestamp>,
        /// Print the time before each line
        #[arg(short, long)]
        timestamps: bool,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// Do not escape control characters on a terminal
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Start processes, also those that were stopped by hand, failed or completed, and disabled ones until their definition changes
    Start {
        /// Processes to start, after the configuration if it is given here
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Stop processes and keep them stopped
    Stop {
        /// Processes to stop, after the configuration if it is given here
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Restart processes
    Restart {
        /// Stop first, even where the file has `on_change: rolling`
        #[arg(long)]
        now: bool,
        /// Processes to restart, after the configuration if it is given here
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Send a signal to the main process of each named process
    Signal {
        /// Name or number of the signal
        #[arg(value_name = "SIG")]
        signal: String,
        /// Processes to signal, after the configuration if it is given here
        #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Reload the configuration; with names, make these processes re-read their own files
    Reload {
        /// Try again what was put back
        #[arg(long, conflicts_with = "names")]
        retry: bool,
        /// Processes that re-read their own files, after the configuration if it is given here
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
    },
    /// Wait until all processes, or the named ones, are as the file says
    #[command(after_help = WAIT_HELP)]
    Wait {
        /// Only these processes, after the configuration if it is given here
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(process_names))]
        names: Vec<String>,
        /// Time limit
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Print events as they happen, one JSON object per line
    Events {
        /// Configuration that navigator runs
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Begin with past events, from this generation on
        #[arg(long, value_name = "GENERATION")]
        since: Option<u64>,
    },
    /// Replace the running navigator by another version, without stopping a process
    #[command(after_help = UPGRADE_HELP)]
    Upgrade {
        /// Configuration that navigator runs
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// The new program [default: the file that navigator was started from, as it is now]
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
        /// Only try the new program out, and show what it would do
        #[arg(long)]
        check: bool,
        /// Upgrade although the new program reads the configuration otherwise
        #[arg(long)]
        force: bool,
    },
}

impl ClientCommand {
    /// Takes the configuration out of the arguments: the first one, if it is a path ([`is_path`]). With `--config`, all
    /// arguments are names.
    pub(super) fn take_config(&mut self, common: &Common) -> Option<PathBuf> {
        let names = match self {
            ClientCommand::Events { config, .. } | ClientCommand::Upgrade { config, .. } => return config.take(),
            ClientCommand::Plan { .. } | ClientCommand::Apply { .. } | ClientCommand::Source(_) => return None,
            ClientCommand::Status { names, .. }
            | ClientCommand::Logs { names, .. }
            | ClientCommand::Start { names }
            | ClientCommand::Stop { names }
            | ClientCommand::Restart { names, .. }
            | ClientCommand::Signal { names, .. }
            | ClientCommand::Reload { names, .. }
            | ClientCommand::Wait { names, .. } => names,
        };
        let is_config = common.named.is_none() && names.first().is_some_and(|first| is_path(first));
        is_config.then(|| names.remove(0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_is_consistent() {
        command_line().debug_assert();
        completed_line().debug_assert();
    }

    #[test]
    fn only_known_options_are_used_and_each_by_some_command() {
        let command = Arguments::command();
        let common = common_options(&command);
        let used: Vec<&str> = command.get_subcommands().flat_map(|part| used_options(part.get_name())).copied().collect();
        assert!(used.iter().all(|used| common.iter().any(|option| option.get_id() == *used)));
        assert!(common.iter().all(|option| used.contains(&option.get_id().as_str())));
        assert_eq!(used_options("run").len(), common.len());
    }

    #[test]
    fn the_help_of_a_command_lists_the_options_that_it_uses() {
        let mut command = command_line();
        command.build();
        for (name, has, has_not) in [
            ("run", &["--config", "--verbose", "--quiet", "--no-watch", "--trust-user", "--state-dir"][..], &[][..]),
            ("check", &["--config", "--format"], &["--verbose", "--quiet", "--no-watch", "--trust-user", "--state-dir"]),
            ("status", &["--config", "--state-dir", "--trust-user", "--json"], &["--no-watch", "--verbose", "--quiet"]),
            ("doctor", &["--config", "--state-dir", "--trust-user"], &["--no-watch", "--verbose", "--quiet"]),
            ("schema", &["--help"], &["--config", "--state-dir", "--verbose"]),
            ("man", &["--help"], &["--config", "--state-dir", "--verbose"]),
        ] {
            let help = command.find_subcommand_mut(name).expect("a command").render_help().to_string();
            assert!(has.iter().all(|option| help.contains(option)), "{name}: {help}");
            assert!(!has_not.iter().any(|option| help.contains(option)), "{name}: {help}");
        }
    }

    #[test]
    fn common_options_are_accepted_before_and_after_every_command() {
        for line in [
            "navigator -c x.yml status",
            "navigator status -c x.yml",
            "navigator -v -c x.yml check",
            "navigator check -v -c x.yml",
        ] {
            let arguments =
                Arguments::parse_line(line.split(' ').map(OsString::from)).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(arguments.common.named, Some("x.yml".into()), "{line}");
            assert_eq!(arguments.common.verbose, line.contains("-v"), "{line}");
        }
    }
}
