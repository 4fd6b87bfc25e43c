//! How much one input may cost: processor time and memory, counted, so that a busy machine makes no difference.

use super::Check;
use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The processor time that any input may take.
const TIME: Duration = Duration::from_millis(100);

/// The memory that any input may take at once.
const BYTES: usize = 64 << 20;

/// Checks an input.
///
/// # Panics
/// If something doesn't hold, or takes too much time or memory.
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
