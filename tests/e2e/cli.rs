//! The command line: where the configuration is found, what is said about it, exit codes, and talking to a running
//! navigator.

use crate::harness::{Ended, Signal, Site};

const GOOD: &str = "managed_processes:\n  - { name: child, command: \"${FIXTURES}/child.sh\", args: [child] }\n";

/// Two mistakes, each with a place: an unknown key in line 3 and an unknown dependency in line 4.
const BAD: &str =
    "managed_processes:\n  - name: web\n    comand: puma\n    depends_on: [cach]\n  - { name: cache, command: redis-server }\n";

/// Everything that was said to a person, on either stream.
fn text(ended: &Ended) -> String {
    ended.stdout() + &ended.stderr()
}

#[test]
fn version_and_help() {
    let site = Site::new();
    for flag in ["--version", "-V"] {
        let ended = site.run([flag]);
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stdout(), format!("navigator {}\n", env!("CARGO_PKG_VERSION")));
    }
    for flag in ["--help", "-h"] {
        let ended = site.run([flag]);
        assert_eq!(ended.code, Some(0));
        for word in ["Usage:", "--config", "--check", "--verbose", "--quiet", "-s"] {
            assert!(ended.stdout().contains(word), "`{word}` is missing\n{}", ended.stdout());
        }
    }
}

#[test]
fn schema_needs_no_configuration() {
    let site = Site::new();
    let ended = site.run(["schema"]);
    assert_eq!(ended.code, Some(0), "{}", ended.description);
    assert_eq!(ended.stdout(), include_str!("../../fixtures/schema.json"));
    assert_eq!(ended.stderr(), "");
    let help = site.run(["schema", "--help"]).stdout();
    assert!(help.contains("# yaml-language-server: $schema=navigator.schema.json"), "{help}");
}

#[test]
fn check_accepts_a_valid_file_in_every_spelling() {
    let site = Site::new();
    site.write("navigator.yml", GOOD);
    let spellings: [&[&str]; 7] = [
        &["check", "navigator.yml"],
        &["validate", "navigator.yml"],
        &["check"],
        &["check", "-c", "navigator.yml"],
        &["--check", "navigator.yml"],
        &["--validate", "navigator.yml"],
        &["--validate", "--config", "navigator.yml"],
    ];
    for arguments in spellings {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}\n{}", ended.description);
    }
    assert_eq!(site.journal(), Vec::<String>::new(), "nothing was started");
}

#[test]
fn options_may_stand_before_a_command() {
    let site = Site::new();
    site.write("elsewhere.yml", GOOD);
    for arguments in
        [&["-c", "elsewhere.yml", "check"][..], &["-v", "check", "elsewhere.yml"], &["--config=elsewhere.yml", "validate"]]
    {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}\n{}", ended.description);
        assert!(ended.stdout().contains("1 managed process"), "{arguments:?}\n{}", ended.description);
    }
}

#[test]
fn two_commands_at_once_are_none() {
    let site = Site::new();
    site.write("navigator.yml", GOOD);
    for arguments in [
        &["navigator.yml", "check"][..],
        &["--check", "run", "navigator.yml"],
        &["-s", "stop", "check"],
        &["navigator.yml", "other"],
    ] {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}\n{}", ended.description);
    }
    assert_eq!(site.journal(), Vec::<String>::new(), "nothing was started");
}

#[test]
fn a_variable_set_to_nothing_is_as_good_as_unset() {
    let site = Site::new();
    site.write("navigator.yml", GOOD);
    let mut check = site.command(["check"]);
    for name in ["NAVIGATOR_CONFIG", "NAVIGATOR_STATE_DIR", "NAVIGATOR_PID_FILE", "LOG_LEVEL", "NO_COLOR"] {
        check = check.env(name, "");
    }
    let ended = check.start().ended();
    assert_eq!(ended.code, Some(0), "{}", ended.description);
    assert_eq!(ended.stderr(), "");
}

#[test]
fn check_reports_every_problem_with_its_place() {
    let site = Site::new();
    site.write("navigator.yml", BAD);
    for arguments in [["check", "navigator.yml"], ["--check", "navigator.yml"]] {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(1), "{}", ended.description);
        let text = text(&ended);
        for part in ["navigator.yml:3:5: ", "comand: puma", "`command`", "navigator.yml:4:18: ", "`cache`", "^"] {
            assert!(text.contains(part), "`{part}` is missing\n{text}");
        }
    }
}

#[test]
fn check_reports_as_json() {
    let site = Site::new();
    site.write("navigator.yml", BAD);
    let ended = site.run(["check", "--format", "json", "navigator.yml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.description);
    let report: serde_json::Value =
        serde_json::from_str(&ended.stdout()).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout()));
    let diagnostics = report["diagnostics"].as_array().unwrap_or_else(|| panic!("{report}"));
    let typo = diagnostics.iter().find(|diagnostic| diagnostic["line"] == 3).unwrap_or_else(|| panic!("{report}"));
    assert!(typo["file"].as_str().is_some_and(|file| file.ends_with("navigator.yml")), "{typo}");
    assert_eq!(typo["column"], 5, "{typo}");
    assert!(typo["message"].as_str().is_some_and(|message| message.contains("comand")), "{typo}");
    assert!(typo["help"].as_str().is_some_and(|help| help.contains("command")), "{typo}");

    site.write("navigator.yml", GOOD);
    let ended = site.run(["check", "--format", "json", "navigator.yml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.description);
    let report: serde_json::Value =
        serde_json::from_str(&ended.stdout()).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout()));
    assert_eq!(report, serde_json::json!({ "diagnostics": [] }));
}

#[test]
fn exit_codes_are_the_same_for_check_and_start() {
    let site = Site::new();
    site.write("bad.yml", BAD);
    site.write("empty.yml", "");
    site.write("comment.yml", "# nothing yet\n");
    site.write("half.yml", "managed_processes:\n");
    for (file, code) in [("bad.yml", 1), ("empty.yml", 1), ("comment.yml", 1), ("half.yml", 1), ("missing.yml", 2), (".", 2)] {
        for arguments in [&["check", file][..], &["--check", file], &["run", file], &[file]] {
            let ended = site.run(arguments);
            assert_eq!(ended.code, Some(code), "{arguments:?}\n{}", ended.description);
            assert!(!ended.stderr().is_empty(), "{arguments:?} says why");
        }
    }
    for arguments in [&["--no-such-option"][..], &["check", "--format", "no-such-format"], &["-s", "no-such-signal"]] {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}\n{}", ended.description);
    }
}

#[test]
fn without_a_configuration_it_says_where_it_looked() {
    let site = Site::new();
    for arguments in [&[][..], &["check"], &["run"]] {
        let ended = site.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}\n{}", ended.description);
        for place in ["NAVIGATOR_CONFIG", "config/navigator.yml", "navigator.yml"] {
            assert!(ended.stderr().contains(place), "`{place}` is missing\n{}", ended.stderr());
        }
    }
}

#[test]
fn the_configuration_is_found_by_argument_variable_and_place_in_this_order() {
    let site = Site::new();
    let saying = |word: &str| format!("managed_processes:\n  - {{ name: child, command: echo, args: [{word}] }}\n");
    let says = |arguments: &[&str], variable: Option<&str>, word: &str| {
        let mut launch = site.command(arguments);
        if let Some(path) = variable {
            launch = launch.env("NAVIGATOR_CONFIG", path);
        }
        let mut navigator = launch.start();
        navigator.says("child", |line| line == word);
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    };
    site.write("navigator.yml", &saying("plain"));
    says(&[], None, "plain");
    site.write("config/navigator.yml", &saying("folder"));
    says(&[], None, "folder");
    says(&["run"], None, "folder");
    site.write("elsewhere.yml", &saying("variable"));
    says(&[], Some("elsewhere.yml"), "variable");
    site.write("argument.yml", &saying("argument"));
    says(&["argument.yml"], Some("elsewhere.yml"), "argument");
    says(&["run", "argument.yml"], Some("elsewhere.yml"), "argument");
    says(&["-c", "argument.yml"], Some("elsewhere.yml"), "argument");
    says(&["--config", "argument.yml"], None, "argument");
}

#[test]
fn signals_by_option_reach_the_running_navigator() {
    let site = Site::new();
    let navigator = site.start(GOOD);
    navigator.journals("child start");

    site.write("navigator.yml", &GOOD.replace("[child]", "[other]"));
    assert_eq!(site.run(["-s", "reload", "-c", "navigator.yml"]).code, Some(0));
    navigator.journals("other start");

    assert_eq!(site.run(["-s", "stop", "-c", "navigator.yml"]).code, Some(0));
    navigator.exits(0);
    assert_eq!(site.journal(), ["child start", "child term", "child exit", "other start", "other term", "other exit"]);
}

#[test]
fn quit_by_option_kills_at_once() {
    let site = Site::new();
    let navigator = site.start(GOOD);
    navigator.journals("child start");
    assert_eq!(site.run(["-s", "quit"]).code, Some(0));
    navigator.exits(130);
    assert_eq!(site.journal(), ["child start"]);
}

#[test]
fn signals_by_option_say_when_nobody_is_there() {
    let site = Site::new();
    site.write("navigator.yml", GOOD);
    for signal in ["reload", "stop", "quit"] {
        let ended = site.run(["-s", signal]);
        assert!(ended.code.is_some_and(|code| code != 0), "{}", ended.description);
        assert!(!ended.stderr().is_empty(), "-s {signal} says why");
    }
}

#[test]
fn a_second_navigator_for_the_same_file_exits_1_and_names_the_first() {
    let site = Site::new();
    let mut navigator = site.start(GOOD);
    navigator.journals("child start");
    std::os::unix::fs::symlink("navigator.yml", site.path("link.yml")).expect("the site can be written");
    for path in ["navigator.yml", "./navigator.yml", "link.yml"] {
        let second = site.run([path]);
        assert_eq!(second.code, Some(1), "{path}\n{}", second.description);
        assert!(second.stderr().contains(&navigator.pid().to_string()), "{path}\n{}", second.description);
    }
    assert_eq!(site.journal(), ["child start"], "the second one touched nothing");
    assert_eq!(site.read("navigator.pid").trim(), navigator.pid().to_string(), "the pid file is still the first one's");
    navigator.signal(Signal::TERM);
    navigator.exits(0);

    // The lock went with its owner, also one that had no chance to clean up.
    let mut navigator = site.start(GOOD);
    navigator.started("child");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn the_pid_file_is_there_while_navigator_runs() {
    let site = Site::new();
    let mut navigator = site.start(GOOD);
    navigator.journals("child start");
    assert_eq!(site.read("navigator.pid").trim(), navigator.pid().to_string());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert!(!site.path("navigator.pid").exists());
}

#[test]
fn verbosity_follows_the_options() {
    let site = Site::new();
    let count = |arguments: &[&str]| {
        site.write("navigator.yml", GOOD);
        let mut navigator = site.command(arguments).start();
        navigator.says("child", |line| line == "child start");
        navigator.signal(Signal::TERM);
        navigator.exits(0).stderr().lines().count()
    };
    let (quiet, plain, verbose) = (count(&["-q", "navigator.yml"]), count(&["navigator.yml"]), count(&["-v", "navigator.yml"]));
    assert!(quiet < plain, "quiet {quiet}, plain {plain}");
    assert!(plain <= verbose, "plain {plain}, verbose {verbose}");
}
