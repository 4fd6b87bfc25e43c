//! Imports the files of other supervisors in `fixtures/import/KIND/CASE/`, and compares the configuration and the report with
//! `navigator.yml` and `report.txt` there. `UPDATE_FIXTURES=1` writes them. Each configuration loads, without a warning.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/mutation.rs"]
mod mutation;

use golden::settle;
use mutation::{Random, mutate};
use navigator::config::{Disk, Environment, load, render_all};
use navigator::import::{ImportRequest, Imported, Kind, import};
use navigator::terminal::TerminalStyle;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is compared.
const GOLDEN: [&str; 2] = ["navigator.yml", "report.txt"];

/// The environment of all imports.
fn environment() -> Environment {
    [("HOME", "/home/deploy"), ("PATH", "/usr/bin:/bin"), ("USER", "deploy"), ("HOSTNAME", "shop")].into_iter().collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Every case, with the name of its kind.
fn cases() -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let kinds = entries(Path::new("fixtures/import"));
    kinds.iter().flat_map(|kind| entries(kind).into_iter().map(|case| (name(kind), case))).collect()
}

/// The files that a case imports: all but those that others name, and the results.
fn files(kind: &str, case: &Path) -> Vec<PathBuf> {
    let is_given = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_result = GOLDEN.contains(&name.as_str()) || name.starts_with('.');
        !is_result && (path.is_file() || kind == "s6")
    };
    entries(case).into_iter().filter(is_given).collect()
}

fn imported(kind: &str, case: &Path, from: Option<Kind>) -> Imported {
    let paths = files(kind, case);
    import(ImportRequest { paths: &paths, kind: from, out: None }, &environment())
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

/// Paths of this checkout are shown as `/REPOSITORY`.
fn veiled(text: &str) -> String {
    text.replace(env!("CARGO_MANIFEST_DIR"), "/REPOSITORY")
}

#[test]
fn files_of_other_programs_become_configurations() {
    let cases = cases();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for (kind, case) in cases {
        let Imported { text, report } = imported(&kind, &case, None);
        settle(&case.join("navigator.yml"), &veiled(&text), &mut failures);
        settle(&case.join("report.txt"), &veiled(&report), &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_written_passes_check() {
    let mut failures = Vec::new();
    for (kind, case) in cases() {
        let path = case.join("navigator.yml");
        let outcome = load(&path, &Disk, &environment());
        let found = match &outcome {
            Ok(loaded) => render_all(&loaded.warnings, 0, TerminalStyle::PLAIN),
            Err(rejected) => render_all(&rejected.diagnostics, 0, TerminalStyle::PLAIN),
        };
        if !found.is_empty() {
            failures.push(format!("{kind}: {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_guessed_kind_is_the_named_one() {
    for (kind, case) in cases() {
        let (_, from) = Kind::ALL.into_iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no kind {kind}"));
        assert_eq!(imported(&kind, &case, Some(from)).text, imported(&kind, &case, None).text, "{}", case.display());
    }
}

/// Whatever the text, and whatever it is taken for, an import ends soon, with a result that loads or with a reason.
/// `IMPORT_FUZZ` is how many times each file is changed.
#[test]
fn rubbish_is_refused_and_never_panics() {
    let rounds: usize = std::env::var("IMPORT_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seeds: Vec<(String, Vec<u8>)> = cases()
        .iter()
        .flat_map(|(kind, case)| files(kind, case))
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file")))
        // `node` would take too long, and is no part of navigator.
        .filter(|(name, _)| !name.contains("config."))
        .collect();
    assert!(seeds.len() >= 60);
    let contents: Vec<&[u8]> = seeds.iter().map(|(_, seed)| seed.as_slice()).collect();
    let (mut made, mut refused) = (0, 0);
    for (name, seed) in &seeds {
        for _ in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &contents, &mut random);
            }
            let path = directory.join(name);
            fs::write(&path, &bytes).expect("a file can be written");
            let kind = Some(Kind::ALL[random.below(Kind::ALL.len())].1).filter(|_| random.below(3) == 0);
            let begun = Instant::now();
            match import(ImportRequest { paths: std::slice::from_ref(&path), kind, out: None }, &environment()) {
                Ok(_) => made += 1,
                Err(error) => {
                    assert!(!error.to_string().contains("a mistake of"), "{error}:\n{}", String::from_utf8_lossy(&bytes));
                    refused += 1;
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{name}: {:?}", begun.elapsed());
        }
    }
    fs::remove_dir_all(&directory).expect("the directory is ours");
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// Texts of the largest size that is read, made to be slow or to take much memory.
#[test]
fn the_largest_files_are_read_in_bounded_time() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-large-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let most = 4 << 20;
    let bomb = lines(39, |n| format!("a{0}: &a{0} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1));
    let texts = [
        ("Procfile", "web: ./web $PORT\n".repeat(most / 17)),
        ("supervisord.conf", lines(100_000, |n| format!("[program:p{n}]\ncommand=p\n"))),
        ("supervisord.conf", format!("[program:a]\ncommand={}", "%(".repeat(most / 2 - 30))),
        ("supervisord.conf", format!("[program:a]\ncommand=a\nenvironment={}", "A=\"b\",".repeat(most / 6 - 10))),
        ("a.service", format!("[Service]\nExecStart=/a {}", "$A ".repeat(most / 3 - 10))),
        ("a.service", "[Service]\nEnvironment=\\\n".to_owned() + &" A=1 \\\n".repeat(most / 7 - 10)),
        ("compose.yml", format!("services:\n  a:\n    command: [{}]\n", "a, ".repeat(most / 3 - 20))),
        ("compose.yml", format!("services:\n  a:\n    command: a {}\n", "${".repeat(most / 2 - 20))),
        ("Procfile", lines(300_000, |n| format!("p{n}: ./p\n"))),
        ("supervisord.conf", "[program:a]\ncommand=a\nenvironment=".to_owned() + &lines(400_000, |n| format!("A{n}=b,"))),
        ("circus.ini", "[watcher:a]\ncmd=".to_owned() + &"((circus.".repeat(most / 9 - 10)),
        ("compose.yml", "[".repeat(most)),
        ("compose.yml", format!("a0: &a0 [x]\n{bomb}services: {{a: {{command: *a39}}}}\n")),
        ("process-compose.yml", "processes:\n".to_owned() + &lines(90_000, |n| format!("  p{n}: {{command: p}}\n"))),
    ];
    for (name, text) in texts {
        let path = directory.join(name);
        fs::write(&path, &text[..text.len().min(most)]).expect("a file can be written");
        let begun = Instant::now();
        let outcome = import(ImportRequest { paths: std::slice::from_ref(&path), kind: None, out: None }, &environment());
        let said = outcome.map_or_else(|error| error.to_string(), |imported| imported.report);
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}: {said}", begun.elapsed());
        assert!(said.len() < 256 << 10, "{name}: {} bytes are said", said.len());
    }
    fs::remove_dir_all(&directory).expect("the directory is ours");
}

/// The guide shows what `navigator import` makes. `UPDATE_FIXTURES=1` writes it there.
#[test]
fn the_guide_shows_what_is_made() {
    let path = Path::new("docs/migrating.md");
    let mut guide = fs::read_to_string(path).expect("the guide");
    let mut failures = Vec::new();
    for (section, name) in [
        ("a Procfile", "Procfile"),
        ("process-compose", "process-compose.yml"),
        ("PM2", "ecosystem.json"),
        ("Pebble", "001-base.yaml"),
        ("circus", "circus.ini"),
    ] {
        let start = guide.find(&format!("## From {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
        let block = |tag: &str, from: usize| {
            let begin = from + guide[from..].find(tag).expect("a block") + tag.len();
            begin..begin + guide[begin..].find("```").expect("its end")
        };
        let before = block("```text\n", start);
        let after = block("```yaml\n", before.end);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guide-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory can be made");
        let file = directory.join(name);
        fs::write(&file, &guide[before]).expect("a file can be written");
        let request = ImportRequest { paths: std::slice::from_ref(&file), kind: None, out: None };
        let imported = import(request, &environment()).unwrap_or_else(|error| panic!("{section}: {error}"));
        fs::remove_dir_all(&directory).expect("the directory is ours");
        // The first line says which file it was.
        let made = imported.text.split_once('\n').expect("lines").1.to_owned();
        if guide[after.clone()] != made {
            failures.push(format!("{section}:\n{made}"));
            guide.replace_range(after, &made);
        }
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path, guide).expect("the guide can be written");
    } else {
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}
