//! The JSON Schema accepts and rejects the same configurations as the loader, as far as a schema can.
//!
//! Configurations are parsed as an editor's language server does it: by YAML 1.2, in which `0777` and `1.10` are numbers.
//! `fixtures/schema.json` is the output of `navigator schema`.

mod values;

use super::fixtures::{environment, over_disk, paths, settle};
use super::unannotated;
use boon::{Compiler, SchemaIndex, Schemas};
use navigator::config::{Diagnostic, Severity, load, schema};
use serde_json::Value;
use serde_yaml::options::NonFiniteFloatPolicy;
use std::path::Path;

/// Errors that no schema can find: a part of the loader's message, and the reason.
const NOT_IN_SCHEMA: &[(&str, &str)] = &[
    ("duplicate process name", "needs comparing items of two lists, and of other files"),
    ("unknown process", "depends on the names of other items"),
    ("depends on itself", "depends on another key"),
    ("is less than its", "needs comparing two values"),
    ("must be shorter than", "needs comparing two values"),
    ("`'s already (", "needs comparing items of two lists, and of other files"),
    ("overlaps `", "needs comparing two values"),
    ("is twice in `listen`", "needs comparing two values"),
    ("needs `ready`", "depends on another key, which `defaults` may have"),
    ("has no effect without", "depends on another key, which `defaults` may have"),
    ("a task serves no clients", "depends on another key"),
    ("always passes", "needs comparing two values"),
    ("may be answered by the old run", "needs comparing two values"),
    ("is a socket of `listen`", "needs comparing two values"),
    ("is set by navigator", "concerns other files"),
    ("too long for a socket", "depends on the directory of the file"),
    ("dependency cycle", "needs a graph"),
    ("which starts after every managed process", "needs a graph"),
    ("is never closed", "references nest, which a regular expression can't check"),
    ("variable `", "depends on the environment"),
    ("is set nowhere else", "depends on the environment"),
    ("`${", "depends on the value of a variable"),
    ("is not replaced", "an escape looks like it"),
    ("an invisible character", "a path may contain it elsewhere"),
    ("must be one program", "a file may have such a name"),
    ("has no value", "an editor doesn't distinguish an empty value from `null`"),
    ("refer to each other in a loop", "needs a graph"),
    ("there is no such file", "concerns other files"),
    ("can't name its own file", "concerns other files"),
    ("it is a directory", "concerns other files"),
    ("the YAML tag `", "an editor resolves tags before it validates"),
];

/// The compiled schema.
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

    /// The schema's error for a text, if any.
    pub(crate) fn objection(&self, text: &[u8]) -> Option<String> {
        match parse_like_an_editor(text) {
            Ok(value) => self.schemas.validate(&value, self.root).err().map(|error| format!("{error:#}")),
            Err(error) => Some(format!("not YAML: {error}")),
        }
    }
}

fn parse_like_an_editor(text: &[u8]) -> Result<Value, String> {
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
fn the_printed_schema_is_the_fixture() {
    let mut failures = Vec::new();
    settle(Path::new("fixtures/schema.json"), &format!("{:#}\n", schema()), &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_schema_accepts_good_configurations() {
    let validator = Validator::new();
    let objections = paths("good").into_iter().filter_map(|path| {
        let objection = validator.objection(&unannotated(&path))?;
        Some(format!("{}: {objection}", path.display()))
    });
    let objections: Vec<String> = objections.collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn the_schema_rejects_bad_configurations_as_far_as_a_schema_can() {
    let validator = Validator::new();
    let mut unneeded: Vec<&str> = NOT_IN_SCHEMA.iter().map(|(part, _)| *part).collect();
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
            let exception = NOT_IN_SCHEMA.iter().find(|(part, _)| message.contains(part));
            match exception {
                Some((part, _)) => unneeded.retain(|other| other != part),
                None => failures.push(format!("{}: the schema doesn't find: {message}", path.display())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(unneeded, Vec::<&str>::new(), "remove these from the list");
    assert!(rejected > 40, "the schema rejects only {rejected} of the fixtures");
    assert!(elsewhere > 5, "only {elsewhere} errors are in other files");
}

fn errors(path: &Path, text: Vec<u8>) -> Vec<Diagnostic> {
    let rejected = load(path, &over_disk(path, text), &environment()).expect_err("a bad fixture is rejected");
    rejected.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}
