//! Access to files and accounts on behalf of a process's user.

pub(crate) mod identity;
