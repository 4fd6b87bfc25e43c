//! Applies what a help says to the file that it is about.

use navigator::config::Diagnostic;
use std::ops::Range;

/// The files that a help leads to, if it names the text to write: one for each alternative.
pub(super) fn applied(text: &str, diagnostic: &Diagnostic) -> Vec<String> {
    let Some((help, place)) = diagnostic.help.as_deref().zip(Place::of(text, diagnostic)) else { return Vec::new() };
    let (sentence, block) = help.split_once('\n').unwrap_or((help, ""));
    if let Some(fixed) = indented(sentence, &place).or_else(|| closed(sentence, &place)) {
        return vec![fixed];
    }
    if !block.is_empty() {
        return place.with_block(block).into_iter().collect();
    }
    if let Some((by, what)) = sentence.strip_prefix("write `").and_then(|rest| rest.split_once("` instead of `")) {
        let what = what.split('`').next().unwrap_or_default();
        let start = place.line.start + place.line().rfind(what).expect("it is on this line");
        return vec![place.replaced(start..start + what.len(), by)];
    }
    if diagnostic.message.starts_with('`')
        && diagnostic.message.ends_with("has no value")
        && let Some(length) = text[place.marked.start..place.line.end].find(':')
    {
        let behind = place.marked.start + length + 1..place.line.end;
        return alternatives(sentence).into_iter().map(|value| place.replaced(behind.clone(), &format!(" {value}"))).collect();
    }
    alternatives(sentence).into_iter().filter_map(|advised| place.with(advised)).collect()
}

/// `write 4 spaces before …`
fn indented(sentence: &str, place: &Place<'_>) -> Option<String> {
    let spaces = match sentence.strip_prefix("write ").and_then(|rest| rest.split_once(" space")) {
        Some(("a", _)) => return Some(place.replaced(place.marked.clone(), " ")),
        Some((count, _)) => count.parse().ok()?,
        None if sentence.starts_with("begin the line with ") => 0,
        None => return None,
    };
    let indent = place.line().len() - place.line().trim_start().len();
    let moved = |line: &str, indent: usize, spaces: usize| " ".repeat(spaces) + &line[indent..];
    if !sentence.ends_with("and move the lines that belong to it as far") {
        return Some(place.replaced(place.line.clone(), &moved(place.line(), indent, spaces)));
    }
    let below = place.text[place.line.start..].split_inclusive('\n');
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let lines: Vec<&str> =
        below.enumerate().take_while(|&(at, line)| at == 0 || depth(line) > indent).map(|(_, line)| line).collect();
    let length: usize = lines.iter().map(|line| line.len()).sum();
    let lines: String = lines.iter().map(|line| moved(line, depth(line), spaces + depth(line) - indent)).collect();
    Some(place.replaced(place.line.start..place.line.start + length, &lines))
}

/// ``write a `]` at the end of the list: `…` ``
fn closed(sentence: &str, place: &Place<'_>) -> Option<String> {
    let (close, rest) = sentence.strip_prefix("write a `")?.split_once("` at the end of the ")?;
    if let Some((_, finished)) = rest.split_once(": `") {
        return place.with(finished.strip_suffix('`')?);
    }
    let end_of = |number: usize| place.text.split_inclusive('\n').take(number).map(str::len).sum::<usize>() - 1;
    let end = match (rest.split_once("on line "), rest.split_once("before the `")) {
        (Some((_, number)), _) => end_of(number.parse().ok()?),
        (_, Some((_, bracket))) => place.line.start + place.line().rfind(bracket.strip_suffix('`')?)?,
        _ => place.line.end,
    };
    Some(place.replaced(end..end, close))
}

/// What a sentence says to write, as far as it is the text itself.
fn alternatives(sentence: &str) -> Vec<&str> {
    const ELSEWHERE: [&str; 9] = [
        "unless you write",
        "below it",
        "beside `",
        "and remove this line",
        "in the other process",
        "where that isn't enough",
        "for each",
        "for a check that repeats",
        "and `",
    ];
    if ELSEWHERE.iter().any(|elsewhere| sentence.contains(elsewhere)) {
        return Vec::new();
    }
    let quoted: Vec<&str> = sentence.split('`').collect();
    let mut found: Vec<&str> = Vec::new();
    let mut is_alternative = false;
    for pair in quoted.chunks_exact(2) {
        let (before, text) = (pair[0], pair[1]);
        let is_example = before.ends_with(", as in ") || before.ends_with(", such as ");
        is_alternative = before.ends_with("write ")
            || ["put the value in quotes: ", "put the address in quotes: "].contains(&before)
            || is_alternative && (is_example || [", or ", " or ", ", "].contains(&before));
        if is_example {
            // Whole, where the first is only the key.
            found.retain(|text| key(text).is_some());
        }
        if is_alternative {
            found.push(text);
        }
    }
    found.retain(|text| !["…", "PATH", "URL", "NAME", "*"].iter().any(|form| text.contains(form)));
    found
}

/// The place that a diagnostic is about.
struct Place<'t> {
    text: &'t str,
    line: Range<usize>,
    marked: Range<usize>,
}

impl<'t> Place<'t> {
    fn of(text: &'t str, diagnostic: &Diagnostic) -> Option<Place<'t>> {
        let start: usize = text.split_inclusive('\n').take(diagnostic.line - 1).map(str::len).sum();
        let line = text.get(start..)?.lines().next()?;
        let offset = |column: usize| line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at);
        let marked = start + offset(diagnostic.column)..start + offset(diagnostic.end_column);
        Some(Place { text, line: start..start + line.len(), marked })
    }

    fn line(&self) -> &'t str {
        &self.text[self.line.clone()]
    }

    fn replaced(&self, range: Range<usize>, by: &str) -> String {
        format!("{}{by}{}", &self.text[..range.start], &self.text[range.end..])
    }

    /// The text with a value or an entry, `key: value`, in the place of what is there.
    fn with(&self, advised: &str) -> Option<String> {
        if advised.starts_with("- ") {
            let indent = self.line().len() - self.line().trim_start().len();
            return Some(self.replaced(self.line.start + indent..self.line.end, advised));
        }
        let entries = self.entries();
        let Some(advised_key) = key(advised) else {
            // A value may be on several lines.
            let is_nested = self.text[self.marked.clone()].starts_with(['{', '[']) && self.marked.len() == 1;
            let end = match entries.first() {
                Some(entry) if is_nested || self.marked.end == self.line.end => entry.end,
                _ => self.marked.end,
            };
            return Some(self.replaced(self.marked.start..end.max(self.marked.end), advised));
        };
        if advised.ends_with(':') {
            let start = entries.last()?.start;
            return Some(self.replaced(start..self.line.end, advised));
        }
        let has_key = |entry: &Range<usize>| key(&self.text[entry.clone()]) == Some(advised_key);
        let same = entries.iter().find(|entry| has_key(entry)).cloned().or_else(|| self.sibling(advised_key));
        Some(self.replaced(same.or_else(|| entries.first().cloned())?, advised))
    }

    /// The text with these lines in the place of the entry, and of others with their keys.
    fn with_block(&self, block: &str) -> Option<String> {
        let lines: Vec<&str> = block.lines().collect();
        if lines[0].starts_with("- ") || lines[0].starts_with("managed_processes:") || block.contains('…') {
            return None;
        }
        let key_line = self.key_line();
        let entry = key_line.entries().last()?.clone();
        let indented = lines.join(&format!("\n{}", " ".repeat(entry.start - key_line.line.start)));
        let mut edits = vec![(entry, indented)];
        let others = lines[1..].iter().filter_map(|line| key_line.sibling(key(line)?));
        edits.extend(others.map(|range| (range, String::new())));
        edits.sort_by_key(|(range, _)| range.start);
        let mut text = self.text.to_owned();
        for (range, by) in edits.into_iter().rev() {
            text.replace_range(range, &by);
        }
        Some(text)
    }

    /// This place, or the line of the key above if it is inside a text of several lines.
    fn key_line(&self) -> Place<'t> {
        let mut start = 0;
        let mut above = Place { text: self.text, line: self.line.clone(), marked: self.marked.clone() };
        for line in self.text[..self.line.start].split_inclusive('\n') {
            if line.trim_end().ends_with(": |") && !self.line().contains(": ") {
                let here = start..start + line.trim_end().len();
                above = Place { text: self.text, marked: here.clone(), line: here };
            }
            start += line.len();
        }
        above
    }

    /// The entry with a key beside the one of this line.
    fn sibling(&self, wanted: &str) -> Option<Range<usize>> {
        let here = self.entries().last()?.start - self.line.start;
        let mut start = 0;
        let mut found: Option<Range<usize>> = None;
        for line in self.text.split_inclusive('\n') {
            let place = Place { text: self.text, line: start..start + line.trim_end().len(), marked: start..start };
            let content = place.content_start() - start;
            let begins_another =
                line.trim_start().starts_with("- ") && content <= here || content < here && !line.trim().is_empty();
            if begins_another && start > self.line.start {
                break;
            }
            if begins_another {
                found = None;
            }
            if content == here && key(line[content..].trim_end()) == Some(wanted) {
                found = place.entries().last().cloned();
            }
            start += line.len();
        }
        found
    }

    /// Where the content of the line begins, behind its dashes.
    fn content_start(&self) -> usize {
        let content = self.line().trim_start().trim_start_matches("- ");
        self.line.end - content.len()
    }

    /// The entries of maps that the place is in, the innermost first.
    fn entries(&self) -> Vec<Range<usize>> {
        let line = self.line();
        let block_start = self.content_start() - self.line.start;
        let mut open: Vec<(char, usize)> = vec![('\0', block_start)];
        let mut found = Vec::new();
        let mut quote = None;
        let at = self.marked.start - self.line.start;
        for (here, char) in line.char_indices().filter(|&(here, _)| here >= block_start) {
            match (quote, char) {
                (Some(open), char) if open == char => quote = None,
                (None, '"' | '\'') if line[..here].ends_with(['[', '{', ' ', ',']) => quote = Some(char),
                (None, '[' | '{') if line[..here].ends_with(['[', '{', ' ', ',']) || here == block_start => {
                    open.push((char, here + 1));
                }
                (None, ']' | '}' | ',') => {
                    let &(kind, start) = open.last().expect("the block is never closed");
                    if kind == '{' && start <= at && here > at {
                        let blank = line[start..here].len() - line[start..here].trim_start().len();
                        found.push(self.line.start + start + blank..self.line.start + here);
                    }
                    match char {
                        ',' => open.last_mut().expect("the block is never closed").1 = here + 1,
                        _ if open.len() > 1 => drop(open.pop()),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let depth = block_start;
        let below = self.text[self.line.end..].split_inclusive('\n').skip(1);
        let inside = below.take_while(|line| {
            let indent = line.len() - line.trim_start().len();
            indent > depth || line.trim().is_empty() || indent == depth && line.trim_start().starts_with("- ")
        });
        let length: usize = inside.map(str::len).sum();
        let end = if length == 0 { self.line.end } else { self.line.end + length };
        found.push(self.line.start + block_start..end);
        found
    }
}

fn key(entry: &str) -> Option<&str> {
    let key = entry.split_once(": ").map(|(key, _)| key).or(entry.strip_suffix(':'))?;
    key.chars().all(|char| char.is_alphanumeric() || "_-.<".contains(char)).then_some(key)
}
