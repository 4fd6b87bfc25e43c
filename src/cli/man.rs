//! `navigator man`: the manual page. Commands and options come from the command line's definition; the rest is written here.
//!
//! Format: `man-pages(7)`, `groff_man(7)`.

use super::arguments::{command_line, used_options};
use super::console::{FAILURE, OK, fail, print};
use clap::{Arg, Command};
use clap_mangen::Man;
use std::fmt::Write;
use std::process::ExitCode;

/// Prints one page about all commands.
pub(super) fn man() -> ExitCode {
    match page() {
        Ok(page) => {
            print(&page);
            OK.into()
        }
        Err(error) => fail(FAILURE, &format!("failed to write the manual page: {error}")),
    }
}

fn page() -> std::io::Result<String> {
    let mut command = command_line();
    command.build();
    let mut start = Vec::new();
    let main = Man::new(command.clone());
    main.render_title(&mut start)?;
    main.render_name_section(&mut start)?;
    main.render_synopsis_section(&mut start)?;
    let mut page = String::from_utf8_lossy(&start).into_owned();
    page.push_str(DESCRIPTION);
    page.push_str(".SH OPTIONS\n");
    page.extend(command.get_arguments().map(argument));
    page.push_str(".SH COMMANDS\n");
    page.extend(command.get_subcommands().filter(|part| part.get_name() != "help").map(|part| about_command(part, &command)));
    page.push_str(REST);
    Ok(page)
}

/// The section about a command of the whole program.
fn about_command(command: &Command, whole: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let also: Vec<&str> = command.get_visible_aliases().collect();
    let also = if also.is_empty() { String::new() } else { format!(" Also called {}.", also.join(", ")) };
    let mut synopsis = vec![command.get_name().to_owned()];
    synopsis.extend(command.get_positionals().map(ToString::to_string));
    let mut text = format!(".SS {}\n{}\n", plain(&synopsis.join(" ")), plain(&format!("{about}.{also}")));
    let own = command.get_arguments().filter(|argument| !argument.is_global_set() && argument.get_id() != "help");
    text.extend(own.map(argument));
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.extend(notes.split("\n\n").filter(|paragraph| !paragraph.is_empty()).map(note));
    let used =
        used_options(command.get_name()).iter().filter_map(|used| whole.get_arguments().find(|option| option.get_id() == *used));
    let used: Vec<String> = used.filter_map(|option| Some(format!("\\fB\\-\\-{}\\fR", plain(option.get_long()?)))).collect();
    if !used.is_empty() {
        let _ = write!(text, ".PP\nIt also uses {}.\n", used.join(", "));
    }
    text
}

/// A paragraph of the notes on a command; an indented one is code.
fn note(paragraph: &str) -> String {
    match paragraph.strip_prefix("    ") {
        Some(code) => format!(".PP\n.nf\n.RS\n{}\n.RE\n.fi\n", plain(code)),
        None => format!(".PP\n{}\n", plain(paragraph)),
    }
}

/// The paragraph about an argument: notation, help, possible values, default.
fn argument(argument: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    names.extend(argument.get_visible_aliases().into_iter().flatten().map(|alias| format!("--{alias}")));
    let values: Vec<String> = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect();
    let (name, value) = match (names.is_empty(), argument.get_action().takes_values()) {
        (true, _) => (values.join(" "), String::new()),
        (false, true) => (names.join(", "), values.join(" ")),
        (false, false) => (names.join(", "), String::new()),
    };
    let mut text = format!(".TP\n\\fB{}\\fR \\fI{}\\fR\n", plain(&name), plain(&value));
    let _ = write!(text, "{}.", plain(&argument.get_help().map(ToString::to_string).unwrap_or_default()));
    let possible: Vec<String> = argument.get_possible_values().iter().map(|value| plain(value.get_name())).collect();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let _ = write!(text, " One of {}.", possible.join(", "));
    }
    if let Some(default) = argument.get_default_values().first().filter(|_| argument.get_action().takes_values()) {
        let _ = write!(text, " Default: {}.", plain(&default.to_string_lossy()));
    }
    text.trim_end().to_owned() + "\n"
}

/// Escapes the characters that have a meaning in roff.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga").replace('~', "\\(ti");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const DESCRIPTION: &str = r".SH DESCRIPTION
The configuration is the desired state of the processes on a host. Navigator observes what runs, computes the difference, and
starts, stops, restarts or updates only what differs, in dependency order. Saving the configuration puts it in force. A wrong
configuration changes nothing, and is reported with line and column.
.PP
Without a command, and with
.BR run ,
it runs in the foreground until a signal ends it. The other commands check a configuration, or query and control the navigator that
runs it.
.PP
Without
.I CONFIG
it uses
.BR $NAVIGATOR_CONFIG ,
else
.IR config/navigator.yml ,
else
.IR navigator.yml .
";

const REST: &str = r#".SH SIGNALS
.TP
.B TERM
Stop everything in order, and exit with 0.
.TP
.B INT
The same, but exit with 130. A second one kills everything.
.TP
.B QUIT
Kill everything, and exit with 130.
.TP
.B HUP
Reload the configuration.
.TP
.B USR2
Reopen log files.
.SH EXIT STATUS
.TP
.B 0
Success. After TERM also if a process had to be killed.
.TP
.B 1
The configuration is invalid, another navigator runs it, or the command failed.
.TP
.B 2
The configuration is missing or unreadable, or the command line is wrong. For
.BR "plan \-\-detailed\-exitcode" :
something would change.
.TP
.B 3
For
.BR status ", " wait " and " apply :
not every process is as the file says.
.TP
.B 4
No navigator runs the configuration.
.TP
.B 130
Ended by INT or QUIT.
.SH ENVIRONMENT
.TP
.B NAVIGATOR_CONFIG
The configuration, if none is given.
.TP
.B NAVIGATOR_STATE_DIR
The directory for the state of instances, like
.BR \-\-state\-dir .
.TP
.B NAVIGATOR_PID_FILE
The file for the pid of the running navigator, for scripts.
.TP
.B LOG_LEVEL
The log level: error, warn, info or debug.
.TP
.B NO_COLOR
If set, no colour is used, not even on a terminal.
.TP
.B XDG_RUNTIME_DIR
The parent of the default state directory, for users other than root.
.SH FILES
.TP
.IR config/navigator.yml ", " navigator.yml
The default configurations.
.TP
.I /run/navigator/
The state of instances of root: for each configuration a directory with a lock, a journal and a unix socket that speaks HTTP with
JSON.
.TP
.I $XDG_RUNTIME_DIR/navigator/
The same for other users.
.SH EXAMPLES
.TP
.B navigator config.yml
Run the processes in the file.
.TP
.B navigator plan new.yml
Show what another file would change.
.TP
.B navigator apply new.yml
Check another file, put it in the place of the configuration, and wait until it is in force.
.TP
.B navigator status \-\-json | jq .converged
Print whether all processes are as the file says.
.TP
.B navigator stop web && navigator wait
Stop a process by hand. It stays stopped until you start it by hand, or change it in the file.
.TP
.B navigator wait \-\-timeout 5m || navigator status
Wait for a deployment. If it takes too long, show what is missing.
.TP
.B source <(navigator completions bash)
Complete commands, options and the names of running processes.
.SH SEE ALSO
.BR signal (7),
.BR systemd (1)
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command and every option, as it is typed.
    fn words() -> Vec<String> {
        let mut command = command_line();
        command.build();
        let mut words = Vec::new();
        for part in command.get_subcommands().filter(|part| part.get_name() != "help").chain([&command]) {
            words.extend(part.get_visible_aliases().chain([part.get_name()]).map(str::to_owned));
            for argument in part.get_arguments() {
                let long = argument.get_long().into_iter().chain(argument.get_visible_aliases().into_iter().flatten());
                words.extend(long.map(|long| format!("--{long}")).chain(argument.get_short().map(|short| format!("-{short}"))));
            }
        }
        assert!(words.len() > 40, "only {} words were found", words.len());
        words
    }

    #[test]
    fn the_page_has_every_command_and_every_option() {
        let page = page().expect("it can be written");
        for word in words() {
            assert!(page.contains(&plain(&word)), "`{word}` is missing in the page");
        }
    }

    #[test]
    fn the_document_has_every_command_and_every_option() {
        let document = include_str!("../../docs/cli.md");
        // Inline code, such as `navigator plan`, `-c` or `--config CONFIG`.
        let pieces: Vec<&str> = document.split('`').skip(1).step_by(2).filter(|piece| !piece.contains('\n')).collect();
        let is_there = |word: &str| pieces.iter().any(|piece| piece.split([' ', ',', '|']).any(|part| part == word));
        for word in words() {
            assert!(is_there(&word), "`{word}` is missing in `docs/cli.md`");
        }
    }
}
