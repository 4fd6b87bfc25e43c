//! Parses the address of a listening socket: `HOST:PORT`, a path, or `@name`.
//!
//! As in [`super::scalar`], regular expressions describe the accepted forms for editors. Errors are help texts that quote the
//! value, so the caller must not show them for a secret.

use super::scalar;
use super::words::{list, quoted_if_needed};
use reconcile::socket::Address;
use reconcile::text::Text;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The longest path of a socket, and the longest name of an abstract one, in bytes (`unix(7)`).
pub(super) const MAX_PATH: usize = 107;

/// Matches what [`parse`] accepts as a path.
pub(super) const PATH: &str = r"(/[^\u0000]{0,105}[^/\u0000]|(\./|\.\./|[^/:@~\[]+/).*[^/]|[^/:@~\[]+\.sock(et)?)";

/// Matches what [`parse`] accepts as any other address.
pub(super) const NO_PATH: &str = r"(@.{1,107}|(\*|\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):PORT)";

/// Matches a port: for `PORT` in [`NO_PATH`].
pub(super) const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";

/// An address as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AddressForm {
    /// A path, relative to the file that names it.
    Path,
    /// Any other address.
    Complete(Address),
}

/// Parses an address.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str) -> Result<AddressForm, String> {
    if let Some(name) = text.strip_prefix('@') {
        return match name.len() {
            0 => Err("write a name after the `@`, such as `\"@web\"`".to_owned()),
            1..=MAX_PATH => Ok(AddressForm::Complete(Address::Abstract(Text::plain(name)))),
            _ => Err(format!("the name after the `@` has at most {MAX_PATH} bytes")),
        };
    }
    if let Some(rest) = text.strip_prefix("~/").filter(|rest| rest.len() <= MAX_PATH) {
        return Err(format!(
            "`~` is not replaced, there is no shell: write `{}`",
            quoted_if_needed(&format!("${{HOME}}/{rest}"))
        ));
    }
    if is_path(text) {
        let names_a_file = !text.ends_with(['/']) && !matches!(text.rsplit('/').next(), Some("." | ".."));
        return if names_a_file {
            Ok(AddressForm::Path)
        } else {
            Err("write the path of a socket, not of a directory".to_owned())
        };
    }
    match host_and_port(text) {
        Some((host, port)) => host_address(host, port).map(AddressForm::Complete),
        None => Err(instead(text)),
    }
}

/// Whether a text is a path. One without a slash must end in `.sock` or `.socket`; any other may be a host without its port.
pub(super) fn is_path(text: &str) -> bool {
    match text.split_once('/') {
        Some((first, _)) => matches!(first, "" | "." | "..") || !first.contains([':', '[']),
        None => !text.contains(':') && [".sock", ".socket"].iter().any(|end| text.len() > end.len() && text.ends_with(end)),
    }
}

/// The two parts of `HOST:PORT`, if the port is a number.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
    (is_number && is_whole && !host.is_empty() && !host.contains('/')).then_some((host, port))
}

fn host_address(host: &str, port: &str) -> Result<Address, String> {
    let Some(port) = scalar::whole_number::<u16>(port, 1, 65535) else {
        return Err(if port.bytes().all(|byte| byte == b'0') {
            format!(
                "port 0 means any free port, which no client knows: write one, such as `{}`",
                quoted_if_needed(&format!("{host}:3000"))
            )
        } else {
            "write a port from 1 to 65535".to_owned()
        });
    };
    if host == "*" {
        return Ok(Address::Any(port));
    }
    if host.starts_with('[') {
        let address = format!("{host}:{port}").parse::<SocketAddrV6>();
        return address
            .map(|address| Address::Ip(canonical(address)))
            .map_err(|_| "write an IPv6 address in the brackets, such as `\"[::1]:3000\"`".to_owned());
    }
    if let Ok(ip) = host.parse() {
        return Ok(Address::Ip(SocketAddr::new(IpAddr::V4(ip), port)));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = host.bytes().all(is_plain) && host.as_bytes()[0].is_ascii_alphanumeric() && host.len() <= 253;
    if is_name && host.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Ok(Address::Host(Text::plain(&host.to_ascii_lowercase()), port));
    }
    Err("write host and port, such as `127.0.0.1:3000` or `\"*:3000\"`".to_owned())
}

/// An IPv4-mapped address as the IPv4 address that it means; any other address without its flow information.
fn canonical(address: SocketAddrV6) -> SocketAddr {
    match address.ip().to_ipv4_mapped() {
        Some(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        None => SocketAddr::V6(SocketAddrV6::new(*address.ip(), address.port(), 0, address.scope_id())),
    }
}

/// Converts an address as other programs write it (`8080`, `unix:/run/web.sock`) into navigator's form, in quotes if needed.
pub(crate) fn of_another_program(text: &str) -> Option<String> {
    let text = ["unix://", "unix:", "tcp://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    let port = scalar::whole_number::<u16>(text, 1, 65535).map(|port| format!("*:{port}"));
    let address = port.unwrap_or_else(|| text.to_owned());
    (address.len() <= MAX_PATH && parse(&address).is_ok()).then(|| quoted_if_needed(&address))
}

/// Whether a text is an address, but not an abstract one.
fn is_address(text: &str) -> bool {
    is_path(text) || host_and_port(text).is_some_and(|(host, port)| host_address(host, port).is_ok())
}

const FORMS: &str = "write host and port, such as `127.0.0.1:3000` or `\"*:3000\"`, or a path, such as `/run/web.sock`";

/// What to write instead of a text that is not an address.
fn instead(text: &str) -> String {
    if text.len() > MAX_PATH {
        return FORMS.to_owned();
    }
    let write = |address: &str| format!("write `{}`", quoted_if_needed(address));
    let several: Vec<String> = text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if several.len() > 1 && several.iter().all(|part| is_address(part)) {
        return format!("write `{}`", list(&several));
    }
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    if matches!(scheme, "unix" | "file") && is_path(rest) {
        return write(rest);
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if matches!(scheme, "tcp" | "http" | "tcp4" | "tcp6") && text.contains("//") && is_address(authority) {
        return write(authority);
    }
    let is_port = |text: &str| scalar::whole_number::<u16>(text, 1, 65535).is_some();
    let port = text.strip_prefix(':').unwrap_or(text);
    if is_port(port) {
        return format!("write `127.0.0.1:{port}`, or `\"*:{port}\"` for every address");
    }
    let port = text.trim_end_matches(':');
    match (text.parse::<Ipv6Addr>(), text.rsplit_once(':')) {
        (_, Some((host, port))) if is_port(port) && host.parse::<Ipv6Addr>().is_ok() => {
            format!("write an IPv6 address in brackets: `\"[{host}]:{port}\"`")
        }
        (Ok(_), _) => format!("write a port too, such as `\"[{text}]:3000\"`"),
        _ if is_address(&format!("{port}:3000")) => {
            let path = if text.contains([':', '*', '[']) || text.parse::<IpAddr>().is_ok() {
                String::new()
            } else {
                format!(", or `./{text}` for a path")
            };
            format!("write a port too, such as `{}`{path}", quoted_if_needed(&format!("{port}:3000")))
        }
        _ => FORMS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_means_the_same_however_it_is_spelled() {
        for (text, canonical) in [
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("127.0.0.1:03000", "127.0.0.1:3000"),
            ("*:80", "*:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:80", "[::]:80"),
            ("[0:0::1]:80", "[::1]:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::FFFF:127.0.0.1]:80", "127.0.0.1:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("Localhost:65535", "localhost:65535"),
            ("db-1.internal:1", "db-1.internal:1"),
            ("@web", "@web"),
            ("@a:80/b", "@a:80/b"),
        ] {
            let Ok(AddressForm::Complete(address)) = parse(text) else { panic!("{text} is no address") };
            assert_eq!(address.to_string(), canonical, "{text}");
        }
        for text in ["/run/web.sock", "web.sock", "a.socket", "run/web", "./web", "../web", "/a:80", "./a:80", "a b/c"] {
            assert_eq!(parse(text), Ok(AddressForm::Path), "{text}");
        }
    }

    #[test]
    fn the_help_for_a_wrong_address_contains_a_right_one() {
        for (text, help) in [
            ("3000", "`127.0.0.1:3000`, or `\"*:3000\"`"),
            (":3000", "`127.0.0.1:3000`, or `\"*:3000\"`"),
            ("127.0.0.1", "`127.0.0.1:3000`"),
            ("*", "`\"*:3000\"`"),
            ("localhost", "`localhost:3000`, or `./localhost`"),
            ("localhost:", "`localhost:3000`"),
            ("::1", "`\"[::1]:3000\"`"),
            ("fe80::1:2:3:4:80", "`\"[fe80::1:2:3:4]:80\"`"),
            ("[::1]", "`\"[::1]:3000\"`"),
            ("127.0.0.1:0", "`127.0.0.1:3000`"),
            ("*:00", "`\"*:3000\"`"),
            ("unix:/run/a.sock", "`/run/a.sock`"),
            ("unix:///run/a.sock", "`/run/a.sock`"),
            ("tcp://0.0.0.0:80", "`0.0.0.0:80`"),
            ("http://localhost:80/up", "`localhost:80`"),
            ("127.0.0.1:80, /run/a.sock", "`[127.0.0.1:80, /run/a.sock]`"),
            ("~/web.sock", "`\"${HOME}/web.sock\"`"),
            ("@", "`\"@web\"`"),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(help), "{text}: {found}");
        }
        for text in [
            "",
            ":",
            "a:b",
            "-a:80",
            "127.0.0.256:80",
            "1.2.3:80",
            "[::g]:80",
            "[::1]80",
            "[a]:80",
            "*:65536",
            "*:-1",
            "a b:80",
            "/",
            "/run/",
            "run/..",
            "fd://3",
            "a:b/c",
            "@0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
