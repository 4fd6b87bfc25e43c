//! Removes the values of secrets from what programs say about themselves, where that becomes a reason: the output of checks, and
//! `STATUS=` of `sd_notify(3)`.

use crate::config::is_secret_name;
use reconcile::spec::Exec;
use reconcile::text::Text;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::sync::Arc;

/// Shorter values are replaced only as whole words: they are part of too many others.
const MIN_PART: usize = 4;

/// Knows the secrets of navigator's own environment, which processes may inherit. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SecretFilter {
    inherited: Arc<[Text]>,
}

/// A value, and what is shown instead.
type Replacement<'t> = (&'t str, &'t str);

impl SecretFilter {
    /// With the variables that have a name for secrets.
    pub(super) fn of(own: impl IntoIterator<Item = (OsString, OsString)>) -> SecretFilter {
        let texts = own.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let secrets = texts.filter(|(name, _)| is_secret_name(name));
        SecretFilter { inherited: secrets.map(|(name, value)| Text::secret(&value, &format!("${{{name}}}"))).collect() }
    }

    /// A text of a program, without the values of the secrets that it was given: by its definition, or by `more`, the words of its
    /// command. If `is_cut`, the beginning of the text is missing.
    pub(super) fn apply(&self, text: &str, is_cut: bool, exec: &Exec, more: &[Text]) -> String {
        let own = exec.env.iter().map(|(_, value)| value);
        let others = [&exec.command].into_iter().chain(&exec.args).chain(&exec.working_dir).chain(more);
        let secrets = own.chain(others).chain(&*self.inherited).filter(|text| text.is_secret());
        let mut replacements: Vec<Replacement<'_>> = secrets.flat_map(replacements).collect();
        let text = if is_cut { without_rest_of_secret(text, &replacements) } else { text };
        replacements.retain(|(value, _)| text.contains(value));
        // The longest first: one secret may be part of another.
        replacements.sort_by_key(|(value, _)| Reverse(value.len()));
        let (mut shown, mut rest) = (String::new(), text);
        while let Some(char) = rest.chars().next() {
            let before = &text[..text.len() - rest.len()];
            let found = replacements.iter().find(|(value, _)| rest.starts_with(value) && is_separate(before, value, rest));
            if let Some((value, instead)) = found {
                shown.push_str(instead);
                rest = &rest[value.len()..];
            } else {
                shown.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
        shown
    }
}

/// Whether a value that follows `before` and begins `rest` is long enough, or a whole word.
fn is_separate(before: &str, value: &str, rest: &str) -> bool {
    let after = rest[value.len()..].chars().next();
    value.len() >= MIN_PART || ![before.chars().next_back(), after].into_iter().flatten().any(char::is_alphanumeric)
}

/// A text that may begin in the middle of a secret, without the rest of that.
fn without_rest_of_secret<'t>(text: &'t str, replacements: &[Replacement<'_>]) -> &'t str {
    let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER);
    let rests = replacements.iter().flat_map(|(value, _)| value.char_indices().skip(1).map(|(at, _)| &value[at..]));
    let longest = rests.filter(|rest| text.starts_with(rest)).map(str::len).max();
    &text[longest.unwrap_or(0)..]
}

/// What is not to be shown of a secret: its value, each line of it, and each value that was substituted into it.
fn replacements(secret: &Text) -> impl Iterator<Item = Replacement<'_>> {
    let (value, shown) = (secret.value(), secret.shown());
    let whole = [value.trim()].into_iter().chain(value.lines().map(str::trim).filter(|line| line.len() >= MIN_PART));
    whole.map(move |value| (value, shown)).chain(substituted(value, shown)).filter(|(value, _)| !value.is_empty())
}

/// The values of the references in a source text such as `postgres://app:${PASSWORD}@db`, as far as they can be told apart.
fn substituted<'t>(mut value: &'t str, mut source: &'t str) -> Vec<Replacement<'t>> {
    let mut found = Vec::new();
    while let Some((literal, reference)) = source.split_once("${") {
        let Some(rest) = value.strip_prefix(literal) else { break };
        let end = literal.len() + 2 + end_of_reference(reference);
        let (reference, behind) = (&source[literal.len()..end], &source[end..]);
        let next = behind.split("${").next().unwrap_or_default();
        let length = if next.len() == behind.len() { rest.strip_suffix(next).map(str::len) } else { rest.find(next) };
        match length {
            // Nothing separates it from the next one.
            Some(0) if next.is_empty() => found.push((rest, "…")),
            Some(length) => found.push((&rest[..length], reference)),
            None => {}
        }
        let Some(length) = length else { break };
        (value, source) = (&rest[length..], behind);
    }
    found
}

/// Where a reference ends of which the beginning, `${`, is cut off. Its default value may have references.
fn end_of_reference(text: &str) -> usize {
    let mut depth = 1;
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> SecretFilter {
        let own = [("DB_PASSWORD", "inherited-1"), ("LANG", "C.UTF-8")];
        SecretFilter::of(own.map(|(name, value)| (name.into(), value.into())))
    }

    fn exec(variables: &[(&str, &str, &str)]) -> Exec {
        let variables = variables.iter().map(|(name, value, shown)| ((*name).into(), Text::secret(value, shown)));
        Exec { env: variables.collect(), args: vec!["plain-argument".into()], ..Exec::default() }
    }

    #[test]
    fn the_value_of_a_secret_is_shown_as_its_source() {
        let given = [
            ("A", "hunter2", "${PASSWORD}"),
            ("B", "hunter2-longer", "(from .env)"),
            ("SHORT", "80", "${PORT}"),
            ("EMPTY", "", "${EMPTY}"),
            ("KEY", "-----BEGIN KEY\nMIIabcdef\n}\n", "(secret)"),
            ("URL", "postgres://app:s3cr3t@db/x1y2", "postgres://${USER:-${A}}:${PASS}@db/${NAME}"),
            ("PAIR", "firstsecond!", "${ONE}${TWO}!"),
        ];
        for (text, expected) in [
            ("wrong password hunter2, hunter2hunter2", "wrong password ${PASSWORD}, ${PASSWORD}${PASSWORD}"),
            ("hunter2-longer", "(from .env)"),
            ("port 80: 8080 80", "port ${PORT}: 8080 ${PORT}"),
            ("MIIabcdef}", "(secret)}"),
            ("no role app: s3cr3t, x1y2", "no role ${USER:-${A}}: ${PASS}, ${NAME}"),
            ("postgres://app:s3cr3t@db/x1y2", "postgres://${USER:-${A}}:${PASS}@db/${NAME}"),
            ("inherited-1 C.UTF-8 plain-argument more-1", "${DB_PASSWORD} C.UTF-8 plain-argument ${MORE}"),
            ("connection refused – é", "connection refused – é"),
        ] {
            let more = [Text::secret("--x=more-1", "--x=${MORE}")];
            assert_eq!(filter().apply(text, false, &exec(&given), &more), expected);
        }
    }

    #[test]
    fn the_rest_of_a_secret_at_the_beginning_of_a_cut_text_is_dropped() {
        let given = [("A", "hünter2 hunter2", "${PASSWORD}")];
        for (text, is_cut, expected) in [
            ("nter2 hunter2 is wrong", true, " is wrong"),
            ("\u{FFFD}nter2 hunter2 is wrong", true, " is wrong"),
            ("r2 is wrong", true, " is wrong"),
            ("r2 is wrong", false, "r2 is wrong"),
            ("is wrong", true, "is wrong"),
        ] {
            assert_eq!(filter().apply(text, is_cut, &exec(&given), &[]), expected);
        }
    }
}
