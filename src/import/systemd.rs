//! Units of systemd: services with their drop-ins, timers, sockets, paths and templates.

mod calendar;
mod edges;
mod exec;
mod keys;
mod service;
mod specifiers;
mod triggers;
mod unit;

use super::ImportError;
use super::context::{ForeignFile, ImportContext};
use super::model::ImportedStack;
use crate::config::Value;
use specifiers::Specifiers;
use std::collections::BTreeMap;
use unit::Unit;

/// The time limit of a stop, if a unit has none.
const STOP: u64 = 90;

/// Reads the units.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let units = unit::units(context, sources)?;
    let of_kind = |suffix: &'static str| units.iter().filter(move |unit| unit.name.ends_with(suffix));
    stack.defaults.set_from("inherit_env", words(&["LANG", "PATH"]), "systemd: units inherit hardly anything");
    stack.defaults.set_from("working_dir", Value::text("/"), "systemd: WorkingDirectory=/");
    stack.defaults.set_from("umask", Value::text("0022"), "systemd: UMask=0022");
    stack.defaults.set_from("restart", Value::text("never"), "systemd: Restart=no");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "systemd: no order without `After=`");
    stack.defaults.set_from(
        "stop",
        Value::Map(vec![("timeout".to_owned(), Value::Text(format!("{STOP}s")))]),
        format!("systemd: TimeoutStopSec={STOP}"),
    );
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for unit in of_kind(".service") {
        let instances = instances(unit, &units);
        for instance in &instances {
            let specifiers = Specifiers::new(unit, instance.as_deref());
            let added = service::add(context, unit, &specifiers, stack)?;
            names.entry(unit.name.clone()).or_default().push(added.clone());
            names.entry(specifiers.full_name()).or_default().push(added);
        }
    }
    for unit in &units {
        triggers::apply(unit, &names, stack);
    }
    edges::add(&units, &names, stack);
    Ok(())
}

/// The instances of a template that are named elsewhere; one for the whole unit without any.
fn instances(unit: &Unit<'_>, units: &[Unit<'_>]) -> Vec<Option<String>> {
    let Some((prefix, _)) = unit.name.split_once("@.") else { return vec![unit.instance()] };
    let texts = units.iter().flat_map(|unit| unit.entries.iter()).flat_map(|entry| entry.value.split_whitespace());
    let mut found: Vec<Option<String>> = Vec::new();
    for word in texts.chain(units.iter().map(|unit| unit.name.as_str())) {
        let instance = word.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('@')?.strip_suffix(".service"));
        let instance = instance.filter(|instance| !instance.is_empty() && !instance.contains('%')).map(str::to_owned);
        if instance.is_some() && !found.contains(&instance) {
            found.push(instance);
        }
    }
    let default = unit.last("Install", "DefaultInstance").map(|entry| entry.value.clone());
    if found.is_empty() { vec![default] } else { found }
}

/// A list of words.
fn words(words: &[&str]) -> Value {
    Value::Row(words.iter().map(|word| Value::text(word)).collect())
}
