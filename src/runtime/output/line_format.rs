//! Formats lines for their destination: prefix, escaping, JSON.

use super::lines::LineChunk;
use crate::terminal::{escape, escape_json, escape_output, is_plain};
use jiff::Timestamp;
use memchr::memchr;
use reconcile::text::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// The format of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LineSource {
    /// Navigator itself.
    Log,
    /// A process.
    Process(Name, Stream),
}

impl LineSource {
    /// The name of the process, if it is one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            LineSource::Log => None,
            LineSource::Process(name, _) => Some(name.as_str()),
        }
    }
}

/// Marks the continuation of a line, and notices of navigator among lines of a process.
pub(super) const MARK: &str = "… ";

/// The format of one source's lines at one destination. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Unchanged: for a file of one process.
    Plain,
    /// This prefix before each line.
    Prefixed(Arc<[u8]>),
    /// This prefix before each line, which is escaped: a terminal gets no control characters but tabs and colours.
    Terminal(Arc<[u8]>),
    /// A JSON object for each. The text is the part between the time and the line.
    Json(Arc<str>),
    /// Unchanged: navigator's log, which arrives formatted.
    Log(OutputFormat),
}

impl LineFormat {
    /// Appends lines with the current time to `out`, each with a newline.
    pub(super) fn write(&self, piece: LineChunk<'_>, out: &mut Vec<u8>) {
        self.write_at(Timestamp::now(), piece, out);
    }

    /// Appends lines with this time to `out`, each with a newline.
    pub(super) fn write_at(&self, time: Timestamp, piece: LineChunk<'_>, out: &mut Vec<u8>) {
        let mark = if piece.continued { MARK } else { "" };
        out.reserve(piece.bytes.len());
        match self {
            LineFormat::Plain | LineFormat::Log(_) => {
                out.extend_from_slice(mark.as_bytes());
                out.extend_from_slice(piece.bytes);
                out.push(b'\n');
            }
            LineFormat::Prefixed(prefix) => each_line(piece.bytes, mark, |mark, line| {
                out.extend_from_slice(prefix);
                out.extend_from_slice(mark.as_bytes());
                out.extend_from_slice(line);
                out.push(b'\n');
            }),
            LineFormat::Terminal(prefix) => each_line(piece.bytes, mark, |mark, line| {
                for part in [prefix, mark.as_bytes(), &escape_output(line), b"\n"] {
                    out.extend_from_slice(part);
                }
            }),
            LineFormat::Json(middle) => {
                // One time for all lines of a chunk.
                let time = format!("{time:.3}");
                each_line(piece.bytes, mark, |mark, line| write_object(&time, middle, mark, line, out));
            }
        }
    }

    /// The same with this text before each line, for formats of plain lines.
    pub(super) fn behind(self, text: &str) -> LineFormat {
        match self {
            LineFormat::Plain => LineFormat::Prefixed(text.as_bytes().into()),
            LineFormat::Prefixed(prefix) => LineFormat::Prefixed([text.as_bytes(), &prefix].concat().into()),
            other => other,
        }
    }

    /// Output bytes for one input byte, at most: an empty line with everything around it.
    pub(super) fn growth(&self) -> usize {
        /// More than the time and punctuation of an object.
        const OBJECT: usize = 64;
        match self {
            LineFormat::Plain | LineFormat::Log(_) => 1,
            LineFormat::Prefixed(prefix) => prefix.len() + 1,
            // An invalid byte becomes four, a control character up to eight.
            LineFormat::Terminal(prefix) => (prefix.len() + 1).max(8),
            LineFormat::Json(middle) => middle.len() + OBJECT,
        }
    }

    /// Appends a notice of navigator.
    pub(super) fn write_notice(&self, text: &str, out: &mut Vec<u8>) {
        let message = format!("{MARK}{text}");
        match self {
            LineFormat::Log(format) => out.extend_from_slice(log_line(*format, &message).as_bytes()),
            _ => self.write(LineChunk { bytes: message.as_bytes(), continued: false }, out),
        }
    }
}

/// Appends one line as a JSON object. Invalid UTF-8 is replaced, because JSON can't hold it.
fn write_object(time: &str, middle: &str, mark: &str, line: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(line);
    let message = if mark.is_empty() { text } else { (mark.to_owned() + &text).into() };
    for part in ["{\"@timestamp\":\"", time, "\"", middle] {
        out.extend_from_slice(part.as_bytes());
    }
    if is_plain(&message) {
        // Writing a string to a vector cannot fail.
        let _written = serde_json::to_writer(&mut *out, &message);
    } else {
        out.extend_from_slice(escape_json(&serde_json::Value::from(message).to_string()).as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// Calls `handle` for each line; the first one gets the mark.
fn each_line<'a>(mut lines: &'a [u8], mut mark: &'a str, mut handle: impl FnMut(&str, &[u8])) {
    while let Some(end) = memchr(b'\n', lines) {
        handle(std::mem::take(&mut mark), &lines[..end]);
        lines = &lines[end + 1..];
    }
    handle(mark, lines);
}

/// A log line with its newline, about missing lines.
fn log_line(format: OutputFormat, message: &str) -> String {
    let time = format!("{:.3}", Timestamp::now());
    match format {
        OutputFormat::Terminal { .. } | OutputFormat::Text => format!("{time} WARN navigator: {}\n", escape(message)),
        OutputFormat::Json => {
            let object = serde_json::json!({ "@timestamp": time, "level": "WARN", "target": "navigator", "message": message });
            format!("{object}\n")
        }
    }
}

/// Chooses the format of each source. Remembers names, for their colours and the width of the widest.
#[derive(Debug)]
pub(super) struct LineStyles {
    format: OutputFormat,
    colours: HashMap<Name, usize>,
    width: usize,
}

/// Foreground colours (SGR codes) that are readable on dark and light: cyan, yellow, green, magenta, blue, then the bright
/// ones.
const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

impl LineStyles {
    pub(super) fn new(format: OutputFormat) -> LineStyles {
        LineStyles { format, colours: HashMap::new(), width: 0 }
    }

    /// Aligns names to this many characters.
    pub(super) fn align(&mut self, width: usize) {
        self.width = width;
    }

    /// Uses this format from now on.
    pub(super) fn set(&mut self, format: OutputFormat) {
        self.format = format;
    }

    /// The format of a source at this destination.
    pub(super) fn format_of(&mut self, source: &LineSource) -> LineFormat {
        let LineSource::Process(name, stream) = source else { return LineFormat::Log(self.format) };
        match self.format {
            OutputFormat::Terminal { colour } => LineFormat::Terminal(self.name(name, colour).into_bytes().into()),
            OutputFormat::Text => LineFormat::Prefixed(format!("[{name}.{}] ", stream.name()).into_bytes().into()),
            OutputFormat::Json => {
                let name = serde_json::Value::from(name.as_str());
                LineFormat::Json(format!(r#","source":{name},"stream":"{}","message":"#, stream.name()).into())
            }
        }
    }

    /// The name of a process as it stands before its lines on a terminal.
    pub(super) fn name(&mut self, name: &Name, colour: bool) -> String {
        let next = self.colours.len();
        let place = *self.colours.entry(name.clone()).or_insert(next);
        self.width = self.width.max(name.len());
        let width = self.width;
        if colour {
            format!("\x1b[{}m{name:width$} |\x1b[0m ", COLOURS[place % COLOURS.len()], name = name.as_str())
        } else {
            format!("{name:width$} | ", name = name.as_str())
        }
    }
}

/// Shows lines that name their source as in a file the way that a terminal shows it.
#[derive(Debug)]
pub struct Painter(LineStyles);

impl Painter {
    /// For names of this many characters, at least as it begins.
    pub fn new(colour: bool, width: usize) -> Painter {
        let mut style = LineStyles::new(OutputFormat::Terminal { colour });
        style.align(width);
        Painter(style)
    }

    /// Formats a line as on a terminal; both without newline. A time before the name stays there. The caller has escaped the
    /// line.
    pub fn paint(&mut self, line: &[u8]) -> Vec<u8> {
        let (time, whole) = line.split_at(time_length(line));
        let Some((name, stream, rest)) = named(whole) else { return line.to_vec() };
        let LineFormat::Terminal(prefix) = self.0.format_of(&LineSource::Process(name.into(), stream)) else {
            return line.to_vec();
        };
        [time, &prefix, rest].concat()
    }
}

/// The length of the time that a line begins with, with the space behind it; 0: there is none.
fn time_length(line: &[u8]) -> usize {
    let end = line.iter().take(40).position(|byte| *byte == b' ').unwrap_or(0);
    let is_time = std::str::from_utf8(&line[..end]).is_ok_and(|text| text.parse::<Timestamp>().is_ok());
    if is_time { end + 1 } else { 0 }
}

/// Splits `[name.stream] line`; `None` if it has no such prefix.
fn named(line: &[u8]) -> Option<(&str, Stream, &[u8])> {
    let end = line.iter().position(|byte| *byte == b']')?;
    let (name, stream) = std::str::from_utf8(line[..end].strip_prefix(b"[")?).ok()?.rsplit_once('.')?;
    let stream = [Stream::Stdout, Stream::Stderr].into_iter().find(|known| known.name() == stream)?;
    Some((name, stream, line[end..].strip_prefix(b"] ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: OutputFormat, pieces: &[(&str, Stream, &[u8], bool)]) -> String {
        let (mut style, mut out) = (LineStyles::new(format), Vec::new());
        for &(name, stream, bytes, continued) in pieces {
            let format = style.format_of(&LineSource::Process(name.into(), stream));
            format.write(LineChunk { bytes, continued }, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn text_names_the_stream_before_each_line() {
        let pieces = [("web", Stream::Stdout, &b"GET /\n\nPUT /"[..], false), ("web", Stream::Stderr, b"rest\nnext", true)];
        let expected = "[web.stdout] GET /\n[web.stdout] \n[web.stdout] PUT /\n[web.stderr] … rest\n[web.stderr] next\n";
        assert_eq!(written(OutputFormat::Text, &pieces), expected);
    }

    #[test]
    fn a_terminal_aligns_the_names() {
        let pieces = [
            ("db", Stream::Stdout, &b"up"[..], false),
            ("worker", Stream::Stdout, b"up", false),
            ("db", Stream::Stderr, b"up", false),
        ];
        assert_eq!(written(OutputFormat::Terminal { colour: false }, &pieces), "db | up\nworker | up\ndb     | up\n");
        let coloured = written(OutputFormat::Terminal { colour: true }, &pieces);
        assert_eq!(coloured, "\x1b[36mdb |\x1b[0m up\n\x1b[33mworker |\x1b[0m up\n\x1b[36mdb     |\x1b[0m up\n");
    }

    #[test]
    fn a_terminal_gets_only_tabs_and_colours_and_colours_end_with_the_line() {
        let pieces = [("web", Stream::Stdout, &b"\x1b[31mred\ta\r\nnext\x1b[2J\xff"[..], true)];
        let expected = "web | … \x1b[31mred\ta\x1b[0m\nweb | next\\u{1b}[2J\\xff\n";
        assert_eq!(written(OutputFormat::Terminal { colour: false }, &pieces), expected);
        let text = "[web.stdout] … \x1b[31mred\ta\r\n[web.stdout] next\x1b[2J\u{fffd}\n";
        assert_eq!(written(OutputFormat::Text, &pieces), text, "elsewhere every byte stays");
        let json = written(OutputFormat::Json, &[("web", Stream::Stdout, "\x1b\u{9b}\u{202e}".as_bytes(), false)]);
        assert!(json.ends_with("\"message\":\"\\u001b\\u009b\\u202e\"}\n"), "{json}");
    }

    #[test]
    fn a_painted_line_matches_the_terminal_format() {
        let mut painter = Painter::new(false, 5);
        assert_eq!(painter.paint(b"[a.b.stderr] x] \xff"), b"a.b   | x] \xff");
        assert_eq!(painter.paint(b"[longer.stdout] "), b"longer | ");
        let timed = b"2026-11-22T18:00:00.000Z [a.b.stderr] x";
        assert_eq!(painter.paint(timed), b"2026-11-22T18:00:00.000Z a.b    | x");
        for other in [&b"no source"[..], b"[web.stdin] x", b"[web.stdout]x", b"[\xff.stdout] x", b"[stdout] x", b""] {
            assert_eq!(painter.paint(other), other);
        }
    }

    #[test]
    fn no_byte_grows_by_more_than_growth_says() {
        for format in [OutputFormat::Terminal { colour: true }, OutputFormat::Text, OutputFormat::Json] {
            let format = LineStyles::new(format).format_of(&LineSource::Process("web".into(), Stream::Stdout));
            for bytes in [&b"\n".repeat(999)[..], &b"\x01".repeat(999), &b"\xff".repeat(999)] {
                let mut out = Vec::new();
                format.write(LineChunk { bytes, continued: false }, &mut out);
                assert!(out.len() <= (bytes.len() + 1) * format.growth(), "{format:?}: {} bytes", out.len());
            }
        }
    }

    #[test]
    fn a_notice_in_the_log_is_a_log_line() {
        let notice = |format| {
            let mut out = Vec::new();
            LineStyles::new(format).format_of(&LineSource::Log).write_notice("dropped 2 lines (9 bytes)", &mut out);
            String::from_utf8(out).unwrap()
        };
        let text = notice(OutputFormat::Text);
        assert!(text.ends_with("Z WARN navigator: … dropped 2 lines (9 bytes)\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&notice(OutputFormat::Json)).unwrap();
        assert_eq!([&json["level"], &json["target"]], ["WARN", "navigator"]);
        assert_eq!(json["message"], "… dropped 2 lines (9 bytes)");
        assert_eq!(json["@timestamp"].as_str().map(str::len), Some("2026-11-22T18:00:00.000Z".len()));
    }

    #[test]
    fn json_is_one_object_a_line_and_replaces_invalid_utf8() {
        let lines = written(OutputFormat::Json, &[("web", Stream::Stderr, b"a \"b\" \xff\nnext", true)]);
        let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (object, message) in objects.iter().zip(["… a \"b\" \u{fffd}", "next"]) {
            assert_eq!([&object["source"], &object["stream"], &object["message"]], ["web", "stderr", message]);
            assert_eq!(object["@timestamp"].as_str().map(str::len), Some("2026-11-22T18:00:00.000Z".len()));
        }
        assert!(lines.starts_with("{\"@timestamp\":") && lines.ends_with("}\n") && objects.len() == 2, "{lines}");
    }
}
