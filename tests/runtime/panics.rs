//! A panic in any thread or task aborts navigator.

use crate::host::without_host;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Only a program for the test below.
#[test]
fn a_thread_and_a_task_that_panic() {
    let Some(place) = std::env::var_os("NAVIGATOR_TEST_PANIC") else { return };
    navigator::runtime::abort_on_panic();
    let tokio = tokio::runtime::Builder::new_current_thread().build().expect("tokio");
    let bug = || panic!("a bug");
    // Both would stay unnoticed: one is caught by its thread, the other by tokio.
    let _hidden = if place == "thread" {
        std::thread::spawn(bug).join().is_ok()
    } else {
        tokio.block_on(async { tokio::spawn(async move { bug() }).await.is_ok() })
    };
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no runtime of this process reaps meanwhile")]
fn a_panic_anywhere_ends_the_process() {
    const SIGABRT: i32 = 6;
    for place in ["thread", "task"] {
        let this = std::env::current_exe().expect("this program");
        let arguments = ["--exact", "panics::a_thread_and_a_task_that_panic", "--nocapture"];
        let ended = without_host(|| Command::new(this).args(arguments).env("NAVIGATOR_TEST_PANIC", place).output());
        let ended = ended.expect("this program runs");
        assert_eq!(ended.status.signal(), Some(SIGABRT), "{place}: {ended:?}");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("a bug") && said.contains("navigator: this is a bug in navigator"), "{place}: {said}");
    }
}
