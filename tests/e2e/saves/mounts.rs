//! A configuration that is mounted by itself, as containers do: what is renamed over it outside can't be seen inside.

use super::{assert_untouched, shell, verdicts, version};
use crate::harness::{Signal, Site, servers};
use std::process::Command;

/// Mounts `host/navigator.yml` over `conf/navigator.yml`, for the program that it becomes alone.
const MOUNTED: [&str; 7] = [
    "--user",
    "--map-root-user",
    "--mount",
    "--",
    "sh",
    "-ec",
    "mount --bind \"$SITE/host/navigator.yml\" \"$SITE/conf/navigator.yml\"; exec \"$0\" \"$@\"",
];

#[test]
fn a_file_that_is_mounted_by_itself_and_replaced_outside_is_warned_of_once() {
    let site = Site::new();
    let part = |name: &str| {
        format!(
            "managed_processes:\n  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{name}], depends_on: [] }}\n"
        )
    };
    let main = |number| format!("include: part.yml\n{}", version(number));
    site.write("conf/navigator.yml", "");
    site.write("host/navigator.yml", &main(1));
    site.write("conf/part.yml", &part("one"));
    let mut attempt = Command::new("unshare");
    attempt.args(MOUNTED).arg("true").env("SITE", site.path(""));
    if !servers::succeeds("saves: a file mounted by itself", &mut attempt) {
        return;
    }
    let mut navigator = site.command_through("unshare", &MOUNTED, &["conf/navigator.yml"]).start();
    navigator.journals("version-1 start");
    let warnings = || -> Vec<_> {
        let about = |event: &crate::harness::entry::Event| event.message.contains("outside of its own mount");
        navigator.events().into_iter().filter(about).collect()
    };
    // What is written in place outside is the same file inside.
    site.write("host/navigator.yml", &main(2));
    navigator.journals("version-2 start");
    assert!(warnings().is_empty(), "{}", navigator.log().describe());

    site.write("host/new", &main(3));
    shell(&site, "mv host/new host/navigator.yml", 0);
    navigator.log().until("the warning", || (!warnings().is_empty()).then_some(()));
    let [warning] = &warnings()[..] else { panic!("one warning\n{}", navigator.log().describe()) };
    assert_eq!(warning.field("file"), Some("conf/navigator.yml"), "{warning:?}");
    assert!(warning.field("help").is_some_and(|help| help.contains("directory")), "{warning:?}");

    for name in ["two", "three"] {
        site.write("conf/part.yml", &part(name));
        navigator.journals(&format!("{name} start"));
    }
    assert_eq!(warnings().len(), 1, "{}", navigator.log().describe());
    assert_eq!(verdicts(&navigator).len(), 3, "{}", navigator.log().describe());
    assert_untouched(&navigator, &site, &["kept"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
