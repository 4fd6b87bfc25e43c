//! How fast navigator starts, answers and stops, and what it takes, beside the floor and beside its peers:
//! `cargo bench --bench scale [-- WORDS]`; `benches/README.md` has the words.
//!
//! Navigator's release binary runs a tiny static child, `child.c`, which notes its own events with monotonic times in a
//! shared file: nothing in the figures depends on what navigator says. The floor is `floor.c`, a loop around `posix_spawn`, and
//! `isolated.c` the same with isolation and listening; `server.c` is what `serve` replaces under load; the peers are whichever of runit, s6 and supervisord are installed. It
//! is *not* a test: nothing fails by being slow.
#![expect(clippy::disallowed_methods, reason = "the ban on starting programs protects navigator's own reaper; this has none")]

mod binary;
mod contender;
mod crowd;
mod edited;
mod figures;
mod growth;
mod host;
mod journal;
mod life;
mod lines;
mod output;
mod place;
mod readers;
mod saves;
mod serve;

use place::Place;

/// What is measured, and how much of it.
struct Request {
    rounds: usize,
    processes: usize,
    growth: usize,
    with_peers: bool,
    /// Empty: all.
    scenes: Vec<String>,
}

const SCENES: [&str; 8] = ["binary", "life", "saves", "serve", "crowd", "readers", "output", "growth"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, here, gate, producer, lines] = &words[..]
        && word == lines::PRODUCE
    {
        let number = |word: &String| word.parse().expect("a number");
        return lines::produce(here.as_ref(), gate.as_ref(), number(producer), number(lines));
    }
    let request = Request::read(words.into_iter());
    // What a contender leaves behind is handed to the bench, which waits for it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("the kernel can");
    let place = Place::new();
    for scene in SCENES.into_iter().filter(|scene| request.wants(scene)) {
        match scene {
            "binary" => binary::measure(),
            "life" => life::measure(&place, request.rounds, request.processes, request.with_peers),
            "saves" => saves::measure(&place, &[request.processes / 100, request.processes / 10, request.processes]),
            "serve" => serve::measure(&place),
            "crowd" => crowd::measure(&place, 10 * request.processes),
            "readers" => readers::measure(&place, request.rounds, request.processes),
            "output" => output::measure(&place, request.rounds),
            _ => growth::measure(&place, request.growth),
        }
    }
}

impl Request {
    fn read(words: impl Iterator<Item = String>) -> Request {
        let mut request = Request { rounds: 5, processes: 1000, growth: 10_000, with_peers: true, scenes: Vec::new() };
        for word in words {
            let number = |value: &str| value.parse().unwrap_or_else(|_| panic!("`{word}`: a number is expected"));
            match word.split_once('=') {
                Some(("rounds", value)) => request.rounds = number(value),
                Some(("processes", value)) => request.processes = number(value),
                Some(("growth", value)) => request.growth = number(value),
                None if word == "alone" => request.with_peers = false,
                None if SCENES.contains(&word.as_str()) => request.scenes.push(word),
                _ => panic!("`{word}`: one of {SCENES:?}, `alone`, `rounds=5`, `processes=1000` or `growth=10000` is expected"),
            }
        }
        assert!(request.processes >= 100, "ratios between fewer than 100 processes and a hundredth of them say nothing");
        request
    }

    fn wants(&self, scene: &str) -> bool {
        self.scenes.is_empty() || self.scenes.iter().any(|wanted| wanted == scene)
    }
}
