//! Decodes `listen`: the sockets that navigator holds for a process.

use super::address::{AddressForm, MAX_PATH, parse};
use super::draft::Draft;
use super::parts::{key, part};
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader};
use super::redact::short;
use super::source_map::SourceSpan;
use super::subject::{ITEM, KEY};
use super::table::{DefaultValue, ValueShape};
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::words::quoted_if_needed;
use crate::paths::{absolute, tidied};
use reconcile::socket::{Address, Listener};
use reconcile::text::Text;
use std::path::Path;

/// Limit on the sockets of all processes together: navigator needs a descriptor and some memory for each.
const MAX_SOCKETS: usize = 20_000;

/// The longest name of a socket (`sd_listen_fds(3)`).
const MAX_NAME: usize = 255;

/// Matches the name of a socket. [`ADDRESS`] can't be one: a map with this key is a socket without a name.
pub(super) const SOCKET_NAME: &str = "[ -9;-~]{1,255}";

/// The required key of a socket.
pub(super) const ADDRESS: &str = "address";

/// Keys of a socket that need a path as its address.
pub(super) const ONLY_FOR_PATHS: [&str; 3] = ["mode", "user", "group"];

/// A socket that is written as a map, while it is being decoded.
#[derive(Default)]
pub(super) struct SocketParts {
    address: Option<(Address, Text)>,
    backlog: Option<u32>,
    mode: Option<u32>,
    user: Option<Text>,
    group: Option<Text>,
}

pub(super) static SOCKET: &[FieldReader<SocketParts>] = &[
    part(key(ADDRESS, ValueShape::Socket).required().means("where the socket listens"), |reader, node, socket| {
        socket.address = address(reader, node);
    }),
    part(
        key("backlog", ValueShape::Whole(1, 65535)).default("4096").means("number of connections that may wait to be accepted"),
        |reader, node, socket| socket.backlog = reader.whole(node, 1, 65535),
    ),
    part(key("mode", ValueShape::Octal).otherwise("`0666`").means("permissions of a path"), |reader, node, socket| {
        socket.mode = reader.mode(node);
    }),
    part(
        key("user", ValueShape::Text("name or number")).otherwise("navigator's").means("user that owns a path"),
        |reader, node, socket| socket.user = reader.filled(node),
    ),
    part(
        key("group", ValueShape::Text("name or number")).otherwise("navigator's").means("group that owns a path"),
        |reader, node, socket| socket.group = reader.filled(node),
    ),
];

/// Decodes `listen`: an address, a list of them, or a map of names. A socket without a name gets the name of the process later.
pub(super) fn listen(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    match &node.kind {
        NodeKind::Scalar(_) => {
            let found = address(reader, node);
            push(reader, draft, node.span, found.map(|(address, shown)| unnamed(address, shown)));
        }
        NodeKind::List(items) => {
            for item in items {
                let found = reader.at(ITEM, |reader| list_item(reader, item));
                push(reader, draft, item.span, found.map(|(address, shown)| unnamed(address, shown)));
            }
        }
        NodeKind::Map(map) => match entry(&map.entries, ADDRESS) {
            Some(address) => reader.report(without_name(node.span, &address.value)),
            None => {
                for entry in &map.entries {
                    let found = named(reader, entry);
                    push(reader, draft, entry.value.span, found);
                }
            }
        },
    }
}

fn push(reader: &mut NodeReader<'_, '_, '_>, draft: &mut Draft, span: SourceSpan, socket: Option<Listener>) {
    let Some(socket) = socket else { return };
    *reader.context.sockets += 1;
    match *reader.context.sockets {
        ..=MAX_SOCKETS => {
            draft.spec.exec.sockets.push(socket);
            draft.sockets.push(span);
        }
        number if number == MAX_SOCKETS + 1 => {
            let problem = Problem::error(span, format!("too many sockets: this one in {KEY} is number {number}"));
            reader.report(problem.help(format!("one navigator holds at most {MAX_SOCKETS} sockets: remove some")));
        }
        _ => {}
    }
}

fn unnamed(address: Address, shown: Text) -> Listener {
    Listener { shown, ..Listener::new("", address) }
}

/// The problem of a map that describes a socket without a name.
fn without_name(span: SourceSpan, address: &Node) -> Problem {
    let text = match &address.kind {
        NodeKind::Scalar(scalar) if !scalar.is_secret && scalar.text.len() <= 60 && parse(&scalar.text).is_ok() => &scalar.text,
        _ => "127.0.0.1:3000",
    };
    let help = format!("give it a name: write `listen: {{http: {{address: {}}}}}`", quoted_if_needed(text));
    Problem::error(span, format!("a socket in {KEY} has no name")).help(help)
}

fn list_item(reader: &mut NodeReader<'_, '_, '_>, item: &Node) -> Option<(Address, Text)> {
    if let NodeKind::Map(map) = &item.kind {
        let problem = match entry(&map.entries, ADDRESS) {
            Some(address) => without_name(item.span, &address.value),
            None => Problem::error(item.span, format!("{KEY} must be an address, not a map"))
                .help("write a map of names instead of the list, such as `listen: {http: \"127.0.0.1:3000\"}`"),
        };
        reader.report(problem);
        return None;
    }
    address(reader, item)
}

/// Decodes an entry of the map: a name and its socket.
fn named(reader: &mut NodeReader<'_, '_, '_>, entry: &MapEntry) -> Option<Listener> {
    let name = entry.key.as_str();
    let is_valid = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b':');
    if !is_valid {
        let message = format!("`{}` in {KEY} is not a name of a socket", short(name));
        let help = format!("a name has up to {MAX_NAME} ASCII characters, without a colon, such as `http`");
        reader.report(Problem::error(entry.key_span, message).help(help));
        return None;
    }
    reader.at(
        short(name),
        |reader| if reader.is_given(entry, DefaultValue::Nothing) { socket(reader, name, &entry.value) } else { None },
    )
}

/// Decodes the socket with this name.
fn socket(reader: &mut NodeReader<'_, '_, '_>, name: &str, value: &Node) -> Option<Listener> {
    let NodeKind::Map(map) = &value.kind else {
        let (address, shown) = address(reader, value)?;
        return Some(Listener { shown, ..Listener::new(name, address) });
    };
    let mut parts = SocketParts::default();
    reader.map(value, "listen", SOCKET, &mut parts);
    if entry(&map.entries, ADDRESS).is_none() {
        let problem = Problem::error(value.span, format!("{KEY} has no `address`"));
        reader.report(problem.help("add its address, such as `address: \"127.0.0.1:3000\"`"));
    }
    let SocketParts { address, backlog, mode, user, group } = parts;
    let (address, shown) = address?;
    if !matches!(address, Address::Path(_)) {
        let given = ONLY_FOR_PATHS.into_iter().filter_map(|key| Some((key, entry(&map.entries, key)?)));
        for (key, given) in given {
            let message = format!("{KEY} needs a path: `{shown}` has no permissions");
            reader.at(key, |reader| reader.report(Problem::error(given.key_span, message).help("remove it")));
        }
    }
    Some(Listener {
        shown,
        backlog: backlog.unwrap_or(Listener::BACKLOG),
        mode: mode.unwrap_or(Listener::MODE),
        user,
        group,
        ..Listener::new(name, address)
    })
}

/// Decodes an address; also returns the text to show for it.
fn address(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<(Address, Text)> {
    if node.is_null() {
        let problem = Problem::error(node.span, format!("{KEY} has no value"));
        reader.report(problem.help("write an address, such as `127.0.0.1:3000`, or remove it"));
        return None;
    }
    if !matches!(node.kind, NodeKind::Scalar(_)) {
        let problem = Problem::error(node.span, format!("{KEY} must be an address, not {}", node.described()));
        reader.report(problem.help("write one such as `127.0.0.1:3000`"));
        return None;
    }
    let text = reader.filled(node)?;
    match parse(text.value()) {
        Ok(AddressForm::Complete(address)) => {
            let canonical = address.to_string();
            let shown = if text.is_secret() { Text::secret(&canonical, text.shown()) } else { Text::plain(&canonical) };
            Some((address, shown))
        }
        Ok(AddressForm::Path) => path(reader, node, &text).map(|path| (Address::Path(path.clone()), path)),
        Err(help) => {
            // A suggestion would reveal a substituted value.
            let help = if text.is_secret() { "write host and port, such as `127.0.0.1:3000`, or a path" } else { &help };
            reader.refuse(node, &text, "an address", Some(help));
            None
        }
    }
}

/// The absolute path of a socket.
fn path(reader: &mut NodeReader<'_, '_, '_>, node: &Node, text: &Text) -> Option<Text> {
    let directory = reader.context.working_dir.get_or_init(|| absolute(Path::new(".")));
    let path = tidied(&directory.join(reader.beside(node, text).value()));
    let path = path.to_string_lossy();
    if path.len() > MAX_PATH {
        let problem = Problem::error(node.span, format!("{KEY} has a path that is too long for a socket"));
        reader.report(
            problem.help(format!("write one that has at most {MAX_PATH} bytes as an absolute path, such as `/run/web.sock`")),
        );
        return None;
    }
    Some(if text.is_secret() { Text::secret(&path, text.shown()) } else { Text::plain(&path) })
}
