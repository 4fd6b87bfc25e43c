//! How lines look at their destination: who they come from, and the line.

use super::lines::LineChunk;
use crate::terminal::{escape, escape_json, escape_output, is_plain};
use jiff::Timestamp;
use memchr::memchr;
use reconcile::text::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// How lines are shown.
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
pub(super) enum Source {
    /// Navigator itself.
    Log,
    /// A process.
    Process(Name, Stream),
}

impl Source {
    /// The name of the process, if it is one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Source::Log => None,
            Source::Process(name, _) => Some(name.as_str()),
        }
    }
}

/// Stands before what continues a line, and in front of what navigator itself has to say among the lines.
pub(super) const MARK: &str = "… ";

/// What is put around the lines of one source. Cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Nothing: they are alone in their file.
    Plain,
    /// This text before each.
    Prefixed(Arc<[u8]>),
    /// This text before each, and the line escaped: of control characters, a terminal gets only tabs and colours.
    Terminal(Arc<[u8]>),
    /// A JSON object around each. The text is what stands between the time and the line.
    Json(Arc<str>),
    /// Nothing: they are lines of navigator's log, and come ready made.
    Log(OutputFormat),
}

impl LineFormat {
    /// Appends lines that come now, with their newlines, to `out`.
    pub(super) fn write(&self, piece: LineChunk<'_>, out: &mut Vec<u8>) {
        self.write_at(Timestamp::now(), piece, out);
    }

    /// Appends lines that came then, with their newlines, to `out`.
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
                // They came at once.
                let time = format!("{time:.3}");
                each_line(piece.bytes, mark, |mark, line| write_object(&time, middle, mark, line, out));
            }
        }
    }

    /// The number of bytes that one byte may become: an empty line with all that is put around it.
    pub(super) fn growth(&self) -> usize {
        /// More than the time and the punctuation of an object.
        const OBJECT: usize = 64;
        match self {
            LineFormat::Plain | LineFormat::Log(_) => 1,
            LineFormat::Prefixed(prefix) => prefix.len() + 1,
            // A byte that is no text becomes four, a control character up to eight.
            LineFormat::Terminal(prefix) => (prefix.len() + 1).max(8),
            LineFormat::Json(middle) => middle.len() + OBJECT,
        }
    }

    /// Appends something that navigator has to say among the lines.
    pub(super) fn write_notice(&self, text: &str, out: &mut Vec<u8>) {
        let message = format!("{MARK}{text}");
        match self {
            LineFormat::Log(format) => out.extend_from_slice(log_line(*format, &message).as_bytes()),
            _ => self.write(LineChunk { bytes: message.as_bytes(), continued: false }, out),
        }
    }
}

/// A line as a log collector gets it. Bytes that are no text are replaced, because JSON can't hold them.
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

/// Tells each line; the mark with the first.
fn each_line<'a>(mut lines: &'a [u8], mut mark: &'a str, mut tell: impl FnMut(&str, &[u8])) {
    while let Some(end) = memchr(b'\n', lines) {
        tell(std::mem::take(&mut mark), &lines[..end]);
        lines = &lines[end + 1..];
    }
    tell(mark, lines);
}

/// A line of the log, with its newline, about what is missing there.
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

/// Gives sources their looks. Remembers names, for their colours and for the width of the widest.
#[derive(Debug)]
pub(super) struct LineStyles {
    format: OutputFormat,
    colours: HashMap<Name, usize>,
    width: usize,
}

/// Foreground colours that can be read on dark and on light: cyan, yellow, green, magenta, blue, then the bright ones.
const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

impl LineStyles {
    pub(super) fn new(format: OutputFormat) -> LineStyles {
        LineStyles { format, colours: HashMap::new(), width: 0 }
    }

    /// Makes room for names of this many characters.
    pub(super) fn align(&mut self, width: usize) {
        self.width = width;
    }

    /// Shows lines like this from now on.
    pub(super) fn set(&mut self, format: OutputFormat) {
        self.format = format;
    }

    /// The look of a source's lines among those of others.
    pub(super) fn format_of(&mut self, source: &Source) -> LineFormat {
        let Source::Process(name, stream) = source else { return LineFormat::Log(self.format) };
        match self.format {
            OutputFormat::Terminal { colour } => LineFormat::Terminal(self.name(name, colour).into_bytes().into()),
            OutputFormat::Text => LineFormat::Prefixed(format!("[{name}.{}] ", stream.name()).into_bytes().into()),
            OutputFormat::Json => {
                let name = serde_json::Value::from(name.as_str());
                LineFormat::Json(format!(r#","source":{name},"stream":"{}","message":"#, stream.name()).into())
            }
        }
    }

    fn name(&mut self, name: &Name, colour: bool) -> String {
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

    /// A line with the look of its source, both without their newline. The caller has escaped it.
    pub fn paint(&mut self, line: &[u8]) -> Vec<u8> {
        let Some((name, stream, rest)) = named(line) else { return line.to_vec() };
        let LineFormat::Terminal(prefix) = self.0.format_of(&Source::Process(name.into(), stream)) else { return line.to_vec() };
        [&prefix, rest].concat()
    }
}

/// The parts of a line with its source before it; `None`: it has none.
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
            let format = style.format_of(&Source::Process(name.into(), stream));
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
    fn a_terminal_gets_no_control_character_but_tabs_and_colours_that_end_with_the_line() {
        let pieces = [("web", Stream::Stdout, &b"\x1b[31mred\ta\r\nnext\x1b[2J\xff"[..], true)];
        let expected = "web | … \x1b[31mred\ta\x1b[0m\nweb | next\\u{1b}[2J\\xff\n";
        assert_eq!(written(OutputFormat::Terminal { colour: false }, &pieces), expected);
        let text = "[web.stdout] … \x1b[31mred\ta\r\n[web.stdout] next\x1b[2J\u{fffd}\n";
        assert_eq!(written(OutputFormat::Text, &pieces), text, "elsewhere every byte stays");
        let json = written(OutputFormat::Json, &[("web", Stream::Stdout, "\x1b\u{9b}\u{202e}".as_bytes(), false)]);
        assert!(json.ends_with("\"message\":\"\\u001b\\u009b\\u202e\"}\n"), "{json}");
    }

    #[test]
    fn a_painted_line_is_as_on_a_terminal() {
        let mut painter = Painter::new(false, 5);
        assert_eq!(painter.paint(b"[a.b.stderr] x] \xff"), b"a.b   | x] \xff");
        assert_eq!(painter.paint(b"[longer.stdout] "), b"longer | ");
        for other in [&b"no source"[..], b"[web.stdin] x", b"[web.stdout]x", b"[\xff.stdout] x", b"[stdout] x", b""] {
            assert_eq!(painter.paint(other), other);
        }
    }

    #[test]
    fn no_byte_grows_by_more_than_is_said() {
        for format in [OutputFormat::Terminal { colour: true }, OutputFormat::Text, OutputFormat::Json] {
            let format = LineStyles::new(format).format_of(&Source::Process("web".into(), Stream::Stdout));
            for bytes in [&b"\n".repeat(999)[..], &b"\x01".repeat(999), &b"\xff".repeat(999)] {
                let mut out = Vec::new();
                format.write(LineChunk { bytes, continued: false }, &mut out);
                assert!(out.len() <= (bytes.len() + 1) * format.growth(), "{format:?}: {} bytes", out.len());
            }
        }
    }

    #[test]
    fn a_gap_in_the_log_is_a_line_of_the_log() {
        let notice = |format| {
            let mut out = Vec::new();
            LineStyles::new(format).format_of(&Source::Log).write_notice("dropped 2 lines (9 bytes)", &mut out);
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
    fn json_is_one_object_a_line_and_lossy_only_in_there() {
        let lines = written(OutputFormat::Json, &[("web", Stream::Stderr, b"a \"b\" \xff\nnext", true)]);
        let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (object, message) in objects.iter().zip(["… a \"b\" \u{fffd}", "next"]) {
            assert_eq!([&object["source"], &object["stream"], &object["message"]], ["web", "stderr", message]);
            assert_eq!(object["@timestamp"].as_str().map(str::len), Some("2026-11-22T18:00:00.000Z".len()));
        }
        assert!(lines.starts_with("{\"@timestamp\":") && lines.ends_with("}\n") && objects.len() == 2, "{lines}");
    }
}
