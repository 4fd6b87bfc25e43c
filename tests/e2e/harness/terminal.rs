//! A terminal that a command under test writes to: a pseudo-terminal of a known width, and everything that came out of it.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

/// What a command wrote, and its exit code (`None`: a signal ended it).
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

/// Runs a command to its end, with a terminal of this many columns as its input and output; its diagnostics go to a pipe.
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
pub(crate) fn on_terminal(command: &mut Command, columns: u16) -> Played {
    let (terminal, reader) = terminal(columns);
    let input = terminal.try_clone().expect("a descriptor is free");
    let mut child = command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(terminal))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // What is kept of the terminal here would keep it from ending.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut stderr = String::new();
    child.stderr.take().expect("it is a pipe").read_to_string(&mut stderr).expect("diagnostics are text");
    let code = child.wait().expect("it is our own child").code();
    let shown = reader.join().expect("a terminal can be read");
    Played { stdout: String::from_utf8(shown).expect("what is shown is text"), stderr, code }
}

/// Runs a command to its end with a terminal as its input, output and diagnostics. Returns every byte that arrived there.
#[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
pub(crate) fn shown_on_terminal(command: &mut Command, columns: u16) -> Vec<u8> {
    let (terminal, reader) = terminal(columns);
    let [input, output] = [(); 2].map(|()| terminal.try_clone().expect("a descriptor is free"));
    command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::from(terminal));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // The terminal ends when its last descriptor is closed, and the command holds some.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    child.wait().expect("it is our own child");
    reader.join().expect("a terminal can be read")
}

/// One end of a new terminal, and a thread that reads the other until nobody has the first one any more.
fn terminal(columns: u16) -> (OwnedFd, JoinHandle<Vec<u8>>) {
    let (terminal, master) = open_terminal(columns);
    (terminal, thread::spawn(move || read(master)))
}

/// A new terminal of this width, and the end that it closes with.
pub(crate) fn open_terminal(columns: u16) -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("the system has terminals");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let terminal = File::options().read(true).write(true).open(path).expect("it can be opened");
    let mut modes = tcgetattr(&terminal).expect("it is a terminal");
    // Lines end as they were written.
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&terminal, OptionalActions::Now, &modes).expect("it is a terminal");
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it is a terminal");
    (terminal.into(), master)
}

fn read(master: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The end of a terminal is an error (EIO).
    let _end = File::from(master).read_to_end(&mut bytes);
    bytes
}
