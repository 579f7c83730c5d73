//! The `php` step: which script, which worker, and what it is told.

use std::path::Path;

use howdah_caddyfile::Php;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::trip::Trip;
use super::{Failure, Outcome, files};
use crate::files::lookup::Script;
use crate::php;
use crate::pool::Routed;

impl Trip<'_> {
    /// Has PHP answer. A script that is a worker's goes to that worker.
    pub(super) async fn php(&mut self, options: &Php) -> Outcome {
        let Some(backend) = &self.server.backend else {
            return Err(StatusCode::NOT_IMPLEMENTED.into());
        };
        let path = self.clean_path()?;
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let root = self.root_or(options.root.as_ref());
        let (name, rest) = match files::split(&path, &options.split_path) {
            Some(split) => split,
            // `match` of a worker takes any path.
            None if options.worker.is_some() => (path.as_str(), ""),
            None => return Err(StatusCode::NOT_FOUND.into()),
        };
        let written = files::below(&root, name);
        let worker = options.worker.or_else(|| backend.route_of(&written));
        let script_file = worker.and_then(|place| backend.script_of(place));
        let resolved = if options.resolve_root_symlink {
            fs_err::canonicalize(&root).unwrap_or(root)
        } else {
            root
        };
        let file = script_file.map_or_else(|| files::below(&resolved, name), Path::to_path_buf);
        if worker.is_none() && !file.is_file() {
            return Err(StatusCode::NOT_FOUND.into());
        }
        let variables = options
            .env
            .iter()
            .map(|(name, value)| (name.clone(), self.fill(value)))
            .collect();
        let Some(asked) = self.take() else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into());
        };
        self.exchange.ask_php();
        let script = Script {
            file,
            name: name.into(),
            path_info: rest.into(),
        };
        let mut request = php::request(script, asked);
        request.routed = Some(Routed {
            root: resolved,
            query: self.query.clone(),
            variables,
            worker,
        });
        Ok(Some(
            php::answer(backend, self.server.disk(), request).await,
        ))
    }

    /// A body that says beforehand that it is too long is not even begun.
    pub(super) fn limit_body(&mut self, bytes: u64) -> Result<(), Failure> {
        let length = self.parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > bytes) {
            return Err(StatusCode::PAYLOAD_TOO_LARGE.into());
        }
        if let Some(body) = &mut self.body {
            body.limit_to(bytes);
        }
        Ok(())
    }
}
