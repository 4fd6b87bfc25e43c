//! Loads a file of a repository for a host that follows it.

use super::host_source::{HOST, HostSource};
use super::load::load_with;
use super::read::Origin;
use super::{Diagnostic, Environment, Files, Loaded, Rejected};
use reconcile::text::Text;
use std::path::{Path, PathBuf};

/// The variable with the path under which the files of the repository are.
const SOURCE_DIR: &str = "NAVIGATOR_SOURCE_DIR";

/// A file of a repository, and where it is read.
#[derive(Clone, Copy, Debug)]
pub struct FollowedFile<'a> {
    /// The directory under which the files of the repository are, whatever the commit.
    pub directory: &'a Path,
    /// The commit, in short; for messages.
    pub commit: &'a str,
}

/// Loads the configuration of a repository for a host. `host`: what its own file says.
///
/// # Errors
/// Every problem of the repository's files.
pub fn load_followed(
    host: &Loaded,
    source: &HostSource,
    followed: FollowedFile<'_>,
    files: &dyn Files,
    environment: &Environment,
) -> Result<Loaded, Rejected> {
    let main = followed.directory.join(&source.git.path);
    let directory = followed.directory.to_string_lossy();
    let environment = environment.with([(HOST, source.host.as_str()), (SOURCE_DIR, &*directory)]);
    let origin = Origin::Repository(source.variables.clone());
    match load_with(&main, files, &environment, origin, None) {
        Ok(mut loaded) => {
            followed.name_files(&mut loaded.warnings);
            let settings = source.settings.clone().unwrap_or(loaded.settings);
            let timeout = source.shutdown_timeout.unwrap_or(loaded.desired.shutdown_timeout());
            // A change of the settings alone makes a new generation.
            let beyond = Text::secret(&format!("{settings:?}"), "settings");
            let mut warnings = host.warnings.clone();
            warnings.append(&mut loaded.warnings);
            let mut inputs = host.inputs.clone();
            inputs.add(loaded.inputs);
            Ok(Loaded {
                desired: loaded.desired.with_shutdown_timeout(timeout).with_beyond(beyond),
                settings,
                warnings,
                inputs,
                source: host.source.clone(),
                ..loaded
            })
        }
        Err(mut rejected) => {
            followed.name_files(&mut rejected.diagnostics);
            rejected.inputs.add(host.inputs.clone());
            rejected.source.clone_from(&host.source);
            Err(rejected)
        }
    }
}

impl FollowedFile<'_> {
    /// Names files of the repository as they are called there, with the commit.
    fn name_files(self, diagnostics: &mut [Diagnostic]) {
        for Diagnostic { file, labels, .. } in diagnostics {
            for place in std::iter::once(file).chain(labels.iter_mut().map(|label| &mut label.file)) {
                if let Ok(inside) = place.strip_prefix(self.directory) {
                    let named = format!("{}@{}", inside.display(), self.commit);
                    *place = PathBuf::from(named);
                }
            }
        }
    }
}
