//! One event of the stream that readers follow: what happened, in the form in which it is sent, one JSON object a line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339.
    pub time: String,
    /// The generation of the definition that it is about, or of the configuration.
    pub generation: u64,
    /// The process; `None`: the configuration.
    pub name: Option<String>,
    /// What happened: `started`, `crashed`, `reloaded`.
    pub event: String,
    /// Why.
    pub reason: Option<String>,
    /// What else belongs to it, such as `pid`, `status` or `delay`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
