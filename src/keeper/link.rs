//! Navigator's side: the connections to a keeper.

use super::message::{MAX_DESCRIPTORS, receive_message, send_message};
use super::order::{ChildOrder, StartAnswer};
use super::protocol::{ConnectionRole, Hello, KeeperAnswer, KeeperRequest, PROTOCOL, Welcome};
use super::socket::{LinkError, connect};
use crate::access::Directory;
use crate::sys::Ended;
use crate::sys::clone::{Child, CloneFailure, StartedChild};
use crate::sys::slot::{Slot, SlotTable};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, recv};
use std::io;
use std::time::Duration;

/// How long an answer may take. A keeper that takes longer is stopped or stuck: it is killed, and its children become ours.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection to a keeper, for everything but starts.
#[derive(Debug)]
pub(crate) struct KeeperLink {
    control: OwnedFd,
    ends: OwnedFd,
    /// What it said about itself.
    pub(crate) welcome: Welcome,
}

/// Asks the keeper of this name about itself.
///
/// # Errors
/// See [`LinkError`].
pub(crate) fn look(directory: &Directory, name: &str) -> Result<Welcome, LinkError> {
    open(directory, name, ConnectionRole::Look).map(|(_, welcome)| welcome)
}

fn open(directory: &Directory, name: &str, role: ConnectionRole) -> Result<(OwnedFd, Welcome), LinkError> {
    let link = connect(directory, name)?;
    set_socket_timeout(&link, Timeout::Recv, Some(ANSWER_TIMEOUT)).map_err(io::Error::from)?;
    send_message(&link, &Hello { role }, &[])?;
    let (welcome, _) = receive_message::<Welcome>(&link)?.ok_or(LinkError::Gone)?;
    Ok((link, welcome))
}

impl KeeperLink {
    /// Connects to the keeper of this name.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub(crate) fn open(directory: &Directory, name: &str) -> Result<KeeperLink, LinkError> {
        let (control, welcome) = open(directory, name, ConnectionRole::Control)?;
        if welcome.is_taken {
            return Err(LinkError::Taken);
        }
        if welcome.protocol > PROTOCOL {
            return Err(LinkError::Version(welcome.protocol));
        }
        let (ends, _) = open(directory, name, ConnectionRole::Ends)?;
        Ok(KeeperLink { control, ends, welcome })
    }

    /// Becomes readable when one of its children has ended, or when it is gone.
    pub(crate) fn ends(&self) -> &OwnedFd {
        &self.ends
    }

    /// The pids that the keeper has reported since the last call.
    ///
    /// # Errors
    /// The keeper is gone.
    pub(crate) fn reported(&self) -> io::Result<Vec<u32>> {
        const PID: usize = size_of::<u32>();
        let mut room = [0; 256 * PID];
        match recv(&self.ends, &mut room[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((received, _)) => {
                let (pids, _) = room[..received].as_chunks::<PID>();
                Ok(pids.iter().map(|pid| u32::from_le_bytes(*pid)).collect())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Which of these children have ended.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn ended_of(&self, pids: Vec<u32>) -> io::Result<Vec<Ended>> {
        self.ended(&KeeperRequest::EndedOf(pids))
    }

    /// An adopted child that has ended.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn ended_adopted(&self) -> io::Result<Option<Ended>> {
        Ok(self.ended(&KeeperRequest::EndedAdopted)?.pop())
    }

    /// Any child that has ended.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn ended_any(&self) -> io::Result<Option<Ended>> {
        Ok(self.ended(&KeeperRequest::EndedAny)?.pop())
    }

    /// Has children reaped that have ended.
    ///
    /// # Errors
    /// The keeper is gone.
    pub(crate) fn reap(&self, pids: Vec<u32>) -> io::Result<()> {
        send_message(&self.control, &KeeperRequest::Reap(pids), &[])
    }

    /// Copies of all descriptors that it holds.
    ///
    /// # Errors
    /// The keeper is gone or stuck, or there is no room for them.
    pub(crate) fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        send_message(&self.control, &KeeperRequest::Descriptors, &[])?;
        let mut all = Vec::new();
        loop {
            let (answer, descriptors) = self.answer()?;
            all.extend(descriptors);
            let KeeperAnswer::Descriptors { has_more } = answer else { return Err(io::ErrorKind::InvalidData.into()) };
            if !has_more {
                return Ok(all);
            }
        }
    }

    /// Has it end with its last child.
    ///
    /// # Errors
    /// The keeper is gone.
    pub(crate) fn retire(&self) -> io::Result<()> {
        send_message(&self.control, &KeeperRequest::Retire, &[])
    }

    /// Has it end, and waits until it has. Its children become ours, if it is our own child.
    pub(crate) fn end(self) {
        // It may have ended already.
        let _gone = send_message(&self.control, &KeeperRequest::Bye, &[]);
        // Nothing is answered; the connection ends.
        while self.answer().is_ok() {}
    }

    fn ended(&self, request: &KeeperRequest) -> io::Result<Vec<Ended>> {
        send_message(&self.control, request, &[])?;
        if let (KeeperAnswer::Ended(ended), _) = self.answer()? { Ok(ended) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn answer(&self) -> io::Result<(KeeperAnswer, Vec<OwnedFd>)> {
        receive_message(&self.control)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A connection for sockets that it holds.
#[derive(Debug)]
pub(crate) struct SocketLink(OwnedFd);

impl SocketLink {
    /// # Errors
    /// No keeper of this name runs.
    pub(crate) fn open(directory: &Directory, name: &str) -> Result<SocketLink, LinkError> {
        open(directory, name, ConnectionRole::Sockets).map(|(link, _)| SocketLink(link))
    }

    /// Has it hold these sockets, too.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn hold(&self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        // Without any, nothing is asked.
        sockets.chunks(MAX_DESCRIPTORS).try_for_each(|some| self.ask(&KeeperRequest::Hold, some))
    }

    /// Has it drop the socket with this inode.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn release(&self, inode: u64) -> io::Result<()> {
        self.ask(&KeeperRequest::Release(inode), &[])
    }

    /// Has it drop all sockets but those with these inodes.
    ///
    /// # Errors
    /// The keeper is gone or stuck.
    pub(crate) fn retain(&self, inodes: &[u64]) -> io::Result<()> {
        self.ask(&KeeperRequest::RetainSockets(inodes.to_vec()), &[])
    }

    fn ask(&self, request: &KeeperRequest, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_message(&self.0, request, beside)?;
        match receive_message(&self.0)? {
            Some((KeeperAnswer::Done, _)) => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// What a keeper keeps with a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptWithChild<'a> {
    /// Descriptors that it holds, too.
    pub(crate) descriptors: &'a [OwnedFd],
    /// It kills the child when navigator is killed.
    pub(crate) ends_with_navigator: bool,
}

/// A connection for starts, for one thread.
#[derive(Debug)]
pub(crate) struct StartLink(OwnedFd);

/// Why the keeper did not make a start.
#[derive(Debug)]
pub(crate) enum StartLinkError {
    /// It was not attempted.
    NotAttempted,
    /// The keeper was lost before it answered.
    Lost,
}

impl StartLink {
    /// # Errors
    /// No keeper of this name runs.
    pub(crate) fn open(directory: &Directory, name: &str, table: &SlotTable) -> Result<StartLink, LinkError> {
        let link = connect(directory, name)?;
        send_message(&link, &Hello { role: ConnectionRole::Starts }, &[table.memory()])?;
        Ok(StartLink(link))
    }

    /// Has the keeper start a program. See [`crate::sys::clone::start`].
    ///
    /// # Errors
    /// See [`StartLinkError`].
    pub(crate) fn start(
        &self,
        child: &Child<'_>,
        slot: &Slot,
        kept: KeptWithChild<'_>,
    ) -> Result<Result<StartedChild, CloneFailure>, StartLinkError> {
        let order = ChildOrder::of(child, slot, kept.ends_with_navigator).ok_or(StartLinkError::NotAttempted)?;
        let descriptors = ChildOrder::descriptors(child, kept.descriptors);
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(StartLinkError::NotAttempted);
        }
        send_message(&self.0, &order, &descriptors).map_err(|_| StartLinkError::Lost)?;
        let (answer, mut beside) = receive_message(&self.0).ok().flatten().ok_or(StartLinkError::Lost)?;
        match answer {
            StartAnswer::Started { pid, group_error } => Ok(Ok(StartedChild { pid, pidfd: beside.pop(), group_error })),
            StartAnswer::NoChild(error) => Ok(Err(CloneFailure::Clone(error))),
            StartAnswer::Failed(stage, error) => Ok(Err(CloneFailure::Child(stage, error))),
            StartAnswer::Refused => Err(StartLinkError::NotAttempted),
        }
    }
}
