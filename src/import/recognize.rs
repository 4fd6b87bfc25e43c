//! Recognizes the kind of files by their names and contents.

use super::context::{ForeignFile, text};
use super::{ImportError, ImportRequest, Kind, pm2, s6};
use crate::config::{Files, Loose, read_loose};
use std::path::PathBuf;

/// Reads the files, and recognizes their kind.
pub(super) fn sources(request: ImportRequest<'_>, files: &dyn Files) -> Result<(Vec<ForeignFile>, Kind), ImportError> {
    let mut sources = Vec::new();
    let mut found: Option<(Kind, PathBuf)> = None;
    for path in request.paths {
        let is_directory = std::fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir());
        let text = if is_directory { String::new() } else { text(path, files)? };
        let source = ForeignFile::new(path, text);
        if request.kind.is_none() && !source.is_env_file() {
            let kind = if is_directory { s6::is_service_tree(path, files).then_some(Kind::S6) } else { recognized(&source) };
            let kind = kind.ok_or_else(|| {
                let shown = path.display();
                ImportError::Unrecognized(format!(
                    "`{shown}`: its kind is not recognized: name it with `--from`, one of {}",
                    names()
                ))
            })?;
            if let Some((other, at)) = found.as_ref().filter(|(other, _)| *other != kind) {
                return Err(ImportError::Unrecognized(format!(
                    "`{}` is for {}, and `{}` for {}: import them one after the other",
                    at.display(),
                    other.title(),
                    path.display(),
                    kind.title()
                )));
            }
            found = Some((kind, path.clone()));
        }
        sources.push(source);
    }
    let kind = request.kind.or(found.map(|(kind, _)| kind));
    let kind =
        kind.ok_or_else(|| ImportError::Unrecognized("only env files are given: name the file that uses them, too".to_owned()))?;
    Ok((sources, kind))
}

/// The names for `--from`.
fn names() -> String {
    Kind::ALL.map(|(name, _)| format!("`{name}`")).join(", ")
}

/// The kind of a file by its name and its content.
fn recognized(source: &ForeignFile) -> Option<Kind> {
    let name = source.name().to_ascii_lowercase();
    let heads = || source.text.lines().map(str::trim).filter(|line| line.starts_with('['));
    let has_head = |starts: &[&str]| heads().any(|head| starts.iter().any(|start| head.starts_with(start)));
    if name.starts_with("procfile") || name.ends_with(".procfile") {
        return Some(Kind::Procfile);
    }
    if pm2::is_script(&name) {
        return Some(Kind::Pm2);
    }
    if has_head(&["[watcher:", "[circus]"]) {
        return Some(Kind::Circus);
    }
    let units = [".service", ".timer", ".socket", ".path", ".target"];
    if units.iter().any(|kind| name.ends_with(kind)) || has_head(&["[Unit]", "[Service]"]) {
        return Some(Kind::Systemd);
    }
    let supervisord =
        ["[program:", "[fcgi-program:", "[eventlistener:", "[supervisord]", "[supervisorctl]", "[group:", "[include]"];
    if has_head(&supervisord) || name.starts_with("supervisord") {
        return Some(Kind::Supervisord);
    }
    recognized_document(&read_loose(&source.text).ok()?)
}

/// The kind of a YAML or JSON document by its keys.
fn recognized_document(document: &Loose) -> Option<Kind> {
    let is_app = |app: &Loose| app.get("script").is_some();
    if document.get("apps").is_some() || is_app(document) || document.items().first().is_some_and(is_app) {
        return Some(Kind::Pm2);
    }
    if document.get("managed_processes").is_some() {
        return Some(Kind::Navigator);
    }
    let services = document.get("services").map(Loose::entries).unwrap_or_default();
    let of_pebble = ["override", "startup", "on-failure", "on-success"];
    let is_layer = services.iter().any(|(_, service)| of_pebble.iter().any(|key| service.get(key).is_some()));
    if is_layer || document.get("checks").is_some() || document.get("log-targets").is_some() {
        return Some(Kind::Pebble);
    }
    if document.get("processes").is_some_and(|processes| !processes.entries().is_empty()) {
        return Some(Kind::ProcessCompose);
    }
    if document.get("services").is_some_and(|services| !services.entries().is_empty()) {
        return Some(Kind::Compose);
    }
    None
}
