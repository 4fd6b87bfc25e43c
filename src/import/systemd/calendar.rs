//! `OnCalendar=` as a cron expression.

/// Words for dates.
const WORDS: [(&str, &str); 9] = [
    ("minutely", "* * * * *"),
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("weekly", "0 0 * * 1"),
    ("monthly", "0 0 1 * *"),
    ("quarterly", "0 0 1 1,4,7,10 *"),
    ("semiannually", "0 0 1 1,7 *"),
    ("yearly", "0 0 1 1 *"),
    ("annually", "0 0 1 1 *"),
];

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A cron expression, and a time zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CronDates {
    pub(super) cron: String,
    pub(super) timezone: Option<String>,
}

/// The cron expression for a calendar event; none if cron can't say it.
pub(super) fn cron(text: &str) -> Option<CronDates> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let zone = words
        .last()
        .filter(|word| **word == "UTC" || word.contains('/') && word.starts_with(|char: char| char.is_ascii_uppercase()));
    let timezone = zone.map(|zone| (*zone).to_owned());
    if timezone.is_some() {
        words.pop();
    }
    if let [word] = words.as_slice()
        && let Some((_, cron)) = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word))
    {
        return Some(CronDates { cron: (*cron).to_owned(), timezone });
    }
    let days = words.first().filter(|word| word.starts_with(|char: char| char.is_ascii_alphabetic())).copied();
    let rest = if days.is_some() { &words[1..] } else { &words[..] };
    let (date, time) = match rest {
        [] => ("*-*-*", "0:0"),
        [time] if time.contains(':') => ("*-*-*", *time),
        [date] => (*date, "0:0"),
        [date, time] => (*date, *time),
        _ => return None,
    };
    let parts: Vec<&str> = date.split('-').collect();
    let (month, day) = match parts.as_slice() {
        ["*", month, day] | [month, day] => (field(month, 1, 12)?, field(day, 1, 31)?),
        _ => return None,
    };
    let times: Vec<&str> = time.split(':').collect();
    let (hour, minute) = match times.as_slice() {
        [hour, minute] | [hour, minute, "0" | "00"] => (field(hour, 0, 23)?, field(minute, 0, 59)?),
        _ => return None,
    };
    let days = days.map_or_else(|| Some("*".to_owned()), weekdays)?;
    // cron takes either day, systemd both.
    if day != "*" && days != "*" {
        return None;
    }
    Some(CronDates { cron: format!("{minute} {hour} {day} {month} {days}"), timezone })
}

/// `*`, `3`, `1..5`, `0/15`, or a list of them.
fn field(text: &str, first: u32, last: u32) -> Option<String> {
    let part = |part: &str| {
        let (base, step) = part.split_once('/').map_or((part, None), |(base, step)| (base, Some(step)));
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| (first..=last).contains(number));
        let step = match step {
            Some(step) => format!("/{}", step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => String::new(),
        };
        Some(match (base, base.split_once("..")) {
            ("*", _) => format!("*{step}"),
            (_, Some((from, to))) => format!("{}-{}{step}", number(from)?, number(to)?),
            (base, None) if step.is_empty() => number(base)?.to_string(),
            (base, None) => format!("{}-{last}{step}", number(base)?),
        })
    };
    let parts: Option<Vec<String>> = text.split(',').map(part).collect();
    Some(parts?.join(",").replace(&format!("{first}-{last}/"), "*/"))
}

/// `Mon..Fri`, `Sat,Sun`
fn weekdays(text: &str) -> Option<String> {
    let day = |text: &str| {
        let short: String = text.chars().take(3).collect::<String>().to_ascii_lowercase();
        DAYS.iter().position(|day| *day == short)
    };
    let part = |part: &str| {
        let (from, to) = part.split_once("..").or_else(|| part.split_once('-')).unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        // Sunday is the end of a week, too.
        let to = if to == 0 && from > 0 { 7 } else { to };
        Some(if from == to { from.to_string() } else { format!("{from}-{to}") })
    };
    let parts: Option<Vec<String>> = text.split(',').map(part).collect();
    Some(parts?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_events_become_cron_expressions() {
        for (text, expected) in [
            ("daily", Some("0 0 * * *")),
            ("weekly", Some("0 0 * * 1")),
            ("*-*-* 03:00", Some("0 3 * * *")),
            ("*-*-* 03:30:00", Some("30 3 * * *")),
            ("03:30", Some("30 3 * * *")),
            ("Mon..Fri 08:15", Some("15 8 * * 1-5")),
            ("Sat,Sun *-*-* 10:00:00", Some("0 10 * * 6,0")),
            ("Fri..Sun 1:00", Some("0 1 * * 5-7")),
            ("*:0/15", Some("*/15 * * * *")),
            ("*-*-01 00:00:00", Some("0 0 1 * *")),
            ("*-1,7-1..7 6:30", Some("30 6 1-7 1,7 *")),
            ("8..18:00", Some("0 8-18 * * *")),
            ("Mon *-*-1 0:0", None),
            ("2026-01-01", None),
            ("*:*:0/10", None),
            ("*-*~1", None),
            ("25:00", None),
        ] {
            assert_eq!(cron(text).map(|dates| dates.cron).as_deref(), expected, "{text}");
        }
        let zone = cron("daily Europe/Berlin").and_then(|dates| dates.timezone);
        assert_eq!(zone.as_deref(), Some("Europe/Berlin"));
    }
}
