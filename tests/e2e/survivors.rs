//! Navigator is killed, and its processes go on: they may write to pipes that no process reads.

use crate::harness::{Navigator, Signal, Site, leftovers, servers};
use rustix::fs::{Mode, OFlags};
use rustix::io::ioctl_fionread;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Says a line ten times a second, and counts them.
const WRITER: &str = r#"$| = 1; for (my $n = 1; ; $n++) {
  print "line $n\n" or die; open(my $f, ">>", "$ENV{NAME}.count") or die; print $f "$n\n"; close $f;
  select undef, undef, undef, 0.1 }
"#;

/// The same as a shell that ends at the first error of any command, one of which is in a pipeline.
const SHELL: &str = r#"set -eo pipefail
for ((n = 1; ; n++)); do echo "line $n"; echo "again $n" | cat; echo "warning $n" >&2; echo "$n" >>"$NAME.count"; sleep 0.1; done
"#;

/// Writes more than a pipe holds, once `go` exists.
const FLOOD: &str = r#"$| = 1; select undef, undef, undef, 0.02 until -e "go";
open(my $f, ">>", $ENV{JOURNAL}) or die; $f->autoflush(1); print $f "writing\n";
print "x" x 300_000 or die; print $f "written\n"; sleep 3600;
"#;

/// Is ready on descriptor 3 once `go` exists, and goes on.
const READY: &str = r#"$| = 1; open(my $ready, ">&=3") or die; select undef, undef, undef, 0.02 until -e "go";
syswrite($ready, "\n") or die; open(my $f, ">>", $ENV{JOURNAL}) or die; print $f "ready\n"; close $f; sleep 3600;
"#;

fn kill(navigator: &mut Navigator<'_>) {
    navigator.signal(Signal::KILL);
    assert_eq!(navigator.log().wait_for_exit().0.code(), None, "it was killed");
}

#[test]
fn processes_write_on_after_navigator_was_killed() {
    if !servers::present("survivors::processes_write_on_after_navigator_was_killed", &["bash"]) {
        return;
    }
    let site = Site::new();
    site.write("writer.pl", WRITER);
    site.write("shell.sh", SHELL);
    site.write("flood.pl", FLOOD);
    site.write("ready.pl", READY);
    let mut first = site.start(
        "managed_processes:
  - { name: writer, command: perl, args: [writer.pl], env: { NAME: writer } }
  - { name: shell, command: bash, args: [shell.sh], env: { NAME: shell } }
  - { name: flood, command: perl, args: ['-MIO::Handle', flood.pl] }
  - { name: announcer, command: perl, args: [ready.pl], ready: { fd: 3 } }
",
    );
    let names = ["writer", "shell", "flood", "announcer"];
    let processes = names.map(|name| leftovers::process(first.started(name)).expect("it runs"));
    let count = |name: &str| site.read(&format!("{name}.count")).lines().count();
    first.log().until("some lines", || (count("writer") > 1 && count("shell") > 1).then_some(()));
    kill(&mut first);
    let before = [count("writer"), count("shell")];
    site.write("go", "");
    first
        .log()
        .until("five more lines of each", || (count("writer") > before[0] + 5 && count("shell") > before[1] + 5).then_some(()));
    let journal = |line: &str| site.journal().contains(&line.to_owned()).then_some(());
    first.log().until("its readiness, which no process reads", || journal("ready"));
    first.log().until("the flood", || journal("writing"));
    // It is read now, and goes on.
    let path = format!("/proc/{}/fd/1", processes[2].pid);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = rustix::fs::open(path, flags, Mode::empty()).expect("it has an output");
    first.log().until("a full pipe", || ioctl_fionread(&pipe).is_ok_and(|count| count >= 4096).then_some(()));
    assert_eq!(journal("written"), None, "it waits: a pipe doesn't hold that");
    rustix::fs::fcntl_setfl(&pipe, OFlags::empty()).expect("a flag can be set");
    let mut text = vec![0; 300_000];
    File::from(pipe).read_exact(&mut text).expect("it comes");
    assert!(text.iter().all(|&byte| byte == b'x'));
    first.log().until("the end of the flood", || journal("written"));
    for (name, process) in names.iter().zip(&processes) {
        assert!(leftovers::is_alive(process), "{name} has ended");
    }
    let mut second = site.start("managed_processes: []\n");
    for name in names {
        second.event("Process stopped", name);
    }
    second.signal(Signal::TERM);
    second.exits(0);
}

#[test]
fn notification_sockets_have_lasting_paths() {
    let site = Site::new();
    let announcing = |name: &str| {
        format!("managed_processes:\n  - {{ name: {name}, command: sleep, args: ['3600'], ready: {{ notify: true }} }}\n")
    };
    let socket = |navigator: &Navigator<'_>, name: &str| {
        let socket = PathBuf::from(navigator.variable(navigator.started(name), "NOTIFY_SOCKET"));
        (socket.parent().expect("a directory").to_owned(), socket)
    };
    let mut first = site.start(&announcing("web"));
    let (directory, web) = socket(&first, "web");
    kill(&mut first);
    assert!(web.exists(), "the process may live on");
    let second = site.start(&announcing("next"));
    let (of_next, next) = socket(&second, "next");
    assert_eq!((&of_next, next == web), (&directory, false));
    second.ends();
    assert!(!directory.exists(), "an ordered end leaves nothing");
}
