//! `MAINPID=`: a program hands its service over to another process of its tree.

use crate::harness::{Navigator, Site};
use crate::taken_over::{kill, next};

/// Hands over to a child, and ends once `go` exists; the child ends once `end` exists.
const HAND_OVER: &str = r#"use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die;
sub until_there { select undef, undef, undef, 0.02 until -e $_[0] }
my $pid = fork();
if (!$pid) { until_there("end"); exit 7 }
$s->send("MAINPID=$pid\nREADY=1");
until_there("go");
exit 0;
"#;

/// Hands over to a child of a child, and ends. The new main process ends by `end.sh` once `end` exists. Its parent reaps it only
/// once `reap` exists.
const HAND_OVER_TO_GRANDCHILD: &str = r#"use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die;
sub until_there { select undef, undef, undef, 0.02 until -e $_[0] }
if (!fork()) {
  my $pid = fork();
  if (!$pid) { until_there("end"); exec "sh", "end.sh" }
  $s->send("MAINPID=$pid\nREADY=1");
  until_there("reap");
  waitpid $pid, 0;
  sleep 3600;
}
until_there("go");
exit 0;
"#;

/// Names a process outside of its tree.
const FOREIGN: &str = r#"use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die;
$s->send("READY=1\nMAINPID=" . getppid());
sleep 3600;
"#;

fn configuration(script: &str) -> String {
    format!("managed_processes:\n  - {{ name: web, command: perl, args: [{script}], ready: {{ notify: true }} }}\n")
}

/// Waits until navigator has no descendant with this pid.
fn wait_for_end(navigator: &Navigator<'_>, former: u32) {
    navigator.log().until("the end of the former main process", || {
        navigator.descendants().iter().all(|process| process.pid != former).then_some(())
    });
}

#[test]
fn the_new_main_process_is_the_one_whose_end_counts() {
    let site = Site::new();
    site.write("web.pl", HAND_OVER);
    let navigator = site.start(&configuration("web.pl"));
    let former = navigator.started("web");
    let changed = navigator.event("Main process changed", "web");
    assert_ne!(changed.pid(), former);
    let status = site.asks(&["status", "web", "--json"], 0).stdout();
    assert!(status.contains(&format!("\"pid\": {}", changed.pid())), "{status}");
    site.write("go", "");
    wait_for_end(&navigator, former);
    assert_eq!(navigator.count("Process exited", "web"), 0, "{}", navigator.log().describe());
    site.asks(&["status", "web"], 0);
    site.write("end", "");
    let crashed = navigator.event("Process crashed", "web");
    assert_eq!((crashed.field("status"), crashed.pid()), (Some("7"), changed.pid()), "{crashed:?}");
    navigator.ends();
}

#[test]
fn one_that_ends_before_its_parent_gives_the_service_back() {
    let site = Site::new();
    site.write("web.pl", HAND_OVER);
    let navigator = site.start(&configuration("web.pl"));
    let former = navigator.started("web");
    navigator.event("Main process changed", "web");
    site.write("end", "");
    let back = navigator.nth_event("Main process changed", "web", 1);
    assert_eq!(back.pid(), former);
    site.write("go", "");
    assert_eq!(navigator.event("Process exited", "web").field("status"), Some("0"));
    navigator.ends();
}

/// The status is there without its parent's help, so this holds on every kernel.
#[test]
fn the_end_of_a_main_process_with_another_parent_is_known() {
    for (end, field, value) in [("exit 7", "status", "7"), ("kill -KILL $$", "signal", "KILL")] {
        let site = Site::new();
        site.write("web.pl", HAND_OVER_TO_GRANDCHILD);
        site.write("end.sh", end);
        let navigator = site.start(&configuration("web.pl"));
        let former = navigator.started("web");
        let changed = navigator.event("Main process changed", "web");
        site.write("go", "");
        navigator.log().until("the end of the former main process", || {
            let below = navigator.descendants();
            below.iter().all(|process| process.pid != former).then_some(())
        });
        site.write("end", "");
        let crashed = navigator.event("Process crashed", "web");
        assert_eq!((crashed.field(field), crashed.pid()), (Some(value), changed.pid()), "{crashed:?}");
        site.write("reap", "");
        navigator.ends();
    }
}

#[test]
fn a_process_outside_of_the_tree_is_refused() {
    let site = Site::new();
    site.write("web.pl", FOREIGN);
    let navigator = site.start(&configuration("web.pl"));
    let ignored = navigator.event("Ignored `MAINPID`", "web");
    assert_eq!(ignored.field("reason"), Some("it is not in the process tree"), "{ignored:?}");
    navigator.ends();
}

/// The new main process is taken over too, although another one was started.
#[test]
fn a_new_main_process_outlives_navigator() {
    let site = Site::new();
    site.write("web.pl", HAND_OVER);
    let first = site.start(&configuration("web.pl"));
    let former = first.started("web");
    let main = first.event("Main process changed", "web").pid();
    site.write("go", "");
    wait_for_end(&first, former);
    site.asks(&["wait"], 0);
    kill(first);
    let (second, taken_over) = next(&site);
    assert_eq!((taken_over.field("names"), taken_over.field("ended")), (Some("web"), Some("0")));
    let status = site.asks(&["status", "web", "--json"], 0).stdout();
    assert!(status.contains(&format!("\"pid\": {main}")), "{status}");
    site.write("end", "");
    let ended = second.event("Process crashed", "web");
    assert!(["exit status 7", "exit status unknown"].contains(&ended.field("reason").unwrap_or_default()), "{ended:?}");
    second.ends();
}
