//! TCP ports that no other test and nothing else on this machine uses.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

/// Below the ports that the kernel hands out for connections and for port 0. Whole tens, for programs that add a digit.
const TENS: std::ops::Range<u16> = 1_100..3_200;

/// Each holds one reserved ten of ports for as long as this process lives.
static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nothing uses, and that no other test gets while this process lives. The nine after it are free, too.
pub(crate) fn free_port() -> u16 {
    let mut reserved = RESERVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = TENS.end - TENS.start;
    // Each process begins at another place, so that few of the searches meet.
    let first = u16::try_from(std::process::id() * 7 % u32::from(count)).expect("it is less than `count`");
    let tens = (0..count).map(|step| TENS.start + (first + step) % count);
    let mut tens = tens.filter_map(|ten| {
        let name = SocketAddr::from_abstract_name(format!("navigator-test-ports-{ten}")).expect("it is short");
        UnixListener::bind_addr(&name).ok().map(|socket| (ten * 10, socket))
    });
    let (port, socket) = tens.find(|(port, _)| (0..10).all(|digit| is_free(port + digit))).expect("some ports are free");
    reserved.push(socket);
    port
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
