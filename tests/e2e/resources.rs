//! Limits of whole trees: what they do where the host can limit, and what is said where it can't.

use crate::harness::entry::Event;
use crate::harness::{Signal, Site};

/// A tree of a shell and two programs, one of which keeps 200 MB.
fn greedy(resources: &str) -> String {
    format!(
        r"
managed_processes:
  - {{ name: greedy, command: sh, args: [-c, 'head -c 200000000 /dev/zero | tail | wc -c'], resources: {resources} }}
  - {{ name: calm, command: sleep, args: [1000], resources: {{ tasks: 10, cpu: 50% }} }}
"
    )
}

#[test]
fn a_tree_is_limited_or_the_host_is_said_not_to_be_able_to() {
    let site = Site::new();
    site.write("navigator.yml", &greedy("{ memory: 20M }"));
    let doctor = site.run(["doctor"]);
    let problem = "`resources` can't be limited: ";
    let can_limit = doctor.code == Some(0);
    assert_eq!(doctor.stdout().matches(problem).count(), if can_limit { 0 } else { 2 }, "{}", doctor.description);
    let mut navigator = site.start(&greedy("{ memory: 20M }"));
    let warnings =
        |events: &[Event]| events.iter().filter(|event| event.message == "Running processes without limits of resources").count();
    if can_limit {
        let crashed = navigator.event("Process crashed", "greedy");
        assert_eq!(crashed.field("signal"), Some("KILL"), "{crashed:?}");
        assert_eq!(navigator.event("Process failed", "greedy").field("reason"), Some("out of memory"));
    } else {
        navigator.event("Process exited", "greedy");
    }
    let pid = navigator.started("calm");
    assert_eq!(warnings(&navigator.events()), usize::from(!can_limit), "once for all processes");
    // A change is a restart.
    site.write("navigator.yml", &greedy("{ memory: 20M }").replace("cpu: 50%", "cpu: 60%"));
    let stopped = navigator.event("Process stopped", "calm");
    assert_eq!((stopped.pid(), stopped.field("reason")), (pid, Some("resources changed")));
    navigator.event_after(&stopped, "Process started", "calm");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
