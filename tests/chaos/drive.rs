//! Drives a navigator through a history, and comes back with the story of it. It judges nothing but when to go on.

use crate::harness::log::Line;
use crate::harness::{Navigator, Signal, Site, entry, leftovers};
use crate::history::{History, Hit, Op, Spoilt, Then};
use crate::host::{Host, Name};
use crate::runs::Account;
use crate::save::{Place, Way};
use crate::settled;
use crate::story::{Entry, Saved, Story, Told, What, record};
use crate::text;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long may be waited for anything that has to come about. Never waited out where it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked for what no line of the log announces.
const LOOK: Duration = Duration::from_millis(4);

/// How long a save that comes in two halves stays half, and nothing is to happen.
const HALF: Duration = Duration::from_millis(280);

/// Does to a navigator what the history says; `child` is the program that its processes run.
pub(crate) fn drive(history: &History, child: &Path) -> Story {
    let site = Site::new();
    let child = child.display().to_string();
    let last_file = text::file(&history.first, 0, 0, &child);
    let place = Place::new(&site.path(""), &last_file);
    let clock = Clock { started: Instant::now(), micros: micros() };
    let mut story = Story::default();
    story.saves.push(Saved { host: Some(history.first.clone()), is_atomic: true });
    story.entries.push(Entry { at: micros(), what: What::Saving(0) });
    let navigator = site.command(["conf/navigator.yml"]).start();
    let mut trial = Trial {
        site: &site,
        navigator,
        place,
        child,
        clock,
        story,
        lines: 0,
        journal: None,
        unread: String::new(),
        last_file,
        wanted: 0,
        is_lost: false,
    };
    trial.wait(Then::Settle);
    for op in &history.ops {
        trial.perform(op);
        if trial.is_lost {
            break;
        }
    }
    trial.end()
}

/// Microseconds of the clock that children journal by.
fn micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1_000
}

/// Both clocks at one moment; of two that are a little apart, so that lines of the log are dated too late if anything.
struct Clock {
    started: Instant,
    micros: u64,
}

impl Clock {
    fn micros(&self, at: Instant) -> u64 {
        self.micros + u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }
}

struct Trial<'s> {
    site: &'s Site,
    navigator: Navigator<'s>,
    place: Place,
    child: String,
    clock: Clock,
    story: Story,
    /// How many lines of the log have been read.
    lines: usize,
    journal: Option<File>,
    /// The beginning of a record whose end hasn't been read.
    unread: String,
    last_file: String,
    /// The last save that was a configuration.
    wanted: usize,
    /// Something didn't come about; nothing that comes after it says any more.
    is_lost: bool,
}

impl Trial<'_> {
    fn perform(&mut self, op: &Op) {
        match op {
            Op::Save { host, way, style, then } => {
                self.save(host, *way, *style);
                self.wait(*then);
            }
            Op::Spoil(spoilt) => self.spoil(*spoilt),
            Op::Hit(name, hit) => self.hit(*name, *hit),
            Op::Watch(millis) => self.watch(Duration::from_millis(*millis)),
        }
    }

    fn save(&mut self, host: &Host, way: Way, style: u64) {
        let number = self.story.saves.len();
        self.last_file = text::file(host, number, style, &self.child);
        // Where something else stood, it has to be taken away first.
        let is_free = self.story.saves.last().is_some_and(|last| last.host.is_some());
        self.story.saves.push(Saved { host: Some(host.clone()), is_atomic: way.is_atomic() && is_free });
        self.note(What::Saving(number));
        let log = self.navigator.log();
        self.place.save(way, &self.last_file, || {
            let until = Instant::now() + HALF;
            while Instant::now() < until {
                log.await_news(until.saturating_duration_since(Instant::now()));
            }
        });
        self.note(What::Saved(number));
        self.wanted = number;
    }

    fn spoil(&mut self, spoilt: Spoilt) {
        // Otherwise nobody could say whether the save before was ever read.
        self.wait(Then::Accept);
        if self.is_lost || self.place.is_spoilt(spoilt) {
            return;
        }
        let number = self.story.saves.len();
        self.story.saves.push(Saved { host: None, is_atomic: false });
        self.note(What::Saving(number));
        self.place.spoil(spoilt, &self.last_file);
        self.note(What::Saved(number));
        self.wait_for(|story| {
            let saving = story.saving(number);
            let mut later = story.told().filter(|(place, _)| *place > saving);
            let is_told = later.any(|(_, told)| told.message == "Configuration rejected");
            (!is_told).then(|| format!("nothing is told of a file that is {}", spoilt.word()))
        });
    }

    fn hit(&mut self, name: Name, hit: Hit) {
        self.listen();
        let account = Account::of(&self.story);
        let there = account.last(name).filter(|run| run.over().is_none() && run.version.is_some()).map(|run| run.pid);
        let Some((pid, process)) = there.and_then(|pid| Some((pid, leftovers::process(pid)?))) else { return };
        self.note(What::Hit(name, pid, hit.word().to_owned()));
        let signal = match hit {
            Hit::Kill => Signal::KILL,
            Hit::Term => Signal::TERM,
            Hit::Abort => Signal::ABORT,
            Hit::Stop => Signal::STOP,
        };
        leftovers::send(&process, signal);
    }

    fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.navigator.log().await_news(until.saturating_duration_since(Instant::now()));
        }
        self.listen();
    }

    fn wait(&mut self, then: Then) {
        let wanted = self.wanted;
        match then {
            Then::GoOn => {}
            Then::Accept => self.wait_for(|story| settled::not_in_force(&Account::of(story), wanted)),
            Then::Settle => {
                self.wait_for(|story| settled::unsettled(&Account::of(story), wanted));
                if !self.is_lost {
                    self.note(What::Settled(wanted));
                }
            }
        }
    }

    /// Waits until there is nothing left that this says is missing.
    fn wait_for(&mut self, missing: impl Fn(&Story) -> Option<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.listen();
            let Some(missing) = missing(&self.story) else { return };
            if Instant::now() >= deadline || self.navigator.log().has_ended() {
                self.is_lost = true;
                return self.note(What::Unsettled(missing));
            }
            self.navigator.log().await_news(LOOK);
        }
    }

    fn note(&mut self, what: What) {
        // Whatever was written before comes before.
        self.listen();
        let last = self.story.entries.last().map_or(0, |entry| entry.at);
        self.story.entries.push(Entry { at: micros().max(last), what });
    }

    /// Reads what is new in the log and in the journal.
    fn listen(&mut self) {
        let lines = self.navigator.log().lines_after(self.lines);
        let before = self.story.entries.len();
        for (place, line) in lines.iter().enumerate() {
            if let Some(told) = told(self.lines + place, line) {
                self.story.entries.push(Entry { at: self.clock.micros(line.at), what: What::Told(told) });
            }
        }
        self.lines += lines.len();
        if self.journal.is_none() {
            self.journal = File::open(self.site.path("journal")).ok();
        }
        if let Some(journal) = &mut self.journal {
            journal.read_to_string(&mut self.unread).expect("the journal is text");
            let complete = self.unread.rfind('\n').map_or(0, |end| end + 1);
            let records =
                self.unread[..complete].lines().map(|line| record(line).unwrap_or_else(|| panic!("`{line}` is no record")));
            self.story.entries.extend(records);
            self.unread.drain(..complete);
        }
        if self.story.entries.len() > before {
            self.story.sort();
        }
    }

    /// Tells navigator to end, and waits for it.
    fn end(mut self) -> Story {
        let below = self.navigator.descendants();
        let itself = leftovers::process(self.navigator.pid());
        self.note(What::Shutdown);
        if let Some(itself) = &itself {
            leftovers::send(itself, Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE * 2;
        while self.navigator.log().exit().is_none() && Instant::now() < deadline {
            self.navigator.log().await_news(LOOK);
        }
        let left = below.into_iter().filter(leftovers::is_alive).chain(self.site.living()).map(|it| leftovers::describe(&it));
        let left = left.collect();
        let what = self.navigator.log().exit().map(|(status, _)| What::Ended(status.code(), left));
        self.note(what.unwrap_or(What::Unsettled("navigator's end".to_owned())));
        self.story
    }
}

fn told(index: usize, line: &Line) -> Option<Told> {
    let event = entry::event(index, line)?;
    (event.target == "managed_processes").then_some(Told { message: event.message, fields: event.fields })
}
