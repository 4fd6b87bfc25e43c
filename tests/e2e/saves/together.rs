//! Files that are saved one after the other, as `rsync`, Ansible and `sed -i conf.d/*` do, are taken together.

use super::{on_directory, shell, verdicts};
use crate::harness::Site;

/// Saves of several files, each renamed into place a moment after the one before it.
struct Series {
    name: &'static str,
    /// Writes new files into `new`, which are then renamed into `conf` in this order.
    files: &'static [(&'static str, &'static str)],
    /// The processes that are started again, once each; all others are untouched.
    restarted: &'static [&'static str],
}

/// A file of `conf.d`: these processes.
macro_rules! part {
    ($($line:literal),*) => {
        concat!("x-c: &c { command: sleep, args: [1h], depends_on: [] }\nmanaged_processes: [", $("{ <<: *c, ", $line, " }, "),*, "]\n")
    };
}

const SERIES: [Series; 5] = [
    Series {
        name: "a process moves to a later file",
        files: &[("parts/a.yml", part!("name: one")), ("parts/b.yml", part!("name: two", "name: moved"))],
        restarted: &[],
    },
    Series {
        name: "a process moves to an earlier file",
        files: &[("parts/a.yml", part!("name: one", "name: moved", "name: two")), ("parts/b.yml", part!("name: three"))],
        restarted: &[],
    },
    Series {
        name: "a process moves to a new file",
        files: &[("parts/a.yml", part!("name: one")), ("parts/c.yml", part!("name: moved"))],
        restarted: &[],
    },
    Series {
        name: "three env files of one process",
        files: &[("1.env", "A=2\n"), ("2.env", "B=2\n"), ("3.env", "C=2\n")],
        restarted: &["painted"],
    },
    Series {
        name: "three watched files of one process",
        files: &[("1.conf", "2\n"), ("2.conf", "2\n"), ("3.conf", "2\n")],
        restarted: &["watching"],
    },
];

const MAIN: &str = "
include: parts/*.yml
managed_processes:
  - { name: painted, command: sleep, args: [1h], env_file: [1.env, 2.env, 3.env], depends_on: [] }
  - { name: watching, command: sleep, args: [1h], watch: ['*.conf'], depends_on: [] }
";

#[test]
fn files_that_are_saved_one_after_the_other_are_taken_together() {
    for Series { name, files, restarted } in SERIES {
        let site = Site::new();
        for (file, text) in
            [("1.env", "A=1\n"), ("2.env", "B=1\n"), ("3.env", "C=1\n"), ("1.conf", "1\n"), ("2.conf", "1\n"), ("3.conf", "1\n")]
        {
            site.write(&format!("conf/{file}"), text);
        }
        site.write("conf/parts/a.yml", part!("name: one", "name: moved"));
        site.write("conf/parts/b.yml", part!("name: two"));
        let navigator = on_directory(&site, MAIN);
        for process in ["painted", "watching", "one", "moved", "two"] {
            navigator.started(process);
        }
        for (file, text) in files {
            site.write(&format!("new/{file}"), text);
        }
        let moves: Vec<String> = files.iter().map(|(file, _)| format!("mv new/{file} conf/{file}")).collect();
        shell(&site, &moves.join("; sleep 0.005; "), 0);
        // A save after them, of another file: whatever was still to come has come by then.
        navigator.log().until("the series", || {
            (!verdicts(&navigator).is_empty() || navigator.count("Process started", "watching") > 1).then_some(())
        });
        site.write("conf/navigator.yml", &format!("{MAIN}  - {{ name: last, command: sleep, args: [1h], depends_on: [] }}\n"));
        navigator.started("last");
        let rejected = verdicts(&navigator).iter().filter(|event| event.message == "Configuration rejected").count();
        assert_eq!(rejected, 0, "{name}\n{}", navigator.log().describe());
        for process in ["painted", "watching", "one", "moved", "two"] {
            let starts = 1 + usize::from(restarted.contains(&process));
            assert_eq!(navigator.count("Process started", process), starts, "{name}: {process}\n{}", navigator.log().describe());
        }
        navigator.ends();
    }
}
