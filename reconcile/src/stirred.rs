//! Who has been touched since there was nothing to do about him: whom a plan has to look at.
//!
//! Nearly every process is quiet at nearly every moment ([`crate::plan::Quiet`]), and there is no need to look at one that is, and
//! that nobody has touched since that was found. This is derived, and no fact of its own: a plan that looks at everybody says the
//! same, which the property tests check at every step. To be in here without need costs a look; to be missing is a bug. So only
//! [`crate::observed::Observed`] has one, and hands out nothing that could be changed without being noted here.

use crate::text::Name;
use alloc::vec::Vec;

/// Names of processes, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stirred(Vec<Name>);

impl Stirred {
    pub(crate) fn names(&self) -> &[Name] {
        &self.0
    }

    pub(crate) fn note(&mut self, name: &Name) {
        if let Err(place) = self.0.binary_search(name) {
            self.0.insert(place, name.clone());
        }
    }

    /// Notes all there are, sorted by name.
    pub(crate) fn note_all<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a Name>) {
        // Nobody is in here who isn't there.
        if self.0.len() < names.len() {
            self.0 = names.cloned().collect();
        }
    }

    /// Takes these out; sorted by name as well.
    pub(crate) fn let_rest<'a>(&mut self, quiet: impl Iterator<Item = &'a Name>) {
        let mut quiet = quiet.peekable();
        self.0.retain(|name| quiet.next_if(|other| *other == name).is_none());
    }
}
