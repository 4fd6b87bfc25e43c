//! Looks up `${VAR}` and computes values.
//!
//! A [`VariableScope`] is an `env` map over layers of known variables, over navigator's own environment. Values of the map are
//! computed on first use, once, so that they may refer to each other in any order.

use super::environment::Environment;
use super::foreign_syntax;
use super::problems::{Problem, Problems};
use super::source_map::{SourceMap, SourceSpan};
use super::subject::KEY;
use super::substitute::{InvalidReference, Reference, ReferenceForm, ValuePart, parse};
use super::tree::{Node, NodeKind, NodeStyle};
use super::words::{CONFIG_DIR, REPLICA};
use super::written::Written;
use crate::suggest::nearest;
use reconcile::text::Text;
use reconcile::variables::Variables;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;

/// The kernel's limit on one argument or variable, with its closing NUL (`MAX_ARG_STRLEN` in `execve(2)`).
const MAX_STRING: usize = 128 << 10;

/// The most bytes of all substituted values together; otherwise a small file could fill the memory.
pub(super) const MAX_SUBSTITUTED: usize = 64 << 20;

/// The longest chain of variables that refer to each other.
const MAX_CHAIN: usize = 100;

/// A value being computed.
#[derive(Default)]
struct ExpandedText {
    value: String,
    /// It refers to a variable, and so it is secret.
    has_variables: bool,
    /// It refers to a variable that has a value on another machine only.
    is_unknown: bool,
}

/// A problem was found and has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AlreadyReported;

/// The variables that one process, or the top of the file, can refer to.
#[derive(Default)]
pub(super) struct VariableScope<'a> {
    /// The `env` map as written.
    own: BTreeMap<&'a str, &'a Node>,
    /// The layers below it, the highest first.
    layers: Vec<&'a Variables>,
    unresolved: bool,
    incomplete: bool,
    /// The number of the replica, and whether its value is shown.
    replica: Option<(u32, bool)>,
    resolved: HashMap<&'a str, Result<Text, AlreadyReported>>,
    /// The variables being computed, each with the reference that led to it.
    resolving: Vec<(&'a str, Option<SourceSpan>)>,
    /// The values being read are for a shell: `${…}` in forms of shells is left alone.
    pub(super) for_shell: bool,
}

/// What computing a value needs besides the scope.
pub(super) struct Context<'a> {
    pub(super) texts: &'a SourceMap,
    pub(super) environment: &'a Environment,
    /// The directory of the configuration.
    pub(super) config_dir: &'a str,
    /// The working directory, once it is needed.
    pub(super) working_dir: &'a OnceCell<PathBuf>,
    pub(super) problems: &'a mut Problems,
    /// Bytes that substitution has produced so far.
    pub(super) substituted: &'a mut usize,
    /// Sockets of all processes so far.
    pub(super) sockets: &'a mut usize,
}

impl<'a> VariableScope<'a> {
    /// A scope of an `env` map over layers, the highest first.
    pub(super) fn new(own: BTreeMap<&'a str, &'a Node>, layers: Vec<&'a Variables>) -> VariableScope<'a> {
        VariableScope { own, layers, ..VariableScope::default() }
    }

    /// A scope without known values: a value with references is neither computed nor reported.
    #[must_use]
    pub(super) fn unresolved(self) -> VariableScope<'a> {
        VariableScope { unresolved: true, ..self }
    }

    /// If `incomplete`, an env file is missing, and a variable without a value is not reported.
    #[must_use]
    pub(super) fn incomplete(self, incomplete: bool) -> VariableScope<'a> {
        VariableScope { incomplete, ..self }
    }

    /// The same for a replica with this number.
    #[must_use]
    pub(super) fn of_replica(self, number: Option<u32>) -> VariableScope<'a> {
        VariableScope { replica: number.map(|number| (number, true)), ..self }
    }

    /// From now on, a value with the number of the replica is shown as it is written.
    pub(super) fn hide_replica(&mut self) {
        self.replica = self.replica.map(|(number, _)| (number, false));
        self.resolved.clear();
    }

    /// The `env` map as written.
    pub(super) fn own(&self) -> &BTreeMap<&'a str, &'a Node> {
        &self.own
    }

    /// Computes every variable of the `env` map.
    pub(super) fn resolve_own(&mut self, context: &mut Context<'_>) -> Variables {
        let keys: Vec<&'a str> = self.own.keys().copied().collect();
        keys.into_iter().filter_map(|key| Some((key.into(), self.own_value(key, None, context).ok()?))).collect()
    }

    /// Computes a single value: replaces its references.
    pub(super) fn value(&mut self, node: &Node, context: &mut Context<'_>) -> Result<Text, AlreadyReported> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            return Err(not_a_single_value(node, context));
        };
        if scalar.style == NodeStyle::Null && scalar.text.is_empty() {
            let problem = Problem::error(node.span, format!("{KEY} has no value"));
            return Err(context.report(problem.help("write `\"\"` for an empty text")));
        }
        if scalar.text.contains('\0') {
            return Err(context.report(Problem::error(node.span, format!("{KEY} contains a NUL character"))));
        }
        if let Some(reference) = foreign_syntax::reference(&scalar.text).filter(|reference| reference.is_certain) {
            let problem = Problem::error(node.span, format!("`{}` in {KEY} is not replaced: only `${{…}}` is", reference.text));
            let is_shown = self.resolving.is_empty() && !scalar.is_secret;
            return Err(context.report(problem.help(reference.help(&scalar.text, is_shown))));
        }
        let written = Written::new(node, scalar, context.texts);
        let pieces = parse(written.text).map_err(|broken| context.report(broken_reference(&written, broken)))?;
        let has_references = pieces.iter().any(|piece| matches!(piece, ValuePart::Reference(_)));
        if has_references && self.unresolved {
            return Err(AlreadyReported);
        }
        let mut expanded = ExpandedText::default();
        self.expand(&pieces, &written, &mut expanded, context)?;
        let ExpandedText { value, has_variables, is_unknown } = expanded;
        // The source of an unknown value takes its place.
        let value = if is_unknown { scalar.text.to_string() } else { value };
        if value.len() >= MAX_STRING {
            let message = format!("{KEY} has {} bytes; a program takes less than {MAX_STRING}", value.len());
            return Err(context.report(Problem::error(node.span, message)));
        }
        if has_references {
            *context.substituted += value.len();
            if *context.substituted > MAX_SUBSTITUTED {
                let message = format!("all substituted values together have more than {} MiB", MAX_SUBSTITUTED >> 20);
                return Err(context.report(Problem::error(node.span, message)));
            }
        }
        Ok(match (scalar.is_secret, has_references) {
            (true, _) => as_secret(&if has_references { Text::secret(&value, &scalar.text) } else { Text::plain(&value) }),
            (false, _) if has_variables => Text::secret(&value, &scalar.text),
            (false, _) => Text::plain(&value),
        })
    }

    fn expand(
        &mut self,
        pieces: &[ValuePart],
        written: &Written<'_>,
        expanded: &mut ExpandedText,
        context: &mut Context<'_>,
    ) -> Result<(), AlreadyReported> {
        let mut outcome = Ok(());
        for piece in pieces {
            match piece {
                ValuePart::Literal(range) => expanded.value.push_str(&written.text[range.clone()]),
                ValuePart::ForeignForm(range) if self.for_shell => expanded.value.push_str(&written.text[range.clone()]),
                ValuePart::ForeignForm(range) => {
                    let is_shown = self.resolving.is_empty() && !written.is_secret;
                    outcome = Err(context.report(foreign_form(range.clone(), is_shown, written)));
                }
                // Continues after a mistake, so that all of them are found.
                ValuePart::Reference(reference) => {
                    outcome = self.expand_reference(reference, written, expanded, context).and(outcome);
                }
            }
            if expanded.value.len() > 2 * MAX_STRING {
                break;
            }
        }
        outcome
    }

    fn expand_reference(
        &mut self,
        reference: &Reference,
        written: &Written<'_>,
        expanded: &mut ExpandedText,
        context: &mut Context<'_>,
    ) -> Result<(), AlreadyReported> {
        let name = &written.text[reference.name.clone()];
        // Computed only for a problem: a value may refer to very many variables.
        let place = || written.place(reference.head());
        expanded.has_variables |=
            !self.is_built_in(name) || (name == REPLICA && self.replica.is_some_and(|(_, is_shown)| !is_shown));
        let found = self.variable(name, place, context)?;
        let found = found.as_ref().map(Text::value);
        let filled = found.filter(|found| !found.is_empty());
        let result = match &reference.form {
            ReferenceForm::Plain | ReferenceForm::Default { set_is_enough: true, .. } => found,
            ReferenceForm::Required(_) | ReferenceForm::Default { set_is_enough: false, .. } => filled,
            ReferenceForm::Alternative(pieces) if filled.is_some() => return self.expand(pieces, written, expanded, context),
            ReferenceForm::Alternative(_) => Some(""),
        };
        if let Some(result) = result {
            expanded.value.push_str(result);
            return Ok(());
        }
        match &reference.form {
            ReferenceForm::Default { pieces, .. } => return self.expand(pieces, written, expanded, context),
            _ if context.environment.is_elsewhere() => {
                expanded.is_unknown = true;
                return Ok(());
            }
            _ if self.incomplete => {}
            form => {
                // Finding a suggestion takes long.
                let environment = context.problems.has_room().then_some(context.environment);
                context.problems.add_with(|| self.without_value(name, form, written, place(), environment));
            }
        }
        Err(AlreadyReported)
    }

    /// Describes a reference to a variable without a value; with an `environment`, also suggests a similar name.
    fn without_value(
        &self,
        name: &str,
        form: &ReferenceForm,
        written: &Written<'_>,
        span: SourceSpan,
        environment: Option<&Environment>,
    ) -> Problem {
        // Inside a variable, its own name means the layer below.
        let is_itself = self.is_own_name(name);
        let message = match form {
            _ if is_itself => format!("{KEY} refers to itself, but is set nowhere else"),
            ReferenceForm::Required(words) if written.text[words.clone()].trim().is_empty() => {
                format!("variable `{name}` is required in {KEY}, but has no value")
            }
            _ => format!("variable `{name}` in {KEY} has no value"),
        };
        if let ReferenceForm::Required(words) = form {
            let words = written.text[words.clone()].trim();
            let message = if words.is_empty() { message } else { format!("{message}: {words}") };
            let own = if is_itself { "" } else { "in `env`, " };
            return Problem::error(span, message).help(format!("set it {own}in an env file, or where navigator is started"));
        }
        let near = environment
            .and_then(|environment| self.suggest(name, environment))
            .map(|near| format!("did you mean `${{{near}}}`?"));
        let help = near.unwrap_or_else(|| {
            let own = if is_itself { "where navigator is started" } else { "in `env`" };
            format!(
                "set it {own}, give a default as in `${{{name}:-…}}`, or write `$${{{name}}}` for these characters themselves"
            )
        });
        Problem::error(span, message).help(help)
    }

    /// Whether the variable being computed has this name: a reference to it means the layer below.
    fn is_own_name(&self, name: &str) -> bool {
        self.resolving.last().is_some_and(|&(key, _)| key == name)
    }

    /// The known variable with the most similar name.
    fn suggest(&self, name: &str, environment: &Environment) -> Option<String> {
        let own = self.own.keys().copied().filter(|own| !self.is_own_name(own));
        let layers = self.layers.iter().flat_map(|layer| layer.iter().map(|(name, _)| name));
        nearest(
            name,
            own.chain(layers)
                .chain(environment.names())
                .chain([CONFIG_DIR])
                .chain(self.replica.map(|_| REPLICA))
                .filter(|known| *known != name),
        )
        .map(str::to_owned)
    }

    /// The value of a variable at a reference, if it has one.
    pub(super) fn variable(
        &mut self,
        name: &str,
        at: impl FnOnce() -> SourceSpan,
        context: &mut Context<'_>,
    ) -> Result<Option<Text>, AlreadyReported> {
        if let Some((&key, _)) = self.own.get_key_value(name).filter(|_| !self.is_own_name(name)) {
            return self.own_value(key, Some(at()), context).map(Some);
        }
        if self.is_built_in(name) {
            let number = self.replica.filter(|_| name == REPLICA).map(|(number, _)| number.to_string());
            return Ok(Some(Text::plain(number.as_deref().unwrap_or(context.config_dir))));
        }
        let value = self.layers.iter().find_map(|layer| layer.get(name)).cloned();
        Ok(value.or_else(|| context.environment.get(name).map(|value| Text::secret(value, name))))
    }

    /// Whether a reference means the directory of the configuration, or the number of the replica: the file doesn't define that
    /// name itself.
    fn is_built_in(&self, name: &str) -> bool {
        (name == CONFIG_DIR || (name == REPLICA && self.replica.is_some()))
            && self.layers.iter().all(|layer| layer.get(name).is_none())
            && (!self.own.contains_key(name) || self.is_own_name(name))
    }

    fn own_value(&mut self, key: &'a str, at: Option<SourceSpan>, context: &mut Context<'_>) -> Result<Text, AlreadyReported> {
        if let Some(known) = self.resolved.get(key) {
            return known.clone();
        }
        let node = self.own[key];
        // Both are keys of the same map, so comparing pointers is enough.
        if let Some(start) = self.resolving.iter().position(|&(open, _)| std::ptr::eq(open, key)) {
            return Err(self.report_loop(start, at.unwrap_or(node.span), context));
        }
        if self.resolving.len() >= MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} variables refer to each other in a chain");
            return Err(context.report(Problem::error(at.unwrap_or(node.span), message)));
        }
        self.resolving.push((key, at));
        // No shell reads the value of a variable.
        let for_shell = std::mem::take(&mut self.for_shell);
        let outer = context.problems.subject.enter_variable(Some(key.to_owned()));
        let value = self.value(node, context).map(|value| if is_secret(key) { as_secret(&value) } else { value });
        context.problems.subject.enter_variable(outer);
        self.resolving.pop();
        self.for_shell = for_shell;
        self.resolved.insert(key, value.clone());
        value
    }

    fn report_loop(&self, start: usize, at: SourceSpan, context: &mut Context<'_>) -> AlreadyReported {
        let cycle = &self.resolving[start..];
        let names: Vec<String> = cycle.iter().chain(cycle.first()).map(|(key, _)| format!("`{key}`")).collect();
        let mut problem = Problem::error(at, format!("these variables refer to each other in a loop: {}", names.join(" → ")));
        for &(key, reference) in &cycle[1..] {
            if let Some(reference) = reference {
                problem = problem.label(reference, format!("`{key}` is referred to here"));
            }
        }
        context.report(problem)
    }
}

/// Describes `${NAME…}` in a form of shells or other programs. With `is_shown`, the help has the default value.
fn foreign_form(range: Range<usize>, is_shown: bool, written: &Written<'_>) -> Problem {
    let form = &written.text[range.clone()];
    let inside = form.strip_prefix("${").and_then(|form| form.strip_suffix('}')).unwrap_or(form);
    let (name, rest) = inside.split_at(inside.find([':', '=', '?', '+']).unwrap_or(inside.len()));
    let (found, ours) = match rest.as_bytes() {
        [b':', b'=', ..] => (":=", ":-"),
        [b'=', ..] => ("=", ":-"),
        [b'?', ..] => ("?", ":?"),
        [b'+', ..] => ("+", ":+"),
        _ => (":", ":-"),
    };
    let operand = rest[found.len()..].trim_start();
    let is_shown = is_shown && form.len() <= 80;
    let (operand, form) = if is_shown { (operand, form) } else { ("…", &*format!("${{{name}{found}…}}")) };
    let place = written.place(range.start..range.start + "${".len() + name.len());
    Problem::error(place, format!("`{found}` after `${{{name}` in {KEY} is the syntax of another program"))
        .help(format!("write `${{{name}{ours}{operand}}}`, or `${form}` for these characters themselves"))
}

/// Reports a list or a map where a single value is expected.
fn not_a_single_value(node: &Node, context: &mut Context<'_>) -> AlreadyReported {
    let problem = Problem::error(node.span, format!("{KEY} must be a single value, not {}", node.described()));
    let help = match &node.kind {
        // `{{ … }}`: the map as a key has been reported.
        NodeKind::Map(map) if map.entries.is_empty() && !map.strays().is_empty() => return AlreadyReported,
        NodeKind::Map(map) if map.entries.len() == 1 => "if it is text with `: ` in it, put all of it in quotes",
        _ => "write one value; if the brackets are part of it, put all of it in quotes",
    };
    context.report(problem.help(help))
}

impl Context<'_> {
    pub(super) fn report(&mut self, problem: Problem) -> AlreadyReported {
        self.problems.add(problem);
        AlreadyReported
    }
}

fn broken_reference(written: &Written<'_>, broken: InvalidReference) -> Problem {
    match broken {
        InvalidReference::Unclosed(range) => {
            let name = written.text[range.clone()].trim_start_matches("${").to_owned();
            let problem = Problem::error(written.place(range), format!("a `${{` in {KEY} is never closed"));
            problem.help(format!("write `${{{name}}}`, or `$${{{name}` for these characters themselves"))
        }
        InvalidReference::TooLong => {
            Problem::error(written.span(), format!("{KEY} is too long: a program takes less than {MAX_STRING} bytes"))
        }
        InvalidReference::TooDeep(range) => {
            Problem::error(written.place(range), format!("references in {KEY} are nested too deep"))
        }
    }
}

/// Whether the name of a variable or header says that its value is secret.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.as_bytes();
    (0..key.len()).any(|at| {
        let words: &[&[u8]] = match key[at].to_ascii_lowercase() {
            b'a' => &[b"authorization"],
            b'c' => &[b"cookie", b"credential"],
            b'k' => &[b"key"],
            b'p' => &[b"password", b"passwd"],
            b's' => &[b"secret"],
            b't' => &[b"token"],
            _ => return false,
        };
        words.iter().any(|word| key[at..].get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
    })
}

/// Whether a value is known on another machine only: it is still its source.
pub(super) fn is_unknown(value: &Text, environment: &Environment) -> bool {
    environment.is_elsewhere() && value.is_secret() && value.value().contains("${")
}

/// Marks a value under a secret key as secret. Its source is shown only if it is a lone reference.
pub(super) fn as_secret(value: &Text) -> Text {
    if value.is_secret() && is_lone_reference(value.shown()) { value.clone() } else { Text::secret(value.value(), "(secret)") }
}

/// Whether the source of a value is one reference without a default value.
pub(super) fn is_lone_reference(source: &str) -> bool {
    match parse(source).as_deref() {
        Ok([ValuePart::Reference(Reference { form: ReferenceForm::Default { pieces, .. }, .. })]) => pieces.is_empty(),
        Ok([ValuePart::Reference(reference)]) => matches!(reference.form, ReferenceForm::Plain | ReferenceForm::Required(_)),
        _ => false,
    }
}
