//! Connections to where a probe points: names to addresses, addresses to sockets. What goes wrong is told without them, for
//! they may be secret.

use crate::error_text::words;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

/// As many names are looked up at the same moment. A resolver that hangs can't be interrupted, and holds a thread.
const MAX_LOOKUPS: usize = 8;

/// Looks up names. Clones share what bounds them.
#[derive(Clone, Debug)]
pub(super) struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl Resolver {
    /// The addresses of a host, which is a name or an address already.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        // It is never closed.
        let permit = Arc::clone(&self.0).acquire_owned().await.ok();
        let (found, answer) = oneshot::channel();
        let name = host.to_owned();
        // Not one of tokio's own threads, for whose end navigator's exit would wait.
        let started = std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            let addresses = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            drop(permit);
            // Who asked may have lost patience.
            let _closed = found.send(addresses);
        });
        started.map_err(|error| format!("its host can't be looked up: {}", words(&error)))?;
        match answer.await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(format!("its host is not known: {}", words(&error))),
            Err(_) => Err("its host can't be looked up".to_owned()),
        }
    }
}

/// Connects to `HOST:PORT`: to the first of its addresses that accepts.
///
/// # Errors
/// Why the last address doesn't, for people.
pub(super) async fn connect(resolver: &Resolver, address: &str) -> Result<TcpStream, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let port = port.parse().map_err(|_| "its address has no port".to_owned())?;
    let mut refusal = "its host has no address".to_owned();
    for address in resolver.addresses(host, port).await? {
        match TcpStream::connect(address).await.and_then(reject_self_connection) {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = words(&error),
        }
    }
    Err(refusal)
}

/// A connection to a port of this host that nobody listens on may, rarely, be given that very port, and so meet itself
/// (RFC 9293, section 3.5, simultaneous open).
fn reject_self_connection(stream: TcpStream) -> io::Result<TcpStream> {
    let is_self = stream.local_addr()? == stream.peer_addr()?;
    if is_self { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
}
