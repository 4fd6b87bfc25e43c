//! The state that a program inherits: always the same, however navigator itself was started.

use crate::host::{on_host, on_host_with, script};
use reconcile::event::ExitStatus;
use reconcile::spec::{Limit, Output, Spec};
use reconcile::text::Text;
use std::fs;

/// A line of `/proc/self/status`, without its name.
fn own_status(field: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

/// Prints what it inherited.
const LOOK: &str = r#"
    sed -n 's/^\(Sig[BI][a-z]*\):\t/\1 /p' /proc/self/status
    echo "stdin $(readlink /proc/$$/fd/0)"
    echo "umask $(umask)"
    echo "nofile $(ulimit -Sn) $(ulimit -Hn)"
    echo "session $(( $(cut -d' ' -f6 /proc/$$/stat) == $$ )) group $(( $(cut -d' ' -f5 /proc/$$/stat) == $$ ))"
    echo "terminal $(cut -d' ' -f7 /proc/$$/stat)"
    echo "socket '$NOTIFY_SOCKET'"
    echo "oom $(cat /proc/$$/oom_score_adj)"
    exec ls /proc/self/fd
"#;

/// The test below also runs it, under an unusual launcher.
#[test]
fn processes_inherit_a_clean_state() {
    let (umask, oom) = (own_status("Umask"), fs::read_to_string("/proc/self/oom_score_adj").unwrap());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let printed = on_host("circumstances", async |host| {
        assert_eq!(host.complete(script("look", LOOK)).await, ExitStatus::Code(0));
    });
    let expected = [
        "SigBlk 0000000000000000".to_owned(),
        "SigIgn 0000000000000000".to_owned(),
        "stdin /dev/null".to_owned(),
        format!("umask {umask}"),
        format!("nofile {} {}", limit.current.unwrap(), limit.maximum.unwrap()),
        "session 1 group 1".to_owned(),
        "terminal 0".to_owned(),
        "socket ''".to_owned(),
        format!("oom {}", oom.trim()),
        // The last one is the directory that `ls` reads.
        "0\n1\n2\n3".to_owned(),
    ];
    assert_eq!(printed.replace("[look.stdout] ", ""), expected.join("\n") + "\n");
}

#[test]
fn processes_inherit_a_clean_state_from_an_unusual_launcher() {
    let mut status = ExitStatus::Lost;
    let printed = on_host("odd", async |host| {
        let test = std::env::current_exe().unwrap();
        // `env` of coreutils blocks and ignores signals; another `env` fails the test.
        let odd = format!(
            "umask 0027; ulimit -Sn 300; exec 9</etc/passwd; NOTIFY_SOCKET=/run/x; export NOTIFY_SOCKET; \
             echo 100 >/proc/self/oom_score_adj; \
             exec env --block-signal=TERM,USR1,CHLD --ignore-signal=HUP,INT,CHLD,PIPE \
             '{}' --exact inherited::processes_inherit_a_clean_state --nocapture",
            test.display()
        );
        status = host.complete(script("odd", &odd)).await;
    });
    assert_eq!(status, ExitStatus::Code(0), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn the_settings_of_the_definition_are_applied() {
    let look =
        "echo $(umask) $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c) $(nice) $(cat /proc/self/oom_score_adj) $(pwd) $LOOK $0 $1";
    let printed = on_host("settings", async |host| {
        let mut spec = script("settings", look);
        spec.exec.args.extend(["zero", "a  b"].map(Text::plain));
        spec.exec.umask = Some(0o077);
        spec.exec.limits = [("nofile", Limit::To(128)), ("core", Limit::To(0))].into();
        spec.exec.nice = Some(7);
        spec.exec.oom_score_adj = Some(500);
        spec.exec.working_dir = Some("/usr".into());
        spec.exec.env.insert("LOOK", "1.10".into());
        assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
    });
    assert_eq!(printed, "[settings.stdout] 0077 128 128 0 7 500 /usr 1.10 zero a b\n");
}

#[test]
fn navigator_raises_its_own_descriptor_limit_to_the_hard_limit() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let look = |_: &_| {
        let after = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!((after.current, after.maximum), (before.maximum, before.maximum));
    };
    on_host_with("nofile", look, async |_| {});
}

#[test]
fn another_user_has_its_ids_groups_and_variables() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let nobody: Vec<&str> = accounts.lines().find(|line| line.starts_with("nobody:")).unwrap().split(':').collect();
    let [user, group, home] = [nobody[2], nobody[3], nobody[5]];
    let printed = on_host("user", async |host| {
        let mut spec = script("user", "echo $(id -u) $(id -g) $(id -G) $HOME $USER $LOGNAME $SHELL; grep ^Uid /proc/self/status");
        spec.exec.user = Some("nobody".into());
        spec.exec.env.insert("SHELL", "/bin/own".into());
        assert_eq!(host.complete(spec.clone()).await, ExitStatus::Code(0));
        spec.exec.args = vec!["-c".into(), "test \"$(id -g) $(id -u)\" = \"12 $(id -u nobody)\" && id -G | grep -qw 12".into()];
        spec.exec.group = Some("12".into());
        assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
    });
    let groups = printed.split_whitespace().skip(3).take_while(|word| word.parse::<u32>().is_ok()).collect::<Vec<_>>().join(" ");
    assert!(groups.split(' ').any(|number| number == group), "{printed}");
    let names = format!("[user.stdout] {user} {group} {groups} {home} nobody nobody /bin/own\n");
    let numbers = format!("[user.stdout] Uid:\t{user}\t{user}\t{user}\t{user}\n");
    assert_eq!(printed, names + &numbers);
}

#[test]
fn output_null_is_dev_null() {
    let printed = on_host("null", async |host| {
        let mut spec =
            script("null", "echo lost; test \"$(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2)\" = '/dev/null /dev/null'");
        spec.exec.output = Output::Null;
        assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
        assert_eq!(host.complete(Spec::new("true", "true")).await, ExitStatus::Code(0));
    });
    assert_eq!(printed, "");
}
