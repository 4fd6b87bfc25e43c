//! Why definitions are not valid together.

use crate::text::Name;
use alloc::vec::Vec;
use core::fmt;

/// Why definitions are not valid together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidDesired {
    /// Two definitions have one name; their places in the list given to `Desired::new`.
    Duplicate {
        /// The name.
        name: Name,
        /// The place of the first.
        first: usize,
        /// The place of the other.
        second: usize,
    },
    /// A dependency names no process.
    Unknown {
        /// The process that depends on it.
        name: Name,
        /// The unknown dependency.
        dependency: Name,
    },
    /// A process depends on itself.
    Itself {
        /// Its name.
        name: Name,
    },
    /// A managed process depends on an application, which comes after every managed process.
    Backwards {
        /// The managed process.
        name: Name,
        /// The application.
        dependency: Name,
    },
    /// Each of these depends on the next, and the last on the first.
    Cycle(Vec<Name>),
}

impl fmt::Display for InvalidDesired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidDesired::Duplicate { name, .. } => write!(f, "duplicate process name `{name}`"),
            InvalidDesired::Unknown { name, dependency } => {
                write!(f, "unknown process `{dependency}` in `depends_on` of `{name}`")
            }
            InvalidDesired::Itself { name } => write!(f, "process `{name}` depends on itself"),
            InvalidDesired::Backwards { name, dependency } => {
                write!(
                    f,
                    "managed process `{name}` depends on application `{dependency}`, which starts after every managed process"
                )
            }
            InvalidDesired::Cycle(names) => {
                f.write_str("dependency cycle: ")?;
                for name in names {
                    write!(f, "`{name}` → ")?;
                }
                write!(f, "`{}`", names[0])
            }
        }
    }
}
