//! The notation of transcripts: their parts, and how what a command printed is written below it.
//!
//! A command stands at the left margin, what belongs to it is indented: see `fixtures/README.md`.

/// A part of a transcript.
#[derive(Debug)]
pub(super) enum Part {
    /// A comment, or blank lines.
    Verbatim(String),
    /// A file is written.
    Write { name: String, content: String, text: String },
    /// A navigator is started, and runs on.
    Run { arguments: String, text: String },
    /// Time passes until a command shows something.
    Until { wanted: String, command: String, text: String },
    /// A command is typed. What it printed is not in here.
    Command { command: String },
}

/// The parts of a transcript, in their order.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let below = lines[at + 1..].iter().take_while(|line| line.is_empty() || line.starts_with(' ')).count();
        let (part, length) = part(lines[at], &lines[at + 1..=at + below]);
        parts.push(part);
        at += length;
    }
    parts
}

/// The part that begins with a line, and of how many lines it is; `below`: what may belong to it.
fn part(line: &str, below: &[&str]) -> (Part, usize) {
    let text = format!("{line}\n");
    if let Some(command) = line.strip_prefix("$ ") {
        return (Part::Command { command: command.to_owned() }, 1 + below.len());
    }
    if let Some(name) = line.strip_prefix("write ") {
        let content: Vec<&str> = below.iter().map(|line| line.get(4..).unwrap_or("")).collect();
        let content = content.join("\n").trim_end().to_owned() + "\n";
        let text = text + &below.join("\n") + "\n";
        return (Part::Write { name: name.to_owned(), content, text }, 1 + below.len());
    }
    if let Some(arguments) = line.strip_prefix("run navigator ") {
        return (Part::Run { arguments: arguments.to_owned(), text }, 1);
    }
    if let Some(condition) = line.strip_prefix("until ") {
        let (wanted, command) = condition.split_once(" from ").unwrap_or_else(|| panic!("`{line}`: until TEXT from COMMAND"));
        return (Part::Until { wanted: wanted.to_owned(), command: command.to_owned(), text }, 1);
    }
    assert!(line.is_empty() || line.starts_with('#'), "no command of transcripts: `{line}`");
    (Part::Verbatim(text), 1)
}

/// What a command printed, as it stands below it, with a blank line at the end: output as it is, diagnostics behind a `!`, and
/// the exit code where it isn't 0.
pub(super) fn answer(stdout: &str, stderr: &str, code: Option<i32>) -> String {
    let out = stdout.lines().map(|line| format!("    {line}"));
    let err = stderr.lines().map(|line| format!("  ! {line}"));
    let unended = (!stdout.is_empty() && !stdout.ends_with('\n')).then(|| "  (without a line break)".to_owned());
    let code = match code {
        Some(0) => None,
        Some(code) => Some(format!("  exits {code}")),
        None => Some("  is killed".to_owned()),
    };
    let lines = out.chain(unended).chain(err).chain(code).map(|line| line.trim_end().to_owned() + "\n");
    lines.collect::<String>() + "\n"
}
