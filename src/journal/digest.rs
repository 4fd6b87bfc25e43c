//! What is recorded of a definition: keyed hashes of its fields. They tell later whether another definition differs, and in what,
//! but not what is in a field. So no secret is in the record.

use super::secret::InstanceSecret;
use reconcile::fields::{Field, fields};
use reconcile::spec::Spec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The digest of a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionDigest {
    /// Of all fields.
    pub whole: u64,
    /// Of the fields that a running program can't take over.
    pub identity: u64,
    /// Of each of those, by its path in the file.
    pub fields: BTreeMap<String, u32>,
}

impl DefinitionDigest {
    /// The digest of a definition under this key.
    pub fn of(spec: &Spec, secret: &InstanceSecret) -> DefinitionDigest {
        let all = fields(spec);
        let identity = || all.iter().filter(|(_, field)| field.identity);
        let short = |field: &Field| u32::try_from(secret.hash(field.text.value().as_bytes()) >> 32).unwrap_or(u32::MAX);
        DefinitionDigest {
            whole: hash(secret, all.iter()),
            identity: hash(secret, identity()),
            fields: identity().map(|(path, field)| (path.clone(), short(field))).collect(),
        }
    }

    /// The fields of the identity that differ, sorted.
    pub fn differing(&self, other: &DefinitionDigest) -> Vec<String> {
        let paths = self.fields.keys().chain(other.fields.keys());
        let mut differing: Vec<String> =
            paths.filter(|path| self.fields.get(*path) != other.fields.get(*path)).cloned().collect();
        differing.sort_unstable();
        differing.dedup();
        differing
    }
}

/// The hash of fields. A path has no line break, and each value comes with its length, so that no two lists have the same text.
fn hash<'a>(secret: &InstanceSecret, fields: impl Iterator<Item = (&'a String, &'a Field)>) -> u64 {
    let mut text = String::new();
    for (path, field) in fields {
        let value = field.text.value();
        text.extend([path, "\n", &value.len().to_string(), "\n", value]);
    }
    secret.hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::text::Text;
    use reconcile::variables::Variables;

    fn digest(change: impl FnOnce(&mut Spec), secret: &InstanceSecret) -> DefinitionDigest {
        let mut spec = Spec::new("web", "server");
        change(&mut spec);
        DefinitionDigest::of(&spec, secret)
    }

    #[test]
    fn a_digest_tells_what_differs() {
        let secret = InstanceSecret::random().expect("the kernel has random numbers");
        let with_port =
            |port: &str| digest(|spec| spec.exec.env = Variables::from_iter([("PORT".into(), Text::plain(port))]), &secret);
        let (plain, one, other) = (digest(|_| {}, &secret), with_port("1"), with_port("2"));
        assert_eq!(one, with_port("1"));
        assert_eq!(one.differing(&other), ["env.PORT"]);
        assert_eq!(one.differing(&plain), ["env.PORT"]);
        let upkeep = digest(|spec| spec.stop.timeout = std::time::Duration::from_secs(3), &secret);
        assert_eq!((upkeep.identity, upkeep.differing(&plain)), (plain.identity, vec![]));
        assert_ne!(upkeep.whole, plain.whole);
        let other_key = InstanceSecret::random().expect("the kernel has random numbers");
        assert_ne!(digest(|_| {}, &other_key).whole, plain.whole);
    }
}
