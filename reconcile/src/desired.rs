//! The desired state: the definitions of a file, by name, with dependencies resolved and checked.
//!
//! A [`Desired`] is always valid: all dependencies exist, and there is no cycle. So planning needs no errors. Orders by hand
//! are kept apart, in [`crate::orders`].

use crate::graph::Graph;
pub use crate::invalid_desired::InvalidDesired;
use crate::merge_lookup::MergeLookup;
use crate::replica::{Replica, bounds};
use crate::rollback::Rollback;
use crate::spec::{Condition, ProcessKind, Spec, Tier};
use crate::text::{Name, Text};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// Every process that a host should run, and how they depend on one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Sorted by name.
    entries: Vec<DesiredProcess>,
    /// The entries by index, each after everything that it comes after. If none names a dependency, they are in the order of the
    /// file, applications last.
    order: Box<[usize]>,
    /// The users of all entries, as the file writes them, each once, sorted.
    users: Box<[Option<Text>]>,
    /// The entries that are restarted along with a dependency, in the order of `order`.
    followers: Box<[usize]>,
    /// The entries with a schedule.
    scheduled: Box<[usize]>,
    /// Whether any entry names a dependency, or is one of several replicas.
    names_dependencies: bool,
    /// Whether any entry comes after another by its place in the list.
    is_list: bool,
    shutdown_timeout: Duration,
    rollback: Option<Rollback>,
    beyond: Text,
}

/// One process of a [`Desired`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredProcess {
    /// Its definition.
    pub spec: Arc<Spec>,
    /// Its place in the file: managed processes first, then applications.
    pub position: usize,
    /// Its [`Spec::tier`], copied because reading it there is slower.
    pub tier: Tier,
    /// Its [`Spec::enabled`], copied for the same reason.
    pub enabled: bool,
    /// The place of the user that it runs as in `Desired::users`.
    pub user: usize,
    /// What it names as dependencies.
    pub needs: Vec<ResolvedDependency>,
    /// The entry that it comes after by its place in the list, or all replicas of one. They are adjacent.
    pub after: Range<usize>,
    /// The replicas of the same definition, itself among them. They are adjacent.
    pub siblings: Range<usize>,
    /// Its place in [`Desired::order`].
    pub(crate) place: usize,
    /// If no process names a dependency: the place of the first process of its part of the list. In a part, each process comes after
    /// the one before it.
    pub(crate) part: usize,
}

impl DesiredProcess {
    /// Every entry that it comes after, by name and by its place in the list.
    pub fn comes_after(&self) -> impl Iterator<Item = usize> {
        self.needs.iter().map(|need| need.on).chain(self.after.clone())
    }

    /// Its named dependencies. Each is one entry, or the replicas of a definition, of which one is enough.
    pub fn edges(&self) -> impl Iterator<Item = &[ResolvedDependency]> {
        self.needs.chunk_by(|one, other| one.edge == other.edge)
    }

    /// The other replicas of the same definition, by number.
    pub(crate) fn other_replicas<'a>(&self, entries: &'a [DesiredProcess]) -> Vec<(usize, &'a DesiredProcess)> {
        let others = self.siblings.clone().map(|index| (index, &entries[index]));
        let mut others: Vec<_> = others.filter(|(_, entry)| entry.spec.name != self.spec.name).collect();
        others.sort_by_key(|(_, entry)| entry.number());
        others
    }

    /// The number of a replica.
    pub(crate) fn number(&self) -> u32 {
        self.spec.replica.as_ref().map_or(1, |replica| replica.number)
    }
}

/// A named dependency, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedDependency {
    /// The place of the name among those that the entry depends on. Several replicas have the same.
    pub edge: usize,
    /// The entry depended on.
    pub on: usize,
    /// What it must have reached.
    pub condition: Condition,
    /// See [`crate::spec::Dependency::restart`].
    pub restart: bool,
    /// See [`crate::spec::Dependency::required`].
    pub required: bool,
}

impl Desired {
    /// The default of [`Desired::shutdown_timeout`].
    pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(90);

    /// Checks these definitions, in the order of the file, and resolves their dependencies.
    ///
    /// # Errors
    /// All problems, not just the first.
    pub fn new<S: Into<Arc<Spec>>>(specs: Vec<S>, shutdown_timeout: Duration) -> Result<Desired, Vec<InvalidDesired>> {
        let specs: Vec<Arc<Spec>> = specs.into_iter().map(Into::into).collect();
        // From here on a position is a place in the file, and an index is a place by name.
        let (positions, mut problems) = by_name(&specs);
        let users = users(&specs);
        let mut entries: Vec<DesiredProcess> = positions
            .into_iter()
            .map(|position| (position, specs[position].clone()))
            .map(|(position, spec)| DesiredProcess {
                tier: spec.tier,
                enabled: spec.enabled,
                user: place_of(&users, spec.exec.user.as_ref()).unwrap_or_default(),
                spec,
                position,
                needs: Vec::new(),
                after: 0..0,
                siblings: 0..0,
                place: 0,
                part: 0,
            })
            .collect();
        drop(specs);
        for index in 0..entries.len() {
            let spec = entries[index].spec.clone();
            entries[index].siblings = index..index + 1;
            if let Some(replica) = &spec.replica {
                entries[index].siblings = replicas_of(&entries, &replica.of);
                problems.extend(taken_by_other(&entries, index, replica));
            }
            for (place, (dependency, edge)) in spec.depends_on.iter().flatten().enumerate() {
                let all = named(&entries, dependency);
                match all.clone().next() {
                    // What is wrong with all replicas is reported once.
                    _ if entries[index].number() > 1 && (all.is_empty() || all.contains(&index)) => {}
                    None => {
                        problems
                            .push(InvalidDesired::Unknown { name: spec.definition().clone(), dependency: dependency.clone() });
                    }
                    Some(_) if all.contains(&index) => problems.push(InvalidDesired::Itself { name: spec.definition().clone() }),
                    Some(on) if spec.tier < entries[on].spec.tier => {
                        problems
                            .push(InvalidDesired::Backwards { name: spec.definition().clone(), dependency: dependency.clone() });
                    }
                    Some(first) => {
                        let usual = match entries[first].spec.exec.kind {
                            ProcessKind::Service => Condition::Ready,
                            ProcessKind::Task => Condition::Completed,
                        };
                        let condition = edge.condition.unwrap_or(usual);
                        let (restart, required) = (edge.restart, edge.required);
                        let need = |on| ResolvedDependency { edge: place, on, condition, restart, required };
                        entries[index].needs.extend(all.map(need));
                    }
                }
            }
        }
        let mut graph = Graph::new(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            for need in &entry.needs {
                graph.add(index, need.on);
            }
        }
        for component in graph.components() {
            let first = component.iter().min_by_key(|&&index| entries[index].position).copied();
            if let Some(cycle) = first.filter(|_| component.len() > 1).and_then(|first| graph.cycle_through(first, &component)) {
                problems
                    .push(InvalidDesired::Cycle(cycle.iter().map(|&index| entries[index].spec.definition().clone()).collect()));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        place_by_list(&mut entries, &mut graph);
        let names_dependencies = entries.iter().any(|entry| !entry.needs.is_empty() || entry.siblings.len() > 1);
        let order = if names_dependencies { order_of_graph(&entries, &graph) } else { order_of_list(&entries) };
        for (place, &index) in order.iter().enumerate() {
            entries[index].place = place;
            entries[index].part = entries[index].after.clone().next().map_or(place, |after| entries[after].part);
        }
        let follows = |index: &usize| entries[*index].needs.iter().any(|need| need.restart);
        let followers = order.iter().copied().filter(follows).collect();
        let scheduled = (0..entries.len()).filter(|index| entries[*index].spec.schedule.is_some()).collect();
        let is_list = entries.iter().any(|entry| !entry.after.is_empty());
        Ok(Desired {
            entries,
            order: order.into(),
            users,
            followers,
            scheduled,
            names_dependencies,
            is_list,
            shutdown_timeout,
            rollback: None,
            beyond: Text::default(),
        })
    }

    /// Adds a text for the rest of the configuration, the same for the same meaning. It is only compared.
    #[must_use]
    pub fn with_beyond(self, beyond: Text) -> Desired {
        Desired { beyond, ..self }
    }

    /// The same with another time limit of a shutdown.
    #[must_use]
    pub fn with_shutdown_timeout(self, shutdown_timeout: Duration) -> Desired {
        Desired { shutdown_timeout, ..self }
    }

    /// The same, undone as these settings say if it fails soon after it was saved.
    #[must_use]
    pub fn with_rollback(self, rollback: Option<Rollback>) -> Desired {
        Desired { rollback, ..self }
    }

    /// When it is undone; `None`: never.
    pub fn rollback(&self) -> Option<Rollback> {
        self.rollback
    }

    /// The same with other definitions for some processes, which have the same names and places. `None`: that isn't valid.
    pub(crate) fn with_replaced(&self, replace: impl Fn(&Arc<Spec>) -> Option<Arc<Spec>>) -> Option<Desired> {
        let mut entries: Vec<&DesiredProcess> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.position);
        let specs = entries.iter().map(|entry| replace(&entry.spec).unwrap_or_else(|| entry.spec.clone())).collect();
        Some(
            Desired::new::<Arc<Spec>>(specs, self.shutdown_timeout)
                .ok()?
                .with_beyond(self.beyond.clone())
                .with_rollback(self.rollback),
        )
    }

    /// Without any process.
    pub fn nothing() -> Desired {
        Desired {
            entries: Vec::new(),
            order: Box::default(),
            users: Box::default(),
            followers: Box::default(),
            scheduled: Box::default(),
            names_dependencies: false,
            is_list: false,
            shutdown_timeout: Desired::SHUTDOWN_TIMEOUT,
            rollback: None,
            beyond: Text::default(),
        }
    }

    /// Shares each definition that is the same in `former`, so that comparing pointers is enough to find it unchanged.
    pub fn share(&mut self, former: &Desired) {
        let mut former = MergeLookup::over(former.specs());
        for DesiredProcess { spec, .. } in &mut self.entries {
            if let Some(known) = former.to(&spec.name)
                && !Arc::ptr_eq(known, spec)
                && known == spec
            {
                *spec = known.clone();
            }
        }
    }

    /// The processes, sorted by name.
    pub fn entries(&self) -> &[DesiredProcess] {
        &self.entries
    }

    /// The definitions by name, sorted.
    pub(crate) fn specs(&self) -> impl Iterator<Item = (&Name, &Arc<Spec>)> {
        self.entries.iter().map(|entry| (&entry.spec.name, &entry.spec))
    }

    /// The entries by index, each after everything that it comes after. If none names a dependency, they are in the order of the
    /// file, applications last.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The number of different users that processes run as.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// The place of a user among those; `None`: no process runs as this user.
    pub(crate) fn user(&self, user: Option<&Text>) -> Option<usize> {
        place_of(&self.users, user)
    }

    /// The entries that are restarted along with a dependency, each after everything that it comes after.
    pub(crate) fn followers(&self) -> &[usize] {
        &self.followers
    }

    /// The entries with a schedule.
    pub(crate) fn scheduled(&self) -> &[usize] {
        &self.scheduled
    }

    /// Whether any process names a dependency, or is one of several replicas. If not, the list alone gives the order.
    pub(crate) fn names_dependencies(&self) -> bool {
        self.names_dependencies
    }

    /// Whether any process comes after another one by its place in the list.
    pub(crate) fn is_list(&self) -> bool {
        self.is_list
    }

    /// The names of the processes that an entry comes after.
    pub(crate) fn names_before(&self, entry: &DesiredProcess) -> Vec<Name> {
        entry.comes_after().map(|on| self.entries[on].spec.name.clone()).collect()
    }

    /// The longest that a shutdown may take. After that, all remaining processes are killed.
    pub fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// The entry of a process.
    pub fn get(&self, name: &str) -> Option<&DesiredProcess> {
        self.index(name).map(|index| &self.entries[index])
    }

    /// The places of the processes that a name means: one process, or all replicas of a definition.
    pub fn named(&self, name: &str) -> Range<usize> {
        named(&self.entries, name)
    }

    /// The place of a process in [`Desired::entries`].
    pub fn index(&self, name: &str) -> Option<usize> {
        index_of(&self.entries, name)
    }
}

/// The positions of the definitions, sorted by name. Of definitions with the same name the first counts; each other is an error.
fn by_name(specs: &[Arc<Spec>]) -> (Vec<usize>, Vec<InvalidDesired>) {
    let mut named: Vec<(&Name, usize)> = specs.iter().map(|spec| &spec.name).zip(0..).collect();
    // Names are often sorted already, at least in parts, and this sort is fast then.
    named.sort_by_key(|&(name, _)| name);
    let mut doubled: Vec<(usize, usize)> = Vec::new();
    named.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            doubled.push((later.1, earlier.1));
        }
        is_same
    });
    doubled.sort_unstable();
    // The name of a definition is said once.
    let is_first = |spec: &Spec| spec.replica.as_ref().is_none_or(|replica| replica.number == 1);
    let duplicate = |(second, first): (usize, usize)| {
        let name = || specs[second].definition().clone();
        is_first(&specs[second]).then(|| InvalidDesired::Duplicate { name: name(), first, second })
    };
    (named.into_iter().map(|(_, position)| position).collect(), doubled.into_iter().filter_map(duplicate).collect())
}

/// The users of definitions, each once, sorted.
fn users(specs: &[Arc<Spec>]) -> Box<[Option<Text>]> {
    let mut users: Vec<Option<&Text>> = specs.iter().map(|spec| spec.exec.user.as_ref()).collect();
    users.dedup();
    users.sort_by_key(|user| user.map(Text::value));
    users.dedup();
    users.into_iter().map(Option::<&Text>::cloned).collect()
}

/// The place of a user among users that are sorted.
fn place_of(users: &[Option<Text>], user: Option<&Text>) -> Option<usize> {
    users.binary_search_by_key(&user.map(Text::value), |user| user.as_ref().map(Text::value)).ok()
}

/// The place of a process among others that are sorted by name.
fn index_of(entries: &[DesiredProcess], name: &str) -> Option<usize> {
    entries.binary_search_by(|entry| entry.spec.name.as_str().cmp(name)).ok()
}

/// The places of the replicas of a definition. No other name has a colon, so that they are adjacent.
fn replicas_of(entries: &[DesiredProcess], name: &str) -> Range<usize> {
    let [first, end] = bounds(name).map(|bound| entries.partition_point(|entry| *entry.spec.name < *bound));
    first..end
}

fn named(entries: &[DesiredProcess], name: &str) -> Range<usize> {
    index_of(entries, name).map_or_else(|| replicas_of(entries, name), |index| index..index + 1)
}

/// The error, if a process has the name of the definition of this replica. It is reported for the first replica.
fn taken_by_other(entries: &[DesiredProcess], index: usize, replica: &Replica) -> Option<InvalidDesired> {
    let other = index_of(entries, &replica.of).filter(|_| replica.number == 1)?;
    let (one, other) = (entries[index].position, entries[other].position);
    Some(InvalidDesired::Duplicate { name: replica.of.clone(), first: one.min(other), second: one.max(other) })
}

/// Every entry after all that it comes after.
fn order_of_graph(entries: &[DesiredProcess], graph: &Graph) -> Vec<usize> {
    let mut order: Vec<usize> = graph.components().into_iter().flatten().collect();
    // Applications come after every managed process; the sort is stable, so all else stays.
    order.sort_by_key(|&index| entries[index].tier);
    order
}

/// The entries in the order of the file, where no process names a dependency.
fn order_of_list(entries: &[DesiredProcess]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&index| (entries[index].tier, entries[index].position));
    order
}

/// Makes each managed process without `depends_on` come after the one before it in the list.
///
/// If that one depends on it, even indirectly, the nearest earlier one that doesn't is taken instead. So `web`, which depends
/// on `db`, may be listed before `db`.
fn place_by_list(entries: &mut [DesiredProcess], graph: &mut Graph) {
    let mut listed: Vec<usize> = (0..entries.len()).filter(|&index| entries[index].spec.tier == Tier::Managed).collect();
    listed.sort_by_key(|&index| entries[index].position);
    let mut dependents = graph.reversed();
    for (place, &index) in listed.iter().enumerate() {
        if entries[index].spec.depends_on.is_some() {
            continue;
        }
        // Replicas start side by side.
        let mut before = listed[..place].iter().rev().copied().filter(|other| !entries[index].siblings.contains(other));
        let after = if dependents.next(index).is_empty() {
            before.next()
        } else {
            let waits = dependents.reachable(index);
            before.find(|&other| !waits[other])
        };
        if let Some(after) = after {
            entries[index].after = entries[after].siblings.clone();
            for on in entries[index].after.clone() {
                graph.add(index, on);
                dependents.add(on, index);
            }
        }
    }
}
