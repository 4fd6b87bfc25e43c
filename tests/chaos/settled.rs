//! Whether everything is as a file says, as far as that can come about: the meaning of "converged", from outside.

use crate::host::{Condition, Host, Name, Need, Process};
use crate::runs::{Account, Run};
use crate::story::What;

/// Whether something will be so without anybody's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// Now and then: it ends by itself, and comes back.
    Sometimes,
}

/// What is not as the last save says; `None` if everything is.
pub(crate) fn unsettled(account: &Account<'_>, save: usize) -> Option<String> {
    let host = account.story.saves[save].host.as_ref()?;
    not_in_force(account, save).or_else(|| not_as_wanted(account, host))
}

/// Why the last save isn't in force; `None` if it is.
pub(crate) fn not_in_force(account: &Account<'_>, save: usize) -> Option<String> {
    let host = account.story.saves[save].host.as_ref()?;
    let saving = account.story.saving(save);
    let is_verdict =
        |message: &str| matches!(message, "Configuration loaded" | "Configuration reloaded" | "Configuration unchanged");
    // A verdict after the save began can be one of an earlier save; but the last one is in force then, or it isn't.
    if !account.story.told().any(|(place, told)| place > saving && is_verdict(&told.message)) {
        return Some(format!("nothing is told of save {save}"));
    }
    let is_in_force = account.generations.last().is_some_and(|last| account.hosts(last).contains(&host));
    (!is_in_force).then(|| format!("save {save} is not in force"))
}

/// What is not as the host in force has it.
fn not_as_wanted(account: &Account<'_>, host: &Host) -> Option<String> {
    let unwanted = account.runs.iter().filter(|run| host.wanted(run.name).is_none()).find(|run| run.over().is_none());
    if let Some(run) = unwanted {
        return Some(format!("{} still runs as {}", run.name, run.pid));
    }
    let doomed = account.runs.iter().filter(|run| run.over().is_none()).find(|run| is_doomed(account, run));
    if let Some(run) = doomed {
        return Some(format!("nothing is told of the end of {}, which was {}", run.name, run.pid));
    }
    let places = Outcome { account, host };
    host.processes.iter().filter(|process| process.enabled).find_map(|process| places.missing(process))
}

/// Whether somebody else sent the run a signal that ends it.
fn is_doomed(account: &Account<'_>, run: &Run) -> bool {
    let mut hosts = account.in_force_within(0, usize::MAX).into_iter().filter_map(|host| host.get(run.name));
    let ignores = hosts.any(|process| Some(process.version()) == account.version(run) && process.identity.doings.ignores);
    // A stopped process takes every other signal when it goes on, which nobody tells it to; and it may be stopped on its way out.
    let is_stopped = hits(account, run).any(|signal| signal == "STOP");
    hits(account, run).any(|signal| match signal {
        "KILL" => true,
        "STOP" => false,
        "TERM" => !is_stopped && !ignores,
        _ => !is_stopped,
    })
}

/// The signals that somebody else sent a run.
fn hits<'s>(account: &Account<'s>, run: &Run) -> impl Iterator<Item = &'s str> {
    let story = account.story;
    run.hits.iter().filter_map(move |&place| match &story.entries[place].what {
        What::Hit(_, _, signal) => Some(signal.as_str()),
        _ => None,
    })
}

struct Outcome<'a, 's> {
    account: &'a Account<'s>,
    host: &'a Host,
}

impl Outcome<'_, '_> {
    /// What a process still lacks; `None` if it is as it will stay.
    fn missing(&self, process: &Process) -> Option<String> {
        let name = process.name;
        match self.last(process) {
            Some(run) if run.over().is_none() => {
                let version = run.version.as_ref();
                if run.stopping.is_some() || version != Some(&process.version()) {
                    let runs = version.map_or("something that hasn't said what it is".to_owned(), ToString::to_string);
                    return Some(format!("{name} is to be {} and runs {runs}", process.version()));
                }
                // Work that isn't done yet, and a process that is about to end for good.
                let ends = process.identity.doings.ends.is_some() && !process.comes_and_goes();
                let is_stopped = hits(self.account, run).any(|signal| signal == "STOP");
                (ends && !is_stopped).then(|| format!("{name} has yet to end"))
            }
            Some(run) if self.has_ended_as(process, run) && self.due(process, run) != Holds::Yes => None,
            // Also one that ended by itself waits for its dependencies before it is started again.
            _ => {
                let open = process.required().map(|(on, need)| self.holds(on, need)).all(|holds| holds == Holds::Yes);
                open.then(|| format!("{name} is to be started"))
            }
        }
    }

    /// The last run of a process since it was wanted without a break.
    fn last(&self, process: &Process) -> Option<&Run> {
        let run = self.account.last(process.name)?;
        let over = run.over().unwrap_or(usize::MAX);
        let later = self.account.generations.iter().filter(|generation| generation.told > over);
        // Where it is not known which of several saves was in force, it may have been wanted all the time.
        let is_broken =
            { later }.any(|generation| self.account.hosts(generation).iter().all(|host| host.wanted(process.name).is_none()));
        (!is_broken).then_some(run)
    }

    fn has_ended_as(&self, process: &Process, run: &Run) -> bool {
        run.ended.is_some() && self.account.version(run) == Some(process.version())
    }

    /// Whether a process that ended by itself is started again.
    fn due(&self, process: &Process, run: &Run) -> Holds {
        let succeeded = self.account.succeeded(run);
        if !process.comes_back(succeeded) {
            return Holds::No;
        }
        let is_told = run.gone.and_then(|place| self.account.told(place)).is_some_and(|told| told.message == "Process failed");
        match process.max_restarts {
            Some(_) if is_told => Holds::No,
            // A limit that came later gives it up without a word. Which ends still count isn't known here.
            Some(most) if !succeeded && self.ends(process) > most => Holds::Sometimes,
            _ if process.comes_and_goes() => Holds::Sometimes,
            _ => Holds::Yes,
        }
    }

    /// How often a process has ended by itself, as it is wanted now.
    fn ends(&self, process: &Process) -> usize {
        let ended = |run: &&Run| run.name == process.name && self.has_ended_as(process, run);
        self.account.runs.iter().filter(ended).count()
    }

    /// Whether a required dependency holds, for good.
    fn holds(&self, on: Name, need: Need) -> Holds {
        let Some(process) = self.host.wanted(on) else { return Holds::No };
        let condition = self.host.condition(on, need);
        let Some(run) = self.last(process) else { return Holds::No };
        if run.over().is_none() {
            return match condition {
                _ if process.comes_and_goes() => Holds::Sometimes,
                Condition::Completed => Holds::No,
                Condition::Started | Condition::Ready => Holds::Yes,
            };
        }
        if !self.has_ended_as(process, run) {
            return Holds::No;
        }
        match self.due(process, run) {
            Holds::No if self.account.succeeded(run) && process.identity.is_task => Holds::Yes,
            Holds::No => Holds::No,
            Holds::Sometimes | Holds::Yes => Holds::Sometimes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Restart;
    use crate::story::made::{host, story};

    const A_RUNS: &str = "
        1 log Configuration loaded generation=1
        2 log Starting process name=a pid=7 generation=1 reason=added to file
        3 a 7 0r 7 start";

    fn why(host: &Host, text: &str) -> Option<String> {
        let story = story(std::slice::from_ref(host), &format!("0 save 0 begins\n{text}"));
        unsettled(&Account::of(&story), 0)
    }

    #[test]
    fn what_runs_as_wanted_has_settled() {
        let host = host(&[Process::new('a')]);
        assert_eq!(why(&host, ""), Some("nothing is told of save 0".into()));
        assert_eq!(why(&host, "1 log Configuration loaded generation=1"), Some("a is to be started".into()));
        assert_eq!(why(&host, A_RUNS), None);
    }

    #[test]
    fn another_version_or_another_process_has_not() {
        let mut other = Process::new('a');
        other.identity.colour = 'g';
        assert_eq!(why(&host(&[other]), A_RUNS), Some("a is to be 0g and runs 0r".into()));
        assert_eq!(why(&Host::default(), A_RUNS), Some("a still runs as 7".into()));
    }

    #[test]
    fn what_ended_is_judged_by_its_policy() {
        let ended = format!("{A_RUNS}\n4 hit a 7 KILL\n5 log Process crashed name=a pid=7 signal=KILL");
        let mut process = Process::new('a');
        assert_eq!(why(&host(std::slice::from_ref(&process)), &ended), None);
        process.restart = Restart::OnFailure;
        assert_eq!(why(&host(&[process]), &ended), Some("a is to be started".into()));
        let unheard = format!("{A_RUNS}\n4 hit a 7 KILL");
        assert!(why(&host(&[Process::new('a')]), &unheard).is_some_and(|why| why.contains("nothing is told of the end of a")));
    }

    #[test]
    fn a_stopped_process_ends_by_nothing_but_kill() {
        let host = host(&[Process::new('a')]);
        let hit = |signals: &[&str]| {
            let hits = signals.iter().flat_map(|signal| ["\n4 hit a 7 ", signal]);
            why(&host, &std::iter::once(A_RUNS).chain(hits).collect::<String>())
        };
        assert!(hit(&["TERM"]).is_some());
        assert_eq!(hit(&["STOP", "ABRT"]), None);
        assert_eq!(hit(&["TERM", "STOP"]), None, "it may have been on its way out");
        assert!(hit(&["STOP", "KILL"]).is_some());
    }

    #[test]
    fn who_waits_for_what_does_not_come_has_settled() {
        let mut b = Process::new('b');
        b.needs = Some([('a', Need::default())].into());
        let mut a = Process::new('a');
        assert_eq!(why(&host(&[a.clone(), b.clone()]), A_RUNS), Some("b is to be started".into()));
        a.enabled = false;
        let loaded = "1 log Configuration loaded generation=1";
        assert_eq!(why(&host(&[a, b]), loaded), None);
    }
}
