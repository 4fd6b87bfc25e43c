//! Guesses what a mistaken name, duration or size was meant to be.
//!
//! A guess is offered only if `scalar` accepts it, and never for a value that may be secret.

use super::scalar;

/// Letters that a name can't have, with their replacements.
const TRANSLITERATIONS: [(char, &str); 14] = [
    ('ä', "ae"),
    ('ö', "oe"),
    ('ü', "ue"),
    ('Ä', "Ae"),
    ('Ö', "Oe"),
    ('Ü', "Ue"),
    ('ß', "ss"),
    ('à', "a"),
    ('á', "a"),
    ('ç', "c"),
    ('è', "e"),
    ('é', "e"),
    ('ñ', "n"),
    ('ø', "o"),
];

/// This name, or the most similar valid one.
pub(crate) fn valid_name(text: &str) -> Option<String> {
    if scalar::name(text).is_ok() { Some(text.to_owned()) } else { name(text) }
}

/// The most similar valid name.
pub(super) fn name(text: &str) -> Option<String> {
    let mut guess = String::new();
    for char in text.chars().take(80) {
        if let Some(&(_, letters)) = TRANSLITERATIONS.iter().find(|(letter, _)| *letter == char) {
            guess.push_str(letters);
        } else if char.is_ascii_alphanumeric() || "_.@".contains(char) {
            guess.push(char);
        } else if !is_invisible(char) && !guess.is_empty() && !guess.ends_with('-') {
            guess.push('-');
        }
    }
    let guess = guess.trim_start_matches(|char: char| !char.is_ascii_alphanumeric()).trim_end_matches('-');
    scalar::name(guess).is_ok().then(|| guess.to_owned())
}

fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200d}' | '\u{feff}')
}

/// Common spellings of units, with the unit to write.
const SPELLED_OUT: [(&[&str], &str); 5] = [
    (&["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"], "ms"),
    (&["s", "sec", "secs", "second", "seconds"], "s"),
    (&["m", "min", "mins", "minute", "minutes"], "m"),
    (&["h", "hr", "hrs", "hour", "hours"], "h"),
    (&["d", "day", "days"], "d"),
];

/// The duration that was probably meant by `10 seconds`, `5m30`, `1 h` or `1,5s`.
pub(super) fn duration(text: &str) -> Option<String> {
    if text.len() > 40 || text.starts_with('-') {
        return None;
    }
    let text = text.to_ascii_lowercase().replace(" and ", " ").replace(',', ".");
    let mut guess = String::new();
    let mut rest = text.as_str().trim();
    let mut last = "";
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let letters = behind.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let unit = match (unit, last) {
            // A number after minutes means seconds.
            ("", "h") => "m",
            ("", "m") => "s",
            _ => SPELLED_OUT.iter().find(|(spelled, _)| spelled.contains(&unit))?.1,
        };
        guess.extend([number, unit]);
        last = unit;
        rest = behind.trim_start();
    }
    scalar::duration(&guess).is_ok().then_some(guess)
}

/// The size that was probably meant by `50M`, `50 MB` or `1.5GB`.
pub(super) fn size(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|char| !matches!(char, ' ' | '_')).take(40).collect();
    let digits = plain.find(|char: char| !char.is_ascii_digit() && char != '.')?;
    let (number, unit) = plain.split_at(digits);
    let unit = unit.to_ascii_lowercase();
    let (unit, smaller) = match unit.trim_end_matches("ytes").trim_end_matches("yte") {
        "k" | "kb" => ("KB", "B"),
        "m" | "mb" => ("MB", "KB"),
        "g" | "gb" => ("GB", "MB"),
        "ki" | "kib" => ("KiB", "B"),
        "mi" | "mib" => ("MiB", "KiB"),
        "gi" | "gib" => ("GiB", "MiB"),
        _ => return None,
    };
    let guess = if number.contains('.') {
        let scale = if unit.contains('i') { 1024 } else { 1000 };
        format!("{}{smaller}", scalar::decimal(number, scale)?)
    } else {
        format!("{number}{unit}")
    };
    scalar::size(&guess).is_ok().then_some(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_values_are_guessed() {
        for (text, guess) in [
            ("10 seconds", Some("10s")),
            ("5m30", Some("5m30s")),
            ("1h 30m", Some("1h30m")),
            ("1h30", Some("1h30m")),
            ("2 min", Some("2m")),
            ("1,5s", Some("1.5s")),
            ("10SEC", Some("10s")),
            ("1 hour and 30 minutes", Some("1h30m")),
            ("soon", None),
            ("5parsecs", None),
            ("", None),
            ("30s1m", None),
            ("-5s", None),
        ] {
            assert_eq!(duration(text).as_deref().filter(|guess| !guess.is_empty()), guess, "{text}");
        }
        for (text, guess) in [
            ("50M", Some("50MB")),
            ("50 MB", Some("50MB")),
            ("1.5GB", Some("1500MB")),
            ("2Gi", Some("2GiB")),
            ("1.5MiB", Some("1536KiB")),
            ("large", None),
        ] {
            assert_eq!(size(text).as_deref(), guess, "{text}");
        }
        for (text, guess) in [
            ("two words", Some("two-words")),
            ("größe", Some("groesse")),
            ("../../etc/passwd", Some("etc-passwd")),
            ("redis,", Some("redis")),
            ("“redis”", Some("redis")),
            ("日本", None),
        ] {
            assert_eq!(name(text).as_deref(), guess, "{text}");
        }
    }
}
