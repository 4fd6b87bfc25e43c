//! The HTTP routes under `/v1/`: each answers from a view, or sends a request to the loop.

use super::answers::{Answer, ErrorAnswer, events, json, lines, snapshot};
use super::following::{history, look, revision, source_order};
use super::loop_access::{LoopAccess, ask};
use super::upgrade::upgrade;
use crate::config::Diagnostic;
use crate::runtime::{LastLines, TailFormat};
use crate::signals;
use crate::snapshot::plan::PlanTarget;
use crate::snapshot::{ConfigProblem, PlanReport};
use crate::suggest::did_you_mean;
use crate::supervisor::{
    LiveData, LoopView, ManualOrder, OrderOutcome, ReloadOutcome, RenderedSnapshot, Request, TrackedOrder, problem,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use reconcile::text::Name;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::timeout;

/// The longest body that a client may send, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many of its last lines are shown of each process by default.
const DEFAULT_LINES: u64 = 100;

/// The body of a `POST` request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    #[serde(default)]
    names: Vec<String>,
    signal: Option<String>,
    /// Restarts stop first, even if the definition asks for a rolling replacement.
    #[serde(default)]
    now: bool,
    /// A reload tries again what was put back.
    #[serde(default)]
    retry: bool,
}

/// Answers a request. `client`: the descriptor of its connection.
pub(super) async fn answer(request: hyper::Request<Incoming>, to: &LoopAccess, client: i32) -> Answer {
    route(request, to, client).await.unwrap_or_else(ErrorAnswer::answer)
}

/// The answer to a client of another user.
pub(super) fn forbidden() -> Answer {
    ErrorAnswer::new(StatusCode::FORBIDDEN, "only root and navigator's own user may ask").answer()
}

async fn route(request: hyper::Request<Incoming>, to: &LoopAccess, client: i32) -> Result<Answer, ErrorAnswer> {
    let query = Query::of(request.uri().query().unwrap_or_default());
    match find_route(request.method(), request.uri().path())? {
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
        Route::Restart => order(to, read(request).await?, |body| Ok(restart(body))).await,
        Route::Signal => order(to, read(request).await?, signal).await,
        Route::Reload => reload(to, read(request).await?).await,
        Route::History => history(to).await,
        Route::Source => source_order(to, read(request).await?).await,
        Route::Upgrade => upgrade(to, read(request).await?, client).await,
    }
}

/// A route.
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
    History,
    Source,
    Upgrade,
}

/// The method and the path of each route.
const ROUTES: [(Method, &str, Route); 13] = [
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
    (Method::GET, "/v1/history", Route::History),
    (Method::POST, "/v1/source", Route::Source),
    (Method::POST, "/v1/upgrade", Route::Upgrade),
];

/// Methods and paths of all routes.
pub fn routes() -> impl Iterator<Item = (String, &'static str)> {
    ROUTES.into_iter().map(|(method, path, _)| (method.to_string(), path))
}

fn find_route(method: &Method, path: &str) -> Result<Route, ErrorAnswer> {
    match ROUTES.into_iter().find(|(_, other, _)| *other == path) {
        Some((expected, _, route)) if expected == *method => Ok(route),
        Some((expected, ..)) => Err(ErrorAnswer::method_not_allowed(path, method, expected)),
        None => Err(ErrorAnswer::new(StatusCode::NOT_FOUND, format!("unknown path `{path}`; try `/v1/status`"))),
    }
}

async fn status(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let (view, names) = view_of_names(to, query).await?;
    let names: BTreeSet<Name> = names.into_iter().collect();
    if names.is_empty() {
        return Ok(snapshot(StatusCode::OK, render(to, view).await?));
    }
    let live = to.clone();
    let answer = tokio::task::spawn_blocking(move || json(StatusCode::OK, &view.snapshot_of(&names, &live)));
    answer.await.map_err(|error| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The current view. It includes everything that was handled before.
async fn view(to: &LoopAccess) -> Result<Arc<LoopView>, ErrorAnswer> {
    match to.published.current() {
        Some(view) => Ok(view),
        None => ask(to, |reply| Request::View(None, reply)).await,
    }
}

/// The snapshot of a view, made on another thread: for thousands of processes it takes milliseconds.
async fn render(to: &LoopAccess, view: Arc<LoopView>) -> Result<Arc<RenderedSnapshot>, ErrorAnswer> {
    let live = to.clone();
    let rendered = tokio::task::spawn_blocking(move || {
        let rendered = view.render(&live);
        // Written here, so that the thread that answers only sends it.
        let _text = rendered.json();
        rendered
    });
    rendered.await.map_err(|error| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The next view after a change.
async fn newer(to: &LoopAccess, view: &LoopView) -> Result<Arc<LoopView>, ErrorAnswer> {
    ask(to, |reply| Request::View(Some(view.version()), reply)).await
}

/// The current view and the processes that the query names, if there are such; else an error.
async fn view_of_names(to: &LoopAccess, query: &Query) -> Result<(Arc<LoopView>, Vec<Name>), ErrorAnswer> {
    let view = view(to).await?;
    let meant: Vec<(&str, Vec<Name>)> = query.all("name").map(|name| (name, view.named(name))).collect();
    let Some((name, _)) = meant.iter().find(|(_, names)| names.is_empty()) else {
        let names = meant.into_iter().flat_map(|(_, names)| names).collect();
        return Ok((view, names));
    };
    let hint = did_you_mean(name, view.names().map(Name::as_str)).map(|hint| format!("; {hint}")).unwrap_or_default();
    Err(ErrorAnswer::new(StatusCode::NOT_FOUND, format!("no process `{name}` in the file{hint}")))
}

async fn plan(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let broken = |error: &dyn std::fmt::Display| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let source = Arc::clone(&to.source);
    let [candidate, place] = ["path", "as"].map(|key| query.all(key).next().map(PathBuf::from));
    let turn = to.planning.acquire().await.map_err(|error| broken(&error))?;
    let read = if let Some(asked) = query.all("rev").next() {
        Ok(revision(to, asked).await?)
    } else {
        let reading = tokio::task::spawn_blocking(move || source.read(candidate.as_deref(), place.as_deref()));
        reading.await.map_err(|error| broken(&error))?
    };
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(rejected) => {
            return Err(ErrorAnswer::new(StatusCode::UNPROCESSABLE_ENTITY, "the configuration is rejected")
                .with("diagnostics", json!(rejected.diagnostics.iter().map(absolute_problem).collect::<Vec<_>>())));
        }
    };
    let view = view(to).await?;
    let watch = to.watch();
    let planning = tokio::task::spawn_blocking(move || {
        let target = Some(PlanTarget { path: view.config().to_owned(), watch });
        json(StatusCode::OK, &PlanReport { target, ..view.plan(&loaded.desired) })
    });
    let answer = planning.await.map_err(|error| broken(&error));
    drop(turn);
    answer
}

/// A problem with an absolute path: the client may have another working directory.
fn absolute_problem(diagnostic: &Diagnostic) -> ConfigProblem {
    let problem = problem(diagnostic);
    ConfigProblem { file: std::path::absolute(&problem.file).unwrap_or(problem.file), ..problem }
}

async fn wait(to: &LoopAccess, query: &Query) -> Result<Answer, ErrorAnswer> {
    let limit = Duration::from_secs_f64(query.seconds("timeout")?.unwrap_or(60.0));
    // A process that doesn't exist would never converge.
    let (_, names) = view_of_names(to, query).await?;
    let outcome = async {
        loop {
            // Everything saved so far is read before anything is judged.
            ask(to, Request::CheckFiles).await?;
            let mut view = view(to).await?;
            while !to.source.has_pending_change() {
                if view.is_converged(&names) {
                    return Ok((StatusCode::OK, view));
                }
                if view.is_hopeless(&names) {
                    return Ok((StatusCode::CONFLICT, view));
                }
                view = newer(to, &view).await?;
            }
        }
    };
    let (code, view) = match timeout(limit, outcome).await {
        Ok(outcome) => outcome?,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, view(to).await?),
    };
    Ok(snapshot(code, render(to, view).await?))
}

/// The last output lines of processes; with `follow`, new ones too.
async fn logs(to: &LoopAccess, query: &Query, accept: Option<&HeaderValue>) -> Result<Answer, ErrorAnswer> {
    let (_, names) = view_of_names(to, query).await?;
    if let Some(name) = names.iter().find(|name| to.history.is_silent(name)) {
        let why = format!("no lines of `{name}` are kept: its `output` is `null`");
        return Err(ErrorAnswer::new(StatusCode::CONFLICT, why));
    }
    let wants_text = accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/"));
    // Without names, other processes may write too.
    let (has_names, timed) = (names.len() != 1, query.flag("timestamps")?);
    let form = if wants_text { TailFormat::Text { named: has_names, timed } } else { TailFormat::Json };
    let since = query.time("since")?;
    let usual = if since.is_some() { u64::MAX } else { DEFAULT_LINES };
    let last = LastLines { count: query.number("lines")?.unwrap_or(usual), since };
    let tail = to.history.tail(&names, last, query.flag("follow")?);
    Ok(lines(tail, form))
}

/// Gives an order for several processes at once. Answers when the outcome of each is known.
async fn order(
    to: &LoopAccess,
    body: OrderBody,
    order: impl Fn(&OrderBody) -> Result<ManualOrder, ErrorAnswer>,
) -> Result<Answer, ErrorAnswer> {
    let order = order(&body)?;
    if body.names.is_empty() {
        return Err(ErrorAnswer::new(StatusCode::BAD_REQUEST, "no process is named; send `{\"names\": [\"web\"]}`"));
    }
    let view = view(to).await?;
    // An unknown name is refused with the order.
    let meant_by = |name: &String| match view.named(name) {
        none if none.is_empty() => vec![Name::from(name.as_str())],
        names => names,
    };
    let names: Vec<Name> = body.names.iter().flat_map(meant_by).collect();
    let tracked = ask(to, |reply| Request::Order(order, names.clone(), reply)).await?;
    let mut results = Vec::new();
    for (name, outcome) in names.iter().zip(outcomes(to, tracked).await?) {
        results.push(json!({ "name": name.as_str(), "ok": outcome.is_ok(), "error": outcome.err() }));
    }
    let all = results.iter().all(|result| result["ok"] == Value::Bool(true));
    Ok(json(if all { StatusCode::OK } else { StatusCode::CONFLICT }, &json!({ "results": results })))
}

/// Waits for the outcomes of orders.
async fn outcomes(to: &LoopAccess, tracked: Vec<TrackedOrder>) -> Result<Vec<OrderOutcome>, ErrorAnswer> {
    let mut outcomes = Vec::with_capacity(tracked.len());
    let mut seen: Option<Arc<LoopView>> = None;
    for mut order in tracked {
        outcomes.push(loop {
            match order.outcome.try_recv() {
                Ok(outcome) => break outcome,
                Err(TryRecvError::Closed) => return Err(ErrorAnswer::closing()),
                Err(TryRecvError::Empty) => {}
            }
            // An outcome from before the view was made has been received above.
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

fn restart(body: &OrderBody) -> ManualOrder {
    if body.now { ManualOrder::RestartStopFirst } else { ManualOrder::Restart }
}

fn signal(body: &OrderBody) -> Result<ManualOrder, ErrorAnswer> {
    let wrong = |message: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, message);
    let hint = |name: &str| did_you_mean(name, signals::names()).map(|hint| format!("; {hint}")).unwrap_or_default();
    let name = body.signal.as_deref().ok_or_else(|| wrong("no signal is named; send `{\"signal\": \"HUP\", \"names\": […]}`"))?;
    let signal = signals::parse(name).ok_or_else(|| wrong(&format!("unknown signal `{name}`{}", hint(name))))?;
    Ok(ManualOrder::Signal(signal))
}

async fn reload(to: &LoopAccess, body: OrderBody) -> Result<Answer, ErrorAnswer> {
    if !body.names.is_empty() {
        return order(to, body, |_| Ok(ManualOrder::Reload)).await;
    }
    if let Some(looked) = look(to).await? {
        return looked;
    }
    match ask(to, Request::Reload).await? {
        ReloadOutcome::Accepted(generation, changed) => {
            if body.retry {
                ask(to, Request::Retry).await?;
            }
            Ok(json(StatusCode::OK, &json!({ "generation": generation, "changed": changed })))
        }
        ReloadOutcome::Rejected(problems) => {
            Err(ErrorAnswer::new(StatusCode::UNPROCESSABLE_ENTITY, "the configuration is rejected")
                .with("diagnostics", json!(problems)))
        }
        ReloadOutcome::Closing => Err(ErrorAnswer::closing()),
    }
}

async fn read<B: Default + DeserializeOwned>(request: hyper::Request<Incoming>) -> Result<B, ErrorAnswer> {
    let wrong = |error: &dyn std::fmt::Display| ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("invalid body: {error}"));
    let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), BODY_LIMIT).collect()).await;
    let body = body.map_err(|_| wrong(&"it is incomplete"))?.map_err(|error| wrong(&error))?.to_bytes();
    if body.is_empty() {
        return Ok(B::default());
    }
    serde_json::from_slice(&body).map_err(|error| wrong(&error))
}

/// The query of a URL.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, ErrorAnswer> {
        let wrong =
            |value: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` must be a whole number, not `{value}`"));
        self.all(key).next().map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    fn time(&self, key: &str) -> Result<Option<Timestamp>, ErrorAnswer> {
        let wrong = |value: &str| {
            let why = format!("`{key}` must be a time such as `2026-11-22T18:00:00Z`, not `{value}`");
            ErrorAnswer::new(StatusCode::BAD_REQUEST, why)
        };
        self.all(key).next().map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    fn flag(&self, key: &str) -> Result<bool, ErrorAnswer> {
        match self.all(key).next() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => {
                Err(ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` must be `true` or `false`, not `{other}`")))
            }
        }
    }

    fn seconds(&self, key: &str) -> Result<Option<f64>, ErrorAnswer> {
        let wrong = |value: &str| {
            ErrorAnswer::new(StatusCode::BAD_REQUEST, format!("`{key}` must be a number of seconds up to 86400, not `{value}`"))
        };
        let parse =
            |value: &str| value.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds)).ok_or_else(|| wrong(value));
        self.all(key).next().map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn the_documented_signals_are_those_that_are_accepted() {
        let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("it is JSON");
        let pattern = document.pointer("/components/schemas/Signal/properties/signal/pattern").and_then(Value::as_str);
        let pattern = Regex::new(pattern.expect("signals have a pattern")).expect("it is a regular expression");
        let numbers = (-1..=70).map(|number: i32| number.to_string());
        let real_time = (0..=14).flat_map(|number| [format!("RTMIN+{number}"), format!("RTMAX-{number}")]);
        let real_time = real_time.filter(|name| !name.ends_with("+0") && !name.ends_with("-0"));
        let names = signals::spellings().flat_map(|name| [name.to_owned(), format!("SIG{name}")]);
        let wrong = ["", "SIG", "TREM", "RTMIN+31", "SIG15", "TERM "].map(str::to_owned);
        let texts: Vec<String> = numbers.chain(real_time).chain(names).chain(wrong).collect();
        assert!(texts.len() > 150);
        for text in texts {
            assert_eq!(pattern.is_match(&text), signals::parse(&text).is_some(), "`{text}`");
        }
    }
}
