//! Several equal processes that one definition asks for: `web:1`, `web:2` and so on. No other name has a colon.

use crate::spec::Spec;
use crate::text::Name;
use alloc::format;
use alloc::string::String;

/// The place of a process among several that one definition asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The name of the definition. The process has it too, with a colon and its number behind.
    pub of: Name,
    /// Its number, from 1.
    pub number: u32,
    /// For [`OnChange::Rolling`](crate::spec::OnChange::Rolling): how many replicas may be replaced at once, each by a run beside the old one. 0: one at a time,
    /// and each old run is stopped first.
    pub surge: u32,
}

impl Spec {
    /// The name of its definition in the file: its own, or without the number of the replica.
    pub fn definition(&self) -> &Name {
        self.replica.as_ref().map_or(&self.name, |replica| &replica.of)
    }
}

/// Whether a name that a person gives means this process: it is the process's own, or that of the definition which the process is a
/// replica of.
pub fn means(name: &str, process: &str) -> bool {
    process.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// In the order of names, those of the replicas of a definition begin at the first of these, and end before the second.
pub fn bounds(of: &str) -> [String; 2] {
    // A semicolon follows the colon.
    [":", ";"].map(|end| format!("{of}{end}"))
}

/// The number in the name of a replica; `None`: it is the name of another process.
pub fn number(name: &str) -> Option<u32> {
    name.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_itself_and_its_replicas() {
        let meant = |name| ["web", "web:1", "web:12", "web-1", "webs"].map(|process| means(name, process));
        assert_eq!(meant("web"), [true, true, true, false, false]);
        assert_eq!(meant("web:1"), [false, true, false, false, false]);
        assert_eq!(["web", "web:12"].map(number), [None, Some(12)]);
    }
}
