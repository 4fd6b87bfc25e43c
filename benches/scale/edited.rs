//! A navigator whose file is saved again and again, always with another version of the same process or as it was.

use crate::contender::{Config, Contender, Order, put_in_place};
use crate::host::Host;
use crate::journal::{Journal, Kind, Record, now};
use crate::life::PATIENCE;
use crate::place::Place;
use std::time::Duration;

pub(crate) struct Edited<'a> {
    place: &'a Place,
    pub(crate) journal: Journal,
    pub(crate) host: Host,
    pub(crate) count: usize,
    order: Order,
    version: usize,
    /// The newest number in the kernel of each process.
    pub(crate) pids: Vec<i32>,
}

impl<'a> Edited<'a> {
    /// Starts so many, and waits until they run.
    pub(crate) fn start(place: &'a Place, count: usize, order: Order) -> Edited<'a> {
        let journal = Journal::new(place);
        let host = Contender::Navigator(order).start(place, &journal, count);
        journal.wait(Kind::Exec, u32::try_from(count).expect("it is a number of processes"), PATIENCE);
        let mut edited = Edited { place, journal, host, count, order, version: 0, pids: vec![0; count] };
        edited.news();
        edited.journal.pass(Duration::from_secs(1));
        edited
    }

    /// The process that saves change.
    pub(crate) fn changing(&self) -> usize {
        self.count / 2
    }

    /// What was noted since the last time.
    pub(crate) fn news(&mut self) -> Vec<Record> {
        let news = self.journal.news();
        for record in news.iter().filter(|record| record.kind == Kind::Exec) {
            self.pids[record.number] = record.pid;
        }
        news
    }

    /// Saves another version. Answers when.
    pub(crate) fn save_changed(&mut self) -> f64 {
        self.version += 1;
        self.save_again()
    }

    /// Saves what was saved last.
    pub(crate) fn save_again(&self) -> f64 {
        let config = Config { count: self.count, order: self.order, changed: Some((self.changing(), self.version)) };
        config.prepare(self.host.directory(), self.place, &self.journal);
        let saved = now();
        put_in_place(self.host.directory());
        saved
    }

    /// Waits until one more program runs than did at this count.
    pub(crate) fn wait_for_exec(&self, former: u32) {
        self.journal.wait(Kind::Exec, former + 1, PATIENCE);
    }
}
