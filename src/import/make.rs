//! From files to a configuration: recognizes them, reads them, writes the result and loads it.

use super::context::{ForeignFile, ImportContext, finish};
use super::files::DiskWithoutLinks;
use super::model::ImportedStack;
use super::{ImportError, ImportRequest, Imported, Kind};
use super::{
    circus, compose, document, pebble, pm2, process_compose, procfile, recognize, report, s6, supervisord, systemd, web_server,
};
use crate::config::{Environment, WithText, load};

/// Imports files.
///
/// # Errors
/// A file can't be read, or nothing in it can be imported.
pub fn import(request: ImportRequest<'_>, environment: &Environment) -> Result<Imported, ImportError> {
    let files = &DiskWithoutLinks;
    let (sources, kind) = recognize::sources(request, files)?;
    let first = sources.iter().find(|source| !source.is_env_file()).unwrap_or(&sources[0]);
    let beside = first.directory().join("navigator.yml");
    let out = crate::paths::absolute(request.out.unwrap_or(&beside));
    let context = ImportContext::new(files, environment, &out);
    let mut stack = ImportedStack::default();
    read(kind, &context, &sources, &mut stack)?;
    finish(&mut stack, first)?;
    let notes = std::mem::take(&mut stack.notes);
    let shown = first.shown();
    let count = stack.processes.len();
    let header = format!("Imported from {shown} ({}) by `navigator import`. See docs/migrating.md.", kind.title());
    let text = document::written(stack, &header).map_err(|reason| ImportError::Invalid { place: shown.to_owned(), reason })?;
    let overlay = WithText { files, place: &out, text: &text };
    if let Err(rejected) = load(&out, &overlay, &environment.clone().elsewhere()) {
        let reason = format!("the result is not valid, which is a mistake of `navigator import`: {}", rejected.summary());
        return Err(ImportError::Invalid { place: shown.to_owned(), reason });
    }
    Ok(Imported { text, report: report::report(&notes, count, shown, kind) })
}

/// Reads files of a kind.
fn read(kind: Kind, context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    match kind {
        Kind::Compose => compose::read(context, sources, stack),
        Kind::ProcessCompose => process_compose::read(context, sources, stack),
        Kind::Pm2 => pm2::read(context, sources, stack),
        Kind::Pebble => pebble::read(context, sources, stack),
        Kind::S6 => s6::read(context, sources, stack),
        Kind::Circus => circus::read(context, sources, stack),
        Kind::Navigator => web_server::read(context, sources, stack),
        Kind::Procfile => procfile::read(context, sources, stack),
        Kind::Supervisord => supervisord::read(context, sources, stack),
        Kind::Systemd => systemd::read(context, sources, stack),
    }
}
