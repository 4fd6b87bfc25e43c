//! Readiness by a process's own word: a line of its output, a notification, a line break on a descriptor.

use crate::host::{on_host, script};
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
fn a_line_of_its_output_makes_it_ready_wherever_that_goes() {
    let printed = on_host("log", async |host| {
        let text = "echo starting; echo 'Ready to accept connections tcp' >&2; exec sleep 3600";
        let file = host.directory.join("redis.log");
        let to_file = Output::File { path: file.display().to_string().as_str().into(), max_size: 1 << 20, keep: 1 };
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
fn output_that_says_something_else_makes_nothing_ready() {
    on_host("log-else", async |host| {
        let run = host.spawn(logging("redis", "echo 'not Ready'; printf '^Ready'; exec sleep 3600", "^Ready"));
        host.unready(run, "no output line matches `^Ready` yet").await;
        host.kill(run);
        host.gone(run).await;
        let ready = |event: &Event| matches!(event, Event::Ready { .. });
        assert!(!host.told.iter().any(ready), "{:?}", host.told);
    });
}

#[test]
fn an_unread_flood_of_output_holds_nobody_who_is_listened_to() {
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
fn another_pattern_counts_from_when_it_is_given() {
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
fn a_line_break_on_its_descriptor_makes_it_ready() {
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

/// A process that tells where it may send notifications, and what the watchdog expects, and stays.
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

    /// Says this together with a descriptor.
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
        let told = host.hears(&said).await;
        let [socket, _pid] = told.split_whitespace().collect::<Vec<_>>()[..] else { panic!("no watchdog is asked for: {told}") };
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
fn a_strangers_notification_counts_for_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("notify-stranger", async |host| {
        let said = host.fifo("said");
        let run = host.spawn(notifying("puma", &said));
        let told = host.hears(&said).await;
        let socket = told.split_whitespace().next().expect("its path").to_owned();
        host.spawned(run).await;
        // Another process of ours, hence of no tree but its own, and as another user, to whom the socket is opened.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("we are root");
        let lie = format!("import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', '{socket}')");
        let mut stranger = Spec::new("stranger", "python3");
        stranger.exec.args = ["-c", &lie].map(Into::into).to_vec();
        stranger.exec.user = Some("nobody".into());
        let status = host.complete(stranger.clone()).await;
        assert!(status.is_success(), "{status}");
        // Once this one's words are heard, those before them have been.
        Notifier::new(&socket).say("STATUS=over");
        host.unready(run, "over").await;
        assert!(!host.told.iter().any(|event| matches!(event, Event::Ready { .. })), "{:?}", host.told);
        host.kill(run);
        host.gone(run).await;

        // The same words of the process itself, as the same user.
        let itself = format!(
            "{}; import time; time.sleep(3600)",
            lie.replace(&format!("'{socket}'"), "__import__('os').environ['NOTIFY_SOCKET']")
        );
        stranger.exec.args[1] = itself.as_str().into();
        stranger.exec.announce = Some(Announce::Notify);
        let run = host.spawn(stranger);
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
fn a_socket_is_for_the_user_of_its_process_alone() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_host("notify-owner", async |host| {
        // Numbers without an account.
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
        let status = host.complete(as_user(python("stranger", &format!("'{socket}'"), code), "64125")).await;
        assert!(status.is_success(), "{status}");
        host.kill(run);
        host.gone(run).await;
    });
}

#[test]
fn a_flood_of_notifications_slows_down_no_start_and_loses_no_last_word() {
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
            assert!(status.is_success(), "{status}");
        }
        // As many as its budget allows in this time, however long that was on this machine.
        let intervals = usize::try_from(begun.elapsed().as_millis() / 100 + 2).expect("it is short");
        let words = host.told.iter().filter(|event| matches!(event, Event::Unready { .. })).count();
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
        assert!(!host.told.iter().any(|event| matches!(event, Event::Unready { .. })), "{:?}", host.told);
    });
}

#[test]
fn signs_of_life_are_asked_for_and_missed() {
    on_host("watchdog", async |host| {
        let said = host.fifo("said");
        let mut spec = notifying("puma", &said);
        let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(1));
        spec.liveness = Some(Liveness { probe: None, interval, timeout, failures: 3 });
        let run = host.spawn(spec);
        let told = host.hears(&said).await;
        let [socket, micros, watched, pid] = told.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{told}") };
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
fn a_program_that_gives_itself_up_is_unhealthy_at_once() {
    on_host("watchdog-trigger", async |host| {
        let said = host.fifo("said");
        let mut spec = notifying("puma", &said);
        let (interval, timeout) = (Duration::from_hours(1), Duration::from_secs(1));
        spec.liveness = Some(Liveness { probe: None, interval, timeout, failures: 3 });
        let run = host.spawn(spec.clone());
        let told = host.hears(&said).await;
        let notifier = Notifier::new(told.split_whitespace().next().expect("its path"));
        notifier.say("READY=1\nWATCHDOG=trigger");
        assert_eq!(host.unhealthy(run).await, "it sent `WATCHDOG=trigger`");
        host.kill(run);
        host.gone(run).await;
    });
}
