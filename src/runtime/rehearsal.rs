//! Finds every problem that would make the start of a process fail, for `doctor`.
//!
//! A start fails at its first problem. So after each one, the rehearsal goes on without the setting that it is about.

use super::child_maker::StartPlace;
use super::environment::Inherited;
use super::group::resource_problem;
use super::launcher::Launcher;
use super::output::output_problems;
use super::spawn::{self, Setting, SpawnContext, SpawnSlot, Unstartable};
use crate::access::Trust;
use reconcile::event::Refusal;
use reconcile::spec::{Exec, Probe, SignalOrCommand, Spec};
use reconcile::text::Text;
use std::io;
use std::sync::Arc;

/// Finds out what would make starts fail, by doing every step of each but the exec: for each process its problems. The caller must
/// have no other children.
///
/// # Errors
/// No memory for the stack of a child.
pub fn rehearse<'a>(
    launcher: &Launcher,
    trust: Trust,
    specs: impl IntoIterator<Item = &'a Spec>,
) -> io::Result<Vec<Vec<String>>> {
    let environment = Inherited::of(std::env::vars_os());
    let mut stage = RehearsalStage {
        context: SpawnContext { launcher, environment: &environment },
        slot: SpawnSlot::new(Arc::new(StartPlace::new(None)?))?,
    };
    Ok(specs.into_iter().map(|spec| stage.problems(spec, trust)).collect())
}

struct RehearsalStage<'a> {
    context: SpawnContext<'a>,
    slot: SpawnSlot,
}

impl RehearsalStage<'_> {
    fn problems(&mut self, spec: &Spec, trust: Trust) -> Vec<String> {
        let mut rest = spec.exec.clone();
        let refusals = self.refusals(&mut rest, &spec.exec);
        let mut problems: Vec<String> = refusals.iter().map(Refusal::in_detail).collect();
        for (key, command) in commands(spec) {
            let Some((program, args)) = command.split_first() else { continue };
            let mut exec = Exec { command: program.clone(), args: args.to_vec(), ..rest.clone() };
            let own = self.refusals(&mut exec, &spec.exec).into_iter().filter(|why| !refusals.contains(why));
            problems.extend(own.map(|why| format!("`{key}`: {}", why.in_detail())));
        }
        problems.extend(output_problems(&rest, trust));
        let limits = Some(&spec.exec.resources).filter(|limits| !limits.is_unlimited());
        problems.extend(limits.and_then(resource_problem).map(|why| format!("`resources` can't be limited: {why}")));
        problems
    }

    /// The problems of a start. Leaves out of the definition what has one.
    fn refusals(&mut self, exec: &mut Exec, defined: &Exec) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        while let Err(Unstartable { why, setting }) = spawn::rehearse(exec, &self.context, &mut self.slot) {
            // A command relative to a directory that is missing can't be found.
            let is_relative = !exec.command.value().starts_with('/') && exec.command.value().contains('/');
            let follows = setting == Setting::Program && is_relative && exec.working_dir != defined.working_dir;
            if !follows {
                refusals.push(why);
            }
            if !leave_out(exec, setting) {
                break;
            }
        }
        refusals
    }
}

/// Leaves out a setting, if that is possible.
fn leave_out(exec: &mut Exec, setting: Setting) -> bool {
    match setting {
        Setting::User => exec.user.take().is_some(),
        Setting::Group => exec.group.take().is_some(),
        Setting::Identity => exec.user.take().is_some() | exec.group.take().is_some(),
        Setting::Directory => exec.working_dir.take().is_some(),
        Setting::Limit(name) => exec.limits.remove(name).is_some(),
        Setting::Nice => exec.nice.take().is_some(),
        Setting::OomScoreAdj => exec.oom_score_adj.take().is_some(),
        Setting::NoNewPrivs => std::mem::take(&mut exec.no_new_privs),
        Setting::Program => false,
    }
}

/// The commands beside the program, by their keys.
fn commands(spec: &Spec) -> impl Iterator<Item = (&'static str, &[Text])> {
    let ready = match &spec.ready {
        Some(Probe::Exec(command)) => Some(command),
        _ => None,
    };
    let liveness = match spec.liveness.as_ref().and_then(|liveness| liveness.probe.as_ref()) {
        Some(Probe::Exec(command)) => Some(command),
        _ => None,
    };
    let reload = match &spec.reload {
        Some(SignalOrCommand::Command(command)) => Some(command),
        _ => None,
    };
    let all = [
        ("ready.exec", ready),
        ("liveness.exec", liveness),
        ("stop.command", spec.stop.command.as_ref()),
        ("reload.command", reload),
    ];
    all.into_iter().filter_map(|(key, command)| Some((key, command?.as_slice())))
}
