//! Rules about starts: what is started is wanted, is what is wanted, is due, and is started no oftener than there is reason to.

use super::{Broken, Rule, ensure};
use crate::host::{Host, Process};
use crate::runs::{Account, Run};
use crate::story::What;

pub(super) const RULES: [Rule; 5] = [
    ("what is started is wanted, as it is wanted", starts_are_wanted),
    ("what runs is the definition that is told of", runs_are_as_told),
    ("what ended by itself comes back only if its policy says so", policies_are_kept),
    ("no start before its delay is over", delays_are_kept),
    ("nothing is done when there is nothing to do", quiet_is_quiet),
];

fn starts_are_wanted(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let version = account.version(run);
        let begun = account.begun_after(run);
        let mut hosts = account.in_force_within(begun, run.starting).into_iter();
        let is_wanted = hosts.any(|host| host.wanted(run.name).is_some_and(|process| Some(process.version()) == version));
        ensure(is_wanted, run.starting, || {
            let version = version.map_or(String::new(), |version| version.to_string());
            format!("{} is started as {version}, which nobody wants any more", run.name)
        })?;
        // The signal takes its time; the first stop shows that it has been heard.
        let closing = account.runs.iter().filter_map(|run| run.stopping).filter(|&stop| is_shutdown(account, stop)).min();
        ensure(closing.is_none_or(|closing| closing >= begun), run.starting, || {
            format!("{} is started, and navigator is to end", run.name)
        })?;
    }
    Ok(())
}

fn is_shutdown(account: &Account<'_>, place: usize) -> bool {
    account.told(place).is_some_and(|told| told.reason() == "shutdown")
}

fn runs_are_as_told(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let Some(generation) = account.generation(run.generation) else {
            return Err((run.starting, format!("there is no generation {}", run.generation)));
        };
        let hosts = account.hosts(generation);
        let is_so = |version| hosts.iter().filter_map(|host| host.get(run.name)).any(|process| process.version() == version);
        ensure(run.version.clone().is_none_or(is_so), run.starting, || {
            format!("{} says that it is another one than in generation {}", run.name, run.generation)
        })?;
    }
    Ok(())
}

/// A run that follows one of the same definition that ended by itself, wanted all the time between them.
fn policies_are_kept(account: &Account<'_>) -> Result<(), Broken> {
    for run in &account.runs {
        let Some(former) = account.before(run) else { continue };
        let (Some(ended), true) = (former.ended, account.version(former) == account.version(run)) else { continue };
        let hosts = account.in_force_within(ended, run.starting);
        let is_anew =
            hosts.iter().any(|host| host.wanted(run.name).is_none_or(|process| Some(process.version()) != account.version(run)));
        let allows = |host: &&Host| host.wanted(run.name).is_some_and(|process| allows(account, process, former));
        ensure(is_anew || hosts.iter().any(allows), run.starting, || {
            format!("{} has ended by itself, and is not to be started again", run.name)
        })?;
    }
    Ok(())
}

fn allows(account: &Account<'_>, process: &Process, former: &Run) -> bool {
    let succeeded = account.succeeded(former);
    let is_spent = |most: usize| !succeeded && streak(account, process, former) > most;
    process.comes_back(succeeded) && !process.max_restarts.is_some_and(is_spent)
}

/// How often in a row, at least, a process has ended by itself, up to this run: without one between that may have been
/// healthy, or that was told to stop, or was something else.
fn streak(account: &Account<'_>, process: &Process, last: &Run) -> usize {
    let ends = account.runs.iter().rev().filter(|run| run.name == last.name && run.starting <= last.starting);
    let counts = |run: &&Run| {
        let Some(ended) = run.ended else { return false };
        let lived = account.story.at(ended).saturating_sub(account.story.at(run.starting)) / 1_000;
        // Both ends of its life are told a little late, each in its own measure.
        account.version(run) == Some(process.version()) && lived * 2 < process.reset_after
    };
    let wanted = |run: &&Run| {
        let hosts = account.in_force_within(run.starting, last.starting);
        hosts.iter().all(|host| host.wanted(run.name).is_some_and(|now| now.version() == process.version()))
    };
    ends.take_while(counts).take_while(wanted).count()
}

/// The first run of what a file adds: the delay counts from the moment that the file is in force.
fn delays_are_kept(account: &Account<'_>) -> Result<(), Broken> {
    for run in account.runs.iter().filter(|run| run.reason == "added to file") {
        let Some(&first) = run.of_leader.first() else { continue };
        let hosts = account.in_force_within(account.begun_after(run), run.starting);
        let delays = hosts.iter().filter_map(|host| host.wanted(run.name)).map(|process| process.start_delay);
        let mut begun = None;
        for generation in account.generations.iter().filter(|generation| generation.told < run.starting) {
            let is_wanted = account.hosts(generation).iter().any(|host| host.wanted(run.name).is_some());
            let saving = generation.saves.first().map_or(0, |&save| account.story.saving(save));
            begun = is_wanted.then(|| begun.unwrap_or_else(|| account.story.at(saving)));
        }
        let (Some(begun), Some(delay)) = (begun, delays.min()) else { continue };
        let waited = account.story.at(first).saturating_sub(begun) / 1_000;
        ensure(waited >= delay, run.starting, || format!("{} is started after {waited} ms instead of {delay} ms", run.name))?;
    }
    Ok(())
}

/// Between the moment at which everything was settled and the next thing that is done.
fn quiet_is_quiet(account: &Account<'_>) -> Result<(), Broken> {
    let mut settled = None;
    for (place, entry) in account.story.entries.iter().enumerate() {
        match &entry.what {
            What::Settled(_) => settled = Some(place),
            What::Saving(_) | What::Hit(..) | What::Shutdown => settled = None,
            What::Told(told) if let Some(settled) = settled => {
                // Those that end by themselves come back all the same.
                let former = account.runs.iter().find(|run| run.starting == place).and_then(|run| account.before(run));
                let comes_back = former.is_some_and(|former| former.ended.is_some());
                let waited_for_one = account.runs.iter().any(|run| run.ended.is_some_and(|ended| ended < place));
                let is_deed = match told.message.as_str() {
                    "Stopping process" => !account.stops_what_was_on_its_way(place, settled),
                    "Configuration reloaded" => true,
                    "Starting process" => !comes_back && !waited_for_one,
                    _ => false,
                };
                ensure(!is_deed, place, || "everything was settled, and nothing has happened since".to_owned())?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::trial::verdict;
    use super::*;
    use crate::host::Restart;
    use crate::story::made::host;

    /// `a` in two versions; the second starts it again.
    fn hosts() -> [Host; 2] {
        let mut a = Process::new('a');
        a.start_delay = 50;
        let first = host(std::slice::from_ref(&a));
        (a.identity.number, a.restart, a.max_restarts) = (1, Restart::OnFailure, Some(1));
        [first, host(&[a])]
    }

    fn says(rule: usize, text: &str) -> Option<String> {
        let loaded = "0 save 0 begins\n1 log Configuration loaded generation=1";
        verdict(&RULES, RULES[rule].0, &hosts(), &format!("{loaded}\n{text}"))
    }

    const RELOADED: &str = "100 save 1 begins
        101 log Configuration reloaded generation=2 added=0 removed=0 changed=1 updated=0 unchanged=0\n";

    fn start(at: u32, version: &str, generation: u32) -> String {
        let pid = 1_000 + at;
        format!(
            "{at} a {pid} {version} {pid} start\n{at} log Starting process name=a pid={pid} generation={generation} reason=added to file\n"
        )
    }

    fn crash(at: u32, started: u32) -> String {
        let pid = 1_000 + started;
        format!("{at} log Process crashed name=a pid={pid} signal=KILL\n{at} log Restarting process name=a pid={pid}\n")
    }

    #[test]
    fn a_start_of_what_is_obsolete_is_found() {
        assert_eq!(says(0, &start(60, "0r", 1)), None);
        assert_eq!(says(0, &format!("{RELOADED}{}", start(500, "0r", 1))), None, "it may have been begun before");
        assert!(says(0, &format!("{RELOADED}{}", start(1_500, "0r", 1))).is_some());
        // A start is begun after its predecessor is gone.
        let gone = format!("{}{RELOADED}102 log Process stopped name=a pid=1060\n", start(60, "0r", 1));
        assert!(says(0, &format!("{gone}{}", start(110, "0r", 1))).is_some());
        assert_eq!(says(0, &format!("{gone}{}", start(110, "1r", 2))), None);
        let closing = format!("{}70 log Stopping process name=a pid=1060 reason=shutdown\n", start(60, "0r", 1));
        assert!(says(0, &format!("{closing}80 log Process stopped name=a pid=1060\n{}", start(90, "0r", 1))).is_some());
    }

    #[test]
    fn a_run_of_something_else_is_found() {
        assert!(says(1, &start(60, "1r", 1)).is_some());
        assert!(says(1, &start(60, "0r", 7)).is_some());
        assert_eq!(says(1, &start(60, "0r", 1)), None);
    }

    #[test]
    fn a_restart_against_the_policy_is_found() {
        let twice =
            |version: &str, generation| start(200, version, generation) + &crash(210, 200) + &start(230, version, generation);
        assert!(says(2, &twice("0r", 1)).is_some(), "it is never to be started again");
        let allowed = format!("{RELOADED}{}", twice("1r", 2));
        assert_eq!(says(2, &allowed), None);
        assert!(says(2, &format!("{allowed}{}{}", crash(240, 230), start(300, "1r", 2))).is_some(), "once at most");
    }

    #[test]
    fn a_start_before_its_delay_is_found() {
        assert!(says(3, &start(20, "0r", 1)).is_some());
        assert_eq!(says(3, &start(60, "0r", 1)), None);
    }

    #[test]
    fn a_deed_without_need_is_found() {
        let settled = format!("{}70 settled on save 0\n", start(60, "0r", 1));
        assert!(says(4, &format!("{settled}80 log Stopping process name=a pid=1060")).is_some());
        assert!(says(4, &format!("{settled}80 log Starting process name=b pid=9")).is_some());
        let comes_back = format!("{}{}70 settled on save 0\n{}", start(60, "0r", 1), crash(65, 60), start(80, "0r", 1));
        let stop = "90 log Stopping process name=a pid=1080";
        assert_eq!(says(4, &format!("{comes_back}{stop}")), None, "its start was under way when its removal was accepted");
        assert!(says(4, &format!("{comes_back}85 settled on save 0\n{stop}")).is_some());
        assert_eq!(says(4, &format!("{settled}75 hit a 1060 KILL\n80 log Starting process name=a pid=9")), None);
    }
}
