//! Rules about order: who is started after whom, and who is stopped before whom.

use super::{Broken, Rule};
use crate::host::{Condition, Host, Name, Need, Process};
use crate::places::Places;
use crate::runs::{Account, Run};

pub(super) const RULES: [Rule; 5] = [
    ("a start waits for its dependencies", starts_wait),
    ("starts follow the order of the list", starts_follow_the_list),
    ("applications start after every managed process", applications_come_last),
    ("removed processes are gone before added ones start", the_removed_make_room),
    ("stops follow the order turned round", stops_go_backwards),
];

/// Holds a rule about a start by any of the hosts that it can have been begun under.
fn for_starts(account: &Account<'_>, check: impl Fn(&Host, &Process, &Run) -> Result<(), String>) -> Result<(), Broken> {
    for run in &account.runs {
        let mut problem = None;
        let hosts = account.in_force_within(account.begun_after(run), run.starting);
        for host in hosts {
            // That nobody wants it is another rule's affair.
            let Some(process) = host.wanted(run.name) else { continue };
            match check(host, process, run) {
                Ok(()) => {
                    problem = None;
                    break;
                }
                Err(found) => problem = Some(found),
            }
        }
        if let Some(problem) = problem {
            return Err((run.starting, problem));
        }
    }
    Ok(())
}

fn starts_wait(account: &Account<'_>) -> Result<(), Broken> {
    for_starts(account, |host, process, run| {
        let missing = process.required().find(|&(on, need)| !held(account, host, run, on, need));
        missing.map_or(Ok(()), |(on, _)| Err(format!("{} is started, and its dependency {on} isn't there", process.name)))
    })
}

/// Whether a dependency held when a run was begun.
fn held(account: &Account<'_>, host: &Host, run: &Run, on: Name, need: Need) -> bool {
    let since = account.begun_after(run);
    let is_task = host.get(on).is_some_and(|process| process.identity.is_task);
    let mut others = account.runs.iter().filter(|other| other.name == on && other.starting < run.starting);
    others.any(|other| {
        let was_there = other.stopping.or(other.over()).is_none_or(|end| end > since);
        let has_completed = account.succeeded(other) && other.ended < Some(run.starting);
        match host.condition(on, need) {
            Condition::Completed => has_completed,
            Condition::Started | Condition::Ready => was_there || (is_task && has_completed),
        }
    })
}

fn starts_follow_the_list(account: &Account<'_>) -> Result<(), Broken> {
    for_starts(account, |host, process, run| {
        let places = Places::of(host);
        let mut name = process.name;
        while let Some(&before) = places.after.get(&name) {
            if is_overtaken(account, host, before, run) {
                return Err(format!("{} is started before {before}, which comes before it in the list", process.name));
            }
            name = before;
        }
        Ok(())
    })
}

fn applications_come_last(account: &Account<'_>) -> Result<(), Broken> {
    for_starts(account, |host, process, run| {
        let mut managed = host.processes.iter().filter(|other| !other.is_application && process.is_application);
        let overtaken = managed.find(|other| is_overtaken(account, host, other.name, run));
        overtaken.map_or(Ok(()), |other| Err(format!("application {} is started before {}", process.name, other.name)))
    })
}

/// Whether a process that was to start first, and could, hadn't been started before this run.
fn is_overtaken(account: &Account<'_>, host: &Host, before: Name, run: &Run) -> bool {
    let Some(process) = host.wanted(before) else { return false };
    // What ended by itself has had its place in the list.
    let had_its_place = account.before(run).is_some_and(|former| former.ended.is_some());
    let mut former = account.runs.iter().filter(|other| other.name == before && other.starting < run.starting);
    let was_started = former.any(|other| account.version(other) == Some(process.version()));
    !had_its_place && !was_started && !may_be_stuck(account, host, before, run.starting)
}

/// Whether a process may have waited for something that doesn't come by itself.
fn may_be_stuck(account: &Account<'_>, host: &Host, name: Name, place: usize) -> bool {
    let Some(process) = host.wanted(name) else { return true };
    let ended = |run: &Run| run.name == name && run.ended.is_some_and(|ended| ended < place);
    let never_completes = |on: Name, need: Need| {
        host.condition(on, need) == Condition::Completed && host.get(on).is_some_and(|on| !on.identity.is_task)
    };
    account.runs.iter().any(ended)
        || process.required().any(|(on, need)| never_completes(on, need) || may_be_stuck(account, host, on, place))
}

fn the_removed_make_room(account: &Account<'_>) -> Result<(), Broken> {
    for_starts(account, |host, process, run| {
        if !matches!(run.reason.as_str(), "added to file" | "enabled in file") {
            return Ok(());
        }
        let mut others = account.runs.iter().filter(|other| host.wanted(other.name).is_none());
        let left = others.find(|other| other.is_up(run.starting));
        left.map_or(Ok(()), |left| {
            Err(format!("{} is started while {}, which is removed, is still there", process.name, left.name))
        })
    })
}

fn stops_go_backwards(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let Some(place) = run.stopping else { continue };
        let is_shutdown = account.told(place).is_some_and(|told| told.reason() == "shutdown");
        let last = account.generations.iter().rposition(|generation| generation.told < place);
        let Some(last) = last else { continue };
        let accepted = account.generations[last].told;
        let former = last.checked_sub(1).map(|former| account.hosts(&account.generations[former])).unwrap_or_default();
        let runs_as_in =
            |host: &Host, run: &Run| host.wanted(run.name).is_some_and(|now| account.version(run) == Some(now.version()));
        // What doesn't go on under a file has the place of the last one that it ran on under.
        let placed = |host: &Host, run: &Run| match former[..] {
            [former] if run.stopping.is_none_or(|stop| stop > accepted) && !runs_as_in(host, run) => {
                runs_as_in(former, run).then_some(former)
            }
            _ => None,
        };
        for host in account.hosts(&account.generations[last]) {
            let goes = |other: &&Run| {
                let is_there = other.name != run.name && other.starting < place && other.ended.is_none_or(|ended| ended > place);
                let is_left = is_there && other.gone.is_none_or(|gone| gone > place);
                // Who is restarted along with another one depends on more than can be seen from here.
                is_left && (is_shutdown || !runs_as_in(host, other))
            };
            let comes_after = |other: &&Run| comes_after(host, placed(host, other), other.name, run.name);
            let left = account.runs.iter().filter(goes).find(comes_after);
            // Where it isn't known which of several saves is in force, it is enough that one of them allows it.
            match left {
                Some(left) if account.generations[last].saves.len() == 1 => {
                    return Err((
                        place,
                        format!("{} is told to stop, and {} is still there, which goes too", run.name, left.name),
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether a process is placed after another one: by the file in force or, where one of them is in it no more, by the former
/// one, unless the two contradict each other. The tier of a process is the one that it has now.
fn comes_after(host: &Host, former: Option<&Host>, name: Name, on: Name) -> bool {
    let places = Places::of(host);
    if host.get(name).is_some() && host.get(on).is_some() {
        return places.waits(name, on);
    }
    let Some(former) = former else { return false };
    let tier = |name| host.get(name).or(former.get(name)).map(|process| process.is_application);
    let (Some(tier), Some(of_other)) = (tier(name), tier(on)) else { return false };
    if tier != of_other {
        return tier;
    }
    let was = Places::of(former);
    former.get(on).is_some() && was.is_next(name, on) && !places.waits_with(&was, on, name)
}

#[cfg(test)]
mod tests {
    use super::super::trial::verdict;
    use super::*;
    use crate::story::made::host;

    /// `a`, `b` and `c` in the order of the list, `d` after `b` by name, `w` an application; then without `a` and with `e`.
    fn hosts() -> [Host; 2] {
        let plain = |name| Process::new(name);
        let (mut d, mut w) = (plain('d'), plain('w'));
        d.needs = Some([('b', Need::default())].into());
        (w.is_application, w.needs) = (true, Some([].into()));
        let first = [plain('a'), plain('b'), plain('c'), d.clone(), w.clone()];
        [host(&first), host(&[plain('b'), plain('c'), d, plain('e'), w])]
    }

    fn says(rule: usize, text: &str) -> Option<String> {
        let loaded = "0 save 0 begins\n1 log Configuration loaded generation=1";
        verdict(&RULES, RULES[rule].0, &hosts(), &format!("{loaded}\n{text}"))
    }

    /// Starts of these, in this order.
    fn starts(names: &str) -> String {
        let line = |(place, name)| {
            let (at, pid) = (2 + place, 100 + u32::from(name));
            format!("{at} log Starting process name={name} pid={pid} generation=1 reason=added to file\n")
        };
        names.chars().enumerate().map(line).collect()
    }

    fn stopping(at: u32, name: char, reason: &str) -> String {
        format!("{at} log Stopping process name={name} pid={} reason={reason}\n", 100 + u32::from(name))
    }

    fn stopped(at: u32, name: char) -> String {
        format!("{at} log Process stopped name={name} pid={}\n", 100 + u32::from(name))
    }

    #[test]
    fn a_start_before_its_dependency_is_found() {
        assert_eq!(says(0, &starts("abdc")), None);
        assert!(says(0, &starts("adbc")).is_some());
    }

    #[test]
    fn a_start_out_of_the_order_of_the_list_is_found() {
        assert_eq!(says(1, &starts("abcd")), None);
        assert!(says(1, &starts("acb")).is_some());
        // One that ended by itself has been started.
        let crash = format!("{}9 log Process crashed name=a pid=197 signal=KILL\n", starts("a"));
        assert_eq!(says(1, &format!("{crash}10 log Starting process name=b pid=9 generation=1\n")), None);
    }

    #[test]
    fn an_application_that_comes_too_early_is_found() {
        assert_eq!(says(2, &starts("abcdw")), None);
        assert!(says(2, &starts("abcw")).is_some());
    }

    #[test]
    fn a_start_before_the_removed_is_gone_is_found() {
        let changed = "5000 save 1 begins\n
            5001 log Configuration reloaded generation=2 added=1 removed=1 changed=0 updated=0 unchanged=4\n";
        let begun = format!("{}{changed}{}", starts("abcdw"), stopping(5002, 'a', "removed from file"));
        let start = "log Starting process name=e pid=9 generation=2 reason=added to file\n";
        assert_eq!(says(3, &format!("{begun}{}6500 {start}", stopped(6400, 'a'))), None);
        assert!(says(3, &format!("{begun}6500 {start}")).is_some());
    }

    #[test]
    fn a_stop_before_those_that_come_after_it_is_found() {
        let begun = format!("{}50 shutdown\n", starts("abcdw"));
        let in_order = ["wdcba".chars().zip((0..5).map(|n| 60 + 2 * n))];
        let stops: String =
            in_order.into_iter().flatten().map(|(name, at)| stopping(at, name, "shutdown") + &stopped(at + 1, name)).collect();
        assert_eq!(says(4, &format!("{begun}{stops}")), None);
        let first = |name| format!("{begun}{}", stopping(60, name, "shutdown"));
        assert_eq!(says(4, &first('w')), None);
        assert!(says(4, &first('c')).is_some(), "the application is there");
        let not_gone =
            stopping(60, 'w', "shutdown") + &stopped(61, 'w') + &stopping(62, 'd', "shutdown") + &stopping(63, 'b', "shutdown");
        assert!(says(4, &format!("{begun}{not_gone}")).is_some());
    }
}
