//! Reading the file again, by SIGHUP alone: only what differs is touched, and a file that is wrong changes nothing. What
//! saving a file does without being told is in [`super::saves`].

use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site};

/// Three processes, of which each argument, and the restart policy of all, can be chosen.
fn three(first: &str, second: &str, third: &str, auto_restart: bool) -> String {
    format!(
        r#"
defaults: {{ auto_restart: {auto_restart} }}
x-child: &child {{ command: "${{FIXTURES}}/child.sh" }}
managed_processes:
  - {{ <<: *child, name: first, args: [{first}] }}
  - {{ <<: *child, name: second, args: [{second}] }}
  - {{ <<: *child, name: third, args: [{third}] }}
"#
    )
}

/// Navigator with the three running.
fn running<'s>(site: &'s Site, configuration: &str) -> (Navigator<'s>, [u32; 3]) {
    let navigator = site.start_unwatched(configuration);
    for name in ["first", "second", "third"] {
        navigator.journals(&format!("{name} start"));
    }
    let pids = ["first", "second", "third"].map(|name| navigator.started(name));
    (navigator, pids)
}

/// Writes the file and has it read; what navigator says of it.
#[track_caller]
fn reloaded(navigator: &mut Navigator<'_>, site: &Site, configuration: &str) -> Event {
    site.write("navigator.yml", configuration);
    reload(navigator)
}

#[track_caller]
fn reload(navigator: &mut Navigator<'_>) -> Event {
    let verdict = |event: &Event| event.message.starts_with("Configuration ");
    let before = navigator.events().into_iter().filter(verdict).count();
    navigator.signal(Signal::HUP);
    navigator.log().until("a verdict on the file", || navigator.events().into_iter().filter(verdict).nth(before))
}

#[track_caller]
fn is_reload(event: &Event, counts: [(&str, &str); 6]) {
    assert_eq!(event.message, "Configuration reloaded", "{event:?}");
    for (field, count) in counts {
        assert_eq!(event.field(field), Some(count), "`{field}` of {event:?}");
    }
}

#[test]
fn only_the_changed_process_is_restarted() {
    let site = Site::new();
    let (mut navigator, _) = running(&site, &three("first", "second", "third", false));
    let event = reloaded(&mut navigator, &site, &three("first", "other", "third", false));
    let counts = [("generation", "2"), ("added", "0"), ("removed", "0"), ("changed", "1"), ("updated", "0"), ("unchanged", "2")];
    is_reload(&event, counts);
    navigator.journals("other start");
    let again = navigator.nth_event("Process started", "second", 1);
    assert_eq!(again.field("generation"), Some("2"), "{again:?}");
    assert_eq!(navigator.event("Stopping process", "second").field("reason"), Some("args changed"));
    assert_eq!(site.journal()[3..], ["second term", "second exit", "other start"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn removed_processes_are_gone_before_added_ones_start() {
    let site = Site::new();
    let (mut navigator, [_, _, third]) = running(&site, &three("first", "second", "third", false));
    let event = reloaded(
        &mut navigator,
        &site,
        r#"
x-child: &child { command: "${FIXTURES}/child.sh" }
managed_processes:
  - { <<: *child, name: new, args: [new] }
  - { <<: *child, name: third, args: [third] }
"#,
    );
    let counts = [("generation", "2"), ("added", "1"), ("removed", "2"), ("changed", "0"), ("updated", "0"), ("unchanged", "1")];
    is_reload(&event, counts);
    navigator.journals("new start");
    let wanted = ["second term", "second exit", "first term", "first exit", "new start"];
    assert_eq!(site.journal()[3..], wanted);
    // The one that stayed is the same process still: it is killed under its old number, and that is noticed.
    navigator.kill(third);
    assert_eq!(navigator.event("Process crashed", "third").pid(), third);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_change_of_policy_is_taken_over_in_place() {
    let site = Site::new();
    let (mut navigator, [_, second, _]) = running(&site, &three("first", "second", "third", false));
    let event = reloaded(&mut navigator, &site, &three("first", "second", "third", true));
    let counts = [("generation", "2"), ("added", "0"), ("removed", "0"), ("changed", "0"), ("updated", "3"), ("unchanged", "0")];
    is_reload(&event, counts);
    navigator.event("Process updated", "second");
    assert_eq!(site.journal().len(), 3, "nobody was touched: {:?}", site.journal());
    // The new policy is in force for the old process.
    navigator.kill(second);
    navigator.nth_event("Process started", "second", 1);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_file_that_means_the_same_starts_no_generation() {
    let site = Site::new();
    let configuration = three("first", "second", "third", false);
    let (mut navigator, _) = running(&site, &configuration);
    let event = reloaded(&mut navigator, &site, &format!("# a comment\n{}", configuration.replace("[second]", "[ 'second' ]")));
    assert_eq!(event.message, "Configuration unchanged", "{event:?}");
    let event = reload(&mut navigator);
    assert_eq!(event.message, "Configuration unchanged", "{event:?}");
    assert_eq!(site.stops(), Vec::<String>::new(), "nobody was touched");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_change_of_the_settings_alone_is_a_generation_that_touches_nobody() {
    let site = Site::new();
    let configuration = three("first", "second", "third", false);
    let (mut navigator, _) = running(&site, &configuration);
    let changed = format!("logging: {{ level: debug }}\n{configuration}");
    let event = reloaded(&mut navigator, &site, &changed);
    let counts = [("generation", "2"), ("added", "0"), ("removed", "0"), ("changed", "0"), ("updated", "0"), ("unchanged", "3")];
    is_reload(&event, counts);
    assert_eq!(reload(&mut navigator).message, "Configuration unchanged");
    assert_eq!(site.stops(), Vec::<String>::new(), "nobody was touched");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_is_named_with_its_place() {
    let site = Site::new();
    let good = three("first", "second", "third", false);
    let (mut navigator, [first, ..]) = running(&site, &good);
    for (bad, word) in [
        (good.replace("second, args", "second, arguments"), "arguments"),
        (good.replace("name: third", "name: first"), "first"),
        (good[..good.len() - 20].to_owned(), "navigator.yml"),
        (String::new(), "navigator.yml"),
        ("managed_processes:\n".to_owned(), "managed_processes"),
    ] {
        let event = reloaded(&mut navigator, &site, &bad);
        assert_eq!(event.message, "Configuration rejected", "{event:?} for\n{bad}");
        navigator.log().wait_for("the diagnostic with its place", |lines| {
            lines
                .iter()
                .skip(event.index)
                .find(|line| line.text().contains("navigator.yml:") && line.text().contains(word))
                .cloned()
        });
    }
    std::fs::remove_file(site.path("navigator.yml")).expect("it was there");
    let event = reload(&mut navigator);
    assert_eq!(event.message, "Configuration rejected", "{event:?}");
    assert_eq!(site.stops(), Vec::<String>::new(), "nobody was touched");

    // Mended, it takes effect; what was unchanged all the time is still the same process.
    let event = reloaded(&mut navigator, &site, &three("first", "mended", "third", false));
    assert_eq!((event.message.as_str(), event.field("generation")), ("Configuration reloaded", Some("2")), "{event:?}");
    navigator.journals("mended start");
    navigator.kill(first);
    assert_eq!(navigator.event("Process crashed", "first").pid(), first);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn changed_processes_stop_in_reverse_and_start_in_order() {
    let site = Site::new();
    let (mut navigator, _) = running(&site, &three("first", "second", "third", false));
    reloaded(&mut navigator, &site, &three("one", "second", "three", false));
    navigator.journals("one start");
    navigator.journals("three start");
    assert_eq!(site.stops(), ["third term", "third exit", "first term", "first exit"]);
    let [first, third] = ["first", "third"].map(|name| navigator.nth_event("Starting process", name, 1).index);
    let last_stop = navigator.event("Process stopped", "first").index;
    assert!(last_stop < first && first < third, "{last_stop} {first} {third}\n{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_dependent_is_restarted_with_its_dependency_only_where_its_edge_says_so() {
    let site = Site::new();
    let configuration = |argument: &str| {
        format!(
            r#"
x-child: &child {{ command: "${{FIXTURES}}/child.sh" }}
managed_processes:
  - {{ <<: *child, name: database, args: [{argument}] }}
  - {{ <<: *child, name: bound, args: [bound], depends_on: {{ database: {{ restart: true }} }} }}
  - {{ <<: *child, name: free, args: [free], depends_on: [database] }}
"#
        )
    };
    let mut navigator = site.start_unwatched(&configuration("database"));
    navigator.journals("database start");
    navigator.journals("bound start");
    navigator.journals("free start");
    reloaded(&mut navigator, &site, &configuration("changed"));
    navigator.nth_event("Process started", "bound", 1);
    assert_eq!(site.stops(), ["bound term", "bound exit", "database term", "database exit"]);
    let [database, bound] = ["database", "bound"].map(|name| navigator.nth_event("Starting process", name, 1).index);
    assert!(database < bound, "{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_shutdown_in_the_middle_of_a_reload_wins() {
    let site = Site::new();
    let slow =
        "managed_processes:\n  - { name: slow, command: \"${FIXTURES}/child.sh\", args: [slow], env: { LINGER: \"0.5\" } }\n";
    let mut navigator = site.start_unwatched(slow);
    navigator.journals("slow start");
    reloaded(&mut navigator, &site, &slow.replace("[slow]", "[replacement]"));
    navigator.journals("slow term");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert_eq!(site.journal(), ["slow start", "slow term", "slow exit"], "the replacement was never started");
}

#[test]
fn a_warning_is_told_once_and_a_new_one_when_it_comes() {
    let site = Site::new();
    let mut navigator = site.start("server: {}\nmanaged_processes: []\n");
    let warnings = |navigator: &Navigator<'_>| -> Vec<String> {
        let about = |event: &Event| event.message.contains("web server").then(|| event.message.clone());
        navigator.events().iter().filter_map(about).collect()
    };
    navigator.wait("the first configuration", |event| event.message == "Configuration loaded");
    assert_eq!(reload(&mut navigator).message, "Configuration unchanged");
    assert_eq!(warnings(&navigator).len(), 1, "{:?}", warnings(&navigator));
    reloaded(&mut navigator, &site, "# moved\nserver: {}\nhooks: {}\nmanaged_processes: []\n");
    let told = warnings(&navigator);
    assert!(told.len() == 2 && told[1].contains("`hooks`"), "{told:?}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
