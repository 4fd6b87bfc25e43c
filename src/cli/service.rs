//! `navigator init`, and `navigator service`: the first configuration, and the systemd unit that runs one.

use super::console::{FAILURE, OK, USAGE, fail, print, print_error};
use super::import::write_new;
use crate::config::{Disk, Environment, Files};
use crate::error_text::words;
use crate::import::first;
use crate::paths::absolute;
use crate::terminal::{escape, escape_lines};
use clap::Subcommand;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with a unit.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Write the unit that runs a configuration
    Install {
        /// Configuration to run
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
        /// Name of the unit
        #[arg(long, value_name = "NAME", default_value = "navigator", value_parser = unit_name)]
        name: String,
        /// Directory of the unit [default: `/etc/systemd/system`, or that of the user]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Remove a unit that `install` wrote
    Remove {
        /// Name of the unit
        #[arg(long, value_name = "NAME", default_value = "navigator", value_parser = unit_name)]
        name: String,
        /// Directory of the unit [default: `/etc/systemd/system`, or that of the user]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// The name of a unit, without its ending.
fn unit_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches(".service");
    let is_plain = name.chars().all(|char| char.is_ascii_alphanumeric() || "_-.".contains(char)) && !name.starts_with(['.', '-']);
    if is_plain && !name.is_empty() { Ok(name.to_owned()) } else { Err("write letters, digits, `-`, `_` and `.`".to_owned()) }
}

/// The configurations that a directory may have.
const CONFIGURATIONS: [&str; 2] = ["config/navigator.yml", "navigator.yml"];

/// Writes a first configuration for the working directory.
pub(super) fn init() -> ExitCode {
    if let Some(there) = CONFIGURATIONS.iter().find(|path| Path::new(path).symlink_metadata().is_ok()) {
        return fail(FAILURE, &format!("`{there}` exists already, and stays as it is: edit it, or run `navigator check`"));
    }
    let first = match first(Path::new("."), &Environment::current()) {
        Ok(first) => first,
        Err(error) => return fail(FAILURE, &error.to_string()),
    };
    if let Err(error) = write_new(Path::new("navigator.yml"), &first.text) {
        return fail(FAILURE, &error);
    }
    print_error(&escape_lines(&first.report));
    print("wrote navigator.yml: run `navigator check`, then `navigator`\n");
    OK.into()
}

/// The first line of a unit that navigator wrote.
const MARK: &str = "# Written by `navigator service install`.";

/// Writes or removes the unit of a configuration.
pub(super) fn service(command: &ServiceCommand, config: Result<PathBuf, ExitCode>) -> ExitCode {
    match command {
        ServiceCommand::Install { name, directory, .. } => {
            let config = match config {
                Ok(config) => absolute(&config),
                Err(code) => return code,
            };
            if Disk.read(&config).is_err() {
                return fail(
                    USAGE,
                    &format!("failed to read `{}`: write it first, by `navigator init` or `import`", config.display()),
                );
            }
            install(name, &units(directory.as_deref()), &config)
        }
        ServiceCommand::Remove { name, directory } => remove(name, &units(directory.as_deref())),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The directory of units: the system's for root, else the user's own.
fn units(directory: Option<&Path>) -> PathBuf {
    let own = || {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from).join("systemd/user")
    };
    match directory {
        Some(directory) => directory.to_owned(),
        None if is_root() => PathBuf::from("/etc/systemd/system"),
        None => own(),
    }
}

fn install(name: &str, directory: &Path, config: &Path) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(FAILURE, &format!("failed to find the program of navigator: {}", words(&error))),
    };
    let path = directory.join(format!("{name}.service"));
    let (Some(program), Some(config)) = (word(&program), word(config)) else {
        return fail(USAGE, "a path in a unit can't have line breaks or be other than UTF-8");
    };
    let text = format!("{MARK}\n{}", unit(&program, &config, is_root()));
    match Disk.read(&path) {
        Ok(there) if there == text.as_bytes() => {}
        Ok(there) if !there.starts_with(MARK.as_bytes()) => {
            return fail(
                FAILURE,
                &format!("`{}` is not navigator's, and stays as it is: name another unit with `--name`", path.display()),
            );
        }
        Ok(_) => {
            if let Err(error) = std::fs::remove_file(&path) {
                return fail(FAILURE, &format!("failed to replace `{}`: {}", path.display(), words(&error)));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return fail(FAILURE, &format!("failed to read `{}`: {}", path.display(), words(&error))),
    }
    if path.symlink_metadata().is_err() {
        let made = std::fs::create_dir_all(directory)
            .map_err(|error| format!("failed to create `{}`: {}", directory.display(), words(&error)));
        if let Err(error) = made.and_then(|()| write_new(&path, &text)) {
            return fail(FAILURE, &error);
        }
        // systemd reads it as root; others may read it, too, because nothing in it is secret.
        if let Err(error) = std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)) {
            return fail(FAILURE, &format!("failed to set the mode of `{}`: {}", path.display(), words(&error)));
        }
    }
    let user = if is_root() { "" } else { " --user" };
    let shown = escape(&path.to_string_lossy()).into_owned();
    print(&format!("{shown} is in place; next:\n  systemctl{user} daemon-reload\n  systemctl{user} enable --now {name}\n"));
    OK.into()
}

fn remove(name: &str, directory: &Path) -> ExitCode {
    let path = directory.join(format!("{name}.service"));
    match Disk.read(&path) {
        Ok(there) if there.starts_with(MARK.as_bytes()) => {}
        Ok(_) => return fail(FAILURE, &format!("`{}` is not navigator's, and stays as it is", path.display())),
        Err(error) => return fail(FAILURE, &format!("failed to read `{}`: {}", path.display(), words(&error))),
    }
    if let Err(error) = std::fs::remove_file(&path) {
        return fail(FAILURE, &format!("failed to remove `{}`: {}", path.display(), words(&error)));
    }
    let user = if is_root() { "" } else { " --user" };
    let shown = escape(&path.to_string_lossy()).into_owned();
    print(&format!(
        "{shown} is removed; it goes on running until:\n  systemctl{user} disable --now {name}\n  systemctl{user} daemon-reload\n"
    ));
    OK.into()
}

/// A path as a word of a unit.
fn word(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control))?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Some(if text.contains([' ', '"', '\'', '\\', ';']) { format!("\"{escaped}\"") } else { escaped })
}

/// The unit of `docs/running.md`; of a user's own systemd, it has no network to wait for.
fn unit(program: &str, config: &str, is_system: bool) -> String {
    let (network, target) = if is_system {
        ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target")
    } else {
        ("", "default.target")
    };
    format!(
        "[Unit]\nDescription=Processes of {config}\n{network}\n\
         [Service]\nType=notify\nExecStart={program} {config}\nExecReload={program} -c {config} upgrade\nRestart=always\nWatchdogSec=30\n\
         Delegate=yes\nOOMPolicy=continue\nKillMode=process\nTimeoutStopSec=100s\n\n[Install]\nWantedBy={target}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_one_of_the_document() {
        let document = include_str!("../../docs/running.md");
        let (_, rest) = document.split_once("```ini\n").expect("a unit");
        let (shown, _) = rest.split_once("```").expect("its end");
        assert_eq!(unit("/usr/local/bin/navigator", "/etc/navigator/navigator.yml", true), shown);
    }

    #[test]
    fn paths_are_words_of_a_unit() {
        for (path, expected) in [("/a/b.yml", "/a/b.yml"), ("/a b/100%.yml", "\"/a b/100%%.yml\""), ("/a$", "/a$$")] {
            assert_eq!(word(Path::new(path)).as_deref(), Some(expected));
        }
        assert_eq!(word(Path::new("/a\nb")), None);
    }
}
