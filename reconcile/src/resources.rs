//! Limits of a whole process tree, by its control group.

/// What a process and its descendants may use together. `None`: as much as navigator may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Processor time, in percent of one processor.
    pub cpu: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

impl Resources {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Resources::default()
    }
}
