//! Any bytes are a configuration or are rejected for reasons that can be told, the same each time; and no secret is told.

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
    let told = told(&outcome);
    // What the input holds itself may be anything: only what it refers to is known to be secret.
    let repeats = String::from_utf8_lossy(input).contains("c4n4ry");
    assert!(repeats || !told.contains(SECRET), "a secret is told:\n{told}");
    assert_eq!(told, self::told(&files.load()), "the same text is answered in two ways");
}

/// Everything that people are shown of it.
fn told(outcome: &Result<Loaded, Rejected>) -> String {
    match outcome {
        Ok(loaded) => format!("{}{:?}", render_all(&loaded.warnings, 0, TerminalStyle::PLAIN), loaded.desired),
        Err(rejected) => {
            let shown = rejected.diagnostics.len();
            assert!(shown > 0 && shown <= 2 * MAX_SHOWN, "{shown} diagnostics");
            let json = serde_json::to_string(&rejected.diagnostics).expect("diagnostics can be written as JSON");
            render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle { color: true, width: None }) + &json
        }
    }
}
