//! Which replicas of a definition may be replaced now, so that enough of them serve all the time.

use super::disposition::{Disposition, Dispositions, is_same, service};
use super::progress::current_run;
use super::view::{Row, View};
use super::{Plan, Waiting};
use crate::desired::DesiredProcess;
use crate::observed::Run;
use crate::spec::OnChange;
use crate::text::Name;
use alloc::collections::BTreeMap;

/// The replacements under way in each group of replicas, by its first entry: how many, and one of them.
#[derive(Default)]
pub(super) struct Replacements<'a>(BTreeMap<usize, (usize, Option<&'a Name>)>);

impl<'a> Replacements<'a> {
    /// Begins the start of a process, if it may be begun now. A replica that is to replace a run which still serves may have to wait
    /// for another one, which is returned.
    pub(super) fn begin(
        &mut self,
        view: &View<'a>,
        dispositions: &Dispositions<'_>,
        row: &Row<'a>,
        entry: &DesiredProcess,
    ) -> Result<(), Waiting> {
        let Some(replica) = entry.spec.replica.as_ref().filter(|_| entry.siblings.len() > 1) else { return Ok(()) };
        if !dispositions.of(row).contains(&Disposition::KeepUntilReplaced) {
            return Ok(());
        }
        // One that is to begin is not among them.
        let count = || {
            let replaced = entry.siblings.clone().filter(|index| is_being_replaced(&view.row(*index), dispositions));
            let first = replaced.clone().min_by_key(|index| view.desired.entries()[*index].number());
            (replaced.count(), first.map(|index| view.row(index).name))
        };
        let (under_way, one) = self.0.entry(entry.siblings.start).or_insert_with(count);
        let limit = usize::try_from(replica.surge).unwrap_or(usize::MAX);
        match one {
            Some(other) if *under_way >= limit => Err(Waiting::Replica(other.clone())),
            _ => {
                *under_way += 1;
                one.get_or_insert(row.name);
                Ok(())
            }
        }
    }
}

/// Whether a replica has more runs than one, or a run that has yet to take the place of another, even if that is gone.
fn is_being_replaced(row: &Row<'_>, dispositions: &Dispositions<'_>) -> bool {
    let runs = row.runs().iter().filter(|run| !run.reported).count();
    runs > 1 || current_run(row, dispositions).is_some_and(|run| run.replaces.is_some())
}

/// The replica that a run has to wait for until it may be stopped to be replaced, where that is done one by one (`surge: 0`): one
/// that doesn't serve, or an earlier one that is to be replaced, too.
pub(super) fn waits_for<'a>(view: &View<'a>, run: &Run, entry: &DesiredProcess, plan: &mut Plan) -> Option<&'a Name> {
    if !is_one_by_one(entry) || run.stops_first() || run.unhealthy.is_some() || service(run).is_none() {
        return None;
    }
    let others = entry.other_replicas(view.desired.entries());
    let others = || others.iter().map(|(index, other)| (view.row(*index), *other)).filter(|(row, _)| view.wants(row));
    let waits = others().find(|(row, other)| match row.runs() {
        [run] if run.is_undisturbed() && run.unhealthy.is_none() => match run.ready.map(|ready| ready + other.spec.stable) {
            Some(stable) if stable > view.now => {
                plan.wake(stable);
                true
            }
            Some(_) => other.number() < entry.number() && (run.unwanted.is_some() || !is_same(run, &other.spec)),
            None => true,
        },
        _ => true,
    });
    waits.map(|(row, _)| row.name)
}

/// Whether replicas are replaced one by one, each stopped before it is started again.
pub(crate) fn is_one_by_one(entry: &DesiredProcess) -> bool {
    let is_without_surge = entry.spec.replica.as_ref().is_some_and(|replica| replica.surge == 0);
    is_without_surge && entry.spec.on_change == OnChange::Rolling && entry.siblings.len() > 1
}
