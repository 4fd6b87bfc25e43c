//! Messages between navigator and its keeper: JSON with its length before it, and descriptors beside it.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recv, recvmsg, send, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The most descriptors in one message. The kernel allows 253 (`unix(7)`).
pub(super) const MAX_DESCRIPTORS: usize = 250;

/// The size of the length before a message, in bytes.
const LENGTH: usize = size_of::<u32>();

/// Sends a message.
///
/// # Errors
/// Those of `sendmsg(2)`; `EPIPE` if the other side is gone.
pub(super) fn send_message(link: &OwnedFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut whole = vec![0; LENGTH];
    serde_json::to_writer(&mut whole, message)?;
    let length = u32::try_from(whole.len() - LENGTH).map_err(|_| io::ErrorKind::InvalidInput)?;
    whole[..LENGTH].copy_from_slice(&length.to_le_bytes());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The descriptors go with the first byte.
    let sent = retry(|| sendmsg(link, &[IoSlice::new(&whole)], &mut beside, SendFlags::NOSIGNAL))?;
    let mut rest = &whole[sent..];
    while !rest.is_empty() {
        let sent = retry(|| send(link, rest, SendFlags::NOSIGNAL))?;
        rest = &rest[sent..];
    }
    Ok(())
}

/// Receives the next message; `None`: the other side has closed the connection.
///
/// # Errors
/// Those of `recvmsg(2)`, or what came is no such message. `EMFILE`: there is no room for its descriptors.
pub(super) fn receive_message<T: DeserializeOwned>(link: &OwnedFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; LENGTH];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| recvmsg(link, &mut [IoSliceMut::new(&mut length)], &mut beside, RecvFlags::CMSG_CLOEXEC))?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    fill(link, &mut length[received.bytes..])?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    fill(link, &mut body)?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MFILE.into());
    }
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}

fn fill(link: &OwnedFd, mut room: &mut [u8]) -> io::Result<()> {
    while !room.is_empty() {
        let (received, _) = retry(|| recv(link.as_fd(), &mut *room, RecvFlags::empty()))?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        room = &mut room[received..];
    }
    Ok(())
}

fn retry<T>(mut act: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match act() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
