//! Takes back the output pipes of running processes, after the navigator that read them was killed.
//!
//! A process that has such a pipe open is enough: its descriptor is copied (`pidfd_getfd(2)`), compared with the recorded inode,
//! and opened again for reading through our own copy. So navigator opens no path that the process decides about.
//!
//! The kernel may refuse to copy descriptors of a process that is no descendant, for instance under Yama (`ptrace_scope`). A
//! navigator that isn't root then opens those of its own user's processes by path: it gains and risks nothing by that, because
//! process and navigator have the same rights.

use super::{proc, tree};
use crate::handover::InheritedDescriptors;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FsWord, Mode, OFlags, fstat, fstatfs};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdGetfdFlags, geteuid, pidfd_getfd};
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// The flags of a read end.
const READ_END: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// New read ends of the pipes that a process got as its standard output and error, given by their recorded inodes. They are
/// non-blocking, and end when the last process closes its end.
///
/// `main` is a pidfd of the process with this pid. Its descendants (`others`) are searched where it has no such pipe itself; list
/// them while its pidfd is held. If none of them has a pipe, that stream has ended, and so has what is returned for it.
///
/// A pipe that this process has `inherited` is not searched.
///
/// # Errors
/// The kernel doesn't let us find out, or out of descriptors.
pub(super) fn pipes(
    main: &OwnedFd,
    pid: u32,
    others: &[u32],
    recorded: [u64; 2],
    inherited: &InheritedDescriptors,
) -> io::Result<[OwnedFd; 2]> {
    let [out, err] = recorded;
    let read_end = |number, inode| match inherited.pipe(inode) {
        Some(pipe) => Ok(pipe),
        None => read_end(main, pid, others, LostPipe { number, inode }),
    };
    Ok([read_end(1, out)?, read_end(2, err)?])
}

/// The same for a process that has ended: the pipes that were inherited. What they hold can still be read.
///
/// # Errors
/// Out of descriptors.
pub(super) fn pipes_of_ended(recorded: [u64; 2], inherited: &InheritedDescriptors) -> io::Result<Option<[OwnedFd; 2]>> {
    let or_ended = |pipe: Option<OwnedFd>| pipe.map_or_else(ended, Ok);
    match recorded.map(|inode| inherited.pipe(inode)) {
        [None, None] => Ok(None),
        [out, err] => Ok(Some([or_ended(out)?, or_ended(err)?])),
    }
}

/// A pipe that is searched.
#[derive(Clone, Copy)]
struct LostPipe {
    /// The descriptor that the program got it as.
    number: i32,
    inode: u64,
}

fn read_end(main: &OwnedFd, pid: u32, others: &[u32], lost: LostPipe) -> io::Result<OwnedFd> {
    let mut refused = None;
    match open_in(main, pid, lost) {
        Ok(Some(found)) => return Ok(found),
        Ok(None) => {}
        Err(error) => refused = Some(error),
    }
    for &other in others {
        let found = match tree::try_open(other) {
            Ok(pidfd) => open_in(&pidfd, other, lost),
            Err(Errno::SRCH | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or_else(ended, Err)
}

/// The read end of a pipe without writers.
fn ended() -> io::Result<OwnedFd> {
    let (read_end, _write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok(read_end)
}

/// Opens a pipe that a process has open; `None`: it has it no more.
fn open_in(process: &OwnedFd, pid: u32, lost: LostPipe) -> io::Result<Option<OwnedFd>> {
    let found = search(process, pid, lost);
    // A process that ends has closed everything, and may not be inspected any more.
    let is_over = || tree::has_ended(process) || proc::stat(pid).is_none_or(|stat| stat.is_ending);
    if found.is_err() && is_over() { Ok(None) } else { found }
}

fn search(process: &OwnedFd, pid: u32, lost: LostPipe) -> io::Result<Option<OwnedFd>> {
    let at_first = open(process, pid, lost.number, lost.inode)?;
    if at_first.is_some() {
        return Ok(at_first);
    }
    for (number, inode) in proc::pipes(pid)? {
        // The descriptor may have changed since.
        if inode == lost.inode
            && let Some(found) = open(process, pid, number, inode)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Opens a descriptor of a process for reading, if it is this pipe.
fn open(process: &OwnedFd, pid: u32, number: i32, inode: u64) -> io::Result<Option<OwnedFd>> {
    match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
        Ok(copy) if is_pipe(&copy, inode)? => Ok(Some(proc::reopen(copy, READ_END)?)),
        Ok(_) | Err(Errno::BADF) => Ok(None),
        Err(Errno::PERM | Errno::NOSYS) if is_equal(process, pid) => open_by_path(process, pid, number, inode),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process has the same rights as we have, and neither has those of root.
fn is_equal(process: &OwnedFd, pid: u32) -> bool {
    let own = geteuid();
    let user = std::fs::metadata(format!("/proc/{pid}")).map(|stat| stat.uid());
    !own.is_root() && user.is_ok_and(|user| user == own.as_raw()) && tree::has_pid(process)
}

fn open_by_path(process: &OwnedFd, pid: u32, number: i32, inode: u64) -> io::Result<Option<OwnedFd>> {
    // First, because to open another file may have an effect.
    if !proc::pipes(pid)?.contains(&(number, inode)) {
        return Ok(None);
    }
    match rustix::fs::open(format!("/proc/{pid}/fd/{number}"), READ_END, Mode::empty()) {
        Ok(opened) => Ok((is_pipe(&opened, inode)? && tree::has_pid(process)).then_some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a descriptor is the pipe of this inode. A FIFO or file with the same inode number is on another file system.
fn is_pipe(descriptor: impl AsFd, inode: u64) -> io::Result<bool> {
    /// `PIPEFS_MAGIC` of the kernel's `magic.h`.
    const PIPEFS: FsWord = 0x5049_5045;
    Ok(fstat(&descriptor)?.st_ino == inode && fstatfs(&descriptor)?.f_type == PIPEFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fcntl_getfl;
    use std::fs::File;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    /// No process has this pid.
    const NONE: u32 = i32::MAX.cast_unsigned();

    /// A process that is no child of ours: it was started by a shell that has ended.
    struct Orphan {
        pid: u32,
        pidfd: OwnedFd,
        /// The inodes of its pipes.
        inodes: [u64; 2],
        /// The read ends of a navigator that will be killed.
        former: [BufReader<File>; 2],
    }

    impl Orphan {
        /// Runs a script in `sh`, with pipes as navigator makes them.
        #[expect(clippy::disallowed_methods, reason = "the test needs a process that isn't its child")]
        fn start(script: &str) -> Orphan {
            let ([out, err, said], [child_out, child_err, child_said]) = {
                let pipe = || pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
                let [(out, child_out), (err, child_err), (said, child_said)] = [pipe(), pipe(), pipe()];
                let both_ways = |end| Stdio::from(proc::reopen(end, OFlags::RDWR | OFlags::CLOEXEC).expect("it is ours"));
                ([out, err, said], [both_ways(child_out), both_ways(child_err), Stdio::from(child_said)])
            };
            let mut parent = Command::new("sh");
            parent.args(["-c", r#"sh -c "$0" </dev/null & echo $! >&0"#, script]);
            let mut parent = parent.stdin(child_said).stdout(child_out).stderr(child_err).spawn().expect("`sh` can be run");
            let mut pid = String::new();
            BufReader::new(File::from(said)).read_line(&mut pid).expect("it says the pid");
            let pid = pid.trim_end().parse().expect("a pid");
            let pidfd = tree::try_open(pid).expect("it runs");
            parent.wait().expect("it is our child");
            let inodes = [&out, &err].map(|end| fstat(end).expect("it is open").st_ino);
            Orphan { pid, pidfd, inodes, former: [out, err].map(|end| BufReader::new(File::from(end))) }
        }

        /// The next line of its standard output.
        fn line(&mut self) -> String {
            let mut line = String::new();
            self.former[0].read_line(&mut line).expect("text");
            line.trim_end().to_owned()
        }

        /// What a former navigator has read, but not taken.
        fn read_before(&self) -> String {
            String::from_utf8(self.former[0].buffer().to_vec()).expect("text")
        }
    }

    impl Drop for Orphan {
        fn drop(&mut self) {
            kill(&self.pidfd);
        }
    }

    fn kill(process: &OwnedFd) {
        let _may_have_ended = crate::sys::signal_pidfd(process.as_fd(), libc::SIGKILL);
    }

    /// Everything up to the end of a stream.
    fn rest(read_end: OwnedFd) -> String {
        rustix::fs::fcntl_setfl(&read_end, OFlags::empty()).expect("a flag can be set");
        let mut text = String::new();
        File::from(read_end).read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn the_pipes_of_a_process_with_another_parent_come_back() {
        for script in [
            "echo err >&2; printf 'ready\\nout\\n'; exec sleep 3600",
            // Elsewhere in its table.
            "exec 7>&1 8>&2 >/dev/null 2>&1; echo err >&8; printf 'ready\\nout\\n' >&7; exec sleep 3600",
            // In the place of each other.
            "exec 7>&1 1>&2 2>&7 7>&-; echo err; printf 'ready\\nout\\n' >&2; exec sleep 3600",
        ] {
            let mut orphan = Orphan::start(script);
            assert_eq!(orphan.line(), "ready", "{script}");
            let [out, err] =
                pipes(&orphan.pidfd, orphan.pid, &[], orphan.inodes, &InheritedDescriptors::default()).expect("they are found");
            for read_end in [&out, &err] {
                let flags = fcntl_getfl(read_end).expect("it is open");
                assert_eq!(flags & (OFlags::RDWR | OFlags::WRONLY | OFlags::NONBLOCK), OFlags::NONBLOCK, "{script}");
                let flags = rustix::io::fcntl_getfd(read_end).expect("it is open");
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{script}");
            }
            kill(&orphan.pidfd);
            // They end, so no write end of them is left here.
            assert_eq!((orphan.read_before() + &rest(out), rest(err)), ("out\n".to_owned(), "err\n".to_owned()), "{script}");
        }
    }

    #[test]
    fn a_process_waits_for_the_next_reader() {
        /// More than a pipe holds.
        const COUNT: usize = 100_000;
        let mut orphan = Orphan::start(&format!("exec perl -e '$| = 1; print qq(ready\n); print q(x) x {COUNT}; print q(end)'"));
        assert_eq!(orphan.line(), "ready");
        let read_before = orphan.read_before();
        orphan.former = [(); 2].map(|()| BufReader::new(File::open("/dev/null").expect("a file")));
        let [out, _err] =
            pipes(&orphan.pidfd, orphan.pid, &[], orphan.inodes, &InheritedDescriptors::default()).expect("they are found");
        let all = read_before + &rest(out);
        assert_eq!((all.len(), &all[COUNT..]), (COUNT + 3, "end"));
    }

    #[test]
    fn a_pipe_that_only_a_descendant_has_comes_back() {
        let script = r#"sh -c 'until [ "$(readlink "/proc/$PPID/fd/1")" = /dev/null ]; do sleep 0.01; done
            printf "$$\nout\n"; exec sleep 3600' 2>/dev/null & exec sleep 3600 >/dev/null 2>&1"#;
        let mut orphan = Orphan::start(script);
        let descendant: u32 = orphan.line().parse().expect("a pid");
        let pidfd = tree::try_open(descendant).expect("it runs");
        let [out, err] = pipes(&orphan.pidfd, orphan.pid, &[NONE, descendant], orphan.inodes, &InheritedDescriptors::default())
            .expect("one is found");
        assert_eq!(rest(err), "", "no process has it");
        let [of_main, _err] =
            pipes(&orphan.pidfd, orphan.pid, &[], orphan.inodes, &InheritedDescriptors::default()).expect("none is found");
        assert_eq!(rest(of_main), "", "the main process has closed it");
        kill(&pidfd);
        assert_eq!(orphan.read_before() + &rest(out), "out\n");
    }

    #[test]
    fn another_pipe_in_its_place_is_not_taken() {
        let mut orphan = Orphan::start(
            r#"exec perl -e 'pipe(my $r, my $w); open(STDOUT, ">&", $w); open(STDERR, ">&", $w); print "x\n"; sleep 3600'"#,
        );
        assert_eq!(orphan.line(), "", "its output ends");
        let [out, err] =
            pipes(&orphan.pidfd, orphan.pid, &[NONE], orphan.inodes, &InheritedDescriptors::default()).expect("none is found");
        assert_eq!((rest(out), rest(err)), (String::new(), String::new()));
        assert!(!tree::has_ended(&orphan.pidfd));
    }

    #[test]
    fn an_ended_process_has_nothing_open() {
        let mut orphan = Orphan::start("exec sleep 3600");
        kill(&orphan.pidfd);
        // Which may be before it can be waited for.
        assert_eq!(orphan.line(), "", "its output ends");
        let [out, err] =
            pipes(&orphan.pidfd, orphan.pid, &[NONE], orphan.inodes, &InheritedDescriptors::default()).expect("none is found");
        assert_eq!((rest(out), rest(err)), (String::new(), String::new()));
    }

    #[test]
    fn what_can_not_be_found_out_is_an_error() {
        let mut orphan = Orphan::start("exec sleep 3600 >/dev/null 2>&1");
        assert_eq!(orphan.line(), "", "its output ends");
        // Only a root with every capability may inspect this one.
        let may_inspect = std::fs::read_link("/proc/1/fd/0").is_ok();
        let found = pipes(&orphan.pidfd, orphan.pid, &[1], orphan.inodes, &InheritedDescriptors::default());
        let is_refused = found.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        assert_eq!(is_refused, !may_inspect);
    }

    #[test]
    fn only_the_recorded_pipe_is_opened_by_path() {
        let mut orphan = Orphan::start("echo ready; exec sleep 3600");
        assert_eq!(orphan.line(), "ready");
        let [out, err] = orphan.inodes;
        let open = |number, inode| open_by_path(&orphan.pidfd, orphan.pid, number, inode).expect("we may open it");
        assert!(open(1, out).is_some_and(|opened| is_pipe(&opened, out).expect("it is open")));
        for (number, inode) in [(1, err), (2, out), (0, out), (9, out)] {
            assert!(open(number, inode).is_none(), "{number}");
        }
        assert_eq!(is_equal(&orphan.pidfd, orphan.pid), !geteuid().is_root());
        assert!(!is_equal(&tree::try_open(1).expect("there is one"), 1), "it belongs to root");
    }
}
