//! Durations as a configuration file writes them: `250ms`, `2s`, `1m30s`, `1h`.

use core::fmt;
use core::time::Duration;

/// Writes a duration as a configuration file does, in whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs();
        let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
        let (millis, micros) = (self.0.subsec_millis(), self.0.subsec_micros() % 1_000);
        for (count, unit) in
            [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"), (u64::from(millis), "ms"), (u64::from(micros), "us")]
        {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if whole == 0 && millis == 0 && micros == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn durations_are_written_as_in_the_file() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (2_000, "2s"),
            (90_000, "1m30s"),
            (3_600_000, "1h"),
            (172_800_000, "2d"),
            (1_500, "1s500ms"),
        ] {
            assert_eq!(HumanDuration(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
