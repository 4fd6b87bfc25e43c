//! Cron expressions of five fields, as `crontab(5)` has them.
//!
//! Two rules concern changes of daylight saving. A time that doesn't exist counts as the first moment after the gap. A time that
//! occurs twice counts as the first of the two.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// How many years are searched for a date. The rarest ones are leap days on one day of the week.
const YEARS: i16 = 50;

/// The words for expressions.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields in order.
const FIELDS: [CronField; 5] = [
    CronField { name: "minute", first: 0, last: 59, names: &[] },
    CronField { name: "hour", first: 0, last: 23, names: &[] },
    CronField { name: "day of the month", first: 1, last: 31, names: &[] },
    CronField { name: "month", first: 1, last: 12, names: &MONTHS },
    CronField { name: "day of the week", first: 0, last: 7, names: &WEEKDAYS },
];

/// What a field may contain.
struct CronField {
    name: &'static str,
    first: u32,
    last: u32,
    /// The names of its values, from `first` on.
    names: &'static [&'static str],
}

/// A cron expression: the values that each field allows, as sets of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days are named, so either is enough.
    is_either_day: bool,
}

/// What is wrong with a cron expression, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronMistake {
    /// What is wrong, without the expression itself: a fragment such as `has 4 fields`.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl CronMistake {
    fn new(what: impl Into<String>, help: impl Into<String>) -> CronMistake {
        CronMistake { what: what.into(), help: help.into() }
    }
}

impl Cron {
    /// The words that stand for expressions.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, _)| *word)
    }

    /// Reads an expression of five fields, or one of the words.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str) -> Result<Cron, CronMistake> {
        if text.starts_with('@') {
            let known = WORDS.iter().find(|(word, _)| *word == text);
            return known.map_or_else(|| Err(unknown_word(text)), |(_, expression)| Cron::parse(expression));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = &parts[..] else { return Err(wrong_count(&parts)) };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let weekday_bits = weekdays.read(weekday)?;
        let cron = Cron {
            minutes: minutes.read(minute)?,
            hours: hours.read(hour)?,
            days: days.read(day)?,
            months: months.read(month)?,
            // Sunday is 0 and 7.
            weekdays: weekday_bits | (weekday_bits >> 7 & 1),
            is_either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if cron.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err(CronMistake::new("names a day that never comes", "write a day that its month has"));
        }
        Ok(cron)
    }

    /// The first date after a moment; `None`: there is none within the next decades.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let (mut date, mut from) = (local.date(), (local.hour(), local.minute()));
        let last = date.year().saturating_add(YEARS);
        while date.year() <= last {
            if self.has_day(date) {
                let times = bits(self.hours).flat_map(|hour| bits(self.minutes).map(move |minute| (hour, minute)));
                let mut times = times.filter(|time| *time >= from);
                let moment = |(hour, minute)| first_moment(date.at(hour, minute, 0, 0), zone).filter(|at| *at > after);
                if let Some(found) = times.find_map(moment) {
                    return Some(found);
                }
            }
            date = if contains(self.months, date.month()) { date } else { date.last_of_month() }.tomorrow().ok()?;
            from = (0, 0);
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = contains(self.days, date.day());
        let weekday = contains(self.weekdays, date.weekday().to_sunday_zero_offset());
        contains(self.months, date.month()) && if self.is_either_day { day || weekday } else { day && weekday }
    }
}

fn contains(set: u64, value: i8) -> bool {
    set >> value & 1 == 1
}

fn bits(set: u64) -> impl Iterator<Item = i8> {
    (0..60).filter(move |value| contains(set, *value))
}

/// The first moment with this local time, or the first after the gap that it falls into.
fn first_moment(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => offset.to_timestamp(local).ok(),
        // By the later offset, the time is before the gap.
        AmbiguousOffset::Gap { after, .. } => {
            let before_gap = after.to_timestamp(local).ok()?;
            zone.following(before_gap).next().map(|change| change.timestamp())
        }
    }
}

fn unknown_word(text: &str) -> CronMistake {
    let words: Vec<String> = Cron::words().map(|word| format!("`{word}`")).collect();
    let help = match text.split_whitespace().next() {
        Some("@reboot") => "remove `schedule`: a task without one runs once when navigator starts".to_owned(),
        Some("@every") => format!("write `{{every: {}}}`", text.split_whitespace().nth(1).unwrap_or("15m")),
        _ => format!("write one of {}, or five fields", words.join(", ")),
    };
    CronMistake::new("is not a word for a schedule", help)
}

fn wrong_count(parts: &[&str]) -> CronMistake {
    let what = match parts.len() {
        1 => "has one field instead of five".to_owned(),
        count => format!("has {count} fields instead of five"),
    };
    let help = match parts {
        [first @ .., last] if first.len() == 5 && last.len() == 4 && last.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("years are not supported: write `{}`", first.join(" "))
        }
        [_, rest @ ..] if rest.len() == 5 => format!("seconds are not supported: write `{}`", rest.join(" ")),
        [_, rest @ .., _] if rest.len() == 5 => format!("seconds and years are not supported: write `{}`", rest.join(" ")),
        _ => "write minute, hour, day of the month, month and day of the week, such as `0 3 * * *` for every night at three"
            .to_owned(),
    };
    CronMistake::new(what, help)
}

impl CronField {
    /// The values of a field, as bits.
    fn read(&self, text: &str) -> Result<u64, CronMistake> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.item(item)?))
    }

    /// One item: `*`, a value or a range; a step may follow `*` and ranges.
    fn item(&self, item: &str) -> Result<u64, CronMistake> {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, if self.names.len() == 7 { 6 } else { self.last }),
            Some((first, last)) => (self.value(first, item)?, self.value(last, item)?),
            None => {
                let value = self.value(range, item)?;
                if let Some(step) = step {
                    let what = format!("has a step behind one value: `{item}` as {}", self.name);
                    return Err(CronMistake::new(what, format!("write a range, such as `{range}-{}/{step}`", self.last)));
                }
                (value, value)
            }
        };
        if first > last {
            let what = format!("has a range that ends before it begins: `{item}` as {}", self.name);
            let end = if self.names.len() == 7 { 6 } else { self.last };
            return Err(CronMistake::new(what, format!("write two ranges: `{first}-{end},{}-{last}`", self.first)));
        }
        let step = match step.map(|step| number(step).filter(|step| *step > 0)) {
            None => 1,
            Some(Some(step)) => step,
            Some(None) => {
                let what = format!("has a step that is not a number from 1 on: `{item}` as {}", self.name);
                return Err(CronMistake::new(what, format!("write a step such as `{range}/5`")));
            }
        };
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Ok((first..=last).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    /// A value, by number or name.
    fn value(&self, text: &str, item: &str) -> Result<u32, CronMistake> {
        let lower = text.to_ascii_lowercase();
        let by_name = self.names.iter().zip(self.first..).find(|(name, _)| **name == lower).map(|(_, value)| value);
        let value = by_name.or_else(|| number(text)).filter(|value| (self.first..=self.last).contains(value));
        value.ok_or_else(|| {
            let what = format!("has an invalid {}: `{item}`", self.name);
            let names = match self.names {
                [first, .., last] => format!(", or names from `{first}` to `{last}`"),
                _ => String::new(),
            };
            let form = format!("write `*`, or numbers from {} to {}{names}", self.first, self.last);
            CronMistake::new(
                what,
                match text {
                    "?" => "write `*`".to_owned(),
                    _ if text.contains(['L', 'W', '#']) && number(text).is_none() => {
                        format!("`L`, `W` and `#` are not supported: {form}")
                    }
                    _ => form,
                },
            )
        })
    }
}

/// A whole number of a few digits.
fn number(text: &str) -> Option<u32> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_is_explained() {
        let cases = [
            ("", "has 0 fields", "`0 3 * * *`"),
            ("nightly", "has one field", "`0 3 * * *`"),
            ("0 3 * *", "has 4 fields", "`0 3 * * *`"),
            ("0 0 3 * * *", "has 6 fields", "seconds are not supported: write `0 3 * * *`"),
            ("0 3 * * * 2027", "has 6 fields", "years are not supported: write `0 3 * * *`"),
            ("0 0 3 * * * *", "has 7 fields", "seconds and years are not supported: write `0 3 * * *`"),
            ("60 * * * *", "invalid minute: `60`", "from 0 to 59"),
            ("0 24 * * *", "invalid hour: `24`", "from 0 to 23"),
            ("0 0 0 * *", "invalid day of the month: `0`", "from 1 to 31"),
            ("0 0 1 13 *", "invalid month: `13`", "`jan` to `dec`"),
            ("0 0 * * 8", "invalid day of the week: `8`", "`sun` to `sat`"),
            ("0 0 * * monday", "invalid day of the week: `monday`", "`sun` to `sat`"),
            ("0 0 L * *", "invalid day of the month: `L`", "`L`, `W` and `#` are not supported"),
            ("0 0 ? * *", "invalid day of the month: `?`", "write `*`"),
            ("0 22-2 * * *", "ends before it begins: `22-2` as hour", "`22-23,0-2`"),
            ("0 0 * * fri-mon", "ends before it begins: `fri-mon`", "`5-6,0-1`"),
            ("5/15 * * * *", "a step behind one value: `5/15` as minute", "`5-59/15`"),
            ("*/0 * * * *", "a step that is not a number", "`*/5`"),
            ("*/x * * * *", "a step that is not a number", "`*/5`"),
            ("1,,2 * * * *", "invalid minute: ``", "from 0 to 59"),
            ("0 0 30 2 *", "a day that never comes", "a day that its month has"),
            ("@noon", "is not a word", "`@hourly`"),
            ("@reboot", "is not a word", "remove `schedule`"),
            ("@every 5m", "is not a word", "`{every: 5m}`"),
        ];
        for (text, what, help) in cases {
            let mistake = Cron::parse(text).expect_err(text);
            assert!(mistake.what.contains(what), "{text}: {}", mistake.what);
            assert!(mistake.help.contains(help), "{text}: {}", mistake.help);
        }
    }

    #[test]
    fn what_help_advises_is_valid() {
        for text in ["0 22-23,0-2 * * *", "0 0 * * 5-6,0-1", "5-59/15 * * * *", "*/5 * * * *", "0 0 29 2 */7", "0 0 * * 5-7"] {
            assert!(Cron::parse(text).is_ok(), "{text}");
        }
    }
}
