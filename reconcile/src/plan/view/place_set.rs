//! A set of places, stored as bits: the next place is found among thousands with a few comparisons, and a copy is cheap.

use alloc::vec;
use alloc::vec::Vec;

const BITS: usize = u64::BITS as usize;

/// Places below a fixed number.
#[derive(Clone, Debug, Default)]
pub(super) struct PlaceSet(Vec<u64>);

impl PlaceSet {
    /// An empty set of places below `count`.
    pub(super) fn below(count: usize) -> PlaceSet {
        PlaceSet(vec![0; count.div_ceil(BITS)])
    }

    /// Adds or removes a place.
    pub(super) fn set(&mut self, place: usize, is_in: bool) {
        let (word, bit) = (&mut self.0[place / BITS], 1 << (place % BITS));
        *word = if is_in { *word | bit } else { *word & !bit };
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The lowest place in the set that is at least `least`.
    pub(super) fn next(&self, least: usize) -> Option<usize> {
        let first = least / BITS;
        let masked = self.0.get(first)? & (u64::MAX << (least % BITS));
        let words = core::iter::once(masked).chain(self.0[first + 1..].iter().copied());
        let (number, word) = (first..).zip(words).find(|(_, word)| *word != 0)?;
        Some(number * BITS + word.trailing_zeros() as usize)
    }

    /// The highest place in the set that is below `limit`.
    pub(super) fn previous(&self, limit: usize) -> Option<usize> {
        let limit = limit.min(self.0.len() * BITS);
        let part = self.0.get(limit / BITS).map_or(0, |word| word & !(u64::MAX << (limit % BITS)));
        let whole = self.0[..limit / BITS].iter().copied().enumerate().rev();
        let (number, word) = core::iter::once((limit / BITS, part)).chain(whole).find(|(_, word)| *word != 0)?;
        Some(number * BITS + BITS - 1 - word.leading_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_found_at_every_distance() {
        let members = [0, 1, 63, 64, 65, 127, 128, 190, 300];
        let mut set = PlaceSet::below(301);
        assert!(set.is_empty());
        for place in members {
            set.set(place, true);
        }
        for place in 0..301 {
            assert_eq!(set.next(place), members.into_iter().find(|member| *member >= place), "from {place}");
            assert_eq!(set.previous(place), members.into_iter().rfind(|member| *member < place), "below {place}");
        }
        assert_eq!((set.next(301), set.next(1_000), set.previous(1_000)), (None, None, Some(300)));
        set.set(300, false);
        assert_eq!((set.next(191), set.previous(301)), (None, Some(190)));
        assert_eq!(PlaceSet::below(0).previous(5), None);
    }
}
