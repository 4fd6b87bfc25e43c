//! What must hold in every story, rule by rule: pure functions, each with stories made by hand that break it.
//!
//! A rule reads what navigator told and what its processes journaled, never how navigator came to it. Where something can't be
//! known (a start that was begun before a save and told after it), it speaks for navigator: what is reported is a bug.

mod ends;
mod files;
mod order;
mod signals;
mod starts;

use crate::runs::Account;
use std::fmt;

/// A rule that is broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    /// The place in the story.
    pub(crate) place: usize,
    pub(crate) story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.story)
    }
}

/// Whether a story keeps a rule.
type Check = Result<(), Violation>;

/// A rule with its name.
type Rule = (&'static str, fn(&Account<'_>) -> Result<(), Broken>);

/// Where a rule is broken, and how.
type Broken = (usize, String);

const RULES: [&[Rule]; 5] = [&signals::RULES, &ends::RULES, &order::RULES, &starts::RULES, &files::RULES];

/// Checks every rule.
///
/// # Errors
/// The first that is broken.
pub(crate) fn check(account: &Account<'_>) -> Check {
    for &(rule, check) in RULES.into_iter().flatten() {
        check(account).map_err(|(place, story)| Violation { rule, place, story })?;
    }
    Ok(())
}

/// Holds a rule: `Err` with the place and the story if the condition doesn't hold.
fn ensure(holds: bool, place: usize, story: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((place, story())) }
}

/// For the tests of rules.
#[cfg(test)]
mod trial {
    use super::{Account, Rule};
    use crate::host::Host;
    use crate::story::made::story;

    /// What a rule says of a story.
    pub(super) fn verdict(rules: &[Rule], rule: &str, hosts: &[Host], text: &str) -> Option<String> {
        let (_, check) = rules.iter().find(|(name, _)| *name == rule).expect("the rule exists");
        let story = story(hosts, text);
        check(&Account::of(&story)).err().map(|(_, story)| story)
    }
}
