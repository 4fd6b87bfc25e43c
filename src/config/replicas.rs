//! Makes one definition several equal processes, where it asks for `replicas`.

use super::draft::Draft;
use super::problems::Problem;
use super::process::ParsedProcess;
use super::scalar::Surge;
use super::words::REPLICA;
use reconcile::replica::Replica;
use reconcile::spec::{OnChange, Output};
use reconcile::text::{Name, Text};

/// Makes a definition that asks for replicas the one with this number.
pub(super) fn name(draft: &mut Draft, number: u32) {
    let Some(replicas) = draft.replicas else { return };
    let spec = &mut draft.spec;
    spec.exec.env.insert(REPLICA, Text::plain(&number.to_string()));
    let of = spec.name.clone();
    spec.name = Name::from(format!("{of}:{number}"));
    // Without rolling updates it means nothing.
    let surge = draft.surge.filter(|_| spec.on_change == OnChange::Rolling).unwrap_or(Surge::Count(1));
    spec.replica = Some(Replica { of, number, surge: surge.of(replicas) });
}

/// A warning if all replicas of a definition write to the same files.
pub(super) fn check(replicas: &[ParsedProcess]) -> Option<Problem> {
    let [first, second, ..] = replicas else { return None };
    let (Output::Files(files), Output::Files(others)) = (&first.spec.exec.output, &second.spec.exec.output) else { return None };
    let same = files.paths().find(|path| others.paths().any(|other| other == *path))?;
    let of = first.spec.replica.as_ref().map(|replica| &replica.of)?;
    let problem = Problem::warning(first.output?, format!("all replicas of `{of}` write to `{}`", same.shown()));
    Some(problem.help(format!("put `${{{REPLICA}}}` into the path")))
}
