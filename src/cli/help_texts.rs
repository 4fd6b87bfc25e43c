//! What the help of commands says after their options.

/// Of `schema`.
pub(super) const SCHEMA_HELP: &str = "An editor with the YAML language server completes and checks as you type. Run:\n\n    \
    navigator schema > navigator.schema.json\n\n\
    and begin the configuration with:\n\n    \
    # yaml-language-server: $schema=navigator.schema.json\n\n\
    The path is relative to the configuration. An editor does not check values from variables and other files; \
    `navigator check` does.";

/// Of `check`.
pub(super) const CHECK_HELP: &str = "Exit code: 0 if all files are valid, 1 if one is not, 2 if one is missing or unreadable.\n\n\
    Formats: github prints workflow commands, which annotate a pull request; gitlab a code quality report; sarif a SARIF 2.1.0 log; \
    junit the XML that build servers show.";

/// Of `config`.
pub(super) const CONFIG_HELP: &str = "Includes, defaults, anchors and merge keys are resolved. References such as `${PORT}` are kept, and no secret is \
    printed. Paths are relative to the directory of the configuration: keep the output there.";

/// Of `graph`.
pub(super) const GRAPH_HELP: &str = "In text, the dependencies of a process are below it. A dashed branch (`╌`, `listed`) is the process before it in \
    the list: it only has to be started first, or to have failed to. `(*)`: what is below is shown elsewhere.";

/// Of `status`.
pub(super) const STATUS_HELP: &str =
    "Exit code: 0 if all shown processes are as the file says, 3 if not, 4 if no navigator runs.";

/// Of `wait`.
pub(super) const WAIT_HELP: &str = "Exit code: 0 if all these processes are as the file says, 3 if not, 4 if no navigator runs.";

/// Of `plan`.
pub(super) const PLAN_HELP: &str = "If no navigator runs, the plan starts from an empty host. Signs: + start, - stop, ± restart, ~ update in place, \
    ! keep the old definition (stale), · stopped by hand.";

/// Of `apply`.
pub(super) const APPLY_HELP: &str = "The running navigator checks FILE as if it were the configuration. The new file is written beside the old one, \
    gets its owner, group and mode, and replaces it as a whole. A link stays: its target is replaced. A file that is in place already is not \
    written again.\n\n\
    Exit code: 0 if all processes are as the file says, 1 if the file is rejected or another generation is in force, 2 if FILE is missing or \
    unreadable, 3 if the file is in force and not all processes are as it says, 4 if no navigator runs. After 1, 2 and 4, nothing has changed.";

/// Of `upgrade`.
pub(super) const UPGRADE_HELP: &str = "Every process goes on with its pid, its output and its sockets. The new program is tried out first. If it fails, \
    the old one goes on. Exit code: 0 if upgraded, 1 if not, 4 if no navigator runs.";

/// Of `completions`.
pub(super) const COMPLETIONS_HELP: &str = "For bash, add this line to ~/.bashrc; for zsh, the same with `zsh` to ~/.zshrc, after compinit:\n\n    \
    source <(navigator completions bash)\n\n\
    For fish, add this line to ~/.config/fish/config.fish:\n\n    \
    navigator completions fish | source";

/// Of `import`.
pub(super) const IMPORT_HELP: &str = "The configuration is printed, or written to OUT, which must not exist. Standard error lists what could not be \
    carried over, with the reason and what comes nearest. Nothing of the files is run (except PM2's JavaScript, by `node`), and no link is followed.\n\n\
    Kinds: procfile, supervisord, systemd, compose, process-compose, pm2, pebble, s6, circus, navigator (the older one, a web server).\n\n\
    Exit code: 0 if a configuration was made, 1 if the files are wrong, 2 if one is unreadable or its kind is not recognized.";

/// Of `init`.
pub(super) const INIT_HELP: &str = "The file is navigator.yml. It is made of the file of another tool (Procfile, compose.yml, units and the like), \
    or of what bin/dev, Gemfile and package.json suggest. An existing configuration is never overwritten.";

/// Of `service`.
pub(super) const SERVICE_HELP: &str = "For root the unit is the system's, for other users their own. systemd is not asked to do anything: the commands \
    for that are printed.";
