//! What a new definition means for a process: a class of change, and the fields that differ.

use crate::fields::{Field, defaults, fields, is_derived};
use crate::spec::Spec;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a new definition means for a process, compared with the one in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeClass {
    /// It is to run, and didn't before.
    Add,
    /// It is no longer to run.
    Remove,
    /// Its identity differs: another run is needed.
    Replace(Vec<Difference>),
    /// Only its upkeep differs, which is taken over in place.
    Update(Vec<Difference>),
    /// Its identity differs, and its run is kept on purpose.
    Stale(Vec<Difference>),
    /// Nothing differs.
    Keep,
}

/// One field that differs. Secrets are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the file, such as `env.PORT`.
    pub field: String,
    /// The old value; `None`: it wasn't set.
    pub old: Option<String>,
    /// The new value; `None`: it isn't set.
    pub new: Option<String>,
    /// Whether either value is secret. Then the shown texts may be equal.
    pub secret: bool,
    /// Whether the field belongs to the identity.
    pub identity: bool,
}

/// What changes for a process between two definitions. `None`: the file doesn't have it.
pub fn change(old: Option<&Spec>, new: Option<&Spec>) -> ChangeClass {
    let runs = |spec: &&Spec| spec.enabled;
    match (old.filter(runs), new.filter(runs)) {
        (None, Some(_)) => ChangeClass::Add,
        (Some(_), None) => ChangeClass::Remove,
        (None, None) => ChangeClass::Keep,
        (Some(old), Some(new)) if core::ptr::eq(old, new) || old == new => ChangeClass::Keep,
        (Some(old), Some(new)) if old.exec == new.exec => ChangeClass::Update(differences(old, new)),
        (Some(old), Some(new)) => ChangeClass::Replace(differences(old, new)),
    }
}

/// Every field that differs, sorted by its path, without those that differ because of another one and are at their defaults.
pub fn differences(old: &Spec, new: &Spec) -> Vec<Difference> {
    if !old.exec.unknown_fields.is_empty() {
        return unknown_differences(&old.exec.unknown_fields, new);
    }
    let specs = (old, new);
    let (old, new) = (fields(old), fields(new));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        let (was, is) = (old.get(path), new.get(path));
        if was.map(|field| &field.text) == is.map(|field| &field.text) {
            continue;
        }
        if is_derived(path) && is_unwritten(path, was, specs.0) && is_unwritten(path, is, specs.1) {
            continue;
        }
        let either = |test: fn(&Field) -> bool| was.into_iter().chain(is).any(test);
        found.push(Difference {
            field: path.clone(),
            old: was.map(|field| field.text.shown().to_string()),
            new: is.map(|field| field.text.shown().to_string()),
            secret: either(|field| field.text.is_secret()),
            identity: either(|field| field.identity),
        });
    }
    found
}

/// The differences of a definition of which these fields are unknown.
fn unknown_differences(unknown: &[String], new: &Spec) -> Vec<Difference> {
    let new = fields(new);
    let difference = |path: &String| {
        let field = new.get(path);
        let shown = field.map(|field| field.text.shown().to_string());
        let secret = field.is_some_and(|field| field.text.is_secret());
        Difference { field: path.clone(), old: Some("(not recorded)".to_string()), new: shown, secret, identity: true }
    };
    unknown.iter().map(difference).collect()
}

/// Whether a field of a definition is absent or at its default.
fn is_unwritten(path: &str, field: Option<&Field>, of: &Spec) -> bool {
    field.is_none_or(|field| defaults(of).get(path).is_some_and(|default| default.text == field.text))
}

/// The top-level names of the fields that differ, for a reason. If the identity differs, only its fields.
pub fn changed_fields(old: &Spec, new: &Spec) -> Vec<String> {
    tops(&differences(old, new))
}

/// The top-level names of these fields, as [`changed_fields`] has them.
pub fn tops(differences: &[Difference]) -> Vec<String> {
    let identity = differences.iter().any(|difference| difference.identity);
    let mut names: Vec<String> = Vec::new();
    for difference in differences.iter().filter(|difference| difference.identity || !identity) {
        let top = difference.field.split('.').next().unwrap_or(&difference.field);
        if !names.iter().any(|name| name == top) {
            names.push(top.to_string());
        }
    }
    names
}
