//! Evaluates a JavaScript file by `node`, in bounded time and memory.

use crate::import::ImportError;
use crate::import::context::ForeignFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a file may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The longest text that it may print, in bytes.
const MOST: u64 = 4 << 20;

/// Prints what a module exports.
const PROGRAM: &str = "import(require('url').pathToFileURL(process.argv[1]).href)\
    .then(module => process.stdout.write(JSON.stringify(module.default ?? module)))";

/// What the file exports, as JSON.
pub(super) fn evaluated(source: &ForeignFile) -> Result<String, ImportError> {
    let path = crate::paths::absolute(&source.path);
    let mut command = Command::new("node");
    command.args(["--input-type=commonjs", "-e", PROGRAM, "--"]).arg(&path).current_dir(source.directory());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    #[expect(clippy::disallowed_methods, reason = "an import is no supervisor, and waits for this one child")]
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => source.invalid(
            0,
            format!(
                "it is JavaScript, and there is no `node` to read it: where there is one, run \
                 `node -p 'JSON.stringify(require(\"./{}\"))' > ecosystem.json`, and import that file",
                source.name()
            ),
        ),
        _ => source.invalid(0, format!("failed to start `node`: {error}")),
    })?;
    let printed = printed(&mut child);
    // Ends also what is left of a file that goes on running.
    drop(child.kill());
    let status = child.wait().map_err(|error| source.invalid(0, format!("failed to wait for `node`: {error}")))?;
    match printed {
        Ok(text) if !text.trim().is_empty() && text.trim() != "undefined" => Ok(text),
        Ok(_) => Err(source.invalid(0, format!("`node` could not read it ({status}): run `node {}` to see why", source.name()))),
        Err(reason) => Err(source.invalid(0, reason)),
    }
}

/// Everything that the child prints before it closes its output.
fn printed(child: &mut Child) -> Result<String, String> {
    let Some(mut output) = child.stdout.take() else { return Err("`node` has no output".to_owned()) };
    let deadline = Instant::now() + LIMIT;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 32 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().try_into().unwrap_or_default(), tv_nsec: left.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&left)).map_err(|error| error.to_string())?;
        if ready == 0 {
            return Err(format!("`node` did not read it within {} s", LIMIT.as_secs()));
        }
        let count = output.read(&mut chunk).map_err(|error| error.to_string())?;
        bytes.extend_from_slice(&chunk[..count]);
        if bytes.len() as u64 > MOST {
            return Err("it exports more than 4 MiB".to_owned());
        }
        if count == 0 {
            return String::from_utf8(bytes).map_err(|_| "it exports no text in UTF-8".to_owned());
        }
    }
}
