//! A start as it is sent to the keeper: everything that [`Child`] says.
//!
//! Only a keeper of the same version makes starts, so this may change with any version.

use crate::byte_text::ByteText;
use crate::sys::clone::{Child, SetLimit, Stage};
use crate::sys::slot::{Slot, SlotTable};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::{Deserialize, Serialize};
use std::borrow::{Borrow, Cow};
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// A start. Beside it go the descriptors 1 and 2 of the program, the directory of its control group, its further descriptors, and
/// those that the keeper holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildOrder {
    /// It is killed when navigator is.
    pub(super) ends_with_navigator: bool,
    /// Its place in the table of slots.
    slot: u32,
    after: Vec<u32>,
    programs: Vec<ByteText>,
    arguments: Vec<ByteText>,
    environment: Vec<ByteText>,
    pid_variables: Vec<String>,
    oom_score_adj: Option<ByteText>,
    limits: Vec<SetLimit>,
    umask: u32,
    nice: Option<i32>,
    groups: Option<Vec<u32>>,
    group: Option<u32>,
    user: Option<u32>,
    directory: Option<ByteText>,
    no_new_privs: bool,
    has_group: bool,
    /// The numbers of its further descriptors.
    passed: Vec<u32>,
}

/// What became of a start. The pidfd of the child goes beside it, where the clone returned one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StartAnswer {
    /// It runs. `group_error`: why it could not enter its control group.
    Started { pid: u32, group_error: Option<i32> },
    /// There is no child, for this error number.
    NoChild(i32),
    /// There is a child, which has ended.
    Failed(Stage, i32),
    /// It was not attempted.
    Refused,
}

impl ChildOrder {
    /// `None`: only this process itself can make the start.
    pub(super) fn of(child: &Child<'_>, slot: &Slot, ends_with_navigator: bool) -> Option<ChildOrder> {
        Some(ChildOrder {
            ends_with_navigator,
            slot: slot.place()?,
            after: child.after.iter().map(|before| before.place()).collect::<Option<_>>()?,
            programs: texts(child.programs),
            arguments: texts(child.arguments),
            environment: texts(child.environment),
            pid_variables: child.pid_variables.iter().map(|&name| name.to_owned()).collect(),
            oom_score_adj: child.oom_score_adj.map(|value| value.to_vec().into()),
            limits: child.limits.to_vec(),
            umask: child.umask,
            nice: child.nice,
            groups: child.groups.map(<[u32]>::to_vec),
            group: child.group,
            user: child.user,
            directory: child.directory.map(|directory| directory.to_bytes().to_vec().into()),
            no_new_privs: child.no_new_privs,
            has_group: child.in_group.is_some(),
            passed: child.passed.iter().map(|&(_, number)| number).collect(),
        })
    }

    /// What goes beside it.
    pub(super) fn descriptors<'a>(child: &Child<'a>, held: &'a [OwnedFd]) -> Vec<BorrowedFd<'a>> {
        let [_null, out, err] = child.stdio;
        let passed = child.passed.iter().map(|&(descriptor, _)| descriptor);
        [out, err].into_iter().chain(child.in_group).chain(passed).chain(held.iter().map(AsFd::as_fd)).collect()
    }

    /// Its own slot.
    pub(super) fn slot(&self, table: &Arc<SlotTable>) -> Option<Arc<Slot>> {
        table.at(self.slot).map(Arc::new)
    }

    /// Calls `start` with the child that this describes. `stdio`: descriptors 0, 1 and 2 of the program, with low numbers.
    /// `beside`: the others, as they came. Returns `None` if something is missing.
    pub(super) fn with_child<T>(
        self,
        table: &Arc<SlotTable>,
        stdio: [BorrowedFd<'_>; 3],
        beside: &[OwnedFd],
        start: impl FnOnce(&Child<'_>) -> T,
    ) -> Option<T> {
        let after: Vec<Arc<Slot>> = self.after.iter().map(|&place| table.at(place).map(Arc::new)).collect::<Option<_>>()?;
        let (programs, arguments, environment) = (strings(self.programs)?, strings(self.arguments)?, strings(self.environment)?);
        let environment: Vec<Cow<'_, CStr>> = environment.iter().map(|text| Cow::Borrowed(text.as_c_str())).collect();
        let pid_variables: Vec<&str> = self.pid_variables.iter().map(String::as_str).collect();
        let oom_score_adj = self.oom_score_adj.map(Vec::from);
        let directory = self.directory.map(|directory| CString::new(Vec::from(directory))).transpose().ok()?;
        let (group, rest) = beside.split_at_checked(usize::from(self.has_group))?;
        let numbers = self.passed.iter().copied();
        let passed: Vec<(BorrowedFd<'_>, u32)> = rest.iter().map(AsFd::as_fd).zip(numbers).collect();
        let is_complete = passed.len() == self.passed.len();
        is_complete.then(|| {
            start(&Child {
                programs: &programs,
                arguments: &arguments,
                environment: &environment,
                pid_variables: &pid_variables,
                stdio,
                oom_score_adj: oom_score_adj.as_deref(),
                limits: &self.limits,
                umask: self.umask,
                nice: self.nice,
                groups: self.groups.as_deref(),
                group: self.group,
                user: self.user,
                directory: directory.as_deref(),
                no_new_privs: self.no_new_privs,
                passed: &passed,
                in_group: group.first().map(AsFd::as_fd),
                after: &after,
            })
        })
    }

    /// The lowest number that no further descriptor has in the program.
    pub(super) fn above_passed(&self) -> i32 {
        self.passed.iter().map(|number| number.cast_signed().saturating_add(1)).fold(3, i32::max)
    }

    /// How many of the descriptors beside it are the program's, without 1 and 2.
    pub(super) fn own_descriptors(&self) -> usize {
        usize::from(self.has_group) + self.passed.len()
    }
}

fn texts<T: Borrow<CStr>>(strings: &[T]) -> Vec<ByteText> {
    strings.iter().map(|text| text.borrow().to_bytes().to_vec().into()).collect()
}

fn strings(texts: Vec<ByteText>) -> Option<Vec<CString>> {
    texts.into_iter().map(|text| CString::new(Vec::from(text)).ok()).collect()
}
