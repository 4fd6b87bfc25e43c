//! The mark: an environment variable that every process of a run inherits, and that proves its run.
//!
//! ```text
//!  NAVIGATOR_RUN=[MARK OF AN OUTER NAVIGATOR,]INSTANCE.LIFE/NAME/RUN/HASH
//! ```
//!
//! A process can read its own mark, and can put any text into the environment of programs that it starts. So a mark ends in a
//! keyed hash of the text before it. The key belongs to the instance ([`InstanceSecret`]); a mark with a wrong hash is ignored.
//! A process that passes its own mark on still names its own run.
//!
//! No two runs have the same text: instance and life are hexadecimal digits, a name has neither `/` nor `,`, and a run is a number.

use crate::journal::{Author, InstanceSecret, Journal, RunKey};
use reconcile::event::RunId;
use reconcile::text::is_name;

/// The variable.
pub(super) const MARK: &str = "NAVIGATOR_RUN";

/// Writes the marks of one navigator, and verifies those of its instance.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    author: Author,
    secret: InstanceSecret,
    /// This navigator's own mark, if another navigator started it: its processes belong to that run, too.
    outer: Option<String>,
}

/// The run that a verified mark names.
struct Verified<'m> {
    life: &'m str,
    name: &'m str,
    run: u64,
}

impl Marker {
    /// The marker of the navigator that writes this journal.
    pub(super) fn new(journal: &Journal, outer: Option<String>) -> Marker {
        Marker { author: journal.author().clone(), secret: journal.secret().clone(), outer }
    }

    /// The mark of a run.
    pub(super) fn write(&self, name: &str, run: RunId) -> String {
        let Author { instance, life } = &self.author;
        let text = format!("{instance}.{life}/{name}/{}", run.0);
        let hash = self.secret.hash(text.as_bytes());
        let (outer, comma) = self.outer.as_deref().map_or(("", ""), |outer| (outer, ","));
        format!("{outer}{comma}{text}/{hash:016x}")
    }

    /// The run of this navigator that a mark names, and the name of its process.
    pub(super) fn own<'m>(&self, mark: &'m [u8]) -> Option<(&'m str, RunId)> {
        let own = self.verified(mark).find(|one| one.life == self.author.life)?;
        Some((own.name, RunId(own.run)))
    }

    /// The run of an earlier navigator of this instance that a mark names, and the name of its process.
    pub(super) fn former<'m>(&self, mark: &'m [u8]) -> Option<(&'m str, RunKey)> {
        let former = self.verified(mark).find(|one| one.life != self.author.life)?;
        Some((former.name, RunKey { life: former.life.to_owned(), run: former.run }))
    }

    fn verified<'m>(&self, mark: &'m [u8]) -> impl Iterator<Item = Verified<'m>> {
        let marks = std::str::from_utf8(mark).unwrap_or_default();
        marks.split(',').filter_map(|one| self.verify(one))
    }

    fn verify<'m>(&self, mark: &'m str) -> Option<Verified<'m>> {
        let (text, hash) = mark.rsplit_once('/')?;
        let mut parts = text.split('/');
        let (writer, name, run) = (parts.next()?, parts.next()?, number(parts.next()?)?);
        let (instance, life) = writer.split_once('.')?;
        let is_plain = parts.next().is_none() && instance == self.author.instance && is_name(name);
        // Compared as whole numbers, so that the time does not reveal how much of a hash is right.
        (is_plain && self.secret.hash(text.as_bytes()) == digits(hash)?).then_some(Verified { life, name, run })
    }
}

/// A plain decimal number, as in marks and in names of control groups.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Sixteen hexadecimal digits.
fn digits(text: &str) -> Option<u64> {
    let are_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| are_digits)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::runtime) const INSTANCE: &str = "1111111111111111";
    pub(in crate::runtime) const FORMER: &str = "2222222222222222";
    const LIFE: &str = "3333333333333333";

    /// The markers of an earlier life of an instance and of its present one.
    pub(in crate::runtime) fn lives() -> [Marker; 2] {
        let secret = InstanceSecret::random().expect("the kernel has random numbers");
        [FORMER, LIFE].map(|life| marker(INSTANCE, life, &secret, None))
    }

    fn marker(instance: &str, life: &str, secret: &InstanceSecret, outer: Option<String>) -> Marker {
        let author = Author { instance: instance.to_owned(), life: life.to_owned() };
        Marker { author, secret: secret.clone(), outer }
    }

    fn key(run: u64) -> RunKey {
        RunKey { life: FORMER.to_owned(), run }
    }

    #[test]
    fn a_mark_is_read_by_its_navigator_and_by_the_next_one() {
        let [former, present] = lives();
        let mark = former.write("web", RunId(7));
        assert!(mark.starts_with(&format!("{INSTANCE}.{FORMER}/web/7/")), "{mark}");
        assert_eq!(former.own(mark.as_bytes()), Some(("web", RunId(7))));
        assert_eq!(former.former(mark.as_bytes()), None);
        assert_eq!(present.own(mark.as_bytes()), None);
        assert_eq!(present.former(mark.as_bytes()), Some(("web", key(7))));
    }

    #[test]
    fn a_nested_mark_is_read_by_each_navigator_that_wrote_a_part() {
        let [outer, after_outer] = lives();
        let secret = InstanceSecret::random().expect("the kernel has random numbers");
        let inner = marker("4444444444444444", "5", &secret, Some(outer.write("navigator", RunId(3))));
        let innermost = marker("6666666666666666", "7", &secret, Some(inner.write("web", RunId(7))));
        let mark = innermost.write("db", RunId(1));
        assert_eq!(mark.split(',').count(), 3);
        assert_eq!(inner.own(mark.as_bytes()), Some(("web", RunId(7))));
        assert_eq!(outer.own(mark.as_bytes()), Some(("navigator", RunId(3))));
        assert_eq!(after_outer.former(mark.as_bytes()), Some(("navigator", key(3))));
        // Text that a process puts before its mark hides nothing.
        let mark = format!("{INSTANCE}.{FORMER}/db/1/0000000000000000,,/,{}", outer.write("web", RunId(2)));
        assert_eq!(after_outer.former(mark.as_bytes()), Some(("web", key(2))));
    }

    #[test]
    fn a_forged_mark_names_no_run() {
        let [former, present] = lives();
        let mark = former.write("web", RunId(7));
        let (text, hash) = mark.rsplit_once('/').expect("it ends in a hash");
        let forged = [
            format!("{INSTANCE}.{FORMER}/db/7/{hash}"),
            format!("{INSTANCE}.{FORMER}/web/8/{hash}"),
            format!("{INSTANCE}.4444444444444444/web/7/{hash}"),
            format!("4444444444444444.{FORMER}/web/7/{hash}"),
            format!("{text}/0000000000000000"),
            format!("{text}/+{}", &hash[1..]),
            format!("{INSTANCE}.{FORMER}/web/+7/{hash}"),
            format!("{INSTANCE}.{FORMER}/web/07/{hash}"),
            format!("{mark}/{hash}"),
            format!("{mark}0"),
            format!("/{mark}"),
        ];
        for forged in forged {
            assert!(former.own(forged.as_bytes()).is_none() && present.former(forged.as_bytes()).is_none(), "{forged}");
        }
        for length in 0..mark.len() {
            assert!(former.own(&mark.as_bytes()[..length]).is_none(), "{length} bytes of {mark}");
        }
        assert_eq!(former.own(&[mark.as_bytes(), b",\xff"].concat()), None);
        // Another instance, or a copy of this one's directory, has another key.
        let [foreign, _] = lives();
        assert_eq!(foreign.own(mark.as_bytes()), None);
    }

    #[test]
    fn a_name_outside_of_the_grammar_is_not_read_even_with_its_hash() {
        let [former, present] = lives();
        for name in ["", "a b", "-web", ".."] {
            assert_eq!(present.former(former.write(name, RunId(1)).as_bytes()), None, "{name}");
        }
        // Neither hash belongs to the other text.
        assert_eq!(present.former(former.write("web/1", RunId(2)).as_bytes()), None);
        assert_eq!(present.former(former.write("a,b", RunId(2)).as_bytes()), None);
    }
}
