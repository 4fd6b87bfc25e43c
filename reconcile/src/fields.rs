//! A definition, flattened into fields with the names that the file gives them, for showing what differs.
//!
//! It is for people's eyes: whether a difference needs another run is decided by comparing [`crate::spec::Exec`], not here.

use crate::human_duration::HumanDuration;
use crate::spec::{
    Announce, Condition, Dependency, InheritEnv, Limit, Liveness, OnChange, OnWatch, Output, Probe, ProcessKind, Reload, Restart,
    Spec, Tier,
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
    /// Its value, and what people see of it.
    pub text: Text,
    /// Whether it belongs to the identity.
    pub identity: bool,
}

/// Every field of a definition that says something, by its path in the file (`args`, `env.PORT`, `stop.timeout`).
pub fn fields(spec: &Spec) -> BTreeMap<String, Field> {
    let mut all = Fields::default();
    all.identity(spec);
    all.upkeep(spec);
    all.0
}

/// A definition in lines, for showing two of them side by side: a field a line, lists item by item. No secret is in it.
pub fn lines(spec: &Spec) -> Vec<String> {
    let lists = lists(spec);
    let line = |(path, field): (String, Field)| match lists.get(path.as_str()) {
        Some(items) => {
            let items = items.iter().map(|item| format!("  - {:?}", item.shown()));
            core::iter::once(format!("{path}:")).chain(items).collect()
        }
        None => alloc::vec![format!("{path}: {}", field.text.shown())],
    };
    fields(spec).into_iter().flat_map(line).collect()
}

/// The fields that are lists.
fn lists(spec: &Spec) -> BTreeMap<&'static str, &[Text]> {
    let mut lists = BTreeMap::from([("args", &spec.exec.args[..]), ("watch", &spec.watch[..])]);
    if let Some(command) = &spec.stop.command {
        lists.insert("stop.command", command);
    }
    if let Some(Reload::Command(command)) = &spec.reload {
        lists.insert("reload.command", command);
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

    fn id(&mut self, path: impl Into<String>, text: Text) {
        self.add(path, text, true);
    }

    fn up(&mut self, path: impl Into<String>, text: impl AsRef<str>) {
        self.add(path, Text::plain(text.as_ref()), false);
    }

    fn identity(&mut self, spec: &Spec) {
        let exec = &spec.exec;
        self.id("command", exec.command.clone());
        if !exec.args.is_empty() {
            self.id("args", list(&exec.args));
        }
        for (key, value) in exec.env.iter() {
            self.id(format!("env.{key}"), value.clone());
        }
        if let InheritEnv::Only(names) = &exec.inherit_env {
            let names = names.as_slice();
            self.id("inherit_env", if names.is_empty() { Text::plain("false") } else { list(names) });
        }
        for (path, value) in [("working_dir", &exec.working_dir), ("user", &exec.user), ("group", &exec.group)] {
            if let Some(value) = value {
                self.id(path, value.clone());
            }
        }
        self.id("type", Text::plain(if exec.kind == ProcessKind::Task { "task" } else { "service" }));
        match &exec.output {
            Output::Log => self.id("output", Text::plain("log")),
            Output::Null => self.id("output", Text::plain("null")),
            Output::File { path, max_size, keep } => {
                self.id("output.file", path.clone());
                self.id("output.max_size", Text::plain(&max_size.to_string()));
                self.id("output.keep", Text::plain(&keep.to_string()));
            }
        }
        match exec.announce {
            None => {}
            Some(Announce::Notify) => self.id("ready.notify", Text::plain("true")),
            Some(Announce::Fd(fd)) => self.id("ready.fd", Text::plain(&fd.to_string())),
        }
        if exec.no_new_privs {
            self.id("no_new_privs", Text::plain("true"));
        }
        if let Some(umask) = exec.umask {
            self.id("umask", Text::plain(&format!("{umask:04o}")));
        }
        for (path, value) in [("nice", exec.nice), ("oom_score_adj", exec.oom_score_adj)] {
            if let Some(value) = value {
                self.id(path, Text::plain(&value.to_string()));
            }
        }
        for (name, limit) in &exec.limits {
            let text = match limit {
                Limit::Unlimited => "unlimited".to_string(),
                Limit::To(most) => most.to_string(),
            };
            self.id(format!("limits.{name}"), Text::plain(&text));
        }
    }

    fn upkeep(&mut self, spec: &Spec) {
        self.up("tier", if spec.tier == Tier::Managed { "managed_processes" } else { "applications" });
        self.up("enabled", spec.enabled.to_string());
        if let Some(needs) = &spec.depends_on {
            let mut names = String::new();
            for (name, need) in needs {
                let _ = write!(names, "{}{name}", if names.is_empty() { "" } else { ", " });
                self.dependency(name, *need);
            }
            self.up("depends_on", format!("[{names}]"));
        }
        self.up(
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
            self.up(path, HumanDuration(span).to_string());
        }
        self.up("backoff.factor", backoff.factor.to_string());
        self.up("backoff.jitter", backoff.jitter.to_string());
        if let Some(most) = spec.max_restarts {
            self.up("max_restarts", most.to_string());
        }
        if let Some(probe) = &spec.ready {
            self.probe("ready", probe);
        }
        for (path, span) in [
            ("ready.interval", spec.ready_timing.interval),
            ("ready.timeout", spec.ready_timing.timeout),
            ("ready.deadline", spec.ready_timing.deadline),
        ] {
            self.up(path, HumanDuration(span).to_string());
        }
        if let Some(liveness) = &spec.liveness {
            self.liveness(liveness);
        }
        self.up("stop.signal", spec.stop.signal.0);
        if let Some(command) = &spec.stop.command {
            self.add("stop.command", list(command), false);
        }
        match &spec.reload {
            None => {}
            Some(Reload::Signal(signal)) => self.up("reload.signal", signal.0),
            Some(Reload::Command(command)) => self.add("reload.command", list(command), false),
        }
        if !spec.watch.is_empty() {
            self.add("watch", list(&spec.watch), false);
        }
        self.up("on_watch", if spec.on_watch == OnWatch::Reload { "reload" } else { "restart" });
        self.up(
            "on_change",
            match spec.on_change {
                OnChange::Restart => "restart",
                OnChange::Keep => "none",
                OnChange::Rolling => "rolling",
            },
        );
    }

    fn dependency(&mut self, name: &str, need: Dependency) {
        if let Some(condition) = need.condition {
            self.up(format!("depends_on.{name}.condition"), condition_word(condition));
        }
        if need.restart {
            self.up(format!("depends_on.{name}.restart"), "true");
        }
        if !need.required {
            self.up(format!("depends_on.{name}.required"), "false");
        }
    }

    fn probe(&mut self, path: &str, probe: &Probe) {
        let (kind, text) = match probe {
            Probe::Http(http) => {
                if !http.status.is_empty() {
                    self.up(format!("{path}.status"), format!("{:?}", http.status));
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
            None => self.up("liveness.notify", "true"),
        }
        self.up("liveness.interval", HumanDuration(liveness.interval).to_string());
        self.up("liveness.timeout", HumanDuration(liveness.timeout).to_string());
        self.up("liveness.failures", liveness.failures.to_string());
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

/// A list as one text; secret if any of its items is.
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
