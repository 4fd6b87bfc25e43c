//! Where `${VAR}` is looked up, and what a value becomes.
//!
//! A [`Scope`] is an `env` map as written over layers that are known already, over navigator's own environment. Its values
//! are worked out when they are first asked for, each once, so that they may refer to each other in any order.

use super::environment::Environment;
use super::problems::{Problem, Problems};
use super::source_map::{SourceMap, SourceSpan};
use super::substitute::{Broken, Reference, ReferenceForm, ValuePart, parse};
use super::tree::{Node, NodeKind, NodeStyle};
use super::written::Written;
use crate::suggest::nearest;
use reconcile::text::Text;
use reconcile::variables::Variables;
use std::collections::{BTreeMap, HashMap};

/// The kernel takes no argument or variable of more bytes, the closing NUL included (`MAX_ARG_STRLEN` in `execve(2)`).
const MAX_STRING: usize = 128 << 10;

/// All values that substitution yields may have this many bytes together, or a small file could fill the memory.
pub(super) const MAX_SUBSTITUTED: usize = 64 << 20;

/// A chain of variables that refer to each other may be this long.
const MAX_CHAIN: usize = 100;

/// Something was wrong, and a problem says so already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AlreadyReported;

/// The variables that one process, or the top of the file, can refer to.
#[derive(Default)]
pub(super) struct VariableScope<'a> {
    /// The `env` map as written.
    own: BTreeMap<&'a str, &'a Node>,
    /// From the highest down.
    below: Vec<&'a Variables>,
    blank: bool,
    incomplete: bool,
    resolved: HashMap<&'a str, Result<Text, AlreadyReported>>,
    /// The variables that are being worked out, each with the reference that led to it.
    trail: Vec<(&'a str, Option<SourceSpan>)>,
}

/// What working out a value needs beside the scope.
pub(super) struct Context<'a> {
    pub(super) texts: &'a SourceMap,
    pub(super) environment: &'a Environment,
    pub(super) problems: &'a mut Problems,
    /// Bytes that substitution has yielded so far.
    pub(super) substituted: &'a mut usize,
}

impl<'a> VariableScope<'a> {
    /// A scope of an `env` map over layers, from the highest down.
    pub(super) fn new(own: BTreeMap<&'a str, &'a Node>, below: Vec<&'a Variables>) -> VariableScope<'a> {
        VariableScope { own, below, ..VariableScope::default() }
    }

    /// The same, of which nothing is known yet: a value with references is neither worked out nor reported.
    #[must_use]
    pub(super) fn blank(self) -> VariableScope<'a> {
        VariableScope { blank: true, ..self }
    }

    /// The same; if an env file is missing, a variable without a value is no news.
    #[must_use]
    pub(super) fn incomplete(self, incomplete: bool) -> VariableScope<'a> {
        VariableScope { incomplete, ..self }
    }

    /// The `env` map as written.
    pub(super) fn own(&self) -> &BTreeMap<&'a str, &'a Node> {
        &self.own
    }

    /// Every variable of the `env` map.
    pub(super) fn resolve_own(&mut self, context: &mut Context<'_>) -> Variables {
        let keys: Vec<&'a str> = self.own.keys().copied().collect();
        keys.into_iter().filter_map(|key| Some((key.into(), self.own_value(key, None, context).ok()?))).collect()
    }

    /// A single value, its references replaced.
    pub(super) fn value(&mut self, node: &Node, context: &mut Context<'_>) -> Result<Text, AlreadyReported> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            return Err(no_single_value(node, context));
        };
        if scalar.style == NodeStyle::Null && scalar.text.is_empty() {
            let problem = Problem::error(node.span, "nothing is written here");
            return Err(context.report(problem.help("write `\"\"` for an empty text")));
        }
        if scalar.text.contains('\0') {
            return Err(context.report(Problem::error(node.span, "a value can't hold a NUL character")));
        }
        let written = Written::new(node, scalar, context.texts);
        let pieces = parse(written.text).map_err(|broken| context.report(broken_reference(&written, broken)))?;
        let refers = pieces.iter().any(|piece| matches!(piece, ValuePart::Reference(_)));
        if refers && self.blank {
            return Err(AlreadyReported);
        }
        let mut value = String::new();
        self.expand(&pieces, &written, &mut value, context)?;
        if value.len() >= MAX_STRING {
            let message = format!("this value has {} bytes; no program can be given one of {MAX_STRING} or more", value.len());
            return Err(context.report(Problem::error(node.span, message)));
        }
        if refers {
            *context.substituted += value.len();
            if *context.substituted > MAX_SUBSTITUTED {
                let message = format!("all substituted values together have more than {} MiB", MAX_SUBSTITUTED >> 20);
                return Err(context.report(Problem::error(node.span, message)));
            }
        }
        Ok(match (scalar.is_secret, refers) {
            (true, _) => hidden(&if refers { Text::secret(&value, &scalar.text) } else { Text::plain(&value) }),
            (false, true) => Text::secret(&value, &scalar.text),
            (false, false) => Text::plain(&value),
        })
    }

    fn expand(
        &mut self,
        pieces: &[ValuePart],
        written: &Written<'_>,
        value: &mut String,
        context: &mut Context<'_>,
    ) -> Result<(), AlreadyReported> {
        let mut outcome = Ok(());
        for piece in pieces {
            match piece {
                ValuePart::Literal(range) => value.push_str(&written.text[range.clone()]),
                // Goes on after a mistake, so that all of them are found.
                ValuePart::Reference(reference) => outcome = self.refer(reference, written, value, context).and(outcome),
            }
            if value.len() > 2 * MAX_STRING {
                break;
            }
        }
        outcome
    }

    fn refer(
        &mut self,
        reference: &Reference,
        written: &Written<'_>,
        value: &mut String,
        context: &mut Context<'_>,
    ) -> Result<(), AlreadyReported> {
        let name = &written.text[reference.name.clone()];
        // Worked out only where it is told: a value may refer to very many variables.
        let place = || written.place(reference.head());
        let found = self.variable(name, place, context)?;
        let found = found.as_ref().map(Text::value);
        let filled = found.filter(|found| !found.is_empty());
        let taken = match &reference.form {
            ReferenceForm::Plain | ReferenceForm::Default { set_is_enough: true, .. } => found,
            ReferenceForm::Required(_) | ReferenceForm::Default { set_is_enough: false, .. } => filled,
            ReferenceForm::Alternative(pieces) if filled.is_some() => return self.expand(pieces, written, value, context),
            ReferenceForm::Alternative(_) => Some(""),
        };
        if let Some(taken) = taken {
            value.push_str(taken);
            return Ok(());
        }
        match &reference.form {
            ReferenceForm::Default { pieces, .. } => return self.expand(pieces, written, value, context),
            _ if self.incomplete => {}
            form => {
                // What could have been meant takes a while to find.
                let environment = context.problems.has_room().then_some(context.environment);
                context.problems.add_with(|| self.without_value(name, form, written, place(), environment));
            }
        }
        Err(AlreadyReported)
    }

    /// What is wrong with a reference to a variable without a value; with an `environment`, also what could have been meant.
    fn without_value(
        &self,
        name: &str,
        form: &ReferenceForm,
        written: &Written<'_>,
        span: SourceSpan,
        environment: Option<&Environment>,
    ) -> Problem {
        if let ReferenceForm::Required(words) = form {
            let words = written.text[words.clone()].trim();
            let message = match words {
                "" => format!("variable `{name}` is required, but has no value"),
                words => format!("variable `{name}` has no value: {words}"),
            };
            return Problem::error(span, message).help("set it in `env`, in an env file, or where navigator is started");
        }
        let help = match environment.and_then(|environment| self.near(name, environment)) {
            Some(near) => format!("did you mean `${{{near}}}`?"),
            None => format!(
                "set it in `env`, give a default as in `${{{name}:-…}}`, or write `$${{{name}}}` for these characters themselves"
            ),
        };
        Problem::error(span, format!("variable `{name}` has no value")).help(help)
    }

    /// The known variable whose name is nearest to this one.
    fn near(&self, name: &str, environment: &Environment) -> Option<String> {
        let own = self.own.keys().copied();
        let below = self.below.iter().flat_map(|layer| layer.iter().map(|(name, _)| name));
        nearest(name, own.chain(below).chain(environment.names()).filter(|known| *known != name)).map(str::to_owned)
    }

    /// The value of a variable at a reference, if it has one.
    pub(super) fn variable(
        &mut self,
        name: &str,
        at: impl FnOnce() -> SourceSpan,
        context: &mut Context<'_>,
    ) -> Result<Option<Text>, AlreadyReported> {
        // A key that names itself means the layer below.
        let itself = self.trail.last().is_some_and(|&(key, _)| key == name);
        if let Some((&key, _)) = self.own.get_key_value(name).filter(|_| !itself) {
            return self.own_value(key, Some(at()), context).map(Some);
        }
        let below = self.below.iter().find_map(|layer| layer.get(name)).cloned();
        Ok(below.or_else(|| context.environment.get(name).map(|value| Text::secret(value, name))))
    }

    fn own_value(&mut self, key: &'a str, at: Option<SourceSpan>, context: &mut Context<'_>) -> Result<Text, AlreadyReported> {
        if let Some(known) = self.resolved.get(key) {
            return known.clone();
        }
        let node = self.own[key];
        // Both are keys of the same map, so that nothing need be read to compare them.
        if let Some(start) = self.trail.iter().position(|&(open, _)| std::ptr::eq(open, key)) {
            return Err(self.report_loop(start, at.unwrap_or(node.span), context));
        }
        if self.trail.len() >= MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} variables refer to each other in a chain");
            return Err(context.report(Problem::error(at.unwrap_or(node.span), message)));
        }
        self.trail.push((key, at));
        let value = self.value(node, context).map(|value| if is_secret(key) { hidden(&value) } else { value });
        self.trail.pop();
        self.resolved.insert(key, value.clone());
        value
    }

    fn report_loop(&self, start: usize, at: SourceSpan, context: &mut Context<'_>) -> AlreadyReported {
        let round = &self.trail[start..];
        let names: Vec<String> = round.iter().chain(round.first()).map(|(key, _)| format!("`{key}`")).collect();
        let mut problem = Problem::error(at, format!("these variables refer to each other in a loop: {}", names.join(" → ")));
        for &(key, reference) in &round[1..] {
            if let Some(reference) = reference {
                problem = problem.label(reference, format!("`{key}` is referred to here"));
            }
        }
        context.report(problem)
    }
}

/// Reports a list or a map that stands for a single value.
fn no_single_value(node: &Node, context: &mut Context<'_>) -> AlreadyReported {
    let problem = Problem::error(node.span, format!("expected a single value, found {}", node.described()));
    let help = match &node.kind {
        // `{{ … }}`: that a map is no key has been reported.
        NodeKind::Map(map) if map.entries.is_empty() && !map.strays().is_empty() => return AlreadyReported,
        NodeKind::Map(map) if map.entries.len() == 1 => "if it is text that holds a `: `, put all of it in quotes",
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

fn broken_reference(written: &Written<'_>, broken: Broken) -> Problem {
    match broken {
        Broken::Unclosed(range) => {
            let name = written.text[range.clone()].trim_start_matches("${").to_owned();
            let problem = Problem::error(written.place(range), "this `${` is never closed");
            problem.help(format!("write `${{{name}}}`, or `$${{{name}` for these characters themselves"))
        }
        Broken::TooLong => {
            Problem::error(written.whole(), format!("no program can be given a value of {MAX_STRING} or more bytes"))
        }
        Broken::TooDeep(range) => Problem::error(written.place(range), "references are nested too deep"),
    }
}

/// Whether the name of a variable or header says that its value is nobody's business.
pub(super) fn is_secret(key: &str) -> bool {
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

/// A value under a secret key: shown as its source only if that is nothing but a reference.
pub(super) fn hidden(value: &Text) -> Text {
    if value.is_secret() && is_bare(value.shown()) { value.clone() } else { Text::secret(value.value(), "(secret)") }
}

/// Whether the source of a value is nothing but a reference, without a value of its own to fall back on.
pub(super) fn is_bare(source: &str) -> bool {
    match parse(source).as_deref() {
        Ok([ValuePart::Reference(Reference { form: ReferenceForm::Default { pieces, .. }, .. })]) => pieces.is_empty(),
        Ok([ValuePart::Reference(reference)]) => matches!(reference.form, ReferenceForm::Plain | ReferenceForm::Required(_)),
        _ => false,
    }
}
