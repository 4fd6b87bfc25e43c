//! A check by HTTP GET: the status decides. Redirects are not followed, and the body is not read.

use super::net::{self, Resolver};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use reconcile::spec::Http;
use tokio::net::TcpStream;

/// Maximum size of a response head in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Sends the request; passes if the status is an expected one.
///
/// # Errors
/// Why it failed, for users.
pub(super) async fn get(resolver: &Resolver, probe: &Http) -> Result<(), String> {
    let url: Uri = probe.url.value().parse().map_err(|error| format!("`{}` is not a URL: {error}", probe.url.shown()))?;
    let host = url.host().unwrap_or_default();
    let stream = net::connect(resolver, &format!("{host}:{}", url.port_u16().unwrap_or(80))).await?;
    let status = status(stream, request(probe, &url)?).await?;
    let passes = match probe.status.as_slice() {
        [] => status.is_success() || status.is_redirection(),
        wanted => wanted.contains(&status.as_u16()),
    };
    if passes { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}

fn request(probe: &Http, url: &Uri) -> Result<Request<String>, String> {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::get(target).body(String::new()).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers(probe, url)?;
    Ok(request)
}

fn headers(probe: &Http, url: &Uri) -> Result<HeaderMap, String> {
    let host = url.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(host).map_err(|error| error.to_string())?;
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("navigator/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &probe.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header"))?;
        let value = HeaderValue::from_str(value.value()).map_err(|_| format!("the value of header `{name}` can't be sent"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn status(stream: TcpStream, request: Request<String>) -> Result<StatusCode, String> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map(|answer| answer.status()).map_err(|error| words(&error)),
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

/// Describes an error of the HTTP client.
fn words(error: &hyper::Error) -> String {
    if error.is_parse() {
        format!("not an HTTP response: {error}")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "the connection was closed before an answer came".to_owned()
    } else {
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
    }
}
