//! The stack that navigator is for, with the real servers: Redis, PostgreSQL, a Sidekiq worker, Prometheus, and a web
//! application under Puma.

use crate::harness::{Navigator, Signal, Site, attempt, client, fixtures, ports, servers};
use std::process::Command;
use std::time::Duration;

const TEST: &str = "stack::the_whole_stack_starts_works_recovers_and_stops";

const PROGRAMS: [&str; 9] = ["redis-server", "redis-cli", "sidekiq", "ruby", "puma", "prometheus", "postgres", "initdb", "psql"];

/// `ready` by tasks that wait; the order of starting and stopping is the order of this file.
const STACK: &str = r#"
env:
  REDIS_URL: redis://127.0.0.1:${REDIS_PORT}/0
  PATH: ${SERVERS}:${PATH}

managed_processes:
  - name: redis
    command: redis-server
    args:
      - --port ${REDIS_PORT}
      - --bind 127.0.0.1
      - --appendonly yes
      - --save 900 1
    working_dir: ${SITE}/redis
    auto_restart: true

  - name: redis-answers
    type: task
    command: sh
    args: [-c, "until redis-cli -p ${REDIS_PORT} ping; do sleep 0.05; done"]

  - name: postgres
    command: postgres
    args: [-D, "${SITE}/postgres/data", -k, "${SITE}/postgres", -p, "${POSTGRES_PORT}", -c, listen_addresses=]
    user: postgres
    auto_restart: true

  - name: postgres-answers
    type: task
    command: sh
    args: [-c, 'until psql -h "$SITE/postgres" -p ${POSTGRES_PORT} -U postgres -Atc "select 1"; do sleep 0.05; done']

  - name: sidekiq
    command: sidekiq
    args: [-r, ./worker.rb, -c, "2", -t, "8"]
    working_dir: ${FIXTURES}
    depends_on: [redis-answers, postgres-answers]
    stop: { timeout: 15s }
    auto_restart: true

  - name: prometheus
    command: prometheus
    args:
      - --config.file=${FIXTURES}/prometheus.yml
      - --storage.tsdb.path=${SITE}/prometheus
      - --web.listen-address=127.0.0.1:${PROMETHEUS_PORT}
      - --log.level=warn
    auto_restart: true

applications:
  - name: web
    command: puma
    args: [-b, "tcp://127.0.0.1:${WEB_PORT}", -t, "1:2", config.ru]
    working_dir: ${FIXTURES}
    depends_on: [redis-answers, postgres-answers]
    env: { COLOUR: blue }
    auto_restart: true
"#;

/// The stack and the ports it listens on.
struct Stack<'s> {
    site: &'s Site,
    navigator: Navigator<'s>,
    redis: u16,
    postgres: u16,
    prometheus: u16,
    web: u16,
}

impl<'s> Stack<'s> {
    fn start(site: &'s Site) -> Stack<'s> {
        std::fs::create_dir(site.path("redis")).expect("the site can be written");
        create_database(site);
        site.write("navigator.yml", STACK);
        let [redis, postgres, prometheus, web] = [(); 4].map(|()| ports::free_port());
        let servers = ["prometheus", "postgres"].map(servers::directory).join(":");
        let navigator = site
            .command(["navigator.yml"])
            .env("SERVERS", servers)
            .env("REDIS_PORT", redis.to_string())
            .env("POSTGRES_PORT", postgres.to_string())
            .env("PROMETHEUS_PORT", prometheus.to_string())
            .env("WEB_PORT", web.to_string())
            .start();
        Stack { site, navigator, redis, postgres, prometheus, web }
    }

    /// Puts a job into the queue as an application would. Its trace is the file `name`.
    fn enqueue(&self, name: &str, seconds: &str) {
        let url = format!("redis://127.0.0.1:{}/0", self.redis);
        client(
            Command::new("ruby").arg(fixtures().join("enqueue.rb")).arg(self.site.path(name)).arg(seconds).env("REDIS_URL", url),
        );
    }

    /// Waits until the trace of a job holds this word; which process wrote it.
    #[track_caller]
    fn trace(&self, name: &str, word: &str) -> u32 {
        self.navigator.log().until(&format!("`{word}` of the job `{name}`"), || {
            let trace = self.site.read(name);
            trace.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        })
    }

    /// What the database answers, `None` until it does.
    fn ask(&self, question: &str) -> Option<String> {
        let mut psql = Command::new(servers::find("psql").expect("it was found before"));
        psql.arg("-h").arg(self.site.path("postgres")).args([
            "-p",
            &self.postgres.to_string(),
            "-U",
            "postgres",
            "-Atc",
            question,
        ]);
        attempt(&mut psql).ok()
    }

    #[track_caller]
    fn web_answers(&self) -> String {
        self.navigator.log().until("an answer of the application", || servers::get(self.web, "/hello"))
    }
}

fn create_database(site: &Site) {
    let directory = site.path("postgres");
    std::fs::create_dir(&directory).expect("the site can be written");
    client(Command::new("chown").arg("postgres").arg(&directory));
    let mut initdb = Command::new("setpriv");
    initdb.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    initdb.arg(servers::find("initdb").expect("it was found before"));
    initdb.args(["-A", "trust", "-N", "-D"]).arg(directory.join("data")).current_dir(&directory);
    client(&mut initdb);
}

#[test]
fn the_whole_stack_starts_works_recovers_and_stops() {
    if !servers::root(TEST) || !servers::present(TEST, &PROGRAMS) {
        return;
    }
    let site = Site::new();
    let mut stack = Stack::start(&site);

    // It works: a job is performed by the worker that navigator started, and the application answers.
    stack.enqueue("first-job", "0");
    let worker = stack.navigator.started("sidekiq");
    assert_eq!(stack.trace("first-job", "done"), worker);
    let web = stack.navigator.started("web");
    let answer = stack.web_answers();
    assert!(answer.starts_with(&format!("pid={web} colour=blue path=/hello dir={}", fixtures().display())), "{answer}");
    let ready = || servers::get(stack.prometheus, "/-/ready");
    assert!(stack.navigator.log().until("prometheus", ready).contains("Ready"));

    assert!(stack.ask("create table kept as select generate_series(1, 2)").is_some());

    // It recovers: each is killed once, as the kernel would under memory pressure.
    for name in ["sidekiq", "web", "redis", "prometheus", "postgres"] {
        stack.navigator.kill(stack.navigator.started(name));
        let crash = stack.navigator.event("Process crashed", name);
        assert_eq!(crash.field("signal"), Some("KILL"), "{crash:?}");
        stack.navigator.event_after(&crash, "Process started", name);
    }
    stack.web_answers();
    stack.navigator.log().until("prometheus again", ready);
    assert_eq!(stack.navigator.log().until("postgres again", || stack.ask("select count(*) from kept")), "2\n");
    stack.navigator.log().until("redis again", || {
        let answers = std::net::TcpStream::connect(("127.0.0.1", stack.redis));
        answers.is_ok().then_some(())
    });
    stack.enqueue("second-job", "0");
    assert_ne!(stack.trace("second-job", "done"), worker, "performed by the worker's second life");

    // It stops in order, and the worker finishes the job it is at.
    stack.enqueue("last-job", "3");
    let busy = stack.trace("last-job", "begin");
    stack.navigator.signal(Signal::TERM);
    let description = stack.navigator.log().describe();
    let ended = stack.navigator.exits(0);
    assert_eq!(site.read("last-job"), format!("begin {busy}\ndone {busy}\n"), "{description}");

    let first_start =
        |name: &str| ended.events().into_iter().find(|event| event.is("Process started", name)).map(|event| event.index);
    let starts: Vec<_> =
        ["redis", "redis-answers", "postgres", "postgres-answers", "sidekiq", "prometheus", "web"].map(first_start).into();
    assert!(starts.iter().all(Option::is_some) && starts.is_sorted(), "{starts:?}\n{}", ended.description);
    let stops = ["web", "prometheus", "sidekiq", "postgres", "redis"];
    for pair in stops.windows(2) {
        let gone = ended.place("Process stopped", pair[0]);
        assert!(gone < ended.place("Stopping process", pair[1]), "{pair:?}\n{}", ended.description);
    }
    // Everybody stopped by itself: nobody was killed, nor was anybody's tree, which happens after 10 s.
    let killed =
        ended.events().into_iter().any(|event| event.message == "Process stopped" && event.field("signal") == Some("KILL"));
    assert!(!killed, "{}", ended.description);
    let longest = Duration::from_secs(9);
    for name in stops {
        let at = |message| ended.events().into_iter().find(|event| event.is(message, name)).map(|event| event.at);
        let took = at("Process stopped").zip(at("Stopping process")).map(|(stopped, stopping)| stopped - stopping);
        assert!(took.is_some_and(|took| took < longest), "{name} took {took:?}\n{}", ended.description);
    }
}
