//! Parses single values: durations, sizes, numbers, masks, names.
//!
//! Each format that a regular expression can describe has one beside its function, for editors: unanchored, in the common subset
//! of ECMAScript and Rust. `tests/schema.rs` checks that both agree.
//!
//! Error texts are fragments that follow "not a …:". They never quote the value, which may be secret.

use reconcile::text::is_name;
use std::time::Duration;

/// The longest duration; longer ones are taken for mistakes.
pub(super) const MAX_DURATION: Duration = Duration::from_hours(24 * 3650);

/// A number, perhaps with a fraction.
pub(super) const NUMBER: &str = r"[0-9]*\.?[0-9]+";

/// What [`duration`] accepts, with `N` for a [`NUMBER`], except that it isn't empty.
pub(super) const DURATION: &str = r"(N|(Nd)?(Nh)?(Nm)?(Ns)?(Nms)?)";

/// What [`size`] accepts.
pub(super) const SIZE: &str = "[0-9]+([Bb]|[KkMmGg][Ii]?[Bb])?";

/// What [`memory`] accepts, apart from zero.
pub(super) const MEMORY: &str = "[0-9]+([Bb]|[KkMmGg]([Ii]?[Bb])?)?";

/// What [`percent`] accepts, apart from zero.
pub(super) const PERCENT: &str = "[0-9]{1,5}%";

/// What [`umask`] and [`mode`] accept.
pub(super) const OCTAL: &str = "(0o)?0*[0-7]{1,3}";

/// What [`name`] accepts.
pub(super) const NAME: &str = "[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}";

/// Units of duration in nanoseconds, the longest first.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];

/// Parses `250ms`, `2s`, `1m30s`, `1h`, `2d` or a number of seconds; each number may have a fraction.
pub fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a number with a unit, such as `250ms`, `2s`, `1m30s`, `1h` or `2d`";
    if text.starts_with('-') {
        return Err("it can't be negative".to_owned());
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    let mut smallest = u128::MAX;
    while !rest.is_empty() || smallest == u128::MAX {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let bare = unit.is_empty() && behind.is_empty();
        let scale = match UNITS.iter().find(|&&(name, _)| name == unit) {
            Some(&(_, scale)) => scale,
            None if bare && smallest == u128::MAX => 1_000_000_000,
            None if bare => return Err(format!("the last number has no unit; {FORM}")),
            None => return Err(FORM.to_owned()),
        };
        if scale >= smallest {
            return Err("units must come in falling order, each once, as in `1h30m`".to_owned());
        }
        nanos = decimal(number, scale).and_then(|part| nanos.checked_add(part)).ok_or_else(|| FORM.to_owned())?;
        smallest = scale;
        rest = behind;
    }
    u64::try_from(nanos)
        .ok()
        .map(Duration::from_nanos)
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| "it is longer than ten years".to_owned())
}

/// A decimal number times `scale`, rounded down.
pub(super) fn decimal(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if number.is_empty() || fraction.is_empty() || whole.len() + fraction.len() > 18 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let parts = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = fraction.parse().ok()?;
    Some(whole.checked_mul(scale)? + fraction * scale / parts)
}

/// Parses `50MB`, `10MiB` or a number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const FORM: &str = "write a number of bytes, or one with `KB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`, such as `50MB`";
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(FORM.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| FORM.to_owned())?;
    number.checked_mul(scale).ok_or_else(|| "it is too large".to_owned())
}

/// Parses an amount of memory: a [`size`], or one with `K`, `M` or `G`, which are multiples of 1024.
pub(super) fn memory(text: &str) -> Result<u64, &'static str> {
    let is_short = text.ends_with(['K', 'M', 'G', 'k', 'm', 'g']);
    let bytes = if is_short { size(&format!("{text}iB")) } else { size(text) };
    bytes.ok().filter(|bytes| *bytes > 0).ok_or("write a number of bytes, or one with a unit, such as `512M` or `2GiB`")
}

/// Parses a percentage from `1%`.
pub(super) fn percent(text: &str) -> Result<u32, &'static str> {
    let digits = text.strip_suffix('%').filter(|digits| digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok()).filter(|percent| *percent > 0);
    percent.ok_or("write a percentage of one processor, such as `50%`, or `200%` for two")
}

/// Parses a file mode creation mask in octal, as in a shell: `0027`, `22`.
pub(super) fn umask(text: &str) -> Result<u32, String> {
    octal(text).ok_or_else(|| "write it in octal, `0000` to `0777`, such as `0027`".to_owned())
}

/// Parses the permissions of a file in octal, as in a shell: `0660`, `660`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    octal(text).ok_or_else(|| "write it in octal, `0000` to `0777`, such as `0660`".to_owned())
}

fn octal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let bits = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| u32::from_str_radix(digits, 8).ok()).flatten();
    bits.filter(|&bits| bits <= 0o777)
}

/// Parses a whole number from `from` to `to`.
pub(super) fn whole_number<T: TryFrom<i64>>(text: &str, from: i64, to: i64) -> Option<T> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { text.parse::<i64>().ok() } else { None };
    number.filter(|number| (from..=to).contains(number)).and_then(|number| T::try_from(number).ok())
}

/// How many replicas may be replaced at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surge {
    Count(u32),
    /// Of all replicas; of a part of one, that one.
    Percent(u32),
}

impl Surge {
    /// The number for so many replicas.
    pub(super) fn of(self, replicas: u32) -> u32 {
        match self {
            Surge::Count(count) => count,
            Surge::Percent(percent) => replicas.saturating_mul(percent).div_ceil(100),
        }
    }
}

/// Parses how many replicas may be replaced at once: a whole number from `from` to `to`, or a percentage.
pub(super) fn surge(text: &str, from: i64, to: i64) -> Option<Surge> {
    match text.strip_suffix('%') {
        Some(percent) => whole_number(percent, 0, 100).map(Surge::Percent),
        None => whole_number(text, from, to).map(Surge::Count),
    }
}

/// Parses a number, perhaps with a fraction or an exponent (`1e-6`), from `from` to `to`.
pub(super) fn number(text: &str, from: f64, to: f64) -> Option<f64> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && exponent.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { text.parse::<f64>().ok() } else { None };
    number.filter(|number| (from..=to).contains(number))
}

/// Checks a process name: it becomes part of file names, so few characters are allowed.
pub(super) fn name(text: &str) -> Result<(), String> {
    const FORM: &str = "a name has up to 64 letters `a` to `z`, digits, `_`, `.`, `@` or `-`, and begins with a letter or digit";
    if is_name(text) { Ok(()) } else { Err(FORM.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("0", 0),
            ("2", 2_000),
            ("0.5", 500),
            (".5", 500),
            ("250ms", 250),
            ("2s", 2_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("1h0.5s", 3_600_500),
            ("007", 7_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn mistaken_durations_are_refused() {
        for text in [
            "", "s", "-1", "-1s", "1 s", "1M", "1y", "5parsecs", "1m30", "30s1m", "1s1s", "1..5", "5.", "1e3", "inf", "nan",
            "+5", "1_000", "0x10",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["99999999999d", "999999999999999999999999999", "3651d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("3650d"), Ok(MAX_DURATION));
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("50MB", 50_000_000), ("50mb", 50_000_000), ("1KiB", 1024), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5MB", "1 MB", "1TB", "99999999999GiB", "1e6"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn masks_are_octal() {
        for (text, mask) in [("0027", 0o27), ("22", 0o22), ("0", 0), ("777", 0o777), ("0o022", 0o22)] {
            assert_eq!(umask(text), Ok(mask), "{text}");
        }
        for text in ["", "0028", "1000", "-22", "0x1", "+22", "u=rwx"] {
            assert!(umask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!(whole_number::<i32>("-20", -20, 19), Some(-20));
        assert_eq!(whole_number::<u32>("4294967295", 0, u32::MAX.into()), Some(u32::MAX));
        for text in ["", "-", "-21", "20", "1.0", "+1", "1e1", "0x1", "99999999999999999999"] {
            assert_eq!(whole_number::<i32>(text, -20, 19), None, "{text}");
        }
        assert_eq!(number("0.25", 0.0, 1.0), Some(0.25));
        assert_eq!(number("1e-6", 0.0, 1.0), Some(0.000_001));
        for text in ["", ".", "1.1", "nan", "inf", "-0.5", "1e", "e1", "1e1", "1e--1", "1.1.1"] {
            assert_eq!(number(text, 0.0, 1.0), None, "{text}");
        }
    }

    #[test]
    fn names_are_plain() {
        for text in ["a", "redis", "web-1", "getty@tty1", "9", "a.b_c", &"x".repeat(64)] {
            assert_eq!(name(text), Ok(()), "{text}");
        }
        for text in ["", ".", "..", "-a", "a b", "a/b", "../../etc/x", "é", "a\n", &"x".repeat(65)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
