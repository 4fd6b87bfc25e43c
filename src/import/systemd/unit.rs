//! Unit files: sections, keys, continued lines, and drop-ins over them.

use crate::import::ImportError;
use crate::import::context::text;
use crate::import::context::{ForeignFile, ImportContext};
use std::path::Path;

/// A unit with its drop-ins.
#[derive(Debug)]
pub(super) struct Unit<'s> {
    /// The name of its file.
    pub(super) name: String,
    pub(super) source: &'s ForeignFile,
    /// In the order of the files; an empty value resets those before it.
    pub(super) entries: Vec<UnitEntry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct UnitEntry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Unit<'_> {
    /// The name without its kind.
    pub(super) fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem)
    }

    /// The instance in the name.
    pub(super) fn instance(&self) -> Option<String> {
        self.stem().split_once('@').map(|(_, instance)| instance.to_owned()).filter(|instance| !instance.is_empty())
    }

    /// The entries of a key, without those that a later empty one resets.
    pub(super) fn all<'u>(&'u self, section: &'u str, key: &'u str) -> Vec<&'u UnitEntry> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.section == section && entry.key == key) {
            if entry.value.is_empty() {
                found.clear();
            } else {
                found.push(entry);
            }
        }
        found
    }

    /// The entry of a key that counts.
    pub(super) fn last<'u>(&'u self, section: &'u str, key: &'u str) -> Option<&'u UnitEntry> {
        self.all(section, key).pop()
    }

    pub(super) fn text<'u>(&'u self, section: &'u str, key: &'u str) -> Option<&'u str> {
        self.last(section, key).map(|entry| entry.value.as_str())
    }
}

/// The units of all files, with the drop-ins beside them and those that are given.
pub(super) fn units<'s>(context: &ImportContext<'_>, sources: &'s [ForeignFile]) -> Result<Vec<Unit<'s>>, ImportError> {
    let mut units: Vec<Unit<'s>> = Vec::new();
    for source in sources.iter().filter(|source| unit_of_drop_in(source).is_none()) {
        let mut entries = entries(source)?;
        let directory = source.directory().join(format!("{}.d", source.name()));
        let mut names: Vec<String> =
            context.files.list(&directory).unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "conf"));
        names.sort();
        for name in names {
            let path = directory.join(&name);
            if sources.iter().all(|source| source.path != path) {
                let drop_in = ForeignFile::new(&path, text(&path, context.files)?);
                entries.extend(self::entries(&drop_in)?);
            }
        }
        units.push(Unit { name: source.name().to_owned(), source, entries });
    }
    for source in sources {
        let Some(name) = unit_of_drop_in(source) else { continue };
        let Some(unit) = units.iter_mut().find(|unit| unit.name == name) else {
            return Err(source.invalid(0, format!("it is a drop-in of `{name}`: import that unit, too")));
        };
        unit.entries.extend(entries(source)?);
    }
    Ok(units)
}

/// The unit that a drop-in belongs to, by the name of its directory.
fn unit_of_drop_in(source: &ForeignFile) -> Option<&str> {
    let directory = source.directory().file_name()?.to_str()?;
    directory.strip_suffix(".d").filter(|_| source.has_ending("conf"))
}

fn entries(source: &ForeignFile) -> Result<Vec<UnitEntry>, ImportError> {
    let mut found: Vec<UnitEntry> = Vec::new();
    let mut section = String::new();
    let mut is_open = false;
    for (index, raw) in source.text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.starts_with(['#', ';']) || content.is_empty() && !is_open {
            continue;
        }
        let (part, continues) = content.strip_suffix('\\').map_or((content, false), |part| (part.trim_end(), true));
        if is_open {
            if let Some(entry) = found.last_mut() {
                entry.value.push(' ');
                entry.value.push_str(part);
            }
            is_open = continues;
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|head| head.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = part.split_once('=').filter(|_| !section.is_empty()) else {
            return Err(source.invalid(line, "expected a section such as `[Service]`, and `Key=value` in it"));
        };
        found.push(UnitEntry { section: section.clone(), key: key.trim().to_owned(), value: value.trim().to_owned(), line });
        is_open = continues;
    }
    for entry in &mut found {
        entry.value.truncate(entry.value.trim_end().len());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_comments_and_resets_are_read() {
        let text = "[Service]\nExecStart=/a \\\n  b \\\n# note\n  c\n; note\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n";
        let source = ForeignFile::new(Path::new("x.service"), text.to_owned());
        let unit = Unit { name: "x.service".to_owned(), source: &source, entries: entries(&source).expect("a unit") };
        assert_eq!(unit.text("Service", "ExecStart"), Some("/a b c"));
        let values: Vec<&str> = unit.all("Service", "Environment").iter().map(|entry| entry.value.as_str()).collect();
        assert_eq!(values, ["B=2"]);
    }
}
