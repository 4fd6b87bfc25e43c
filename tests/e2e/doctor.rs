//! `navigator doctor`: what it says of this host, and of configurations that can't work on it.

use crate::harness::{Ended, Site, servers};

/// The lines of one part of the answer, as verdict, name and meaning.
fn part(ended: &Ended, title: &str) -> Vec<(String, String, String)> {
    let text = ended.stdout();
    let lines = text.lines().skip_while(|line| *line != title).skip(1).take_while(|line| line.starts_with("  "));
    let cut = |line: &str| {
        let (verdict, rest) = line.trim_start().split_once(' ').expect("a verdict and a name");
        let (name, meaning) = rest.trim_start().split_once("  ").unwrap_or((rest.trim_start(), ""));
        (verdict.to_owned(), name.to_owned(), meaning.trim_start().to_owned())
    };
    lines.map(cut).collect()
}

#[test]
fn the_host_is_described_also_without_a_configuration() {
    let site = Site::new();
    let ended = site.run(["doctor"]);
    assert_eq!(ended.code, Some(0), "{}", ended.description);
    let rows = part(&ended, "host");
    let names: Vec<&str> = rows.iter().map(|(_, name, _)| name.as_str()).collect();
    let expected =
        ["/proc", "pidfds", "control groups", "subreaper", "close_range", "inotify", "leases", "root", "state directory"];
    assert_eq!(names, expected, "{}", ended.description);
    for (verdict, name, meaning) in &rows {
        assert!(["ok", "missing"].contains(&verdict.as_str()), "{name}: {verdict}");
        assert!(!meaning.is_empty(), "{name}");
    }
    assert!(!site.path("state").exists(), "it leaves nothing behind");
}

#[test]
fn what_can_not_work_is_told_by_process_in_the_order_of_the_file() {
    let site = Site::new();
    site.write("plain-file", "");
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - { name: works, command: sleep, args: ['1'], nice: 5, limits: { nofile: 32 } }
  - { name: nowhere, command: sleep, working_dir: ./missing }
  - { name: unknown, command: sleep, user: no-such-user }
  - { name: absent, command: ./no-such-program }
  - { name: plain, command: ./plain-file }
  - { name: unwritten, command: sleep, output: { file: plain-file/it.log } }
applications:
  - { name: web, command: 'true' }
",
    );
    let ended = site.run(["doctor", "navigator.yml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let rows = part(&ended, "navigator.yml");
    let told: Vec<String> =
        rows.iter().map(|(verdict, name, meaning)| format!("{verdict} {name} {meaning}").trim_end().to_owned()).collect();
    let expected = [
        "ok works".to_owned(),
        "problem nowhere working_dir does not exist: `./missing`".to_owned(),
        "problem unknown unknown user: `no-such-user` has no account on this host".to_owned(),
        "problem absent command not found: `./no-such-program` does not exist".to_owned(),
        "problem plain not executable: `./plain-file` may not be executed by its user; `chmod +x` allows it, a `noexec` mount doesn't".to_owned(),
        "problem unwritten output.file `plain-file/it.log`: not a directory".to_owned(),
        "ok web".to_owned(),
    ];
    assert_eq!(told, expected, "{}", ended.description);
    assert!(ended.stdout().ends_with("\n5 things will not work here\n"), "{}", ended.description);
}

#[test]
fn every_problem_of_a_process_is_reported() {
    let site = Site::new();
    site.write("plain-file", "");
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - name: all
    command: no-such-tool
    args: [serve]
    env: { PATH: '/opt/a:/opt/b' }
    user: no-such-user
    group: no-such-group
    working_dir: ./missing
    limits: { nofile: 4611686018427387904 }
    output: { file: plain-file/it.log }
  - name: beside
    command: sleep
    ready: { exec: [./no-check] }
    liveness: { exec: [no-such-check] }
    stop: { command: [./plain-file] }
    reload: { command: [sleep, '1'] }
  - { name: relative, command: ./plain-file, working_dir: ./missing, ready: { exec: [./no-check] } }
  - { name: several, command: './tool-${NAVIGATOR_REPLICA}', user: no-such-user, replicas: 2 }
",
    );
    let ended = site.run(["doctor", "navigator.yml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let rows = part(&ended, "navigator.yml");
    let of = |name: &str| -> Vec<&str> {
        rows.iter().filter(|(verdict, of, _)| verdict == "problem" && of == name).map(|(.., meaning)| meaning.as_str()).collect()
    };
    let problems = of("all");
    let starts = [
        "unknown group: `no-such-group`",
        "unknown user: `no-such-user`",
        "setting limits.nofile: ",
        "working_dir does not exist: `./missing`",
        "command not found: `no-such-tool` is in no directory of its PATH `/opt/a:/opt/b`",
        "output.file `plain-file/it.log`: not a directory",
    ];
    for start in starts {
        assert_eq!(problems.iter().filter(|problem| problem.starts_with(start)).count(), 1, "{start}\n{}", ended.description);
    }
    assert_eq!(problems.len(), starts.len(), "{}", ended.description);
    let beside = of("beside");
    assert!(beside[0].starts_with("`ready.exec`: command not found: `./no-check` does not exist"), "{}", ended.description);
    assert!(beside[1].starts_with("`liveness.exec`: command not found: `no-such-check` is in no directory of its PATH `"));
    assert!(beside[2].starts_with("`stop.command`: not executable: `./plain-file`"), "{}", ended.description);
    assert_eq!(beside.len(), 3, "{}", ended.description);
    // What is relative to a directory that is missing is not looked for elsewhere.
    assert_eq!(of("relative"), ["working_dir does not exist: `./missing`"]);
    let several = of("several");
    assert_eq!(several.iter().filter(|problem| problem.starts_with("unknown user: `no-such-user`")).count(), 1, "{several:?}");
    assert!(ended.stdout().ends_with(" things will not work here\n"), "{}", ended.description);
}

#[test]
fn what_needs_privileges_is_told_to_those_who_have_none() {
    let test = "doctor::what_needs_privileges_is_told_to_those_who_have_none";
    if !servers::root(test) || !servers::present(test, &["setpriv"]) {
        return;
    }
    let site = Site::new();
    site.write(
        "navigator.yml",
        r"
managed_processes:
  - { name: works, command: 'true' }
  - { name: other-user, command: 'true', user: daemon }
  - { name: first, command: 'true', nice: -5 }
  - { name: precious, command: 'true', oom_score_adj: -500 }
  - { name: wide, command: 'true', limits: { nofile: 1048577 } }
",
    );
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", "ulimit -n 1000; exec \"$0\" \"$@\""];
    let launch = site.command_through("setpriv", &nobody, &["doctor", "navigator.yml"]);
    let ended = launch.env("NAVIGATOR_STATE_DIR", "/proc/no-such-place").start().ended();
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let verdict = |part: &[(String, String, String)], name: &str| {
        part.iter().find(|(_, of, _)| of == name).map(|(verdict, _, meaning)| format!("{verdict} {meaning}")).unwrap_or_default()
    };
    let (host, rows) = (part(&ended, "host"), part(&ended, "navigator.yml"));
    assert!(verdict(&host, "root").starts_with("missing "), "{}", ended.description);
    assert!(verdict(&host, "state directory").starts_with("missing failed to make state directory"), "{}", ended.description);
    assert_eq!(verdict(&rows, "works"), "ok ");
    assert_eq!(
        verdict(&rows, "other-user"),
        "problem taking the groups of user `daemon`: operation not permitted; only root may run a process as another user or group"
    );
    assert_eq!(verdict(&rows, "first"), "problem setting nice: permission denied; only root may raise a priority");
    assert_eq!(verdict(&rows, "precious"), "problem setting oom_score_adj: permission denied; only root may lower it");
    assert_eq!(
        verdict(&rows, "wide"),
        "problem setting limits.nofile: operation not permitted; only root may exceed the hard limit, and only up to the kernel's maximum"
    );
}

#[test]
fn too_few_descriptors_for_all_are_told() {
    let site = Site::new();
    let process = |number: u32| format!("  - {{ name: p{number}, command: 'true' }}\n");
    site.write("navigator.yml", &format!("managed_processes:\n{}", (0..20).map(process).collect::<String>()));
    let launch = site.command_through("sh", &["-c", "ulimit -n 100; exec \"$0\" \"$@\""], &["doctor", "navigator.yml"]);
    let ended = launch.start().ended();
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let text = ended.stdout();
    assert!(text.contains("20 processes need about 144 descriptors, and 100 are allowed"), "{text}");
    assert!(text.ends_with("\n1 thing will not work here\n"), "{text}");
}

#[test]
fn a_wrong_configuration_is_reported_as_by_check() {
    let site = Site::new();
    site.write("navigator.yml", "managed_processes:\n  - { name: web, comand: x }\n");
    let (doctor, check) = (site.run(["doctor", "navigator.yml"]), site.run(["check", "navigator.yml"]));
    assert_eq!((doctor.code, doctor.stderr()), (check.code, check.stderr()));
    let missing = site.run(["doctor", "missing.yml"]);
    assert_eq!(missing.code, Some(2), "{}", missing.description);
}
