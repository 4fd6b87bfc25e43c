//! The effective configuration means the same as what it was made of, however it is written.

use super::fixtures::{environment, over_disk, paths, settle};
use navigator::config::{ConfigKey, Disk, Effective, EffectiveError, EffectiveRequest, Environment, Notation, ValueShape};
use navigator::config::{effective, load, not_yet, process_keys};
use std::fs;
use std::path::{Path, PathBuf};

const YAML: EffectiveRequest<'_> = EffectiveRequest { names: &[], defaults: false, notation: Notation::Yaml };
const ALL: [EffectiveRequest<'_>; 4] = [
    YAML,
    EffectiveRequest { defaults: true, ..YAML },
    EffectiveRequest { notation: Notation::Json, ..YAML },
    EffectiveRequest { defaults: true, notation: Notation::Json, ..YAML },
];

/// The fixtures' environment, in which the variables that stand for secrets are set.
fn with_secrets(effective: &Effective) -> Environment {
    let known = ["HOME", "DATABASE_URL", "DATABASE_PASSWORD", "EMPTY"];
    let known = known.map(|name| (name.to_owned(), environment().get(name).expect("it is set").to_owned()));
    let secrets = effective.secrets.iter().map(|(name, value)| (name.clone(), value.value().to_owned()));
    known.into_iter().chain(secrets).collect()
}

fn written(path: &Path, content: &[u8], environment: &Environment, request: EffectiveRequest<'_>) -> Effective {
    effective(path, &over_disk(path, content.to_vec()), environment, request)
        .unwrap_or_else(|error| panic!("{} as {request:?}: {error:?}", path.display()))
}

/// Good fixtures, and the examples of the documents that need nothing else.
fn originals() -> Vec<(PathBuf, Vec<u8>)> {
    let mut originals: Vec<_> =
        paths("good").into_iter().map(|path| (path.clone(), fs::read(path).expect("a fixture"))).collect();
    let entries = fs::read_dir("docs").expect("the documents").map(|entry| entry.expect("an entry").path());
    for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let document = fs::read_to_string(&path).expect("a document");
        let blocks = document.split("```yaml\n").skip(1).filter_map(|block| block.split_once("```"));
        let blocks = blocks.map(|(block, _)| (path.clone(), block.as_bytes().to_vec()));
        originals.extend(blocks.filter(|(path, block)| load(path, &over_disk(path, block.clone()), &environment()).is_ok()));
    }
    originals
}

#[test]
fn it_means_the_same_and_is_written_the_same_again() {
    let originals = originals();
    assert!(originals.len() >= 90, "only {} configurations", originals.len());
    for (path, content) in originals {
        let original = load(&path, &over_disk(&path, content.clone()), &environment()).expect("it loads");
        for request in ALL {
            let effective = written(&path, &content, &environment(), request);
            let environment = with_secrets(&effective);
            let text = effective.text.into_bytes();
            let again = load(&path, &over_disk(&path, text.clone()), &environment);
            let again = again.unwrap_or_else(|error| panic!("{}: {:?}", path.display(), error.diagnostics));
            assert_eq!(original.desired, again.desired, "{} as {request:?}", path.display());
            assert_eq!(original.settings, again.settings, "{}", path.display());
            let twice = written(&path, &text, &environment, request);
            assert_eq!(String::from_utf8(text).expect("it is text"), twice.text, "{} as {request:?}", path.display());
        }
    }
}

#[test]
fn it_is_written_as_expected() {
    let mut failures = Vec::new();
    for (name, file, request) in [
        ("aliases", "aliases.txt", YAML),
        ("depends-on", "depends-on.txt", YAML),
        ("effective", "effective.txt", YAML),
        ("effective", "effective.json", ALL[2]),
        ("env-layers", "env-layers.txt", YAML),
        ("env-files-that-may-be-missing", "env-files-that-may-be-missing.txt", YAML),
        ("include", "include.txt", YAML),
        ("include-through-variable", "include-through-variable.txt", YAML),
        ("json", "json-with-defaults.txt", ALL[1]),
        ("secret-names", "secret-names.txt", YAML),
        ("web-server", "web-server.txt", YAML),
    ] {
        let path = Path::new("fixtures/config/good").join(name).with_extension("yml");
        let content = fs::read(&path).expect("a fixture can be read");
        let effective = written(&path, &content, &environment(), request);
        settle(&Path::new("fixtures/config/effective").join(file), &effective.text, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `effective.yml` gives all of them: a new one is added there.
#[test]
fn every_key_is_written() {
    fn names(keys: &[ConfigKey], path: &str, into: &mut Vec<String>) {
        for key in keys {
            let path = format!("{path}/{}", key.name);
            if not_yet().any(|later| path[1..].replace('/', ".") == later) {
                continue;
            }
            if let ValueShape::Part(keys)
            | ValueShape::DelayOrPart(keys)
            | ValueShape::CronOrPart(keys)
            | ValueShape::Choice(_, keys)
            | ValueShape::Edges(keys)
            | ValueShape::Sockets(keys)
            | ValueShape::WordsOrPart(_, keys) = key.shape
            {
                let inside = match key.shape {
                    ValueShape::Edges(_) => "/cache",
                    ValueShape::Sockets(_) => "/http",
                    _ => "",
                };
                names(&keys(), &format!("{path}{inside}"), into);
            }
            into.push(path);
        }
    }
    let mut wanted = Vec::new();
    names(&process_keys(), "", &mut wanted);
    let path = Path::new("fixtures/config/good/effective.yml");
    let effective = effective(path, &Disk, &environment(), ALL[2]).expect("it is written");
    let json: serde_json::Value = serde_json::from_str(&effective.text).expect("it is JSON");
    let processes = json["managed_processes"].as_array().expect("a list");
    // `restart` and `auto_restart` exclude each other, as probes do, so no process gives all keys.
    wanted.retain(|path| !processes.iter().any(|process| process.pointer(path).is_some()));
    assert!(wanted.is_empty(), "these keys are not written: {wanted:?}");
}

fn of_names(names: &[&str]) -> Result<Vec<String>, EffectiveError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let path = Path::new("fixtures/config/good/effective.yml");
    let effective = effective(path, &Disk, &environment(), EffectiveRequest { names: &names, ..YAML })?;
    let loaded = load(path, &over_disk(path, effective.text.clone().into_bytes()), &with_secrets(&effective)).expect("it loads");
    Ok(loaded.desired.entries().iter().map(|entry| entry.spec.name.to_string()).collect())
}

#[test]
fn named_processes_come_with_what_they_depend_on() {
    assert_eq!(of_names(&["every"]).expect("it is written"), ["cache", "every", "migrate"]);
    assert_eq!(of_names(&["web", "asks"]).expect("it is written"), ["asks", "db:1", "db:2", "web"]);
    let unknown = of_names(&["db", "wbe"]);
    assert!(matches!(&unknown, Err(EffectiveError::Unknown(name, Some(_))) if name == "wbe"), "{unknown:?}");
}

/// The reference is found where nothing else has its name, and only what is printed needs one.
#[test]
fn a_secret_in_the_file_becomes_a_reference() {
    let path = Path::new("etc/navigator.yml");
    let text = "managed_processes:\n  - {name: a-b, command: x, env: {TOKEN: hunter2, A_B_TOKEN: other, KEEP: '${T_KEY}'}}\n  \
                - {name: c, command: x, env: {TOKEN: '${TOKEN}'}}\n";
    let host: Environment = [("TOKEN", "hunter2"), ("A_B_TOKEN_2", "hunter2"), ("T_KEY", "hunter2")].into_iter().collect();
    let names = |request| written(path, text.as_bytes(), &host, request).secrets.into_keys().collect::<Vec<_>>();
    assert_eq!(names(YAML), ["A_B_A_B_TOKEN", "A_B_TOKEN_2"]);
    assert_eq!(names(EffectiveRequest { names: &["c".to_owned()], ..YAML }), Vec::<String>::new());
    let other: Environment = [("A_B_TOKEN_2", "else"), ("TOKEN", "t"), ("T_KEY", "k")].into_iter().collect();
    let effective = written(path, text.as_bytes(), &other, YAML);
    assert!(effective.text.contains("TOKEN: ${A_B_TOKEN_3}"), "{}", effective.text);
    assert!(!effective.text.contains("hunter2") && !format!("{effective:?}").contains("hunter2"));
}
