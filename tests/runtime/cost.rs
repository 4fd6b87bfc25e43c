//! Measures a start, and one by the standard library. It prints figures and asserts none:
//! `STARTS=1000 cargo test --release --test runtime -- --nocapture cost`

use crate::host::{children, on_host, without_host};
use reconcile::event::ExitStatus;
use reconcile::spec::{Output, Spec};
use std::time::{Duration, Instant};

/// A number from an environment variable.
fn asked(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn cost_of_a_start() {
    let starts = asked("STARTS", 20);
    let ballast = vec![1_u8; (asked("BALLAST_MIB", 0) as usize) << 20];
    for output in [Output::Null, Output::Log] {
        on_host("cost", async |host| {
            let begin = Instant::now();
            for _ in 0..starts {
                let mut spec = Spec::new("true", "/bin/true");
                spec.exec.output = output.clone();
                assert_eq!(host.complete(spec).await, ExitStatus::Code(0));
                host.events.clear();
            }
            report(&format!("runtime, output {output:?}, to Gone"), begin.elapsed() / starts);
        });
    }
    without_host(|| {
        let begin = Instant::now();
        for _ in 0..starts {
            #[expect(clippy::disallowed_methods, reason = "the standard of comparison; no runtime reaps meanwhile")]
            let status = std::process::Command::new("/bin/true").stdin(std::process::Stdio::null()).status().unwrap();
            assert!(status.success());
        }
        report("standard library (posix_spawn), to its wait", begin.elapsed() / starts);
        assert_eq!(children(), "");
    });
    assert!(ballast.iter().all(|&byte| byte == 1));
}

#[expect(clippy::print_stderr, reason = "a measurement is for people")]
fn report(what: &str, each: Duration) {
    eprintln!("{what}: {each:?} each");
}
