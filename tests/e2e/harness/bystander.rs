//! A process that is none of navigator's business, and must still be there at the end.

use super::leftovers;
use super::site::spawn;
use std::process::{Child, Command, Stdio};

/// A process of the test's own, of which nobody else can say that it ended: its number is its own until this goes.
#[derive(Debug)]
pub(crate) struct Bystander(Child);

impl Bystander {
    pub(crate) fn start(command: &mut Command) -> Bystander {
        Bystander(spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    #[track_caller]
    pub(crate) fn is_unharmed(&self) {
        assert!(leftovers::process(self.0.id()).is_some(), "a bystander was ended: {:?}", self.0);
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have been ended by whoever should have spared it; then the test has said so.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
