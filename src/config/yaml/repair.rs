//! Changes of a text that is not YAML, and the way back from places in the changed text to places in the original.

use std::ops::Range;

/// A range to replace, and by what.
pub(super) type Edit = (Range<usize>, String);

/// The changes so far, in the order of their making.
#[derive(Default)]
pub(super) struct Repairs(Vec<Repair>);

/// A range of a text that was replaced.
struct Repair {
    start: usize,
    old: usize,
    new: usize,
}

impl Repairs {
    /// Replaces ranges, which are in the order of the text and disjoint.
    pub(super) fn apply(&mut self, source: &str, edits: &[Edit]) -> String {
        let mut repaired = source.to_owned();
        for (range, by) in edits.iter().rev() {
            self.0.push(Repair { start: range.start, old: range.len(), new: by.len() });
            repaired.replace_range(range.clone(), by);
        }
        repaired
    }

    /// The range of the original text.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.original_place(range.start);
        let end = if range.is_empty() { start } else { self.original_place(range.end - 1) + 1 };
        start..end.max(start)
    }

    fn original_place(&self, at: usize) -> usize {
        self.0.iter().rev().fold(at, |at, repair| match at {
            _ if at >= repair.start + repair.new => at - repair.new + repair.old,
            _ => at.min(repair.start + repair.old),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_traced_back() {
        let mut repairs = Repairs::default();
        let first = repairs.apply("ab  cd", &[(2..4, String::new())]);
        assert_eq!(first, "abcd");
        let second = repairs.apply(&first, &[(1..1, "...".to_owned()), (4..4, "!".to_owned())]);
        assert_eq!(second, "a...bcd!");
        assert_eq!(repairs.original(&(0..1)), 0..1);
        assert_eq!(repairs.original(&(4..5)), 1..2);
        assert_eq!(repairs.original(&(5..7)), 4..6);
        assert_eq!(repairs.original(&(2..2)), 1..1);
    }
}
