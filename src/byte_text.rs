//! Bytes in JSON: as a text where that is possible, which takes a quarter of the room.

use serde::{Deserialize, Serialize};

/// Bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ByteText {
    /// They are UTF-8.
    Text(String),
    /// They aren't.
    Other(Vec<u8>),
}

impl From<Vec<u8>> for ByteText {
    fn from(bytes: Vec<u8>) -> ByteText {
        String::from_utf8(bytes).map_or_else(|error| ByteText::Other(error.into_bytes()), ByteText::Text)
    }
}

impl From<ByteText> for Vec<u8> {
    fn from(bytes: ByteText) -> Vec<u8> {
        match bytes {
            ByteText::Text(text) => text.into_bytes(),
            ByteText::Other(bytes) => bytes,
        }
    }
}

impl Default for ByteText {
    fn default() -> ByteText {
        ByteText::Other(Vec::new())
    }
}
