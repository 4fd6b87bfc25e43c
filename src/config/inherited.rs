//! Decodes `inherit_env`: which variables of navigator's own environment a process inherits.

use super::draft::Draft;
use super::problems::Problem;
use super::reader::NodeReader;
use super::redact::short;
use super::subject::KEY;
use super::tree::{Node, NodeKind};
use super::words::is_variable;
use reconcile::spec::{InheritEnv, VariableNames};
use reconcile::text::Text;

/// Help for a value of any other form.
const FORMS: &str = "write `true`, `false`, or a list of names, such as `[PATH, LANG]`";

pub(super) fn inherit_env(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let inherited = match &node.kind {
        NodeKind::List(items) => Some(InheritEnv::Only(names(reader, items))),
        NodeKind::Scalar(_) => reader.truth(node, "`true`, `false` or a list of names", suggestion).map(all_or_none),
        NodeKind::Map(_) => {
            let problem = Problem::error(node.span, format!("{KEY} must be `true`, `false` or a list of names, not a map"));
            reader.report(problem.help(format!("{FORMS}; set variables in `env`")));
            None
        }
    };
    draft.spec.exec.inherit_env = inherited.unwrap_or_default();
}

fn all_or_none(all: bool) -> InheritEnv {
    if all { InheritEnv::All } else { InheritEnv::Only(VariableNames::default()) }
}

/// Help for a single value that is not a boolean.
fn suggestion(text: &str) -> String {
    let names: Vec<&str> = text.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    match text {
        "all" => "write `true`".to_owned(),
        "none" => "write `false`".to_owned(),
        _ if !names.is_empty() && text.len() <= 80 && names.iter().all(|name| is_variable(name)) => {
            format!("write `[{}]`", names.join(", "))
        }
        _ => FORMS.to_owned(),
    }
}

fn names(reader: &mut NodeReader<'_, '_, '_>, items: &[Node]) -> VariableNames {
    let mut names: Vec<(Text, &Node)> = Vec::new();
    for item in items {
        let Some(name) = name(reader, item) else { continue };
        match names.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => {
                let problem = Problem::error(item.span, format!("`{}` is named twice in {KEY}", short(name.shown())));
                reader.report(problem.label(first.span, "first named here").help("remove one of the two"));
            }
            None => names.push((name, item)),
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

/// Reads the name of a variable: not empty, without `=`.
fn name(reader: &mut NodeReader<'_, '_, '_>, item: &Node) -> Option<Text> {
    if item.is_null() {
        let problem = Problem::error(item.span, format!("an item of {KEY} has no value"));
        reader.report(problem.help("write a name, or remove the item"));
        return None;
    }
    let name = reader.filled(item)?;
    if name.value().contains('=') {
        // The text after the `=` is a value, and values of variables are not shown.
        let message = format!("`{}` in {KEY} is not the name of a variable: it contains a `=`", short(name.shown()));
        reader.report(Problem::error(item.span, message).help("write the name alone; set variables in `env`"));
        return None;
    }
    Some(name)
}
