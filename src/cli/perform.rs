//! The runtime as what performs the loop's actions.

use crate::errand::Errand;
use crate::runtime::{FormerRun, PausedOutput, Runtime, TakenOver};
use crate::supervisor::Perform;
use reconcile::event::{Action, Pid, RunId};
use reconcile::spec;
use reconcile::text::Name;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;

impl Perform for Runtime {
    fn perform(&self, actions: Vec<Action>) {
        Runtime::perform(self, actions);
    }

    fn signal(&self, run: RunId, signal: spec::Signal) -> io::Result<()> {
        Runtime::signal(self, run, signal)
    }

    fn pids(&self, run: RunId) -> Vec<Pid> {
        Runtime::pids(self, run)
    }

    fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool) {
        Runtime::retain_lines(self, is_there);
    }

    fn take_over(&self, former: &FormerRun) -> TakenOver {
        Runtime::take_over(self, former)
    }

    fn starting(&self) -> Vec<Name> {
        Runtime::starting(self)
    }

    fn has_events(&self) -> bool {
        Runtime::has_events(self)
    }

    async fn pause_output(&self, within: Duration) -> Result<PausedOutput, String> {
        Runtime::pause_output(self, within).await
    }

    fn take_over_done(&self) {
        Runtime::take_over_done(self);
    }

    fn run_program(&self, program: &Path, arguments: &[String], within: Duration, reply: oneshot::Sender<Result<(), String>>) {
        Runtime::run_program(self, program, arguments, within, reply);
    }

    fn run_errand(&self, errand: Errand) {
        Runtime::run_errand(self, errand);
    }

    fn bind_orphans(&self, run: RunId, name: &Name) -> Option<Pid> {
        Runtime::bind_orphans(self, run, name)
    }

    fn release_orphans(&self) {
        Runtime::release_orphans(self);
    }
}
