//! What a process gets from its definition: arguments, directories, environment, user, niceness and limits.

use crate::harness::{Signal, Site, servers};

#[test]
fn arguments_arrive_as_they_are_written() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - name: show
    command: printf
    args: ["<%s>\n", --port 6379, "two  spaces", "", '$HOME', 'a "b" c', 6379, 1.10, 0777, yes, 1e3, null, "*", "${GREETING:-hel lo}", "$${NOT}"]
"#,
    );
    navigator.event("Process exited", "show");
    navigator.says("show", |line| line == "<${NOT}>");
    navigator.signal(Signal::TERM);
    let said = navigator.exits(0).said("show");
    let wanted = [
        "<--port 6379>",
        "<two  spaces>",
        "<>",
        "<$HOME>",
        "<a \"b\" c>",
        "<6379>",
        "<1.10>",
        "<0777>",
        "<yes>",
        "<1e3>",
        "<null>",
        "<*>",
        "<hel lo>",
        "<${NOT}>",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn working_directories_are_relative_to_navigators_and_commands_to_them() {
    let site = Site::new();
    site.script("workers/scripts/worker.sh", "#!/bin/sh\npwd -P\n");
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: relative, command: ./scripts/worker.sh, working_dir: ./workers }
  - { name: absolute, command: pwd, args: [-P], working_dir: "${SITE}/workers/scripts" }
  - { name: default, command: pwd, args: [-P] }
"#,
    );
    let root = std::fs::canonicalize(site.path("")).expect("the site exists");
    navigator.says("relative", |line| line == root.join("workers").to_str().unwrap());
    navigator.says("absolute", |line| line == root.join("workers/scripts").to_str().unwrap());
    navigator.says("default", |line| line == root.to_str().unwrap());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn the_environment_is_layered_and_substituted() {
    let site = Site::new();
    site.write("worker.env", "# of this worker\nexport FROM_FILE='in the file'\nLAYER=file\n");
    site.write(
        "navigator.yml",
        r#"
env: { LAYER: global, GLOBAL: everywhere }
managed_processes:
  - name: worker
    command: env
    env_file: worker.env
    env:
      WORKER_ID: "1"
      RAILS_ENV: "${RAILS_ENV:-production}"
      DATABASE_URL: "${DATABASE_URL}"
      PATH: "/opt/worker/bin:${PATH}"
  - name: other
    command: sh
    args: [-c, 'echo "concurrency $1"', sh, "${CONCURRENCY:-5}"]
"#,
    );
    let launch = site.command(["navigator.yml"]).env("DATABASE_URL", "postgres://localhost/tenant 1").env("INHERITED", "yes");
    let mut navigator = launch.without_env("RAILS_ENV").start();
    navigator.event("Process exited", "worker");
    for wanted in [
        "WORKER_ID=1",
        "RAILS_ENV=production",
        "DATABASE_URL=postgres://localhost/tenant 1",
        "FROM_FILE=in the file",
        "LAYER=file",
        "GLOBAL=everywhere",
        "INHERITED=yes",
    ] {
        navigator.says("worker", |line| line == wanted);
    }
    navigator.says("worker", |line| line.starts_with("PATH=/opt/worker/bin:") && line.len() > "PATH=/opt/worker/bin:".len());
    navigator.says("other", |line| line == "concurrency 5");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    // What came from a substitution or a file is shown by nothing but the process itself.
    assert!(!ended.stderr().contains("tenant 1"), "{}", ended.description);
    assert!(!ended.stderr().contains("in the file"), "{}", ended.description);
}

#[test]
fn niceness_by_command_and_by_field() {
    let site = Site::new();
    let mut navigator = site.start(
        r#"
managed_processes:
  - { name: by-command, command: nice, args: [-n, "5", nice] }
  - { name: by-field, command: nice, nice: 6 }
"#,
    );
    navigator.says("by-command", |line| line == "5");
    navigator.says("by-field", |line| line == "6");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn another_user_by_command_and_by_field() {
    let test = "environment::another_user_by_command_and_by_field";
    if !servers::root(test) {
        return;
    }
    let site = Site::new();
    let sudo = if servers::find("sudo").is_some() {
        "sudo, args: [-u, nobody, id, -un]"
    } else {
        "runuser, args: [-u, nobody, --, id, -un]"
    };
    let mut navigator = site.start(&format!(
        r#"
managed_processes:
  - {{ name: by-command, command: {sudo} }}
  - {{ name: setpriv, command: setpriv, args: [--reuid=nobody, --clear-groups, id, -un] }}
  - {{ name: by-field, command: sh, args: [-c, 'id -un; id -G; echo "$HOME $USER"'], user: nobody, group: nogroup }}
"#
    ));
    for name in ["by-command", "setpriv", "by-field"] {
        navigator.says(name, |line| line == "nobody");
    }
    navigator.says("by-field", |line| line == "/nonexistent nobody");
    assert_eq!(navigator.said("by-field")[1].message.split(' ').count(), 1, "no group is inherited from root");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn what_is_inherited_is_all_nothing_or_what_a_list_names() {
    let site = Site::new();
    site.write("own.env", "FROM_FILE=1\n");
    site.write(
        "navigator.yml",
        r#"
defaults: { inherit_env: false }
managed_processes:
  - { name: nothing, command: env, env: { OWN: "${KEPT}" }, env_file: own.env }
  - { name: some, command: env, inherit_env: [KEPT, NEVER_SET] }
  - { name: all, command: env, inherit_env: true }
"#,
    );
    let mut navigator = site.command(["navigator.yml"]).env("KEPT", "kept").env("LEFT_OUT", "left out").start();
    for name in ["nothing", "some", "all"] {
        navigator.event("Process exited", name);
        navigator.says(name, |line| line.starts_with("NAVIGATOR_RUN="));
    }
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let variables = |name: &str| {
        let said = ended.said(name);
        let mut names: Vec<String> = said.iter().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
        names.sort();
        names
    };
    // Without a `PATH` the program is looked for where `execvp(3)` would.
    assert_eq!(variables("nothing"), ["FROM_FILE", "NAVIGATOR_RUN", "OWN"]);
    assert!(ended.said("nothing").iter().any(|line| line == "OWN=kept"), "{}", ended.description);
    assert_eq!(variables("some"), ["KEPT", "NAVIGATOR_RUN"]);
    let all = variables("all");
    assert!(["KEPT", "LEFT_OUT", "PATH"].iter().all(|name| all.iter().any(|other| other == name)), "{all:?}");
}

#[test]
fn commands_beside_a_process_inherit_what_it_inherits() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        r#"
managed_processes:
  - name: web
    command: sleep
    args: ['3600']
    inherit_env: [SITE]
    env: { PATH: "/usr/bin:/bin" }
    ready: { exec: [sh, -c, 'env >"$SITE/checked"'] }
    stop: { command: [sh, -c, 'env >"$SITE/stopped"; kill "$MAINPID"'] }
"#,
    );
    let mut navigator = site.command(["navigator.yml"]).env("LEFT_OUT", "left out").start();
    navigator.event("Process ready", "web");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    for file in ["checked", "stopped"] {
        let environment = site.read(file);
        assert!(environment.contains("SITE=") && !environment.contains("LEFT_OUT"), "{file}: {environment}");
    }
}

#[test]
fn no_new_privs_holds_for_the_program_and_what_it_starts() {
    let site = Site::new();
    let mut navigator = site.start(
        r"
managed_processes:
  - { name: without, command: grep, args: [NoNewPrivs, /proc/self/status], no_new_privs: true }
  - { name: below, command: sh, args: [-c, 'grep NoNewPrivs /proc/self/status; :'], no_new_privs: true }
  - { name: usual, command: grep, args: [NoNewPrivs, /proc/self/status] }
",
    );
    navigator.says("without", |line| line == "NoNewPrivs:\t1");
    navigator.says("below", |line| line == "NoNewPrivs:\t1");
    // One that itself runs without new privileges can't give them back to its processes.
    let own = navigator.status("NoNewPrivs");
    navigator.says("usual", |line| line == format!("NoNewPrivs:\t{own}"));
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// Until its exec a child shares navigator's memory, so no process of its user may attach to it.
#[test]
fn a_process_of_another_user_is_undumpable_before_its_program_is_executed() {
    let test = "environment::a_process_of_another_user_is_undumpable_before_its_program_is_executed";
    let probe = ["strace", "-qq", "-o", "/dev/null", "true"];
    if !servers::root(test) || !servers::present(test, &["strace"]) || !servers::permitted(test, &probe) {
        return;
    }
    let site = Site::new();
    site.write("navigator.yml", "managed_processes:\n  - { name: web, command: 'true', user: nobody }\n");
    let traced = r#"site=$NAVIGATOR_E2E; unset NAVIGATOR_E2E
        exec strace -D -f -qq -o trace -e trace=setresuid,prctl,execve env NAVIGATOR_E2E="$site" "$0" "$@""#;
    let mut navigator = site.command_through("sh", &["-c", traced], &["navigator.yml"]).start();
    navigator.event("Process exited", "web");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    let trace = site.read("trace");
    let changed = trace.lines().find(|line| line.contains("setresuid(65534")).expect("it changes its user");
    let (child, _) = changed.split_once(' ').expect("its number comes first");
    let calls: Vec<&str> = trace.lines().filter(|line| line.starts_with(&format!("{child} "))).collect();
    let after = calls.iter().position(|line| *line == changed).and_then(|place| calls.get(place + 1));
    assert!(after.is_some_and(|line| line.contains("PR_SET_DUMPABLE, SUID_DUMP_DISABLE")), "{trace}");
}

#[test]
fn a_group_alone_is_the_only_group() {
    let test = "environment::a_group_alone_is_the_only_group";
    if !servers::root(test) || !servers::present(test, &["setpriv"]) {
        return;
    }
    let site = Site::new();
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - { name: other, command: sh, args: [-c, 'id -u; id -G'], group: 1234 }
  - { name: own, command: id, args: [-G], group: root }
  - { name: usual, command: id, args: [-G] }
",
    );
    // Root, with two more groups that its processes have no use for.
    let groups = ["--groups", "4,5678"];
    let mut navigator = site.command_through("setpriv", &groups, &["navigator.yml"]).start();
    navigator.says("other", |line| line == "0");
    navigator.says("other", |line| line == "1234");
    navigator.says("own", |line| line == "0");
    navigator.says("usual", |line| line == "0 4 5678");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn processes_have_the_limits_that_navigator_was_started_with() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        "managed_processes:\n  - { name: inherited, command: sh, args: [-c, ulimit -Sn] }\n  - { name: own, command: sh, args: [-c, ulimit -n], limits: { nofile: 333 } }\n",
    );
    let launch = site.command_through("sh", &["-c", "ulimit -Sn 512; exec \"$0\" \"$@\""], &["navigator.yml"]);
    let mut navigator = launch.start();
    navigator.says("inherited", |line| line == "512");
    navigator.says("own", |line| line == "333");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_process_inherits_nothing_but_its_three_descriptors() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - { name: descriptors, command: sh, args: [-c, 'ls /proc/$$$$/fd; readlink /proc/$$$$/fd/0'] }
  - { name: session, command: cut, args: [-d, ' ', -f, '1,5,6', /proc/self/stat] }
  - { name: variables, command: env }
",
    );
    // What navigator was started with: open files, and variables by which a parent talks to navigator alone.
    let opened = "exec 7</dev/zero 9>/dev/null; exec \"$0\" \"$@\"";
    let launch = site.command_through("sh", &["-c", opened], &["navigator.yml"]);
    let launch = launch.env("NOTIFY_SOCKET", "/nowhere").env("LISTEN_FDS", "2").env("WATCHDOG_USEC", "1000000");
    let mut navigator = launch.start();
    for name in ["descriptors", "session", "variables"] {
        navigator.event("Process exited", name);
    }
    let session = navigator.started("session");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert_eq!(ended.said("descriptors"), ["0", "1", "2", "/dev/null"]);
    assert_eq!(ended.said("session"), [format!("{session} {session} {session}")], "it leads its session and its group");
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"] {
        assert!(!ended.said("variables").iter().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn umask_and_the_killers_score_are_set() {
    let site = Site::new();
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - { name: given, command: sh, args: [-c, 'umask; cat /proc/self/oom_score_adj'], umask: 0027, oom_score_adj: 321 }
  - { name: inherited, command: sh, args: [-c, umask] }
",
    );
    let mut navigator = site.command_through("sh", &["-c", "umask 0031; exec \"$0\" \"$@\""], &["navigator.yml"]).start();
    for name in ["given", "inherited"] {
        navigator.event("Process exited", name);
    }
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    assert_eq!(ended.said("given"), ["0027", "321"]);
    assert_eq!(ended.said("inherited"), ["0031"]);
}

#[test]
fn however_oddly_navigator_is_started_a_process_sees_nothing_of_it() {
    let test = "environment::however_oddly_navigator_is_started_a_process_sees_nothing_of_it";
    if !servers::permitted(test, &["env", "--block-signal=TERM", "--ignore-signal=CHLD", "true"]) {
        return;
    }
    let site = Site::new();
    let look = site.script("look.sh", LOOK);
    site.write("navigator.yml", &format!("managed_processes: [{{ name: look, command: {} }}]\n", look.display()));
    // Only bash knows descriptors of two digits.
    let odd = "umask 077; ulimit -n 256; exec 77</etc/passwd 9>/dev/null; \
               echo 123 >/proc/self/oom_score_adj; cd /usr; \
               exec nohup nice -n 3 env --block-signal=TERM,USR1,USR2 --ignore-signal=CHLD,INT,QUIT,PIPE \"$0\" \"$@\"";
    let config = site.path("navigator.yml").display().to_string();
    let mut navigator = site.command_through("bash", &["-c", odd], &[&config]).start();
    navigator.event("Process exited", "look");
    let pid = navigator.started("look");
    navigator.signal(Signal::TERM);
    let ended = navigator.exits(0);
    let expected = [
        format!("session {pid} group {pid} terminal 0"),
        "blocked 0000000000000000".to_owned(),
        "ignored 0000000000000000".to_owned(),
        "caught 0000000000000000".to_owned(),
        "stdin /dev/null".to_owned(),
        // What it is to have from whoever started navigator.
        "files 256 256".to_owned(),
        "umask 0077".to_owned(),
        "nice 3".to_owned(),
        "oom_score_adj 123".to_owned(),
        "directory /usr".to_owned(),
        // The last one is the directory that `ls` reads.
        "0".to_owned(),
        "1".to_owned(),
        "2".to_owned(),
        "3".to_owned(),
    ];
    assert_eq!(ended.said("look"), expected);
}

/// Says all that a program inherits besides its environment. The mask and the dispositions are those of the shell's own
/// children, which the shell doesn't touch; it catches one signal itself, to wait for them.
const LOOK: &str = r#"#!/bin/sh
set -- $(sed 's/.*) //' /proc/$$/stat)
echo "session $4 group $3 terminal $5"
sed -n 's/^SigBlk:\t/blocked /p; s/^SigIgn:\t/ignored /p; s/^SigCgt:\t/caught /p' /proc/self/status
echo "stdin $(readlink /proc/$$/fd/0)"
echo "files $(ulimit -Sn) $(ulimit -Hn)"
echo "umask $(umask)"
echo "nice $(nice)"
echo "oom_score_adj $(cat /proc/$$/oom_score_adj)"
echo "directory $(pwd -P)"
exec ls /proc/self/fd
"#;
