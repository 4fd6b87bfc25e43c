//! Parses the messages of `sd_notify(3)`: lines of `KEY=VALUE`.

use std::time::Duration;

/// The meaning of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    Ready,
    /// It is no longer ready, until the next `READY=1`; the reason.
    Withdrawn(&'static str),
    Status(String),
    Alive,
    Limit(Duration),
    Trigger,
    MainPid(u32),
    Ignored(String),
}

/// The notifications of a message, in the order of its lines. Unknown lines are skipped.
pub(super) fn parse(message: &[u8]) -> Vec<Notification> {
    let lines = message.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter_map(|line| line.split_once('=')).filter_map(|(key, value)| parse_assignment(key, value)).collect()
}

fn parse_assignment(key: &str, value: &str) -> Option<Notification> {
    Some(match (key, value) {
        ("READY", "1") => Notification::Ready,
        ("RELOADING", "1") => Notification::Withdrawn("it is reloading"),
        ("STOPPING", "1") => Notification::Withdrawn("it is stopping"),
        ("STATUS", status) if !status.is_empty() => Notification::Status(status.to_owned()),
        ("WATCHDOG", "1") => Notification::Alive,
        ("WATCHDOG", "trigger") => Notification::Trigger,
        ("WATCHDOG_USEC", micros) => {
            Notification::Limit(Duration::from_micros(micros.parse().ok().filter(|micros| *micros > 0)?))
        }
        ("MAINPID", pid) => Notification::MainPid(pid.parse().ok()?),
        ("ERRNO" | "BUSERROR" | "VARLINKERROR" | "FDSTORE" | "FDSTOREREMOVE" | "NOTIFYACCESS" | "EXTEND_TIMEOUT_USEC", _) => {
            Notification::Ignored(key.to_owned())
        }
        // `BARRIER=1` only asks to close its descriptor after all earlier messages are read.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_protocol_are_parsed_in_order() {
        let found = parse(b"RELOADING=1\nSTATUS=Loading 50 % of a=b\nREADY=1\nMAINPID=42\nWATCHDOG=1\n");
        let expected = [
            Notification::Withdrawn("it is reloading"),
            Notification::Status("Loading 50 % of a=b".to_owned()),
            Notification::Ready,
            Notification::MainPid(42),
            Notification::Alive,
        ];
        assert_eq!(found, expected);
        let found = parse(b"WATCHDOG=trigger\nWATCHDOG_USEC=5000000\nERRNO=2\nSTOPPING=1");
        let expected = [
            Notification::Trigger,
            Notification::Limit(Duration::from_secs(5)),
            Notification::Ignored("ERRNO".to_owned()),
            Notification::Withdrawn("it is stopping"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn invalid_lines_are_skipped() {
        for message in [
            &b""[..],
            b"READY",
            b"READY=0",
            b"READY=1 ",
            b"ready=1",
            b"\xff\xfe=1",
            b"WATCHDOG=yes",
            b"WATCHDOG_USEC=0",
            b"WATCHDOG_USEC=-1",
            b"MAINPID=x",
            b"BARRIER=1",
            b"X_OWN=1",
            b"STATUS=",
            b"=\n=\n",
        ] {
            assert_eq!(parse(message), [], "{}", message.escape_ascii());
        }
    }
}
