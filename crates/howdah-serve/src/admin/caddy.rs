//! The part of Caddy's and FrankenPHP's admin API that Octane and others use: is it running, reload, stop, what do the workers do.

use std::path::PathBuf;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::JSON;
use crate::config::{CaddyApi, Load};
use crate::http::Body;
use crate::pool::WorkerState;
use crate::server::Operator;

/// A configuration that is sent.
const MOST_BYTES: usize = 4 << 20;
const CONFIG: &str = "/config/";
/// The field in which Caddy is told which file a configuration is from.
const SOURCE: &str = "caddy-config-source-file";

/// Gives the request back if its path is none of Caddy's.
pub(super) async fn answer(
    request: Request<Incoming>,
    api: &CaddyApi,
    operator: &Operator,
) -> Result<Response<Body>, Request<Incoming>> {
    let path = request.uri().path().to_owned();
    let is_ours = matches!(
        path.as_str(),
        "/stop" | "/load" | "/config" | "/frankenphp/workers/restart" | "/frankenphp/threads"
    ) || path.starts_with(CONFIG);
    if !is_ours {
        return Err(request);
    }
    if let Err(reason) = check(&request, &api.origins) {
        return Ok(fault(StatusCode::FORBIDDEN, &reason));
    }
    let answer = match (path.as_str(), request.method()) {
        ("/frankenphp/threads", &Method::GET) => json_of(&threads(operator)),
        ("/frankenphp/workers/restart", &Method::POST) => {
            reload(operator, "workers restarted successfully\n").await
        }
        ("/stop", &Method::POST) => {
            operator.drain();
            operator.wait_for_end().await;
            Response::new(Body::default())
        }
        ("/load", &Method::POST) => change(request, (api, &api.config), operator).await,
        (path, method) if path.starts_with("/config") => {
            let place = path.strip_prefix(CONFIG).unwrap_or_default();
            let Some(value) = at(&api.config, place) else {
                return Ok(fault(
                    StatusCode::NOT_FOUND,
                    "there is nothing at this path",
                ));
            };
            match *method {
                Method::GET => json_of(value),
                Method::POST | Method::PUT | Method::PATCH => {
                    change(request, (api, value), operator).await
                }
                _ => fault(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            }
        }
        _ => fault(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    };
    Ok(answer)
}

/// As Caddy does: a page of somebody else's, in a browser on this machine, must not give orders. It would be known by its origin,
/// or, where it made its name lead here, by that name (DNS rebinding).
fn check(request: &Request<Incoming>, origins: &[String]) -> Result<(), String> {
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let host = header(HOST).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    // A name that is an address is nobody else's, and through a socket of the file system there is none.
    let is_own = name.is_empty() || name == "localhost" || name.parse::<std::net::IpAddr>().is_ok();
    let is_own = is_own
        || origins
            .iter()
            .any(|origin| origin == host || origin == name);
    if !is_own {
        return Err(format!("host not allowed: {host}"));
    }
    match header(ORIGIN) {
        Some(origin) => {
            let (_, from) = origin.split_once("://").unwrap_or_default();
            let is_allowed = from == host || origins.iter().any(|allowed| allowed == from);
            is_allowed
                .then_some(())
                .ok_or_else(|| format!("client is not allowed to access from origin '{origin}'"))
        }
        None => Ok(()),
    }
}

/// The value below these names and numbers.
fn at<'a>(config: &'a Value, place: &str) -> Option<&'a Value> {
    let mut names = place.split('/').filter(|name| !name.is_empty());
    names.try_fold(config, |value, name| match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// What is sent is what is there, and then everything is read anew, or it is another Caddyfile. JSON is only told, not read.
async fn change(
    request: Request<Incoming>,
    (api, current): (&CaddyApi, &Value),
    operator: &Operator,
) -> Response<Body> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)?
            .to_str()
            .ok()
            .map(str::to_owned)
    };
    let content_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let source = header(SOURCE).map(PathBuf::from);
    let body = Limited::new(request.into_body(), MOST_BYTES).collect();
    let Ok(body) = body.await else {
        return fault(StatusCode::BAD_REQUEST, "the request's body cannot be read");
    };
    let body = body.to_bytes();
    if content_type.starts_with("text/caddyfile") {
        let Ok(text) = String::from_utf8(body.to_vec()) else {
            return fault(StatusCode::BAD_REQUEST, "the Caddyfile is no text");
        };
        return load(api, text, source).await;
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(sent) if sent == *current => reload(operator, "").await,
        Ok(_) => fault(
            StatusCode::BAD_REQUEST,
            "another configuration must be sent as a Caddyfile (Content-Type: text/caddyfile), as `frankenphp reload` does",
        ),
        Err(error) => fault(
            StatusCode::BAD_REQUEST,
            &format!("this is no JSON: {error}"),
        ),
    }
}

async fn load(api: &CaddyApi, text: String, source: Option<PathBuf>) -> Response<Body> {
    let (answer, answered) = oneshot::channel();
    let load = Load {
        text,
        source,
        answer,
    };
    let ending = "the server is about to end".to_owned();
    let loaded = match api.load.send(load).await {
        Ok(()) => answered.await.unwrap_or(Err(ending)),
        Err(_) => Err(ending),
    };
    match loaded {
        Ok(()) => Response::new(Body::default()),
        Err(reason) => fault(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn reload(operator: &Operator, done: &'static str) -> Response<Body> {
    match operator.reload().await {
        Ok(()) => Response::new(Body::from(done)),
        Err(reason) => fault(StatusCode::INTERNAL_SERVER_ERROR, &reason),
    }
}

/// By FrankenPHP's names; a worker process is a thread there.
fn threads(operator: &Operator) -> Value {
    let pools = operator.handler.backend.as_ref();
    let pools = pools.map_or_else(Vec::new, |backend| backend.pools());
    let states = pools.iter().flat_map(|pool| {
        let name = pool.config().name.clone();
        pool.workers()
            .into_iter()
            .map(move |worker| (name.clone(), worker))
    });
    let states: Vec<Value> = states
        .enumerate()
        .map(|(index, (name, worker))| thread(index, &name, &worker))
        .collect();
    json!({ "ThreadDebugStates": states, "ReservedThreadCount": 0 })
}

fn thread(index: usize, name: &str, worker: &WorkerState) -> Value {
    let is_busy = worker.state == "busy";
    let state = match worker.state.as_str() {
        "booting" => "booting",
        "ending" => "shutting down",
        _ => "ready",
    };
    let milliseconds = std::time::Duration::try_from_secs_f64(worker.state_seconds)
        .map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        });
    let now = jiff::Timestamp::now().as_millisecond();
    json!({
        "Index": index,
        "Name": format!("{name} ({})", worker.pid),
        "State": state,
        "IsWaiting": worker.state == "idle",
        "IsBusy": is_busy,
        "WaitingSinceMilliseconds": if is_busy { 0 } else { milliseconds },
        "CurrentURI": worker.path.clone().unwrap_or_default(),
        "CurrentMethod": worker.method.clone().unwrap_or_default(),
        "RequestStartedAt": if is_busy { now - i64::try_from(milliseconds).unwrap_or(0) } else { 0 },
        "RequestCount": worker.requests,
        "MemoryUsage": worker.memory_bytes,
    })
}

fn json_of(value: &Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("{value}\n")));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn fault(status: StatusCode, message: &str) -> Response<Body> {
    let mut answer = json_of(&json!({ "error": message }));
    *answer.status_mut() = status;
    answer
}
