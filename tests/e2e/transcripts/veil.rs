//! What differs from run to run, and placeholders for it: paths, pids, times.
//!
//! A placeholder in a table takes the columns of what it stands for, so that what stands behind it stays in its place.

use regex::{Captures, Regex};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Lies over the texts of one site.
pub(super) struct Veil {
    site: String,
    pids: BTreeSet<u32>,
}

impl Veil {
    pub(super) fn new(site: PathBuf, pids: impl Iterator<Item = u32>) -> Veil {
        let site = site.into_os_string().into_string().expect("the path of a site is text");
        Veil { site: site.trim_end_matches('/').to_owned(), pids: pids.collect() }
    }

    /// The text with placeholders.
    pub(super) fn over(&self, text: &str) -> String {
        let text = text.replace(&self.site, "SITE").replace(env!("CARGO_MANIFEST_DIR"), "REPOSITORY");
        let number = pattern(r"\b(?<it>[0-9]+)\b(?<blanks> *)");
        let text = number.replace_all(&text, |found: &Captures| {
            let is_pid = found["it"].parse().is_ok_and(|number| self.pids.contains(&number));
            if is_pid { placed("PID", found) } else { found[0].to_owned() }
        });
        let moment = pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z(?<it>)(?<blanks>)");
        let text = moment.replace_all(&text, "MOMENT");
        // In a cell of a table, and where a sentence tells how long ago or until when.
        let cell = pattern(r"(?<before>  )(?<it>([0-9]+(ms|[dhms]))+)(?<blanks>  +)");
        let text = cell.replace_all(&text, |found: &Captures| format!("  {}", placed("TIME", found)));
        let told = pattern(r"\b(?<word>in|for) ([0-9]+(ms|[dhms]))+\b");
        let text = told.replace_all(&text, "$word TIME");
        pattern(r"([0-9]+(ms|[dhms]))+ ago\b").replace_all(&text, "TIME ago").into_owned()
    }
}

/// A placeholder in the columns of what it stands for; the last word of a line has none behind it.
fn placed(placeholder: &str, found: &Captures) -> String {
    let columns = found["it"].len() + found["blanks"].len();
    if found["blanks"].len() > 1 { format!("{placeholder:columns$}") } else { format!("{placeholder}{}", &found["blanks"]) }
}

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("{error}"))
}
