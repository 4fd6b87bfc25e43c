//! From a save to its effect: a changed file, and one that is saved again as it was.

use crate::contender::Order;
use crate::edited::Edited;
use crate::figures::{Table, median};
use crate::journal::Kind;
use crate::place::Place;
use std::time::Duration;

/// How often a file is saved for one figure.
const SAVES: u32 = 15;
/// Time enough for all that a save brings about, so that the next one meets a settled navigator.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn measure(place: &Place, counts: &[usize]) {
    let mut table = Table::new(&[
        "processes",
        "rename → signal to the old one",
        "rename → exec of the new one",
        "longest",
        "CPU of a changed save",
        "CPU of an unchanged save",
    ]);
    for &count in counts {
        let mut edited = Edited::start(place, count, Order::Listed);
        // The first one allocates what the others find.
        let _first = change(&mut edited);
        edited.journal.pass(PAUSE);
        let (mut signals, mut execs, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SAVES {
            let before = edited.host.taken().processor;
            let (signal, exec) = change(&mut edited);
            edited.journal.pass(PAUSE);
            costs.push(edited.host.taken().processor - before);
            signals.push(signal);
            execs.push(exec);
        }
        let longest = execs.iter().copied().fold(0.0, f64::max);
        let unchanged = unchanged(&edited);
        edited.host.stop();
        table.row(vec![
            count.to_string(),
            format!("{:.1} ms", median(&signals)),
            format!("{:.1} ms", median(&execs)),
            format!("{longest:.1} ms"),
            format!("{:.1} ms", median(&costs)),
            format!("{unchanged:.2} ms"),
        ]);
    }
    table.print(&format!("Saves of a file in list order, renamed into place; medians of {SAVES}"));
}

/// Saves another version. Answers how long until the old one got its signal, and until the new one ran.
pub(crate) fn change(edited: &mut Edited<'_>) -> (f64, f64) {
    edited.news();
    let execs = edited.journal.count(Kind::Exec);
    let saved = edited.save_changed();
    edited.wait_for_exec(execs);
    let news = edited.news();
    let first = |kind| news.iter().find(|record| record.kind == kind).map(|record| record.at).expect("it was waited for");
    (first(Kind::Signalled) - saved, first(Kind::Exec) - saved)
}

/// The processor time that a save of the same bytes takes, beyond what passes without one.
fn unchanged(edited: &Edited<'_>) -> f64 {
    let spent = |saves: bool| {
        let before = edited.host.taken().processor;
        for _ in 0..SAVES {
            if saves {
                edited.save_again();
            }
            edited.journal.pass(PAUSE);
        }
        (edited.host.taken().processor - before) / f64::from(SAVES)
    };
    spent(true) - spent(false)
}
