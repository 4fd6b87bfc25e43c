//! From the main file to everything it names: reads the texts, and takes each through the stages.

use super::environment::Environment;
use super::fields::beside;
use super::files::{Files, MAX_BYTES};
use super::problems::{Problem, Problems};
use super::process::{self, Process};
use super::reader::Reader;
use super::resolve::{Missing, resolve};
use super::scope::{Context, Layer, Scope};
use super::texts::{Span, TextId, Texts};
use super::tree::{Entry, Node, entry};
use super::{Inputs, Loaded, Rejected, RejectedKind, Settings, dotenv, glob, top, veil, yaml};
use reconcile::desired::Desired;
use reconcile::spec::Tier;
use reconcile::text::Text;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Reads a configuration and everything it names.
///
/// # Errors
/// Every problem that keeps it from being put in force.
pub fn load(main: &Path, files: &dyn Files, environment: &Environment) -> Result<Loaded, Rejected> {
    let mut loader = Loader {
        files,
        environment,
        texts: Texts::default(),
        problems: Problems::default(),
        inputs: Inputs::default(),
        env_files: HashMap::new(),
        substituted: 0,
    };
    let (outcome, kind) = match loader.open(main) {
        Ok(bytes) => (loader.load(main, bytes), RejectedKind::Invalid),
        Err(error) => {
            let kind = if error.kind() == io::ErrorKind::FileTooLarge { RejectedKind::Invalid } else { RejectedKind::Unreadable };
            let text = loader.texts.add(main, String::new());
            loader.problems.add(Problem::error(Span::start(text), unreadable(&error)));
            (None, kind)
        }
    };
    let rejected = loader.problems.has_errors();
    let (diagnostics, omitted) = loader.problems.finish(&loader.texts);
    match outcome {
        Some((desired, settings)) if !rejected => Ok(Loaded { desired, settings, warnings: diagnostics, inputs: loader.inputs }),
        _ => Err(Rejected { diagnostics, omitted, kind, inputs: loader.inputs }),
    }
}

struct Loader<'l> {
    files: &'l dyn Files,
    environment: &'l Environment,
    texts: Texts,
    problems: Problems,
    inputs: Inputs,
    /// Each env file is read once; one that can't be read is `None`.
    env_files: HashMap<PathBuf, Option<Rc<Layer>>>,
    substituted: usize,
}

/// What every process shares.
struct Shared<'a> {
    defaults: Vec<&'a Entry>,
    env: Layer,
    env_file: Layer,
    /// A global env file could not be read.
    incomplete: bool,
}

impl Loader<'_> {
    fn load(&mut self, main: &Path, bytes: Vec<u8>) -> Option<(Desired, Settings)> {
        let node = self.tree(main, bytes)?;
        let entries = top::entries(&node, true, &mut self.problems);
        let mut missing = Missing::default();
        let included = self.include(main, entry(entries, "include"), &mut missing);
        let mut nodes = top::processes(entries, &mut self.problems);
        for node in &included {
            let entries = top::entries(node, false, &mut self.problems);
            nodes.extend(top::processes(entries, &mut self.problems));
        }
        // Applications come after every managed process, in whichever file either stands.
        nodes.sort_by_key(|&(tier, _)| tier);
        let shared = self.shared(entries);
        let mut processes = Vec::new();
        for (tier, node) in nodes {
            match self.process(tier, node, &shared) {
                Some(process) => processes.push(process),
                None => missing.names.extend(process::written_name(node)),
            }
        }
        let (settings, timeout) = self.settings(entries, &shared);
        let desired = resolve(processes, &missing, timeout, &mut self.problems)?;
        Some((desired, settings))
    }

    fn open(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.inputs.files.insert(path.to_owned());
        self.files.read(path)
    }

    /// The tree of a configuration file.
    fn tree(&mut self, path: &Path, bytes: Vec<u8>) -> Option<Node> {
        let text = self.text(path, bytes)?;
        match yaml::parse(text, &self.texts, &mut self.problems) {
            Ok(node) => {
                self.texts.veil(text, veil::of_tree(&node));
                Some(node)
            }
            Err(problem) => {
                self.texts.veil(text, veil::of_lines(self.texts.text(text)));
                self.problems.add(problem);
                None
            }
        }
    }

    /// Takes the bytes of a file in as a text, if they are one.
    fn text(&mut self, path: &Path, bytes: Vec<u8>) -> Option<TextId> {
        let wide = bytes.starts_with(&[0xff, 0xfe])
            || bytes.starts_with(&[0xfe, 0xff])
            || bytes.get(1) == Some(&0)
            || bytes.first() == Some(&0) && bytes.len() > 1 && bytes[1] != 0;
        let (valid, broken) = match String::from_utf8(bytes) {
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
        let at = |start: usize| Span { text, start: start.min(length), end: start.min(length) };
        let problem = match (wide, nul, broken) {
            (true, ..) => Problem::error(at(0), "this file is not UTF-8 but looks like UTF-16").help("save it as UTF-8"),
            (_, Some(nul), _) => Problem::error(at(nul), "this file holds a NUL character"),
            (_, _, Some(end)) => Problem::error(at(end), "this file is not UTF-8").help("save it as UTF-8"),
            _ => return Some(text),
        };
        self.texts.veil(text, std::iter::once(0..length));
        self.problems.add(problem);
        None
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            texts: &self.texts,
            environment: self.environment,
            problems: &mut self.problems,
            substituted: &mut self.substituted,
        }
    }

    /// Reads with this scope.
    fn reading<T>(&mut self, scope: &mut Scope<'_>, read: impl FnOnce(&mut Reader<'_, '_, '_>) -> T) -> T {
        let mut context = self.context();
        read(&mut Reader { scope, context: &mut context })
    }

    /// The trees of the included files, in the order of their paths.
    fn include(&mut self, main: &Path, include: Option<&Entry>, missing: &mut Missing<'_>) -> Vec<Node> {
        let Some(include) = include.filter(|entry| !entry.value.is_null()) else { return Vec::new() };
        let mut scope = Scope::default();
        let patterns: Vec<(Text, Span)> = self.reading(&mut scope, |reader| {
            let nodes = include.value.one_or_more();
            nodes.iter().filter_map(|node| Some((reader.filled(node, "a path")?, node.span))).collect()
        });
        // Where a path was named; `None` if only a glob found it.
        let mut paths: BTreeMap<PathBuf, Option<Span>> = BTreeMap::new();
        for (pattern, span) in patterns {
            let path = beside(main, pattern.value());
            if pattern.value().contains("**") {
                self.problems.add(
                    Problem::error(span, "`**` is not possible in a path").help("name each directory, as in `conf.d/*.yml`"),
                );
            } else if glob::is_glob(pattern.value()) {
                for found in glob::expand(&path, self.files, &mut self.inputs.directories) {
                    paths.entry(found).or_default();
                }
            } else if path == main {
                self.problems.add(Problem::error(span, "a file can't include itself"));
            } else {
                paths.insert(path, Some(span));
            }
        }
        paths.remove(main);
        let mut nodes = Vec::new();
        for (path, named) in paths {
            let node = match self.open(&path) {
                Ok(bytes) => self.tree(&path, bytes),
                // A glob is about files; a directory beside them is not meant.
                Err(error) if named.is_none() && error.kind() == io::ErrorKind::IsADirectory => continue,
                Err(error) => {
                    let message = format!("`{}`: {}", path.display(), unreadable(&error));
                    self.problems.add(Problem::error(named.unwrap_or(include.value.span), message));
                    None
                }
            };
            missing.files |= node.is_none();
            nodes.extend(node);
        }
        nodes
    }

    /// What the top of the main file says for every process.
    fn shared<'a>(&mut self, entries: &'a [Entry]) -> Shared<'a> {
        let given = |key: &str| entry(entries, key).filter(|entry| !entry.value.is_null());
        let (env_file, incomplete) = match given("env_file") {
            Some(entry) => self.env_files(&entry.value, &mut Scope::default()),
            None => (Layer::new(), false),
        };
        let maps: Vec<&Node> = given("env").map(|entry| &entry.value).into_iter().collect();
        let own = process::variables(&maps, &mut self.problems);
        let mut scope = Scope::new(own, vec![&env_file]).incomplete(incomplete);
        let env = scope.resolve_own(&mut self.context());
        let defaults = given("defaults").map(|entry| process::defaults(&entry.value, &mut self.problems)).unwrap_or_default();
        self.check_defaults(&defaults);
        Shared { defaults, env, env_file, incomplete }
    }

    /// Reads defaults that perhaps no process takes, so that mistakes in them are found all the same. What they refer to is
    /// known only in a process.
    fn check_defaults(&mut self, defaults: &[&Entry]) {
        let maps: Vec<&Node> = defaults.iter().filter(|entry| entry.key == "env").map(|entry| &entry.value).collect();
        let own = process::variables(&maps, &mut self.problems);
        let mut scope = Scope::new(own, Vec::new()).blank();
        scope.resolve_own(&mut self.context());
        self.reading(&mut scope, |reader| process::read(reader, defaults));
    }

    fn process(&mut self, tier: Tier, node: &Node, shared: &Shared<'_>) -> Option<Process> {
        let own = process::fields(node, &mut self.problems)?;
        let default_env = shared.defaults.iter().find(|entry| entry.key == "env");
        let own_env = own.iter().find(|entry| entry.key == "env");
        let maps: Vec<&Node> = own_env.into_iter().chain(default_env).map(|entry| &entry.value).collect();
        let entries = process::filled_up(own, &shared.defaults);
        let variables = process::variables(&maps, &mut self.problems);
        let incomplete = shared.incomplete;
        let (env_file, file_missing) = match entries.iter().find(|entry| entry.key == "env_file" && !entry.value.is_null()) {
            Some(entry) => {
                let mut scope = Scope::new(variables.clone(), vec![&shared.env, &shared.env_file]).incomplete(incomplete);
                self.env_files(&entry.value, &mut scope)
            }
            None => (Layer::new(), false),
        };
        let below = vec![&env_file, &shared.env, &shared.env_file];
        let mut scope = Scope::new(variables, below).incomplete(incomplete || file_missing);
        let env = scope.resolve_own(&mut self.context());
        let mut draft = self.reading(&mut scope, |reader| process::read(reader, &entries));
        draft.spec.tier = tier;
        for layer in [&shared.env_file, &shared.env, &env_file, &env] {
            draft.spec.exec.env.extend(layer.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        process::complete(draft, node, &entries, &mut self.problems)
    }

    /// The variables of env files, a later file over an earlier one, and whether one of them could not be read.
    fn env_files(&mut self, node: &Node, scope: &mut Scope<'_>) -> (Layer, bool) {
        let named: Vec<(Option<Text>, Span)> = self.reading(scope, |reader| {
            let nodes = node.one_or_more();
            nodes.iter().map(|node| (reader.filled(node, "a path"), node.span)).collect()
        });
        let (mut layer, mut missing) = (Layer::new(), false);
        for (name, span) in named {
            let found = name.and_then(|name| self.env_file(&name, span));
            missing |= found.is_none();
            for (key, value) in found.iter().flat_map(|found| found.iter()) {
                layer.insert(key.clone(), value.clone());
            }
        }
        (layer, missing)
    }

    fn env_file(&mut self, name: &Text, span: Span) -> Option<Rc<Layer>> {
        let path = beside(self.texts.path(span.text), name.value());
        if let Some(known) = self.env_files.get(&path) {
            return known.clone();
        }
        let layer = match self.open(&path) {
            Ok(bytes) => self.read_env_file(&path, bytes, &format!("(from {})", name.shown())).map(Rc::new),
            Err(error) => {
                self.problems.add(Problem::error(span, format!("env file `{}`: {}", name.shown(), unreadable(&error))));
                None
            }
        };
        self.env_files.insert(path, layer.clone());
        layer
    }

    fn read_env_file(&mut self, path: &Path, bytes: Vec<u8>, shown: &str) -> Option<Layer> {
        let text = self.text(path, bytes)?;
        let content = self.texts.text(text);
        let found = dotenv::parse(content);
        let mut hidden = Vec::new();
        let mut end = 0;
        let mut layer = Layer::new();
        for (key, value) in &found.variables {
            hidden.push(end..key.start);
            end = key.end;
            layer.insert(content[key.clone()].to_owned(), Text::secret(value, shown));
        }
        hidden.push(end..content.len());
        for mistake in &found.mistakes {
            let span = Span { text, start: mistake.range.start, end: mistake.range.end };
            self.problems.add(Problem::error(span, mistake.message).help(mistake.help));
        }
        self.texts.veil(text, hidden);
        Some(layer)
    }

    fn settings(&mut self, entries: &[Entry], shared: &Shared<'_>) -> (Settings, Duration) {
        let given = |key: &str| entry(entries, key).filter(|entry| !entry.value.is_null()).map(|entry| &entry.value);
        let mut scope = Scope::new(BTreeMap::new(), vec![&shared.env, &shared.env_file]).incomplete(shared.incomplete);
        self.reading(&mut scope, |reader| {
            let settings = given("logging").map(|node| top::logging(reader, node)).unwrap_or_default();
            let timeout = given("shutdown_timeout").and_then(|node| reader.duration(node));
            (settings, timeout.unwrap_or(Desired::SHUTDOWN_TIMEOUT))
        })
    }
}

/// Why a file can't be read, in words of one line.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission to read it is denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        io::ErrorKind::FileTooLarge => format!("it is larger than {} MiB", MAX_BYTES >> 20),
        _ => error.to_string(),
    }
}
