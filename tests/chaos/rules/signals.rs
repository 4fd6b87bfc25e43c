//! Rules about who is touched: nobody without a reason that the file gives, and nobody twice.

use super::{Broken, Rule, ensure};
use crate::host::{Host, Name};
use crate::runs::{Account, Run};
use crate::story::{Told, What};

pub(super) const RULES: [Rule; 4] = [
    ("what is unchanged gets no signal", stops_have_a_reason),
    ("nobody gets a signal that nobody accounts for", signals_have_a_cause),
    ("nobody ends without a cause", ends_have_a_cause),
    ("a process that follows a replaced one is restarted", followers_follow),
];

fn stops_have_a_reason(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let Some(place) = run.stopping else { continue };
        let reason = account.told(place).map_or("", Told::reason);
        let is_shutdown = reason == "shutdown" && account.story.place(|what| matches!(what, What::Shutdown)) < Some(place);
        let must_go = || account.in_force(place).iter().any(|host| must_go(account, host, run, place));
        ensure(is_shutdown || must_go(), place, || format!("{} is told to stop ({reason}), and is as wanted", run.name))?;
    }
    Ok(())
}

/// Whether the file gives a reason to stop a run.
fn must_go(account: &Account<'_>, host: &Host, run: &Run, place: usize) -> bool {
    host.wanted(run.name).is_none() || is_replaced(account, host, run, place)
}

/// Whether a run has to make room for another one.
fn is_replaced(account: &Account<'_>, host: &Host, run: &Run, place: usize) -> bool {
    let Some(process) = host.wanted(run.name) else { return false };
    if account.version(run) != Some(process.version()) {
        return true;
    }
    process.needs.iter().flatten().filter(|(_, need)| need.restarts).any(|(&on, _)| {
        let others: Vec<&Run> = account.runs.iter().filter(|other| other.name == on && other.starting < place).collect();
        // It may have come back, and ended by itself since, before what follows it could be stopped.
        let was_replaced = others.iter().any(|other| other.starting > run.starting && replaces(&other.reason));
        let goes = others.last().is_some_and(|other| {
            let is_told_to =
                other.stopping.is_some_and(|stop| stop < place && replaces(account.told(stop).map_or("", Told::reason)));
            // One that is over may be in the middle of its next start, which is told of later.
            is_told_to || is_replaced(account, host, other, place)
        });
        was_replaced || goes
    })
}

/// Whether what is done for this reason makes room for another run, or is the start of it.
fn replaces(reason: &str) -> bool {
    reason.ends_with(" changed") || reason.starts_with("dependency ")
}

/// Each signal is one that somebody else sent, or belongs to a stop that is told of.
fn signals_have_a_cause(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let hits = |signal: &str| run.hits.iter().filter(|&&place| is_hit(account, place, signal)).count();
        let stops = usize::from(run.stopping.is_some());
        for signal in ["TERM", "CONT", "INT", "HUP", "QUIT", "USR1"] {
            let most = hits(signal) + if matches!(signal, "TERM" | "CONT") { stops } else { 0 };
            let got: Vec<usize> = run.of_leader.iter().copied().filter(|&place| account.word(place) == signal).collect();
            ensure(got.len() <= most, got.last().copied().unwrap_or(0), || {
                format!("{} gets {signal} {} times, and {most} are accounted for", run.name, got.len())
            })?;
        }
        // Below the leader no other program sends any. What a leader that ended by itself leaves behind gets the signal of a stop.
        let below = run.of_tree.iter().find(|&&place| !run.of_leader.contains(&place) && is_signal(account.word(place)));
        if let (Some(&place), None) = (below, run.stopping.or(run.ended)) {
            return Err((place, format!("a process below {} gets {}, and is not to stop", run.name, account.word(place))));
        }
    }
    Ok(())
}

fn is_signal(word: &str) -> bool {
    word.chars().all(|character| character.is_ascii_uppercase() || character.is_ascii_digit())
}

fn is_hit(account: &Account<'_>, place: usize, wanted: &str) -> bool {
    matches!(&account.story.entries[place].what, What::Hit(_, _, signal) if signal == wanted)
}

/// What ended by itself did so because it was to, or because somebody else sent a signal; and what is told of its end is true.
fn ends_have_a_cause(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let Some(place) = run.ended else { continue };
        let Some(told) = account.told(place) else { continue };
        let said = run.of_leader.iter().find_map(|&place| account.word(place).strip_prefix("end "));
        if let Some(signal) = told.fields.get("signal") {
            let is_hit = run.hits.iter().any(|&place| is_hit(account, place, signal));
            ensure(is_hit, place, || format!("{} ends by {signal}, which nobody sent", run.name))?;
        } else {
            let status = told.fields.get("status").map(String::as_str);
            ensure(said.is_some() && said == status, place, || {
                format!("the end of {} is told with status {status:?}, and it says {said:?}", run.name)
            })?;
            let plans = planned_end(account, run);
            let is_hit = run.hits.iter().any(|&place| is_hit(account, place, "TERM"));
            ensure(is_hit || plans, place, || format!("{} ends, and was not to", run.name))?;
        }
    }
    Ok(())
}

/// Whether a run was to end by itself.
fn planned_end(account: &Account<'_>, run: &Run) -> bool {
    let hosts = account.in_force_within(0, usize::MAX);
    let same = hosts.into_iter().filter_map(|host| host.get(run.name)).find(|it| Some(it.version()) == account.version(run));
    same.is_some_and(|process| process.identity.doings.ends.is_some())
}

/// At each moment at which everything was settled, for edges that were there all the time since the follower began.
fn followers_follow(account: &Account<'_>) -> Result<(), Broken> {
    let settled = account.story.entries.iter().enumerate().filter(|(_, entry)| matches!(entry.what, What::Settled(_)));
    for (place, _) in settled {
        for run in account.runs.iter().filter(|run| run.is_up(place)) {
            let hosts = account.in_force_within(run.starting, place);
            let follows = |on: Name| {
                hosts.iter().all(|host| {
                    let needs = host.wanted(run.name).and_then(|process| process.needs.as_ref());
                    needs.and_then(|needs| needs.get(&on)).is_some_and(|need| need.restarts) && host.wanted(on).is_some()
                })
            };
            let newer = account.runs.iter().filter(|other| (run.starting..place).contains(&other.starting));
            let left = { newer }.find(|other| other.reason.ends_with(" changed") && other.is_up(place) && follows(other.name));
            if let Some(left) = left {
                return Err((place, format!("{} was replaced, and {} was not restarted along with it", left.name, run.name)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::trial::verdict;
    use super::*;
    use crate::host::{Need, Process};
    use crate::story::made::host;

    /// `b` follows `a`, of which there are two versions; `c` is for itself.
    fn hosts() -> [Host; 2] {
        let (mut a, mut b) = (Process::new('a'), Process::new('b'));
        b.needs = Some([('a', Need { restarts: true, ..Need::default() })].into());
        let first = host(&[a.clone(), b.clone(), Process::new('c')]);
        a.identity.number = 1;
        [first, host(&[a, b, Process::new('c')])]
    }

    const BEGUN: &str = "
        0 save 0 begins
        1 log Configuration loaded generation=1
        2 log Starting process name=a pid=7 generation=1 reason=added to file
        2 a 7 0r 7 start
        3 log Starting process name=b pid=8 generation=1 reason=added to file
        3 b 8 0r 8 start
        4 log Starting process name=c pid=9 generation=1 reason=added to file
        4 c 9 0r 9 start
        5 settled on save 0\n";
    const CHANGED: &str = "
        6 save 1 begins
        7 log Configuration reloaded generation=2 added=0 removed=0 changed=1 updated=0 unchanged=2\n";

    fn says(rule: usize, text: &str) -> Option<String> {
        verdict(&RULES, RULES[rule].0, &hosts(), &format!("{BEGUN}{text}"))
    }

    #[test]
    fn a_stop_without_a_reason_is_found() {
        let stop = |name, pid| format!("{CHANGED}8 log Stopping process name={name} pid={pid} reason=args changed");
        assert_eq!(says(0, &stop('a', 7)), None);
        assert_eq!(says(0, &stop('b', 8)), None, "it follows `a`");
        assert!(says(0, &stop('c', 9)).is_some());
        assert!(says(0, "6 log Stopping process name=a pid=7 reason=args changed").is_some(), "nothing was saved");
        let shutdown = "log Stopping process name=c pid=9 reason=shutdown";
        assert_eq!(says(0, &format!("6 shutdown\n7 {shutdown}")), None);
        assert!(says(0, &format!("6 {shutdown}\n7 shutdown")).is_some());
    }

    #[test]
    fn a_signal_without_a_cause_is_found() {
        assert!(says(1, "6 c 9 0r 9 TERM").is_some());
        assert!(says(1, "6 c 10 0r 9 TERM").is_some(), "below the leader, too");
        assert_eq!(says(1, "6 hit c 9 TERM\n7 c 9 0r 9 TERM"), None);
        let stop = format!("{CHANGED}8 log Stopping process name=a pid=7 reason=args changed\n9 a 7 0r 7 TERM\n");
        assert_eq!(says(1, &stop), None);
        assert!(says(1, &format!("{stop}10 a 7 0r 7 TERM")).is_some(), "twice");
    }

    #[test]
    fn an_end_without_a_cause_is_found() {
        let crash = "log Process crashed name=c pid=9 signal=KILL";
        assert!(says(2, &format!("6 {crash}")).is_some());
        assert_eq!(says(2, &format!("6 hit c 9 KILL\n7 {crash}")), None);
        assert!(says(2, "6 hit c 9 TERM\n7 c 9 0r 9 end 0\n8 log Process crashed name=c pid=9 status=3").is_some());
    }

    #[test]
    fn a_follower_that_is_left_behind_is_found() {
        let replaced = format!(
            "{CHANGED}8 log Stopping process name=a pid=7 reason=args changed
            9 log Process stopped name=a pid=7
            10 log Starting process name=a pid=17 generation=2 reason=args changed\n"
        );
        assert!(says(3, &format!("{replaced}12 settled on save 1")).is_some());
        let along = "11 log Process stopped name=b pid=8\n11 log Starting process name=b pid=18 generation=1\n";
        assert_eq!(says(3, &format!("{replaced}{along}12 settled on save 1")), None);
    }
}
