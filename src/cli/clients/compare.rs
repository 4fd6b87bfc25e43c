//! `navigator plan --against`: shows what the step from one file to another would change, without a navigator.

use super::super::check::{DiskAndInput, STANDARD_INPUT, reject};
use super::super::console::FAILURE;
use super::plan::{PlanView, exit_code, show};
use crate::config::{Diagnostic, Environment, Files, Loaded, Rejected, load, load_in_place};
use crate::paths::absolute;
use crate::snapshot::PlanReport;
use reconcile::engine::Engine;
use reconcile::preview::settle;
use reconcile::time::Time;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shows the plan from `old`, with every process running as it says, to `new`.
pub(in super::super) fn compare(old: &Path, new: &Path, elsewhere: bool, view: PlanView) -> ExitCode {
    let environment = Environment::current();
    let environment = if elsewhere { environment.elsewhere() } else { environment };
    // Paths in both go by the place of the new one: only the files differ, not where they are.
    let before = read_old(old, new, &environment);
    let wanted = load(new, &DiskAndInput, &environment);
    let (before, wanted) = match (before, wanted) {
        (Ok(before), Ok(wanted)) => (before.desired, wanted.desired),
        (before, wanted) => {
            for rejected in [before, wanted].iter().filter_map(|outcome| outcome.as_ref().err()) {
                reject(rejected);
            }
            return FAILURE.into();
        }
    };
    let mut engine = Engine::new();
    let now = settle(&mut engine, Time::ZERO, before);
    // No navigator runs, so no generation is in force.
    let plan = PlanReport { generation: 0, ..PlanReport::of(&engine, now, &wanted) };
    show(&plan, view);
    exit_code(&plan, view)
}

fn read_old(old: &Path, new: &Path, environment: &Environment) -> Result<Loaded, Rejected> {
    let tree = OldTree::of(old, new);
    let mut outcome = load_in_place(old, new, &tree, environment);
    if let Err(rejected) = &mut outcome {
        for Diagnostic { file, labels, .. } in &mut rejected.diagnostics {
            let places = std::iter::once(file).chain(labels.iter_mut().map(|label| &mut label.file));
            places.filter(|place| *place != old).for_each(|place| *place = tree.of_old(place));
        }
    }
    outcome
}

/// The files of the old configuration, found by the paths that they would have beside the new one.
struct OldTree<'p> {
    old: &'p Path,
    /// The directory that corresponds to `there`: the paths of both files differ in these alone.
    here: PathBuf,
    there: PathBuf,
}

impl OldTree<'_> {
    fn of<'p>(old: &'p Path, new: &Path) -> OldTree<'p> {
        let (mut there, mut here) = (absolute(old), absolute(new));
        if old == Path::new(STANDARD_INPUT) {
            // What it names is beside the new one.
            there.clone_from(&here);
        }
        // The files themselves may have different names.
        (there, here) = (directory(&there), directory(&here));
        while there.file_name().is_some() && there.file_name() == here.file_name() {
            (there, here) = (directory(&there), directory(&here));
        }
        OldTree { old, here, there }
    }

    /// The path of a file of the old configuration.
    fn of_old(&self, path: &Path) -> PathBuf {
        match absolute(path).strip_prefix(&self.here) {
            Ok(rest) if self.here != self.there => self.there.join(rest),
            _ => path.to_owned(),
        }
    }
}

fn directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

impl Files for OldTree<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        DiskAndInput.read(&if path == self.old { path.to_owned() } else { self.of_old(path) })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        DiskAndInput.list(&self.of_old(directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_the_paths_is_where_the_trees_are() {
        for (old, new, path, expected) in [
            ("/base/hosts/web1/n.yml", "/repo/hosts/web1/n.yml", "/repo/hosts/web1/app.env", "/base/hosts/web1/app.env"),
            ("/base/hosts/web1/n.yml", "/repo/hosts/web1/n.yml", "/repo/common/app.env", "/base/common/app.env"),
            ("/base/hosts/web1/n.yml", "/repo/hosts/web1/n.yml", "/etc/app.env", "/etc/app.env"),
            ("/base/old.yml", "/repo/new.yml", "/repo/app.env", "/base/app.env"),
            ("/repo/old.yml", "/repo/new.yml", "/repo/app.env", "/repo/app.env"),
            ("/repo/base/n.yml", "/repo/n.yml", "/repo/app.env", "/repo/base/app.env"),
            ("-", "/repo/n.yml", "/repo/app.env", "/repo/app.env"),
        ] {
            assert_eq!(OldTree::of(Path::new(old), Path::new(new)).of_old(Path::new(path)), Path::new(expected), "{old} {new}");
        }
    }
}
