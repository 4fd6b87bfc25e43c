//! Lines of 100 bytes that carry who wrote them and which they are: how they are written, and whether all of them arrived.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

/// Bytes of a line, with its newline.
pub(crate) const LINE: usize = 100;
/// What a producer hands to the kernel at once: as much as a pipe has room for, in whole lines.
const BLOCK: usize = 64 * 1024 / LINE;
/// The word that makes the bench a producer.
pub(crate) const PRODUCE: &str = "produce";

/// Is a producer: says by one byte in the FIFO `here` that it is, waits for the end of the FIFO `gate`, and writes so many lines
/// to its standard output. `here` closes when it ends.
pub(crate) fn produce(here: &Path, gate: &Path, producer: usize, lines: usize) {
    let mut block: Vec<[u8; LINE]> = vec![line(producer, 0); BLOCK];
    let mut gate = File::open(gate).expect("the bench has made it");
    let mut here = File::options().write(true).open(here).expect("the bench has made it");
    here.write_all(b"!").expect("the bench counts");
    let end = gate.read(&mut [0]).expect("it is a FIFO");
    assert_eq!(end, 0, "nobody writes to the gate");
    let mut out = std::io::stdout().lock();
    for first in (0..lines).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(lines - first)];
        block.iter_mut().zip(first..).for_each(|(line, number)| write_number(&mut line[NUMBER], number));
        out.write_all(block.as_flattened()).expect("somebody reads");
    }
}

const PRODUCER: std::ops::Range<usize> = 0..4;
const NUMBER: std::ops::Range<usize> = 5..13;

fn line(producer: usize, number: usize) -> [u8; LINE] {
    let mut line = [b'x'; LINE];
    (line[PRODUCER.end], line[NUMBER.end], line[LINE - 1]) = (b' ', b' ', b'\n');
    write_number(&mut line[PRODUCER], producer);
    write_number(&mut line[NUMBER], number);
    line
}

/// In decimal, with zeros before it.
fn write_number(place: &mut [u8], number: usize) {
    let mut left = number;
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).expect("it is a digit");
        left /= 10;
    }
}

fn read_number(place: &[u8]) -> Option<usize> {
    std::str::from_utf8(place).ok()?.parse().ok()
}

/// Which lines have arrived.
pub(crate) struct Arrived {
    /// The number of the line of each producer that is next.
    next: Vec<usize>,
}

impl Arrived {
    pub(crate) fn none(producers: usize) -> Arrived {
        Arrived { next: vec![0; producers] }
    }

    /// Takes the lines of a file, and panics at the first that isn't the next of its producer, byte by byte. `prefix` is what
    /// stands before each line of a producer.
    pub(crate) fn take(&mut self, path: &Path, prefix: impl Fn(usize) -> String) {
        let prefixes: Vec<String> = (0..self.next.len()).map(prefix).collect();
        let mut file = BufReader::new(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        let mut text = Vec::new();
        for place in 1.. {
            text.clear();
            if file.read_until(b'\n', &mut text).expect("it can be read") == 0 {
                return;
            }
            let is_next = self.is_next(&text, &prefixes);
            assert!(is_next, "{}:{place}: not the next of any producer: {:?}", path.display(), String::from_utf8_lossy(&text));
        }
    }

    /// Whether it's the next line of its producer; if so, it has arrived.
    fn is_next(&mut self, text: &[u8], prefixes: &[String]) -> bool {
        let Some(begin) = text.len().checked_sub(LINE) else { return false };
        let (prefix, text) = text.split_at(begin);
        let Some(producer) = read_number(&text[PRODUCER]).filter(|&producer| producer < prefixes.len()) else { return false };
        let is_next = prefix == prefixes[producer].as_bytes() && text == line(producer, self.next[producer]);
        self.next[producer] += usize::from(is_next);
        is_next
    }

    /// Panics unless so many lines of each producer have arrived.
    pub(crate) fn all(&self, lines: usize) {
        for (producer, &arrived) in self.next.iter().enumerate() {
            assert_eq!(arrived, lines, "lines of producer {producer} are missing");
        }
    }
}
