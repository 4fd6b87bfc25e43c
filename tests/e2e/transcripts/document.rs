//! The examples of `docs/cli.md`, played one after the other: what the document shows is what is printed, apart from numbers and
//! times.
//!
//! The first `yaml` block is the configuration that runs, a `console` block has commands behind `$` with what they print, and
//! `<!-- $ … -->` is typed behind the scenes. `UPDATE_FIXTURES=1` writes what differs in words.

use super::{Stage, pattern};
use crate::harness::Site;
use std::fs;
use std::path::Path;

#[test]
fn the_examples_of_the_document_print_what_it_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let document = fs::read_to_string(&path).expect("the document can be read");
    let site = Site::new();
    let (_, configuration) = document.split_once("```yaml\n").expect("the configuration");
    let (configuration, _) = configuration.split_once("```").expect("its end");
    site.write("navigator.yml", configuration);
    let mut stage = Stage { site: &site, navigators: Vec::new() };
    let mut played = String::new();
    let (mut lines, mut examples) = (document.lines().peekable(), 0);
    let mut is_example = false;
    while let Some(line) = lines.next() {
        played.push_str(line);
        played.push('\n');
        if line.starts_with("```") {
            is_example = line == "```console";
        }
        if let Some(command) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
            assert_eq!(stage.play(command).code, Some(0), "{command}");
        }
        if line == "<!-- navigator runs -->" {
            stage.run("navigator.yml");
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| is_example) else { continue };
        let mut shown = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ") && !line.starts_with("```")) {
            shown.push_str(line);
            shown.push('\n');
        }
        let printed = stage.play(command);
        let printed = (printed.stdout + &printed.stderr).replace(&site.path("").display().to_string(), "/srv/shop/");
        played.push_str(if worn(&shown) == worn(&printed) { &shown } else { &printed });
        examples += 1;
    }
    stage.close();
    assert!(examples > 15, "only {examples} examples were found");
    let mut failures = Vec::new();
    crate::golden::settle(&path, &played, &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A text without its numbers and times, which differ from run to run, and without the blanks that make up for them.
fn worn(text: &str) -> String {
    let text = pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z").replace_all(text, "MOMENT").into_owned();
    let text = pattern(r"\b([0-9]+(ms|[dhms]))+\b").replace_all(&text, "TIME").into_owned();
    let text = pattern("[0-9]+").replace_all(&text, "0").into_owned();
    pattern(" +").replace_all(&text, " ").into_owned()
}
