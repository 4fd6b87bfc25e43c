//! Specifiers such as `%i` and `%h` in values.

use super::unit::Unit;
use crate::config::REPLICA;
use crate::import::words::escaped;

/// The values of specifiers in one unit.
#[derive(Debug)]
pub(super) struct Specifiers {
    prefix: String,
    /// The instance of a template.
    instance: Option<String>,
    pub(super) is_template: bool,
    user: String,
}

impl Specifiers {
    pub(super) fn new(unit: &Unit<'_>, instance: Option<&str>) -> Specifiers {
        let (prefix, rest) = unit.stem().split_once('@').map_or((unit.stem(), None), |(prefix, rest)| (prefix, Some(rest)));
        Specifiers {
            prefix: prefix.to_owned(),
            instance: instance.map(str::to_owned),
            is_template: rest.is_some(),
            user: unit.text("Service", "User").unwrap_or("root").to_owned(),
        }
    }

    /// The name of the process.
    pub(super) fn process(&self) -> String {
        self.instance.as_ref().map_or(self.prefix.clone(), |instance| format!("{}@{instance}", self.prefix))
    }

    /// The name of the unit.
    pub(super) fn full_name(&self) -> String {
        format!("{}.service", self.process())
    }

    /// Whether the instances are replicas, because none is known.
    pub(super) fn is_replicated(&self) -> bool {
        self.is_template && self.instance.is_none()
    }

    /// A text with its specifiers replaced, but no `$` escaped; `%i` may be a reference of ours.
    pub(super) fn raw(&self, text: &str) -> String {
        self.replaced(text, str::to_owned)
    }

    /// A text in our syntax.
    pub(super) fn text(&self, text: &str) -> String {
        self.replaced(text, escaped)
    }

    /// A text with its specifiers replaced, and all other parts passed through `literal`.
    pub(super) fn replaced(&self, text: &str, literal: impl Fn(&str) -> String) -> String {
        let mut written = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            written.push_str(&literal(before));
            let letter = behind.chars().next();
            let Some(value) = letter.and_then(|letter| self.value(letter)) else {
                written.push('%');
                rest = behind;
                continue;
            };
            written.push_str(&value);
            rest = &behind[letter.map_or(0, char::len_utf8)..];
        }
        written + &literal(rest)
    }

    fn value(&self, letter: char) -> Option<String> {
        let home = match self.user.as_str() {
            "root" | "0" => "/root".to_owned(),
            user => format!("/home/{}", escaped(user)),
        };
        let instance = || match (&self.instance, self.is_template) {
            (Some(instance), _) => escaped(instance),
            (None, true) => format!("${{{REPLICA}}}"),
            (None, false) => String::new(),
        };
        Some(match letter {
            '%' => "%".to_owned(),
            'i' | 'I' => instance(),
            'n' => escaped(&self.full_name()),
            'N' => escaped(&self.process()),
            'p' | 'P' | 'j' => escaped(&self.prefix),
            'f' => format!("/{}", instance()),
            'H' | 'l' | 'q' => "${HOSTNAME:-localhost}".to_owned(),
            'h' => home,
            'u' => escaped(&self.user),
            't' => "/run".to_owned(),
            'S' => "/var/lib".to_owned(),
            'C' => "/var/cache".to_owned(),
            'L' => "/var/log".to_owned(),
            'E' => "/etc".to_owned(),
            'T' => "/tmp".to_owned(),
            'V' => "/var/tmp".to_owned(),
            _ => return None,
        })
    }
}
