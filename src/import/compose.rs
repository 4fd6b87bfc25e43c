//! Compose files: services that run a program of this host. What only a container can give is noted.

mod health;
mod service;

use super::ImportError;
use super::context::{ForeignFile, ImportContext};
use super::interpolation::interpolate;
use super::model::{ImportedStack, MOST_PROCESSES};
use crate::config::{Loose, LooseKind, Value, read_loose};
use std::collections::BTreeSet;

/// Reads the files; a later one overrides what an earlier one says, as with several `-f`.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let mut files: Vec<&ForeignFile> = sources.iter().filter(|source| !source.is_env_file()).collect();
    files.sort_by_key(|source| source.name().contains(".override."));
    let mut services: Vec<(String, Loose, &ForeignFile)> = Vec::new();
    let mut count = 0;
    for source in &files {
        let document = read_loose(&source.text).map_err(|reason| source.invalid(0, reason))?;
        let Some(given) = document.get("services") else {
            return Err(source.invalid(0, "it has no `services`"));
        };
        if !matches!(given.kind, LooseKind::Map(_)) {
            return Err(source.invalid(given.line, "expected `services` as a map of names"));
        }
        count += given.entries().len();
        if count > MOST_PROCESSES {
            return Err(source.invalid(given.line, format!("it has more than {MOST_PROCESSES} services")));
        }
        for (name, service) in given.entries() {
            match services.iter_mut().find(|(known, ..)| known == name) {
                Some((_, known, _)) => merge(known, service),
                None => services.push((name.clone(), service.clone(), source)),
            }
        }
        other_sections(source, &document, stack);
    }
    let Some(first) = files.first() else { return Ok(()) };
    for path in env_files(context, sources, first) {
        stack.top.push("env_file", Value::Text(path));
        stack.top.comment("env_file", "Compose uses it for `${…}` only; here each process gets these variables, too");
    }
    stack.defaults.set_from("restart", Value::text("never"), "Compose: restart: \"no\"");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "Compose: no order without `depends_on`");
    let all = services.clone();
    let mut left = MOST_COPIED;
    for (_, service, source) in &mut services {
        extend(service, &all, source, stack, &mut left);
        interpolate(service, context, stack, source);
    }
    let (with, without): (Vec<_>, Vec<_>) = services.iter().partition(|(_, service, _)| service::has_command(service));
    for (name, service, source) in &without {
        let image = service.get_text("image").unwrap_or("its image");
        let reason = format!(
            "it runs what {image} holds, and needs a container: go on running it with Compose, or write its program as `command`"
        );
        stack.drop(source, service.line, name, &reason);
    }
    let names: BTreeSet<&str> = with.iter().map(|(name, ..)| name.as_str()).collect();
    let awaited = service::awaited_to_complete(&services);
    for (name, service, source) in &with {
        service::add(context, source, (name, service), &names, awaited.contains(name), stack);
    }
    Ok(())
}

/// The env files for references: those given, or `.env` beside the file.
fn env_files(context: &ImportContext<'_>, sources: &[ForeignFile], first: &ForeignFile) -> Vec<String> {
    let given: Vec<&ForeignFile> = sources.iter().filter(|source| source.is_env_file()).collect();
    if given.is_empty() && context.exists(&first.directory().join(".env")) {
        return vec![context.file(first.directory(), ".env")];
    }
    given.iter().map(|source| context.file(source.directory(), source.name())).collect()
}

fn other_sections(source: &ForeignFile, document: &Loose, stack: &mut ImportedStack) {
    for (key, value) in document.entries() {
        let reason = match key.as_str() {
            "services" | "version" | "name" => continue,
            key if key.starts_with("x-") => continue,
            "volumes" | "networks" | "configs" | "secrets" => {
                "it belongs to containers: programs of this host use its files and ports"
            }
            "include" => "import these files along with this one",
            _ => "navigator has no equivalent",
        };
        let is_empty = value.is_null() || value.entries().is_empty() && value.items().is_empty();
        if !is_empty || !matches!(key.as_str(), "volumes" | "networks") {
            stack.drop(source, value.line, key, reason);
        }
    }
}

/// Overrides a service: maps are merged, other values are replaced, as Compose does for nearly all keys.
fn merge(base: &mut Loose, over: &Loose) {
    let LooseKind::Map(entries) = &mut base.kind else {
        *base = over.clone();
        return;
    };
    for (key, value) in over.entries() {
        if key == "environment" {
            let base = entries.iter_mut().find(|(known, _)| known == key);
            let mut variables = base.map(|(_, known)| as_map(known)).unwrap_or_default();
            merge(&mut variables, &as_map(value));
            entries.retain(|(known, _)| known != key);
            entries.push((key.clone(), variables));
            continue;
        }
        match entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) if matches!(value.kind, LooseKind::Map(_)) => merge(known, value),
            Some((_, known)) => *known = value.clone(),
            None => entries.push((key.clone(), value.clone())),
        }
    }
}

/// Variables as a map, also those that are written as `- NAME=value`.
fn as_map(value: &Loose) -> Loose {
    let entries = value.items().iter().flat_map(|item| match &item.kind {
        LooseKind::Map(entries) => entries.clone(),
        LooseKind::Text(text) => {
            let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
            vec![(name.to_owned(), value.map_or_else(Loose::default, |value| Loose::of(value, item.line)))]
        }
        _ => Vec::new(),
    });
    Loose { line: value.line, kind: LooseKind::Map(entries.collect()) }
}

/// The number of values in a value.
fn size(value: &Loose) -> usize {
    let below: usize = match &value.kind {
        LooseKind::List(items) => items.iter().map(size).sum(),
        LooseKind::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    };
    below + 1
}

/// The most values that `extends` copies.
const MOST_COPIED: usize = 200_000;

/// Fills in what a service takes from another one of the same files by `extends`.
fn extend(
    service: &mut Loose,
    all: &[(String, Loose, &ForeignFile)],
    source: &ForeignFile,
    stack: &mut ImportedStack,
    left: &mut usize,
) {
    let Some(extends) = service.get("extends").cloned() else { return };
    let name = extends.text().or_else(|| extends.get_text("service")).unwrap_or_default();
    let base = all.iter().find(|(known, ..)| known == name).filter(|_| extends.get("file").is_none() && *left > 0);
    let Some((_, base, _)) = base else {
        stack.drop(source, extends.line, "extends", "import the file that has this service along with this one");
        return;
    };
    *left = left.saturating_sub(size(base));
    if *left == 0 {
        stack.drop(source, extends.line, "extends", "services extend too much: write the keys into them");
        return;
    }
    let mut extended = base.clone();
    let own = service.clone();
    extend(&mut extended, all, source, stack, left);
    if let LooseKind::Map(entries) = &mut extended.kind {
        entries.retain(|(key, _)| !["depends_on", "extends", "links", "volumes_from"].contains(&key.as_str()));
    }
    merge(&mut extended, &own);
    *service = extended;
}
