//! Decodes `resources`: limits of a whole process tree.

use super::parts::{key, part};
use super::reader::{FieldReader, NodeReader};
use super::scalar;
use super::table::ValueShape;
use super::tree::Node;
use reconcile::resources::Resources;

/// The most processes and threads that a kernel can have.
const MOST_TASKS: i64 = 4_194_304;

pub(super) static RESOURCES: &[FieldReader<Resources>] = &[
    part(key("memory", ValueShape::Memory).means("memory of the whole tree, such as `512M`"), |reader, node, resources| {
        resources.memory = read(reader, node, "an amount of memory", scalar::memory);
    }),
    part(
        key("cpu", ValueShape::Percent).means("processor time of the whole tree, in percent of one processor"),
        |reader, node, resources| resources.cpu = read(reader, node, "a percentage", scalar::percent),
    ),
    part(
        key("tasks", ValueShape::Whole(1, MOST_TASKS)).means("number of processes and threads of the whole tree"),
        |reader, node, resources| resources.tasks = reader.whole(node, 1, MOST_TASKS),
    ),
];

fn read<T>(
    reader: &mut NodeReader<'_, '_, '_>,
    node: &Node,
    what: &str,
    parse: fn(&str) -> Result<T, &'static str>,
) -> Option<T> {
    let text = reader.text(node)?;
    parse(text.value()).map_err(|help| reader.refuse(node, &text, what, Some(help))).ok()
}
