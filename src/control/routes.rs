//! What each path under `/v1/` means: something to be taken from a view, or a request of the loop. It decides nothing.

use super::answers::{Answer, ErrorAnswer, events, json, lines, snapshot};
use crate::config::Diagnostic;
use crate::runtime::{OutputHistory, TailFormat};
use crate::signals;
use crate::snapshot::{ConfigProblem, ConfigState, Snapshot, Watch};
use crate::source::{Source, WatchMethod};
use crate::suggest::did_you_mean;
use crate::supervisor::{
    LiveData, LoopView, ManualOrder, News, OrderOutcome, Published, ReloadOutcome, RenderedSnapshot, Request, TrackedOrder,
    problem,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};
use reconcile::text::Name;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// The longest body that a client may send.
const BODY: usize = 64 * 1024;

/// How long a client may take to send a body.
const SENDING: Duration = Duration::from_secs(10);

/// As many of the last lines of each process are shown where nobody says how many.
const LINES: u64 = 100;

/// The way to the loop, and what answers take from the world around it.
#[derive(Clone, Debug)]
pub struct LoopAccess {
    /// Takes requests.
    pub news: mpsc::Sender<News>,
    /// The configuration, for plans of it and of others.
    pub source: Arc<dyn Source + Send + Sync>,
    /// What processes wrote last.
    pub kept: OutputHistory,
    /// The view of now, if there is one.
    pub published: Published,
    /// One plan is made at a time: each takes a whole processor.
    pub planning: Arc<Semaphore>,
}

impl LiveData for LoopAccess {
    fn watch(&self) -> Watch {
        match self.source.watch_method() {
            WatchMethod::Events => Watch::Events,
            WatchMethod::Poll => Watch::Poll,
            WatchMethod::Off => Watch::Off,
        }
    }

    fn last_lines(&self, name: &Name, lines: u64) -> Vec<String> {
        self.kept.last(name, lines)
    }
}

/// The body of an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    #[serde(default)]
    names: Vec<String>,
    signal: Option<String>,
}

/// Answers a request.
pub(super) async fn answer(request: hyper::Request<Incoming>, to: &LoopAccess) -> Answer {
    route(request, to).await.unwrap_or_else(ErrorAnswer::answer)
}

/// For a client of another user.
pub(super) fn forbidden() -> Answer {
    ErrorAnswer::new(StatusCode::FORBIDDEN, "only root and navigator's own user may ask").answer()
}

async fn route(request: hyper::Request<Incoming>, to: &LoopAccess) -> Result<Answer, ErrorAnswer> {
    let query = Query::of(request.uri().query().unwrap_or_default());
    match asked_for(request.method(), request.uri().path())? {
        Route::Status => status(to, &query).await,
        Route::Plan => plan(to, &query).await,
        Route::Wait => wait(to, &query).await,
        Route::Events => {
            let since = query.number("since")?;
            Ok(events(ask(to, |reply| Request::Follow(since, reply)).await?))
        }
        Route::Logs => logs(to, &query, request.headers().get(ACCEPT)).await,
        Route::Start => order(to, read(request).await?, |_| Ok(ManualOrder::Start)).await,
        Route::Stop => order(to, read(request).await?, |_| Ok(ManualOrder::Stop)).await,
        Route::Restart => order(to, read(request).await?, |_| Ok(ManualOrder::Restart)).await,
        Route::Signal => order(to, read(request).await?, signal).await,
        Route::Reload => reload(to, read(request).await?).await,
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
enum Route {
    Status,
    Plan,
    Wait,
    Events,
    Logs,
    Start,
    Stop,
    Restart,
    Signal,
    Reload,
}

/// Where it is, and how it is asked for.
const ROUTES: [(Method, &str, Route); 10] = [
    (Method::GET, "/v1/status", Route::Status),
    (Method::GET, "/v1/plan", Route::Plan),
    (Method::GET, "/v1/wait", Route::Wait),
    (Method::GET, "/v1/events", Route::Events),
    (Method::GET, "/v1/logs", Route::Logs),
    (Method::POST, "/v1/start", Route::Start),
    (Method::POST, "/v1/stop", Route::Stop),
    (Method::POST, "/v1/restart", Route::Restart),
    (Method::POST, "/v1/signal", Route::Signal),
    (Method::POST, "/v1/reload", Route::Reload),
];

/// The method and the path of everything that can be asked for.
pub fn routes() -> impl Iterator<Item = (String, &'static str)> {
    ROUTES.into_iter().map(|(method, path, _)| (method.to_string(), path))
}

fn asked_for(method: &Method, path: &str) -> Result<Route, ErrorAnswer> {
    match ROUTES.into_iter().find(|(_, known, _)| *known == path) {
        Some((known, _, route)) if known == *method => Ok(route),
        Some((known, ..)) => {
            Err(ErrorAnswer::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{path}` is asked for with {known}, not {method}")))
        }
        None => Err(ErrorAnswer::new(StatusCode::NOT_FOUND, format!("nothing is at `{path}`; see `/v1/status`"))),
    }
}

async fn status(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let view = known(to, query).await?;
    let names: Vec<&str> = query.all("name").collect();
    let shown = shown(to, view).await?;
    if names.is_empty() {
        return Ok(snapshot(StatusCode::OK, shown));
    }
    let all = shown.snapshot();
    let processes: Vec<_> = all.processes.iter().filter(|process| names.contains(&process.name.as_str())).cloned().collect();
    let converged = all.config.state == ConfigState::Accepted && processes.iter().all(|process| process.as_wanted);
    Ok(json(StatusCode::OK, &Snapshot { config: all.config.clone(), converged, processes, ..*all }))
}

/// The view of now: everything that was handled before is in it.
async fn view(to: &LoopAccess) -> Result<Arc<LoopView>, ErrorAnswer> {
    match to.published.current() {
        Some(view) => Ok(view),
        None => ask(to, |reply| Request::View(None, reply)).await,
    }
}

/// How everything stands in a view. That takes milliseconds where there are thousands, and so a thread for it.
async fn shown(to: &LoopAccess, view: Arc<LoopView>) -> Result<Arc<RenderedSnapshot>, ErrorAnswer> {
    let beside = to.clone();
    let shown = tokio::task::spawn_blocking(move || {
        let shown = view.shown(&beside);
        // Put into words here, it is only sent there.
        let _text = shown.json();
        shown
    });
    shown.await.map_err(|error| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The next view that differs from one.
async fn newer(to: &LoopAccess, view: &LoopView) -> Result<Arc<LoopView>, ErrorAnswer> {
    ask(to, |reply| Request::View(Some(view.version()), reply)).await
}

/// The view of now, in which everything is that the query names.
async fn known(to: &LoopAccess, query: &Query) -> Result<Arc<LoopView>, ErrorAnswer> {
    let view = view(to).await?;
    let Some(name) = query.all("name").find(|name| !view.knows(name)) else { return Ok(view) };
    let hint = did_you_mean(name, view.names().map(Name::as_str)).map(|hint| format!("; {hint}")).unwrap_or_default();
    Err(ErrorAnswer::new(StatusCode::NOT_FOUND, format!("no process `{name}` in the file{hint}")))
}

async fn plan(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let broken = |error: &dyn std::fmt::Display| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let (source, candidate) = (Arc::clone(&to.source), query.all("path").next().map(PathBuf::from));
    let turn = to.planning.acquire().await.map_err(|error| broken(&error))?;
    let reading = tokio::task::spawn_blocking(move || source.read(candidate.as_deref()));
    let loaded = match reading.await.map_err(|error| broken(&error))? {
        Ok(loaded) => loaded,
        Err(rejected) => {
            return Err(ErrorAnswer::new(StatusCode::UNPROCESSABLE_ENTITY, "the configuration is rejected")
                .with("diagnostics", json!(rejected.diagnostics.iter().map(placed).collect::<Vec<_>>())));
        }
    };
    let view = view(to).await?;
    let planning = tokio::task::spawn_blocking(move || json(StatusCode::OK, &view.plan(&loaded.desired)));
    let answer = planning.await.map_err(|error| broken(&error));
    drop(turn);
    answer
}

/// A problem with its place from the root: who asked may have another working directory.
fn placed(diagnostic: &Diagnostic) -> ConfigProblem {
    let problem = problem(diagnostic);
    ConfigProblem { file: std::path::absolute(&problem.file).unwrap_or(problem.file), ..problem }
}

async fn wait(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let patience = Duration::from_secs_f64(query.seconds("timeout")?.unwrap_or(60.0));
    let names: Vec<Name> = query.all("name").map(Name::from).collect();
    // For what isn't there one could wait for ever, or not at all.
    known(to, query).await?;
    let converged = async {
        ask(to, Request::Look).await?;
        let mut view = view(to).await?;
        while !view.is_converged(&names) {
            view = newer(to, &view).await?;
        }
        Ok(view)
    };
    let (code, view) = match timeout(patience, converged).await {
        Ok(view) => (StatusCode::OK, view?),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, view(to).await?),
    };
    Ok(snapshot(code, shown(to, view).await?))
}

/// What processes wrote last, and write from now on if that is asked for.
async fn logs(to: &LoopAccess, query: &Query, accept: Option<&HeaderValue>) -> Result<Answer, ErrorAnswer> {
    known(to, query).await?;
    let names: Vec<Name> = query.all("name").map(Name::from).collect();
    if let Some(name) = names.iter().find(|name| to.kept.is_silent(name)) {
        let why = format!("nothing is kept of what `{name}` writes: its `output` is `null`");
        return Err(ErrorAnswer::new(StatusCode::CONFLICT, why));
    }
    let wants_text = accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/"));
    let form = match (wants_text, names.as_slice()) {
        (false, _) => TailFormat::Json,
        (true, [_]) => TailFormat::Plain,
        // Of all, there may be more to come.
        (true, _) => TailFormat::Named,
    };
    let tail = to.kept.tail(&names, query.number("lines")?.unwrap_or(LINES), query.flag("follow")?);
    Ok(lines(tail, form))
}

/// Orders the same of several processes at once; answered when it is known what came of each.
async fn order(
    to: &LoopAccess,
    order: OrderBody,
    by_hand: impl Fn(&OrderBody) -> Result<ManualOrder, ErrorAnswer>,
) -> Result<Answer, ErrorAnswer> {
    let by_hand = by_hand(&order)?;
    if order.names.is_empty() {
        return Err(ErrorAnswer::new(StatusCode::BAD_REQUEST, "no process is named: `{\"names\": [\"web\"]}`"));
    }
    let names = order.names.iter().map(|name| Name::from(name.as_str())).collect();
    let followed = ask(to, |reply| Request::Order(by_hand, names, reply)).await?;
    let mut results = Vec::new();
    for (name, outcome) in order.names.iter().zip(outcomes(to, followed).await?) {
        results.push(json!({ "name": name, "ok": outcome.is_ok(), "error": outcome.err() }));
    }
    let all = results.iter().all(|result| result["ok"] == Value::Bool(true));
    Ok(json(if all { StatusCode::OK } else { StatusCode::CONFLICT }, &json!({ "results": results })))
}

/// Follows orders until it is known what came of each.
async fn outcomes(to: &LoopAccess, followed: Vec<TrackedOrder>) -> Result<Vec<OrderOutcome>, ErrorAnswer> {
    let mut outcomes = Vec::with_capacity(followed.len());
    let mut seen: Option<Arc<LoopView>> = None;
    for mut order in followed {
        outcomes.push(loop {
            match order.outcome.try_recv() {
                Ok(outcome) => break outcome,
                Err(TryRecvError::Closed) => return Err(ErrorAnswer::closing()),
                Err(TryRecvError::Empty) => {}
            }
            // What came about before the view was made was told before.
            if let Some(why) = seen.as_ref().and_then(|view| order.stuck(view)) {
                break Err(why);
            }
            let next = async {
                match &seen {
                    Some(view) => newer(to, view).await,
                    None => view(to).await,
                }
            };
            tokio::select! {
                biased;
                outcome = &mut order.outcome => break outcome.map_err(|_| ErrorAnswer::closing())?,
                view = next => seen = Some(view?),
            }
        });
    }
    Ok(outcomes)
}

fn signal(order: &OrderBody) -> Result<ManualOrder, ErrorAnswer> {
    let wrong = |message: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, message);
    let name = order.signal.as_deref().ok_or_else(|| wrong("no signal is named: `{\"signal\": \"HUP\", \"names\": […]}`"))?;
    let signal = signals::parse(name).ok_or_else(|| wrong(&format!("no signal is called `{name}`")))?;
    Ok(ManualOrder::Signal(signal))
}

async fn reload(to: &LoopAccess, request: OrderBody) -> Result<Answer, ErrorAnswer> {
    if !request.names.is_empty() {
        return order(to, request, |_| Ok(ManualOrder::Reload)).await;
    }
    match ask(to, Request::Reload).await? {
        ReloadOutcome::Accepted(generation, changed) => {
            Ok(json(StatusCode::OK, &json!({ "generation": generation, "changed": changed })))
        }
        ReloadOutcome::Rejected(problems) => {
            Err(ErrorAnswer::new(StatusCode::UNPROCESSABLE_ENTITY, "the configuration is rejected")
                .with("diagnostics", json!(problems)))
        }
        ReloadOutcome::Closing => Err(ErrorAnswer::closing()),
    }
}

/// Asks the loop, and waits for its answer.
async fn ask<T>(to: &LoopAccess, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, ErrorAnswer> {
    let (reply, answer) = oneshot::channel();
    send(to, request(reply)).await?;
    answer.await.map_err(|_| ErrorAnswer::closing())
}

async fn send(to: &LoopAccess, request: Request) -> Result<(), ErrorAnswer> {
    to.news.send(News::Request(request)).await.map_err(|_| ErrorAnswer::closing())
}

async fn read(request: hyper::Request<Incoming>) -> Result<OrderBody, ErrorAnswer> {
    let wrong =
        |error: &dyn std::fmt::Display| ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("the body is not understood: {error}"));
    let body = timeout(SENDING, Limited::new(request.into_body(), BODY).collect()).await;
    let body = body.map_err(|_| wrong(&"its end is missing"))?.map_err(|error| wrong(&error))?.to_bytes();
    if body.is_empty() {
        return Ok(OrderBody::default());
    }
    serde_json::from_slice(&body).map_err(|error| wrong(&error))
}

/// The part of a URL behind its question mark.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, ErrorAnswer> {
        let wrong = |value: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` is a whole number, not `{value}`"));
        self.all(key).next().map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    fn flag(&self, key: &str) -> Result<bool, ErrorAnswer> {
        match self.all(key).next() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` is `true` or `false`, not `{other}`"))),
        }
    }

    fn seconds(&self, key: &str) -> Result<Option<f64>, ErrorAnswer> {
        let wrong =
            |value: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` is a number of seconds, not `{value}`"));
        let parse =
            |value: &str| value.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds)).ok_or_else(|| wrong(value));
        self.all(key).next().map(parse).transpose()
    }
}
