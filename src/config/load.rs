//! Loads the main file, its includes and its env files: the stages of loading in order.

use super::bootstrap::report_in_repository;
use super::draft::{Given, given};
use super::effective::Document;
use super::environment::Environment;
use super::files::{Files, InPlace};
use super::host_source::HostSource;
use super::problems::Problem;
use super::process::{self, ParsedProcess};
use super::read::{EnvFiles, Loader, Origin, path_help, read_failure, remedy};
use super::reader::beside;
use super::resolve::{UnreadProcesses, drop_unread, resolve};
use super::scope::VariableScope;
use super::source_map::SourceSpan;
use super::subject::Owner;
use super::tree::{MapEntry, Node, entry};
use super::{
    Diagnostic, Loaded, Rejected, RejectedKind, Settings, address_conflicts, glob, replicas, serving_checks, shell_lints, top,
};
use crate::access::Distrust;
use reconcile::desired::Desired;
use reconcile::rollback::Rollback;
use reconcile::spec::{Exec, InheritEnv, Tier};
use reconcile::text::Text;
use reconcile::variables::Variables;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Loads a configuration with its includes and env files.
///
/// # Errors
/// Every problem of these files, if one of them is an error.
pub fn load(main: &Path, files: &dyn Files, environment: &Environment) -> Result<Loaded, Rejected> {
    load_into(main, files, environment, None)
}

/// Loads the content of `file` as if it were in the place of the configuration `main`. Problems name `file`.
///
/// # Errors
/// Those of [`load`].
pub fn load_in_place(file: &Path, main: &Path, files: &dyn Files, environment: &Environment) -> Result<Loaded, Rejected> {
    let name_file = |diagnostics: &mut Vec<Diagnostic>| {
        for Diagnostic { file: found, labels, .. } in diagnostics {
            let places = std::iter::once(found).chain(labels.iter_mut().map(|label| &mut label.file));
            places.filter(|place| *place == main).for_each(|place| file.clone_into(place));
        }
    };
    let mut outcome = load(main, &InPlace { files, place: main, file }, environment);
    match &mut outcome {
        Ok(loaded) => name_file(&mut loaded.warnings),
        Err(rejected) => name_file(&mut rejected.diagnostics),
    }
    outcome
}

/// Like [`load`]; also writes the effective configuration into a document.
pub(super) fn load_into(
    main: &Path,
    files: &dyn Files,
    environment: &Environment,
    document: Option<&mut Document>,
) -> Result<Loaded, Rejected> {
    load_with(main, files, environment, Origin::Host, document)
}

/// The same for a file of any origin.
pub(super) fn load_with(
    main: &Path,
    files: &dyn Files,
    environment: &Environment,
    origin: Origin,
    document: Option<&mut Document>,
) -> Result<Loaded, Rejected> {
    let mut loader = Loader::new(main, files, environment, origin);
    let (outcome, kind) = match loader.read_file(main) {
        Ok(bytes) => (loader.load(main, bytes, document), RejectedKind::Invalid),
        Err(error) => {
            let exists = error.kind() == io::ErrorKind::FileTooLarge || Distrust::behind(&error).is_some();
            let kind = if exists { RejectedKind::Invalid } else { RejectedKind::Unreadable };
            let text = loader.texts.add(main, String::new());
            let problem = Problem::error(SourceSpan::beginning(text), read_failure(&error, false));
            loader.problems.add(match remedy(&error, false) {
                Some(remedy) => problem.help(remedy),
                None => problem,
            });
            (None, kind)
        }
    };
    let rejected = loader.problems.has_errors();
    let shown = std::mem::take(&mut loader.problems).into_shown(&loader.texts);
    loader.mask_shown(&shown);
    let (diagnostics, omitted) = shown.into_diagnostics(&loader.texts, top::is_own_key);
    let content = loader.content.finish();
    match outcome {
        Some((desired, settings)) if !rejected => {
            let (inputs, source) = (loader.inputs, loader.source);
            Ok(Loaded { desired, settings, warnings: diagnostics, inputs, content, contents: Vec::new(), source })
        }
        _ => Err(Rejected { diagnostics, omitted, kind, inputs: loader.inputs, content: Box::new(content), source: None }),
    }
}

/// Limit of processes; each takes about 1 KiB of memory.
const MAX_PROCESSES: usize = 12_000;

/// Top-level settings that apply to every process.
struct SharedSettings<'a> {
    defaults: Vec<Given<'a>>,
    env: Variables,
    env_file: Variables,
    /// The variables of the host's own file, if this one is in a repository.
    host: Variables,
    /// A global env file could not be read.
    incomplete: bool,
    /// The file has a `command` at its top level.
    stray_command: bool,
}

/// An included file.
struct Included {
    /// Position of its path; `None` if only a glob matched it.
    named_at: Option<SourceSpan>,
    /// Its path for messages.
    shown: PathBuf,
    /// Its path comes from a variable.
    is_secret: bool,
    /// Its path or pattern in the file.
    written: String,
}

/// A path for messages. Parts from variables are shown as written, parts that a wildcard matched as found.
fn displayed_path(main: &Path, pattern: &Text, found: &Path) -> PathBuf {
    if !pattern.is_secret() {
        return found.to_owned();
    }
    let written = beside(main, pattern.shown());
    let text = written.to_string_lossy();
    // The parts before the first reference and behind the last one are those of the path.
    let before = text.split('$').next().unwrap_or_default().matches('/').count();
    let after = text.rsplit('}').next().unwrap_or_default().matches('/').count();
    let parts: Vec<&OsStr> = written.iter().collect();
    let found: Vec<&OsStr> = found.iter().collect();
    let as_found = |place: usize, part: &&OsStr| match parts.len() - place {
        _ if !glob::is_glob(&part.to_string_lossy()) => None,
        _ if place < before => found.get(place).copied(),
        from_end if from_end <= after => found.get(found.len().checked_sub(from_end)?).copied(),
        _ => None,
    };
    parts.iter().enumerate().map(|(place, part)| as_found(place, part).unwrap_or(part)).collect()
}

/// The error for a pattern that needs an untrusted directory.
fn untrusted_directory(pattern: &Text, span: SourceSpan, error: &io::Error) -> Problem {
    let message = format!("`{}` in `include`: {}", pattern.shown(), read_failure(error, pattern.is_secret()));
    Problem::error(span, message).maybe_help(remedy(error, pattern.is_secret()))
}

/// The variables of the host's own file that a process inherits.
fn inherited_of(host: &Variables, inherit: &InheritEnv) -> Variables {
    let is_inherited = |name: &str| match inherit {
        InheritEnv::All => true,
        InheritEnv::Only(names) => names.as_slice().iter().any(|inherited| inherited.value() == name),
    };
    host.iter().filter(|(name, _)| is_inherited(name)).map(|(name, value)| (name.into(), value.clone())).collect()
}

impl Loader<'_> {
    fn load(&mut self, main: &Path, bytes: Vec<u8>, mut document: Option<&mut Document>) -> Option<(Desired, Settings)> {
        let node = self.tree(main, main, bytes)?;
        let entries = top::entries(&node, true, &mut self.problems);
        if self.origin.is_repository() {
            report_in_repository(entries, &mut self.problems);
        } else if let Some(source) = entry(entries, "source").filter(|entry| !entry.value.is_null()) {
            let shared = self.shared(entries);
            return self.host_file(entries, source, &shared, document);
        }
        let mut missing = UnreadProcesses::default();
        let included = self.include(main, entry(entries, "include"), &mut missing);
        let mut nodes = top::processes(entries, &mut self.problems);
        for node in &included {
            let entries = top::entries(node, false, &mut self.problems);
            nodes.extend(top::processes(entries, &mut self.problems));
        }
        if let Some((_, node)) = nodes.get(MAX_PROCESSES) {
            let problem = Problem::error(node.span, format!("too many processes: this is number {}", MAX_PROCESSES + 1));
            let help =
                format!("one navigator runs at most {MAX_PROCESSES}: move the others to the configuration of another navigator");
            self.problems.add(problem.help(help));
            // Errors in single processes would hide this one.
            nodes.clear();
            missing.any_name = true;
        }
        // Applications come after every managed process, whatever file they are in.
        nodes.sort_by_key(|&(tier, _)| tier);
        let shared = self.shared(entries);
        let mut processes = Vec::with_capacity(nodes.len());
        for (tier, node) in nodes {
            self.problems.subject.owner = Owner::Process(process::name_entry(node));
            match self.process(tier, node, &shared, 1, document.as_deref_mut()) {
                Some(process) => {
                    let first = processes.len();
                    let count = process.replicas;
                    processes.push(process);
                    // What is wrong is mostly wrong in each of them.
                    let replica = |number| {
                        let goes_on = !self.problems.has_errors();
                        goes_on.then(|| self.process(tier, node, &shared, number, None)).flatten()
                    };
                    processes.extend((2..=count).map_while(replica));
                    self.problems.add_all(replicas::check(&processes[first..]));
                }
                None => missing.names.extend(process::written_name(node)),
            }
        }
        self.problems.subject.owner = Owner::File;
        if self.environment.is_elsewhere() {
            // The name of a process may be that of a variable.
            missing.any_name |= !missing.names.is_empty();
            drop_unread(&mut processes, &missing);
        }
        address_conflicts::report(&processes, &self.texts, &mut self.problems);
        let (settings, timeout, rollback) = self.settings(entries, &shared, document);
        let desired = resolve(&processes, &missing, timeout, &mut self.problems)?.with_rollback(rollback);
        // A change of the settings alone makes a new generation.
        let beyond = Text::secret(&format!("{settings:?}"), "settings");
        Some((desired.with_beyond(beyond), settings))
    }

    /// Reads a file that says where the configuration is followed from.
    fn host_file(
        &mut self,
        entries: &[MapEntry],
        source: &MapEntry,
        shared: &SharedSettings<'_>,
        document: Option<&mut Document>,
    ) -> Option<(Desired, Settings)> {
        let (settings, timeout, _) = self.settings(entries, shared, document);
        let is_given = |key: &str| entry(entries, key).is_some_and(|entry| !entry.value.is_null());
        let scope = VariableScope::new(BTreeMap::new(), vec![&shared.env, &shared.env_file]).incomplete(shared.incomplete);
        let (git, host) = self.bootstrap(entries, source, scope)?;
        self.source = Some(Arc::new(HostSource {
            git,
            host,
            variables: Variables::of_layers(&[&shared.env_file, &shared.env]),
            settings: is_given("logging").then(|| settings.clone()),
            shutdown_timeout: is_given("shutdown_timeout").then_some(timeout),
        }));
        Some((Desired::nothing().with_shutdown_timeout(timeout), settings))
    }

    /// The trees of the included files, sorted by path.
    fn include(&mut self, main: &Path, include: Option<&MapEntry>, missing: &mut UnreadProcesses<'_>) -> Vec<Rc<Node>> {
        let Some(include) = include.filter(|entry| !entry.value.is_null()) else { return Vec::new() };
        let mut scope = VariableScope::default();
        let patterns: Vec<(Text, SourceSpan)> = self.with_reader(&mut scope, |reader| {
            let nodes = include.value.one_or_more();
            reader.at("include", |reader| nodes.iter().filter_map(|node| Some((reader.filled(node)?, node.span))).collect())
        });
        missing.any_name |= patterns.len() < include.value.one_or_more().len();
        let mut paths: BTreeMap<PathBuf, Included> = BTreeMap::new();
        for (pattern, span) in patterns {
            let path = beside(main, pattern.value());
            if pattern.value().contains("**") {
                self.problems.add(
                    Problem::error(span, "`**` is not supported in `include`").help("name each directory, as in `conf.d/*.yml`"),
                );
            } else if glob::is_glob(pattern.value()) {
                match self.expand(&path) {
                    Ok(all) if all.is_empty() && self.is_elsewhere(&io::ErrorKind::NotFound.into(), pattern.value(), &path) => {
                        missing.any_name = true;
                    }
                    Ok(all) if all.is_empty() => {
                        let problem = Problem::warning(span, format!("`{}` in `include` matches no file", pattern.shown()));
                        let help = "a path is relative to the file that names it; a file that is created later is included then";
                        self.problems.add(problem.help(help));
                    }
                    Ok(all) => paths.extend(all.into_iter().map(|found| {
                        let shown = displayed_path(main, &pattern, &found);
                        let written = pattern.value().to_owned();
                        (found, Included { named_at: None, shown, is_secret: pattern.is_secret(), written })
                    })),
                    Err(error) => self.problems.add(untrusted_directory(&pattern, span, &error)),
                }
            } else if path == main {
                self.problems.add(Problem::error(span, "`include` can't name its own file"));
            } else {
                let shown = displayed_path(main, &pattern, &path);
                let written = pattern.value().to_owned();
                paths.insert(path, Included { named_at: Some(span), shown, is_secret: pattern.is_secret(), written });
            }
        }
        paths.remove(main);
        let mut nodes = Vec::new();
        for (path, Included { named_at, shown, is_secret, written }) in paths {
            let node = match self.read_file(&path) {
                Ok(bytes) => self.tree(&path, &shown, bytes),
                // A directory that matches a glob is skipped.
                Err(error) if named_at.is_none() && error.kind() == io::ErrorKind::IsADirectory => continue,
                Err(error) if self.is_elsewhere(&error, &written, &path) => None,
                Err(error) => {
                    let message = format!("`{}` in `include`: {}", shown.display(), read_failure(&error, is_secret));
                    let help = match error.kind() {
                        io::ErrorKind::IsADirectory => format!("name the files in it, as in `{}/*.yml`", shown.display()),
                        _ => path_help(&error, is_secret),
                    };
                    self.problems.add(Problem::error(named_at.unwrap_or(include.value.span), message).help(help));
                    None
                }
            };
            missing.any_name |= node.is_none();
            nodes.extend(node);
        }
        nodes
    }

    /// Decodes the top-level settings that apply to every process.
    fn shared<'a>(&mut self, entries: &'a [MapEntry]) -> SharedSettings<'a> {
        let given = |key: &str| entry(entries, key).filter(|entry| !entry.value.is_null());
        let files = given("env_file").map(|entry| self.env_files(&entry.value, &mut VariableScope::default()));
        let EnvFiles { variables: env_file, is_incomplete: incomplete, missing } = files.unwrap_or_default();
        self.problems.add_all(missing);
        let maps: Vec<&Node> = given("env").map(|entry| &entry.value).into_iter().collect();
        let own = process::variables(&maps, &mut self.problems);
        let host = self.origin.variables().clone();
        let mut scope = VariableScope::new(own, vec![&env_file, &host]).incomplete(incomplete);
        let env = scope.resolve_own(&mut self.context());
        self.problems.subject.owner = Owner::Defaults;
        let defaults = given("defaults").map(|entry| process::defaults(&entry.value, &mut self.problems)).unwrap_or_default();
        self.check_defaults(&defaults);
        self.problems.subject.owner = Owner::File;
        SharedSettings { defaults, env, env_file, host, incomplete, stray_command: entry(entries, "command").is_some() }
    }

    /// Reports errors in `defaults`, even if no process uses them. Their variables are known only in a process.
    fn check_defaults(&mut self, defaults: &[Given<'_>]) {
        let maps: Vec<&Node> = given(defaults, "env").map(|entry| &entry.value).into_iter().collect();
        let own = process::variables(&maps, &mut self.problems);
        let mut scope = VariableScope::new(own, Vec::new()).unresolved();
        scope.resolve_own(&mut self.context());
        self.with_reader(&mut scope, |reader| process::read(reader, defaults));
    }

    fn process(
        &mut self,
        tier: Tier,
        node: &Node,
        shared: &SharedSettings<'_>,
        number: u32,
        document: Option<&mut Document>,
    ) -> Option<ParsedProcess> {
        let own = process::fields(node, &mut self.problems)?;
        let default_env = given(&shared.defaults, "env");
        let own_env = given(&own, "env");
        let maps: Vec<&Node> = own_env.into_iter().chain(default_env).map(|entry| &entry.value).collect();
        let own_count = own.len();
        let fields = process::with_defaults(own, &shared.defaults);
        let variables = process::variables(&maps, &mut self.problems);
        let incomplete = shared.incomplete;
        let replica = given(&fields, "replicas").filter(|entry| !entry.value.is_null()).map(|_| number);
        let files = given(&fields, "env_file").filter(|entry| !entry.value.is_null()).map(|entry| {
            let scope =
                VariableScope::new(variables.clone(), vec![&shared.env, &shared.env_file, &shared.host]).incomplete(incomplete);
            self.env_files(&entry.value, &mut scope.of_replica(replica))
        });
        let EnvFiles { variables: env_file, is_incomplete, missing } = files.unwrap_or_default();
        let below = vec![&env_file, &shared.env, &shared.env_file, &shared.host];
        let mut scope = VariableScope::new(variables, below).incomplete(incomplete || is_incomplete).of_replica(replica);
        let env = scope.resolve_own(&mut self.context());
        let mut draft = self.with_reader(&mut scope, |reader| process::read(reader, &fields));
        self.with_reader(&mut scope, |reader| process::check_duplicates(reader, node));
        // A process that isn't to run doesn't need its files.
        let is_needed = draft.spec.enabled || draft.name.is_none();
        self.problems.add_all(missing.into_iter().map(|problem| if is_needed { problem } else { problem.into_warning() }));
        if let Some(document) = document {
            scope.hide_replica();
            self.with_reader(&mut scope, |reader| document.add_process(reader, tier, &draft.spec, &fields));
        }
        serving_checks::check(&draft, &fields, own_count, &[&env_file, &shared.env_file], &mut self.problems);
        draft.spec.tier = tier;
        let inherited = inherited_of(&shared.host, &draft.spec.exec.inherit_env);
        draft.spec.exec.env = Variables::of_layers(&[&inherited, &shared.env_file, &shared.env, &env_file, &env]);
        serving_checks::set_nonblocking(&mut draft.spec.exec);
        replicas::name(&mut draft, number);
        if let Some(problem) = shell_lints::command_line(&fields).filter(|_| !self.has_program(&draft.spec.exec)) {
            self.problems.add(problem);
        }
        process::finish(draft, node, &fields, shared.stray_command, &mut self.problems)
    }

    /// Whether the program of a process exists under exactly this name, even if it contains blanks.
    fn has_program(&self, exec: &Exec) -> bool {
        let command = Path::new(exec.command.value());
        if command.as_os_str().is_empty() {
            return false;
        }
        let directory = exec.working_dir.as_ref().map_or(Path::new(""), |directory| Path::new(directory.value()));
        let path = exec.env.get("PATH").map(Text::value).or_else(|| self.environment.get("PATH")).unwrap_or_default();
        let is_path = exec.command.value().contains('/');
        let directories: Vec<&Path> = if is_path { vec![directory] } else { path.split(':').map(Path::new).collect() };
        directories.into_iter().map(|directory| directory.join(command)).any(|path| {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
            self.files.list(parent).is_ok_and(|names| names.iter().any(|found| found == name))
        })
    }

    fn settings(
        &mut self,
        entries: &[MapEntry],
        shared: &SharedSettings<'_>,
        document: Option<&mut Document>,
    ) -> (Settings, Duration, Option<Rollback>) {
        let given = |key: &str| entry(entries, key).filter(|entry| !entry.value.is_null()).map(|entry| &entry.value);
        let layers = vec![&shared.env, &shared.env_file, &shared.host];
        let mut scope = VariableScope::new(BTreeMap::new(), layers).incomplete(shared.incomplete);
        self.with_reader(&mut scope, |reader| {
            if let Some(document) = document {
                document.add_top(reader, entries);
            }
            let logging = |node| reader.at("logging", |reader| top::logging(reader, node));
            let settings = given("logging").map(logging).unwrap_or_default();
            let timeout =
                given("shutdown_timeout").and_then(|node| reader.at("shutdown_timeout", |reader| reader.duration(node)));
            let rollback = given("rollback").and_then(|node| reader.at("rollback", |reader| top::rollback(reader, node)));
            (settings, timeout.unwrap_or(Desired::SHUTDOWN_TIMEOUT), rollback)
        })
    }
}
