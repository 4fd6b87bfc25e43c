//! Limits of starts under way at once, in all and for each user.

use crate::stage::{Stage, refused, spec, started, wanted, with};
use reconcile::plan::{STARTS_AT_ONCE, STARTS_OF_ONE_USER};
use reconcile::spec::Spec;
use reconcile::text::Text;

/// This many processes of a user.
fn of(user: Option<&str>, count: usize) -> impl Iterator<Item = Spec> {
    let process = move |number| {
        let name = format!("{}-{number:02}", user.unwrap_or("own"));
        with(spec(&name, 0), |spec| spec.exec.user = user.map(Text::plain))
    };
    (0..count).map(process)
}

/// How many starts are begun for each of these users.
fn count(begun: &[String], users: [&str; 2]) -> [usize; 2] {
    users.map(|user| begun.iter().filter(|action| action.starts_with(&format!("spawn {user}-"))).count())
}

#[test]
fn hanging_starts_of_one_user_do_not_block_those_of_another() {
    let mut stage = Stage::new();
    let begun = stage.step([wanted(of(Some("hangs"), 40).chain(of(None, 3)))]);
    assert_eq!(count(&begun, ["hangs", "own"]), [STARTS_OF_ONE_USER, 3]);
    // The same later, while those starts still hang.
    let begun = stage.step([wanted(of(Some("hangs"), 40).chain(of(None, 5)))]);
    assert_eq!(count(&begun, ["hangs", "own"]), [0, 2]);
    assert!(stage.waiting().iter().any(|waiting| waiting.starts_with("hangs-20 waits")), "{:?}", stage.waiting());
    // Each failed start makes room for another.
    let begun = stage.step([refused(1), refused(2)]);
    assert_eq!(count(&begun, ["hangs", "own"]), [2, 0]);
}

#[test]
fn one_user_alone_may_use_half_of_the_limit() {
    let mut stage = Stage::new();
    let begun = stage.step([wanted(of(None, 100))]);
    assert_eq!(count(&begun, ["own", "other"]), [STARTS_OF_ONE_USER, 0]);
    let begun = stage.step((1..=10).map(started));
    assert_eq!(count(&begun, ["own", "other"]), [10, 0]);
    let begun = stage.step([wanted(of(None, 100).chain(of(Some("other"), 100)).chain(of(Some("third"), 100)))]);
    assert_eq!(begun.len(), STARTS_AT_ONCE - STARTS_OF_ONE_USER, "no more starts than the limit");
}
