//! Requests to reload while the file is saved again and again: none is answered by a reading that began before it.

use crate::harness::socket::ask;
use crate::harness::{Site, report};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// So many clients ask at once.
const CLIENTS: usize = 8;

/// A configuration with as many processes as its version says, none of which runs.
fn version(number: usize) -> String {
    let processes: Vec<String> = (0..number).map(|index| format!("{{ name: p{index}, command: x, enabled: false }}")).collect();
    format!("managed_processes: [{}]\n", processes.join(", "))
}

#[test]
fn a_reload_is_answered_by_what_was_saved_before_it_or_later() {
    let reloads: usize = std::env::var("RELOADS").map_or(200, |reloads| reloads.parse().expect("`RELOADS` is a number"));
    let site = Site::new();
    let navigator = site.start(&version(1));
    navigator.wait("the first generation", |event| event.message == "Configuration loaded");
    let saved = AtomicUsize::new(1);
    let (answered, answers) = mpsc::channel();
    // Of each request, the version that had been saved before it, and the generation that answered it.
    let answers: Vec<(usize, u64)> = thread::scope(|scope| {
        let (site, saved) = (&site, &saved);
        let ask_often = move |answered: mpsc::Sender<()>| {
            let requests = (0..reloads.div_ceil(CLIENTS)).map(|_| {
                let before = saved.load(Ordering::SeqCst);
                let answer = ask(site, "POST", "/v1/reload", "");
                assert_eq!(answer.status, 200, "{answer:?}");
                answered.send(()).expect("it is saved as often");
                (before, answer.json()["generation"].as_u64().expect("a generation"))
            });
            requests.collect::<Vec<_>>()
        };
        let clients = [(); CLIENTS].map(|()| {
            let answered = answered.clone();
            scope.spawn(move || ask_often(answered))
        });
        drop(answered);
        for (number, ()) in (2..).zip(answers) {
            fs::rename(site.write("new", &version(number)), site.path("navigator.yml")).expect("it was just written");
            saved.store(number, Ordering::SeqCst);
        }
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let newest = answers.iter().map(|(_, generation)| *generation).max().expect("there were requests");
    navigator.wait("the newest generation", |event| event.field("generation") == Some(&newest.to_string()));
    let processes = |event: &crate::harness::entry::Event| {
        let count = |name: &str| event.field(name).map_or(0, |count| count.parse::<usize>().expect("a number"));
        ["processes", "added", "changed", "updated", "unchanged"].map(count).into_iter().sum::<usize>()
    };
    let events = navigator.events().into_iter().filter(|event| event.message.starts_with("Configuration "));
    let versions: BTreeMap<u64, usize> =
        events.filter_map(|event| Some((event.field("generation")?.parse().ok()?, processes(&event)))).collect();
    for (before, generation) in &answers {
        let version = versions[generation];
        assert!(version >= *before, "version {before} had been saved, and version {version} was the answer");
    }
    report(&format!("{} requests, {} generations", answers.len(), versions.len()));
    navigator.ends();
}
