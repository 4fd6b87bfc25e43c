//! The manual page: what it has to tell of, and that `man` shows it.

use crate::harness::{Site, attempt, servers};
use std::process::Command;

/// What users rely on, by the words that it goes by.
const WORDS: &str = "\
    run check validate plan diff status logs start stop restart signal reload wait events graph schema completions man doctor \
    --config --verbose --quiet --help --version --validate --check --format --detailed-exitcode --diff --json --timeout --since \
    --no-watch --state-dir --trust-user --follow --lines -f -n -c -v -q -h -V -s \
    text json dot mermaid 60s \
    NAVIGATOR_CONFIG NAVIGATOR_STATE_DIR NAVIGATOR_PID_FILE LOG_LEVEL NO_COLOR XDG_RUNTIME_DIR \
    config/navigator.yml navigator.yml /run/navigator/ $XDG_RUNTIME_DIR/navigator/ \
    TERM INT QUIT HUP USR2 0 1 2 3 4 130";

#[test]
fn the_manual_page_is_shown_without_a_warning_and_is_complete() {
    if !servers::present("the manual page", &["man"]) {
        return;
    }
    let site = Site::new();
    site.write("navigator.1", &site.run(["man"]).stdout());
    let mut shell = Command::new("sh");
    site.surround(&mut shell);
    let shown = attempt(
        shell
            .args(["-c", "man --warnings --no-hyphenation -l navigator.1 2>warnings"])
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8"),
    );
    let shown = shown.unwrap_or_else(|error| panic!("{error}{}", site.read("warnings")));
    assert_eq!(site.read("warnings"), "");
    let told: Vec<&str> = shown.split(|char: char| char.is_whitespace() || "[],|()<>".contains(char)).collect();
    let is_told = |word: &&str| told.iter().any(|told| told.trim_end_matches(['.', ':', ';']) == *word);
    let missing: Vec<&str> = WORDS.split_whitespace().filter(|word| !is_told(word)).collect();
    assert!(missing.is_empty(), "the page says nothing of {missing:?}\n{shown}");
}
