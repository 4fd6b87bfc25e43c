//! The configurations of the guide for those who come from elsewhere, run word for word: who waits for what is what it promises.
//! The programs that they name are played by `fixtures/e2e/stand-in.sh`.

use crate::harness::{Navigator, Signal, Site, fixtures, ports, servers};
use std::net::TcpListener;
use std::os::unix::fs::symlink;

/// The last configuration but `from_end` of a section.
fn configuration(section: &str, from_end: usize) -> String {
    let guide = include_str!("../../docs/migrating.md");
    let (_, rest) = guide.split_once(&format!("## From {section}\n")).expect("the guide has the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let blocks: Vec<&str> = section.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    blocks[blocks.len() - 1 - from_end].to_owned()
}

/// A site where these programs are played.
fn stage(programs: &[&str]) -> Site {
    let site = Site::new();
    let stand_in = fixtures().join("stand-in.sh");
    for program in programs {
        let path = site.path(program);
        std::fs::create_dir_all(path.parent().expect("it lies in the site")).expect("the site can be written");
        symlink(&stand_in, path).expect("the site can be written");
    }
    site
}

/// Runs a configuration whose programs are found in the site's `bin`.
fn start<'s>(site: &'s Site, configuration: &str) -> Navigator<'s> {
    site.write("navigator.yml", configuration);
    let path = std::env::var("PATH").unwrap_or_default();
    site.command(["navigator.yml"]).env("PATH", format!("{}:{path}", site.path("bin").display())).start()
}

/// While nothing is up, these don't run, though `first` does. Then everything comes up, and they come in this order, each after
/// what the one before has reached.
fn plays(site: &Site, navigator: Navigator<'_>, first: &str, then: &[(&str, &str)]) {
    comes_up(site, navigator, first, then, || site.write("up", ""));
}

/// As [`plays`]; what this returns is up as long as it is there.
fn comes_up<T>(site: &Site, mut navigator: Navigator<'_>, first: &str, then: &[(&str, &str)], up: impl FnOnce() -> T) {
    navigator.started(first);
    for (_, name) in then.iter().skip(1) {
        assert_eq!(navigator.count("Process started", name), 0, "{name} waits");
    }
    let _up = up();
    let mut reached = 0;
    for (message, name) in then {
        let event = navigator.event(message, name);
        assert!(event.index > reached, "{message} {name}: {}", navigator.log().describe());
        reached = event.index;
    }
    assert_eq!(site.run(["wait"]).code, Some(0));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn from_a_delay() {
    let site = stage(&["bin/redis-server", "bin/redis-cli", "bin/bundle"]);
    let navigator = start(&site, &configuration("`start_delay`", 0));
    plays(&site, navigator, "redis", &[("Process ready", "redis"), ("Process started", "sidekiq")]);
}

#[test]
fn from_a_loop_that_waits() {
    let site = stage(&["bin/postgres", "bin/pg_isready", "web"]);
    let navigator = start(&site, &configuration("a loop that waits", 1));
    plays(&site, navigator, "postgres", &[("Process ready", "postgres"), ("Process started", "web")]);
}

#[test]
fn from_a_loop_that_waits_for_another_host() {
    let site = stage(&["bin/curl", "web"]);
    let navigator = start(&site, &configuration("a loop that waits", 0));
    plays(&site, navigator, "storage-answers", &[("Process exited", "storage-answers"), ("Process started", "web")]);
}

#[test]
fn from_compose() {
    let site = stage(&["bin/postgres", "bin/pg_isready", "migrate", "mailer", "web"]);
    let navigator = start(&site, &configuration("Compose", 0));
    navigator.started("mailer");
    let then =
        [("Process ready", "db"), ("Process started", "migrate"), ("Process exited", "migrate"), ("Process started", "web")];
    plays(&site, navigator, "db", &then);
}

#[test]
fn from_systemd() {
    if !servers::present("migrating::from_systemd", &["ruby"]) {
        return;
    }
    let site = stage(&["bin/shop-db", "bin/shop-web"]);
    let navigator = start(&site, &configuration("systemd", 0).replace("/usr/bin", "${SITE}/bin"));
    plays(&site, navigator, "shop-db", &[("Process ready", "shop-db"), ("Process started", "shop-web")]);
}

#[test]
fn from_supervisord() {
    let site = stage(&["bin/redis-server", "shop/worker"]);
    let port = ports::free_port();
    let configuration = configuration("supervisord", 0).replace("6379", &port.to_string());
    let navigator = start(&site, &configuration.replace("/srv/shop", "${SITE}/shop"));
    let up = || TcpListener::bind(("127.0.0.1", port)).expect("the port was free");
    comes_up(&site, navigator, "redis", &[("Process ready", "redis"), ("Process started", "worker")], up);
}
