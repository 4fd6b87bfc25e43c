//! Name lookup and TCP connections of probes. Errors don't contain the address, which may be secret.

use crate::error_text::words;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

/// Maximum number of concurrent lookups. A hanging lookup can't be interrupted, and blocks a thread.
const MAX_LOOKUPS: usize = 8;

/// Looks up host names. Clones share the limit.
#[derive(Clone, Debug)]
pub(super) struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl Resolver {
    /// The addresses of a host, which is a name or already an address.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&self.0).acquire_owned().await.ok();
        let (found, answer) = oneshot::channel();
        let name = host.to_owned();
        // A thread of its own, because navigator's exit would wait for one of tokio's.
        let started = std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            let addresses = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            drop(permit);
            // The caller may have stopped waiting.
            let _closed = found.send(addresses);
        });
        started.map_err(|error| format!("host lookup failed: {}", words(&error)))?;
        match answer.await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(format!("unknown host: {}", words(&error))),
            Err(_) => Err("host lookup failed".to_owned()),
        }
    }
}

/// Connects to `HOST:PORT`: to the first of its addresses that accepts.
///
/// # Errors
/// Why the last address does not accept, for users.
pub(super) async fn connect(resolver: &Resolver, address: &str) -> Result<TcpStream, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let port = port.parse().map_err(|_| "the address has no port".to_owned())?;
    let mut refusal = "the host has no address".to_owned();
    for address in resolver.addresses(host, port).await? {
        match TcpStream::connect(address).await.and_then(reject_self_connection) {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = words(&error),
        }
    }
    Err(refusal)
}

/// A connection to an unused local port may, rarely, get that very port as its source, and so connect to itself (RFC 9293,
/// section 3.5, simultaneous open).
fn reject_self_connection(stream: TcpStream) -> io::Result<TcpStream> {
    let is_self = stream.local_addr()? == stream.peer_addr()?;
    if is_self { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
}
