//! Rules about ends: a process is there once, what is stopped is gone, and navigator leaves nobody behind.

use super::{Broken, Rule, ensure};
use crate::runs::Account;
use crate::story::What;

pub(super) const RULES: [Rule; 4] = [
    ("at most one tree of a process", trees_are_single),
    ("what is stopped is gone", the_stopped_are_gone),
    ("nobody is left when navigator has ended", nobody_is_left),
    ("whoever lives is told of", the_living_are_told_of),
];

/// A tree lives at least from its first record to its last.
fn trees_are_single(account: &Account<'_>) -> Result<(), Broken> {
    for (number, run) in account.runs.iter().enumerate() {
        let Some(&first) = run.of_tree.first() else { continue };
        let earlier = account.runs[..number].iter().filter(|other| other.name == run.name);
        let beside = { earlier }.flat_map(|other| &other.of_tree).find(|&&place| place > first);
        if let Some(&place) = beside {
            return Err((place, format!("{} lives on beside its successor {}", run.name, run.pid)));
        }
    }
    Ok(())
}

fn the_stopped_are_gone(account: &Account<'_>) -> Result<(), Broken> {
    account.runs.iter().try_for_each(|run| {
        let (Some(gone), Some(&last)) = (run.gone, run.of_tree.last()) else { return Ok(()) };
        let message = account.told(gone).map_or("", |told| &told.message);
        ensure(last < gone, last, || format!("{} lives, and `{message}` has been told of it", run.name))
    })
}

fn nobody_is_left(account: &Account<'_>) -> Result<(), Broken> {
    let ended = account.story.place(|what| matches!(what, What::Ended(..)));
    let Some((place, What::Ended(code, left))) = ended.map(|place| (place, &account.story.entries[place].what)) else {
        return Err((account.story.entries.len(), "navigator has not ended".to_owned()));
    };
    ensure(left.is_empty(), place, || format!("left behind: {}", left.join(", ")))?;
    ensure(*code == Some(0), place, || format!("the exit code is {code:?}"))?;
    let late = account.story.did().find(|(record, _)| *record > place);
    ensure(late.is_none(), place, || "processes journal after the end".to_owned())
}

/// Every process that says it lives belongs to a run that is told of, sooner or later.
fn the_living_are_told_of(account: &Account<'_>) -> Result<(), Broken> {
    for (place, did) in account.story.did() {
        let is_known = account.runs.iter().any(|run| (run.name, run.pid) == (did.name, did.leader));
        ensure(is_known, place, || format!("nothing is told of {} {}", did.name, did.leader))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::trial::verdict;
    use super::*;
    use crate::host::Process;
    use crate::story::made::host;

    const BEGUN: &str = "
        0 save 0 begins
        1 log Starting process name=a pid=7 generation=1 reason=added to file
        2 a 7 0r 7 start
        3 a 8 0r 7 start
        4 log Stopping process name=a pid=7 reason=args changed
        5 a 7 0r 7 TERM
        6 a 7 0r 7 end 0\n";

    fn says(rule: usize, text: &str) -> Option<String> {
        verdict(&RULES, RULES[rule].0, &[host(&[Process::new('a')])], &format!("{BEGUN}{text}"))
    }

    #[test]
    fn two_trees_at_once_are_found() {
        let told = "10 log Starting process name=a pid=17 generation=2";
        assert_eq!(says(0, &format!("7 a 8 0r 7 alive\n8 a 17 0r 17 start\n{told}")), None);
        assert!(says(0, &format!("8 a 17 0r 17 start\n9 a 8 0r 7 alive\n{told}")).is_some());
    }

    #[test]
    fn what_lives_after_its_stop_is_found() {
        let stopped = "8 log Process stopped name=a pid=7\n";
        assert_eq!(says(1, &format!("7 a 8 0r 7 alive\n{stopped}")), None);
        assert!(says(1, &format!("{stopped}9 a 8 0r 7 alive")).is_some());
    }

    #[test]
    fn what_is_left_is_found() {
        assert_eq!(says(2, "9 ended 0"), None);
        assert!(says(2, "9 ended 0 8 chaos-child").is_some());
        assert!(says(2, "9 ended 1").is_some());
        assert!(says(2, "").is_some());
        assert!(says(2, "9 ended 0\n10 a 8 0r 7 alive").is_some());
    }

    #[test]
    fn a_process_that_nothing_is_told_of_is_found() {
        assert_eq!(says(3, ""), None);
        assert!(says(3, "9 a 99 0r 99 start").is_some());
    }
}
