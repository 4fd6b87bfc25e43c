//! Takes over a run of a former life of navigator: its processes, its output, and the socket for its notifications.
//!
//! Only a main process counts that was recorded with everything that tells it from others. A mark, a session or a control group
//! is evidence only of what must be stopped.

use super::former_run::{FormerRun, TakenOver};
use super::orphans::ReleasedTree;
use super::probe::LogMatcher;
use super::proc;
use super::refusal;
use super::tree::ProcessHandle;
use super::{Runtime, take_back};
use crate::access::identity::Identity;
use crate::error_text::words;
use crate::journal::Started;
use reconcile::event::{ExitStatus, Pid};
use reconcile::spec::{Output, Spec};
use std::sync::Arc;

impl Runtime {
    /// Takes over a run, with everything of navigator that its program uses.
    pub fn take_over(&self, former: &FormerRun) -> TakenOver {
        let Some(tree) = self.shared.orphans().release(&former.key) else {
            return TakenOver { exit: self.end_of(former), ..TakenOver::default() };
        };
        let FormerRun { run, key, spec, .. } = former;
        let main = tree.main.as_ref().map(|main| Pid(main.pid));
        let exit = if main.is_none() { self.end_of(former) } else { None };
        let mut taken = TakenOver { main, is_left: true, exit, problem: None };
        if let Some(main) = &tree.main {
            let (matcher, unheard) = self.observers.prober.take_over(former, main);
            let unread = self.take_back_output(main, &tree, spec, matcher.as_ref()).err();
            taken.problem = other_user(main).or(unheard).or(unread);
        }
        self.shared.lock().take_over(*run, &spec.name, key.clone(), tree);
        self.shared.news.notify_one();
        taken
    }

    /// How the main process of a run ended, if it was our child. What it wrote last is read, as far as its pipes were inherited.
    fn end_of(&self, former: &FormerRun) -> Option<ExitStatus> {
        let started = self.shared.orphans().started(&former.key)?;
        let FormerRun { spec, .. } = former;
        let pipes = started.pipes.and_then(|recorded| take_back::pipes_of_ended(recorded, &self.inherited).ok().flatten());
        if let (Some(pipes), Ok((identity, _))) = (pipes, Identity::of(&spec.exec)) {
            self.outputs.read(&spec.name, &spec.exec.output, None, &identity, pipes);
        }
        self.shared.lock().end_of_former(&started)
    }

    /// Reads the output of a process again.
    fn take_back_output(
        &self,
        main: &Started,
        tree: &ReleasedTree,
        spec: &Spec,
        matcher: Option<&Arc<LogMatcher>>,
    ) -> Result<(), String> {
        let Some(recorded) = main.pipes else {
            self.outputs.mark_silent(&spec.name);
            return if spec.exec.output == Output::Null { Ok(()) } else { Err("its output was not recorded".to_owned()) };
        };
        let Some(ProcessHandle::Pidfd(pidfd)) = tree.held.get(&main.pid) else { return Err("it has ended".to_owned()) };
        let others: Vec<u32> = tree.held.keys().copied().filter(|pid| *pid != main.pid).collect();
        let pipes = take_back::pipes(pidfd, main.pid, &others, recorded, &self.inherited);
        let pipes = pipes.map_err(|error| format!("its output can't be read any more: {}", words(&error)))?;
        let (identity, _) = Identity::of(&spec.exec).map_err(|error| refusal::of_identity(error).to_string())?;
        self.outputs.read(&spec.name, &spec.exec.output, matcher, &identity, pipes);
        Ok(())
    }
}

/// Why a main process may not be the recorded one, although its pid and inode or start time are the same. A program that root
/// started may have become another user's.
fn other_user(main: &Started) -> Option<String> {
    let (recorded, user) = (main.uid, proc::user(main.pid));
    let is_same = recorded == Some(0) || (recorded.is_some() && recorded == user);
    (!is_same).then(|| "its user is not the one that was recorded".to_owned())
}
