//! Which processes of a tree its stop signal has missed.

/// A stop signal that was sent to a tree while processes were created on this host, so that some of the tree may have been missed.
pub(super) struct StopSent {
    pub(super) signal: i32,
    /// The newest pid of the host when the tree was listed, and when its signals were sent.
    pub(super) newest: Option<(u32, u32)>,
    /// Whether a member handles the signal, so that it may start something because of it.
    pub(super) is_handled: bool,
}

impl StopSent {
    /// Whether this process of the tree was forked before the signals were sent. What a program starts because of its signal,
    /// such as the commands of a shell's `trap`, was not. A process that doesn't handle a signal starts nothing because of it.
    pub(super) fn is_for(&self, pid: u32) -> bool {
        !self.is_handled || self.newest.is_some_and(|(listed, sent)| is_forked_between(pid, listed, sent))
    }
}

/// Whether a process was created after `first` was the newest pid, and before a newer one than `last` was. The kernel numbers
/// processes upwards, and begins again at the end of the range.
fn is_forked_between(pid: u32, first: u32, last: u32) -> bool {
    if first <= last { first < pid && pid <= last } else { first < pid || pid <= last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_between_two_are_told_also_where_the_numbers_begin_again() {
        let between = |first, last| [2, 10, 11, 20, 21, 99].map(|pid| is_forked_between(pid, first, last));
        assert_eq!(between(10, 20), [false, false, true, true, false, false]);
        assert_eq!(between(20, 10), [true, true, false, false, true, true]);
        assert_eq!(between(10, 10), [false; 6]);
    }
}
