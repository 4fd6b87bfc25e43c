//! Where the bench works: a directory of its own with the programs written in C, and one in memory for navigator's state, which
//! most hosts have in memory too (`/run`). Both are removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory. Programs, journal and logs lie in one part of it, configurations in others: what happens in a
/// configuration's directory, and in those above it, wakes whoever watches for saves.
pub(crate) struct Place {
    directory: PathBuf,
    state: PathBuf,
    /// A control group in which `isolated.c` can make others; `None`: it can't be built here, or there is none.
    groups: Option<PathBuf>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scale-{}", std::process::id()));
        fs::create_dir_all(directory.join("own")).expect("a directory");
        let state = Path::new("/dev/shm").join(format!("navigator-scale-{}", std::process::id()));
        let mut place = Place { directory, state, groups: None };
        assert!(place.compile("child", &["-static"]), "child.c compiles");
        assert!(place.compile("floor", &[]), "floor.c compiles");
        assert!(place.compile("server", &["-static"]), "server.c compiles");
        place.groups = own_group().filter(|_| place.compile("isolated", &["-pthread"]));
        place
    }

    /// Answers whether it compiles.
    fn compile(&self, name: &str, flags: &[&str]) -> bool {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scale").join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-Werror"]).args(flags).arg("-o").arg(self.own(name)).arg(source);
        compiler.status().expect("`cc` is installed").success()
    }

    /// Where control groups can be made.
    pub(crate) fn groups(&self) -> Option<&Path> {
        self.groups.as_deref()
    }

    /// A file of the bench's own.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.directory.join("own").join(name)
    }

    /// Where navigator keeps its state.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn child(&self) -> PathBuf {
        self.own("child")
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.own("server")
    }

    /// An empty directory below.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("it is ours");
        }
        fs::create_dir(&path).expect("a directory");
        path
    }
}

/// The control group of version 2 that the bench is in, if it may make others below.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = Path::new(mount).join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let trial = own.join(format!("scale-{}", std::process::id()));
    fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)).ok().map(|()| own)
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).expect("it is ours");
        // Who runs no navigator has none.
        let _none = fs::remove_dir_all(&self.state);
    }
}
