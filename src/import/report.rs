//! The report on an import: what was not carried over, why, and what comes nearest.

use super::Kind;
use super::model::{Note, NoteKind};
use crate::terminal::plural;
use std::fmt::Write;

/// The most notes of a kind that are shown.
const MOST: usize = 200;

/// The report as text.
pub(super) fn report(notes: &[Note], processes: usize, shown: &str, kind: Kind) -> String {
    let mut text =
        format!("navigator: imported {} from `{shown}` ({})\n", plural(processes, "process", "processes"), kind.title());
    for (kind, title) in [
        (NoteKind::Dropped, "not carried over"),
        (NoteKind::Hardening, "hardening that is not applied any more"),
        (NoteKind::Changed, "different from the original"),
    ] {
        let mut notes: Vec<&Note> = notes.iter().filter(|note| note.kind == kind).collect();
        let mut seen = std::collections::BTreeSet::new();
        notes.retain(|note| seen.insert((&note.place, &note.process, &note.what, &note.reason)));
        if notes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}:");
        for note in notes.iter().take(MOST) {
            let of = note.process.as_ref().map(|process| format!(" of `{process}`")).unwrap_or_default();
            let _ = writeln!(text, "  {}: `{}`{of}: {}", note.place, note.what, note.reason);
        }
        if notes.len() > MOST {
            let _ = writeln!(text, "  and {} more", notes.len() - MOST);
        }
    }
    text
}
