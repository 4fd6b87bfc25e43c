//! Starts that fail: each is reported with its reason, and leaves nothing behind.

use crate::host::{Host, on_host, script};
use reconcile::event::{ExitStatus, Refusal};
use reconcile::spec::{Limit, Spec};
use reconcile::text::Text;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn write(path: &Path, content: &[u8], mode: u32) -> String {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn refusal(host: &mut Host, spec: Spec) -> Refusal {
    let run = host.spawn(spec);
    host.refused(run).await
}

async fn refusal_of(host: &mut Host, command: &str) -> Refusal {
    refusal(host, Spec::new("broken", command)).await
}

async fn refusal_in(host: &mut Host, directory: &str) -> Refusal {
    let mut spec = Spec::new("broken", "true");
    spec.exec.working_dir = Some(directory.into());
    refusal(host, spec).await
}

#[test]
fn a_command_that_can_not_be_executed_is_refused_with_the_reason() {
    on_host("refused", async |host| {
        let at = |name: &str| host.directory.join(name);
        let plain = write(&at("plain"), b"#!/bin/sh\n", 0o644);
        let bare = write(&at("bare"), b"echo hello\n", 0o755);
        let orphaned = write(&at("orphaned"), b"#! /no/such/interpreter -x\necho hello\n", 0o755);
        let carriage = write(&at("carriage"), b"#!/bin/sh\r\necho hello\r\n", 0o755);
        let busy = write(&at("busy"), &fs::read("/bin/true").unwrap(), 0o755);
        let directory = host.directory.to_str().unwrap().to_owned();
        let missing = format!("{directory}/missing");
        let below = format!("{plain}/below");

        assert_eq!(refusal_of(host, &missing).await, Refusal::FileNotFound { command: missing });
        assert_eq!(refusal_of(host, &below).await, Refusal::FileNotFound { command: below });
        assert_eq!(refusal_of(host, &directory).await, Refusal::IsDirectory { command: directory });
        assert_eq!(refusal_of(host, &plain).await, Refusal::NotExecutable { command: plain });
        assert_eq!(refusal_of(host, &bare).await, Refusal::NotAProgram { command: bare });
        let interpreter = "/no/such/interpreter".to_owned();
        assert_eq!(refusal_of(host, &orphaned).await, Refusal::InterpreterMissing { command: orphaned, interpreter });
        let interpreter = "/bin/sh\\r".to_owned();
        assert_eq!(refusal_of(host, &carriage).await, Refusal::InterpreterMissing { command: carriage, interpreter });
        let writer = OpenOptions::new().append(true).open(&busy).unwrap();
        assert_eq!(refusal_of(host, &busy).await, Refusal::Busy { command: busy });
        drop(writer);
        let long = script("broken", "true");
        let long = Spec {
            exec: reconcile::spec::Exec {
                env: [("LONG".into(), Text::plain(&"x".repeat(140_000)))].into_iter().collect(),
                ..long.exec
            },
            ..long
        };
        assert_eq!(refusal(host, long).await, Refusal::TooLong { command: "sh".to_owned() });
    });
}

#[test]
fn a_command_is_searched_in_the_path_of_its_own_environment() {
    on_host("path", async |host| {
        let (first, second) = (host.directory.join("first"), host.directory.join("second"));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        // Not executable in the first directory, so the second one's is run, as by `execvp(3)`.
        write(&first.join("tool"), b"#!/bin/sh\nexit 1\n", 0o644);
        write(&second.join("tool"), b"#!/bin/sh\nexit 7\n", 0o755);
        write(&first.join("only"), b"#!/bin/sh\n", 0o644);
        let path = format!("{}:/no/such/directory:{}", first.display(), second.display());
        let with_path = |command: &str| {
            let mut spec = Spec::new("searched", command);
            spec.exec.env.insert("PATH", Text::secret(&path, "${TOOLS}"));
            spec
        };
        assert_eq!(host.complete(with_path("tool")).await, ExitStatus::Code(7));
        let not_found = Refusal::CommandNotFound { command: "sh".to_owned(), path: "${TOOLS}".to_owned() };
        assert_eq!(refusal(host, with_path("sh")).await, not_found);
        assert_eq!(refusal(host, with_path("only")).await, Refusal::NotExecutable { command: "only".to_owned() });
        assert_eq!(
            refusal(host, with_path("")).await,
            Refusal::CommandNotFound { command: String::new(), path: "${TOOLS}".to_owned() }
        );
    });
}

#[test]
fn a_relative_command_is_relative_to_the_working_directory() {
    on_host("relative", async |host| {
        write(&host.directory.join("tool"), b"#!/bin/sh\nexit 9\n", 0o755);
        let mut spec = Spec::new("relative", "./tool");
        spec.exec.working_dir = Some(host.directory.to_str().unwrap().into());
        assert_eq!(host.complete(spec).await, ExitStatus::Code(9));
    });
}

#[test]
fn a_working_directory_that_can_not_be_entered_is_refused_with_the_reason() {
    on_host("directory", async |host| {
        let file = write(&host.directory.join("file"), b"", 0o644);
        assert_eq!(refusal_in(host, "/no/such").await, Refusal::DirectoryMissing { directory: "/no/such".to_owned() });
        assert_eq!(refusal_in(host, &file).await, Refusal::NotADirectory { directory: file });
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let mut spec = Spec::new("broken", "true");
        let closed = host.directory.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let closed = closed.to_str().unwrap().to_owned();
        spec.exec.working_dir = Some(closed.as_str().into());
        spec.exec.user = Some("nobody".into());
        assert_eq!(refusal(host, spec).await, Refusal::DirectoryDenied { directory: closed });
    });
}

#[test]
fn unknown_users_and_groups_and_impossible_limits_are_refused() {
    on_host("unknown", async |host| {
        let mut spec = Spec::new("broken", "true");
        spec.exec.user = Some("no-such-user".into());
        assert_eq!(refusal(host, spec).await, Refusal::UnknownUser { user: "no-such-user".to_owned() });
        let mut spec = Spec::new("broken", "true");
        spec.exec.group = Some("no-such-group".into());
        assert_eq!(refusal(host, spec).await, Refusal::UnknownGroup { group: "no-such-group".to_owned() });
        let mut spec = Spec::new("broken", "true");
        // More than the kernel's maximum (`fs.nr_open`).
        spec.exec.limits.insert("nofile", Limit::To(1 << 40));
        let error =
            "operation not permitted; only root may exceed the hard limit, and only up to the kernel's maximum".to_owned();
        assert_eq!(refusal(host, spec).await, Refusal::Failed { stage: "setting limits.nofile".to_owned(), error });
        let mut spec = Spec::new("broken", "true");
        spec.exec.args = vec![Text::plain("a\0b")];
        let error = "it holds a NUL byte".to_owned();
        assert_eq!(refusal(host, spec).await, Refusal::Failed { stage: "preparing `args`".to_owned(), error });
    });
}
