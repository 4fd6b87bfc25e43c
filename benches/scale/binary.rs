//! The program itself: its size, and how long it takes to say its version.

use crate::figures::{Table, median};
use crate::journal::now;
use std::process::{Command, Stdio};

const NAVIGATOR: &str = env!("CARGO_BIN_EXE_navigator");
const ROUNDS: usize = 21;

pub(crate) fn measure() {
    let size = std::fs::metadata(NAVIGATOR).expect("it was built").len();
    let version = |_| {
        let begun = now();
        let status = Command::new(NAVIGATOR).arg("--version").stdout(Stdio::null()).status().expect("it runs");
        assert!(status.success(), "it says its version");
        now() - begun
    };
    let times: Vec<f64> = (0..ROUNDS).map(version).collect();
    #[expect(clippy::cast_precision_loss, reason = "it is less than a petabyte")]
    let size = size as f64 / f64::from(1 << 20);
    let mut table = Table::new(&["release binary", "`navigator --version`"]);
    table.row(vec![format!("{size:.2} MiB"), format!("{:.1} ms", median(&times))]);
    table.print("The program");
}
