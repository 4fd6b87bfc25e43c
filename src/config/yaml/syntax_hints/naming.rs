//! Names the key and the process of a place in a text that is not YAML, by the lines above it. So a message stands on its own.

use super::lines::{Line, is_key_name};
use crate::config::fields::is_field;
use crate::config::scalar;
use crate::config::subject::{KEY, OWNER};
use crate::config::words::is_variable;

/// Number of lines above and below a place that are examined.
const EXAMINED: usize = 500;

/// What a place belongs to.
struct Naming<'s> {
    /// From the process, or from the top of the file, down.
    path: Vec<&'s str>,
    is_item: bool,
    in_process: bool,
    /// The name of the process, if it is clear.
    name: Option<&'s str>,
}

/// Replaces the placeholders of a message about this place.
pub(in crate::config::yaml) fn fill_in(message: &str, source: &str, at: usize) -> String {
    if !message.contains([KEY, OWNER].map(|mark| mark.chars().next().unwrap_or_default())) {
        return message.to_owned();
    }
    let naming = Naming::of(source, at);
    message.replace(KEY, &naming.key()).replace(OWNER, &naming.of_owner())
}

impl<'s> Naming<'s> {
    fn of(source: &'s str, at: usize) -> Naming<'s> {
        let here = Line::at(source, at);
        if let Some(naming) = in_braces(here, at) {
            return naming;
        }
        let is_item = key_of(here).is_none() && is_dashed(here);
        let mut path: Vec<&str> = key_of(here).into_iter().collect();
        // An item of a list may be in the column of its key.
        let mut column = if key_of(here).is_some() { column_of(here) } else { here.indent() + usize::from(is_item) };
        let mut start = None;
        for line in std::iter::successors(Some(here), |line| line.above(source)).take(EXAMINED) {
            let Some(key) = key_of(line) else { continue };
            if line.start != here.start && column_of(line) < column && takes_more_lines(line, key) {
                path.insert(0, key);
                column = column_of(line);
            }
            if is_dashed(line) && is_field(key) {
                start = Some(line);
                break;
            }
            if line.indent() == 0 {
                break;
            }
        }
        let name = start.and_then(|start| name_of(start, source));
        Naming { path, is_item, in_process: start.is_some(), name }
    }

    fn key(&self) -> String {
        let item = if self.is_item { "an item of " } else { "" };
        let key = match &self.path[..] {
            [] => return self.name.map_or("this value".to_owned(), |name| format!("process `{name}`")),
            ["env", variable] | ["defaults", "env", variable] => {
                format!("`{}` in `env`", if is_variable(variable) { variable } else { "…" })
            }
            ["defaults", path @ ..] | path => format!("{item}`{}`", path.join(".")),
        };
        key + &self.of_owner()
    }

    fn of_owner(&self) -> String {
        match self.name {
            Some(name) => format!(" of `{name}`"),
            None if self.in_process => " of a process".to_owned(),
            None if self.path.first() == Some(&"defaults") => " in `defaults`".to_owned(),
            None => String::new(),
        }
    }
}

fn is_dashed(line: Line<'_>) -> bool {
    line.text.trim_start().starts_with(['-']) && content(line).len() < line.text.trim_start().len()
}

/// The content without dashes, also those before a tab.
fn content(line: Line<'_>) -> &str {
    let mut content = line.text.trim_start();
    while let Some(rest) = content.strip_prefix('-').filter(|rest| rest.starts_with([' ', '\t'])) {
        content = rest.trim_start();
    }
    content
}

/// The key, also if no space follows its `:`.
fn key_of(line: Line<'_>) -> Option<&str> {
    let key = unquoted(content(line).split_once(':')?.0.trim_end());
    is_key_name(key).then_some(key)
}

fn column_of(line: Line<'_>) -> usize {
    line.text.len() - content(line).len()
}

/// Whether a value is on the lines below its key.
fn takes_more_lines(line: Line<'_>, key: &str) -> bool {
    let value = content(line)[key.len()..].trim_start_matches(['"', '\'', ':', ' ']);
    value.is_empty() || value.starts_with(['#', '[', '{', '|', '>', '&']) || content(line).ends_with([':', '['])
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// The name that the process beginning on this line has.
fn name_of<'s>(start: Line<'s>, source: &'s str) -> Option<&'s str> {
    let lines = std::iter::successors(Some(start), |line| line.below(source)).take(EXAMINED);
    let mut inside = lines.enumerate().take_while(|(at, line)| *at == 0 || line.indent() > start.indent() || !line.has_content());
    let (_, line) = inside.find(|(_, line)| key_of(*line) == Some("name"))?;
    valid_name(content(line).split_once(':')?.1)
}

fn valid_name(text: &str) -> Option<&str> {
    let name = unquoted(text.split(" #").next()?.trim());
    scalar::name(name).is_ok().then_some(name)
}

/// A place in `- {name: web, args: [a}`: the process is on one line.
fn in_braces(here: Line<'_>, at: usize) -> Option<Naming<'_>> {
    let inside = here.text.trim_start().strip_prefix("- {")?;
    let parts = || inside.split([',', '{', '}']).map(str::trim);
    let name = parts().find_map(|part| part.strip_prefix("name:")?.split_whitespace().next()).and_then(valid_name);
    let before = here.text.get(..at - here.start)?;
    if !before.contains('{') && !here.text[before.len()..].starts_with('{') {
        return None;
    }
    let keys = before.split([',', '{', '[']).filter_map(|part| part.trim_start().split_once(':'));
    let key = keys.map(|(key, _)| unquoted(key.trim())).rfind(|key| is_key_name(key));
    Some(Naming { path: key.into_iter().collect(), is_item: false, in_process: true, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_key_and_a_process() {
        let text = "logging:
  file: §a
env:
  PORT: §b
managed_processes:
  - command: ./db
    name: db # the first
    args:
    - §c
    stop:
      timeout: §d
      command: [
        §e
    env:
      A: §f
  - {name: flow, args: [§g, env: {B: §h}}
  - name: \"not a name\"
    working_dir: §i
defaults:
  env_file: §j
  env:
    C: §k
";
        let named: Vec<String> = text.match_indices('§').map(|(at, mark)| fill_in(KEY, text, at + mark.len() + 1)).collect();
        assert_eq!(
            named,
            [
                "`logging.file`",
                "`PORT` in `env`",
                "an item of `args` of `db`",
                "`stop.timeout` of `db`",
                "`stop.command` of `db`",
                "`A` in `env` of `db`",
                "`args` of `flow`",
                "`B` of `flow`",
                "`working_dir` of a process",
                "`env_file` in `defaults`",
                "`C` in `env` in `defaults`",
            ]
        );
        assert_eq!(fill_in(KEY, "- {name: braces}", 2), "process `braces`");
    }
}
