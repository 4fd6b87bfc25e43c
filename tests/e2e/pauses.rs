//! Navigator itself is paused (stopped, or its machine is suspended): what came meanwhile counts before any deadline.

use crate::harness::{Navigator, Signal, Site};

/// Sends a keep-alive ten times a second, whether or not it is read, and counts in a file.
const PINGS: &str = r#"use IO::Socket::UNIX; use IO::Handle;
my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die;
$s->blocking(0); $s->send("READY=1");
open my $ticks, ">>", "ticks" or die; $ticks->autoflush(1);
while (1) { $s->send("WATCHDOG=1"); print $ticks "tick\n"; select undef, undef, undef, 0.1 }
"#;

/// Waits until a process has counted on for so many tenths of a second.
fn ticks(site: &Site, navigator: &Navigator<'_>, more: usize) {
    let count = || site.read("ticks").lines().count();
    let wanted = count() + more;
    navigator.log().until("a tick", || (count() >= wanted).then_some(()));
}

#[test]
fn keep_alives_that_wait_in_the_socket_count() {
    for pause in [15, 40] {
        let site = Site::new();
        site.write("pings.pl", PINGS);
        let navigator = site.start(
            "managed_processes:\n  - name: alive\n    command: perl\n    args: [pings.pl]\n    restart: always\n    \
             ready: { notify: true }\n    liveness: { notify: true, interval: 500ms, failures: 2 }\n",
        );
        navigator.event("Process ready", "alive");
        ticks(&site, &navigator, 5);
        navigator.send_number(libc::SIGSTOP);
        ticks(&site, &navigator, pause);
        navigator.send_number(libc::SIGCONT);
        ticks(&site, &navigator, 20);
        assert_eq!(navigator.count("Process started", "alive"), 1, "{}", navigator.log().describe());
        assert_eq!(navigator.count("Stopping process", "alive"), 0, "{}", navigator.log().describe());
        navigator.ends();
    }
}

#[test]
fn an_exit_that_waits_to_be_reaped_comes_before_the_stop_timeout() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: clock, command: sh, args: [-c, 'while :; do echo tick >>ticks; sleep 0.1; done'] }
  - { name: slow, command: "${FIXTURES}/child.sh", args: [slow], env: { LINGER: "1" }, stop: { timeout: 2s } }
"#,
    );
    navigator.journals("slow start");
    navigator.signal(Signal::TERM);
    navigator.journals("slow term");
    navigator.send_number(libc::SIGSTOP);
    navigator.journals("slow exit");
    ticks(&site, &navigator, 40);
    navigator.send_number(libc::SIGCONT);
    let ended = navigator.exits(0);
    let killed = ended.events().into_iter().any(|event| event.is("Killing process", "slow"));
    assert!(!killed, "{}", ended.description);
}
