//! The content of watched files, for comparing.

use crate::text::Text;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// For each path as shown to people, a number that differs if the content does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The watched paths and patterns, as the definition has them.
    pub watch: Vec<Text>,
    /// The files found, each with the number of its content.
    pub files: BTreeMap<String, u64>,
}

impl Content {
    /// The first file that differs, if both are about the same watched paths.
    pub fn first_difference<'a>(&'a self, former: &'a Content) -> Option<&'a str> {
        if self.watch != former.watch {
            return None;
        }
        let differs = |path: &&String| self.files.get(*path) != former.files.get(*path);
        let mut paths = self.files.keys().chain(former.files.keys());
        paths.find(differs).map(String::as_str)
    }

    /// The content of these paths that a run with the content `former` has read: known files as in `former`, all others as they
    /// are now.
    pub(crate) fn as_read(&self, former: &Content) -> Content {
        let read = |(path, now): (&String, &u64)| (path.clone(), *former.files.get(path).unwrap_or(now));
        Content { watch: self.watch.clone(), files: self.files.iter().map(read).collect() }
    }
}
