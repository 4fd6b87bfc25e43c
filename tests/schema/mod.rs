//! The schema says of a configuration what the loader says, as far as a schema can.
//!
//! Configurations reach the schema as an editor's language server would give them to it: by YAML 1.2, so that `0777` and `1.10`
//! are numbers there. `fixtures/schema.json` is what `navigator schema` prints.

mod values;

use super::fixtures::{environment, over_disk, paths, settle};
use super::unannotated;
use boon::{Compiler, SchemaIndex, Schemas};
use navigator::config::{Diagnostic, Severity, load, schema};
use serde_json::Value;
use serde_yaml::options::NonFiniteFloatPolicy;
use std::path::Path;

/// What a schema can't say of the text itself, by a part of the loader's message, and why it can't.
const BEYOND: &[(&str, &str)] = &[
    ("duplicate process name", "it would compare items of two lists, and of other files"),
    ("unknown process", "what one item says would depend on the names of others"),
    ("depends on itself", "what one key says would depend on another"),
    ("is less than its", "it would compare two values"),
    ("dependency cycle", "it is about a graph"),
    ("which starts after every managed process", "it is about a graph"),
    ("is never closed", "references nest, and no regular expression counts"),
    ("variable `", "what variables there are is known in an environment only"),
    ("`${", "what a reference stands for is known in an environment only"),
    ("has no value", "what is empty and what is `null` are the same to an editor"),
    ("refer to each other in a loop", "it is about a graph"),
    ("there is no such file", "it is about other files"),
    ("a file can't include itself", "it is about other files"),
    ("it is a directory", "it is about other files"),
    ("the YAML tag `", "an editor has replaced the tag by what it knows of it"),
];

/// The schema, ready to be held against values.
pub(crate) struct Validator {
    schemas: Schemas,
    root: SchemaIndex,
}

impl Validator {
    pub(crate) fn new() -> Validator {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("navigator.json", schema()).expect("it has no other name");
        let root = compiler.compile("navigator.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Validator { schemas, root }
    }

    /// What the schema objects to, if it does.
    pub(crate) fn objection(&self, text: &[u8]) -> Option<String> {
        match as_an_editor_reads_it(text) {
            Ok(value) => self.schemas.validate(&value, self.root).err().map(|error| format!("{error:#}")),
            Err(error) => Some(format!("this is no YAML: {error}")),
        }
    }
}

fn as_an_editor_reads_it(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let options = serde_yaml::options! {
        with_snippet: false,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    serde_yaml::from_str_with_options(text, options).map_err(|error| error.to_string())
}

#[test]
fn what_is_printed_is_known() {
    let mut failures = Vec::new();
    settle(Path::new("fixtures/schema.json"), &format!("{:#}\n", schema()), &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn good_configurations_are_valid() {
    let validator = Validator::new();
    let objections = paths("good").into_iter().filter_map(|path| {
        let objection = validator.objection(&unannotated(&path))?;
        Some(format!("{}: {objection}", path.display()))
    });
    let objections: Vec<String> = objections.collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn bad_configurations_are_invalid_but_for_what_no_schema_can_say() {
    let validator = Validator::new();
    let mut unneeded: Vec<&str> = BEYOND.iter().map(|(part, _)| *part).collect();
    let (mut rejected, mut elsewhere, mut failures) = (0, 0, Vec::new());
    for path in paths("bad") {
        let text = unannotated(&path);
        if validator.objection(&text).is_some() {
            rejected += 1;
            continue;
        }
        for Diagnostic { file, message, .. } in errors(&path, text) {
            if file != path {
                elsewhere += 1;
                continue;
            }
            let beyond = BEYOND.iter().find(|(part, _)| message.contains(part));
            match beyond {
                Some((part, _)) => unneeded.retain(|other| other != part),
                None => failures.push(format!("{}: the schema says nothing of: {message}", path.display())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(unneeded, Vec::<&str>::new(), "these need not be listed any more");
    assert!(rejected > 40, "the schema rejects only {rejected} of the fixtures");
    assert!(elsewhere > 5, "only {elsewhere} errors are in other files");
}

fn errors(path: &Path, text: Vec<u8>) -> Vec<Diagnostic> {
    let rejected = load(path, &over_disk(path, text), &environment()).expect_err("a bad fixture is rejected");
    rejected.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}
