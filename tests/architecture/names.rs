//! A type name means one thing: it is defined once in the whole workspace, tests aside.

use super::{Source, assert_none, is_word, sources, without_tests};
use std::collections::BTreeMap;

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
