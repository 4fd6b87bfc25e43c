//! Configurations in memory, and texts quoted for YAML.

#[path = "../../support/memory.rs"]
mod memory;

pub(crate) use memory::Memory;
use navigator::config::{Environment, Loaded, Rejected, load};
use std::fmt::Write as _;
use std::path::Path;

/// The path of the main file.
pub(crate) const MAIN: &str = "etc/navigator.yml";

/// A secret of navigator's environment. It is no valid process name, because names are shown.
pub(crate) const SECRET: &str = "c4n4ry !";

impl Memory {
    /// Loads the main file, in the environment of [`variables`].
    pub(crate) fn load(&self) -> Result<Loaded, Rejected> {
        load(Path::new(MAIN), self, &variables().into_iter().collect::<Environment>())
    }
}

/// The environment that everything is loaded in.
pub(crate) fn variables() -> [(&'static str, &'static str); 3] {
    [("A", "1"), ("EMPTY", ""), ("SECRET", SECRET)]
}

/// A text in double quotes that YAML reads as this text.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        if char.is_ascii_graphic() && !matches!(char, '"' | '\\') || char == ' ' {
            quoted.push(char);
        } else {
            write!(quoted, "\\U{:08X}", u32::from(char)).expect("a string takes everything");
        }
    }
    quoted.push('"');
    quoted
}

/// A configuration with one process that has these fields.
pub(crate) fn process(with: &str) -> Memory {
    Memory::default().with(MAIN, format!("managed_processes: [{{name: a, command: ./a, {with}}}]"))
}

/// The input as a text that YAML can hold, if it has no more than `most` bytes.
pub(crate) fn text(input: &[u8], most: usize) -> Option<&str> {
    std::str::from_utf8(input).ok().filter(|text| text.len() <= most && !text.contains('\0'))
}
