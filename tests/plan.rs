//! What a change of the file would do: each case of `fixtures/plan/` is a file before and after, and the steps between them.

mod support {
    pub(crate) mod case;
    pub(crate) mod fixtures;
    pub(crate) mod golden;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod steps;
    pub(crate) mod story;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use support::case::Case;
use support::steps::steps;
use support::{fixtures, golden};

#[test]
fn plans() {
    golden::compare(fixtures::cases("plan").into_iter().map(|folder| {
        let Case { story, after } = Case::of(&folder);
        (folder.join("plan.txt"), steps(&story.world.engine, story.world.now, &after))
    }));
}
