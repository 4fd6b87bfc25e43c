//! Suggests the known word nearest to a misspelt one.

/// Longer words are not compared.
const MAX_LENGTH: usize = 64;

/// The known word nearest to `word`, if it is near enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let letters = letters(word);
    let word = normalized(word);
    let allowed = (length(&word) / 3).clamp(1, 3);
    // Each edit replaces at most one letter. This cheap test rules out most words.
    let may_be_near = |known: &str| (self::letters(known) ^ letters).count_ones() as usize <= 2 * allowed;
    known
        .into_iter()
        .filter(|known| known.len() <= MAX_LENGTH && length(known).abs_diff(length(&word)) <= allowed && may_be_near(known))
        .filter_map(|known| {
            let normalized = normalized(known);
            let distance = strsim::osa_distance(&word, &normalized);
            (distance <= allowed && distance < length(&normalized)).then_some((distance, known))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

/// Normalizes case and separators.
fn normalized(text: &str) -> String {
    text.chars().map(normalized_char).collect()
}

fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// Normalizes one character.
fn normalized_char(char: char) -> char {
    if matches!(char, '-' | '.' | ' ') { '_' } else { char.to_ascii_lowercase() }
}

/// The set of letters of a word, as a bit mask; letters may share a bit.
fn letters(text: &str) -> u64 {
    text.chars().fold(0, |letters, char| letters | 1 << (u32::from(normalized_char(char)) % u64::BITS))
}

/// `did you mean …?`, if anything is near enough.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_of_adjacent_letters_is_one_edit() {
        assert_eq!(nearest("redsi", ["redis"]), Some("redis"));
        assert_eq!(nearest("redus", ["redis"]), Some("redis"));
        assert_eq!(nearest("dersi", ["redis"]), None);
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
