//! The program: everything is in the library, so that tests can stand on every floor.

use std::process::ExitCode;

fn main() -> ExitCode {
    navigator::cli::main()
}
