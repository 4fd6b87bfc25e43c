//! Why a process is in its state: typed where clients depend on it, else a text. In JSON it is always the text.

use super::Exit;
use reconcile::event::ExitStatus;
use reconcile::reason::Reason;
use reconcile::spec::Signal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Why a process is in its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended on its own, like this.
    Ended(Exit),
    /// It was stopped by hand.
    StoppedByHand,
    /// Anything else, as the text of its [`Reason`].
    Other(String),
}

impl Exit {
    /// How a run ended; `None`: it was never started.
    pub fn of(status: &ExitStatus) -> Option<Exit> {
        match status {
            ExitStatus::Code(code) => Some(Exit::Code(*code)),
            ExitStatus::Signal(signal) => Some(Exit::Signal(signal.to_string())),
            ExitStatus::OutOfMemory => Some(Exit::Signal(Signal::KILL.to_string())),
            ExitStatus::Lost => Some(Exit::Unknown(true)),
            ExitStatus::NotStarted(_) => None,
        }
    }
}

impl From<&Reason> for Cause {
    fn from(reason: &Reason) -> Cause {
        match reason {
            Reason::StoppedByHand => Cause::StoppedByHand,
            Reason::Ended(ExitStatus::OutOfMemory) => Cause::Other(reason.to_string()),
            Reason::Ended(status) => Exit::of(status).map_or_else(|| Cause::Other(reason.to_string()), Cause::Ended),
            other => Cause::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Ended(Exit::Code(code)) => ExitStatus::Code(*code).fmt(f),
            Cause::Ended(Exit::Signal(signal)) => write!(f, "{KILLED_BY}{signal}"),
            Cause::Ended(Exit::Unknown(_)) => ExitStatus::Lost.fmt(f),
            Cause::StoppedByHand => Reason::StoppedByHand.fmt(f),
            Cause::Other(text) => f.write_str(text),
        }
    }
}

/// The text of an [`ExitStatus`] before the name of a signal.
const KILLED_BY: &str = "killed by ";

/// The text of an [`ExitStatus`] before a code.
const EXIT_STATUS: &str = "exit status ";

impl FromStr for Cause {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Cause, Infallible> {
        let code = text.strip_prefix(EXIT_STATUS).and_then(|code| code.parse().ok()).map(Exit::Code);
        let signal = || text.strip_prefix(KILLED_BY).map(|signal| Exit::Signal(signal.to_owned()));
        let unknown = || (text == ExitStatus::Lost.to_string()).then_some(Exit::Unknown(true));
        let typed = code.or_else(signal).or_else(unknown).map_or(Cause::StoppedByHand, Cause::Ended);
        Ok(if typed.to_string() == text { typed } else { Cause::Other(text.to_owned()) })
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
        let Ok(cause) = String::deserialize(deserializer)?.parse();
        Ok(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_the_text_of_its_reason_and_is_parsed_back() {
        let ended = |status: ExitStatus| Reason::Ended(status);
        let typed = [
            (ended(ExitStatus::Code(0)), Cause::Ended(Exit::Code(0))),
            (ended(ExitStatus::Code(17)), Cause::Ended(Exit::Code(17))),
            (ended(ExitStatus::Signal(Signal::KILL)), Cause::Ended(Exit::Signal(Signal::KILL.to_string()))),
            (Reason::StoppedByHand, Cause::StoppedByHand),
            (ended(ExitStatus::OutOfMemory), Cause::Other("out of memory".to_owned())),
            (Reason::Added, Cause::Other("added to file".to_owned())),
            (ended(ExitStatus::Lost), Cause::Ended(Exit::Unknown(true))),
            (Reason::Unhealthy("exit status 01".to_owned()), Cause::Other("liveness probe failed: exit status 01".to_owned())),
        ];
        for (reason, cause) in typed {
            assert_eq!(Cause::from(&reason), cause);
            assert_eq!(cause.to_string(), reason.to_string());
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
    }
}
