//! The documents say what the program does: their configurations load, and the reference names every key.

#[path = "support/golden.rs"]
mod golden;

use golden::settle;
use navigator::config::{ChangeEffect, ConfigKey, DefaultValue, Disk, Environment, Files, ValueShape};
use navigator::config::{load, process_keys, render_all, schema, top_keys};
use navigator::terminal::TerminalStyle;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A single file, and empty directories.
struct Alone(PathBuf, Vec<u8>);

impl Files for Alone {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.0 { Ok(self.1.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
}

/// A fenced block of a document: where it begins, what it is tagged with, and its text without the fence's indentation.
struct Block {
    line: usize,
    tag: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in document.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(tag)) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((Block { line: number + 1, tag: tag.trim().to_owned(), text: String::new() }, indent));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(line.trim_start()));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

/// Every page for users and contributors, by its path.
fn documents() -> BTreeMap<PathBuf, String> {
    let entries =
        [".", "docs", "docs/design", "benches"].map(|folder| fs::read_dir(folder).expect("a folder of documents can be listed"));
    let paths = entries.into_iter().flatten().map(|entry| entry.expect("an entry of the folder").path());
    let markdown = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    markdown
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a document can be read");
            (path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path), text)
        })
        .collect()
}

#[test]
fn pages_stay_within_their_word_budgets() {
    let documents = documents();
    for (page, budget) in [("README.md", 700), ("docs/performance.md", 900)] {
        let count = documents[Path::new(page)].split_whitespace().count();
        assert!(count < budget, "{page} has {count} words; fewer than {budget} are allowed");
    }
}

/// Relative links lead to files that exist, and their fragments to headings of Markdown pages.
#[test]
fn links_between_documents_lead_somewhere() {
    let documents = documents();
    let mut count = 0;
    for (path, text) in &documents {
        let prose = without_blocks(text);
        for (_, rest) in prose.match_indices("](").map(|(at, _)| prose.split_at(at + 2)) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, fragment) = target.split_once('#').map_or((target, None), |(file, fragment)| (file, Some(fragment)));
            let folder = path.parent().expect("a page is in a folder");
            let linked = if file.is_empty() { path.clone() } else { folder.join(file) };
            let linked_text = fs::read(&linked).unwrap_or_else(|error| panic!("{}: `{target}`: {error}", path.display()));
            if let Some(fragment) = fragment {
                let linked_text = String::from_utf8_lossy(&linked_text);
                let headings = without_blocks(&linked_text);
                let mut headings = headings.lines().filter(|line| line.starts_with('#')).map(fragment_of);
                assert!(headings.any(|heading| heading == fragment), "{}: `{target}` names no heading", path.display());
            }
            count += 1;
        }
    }
    assert!(count >= 50, "only {count} links were found");
}

/// The text without its fenced blocks.
fn without_blocks(text: &str) -> String {
    let parts = text.split("\n```").enumerate().filter(|(number, _)| number % 2 == 0);
    parts.map(|(_, part)| part).collect::<Vec<_>>().join("\n")
}

/// What GitHub makes of a heading for links to it.
fn fragment_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}

#[test]
fn the_readme_links_every_page() {
    let readme = fs::read_to_string("README.md").expect("the document can be read");
    for path in documents().keys().filter(|path| path.parent() == Some(Path::new("docs"))) {
        assert!(readme.contains(&format!("({})", path.display())), "README.md has no link to {}", path.display());
    }
}

#[test]
fn configurations_in_documents_load() {
    let mut count = 0;
    for (path, document) in documents() {
        for Block { line, tag, text } in blocks(&document) {
            let outcome = load(&path, &Alone(path.clone(), text.into_bytes()), &Environment::default());
            let found = outcome
                .as_ref()
                .map_or_else(|rejected| render_all(&rejected.diagnostics, 0, TerminalStyle::PLAIN), |_| "it loads".to_owned());
            let is_as_said = match tag.as_str() {
                "yaml" => outcome.is_ok(),
                "yaml,bad" => outcome.is_err(),
                _ => continue,
            };
            assert!(is_as_said, "the block at line {line} of {} is tagged `{tag}`: {found}", path.display());
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} blocks were found");
}

#[test]
fn every_row_of_the_table_of_dependents_has_its_scenario() {
    let document = fs::read_to_string("docs/dependencies.md").expect("the document can be read");
    let (_, table) = document.split_once("## What becomes of dependents").expect("the section of the table");
    let rows: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1).collect();
    let mut told = BTreeSet::new();
    for row in rows.iter().take_while(|line| line.starts_with('|')) {
        let (_, link) = row.split_once("](../").unwrap_or_else(|| panic!("the row names no scenario: {row}"));
        let (path, _) = link.split_once(')').expect("the end of a link");
        let scenario = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // Each column is a process of the scenario.
        for dependent in ["by-started", "by-ready", "by-completed", "follows", "loosely", "listed"] {
            assert!(scenario.contains(&format!("=  {dependent} ")), "{path} doesn't say what becomes of `{dependent}`");
        }
        assert_eq!(row.matches(" | ").count(), 6, "a cell for each column: {row}");
        told.insert(path.trim_start_matches("fixtures/scenario/").to_owned());
    }
    let entries = fs::read_dir("fixtures/scenario").expect("the folder of scenarios can be listed");
    let names = entries.map(|entry| entry.expect("an entry of the folder").file_name().to_string_lossy().into_owned());
    let scenarios: BTreeSet<String> = names.filter(|name| name.starts_with("dependents-when-it-")).collect();
    assert_eq!(told, scenarios, "the table and the scenarios tell of the same");
}

/// The tables of the reference are written by this test (`UPDATE_FIXTURES=1`), from the tables that the program reads by.
#[test]
fn the_reference_says_of_every_key_what_the_program_knows() {
    let path = Path::new("docs/reference.md");
    let mut text = fs::read_to_string(path).expect("the reference can be read");
    text = with_table(&text, "## At the top of the file", &top_keys(), false);
    text = with_table(&text, "## Fields of a process", &process_keys(), true);
    for key in top_keys().iter().chain(&process_keys()).filter(|key| key.name != "defaults") {
        let quoted = format!("`{}`", key.name);
        let parts = parts(key);
        if !parts.is_empty() {
            let heading = text.lines().find(|line| line.starts_with("### ") && line.contains(&quoted));
            let heading = heading.unwrap_or_else(|| panic!("the reference has no section about {quoted}")).to_owned();
            text = with_table(&text, &heading, &parts, false);
            for part in parts.iter().filter(|part| key.name != "logging" && !self::parts(part).is_empty()) {
                text = with_table(&text, &format!("#### `{}.{}`", key.name, part.name), &self::parts(part), false);
            }
        }
        if let ValueShape::Limits(names) = key.shape {
            let unnamed: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
            assert!(unnamed.is_empty(), "the reference doesn't name the limits {unnamed:?}");
        }
    }
    let mut failures = Vec::new();
    settle(path, &text, &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The text with this table in place of the first one below a heading, whose first column keeps its name.
fn with_table(text: &str, heading: &str, keys: &[ConfigKey], changes: bool) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let section = lines.iter().position(|line| *line == heading).unwrap_or_else(|| panic!("there is no `{heading}`"));
    let length = lines[section..].iter().position(|line| line.starts_with('|'));
    let start = section + length.unwrap_or_else(|| panic!("there is no table below `{heading}`"));
    let end = lines[start..].iter().position(|line| !line.starts_with('|')).map_or(lines.len(), |length| start + length);
    let (first, _) = lines[start].trim_start_matches("| ").split_once(" |").expect("a table has columns");
    let change = if changes { " change |" } else { "" };
    let mut table = vec![format!("| {first} | takes | default | meaning |{change}")];
    table.push(format!("|---|---|---|---|{}", if changes { "---|" } else { "" }));
    table.extend(keys.iter().map(|key| {
        let change = if changes { format!(" {} |", in_words(key)) } else { String::new() };
        format!("| `{}` | {} |{} | {} |{change}", key.name, takes(key), default(key), key.meaning)
    }));
    let [before, after] = [&lines[..start], &lines[end..]].map(|lines| lines.join("\n"));
    format!("{before}\n{}\n{after}\n", table.join("\n"))
}

fn default(key: &ConfigKey) -> String {
    match key.otherwise {
        DefaultValue::Nothing => String::new(),
        DefaultValue::Written(default) => format!(" `{default}`"),
        DefaultValue::InWords(words) => format!(" {words}"),
        DefaultValue::Required => " required".to_owned(),
    }
}

fn takes(key: &ConfigKey) -> String {
    match key.shape {
        ValueShape::Text(called) => called.to_owned(),
        ValueShape::File => "path".to_owned(),
        ValueShape::Program => "program".to_owned(),
        ValueShape::Texts => "list of single values".to_owned(),
        ValueShape::Files => "path or `{path, required}`, or list of them".to_owned(),
        ValueShape::Globs => "path or glob, or list of them".to_owned(),
        ValueShape::Command => "program and arguments, as a list".to_owned(),
        ValueShape::Repositories => "address, or list of them".to_owned(),
        ValueShape::Name => "name of a process".to_owned(),
        ValueShape::Url => "URL".to_owned(),
        ValueShape::Address => "`HOST:PORT`".to_owned(),
        ValueShape::Socket => "`HOST:PORT`, path or `@name`".to_owned(),
        ValueShape::Sockets(_) => "address, list of addresses, or map, see below".to_owned(),
        ValueShape::Cron => "cron expression".to_owned(),
        ValueShape::CronOrPart(_) => "cron expression, or map, see below".to_owned(),
        ValueShape::Bool => "`true` or `false`".to_owned(),
        ValueShape::BoolOrPart(_) => "`true`, `false`, or map, see below".to_owned(),
        ValueShape::BoolOrNames => "`true`, `false`, or list of names".to_owned(),
        ValueShape::True => "`true`".to_owned(),
        ValueShape::Whole(from, to) if to == i64::from(u32::MAX) => format!("whole number from {from}"),
        ValueShape::Whole(from, to) => format!("{from} to {to}"),
        ValueShape::WholeOrPercent(from, to) => format!("{from} to {to}, or percentage such as `25%`"),
        ValueShape::Wholes(from, to) => format!("{from} to {to}, or list of them"),
        ValueShape::Number(from, to) => format!("number, {from} to {to}"),
        ValueShape::Duration | ValueShape::SomeDuration | ValueShape::Delay => "duration".to_owned(),
        ValueShape::Size => "size".to_owned(),
        ValueShape::Memory => "amount of memory".to_owned(),
        ValueShape::Percent => "percentage".to_owned(),
        ValueShape::Octal => "octal, as written: `0027`".to_owned(),
        ValueShape::Signal => "name with or without `SIG`, or number".to_owned(),
        ValueShape::Words(words) => either(words),
        ValueShape::Variables => "map of variables".to_owned(),
        ValueShape::Headers => "map of headers".to_owned(),
        ValueShape::Part(_) | ValueShape::Choice(..) | ValueShape::Limits(_) => "map, see below".to_owned(),
        ValueShape::DelayOrPart(_) => "duration, or map, see below".to_owned(),
        ValueShape::Edges(_) => "list of names, or map, see below".to_owned(),
        ValueShape::WordsOrPart(words, _) => format!("{}, or map, see below", either(words)),
        ValueShape::Processes => "list of processes".to_owned(),
    }
}

fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let (last, others) = quoted.split_last().expect("there are words");
    if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) }
}

/// What the reference has, an editor offers, unless it isn't supported yet; and nothing else.
#[test]
fn the_schema_has_the_keys_of_the_reference() {
    let schema = schema();
    let count = compare_keys(&top_keys(), &schema["properties"], "");
    let count = count + compare_keys(&process_keys(), &schema["$defs"]["process"]["properties"], "");
    assert!(count >= 40, "only {count} keys were compared");
}

/// Holds properties of the schema to the keys of a table and of its parts, and counts them.
fn compare_keys(keys: &[ConfigKey], properties: &Value, path: &str) -> usize {
    let is_later = |key: &ConfigKey| navigator::config::not_yet().any(|later| later == format!("{path}{}", key.name));
    let supported: BTreeMap<&str, &ConfigKey> = keys.iter().filter(|key| !is_later(key)).map(|key| (key.name, key)).collect();
    let offered = properties.as_object().unwrap_or_else(|| panic!("`{path}` has no properties: {properties}"));
    assert_eq!(offered.keys().collect::<Vec<_>>(), supported.keys().collect::<Vec<_>>(), "in `{path}`");
    let mut count = offered.len();
    for (name, property) in offered {
        let key = supported[name.as_str()];
        let said = property["description"].as_str().expect("a description");
        assert!(said.contains(&key.meaning[1..]), "`{path}{name}`: {said}");
        let DefaultValue::Written(default) = key.otherwise else {
            assert!(property.get("default").is_none(), "`{path}{name}` has no default: {property}");
            continue;
        };
        let offered = match &property["default"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(offered, default, "`{path}{name}`");
    }
    for key in supported.values().filter(|key| key.name != "defaults" && !parts(key).is_empty()) {
        let property = &properties[key.name];
        let forms = property["anyOf"].as_array().into_iter().flatten();
        let inner = forms.flat_map(|form| [form, &form["additionalProperties"], &form["additionalProperties"]["anyOf"][1]]);
        let inner = std::iter::once(property).chain(inner);
        let inner = inner.map(|form| &form["properties"]).find(|properties| properties.is_object());
        let inner = inner.unwrap_or_else(|| panic!("`{}` has no form with keys", key.name));
        count += compare_keys(&parts(key), inner, &format!("{path}{}.", key.name));
    }
    count
}

fn parts(key: &ConfigKey) -> Vec<ConfigKey> {
    match key.shape {
        ValueShape::Part(keys)
        | ValueShape::DelayOrPart(keys)
        | ValueShape::CronOrPart(keys)
        | ValueShape::Choice(_, keys)
        | ValueShape::Edges(keys)
        | ValueShape::Sockets(keys)
        | ValueShape::WordsOrPart(_, keys) => keys(),
        _ => Vec::new(),
    }
}

fn in_words(key: &ConfigKey) -> &'static str {
    match key.change {
        ChangeEffect::Restart => "restart",
        ChangeEffect::InPlace => "in place",
        ChangeEffect::StartsOrStops => "starts or stops",
        ChangeEffect::AnotherProcess => "another process",
        ChangeEffect::None => panic!("`{}` is a field of processes", key.name),
    }
}

#[test]
fn hot_reload_says_what_a_change_of_each_supported_field_does() {
    let document = fs::read_to_string("docs/hot-reload.md").expect("the document can be read");
    let (_, table) = document.split_once("## What a change of each field does").expect("the section of fields");
    let later: Vec<&str> = navigator::config::not_yet().collect();
    for key in process_keys().into_iter().filter(|key| !later.contains(&key.name)) {
        let mut rows = table.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.rsplit_once(" | "));
        let row = rows.find(|(names, _)| names.contains(&format!("`{}`", key.name)));
        let (_, says) = row.unwrap_or_else(|| panic!("hot-reload.md has no row for `{}`", key.name));
        let change = in_words(&key);
        assert!(says.starts_with(change), "a change of `{}` means {change}: {says}", key.name);
    }
}

#[test]
fn the_reference_names_what_is_not_supported_yet() {
    let reference = fs::read_to_string("docs/reference.md").expect("the reference can be read");
    let (_, list) = reference.split_once("These are checked but not supported yet").expect("the sentence");
    let (list, _) = list.split_once("\n\n").expect("the end of the paragraph");
    let found: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(found, navigator::config::not_yet().collect::<Vec<_>>());
}

#[test]
fn what_check_says_in_documents_is_what_it_says() {
    for document in ["README.md", "docs/reference.md"] {
        let text = fs::read_to_string(document).expect("the document can be read");
        let (_, shown) = text.split_once("$ navigator check ").unwrap_or_else(|| panic!("no example of a check in {document}"));
        let (shown, _) = shown.split_once("```").expect("the end of the example");
        let (path, said) = shown.split_once('\n').expect("what is said about the file");
        let rejected = load(Path::new(path), &Disk, &Environment::default()).expect_err("the example is a file that is wrong");
        assert_eq!(said, render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN), "{document}");
    }
}

/// The description of the control interface has what the program answers to, and nothing else.
#[test]
fn the_description_of_the_interface_has_every_route_and_no_other() {
    let text = fs::read_to_string("docs/openapi.json").expect("the description can be read");
    let description: Value = serde_json::from_str(&text).expect("it is JSON");
    let paths = description["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(move |(method, _)| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes: BTreeSet<(String, String)> =
        navigator::control::routes().map(|(method, path)| (method, path.to_owned())).collect();
    assert_eq!(described, routes);
    let guide = fs::read_to_string("docs/api.md").expect("the guide can be read");
    for (method, path) in routes {
        assert!(guide.contains(&format!("`{method} {path}`")), "docs/api.md says nothing of `{method} {path}`");
    }
}
