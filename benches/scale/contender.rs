//! Who is measured: navigator, the floor, and whichever peers are installed. Each is laid out from nothing before it is
//! started, and its layout is no part of any figure.

use crate::host::Host;
use crate::journal::Journal;
use crate::place::Place;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAVIGATOR: &str = env!("CARGO_BIN_EXE_navigator");

/// How navigator's processes are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each after the one before it in the list.
    Listed,
    /// Each with `depends_on: []`.
    Free,
}

/// A program that starts and keeps processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// `floor.c`.
    Floor,
    Navigator(Order),
    /// `isolated.c`.
    Isolated(Order),
    Runit,
    S6,
    Supervisord,
}

impl Contender {
    /// The floors, navigator both ways, and, if they are wanted, the peers that are installed.
    pub(crate) fn all(place: &Place, with_peers: bool) -> Vec<Contender> {
        let both = [Order::Listed, Order::Free];
        let isolated = both.into_iter().map(Contender::Isolated).filter(|_| place.groups().is_some());
        let own = isolated.chain(both.into_iter().map(Contender::Navigator));
        let peers = [(Contender::Runit, "runsvdir"), (Contender::S6, "s6-svscan"), (Contender::Supervisord, "supervisord")];
        let installed = peers.into_iter().filter(|(_, program)| with_peers && is_installed(program)).map(|(peer, _)| peer);
        std::iter::once(Contender::Floor).chain(own).chain(installed).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Floor => "floor: posix_spawn",
            Contender::Navigator(Order::Listed) => "navigator, list order",
            Contender::Navigator(Order::Free) => "navigator, depends_on: []",
            Contender::Isolated(Order::Listed) => "floor, isolated: stop in order",
            Contender::Isolated(Order::Free) => "floor, isolated: stop at once",
            Contender::Runit => "runit",
            Contender::S6 => "s6",
            Contender::Supervisord => "supervisord",
        }
    }

    /// Lays out so many processes, and starts it.
    pub(crate) fn start(self, place: &Place, journal: &Journal, count: usize) -> Host {
        let directory = place.fresh("host");
        let mut command = match self {
            Contender::Floor => {
                let mut floor = Command::new(place.own("floor"));
                floor.arg(count.to_string()).arg(place.child()).arg(journal.path());
                floor
            }
            Contender::Isolated(order) => {
                let mut isolated = Command::new(place.own("isolated"));
                isolated.arg(count.to_string()).arg(place.child()).arg(journal.path());
                isolated.args(place.groups()).arg(if order == Order::Listed { "turn" } else { "once" });
                isolated
            }
            Contender::Navigator(order) => {
                Config { count, order, changed: None }.prepare(&directory, place, journal);
                put_in_place(&directory);
                navigator(&directory, place)
            }
            Contender::Runit => {
                let services = directories(&directory, place, journal, count);
                let mut runsvdir = Command::new("runsvdir");
                runsvdir.arg(services);
                runsvdir
            }
            Contender::S6 => {
                let services = directories(&directory, place, journal, count);
                let mut svscan = Command::new("s6-svscan");
                svscan.args(["-c", "20000"]).arg(services);
                svscan
            }
            Contender::Supervisord => {
                let file = directory.join("supervisord.conf");
                fs::write(&file, supervisord(&directory, place, journal, count)).expect("a file");
                let mut supervisord = Command::new("supervisord");
                supervisord.arg("-c").arg(file);
                supervisord
            }
        };
        let log = File::create(place.own("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Host::start(self, directory, command, place.child())
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Navigator with its configuration in this directory.
pub(crate) fn navigator(directory: &Path, place: &Place) -> Command {
    let mut command = Command::new(NAVIGATOR);
    command
        .arg(directory.join(FILE))
        .env("NAVIGATOR_STATE_DIR", place.state())
        .env("NAVIGATOR_PID_FILE", directory.join("pid"))
        .env_remove("LOG_LEVEL");
    command
}

/// The name of the configuration.
pub(crate) const FILE: &str = "navigator.yml";
const NEW: &str = "navigator.yml.new";

/// Renames what was prepared into its place, as careful editors save.
pub(crate) fn put_in_place(directory: &Path) {
    fs::rename(directory.join(NEW), directory.join(FILE)).expect("it was prepared");
}

/// A configuration of navigator's.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    pub(crate) count: usize,
    pub(crate) order: Order,
    /// A process, and the version of it that is wanted.
    pub(crate) changed: Option<(usize, usize)>,
}

impl Config {
    /// Writes it beside its place, for [`put_in_place`].
    pub(crate) fn prepare(&self, directory: &Path, place: &Place, journal: &Journal) {
        fs::write(directory.join(NEW), self.text(place, journal)).expect("a file");
    }

    fn text(&self, place: &Place, journal: &Journal) -> String {
        // Every kill then is the first failure after a healthy run.
        let mut text = "defaults: { auto_restart: true, backoff: { reset_after: 0 } }\nmanaged_processes:\n".to_owned();
        for number in 0..self.count {
            let version = self.changed.filter(|(changed, _)| *changed == number).map_or(0, |(_, version)| version);
            writeln!(
                text,
                "  - name: process-{number}\n    command: {}\n    args: [\"{}\", \"{version}\"]",
                place.child().display(),
                journal.argument(number),
            )
            .expect("a string takes all");
            if self.order == Order::Free {
                text.push_str("    depends_on: []\n");
            }
        }
        text
    }
}

/// A directory for each process, as runit and s6 have them. The kernel passes the argument, so that no shell is measured.
fn directories(directory: &Path, place: &Place, journal: &Journal, count: usize) -> PathBuf {
    let services = directory.join("services");
    fs::create_dir(&services).expect("a directory");
    for number in 0..count {
        let service = services.join(format!("process-{number}"));
        fs::create_dir(&service).expect("a directory");
        let run = service.join("run");
        fs::write(&run, format!("#!{} {}\n", place.child().display(), journal.argument(number))).expect("a file");
        fs::set_permissions(run, Permissions::from_mode(0o755)).expect("it is ours");
    }
    services
}

fn supervisord(directory: &Path, place: &Place, journal: &Journal, count: usize) -> String {
    let directory = directory.display();
    let mut text = format!(
        "[supervisord]\nnodaemon=true\nminfds=16384\nlogfile={directory}/supervisord.log\npidfile={directory}/pid\nchildlogdir={directory}\n"
    );
    for number in 0..count {
        let (child, argument) = (place.child(), journal.argument(number));
        writeln!(text, "[program:process-{number}]\ncommand={} {argument}\nautorestart=true\nstartsecs=0", child.display())
            .expect("a string takes all");
    }
    text
}
