//! Pauses of navigator itself: it was stopped by a signal, or its machine was suspended.

use std::time::Duration;

/// If a timer fires this much late, navigator was paused. What happened meanwhile has to be read before a deadline is judged.
pub const PAUSE: Duration = Duration::from_secs(1);
/// How long that may take.
pub const CATCH_UP: Duration = Duration::from_millis(250);
