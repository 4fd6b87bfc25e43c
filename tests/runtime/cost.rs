//! What a start costs, beside the way of the standard library. `cargo test --release --test runtime -- --ignored cost`

use crate::host::{children, on_host};
use reconcile::event::Status;
use reconcile::spec::{Output, Spec};
use std::time::{Duration, Instant};

const STARTS: u32 = 1000;

#[test]
#[ignore = "a measurement"]
fn cost_of_a_start() {
    let ballast = std::env::var("BALLAST_MIB").ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let ballast = vec![1_u8; ballast << 20];
    for output in [Output::Null, Output::Log] {
        on_host("cost", async |host| {
            let begin = Instant::now();
            for _ in 0..STARTS {
                let mut spec = Spec::new("true", "/bin/true");
                spec.exec.output = output.clone();
                assert_eq!(host.complete(spec).await, Status::Code(0));
                host.told.clear();
            }
            report(&format!("runtime, output {output:?}, to Gone"), begin.elapsed());
        });
    }
    let begin = Instant::now();
    for _ in 0..STARTS {
        #[expect(clippy::disallowed_methods, reason = "what is measured against; the reaper of the runs above has ended")]
        let status = std::process::Command::new("/bin/true").stdin(std::process::Stdio::null()).status().unwrap();
        assert!(status.success());
    }
    report("standard library (posix_spawn), to its wait", begin.elapsed());
    assert_eq!(children(), "");
    assert!(ballast.iter().all(|&byte| byte == 1));
}

#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
fn report(what: &str, elapsed: Duration) {
    eprintln!("{what}: {:?} each", elapsed / STARTS);
}
