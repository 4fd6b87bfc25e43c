//! A type name means one thing: it is defined once in the whole workspace, tests aside.

use super::{Source, assert_none, is_word, sources, without_tests};
use std::collections::BTreeMap;

/// Names that are defined several times for now, each with what the other ones are to be called.
const SEVERAL: [(&str, &str); 30] = [
    ("Change", "`snapshot`: `PlannedChange`"),
    ("Due", "`output`: `DueFlush`"),
    ("Entry", "`output`: `QueuedItem`"),
    ("Event", "`snapshot`: `EventRecord`"),
    ("Field", "`snapshot`: `FieldChange`"),
    ("Form", "`output`: `TailFormat`; `reconcile::text`: `TextForm`"),
    ("Identity", "`source`: `FileId`"),
    ("Key", "`source`: `FileKey`"),
    ("Known", "`source`: `WatchedPaths` and `CachedDigest`; `reconcile`: `Freshness`"),
    ("Lines", "`control`: `LineBody`; `output`: `LineSplitter`"),
    ("Look", "`source`: `Debounce`; `output`: `LineFormat`"),
    ("Open", "`output`: `OpenStream` and `OpenFile`"),
    ("Order", "`control`: `OrderBody`"),
    ("Outcome", "`supervisor`: `OrderOutcome`"),
    ("Owner", "`output`: `SinkOwner` and `FileOwner`"),
    ("Place", "`output`: `SinkTarget` and `HistorySlot`"),
    ("Plan", "`snapshot`: `PlanReport`"),
    ("Problem", "`snapshot`: `ConfigProblem`"),
    ("Process", "`snapshot`: `ProcessStatus`"),
    ("Reader", "`output`: `StreamReader`"),
    ("Record", "`output`: `LineRecord`"),
    ("Shared", "`output`: `ReaderState` and `HistoryState`"),
    ("Signal", "`supervisor`: `ReceivedSignal`"),
    ("Span", "`reconcile`: `HumanDuration`"),
    ("Stale", "`snapshot`: `StaleProcess`"),
    ("State", "`output`: `WriterState`"),
    ("Step", "`snapshot`: `PlannedStep`"),
    ("Summary", "`snapshot`: `PlanSummary`"),
    ("Text", "`output`: `SharedText`"),
    ("What", "`output`: `TailItem`; `reconcile`: `ReportKind`"),
];

/// The name that a line defines a type by, if it does. Types within an `impl` are its own affair.
fn defined(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip_while(|word| word.starts_with("pub") || word.ends_with(')'));
    let keyword = words.next()?;
    let name = words.next()?;
    let name = &name[..name.find(|character| !is_word(character)).unwrap_or(name.len())];
    (matches!(keyword, "struct" | "enum" | "trait" | "type" | "union") && !name.is_empty()).then_some(name)
}

fn definitions(sources: &[Source]) -> BTreeMap<&str, Vec<&str>> {
    let mut definitions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.path.ends_with("/tests.rs")) {
        for name in without_tests(&source.text).filter_map(defined) {
            definitions.entry(name).or_default().push(&source.path);
        }
    }
    definitions
}

#[test]
fn a_type_name_is_defined_once() {
    let sources = sources(&["src", "reconcile/src"]);
    let mut several = definitions(&sources);
    several.retain(|_, files| files.len() > 1);
    let unneeded: Vec<String> =
        SEVERAL.iter().filter(|(name, _)| several.remove(name).is_none()).map(|(name, _)| (*name).to_owned()).collect();
    assert_none("these names are defined once: remove them from `SEVERAL`", &unneeded);
    let several: Vec<String> = several.iter().map(|(name, files)| format!("`{name}`: {}", files.join(" "))).collect();
    assert_none("one name, one thing: give each of these a telling name", &several);
}

#[test]
fn definitions_are_seen() {
    let lines =
        ["struct A;", "pub struct A<'a> {", "pub(in crate::config) enum A {", "pub(super) trait A: Send {", "type A = u8;"];
    assert_eq!(lines.map(defined), [Some("A"); 5]);
    assert_eq!(["    type Error = E;", "// struct A", "fn f() -> A {", "let type_name = 1;", "impl A {"].map(defined), [None; 5]);
}
