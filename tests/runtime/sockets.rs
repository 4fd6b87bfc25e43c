//! Sockets that navigator holds: opened before a start, passed to programs, and closed when no process wants them.

use crate::host::{Host, on_host, script};
use reconcile::event::{Action, Event, ExitStatus, Pid, Refusal, RunId, SocketChange};
use reconcile::socket::{Address, Listener};
use reconcile::spec::{Announce, Liveness, Signal, SignalOrCommand, Spec};
use reconcile::text::{Name, Text};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn tcp(port: u16) -> Listener {
    Listener::new("web", Address::Ip(local(port)))
}

fn at_path(path: &Path) -> Listener {
    Listener::new("web", Address::Path(path.to_str().expect("plain text").into()))
}

/// A process that runs this Perl code.
fn perl(name: &str, code: &str, listeners: &[Listener]) -> Spec {
    let mut spec = Spec::new(name, "perl");
    spec.exec.args = ["-MSocket", "-MIO::Handle", "-e", code].map(Text::plain).to_vec();
    spec.exec.sockets = listeners.to_vec();
    spec
}

/// A server that sends its name to each client of its first socket.
fn server(name: &str, listeners: &[Listener]) -> Spec {
    let code = format!("open my $l, '+<&=', 3 or die; while (accept my $c, $l) {{ syswrite $c, '{name}'; close $c }}");
    perl(name, &code, listeners)
}

/// The same, on a TCP port that it binds by itself. It is ready once that is so.
fn own_server(name: &str, port: u16) -> Spec {
    let code = format!(
        "socket my $l, PF_INET, SOCK_STREAM, 0 or die; setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1; \
         bind $l, sockaddr_in({port}, INADDR_LOOPBACK) or die; listen $l, 5 or die; print \"bound\\n\"; STDOUT->flush; \
         while (accept my $c, $l) {{ syswrite $c, '{name}'; close $c }}"
    );
    let mut spec = perl(name, &code, &[]);
    spec.ready = Some(reconcile::spec::Probe::Log("bound".into()));
    spec
}

/// What a server answers.
fn answer(mut client: impl Read) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).expect("it answers");
    text
}

fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(local(port)).expect("the socket is held");
    client.set_read_timeout(Some(Duration::from_mins(1))).expect("it is open");
    client
}

fn is_refused(port: u16) -> bool {
    TcpStream::connect(local(port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Has navigator hold these, and returns why one can't be had.
async fn hold(host: &mut Host, name: &str, listeners: &[Listener]) -> Option<Refusal> {
    host.forget();
    host.perform(Action::Hold { name: Name::from(name), listeners: listeners.to_vec() });
    host.until(|event| match event {
        Event::Held { name: of, listeners: held, refusal } if of.as_str() == name && held == listeners => Some(refusal.clone()),
        _ => None,
    })
    .await
}

async fn hold_well(host: &mut Host, name: &str, listeners: &[Listener]) {
    let refusal = hold(host, name, listeners).await;
    assert_eq!(refusal, None);
}

async fn refusal(host: &mut Host, listeners: &[Listener]) -> String {
    hold(host, "web", listeners).await.expect("it can't be had").to_string()
}

/// What happened to sockets since the last [`Host::forget`].
fn changes(host: &Host) -> Vec<(String, SocketChange)> {
    let changes = host.events.iter().filter_map(|event| match event {
        Event::Socket { address, what, .. } => Some((address.clone(), *what)),
        _ => None,
    });
    changes.collect()
}

async fn end(host: &mut Host, run: RunId) {
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
        let stranger = host.spawn(own_server("stranger", port));
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
        let run = host.spawn(own_server("web", port));
        host.ready(run).await;
        let why = hold(host, "other", &[tcp(port)]).await.expect("it belongs to another process").to_string();
        assert!(why.contains("address in use by perl"), "{why}");
        hold_well(host, "other", &[]).await;
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
fn only_a_stale_socket_is_replaced() {
    on_host("listen-paths", async |host| {
        let path = host.directory.join("web.sock");
        let listeners = [at_path(&path)];
        drop(UnixListener::bind(&path).expect("its name is new"));
        hold_well(host, "web", &listeners).await;
        let stat = fs::metadata(&path).expect("it is there");
        assert!(stat.file_type().is_socket());
        assert_eq!(stat.permissions().mode() & 0o7777, 0o666);
        let run = host.spawn(server("web", &listeners));
        assert_eq!(answer(UnixStream::connect(&path).expect("it is held")), "web");
        host.spawned(run).await;
        end(host, run).await;
        hold_well(host, "web", &[]).await;
        let left: Vec<_> = fs::read_dir(&host.directory).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
        assert!(!left.iter().any(|name| name == "web.sock" || name.to_string_lossy().starts_with(".navigator-")), "{left:?}");

        let live = UnixListener::bind(&path).expect("its name is free");
        assert!(refusal(host, &listeners).await.ends_with("address in use"));
        drop(live);
        for kind in ["a file", "a directory"] {
            fs::remove_file(&path).expect("it is ours");
            if kind == "a file" { fs::write(&path, "") } else { fs::create_dir(&path) }.expect("its name is free");
            let why = refusal(host, &listeners).await;
            assert!(why.ends_with(&format!("there is {kind} at that path: remove it, or choose another path")), "{why}");
        }
        let long = at_path(&host.directory.join("x".repeat(107)));
        assert!(refusal(host, &[long]).await.ends_with("at most 107 bytes"));
        hold_well(host, "web", &[]).await;
        assert!(path.is_dir(), "it isn't ours");
    });
}

#[test]
fn paths_get_their_permissions_and_directories_of_a_user_are_used_with_its_rights() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("listen-owner", async |host| {
        let path = host.directory.join("made/web.sock");
        let owned = Listener { mode: 0o660, user: Some("nobody".into()), group: Some("12".into()), ..at_path(&path) };
        hold_well(host, "web", std::slice::from_ref(&owned)).await;
        let nobody = 65534;
        let stat = fs::metadata(&path).expect("it is there");
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (nobody, 12, 0o660));
        let changed = Listener { mode: 0o600, group: None, ..owned };
        hold_well(host, "web", std::slice::from_ref(&changed)).await;
        assert_eq!(changes(host), [], "it is the same socket");
        let stat = fs::metadata(&path).expect("it is there");
        assert_eq!(stat.mode() & 0o7777, 0o600);
        hold_well(host, "web", &[]).await;
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

/// Whether a socket was restored, since the last [`Host::forget`].
async fn restored(host: &mut Host, address: &str) {
    host.until(|event| match event {
        Event::Socket { address: of, what: SocketChange::Restored, .. } if of == address => Some(()),
        _ => None,
    })
    .await;
}

#[test]
fn a_path_that_a_program_removes_is_back_at_once() {
    on_host("listen-unlink", async |host| {
        let path = host.directory.join("web.sock");
        let (listeners, shown) = ([at_path(&path)], path.display().to_string());
        hold_well(host, "web", &listeners).await;
        let inode = fs::metadata(&path).expect("it is there").ino();
        for round in 0..3 {
            host.forget();
            let code = "open my $l, '+<&=', 3 or die; unlink $ARGV[0]; accept my $c, $l; syswrite $c, 'web'";
            let mut spec = perl("web", code, &listeners);
            spec.exec.args.push(shown.as_str().into());
            let run = host.spawn(spec);
            restored(host, &shown).await;
            assert_eq!(answer(UnixStream::connect(&path).expect("it is back")), "web", "round {round}");
            host.gone(run).await;
        }
        assert_eq!(fs::metadata(&path).expect("it is there").ino(), inode, "it is the same socket");

        // Nothing is left to put back, as where the file system has no second names.
        host.forget();
        for entry in fs::read_dir(&host.directory).expect("it is there").flatten() {
            if entry.file_type().expect("it is there").is_socket() && entry.path() != path {
                fs::remove_file(entry.path()).expect("it is ours");
            }
        }
        fs::remove_file(&path).expect("it is ours");
        restored(host, &shown).await;
        let waiting = UnixStream::connect(&path).expect("it is back");
        let run = host.spawn(server("new", &listeners));
        assert_eq!(answer(waiting), "new");
        host.spawned(run).await;
        end(host, run).await;

        // A program that replaces the path has its own socket there, which stays.
        fs::remove_file(&path).expect("it is ours");
        host.forget();
        restored(host, &shown).await;
        let other = host.directory.join("other");
        let foreign = UnixListener::bind(&other).expect("its name is new");
        fs::rename(&other, &path).expect("both are ours");
        hold_well(host, "web", &[]).await;
        drop(UnixStream::connect(&path).expect("it is there"));
        drop(foreign);
    });
}

#[test]
fn what_a_program_did_to_a_socket_does_not_harm_the_next_one() {
    on_host("listen-shutdown", async |host| {
        let (port, path) = (free_port(), host.directory.join("web.sock"));
        let name = format!("navigator-shutdown-{port}");
        let addresses = [tcp(port), at_path(&path), Listener::new("web", Address::Abstract(name.as_str().into()))];
        for listener in addresses {
            let (listeners, shown) = ([listener.clone()], listener.shown.shown().to_owned());
            hold_well(host, "web", &listeners).await;
            let code = "use Fcntl; open my $l, '+<&=', 3 or die; fcntl $l, F_SETFL, O_RDWR | O_NONBLOCK; shutdown $l, 2";
            assert_eq!(host.complete(perl("web", code, &listeners)).await, ExitStatus::Code(0));
            restored(host, &shown).await;
            let run = host.spawn(perl(
                "web",
                "open my $l, '+<&=', 3 or die; my $r = ''; vec($r, 3, 1) = 1; select $r, undef, undef, undef; \
                 accept my $c, $l; syswrite $c, 'next'",
                &listeners,
            ));
            let got = match &listener.address {
                Address::Path(_) => answer(UnixStream::connect(&path).expect("it is restored")),
                Address::Abstract(_) => {
                    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("it is short");
                    answer(UnixStream::connect_addr(&address).expect("it is restored"))
                }
                _ => answer(connect(port)),
            };
            assert_eq!(got, "next", "{shown}");
            host.gone(run).await;
            hold_well(host, "web", &[]).await;
        }
    });
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
fn a_drain_reaches_the_main_process_alone_and_its_failure_is_reported() {
    on_host("drain", async |host| {
        let said = host.fifo("said");
        let not_drained = async |host: &mut Host, run: RunId| {
            host.until(|event| match event {
                Event::NotDrained { run: of, why } if *of == run => Some(why.clone()),
                _ => None,
            })
            .await
        };
        let mut spec = script(
            "web",
            "trap 'exit 9' QUIT; sh -c \"trap 'echo worker >> journal' QUIT; echo > said; cat hold\" & \
             cat hold2 & wait",
        );
        spec.exec.working_dir = Some(host.directory.display().to_string().as_str().into());
        for name in ["hold", "hold2"] {
            host.fifo(name);
        }
        let run = host.spawn(spec);
        let Pid(pid) = host.spawned(run).await;
        host.read_fifo(&said).await;
        let command = |text: &str| SignalOrCommand::Command(["sh", "-c", text].map(Text::plain).to_vec());
        host.perform(Action::Drain { run, by: command("exit 3") });
        assert_eq!(not_drained(host, run).await, "exit status 3");
        host.perform(Action::Drain { run, by: command("echo $MAINPID ${LISTEN_FDS-none} > said") });
        assert_eq!(host.read_fifo(&said).await, format!("{pid} none\n"));
        host.perform(Action::Drain { run, by: SignalOrCommand::Signal(Signal("QUIT")) });
        assert_eq!(host.exited(run).await, ExitStatus::Code(9));
        host.forget();
        host.perform(Action::Drain { run, by: SignalOrCommand::Signal(Signal("QUIT")) });
        assert_eq!(not_drained(host, run).await, "its program has ended");
        end(host, run).await;
        assert!(!host.directory.join("journal").exists(), "a worker got it, too");
    });
}

#[test]
fn directories_of_a_user_are_used_with_its_rights_alone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("listen-rights", async |host| {
        let own = host.directory.join("own");
        let roots = host.directory.join("roots");
        for directory in [&own, &roots] {
            fs::create_dir(directory).expect("its name is new");
        }
        let nobody = 65534;
        lchown(&own, Some(nobody), Some(nobody)).expect("we are root");
        let as_nobody = |path: &Path| Listener { user: Some("nobody".into()), ..at_path(path) };
        let path = own.join("web.sock");
        let why = refusal(host, &[at_path(&path)]).await;
        assert!(why.contains("can be written by `nobody`: that user would act as root through it"), "{why}");
        assert!(why.ends_with("; or set `user` of the socket"), "{why}");
        hold_well(host, "web", &[as_nobody(&path)]).await;
        assert_eq!(fs::metadata(&path).expect("it is there").uid(), nobody);
        hold_well(host, "web", &[]).await;
        assert!(!path.exists());
        // Neither way leads out of what the user may do itself.
        symlink(&roots, own.join("way")).expect("we are root");
        let why = refusal(host, &[as_nobody(&own.join("way/web.sock"))]).await;
        assert!(why.ends_with("permission denied"), "{why}");
        assert_eq!(fs::read_dir(&roots).expect("it is there").count(), 0);
    });
}
