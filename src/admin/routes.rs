//! Which path answers what.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming};
use tokio::{sync::watch, time::timeout};

use crate::{
    answers::{Answer, line, method_not_allowed, page},
    config::AdminConfig,
    metrics::{self, MetricsPages},
    readiness::{self, Phase},
};

/// Log directives are a line; nobody sends more.
const BODY_BYTES_MAX: usize = 4 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
const PATHS: &str = "the pages are /livez, /readyz, /metrics, /version and /log-level";

/// What all requests share.
pub(crate) struct Routes {
    config: AdminConfig,
    phases: watch::Receiver<Phase>,
    metrics: MetricsPages,
}

impl Routes {
    pub fn new(config: AdminConfig, phases: watch::Receiver<Phase>) -> Routes {
        let metrics = MetricsPages::new(config.build);
        Routes { config, phases, metrics }
    }

    /// Answers a request. There is always an answer.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        // A copy, so that no lock is held while cores are asked.
        let phase = self.phases.borrow().clone();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), reads) {
            ("/log-level", true) => line(StatusCode::OK, self.config.log.directives()),
            ("/log-level", false) if request.method() == Method::PUT => {
                self.set_log_level(request.into_body()).await
            }
            ("/log-level", false) => method_not_allowed("GET, HEAD, PUT"),
            // The process answers, so it lives. What it cannot do is for /readyz to say: to be
            // started anew would help against none of it.
            ("/livez", true) => line(StatusCode::OK, "alive"),
            ("/readyz", true) => match readiness::check(&phase).await {
                Ok(()) => line(StatusCode::OK, "ready"),
                Err(why) => line(StatusCode::SERVICE_UNAVAILABLE, format_args!("not ready: {why}")),
            },
            ("/metrics", true) => match self.metrics.render(&phase).await {
                Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
                Err(why) => line(StatusCode::SERVICE_UNAVAILABLE, why),
            },
            ("/version", true) => self.version(),
            ("/livez" | "/readyz" | "/metrics" | "/version", false) => {
                method_not_allowed("GET, HEAD")
            }
            _ => line(StatusCode::NOT_FOUND, PATHS),
        }
    }

    fn version(&self) -> Answer {
        let build = self.config.build;
        let body = serde_json::json!({
            "name": "thalweg", "version": build.version, "commit": build.commit
        });
        page(StatusCode::OK, "application/json", format!("{body}\n"))
    }

    async fn set_log_level(&self, body: Incoming) -> Answer {
        let body = timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
        let bytes = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return line(StatusCode::BAD_REQUEST, error),
            Err(_) => return line(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        };
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return line(StatusCode::BAD_REQUEST, "the body is not UTF-8");
        };
        match self.config.log.set_directives(text.trim()) {
            Ok(()) => {
                let directives = self.config.log.directives();
                tracing::info!(%directives, "log levels changed");
                line(StatusCode::OK, directives)
            }
            Err(error) => line(StatusCode::BAD_REQUEST, error),
        }
    }
}
