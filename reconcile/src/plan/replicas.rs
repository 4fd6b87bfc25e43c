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
use alloc::vec::Vec;

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

/// What replicas that are replaced one by one (`surge: 0`) wait for, by the first entry of each group.
#[derive(Default)]
pub(super) struct Turns(BTreeMap<usize, Turn>);

/// What the replicas of a group wait for, each with its number and entry.
struct Turn {
    /// The first two that don't serve.
    absent: Vec<(u32, usize)>,
    /// The first that serves and is to be replaced.
    next: Option<(u32, usize)>,
}

impl Turns {
    /// The replica that a run has to wait for until it may be stopped to be replaced, where that is done one by one: one that doesn't
    /// serve, or an earlier one that is to be replaced, too.
    pub(super) fn waits_for<'a>(
        &mut self,
        view: &View<'a>,
        run: &Run,
        entry: &DesiredProcess,
        plan: &mut Plan,
    ) -> Option<&'a Name> {
        if run.stops_first() || run.unhealthy.is_some() || service(run).is_none() {
            return None;
        }
        let turn = self.0.entry(entry.siblings.start).or_insert_with(|| Turn::of(view, entry, plan));
        let absent = turn.absent.iter().find(|(number, _)| *number != entry.number());
        let earlier = turn.next.iter().find(|(number, _)| *number < entry.number());
        absent.into_iter().chain(earlier).min().map(|(_, index)| view.row(*index).name)
    }
}

impl Turn {
    /// Plans to look again when one that is ready has been so for long enough.
    fn of(view: &View<'_>, entry: &DesiredProcess, plan: &mut Plan) -> Turn {
        let mut turn = Turn { absent: Vec::new(), next: None };
        let entries = view.desired.entries();
        let mut replicas: Vec<(u32, usize)> = entry.siblings.clone().map(|index| (entries[index].number(), index)).collect();
        replicas.sort_unstable();
        for replica in replicas {
            let (row, wanted) = (view.row(replica.1), &entries[replica.1].spec);
            if !view.wants(&row) {
                continue;
            }
            let serving = match row.runs() {
                [run] => Some(run).filter(|run| run.is_undisturbed() && run.unhealthy.is_none()),
                _ => None,
            };
            let stable = serving.and_then(|run| run.ready).map(|ready| ready + wanted.stable);
            match serving.filter(|_| stable.is_some_and(|stable| stable <= view.now)) {
                Some(run) if run.unwanted.is_some() || !is_same(run, wanted) => drop(turn.next.get_or_insert(replica)),
                Some(_) => {}
                None => {
                    if let Some(stable) = stable {
                        plan.wake(stable);
                    }
                    if turn.absent.len() < 2 {
                        turn.absent.push(replica);
                    }
                }
            }
        }
        turn
    }
}

/// Whether a run of a replica goes on until it can be replaced.
pub(super) fn is_to_be_replaced(row: &Row<'_>, dispositions: &Dispositions<'_>) -> bool {
    let Some(entry) = row.entry.filter(|_| row.known_dispositions().is_none()) else { return false };
    row.runs().iter().zip(dispositions.of(row)).any(|(run, disposition)| match disposition {
        Disposition::KeepUntilReplaced => true,
        // It waits for its turn, or for sockets.
        Disposition::Keep => entry.spec.on_change != OnChange::Keep && (run.unwanted.is_some() || !is_same(run, &entry.spec)),
        Disposition::Stop(_) | Disposition::Ending => false,
    })
}

/// Whether replicas are replaced one by one, each stopped before it is started again.
pub(crate) fn is_one_by_one(entry: &DesiredProcess) -> bool {
    let is_without_surge = entry.spec.replica.as_ref().is_some_and(|replica| replica.surge == 0);
    is_without_surge && entry.spec.on_change == OnChange::Rolling && entry.siblings.len() > 1
}
