//! Any bytes are a valid configuration or are rejected with diagnostics, the same each time, and no secret is shown.

use super::files::{MAIN, Memory, SECRET};
use navigator::config::{Loaded, MAX_SHOWN, Rejected, render_all};
use navigator::terminal::TerminalStyle;

pub(crate) fn check(input: &[u8]) {
    let files = Memory::default()
        .with(MAIN, input)
        .with("etc/more.yml", "managed_processes: [{name: more, command: ./more}]")
        .with("etc/wrong.yml", "managed_processes: [{name: wrong, comand: \"${SECRET}\"}]\nenv: {SECRET: \"c4n4ry !\"}")
        .with("etc/.env", "B=2\nPASSWORD=c4n4ry !")
        .with("etc/wrong.env", "PASSWORD='c4n4ry !\nB");
    let outcome = files.load();
    let shown = shown(&outcome);
    // The input itself may hold the word: only what it refers to is known to be secret.
    let repeats = String::from_utf8_lossy(input).contains("c4n4ry");
    assert!(
        repeats || !shown.contains(SECRET),
        "a secret is shown:
{shown}"
    );
    assert_eq!(shown, self::shown(&files.load()), "the same text is answered in two ways");
}

/// Everything that a user is shown of it.
fn shown(outcome: &Result<Loaded, Rejected>) -> String {
    match outcome {
        Ok(loaded) => format!("{}{:?}", render_all(&loaded.warnings, 0, TerminalStyle::PLAIN), loaded.desired),
        Err(rejected) => {
            let count = rejected.diagnostics.len();
            assert!(count > 0 && count <= 2 * MAX_SHOWN, "{count} diagnostics");
            let json = serde_json::to_string(&rejected.diagnostics).expect("diagnostics can be written as JSON");
            render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle { color: true, width: None }) + &json
        }
    }
}
