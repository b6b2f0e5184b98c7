//! The life of one request: who is meant, is it admitted, what is the answer.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
};
use kinesis::Caller;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    config::AwsConfig,
    door_metrics::DoorMetrics,
    encoding::Encoding,
    event_body::EventBody,
    event_stream,
    fault::Fault,
    memory::Memory,
    reply::ReplyBody,
    request_body,
    service::{Answer, Call, Service},
    signature::{self, Signatures},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const TARGET: &str = "x-amz-target";
/// What AWS's front answers to a request that names no operation and is no POST.
const NO_OPERATION: &str = "<AccessDeniedException>\n  <Message>Unable to determine \
                            service/operation name to be authorized</Message>\n\
                            </AccessDeniedException>\n";

/// What all connections share.
pub(crate) struct Door<S> {
    pub service: S,
    pub config: AwsConfig,
    pub memory: Memory,
    pub metrics: Arc<DoorMetrics>,
    /// Whose signatures are good; without, every request is accepted.
    pub signatures: Option<Signatures>,
    /// Turns true when the door closes, which ends streams of events.
    pub stopping: watch::Receiver<bool>,
}

impl<S: Service> Door<S> {
    /// Answers a request. There is always an answer.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<ReplyBody> {
        let began = Instant::now();
        let request_id = Uuid::new_v4().to_string();
        let (head, mut body) = request.into_parts();
        let mut response = if head.method == Method::POST {
            let named = operation::<S>(&head.headers);
            let answered = self.operation(&named, &head, &mut body).await;
            let error = answered.as_ref().err().map(|fault| fault.code);
            self.metrics.note(named.ok(), began.elapsed(), error);
            match answered {
                Ok(response) => response,
                Err(fault) => {
                    tracing::debug!(%request_id, ?fault, "request refused");
                    // Who is still sending would not see an answer on a connection that closes.
                    let patience = self.config.limits.body_timeout;
                    request_body::discard(&head.headers, &mut body, patience).await;
                    faulty(&fault, encoding(&head.headers).unwrap_or(Encoding::Json))
                }
            }
        } else {
            plain(StatusCode::FORBIDDEN, "application/xml", NO_OPERATION.into())
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn operation(
        &self,
        named: &Result<&str, Fault>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Response<ReplyBody>, Fault> {
        let operation = named.clone()?;
        let encoding = encoding(&head.headers)?;
        check_not_compressed(&head.headers)?;
        let claim = match &self.signatures {
            Some(known) => Some(known.claim(head, S::SIGNING_NAME, OffsetDateTime::now_utc())?),
            None => None,
        };
        let weight = self.service.weight(operation);
        let patience = self.config.limits.body_timeout;
        let (body, share) = request_body::read(body, weight, &self.memory, patience).await?;
        if let Some(claim) = claim {
            claim.check(&body)?;
        }
        let memory = self.memory.clone();
        let call = Call { caller: self.caller(head), encoding, body, memory };
        Ok(match self.service.call(operation, call).await? {
            Answer::Whole(answer) => {
                plain(StatusCode::OK, encoding.content_type(), share.hold(answer))
            }
            Answer::Events(events) => {
                let counts = Arc::clone(&self.metrics);
                let body = EventBody::new(events, encoding, self.stopping.clone(), counts);
                // While there is no event a stream takes little more than its connection does, and
                // there is one for each consumer of a shard.
                drop(share);
                streaming(body)
            }
        })
    }

    fn caller(&self, head: &Parts) -> Caller {
        let region = signature::region(&head.uri, &head.headers);
        Caller {
            region: region.unwrap_or_else(|| self.config.region.clone()),
            account: self.config.account_id.clone(),
        }
    }
}

/// The operation that `X-Amz-Target` names, if it is one of this service's.
fn operation<S: Service>(headers: &HeaderMap) -> Result<&str, Fault> {
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok());
    let (service, operation) =
        target.and_then(|target| target.split_once('.')).ok_or_else(Fault::unknown_operation)?;
    if service == S::TARGET { Ok(operation) } else { Err(Fault::unknown_operation()) }
}

/// The text of a header; what is no text is no value that is known.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Fault> {
    let kind = text(headers, CONTENT_TYPE).unwrap_or("A request without Content-Type");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    Encoding::of(essence).ok_or_else(|| Fault::unsupported_media(essence))
}

fn check_not_compressed(headers: &HeaderMap) -> Result<(), Fault> {
    match text(headers, CONTENT_ENCODING) {
        None | Some("" | "identity") => Ok(()),
        Some(encoding) => Err(Fault::unsupported_media(&format!("Content-Encoding {encoding}"))),
    }
}

fn faulty(fault: &Fault, encoding: Encoding) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, encoding.content_type(), fault.body(encoding).into());
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(fault.code));
    response
}

/// An answer that goes on.
fn streaming(body: EventBody) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Events(Box::new(body)));
    let kind = HeaderValue::from_static(event_stream::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
