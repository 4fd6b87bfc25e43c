//! The entries about runs, and entries as lines of text.

use crate::checksum::fnv1a;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One fact in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalEntry {
    /// A navigator opened the journal.
    Life {
        /// Its name.
        life: String,
        /// The kernel's id of the boot.
        boot: String,
        /// Where it makes control groups; `None` before it makes any, and once all are removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        groups: Option<GroupDirectory>,
    },
    /// A configuration was accepted: how its processes are stopped, and in which order.
    Wanted {
        /// The longest that a shutdown may take, in milliseconds.
        shutdown_ms: u64,
        /// Every process of it.
        processes: Vec<Definition>,
        /// Which revision it is; `None` in the journals of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted: Option<Accepted>,
    },
    /// A program was started.
    Started(Started),
    /// Nothing is left of a run.
    Gone {
        /// Which run.
        key: RunKey,
    },
}

/// A revision that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its generation in the life of navigator that accepted it.
    pub generation: u64,
    /// The hash of everything that it was read from, in hexadecimal digits.
    pub content: String,
}

/// The directory in which one life of navigator makes the control groups of its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDirectory {
    /// Its path, in the form of `/proc/PID/cgroup`.
    pub path: String,
    /// Its inode, which the kernel gives to no other group within a boot. So a later directory of that path does not match, nor
    /// does one that has the path in another namespace.
    pub inode: u64,
}

/// A run, unique among all navigators of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey {
    /// The navigator that started it.
    pub life: String,
    /// Its number there.
    pub run: u64,
}

/// A main process, with everything that tells it from a later process with the same pid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its run.
    pub key: RunKey,
    /// Its process's name.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// When it was started, in clock ticks since boot: `starttime` of `proc(5)`; `None` where the inode is known.
    pub ticks: Option<u64>,
    /// The inode of its pidfd, which since Linux 6.9 is never another process's within a boot.
    pub inode: Option<u64>,
    /// The directory of its control group, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// The user that it was started as. This and what follows is `None` in the journals of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The inodes of the pipes that are its standard output and error, if navigator reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipes: Option<[u64; 2]>,
    /// The path of its notification socket, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
}

/// How a process is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Whether it is of the upper tier, and stops before every other one.
    pub application: bool,
    /// The processes that it starts after, and stops before.
    pub after: Vec<String>,
    /// The stop signal.
    pub signal: String,
    /// The stop timeout, in milliseconds.
    pub timeout_ms: u64,
    /// Its place in the file; 0 in the journals of older versions.
    #[serde(default)]
    pub position: usize,
}

/// The line of an entry, with the line break.
pub(crate) fn entry_line<E: Serialize>(entry: &E) -> String {
    let json = serde_json::to_string(entry).unwrap_or_else(|error| panic!("strings and numbers are JSON: {error}"));
    format!("{:016x} {json}\n", fnv1a(json.as_bytes()))
}

/// Passes the entries of a file to `fold`. Returns the number of damaged lines, which are skipped. A last line without a line
/// break was being written when navigator was killed, and is not counted as damage.
pub(super) fn read_lines<E: DeserializeOwned>(text: &[u8], mut fold: impl FnMut(E)) -> usize {
    let mut bad_lines = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(whole) = line.strip_suffix(b"\n") else { break };
        match read(whole) {
            Some(entry) => fold(entry),
            None => bad_lines += 1,
        }
    }
    bad_lines
}

/// The entry of a line without its line break; `None` if it is not whole.
fn read<E: DeserializeOwned>(line: &[u8]) -> Option<E> {
    let (checksum, json) = line.split_at_checked(17)?;
    let checksum = std::str::from_utf8(checksum.strip_suffix(b" ")?).ok()?;
    let is_whole = u64::from_str_radix(checksum, 16).ok()? == fnv1a(json);
    serde_json::from_slice(json).ok().filter(|_| is_whole)
}
