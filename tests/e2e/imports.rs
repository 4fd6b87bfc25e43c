//! `navigator import`: what it prints and writes, that each result runs, and that it does what the original does.

use crate::harness::{Ended, Site, servers};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROCFILE: &str = "web: sleep 100\nclock: sleep 200\n";

#[track_caller]
fn imports(site: &Site, arguments: &[&str], code: i32) -> Ended {
    site.asks(&[&["import"], arguments].concat(), code)
}

#[test]
fn a_result_is_printed_or_written_and_passes_check() {
    let site = Site::new();
    site.write("Procfile", PROCFILE);
    let printed = imports(&site, &["Procfile"], 0);
    assert!(printed.stdout().contains("- name: clock"), "{}", printed.description);
    assert!(printed.stderr().contains("imported 2 processes from `Procfile`"), "{}", printed.description);
    let written = imports(&site, &["Procfile", "-o", "navigator.yml"], 0);
    assert_eq!(written.stdout(), "");
    assert_eq!(site.read("navigator.yml"), printed.stdout());
    let mode = fs::metadata(site.path("navigator.yml")).expect("it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it may hold secrets");
    site.asks(&["check", "navigator.yml"], 0);
}

#[test]
fn an_existing_file_is_never_overwritten_and_no_link_followed() {
    let site = Site::new();
    site.write("Procfile", PROCFILE);
    site.write("there.yml", "mine\n");
    symlink("elsewhere.yml", site.path("link.yml")).expect("the site can be written");
    for out in ["there.yml", "link.yml"] {
        let ended = imports(&site, &["Procfile", "-o", out], 1);
        assert!(ended.stderr().contains("exists already"), "{}", ended.description);
    }
    assert_eq!(site.read("there.yml"), "mine\n");
    assert!(!site.path("elsewhere.yml").exists());
    symlink("Procfile", site.path("Procfile.link")).expect("the site can be written");
    let ended = imports(&site, &["Procfile.link"], 2);
    assert!(ended.stderr().contains("is a link; name the file that it leads to"), "{}", ended.description);
}

#[test]
fn what_can_not_be_imported_is_refused_with_a_reason() {
    let site = Site::new();
    site.write("Procfile", PROCFILE);
    site.write("x.service", "[Service]\nExecStart=/bin/true\n");
    site.write("note.txt", "buy milk\n");
    site.write("empty.conf", "");
    site.write("broken.yml", "services: [\n");
    site.write("images.yml", "services:\n  db: {image: postgres}\n");
    site.write("nothing.service", "[Unit]\nDescription=x\n[Service]\nType=oneshot\n");
    site.write("large.yml", &"a".repeat((4 << 20) + 1));
    fs::write(site.path("binary"), [0xff, 0, 1]).expect("the site can be written");
    fs::create_dir(site.path("directory")).expect("the site can be written");
    for (arguments, code, reason) in [
        (&["missing.conf"] as &[&str], 2, "no such file"),
        (&["note.txt"], 2, "its kind is not recognized"),
        (&["empty.conf"], 2, "its kind is not recognized"),
        (&["Procfile", "x.service"], 2, "one after the other"),
        (&["--from", "nagios", "Procfile"], 2, "write one of"),
        (&["broken.yml", "--from", "compose"], 1, "line"),
        (&["Procfile", "--from", "compose"], 1, "services"),
        (&["Procfile", "--from", "supervisord"], 1, "before the first section"),
        (&["images.yml"], 1, "needs a container"),
        (&["nothing.service"], 1, "ExecStart"),
        (&["large.yml"], 2, "larger than 4 MiB"),
        (&["binary"], 2, "UTF-8"),
        (&["directory"], 2, "its kind is not recognized"),
        (&[], 2, "FILE"),
    ] {
        let ended = imports(&site, arguments, code);
        assert!(ended.stderr().contains(reason), "{arguments:?}: {}", ended.description);
        assert_eq!(ended.stdout(), "", "{arguments:?}");
    }
}

/// Values of variables reach the result, but no message.
#[test]
fn secrets_are_in_the_result_alone() {
    let site = Site::new();
    site.write("compose.yml", "services:\n  a:\n    command: ./a\n    environment: {PASSWORD: hunter2}\n    ports: ['1:1']\n");
    let ended = imports(&site, &["compose.yml"], 0);
    assert!(ended.stdout().contains("PASSWORD: hunter2"), "{}", ended.description);
    assert!(!ended.stderr().contains("hunter"), "{}", ended.description);
    assert!(ended.stderr().contains("compose.yml:5: `ports` of `a`"), "{}", ended.description);
}

/// Each result of `fixtures/import/` runs, with a program that waits in the place of each service.
macro_rules! kinds {
    ($($name:ident $kind:literal)*) => {
        $(#[test] fn $name() { run_all($kind); })*
    };
}

kinds! {
    results_of_circus_run "circus"
    results_of_compose_run "compose"
    results_of_the_older_navigator_run "navigator"
    results_of_pebble_run "pebble"
    results_of_pm2_run "pm2"
    results_of_process_compose_run "process-compose"
    results_of_procfiles_run "procfile"
    results_of_s6_run "s6"
    results_of_supervisord_run "supervisord"
    results_of_systemd_run "systemd"
}

fn run_all(kind: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import").join(kind);
    let cases: Vec<PathBuf> = fs::read_dir(folder).expect("a folder of cases").map(|case| case.expect("a case").path()).collect();
    assert!(!cases.is_empty());
    for case in cases {
        let site = Site::new();
        let path = case.join("navigator.yml");
        let ended = site.asks(&["config", "--format", "json", &path.display().to_string()], 0);
        let mut configuration: Value = serde_json::from_str(&ended.stdout()).expect("JSON");
        for process in configuration["managed_processes"].as_array_mut().expect("a list") {
            play(process);
        }
        configuration.as_object_mut().expect("a map").retain(|key, _| !["env_file", "logging"].contains(&key.as_str()));
        let mut navigator = site.start(&configuration.to_string());
        navigator.log().until("its control socket", || (site.run(["status"]).code != Some(4)).then_some(()));
        let ended = site.run(["wait", "--timeout", "30s"]);
        assert_eq!(ended.code, Some(0), "{}: {}", case.display(), ended.description);
        navigator.signal(crate::harness::Signal::TERM);
        navigator.exits(0);
    }
}

/// Leaves of a definition what decides when it runs.
fn play(process: &mut Value) {
    let is_task = process["type"] == "task";
    let process = process.as_object_mut().expect("a map");
    let kept =
        ["name", "type", "restart", "backoff", "max_restarts", "depends_on", "enabled", "schedule", "replicas", "start_delay"];
    process.retain(|key, _| kept.contains(&key.as_str()));
    if let Some(delay) = process.get_mut("start_delay") {
        *delay = json!("1ms");
    }
    // It counts as healthy at once.
    if let Some(Value::Object(backoff)) = process.get_mut("backoff") {
        backoff.remove("reset_after");
    }
    process.insert("command".to_owned(), json!(if is_task { "true" } else { "sleep" }));
    if !is_task {
        process.insert("args".to_owned(), json!(["infinity"]));
    }
}

/// The processes of a stack write their names, variables and arguments. A bound on how long that may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the original until every file of a site is there, and returns their texts.
fn run_original(site: &Site, program: &Path, arguments: &[&str], files: &[&str]) -> Vec<String> {
    let mut command = Command::new(program);
    site.surround(&mut command);
    command.args(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    #[expect(clippy::disallowed_methods, reason = "the ban protects navigator's own reaper; a test has none")]
    let mut child = command.spawn().expect("the original can be started");
    let texts = texts(site, files);
    // Whatever it does at a signal, it can't do it any more; its processes have written their pids.
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    for file in files {
        let pid = site.read(&format!("{file}.pid")).trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        #[expect(clippy::disallowed_methods, reason = "it was started here, and waits")]
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    }
    texts
}

/// The texts of these files once each has a line.
fn texts(site: &Site, files: &[&str]) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let texts: Vec<String> = files.iter().map(|file| site.read(file)).collect();
        if texts.iter().all(|text| text.ends_with('\n')) {
            for file in files {
                fs::remove_file(site.path(file)).expect("it is there");
            }
            return texts;
        }
        assert!(begun.elapsed() < LIMIT, "{files:?} are not all there");
        std::thread::yield_now();
    }
}

/// What the import of a file writes, by the same processes.
fn run_import(site: &Site, file: &str, files: &[&str]) -> Vec<String> {
    imports(site, &[file, "-o", "navigator.yml"], 0);
    let navigator = site.command(["navigator.yml"]).start();
    let texts = texts(site, files);
    navigator.ends();
    texts
}

const WRITER: &str = "#!/bin/sh\nfile=$1; shift\necho $$ > $file.pid\nprintf '%s|' \"$PWD\" \"$PORT\" \"$MODE\" \"$GREETING\" \"$@\" > $file.new\necho >> $file.new\n\
    mv $file.new $file\nexec sleep 1000\n";

#[test]
fn a_stack_of_honcho_and_its_import_agree() {
    let Some(bin) = servers::python_packages("imports::a_stack_of_honcho_and_its_import_agree", &["honcho"]) else { return };
    let site = Site::new();
    site.script("writer", WRITER);
    site.write(".env", "MODE=live\nGREETING=\"hello there\"\n");
    site.write(
        "Procfile",
        "web: ./writer out/web -p $PORT 'a b'\nworker: ./writer out/worker \"$GREETING\" x\nlast: ./writer out/last plain\n",
    );
    fs::create_dir(site.path("out")).expect("the site can be written");
    let files = ["out/web", "out/worker", "out/last"];
    let original = run_original(&site, &bin.join("honcho"), &["start"], &files);
    assert_eq!(run_import(&site, "Procfile", &files), original);
}

#[test]
fn a_stack_of_supervisord_and_its_import_agree() {
    let Some(bin) = servers::python_packages("imports::a_stack_of_supervisord_and_its_import_agree", &["supervisor"]) else {
        return;
    };
    let site = Site::new();
    site.script("writer", WRITER);
    fs::create_dir(site.path("out")).expect("the site can be written");
    site.write(
        "supervisord.conf",
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%(here)s/supervisord.pid\nenvironment=MODE=\"live\"\n\
         [program:web]\ncommand=%(here)s/writer %(here)s/out/web --name %(program_name)s \"a b\" 5$ 10%%\ndirectory=%(here)s/out\n\
         environment=PORT=\"80\",GREETING='hello, there'\n\
         [program:many]\ncommand=%(here)s/writer %(here)s/out/many%(process_num)d n%(process_num)02d ; a comment\n\
         process_name=%(program_name)s_%(process_num)d\nnumprocs=2\ndirectory=/\nenvironment=PORT=\"9%(process_num)02d\"\n",
    );
    let files = ["out/web", "out/many0", "out/many1"];
    let original = run_original(&site, &bin.join("supervisord"), &["-c", "supervisord.conf"], &files);
    assert_eq!(run_import(&site, "supervisord.conf", &files), original);
}

#[test]
fn a_first_configuration_goes_by_what_is_there() {
    for (files, expected) in [
        (&[("Procfile", "web: ./web\n"), ("Gemfile", "gem 'puma'\n")] as &[(&str, &str)], "command: ./web"),
        (&[("bin/dev", "#!/bin/sh\n"), ("Gemfile", "gem \"rails\"\ngem \"sidekiq\"\n")], "command: bin/dev"),
        (&[("Gemfile", "source 'x'\ngem 'sidekiq'\n")], "args: [exec, sidekiq]"),
        (&[("package.json", "{\"scripts\": {\"test\": \"x\", \"dev\": \"vite\"}}"), ("yarn.lock", "")], "command: yarn"),
        (&[("docker-compose.yml", "services: {api: {image: x, command: ./api}}\n")], "command: ./api"),
        (&[("docker-compose.yml", "services: {db: {image: postgres}}\n"), ("Gemfile", "gem 'puma'\n")], "args: [exec, puma]"),
        (
            &[("app.service", "[Service]\nExecStart=/bin/app\n"), ("app.timer", "[Timer]\nOnCalendar=daily\n")],
            "schedule: 0 0 * * *",
        ),
        (&[], "managed_processes: []"),
    ] {
        let site = Site::new();
        for (name, text) in files {
            site.write(name, text);
        }
        let ended = site.asks(&["init"], 0);
        let text = site.read("navigator.yml");
        assert!(
            text.starts_with("# Processes of this directory") && text.contains(expected),
            "{files:?}: {text}\n{}",
            ended.description
        );
        site.asks(&["check"], 0);
        let again = site.asks(&["init"], 1);
        assert!(again.stderr().contains("exists already"), "{}", again.description);
        assert_eq!(site.read("navigator.yml"), text);
    }
}

#[test]
fn a_unit_is_installed_and_removed_and_no_other_one_touched() {
    let site = Site::new();
    site.write("shop.yml", "managed_processes: []\n");
    let units = site.path("units").display().to_string();
    let install = ["service", "install", "shop.yml", "--name", "shop", "--directory", &units];
    let remove = ["service", "remove", "--name", "shop", "--directory", &units];
    let missing = ["service", "install", "missing.yml", "--directory", &units];
    site.asks(&missing, 2);
    let ended = site.asks(&install, 0);
    assert!(ended.stdout().contains("enable --now shop"), "{}", ended.description);
    let unit = site.read("units/shop.service");
    let config = site.path("shop.yml");
    assert!(unit.contains(&format!("{} -c {} upgrade", env!("CARGO_BIN_EXE_navigator"), config.display())), "{unit}");
    site.asks(&install, 0);
    site.asks(&remove, 0);
    assert!(!site.path("units/shop.service").exists());
    site.asks(&remove, 1);
    site.write("units/shop.service", "[Service]\nExecStart=/bin/mine\n");
    for arguments in [&install[..], &remove] {
        let ended = site.asks(arguments, 1);
        assert!(ended.stderr().contains("is not navigator's"), "{}", ended.description);
    }
    assert!(site.read("units/shop.service").contains("/bin/mine"));
}
