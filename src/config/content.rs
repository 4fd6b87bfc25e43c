//! Hash over the content of all files of a configuration: identifies a revision, independent of paths.

use hmac_sha256::Hash;
use std::fmt;

/// SHA-256 over the configuration, its includes and its env files, in the order of reading. Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentHash([u8; 32]);

/// Computes a [`ContentHash`] file by file.
#[derive(Clone, Default)]
pub(super) struct ContentHasher(Hash);

impl ContentHasher {
    /// Adds the next file; `None` for one that can't be read.
    pub(super) fn add(&mut self, content: Option<&[u8]>) {
        // The length prefix separates files: moving text from one to the next changes the hash. `u64::MAX` is no real length.
        let length = content.map_or(u64::MAX, |content| content.len() as u64);
        self.0.update(length.to_be_bytes());
        self.0.update(content.unwrap_or_default());
    }

    pub(super) fn finish(&self) -> ContentHash {
        ContentHash(self.0.finalize())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(files: &[Option<&str>]) -> String {
        let mut hasher = ContentHasher::default();
        for file in files {
            hasher.add(file.map(str::as_bytes));
        }
        hasher.finish().to_string()
    }

    #[test]
    fn different_contents_have_different_hashes() {
        let files: [&[Option<&str>]; 8] = [
            &[],
            &[None],
            &[Some("")],
            &[Some("ab")],
            &[Some("a"), Some("b")],
            &[Some("b"), Some("a")],
            &[Some("ab"), None],
            &[Some("ab"), Some("")],
        ];
        for (index, one) in files.iter().enumerate() {
            assert!(files[..index].iter().all(|other| hash(one) != hash(other)), "{one:?}");
        }
        // `printf '\0\0\0\0\0\0\0\2ab' | sha256sum`
        assert_eq!(hash(&[Some("ab")]), "9caccc24b5d7e06c21c0277b6530d66664273e11f326515c58eaa3691afccfff");
    }
}
