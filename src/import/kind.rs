//! The kinds of files that can be imported, and how they are recognized.

use super::context::Source;
use super::{ImportError, ImportRequest};
use crate::config::{Files, Loose, read_loose};
use crate::error_text::words;
use std::path::{Path, PathBuf};

/// Another program whose files can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Procfile` of foreman, honcho, overmind and Heroku, with `.env`.
    Procfile,
    /// `supervisord.conf`
    Supervisord,
    /// Units of systemd: `.service`, `.timer`, `.socket`, `.path`
    Systemd,
    /// `compose.yml`
    Compose,
    /// `process-compose.yml`
    ProcessCompose,
}

impl Kind {
    /// Every kind, by the name for `--from`.
    pub const ALL: [(&'static str, Kind); 5] = [
        ("procfile", Kind::Procfile),
        ("supervisord", Kind::Supervisord),
        ("systemd", Kind::Systemd),
        ("compose", Kind::Compose),
        ("process-compose", Kind::ProcessCompose),
    ];

    /// What it is called in sentences.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Procfile => "Procfile",
            Kind::Supervisord => "supervisord",
            Kind::Systemd => "systemd",
            Kind::Compose => "Compose",
            Kind::ProcessCompose => "process-compose",
        }
    }
}

/// Reads the files, and recognizes their kind.
pub(super) fn sources(request: ImportRequest<'_>, files: &dyn Files) -> Result<(Vec<Source>, Kind), ImportError> {
    let mut sources = Vec::new();
    let mut found: Option<(Kind, PathBuf)> = None;
    for path in request.paths {
        let is_directory = std::fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir());
        let text = if is_directory { String::new() } else { text(path, files)? };
        let source = Source::new(path, text);
        if request.kind.is_none() && !source.is_env_file() {
            let kind = if is_directory { None } else { recognized(&source) };
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

/// The text of a file.
pub(super) fn text(path: &Path, files: &dyn Files) -> Result<String, ImportError> {
    let unreadable = |reason: String| ImportError::Unreadable { path: path.to_owned(), reason };
    let bytes = files.read(path).map_err(|error| unreadable(words(&error)))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is no text in UTF-8".to_owned()))?;
    if text.contains('\0') {
        return Err(unreadable("it holds NUL bytes, so it is no text".to_owned()));
    }
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

/// The kind of a file by its name and its content.
fn recognized(source: &Source) -> Option<Kind> {
    let name = source.name().to_ascii_lowercase();
    let heads = || source.text.lines().map(str::trim).filter(|line| line.starts_with('['));
    let has_head = |starts: &[&str]| heads().any(|head| starts.iter().any(|start| head.starts_with(start)));
    if name.starts_with("procfile") || name.ends_with(".procfile") {
        return Some(Kind::Procfile);
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
    if document.get("processes").is_some_and(|processes| !processes.entries().is_empty()) {
        return Some(Kind::ProcessCompose);
    }
    if document.get("services").is_some_and(|services| !services.entries().is_empty()) {
        return Some(Kind::Compose);
    }
    None
}
