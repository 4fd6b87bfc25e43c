//! `navigator man`: the manual page, made from the words of the command line.

use super::arguments::Arguments;
use super::{INVALID, OK, fail, print};
use clap::CommandFactory;
use clap_mangen::Man;
use std::process::ExitCode;

/// Writes one page about every command.
pub(super) fn man() -> ExitCode {
    match page() {
        Ok(page) => {
            print(&String::from_utf8_lossy(&page));
            OK.into()
        }
        Err(error) => fail(INVALID, &format!("failed to write the manual page: {error}")),
    }
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let main = Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    main.render_options_section(&mut page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        let about = part.get_about().map(ToString::to_string).unwrap_or_default();
        page.extend_from_slice(format!(".SS {}\n{about}\n.PP\n", usage(part)).as_bytes());
        for argument in part.get_arguments().filter(|argument| !argument.is_global_set() && argument.get_id() != "help") {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            page.extend_from_slice(format!(".TP\n\\fB{}\\fR\n{help}\n", argument.to_string().replace('-', "\\-")).as_bytes());
        }
    }
    main.render_extra_section(&mut page)?;
    page.extend_from_slice(EXIT_CODES.as_bytes());
    Ok(page)
}

/// A command with its arguments, as one writes it.
fn usage(command: &clap::Command) -> String {
    let mut words = vec![command.get_name().to_owned()];
    words.extend(command.get_positionals().map(ToString::to_string));
    words.join(" ").replace('-', "\\-")
}

const EXIT_CODES: &str = "\
.SH EXIT STATUS
.TP
\\fB0\\fR
As asked; after TERM, also where something had to be killed.
.TP
\\fB1\\fR
The configuration is invalid, another navigator runs it, or an order did not come about.
.TP
\\fB2\\fR
The configuration is missing or unreadable, or the command line is wrong; of plan \\-\\-detailed\\-exitcode: changes.
.TP
\\fB3\\fR
Of status and wait: not everything is as the file says.
.TP
\\fB4\\fR
No navigator runs.
.TP
\\fB130\\fR
Ended by INT or QUIT.
";
