//! Serializes paths as text, for `serialize_with`. Invalid UTF-8 is replaced.

use serde::Serializer;
use std::path::Path;

/// Writes a path as text.
///
/// # Errors
/// Errors of the serializer.
pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
