//! How a process that isn't our child has ended, by its pidfd. Since Linux 6.15, a pidfd keeps that after its process is reaped.

use super::ExitKind;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::io;

/// The kernel's `struct pidfd_info` in its first version, as `linux/pidfd.h` has it.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    /// What is asked for; afterwards, what is known.
    mask: u64,
    control_group: u64,
    pids: [u32; 3],
    users_and_groups: [u32; 8],
    /// As `wait(2)` reports it.
    exit_status: i32,
}

/// `PIDFD_INFO_EXIT`.
const EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`.
const GET_INFO: libc::Ioctl = libc::_IOWR::<PidfdInfo>(0xff, 11);

/// How the process of a pidfd ended; `None`: it isn't reaped yet.
///
/// # Errors
/// It is reaped, and the kernel doesn't keep how it ended: `ESRCH`, or `ENOTTY` or `EINVAL` before Linux 6.13.
pub(crate) fn exit_kind(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitKind>> {
    let mut info = PidfdInfo { mask: EXIT, ..PidfdInfo::default() };
    // SAFETY: the descriptor is borrowed, hence open, and `info` is valid for reads and writes of the size in the request.
    if unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.mask & EXIT != 0).then(|| ExitKind::of_status(info.exit_status)))
}

impl ExitKind {
    /// The meaning of a status of `wait(2)` of a process that has ended.
    pub(crate) fn of_status(status: i32) -> ExitKind {
        if libc::WIFSIGNALED(status) {
            ExitKind::Signal(libc::WTERMSIG(status))
        } else {
            ExitKind::Code(libc::WEXITSTATUS(status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_has_the_size_and_number_of_the_kernel() {
        assert_eq!(size_of::<PidfdInfo>(), 64);
        assert_eq!(std::mem::offset_of!(PidfdInfo, exit_status), 60);
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        assert_eq!(GET_INFO, 0xc040_ff0b);
    }

    #[test]
    fn a_status_is_read_as_wait_does() {
        for (status, kind) in [
            (0, ExitKind::Code(0)),
            (7 << 8, ExitKind::Code(7)),
            (255 << 8, ExitKind::Code(255)),
            (libc::SIGTERM, ExitKind::Signal(libc::SIGTERM)),
            (libc::SIGSEGV | 0x80, ExitKind::Signal(libc::SIGSEGV)),
        ] {
            assert_eq!(ExitKind::of_status(status), kind);
        }
    }
}
