//! `navigator man`: the manual page. Commands and options are told in the words of the command line, so that they can't disagree
//! with it; the rest is written here.
//!
//! Source of the form: `man-pages(7)`, `groff_man(7)`.

use super::arguments::Arguments;
use super::console::{INVALID, OK, fail, print};
use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use std::fmt::Write;
use std::process::ExitCode;

/// Writes one page about every command.
pub(super) fn man() -> ExitCode {
    match page() {
        Ok(page) => {
            print(&page);
            OK.into()
        }
        Err(error) => fail(INVALID, &format!("failed to write the manual page: {error}")),
    }
}

fn page() -> std::io::Result<String> {
    let mut command = Arguments::command();
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
    page.extend(command.get_subcommands().filter(|part| part.get_name() != "help").map(about_command));
    page.push_str(REST);
    Ok(page)
}

/// A section about a command.
fn about_command(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let also: Vec<&str> = command.get_visible_aliases().collect();
    let also = if also.is_empty() { String::new() } else { format!(" Also called {}.", also.join(", ")) };
    let mut words = vec![command.get_name().to_owned()];
    words.extend(command.get_positionals().map(ToString::to_string));
    let mut text = format!(".SS {}\n{}\n", plain(&words.join(" ")), plain(&format!("{about}.{also}")));
    let own = command.get_arguments().filter(|argument| !argument.is_global_set() && argument.get_id() != "help");
    text.extend(own.map(argument));
    text
}

/// A paragraph about an argument: how it is written, what it does, what it may be, and what it is where it isn't given.
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
        let _ = write!(text, " Without it: {}.", plain(&default.to_string_lossy()));
    }
    text.trim_end().to_owned() + "\n"
}

/// A text in which no character means anything to roff.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const DESCRIPTION: &str = r".SH DESCRIPTION
The configuration is the desired state of the processes of one host. Navigator observes what runs, computes the difference, and
starts, stops, restarts or updates only what differs, in the order of dependencies. Saving the configuration puts it in force; one
that is wrong changes nothing, and is reported with line and column.
.PP
Without a command, and with
.BR run ,
it runs in the foreground until it is told to end. The other commands check a configuration, or talk to the navigator that runs it.
.PP
Without
.I CONFIG
it is what
.B NAVIGATOR_CONFIG
names, else
.IR config/navigator.yml ,
else
.IR navigator.yml .
";

const REST: &str = r#".SH SIGNALS
.TP
.B TERM
Stop everything in order, then exit with 0.
.TP
.B INT
The same, and exit with 130; a second one kills everything now.
.TP
.B QUIT
Kill everything now, and exit with 130.
.TP
.B HUP
Read the configuration again.
.TP
.B USR2
Open log files anew.
.SH EXIT STATUS
.TP
.B 0
As asked; after TERM, also where something had to be killed.
.TP
.B 1
The configuration is invalid, another navigator runs it, or an order did not come about.
.TP
.B 2
The configuration is missing or unreadable, or the command line is wrong; of
.BR "plan \-\-detailed\-exitcode" :
something would change.
.TP
.B 3
Of
.B status
and
.BR wait :
not everything is as the file says.
.TP
.B 4
No navigator runs the configuration.
.TP
.B 130
Ended by INT or QUIT.
.SH ENVIRONMENT
.TP
.B NAVIGATOR_CONFIG
The configuration, where none is named.
.TP
.B NAVIGATOR_STATE_DIR
Where instances keep their state, as
.BR \-\-state\-dir .
.TP
.B NAVIGATOR_PID_FILE
The file with the number of the running navigator, for scripts.
.TP
.B LOG_LEVEL
How much is logged: error, warn, info or debug.
.TP
.B NO_COLOR
Set to anything, no colour is used, also on terminals.
.TP
.B XDG_RUNTIME_DIR
Where the state of instances of a user other than root lies, where nothing else is said.
.SH FILES
.TP
.IR config/navigator.yml ", " navigator.yml
Where a configuration is looked for.
.TP
.I /run/navigator/
The state of instances that root runs: for each configuration a directory with its lock, its journal and its unix socket, which
speaks HTTP with JSON.
.TP
.I $XDG_RUNTIME_DIR/navigator/
The same of another user.
.SH EXAMPLES
.TP
.B navigator config.yml
Run what the file says.
.TP
.B navigator plan new.yml
See what another file would do to what runs.
.TP
.B navigator status \-\-json | jq .converged
Ask whether everything is as the file says.
.TP
.B navigator stop web && navigator wait
Stop a process by hand; it stays stopped until it is started by hand, or changed in the file.
.TP
.B navigator wait \-\-timeout 5m || navigator status
Wait for a deployment, and see what hinders it.
.TP
.B source <(navigator completions bash)
Complete commands, options and the names of what runs.
.SH SEE ALSO
.BR signal (7),
.BR systemd (1)
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of a command, and every option, as it is typed.
    fn words() -> Vec<String> {
        let mut command = Arguments::command();
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
    fn every_command_and_every_option_is_told_of_in_the_page() {
        let page = page().expect("it can be written");
        for word in words() {
            assert!(page.contains(&plain(&word)), "the page says nothing of `{word}`");
        }
    }

    #[test]
    fn every_command_and_every_option_is_told_of_in_the_document() {
        let document = include_str!("../../docs/cli.md");
        // A word in an inline piece of code, perhaps with others: `navigator plan`, `-c`, `--config CONFIG`.
        let pieces: Vec<&str> = document.split('`').skip(1).step_by(2).filter(|piece| !piece.contains('\n')).collect();
        let is_told = |word: &str| pieces.iter().any(|piece| piece.split([' ', ',', '|']).any(|part| part == word));
        for word in words() {
            assert!(is_told(&word), "`docs/cli.md` says nothing of `{word}`");
        }
    }
}
