//! Held sockets at paths, and what programs do to them.

use crate::host::{Host, on_host};
use crate::ports::free_port;
use crate::sockets::{answer, at_path, changes, connect, end, hold_well, own_server, perl, refusal, server, tcp};
use reconcile::event::{Event, ExitStatus};
use reconcile::socket::{Address, Listener, SocketChange};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

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
        let as_nobody = |path: &Path| Listener { process_user: Some("nobody".into()), ..at_path(path) };
        let path = own.join("web.sock");
        let why = refusal(host, &[at_path(&path)]).await;
        assert!(why.contains("can be written by `nobody`: that user would act as root through it"), "{why}");
        assert!(why.ends_with("; or set `user` of the process"), "{why}");
        let given = Listener { user: Some("12".into()), group: Some("12".into()), ..as_nobody(&path) };
        let why = refusal(host, &[given]).await;
        assert!(why.ends_with("may not give the socket away: leave out `user` and `group`") && !path.exists(), "{why}");
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

#[test]
fn a_path_that_the_running_program_has_bound_is_taken_over() {
    on_host("listen-own-path", async |host| {
        let path = host.directory.join("web.sock");
        let (listeners, shown) = ([at_path(&path)], path.display().to_string());
        let run = host.spawn(own_server("web", "PF_UNIX", &format!("sockaddr_un('{shown}')")));
        host.ready(run).await;
        hold_well(host, "web", &listeners).await;
        assert_eq!(changes(host), [(shown.clone(), SocketChange::TakenOver)]);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o666);
        // As many servers do at their end.
        fs::remove_file(&path).expect("it is ours");
        restored(host, &shown).await;
        end(host, run).await;
        let waiting = UnixStream::connect(&path).expect("it is back");
        let run = host.spawn(server("new", &listeners));
        assert_eq!(answer(waiting), "new");
        host.spawned(run).await;
        end(host, run).await;
    });
}

#[test]
fn what_a_killed_navigator_left_is_replaced() {
    let path = std::env::temp_dir().join(format!("navigator-listen-left-{}/web.sock", std::process::id()));
    let directory = path.parent().expect("it has one").to_owned();
    let sockets = || {
        let entries = fs::read_dir(&directory).expect("it is there").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    on_host("listen-killed", async |host| {
        hold_well(host, "web", &[at_path(&path)]).await;
        let names = sockets();
        assert_eq!(names.len(), 2, "{names:?}");
        hold_well(host, "web", &[]).await;
        assert_eq!(sockets().len(), 0);
        for name in &names {
            drop(UnixListener::bind(directory.join(name)).expect("its name is free"));
        }
        hold_well(host, "web", &[at_path(&path)]).await;
        assert_eq!(sockets(), names);
        let inodes: Vec<u64> = names.iter().map(|name| fs::metadata(directory.join(name)).expect("it is there").ino()).collect();
        assert_eq!(inodes[0], inodes[1], "both are names of the new one");
    });
    fs::remove_dir(&directory).expect("it is empty");
}
