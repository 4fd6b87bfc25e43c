//! Reads files: configuration files become trees, env files become layers of variables, each file once.
//!
//! This module reports files that can't be read. `load` reports what is wrong with a tree or a layer.

use super::content::ContentHasher;
use super::environment::Environment;
use super::files::{Files, MAX_BYTES};
use super::host_source::HostSource;
use super::parts::{ENV_FILE, EnvFileItem};
use super::problems::{Problem, Problems, ShownProblems};
use super::reader::{NodeReader, beside};
use super::scope::{Context, VariableScope};
use super::source_map::{SourceMap, SourceSpan, TextId};
use super::subject::{KEY, OWNER};
use super::tree::{Node, NodeKind, entry};
use super::words::{is_variable, quoted_if_needed};
use super::{Inputs, dialects, dotenv, duplicates, git_url, glob, secret_mask, secrets, top, yaml};
use crate::access::Distrust;
use crate::paths::absolute;
use reconcile::text::Text;
use reconcile::variables::Variables;
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Everything that has been read so far, and what is needed to read more.
pub(super) struct Loader<'l> {
    pub(super) files: &'l dyn Files,
    pub(super) environment: &'l Environment,
    pub(super) origin: Origin,
    /// Where the configuration is followed from.
    pub(super) source: Option<Arc<HostSource>>,
    /// The directory of the configuration.
    config_dir: String,
    /// The working directory, once it is needed.
    working_dir: OnceCell<PathBuf>,
    pub(super) texts: SourceMap,
    pub(super) problems: Problems,
    pub(super) inputs: Inputs,
    /// The hash of all files in the order of reading.
    pub(super) content: ContentHasher,
    /// The variables of each env file, or why it can't be read (`None`: that has been reported).
    env_files: HashMap<PathBuf, Result<Rc<Variables>, Option<EnvFileError>>>,
    /// Bytes that substitution has produced.
    substituted: usize,
    /// Sockets of all processes.
    sockets: usize,
    /// The configuration files, each with its tree if it is YAML.
    parsed: Vec<(TextId, Option<Rc<Node>>)>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// It is this host's own file.
    Host,
    /// It is in a repository. The variables are those of the host's own file.
    Repository(Variables),
}

impl Origin {
    pub(super) fn is_repository(&self) -> bool {
        matches!(self, Origin::Repository(_))
    }

    /// The variables of the host's own file, if this is another one.
    pub(super) fn variables(&self) -> &Variables {
        const NONE: &Variables = &Variables::none();
        match self {
            Origin::Host => NONE,
            Origin::Repository(variables) => variables,
        }
    }
}

/// Why an env file can't be read.
#[derive(Clone)]
struct EnvFileError {
    reason: String,
    is_missing: bool,
    remedy: Option<String>,
}

/// The env files of a process, or of the top of the file.
#[derive(Default)]
pub(super) struct EnvFiles {
    pub(super) variables: Variables,
    /// A file could not be read.
    pub(super) is_incomplete: bool,
    /// Files that don't exist; not reported yet.
    pub(super) missing: Vec<Problem>,
}

/// Reads an item of `env_file`: a path, or a map with the path.
fn env_file_item(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> EnvFileItem {
    let mut item = EnvFileItem::default();
    match &node.kind {
        NodeKind::Map(map) => {
            reader.map(node, "env_file", ENV_FILE, &mut item);
            if entry(&map.entries, "path").is_none() {
                let problem = Problem::error(node.span, format!("an item of {KEY} has no `path`"));
                reader.report(problem.help("write `{path: PATH, required: false}`"));
            }
        }
        _ => item.path = reader.filled(node),
    }
    item
}

impl<'l> Loader<'l> {
    pub(super) fn new(main: &Path, files: &'l dyn Files, environment: &'l Environment, origin: Origin) -> Loader<'l> {
        let config_dir = absolute(main).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        Loader {
            files,
            environment,
            origin,
            source: None,
            config_dir,
            working_dir: OnceCell::new(),
            texts: SourceMap::default(),
            problems: Problems::default(),
            inputs: Inputs::default(),
            content: ContentHasher::default(),
            env_files: HashMap::new(),
            substituted: 0,
            sockets: 0,
            parsed: Vec::new(),
        }
    }

    /// The paths that a pattern matches.
    pub(super) fn expand(&mut self, pattern: &Path) -> io::Result<BTreeSet<PathBuf>> {
        glob::expand(pattern, self.files, &mut self.inputs.directories)
    }

    pub(super) fn read_file(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.inputs.files.insert(path.to_owned());
        let read = self.files.read(path);
        self.content.add(read.as_deref().ok());
        let bytes = read?;
        if bytes.len() as u64 > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    /// Whether a file that can't be read here is taken as given, because it belongs to another machine. `written`: its path as it is
    /// in the configuration.
    pub(super) fn is_elsewhere(&self, error: &io::Error, written: &str, path: &Path) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        if !self.environment.is_elsewhere() || !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) {
            return false;
        }
        let directory = Path::new(&self.config_dir);
        let is_unknown = written.contains("${");
        let is_outside = is_unknown || Path::new(written).is_absolute() && !absolute(path).starts_with(directory);
        is_outside || self.files.list(directory).is_err()
    }

    /// Parses a configuration file; problems show its path as `shown`.
    pub(super) fn tree(&mut self, path: &Path, shown: &Path, bytes: Vec<u8>) -> Option<Rc<Node>> {
        let text = self.add_text(path, shown, bytes)?;
        let (tree, problems) = match yaml::parse(text, &self.texts, &mut self.problems) {
            Ok(mut node) if is_map_or_empty(&node) => {
                secrets::mark(&mut node);
                duplicates::report(&node, &mut self.problems);
                let node = Rc::new(node);
                self.parsed.push((text, Some(Rc::clone(&node))));
                return Some(node);
            }
            // Many texts in another format are a single value or a list in YAML.
            Ok(node) => {
                let problem = top::not_a_map(&node, &self.texts);
                (Some(Rc::new(node)), vec![problem])
            }
            Err(problems) => (None, problems),
        };
        self.parsed.push((text, tree));
        match dialects::recognized(text, &self.texts) {
            Some(problem) => self.problems.add(problem),
            None => self.problems.add_all(problems),
        }
        None
    }

    /// Masks the secrets around the places where problems are shown. No other part of a text is ever shown, so this is done at
    /// the end, and only up to the last of these places.
    pub(super) fn mask_shown(&mut self, shown: &ShownProblems) {
        for (text, tree) in &self.parsed {
            let Some(end) = shown.places().filter(|place| place.text == *text).map(|place| self.texts.line_end(place)).max()
            else {
                continue;
            };
            let source = self.texts.text(*text);
            let in_tree = tree.as_ref().map(|tree| secret_mask::of_tree(tree, source));
            let in_lines = match tree {
                // A line meant as a variable need not be one in YAML.
                Some(tree) if is_map_or_empty(tree) => secret_mask::of_blocks(&source[..end]),
                _ => secret_mask::of_lines(&source[..end]),
            };
            let in_urls = git_url::passwords(&source[..end]);
            self.texts.mask(*text, in_tree.into_iter().flatten().chain(in_lines).chain(in_urls));
        }
    }

    /// Adds a file's bytes as a text, if they are UTF-8 without NUL.
    fn add_text(&mut self, path: &Path, shown: &Path, bytes: Vec<u8>) -> Option<TextId> {
        // In UTF-16, every other byte of ASCII text is zero.
        let is_utf16 = matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..]);
        let (valid, invalid_at) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned(), Some(valid))
            }
        };
        let valid = valid.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(valid);
        let nul = valid.find('\0');
        let length = valid.len();
        let text = self.texts.add(path, valid);
        self.texts.show_as(text, shown);
        let at = |start: usize| SourceSpan::new(text, start.min(length)..start.min(length));
        let problem = match (is_utf16, nul, invalid_at) {
            (true, ..) => Problem::error(at(0), "this file is not UTF-8 but looks like UTF-16").help("save it as UTF-8"),
            (_, Some(nul), _) => Problem::error(at(nul), "this file contains a NUL character")
                .help("a crash or a full disk can leave such a file: restore it, or remove the character"),
            (_, _, Some(end)) => Problem::error(at(end), "this file is not UTF-8").help("save it as UTF-8"),
            _ => return Some(text),
        };
        self.texts.mask(text, std::iter::once(0..length));
        self.problems.add(problem);
        None
    }

    pub(super) fn context(&mut self) -> Context<'_> {
        Context {
            texts: &self.texts,
            environment: self.environment,
            config_dir: &self.config_dir,
            working_dir: &self.working_dir,
            problems: &mut self.problems,
            substituted: &mut self.substituted,
            sockets: &mut self.sockets,
        }
    }

    /// Reads with this scope.
    pub(super) fn with_reader<T>(
        &mut self,
        scope: &mut VariableScope<'_>,
        read: impl FnOnce(&mut NodeReader<'_, '_, '_>) -> T,
    ) -> T {
        let mut context = self.context();
        read(&mut NodeReader { scope, context: &mut context })
    }

    /// Reads the env files of a process, or of the top of the file. Later files override earlier ones.
    pub(super) fn env_files(&mut self, node: &Node, scope: &mut VariableScope<'_>) -> EnvFiles {
        let items: Vec<(EnvFileItem, SourceSpan)> = self.with_reader(scope, |reader| {
            let nodes = node.one_or_more();
            reader.at("env_file", |reader| nodes.iter().map(|node| (env_file_item(reader, node), node.span)).collect())
        });
        let mut files = EnvFiles::default();
        let mut found = Vec::new();
        for (EnvFileItem { path, is_optional }, span) in items {
            match path.map(|name| self.env_file(&name, span, is_optional)) {
                Some(Ok(layer)) => found.extend(layer),
                Some(Err(Some(problem))) => files.missing.push(problem),
                Some(Err(None)) | None => files.is_incomplete = true,
            }
        }
        files.is_incomplete |= !files.missing.is_empty();
        let layers: Vec<&Variables> = found.iter().map(|found| &**found).collect();
        files.variables = Variables::of_layers(&layers);
        files
    }

    /// The variables of an env file; nothing for a missing optional one.
    ///
    /// # Errors
    /// The problem to report if it is missing; any other problem has been reported.
    fn env_file(&mut self, name: &Text, span: SourceSpan, is_optional: bool) -> Result<Option<Rc<Variables>>, Option<Problem>> {
        let path = beside(self.texts.path(span.text), name.value());
        if !self.env_files.contains_key(&path) {
            let read = self.read_file(&path);
            if read.as_ref().is_err_and(|error| self.is_elsewhere(error, name.value(), &path)) {
                self.env_files.insert(path, Err(None));
                return Err(None);
            }
            let failure = |error: io::Error| EnvFileError {
                reason: read_failure(&error, name.is_secret()),
                is_missing: error.kind() == io::ErrorKind::NotFound,
                remedy: remedy(&error, name.is_secret()),
            };
            let read = read.map_err(|error| Some(failure(error)));
            let shown = format!("(from {})", name.shown());
            let shown_path = beside(self.texts.shown_path(span.text), name.shown());
            let layer = read.and_then(|bytes| self.read_env_file(&path, &shown_path, bytes, &shown).ok_or(None));
            self.env_files.insert(path.clone(), layer.map(Rc::new));
        }
        // An unreadable file is reported at each place that names it.
        match self.env_files[&path].clone() {
            Ok(layer) => Ok(Some(layer)),
            // Invalid text has been reported in the file itself.
            Err(None) => Err(None),
            Err(Some(EnvFileError { is_missing: true, .. })) if is_optional => Ok(None),
            Err(Some(EnvFileError { reason, is_missing, remedy })) => {
                let problem = Problem::error(span, format!("env file `{}`{OWNER}: {reason}", name.shown()));
                let help = match name.shown().strip_prefix("~/") {
                    _ if remedy.is_some() => remedy.unwrap_or_default(),
                    Some(rest) => format!(
                        "`~` is not replaced, there is no shell: write `{}`",
                        quoted_if_needed(&format!("${{HOME}}/{rest}"))
                    ),
                    None if !is_missing || name.is_secret() || path == Path::new(name.value()) => NAME_OR_REMOVE.to_owned(),
                    None => format!("it was expected at `{}`: a path is relative to the file that names it", path.display()),
                };
                let problem = problem.help(help);
                if is_missing {
                    return Err(Some(problem));
                }
                self.problems.add(problem);
                Err(None)
            }
        }
    }

    fn read_env_file(&mut self, path: &Path, shown_path: &Path, bytes: Vec<u8>, shown: &str) -> Option<Variables> {
        let text = self.add_text(path, shown_path, bytes)?;
        let content = self.texts.text(text);
        let found = dotenv::parse(content);
        let mut hidden = Vec::new();
        let mut end = 0;
        // The names of variables are shown, also of those with a wrong value.
        let mut keys: Vec<Range<usize>> = found.variables.iter().map(|(key, _)| key.clone()).collect();
        keys.extend(
            found.mistakes.iter().map(|mistake| mistake.range.clone()).filter(|range| is_variable(&content[range.clone()])),
        );
        keys.sort_by_key(|key| key.start);
        for key in &keys {
            hidden.push(end..key.start.max(end));
            end = key.end;
        }
        hidden.push(end..content.len());
        for mistake in &found.mistakes {
            let span = SourceSpan::new(text, mistake.range.clone());
            let key = content[mistake.range.clone()].split('=').next().unwrap_or_default().trim();
            let value = if is_variable(key) { format!("the value of `{key}`") } else { "this value".to_owned() };
            let message = mistake.message.replace("this value", &value);
            self.problems.add(Problem::error(span, message).help(mistake.help));
        }
        let variables = found.variables.iter();
        let layer = variables.map(|(key, value)| (content[key.clone()].into(), Text::secret(value, shown))).collect();
        self.texts.mask(text, hidden);
        Some(layer)
    }
}

/// Whether this can be a configuration, even an empty one.
fn is_map_or_empty(tree: &Node) -> bool {
    matches!(tree.kind, NodeKind::Map(_)) || tree.is_null()
}

const NAME_OR_REMOVE: &str = "name a readable file, or remove this";

/// What to do about a path at which no file can be read.
pub(super) fn path_help(error: &io::Error, is_secret: bool) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "a path is relative to the file that names it; with a `*` in it, it need not match any file".to_owned()
        }
        _ => remedy(error, is_secret).unwrap_or_else(|| NAME_OR_REMOVE.to_owned()),
    }
}

/// How to make an untrusted file trusted, if that is the problem.
pub(super) fn remedy(error: &io::Error, is_secret: bool) -> Option<String> {
    let distrust = Distrust::behind(error)?;
    Some(if is_secret { distrust.remedy_without_path() } else { distrust.remedy() })
}

/// Why a file can't be read, in one line; without its path if that is secret.
pub(super) fn read_failure(error: &io::Error, is_secret: bool) -> String {
    if let Some(distrust) = Distrust::behind(error) {
        return if is_secret { distrust.without_path() } else { distrust.to_string() };
    }
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission to read it is denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        io::ErrorKind::FileTooLarge => format!("it is larger than {} MiB", MAX_BYTES >> 20),
        _ => error.to_string(),
    }
}
