//! How a line of a process is shown: who it comes from, and the line.

use super::lines::Line;
use super::sink::Rotation;
use super::utc::Utc;
use reconcile::text::Name;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: `name | line`, aligned.
    Terminal {
        /// Whether each name has a colour of its own.
        colour: bool,
    },
    /// For files and pipes: `[name.stdout] line`.
    Text,
    /// For log collectors: one JSON object a line.
    Json,
}

/// One of the two streams that a process writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Source {
    /// The process's name.
    pub(super) name: Name,
    /// Which of its streams.
    pub(super) stream: Stream,
    /// The file of its own that it goes to, as it is, if it has one.
    pub(super) file: Option<Arc<Rotation>>,
}

/// Stands before what continues a line, and in front of what navigator itself has to say among the lines.
pub(super) const MARK: &str = "… ";

/// Names that have been seen, for their colours and for the width of the widest.
#[derive(Debug)]
pub(super) struct Formatter {
    format: Format,
    colours: HashMap<Name, usize>,
    width: usize,
}

/// Foreground colours that can be read on dark and on light: cyan, yellow, green, magenta, blue, then the bright ones.
const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/// A line as a log collector gets it.
#[derive(Serialize)]
struct Object<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    source: &'a str,
    stream: Stream,
    message: &'a str,
}

impl Formatter {
    pub(super) fn new(format: Format) -> Formatter {
        Formatter { format, colours: HashMap::new(), width: 0 }
    }

    /// Makes room for names of this many characters.
    pub(super) fn align(&mut self, width: usize) {
        self.width = width;
    }

    /// Shows lines like this from now on.
    pub(super) fn set(&mut self, format: Format) {
        self.format = format;
    }

    /// Appends a line, with its newline, to `out`.
    pub(super) fn write(&mut self, source: &Source, line: Line<'_>, out: &mut Vec<u8>) {
        let mark = if line.continued { MARK } else { "" };
        let Source { name, stream, file } = source;
        match self.format {
            _ if file.is_some() => {}
            Format::Terminal { colour } => self.write_name(name, colour, out),
            Format::Text => {
                let stream = if *stream == Stream::Stdout { "stdout" } else { "stderr" };
                out.extend_from_slice(format!("[{name}.{stream}] ").as_bytes());
            }
            Format::Json => {
                let message = format!("{mark}{}", String::from_utf8_lossy(line.bytes));
                let object = Object { timestamp: Utc::now().to_string(), source: name, stream: *stream, message: &message };
                // Strings into a vector: there is nothing in it that could fail.
                out.extend(serde_json::to_vec(&object).unwrap_or_default());
                out.push(b'\n');
                return;
            }
        }
        out.extend_from_slice(mark.as_bytes());
        out.extend_from_slice(line.bytes);
        out.push(b'\n');
    }

    /// A line of the log, with its newline, about lines of the log that are missing before it.
    pub(super) fn gap(&self, message: &str) -> String {
        let time = Utc::now();
        match self.format {
            Format::Terminal { .. } | Format::Text => format!("{time} WARN navigator: {message}\n"),
            Format::Json => {
                let object = serde_json::json!({ "@timestamp": time.to_string(), "level": "WARN", "target": "navigator", "message": message });
                format!("{object}\n")
            }
        }
    }

    fn write_name(&mut self, name: &Name, colour: bool, out: &mut Vec<u8>) {
        let next = self.colours.len();
        let place = *self.colours.entry(name.clone()).or_insert(next);
        self.width = self.width.max(name.len());
        let width = self.width;
        let text = if colour {
            format!("\x1b[{}m{name:width$} |\x1b[0m ", COLOURS[place % COLOURS.len()], name = name.as_str())
        } else {
            format!("{name:width$} | ", name = name.as_str())
        };
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, lines: &[(&str, Stream, &[u8], bool)]) -> String {
        let (mut formatter, mut out) = (Formatter::new(format), Vec::new());
        for &(name, stream, bytes, continued) in lines {
            formatter.write(&Source { name: name.into(), stream, file: None }, Line { bytes, continued }, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn text_names_the_stream() {
        let lines = [("web", Stream::Stdout, &b"GET /"[..], false), ("web", Stream::Stderr, b"rest", true)];
        assert_eq!(written(Format::Text, &lines), "[web.stdout] GET /\n[web.stderr] … rest\n");
    }

    #[test]
    fn a_terminal_aligns_the_names() {
        let lines = [
            ("db", Stream::Stdout, &b"up"[..], false),
            ("worker", Stream::Stdout, b"up", false),
            ("db", Stream::Stderr, b"up", false),
        ];
        assert_eq!(written(Format::Terminal { colour: false }, &lines), "db | up\nworker | up\ndb     | up\n");
        let coloured = written(Format::Terminal { colour: true }, &lines);
        assert_eq!(coloured, "\x1b[36mdb |\x1b[0m up\n\x1b[33mworker |\x1b[0m up\n\x1b[36mdb     |\x1b[0m up\n");
    }

    #[test]
    fn a_gap_in_the_log_is_a_line_of_the_log() {
        let text = Formatter::new(Format::Text).gap("… dropped 2 lines (9 bytes)");
        assert!(text.ends_with("Z WARN navigator: … dropped 2 lines (9 bytes)\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&Formatter::new(Format::Json).gap("… dropped")).unwrap();
        assert_eq!([&json["level"], &json["target"], &json["message"]], ["WARN", "navigator", "… dropped"]);
        assert_eq!(json["@timestamp"].as_str().map(str::len), Some("2026-11-22T18:00:00.000Z".len()));
    }

    #[test]
    fn json_is_one_object_and_lossy_only_in_there() {
        let line = written(Format::Json, &[("web", Stream::Stderr, b"a \"b\" \xff", false)]);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["source"], "web");
        assert_eq!(object["stream"], "stderr");
        assert_eq!(object["message"], "a \"b\" \u{fffd}");
        assert_eq!(object["@timestamp"].as_str().map(str::len), Some("2026-11-22T18:00:00.000Z".len()));
        assert!(line.starts_with("{\"@timestamp\":") && line.ends_with("}\n"));
    }
}
