//! The recipes of `docs/gitops.md`, run as they are written there with the tools that they are for. Only paths of the host are those of
//! the test's site.

use crate::harness::{Navigator, Site, attempt, client, servers};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ANSIBLE: &str = "ansible-core==2.19.4";
const PRE_COMMIT: &str = "pre-commit==4.7.0";

const ONE: &str = "managed_processes:\n  - { name: web, command: sleep, args: [1h] }\n";
const TWO: &str =
    "managed_processes:\n  - { name: web, command: sleep, args: [1h] }\n  - { name: worker, command: sleep, args: [1h] }\n";
const WRONG: &str = "managed_processes:\n  - { name: web, comand: sleep, args: [1h] }\n";

/// The blocks of the page with this tag.
fn recipes(tag: &str) -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitops.md")).expect("the page can be read");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let found: Vec<String> = blocks
        .filter_map(|block| block.split_once('\n').filter(|(found, _)| *found == tag))
        .map(|(_, text)| text.to_owned())
        .collect();
    assert!(!found.is_empty(), "the page has no recipe `{tag}`");
    found.into_iter().map(|text| text + "\n").collect()
}

/// A recipe with the paths of a site in place of those of the host.
fn recipe(site: &Site, tag: &str, number: usize) -> String {
    let text = recipes(tag).swap_remove(number);
    let at = |name: &str| site.path(name).display().to_string();
    text.replace("/etc/navigator/", &at("etc/navigator/"))
        .replace("/srv/hosts", &at("hosts"))
        .replace("/usr/bin/navigator", env!("CARGO_BIN_EXE_navigator"))
}

/// A command in a site that finds navigator, and these programs first.
fn command(site: &Site, program: &str, first: &[PathBuf]) -> Command {
    let mut command = Command::new(program);
    site.surround(&mut command);
    let navigator = Path::new(env!("CARGO_BIN_EXE_navigator")).parent().expect("it is in a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = first.iter().cloned().chain([navigator]).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).expect("paths without a colon")).env("HOME", site.path("home"));
    // Programs that ask for the user's name of Git are not asked about it here.
    for part in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
        command.env(part, "Test");
    }
    for part in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        command.env(part, "test@example.com");
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn shell(site: &Site, text: &str) -> Command {
    let mut shell = command(site, "sh", &[]);
    shell.args(["-ec", text]);
    shell
}

/// A navigator that runs `etc/navigator/navigator.yml`.
fn started(site: &Site) -> Navigator<'_> {
    site.write("etc/navigator/navigator.yml", ONE);
    let navigator = site.command(["etc/navigator/navigator.yml"]).start();
    navigator.started("web");
    navigator
}

fn in_place(site: &Site) -> String {
    site.read("etc/navigator/navigator.yml")
}

/// What a play of Ansible says at its end: `changed=1`, `failed=0`.
fn play(site: &Site, programs: &Path, number: usize) -> Result<String, String> {
    site.write("play.yml", &recipe(site, "yaml,ansible", number));
    let mut play = command(site, "ansible-playbook", &[programs.to_owned()]);
    play.args(["--inventory", "localhost,", "--connection", "local", "play.yml"]);
    play.env("ANSIBLE_LOCALHOST_WARNING", "False").env("ANSIBLE_GATHERING", "explicit").env("ANSIBLE_HOME", site.path("ansible"));
    play.env("ANSIBLE_PYTHON_INTERPRETER", programs.join("python3")).env("LC_ALL", "C.UTF-8");
    attempt(&mut play)
}

#[test]
fn the_second_run_of_ansible_changes_nothing() {
    let Some(programs) = servers::python_packages("deploy::the_second_run_of_ansible_changes_nothing", &[ANSIBLE]) else {
        return;
    };
    for number in 0..recipes("yaml,ansible").len() {
        let site = Site::new();
        let navigator = started(&site);
        site.write("navigator.yml", TWO);
        for expected in ["changed=1 ", "changed=0 "] {
            let report = play(&site, &programs, number).unwrap_or_else(|error| panic!("{error}"));
            assert!(report.contains(expected) && report.contains("failed=0 "), "{report}");
            assert_eq!(in_place(&site), TWO);
            site.asks(&["-c", "etc/navigator/navigator.yml", "status", "worker"], 0);
        }
        site.write("navigator.yml", WRONG);
        let error = play(&site, &programs, number).expect_err("the file is wrong");
        assert!(error.contains("unknown key `comand`"), "{error}");
        assert_eq!(in_place(&site), TWO);
        navigator.ends();
    }
}

#[test]
fn the_second_run_of_puppet_changes_nothing() {
    if !servers::present("deploy::the_second_run_of_puppet_changes_nothing", &["puppet"]) {
        return;
    }
    let site = Site::new();
    let navigator = started(&site);
    site.write("hosts/navigator.yml", TWO);
    site.write("site.pp", &recipe(&site, "puppet", 0));
    let apply = || {
        let mut apply = command(&site, "puppet", &[]);
        apply.args(["apply", "--color", "false", "--detailed-exitcodes", "--confdir"]).arg(site.path("puppet"));
        attempt(apply.arg("--vardir").arg(site.path("puppet")).arg("site.pp"))
    };
    // Its exit code 2: there were changes, and all succeeded.
    let error = apply().expect_err("there is a change");
    assert!(error.contains("exit status: 2"), "{error}");
    assert_eq!(in_place(&site), TWO);
    site.asks(&["-c", "etc/navigator/navigator.yml", "status", "worker"], 0);
    apply().unwrap_or_else(|error| panic!("nothing is left to change: {error}"));
    navigator.ends();
}

#[test]
fn cron_applies_what_git_pulls_and_says_nothing() {
    let site = Site::new();
    let navigator = started(&site);
    let commit = "git -C origin add . && git -C origin commit --quiet --message new";
    site.write("origin/navigator.yml", ONE);
    client(&mut shell(&site, &format!("git init --quiet origin && {commit} && git clone --quiet origin hosts")));
    site.script("pull", &recipe(&site, "sh,cron", 0));
    let pull = || command(&site, site.path("pull").to_str().expect("it is text"), &[]);
    for text in [ONE, TWO] {
        site.write("origin/navigator.yml", text);
        client(&mut shell(&site, &format!("git -C origin diff --quiet || {{ {commit}; }}")));
        for _ in 0..2 {
            assert_eq!(client(&mut pull()), "");
            assert_eq!(in_place(&site), text);
        }
    }
    site.write("origin/navigator.yml", WRONG);
    client(&mut shell(&site, commit));
    let error = attempt(&mut pull()).expect_err("the file is wrong");
    assert!(error.contains("unknown key `comand`") && error.contains("exit status: 1"), "{error}");
    assert_eq!(in_place(&site), TWO);
    navigator.ends();
}

#[test]
fn rsync_changes_all_files_at_once() {
    if !servers::present("deploy::rsync_changes_all_files_at_once", &["rsync"]) {
        return;
    }
    let site = Site::new();
    let navigator = started(&site);
    site.write("hosts/web1/navigator.yml", &format!("include: [conf.d/*.yml]\nenv_file: app.env\n{ONE}"));
    site.write("hosts/web1/app.env", "PORT=80\n");
    site.write("hosts/web1/conf.d/worker.yml", "managed_processes:\n  - { name: worker, command: sleep, args: [\"${PORT}\"] }\n");
    // The page names the directory from where the repository is.
    let script = recipe(&site, "sh,rsync", 0).replace("hosts/web1/", &site.path("hosts/web1/").display().to_string());
    client(&mut shell(&site, &script));
    navigator.started("worker");
    assert_eq!(navigator.count("Configuration rejected", ""), 0);
    navigator.ends();
}

#[test]
fn etckeeper_records_one_change() {
    if !servers::present("deploy::etckeeper_records_one_change", &["etckeeper"]) {
        return;
    }
    let site = Site::new();
    let navigator = started(&site);
    let program = servers::find("etckeeper").expect("it was found");
    let unpacked = program.ancestors().nth(3).expect("it is in `usr/bin`").join("etc/etckeeper");
    let etckeeper = |text: &str| {
        let mut shell = command(&site, "sh", &[program.parent().expect("a folder").to_owned()]);
        shell.args(["-ec", text]).env("ETCKEEPER_DIR", site.path("etc"));
        if unpacked.is_dir() {
            shell.env("ETCKEEPER_CONF_DIR", &unpacked);
        }
        client(&mut shell)
    };
    etckeeper("etckeeper init && etckeeper commit first");
    site.write("navigator.yml", TWO);
    etckeeper(&recipe(&site, "sh,etckeeper", 0));
    let log = etckeeper("git -C etc log --format=%s --name-status --max-count=1");
    assert_eq!(log.trim(), "Apply navigator.yml\n\nM\tnavigator/navigator.yml");
    navigator.ends();
}

/// The commands of a recipe for CI.
fn steps(tag: &str) -> String {
    let recipe = recipes(tag).swap_remove(0);
    let lines = recipe.lines().map(str::trim_start);
    let lines: Vec<&str> =
        lines.map(|line| line.strip_prefix("- run: ").or_else(|| line.strip_prefix("- ")).unwrap_or(line)).collect();
    // A folded text (`>-`) is one line.
    let mut steps = String::new();
    for line in &lines {
        let goes_on = line.starts_with("--") || line.starts_with(">> ");
        if line.starts_with("navigator ") || line.starts_with("git ") || goes_on {
            steps.push_str(if goes_on { " " } else { "\n" });
            steps.push_str(line);
        }
    }
    assert!(steps.contains("navigator check"), "{steps}");
    steps + "\n"
}

#[test]
fn ci_reports_problems_and_the_plan() {
    let site = Site::new();
    let host = "env_file: /etc/no-such-shop/secrets.env\n";
    site.write("repo/hosts/web1/navigator.yml", &format!("{host}{ONE}"));
    client(&mut shell(
        &site,
        "git init --quiet --initial-branch main repo; cd repo; git add .; git commit --quiet -m one; git update-ref refs/remotes/origin/main HEAD",
    ));
    site.write("repo/hosts/web1/navigator.yml", &format!("{host}{TWO}"));
    let run = |tag: &str| {
        let mut steps = shell(&site, &format!("cd repo\n{}", steps(tag)));
        attempt(steps.env("GITHUB_BASE_REF", "main").env("GITHUB_STEP_SUMMARY", site.path("summary.md")))
    };
    let report = run("yaml,github").unwrap_or_else(|error| panic!("{error}"));
    assert!(!report.contains("::"), "no problem is reported: {report}");
    let summary = site.read("summary.md");
    assert!(summary.starts_with("**plan**: 1 to start, 1 unchanged\n\n| | process |"), "{summary}");
    assert_eq!(run("yaml,gitlab"), Ok(String::new()));
    assert_eq!(site.read("repo/problems.json"), "[]\n");
    site.write("repo/hosts/web1/navigator.yml", WRONG);
    for (tag, expected) in [("yaml,github", "::error file=hosts/web1/navigator.yml,line=2,"), ("yaml,gitlab", "exit status: 1")] {
        let error = run(tag).expect_err("the file is wrong");
        assert!(error.contains(expected), "{error}");
    }
    assert!(site.read("repo/problems.json").contains("unknown key `comand`"));
}

#[test]
fn pre_commit_refuses_a_wrong_file() {
    let Some(programs) = servers::python_packages("deploy::pre_commit_refuses_a_wrong_file", &[PRE_COMMIT]) else { return };
    let site = Site::new();
    let hooks =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.pre-commit-hooks.yaml")).expect("the hooks can be read");
    site.write("navigator/.pre-commit-hooks.yaml", &hooks);
    let at = site.path("navigator").display().to_string();
    site.write(
        "repo/.pre-commit-config.yaml",
        &recipes("yaml,pre-commit")[0].replace("https://git.example.com/mirrors/navigator", &at),
    );
    site.write("repo/hosts/web1/navigator.yml", &format!("env_file: /etc/no-such-shop/secrets.env\n{ONE}"));
    site.write("repo/other.yml", "not: ours\n");
    client(&mut shell(
        &site,
        "git init --quiet navigator; git -C navigator add .; git -C navigator commit --quiet -m hooks; git -C navigator tag v0.1.0\n\
         git init --quiet repo; git -C repo add .",
    ));
    let run = || {
        let mut run = command(&site, "pre-commit", std::slice::from_ref(&programs));
        attempt(
            run.args(["run", "--all-files", "--color", "never"])
                .current_dir(site.path("repo"))
                .env("PRE_COMMIT_HOME", site.path("hooks")),
        )
    };
    let report = run().unwrap_or_else(|error| panic!("{error}"));
    assert!(report.contains("navigator check") && report.contains("Passed"), "{report}");
    site.write("repo/hosts/web1/navigator.yml", WRONG);
    let error = run().expect_err("the file is wrong");
    assert!(
        error.contains("hosts/web1/navigator.yml:2:18: error: unknown key `comand`") && !error.contains("other.yml"),
        "{error}"
    );
}

#[test]
fn every_recipe_is_run_by_a_test() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitops.md")).expect("the page can be read");
    let mut tags: Vec<&str> = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.lines().next()).collect();
    tags.dedup();
    let expected = [
        // `following` does both with repositories of its own.
        "yaml,follow",
        "text",
        "yaml,ansible",
        "puppet",
        "sh,cron",
        "sh,rsync",
        "sh,etckeeper",
        // `saves::ways` swaps the links of a ConfigMap.
        "yaml,kubernetes",
        "yaml,github",
        "yaml,gitlab",
        "yaml,pre-commit",
    ];
    assert_eq!(tags, expected);
}
