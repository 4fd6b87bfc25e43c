//! The servers, and how each takes a held socket, says that it is ready, and drains.

use super::harness::Site;
use super::load::Target;

/// A server that is replaced under load.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) programs: &'static [&'static str],
    /// Its part of the definition: what differs from server to server.
    definition: fn(&Site, &Target, u32) -> String,
    /// It drops connections that it has accepted but not read yet when it stops.
    pub(crate) drops_unread: bool,
    /// How often each version answers before the next one is saved.
    pub(crate) answers: u64,
}

/// Those that the tests run every time.
pub(crate) const USUAL: [&str; 2] = ["puma", "nginx"];

pub(crate) const SERVERS: [Server; 8] = [
    Server {
        name: "puma",
        programs: &["puma"],
        definition: |_, _, _| puma("-C, puma.rb, -t, '4:4'"),
        drops_unread: false,
        answers: 500,
    },
    Server {
        name: "puma-cluster",
        programs: &["puma"],
        definition: |_, _, _| puma("-C, puma.rb, -w, '2', -t, '4:4'"),
        drops_unread: false,
        answers: 500,
    },
    Server {
        name: "gunicorn",
        programs: &["gunicorn"],
        definition: |_, _, _| "command: gunicorn\n    args: [--preload, -w, '2', app:wsgi]\n    ready: {notify: true}".to_owned(),
        drops_unread: false,
        answers: 500,
    },
    Server { name: "nginx", programs: &["nginx"], definition: nginx, drops_unread: false, answers: 500 },
    Server {
        name: "haproxy",
        programs: &["haproxy"],
        definition: |_, _, _| {
            "command: haproxy\n    args: [-Ws, -f, haproxy.cfg]\n    ready: {notify: true}\n    \
             stop: {drain: {signal: USR1, timeout: 30s}}"
                .to_owned()
        },
        drops_unread: false,
        // It takes no notice of USR1 in its first moment.
        answers: 10_000,
    },
    Server {
        name: "node",
        programs: &["node"],
        definition: |_, _, _| "command: node\n    args: [server.js]\n    ready: {log: listening}".to_owned(),
        drops_unread: false,
        answers: 500,
    },
    Server { name: "unicorn", programs: &["unicorn"], definition: unicorn, drops_unread: false, answers: 500 },
    Server {
        name: "uvicorn",
        programs: &["uvicorn"],
        definition: |_, _, _| {
            "command: uvicorn\n    args: [--fd, '3', --no-access-log, app:asgi]\n    ready: {log: Uvicorn running}".to_owned()
        },
        drops_unread: true,
        answers: 500,
    },
];

fn puma(options: &str) -> String {
    format!("command: puma\n    args: [{options}, --bind-to-activated-sockets, only, config.ru]\n    ready: {{notify: true}}")
}

/// Each version has a configuration and a pid file of its own; the addresses are those of `listen`.
fn nginx(site: &Site, target: &Target, version: u32) -> String {
    let address = match target {
        Target::Tcp(_) => target.to_string(),
        Target::Unix(_) => format!("unix:{target}"),
    };
    let [pid, temporary] = ["pid", "temporary"].map(|name| site.path(&format!("nginx-{version}.{name}")).display().to_string());
    let text = format!(
        "daemon off;\npid {pid};\nerror_log stderr notice;\nworker_processes 2;\nevents {{}}\n\
         http {{\n  access_log off;\n  client_body_temp_path {temporary};\n  server {{\n    listen {address};\n    \
         return 200 \"version {version}\\n\";\n  }}\n}}\n"
    );
    let file = site.write(&format!("nginx-{version}.conf"), &text).display().to_string();
    format!(
        "command: nginx\n    args: [-c, {file}]\n    ready: {{log: start worker process \\d}}\n    \
         stop: {{drain: {{signal: QUIT, timeout: 30s}}}}"
    )
}

fn unicorn(_: &Site, target: &Target, _: u32) -> String {
    format!(
        "command: unicorn\n    args: [-l, {target}, --no-default-middleware, config.ru]\n    ready: {{log: worker=0 ready}}\n    \
         stop: {{drain: {{signal: QUIT, timeout: 30s}}}}"
    )
}

impl Server {
    /// The configuration with this version of the server.
    pub(crate) fn configuration(&self, site: &Site, target: &Target, version: u32, run: &super::Run) -> String {
        let definition = (self.definition)(site, target, version);
        let on_change = if run.rolling { "on_change: rolling\n    rolling: {stable: 100ms}" } else { "on_change: restart" };
        format!(
            "managed_processes:\n  - name: web\n    {definition}\n    listen: {target}\n    {on_change}\n    \
             working_dir: ${{FIXTURES}}/../rolls\n    env: {{VERSION: '{version}', NGINX: 3;, RACK_ENV: deployment}}\n"
        )
    }
}
