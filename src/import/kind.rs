//! The kinds of files that can be imported.

/// Another program with files that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Procfile` of foreman, honcho, overmind and Heroku, with `.env`.
    Procfile,
    /// `supervisord.conf`
    Supervisord,
    /// Units of systemd: `.service`, `.timer`, `.socket`, `.path`
    Systemd,
    /// `compose.yml`
    Compose,
    /// `process-compose.yml`
    ProcessCompose,
    /// Ecosystem files of PM2
    Pm2,
    /// Layers of Pebble
    Pebble,
    /// Service directories of s6 and runit
    S6,
    /// `circus.ini`
    Circus,
    /// The file of the older navigator, a web server
    Navigator,
}

impl Kind {
    /// Every kind, by the name for `--from`.
    pub const ALL: [(&'static str, Kind); 10] = [
        ("procfile", Kind::Procfile),
        ("supervisord", Kind::Supervisord),
        ("systemd", Kind::Systemd),
        ("compose", Kind::Compose),
        ("process-compose", Kind::ProcessCompose),
        ("pm2", Kind::Pm2),
        ("pebble", Kind::Pebble),
        ("s6", Kind::S6),
        ("circus", Kind::Circus),
        ("navigator", Kind::Navigator),
    ];

    /// What it is called in sentences.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Procfile => "Procfile",
            Kind::Supervisord => "supervisord",
            Kind::Systemd => "systemd",
            Kind::Compose => "Compose",
            Kind::ProcessCompose => "process-compose",
            Kind::Pm2 => "PM2",
            Kind::Pebble => "Pebble",
            Kind::S6 => "s6",
            Kind::Circus => "circus",
            Kind::Navigator => "the older navigator",
        }
    }
}
