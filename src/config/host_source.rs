//! The table of `source`: where the configuration of a host is followed from.

use super::Settings;
use super::git_url;
use super::parts::part;
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader, beside, keys};
use super::subject::{ITEM, KEY};
use super::table::{ChangeEffect, ConfigKey, ValueShape};
use super::tree::{MapEntry, Node, NodeKind, entry};
use crate::paths::absolute;
use reconcile::variables::Variables;
use std::path::PathBuf;
use std::time::Duration;

/// The variable with the name of the host. It is known beside `source` and in the repository's files.
pub(super) const HOST: &str = "NAVIGATOR_HOST";

/// The shortest interval between two looks.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The keys that may stand beside `source`.
pub(super) const BESIDE: [&str; 4] = ["env", "env_file", "logging", "shutdown_timeout"];

/// What the host's own file says about the configuration that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSource {
    /// The repository.
    pub git: GitSource,
    /// The name of this host in the repository.
    pub host: String,
    /// The variables of the host's own file: a layer above navigator's environment.
    pub(super) variables: Variables,
    /// The host's `logging`, if it is given.
    pub(super) settings: Option<Settings>,
    /// The host's `shutdown_timeout`, if it is given.
    pub(super) shutdown_timeout: Option<Duration>,
}

/// A Git repository, and what is followed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// The repository and its mirrors, in the order in which they are asked.
    pub urls: Vec<String>,
    /// What is followed.
    pub reference: GitReference,
    /// The file in the repository.
    pub path: String,
    /// The time between two looks.
    pub interval: Duration,
    /// The time limit of a fetch.
    pub timeout: Duration,
    /// The key that ssh authenticates with.
    pub ssh_key: Option<PathBuf>,
    /// The file with the keys of known hosts.
    pub known_hosts: Option<PathBuf>,
}

/// What is followed in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReference {
    /// The newest commit of a branch.
    Branch(String),
    /// One tag.
    Tag(String),
    /// The tag with the highest version, of those that match a pattern.
    Tags(String),
}

impl GitReference {
    /// Its name, without saying what it is.
    pub fn name(&self) -> &str {
        match self {
            GitReference::Branch(name) | GitReference::Tag(name) | GitReference::Tags(name) => name,
        }
    }
}

/// `source.git` while it is being decoded.
#[derive(Default)]
struct GitParts {
    urls: Vec<String>,
    /// Each of `branch`, `tag` and `tags` that is given.
    references: Vec<GitReference>,
    path: Option<String>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    ssh_key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
}

/// `source` while it is being decoded.
#[derive(Default)]
pub(super) struct SourceParts {
    pub(super) git: Option<GitSource>,
}

const fn key(name: &'static str, shape: ValueShape) -> ConfigKey {
    ConfigKey::new(name, shape, ChangeEffect::None)
}

/// The keys of `source`.
pub(super) static SOURCE: &[FieldReader<SourceParts>] = &[
    part(key("git", ValueShape::Part(|| keys(GIT))).required().means("the repository to follow"), |reader, node, source| {
        let mut parts = GitParts::default();
        reader.map(node, "source.git", GIT, &mut parts);
        source.git = parts.finish(reader, node);
    }),
    part(
        key("host", ValueShape::Text("name"))
            .otherwise("the host name")
            .means("name of this host, as `${NAVIGATOR_HOST}` has it"),
        // It is read before the others, which may refer to it.
        |_, _, _| {},
    ),
];

/// The keys of `source.git`.
static GIT: &[FieldReader<GitParts>] = &[
    part(
        key("url", ValueShape::Repositories)
            .required()
            .means("`ssh://`, `user@host:path`, `https://` or a path; a list: mirrors, asked in order"),
        |reader, node, git| {
            let nodes = node.one_or_more();
            let is_list = matches!(node.kind, NodeKind::List(_));
            git.urls = nodes
                .iter()
                .filter_map(|node| if is_list { reader.at(ITEM, |reader| url(reader, node)) } else { url(reader, node) })
                .collect();
            if nodes.is_empty() {
                reader.report(Problem::error(node.span, format!("{KEY} names no repository")).help("write the URL of one"));
            }
        },
    ),
    part(key("branch", ValueShape::Text("name")).otherwise("`main`").means("branch to follow"), |reader, node, git| {
        git.references.extend(reference(reader, node, false).map(GitReference::Branch));
    }),
    part(key("tag", ValueShape::Text("name")).means("tag to follow, instead of a branch"), |reader, node, git| {
        git.references.extend(reference(reader, node, false).map(GitReference::Tag));
    }),
    part(
        key("tags", ValueShape::Text("pattern")).means("pattern such as `v1.*`: the tag with the highest version is followed"),
        |reader, node, git| git.references.extend(reference(reader, node, true).map(GitReference::Tags)),
    ),
    part(
        key("path", ValueShape::Text("path")).otherwise("`navigator.yml`").means("the file in the repository"),
        |reader, node, git| git.path = path(reader, node),
    ),
    part(
        key("interval", ValueShape::Duration).default("60s").means("time between two looks, at least `10s`"),
        |reader, node, git| {
            git.interval = reader.duration(node);
            if git.interval.is_some_and(|interval| interval < MIN_INTERVAL) {
                let problem = Problem::error(node.span, format!("{KEY} must be at least `10s`"));
                reader.report(problem.help("write `10s` or more; `navigator reload` looks at once"));
            }
        },
    ),
    part(key("timeout", ValueShape::SomeDuration).default("60s").means("time limit of a fetch"), |reader, node, git| {
        git.timeout = reader.some_duration(node);
    }),
    part(
        key("ssh_key", ValueShape::File).otherwise("ssh's own").means("private key for ssh, relative to this file"),
        |reader, node, git| git.ssh_key = file(reader, node),
    ),
    part(
        key("known_hosts", ValueShape::File)
            .otherwise("ssh's own")
            .means("file with the keys of hosts, relative to this file; they are always checked"),
        |reader, node, git| git.known_hosts = file(reader, node),
    ),
];

impl GitParts {
    fn finish(self, reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<GitSource> {
        let NodeKind::Map(map) = &node.kind else { return None };
        if entry(&map.entries, "url").is_none() {
            let problem = Problem::error(node.span, format!("{KEY} has no `url`"));
            reader.report(problem.help("add `url:` and the address of the repository"));
        }
        let given: Vec<&MapEntry> = ["branch", "tag", "tags"].into_iter().filter_map(|name| entry(&map.entries, name)).collect();
        if let [_, second, ..] = given[..] {
            let problem = Problem::error(second.key_span, format!("{KEY} takes one of `branch`, `tag` and `tags`"));
            reader.report(problem.help("remove the others").label(given[0].key_span, "first given here"));
        }
        let seconds = Duration::from_secs;
        Some(GitSource {
            urls: self.urls,
            reference: self.references.into_iter().next().unwrap_or_else(|| GitReference::Branch("main".to_owned())),
            path: self.path.unwrap_or_else(|| "navigator.yml".to_owned()),
            interval: self.interval.unwrap_or(seconds(60)),
            timeout: self.timeout.unwrap_or(seconds(60)),
            ssh_key: self.ssh_key,
            known_hosts: self.known_hosts,
        })
    }
}

fn url(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<String> {
    let text = reader.filled(node)?;
    let directory = beside(reader.context.texts.path(node.span.text), "");
    match git_url::checked(text.value(), &directory) {
        Ok(url) => Some(url),
        Err(wrong) => {
            reader.report(Problem::error(node.span, format!("{KEY} {}", wrong.message)).help(wrong.help));
            None
        }
    }
}

fn reference(reader: &mut NodeReader<'_, '_, '_>, node: &Node, is_pattern: bool) -> Option<String> {
    let text = reader.filled(node)?;
    if git_url::is_reference(text.value(), is_pattern) {
        return Some(text.value().to_owned());
    }
    let (what, help) = if is_pattern {
        ("a pattern of tags", "write a pattern such as `v1.*`")
    } else {
        ("the name of a branch or tag", "write the name alone, such as `main` or `v1.2`")
    };
    reader.refuse(node, &text, what, Some(help));
    None
}

fn path(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<String> {
    let text = reader.filled(node)?;
    let is_inside = |part: &str| !matches!(part, "" | "." | "..");
    if text.value().split('/').all(is_inside) {
        return Some(text.value().to_owned());
    }
    reader.refuse(
        node,
        &text,
        "a path in the repository",
        Some("write it from the top of the repository, without `/` at its beginning and without `..`"),
    );
    None
}

fn file(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<PathBuf> {
    let path = reader.filled(node)?;
    Some(absolute(&beside(reader.context.texts.path(node.span.text), path.value())))
}
