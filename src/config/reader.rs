//! Reads nodes as typed values (durations, sizes, names, …), and reports nodes of a wrong type.

use super::problems::Problem;
use super::redact::short;
use super::scalar::{self, Surge};
use super::scope::{Context, VariableScope, is_unknown};
use super::source_map::SourceSpan;
use super::subject::{ITEM, KEY, OWNER};
use super::table::{ConfigKey, DefaultValue, NOT_YET, either};
use super::tree::{MapEntry, Node, NodeKind, NodeStyle, Scalar};
use super::{foreign_syntax, value_hints, value_lints, words};
use crate::paths::tidied;
use crate::signals;
use crate::suggest::did_you_mean;
use reconcile::spec::Signal;
use reconcile::text::{Name, Text};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A key of a map, and how its value is read into a `T`.
pub(super) struct FieldReader<T> {
    pub(super) key: ConfigKey,
    pub(super) read: fn(&mut NodeReader<'_, '_, '_>, &Node, &mut T),
}

/// The keys of a table.
pub(super) fn keys<T>(table: &[FieldReader<T>]) -> Vec<ConfigKey> {
    table.iter().map(|field| field.key).collect()
}

/// Reads nodes within a scope. Every `None` that it returns has been reported.
pub(super) struct NodeReader<'r, 'a, 'c> {
    pub(super) scope: &'r mut VariableScope<'a>,
    pub(super) context: &'r mut Context<'c>,
}

impl NodeReader<'_, '_, '_> {
    pub(super) fn report(&mut self, problem: Problem) {
        self.context.problems.add(problem);
    }

    /// Reads with a key, or [`ITEM`], as what messages are about.
    pub(super) fn at<T>(&mut self, key: impl Into<Cow<'static, str>>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.context.problems.subject.enter(key.into());
        let read = read(self);
        self.context.problems.subject.leave();
        read
    }

    /// Reports a field that this version doesn't support yet.
    pub(super) fn not_yet(&mut self, path: &str, span: SourceSpan) {
        if let Some(later) = NOT_YET.iter().find(|later| later.path == path) {
            let message = format!("`{path}`{OWNER} is not supported yet");
            self.report(Problem::error(span, message).maybe_help(later.instead));
        }
    }

    /// Reads the entries of a map by a table; `path` is the field that holds the map.
    pub(super) fn map<T>(&mut self, node: &Node, path: &str, table: &[FieldReader<T>], into: &mut T) {
        if let (NodeKind::Scalar(scalar), false) = (&node.kind, node.is_null()) {
            let problem = Problem::error(node.span, format!("{KEY} must be a map, not {}", node.described()));
            return self.report(problem.help(map_help(path, &scalar.text, table)));
        }
        if let Some(entries) = self.entries(node) {
            for entry in entries {
                self.entry(entry, path, table, into);
            }
        }
    }

    /// Reads one entry of a map.
    pub(super) fn entry<T>(&mut self, entry: &MapEntry, path: &str, table: &[FieldReader<T>], into: &mut T) {
        let Some(field) = table.iter().find(|field| entry.key == field.key.name) else {
            let known = table.iter().map(|field| field.key.name);
            let help = did_you_mean(&entry.key, known).unwrap_or_else(|| known_keys(path, table));
            let message = format!("unknown key `{}` in {KEY}", short(&entry.key));
            return self.report(Problem::error(entry.key_span, message).help(help));
        };
        self.not_yet(&format!("{path}.{}", field.key.name), entry.key_span);
        self.at(field.key.name, |reader| {
            if reader.is_given(entry, field.key.otherwise) {
                (field.read)(reader, &entry.value, into);
            }
        });
    }

    /// Whether a key has a value; if not, that is reported.
    pub(super) fn is_given(&mut self, entry: &MapEntry, otherwise: DefaultValue) -> bool {
        if entry.value.is_null() {
            let problem = Problem::error(entry.key_span, format!("{KEY} has no value"));
            let is_required = otherwise == DefaultValue::Required;
            self.report(problem.help(if is_required {
                "write its value: it is required"
            } else {
                "write its value, or remove the line"
            }));
        }
        !entry.value.is_null()
    }

    /// The entries of a map.
    pub(super) fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [MapEntry]> {
        if let NodeKind::Map(map) = &node.kind {
            return Some(&map.entries);
        }
        let problem = Problem::error(node.span, format!("{KEY} must be a map, not {}", node.described()));
        self.report(problem.help("write each entry as `KEY: value`"));
        None
    }

    /// Any single value, exactly as written, with references replaced.
    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        self.scope.value(node, self.context).ok()
    }

    /// A single value that isn't empty.
    pub(super) fn filled(&mut self, node: &Node) -> Option<Text> {
        if self.is_copied(node) {
            return None;
        }
        let text = self.text(node)?;
        if text.value().is_empty() {
            let source = if text.is_secret() { format!(": `{}` is empty", text.shown()) } else { String::new() };
            self.report(
                Problem::error(node.span, format!("{KEY} can't be empty{source}")).help("write a value, or remove the line"),
            );
            return None;
        }
        Some(text)
    }

    /// Reports what was copied from another program's file or from a document, and can't be part of a name or path.
    fn is_copied(&mut self, node: &Node) -> bool {
        let Some(text) = node.text() else { return false };
        if let Some(reference) = foreign_syntax::reference(text).filter(|reference| !reference.is_certain) {
            let message = format!("`{}` in {KEY} is not replaced: navigator knows no templates", reference.text);
            self.report(Problem::error(node.span, message).help(reference.help(text, true)));
            return true;
        }
        if let Some(char) = foreign_syntax::invisible_at_end(text) {
            let message = format!("{KEY} contains an invisible character, U+{:04X}", u32::from(char));
            let plain = text.trim_matches(foreign_syntax::is_invisible);
            self.report(
                Problem::error(node.span, message).help(format!("remove it: write `{}`", words::quoted_if_needed(plain))),
            );
            return true;
        }
        false
    }

    /// A process name.
    pub(super) fn name(&mut self, node: &Node) -> Option<Name> {
        let text = self.filled(node)?;
        match scalar::name(text.value()) {
            Ok(()) => Some(Name::from(text.value())),
            Err(reason) => {
                let guess = if text.is_secret() { None } else { value_hints::name(text.value()) };
                let help = guess.map_or(reason.clone(), |guess| format!("write `{guess}`: {reason}"));
                self.refuse(node, &text, "a name of a process", Some(&help));
                None
            }
        }
    }

    /// A path, relative to the file that names it.
    pub(super) fn beside(&self, node: &Node, path: &Text) -> Text {
        let joined = beside(self.context.texts.path(node.span.text), path.value());
        let joined = joined.to_string_lossy();
        if path.is_secret() { Text::secret(&joined, path.shown()) } else { Text::plain(&joined) }
    }

    /// A list of single values, each exactly as written. With `for_shell`, a shell replaces its `${…}`.
    pub(super) fn texts(&mut self, node: &Node, for_shell: bool) -> Option<Vec<Text>> {
        let NodeKind::List(items) = &node.kind else {
            let problem = Problem::error(node.span, format!("{KEY} must be a list, not {}", node.described()));
            let help = match &node.kind {
                NodeKind::Scalar(Scalar { text, .. }) if text.len() <= 80 => {
                    words::split(text).ok().map(|words| format!("write `{}`", words::list(&words)))
                }
                _ => None,
            };
            self.report(
                problem.help(help.unwrap_or_else(|| "write `[…, …]`, or each item after a `-` on its own line".to_owned())),
            );
            return None;
        };
        // Unlike `collect::<Option<_>>`, this doesn't stop at the first mistake.
        self.scope.for_shell = for_shell;
        let texts: Vec<Option<Text>> = items.iter().map(|item| self.at(ITEM, |reader| reader.text(item))).collect();
        self.scope.for_shell = false;
        value_lints::report_arguments(items, for_shell, self.context.problems);
        texts.into_iter().collect()
    }

    /// A command: a list that isn't empty and begins with a program.
    pub(super) fn command(&mut self, node: &Node) -> Option<Vec<Text>> {
        let for_shell =
            matches!(&node.kind, NodeKind::List(items) if items.iter().filter_map(Node::text).any(value_lints::is_shell));
        let command = self.texts(node, for_shell)?;
        if command.first().is_none_or(|program| program.value().is_empty()) {
            let problem = Problem::error(node.span, format!("{KEY} names no program"));
            self.report(problem.help("write the program and its arguments, such as `[redis-cli, ping]`"));
            return None;
        }
        Some(command)
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.truth(node, "`true` or `false`", |_| "write `true` or `false`".to_owned())
    }

    /// A boolean where something else may be written too; `instead` returns the help for any other value.
    pub(super) fn truth(&mut self, node: &Node, what: &str, instead: fn(&str) -> String) -> Option<bool> {
        let text = self.unquoted(node, "write `true` or `false` without quotes")?;
        match text.value() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => {
                let guess = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "1" => "write `true`".to_owned(),
                    "no" | "off" | "n" | "0" => "write `false`".to_owned(),
                    // A suggestion would reveal a substituted value.
                    _ => instead(if text.is_secret() { "" } else { other }),
                };
                self.refuse(node, &text, what, Some(&guess));
                None
            }
        }
    }

    pub(super) fn whole<T: TryFrom<i64>>(&mut self, node: &Node, from: i64, to: i64) -> Option<T> {
        let text = self.unquoted(node, "write the number without quotes")?;
        let number = scalar::whole_number(text.value(), from, to);
        if number.is_none() {
            let what =
                if to < u32::MAX.into() { format!("a whole number from {from} to {to}") } else { "a whole number".to_owned() };
            let help = (to >= u32::MAX.into()).then_some("write one that isn't negative, or leave the key out for no limit");
            self.refuse(node, &text, &what, help);
        }
        number
    }

    /// A whole number, or a percentage of `replicas`.
    pub(super) fn surge(&mut self, node: &Node, from: i64, to: i64) -> Option<Surge> {
        let is_percent = matches!(&node.kind, NodeKind::Scalar(scalar) if scalar.text.ends_with('%'));
        let text = if is_percent { self.text(node)? } else { self.unquoted(node, "write the number without quotes")? };
        let surge = scalar::surge(text.value(), from, to);
        if surge.is_none() {
            self.refuse(node, &text, &format!("a whole number from {from} to {to}, or a percentage up to `100%`"), None);
        }
        surge
    }

    pub(super) fn number(&mut self, node: &Node, from: f64, to: f64) -> Option<f64> {
        let text = self.unquoted(node, "write the number without quotes")?;
        let number = scalar::number(text.value(), from, to);
        if number.is_none() {
            self.refuse(node, &text, &format!("a number from {from} to {to}"), None);
        }
        number
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        self.checked(node, &text, "a duration", scalar::duration(text.value()), value_hints::duration)
    }

    /// A duration that isn't zero.
    pub(super) fn some_duration(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration.is_zero() {
            self.report(Problem::error(node.span, format!("{KEY} can't be zero")));
            return None;
        }
        Some(duration)
    }

    /// A duration of at least a millisecond.
    pub(super) fn delay(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration < Duration::from_millis(1) {
            self.report(
                Problem::error(node.span, format!("{KEY} must be at least `1ms`")).help("write `500ms`, or leave the key out"),
            );
            return None;
        }
        Some(duration)
    }

    pub(super) fn size(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node)?;
        self.checked(node, &text, "a size", scalar::size(text.value()), value_hints::size)
    }

    pub(super) fn umask(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        self.checked(node, &text, "a file mode creation mask", scalar::umask(text.value()), |_| None)
    }

    /// The permissions of a file.
    pub(super) fn mode(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        self.checked(node, &text, "a file mode", scalar::mode(text.value()), |_| None)
    }

    pub(super) fn signal(&mut self, node: &Node) -> Option<Signal> {
        let text = self.text(node)?;
        let signal = signals::parse(text.value());
        if signal.is_none() {
            let upper = text.value().to_ascii_uppercase();
            let near = did_you_mean(upper.strip_prefix("SIG").unwrap_or(&upper).trim_start_matches('-'), signals::names());
            self.refuse(
                node,
                &text,
                "a signal",
                near.as_deref().or(Some("write its name or number, such as `TERM`, `USR1` or `15`")),
            );
        }
        signal
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)], foreign: &[(&str, &str)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some(&(_, value)) = words.iter().find(|(word, _)| *word == text.value()) {
            return Some(value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = foreign
            .iter()
            .find(|(word, _)| *word == text.value())
            .map(|(_, help)| (*help).to_owned())
            .or_else(|| did_you_mean(text.value(), known.iter().copied()))
            .unwrap_or_else(|| format!("write {}", either(&known)));
        self.refuse(node, &text, &format!("one of `{}`", known.join("`, `")), Some(&help));
        None
    }

    /// A single value that isn't a quoted string, for numbers and booleans. A reference may need quotes.
    fn unquoted(&mut self, node: &Node, help: &str) -> Option<Text> {
        let text = self.text(node)?;
        if matches!(&node.kind, NodeKind::Scalar(Scalar { style: NodeStyle::Quoted, .. })) && !text.is_secret() {
            self.report(Problem::error(node.span, format!("{KEY} must be written without quotes")).help(help));
            return None;
        }
        Some(text)
    }

    fn checked<T>(
        &mut self,
        node: &Node,
        text: &Text,
        what: &str,
        outcome: Result<T, String>,
        guess: fn(&str) -> Option<String>,
    ) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(reason) => {
                // A suggestion would reveal a substituted value.
                let guess = if text.is_secret() { None } else { guess(text.value()) };
                self.refuse(node, text, what, Some(&guess.map_or(reason, |guess| format!("write `{guess}`"))));
                None
            }
        }
    }

    /// Whether a value is known on another machine only. Then nothing can be wrong with it.
    pub(super) fn is_unknown(&self, text: &Text) -> bool {
        is_unknown(text, self.context.environment)
    }

    /// Reports a value that a field doesn't take. For a substituted value, the message quotes the source.
    pub(super) fn refuse(&mut self, node: &Node, text: &Text, what: &str, help: Option<&str>) {
        if self.is_unknown(text) {
            return;
        }
        let mut shown: String = text.shown().chars().take(60).collect();
        if shown.len() < text.shown().len() {
            shown.push('…');
        }
        self.report(Problem::error(node.span, format!("{KEY} must be {what}, not `{shown}`")).maybe_help(help));
    }
}

/// Resolves `path` relative to the file that names it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    tidied(&file.parent().unwrap_or(Path::new("")).join(path))
}

/// The keys that a map takes, as a help.
fn known_keys<T>(path: &str, table: &[FieldReader<T>]) -> String {
    let is_supported = |key: &str| !NOT_YET.iter().any(|later| later.path == format!("{path}.{key}"));
    let known = table.iter().map(|field| field.key.name).filter(|key| is_supported(key));
    let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
    format!("`{path}` takes {}", known.join(", "))
}

/// The help for a single value where a map is expected.
fn map_help<T>(path: &str, text: &str, table: &[FieldReader<T>]) -> String {
    let key = match path {
        "backoff" => "initial",
        "stop" if scalar::duration(text).is_ok() => "timeout",
        "stop" | "reload" | "stop.drain" => "signal",
        "rolling" => "stable",
        "ready" | "liveness" if text.contains("://") => "http",
        "ready" | "liveness" if text.contains(':') => "tcp",
        "depends_on" => "condition",
        "logging" => "level",
        _ => return known_keys(path, table),
    };
    let value = if text.len() <= 60 { text } else { "…" };
    format!("write `{{{key}: {value}}}`")
}
