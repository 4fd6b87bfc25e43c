//! Access to files by rules of trust, and on behalf of a process's user.
//!
//! | module | what it does |
//! |---|---|
//! | `trust` | judges a file or directory: can any but a trusted user change it? |
//! | `walk` | goes a path component by component through held descriptors, judges each step, and acts as the process's user from the first step on that is not trusted |
//! | `directory` | holds a directory of navigator's own |
//! | `regular` | opens regular files and nothing else |
//! | `identity` | looks up users and groups, and borrows their rights |

mod directory;
pub(crate) mod identity;
pub(crate) mod regular;
mod trust;
pub(crate) mod walk;

pub use directory::Directory;
pub(crate) use identity::number_of as user_number;
pub use trust::{Distrust, Trust};
pub use walk::FoundPath;
