//! A first configuration for a directory (`navigator init`), by what is in it.

use super::files::DiskWithoutLinks;
use super::{ImportError, ImportRequest, import};
use crate::config::{Environment, Files, Loose, read_loose};
use std::path::{Path, PathBuf};

/// Files that are imported, the first that is there.
const IMPORTED: [&str; 14] = [
    "Procfile.dev",
    "Procfile",
    "process-compose.yml",
    "process-compose.yaml",
    "supervisord.conf",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "ecosystem.json",
    "ecosystem.config.json",
    "pm2.json",
    "circus.ini",
    "supervisor.conf",
];

/// A first configuration, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct FirstConfiguration {
    /// The configuration.
    pub text: String,
    /// What it was made of.
    pub report: String,
}

/// A configuration for what is in a directory. Nothing of it is run.
///
/// # Errors
/// The file of another supervisor can't be imported, and nothing else is there.
pub fn first(directory: &Path, environment: &Environment) -> Result<FirstConfiguration, ImportError> {
    let files = &DiskWithoutLinks;
    let out = directory.join("navigator.yml");
    let mut names: Vec<String> =
        files.list(directory).unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    let units: Vec<PathBuf> = names
        .iter()
        .map(|name| directory.join(name))
        .filter(|path| path.extension().is_some_and(|ending| ["service", "timer", "socket"].iter().any(|kind| ending == *kind)))
        .collect();
    let of_a_tool = IMPORTED.iter().find(|name| names.iter().any(|found| found == *name)).map(|name| vec![directory.join(name)]);
    let found = of_a_tool.or_else(|| (!units.is_empty()).then_some(units));
    let mut refused = String::new();
    if let Some(paths) = found {
        match import(ImportRequest { paths: &paths, kind: None, out: Some(&out) }, environment) {
            Ok(imported) => return Ok(FirstConfiguration { text: with_hints(&imported.text), report: imported.report }),
            // A Compose file of images alone says nothing about programs.
            Err(error) => refused = format!("navigator: {error}\n"),
        }
    }
    let read = |name: &str| files.read(&directory.join(name)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let processes = guessed(&names, directory.join("bin/dev").is_file(), read);
    let text = written(&processes);
    let report = match processes.as_slice() {
        [] => format!("{refused}navigator: found no programs here: the file has an example\n"),
        processes => {
            let sources: Vec<&str> = processes.iter().map(|process| process.source).collect();
            format!("{refused}navigator: made by what is in {}\n", sources.join(", "))
        }
    };
    Ok(FirstConfiguration { text, report })
}

/// A process that was guessed.
struct Guess {
    name: &'static str,
    command: &'static str,
    args: String,
    source: &'static str,
    remark: &'static str,
}

/// The processes that the files of a project suggest.
fn guessed(names: &[String], has_bin_dev: bool, read: impl Fn(&str) -> Option<String>) -> Vec<Guess> {
    let has = |name: &str| names.iter().any(|found| found == name);
    let mut found = Vec::new();
    if has_bin_dev {
        let remark = "what it starts can be processes of their own, which are then restarted one by one";
        found.push(Guess { name: "dev", command: "bin/dev", args: String::new(), source: "bin/dev", remark });
    }
    let gems = read("Gemfile").unwrap_or_default();
    let has_gem = |gem: &str| gems.lines().any(|line| line.trim().starts_with("gem") && line.contains(gem));
    if has("Gemfile") && !has_bin_dev {
        let args = if has_gem("puma") || has_gem("rails") { "[exec, puma]" } else { "[exec, rackup]" };
        let remark = "`ready: {http: …}` lets others wait for it";
        found.push(Guess { name: "web", command: "bundle", args: args.to_owned(), source: "Gemfile", remark });
    }
    for (gem, name, args) in
        [("sidekiq", "sidekiq", "[exec, sidekiq]"), ("solid_queue", "jobs", "[exec, rails, \"solid_queue:start\"]")]
    {
        if has_gem(gem) {
            let remark = "runs jobs; `stop: {timeout: 30s}` gives one time to end";
            found.push(Guess { name, command: "bundle", args: args.to_owned(), source: "Gemfile", remark });
        }
    }
    let package = read("package.json").and_then(|text| read_loose(&text).ok()).unwrap_or_default();
    let scripts = package.get("scripts").map(Loose::entries).unwrap_or_default();
    let script = ["start", "dev", "serve"].iter().find(|name| scripts.iter().any(|(found, _)| found == *name));
    if let Some(script) = script.filter(|_| !has_bin_dev) {
        let manager = if has("yarn.lock") {
            "yarn"
        } else if has("pnpm-lock.yaml") {
            "pnpm"
        } else {
            "npm"
        };
        let remark = "`npm` starts a shell and that the program: name the program itself for signals that reach it at once";
        found.push(Guess { name: "node", command: manager, args: format!("[run, {script}]"), source: "package.json", remark });
    }
    found
}

/// The text of a configuration.
fn written(processes: &[Guess]) -> String {
    let mut text = HEAD.to_owned();
    if processes.is_empty() {
        text.push_str("managed_processes: []\n#  - name: web\n#    command: ./bin/web\n#    args: [--port, \"3000\"]\n#    ready: {http: \"http://127.0.0.1:3000/\"}\n");
        return text;
    }
    text.push_str("managed_processes:\n");
    for (index, Guess { name, command, args, source, remark }) in processes.iter().enumerate() {
        let gap = if index > 0 { "\n" } else { "" };
        let args = if args.is_empty() { String::new() } else { format!("    args: {args}\n") };
        text.extend([
            gap,
            &format!("  # from {source}; {remark}\n  - name: {name}\n    command: {command}\n{args}"),
            "    working_dir: ${NAVIGATOR_CONFIG_DIR}\n    restart: on-failure\n",
        ]);
    }
    text
}

/// An imported text with what to do next.
fn with_hints(imported: &str) -> String {
    format!("{HEAD}\n{imported}")
}

const HEAD: &str = "# Processes of this directory, for navigator.\n\
    #   navigator check                 is the file right?\n\
    #   navigator                       run it; saving the file puts it in force\n\
    #   navigator status, navigator logs -f\n\
    # All keys are in docs/reference.md; `navigator schema` lets an editor complete them.\n";
