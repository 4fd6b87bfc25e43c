//! The configuration file, read when somebody asks for it, on a thread of its own so that the loop never waits for a disk.
//!
//! It doesn't decide whether anything changed, only whether what stands in the file can be wanted.

use crate::config::{self, Disk, Environment, Loaded, Rejected};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// A configuration file and everything it names.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    environment: Environment,
}

impl FileSource {
    /// The file at `path`; `environment` is what substitution sees of navigator's own.
    pub fn new(path: PathBuf, environment: Environment) -> FileSource {
        FileSource { path, environment }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file now.
    pub fn load(&self) -> Result<Loaded, Rejected> {
        config::load(&self.path, &Disk, &self.environment)
    }

    /// Reads the file whenever it is asked to, until the asker is dropped, and gives each result to `deliver`.
    ///
    /// Several requests that come while one is being served are one: the file is read again after the last of them.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn on_request(self, deliver: impl Fn(Result<Loaded, Rejected>) + Send + 'static) -> io::Result<Asker> {
        let (ask, asked) = mpsc::channel();
        thread::Builder::new().name("source".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                while asked.try_recv().is_ok() {}
                deliver(self.load());
            }
        })?;
        Ok(Asker(ask))
    }
}

/// Asks for the file to be read.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<()>);

impl Asker {
    /// Asks. The answer comes by another way.
    pub fn ask(&self) {
        // The thread ends only with the process, after every asker; there is nobody left to tell otherwise.
        let _ = self.0.send(());
    }
}
