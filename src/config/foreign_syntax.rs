//! Finds what was copied from another program's file or a document, and would be taken literally here: references in other
//! syntaxes (`{{ port }}`, `%(ENV_PORT)s`), invisible characters, and dashes of word processors.

use super::words::{CONFIG_DIR, is_variable, quoted_if_needed};

/// The longest value that a help quotes, in bytes.
const MAX_SHOWN: usize = 60;

/// A reference in the syntax of another program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForeignReference<'t> {
    /// As written.
    pub(super) text: &'t str,
    /// The variable that it names.
    pub(super) name: Option<&'t str>,
    /// No program takes such a text as it is, so it is certainly a mistake.
    pub(super) is_certain: bool,
}

impl ForeignReference<'_> {
    /// The reference in our syntax.
    pub(super) fn ours(&self) -> Option<String> {
        self.name.map(|name| format!("${{{name}}}"))
    }

    /// What to write instead in this value. With `is_shown`, the help quotes all of it.
    pub(super) fn help(&self, value: &str, is_shown: bool) -> String {
        // In brackets, braces need quotes.
        let written = |name: &str| {
            let ours = format!("${{{name}}}");
            if value == self.text || is_shown && value.len() <= MAX_SHOWN {
                format!("write `{}`", quoted_if_needed(&value.replacen(self.text, &ours, 1)))
            } else {
                format!("use `{ours}`, in quotes")
            }
        };
        match self.name {
            Some(CONFIG_DIR) => written(CONFIG_DIR) + ", with the directory of the configuration",
            Some(name) => format!("{}, and set `{name}` in `env` or where navigator is started", written(name)),
            None if ["%(program_name)", "%(group_name)"].iter().any(|reference| self.text.starts_with(reference)) => {
                "write the name of the process itself".to_owned()
            }
            None if ["%(process_num)", "%(numprocs)", "$(circus.wid", "((circus.wid"]
                .iter()
                .any(|reference| self.text.starts_with(reference)) =>
            {
                "an item runs one process: write the number itself".to_owned()
            }
            None => "write the value itself, or `${NAME}` for the variable `NAME`".to_owned(),
        }
    }
}

/// The first reference in a text.
pub(super) fn reference(text: &str) -> Option<ForeignReference<'_>> {
    // A fast check that excludes nearly all texts.
    if !text.contains(['{', '(', '<']) {
        return None;
    }
    supervisord(text).or_else(|| circus(text)).or_else(|| template(text))
}

/// `%(ENV_PORT)s`, `%(program_name)s`
fn supervisord(text: &str) -> Option<ForeignReference<'_>> {
    const EXPANSIONS: [(&str, Option<&str>); 6] = [
        ("here", Some(CONFIG_DIR)),
        ("host_node_name", Some("HOSTNAME")),
        ("program_name", None),
        ("group_name", None),
        ("process_num", None),
        ("numprocs", None),
    ];
    text.match_indices("%(").find_map(|(start, _)| {
        let (inside, behind) = text[start + 2..].split_once(')')?;
        let variable = inside.strip_prefix("ENV_").filter(|name| is_variable(name)).map(Some);
        let name = variable.or_else(|| EXPANSIONS.iter().find(|(known, _)| *known == inside).map(|&(_, name)| name))?;
        let conversion = behind.find(['s', 'd']).filter(|&at| behind[..at].bytes().all(|byte| byte.is_ascii_digit()))?;
        let end = text.len() - behind.len() + conversion + 1;
        Some(ForeignReference { text: &text[start..end], name, is_certain: true })
    })
}

/// `$(circus.env.PORT)`, `((circus.wid))`
fn circus(text: &str) -> Option<ForeignReference<'_>> {
    let (start, close) =
        [("$(circus.", ")"), ("((circus.", "))")].into_iter().find_map(|(open, close)| Some((text.find(open)?, close)))?;
    let length = text[start..].find(close)? + close.len();
    let inside = &text[start + "$(circus.".len()..start + length - close.len()];
    let name = inside.strip_prefix("env.").filter(|name| is_variable(name));
    Some(ForeignReference { text: &text[start..start + length], name, is_certain: true })
}

/// `{{ port }}`, `<%= port %>`; but not what programs take as a format, such as `{{.Names}}` or `{{json .}}`.
fn template(text: &str) -> Option<ForeignReference<'_>> {
    [("{{", "}}"), ("<%=", "%>")].into_iter().find_map(|(open, close)| {
        let start = text.find(open)?;
        let length = text[start..].find(close)? + close.len();
        let inside = text[start + open.len()..start + length - close.len()].trim();
        let is_format = inside.starts_with('.') && !inside.starts_with(".Env.") && !inside.starts_with(".Values.");
        let words = || inside.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty());
        let is_call = open == "{{" && inside.split(['|', '"', '\'']).next().unwrap_or_default().split_whitespace().count() > 1;
        let is_reference = !inside.is_empty() && !is_format && !is_call;
        // `ENV['PORT']`, `.Env.PORT`, `port | default(80)`
        let name = match inside.split('|').next().map(str::trim) {
            Some(name) if is_variable(name) => Some(name),
            _ => words().find(|word| is_variable(word) && !word.chars().any(char::is_lowercase) && *word != "ENV"),
        };
        is_reference.then_some(ForeignReference { text: &text[start..start + length], name, is_certain: false })
    })
}

/// An invisible character at the beginning or end of a text.
pub(super) fn invisible_at_end(text: &str) -> Option<char> {
    [text.chars().next(), text.chars().next_back()].into_iter().flatten().find(|&char| is_invisible(char))
}

/// Whether a character looks like a space, or like nothing.
pub(super) fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{a0}' | '\u{ad}' | '\u{1680}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}' | '\u{2060}' | '\u{3000}' | '\u{feff}'
    )
}

/// An option that begins with a dash of a word processor in place of one or two hyphens: as it was probably meant.
pub(super) fn with_hyphens(arg: &str) -> Option<String> {
    let name = arg.trim_start_matches(['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '-']);
    let dashes = &arg[..arg.len() - name.len()];
    let is_option = name.starts_with(|char: char| char.is_ascii_alphabetic()) && !name.contains(char::is_whitespace);
    let is_single = name.chars().nth(1).is_none_or(|char| char == '=');
    (is_option && !dashes.is_ascii()).then(|| format!("{}{name}", if is_single { "-" } else { "--" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_other_programs_are_found() {
        for (text, found) in [
            ("%(ENV_PORT)s", Some(("%(ENV_PORT)s", Some("PORT"), true))),
            ("--dir=%(here)s/x", Some(("%(here)s", Some(CONFIG_DIR), true))),
            ("web_%(process_num)02d", Some(("%(process_num)02d", None, true))),
            ("%(asctime)s %(message)s", None),
            ("$(circus.env.PORT)", Some(("$(circus.env.PORT)", Some("PORT"), true))),
            ("-p ((circus.wid))", Some(("((circus.wid))", None, true))),
            ("$(date)", None),
            ("a{{ port }}b", Some(("{{ port }}", Some("port"), false))),
            ("{{port}}", Some(("{{port}}", Some("port"), false))),
            ("{{ port | default(80) }}", Some(("{{ port | default(80) }}", Some("port"), false))),
            ("{{ .Env.PORT }}", Some(("{{ .Env.PORT }}", Some("PORT"), false))),
            ("<%= ENV['PORT'] %>", Some(("<%= ENV['PORT'] %>", Some("PORT"), false))),
            ("{{.Names}}", None),
            ("{{json .}}", None),
            ("{{range .Items}}", None),
            ("{{}}", None),
            ("{{", None),
            ("{a: {b: c}}", None),
            ("", None),
        ] {
            let expected = found.map(|(text, name, is_certain)| ForeignReference { text, name, is_certain });
            assert_eq!(reference(text), expected, "{text}");
        }
    }

    #[test]
    fn dashes_are_hyphens_only_before_options() {
        for (arg, meant) in [
            ("–port", Some("--port")),
            ("—port=80", Some("--port=80")),
            ("−p", Some("-p")),
            ("‑‑port", Some("--port")),
            ("-–port", Some("--port")),
            ("--port", None),
            ("– a note", None),
            ("–5", None),
            ("a–b", None),
            ("–", None),
        ] {
            assert_eq!(with_hyphens(arg).as_deref(), meant, "{arg}");
        }
    }
}
