//! Limits on one input: processor time and memory, which don't depend on the load of the machine.

use super::Check;
use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most processor time for one input.
const TIME: Duration = Duration::from_millis(100);

/// The most memory for one input.
const BYTES: usize = 64 << 20;

/// Checks an input.
///
/// # Panics
/// If a rule doesn't hold, or the input takes too much time or memory.
pub(crate) fn limited(check: Check, input: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let start = processor_time();
    check(input);
    let (time, bytes) = (processor_time().saturating_sub(start), MEMORY.peak_usage().saturating_sub(before));
    assert!(time <= TIME, "took {time:?}");
    assert!(bytes <= BYTES, "took {bytes} bytes");
}

/// The processor time that this thread has taken so far.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time doesn't run backwards from nothing")
}
