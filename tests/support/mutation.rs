//! Changes texts at random, so that a failure can be repeated.

const TYPED: &[u8] = b"\n\t -:{}[]&*!|>'\"%@`#,?$~0aZ\0\xff=()\\";

/// Changes a text as typing, pasting or a broken disk would. `seeds`: what is pasted from.
pub(crate) fn mutate(bytes: &mut Vec<u8>, seeds: &[impl AsRef<[u8]>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(20)).min(bytes.len());
    match random.below(5) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.insert(at, TYPED[random.below(TYPED.len())]),
        2 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        3 if !bytes.is_empty() => {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {
            let other = seeds[random.below(seeds.len())].as_ref();
            let from = random.below(other.len() + 1);
            let part = other[from..(from + 40).min(other.len())].to_vec();
            bytes.splice(at..end, part);
        }
    }
}

/// A small deterministic generator (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("a remainder fits")
    }
}
