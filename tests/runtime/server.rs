//! A test server that answers well, badly, or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that treats every connection the same, each in its own thread.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// The requests so far.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers with these bytes, then closes.
    pub(crate) fn answering(answer: &str) -> Server {
        let answer = answer.to_owned();
        Server::new(move |mut stream| {
            // The client may have closed the connection.
            drop(stream.write_all(answer.as_bytes()));
        })
    }

    /// Reads requests, and never answers.
    pub(crate) fn silent() -> Server {
        Server::new(|mut stream| drop(stream.read_to_end(&mut Vec::new())))
    }

    pub(crate) fn new(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (heard, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, heard, answer) = (stream.expect("a connection"), Arc::clone(&heard), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let request = head(&mut stream);
                    heard.lock().expect("no server thread panics").push(request);
                    answer(stream);
                });
            }
        });
        Server { port, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/health?full=1", self.port)
    }
}

/// The head of a request, or everything until the client closed the connection.
fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
