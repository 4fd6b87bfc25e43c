//! Writes a host down as a file: the same meaning in many ways, so that only the meaning can count.

use crate::dice::Dice;
use crate::host::{Host, Name, Need, Process, Restart};
use std::collections::BTreeMap;

/// The file for a host. No two `stamp`s give the same text; `style` says how it is written, `child` what it runs.
pub(crate) fn file(host: &Host, stamp: usize, style: u64, child: &str) -> String {
    let mut writer = Writer { dice: Dice::of(&[style]), child };
    let mut text = format!("# save {stamp}\nlogging: {{format: json}}\nshutdown_timeout: 40s\n");
    if writer.dice.chance(30) {
        text.push_str("x-notes: {nobody: [reads, this]}\n");
    }
    let (applications, managed): (Vec<_>, Vec<_>) = host.processes.iter().partition(|process| process.is_application);
    // A file with neither list is an error, so an empty one is written.
    if !managed.is_empty() || applications.is_empty() {
        text.push_str(&writer.list("managed_processes", &managed));
    }
    if !applications.is_empty() {
        text.push_str(&writer.list("applications", &applications));
    }
    text
}

struct Writer<'c> {
    dice: Dice,
    child: &'c str,
}

impl Writer<'_> {
    fn list(&mut self, key: &str, processes: &[&Process]) -> String {
        if processes.is_empty() {
            return format!("{key}: []\n");
        }
        let mut entries = Vec::new();
        for process in processes {
            let mut fields = self.fields(process);
            self.shuffle(&mut fields);
            let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let comment = self.dice.pick(&["", "", "  # a word about it"]);
            entries.push(match self.dice.below(3) {
                0 => format!("  - {{{}}}{comment}\n", fields.join(", ")),
                _ => format!("  - {}{comment}\n", fields.join("\n    ")),
            });
        }
        format!("{key}:\n{}", entries.concat())
    }

    fn fields(&mut self, process: &Process) -> Vec<(&'static str, String)> {
        let Process { name, identity, .. } = process;
        let quoted = self.dice.chance(50);
        let quote = |text: String| if quoted { format!("{text:?}") } else { text };
        let mut fields = vec![
            ("name", quote(name.to_string())),
            ("command", format!("{:?}", self.child)),
            ("args", format!("[{name}, {}, {:?}]", quote(identity.number.to_string()), identity.doings.to_string())),
            ("env", format!("{{COLOUR: {}}}", quote(identity.colour.to_string()))),
            ("backoff", format!("{{initial: 20ms, max: 100ms, reset_after: {}ms}}", process.reset_after)),
            ("stop", format!("{{timeout: {}}}", self.duration(process.stop_timeout))),
        ];
        if identity.is_task || self.dice.chance(10) {
            fields.push(("type", if identity.is_task { "task" } else { "service" }.to_owned()));
        }
        if !process.enabled || self.dice.chance(10) {
            fields.push(("enabled", process.enabled.to_string()));
        }
        if process.start_delay > 0 || self.dice.chance(10) {
            fields.push(("start_delay", self.duration(process.start_delay)));
        }
        fields.extend(match process.restart {
            Restart::OnFailure if self.dice.chance(50) => Some(("auto_restart", "true".to_owned())),
            Restart::Never if self.dice.chance(70) => None,
            other => Some(("restart", other.word().to_owned())),
        });
        fields.extend(process.max_restarts.map(|most| ("max_restarts", most.to_string())));
        fields.extend(process.needs.as_ref().map(|needs| ("depends_on", self.needs(needs))));
        fields
    }

    fn needs(&mut self, needs: &BTreeMap<Name, Need>) -> String {
        if needs.values().all(|need| *need == Need::default()) && self.dice.chance(70) {
            let names: Vec<String> = needs.keys().map(Name::to_string).collect();
            return format!("[{}]", names.join(", "));
        }
        let needs: Vec<String> = needs.iter().map(|(on, need)| format!("{on}: {{{}}}", edge(*need))).collect();
        format!("{{{}}}", needs.join(", "))
    }

    fn duration(&mut self, millis: u64) -> String {
        if self.dice.chance(50) { format!("{millis}ms") } else { format!("{}.{:03}", millis / 1_000, millis % 1_000) }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        if self.dice.chance(50) {
            for place in 1..items.len() {
                items.swap(place, self.dice.below(place + 1));
            }
        }
    }
}

fn edge(need: Need) -> String {
    let mut says = Vec::new();
    says.extend(need.condition.map(|condition| format!("condition: {}", condition.word())));
    says.extend(need.restarts.then(|| "restart: true".to_owned()));
    says.extend(need.is_optional.then(|| "required: false".to_owned()));
    says.join(", ")
}
