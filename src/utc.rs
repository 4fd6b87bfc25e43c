//! Wall-clock time as people and log collectors read it: `2026-11-22T18:00:00.000Z`. For display alone; whoever
//! measures time takes the monotonic clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in UTC; its `Display` is RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc {
    /// Milliseconds since 1970, never before.
    millis: u64,
}

impl Utc {
    /// This moment.
    pub fn now() -> Utc {
        Utc::from(SystemTime::now())
    }
}

impl Utc {
    /// Reads what `Display` writes; `None`: it is something else.
    pub fn parse(text: &str) -> Option<Utc> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let seconds = number(11..13)? * 3_600 + number(14..16)? * 60 + number(17..19)?;
        // A year has at most 366 days, so the day is found by looking at few.
        let first = year.checked_sub(1970)? * 365;
        let days = (first..first + 366 + year / 4).find(|days| civil(*days) == (year, month, day))?;
        let utc = Utc { millis: (days * 86_400 + seconds) * 1_000 + number(20..23)? };
        (utc.to_string() == text).then_some(utc)
    }
}

impl From<Utc> for SystemTime {
    fn from(utc: Utc) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(utc.millis)
    }
}

impl From<SystemTime> for Utc {
    /// A clock set to before 1970 reads as 1970.
    fn from(time: SystemTime) -> Utc {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Utc { millis: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.millis / 1_000, self.millis % 1_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        if year > 9_999 {
            return write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        }
        // Each line of the log has one: so this is done digit by digit, and not by a formatter for each number.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let numbers = [(3, year), (6, month), (9, day), (12, hour), (15, minute), (18, second), (22, millis)];
        for (mut place, mut number) in numbers {
            while number > 0 {
                text[place] += u8::try_from(number % 10).unwrap_or_default();
                (place, number) = (place.saturating_sub(1), number / 10);
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Utc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Utc, D::Error> {
        let text = String::deserialize(deserializer)?;
        Utc::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no time like 2026-11-22T18:00:00.000Z")))
    }
}

/// The Gregorian date that lies `days` after 1970-01-01.
///
/// Counted in years that begin on the first of March, a leap day is the last of its year, and months have a lengths'
/// pattern (31, 30, 31, 30, 31 days) that repeats every five, 153 days.
fn civil(days: u64) -> (u64, u64, u64) {
    /// From 0000-03-01 to 1970-01-01.
    const SHIFT: u64 = 719_468;
    /// Four hundred years, after which the calendar repeats.
    const ERA: u64 = 146_097;
    let (era, day_of_era) = ((days + SHIFT) / ERA, (days + SHIFT) % ERA);
    // Without the leap days before it (one in 4 years, not in 100, again in 400), every year has 365.
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: u64, millis: u64) -> String {
        Utc::from(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis)).to_string()
    }

    #[test]
    fn known_moments() {
        assert_eq!(shown(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(shown(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(shown(1_795_370_400, 7), "2026-11-22T18:00:00.007Z");
        assert_eq!(shown(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_written_is_read() {
        for (seconds, millis) in [(0, 0), (951_782_399, 999), (1_795_370_400, 7), (4_107_542_400, 0)] {
            let text = shown(seconds, millis);
            assert_eq!(Utc::parse(&text).map(|utc| utc.to_string()), Some(text));
        }
        for wrong in ["", "2026-11-22", "2026-13-22T18:00:00.000Z", "2026-11-22T25:00:00.000Z", "2026-11-22T18:00:00.000+01:00"] {
            assert_eq!(Utc::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut expected = (1970, 1, 1);
        for days in 0..400_000 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            let length = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
        }
    }
}
