//! Paths in JSON, for `serialize_with`. A path may hold any bytes, and JSON only text: what is no text is replaced.

use serde::Serializer;
use std::path::Path;

/// Writes a path as text.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
