//! Where the bench works: a directory of its own with the programs written in C, removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory. Programs, journal and logs lie in one part of it, configurations in others: what happens in a
/// configuration's directory, and in those above it, wakes whoever watches for saves.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Place {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scale-{}", std::process::id()));
        fs::create_dir_all(directory.join("own")).expect("a directory");
        let place = Place(directory);
        // Without a C library there is nobody to call for a loop that copies or clears.
        place.compile("child", &["-static", "-nostdlib", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns"]);
        place.compile("floor", &[]);
        place
    }

    fn compile(&self, name: &str, flags: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scale").join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-Werror"]).args(flags).arg("-o").arg(self.own(name)).arg(source);
        assert!(compiler.status().expect("`cc` is installed").success(), "{name}.c compiles");
    }

    /// A file of the bench's own.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.0.join("own").join(name)
    }

    pub(crate) fn child(&self) -> PathBuf {
        self.own("child")
    }

    /// An empty directory below.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("it is ours");
        }
        fs::create_dir(&path).expect("a directory");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}
