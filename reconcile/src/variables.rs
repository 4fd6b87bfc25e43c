//! The environment variables that a configuration sets for a process, sorted by name.
//!
//! A sorted list instead of a tree: nearly every definition has some variables and few have many, and they are built once and read
//! often.

use crate::text::Text;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

/// Variables, sorted by name, each name once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<(Arc<str>, Text)>);

impl Variables {
    /// No variable.
    pub const fn none() -> Variables {
        Variables(Vec::new())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.place(name).ok().map(|place| &self.0[place].1)
    }

    /// Each variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Text)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a variable, in linear time. Collect from an iterator to set many.
    pub fn insert(&mut self, name: &str, value: Text) {
        match self.place(name) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (name.into(), value)),
        }
    }

    /// Merges layers; later layers override earlier ones.
    pub fn of_layers(layers: &[&Variables]) -> Variables {
        layers.iter().flat_map(|layer| layer.0.iter().cloned()).collect()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }
}

impl FromIterator<(Arc<str>, Text)> for Variables {
    /// If a name occurs several times, its last value counts.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Text)>>(variables: I) -> Variables {
        let mut variables: Vec<(Arc<str>, Text)> = variables.into_iter().collect();
        variables.sort_by(|(one, _), (other, _)| one.cmp(other));
        variables.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                mem::swap(later, earlier);
            }
            is_same
        });
        variables.shrink_to_fit();
        Variables(variables)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Which variables of navigator's own environment a process inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InheritEnv {
    /// All of them.
    #[default]
    All,
    /// Those with these names; none if there are no names.
    Only(VariableNames),
}

/// Names of variables, sorted, each once, so that equal sets compare as equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableNames(Vec<Text>);

impl VariableNames {
    /// Each name, in order.
    pub fn as_slice(&self) -> &[Text] {
        &self.0
    }
}

impl FromIterator<Text> for VariableNames {
    fn from_iter<I: IntoIterator<Item = Text>>(names: I) -> VariableNames {
        let mut names: Vec<Text> = names.into_iter().collect();
        names.sort_by(|one, other| one.value().cmp(other.value()));
        names.dedup();
        VariableNames(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|&(name, value)| (Arc::from(name), Text::plain(value))).collect()
    }

    #[test]
    fn the_last_value_of_a_name_counts() {
        let mut some = variables(&[("B", "1"), ("A", "2"), ("B", "3"), ("B", "4")]);
        assert_eq!(format!("{some:?}"), r#"{"A": "2", "B": "4"}"#);
        some.insert("B", "5".into());
        some.insert("AB", "6".into());
        assert_eq!(some, variables(&[("AB", "6"), ("A", "2"), ("B", "5")]));
        assert_eq!(some.get("B"), Some(&Text::plain("5")));
        assert_eq!(some.get("C"), None);
    }

    #[test]
    fn a_later_layer_overrides_an_earlier_one() {
        let layers = [&variables(&[("A", "1"), ("B", "1")]), &Variables::default(), &variables(&[("B", "2"), ("0", "2")])];
        assert_eq!(Variables::of_layers(&layers), variables(&[("0", "2"), ("A", "1"), ("B", "2")]));
    }
}
