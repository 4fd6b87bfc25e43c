//! What a change of the file would do: each case of `fixtures/plan/` is a file before and after, the steps between them, and what a
//! person is shown of it on a terminal.

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

use navigator::cli::forecast::{Look, render};
use reconcile::forecast::forecast;
use support::case::Case;
use support::steps::steps;
use support::{fixtures, golden};

#[test]
fn plans() {
    let mut failures = Vec::new();
    for folder in fixtures::cases("plan") {
        let Case { story, after } = Case::of(&folder);
        let steps = steps(&story.world.engine, story.world.now, &after);
        golden::settle(&folder.join("plan.txt"), &steps, &mut failures);
        let shown = forecast(&story.world.engine, story.world.now, &after);
        let shown = shown.map_or_else(String::new, |forecast| render(&forecast, Look { width: 80, color: false }));
        golden::settle(&folder.join("shown.txt"), &shown, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
