//! What `/proc` says of processes (`proc(5)`): who is whose child, in which session, with which mark.
//!
//! A number read here may be another process's a moment later; who acts on one has to make sure first, see
//! [`super::tree`].

use std::collections::HashMap;
use std::fs;

/// What matters here of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Who reaps it.
    pub(super) parent: u32,
    /// Its session.
    pub(super) session: u32,
    /// Whether it has executed a program since it came to be.
    pub(super) has_executed: bool,
}

/// What the kernel says of a process; `None` if there is none of this number (or no `/proc`).
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The kernel's `PF_FORKNOEXEC`, of the flags that `proc(5)` calls `flags`: stays set until an exec, and so tells of a
/// process that has ended whether it ever was a program.
const NOT_EXECUTED: u32 = 0x40;

/// The command name stands in parentheses and may hold anything, also `) R 1 1 1`; so what counts is behind the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&text[behind..]).ok()?.split_ascii_whitespace();
    let _state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    let (_terminal, _foreground) = (fields.next()?, fields.next()?);
    let flags: u32 = fields.next()?.parse().ok()?;
    Some(Stat { parent, session, has_executed: flags & NOT_EXECUTED == 0 })
}

/// The value of a variable in the environment that a process was started with; `None` also where it may not be read.
///
/// In the middle of an exec, the environment reads as empty for a moment; so that is asked again a few times.
pub(super) fn variable(pid: u32, name: &str) -> Option<Vec<u8>> {
    const ATTEMPTS: usize = 16;
    for _ in 0..ATTEMPTS {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environment.is_empty() {
            let mut variables = environment.split(|&byte| byte == 0);
            return variables.find_map(|text| text.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec));
        }
        std::thread::yield_now();
    }
    None
}

/// Who is whose child, by the cheapest way that this kernel has.
pub(super) enum Lineage {
    /// `/proc/PID/task/TID/children`: reads no more than is asked for.
    Listed,
    /// Every process of the host by its parent, for kernels built without those lists.
    Scanned(HashMap<u32, Vec<u32>>),
}

impl Lineage {
    /// What this kernel has, as of now.
    pub(super) fn now() -> Lineage {
        let own = std::process::id();
        if fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false) { Lineage::Listed } else { Lineage::scan() }
    }

    /// The dearer way, as of now.
    pub(super) fn scan() -> Lineage {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for pid in numbers_in("/proc") {
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        Lineage::Scanned(children)
    }

    /// The children of a process, ended ones that it has not reaped included.
    ///
    /// Exact for our own, because nobody but the asking thread takes one away. Of another process one can be missed
    /// while a sibling of it ends.
    pub(super) fn children(&self, pid: u32) -> Vec<u32> {
        match self {
            Lineage::Listed => numbers_in(&format!("/proc/{pid}/task"))
                .filter_map(|thread| fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).ok())
                .flat_map(|list| list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>())
                .collect(),
            Lineage::Scanned(children) => children.get(&pid).cloned().unwrap_or_default(),
        }
    }
}

/// The entries of a directory that are numbers.
fn numbers_in(directory: &str) -> impl Iterator<Item = u32> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_can_not_forge_the_fields() {
        let text = b"42 (a) R 1 1 1 (b)) S 7 42 41 0 -1 4194560 103 0";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, session: 41, has_executed: true }));
        let text = b"42 (a) Z 7 42 41 0 -1 4194368 103 0";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, session: 41, has_executed: false }));
    }

    #[test]
    fn nonsense_is_no_process() {
        for text in [&b""[..], b"42 (a", b"42 (a) S", b"42 (a) S x y z", b")"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn own_environment_is_readable() {
        let (name, value) = std::env::vars().find(|(_, value)| !value.is_empty()).expect("tests have an environment");
        assert_eq!(variable(std::process::id(), &name), Some(value.into_bytes()));
        assert_eq!(variable(std::process::id(), "NO_SUCH_VARIABLE"), None);
    }
}
