//! Timers, sockets and paths: fields of the process that they start.

use super::calendar::cron;
use super::keys::duration;
use super::specifiers::Specifiers;
use super::unit::Unit;
use crate::config::{Value, address_of_another_program};
use crate::import::context::Reader;
use crate::import::model::{ImportedFields, ImportedStack, NoteKind};
use std::collections::BTreeMap;

/// Adds to the processes what a unit that is no service says.
pub(super) fn apply(unit: &Unit<'_>, names: &BTreeMap<String, Vec<String>>, stack: &mut ImportedStack) {
    let (section, key, set): (_, _, fn(&Unit<'_>, &mut Reader<'_>)) = match unit.name.rsplit_once('.') {
        Some((_, "timer")) => ("Timer", "Unit", timer),
        Some((_, "socket")) => ("Socket", "Service", socket),
        Some((_, "path")) => ("Path", "Unit", path),
        Some((_, "service")) => return,
        _ => {
            if !unit.name.ends_with(".target") {
                stack.drop(unit.source, 0, &unit.name, "navigator knows no units of this kind");
            }
            return;
        }
    };
    let service = unit.text(section, key).map_or_else(|| format!("{}.service", unit.stem()), str::to_owned);
    let Some(names) = names.get(&service) else {
        stack.drop(unit.source, 0, &unit.name, &format!("it is for `{service}`: import that unit along with this one"));
        return;
    };
    let mut notes = std::mem::take(&mut stack.notes);
    for process in stack.processes.iter_mut().filter(|process| names.contains(&process.name)) {
        set(unit, &mut Reader { source: unit.source, process: &process.name, fields: &mut process.fields, notes: &mut notes });
    }
    stack.notes = notes;
}

fn timer(unit: &Unit<'_>, reader: &mut Reader<'_>) {
    if !reader.fields.has("type") {
        reader.fields.set_from("type", Value::text("task"), "a timer starts it");
    }
    let calendars = unit.all("Timer", "OnCalendar");
    let every = unit.last("Timer", "OnUnitActiveSec").or_else(|| unit.last("Timer", "OnUnitInactiveSec"));
    if let Some(entry) = calendars.first() {
        match cron(&entry.value) {
            Some(dates) if dates.timezone.is_none() => {
                reader.fields.set_from("schedule", Value::Text(dates.cron), format!("systemd: OnCalendar={}", entry.value));
            }
            Some(dates) => {
                reader.fields.set("schedule.cron", Value::Text(dates.cron));
                reader.fields.text("schedule.timezone", dates.timezone.unwrap_or_default());
                reader.fields.comment("schedule", format!("systemd: OnCalendar={}", entry.value));
            }
            None => {
                reader.drop(
                    "OnCalendar",
                    entry.line,
                    Some("cron can't say these dates: write a `schedule` that comes near; until then it is disabled"),
                );
                reader.fields.set_from("enabled", Value::Bool(false), format!("give it a `schedule` for {}", entry.value));
            }
        }
        for entry in calendars.iter().skip(1) {
            reader.drop(
                "OnCalendar",
                entry.line,
                Some("a task has one `schedule`: put both into one expression, or write a second task"),
            );
        }
    } else if let Some((entry, interval)) = every.and_then(|entry| Some((entry, duration(&entry.value)?))) {
        reader.fields.text("schedule.every", interval);
        reader.fields.comment("schedule", format!("systemd: {}={}", entry.key, entry.value));
    }
    for entry in unit.entries.iter().filter(|entry| entry.section == "Timer") {
        match entry.key.as_str() {
            "OnBootSec" | "OnStartupSec" | "OnActiveSec" if reader.fields.has("schedule") => {
                reader.note(NoteKind::Changed, &entry.key, entry.line, "the first run is at the first date of `schedule`");
            }
            // It runs once, some time after the start.
            "OnBootSec" | "OnStartupSec" | "OnActiveSec" => {
                if let Some(delay) = duration(&entry.value) {
                    let from = format!("systemd: {}={}", entry.key, entry.value);
                    reader.fields.set_from("start_delay", Value::Text(delay), from);
                }
            }
            "RandomizedDelaySec" | "AccuracySec" | "FixedRandomDelay" => {
                reader.drop(&entry.key, entry.line, Some("dates are kept to the second: give tasks different minutes"));
            }
            "Persistent" if entry.value == "true" || entry.value == "yes" => {
                let why = "a date that was missed while navigator was not running after a clean shutdown is not made up for";
                reader.note(NoteKind::Changed, "Persistent", entry.line, why);
            }
            "WakeSystem" => reader.drop(&entry.key, entry.line, Some("navigator does not wake a suspended machine")),
            "OnClockChange" | "OnTimezoneChange" => reader.drop(&entry.key, entry.line, None),
            _ => {}
        }
    }
}

fn socket(unit: &Unit<'_>, reader: &mut Reader<'_>) {
    let specifiers = Specifiers::new(unit, unit.instance().as_deref());
    if let Some(entry) = unit.last("Socket", "Accept").filter(|entry| ["yes", "true", "1", "on"].contains(&entry.value.as_str()))
    {
        reader.drop(
            "Accept=yes",
            entry.line,
            Some("navigator starts no program for each connection: the program accepts them itself"),
        );
        return;
    }
    let common: Vec<(&str, &str)> =
        [("SocketMode", "mode"), ("SocketUser", "user"), ("SocketGroup", "group"), ("Backlog", "backlog")].into();
    let mut sockets = Vec::new();
    for entry in unit.all("Socket", "ListenStream") {
        let text = specifiers.raw(&entry.value);
        let Some(address) = address_of_another_program(&text).map(|address| address.trim_matches('"').to_owned()) else {
            reader.drop("ListenStream", entry.line, Some("it is no address that navigator knows"));
            continue;
        };
        let mut fields = ImportedFields::default();
        fields.text("address", &address);
        for (theirs, ours) in &common {
            let Some(value) = unit.text("Socket", theirs) else { continue };
            match *ours {
                "backlog" => {
                    if let Ok(backlog @ 1..=65535) = value.parse::<u64>() {
                        fields.set("backlog", Value::Number(backlog.into()));
                    }
                }
                ours if address.starts_with('/') => fields.text(ours, value),
                _ => {}
            }
        }
        sockets.push(Value::Map(fields.0.into_iter().map(|field| (field.key, field.value)).collect()));
    }
    let name = unit.text("Socket", "FileDescriptorName").unwrap_or(&unit.name).to_owned();
    let addresses = || {
        sockets.iter().map(|socket| match socket {
            Value::Map(fields) if fields.len() == 1 => Some(fields[0].1.clone()),
            _ => None,
        })
    };
    match (sockets.as_slice(), addresses().collect::<Option<Vec<Value>>>()) {
        ([], _) => {}
        ([socket], _) => reader.fields.set("listen", Value::Map(vec![(name, socket.clone())])),
        (_, Some(addresses)) if unit.text("Socket", "FileDescriptorName").is_none() => {
            reader.fields.set("listen", Value::List(addresses));
        }
        (sockets, _) => {
            let named = sockets.iter().enumerate().map(|(index, socket)| (format!("{name}-{}", index + 1), socket.clone()));
            reader.fields.set("listen", Value::Map(named.collect()));
            reader.note(NoteKind::Changed, "FileDescriptorName", 0, "names of sockets are different here: each has a number");
        }
    }
    let known = ["ListenStream", "Accept", "Service", "FileDescriptorName", "SocketMode", "SocketUser", "SocketGroup", "Backlog"];
    for entry in unit.entries.iter().filter(|entry| entry.section == "Socket" && !known.contains(&entry.key.as_str())) {
        reader.drop(&entry.key, entry.line, None);
    }
    reader.fields.comment("listen", format!("{}; the process starts at once, not with the first connection", unit.name));
}

fn path(unit: &Unit<'_>, reader: &mut Reader<'_>) {
    let specifiers = Specifiers::new(unit, unit.instance().as_deref());
    let watched = ["PathChanged", "PathModified", "PathExists", "PathExistsGlob", "DirectoryNotEmpty"];
    for entry in unit.entries.iter().filter(|entry| entry.section == "Path" && watched.contains(&entry.key.as_str())) {
        reader.fields.push("watch", Value::Text(specifiers.text(&entry.value)));
        let reason = "the process runs from the start, and is restarted when the content changes";
        reader.note(NoteKind::Changed, &entry.key, entry.line, reason);
    }
    reader.fields.text("on_watch", "restart");
}
