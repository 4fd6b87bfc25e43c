//! Cuts something down to the shortest form that is still of interest.

/// A way to make it smaller.
pub(crate) type Candidate<T> = Box<dyn Fn(&T) -> T>;

/// The shortest form found that is still `wanted`, of one that is. The candidates are tried one after the other, each on what the
/// ones before it have left, until none helps any more.
pub(crate) fn shorten<T>(
    mut whole: T,
    size: fn(&T) -> usize,
    candidates: fn(&T) -> Vec<Candidate<T>>,
    wanted: impl Fn(&T) -> bool,
) -> T {
    loop {
        let before = size(&whole);
        for candidate in candidates(&whole) {
            let candidate = candidate(&whole);
            if size(&candidate) < size(&whole) && wanted(&candidate) {
                whole = candidate;
            }
        }
        if size(&whole) == before {
            return whole;
        }
    }
}
