//! Configurations in memory, and texts as YAML takes any of them.

#[path = "../../support/memory.rs"]
mod memory;

pub(crate) use memory::Memory;
use navigator::config::{Environment, Loaded, Rejected, load};
use std::fmt::Write as _;
use std::path::Path;

/// Where the main file is.
pub(crate) const MAIN: &str = "etc/navigator.yml";

/// A secret of navigator's environment. It is no name of a process, for names are shown.
pub(crate) const SECRET: &str = "c4n4ry !";

impl Memory {
    /// What the main file means, in an environment in which `SECRET` is one, `A` is `1`, and `EMPTY` is empty.
    pub(crate) fn load(&self) -> Result<Loaded, Rejected> {
        load(Path::new(MAIN), self, &variables().into_iter().collect::<Environment>())
    }
}

/// The environment that everything is loaded in.
pub(crate) fn variables() -> [(&'static str, &'static str); 3] {
    [("A", "1"), ("EMPTY", ""), ("SECRET", SECRET)]
}

/// A text in double quotes, so written that YAML gives it back as it is.
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

/// A configuration with one process, which has this in it.
pub(crate) fn process(with: &str) -> Memory {
    Memory::default().with(MAIN, format!("managed_processes: [{{name: a, command: ./a, {with}}}]"))
}

/// The input as a text that YAML can hold, if it is one of a size worth looking at.
pub(crate) fn text(input: &[u8], most: usize) -> Option<&str> {
    std::str::from_utf8(input).ok().filter(|text| text.len() <= most && !text.contains('\0'))
}
