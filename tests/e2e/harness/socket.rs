//! The control socket without a client of navigator: bytes in, bytes out.

use super::Site;
use super::log::DEADLINE;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The directory of the only instance of a site.
pub(crate) fn instance(site: &Site) -> PathBuf {
    let mut entries = fs::read_dir(site.path("state")).expect("the state directory");
    entries.next().expect("one instance").expect("an entry").path()
}

/// A connection to the navigator of a site. Reading from it ends at the deadline.
pub(crate) fn connect(site: &Site) -> UnixStream {
    let stream = UnixStream::connect(instance(site).join("socket")).expect("the socket is open");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    stream
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    /// What `Allow` says.
    pub(crate) allow: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks, as in `ask(site, "GET", "/v1/status", "")`, and reads the answer to its end.
#[track_caller]
pub(crate) fn ask(site: &Site, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = connect(site);
    request(&mut stream, method, path, body);
    answer(stream).expect("an answer to its end")
}

/// Sends a request that is the last one of its connection.
pub(crate) fn request(stream: &mut UnixStream, method: &str, path: &str, body: &str) {
    let length = body.len();
    let text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).expect("it is read");
}

/// Reads an answer to its end; `None`: it is none.
pub(crate) fn answer(mut stream: UnixStream) -> Option<Answer> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = if field("transfer-encoding:") == "chunked" { dechunked(body)? } else { body.to_owned() };
    Some(Answer { status, kind: field("content-type:"), allow: field("allow:").to_ascii_uppercase(), body })
}

/// A body that came in chunks (RFC 9112, 7.1); `None`: its end is missing.
fn dechunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..length)?);
        body = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}
