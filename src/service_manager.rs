//! Tells the service manager that started navigator how it is, by the protocol of `sd_notify(3)`, and that its loop still turns
//! (`sd_watchdog_enabled(3)`).

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager; without one, nothing is said.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// It ends a navigator that says nothing for this long.
    limit: Option<Duration>,
}

impl ServiceManager {
    /// None: nothing is said.
    pub const NONE: ServiceManager = ServiceManager { socket: None, limit: None };

    /// The manager that these variables name. `variable` returns the value of one.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> ServiceManager {
        let socket = variable("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path))),
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not stop the loop.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let limit = number("WATCHDOG_USEC").filter(|&micros| micros > 0 && is_meant).map(Duration::from_micros);
        ServiceManager { limit: limit.filter(|_| socket.is_some()), socket }
    }

    /// How often it wants to hear that navigator lives: twice in its limit.
    pub fn interval(&self) -> Option<Duration> {
        self.limit.map(|limit| limit / 2)
    }

    /// Navigator is ready; `status` is for people.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Navigator shuts down.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping the processes");
    }

    /// The loop turns.
    pub fn ping(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that has gone is no reason to fail.
            let _unheard = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> ServiceManager {
        let value = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into());
        ServiceManager::find(value)
    }

    #[test]
    fn both_kinds_of_addresses_are_reached() {
        let name = format!("navigator-manager-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let listening = [
            UnixDatagram::bind(&path).expect("a socket"),
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket"),
        ];
        for (address, socket) in [path.display().to_string(), format!("@{name}")].into_iter().zip(listening) {
            let manager = manager(&[("NOTIFY_SOCKET", &address)]);
            manager.ready("generation 1");
            manager.ping();
            let mut buffer = [0; 64];
            for expected in ["READY=1\nSTATUS=generation 1", "WATCHDOG=1"] {
                let count = socket.recv(&mut buffer).expect("it was sent");
                assert_eq!(String::from_utf8_lossy(&buffer[..count]), expected, "{address}");
            }
        }
        std::fs::remove_file(path).expect("it is ours");
    }

    #[test]
    fn the_watchdog_is_for_the_named_process_alone() {
        let own = std::process::id().to_string();
        let interval = |micros: &str, pid: Option<&str>, socket: Option<&str>| {
            let all = [("WATCHDOG_USEC", Some(micros)), ("WATCHDOG_PID", pid), ("NOTIFY_SOCKET", socket)];
            let given: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            manager(&given).interval()
        };
        assert_eq!(interval("3000000", Some(&own), Some("@x")), Some(Duration::from_millis(1500)));
        assert_eq!(interval("3000000", None, Some("@x")), Some(Duration::from_millis(1500)));
        for (micros, pid, socket) in
            [("3000000", Some("1"), Some("@x")), ("3000000", None, None), ("0", None, Some("@x")), ("x", None, Some("@x"))]
        {
            assert_eq!(interval(micros, pid, socket), None, "{micros} {pid:?} {socket:?}");
        }
        // Nothing is said to one that isn't there.
        manager(&[]).ready("generation 1");
        manager(&[("NOTIFY_SOCKET", "/proc/none/here")]).stopping();
    }
}
