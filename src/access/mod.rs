//! Trusted file access: decides which files may be used, and acts with the rights of a process's user where needed.
//!
//! | module | what it does |
//! |---|---|
//! | `trust` | decides whether only trusted users can change a file or directory |
//! | `walk` | walks a path by descriptors, checks each step, and uses the rights of the process's user from the first untrusted step on |
//! | `directory` | holds a directory of navigator open and works in it |
//! | `regular` | opens regular files only |
//! | `identity` | looks up users and groups, and borrows their rights |

mod directory;
pub(crate) mod identity;
pub(crate) mod regular;
mod trust;
pub(crate) mod walk;

pub use directory::Directory;
pub(crate) use identity::uid_of;
pub use trust::{Distrust, Trust};
pub use walk::FoundPath;
