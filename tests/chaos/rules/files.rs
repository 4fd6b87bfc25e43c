//! Rules about what is taken from the file: whole saves, each once, and nothing that is wrong.

use super::{Broken, Rule, ensure};
use crate::runs::Account;
use crate::story::{Told, What};

pub(super) const RULES: [Rule; 6] = [
    ("a generation is one whole save", generations_are_saves),
    ("generations are counted one by one", generations_are_counted),
    ("a save is one generation, or none if it means the same", saves_are_generations),
    ("a file that is wrong stops nobody", wrong_files_change_nothing),
    ("a file that is right is not rejected", right_files_are_taken),
    ("every save comes into force, and everything becomes as it says", everything_settles),
];

fn everything_settles(account: &Account<'_>) -> Result<(), Broken> {
    for (place, entry) in account.story.entries.iter().enumerate() {
        if let What::Unsettled(why) = &entry.what {
            return Err((place, why.clone()));
        }
    }
    Ok(())
}

fn generations_are_saves(account: &Account<'_>) -> Result<(), Broken> {
    account.generations.iter().try_for_each(|generation| {
        let story = || format!("no save that was there says what generation {} is told of", generation.number);
        ensure(!generation.saves.is_empty(), generation.told, story)
    })
}

fn generations_are_counted(account: &Account<'_>) -> Result<(), Broken> {
    for (number, generation) in (1..).zip(&account.generations) {
        ensure(generation.number == number, generation.told, || {
            format!("generation {} is called {}", number, generation.number)
        })?;
    }
    let mut last = 0;
    for (place, told) in account.story.told() {
        if told.message.starts_with("Configuration") {
            last = told.number("generation").unwrap_or(last);
        } else if let Some(number) = told.number("generation") {
            ensure(number <= last, place, || format!("generation {number} is not in force yet"))?;
        }
    }
    Ok(())
}

/// Of a save between two moments at which everything was settled, with no other one between them.
fn saves_are_generations(account: &Account<'_>) -> Result<(), Broken> {
    for (from, before, save, to) in alone(account) {
        let host = |save: usize| account.story.saves[save].host.as_ref();
        let told = |message: &str| told_within(account, from, to).filter(|told| told.message == message).count();
        let expected = usize::from(host(before) != host(save));
        let found = told("Configuration reloaded");
        ensure(found == expected, to, || {
            format!("save {save} is {found} generations after save {before}; it is to be {expected}")
        })?;
    }
    Ok(())
}

/// Saves that came alone: where it was settled before, on what, the save, and where everything was settled on it.
fn alone(account: &Account<'_>) -> Vec<(usize, usize, usize, usize)> {
    let mut found = Vec::new();
    let mut settled: Option<(usize, usize)> = None;
    let mut since = Vec::new();
    for (place, entry) in account.story.entries.iter().enumerate() {
        match &entry.what {
            What::Saving(save) => since.push(*save),
            What::Settled(save) => {
                if let (Some((from, before)), [one]) = (settled, &since[..])
                    && one == save
                {
                    found.push((from, before, *save, place));
                }
                settled = Some((place, *save));
                since.clear();
            }
            _ => {}
        }
    }
    found
}

fn told_within<'a>(account: &'a Account<'_>, from: usize, to: usize) -> impl Iterator<Item = &'a Told> {
    account.story.told().filter(move |(place, _)| (from..to).contains(place)).map(|(_, told)| told)
}

/// From a moment at which everything was settled, while the file is wrong.
fn wrong_files_change_nothing(account: &Account<'_>) -> Result<(), Broken> {
    let (mut settled, mut is_wrong) = (None, false);
    for (place, entry) in account.story.entries.iter().enumerate() {
        match &entry.what {
            What::Settled(_) => settled = Some(place),
            What::Saving(save) => {
                is_wrong = account.story.saves[*save].host.is_none();
                settled = settled.filter(|_| is_wrong);
            }
            What::Shutdown => return Ok(()),
            What::Told(told) if is_wrong && let Some(settled) = settled => {
                let touches = match told.message.as_str() {
                    "Stopping process" => !account.stops_what_was_on_its_way(place, settled),
                    message => message == "Configuration reloaded",
                };
                ensure(!touches, place, || "the file is wrong, and this changes nevertheless".into())?;
                let is_placed = told.fields.get("diagnostics").is_none_or(|told| told.contains("navigator.yml:"));
                ensure(is_placed, place, || "the place of the problem isn't told".into())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Each rejection has a cause of its own: a file that is wrong, or a save that left none there for a moment.
fn right_files_are_taken(account: &Account<'_>) -> Result<(), Broken> {
    let mut causes = 0_usize;
    for (place, entry) in account.story.entries.iter().enumerate() {
        match &entry.what {
            What::Saving(save) => {
                let saved = &account.story.saves[*save];
                causes += usize::from(saved.host.is_none() || !saved.is_atomic);
            }
            What::Told(told) if told.message == "Configuration rejected" => {
                ensure(causes > 0, place, || "nothing wrong was saved".into())?;
                causes -= 1;
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
    use crate::host::{Host, Process};
    use crate::story::made::host;

    fn hosts() -> [Host; 3] {
        [host(&[Process::new('a')]), host(&[Process::new('a'), Process::new('b')]), host(&[])]
    }

    fn says(rule: &str, text: &str) -> Option<String> {
        verdict(&RULES, rule, &hosts(), text)
    }

    const LOADED: &str = "0 save 0 begins\n1 log Configuration loaded generation=1\n2 settled on save 0\n3 save 1 begins\n";

    #[test]
    fn what_does_not_settle_is_found() {
        assert!(says(RULES[5].0, "0 unsettled a is to be started").is_some());
    }

    #[test]
    fn what_was_never_saved_is_found() {
        let reloaded = |numbers| format!("{LOADED}4 log Configuration reloaded generation=2 {numbers}");
        let rule = RULES[0].0;
        assert_eq!(says(rule, &reloaded("added=1 removed=0 changed=0 updated=0 unchanged=1")), None);
        // A beginning of a file, with processes missing.
        assert!(says(rule, &reloaded("added=0 removed=1 changed=0 updated=0 unchanged=0")).is_some());
    }

    #[test]
    fn a_number_left_out_or_ahead_of_its_time_is_found() {
        let rule = RULES[1].0;
        assert!(says(rule, &format!("{LOADED}4 log Configuration reloaded generation=3")).is_some());
        assert!(says(rule, &format!("{LOADED}4 log Starting process name=b pid=8 generation=2")).is_some());
    }

    #[test]
    fn a_save_that_is_two_generations_or_none_is_found() {
        let rule = RULES[2].0;
        let numbers = "added=1 removed=0 changed=0 updated=0 unchanged=1";
        let once = format!("{LOADED}4 log Configuration reloaded generation=2 {numbers}\n");
        assert_eq!(says(rule, &format!("{once}6 settled on save 1")), None);
        let again = format!("{once}5 log Configuration reloaded generation=3 {numbers}\n6 settled on save 1");
        assert!(says(rule, &again).is_some());
        assert!(says(rule, &format!("{LOADED}6 settled on save 1")).is_some());
    }

    #[test]
    fn what_a_wrong_file_stops_is_found() {
        let check = |text: &str| {
            let mut story = crate::story::made::story(&hosts(), &format!("{LOADED}{text}"));
            story.saves[1].host = None;
            wrong_files_change_nothing(&Account::of(&story)).is_err()
        };
        assert!(!check("4 log Configuration rejected diagnostics=navigator.yml:1:1:"));
        assert!(check("4 log Configuration rejected diagnostics=something"));
        assert!(check("4 log Stopping process name=a pid=7"));
        let on_its_way = "4 log Starting process name=b pid=8 generation=1\n5 log Stopping process name=b pid=8";
        assert!(!check(on_its_way), "its start was under way when its removal was accepted");
        assert!(check(&format!("{on_its_way}\n6 log Stopping process name=a pid=7")));
    }

    #[test]
    fn a_rejection_of_a_file_that_is_right_is_found() {
        assert!(says(RULES[4].0, &format!("{LOADED}4 log Configuration rejected")).is_some());
    }
}
