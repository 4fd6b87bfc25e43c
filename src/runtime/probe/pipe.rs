//! Pipes from a program to the loop, for the output of check commands, and what comes from the one for readiness by descriptor
//! (`ready.fd`, a newline as in s6).

use crate::sys;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use std::io;

/// The read end, which is non-blocking, and the write end, which is not. A command that writes to it ends with navigator.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
    Ok((ours, theirs))
}

/// Waits for a newline; `false`: the pipe was closed without one.
pub(super) async fn read_newline(pipe: OwnedFd) -> io::Result<bool> {
    let pipe = sys::readable(pipe)?;
    let mut chunk = [0; 256];
    loop {
        let mut ready = pipe.readable().await?;
        match ready.try_io(|pipe| Ok(rustix::io::read(pipe, &mut chunk)?)) {
            Ok(Ok(0)) => return Ok(false),
            Ok(Ok(count)) if chunk[..count].contains(&b'\n') => return Ok(true),
            Ok(Err(error)) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_newline(parts: &'static [&'static [u8]]) -> bool {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let (ours, theirs) = pair().expect("a pipe");
        let writer = std::thread::spawn(move || {
            for part in parts {
                rustix::io::write(&theirs, part).expect("the pipe is read");
            }
        });
        let outcome = tokio.block_on(read_newline(ours)).expect("it can be read");
        writer.join().expect("it has written");
        outcome
    }

    #[test]
    fn only_a_newline_counts() {
        assert!(reads_newline(&[b"\n"]));
        assert!(reads_newline(&[b"read", b"y", b"\nand more"]));
        assert!(!reads_newline(&[b"ready"]));
        assert!(!reads_newline(&[]));
    }
}
