//! The fields of a process: the table that everything about them comes from.
//!
//! Order, spelling and meaning of a field have this one place. What a field that is a map takes is in `parts` and
//! `probes`.

use super::parts::{self, BACKOFF, DEPENDENCY, OUTPUT, RELOAD, STOP};
use super::probes::{self, LIVENESS, READY};
use super::problems::Problem;
use super::reader::Reader;
use super::table::{Change, Field, Shape, keys};
use super::texts::Span;
use super::tree::{Kind, Node, Scalar, Style};
use reconcile::spec::{Kind as ProcessKind, OnChange, OnWatch, Output, Restart, Spec};
use reconcile::text::{Name, Text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A process while it is read.
pub(super) struct Draft {
    pub(super) spec: Spec,
    /// Its name, once it has been read, and where.
    pub(super) name: Option<Span>,
    /// Where each named dependency stands.
    pub(super) edges: BTreeMap<Name, Span>,
    /// What it says about `on_watch`, and where.
    pub(super) on_watch: Option<(OnWatch, Span)>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft { spec: Spec::new("", ""), name: None, edges: BTreeMap::new(), on_watch: None }
    }
}

/// Fields that a `defaults` map can't fill.
pub(super) const WITHOUT_DEFAULT: [&str; 3] = ["name", "command", "args"];

const RESTARTS: [(&str, Restart); 3] =
    [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
const KINDS: [(&str, ProcessKind); 2] = [("service", ProcessKind::Service), ("task", ProcessKind::Task)];
const ON_CHANGES: [(&str, OnChange); 3] =
    [("restart", OnChange::Restart), ("none", OnChange::Keep), ("rolling", OnChange::Rolling)];
const ON_WATCHES: [(&str, OnWatch); 2] = [("reload", OnWatch::Reload), ("restart", OnWatch::Restart)];

const fn field(
    key: &'static str,
    shape: Shape,
    change: Change,
    read: fn(&mut Reader<'_, '_, '_>, &Node, &mut Draft),
) -> Field<Draft> {
    Field { key, shape, change, read }
}

/// Every field of a process.
pub(super) static PROCESS: &[Field<Draft>] = &[
    field("name", Shape::Text, Change::AnotherProcess, name),
    field("command", Shape::Text, Change::Restart, command),
    field("args", Shape::Texts, Change::Restart, |reader, node, draft| {
        draft.spec.exec.args = reader.texts(node).unwrap_or_default();
    }),
    field("working_dir", Shape::Text, Change::Restart, |reader, node, draft| {
        draft.spec.exec.working_dir = reader.filled(node, "`working_dir`");
    }),
    // These two make the scope in which all others are read, and so are read before them.
    field("env", Shape::Variables, Change::Restart, |_, _, _| ()),
    field("env_file", Shape::TextOrTexts, Change::Restart, |_, _, _| ()),
    field("auto_restart", Shape::Bool, Change::InPlace, |reader, node, draft| {
        if let Some(restart) = reader.boolean(node) {
            draft.spec.restart = if restart { Restart::OnFailure } else { Restart::Never };
        }
    }),
    field("restart", Shape::Words(&["never", "on-failure", "always"]), Change::InPlace, restart),
    field("backoff", Shape::Part(|| keys(BACKOFF)), Change::InPlace, backoff),
    field("max_restarts", Shape::Whole(0, u32::MAX as i64), Change::InPlace, |reader, node, draft| {
        draft.spec.max_restarts = reader.whole(node, 0, u32::MAX.into());
    }),
    field("start_delay", Shape::Duration, Change::InPlace, |reader, node, draft| {
        draft.spec.start_delay = reader.duration(node).unwrap_or_default();
    }),
    field("depends_on", Shape::Edges(|| keys(DEPENDENCY)), Change::InPlace, parts::depends_on),
    field("ready", Shape::Part(|| keys(READY)), Change::InPlace, probes::ready),
    field("liveness", Shape::Part(|| keys(LIVENESS)), Change::InPlace, probes::liveness),
    field("stop", Shape::Part(|| keys(STOP)), Change::InPlace, |reader, node, draft| {
        reader.map(node, "stop", STOP, &mut draft.spec.stop);
    }),
    field("reload", Shape::Part(|| keys(RELOAD)), Change::InPlace, parts::reload),
    field("watch", Shape::TextOrTexts, Change::InPlace, watch),
    field("on_watch", Shape::Words(&["reload", "restart"]), Change::InPlace, |reader, node, draft| {
        draft.on_watch = reader.word(node, &ON_WATCHES, &[]).map(|on_watch| (on_watch, node.span));
    }),
    field("type", Shape::Words(&["service", "task"]), Change::Restart, |reader, node, draft| {
        let foreign = [("oneshot", "write `task`"), ("simple", "write `service`"), ("notify", "write `service`")];
        draft.spec.exec.kind = reader.word(node, &KINDS, &foreign).unwrap_or_default();
    }),
    field("output", Shape::WordsOrPart(&["log", "null"], || keys(OUTPUT)), Change::Restart, output),
    field("user", Shape::Text, Change::Restart, |reader, node, draft| {
        draft.spec.exec.user = reader.filled(node, "`user`");
    }),
    field("group", Shape::Text, Change::Restart, |reader, node, draft| {
        draft.spec.exec.group = reader.filled(node, "`group`");
    }),
    field("umask", Shape::Octal, Change::Restart, |reader, node, draft| draft.spec.exec.umask = reader.umask(node)),
    field("nice", Shape::Whole(-20, 19), Change::Restart, |reader, node, draft| {
        draft.spec.exec.nice = reader.whole(node, -20, 19);
    }),
    field("limits", Shape::Limits(&parts::LIMITS), Change::Restart, parts::limits),
    field("oom_score_adj", Shape::Whole(-1000, 1000), Change::Restart, |reader, node, draft| {
        draft.spec.exec.oom_score_adj = reader.whole(node, -1000, 1000);
    }),
    field("enabled", Shape::Bool, Change::StartsOrStops, |reader, node, draft| {
        draft.spec.enabled = reader.boolean(node).unwrap_or(true);
    }),
    field("on_change", Shape::Words(&["restart", "none", "rolling"]), Change::InPlace, |reader, node, draft| {
        draft.spec.on_change = reader.word(node, &ON_CHANGES, &[]).unwrap_or_default();
        if draft.spec.on_change == OnChange::Rolling {
            reader.not_yet("on_change: rolling", node.span);
        }
    }),
    field("listen", Shape::TextOrTexts, Change::Restart, |reader, node, _| parts::listen(reader, node)),
    field("replicas", Shape::Whole(1, 1000), Change::InPlace, |reader, node, _| {
        reader.whole::<u32>(node, 1, 1000);
    }),
    field("schedule", Shape::Text, Change::InPlace, |reader, node, _| parts::schedule(reader, node)),
    field("renamed_from", Shape::Text, Change::InPlace, |reader, node, _| {
        name_of(reader, node);
    }),
];

fn name(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    if let Some(name) = name_of(reader, node) {
        draft.spec.name = name;
        draft.name = Some(node.span);
    }
}

/// A name of a process.
pub(super) fn name_of(reader: &mut Reader<'_, '_, '_>, node: &Node) -> Option<Name> {
    let text = reader.filled(node, "a name")?;
    match super::scalar::name(text.value()) {
        Ok(()) => Some(Name::from(text.value())),
        Err(reason) => {
            reader.refuse(node, &text, "a name of a process", Some(&reason));
            None
        }
    }
}

fn command(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    if let Kind::List(items) = &node.kind {
        let words: Vec<&str> = items.iter().filter_map(|item| scalar_text(item)).collect();
        let problem = Problem::error(node.span, "`command` is one program, not a list");
        let help =
            words.split_first().map(|(program, args)| format!("write `command: {program}` and `args: [{}]`", args.join(", ")));
        return reader.report(problem.maybe_help(help));
    }
    draft.spec.exec.command = reader.filled(node, "`command`").unwrap_or_default();
}

fn scalar_text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(Scalar { text, .. }) => Some(text),
        _ => None,
    }
}

fn restart(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let foreign = [
        ("no", "write `never`"),
        ("false", "write `never`"),
        ("true", "write `on-failure`, or `always`"),
        ("yes", "write `on-failure`, or `always`"),
        ("on_failure", "write `on-failure`"),
        ("unless-stopped", "write `always`: what is stopped by hand stays stopped"),
        ("on-abnormal", "write `on-failure`"),
        ("on-success", "write `always`"),
    ];
    if let Some(restart) = reader.word(node, &RESTARTS, &foreign) {
        draft.spec.restart = restart;
    }
}

fn backoff(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    reader.map(node, "backoff", BACKOFF, &mut draft.spec.backoff);
    if draft.spec.backoff.max < draft.spec.backoff.initial {
        reader.report(Problem::error(node.span, "the `max` of `backoff` is less than its `initial`"));
    }
}

fn output(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    match &node.kind {
        Kind::Scalar(Scalar { style: Style::Null, text }) if !text.is_empty() => draft.spec.exec.output = Output::Null,
        Kind::Map(_) => parts::output_file(reader, node, draft),
        Kind::Scalar(_) => {
            let words = [("log", false), ("null", true)];
            let foreign = [("file", "write `output: {file: PATH}`"), ("none", "write `null`"), ("inherit", "write `log`")];
            if reader.word(node, &words, &foreign) == Some(true) {
                draft.spec.exec.output = Output::Null;
            }
        }
        Kind::List(_) => reader.report(Problem::error(node.span, "expected `log`, `null` or a map, found a list")),
    }
}

fn watch(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    for item in node.one_or_more() {
        if let Some(path) = reader.filled(item, "a path") {
            if path.value().contains("**") {
                let problem = Problem::error(item.span, "`**` is not possible in a path");
                reader.report(problem.help("name each directory, as in `conf.d/*.conf`"));
                continue;
            }
            let path = relative(reader, item, &path);
            draft.spec.watch.push(path);
        }
    }
}

/// A path that is relative to the file that names it.
pub(super) fn relative(reader: &Reader<'_, '_, '_>, node: &Node, path: &Text) -> Text {
    let joined = beside(reader.context.texts.path(node.span.text), path.value());
    let joined = joined.to_string_lossy();
    if path.is_secret() { Text::secret(&joined, path.shown()) } else { Text::plain(&joined) }
}

/// The path that `path` is for a file that names it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
