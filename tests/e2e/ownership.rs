//! Which files and requests navigator accepts: input that decides what root runs must belong to root.

use crate::harness::{Ended, Navigator, Signal, Site, client, servers};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

const NOBODY: u32 = 65534;
const AS_NOBODY: [&str; 3] = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];

const WITH_OTHERS: &str = "\
include: part.yml
managed_processes:
  - { name: web, command: sleep, args: [1h], env_file: web.env }
";

/// A configuration of three files in its own directory.
fn site() -> Site {
    let site = Site::new();
    site.write("conf/navigator.yml", WITH_OTHERS);
    site.write("conf/part.yml", "managed_processes:\n  - { name: part, command: sleep, args: [1h] }\n");
    site.write("conf/web.env", "A=b\n");
    for name in ["", "navigator.yml", "part.yml", "web.env"] {
        mode(&site.path("conf").join(name), if name.is_empty() { 0o755 } else { 0o644 });
    }
    site
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Whether the test can run navigator as `nobody`.
fn can_become_nobody(test: &str) -> bool {
    let [user, group, groups] = AS_NOBODY;
    servers::root(test)
        && servers::permitted(test, &["setpriv", user, group, groups, env!("CARGO_BIN_EXE_navigator"), "--version"])
}

#[track_caller]
fn refused(ended: &Ended, expected: &str) {
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    assert!(ended.stderr().contains(expected), "{expected}\n{}", ended.description);
}

#[track_caller]
fn runs(mut navigator: Navigator<'_>) {
    navigator.started("web");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// A user without an account; root must not accept files of it.
const USER: u32 = 61_234;

/// Prepares the file at a path, and its directory.
type Arrange = fn(&Path, &Path);

/// The cases, with their names in `docs/security.md`.
const CELLS: &[(&str, Arrange)] = &[
    ("root's, mode 0644", |_, _| ()),
    ("root's, mode 0600", |file, _| mode(file, 0o600)),
    ("root's, its group can write", |file, _| mode(file, 0o664)),
    ("root's, all users can write", |file, _| mode(file, 0o646)),
    ("a user's", |file, _| own(file)),
    ("a user's, with `--trust-user`", |file, _| own(file)),
    ("a user's, its group can write, with `--trust-user`", |file, _| {
        own(file);
        mode(file, 0o664);
    }),
    ("root's, an ACL lets a user read", |file, _| acl(file, "r")),
    ("root's, an ACL lets a user write", |file, _| acl(file, "rw")),
    ("in a directory of a user", |_, directory| own(directory)),
    ("in a directory of a user, with `--trust-user`", |_, directory| own(directory)),
    ("in a directory that its group can write", |_, directory| mode(directory, 0o775)),
    ("in a directory that all users can write", |_, directory| mode(directory, 0o777)),
    ("in a sticky directory that all users can write", |_, directory| mode(directory, 0o1777)),
    ("a user's, in a sticky directory that all users can write", |file, directory| {
        own(file);
        mode(directory, 0o1777);
    }),
    ("in a directory where an ACL lets a user write", |_, directory| acl(directory, "rwx")),
    ("in a directory of root below a user's", |_, directory| nest(directory, own)),
    ("over a link of root to a file of root", |file, directory| link(file, directory, "real")),
    ("over a link of a user", |file, directory| {
        link(file, directory, "real");
        own(file);
    }),
    ("over a link of root into a user's directory", |file, directory| {
        link(file, directory, "real");
        own(&directory.join("real"));
    }),
    ("over a link of root that lies in a user's directory", |file, directory| {
        link(file, directory, "real");
        own(directory);
    }),
];

fn own(path: &Path) {
    std::os::unix::fs::lchown(path, Some(USER), None).expect("the test is root");
}

/// Grants a user this access by an access control list.
fn acl(path: &Path, access: &str) {
    client(Command::new("setfacl").args(["-m", &format!("u:{USER}:{access}")]).arg(path));
}

/// Moves the content of a directory one level down, and changes the directory itself.
fn nest(directory: &Path, change: fn(&Path)) {
    let (aside, inner) = (directory.with_extension("aside"), directory.join("inner"));
    fs::rename(directory, &aside).expect("it is ours");
    fs::create_dir(directory).expect("it was moved away");
    mode(directory, 0o755);
    fs::rename(aside, &inner).expect("it is ours");
    for entry in fs::read_dir(&inner).expect("it is ours") {
        let name = entry.expect("an entry").file_name();
        symlink(Path::new("inner").join(&name), directory.join(&name)).expect("it is ours");
    }
    change(directory);
}

/// Moves a file into a directory beside it, and puts a link in its place.
fn link(file: &Path, directory: &Path, name: &str) {
    let (real, file_name) = (directory.join(name), file.file_name().expect("a file"));
    fs::create_dir(&real).expect("its name is new");
    mode(&real, 0o755);
    fs::rename(file, real.join(file_name)).expect("it is ours");
    symlink(Path::new(name).join(file_name), file).expect("it was moved away");
}

/// The verdict of the document for each case and kind of file.
fn documented() -> Vec<(String, Vec<bool>)> {
    let document = include_str!("../../docs/security.md");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = document.lines().filter(|line| line.starts_with('|')).map(cells);
    let verdicts = |row: &[String]| row[1..].iter().map(|cell| cell == "taken").collect();
    let is_verdict =
        |row: &Vec<String>| row.len() == 4 && row[1..].iter().all(|cell| ["taken", "refused"].contains(&cell.as_str()));
    rows.filter(is_verdict).map(|row| (row[0].clone(), verdicts(&row))).collect()
}

/// Checks each cell of the document with `doctor`, which accepts what a start accepts, and starts nothing.
#[test]
fn the_matrix_in_the_document_matches_what_root_accepts() {
    const KINDS: [(&str, &str); 3] = [("main", "navigator.yml"), ("part", "part.yml"), ("env", "web.env")];
    let test = "ownership::the_matrix_in_the_document_matches_what_root_accepts";
    if !servers::root(test) || !servers::present(test, &["setfacl"]) {
        return;
    }
    let rows: Vec<&str> = CELLS.iter().map(|(name, _)| *name).collect();
    let document = documented();
    assert_eq!(document.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), rows);
    assert!(document.len() * KINDS.len() >= 40);
    let mut wrong = Vec::new();
    for ((name, arrange), (_, expected)) in CELLS.iter().zip(&document) {
        for ((directory, file), is_expected) in KINDS.iter().zip(expected) {
            let site = Site::new();
            site.write(
                "main/navigator.yml",
                "include: ../part/part.yml\nmanaged_processes:\n  - { name: web, command: sleep, env_file: ../env/web.env }\n",
            );
            site.write("part/part.yml", "managed_processes: [{ name: part, command: sleep }]\n");
            site.write("env/web.env", "A=b\n");
            for (directory, file) in KINDS {
                mode(&site.path(directory), 0o755);
                mode(&site.path(directory).join(file), 0o644);
            }
            let directory = site.path(directory);
            arrange(&directory.join(file), &directory);
            let number = USER.to_string();
            let trust = if name.contains("--trust-user") { &["--trust-user", &number][..] } else { &[] };
            let ended = site.run([trust, &["doctor", "main/navigator.yml"]].concat());
            if (ended.code == Some(0)) != *is_expected {
                wrong.push(format!("{name}: {file} taken: {}\n{}", !is_expected, ended.description));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_refusal_names_the_danger_and_its_remedy_works() {
    if !servers::root("ownership::a_refusal_names_the_danger_and_its_remedy_works") {
        return;
    }
    let site = site();
    site.write(
        "navigator.yml",
        "include: conf/conf.d/*.yml\nmanaged_processes:\n  - { name: web, command: sleep, args: [1h] }\n",
    );
    let parts = site.path("conf/conf.d");
    fs::create_dir(&parts).expect("its name is new");
    chown(&parts, Some(NOBODY), None).expect("the test is root");
    // It is empty, but removing a part would stop processes.
    let danger = format!("`{}` can be written by `nobody`: that user would act as root through it", parts.display());
    let remedy = format!("`chown root: {}`, or start with `--trust-user nobody`", parts.display());
    for arguments in [&["navigator.yml"][..], &["doctor", "navigator.yml"]] {
        let ended = site.run(arguments);
        refused(&ended, &danger);
        refused(&ended, &remedy);
    }
    runs(site.command(["--trust-user", "nobody", "navigator.yml"]).start());
    refused(&site.run(["--trust-user", "daemon", "navigator.yml"]), &danger);
    let ended = site.run(["--trust-user", "no-such-user", "navigator.yml"]);
    assert!(ended.code == Some(2) && ended.stderr().contains("no such user"), "{}", ended.description);
    // `check` accepts it, because it starts nothing.
    assert_eq!(site.run(["check", "navigator.yml"]).code, Some(0));
    client(Command::new("sh").args(["-c", &format!("chown root: {}", parts.display())]));
    runs(site.command(["navigator.yml"]).start());
}

#[test]
fn a_file_that_becomes_untrusted_is_rejected_until_it_is_fixed() {
    if !servers::root("ownership::a_file_that_becomes_untrusted_is_rejected_until_it_is_fixed") {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    let pid = navigator.started("web");
    let part = site.path("conf/part.yml");
    fs::write(&part, "managed_processes: []\n").expect("it is ours");
    navigator.event("Process stopped", "part");
    chown(&part, Some(NOBODY), None).expect("the test is root");
    let rejected = navigator.wait("its rejection", |event| event.message == "Configuration rejected");
    assert!(rejected.field("diagnostics").is_some_and(|text| text.contains("can be written by `nobody`")), "{rejected:?}");
    chown(&part, Some(0), None).expect("the test is root");
    fs::write(&part, "managed_processes:\n  - { name: again, command: sleep, args: [1h] }\n").expect("it is ours");
    navigator.started("again");
    assert_eq!((navigator.count("Process started", "web"), navigator.started("web")), (1, pid));
    runs(navigator);
}

#[test]
fn a_user_accepts_own_files_and_those_of_root() {
    let test = "ownership::a_user_accepts_own_files_and_those_of_root";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    fs::create_dir(site.path("run")).expect("it is ours");
    chown(site.path("run"), Some(NOBODY), None).expect("the test is root");
    let start = || {
        let launch = site.command_through("setpriv", &AS_NOBODY, &["conf/navigator.yml"]);
        launch.env("NAVIGATOR_STATE_DIR", site.path("run/state")).env("NAVIGATOR_PID_FILE", site.path("run/pid")).start()
    };
    runs(start());
    chown(site.path("conf/part.yml"), Some(1234), None).expect("the test is root");
    refused(&start().ended(), "can be written by user 1234: that user would act as user 65534 through it");
    chown(site.path("conf/part.yml"), Some(NOBODY), None).expect("the test is root");
    runs(start());
}

#[test]
fn the_first_process_of_a_container_accepts_mounted_files() {
    let test = "ownership::the_first_process_of_a_container_accepts_mounted_files";
    let container = ["--pid", "--fork", "--kill-child"];
    if !servers::root(test) || !servers::permitted(test, &["unshare", container[0], container[1], container[2], "true"]) {
        return;
    }
    let site = site();
    chown(site.path("conf/navigator.yml"), Some(NOBODY), None).expect("the test is root");
    let mut navigator = site.command_through("unshare", &container, &["conf/navigator.yml"]).start();
    navigator.event("Process started", "web");
    navigator.signal(Signal::KILL);
    navigator.ended();
}

/// The socket's directory is closed to other users. If it is opened, the kernel still reports the peer's user.
#[test]
fn requests_of_another_user_are_refused_without_any_information() {
    let test = "ownership::requests_of_another_user_are_refused_without_any_information";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    navigator.started("web");
    let ask = |arguments: &[&str]| site.command_through("setpriv", &AS_NOBODY, arguments).start().ended();
    refused(&ask(&["-c", "conf/navigator.yml", "status"]), "ermission denied");
    let instance = fs::read_dir(site.path("state")).expect("the state directory").next().expect("one instance");
    let instance = instance.expect("an entry").path();
    for (path, open) in [(site.path("state"), 0o755), (instance.clone(), 0o755), (instance.join("socket"), 0o666)] {
        mode(&path, open);
    }
    // By these, clients find the instance.
    for name in ["config", "lock"] {
        mode(&instance.join(name), 0o644);
    }
    for arguments in [&["status"][..], &["stop", "web"], &["logs"], &["events"], &["plan"], &["wait"], &["reload"]] {
        let ended = ask(&[&["-c", "conf/navigator.yml"], arguments].concat());
        refused(&ended, "only root and navigator's own user may ask");
        assert_eq!(ended.stdout(), "", "{arguments:?}");
    }
    assert_eq!(navigator.count("Process stopped", "web"), 0);
    runs(navigator);
}

/// A client that may ask for a plan must not learn the content of files that navigator would refuse.
#[test]
fn a_plan_reads_no_untrusted_file() {
    if !servers::root("ownership::a_plan_reads_no_untrusted_file") {
        return;
    }
    let site = site();
    let navigator = site.command(["conf/navigator.yml"]).start();
    navigator.started("web");
    let foreign = site.write("foreign", "topmost: hidden\n");
    chown(&foreign, Some(NOBODY), None).expect("the test is root");
    let ended = site.run(["-c", "conf/navigator.yml", "plan", "foreign"]);
    refused(&ended, "can be written by `nobody`: that user would act as root through it");
    assert!(!ended.description.contains("topmost"), "{}", ended.description);
    client(Command::new("chown").arg("0").arg(&foreign));
    refused(&site.run(["-c", "conf/navigator.yml", "plan", "foreign"]), "topmost");
    runs(navigator);
}

/// A state directory for root that another user created first, with that user's own navigator in it.
#[test]
fn a_state_directory_of_another_user_is_not_used() {
    let test = "ownership::a_state_directory_of_another_user_is_not_used";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    fs::create_dir(site.path("theirs")).expect("its name is new");
    chown(site.path("theirs"), Some(NOBODY), None).expect("the test is root");
    let base = site.path("theirs/state");
    let theirs = || site.command_through("setpriv", &AS_NOBODY, &["conf/navigator.yml"]);
    let other = theirs().env("NAVIGATOR_STATE_DIR", &base).env("NAVIGATOR_PID_FILE", site.path("theirs/pid")).start();
    other.started("web");
    let in_base = |arguments: &[&str]| site.command(arguments).env("NAVIGATOR_STATE_DIR", &base).start().ended();
    for arguments in
        [&["conf/navigator.yml"][..], &["-c", "conf/navigator.yml", "status"], &["-c", "conf/navigator.yml", "-s", "stop"]]
    {
        refused(&in_base(arguments), "can be written by `nobody`: that user would act as root through it");
    }
    let asked = in_base(&["--trust-user", "nobody", "-c", "conf/navigator.yml", "status"]);
    assert_eq!(asked.code, Some(0), "{}", asked.description);
    let completed = |options: &[&str]| {
        let line = ["--", "navigator"].iter().chain(options).chain(&["-c", "conf/navigator.yml", "stop", "w"]);
        let index = (options.len() + 4).to_string();
        let asking = site.command(line).env("NAVIGATOR_STATE_DIR", &base).env("NAVIGATOR_COMPLETE", "bash");
        asking.env("_CLAP_COMPLETE_INDEX", index).start().ended().stdout()
    };
    assert_eq!(completed(&[]), "", "the directory is not trusted");
    assert_eq!(completed(&["--trust-user", "nobody"]), "web\n");
    // A directory that all users can write to is refused.
    fs::create_dir(site.path("open")).expect("its name is new");
    mode(&site.path("open"), 0o777);
    let ended = site.command(["conf/navigator.yml"]).env("NAVIGATOR_STATE_DIR", site.path("open")).start().ended();
    refused(&ended, "can be written by every user");
    runs(other);
}

/// A pid file that another user created first and holds, in a directory where all users may create files.
#[test]
fn the_holder_of_a_pid_file_of_another_user_is_not_signalled() {
    let test = "ownership::the_holder_of_a_pid_file_of_another_user_is_not_signalled";
    if !can_become_nobody(test) {
        return;
    }
    let site = site();
    for (name, bits) in [("theirs", 0o755), ("shared", 0o1777)] {
        fs::create_dir(site.path(name)).expect("its name is new");
        mode(&site.path(name), bits);
    }
    chown(site.path("theirs"), Some(NOBODY), None).expect("the test is root");
    let pid_file = site.path("shared/navigator.pid");
    let other = site.command_through("setpriv", &AS_NOBODY, &["conf/navigator.yml"]);
    let other = other.env("NAVIGATOR_STATE_DIR", site.path("theirs/state")).env("NAVIGATOR_PID_FILE", &pid_file).start();
    other.started("web");
    let signalled = site.command(["-s", "stop"]).env("NAVIGATOR_PID_FILE", &pid_file).start().ended();
    assert_eq!(signalled.code, Some(1), "{}", signalled.description);
    // Runs a navigator of root; the other one must stay alive.
    let own = |is_refused: bool| {
        let mut own = site.command(["conf/navigator.yml"]).env("NAVIGATOR_PID_FILE", &pid_file).start();
        own.started("web");
        assert_eq!(own.events().iter().any(|event| event.message == "Failed to lock the pid file"), is_refused);
        own.signal(Signal::TERM);
        assert_eq!(own.ended().code, Some(0));
    };
    own(true);
    assert_eq!(other.count("Process stopped", "web"), 0);
    // A link to a file of root is not followed, and nothing is written there.
    let victim = site.write("victim", "root's own\n");
    fs::remove_file(&pid_file).expect("it is there");
    symlink(&victim, &pid_file).expect("its name is free");
    std::os::unix::fs::lchown(&pid_file, Some(NOBODY), None).expect("the test is root");
    own(true);
    assert_eq!(site.read("victim"), "root's own\n");
    fs::remove_file(&pid_file).expect("it is there");
    own(false);
    runs(other);
}
