//! The dates of schedules: cron expressions and intervals, by the calendar and the time zones.

mod cron;

pub use cron::{Cron, CronMistake};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reconcile::schedule::{Schedule, WallDate};
use reconcile::text::Text;
use std::iter;
use std::time::Duration;

/// If the clock is set back by no more than this, no date comes twice. By more, the dates count anew.
const SMALL_STEP: SignedDuration = SignedDuration::from_hours(3);

/// The time zone with this IANA name; without a name, the host's. `None`: no time zone has this name.
pub fn time_zone(name: Option<&str>) -> Option<TimeZone> {
    name.map_or_else(|| Some(TimeZone::system()), |name| TimeZone::get(name).ok())
}

/// The names of all time zones.
pub fn time_zones() -> Vec<String> {
    jiff::tz::db().available().map(|name| name.to_string()).collect()
}

/// The date of a moment, rounded up to a millisecond.
pub fn wall_date(moment: Timestamp) -> WallDate {
    let millis = moment.as_millisecond();
    WallDate(if Timestamp::from_millisecond(millis).is_ok_and(|floor| floor < moment) { millis + 1 } else { millis })
}

/// The moment of a date, as far as the calendar goes.
pub fn moment(date: WallDate) -> Timestamp {
    Timestamp::from_millisecond(date.0).unwrap_or(Timestamp::MAX)
}

/// The first date after `now` that isn't served by a start that served `served`; `None`: there is none.
pub fn next_date(schedule: &Schedule, now: Timestamp, served: Option<WallDate>) -> Option<WallDate> {
    let served = served.map(moment);
    match schedule {
        Schedule::Every(interval) => next_interval(*interval, now, served),
        Schedule::Cron { .. } => {
            let is_near = |served: &Timestamp| served.duration_since(now) <= SMALL_STEP;
            dates_after(schedule, served.filter(is_near).map_or(now, |served| served.max(now))).next()
        }
    }
}

/// The dates of a schedule that follow one of its dates.
pub fn dates_after(schedule: &Schedule, date: Timestamp) -> impl Iterator<Item = WallDate> + use<> {
    let next: Box<dyn Fn(Timestamp) -> Option<Timestamp>> = match schedule {
        Schedule::Every(interval) => {
            let interval = *interval;
            Box::new(move |date| date.checked_add(interval).ok())
        }
        Schedule::Cron { expression, timezone } => {
            let cron = Cron::parse(expression.value()).ok();
            let cron = cron.zip(time_zone(timezone.as_ref().map(Text::value)));
            Box::new(move |date| cron.as_ref().and_then(|(cron, zone)| cron.next(date, zone)))
        }
    };
    iter::successors(next(date), move |date| next(*date)).map(wall_date)
}

/// The intervals count from the last date that was served, else from now.
fn next_interval(interval: Duration, now: Timestamp, served: Option<Timestamp>) -> Option<WallDate> {
    let served = served.filter(|served| *served <= now).unwrap_or(now);
    let passed = u128::try_from(now.duration_since(served).as_nanos()).unwrap_or_default();
    let intervals = u32::try_from(passed / interval.as_nanos().max(1)).ok()?.checked_add(1)?;
    served.checked_add(interval.checked_mul(intervals)?).ok().map(wall_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("it is a timestamp")
    }

    fn cron(expression: &str, zone: &str) -> Schedule {
        Schedule::Cron { expression: expression.into(), timezone: Some(zone.into()) }
    }

    /// The first dates after a moment, as UTC.
    fn dates(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        dates_after(&cron(expression, zone), at(after)).take(count).map(|date| moment(date).to_string()).collect()
    }

    #[test]
    fn dates_are_found() {
        let cases = [
            ("0 3 * * *", ["2026-11-30T03:00:00Z", "2026-12-01T03:00:00Z", "2026-12-02T03:00:00Z"]),
            ("*/20 * * * *", ["2026-11-29T22:20:00Z", "2026-11-29T22:40:00Z", "2026-11-29T23:00:00Z"]),
            ("5,10-12 8 * * *", ["2026-11-30T08:05:00Z", "2026-11-30T08:10:00Z", "2026-11-30T08:11:00Z"]),
            ("0 0 1 * *", ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]),
            ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
            ("0 12 * * MON-fri", ["2026-11-30T12:00:00Z", "2026-12-01T12:00:00Z", "2026-12-02T12:00:00Z"]),
            ("0 12 * * 7", ["2026-12-06T12:00:00Z", "2026-12-13T12:00:00Z", "2026-12-20T12:00:00Z"]),
            // Either of the two days, if both are named.
            ("0 0 1 * sun", ["2026-12-01T00:00:00Z", "2026-12-06T00:00:00Z", "2026-12-13T00:00:00Z"]),
            ("0 0 1 jan,JUL *", ["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
            ("@hourly", ["2026-11-29T23:00:00Z", "2026-11-30T00:00:00Z", "2026-11-30T01:00:00Z"]),
            ("@daily", ["2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]),
            ("@midnight", ["2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]),
            ("@weekly", ["2026-12-06T00:00:00Z", "2026-12-13T00:00:00Z", "2026-12-20T00:00:00Z"]),
            ("@monthly", ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]),
            ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
            ("@annually", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
        ];
        for (expression, expected) in cases {
            // A Sunday.
            assert_eq!(dates(expression, "UTC", "2026-11-29T22:00:00Z", 3), expected, "{expression}");
        }
    }

    #[test]
    fn a_time_that_does_not_exist_runs_at_the_next_that_does() {
        // In Berlin 02:00 to 03:00 was skipped on this day.
        let after = "2026-03-28T12:00:00Z";
        assert_eq!(
            dates("30 2 * * *", "Europe/Berlin", after, 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            "03:00, then 02:30"
        );
        // All of its times are one date.
        let every_quarter = dates("*/15 1-3 29 3 *", "Europe/Berlin", "2026-03-29T00:30:00Z", 3);
        assert_eq!(every_quarter, ["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"]);
        // A whole day was skipped in Samoa.
        let samoa = dates("0 12 * * *", "Pacific/Apia", "2011-12-30T00:00:00Z", 2);
        assert_eq!(samoa, ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"], "at the first moment of the 31st, and at its noon");
    }

    #[test]
    fn a_time_that_occurs_twice_runs_once() {
        // In Berlin 02:00 to 03:00 occurred twice on this day.
        let after = "2026-10-24T12:00:00Z";
        assert_eq!(dates("30 2 * * *", "Europe/Berlin", after, 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // Also for a navigator that began between the two.
        assert_eq!(dates("30 2 * * *", "Europe/Berlin", "2026-10-25T00:50:00Z", 1), ["2026-10-26T01:30:00Z"]);
        assert_eq!(dates("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
        // The times around it are not affected.
        let hours = dates("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3);
        assert_eq!(hours, ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"], "2, 3 and 4 o'clock");
    }

    #[test]
    fn the_next_date_comes_after_the_one_that_was_served() {
        let nightly = cron("0 3 * * *", "UTC");
        let next = |now: &str, served: &str| {
            next_date(&nightly, at(now), Some(wall_date(at(served)))).map(|date| moment(date).to_string())
        };
        assert_eq!(next("2026-11-30T03:00:01Z", "2026-11-30T03:00:00Z").as_deref(), Some("2026-12-01T03:00:00Z"));
        // The clock was set back a little, and by days.
        assert_eq!(next("2026-11-30T02:59:59Z", "2026-11-30T03:00:00Z").as_deref(), Some("2026-12-01T03:00:00Z"));
        assert_eq!(next("2026-11-20T00:00:00Z", "2026-11-30T03:00:00Z").as_deref(), Some("2026-11-20T03:00:00Z"));
    }

    #[test]
    fn intervals_count_from_the_date_that_was_served() {
        let quarter = Schedule::Every(Duration::from_mins(15));
        let next = |now: &str, served: Option<&str>| {
            next_date(&quarter, at(now), served.map(|served| wall_date(at(served)))).map(|date| moment(date).to_string())
        };
        assert_eq!(next("2026-11-30T10:01:00Z", None).as_deref(), Some("2026-11-30T10:16:00Z"));
        assert_eq!(next("2026-11-30T10:01:00Z", Some("2026-11-30T10:00:00Z")).as_deref(), Some("2026-11-30T10:15:00Z"));
        // Those that were missed are made up for by one start.
        assert_eq!(next("2026-11-30T10:50:00Z", Some("2026-11-30T10:00:00Z")).as_deref(), Some("2026-11-30T11:00:00Z"));
        // The clock was set back.
        assert_eq!(next("2026-11-20T10:01:00Z", Some("2026-11-30T10:00:00Z")).as_deref(), Some("2026-11-20T10:16:00Z"));
    }

    #[test]
    fn time_zones_are_known_by_their_names() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"] {
            assert!(time_zone(Some(name)).is_some(), "{name}");
        }
        for name in ["Berlin", "Mars/Olympus", "+02:00", "../etc/passwd"] {
            assert!(time_zone(Some(name)).is_none(), "{name}");
        }
        assert!(time_zone(None).is_some());
    }
}
