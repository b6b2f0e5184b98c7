//! The life of one request: who is meant, is it admitted, what is the answer.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
};
use kinesis::Caller;
use uuid::Uuid;

use crate::{
    config::AwsConfig, door_metrics::DoorMetrics, fault::Fault, memory::Memory, request_body,
    service::Service, signature,
};

const JSON: &str = "application/x-amz-json-1.1";
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
}

impl<S: Service> Door<S> {
    /// Answers a request. There is always an answer.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let request_id = Uuid::new_v4().to_string();
        let (head, mut body) = request.into_parts();
        let mut response = if head.method == Method::POST {
            let named = operation::<S>(&head.headers);
            let answered = self.operation(&named, &head.headers, &mut body).await;
            let error = answered.as_ref().err().map(|fault| fault.code);
            self.metrics.note(named.ok(), began.elapsed(), error);
            match answered {
                Ok(response) => response,
                Err(fault) => {
                    tracing::debug!(%request_id, ?fault, "request refused");
                    // Who is still sending would not see an answer on a connection that closes.
                    let patience = self.config.limits.body_timeout;
                    request_body::discard(&head.headers, &mut body, patience).await;
                    faulty(&fault)
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
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<Response<Full<Bytes>>, Fault> {
        let operation = named.clone()?;
        check_content(headers)?;
        let weight = self.service.weight(operation);
        let patience = self.config.limits.body_timeout;
        let (body, share) = request_body::read(body, weight, &self.memory, patience).await?;
        let answer = self.service.call(operation, self.caller(headers), body).await?;
        Ok(plain(StatusCode::OK, JSON, share.hold(answer)))
    }

    fn caller(&self, headers: &HeaderMap) -> Caller {
        Caller {
            region: signature::region(headers).unwrap_or(&self.config.region).to_owned(),
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

fn check_content(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let kind = text(CONTENT_TYPE).unwrap_or("A request without Content-Type");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(JSON) && !essence.eq_ignore_ascii_case("application/json") {
        return Err(Fault::unsupported_media(essence));
    }
    match text(CONTENT_ENCODING) {
        None | Some("" | "identity") => Ok(()),
        Some(encoding) => Err(Fault::unsupported_media(&format!("Content-Encoding {encoding}"))),
    }
}

fn faulty(fault: &Fault) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, JSON, fault.json().into());
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(fault.code));
    response
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
