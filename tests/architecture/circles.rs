//! No two files of a room import each other, directly or around a circle.
//!
//! An import is a path that names something, in a `use` or in code, and it leads to the file that *defines* the thing, past
//! any re-export. So a parent that only declares and re-exports its children imports none of them, and a child may use what
//! its parent defines if the parent then uses nothing of the child. Methods in an `impl` that lies in another file than its
//! type are found without an import, and are not seen here.

use super::{Source, assert_none, is_word, sources, without_comment, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// Circles that stay for now: a file of each, and why.
const EXCEPTIONS: [(&str, &str); 1] =
    [("src/runtime/output/sink_queue.rs", "a queue hands itself to the writers, which serve it")];

/// A path from the crate's root, or in a file's own words.
type Path = Vec<String>;

/// A file as a module: what it brings in by which name, and what it names.
struct Module {
    file: String,
    imports: BTreeMap<String, Path>,
    named: Vec<Path>,
}

/// The modules of a crate, by their paths from its root.
struct Modules(BTreeMap<Path, Module>);

/// Stands for `::`, of which one sign is easier to find.
const SEPARATOR: &str = "∷";

/// The words and signs of a file, without comments, texts and its tests.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for line in without_tests(text).map(without_comment) {
        // What is in quotes names nothing.
        let code = line.split('"').step_by(2).collect::<Vec<_>>().join(" ").replace("::", SEPARATOR);
        for word in code.split_inclusive(|character| !is_word(character)) {
            let (name, sign) = word.split_at(word.trim_end_matches(|character| !is_word(character)).len());
            tokens.extend([name, sign.trim()].into_iter().filter(|token| !token.is_empty()).map(str::to_owned));
        }
    }
    tokens
}

/// The paths of a `use`, each with the name that it gets. Answers with the number of tokens up to what ends it.
fn paths_of_use(tokens: &[String], start: &[String], found: &mut Vec<(Path, String)>) -> usize {
    let mut path = start.to_vec();
    let mut at = 0;
    loop {
        match tokens[at].as_str() {
            "{" => {
                while tokens[at] != "}" {
                    at += 1 + paths_of_use(&tokens[at + 1..], &path, found);
                }
                return at + 1;
            }
            "as" => {
                found.push((path, tokens[at + 1].clone()));
                return at + 2;
            }
            "," | "}" | ";" => {
                let name = path.last().cloned().unwrap_or_default();
                found.push((path, name));
                return at;
            }
            SEPARATOR => {}
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
}

/// The path from the crate's root of one that begins with `crate`, `super`, `self` or a child of the module `own`.
fn absolute(path: &[String], own: &[String], children: &[&String]) -> Option<Path> {
    let climbs = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([own, &path[1..]].concat()),
        "super" => Some([&own[..own.len().checked_sub(climbs)?], &path[climbs..]].concat()),
        first => children.iter().any(|child| *child == first).then(|| [own, path].concat()),
    }
}

impl Module {
    fn read(own: &[String], source: &Source) -> Module {
        let tokens = tokens(&source.text);
        let declares = |three: &&[String]| three[0] == "mod" && three[2] == ";";
        let children: Vec<&String> = tokens.windows(3).filter(declares).map(|three| &three[1]).collect();
        let mut module = Module { file: source.path.clone(), imports: BTreeMap::new(), named: Vec::new() };
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at] == "use" {
                // A re-export hands on what others name.
                let hands_on = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
                let mut found = Vec::new();
                at += 1 + paths_of_use(&tokens[at + 1..], &[], &mut found);
                for (path, name) in found {
                    if let Some(path) = absolute(&path, own, &children) {
                        module.named.extend((!hands_on).then(|| path.clone()));
                        module.imports.insert(name, path);
                    }
                }
                continue;
            }
            let mut path = vec![tokens[at].clone()];
            while let [separator, part, ..] = &tokens[at + 1..]
                && separator == SEPARATOR
                && tokens[at].starts_with(is_word)
                && part.starts_with(is_word)
            {
                path.push(part.clone());
                at += 2;
            }
            at += 1;
            if path.len() > 1 {
                let imported = module.imports.get(&path[0]).map(|import| [import.as_slice(), &path[1..]].concat());
                module.named.extend(absolute(&path, own, &children).or(imported));
            }
        }
        module
    }
}

impl Modules {
    fn read(sources: &[Source]) -> Modules {
        let module = |source: &Source| {
            let own: Path = source.modules().into_iter().map(str::to_owned).collect();
            (own.clone(), Module::read(&own, source))
        };
        Modules(sources.iter().map(module).collect())
    }

    /// The file that defines what this path names; nothing if it names a module.
    fn definer(&self, path: &[String]) -> Option<&str> {
        let mut module = Path::new();
        for (at, part) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(part)].concat();
            let here = self.0.get(&module)?;
            match here.imports.get(part) {
                _ if self.0.contains_key(&child) && at + 1 < path.len() => module = child,
                Some(import) => return self.definer(&[import, &path[at + 1..]].concat()),
                None if self.0.contains_key(&child) => module = child,
                None => return Some(&here.file),
            }
        }
        None
    }

    /// Of each file, the other files that it imports.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let of = |module: &'_ Module| -> BTreeSet<&str> {
            module.named.iter().filter_map(|path| self.definer(path)).filter(|file| *file != module.file).collect()
        };
        self.0.values().map(|module| (module.file.as_str(), of(module))).collect()
    }
}

/// The files that each file reaches by imports, itself if it lies in a circle.
fn reached<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        open.extend(imports.get(file).into_iter().flatten().copied().filter(|next| reached.insert(*next)));
    }
    reached
}

/// The files of each circle.
fn circles(sources: &[Source]) -> BTreeSet<Vec<String>> {
    let modules = Modules::read(sources);
    let imports = modules.imports();
    let reach: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reached(&imports, file))).collect();
    let in_circle = reach.iter().filter(|(file, reached)| reached.contains(*file));
    let circle = in_circle
        .map(|(file, reached)| reached.iter().filter(|other| reach[*other].contains(file)).map(ToString::to_string).collect());
    circle.collect()
}

#[test]
fn no_files_import_each_other_around_a_circle() {
    let mut circles: Vec<Vec<String>> =
        [circles(&sources(&["src"])), circles(&sources(&["reconcile/src"]))].into_iter().flatten().collect();
    for (file, why) in EXCEPTIONS {
        let at = circles.iter().position(|circle| circle.iter().any(|other| other == file));
        circles.remove(at.unwrap_or_else(|| panic!("`{file}` is in no circle any more ({why}): remove it from `EXCEPTIONS`")));
    }
    let circles: Vec<String> = circles.iter().map(|circle| circle.join(" ")).collect();
    assert_none("what both sides need belongs into the lower file, or is passed by the parent", &circles);
}

#[test]
fn circles_are_seen_however_they_are_written() {
    let source = |(path, text): (&str, &str)| Source { path: path.to_owned(), text: text.to_owned() };
    let found = |files: &[(&str, &str)]| circles(&files.iter().copied().map(source).collect::<Vec<_>>());
    let circle = |files: &[(&str, &str)]| found(files).into_iter().map(|circle| circle.join(" ")).collect::<Vec<_>>();

    let root = ("src/lib.rs", "mod a;\nmod b;");
    assert_eq!(
        circle(&[root, ("src/a.rs", "use crate::b::B;"), ("src/b.rs", "fn f() -> super::a::A {}")]),
        ["src/a.rs src/b.rs"]
    );
    assert_eq!(
        circle(&[root, ("src/a.rs", "use super::b::{self, C as D};"), ("src/b.rs", "use super::a;\na::f();")]),
        ["src/a.rs src/b.rs"]
    );
    assert_eq!(
        circle(&[root, ("src/a.rs", "use super::b::B;"), ("src/b.rs", "// use super::a::A;\nlet x = \"crate::a::A\";")]),
        [""; 0]
    );
    assert_eq!(
        circle(&[root, ("src/a.rs", "fn f(b: crate::b::B) {}"), ("src/b.rs", "use super::a::A as C;")]),
        ["src/a.rs src/b.rs"]
    );
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
    assert_eq!(circle(&[root, ("src/a.rs", "use super::b::B;"), ("src/b.rs", tests)]), [""; 0]);

    // A parent that only hands on is passed by; one that defines what its child uses, and uses the child, is not.
    let handing_on = ("src/a/mod.rs", "mod c;\npub(super) use c::C;");
    assert_eq!(circle(&[root, handing_on, ("src/a/c.rs", "use crate::b::B;"), ("src/b.rs", "use crate::a::D;")]), [""; 0]);
    assert_eq!(
        circle(&[root, handing_on, ("src/a/c.rs", "use crate::b::B;"), ("src/b.rs", "use crate::a::C;")]),
        ["src/a/c.rs src/b.rs"]
    );
    let using = ("src/a/mod.rs", "mod c;\nuse c::C;\nstruct A;");
    assert_eq!(circle(&[root, using, ("src/a/c.rs", "use super::A;")]), ["src/a/c.rs src/a/mod.rs"]);
    let calling = ("src/a/mod.rs", "mod c;\nfn f() { c::g() }");
    assert_eq!(circle(&[root, calling, ("src/a/c.rs", "use super::f;")]), ["src/a/c.rs src/a/mod.rs"]);
}
