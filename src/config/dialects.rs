//! Recognizes files of other programs (systemd, supervisord, Dockerfile, …) that were given instead of a configuration.
//!
//! Only called for texts that are no valid configuration, so it may guess.

use super::address::of_another_program;
use super::foreign::{list_item, procfile_line};
use super::foreign_syntax;
use super::problems::Problem;
use super::scope::is_secret;
use super::source_map::{SourceMap, SourceSpan, TextId};
use super::words::is_variable;

/// Number of lines that are examined.
const SCANNED_LINES: usize = 200;

const SYSTEMD: [&str; 8] = ["[Unit]", "[Service]", "[Install]", "[Timer]", "[Socket]", "[Path]", "[Mount]", "[Container]"];

/// The error for a text of another program's kind, if it is recognized.
pub(super) fn recognized(text: TextId, texts: &SourceMap) -> Option<Problem> {
    let source = texts.text(text);
    let mut first = None;
    let mut start = 0;
    for line in source.split_inclusive('\n').take(SCANNED_LINES) {
        let content = line.trim();
        let is_comment = content.starts_with(['#', ';']) && !content.starts_with("#!")
            || ["//", "/*", "*"].iter().any(|mark| content.starts_with(mark));
        if !content.is_empty() && !is_comment {
            let begin = start + (line.len() - line.trim_start().len());
            first = Some(SourceSpan::new(text, begin..begin + content.len()));
            break;
        }
        start += line.len();
    }
    let place = first?;
    let (what, help) = dialect(texts.slice(place), source)?;
    let name = texts.path(text).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Some(Problem::error(place, format!("this is {what}, not a navigator configuration")).help(help(source, name.as_deref())))
}

/// Makes the help from the text and the stem of its file name.
type Advice = fn(&str, Option<&str>) -> String;

fn dialect(first: &str, source: &str) -> Option<(&'static str, Advice)> {
    let lines =
        || source.lines().take(SCANNED_LINES).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    if SYSTEMD.contains(&first) {
        return Some(("a systemd unit", |source, name| {
            if !source.contains("ExecStart") && source.contains("[Timer]") {
                return "give the process that it starts `type: task`, and a `schedule` such as `0 3 * * *`".to_owned();
            }
            with_listen(process_list(source, "ExecStart", name), source, "ListenStream")
        }));
    }
    if ["[program:", "[fcgi-program:", "[supervisord", "[unix_http_server", "[inet_http_server", "[group:"]
        .iter()
        .any(|head| first.starts_with(head))
    {
        return Some(("a supervisord file", |source, _| {
            let name = section_name(source, "[program:").or_else(|| section_name(source, "[fcgi-program:"));
            with_listen(process_list(source, "command", name), source, "socket")
        }));
    }
    if first == "[circus]" || ["[watcher:", "[socket:", "[plugin:"].iter().any(|head| first.starts_with(head)) {
        return Some(("a circus file", |source, _| {
            with_listen(process_list(source, "cmd", section_name(source, "[watcher:")), source, "path")
        }));
    }
    if first.starts_with('[') && first.ends_with(']') && lines().nth(1).is_some_and(|line| line.contains('=')) {
        return Some(("TOML or INI", |_, _| "write it as YAML: `key: value`, and each process as an item of a list".to_owned()));
    }
    if [
        "module.exports",
        "export default",
        "const ",
        "var ",
        "let ",
        "exports.",
        "require(",
        "import ",
        "\"use strict\"",
        "'use strict'",
    ]
    .iter()
    .any(|word| first.starts_with(word))
    {
        return Some(("JavaScript", |_, _| {
            "write it as YAML: each app is an item of `managed_processes`, its `script` is `command`".to_owned()
        }));
    }
    if first.starts_with("#!") {
        return Some(("a script", |_, _| {
            "name it as the `command` of a process:\nmanaged_processes:\n  - name: script\n    command: ./script.sh".to_owned()
        }));
    }
    if first.starts_with('<') && first.ends_with('>') {
        return Some(("XML", |_, _| "write `managed_processes:` and, below it, a list of processes in YAML".to_owned()));
    }
    if first.starts_with("FROM ") && lines().any(|line| line.starts_with("CMD ") || line.starts_with("RUN ")) {
        return Some(("a Dockerfile", |_, _| "write what its `CMD` runs as `command` and `args` of a process".to_owned()));
    }
    if lines().all(|line| line.trim_start_matches("export ").split_once('=').is_some_and(|(name, _)| is_variable(name.trim()))) {
        return Some(("an env file", |_, _| {
            "name it in a configuration: `env_file: PATH`, at the top or in a process".to_owned()
        }));
    }
    None
}

/// The name in the first head of a section that begins so.
fn section_name<'s>(source: &'s str, head: &str) -> Option<&'s str> {
    source.lines().find_map(|line| line.trim().strip_prefix(head)?.strip_suffix(']'))
}

/// The help for a unit or program file: its process, with the command given under `key`, as an item of a list.
fn process_list(source: &str, key: &str, name: Option<&str>) -> String {
    let joined = source.replace("\\\n", " ");
    let value = |key: &str| {
        let line = joined.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='))?;
        // A unit has marks before a command; elsewhere a comment may follow a value.
        let line = match key {
            "ExecStart" => line.trim_start().trim_start_matches(['-', '@', '+', '!', ':']),
            _ => line.split(" ;").next().unwrap_or_default(),
        };
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let args = if key == "cmd" { value("args") } else { None };
    let line = value(key).map(|line| [line].into_iter().chain(args).collect::<Vec<_>>().join(" "));
    let line = line.filter(|line| !is_secret(line) && line.len() <= 200);
    let item = line.and_then(|line| procfile_line(name.unwrap_or("…"), &with_our_references(line, name)));
    let lines = item.unwrap_or_else(|| list_item(name.unwrap_or("…"), vec!["command: …".to_owned()]));
    format!("write each process as an item of a list, in YAML:\nmanaged_processes:\n  {}", lines.join("\n  "))
}

/// Adds the socket that a file gives under `key` to the process of a help.
fn with_listen(help: String, source: &str, key: &str) -> String {
    let value =
        |key: &str| source.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')).map(str::trim);
    let is_section = source.lines().any(|line| line.trim().starts_with("[socket:"));
    let address = match key {
        // A socket of circus has a path, or a host and a port.
        "path" if !is_section => None,
        "path" => value(key).map(str::to_owned).or_else(|| Some(format!("{}:{}", value("host")?, value("port")?))),
        key => value(key).map(str::to_owned),
    };
    match address.filter(|address| !is_secret(address)).and_then(|address| of_another_program(&address)) {
        Some(address) => format!("{help}\n    listen: {address}"),
        None => help,
    }
}

/// A command line with references in our syntax. A number or name that only the other program knows is one that it could be.
fn with_our_references(mut line: String, name: Option<&str>) -> String {
    while let Some(reference) = foreign_syntax::reference(&line).filter(|reference| reference.is_certain) {
        let is_name = reference.text.contains("_name)");
        let by = reference.ours().unwrap_or_else(|| if is_name { name.unwrap_or("…") } else { "1" }.to_owned());
        line = line.replace(&reference.text.to_owned(), &by);
    }
    line
}
