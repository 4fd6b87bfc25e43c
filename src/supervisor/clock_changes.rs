//! Tells the loop when the wall clock was set, or the machine was suspended.

use super::inbox::News;
use crate::sys::readable;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::sync::mpsc;

/// Sends a message whenever the clock jumps: a timer of the kernel that never expires is cancelled then.
///
/// # Errors
/// The kernel refuses the timer.
pub fn watch_clock(news: mpsc::Sender<News>) -> io::Result<()> {
    let timer = readable(never()?)?;
    tokio::spawn(async move {
        loop {
            let read = timer.async_io(Interest::READABLE, |timer| match rustix::io::read(timer, &mut [0; 8]) {
                Ok(_) | Err(Errno::CANCELED) => Ok(()),
                Err(error) => Err(error.into()),
            });
            if read.await.is_err() || news.send(News::ClockChanged).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn never() -> io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
    Ok(timer)
}
