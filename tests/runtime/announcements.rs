//! Readiness that a process announces: by a line of output, a notification, or a line break on a descriptor.

use crate::host::{on_host, output_file, script};
use reconcile::event::{Action, Event};
use reconcile::spec::{Announce, Liveness, Output, Probe, Spec};
use rustix::io::IoSlice;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn logging(name: &str, text: &str, pattern: &str) -> Spec {
    let mut spec = script(name, text);
    spec.ready = Some(Probe::Log(pattern.into()));
    spec
}

#[test]
fn a_matching_line_makes_it_ready_wherever_its_output_goes() {
    let printed = on_host("log", async |host| {
        let text = "echo starting; echo 'Ready to accept connections tcp' >&2; exec sleep 3600";
        let file = host.directory.join("redis.log");
        let to_file = output_file(file.display().to_string().as_str(), 1 << 20, 1);
        for (name, output) in [("printed", Output::Log), ("filed", to_file), ("dropped", Output::Null)] {
            let mut spec = logging(name, text, "^Ready to accept");
            spec.exec.output = output;
            let run = host.spawn(spec);
            host.ready(run).await;
            host.kill(run);
            host.gone(run).await;
        }
    });
    assert!(printed.contains("[printed.stderr] Ready to accept connections tcp"), "{printed}");
    assert!(!printed.contains("filed") && !printed.contains("dropped"), "{printed}");
}

#[test]
fn output_that_does_not_match_makes_nothing_ready() {
    on_host("log-else", async |host| {
        let run = host.spawn(logging("redis", "echo 'not Ready'; printf '^Ready\\n'; exec sleep 3600", "^Ready"));
        host.unready(run, "no output line matches `^Ready`").await;
        host.kill(run);
        host.gone(run).await;
        let ready = |event: &Event| matches!(event, Event::Ready { .. });
        assert!(!host.events.iter().any(ready), "{:?}", host.events);
    });
}

#[test]
fn a_flood_of_discarded_output_is_still_matched() {
    on_host("log-flood", async |host| {
        let mut spec = logging("flood", "yes | head -c 50000000; echo done; exec sleep 3600", "^done$");
        spec.exec.output = Output::Null;
        let run = host.spawn(spec);
        host.ready(run).await;
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_new_pattern_counts_from_the_update() {
    on_host("log-update", async |host| {
        let go = host.fifo("go");
        let spec = logging("redis", &format!("echo one; cat {}; echo two; exec sleep 3600", go.display()), "never");
        let run = host.spawn(spec.clone());
        host.unready(run, "matches `never`").await;
        let spec = Spec { ready: Some(Probe::Log("two".into())), ..spec };
        host.perform(Action::Update { run, spec: Arc::new(spec) });
        host.unready(run, "matches `two`").await;
        tokio::task::spawn_blocking(move || fs::write(go, "")).await.expect("writer").expect("FIFO");
        host.ready(run).await;
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_line_break_on_the_descriptor_makes_it_ready() {
    on_host("fd", async |host| {
        for number in [3, 7, 100] {
            let mut spec = script("s6", &format!("bash -c 'printf nothing >&{number}; echo >&{number}'; exec sleep 3600"));
            spec.exec.announce = Some(Announce::Fd(number));
            let run = host.spawn(spec);
            host.unready(run, &format!("no line break on descriptor {number} yet")).await;
            host.ready(run).await;
            host.kill(run);
            host.gone(run).await;
        }
        let mut silent = script("s6", "exec 5>&-; exec sleep 3600");
        silent.exec.announce = Some(Announce::Fd(5));
        let run = host.spawn(silent);
        host.unready(run, "descriptor 5 was closed without a line break").await;
        host.kill(run);
        host.gone(run).await;
        let mut beyond = script("s6", "exec sleep 3600");
        beyond.exec.announce = Some(Announce::Fd(900));
        beyond.exec.limits.insert("nofile", reconcile::spec::Limit::To(100));
        let run = host.spawn(beyond);
        let why = host.refused(run).await.to_string();
        assert_eq!(why, "passing descriptor 900 of `ready.fd`: `limits.nofile` allows no descriptor of this number");
    });
}

/// A process that writes its notification socket and watchdog variables to `said`, then sleeps.
fn notifying(name: &str, said: &Path) -> Spec {
    let text = r#"echo "$NOTIFY_SOCKET $WATCHDOG_USEC $WATCHDOG_PID $$" > "$SAID"; exec sleep 3600"#;
    let mut spec = script(name, text);
    spec.exec.env.insert("SAID", said.display().to_string().as_str().into());
    spec.exec.announce = Some(Announce::Notify);
    spec
}

struct Notifier {
    socket: UnixDatagram,
    to: PathBuf,
}

impl Notifier {
    fn new(to: &str) -> Notifier {
        Notifier { socket: UnixDatagram::unbound().expect("a socket"), to: to.into() }
    }

    fn say(&self, message: &str) {
        self.socket.send_to(message.as_bytes(), &self.to).expect("navigator listens");
    }

    /// Sends this with a descriptor.
    fn pass(&self, message: &str, descriptor: impl AsFd) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let address = SocketAddrUnix::new(&self.to).expect("its path is short");
        let text = [IoSlice::new(message.as_bytes())];
        sendmsg_addr(&self.socket, &address, &text, &mut ancillary, SendFlags::empty()).expect("navigator listens");
    }
}

#[test]
fn notifications_make_it_ready_and_unready() {
    on_host("notify", async |host| {
        let said = host.fifo("said");
        let run = host.spawn(notifying("puma", &said));
        let variables = host.read_fifo(&said).await;
        let [socket, _pid] = variables.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("no watchdog is asked for: {variables}")
        };
        let notifier = Notifier::new(socket);
        host.unready(run, "no `READY=1` received yet").await;
        notifier.say("STATUS=Loading 50 %");
        host.unready(run, "Loading 50 %").await;
        notifier.say("READY=1\nSTATUS=Serving\nMAINPID=1\nERRNO=2\nFDSTORE=1\n");
        host.ready(run).await;
        host.forget();
        notifier.say("RELOADING=1");
        host.unready(run, "it is reloading").await;
        notifier.say("READY=1");
        host.ready(run).await;
        host.forget();
        notifier.say("STOPPING=1");
        host.unready(run, "it is stopping").await;

        // The barrier is the closing of its descriptor.
        let (ours, theirs) = rustix::pipe::pipe().expect("a pipe");
        notifier.pass("BARRIER=1", &theirs);
        drop(theirs);
        let closed = tokio::task::spawn_blocking(move || rustix::io::read(&ours, &mut [0]));
        assert_eq!(closed.await.expect("reader"), Ok(0));

        let socket = PathBuf::from(socket);
        host.kill(run);
        host.gone(run).await;
        assert!(!socket.exists(), "its socket is left");
    });
}

#[test]
fn a_notification_from_a_foreign_process_is_ignored() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("notify-foreign", async |host| {
        let said = host.fifo("said");
        let run = host.spawn(notifying("puma", &said));
        let variables = host.read_fifo(&said).await;
        let socket = variables.split_whitespace().next().expect("its path").to_owned();
        host.spawned(run).await;
        // Another managed process, hence of another tree, as another user, which may write to the socket.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("we are root");
        let lie = format!("import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', '{socket}')");
        let mut foreign = Spec::new("foreign", "python3");
        foreign.exec.args = ["-c", &lie].map(Into::into).to_vec();
        foreign.exec.user = Some("nobody".into());
        let status = host.complete(foreign.clone()).await;
        assert!(status == reconcile::event::ExitStatus::Code(0), "{status}");
        // Once this one is received, the earlier ones have been.
        Notifier::new(&socket).say("STATUS=over");
        host.unready(run, "over").await;
        assert!(!host.events.iter().any(|event| matches!(event, Event::Ready { .. })), "{:?}", host.events);
        host.kill(run);
        host.gone(run).await;

        // The same notification of the process itself, as the same user.
        let itself = format!(
            "{}; import time; time.sleep(3600)",
            lie.replace(&format!("'{socket}'"), "__import__('os').environ['NOTIFY_SOCKET']")
        );
        foreign.exec.args[1] = itself.as_str().into();
        foreign.exec.announce = Some(Announce::Notify);
        let run = host.spawn(foreign);
        host.ready(run).await;
        host.kill(run);
        host.gone(run).await;
    });
}

/// A process that runs this Python code, in which `say` sends a message to the socket of this path.
fn python(name: &str, socket: &str, code: &str) -> Spec {
    let start = "import os, socket, sys, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)";
    let say = format!("say = lambda message: s.sendto(message.encode(), {socket})");
    let mut spec = Spec::new(name, "python3");
    spec.exec.args = ["-c", &[start, &say, code].join("\n")].map(Into::into).to_vec();
    spec
}

/// The path of its own socket, in Python.
const OWN: &str = "os.environ['NOTIFY_SOCKET']";

#[test]
fn only_the_user_of_a_process_may_write_to_its_socket() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("notify-owner", async |host| {
        // Ids without an account.
        let as_user = |mut spec: Spec, user: &str| {
            (spec.exec.user, spec.exec.group) = (Some(user.into()), Some("64124".into()));
            spec
        };
        let mut spec = as_user(python("puma", OWN, "say('READY=1')\ntime.sleep(3600)"), "64123");
        spec.exec.announce = Some(Announce::Notify);
        let run = host.spawn(spec);
        let pid = host.spawned(run).await;
        host.ready(run).await;
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("it runs");
        let socket = environment.split('\0').find_map(|variable| variable.strip_prefix("NOTIFY_SOCKET=")).expect("its path");
        let stat = fs::metadata(socket).expect("it is there");
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (64123, 64124, 0o600));

        // Another user of the same group.
        let code = "try: say('STOPPING=1')\nexcept PermissionError: sys.exit(0)\nsys.exit('it was sent')";
        let status = host.complete(as_user(python("foreign", &format!("'{socket}'"), code), "64125")).await;
        assert!(status == reconcile::event::ExitStatus::Code(0), "{status}");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_flood_of_notifications_delays_no_start_and_loses_no_last_one() {
    on_host("notify-flood", async |host| {
        let code = "n = 0\nwhile True:\n  n += 1\n  say(f'STATUS={n}')";
        let mut flood = python("flood", OWN, code);
        flood.exec.announce = Some(Announce::Notify);
        let flood = host.spawn(flood);
        host.unready(flood, "9").await;
        host.forget();
        let begun = Instant::now();
        for _ in 0..20 {
            let status = host.complete(script("brief", "exit 0")).await;
            assert!(status == reconcile::event::ExitStatus::Code(0), "{status}");
        }
        // As many as its rate limit allows in this time, however long that was on this machine.
        let intervals = usize::try_from(begun.elapsed().as_millis() / 100 + 2).expect("it is short");
        let words = host.events.iter().filter(|event| matches!(event, Event::Unready { .. })).count();
        assert!((1..=intervals * 100).contains(&words), "{words} words in {:?}", begun.elapsed());
        host.kill(flood);
        host.gone(flood).await;

        let code = "for n in range(10): say(f'READY=1\\nRELOADING=1\\nSTATUS={n}')\nsay('READY=1')\ntime.sleep(3600)";
        let mut fickle = python("fickle", OWN, code);
        fickle.exec.announce = Some(Announce::Notify);
        let fickle = host.spawn(fickle);
        for n in 0..10 {
            host.unready(fickle, &n.to_string()).await;
        }
        host.forget();
        host.ready(fickle).await;
        host.kill(fickle);
        host.gone(fickle).await;
        assert!(!host.events.iter().any(|event| matches!(event, Event::Unready { .. })), "{:?}", host.events);
    });
}

#[test]
fn a_missed_watchdog_interval_makes_it_unhealthy() {
    on_host("watchdog", async |host| {
        let said = host.fifo("said");
        let mut spec = notifying("puma", &said);
        let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(1));
        spec.liveness = Some(Liveness { probe: None, interval, timeout, failures: 3 });
        let run = host.spawn(spec);
        let variables = host.read_fifo(&said).await;
        let [socket, micros, watched, pid] = variables.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{variables}") };
        assert_eq!((micros, watched), ("300000", pid));
        let notifier = Notifier::new(socket);
        notifier.say("READY=1");
        host.ready(run).await;
        assert_eq!(host.unhealthy(run).await, "no `WATCHDOG=1` for 300ms");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_watchdog_trigger_makes_it_unhealthy_at_once() {
    on_host("watchdog-trigger", async |host| {
        let said = host.fifo("said");
        let mut spec = notifying("puma", &said);
        let (interval, timeout) = (Duration::from_hours(1), Duration::from_secs(1));
        spec.liveness = Some(Liveness { probe: None, interval, timeout, failures: 3 });
        let run = host.spawn(spec.clone());
        let variables = host.read_fifo(&said).await;
        let notifier = Notifier::new(variables.split_whitespace().next().expect("its path"));
        notifier.say("READY=1\nWATCHDOG=trigger");
        assert_eq!(host.unhealthy(run).await, "it sent `WATCHDOG=trigger`");
        host.kill(run);
        host.gone(run).await;
    });
}
