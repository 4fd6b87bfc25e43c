//! Held sockets, rolling replacement and draining, with a small server of the tests' own. Real servers are in `tests/rolls`.

mod drain;
mod put_back;
mod replicas;
mod slots;
mod sockets;
mod taken_over;

#[path = "../../rolls/load.rs"]
mod load;

use crate::harness::entry::Event;
use crate::harness::{Navigator, Site, ports, socket};
use load::Target;
use serde_json::Value;

/// A configuration with `web`, a server of this version on this address. `more` are further keys of it, one a line.
fn web(target: &Target, version: u32, options: &str, more: &str) -> String {
    let more = more.lines().map(|line| format!("    {}\n", line.trim())).collect::<Vec<_>>().concat();
    format!(
        "managed_processes:\n  - name: web\n    command: ${{FIXTURES}}/server.py\n    args: [{options}]\n    \
         env: {{VERSION: '{version}'}}\n    listen: {target}\n    ready: {{log: listening}}\n{more}"
    )
}

/// As [`web`], replaced by rolling.
fn rolling(target: &Target, version: u32, options: &str, more: &str) -> String {
    web(target, version, options, &format!("on_change: rolling\nrolling: {{stable: 50ms}}\n{more}"))
}

fn tcp() -> Target {
    Target::Tcp(ports::free_port())
}

/// A TCP port and a path.
fn targets(site: &Site) -> [Target; 2] {
    [tcp(), Target::Unix(site.path("web.sock"))]
}

/// Renames a new file into place, and waits until it is in force.
#[track_caller]
fn save(site: &Site, navigator: &Navigator<'_>, text: &str) -> Event {
    let is_accepted = |event: &Event| event.message == "Configuration reloaded";
    let before = navigator.events().into_iter().filter(is_accepted).count();
    let new = site.write("navigator.yml.new", text);
    std::fs::rename(new, site.path("navigator.yml")).expect("it is on the same file system");
    let verdict =
        navigator.log().until("the verdict on the file", || navigator.events().into_iter().filter(is_accepted).nth(before));
    // Its answer comes when the file is in force: what is asked next could see the time before.
    site.asks(&["reload"], 0);
    verdict
}

/// The status of all, and of `web`.
fn status(site: &Site) -> (Value, Value) {
    let status = socket::ask(site, "GET", "/v1/status", "").json();
    let web = status["processes"].as_array().into_iter().flatten().find(|process| process["name"] == "web");
    let web = web.cloned().unwrap_or_else(|| panic!("{status}"));
    (status, web)
}
