//! Did you mean …? The nearest of the known words to one that isn't known.

/// Longer words are not worth comparing.
const MAX_LENGTH: usize = 64;

/// The known word nearest to `word`, if it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let letters = letters(word);
    let word = plain(word);
    let allowed = (word.len() / 3).clamp(1, 3);
    // Every change makes one letter of another at most. It is this that most words are ruled out by.
    let may_be_near = |known: &str| (self::letters(known) ^ letters).count_ones() as usize <= 2 * allowed;
    known
        .into_iter()
        .filter(|known| known.len() <= MAX_LENGTH && length(known).abs_diff(word.len()) <= allowed && may_be_near(known))
        .filter_map(|known| {
            let plain = plain(known);
            let distance = distance(&word, &plain, allowed)?;
            (distance < plain.len()).then_some((distance, known))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// A word without the differences that nobody means.
fn plain(text: &str) -> Vec<char> {
    text.chars().map(same).collect()
}

fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// A letter without them.
fn same(char: char) -> char {
    if matches!(char, '-' | '.' | ' ') { '_' } else { char.to_ascii_lowercase() }
}

/// Which letters a word has, each as a bit that it may share with others.
fn letters(text: &str) -> u64 {
    text.chars().fold(0, |letters, char| letters | 1 << (u32::from(same(char)) % u64::BITS))
}

/// `did you mean …?`, if anything is near enough.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean `{known}`?"))
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour to get from one to the other, if no
/// more than `limit`. Both have at most [`MAX_LENGTH`].
///
/// Source: the "optimal string alignment" variant of the Damerau–Levenshtein distance.
fn distance(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    // Distances fit into a byte, and small rows are copied fast.
    let count = |index: usize| u8::try_from(index).unwrap_or(u8::MAX);
    let limit = count(limit);
    let mut before = [0_u8; MAX_LENGTH + 1];
    let mut last: [u8; MAX_LENGTH + 1] = std::array::from_fn(count);
    for i in 1..=a.len() {
        let mut row = [count(i); MAX_LENGTH + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + u8::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        // Later rows are never smaller, but for a swap that leads over this one.
        if row[..=b.len()].iter().all(|&cell| cell > limit + 1) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|&distance| distance <= limit).map(usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("redus", "redis", 1)]
        {
            let (a, b) = (plain(a), plain(b));
            assert_eq!(distance(&a, &b, 9), Some(expected), "{a:?} {b:?}");
            assert_eq!(distance(&b, &a, expected), Some(expected), "{b:?} {a:?}");
            assert_eq!(expected.checked_sub(1).and_then(|limit| distance(&a, &b, limit)), None, "{a:?} {b:?}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["command", "args", "env", "working_dir"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("Command", known), Some("command"));
        assert_eq!(nearest("working-dir", known), Some("working_dir"));
        assert_eq!(nearest("image", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest(&"c".repeat(1_000_000), known), None);
    }
}
