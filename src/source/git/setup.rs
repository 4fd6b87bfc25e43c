//! What following a repository is made of.

use super::FollowerHost;
use super::commit_files::CommitInForce;
use crate::access::Trust;
use crate::source::file::FileSource;
use std::path::PathBuf;
use std::sync::Arc;

/// What the follower is made of.
#[derive(Clone, Debug)]
pub struct FollowSetup {
    /// Reads the host's own file.
    pub files: FileSource,
    /// The directory for what outlives a boot; one of this configuration is made in it.
    pub data: PathBuf,
    /// The configuration's path.
    pub config: PathBuf,
    /// The users that may own files.
    pub trust: Trust,
    /// Shared with the thread that reads files.
    pub in_force: CommitInForce,
    /// The program around it.
    pub host: Arc<dyn FollowerHost>,
}
