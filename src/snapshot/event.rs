//! One event of the stream that clients follow, as JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// When, RFC 3339.
    pub time: String,
    /// The generation of the process's definition, or of the configuration.
    pub generation: u64,
    /// The process; `None`: it is about the configuration.
    pub name: Option<String>,
    /// What happened: `started`, `crashed`, `reloaded`, ….
    pub event: String,
    /// Why.
    pub reason: Option<String>,
    /// Further fields, such as `pid`, `status` or `delay`.
    #[serde(flatten)]
    pub more: EventDetails,
}

/// Fields, sorted by name. A map would take ten times the memory for the usual one or two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventDetails(Vec<(String, Value)>);

impl<N: Into<String>> FromIterator<(N, Value)> for EventDetails {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> EventDetails {
        let mut fields: Vec<(String, Value)> = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        fields.shrink_to_fit();
        EventDetails(fields)
    }
}

impl Serialize for EventDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for EventDetails {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventDetails, D::Error> {
        Ok(Map::deserialize(deserializer)?.into_iter().collect())
    }
}
