//! Layout of diagnostics: on narrow and wide terminals, in colour, and without a terminal.
//!
//! `fixtures/config/look/NAME.yml` is rendered into `NAME.60.txt`, `NAME.100.txt`, `NAME.txt` (unlimited width) and
//! `NAME.color.txt` (the escape character written as `␛`). `UPDATE_FIXTURES=1` writes the actual results instead of comparing.

#[expect(dead_code, reason = "used by other test programs")]
mod fixtures;

use fixtures::{environment, over_disk, paths, settle, unannotated};
use navigator::config::{Diagnostic, Disk, load, render, render_all};
use navigator::terminal::TerminalStyle;
use std::fs;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

fn diagnostics(path: &Path) -> (Vec<Diagnostic>, usize) {
    match load(path, &Disk, &environment()) {
        Ok(loaded) => (loaded.warnings, 0),
        Err(rejected) => (rejected.diagnostics, rejected.omitted),
    }
}

#[test]
fn diagnostics_are_rendered_as_expected() {
    let styles = [
        ("60.txt", TerminalStyle { color: false, width: Some(60) }),
        ("100.txt", TerminalStyle { color: false, width: Some(100) }),
        ("txt", TerminalStyle::PLAIN),
        ("color.txt", TerminalStyle { color: true, width: Some(80) }),
    ];
    let mut failures = Vec::new();
    for path in paths("look") {
        let (diagnostics, omitted) = diagnostics(&path);
        for (extension, style) in styles {
            let rendered = render_all(&diagnostics, omitted, style).replace('\x1b', "␛");
            settle(&path.with_extension(extension), &rendered, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Ten mistakes in the demonstration, each as a text and what it is mistyped as.
const MISTAKES: [(&str, &str, &str); 10] = [
    ("key", "command: ./database.sh", "comand: ./database.sh"),
    ("name", "depends_on: [database]", "depends_on: [databse]"),
    ("indentation", "    auto_restart: true\n    stop:", "   auto_restart: true\n    stop:"),
    ("tab", "    type: task\n", "\ttype: task\n"),
    ("quote", "args: [\"Open for business\"]", "args: [\"Open for business]"),
    ("bracket", "depends_on: [database]", "depends_on: [database"),
    ("colon", "command: ./mailer.sh", "command ./mailer.sh"),
    ("duration", "timeout: 5s", "timeout: five seconds from now, or whenever it suits the database"),
    ("command-line", "command: ./shop.sh", "command: bundle exec rails server --port 3000"),
    ("variable", "${VISITORS:-three}", "${VISITORS}"),
];

/// Place and cure are clear at each width.
#[test]
fn mistakes_in_the_demonstration_are_shown_as_expected() {
    let demo = fs::read_to_string("fixtures/demo/navigator.yml").expect("the demonstration can be read");
    let path = Path::new("navigator.yml");
    let mut failures = Vec::new();
    for (name, right, wrong) in MISTAKES {
        assert!(demo.contains(right), "the demonstration has no `{right}`");
        let text = demo.replacen(right, wrong, 1).into_bytes();
        let rejected = load(path, &over_disk(path, text), &environment()).expect_err("it has a mistake");
        for width in [60, 80, 140] {
            let style = TerminalStyle { color: false, width: Some(width) };
            let rendered = render_all(&rejected.diagnostics, rejected.omitted, style);
            settle(&Path::new("fixtures/config/demo").join(format!("{name}.{width}.txt")), &rendered, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// For every error in the fixtures.
#[test]
fn no_source_line_is_wider_than_the_terminal_and_no_caret_is_lost() {
    let mut cut = 0;
    for path in paths("bad") {
        let bytes = unannotated(&path);
        let Err(rejected) = load(&path, &over_disk(&path, bytes), &environment()) else { continue };
        for diagnostic in &rejected.diagnostics {
            for width in [40, 60, 100] {
                let rendered = render(diagnostic, TerminalStyle { color: false, width: Some(width) });
                let excerpts: Vec<&str> = rendered.lines().filter(|line| line.contains(" | ")).collect();
                for line in &excerpts {
                    assert!(line.contains('\t') || line.width() <= width, "at {width} columns:\n{rendered}");
                }
                let carets = excerpts.iter().filter(|line| line.trim_end().ends_with('^')).count();
                assert_eq!(carets, excerpts.len() / 2, "at {width} columns:\n{rendered}");
                cut += usize::from(excerpts.iter().any(|line| line.contains('…')));
            }
        }
    }
    assert!(cut > 10, "only {cut} lines were cut");
}
