//! The control interface is as it is described: every answer of a running navigator holds against `docs/openapi.json`, and every
//! example of `docs/api.md` works.

use crate::harness::socket::{Answer, ask, connect, instance, request};
use crate::harness::{Repository, Signal, Site, client, servers};
use boon::{Compiler, Schemas};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");

/// Something in every state, with a warning, a secret and a file to watch.
const ALL: &str = "\
managed_processes:
  - { name: web, command: sh, args: [-c, 'echo up; echo wrong >&2; exec sleep 3600'], env: { PASSWORD: hunter2 } }
  - { name: broken, type: task, command: sh, args: [-c, 'echo why; exit 7'], depends_on: [] }
  - { name: killed, command: sh, args: [-c, 'kill -KILL $$$$'], depends_on: [] }
  - { name: retrying, command: \"false\", restart: always, backoff: { initial: 1h, max: 1h }, depends_on: [] }
  - { name: waiting, command: sleep, args: [1h], depends_on: [broken] }
  - { name: task, type: task, command: \"true\", depends_on: [] }
  - { name: silent, command: sleep, args: [1h], output: null, depends_on: [] }
  - { name: disabled, command: sleep, args: [1h], enabled: false }
  - { name: kept, command: sleep, args: [1h], on_change: none, depends_on: [] }
applications:
  - { name: app, command: sleep, args: [1h], depends_on: [] }
";

/// The description, and which of its answers have been seen.
struct Description {
    whole: Value,
    seen: BTreeSet<(String, String, u16)>,
}

impl Description {
    fn new() -> Description {
        let text = std::fs::read_to_string(Path::new(DOCS).join("openapi.json")).expect("the description can be read");
        Description { whole: serde_json::from_str(&text).expect("it is JSON"), seen: BTreeSet::new() }
    }

    /// The answer must be described for this request, and be as described.
    #[track_caller]
    fn holds(&mut self, method: &str, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap_or_default();
        let operation = pointer(&["paths", path, &method.to_lowercase()]);
        let mut response = format!("{operation}{}", pointer(&["responses", &answer.status.to_string()]));
        let described = |at: &str| self.whole.pointer(at).unwrap_or_else(|| panic!("{at} is not described: {answer:?}"));
        if let Some(reference) = described(&response)["$ref"].as_str() {
            response = reference.trim_start_matches('#').to_owned();
        }
        let kind = answer.kind.split(';').next().unwrap_or_default();
        let schema = format!("{response}{}", pointer(&["content", kind, "schema"]));
        described(&schema);
        if kind != "text/plain" {
            let is_stream = kind == "application/x-ndjson";
            let texts: Vec<&str> = if is_stream { answer.body.lines().collect() } else { vec![&answer.body] };
            assert!(!is_stream || !texts.is_empty(), "{method} {path}: an empty stream shows nothing");
            for text in texts {
                let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                self.validate(&schema, &value);
            }
        }
        self.seen.insert((method.to_owned(), path.to_owned(), answer.status));
    }

    #[track_caller]
    fn validate(&self, schema: &str, value: &Value) {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("openapi.json", self.whole.clone()).expect("it has no other name");
        let index = compiler.compile(&format!("openapi.json#{schema}"), &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        if let Err(error) = schemas.validate(value, index) {
            panic!("{schema}: {error:#}\n{value:#}");
        }
    }

    /// Every answer that is described, but for those of which this would be too much to ask.
    fn is_complete_but_for(&self, unseen: &[u16]) {
        for (path, methods) in self.whole["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let statuses = operation["responses"].as_object().expect("responses").keys();
                for status in statuses.map(|status| status.parse().expect("a number")).filter(|status| !unseen.contains(status)) {
                    let answer = (method.to_uppercase(), path.clone(), status);
                    assert!(self.seen.contains(&answer), "nothing was answered as described: {answer:?}");
                }
            }
        }
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(parts: &[&str]) -> String {
    parts.iter().flat_map(|part| ["/".to_owned(), part.replace('~', "~0").replace('/', "~1")]).collect()
}

/// The first lines of a stream.
fn stream(site: &Site, path: &str, until: &str) -> Answer {
    let mut stream = connect(site);
    request(&mut stream, "GET", path, "");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("it goes on"));
    let mut body = String::new();
    for line in lines.filter(|line| line.starts_with('{')) {
        body = body + &line + "\n";
        if line.contains(until) {
            break;
        }
    }
    Answer { status: 200, kind: "application/x-ndjson".to_owned(), allow: String::new(), body }
}

#[test]
fn every_answer_is_as_described() {
    let site = Site::new();
    let mut navigator = site.start_unwatched(ALL);
    for (event, name) in [("Process failed", "broken"), ("Process failed", "killed"), ("Restarting process", "retrying")] {
        navigator.event(event, name);
    }
    navigator.started("app");
    navigator.event("Process exited", "task");
    navigator.log().until("its lines", || (navigator.said("web").len() == 2).then_some(()));
    let mut described = Description::new();
    let mut asks = |method: &str, path: &str, body: &str, status: u16| {
        let answer = ask(&site, method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        described.holds(method, path, &answer);
        answer
    };
    let status = asks("GET", "/v1/status", "", 200).json();
    let found: BTreeSet<&str> =
        status["processes"].as_array().expect("a list").iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(found, ["backoff", "completed", "failed", "pending", "running", "stopped"].into());
    asks("GET", "/v1/status?name=web&name=app", "", 200);
    asks("GET", "/v1/status?name=nosuch", "", 404);
    asks("GET", "/v1/wait?name=web", "", 200);
    asks("GET", "/v1/wait?name=retrying&timeout=0.01", "", 408);
    asks("GET", "/v1/wait", "", 409);
    asks("GET", "/v1/wait?timeout=x", "", 400);
    asks("GET", "/v1/wait?name=nosuch", "", 404);
    asks("GET", "/v1/logs", "", 200);
    asks("GET", "/v1/logs?lines=x", "", 400);
    asks("GET", "/v1/logs?name=nosuch", "", 404);
    asks("GET", "/v1/logs?name=silent", "", 409);
    asks("GET", "/v1/events?since=x", "", 400);
    asks("GET", "/v1/history", "", 409);
    asks("POST", "/v1/source", r#"{"order": "resume"}"#, 409);
    let (web, broken) = ("{\"names\": [\"web\"]}", "{\"names\": [\"broken\", \"web\"]}");
    for word in ["stop", "start", "restart"] {
        asks("POST", &format!("/v1/{word}"), web, 200);
        asks("POST", &format!("/v1/{word}"), "{\"names\": [\"nosuch\", \"web\"]}", 409);
        asks("POST", &format!("/v1/{word}"), "{}", 400);
    }
    asks("POST", "/v1/signal", "{\"names\": [\"web\"], \"signal\": \"CONT\"}", 200);
    asks("POST", "/v1/signal", "{\"names\": [\"broken\"], \"signal\": \"CONT\"}", 409);
    asks("POST", "/v1/signal", web, 400);
    asks("POST", "/v1/reload", broken, 409);
    asks("POST", "/v1/reload", "[", 400);
    asks("POST", "/v1/upgrade", "[", 400);
    asks("POST", "/v1/upgrade", "{\"binary\": \"/bin/false\"}", 409);
    asks("POST", "/v1/upgrade", "{\"check\": true}", 200);
    asks("POST", "/v1/upgrade", "", 200);
    asks("POST", "/v1/stop", "{\"names\": [\"silent\"]}", 200);
    let changed = ALL
        .replace("3600", "7200")
        .replace("name: app", "name: new")
        .replace("kept, command: sleep, args: [1h]", "kept, command: sleep, args: [2h]");
    site.write("navigator.yml", &changed.replace("PASSWORD: hunter2", "PASSWORD: other, PORT: 80"));
    let plan = asks("GET", "/v1/plan", "", 200).json();
    assert!(!plan["stale"].is_null() && !plan["stopped_by_hand"].is_null() && !plan.to_string().contains("hunter2"), "{plan}");
    asks("POST", "/v1/reload", "{}", 200);
    site.write("navigator.yml", "managed_processes: [{ name: web, comand: x }]\n");
    asks("GET", "/v1/plan", "", 422);
    asks("POST", "/v1/reload", "", 422);
    asks("GET", "/v1/status", "", 200);
    let events = stream(&site, "/v1/events?since=0", "\"rejected\"");
    described.holds("GET", "/v1/events", &events);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    answers_about_a_followed_repository(&mut described);
    // 403 takes another user, and 503 an end at the right moment: `ownership` and `orders` see to them.
    described.is_complete_but_for(&[403, 503]);
}

fn answers_about_a_followed_repository(described: &mut Description) {
    let site = Site::new();
    let repository = Repository::new(&site);
    repository.push("first", &[("navigator.yml", "managed_processes:\n  - { name: web, command: sleep, args: [1h] }\n")]);
    let navigator = site.start(&format!("source:\n  git: {{ url: {}, interval: 1h }}\n", repository.url()));
    navigator.wait("the commit", |event| event.message == "Commit applied");
    let mut asks = |method: &str, path: &str, body: &str, status: u16| {
        let answer = ask(&site, method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        described.holds(method, path, &answer);
    };
    asks("GET", "/v1/status", "", 200);
    asks("GET", "/v1/plan?rev=main", "", 200);
    asks("GET", "/v1/plan?rev=nosuch", "", 409);
    asks("POST", "/v1/source", r#"{"order": "pin"}"#, 400);
    asks("POST", "/v1/source", r#"{"order": "pin", "rev": "nosuch"}"#, 409);
    asks("POST", "/v1/source", r#"{"order": "suspend", "seconds": 60, "reason": "a test"}"#, 200);
    asks("POST", "/v1/source", r#"{"order": "resume"}"#, 200);
    repository.push("second", &[("navigator.yml", "managed_processes: [{ name: web, comand: x }]\n")]);
    asks("POST", "/v1/reload", "{}", 422);
    asks("POST", "/v1/source", r#"{"order": "retry"}"#, 422);
    asks("GET", "/v1/history", "", 200);
    asks("GET", "/v1/status", "", 200);
    navigator.ends();
}

#[test]
fn an_answer_to_another_method_names_the_allowed_one() {
    let site = Site::new();
    let mut navigator = site.start_unwatched("managed_processes: [{ name: web, command: sleep, args: [1h] }]\n");
    navigator.started("web");
    let whole = Description::new().whole;
    for (path, operations) in whole["paths"].as_object().expect("paths") {
        let allowed = operations.as_object().expect("methods").keys().next().expect("one method").to_uppercase();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"].into_iter().filter(|method| *method != allowed) {
            let answer = ask(&site, method, path, "");
            assert_eq!((answer.status, answer.allow.as_str()), (405, allowed.as_str()), "{method} {path}: {answer:?}");
        }
    }
    assert_eq!(ask(&site, "POST", "/v1/nowhere", "").status, 404);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn every_example_of_the_guide_works() {
    if !servers::present("control::api::every_example_of_the_guide_works", &["curl"]) {
        return;
    }
    let site = Site::new();
    let mut navigator =
        site.start("managed_processes:\n  - { name: web, command: sh, args: [-c, 'trap \"\" HUP; echo up; exec sleep 3600'] }\n");
    navigator.log().until("its line", || (!navigator.said("web").is_empty()).then_some(()));
    let guide = std::fs::read_to_string(Path::new(DOCS).join("api.md")).expect("the guide can be read");
    let blocks: Vec<&str> = guide.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert!(blocks.len() >= 8, "only {} examples", blocks.len());
    let socket = instance(&site).join("socket");
    let outputs = blocks.iter().map(|block| {
        let mut command = Command::new("sh");
        client(command.args(["-euc", block]).env("SOCKET", &socket).current_dir(site.path("")))
    });
    let outputs: Vec<String> = outputs.collect();
    let all = outputs.concat();
    for part in ["\"converged\":true", "\"summary\":", "\nup\n", "\"event\":\"started\"", "\"ok\":true", "\"changed\":false"] {
        assert!(format!("\n{all}").contains(part), "{part}\n{all}");
    }
    assert!(!all.contains("\"error\":\""), "{all}");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
