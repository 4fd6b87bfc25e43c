//! Stories in virtual time: each file of `fixtures/scenario/` is a rule in prose, a script, and what the engine answers.

mod support {
    pub(crate) mod fixtures;
    pub(crate) mod golden;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod story;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use support::story::Story;
use support::{fixtures, golden, script};

#[test]
fn scenarios() {
    let mut failures = Vec::new();
    for path in fixtures::cases("scenario") {
        match play(&fixtures::read(&path)) {
            Ok(played) => golden::settle(&path, &played, &mut failures),
            Err(error) => failures.push(format!("{}:{error}", path.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The script with the engine's answers below each of its commands, in place of those that it has.
fn play(text: &str) -> Result<String, String> {
    let mut story = Story::new();
    let mut played = String::new();
    let mut command = String::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with(' ')) {
        played.push_str(line);
        played.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        command.push_str(line);
        // A list goes on in the next line.
        if command.ends_with(',') {
            command.push(' ');
            continue;
        }
        script::command(&command).and_then(|command| story.tell(command)).map_err(|error| format!("{}: {error}", number + 1))?;
        played.push_str(&story.answers());
        command.clear();
    }
    Ok(played)
}
