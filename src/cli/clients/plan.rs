//! `navigator plan`: shows what a configuration would change, compared with the running navigator or, without one, with an empty
//! host.

use super::super::arguments::PlanFormat;
use super::super::check::reject;
use super::super::console::{FAILURE, OK, print, print_json, shell_word};
use super::super::plan_markdown::markdown;
use super::super::plan_text::full;
use super::{InstanceTarget, refused, unanswered, url};
use crate::config::Environment;
use crate::control::ClientError;
use crate::paths::absolute;
use crate::snapshot::plan::PlanTarget;
use crate::snapshot::{PlanReport, Watch};
use crate::source::FileSource;
use crate::terminal::{TerminalStyle, escape};
use reconcile::engine::Engine;
use reconcile::time::Time;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something would change.
const CHANGES: u8 = 2;

/// How to show a plan.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct PlanView {
    pub(in super::super) format: PlanFormat,
    /// With a unified diff of each definition.
    pub(in super::super) diffs: bool,
    /// The exit code says whether something would change.
    pub(in super::super) detailed: bool,
}

/// Shows what a candidate, a revision of the followed repository, or the configuration itself, would change.
pub(in super::super) fn plan(target: &InstanceTarget, candidate: Option<&Path>, rev: Option<&str>, view: PlanView) -> ExitCode {
    let plan = match request(target, candidate, rev) {
        Ok(plan) => plan,
        // Not 2, which means that something would change.
        Err(_) if view.detailed => return FAILURE.into(),
        Err(code) => return code,
    };
    show(&plan, view);
    if view.format == PlanFormat::Text && rev.is_none() && !plan.is_empty() && !plan.is_known {
        let how = how_to_apply(target.config.as_deref(), &target.options, candidate, plan.target.as_ref());
        print(&format!("to apply: {}\n", escape(&how)));
    }
    exit_code(&plan, view)
}

/// Shows a plan.
pub(super) fn show(plan: &PlanReport, view: PlanView) {
    match view.format {
        PlanFormat::Text => print(&full(plan, view.diffs, TerminalStyle::of(stdout()))),
        PlanFormat::Json => print_json(&json(plan.clone(), view.diffs)),
        PlanFormat::Markdown => print(&markdown(plan)),
    }
}

/// The exit code of a plan that was shown.
pub(super) fn exit_code(plan: &PlanReport, view: PlanView) -> ExitCode {
    if view.detailed && !plan.changes.is_empty() { CHANGES.into() } else { OK.into() }
}

/// What puts a plan in force. `options`: those that name the instance; `running`: the configuration of the running navigator.
fn how_to_apply(config: Option<&Path>, options: &str, candidate: Option<&Path>, running: Option<&PlanTarget>) -> String {
    let Some(PlanTarget { path, watch }) = running else {
        return format!("navigator run {}", candidate.or(config).map(shell_word).unwrap_or_default());
    };
    let config = config.unwrap_or(path);
    let reload = format!("navigator {options}reload");
    match candidate.filter(|candidate| !is_same_file(candidate, path)) {
        None if *watch == Watch::Off => reload,
        None => format!("save {}, or run `{reload}`", shell_word(config)),
        Some(candidate) => format!("navigator {options}apply {}", shell_word(candidate)),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    place(one).is_some_and(|found| place(other) == Some(found))
}

/// Asks the running navigator for the plan.
fn request(target: &InstanceTarget, candidate: Option<&Path>, rev: Option<&str>) -> Result<PlanReport, ExitCode> {
    // Navigator may have another working directory.
    let path = candidate.map(absolute);
    let shown = path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let path_asked = shown.iter().map(|path| ("path", path.as_str()));
    let url = url("/v1/plan", path_asked.chain(rev.map(|rev| ("rev", rev))));
    let answer = match target.connect().and_then(|mut client| client.get(&url)) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return Err(refused(&answer)),
        Err(error @ (ClientError::NotRunning(_) | ClientError::OnlyKeeper { .. } | ClientError::NoneRunning))
            if rev.is_none() =>
        {
            return path.or_else(|| target.config.clone()).map_or_else(|| Err(unanswered(&error)), on_empty_host);
        }
        Err(error) => return Err(unanswered(&error)),
    };
    serde_json::from_value(answer).map_err(|error| unanswered(&ClientError::Broken(error.to_string())))
}

/// The plan if no navigator runs.
fn on_empty_host(path: PathBuf) -> Result<PlanReport, ExitCode> {
    match FileSource::new(path, Environment::current()).read().revision {
        Ok(loaded) => Ok(PlanReport::of(&Engine::new(), Time::ZERO, &loaded.desired)),
        Err(rejected) => {
            // Not 2, which means that something would change.
            reject(&rejected);
            Err(FAILURE.into())
        }
    }
}

/// The plan as JSON, without the parts that are only for people.
fn json(mut plan: PlanReport, diffs: bool) -> String {
    plan.changes.iter_mut().filter(|_| !diffs).for_each(|change| change.diff = None);
    plan.waves.clear();
    (plan.target, plan.is_known) = (None, false);
    format!("{:#}\n", serde_json::json!(plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_how_to_apply_it() {
        let running = |watch| Some(PlanTarget { path: "/srv/shop/navigator.yml".into(), watch });
        let (config, next) = (Some(Path::new("navigator.yml")), Path::new("next week.yml"));
        for (options, candidate, running, expected) in [
            ("", None, None, "navigator run navigator.yml"),
            ("", Some(next), None, "navigator run 'next week.yml'"),
            ("", Some(next), running(Watch::Events), "navigator apply 'next week.yml'"),
            ("-c navigator.yml ", Some(next), running(Watch::Off), "navigator -c navigator.yml apply 'next week.yml'"),
            ("", None, running(Watch::Off), "navigator reload"),
            ("", None, running(Watch::Events), "save navigator.yml, or run `navigator reload`"),
        ] {
            assert_eq!(how_to_apply(config, options, candidate, running.as_ref()), expected);
        }
        let only = how_to_apply(None, "", Some(next), running(Watch::Events).as_ref());
        assert_eq!(only, "navigator apply 'next week.yml'");
        // A file under another name is the same file.
        let same = PlanTarget { path: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(), watch: Watch::Off };
        let other = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/../Cargo.toml"));
        assert_eq!(how_to_apply(config, "", Some(other), Some(&same)), "navigator reload");
    }
}
