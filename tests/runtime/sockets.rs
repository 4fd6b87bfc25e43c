//! Sockets that navigator holds: opened before a start, passed to programs, and closed when no process wants them.

use crate::host::{Host, on_host, script};
use crate::ports::free_port;
use reconcile::event::{Action, Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::socket::{Address, Listener, SocketChange};
use reconcile::spec::{Announce, Liveness, Probe, SignalOrCommand, Spec};
use reconcile::text::{Name, Text};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn tcp(port: u16) -> Listener {
    Listener::new("web", Address::Ip(local(port)))
}

pub(crate) fn at_path(path: &Path) -> Listener {
    Listener::new("web", Address::Path(path.to_str().expect("plain text").into()))
}

/// A process that runs this Perl code.
pub(crate) fn perl(name: &str, code: &str, listeners: &[Listener]) -> Spec {
    let mut spec = Spec::new(name, "perl");
    // Clients come and go.
    let code = format!("$SIG{{PIPE}} = 'IGNORE'; {code}");
    spec.exec.args = ["-MSocket", "-MIO::Handle", "-e", &code].map(Text::plain).to_vec();
    spec.exec.sockets = listeners.to_vec();
    spec
}

/// A server that sends its name to each client of its first socket.
pub(crate) fn server(name: &str, listeners: &[Listener]) -> Spec {
    let code = format!("open my $l, '+<&=', 3 or die; while (accept my $c, $l) {{ syswrite $c, '{name}'; close $c }}");
    perl(name, &code, listeners)
}

/// The same, on a socket that it binds by itself to an address in Perl. It is ready once that is so.
pub(crate) fn own_server(name: &str, family: &str, address: &str) -> Spec {
    let code = format!(
        "socket my $l, {family}, SOCK_STREAM, 0 or die; setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1; bind $l, {address} or die; \
         listen $l, 5 or die; print \"bound\\n\"; STDOUT->flush; while (accept my $c, $l) {{ syswrite $c, '{name}'; close $c }}"
    );
    let mut spec = perl(name, &code, &[]);
    spec.ready = Some(Probe::Log("bound".into()));
    spec
}

fn own_port(name: &str, port: u16) -> Spec {
    own_server(name, "PF_INET", &format!("sockaddr_in({port}, INADDR_LOOPBACK)"))
}

/// What a server answers.
pub(crate) fn answer(mut client: impl Read) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).expect("it answers");
    text
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(local(port)).expect("the socket is held");
    client.set_read_timeout(Some(Duration::from_mins(1))).expect("it is open");
    client
}

fn is_refused(port: u16) -> bool {
    TcpStream::connect(local(port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Has navigator hold these, and returns why one can't be had.
pub(crate) async fn hold(host: &mut Host, name: &str, listeners: &[Listener]) -> Option<Refusal> {
    host.forget();
    host.perform(Action::Hold { name: Name::from(name), listeners: listeners.to_vec() });
    host.until(|event| match event {
        Event::Held { name: of, listeners: held, refusal } if of.as_str() == name && held == listeners => Some(refusal.clone()),
        _ => None,
    })
    .await
}

pub(crate) async fn hold_well(host: &mut Host, name: &str, listeners: &[Listener]) {
    let refusal = hold(host, name, listeners).await;
    assert_eq!(refusal, None);
}

pub(crate) async fn refusal(host: &mut Host, listeners: &[Listener]) -> String {
    hold(host, "web", listeners).await.expect("it can't be had").to_string()
}

/// What happened to sockets since the last [`Host::forget`].
pub(crate) fn changes(host: &Host) -> Vec<(String, SocketChange)> {
    let changes = host.events.iter().filter_map(|event| match event {
        Event::Socket { address, what, .. } => Some((address.clone(), *what)),
        _ => None,
    });
    changes.collect()
}

pub(crate) async fn end(host: &mut Host, run: RunId) {
    host.kill(run);
    host.gone(run).await;
}

#[test]
fn sockets_are_passed_in_order_with_names_and_nothing_else_is() {
    let port = free_port();
    let printed = on_host("listen-passed", async |host| {
        let path = host.directory.join("web.sock");
        let named = |name: &str, address| Listener { name: name.into(), ..Listener::new(name, address) };
        let listeners = [
            named("http", Address::Ip(local(port))),
            named("admin", Address::Path(path.to_str().expect("plain text").into())),
            named("web", Address::Abstract(format!("navigator-test-{port}").as_str().into())),
        ];
        hold_well(host, "web", &listeners).await;
        let look = "opendir my $d, '/proc/self/fd'; my $own = fileno $d; \
            my $open = join(' ', sort { $a <=> $b } grep { /\\d/ && $_ != $own } readdir $d); \
            sub at { open my $s, '+<&=', shift or die; getsockname $s } \
            my ($port) = sockaddr_in at 3; my ($path) = unpack_sockaddr_un at 4; my ($name) = unpack_sockaddr_un at 5; \
            print \"$port $path $name\\n\"; \
            print \"$ENV{LISTEN_FDS} $ENV{LISTEN_FDNAMES} \", $ENV{LISTEN_PID} == $$, $ENV{WATCHDOG_PID} == $$, \"\\n$open\\n\"";
        let mut spec = perl("web", look, &listeners);
        spec.exec.announce = Some(Announce::Fd(9));
        spec.liveness =
            Some(Liveness { probe: None, interval: Duration::from_hours(1), timeout: Duration::from_secs(1), failures: 3 });
        assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
        hold_well(host, "web", &[]).await;
        assert!(is_refused(port) && !path.exists());
    });
    let lines: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("[web.stdout] ")).collect();
    assert_eq!(lines[1..], ["3 http:admin:web 11", "0 1 2 3 4 5 9"], "{printed}");
    assert!(lines[0].starts_with(&format!("{port} /")) && lines[0].contains("/web.sock "), "{printed}");
}

#[test]
fn descriptors_that_are_in_each_others_places_are_all_passed() {
    on_host("listen-places", async |host| {
        // Many, so that numbers of navigator are among those of the program, whatever else is open.
        let ports: Vec<u16> = (0..60).map(|_| free_port()).collect();
        let listeners: Vec<Listener> = ports.iter().map(|port| tcp(*port)).collect();
        hold_well(host, "web", &listeners).await;
        let reversed: Vec<Listener> = listeners.iter().rev().cloned().collect();
        for order in [listeners, reversed] {
            let wanted: Vec<String> = order.iter().map(|listener| listener.address.to_string()).collect();
            let code = "my $n = 3; for (@ARGV) { open my $s, '+<&=', $n++ or die; my ($p, $a) = sockaddr_in getsockname $s; \
                exit 7 if $_ ne inet_ntoa($a) . \":$p\" }";
            let mut spec = perl("web", code, &order);
            spec.exec.args.extend(wanted.iter().map(|address| Text::plain(address)));
            assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
        }
        hold_well(host, "web", &[]).await;
    });
}

#[test]
fn commands_of_a_process_get_no_socket() {
    on_host("listen-commands", async |host| {
        let listeners = [tcp(free_port())];
        hold_well(host, "web", &listeners).await;
        let said = host.fifo("said");
        let mut spec = script("web", "exec sleep 3600");
        spec.exec.sockets = listeners.to_vec();
        let run = host.spawn(spec);
        host.spawned(run).await;
        let look = format!("echo ${{LISTEN_FDS-none}} ${{LISTEN_PID-none}} $(readlink /proc/self/fd/3) > {}", said.display());
        let command = ["sh", "-c", &look].map(Text::plain).to_vec();
        host.perform(Action::Reload { run, by: SignalOrCommand::Command(command) });
        assert_eq!(host.read_fifo(&said).await, "none none\n");
        end(host, run).await;
    });
}

#[test]
fn an_address_that_moves_keeps_its_socket_and_the_clients_that_wait() {
    on_host("listen-moves", async |host| {
        let port = free_port();
        hold_well(host, "old", &[tcp(port)]).await;
        assert_eq!(changes(host), [(format!("127.0.0.1:{port}"), SocketChange::Opened)]);
        let run = host.spawn(server("old", &[tcp(port)]));
        host.spawned(run).await;
        assert_eq!(answer(connect(port)), "old");
        end(host, run).await;
        let waiting = connect(port);
        host.forget();
        host.perform(Action::Hold { name: Name::from("new"), listeners: vec![tcp(port)] });
        host.perform(Action::Hold { name: Name::from("old"), listeners: Vec::new() });
        let run = host.spawn(server("new", &[tcp(port)]));
        assert_eq!(answer(waiting), "new");
        host.spawned(run).await;
        assert_eq!(changes(host), []);
        end(host, run).await;
        hold_well(host, "new", &[]).await;
        assert_eq!(changes(host), [(format!("127.0.0.1:{port}"), SocketChange::Closed)]);
        assert!(is_refused(port));
    });
}

#[test]
fn two_processes_share_a_socket_until_the_last_one_lets_go() {
    on_host("listen-shared", async |host| {
        let port = free_port();
        hold_well(host, "one", &[tcp(port)]).await;
        hold_well(host, "two", &[tcp(port)]).await;
        hold_well(host, "one", &[]).await;
        let waiting = connect(port);
        let run = host.spawn(server("two", &[tcp(port)]));
        assert_eq!(answer(waiting), "two");
        host.spawned(run).await;
        end(host, run).await;
    });
}

#[test]
fn a_port_of_another_process_is_refused_with_its_name_and_disturbs_nothing() {
    on_host("listen-stranger", async |host| {
        let (port, held) = (free_port(), free_port());
        let stranger = host.spawn(own_port("stranger", port));
        let Pid(pid) = host.spawned(stranger).await;
        host.ready(stranger).await;
        hold_well(host, "web", &[tcp(held)]).await;
        let run = host.spawn(server("web", &[tcp(held)]));
        host.spawned(run).await;
        for address in [Address::Ip(local(port)), Address::Any(port)] {
            let listeners = [tcp(held), Listener::new("web", address.clone())];
            let why = refusal(host, &listeners).await;
            assert_eq!(why, format!("can't listen on {address}: address in use by perl (pid {pid})"));
        }
        assert_eq!(answer(connect(held)), "web");
        assert_eq!(answer(connect(port)), "stranger");
        let both = [tcp(held), tcp(port)];
        let refused = host.spawn(server("web", &both));
        assert!(matches!(host.refused(refused).await, Refusal::Listen { .. }));
        hold(host, "web", &both).await;
        end(host, stranger).await;
        // Now the start opens what was missing.
        host.forget();
        let late = host.spawn(perl("web", "open my $l, '+<&=', 4 or die; accept my $c, $l; syswrite $c, 'late'", &both));
        host.spawned(late).await;
        assert_eq!(changes(host), [(format!("127.0.0.1:{port}"), SocketChange::Opened)]);
        assert_eq!(answer(connect(port)), "late");
        host.gone(late).await;
        end(host, run).await;
    });
}

#[test]
fn an_address_that_overlaps_an_own_one_is_opened_once_that_is_closed() {
    on_host("listen-overlap", async |host| {
        let port = free_port();
        let any = Listener::new("web", Address::Any(port));
        hold_well(host, "web", std::slice::from_ref(&any)).await;
        for loopback in ["127.0.0.1", "[::1]"] {
            // A host may have no IPv6.
            if loopback == "127.0.0.1" || TcpListener::bind("[::1]:0").is_ok() {
                drop(TcpStream::connect(format!("{loopback}:{port}")).expect("it has both families"));
            }
        }
        hold_well(host, "web", &[any.clone(), tcp(port)]).await;
        let refused = host.spawn(server("web", &[tcp(port)]));
        let why = host.refused(refused).await.to_string();
        assert_eq!(why, format!("can't listen on 127.0.0.1:{port}: address in use by navigator's own socket for `web`"));
        hold_well(host, "web", &[tcp(port)]).await;
        let closed = (format!("*:{port}"), SocketChange::Closed);
        assert_eq!(changes(host), [closed, (format!("127.0.0.1:{port}"), SocketChange::Opened)]);
    });
}

#[test]
fn a_socket_that_the_running_program_has_bound_is_taken_over() {
    on_host("listen-own", async |host| {
        let port = free_port();
        let run = host.spawn(own_port("web", port));
        host.ready(run).await;
        let why = hold(host, "other", &[tcp(port)]).await.expect("it belongs to another process").to_string();
        assert!(why.contains("address in use by perl"), "{why}");
        hold_well(host, "other", &[]).await;
        let why = refusal(host, &[Listener::new("web", Address::Any(port))]).await;
        assert!(why.contains(&format!("which listens on 127.0.0.1:{port}: write that address")), "{why}");
        hold_well(host, "web", &[tcp(port)]).await;
        assert_eq!(changes(host), [(format!("127.0.0.1:{port}"), SocketChange::TakenOver)]);
        assert_eq!(answer(connect(port)), "web");
        end(host, run).await;
        let waiting = connect(port);
        let run = host.spawn(server("new", &[tcp(port)]));
        assert_eq!(answer(waiting), "new");
        host.spawned(run).await;
        end(host, run).await;
    });
}

#[test]
fn the_end_of_navigator_closes_all() {
    let port = free_port();
    let path = std::env::temp_dir().join(format!("navigator-listen-end-{port}.sock"));
    on_host("listen-end", async |host| {
        hold_well(host, "web", &[tcp(port), at_path(&path)]).await;
        drop(connect(port));
    });
    assert!(is_refused(port) && !path.exists());
}

#[test]
fn the_processes_that_keep_sockets_are_found_once_it_is_ready() {
    on_host("listen-kept", async |host| {
        let listeners = [tcp(free_port()), tcp(free_port())];
        hold_well(host, "web", &listeners).await;
        let kept = async |host: &mut Host, run: RunId| {
            host.until(|event| match event {
                Event::SocketsKept { run: of, by } if *of == run => Some(by.clone()),
                _ => None,
            })
            .await
        };
        // The main process keeps the first one, a worker the second one.
        let code = "use POSIX; my $ready = 9; if (my $worker = fork) { POSIX::close(4) } else { POSIX::close(3); POSIX::close(9); \
            sleep 3600 } POSIX::write($ready, \"\\n\", 1); sleep 3600";
        let mut spec = perl("web", code, &listeners);
        spec.exec.announce = Some(Announce::Fd(9));
        let run = host.spawn(spec);
        let main = host.spawned(run).await;
        let by = kept(host, run).await;
        let pids = host.pids(run);
        let worker = pids.iter().copied().find(|pid| *pid != main);
        assert_eq!(by, [Some(main), worker]);
        end(host, run).await;

        // Without readiness, a program has the time to close them.
        for (code, keeps) in [("exec sleep 3600", true), ("exec 3>&- 4>&-; exec sleep 3600", false)] {
            let mut spec = script("web", code);
            spec.exec.sockets = listeners.to_vec();
            let run = host.spawn(spec);
            let main = host.spawned(run).await;
            assert_eq!(kept(host, run).await, vec![keeps.then_some(main); 2]);
            end(host, run).await;
        }
    });
}

#[test]
fn a_socket_waits_in_accept_but_for_a_program_that_wants_none_of_that() {
    on_host("nonblocking", async |host| {
        let port = free_port();
        // In this order: a socket that is open already is made so, too.
        for nonblocking in [false, true] {
            let listener = Listener { nonblocking, ..tcp(port) };
            let code = "use Fcntl; open my $l, '+<&=', 3 or die; exit((fcntl($l, F_GETFL, 0) & O_NONBLOCK) ? 1 : 0)";
            let ended = host.complete(perl("web", code, &[listener])).await;
            assert_eq!(ended, ExitStatus::Code(i32::from(nonblocking)));
        }
    });
}
