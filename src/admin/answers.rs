//! Answers of this door.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};

pub(crate) type Answer = Response<Full<Bytes>>;

/// A page of a content type.
pub(crate) fn page(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Everything here is of this moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A line of text.
pub(crate) fn line(status: StatusCode, text: impl std::fmt::Display) -> Answer {
    page(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// The path has no such method.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut response =
        line(StatusCode::METHOD_NOT_ALLOWED, format_args!("this path takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
