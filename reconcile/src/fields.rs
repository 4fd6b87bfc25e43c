//! A definition as a flat list of fields, named as in the file, for showing differences.
//!
//! It is for display only. Whether a difference needs another run is decided by comparing [`crate::spec::Exec`].

use crate::human_duration::HumanDuration;
use crate::replica::Replica;
use crate::schedule::Schedule;
use crate::socket::Listener;
use crate::spec::{
    Announce, Condition, Dependency, Drain, InheritEnv, Limit, Liveness, OnChange, OnWatch, Output, OutputFiles, Probe,
    ProcessKind, Restart, ShutdownOn, SignalOrCommand, Spec, StopScope, Tier,
};
use crate::text::Text;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

/// One field of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its value, with the text to show.
    pub text: Text,
    /// Whether it belongs to the identity.
    pub identity: bool,
}

/// Every field of a definition that is set, by its path in the file (`args`, `env.PORT`, `stop.timeout`).
pub fn fields(spec: &Spec) -> BTreeMap<String, Field> {
    let mut all = Fields::default();
    all.identity(spec);
    all.upkeep(spec);
    all.0
}

/// A definition as lines, for a diff: one for each field that is not at its default, and one for each item of a list. Secrets are
/// not shown.
pub fn lines(spec: &Spec) -> Vec<String> {
    let (lists, defaults) = (lists(spec), defaults(spec));
    let line = |(path, field): (String, Field)| match lists.get(path.as_str()) {
        Some(items) => {
            let items = items.iter().map(|item| format!("  - {:?}", item.shown()));
            core::iter::once(format!("{path}:")).chain(items).collect()
        }
        None => alloc::vec![format!("{path}: {}", field.text.shown())],
    };
    let is_written = |(path, field): &(String, Field)| defaults.get(path).is_none_or(|default| default.text != field.text);
    fields(spec).into_iter().filter(is_written).flat_map(line).collect()
}

/// The fields of a definition at their defaults.
pub(crate) fn defaults(spec: &Spec) -> BTreeMap<String, Field> {
    fields(&default_of(spec))
}

/// Whether a field is there because of another one, and has a default then: `liveness.interval` because of `liveness`.
pub(crate) fn is_derived(path: &str) -> bool {
    path == "on_watch" || ["output", "liveness.", "stop.drain."].iter().any(|start| path.starts_with(start))
}

/// A definition with the defaults of all fields that this one has.
fn default_of(spec: &Spec) -> Spec {
    let mut default = Spec::nameless();
    if matches!(spec.exec.output, Output::Files(_)) {
        default.exec.output = Output::Files(OutputFiles::default());
    }
    // The probe is no default, so it is another one.
    let probe = || Probe::Log(Text::default());
    default.liveness = spec.liveness.as_ref().map(|_| Liveness { probe: Some(probe()), ..Liveness::default() });
    default.stop.drain =
        spec.stop.drain.as_ref().map(|_| Drain { by: SignalOrCommand::Command(Vec::new()), timeout: Drain::TIMEOUT });
    default.replica = spec.replica.clone().map(|replica| Replica { surge: 1, ..replica });
    default.on_watch = if spec.reload.is_some() { OnWatch::Reload } else { OnWatch::Restart };
    default
}

/// The fields that are lists.
fn lists(spec: &Spec) -> BTreeMap<&'static str, &[Text]> {
    let mut lists = BTreeMap::from([("args", &spec.exec.args[..]), ("watch", &spec.watch[..])]);
    if let Some(command) = &spec.stop.command {
        lists.insert("stop.command", command);
    }
    if let Some(SignalOrCommand::Command(command)) = &spec.reload {
        lists.insert("reload.command", command);
    }
    if let Some(Drain { by: SignalOrCommand::Command(command), .. }) = &spec.stop.drain {
        lists.insert("stop.drain.command", command);
    }
    if let Some(Probe::Exec(command)) = &spec.ready {
        lists.insert("ready.exec", command);
    }
    if let Some(Liveness { probe: Some(Probe::Exec(command)), .. }) = &spec.liveness {
        lists.insert("liveness.exec", command);
    }
    lists
}

#[derive(Default)]
struct Fields(BTreeMap<String, Field>);

impl Fields {
    fn add(&mut self, path: impl Into<String>, text: Text, identity: bool) {
        self.0.insert(path.into(), Field { text, identity });
    }

    fn add_identity(&mut self, path: impl Into<String>, text: Text) {
        self.add(path, text, true);
    }

    fn add_upkeep(&mut self, path: impl Into<String>, text: impl AsRef<str>) {
        self.add(path, Text::plain(text.as_ref()), false);
    }

    fn identity(&mut self, spec: &Spec) {
        let exec = &spec.exec;
        self.add_identity("command", exec.command.clone());
        if !exec.args.is_empty() {
            self.add_identity("args", list(&exec.args));
        }
        for (key, value) in exec.env.iter() {
            self.add_identity(format!("env.{key}"), value.clone());
        }
        if let InheritEnv::Only(names) = &exec.inherit_env {
            let names = names.as_slice();
            self.add_identity("inherit_env", if names.is_empty() { Text::plain("false") } else { list(names) });
        }
        for (path, value) in [("working_dir", &exec.working_dir), ("user", &exec.user), ("group", &exec.group)] {
            if let Some(value) = value {
                self.add_identity(path, value.clone());
            }
        }
        self.add_identity("type", Text::plain(if exec.kind == ProcessKind::Task { "task" } else { "service" }));
        match &exec.output {
            Output::Log => self.add_identity("output", Text::plain("log")),
            Output::Null => self.add_identity("output", Text::plain("null")),
            Output::Files(files) => {
                if let Some(path) = &files.stdout {
                    self.add_identity("output.file", path.clone());
                }
                if let Some(path) = files.stderr.as_ref().filter(|_| files.stderr != files.stdout) {
                    self.add_identity("output.stderr", path.clone());
                }
                self.add_identity("output.max_size", Text::plain(&files.max_size.to_string()));
                self.add_identity("output.keep", Text::plain(&files.keep.to_string()));
            }
        }
        match exec.announce {
            None => {}
            Some(Announce::Notify) => self.add_identity("ready.notify", Text::plain("true")),
            Some(Announce::Fd(fd)) => self.add_identity("ready.fd", Text::plain(&fd.to_string())),
        }
        self.sockets(spec);
        if exec.no_new_privs {
            self.add_identity("no_new_privs", Text::plain("true"));
        }
        if let Some(umask) = exec.umask {
            self.add_identity("umask", Text::plain(&format!("{umask:04o}")));
        }
        for (path, value) in [("nice", exec.nice), ("oom_score_adj", exec.oom_score_adj)] {
            if let Some(value) = value {
                self.add_identity(path, Text::plain(&value.to_string()));
            }
        }
        for (name, limit) in &exec.limits {
            let text = match limit {
                Limit::Unlimited => "unlimited".to_string(),
                Limit::To(most) => most.to_string(),
            };
            self.add_identity(format!("limits.{name}"), Text::plain(&text));
        }
        let resources = &exec.resources;
        let cpu = resources.cpu.map(|percent| format!("{percent}%"));
        let numbers = [("resources.memory", resources.memory), ("resources.tasks", resources.tasks)];
        let numbers = numbers.into_iter().filter_map(|(path, most)| Some((path, most?.to_string())));
        for (path, most) in numbers.chain(cpu.map(|cpu| ("resources.cpu", cpu))) {
            self.add_identity(path, Text::plain(&most));
        }
    }

    fn upkeep(&mut self, spec: &Spec) {
        self.add_upkeep("tier", if spec.tier == Tier::Managed { "managed_processes" } else { "applications" });
        self.add_upkeep("enabled", spec.enabled.to_string());
        if let Some(needs) = &spec.depends_on {
            let mut names = String::new();
            for (name, need) in needs {
                let _ = write!(names, "{}{name}", if names.is_empty() { "" } else { ", " });
                self.dependency(name, *need);
            }
            self.add_upkeep("depends_on", format!("[{names}]"));
        }
        self.add_upkeep(
            "restart",
            match spec.restart {
                Restart::Never => "never",
                Restart::OnFailure => "on-failure",
                Restart::Always => "always",
            },
        );
        let backoff = &spec.backoff;
        for (path, span) in [
            ("backoff.initial", backoff.initial),
            ("backoff.max", backoff.max),
            ("backoff.reset_after", backoff.reset_after),
            ("start_delay", spec.start_delay),
            ("stop.timeout", spec.stop.timeout),
        ] {
            self.add_upkeep(path, HumanDuration(span).to_string());
        }
        self.add_upkeep("backoff.factor", backoff.factor.to_string());
        self.add_upkeep("backoff.jitter", backoff.jitter.to_string());
        if !backoff.first_at_once {
            self.add_upkeep("backoff", "before every restart");
        }
        if let Some(codes) = &spec.success_exit_codes {
            self.add_upkeep("success_exit_codes", format!("{codes:?}"));
        }
        if let Some(shutdown_on) = spec.shutdown_on {
            self.add_upkeep("shutdown_on", if shutdown_on == ShutdownOn::Failure { "failure" } else { "exit" });
        }
        if let Some(most) = spec.max_restarts {
            self.add_upkeep("max_restarts", most.to_string());
        }
        if let Some(probe) = &spec.ready {
            self.probe("ready", probe);
        }
        for (path, span) in [
            ("ready.interval", spec.ready_timing.interval),
            ("ready.timeout", spec.ready_timing.timeout),
            ("ready.deadline", spec.ready_timing.deadline),
        ] {
            self.add_upkeep(path, HumanDuration(span).to_string());
        }
        if let Some(liveness) = &spec.liveness {
            self.liveness(liveness);
        }
        self.add_upkeep("stop.signal", spec.stop.signal.0);
        self.add_upkeep("stop.scope", if spec.stop.scope == StopScope::Tree { "tree" } else { "main" });
        if let Some(command) = &spec.stop.command {
            self.add("stop.command", list(command), false);
        }
        if let Some(drain) = &spec.stop.drain {
            self.signal_or_command("stop.drain", &drain.by);
            self.add_upkeep("stop.drain.timeout", HumanDuration(drain.timeout).to_string());
        }
        if let Some(reload) = &spec.reload {
            self.signal_or_command("reload", reload);
        }
        if !spec.watch.is_empty() {
            self.add("watch", list(&spec.watch), false);
        }
        self.add_upkeep("on_watch", if spec.on_watch == OnWatch::Reload { "reload" } else { "restart" });
        self.add_upkeep(
            "on_change",
            match spec.on_change {
                OnChange::Restart => "restart",
                OnChange::Keep => "none",
                OnChange::Rolling => "rolling",
            },
        );
        self.add_upkeep("rolling.stable", HumanDuration(spec.stable).to_string());
        match spec.schedule.as_deref() {
            None => {}
            Some(Schedule::Every(interval)) => self.add_upkeep("schedule.every", HumanDuration(*interval).to_string()),
            Some(Schedule::Cron { expression, timezone }) => {
                self.add("schedule.cron", expression.clone(), false);
                if let Some(zone) = timezone {
                    self.add("schedule.timezone", zone.clone(), false);
                }
            }
        }
        if let Some(replica) = &spec.replica {
            self.add_upkeep("rolling.surge", replica.surge.to_string());
        }
    }

    /// Sockets by their names, and the order of the names. Sockets that have the name of the process are one field.
    fn sockets(&mut self, spec: &Spec) {
        let sockets = &spec.exec.sockets;
        let is_own = |socket: &Listener| socket.name.value() == spec.name.as_str();
        let of = |text: fn(&Listener) -> &Text| sockets.iter().map(|socket| text(socket).clone()).collect::<Vec<Text>>();
        match &sockets[..] {
            [] => {}
            [socket] if is_own(socket) => self.socket("listen", socket),
            _ if sockets.iter().all(is_own) => self.add_identity("listen", list(&of(|socket| &socket.shown))),
            _ => {
                if sockets.len() > 1 {
                    self.add_identity("listen", list(&of(|socket| &socket.name)));
                }
                for socket in sockets {
                    self.socket(&format!("listen.{}", socket.name), socket);
                }
            }
        }
    }

    fn socket(&mut self, path: &str, socket: &Listener) {
        self.add_identity(path, socket.shown.clone());
        if socket.backlog != Listener::BACKLOG {
            self.add_identity(format!("{path}.backlog"), Text::plain(&socket.backlog.to_string()));
        }
        if socket.mode != Listener::MODE {
            self.add_identity(format!("{path}.mode"), Text::plain(&format!("{:04o}", socket.mode)));
        }
        for (key, value) in [("user", &socket.user), ("group", &socket.group)] {
            if let Some(value) = value {
                self.add_identity(format!("{path}.{key}"), value.clone());
            }
        }
    }

    fn signal_or_command(&mut self, path: &str, by: &SignalOrCommand) {
        match by {
            SignalOrCommand::Signal(signal) => self.add_upkeep(format!("{path}.signal"), signal.0),
            SignalOrCommand::Command(command) => self.add(format!("{path}.command"), list(command), false),
        }
    }

    fn dependency(&mut self, name: &str, need: Dependency) {
        if let Some(condition) = need.condition {
            self.add_upkeep(format!("depends_on.{name}.condition"), condition_word(condition));
        }
        if need.restart {
            self.add_upkeep(format!("depends_on.{name}.restart"), "true");
        }
        if !need.required {
            self.add_upkeep(format!("depends_on.{name}.required"), "false");
        }
    }

    fn probe(&mut self, path: &str, probe: &Probe) {
        let (kind, text) = match probe {
            Probe::Http(http) => {
                if !http.status.is_empty() {
                    self.add_upkeep(format!("{path}.status"), format!("{:?}", http.status));
                }
                for (name, value) in &http.headers {
                    self.add(format!("{path}.headers.{name}"), value.clone(), false);
                }
                ("http", http.url.clone())
            }
            Probe::Tcp(address) => ("tcp", address.clone()),
            Probe::Exec(command) => ("exec", list(command)),
            Probe::Log(pattern) => ("log", pattern.clone()),
        };
        self.add(format!("{path}.{kind}"), text, false);
    }

    fn liveness(&mut self, liveness: &Liveness) {
        match &liveness.probe {
            Some(probe) => self.probe("liveness", probe),
            None => self.add_upkeep("liveness.notify", "true"),
        }
        self.add_upkeep("liveness.interval", HumanDuration(liveness.interval).to_string());
        self.add_upkeep("liveness.timeout", HumanDuration(liveness.timeout).to_string());
        self.add_upkeep("liveness.failures", liveness.failures.to_string());
    }
}

/// The word of the file for a condition.
pub fn condition_word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "started",
        Condition::Ready => "ready",
        Condition::Completed => "completed",
    }
}

/// A list as one text, which is secret if any item is.
fn list(items: &[Text]) -> Text {
    let join = |of: fn(&Text) -> &str| {
        let quoted: Vec<String> = items.iter().map(|item| format!("{:?}", of(item))).collect();
        format!("[{}]", quoted.join(", "))
    };
    if items.iter().any(Text::is_secret) {
        Text::secret(&join(Text::value), &join(Text::shown))
    } else {
        Text::plain(&join(Text::value))
    }
}
