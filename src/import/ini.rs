//! INI files as Python's `configparser` reads them: sections, keys, comments and continued lines.

use super::ImportError;
use super::context::ForeignFile;
use std::collections::BTreeMap;

/// A section with its entries.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// What is in its brackets.
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// In lower case.
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Section {
    /// The last entry of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
    }

    /// What is behind a head such as `program:` in its name.
    pub(super) fn named(&self, head: &str) -> Option<&str> {
        self.name.strip_prefix(head).map(str::trim).filter(|name| !name.is_empty())
    }
}

/// The sections of a file, those of one name as one.
///
/// # Errors
/// A line that is none of an INI file.
pub(super) fn sections(source: &ForeignFile) -> Result<Vec<Section>, ImportError> {
    let mut sections: Vec<Section> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut current: Option<usize> = None;
    let mut is_entry_open = false;
    for (index, raw) in source.text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            is_entry_open &= !content.is_empty();
            continue;
        }
        let is_continued = raw.starts_with([' ', '\t']) && is_entry_open;
        let text = without_comment(content);
        if is_continued && let Some(entry) = current.and_then(|at| sections[at].entries.last_mut()) {
            entry.value.push('\n');
            entry.value.push_str(text);
            continue;
        }
        if let Some(name) = content.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default().trim().to_owned();
            current = Some(*places.entry(name).or_insert_with_key(|name| {
                sections.push(Section { name: name.clone(), line, entries: Vec::new() });
                sections.len() - 1
            }));
            is_entry_open = false;
            continue;
        }
        let Some(section) = current.map(|at| &mut sections[at]) else {
            return Err(source.invalid(line, "a line before the first section, such as `[program:web]`"));
        };
        let Some(at) = text.find(['=', ':']) else {
            return Err(source.invalid(line, "expected `key=value`"));
        };
        let (key, value) = (text[..at].trim().to_ascii_lowercase(), text[at + 1..].trim().to_owned());
        section.entries.push(Entry { key, value, line });
        is_entry_open = true;
    }
    Ok(sections)
}

/// A line without the comment that begins with ` ;`.
fn without_comment(line: &str) -> &str {
    let at = line.match_indices(';').map(|(at, _)| at).find(|&at| line[..at].ends_with([' ', '\t']));
    line[..at.unwrap_or(line.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn entries_are_read_as_python_does() {
        let text =
            "; head\n[a:b] ; x\nKey = v ; note\nurl=http://x;y\nlong = one\n  two\n  ; three\n\n[c]\nd : e=f\n[a:b]\nkey=w\n";
        let found = sections(&ForeignFile::new(Path::new("x"), text.to_owned())).expect("an INI file");
        assert_eq!(found.iter().map(|section| section.name.as_str()).collect::<Vec<_>>(), ["a:b", "c"]);
        assert_eq!(found[0].text("key"), Some("w"));
        assert_eq!(found[0].text("url"), Some("http://x;y"));
        assert_eq!(found[0].text("long"), Some("one\ntwo"));
        assert_eq!(found[1].text("d"), Some("e=f"));
    }

    #[test]
    fn other_lines_are_errors() {
        for text in ["a=b\n", "[a]\nword\n"] {
            assert!(sections(&ForeignFile::new(Path::new("x"), text.to_owned())).is_err(), "{text}");
        }
    }
}
