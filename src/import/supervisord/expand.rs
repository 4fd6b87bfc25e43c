//! References such as `%(ENV_PORT)s` and `%(process_num)02d`, and lists of variables.

use crate::import::context::ImportContext;
use crate::import::model::ImportedStack;
use crate::import::words::{escaped, shell_escaped, split_soon};

/// The values of references in one process.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    /// The directory of the configuration, in our syntax.
    pub(super) here: String,
    pub(super) program: String,
    pub(super) group: String,
    pub(super) number: i64,
    pub(super) count: i64,
}

impl Expansion {
    pub(super) fn new(here: &str, program: &str, group: &str) -> Expansion {
        Expansion { here: here.to_owned(), program: program.to_owned(), group: group.to_owned(), number: 0, count: 1 }
    }

    /// A text in our syntax.
    pub(super) fn text(&self, text: &str, context: &ImportContext<'_>, stack: &mut ImportedStack, place: &str) -> String {
        self.expanded(text, escaped, context, stack, place)
    }

    /// The command line of a shell in our syntax.
    pub(super) fn shell(&self, text: &str, context: &ImportContext<'_>, stack: &mut ImportedStack, place: &str) -> String {
        self.expanded(text, shell_escaped, context, stack, place)
    }

    /// An address with the references that can be in one.
    pub(super) fn here_and_name(&self, text: &str) -> String {
        text.replace("%(here)s", &self.here).replace("%(program_name)s", &self.program)
    }

    fn expanded(
        &self,
        text: &str,
        literal: fn(&str) -> String,
        context: &ImportContext<'_>,
        stack: &mut ImportedStack,
        place: &str,
    ) -> String {
        let mut written = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            written.push_str(&literal(before));
            if let Some(behind) = behind.strip_prefix('%') {
                written.push('%');
                rest = behind;
                continue;
            }
            let Some((value, behind)) = self.reference(behind, context, stack, place) else {
                written.push('%');
                rest = behind;
                continue;
            };
            written.push_str(&value);
            rest = behind;
        }
        written + &literal(rest)
    }

    /// The value of a reference behind its `%`, and what follows it.
    fn reference<'t>(
        &self,
        behind: &'t str,
        context: &ImportContext<'_>,
        stack: &mut ImportedStack,
        place: &str,
    ) -> Option<(String, &'t str)> {
        let (name, behind) = split_soon(behind.strip_prefix('(')?, ")")?;
        let end = behind
            .char_indices()
            .take(20)
            .find(|(_, char)| "sd".contains(*char))
            .map(|(at, _)| at)
            .filter(|&at| behind[..at].bytes().all(|byte| byte.is_ascii_digit()))?;
        let format = &behind[..end];
        let number = |number: i64| {
            let width: usize = format.parse().unwrap_or_default();
            let width = width.min(20);
            if format.starts_with('0') { format!("{number:0width$}") } else { format!("{number:width$}") }
        };
        let value = match name {
            "here" => self.here.clone(),
            "program_name" => self.program.clone(),
            "group_name" => self.group.clone(),
            "process_num" => number(self.number),
            "numprocs" => number(self.count),
            "host_node_name" => "${HOSTNAME:-localhost}".to_owned(),
            name => context.needed_variable(name.strip_prefix("ENV_")?, stack, place),
        };
        Some((value, &behind[end + 1..]))
    }
}

/// `A="b c",D='e',F=g`
pub(super) fn variables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, behind)) = rest.split_once('=') {
        let name = name.trim_matches(|char: char| char == ',' || char.is_whitespace());
        let behind = behind.trim_start_matches([' ', '\t']);
        let (value, after) = match behind.chars().next() {
            Some(quote @ ('"' | '\'')) => behind[1..].split_once(quote).unwrap_or((&behind[1..], "")),
            _ => behind.split_at(behind.find([',', '\n']).unwrap_or(behind.len())),
        };
        if !name.is_empty() {
            found.push((name.to_owned(), value.trim_end().to_owned()));
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn variables_are_split_with_quotes() {
        let found = variables("A=\"b, c\",D='e=f', G=h\n,I=,J=k l");
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("A", "b, c"), ("D", "e=f"), ("G", "h"), ("I", ""), ("J", "k l")]);
    }
}
