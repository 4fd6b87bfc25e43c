//! Env files: each is read or refused, and its variables, written again, read the same.

use super::files::{process, text};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) fn check(input: &[u8]) {
    let Some(written) = text(input, 20_000) else { return };
    let Some(variables) = read(written) else { return };
    for key in variables.keys() {
        assert!(!key.is_empty() && !key.contains(|char: char| char == '=' || char.is_whitespace()), "{key:?} is a key");
        assert!(written.contains(key.as_str()), "{key:?} is not in the file");
    }
    let again = variables.iter().fold(String::new(), |mut again, (key, value)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
        writeln!(again, "{key}=\"{value}\"").expect("a string takes everything");
        again
    });
    assert_eq!(read(&again).as_ref(), Some(&variables), "{again:?}");
}

/// The variables of a file, if every line of it can be read.
fn read(file: &str) -> Option<BTreeMap<String, String>> {
    let loaded = process("env_file: .env").with("etc/.env", file).load().ok()?;
    let env = &loaded.desired.entries()[0].spec.exec.env;
    assert!(env.iter().all(|(_, value)| value.is_secret()), "a value of an env file is a secret");
    Some(env.iter().map(|(key, value)| (key.to_owned(), value.value().to_owned())).collect())
}
