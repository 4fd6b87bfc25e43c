//! Many saves at once: the last one counts, whatever was obsolete when its turn came is never started, and a file that
//! changes all the time keeps navigator neither from its work nor at work.

use super::{assert_untouched, on_directory, shell, started_after, verdicts};
use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site, report};
use std::time::{Duration, SystemTime};

/// Two processes, of which the second takes this long to stop, also when it has only just begun, and says in its argument
/// which version this is.
fn version(number: u32, takes: &str) -> String {
    format!(
        r#"managed_processes:
  - {{ name: kept, command: "${{FIXTURES}}/child.sh", args: [kept] }}
  - {{ name: moved, command: "${{FIXTURES}}/moment.sh", args: [version-{number}], stop: {{ signal: WINCH, timeout: {takes} }} }}
"#
    )
}

/// That nothing was started that was obsolete when its predecessor was gone, and nothing more often than there were
/// accepted contents; how often it was started.
#[track_caller]
fn assert_nothing_obsolete(navigator: &Navigator<'_>) -> usize {
    let events = navigator.events();
    let generation = |event: &Event| event.field("generation").and_then(|number| number.parse::<u32>().ok());
    let starts: Vec<&Event> = events.iter().filter(|event| event.is("Starting process", "moved")).collect();
    let stops: Vec<&Event> = events.iter().filter(|event| event.is("Process stopped", "moved")).collect();
    for (stop, start) in stops.iter().zip(starts.iter().skip(1)) {
        assert!(stop.index < start.index, "{}", navigator.log().describe());
        let accepted = events[..].iter().take_while(|event| event.index < stop.index);
        let newest = accepted.filter(|event| event.message == "Configuration reloaded").filter_map(generation).max();
        assert!(generation(start) >= newest, "{start:?} is older than {newest:?}\n{}", navigator.log().describe());
    }
    let contents = 1 + verdicts(navigator).iter().filter(|event| event.message == "Configuration reloaded").count();
    assert!(starts.len() <= contents, "{} starts of {contents} contents", starts.len());
    starts.len()
}

/// Saves versions 1 to 200, each of them prepared, one every hundredth of a second or so.
const SAVES: u32 = 200;

fn burst(save: &str) {
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(0, "1s"));
    navigator.journals("kept start");
    navigator.journals("version-0 start");
    for number in 1..=SAVES {
        site.write(&format!("saves/{number}"), &version(number, "1s"));
    }
    let begun = SystemTime::now();
    shell(&site, &format!("i=1; while [ $i -le $1 ]; do {save}; sleep 0.007; i=$((i + 1)); done"), SAVES);
    let took = begun.elapsed().expect("the clock wasn't set back");
    navigator.journals(&format!("version-{SAVES} start"));
    let until = started_after(&site, &format!("version-{SAVES}"), begun);
    let starts = assert_nothing_obsolete(&navigator);
    report(&format!(
        "{SAVES} saves in {took:.1?} (`{save}`): {} generations, {starts} starts, the last one after {until:.1?}",
        verdicts(&navigator).len() + 1
    ));
    // Each is gone only a second after it was told to stop.
    let room = usize::try_from(until.as_secs()).expect("it is short") + 1;
    assert!(starts <= 1 + room, "{starts} starts in {until:?}");
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn of_two_hundred_renamed_in_saves_the_last_one_counts() {
    burst("mv saves/$i conf/navigator.yml");
}

#[test]
fn of_two_hundred_saves_in_place_the_last_one_counts() {
    burst("cat saves/$i > conf/navigator.yml");
}

#[test]
fn what_is_put_back_while_it_is_stopping_is_restarted_once() {
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(1, "1500ms"));
    navigator.journals("version-1 start");
    let save = |number| {
        site.write("conf/tmp", &version(number, "1500ms"));
        std::fs::rename(site.path("conf/tmp"), site.path("conf/navigator.yml")).expect("it is ours");
    };
    save(2);
    navigator.event("Stopping process", "moved");
    save(1);
    navigator.nth_event("Process started", "moved", 1);
    let starts = || site.journal().into_iter().filter(|line| line.starts_with("version")).collect::<Vec<_>>();
    navigator.log().until("its second start", || (starts().len() == 2).then_some(()));
    assert_eq!(starts(), ["version-1 start", "version-1 start"]);
    assert_eq!(assert_nothing_obsolete(&navigator), 2);
    assert_eq!(verdicts(&navigator).len(), 2, "{}", navigator.log().describe());
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_file_that_toggles_all_the_time_costs_little() {
    let site = Site::new();
    let mut navigator = on_directory(&site, &version(1, "200ms"));
    navigator.journals("version-1 start");
    site.write("a", &version(1, "200ms"));
    site.write("b", &version(2, "200ms"));
    let (before, begun) = (processor_time(navigator.pid()), SystemTime::now());
    let toggle = "i=0; while [ $i -lt 250 ]; do cp a conf/tmp; mv conf/tmp conf/navigator.yml; sleep 0.006; cp b conf/tmp; mv conf/tmp conf/navigator.yml; sleep 0.006; i=$((i + 1)); done";
    shell(&site, toggle, 0);
    let took = begun.elapsed().expect("the clock wasn't set back");
    let spent = processor_time(navigator.pid()).saturating_sub(before);
    site.write("conf/navigator.yml", &version(3, "200ms"));
    navigator.journals("version-3 start");
    let starts = assert_nothing_obsolete(&navigator);
    let share = spent.as_secs_f64() / took.as_secs_f64() * 100.0;
    report(&format!(
        "500 saves of two versions by turns in {took:.1?}: {starts} starts, {} generations, {share:.0} % of a processor",
        verdicts(&navigator).len() + 1
    ));
    assert!(share < 50.0, "navigator took {share:.0} % of a processor");
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// How much processor time a process has taken, itself alone.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("`proc(5)` says so")).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
