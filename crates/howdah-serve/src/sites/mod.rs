//! Sites with routes of their own, as a Caddyfile describes them: which site a request is for, and the steps it takes there.

mod files;
mod headers;
pub(crate) mod password;
mod proxy;
mod scripts;
mod trip;
mod truth;
mod uri;
mod when;

use std::path::PathBuf;
use std::pin::Pin;

use howdah_caddyfile::{Handler as Step, Interception, Route, Site};
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};

use crate::handler::{Asked, Handler, close, discard};
use crate::http::access::Exchange;
use crate::http::{Body, compress, response};
use trip::Trip;

/// The sites of a server, and who is asked for which.
#[derive(Debug, Clone)]
pub struct Sites {
    /// Their routes.
    pub sites: Vec<Site>,
    /// Where each is; the first one that fits best is taken.
    pub bindings: Vec<Binding>,
    /// What relative document roots are relative to.
    pub directory: PathBuf,
}

/// A listener and a host, and the site that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The listener's place in the configuration.
    pub listener: usize,
    /// In lower case; empty for every host, `*.` for every one below.
    pub host: String,
    /// The site's place in [`Sites::sites`].
    pub site: usize,
}

/// A request that cannot be answered as it was asked.
#[derive(Debug, Clone)]
struct Failure {
    status: StatusCode,
    message: String,
}

impl From<StatusCode> for Failure {
    fn from(status: StatusCode) -> Self {
        Self {
            status,
            message: String::new(),
        }
    }
}

/// What became of steps: an answer, or none yet.
type Outcome = Result<Option<Response<Body>>, Failure>;

impl Sites {
    /// Is a request passed on to another server anywhere?
    pub(crate) fn have_upstreams(&self) -> bool {
        fn any(routes: &[Route]) -> bool {
            routes.iter().any(|route| match &route.handler {
                Step::ReverseProxy(_) => true,
                Step::Subroute(routes) => any(routes),
                Step::Intercept(all) => all.iter().any(|one| any(&one.routes)),
                _ => false,
            })
        }
        self.sites
            .iter()
            .any(|site| any(&site.routes) || site.errors.iter().any(|errors| any(&errors.routes)))
    }

    /// The site for a host: one that names it, then one with a star for it, then one for any.
    fn find(&self, listener: usize, host: &str) -> Option<&Site> {
        let rank = |binding: &Binding| match binding.host.strip_prefix("*.") {
            _ if binding.listener != listener => None,
            _ if binding.host.is_empty() => Some(0),
            Some(domain) => {
                let below = host.split_once('.').is_some_and(|(_, rest)| rest == domain);
                below.then_some(1)
            }
            None => (binding.host == host).then_some(2),
        };
        let ranked = self
            .bindings
            .iter()
            .filter_map(|binding| Some((rank(binding)?, binding.site)));
        let (_, site) = ranked.rev().max_by_key(|(rank, _)| *rank)?;
        self.sites.get(site)
    }
}

/// Answers a request by the steps of its site. What does not depend on the site was checked before.
pub(crate) async fn answer(
    server: &Handler,
    sites: &Sites,
    asked: Asked,
    exchange: &mut Exchange,
) -> Response<Body> {
    let host = uri::host(&asked.parts).to_owned();
    let Some(site) = sites.find(asked.listener, &uri::without_port(&host).to_lowercase()) else {
        return match discard(asked).await {
            Ok(()) => response::plain(StatusCode::NOT_FOUND),
            Err(status) => response::plain(status),
        };
    };
    let mut trip = Trip::new(server, sites, asked, exchange);
    let outcome = trip.run(&site.routes).await;
    let mut answer = match outcome {
        Ok(answer) => answer.unwrap_or_default(),
        Err(failure) => trip.fail(site, failure).await,
    };
    if let Some(asked) = trip.take()
        && let Err(status) = discard(asked).await
    {
        return response::plain(status);
    }
    headers::apply(&trip, &mut answer);
    if trip.encodes {
        answer = compress::compress(&trip.parts.method, &trip.parts.headers, answer);
    }
    if trip.closes {
        close(&mut answer, trip.parts.version);
    }
    answer
}

impl Trip<'_> {
    /// Takes the steps up to the first that answers.
    fn run<'a>(
        &'a mut self,
        routes: &'a [Route],
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let mut taken = Vec::new();
            for (index, route) in routes.iter().enumerate() {
                if route.group.is_some_and(|group| taken.contains(&group)) {
                    continue;
                }
                if let Some(matcher) = &route.matcher
                    && !self.matches(matcher)?
                {
                    continue;
                }
                taken.extend(route.group);
                if let Step::Intercept(interceptions) = &route.handler {
                    let answer = self.run(&routes[index + 1..]).await?;
                    return self.intercept(interceptions, answer).await;
                }
                let answer = self.step(&route.handler).await?;
                if answer.is_some() {
                    return Ok(answer);
                }
            }
            Ok(None)
        })
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Root(root) => self.root = self.absolute(&self.fill(root)),
            Step::Vars(pairs) => {
                for (name, value) in pairs {
                    let value = self.fill(value);
                    self.variables.insert(name.clone(), value);
                }
            }
            Step::Header(changes) => headers::remember(self, changes),
            Step::RequestHeader(changes) => headers::change_request(self, changes),
            Step::Redirect { to, status } => return redirect(&self.fill(to), *status),
            Step::Rewrite(to) => self.rewrite(&self.fill(to)),
            Step::StripPrefix(_)
            | Step::StripSuffix(_)
            | Step::ReplaceInUri { .. }
            | Step::ReplaceInPath { .. }
            | Step::Query(_) => self.change_uri(step),
            Step::BasicAuth(auth) => self.authenticate(auth).await?,
            Step::SkipLog => self.exchange.skip(),
            Step::Metrics => {
                let page = crate::admin::metrics_page(self.server);
                return Ok(Some(page));
            }
            Step::TryFiles(files) => {
                if let Some(found) = self.find_file(files)? {
                    self.go_to(found);
                }
            }
            Step::Method(method) => {
                if let Ok(method) = Method::from_bytes(method.as_bytes()) {
                    self.parts.method = method;
                }
            }
            Step::Respond {
                body,
                status,
                close,
            } => {
                self.closes |= *close;
                return Ok(Some(respond(self.fill(body), &self.fill(status))));
            }
            Step::Error(status, message) => {
                return Err(Failure {
                    status: StatusCode::from_u16(*status)
                        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    message: self.fill(message),
                });
            }
            Step::Encode => self.encodes = true,
            Step::RequestBody(bytes) => self.limit_body(*bytes)?,
            Step::Subroute(routes) => return self.run(routes).await,
            // The caller knows which steps follow.
            Step::Intercept(_) => {}
            Step::FileServer(files) => return self.file(files).await,
            Step::Php(php) => return self.php(php).await,
            Step::ReverseProxy(proxy) => return self.proxy(proxy).await,
        }
        Ok(None)
    }

    /// What the site has for a failure, or else the status and its name.
    async fn fail(&mut self, site: &Site, failure: Failure) -> Response<Body> {
        let status = failure.status;
        let code = status.as_u16();
        self.failure = Some(failure);
        let fits = |ranges: &[(u16, u16)]| {
            ranges.is_empty()
                || ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&code))
        };
        for errors in site.errors.iter().filter(|errors| fits(&errors.statuses)) {
            if let Ok(Some(mut answer)) = self.run(&errors.routes).await {
                if answer.status() == StatusCode::OK {
                    *answer.status_mut() = status;
                }
                return answer;
            }
        }
        response::plain(status)
    }

    /// Puts another answer in the place of one that fits.
    async fn intercept(
        &mut self,
        interceptions: &[Interception],
        answer: Option<Response<Body>>,
    ) -> Outcome {
        let Some(answer) = answer else {
            return Ok(None);
        };
        let Some(interception) = interceptions.iter().find(|one| fits(one, &answer)) else {
            return Ok(Some(answer));
        };
        self.response = Some((answer.status(), answer.headers().clone()));
        let instead = self.run(&interception.routes).await?;
        Ok(Some(instead.unwrap_or(answer)))
    }
}

/// To another place.
fn redirect(to: &str, status: u16) -> Outcome {
    let mut redirect = Response::new(Body::default());
    *redirect.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    let to = HeaderValue::try_from(to).map_err(|_| StatusCode::BAD_REQUEST)?;
    redirect.headers_mut().insert(LOCATION, to);
    Ok(Some(redirect))
}

fn respond(body: String, status: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status.parse().unwrap_or(StatusCode::OK);
    answer
}

fn fits(interception: &Interception, answer: &Response<Body>) -> bool {
    let code = answer.status().as_u16();
    let has_status = interception.statuses.is_empty()
        || interception
            .statuses
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code));
    has_status
        && interception.headers.iter().all(|(name, pattern)| {
            let Ok(name) = HeaderName::try_from(name.as_str()) else {
                return false;
            };
            let mut values = answer.headers().get_all(name).iter();
            values.any(|value| when::like(pattern, &String::from_utf8_lossy(value.as_bytes())))
        })
}
