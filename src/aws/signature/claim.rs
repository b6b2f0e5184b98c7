//! What a signed request says of itself, and whether it is true.

use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, DATE},
    http::request::Parts,
};
use sha2::Sha256;
use time::{
    Duration, OffsetDateTime, PrimitiveDateTime, UtcOffset,
    format_description::{StaticFormatDescription, well_known::Rfc2822},
    macros::format_description,
};

use super::{
    ALGORITHM, TERMINATOR, canonical,
    credentials::{Credentials, Secret},
    refusal,
};
use crate::fault::Fault;

/// A clock may be off by so many minutes, either way.
const SKEW_MINUTES: i64 = 15;
/// How long a signature in the query may be good, in seconds: a week.
const EXPIRES_SECONDS_MAX: i64 = 604_800;
/// `20261121T221500Z`.
const ISO_BASIC: StaticFormatDescription =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// Headers that decide what is done, and so have to be covered by the signature.
const ALWAYS_SIGNED: [&str; 3] = ["x-amz-target", "x-amz-date", "x-amz-security-token"];

/// Whose signatures are good. Clones are one and the same.
#[derive(Debug, Clone)]
pub(crate) struct Signatures {
    credentials: Arc<RwLock<Credentials>>,
}

/// A claim to have signed a request, made by somebody known, in time. The signature itself is
/// still to be checked.
pub(crate) struct Claim<'a> {
    head: &'a Parts,
    secret: Secret,
    said: Said,
    time: String,
}

/// What a request says of its signature.
#[derive(Debug)]
struct Said {
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    time: OffsetDateTime,
    session_token: Option<String>,
    /// A signature in the query is good for so long.
    expires: Option<Duration>,
}

/// `KEY/20261121/us-east-1/kinesis/aws4_request`.
#[derive(Debug)]
struct Scope {
    access_key: String,
    date: String,
    region: String,
    service: String,
}

impl Signatures {
    pub fn new(credentials: Credentials) -> Signatures {
        Signatures { credentials: Arc::new(RwLock::new(credentials)) }
    }

    /// From now on these are who may ask.
    pub fn replace(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// Looks at everything but the signature, for a request to the service that signs as `service`.
    pub fn claim<'a>(
        &self,
        head: &'a Parts,
        service: &str,
        now: OffsetDateTime,
    ) -> Result<Claim<'a>, Fault> {
        let said = said(head)?;
        let credentials = self.credentials.read().unwrap_or_else(PoisonError::into_inner);
        let secret = credentials.get(&said.scope.access_key).cloned();
        drop(credentials);
        let secret = secret.filter(|secret| same_token(secret, said.session_token.as_deref()));
        let secret = secret.ok_or_else(refusal::unknown_client)?;
        let time = iso(said.time)?;
        check_scope(&said.scope, service, &time)?;
        check_time(&said, now)?;
        check_signed(head, &said.signed_headers)?;
        Ok(Claim { head, secret, said, time })
    }
}

impl Claim<'_> {
    /// Checks the signature over the request with this body.
    pub fn check(&self, body: &[u8]) -> Result<(), Fault> {
        let Parts { method, uri, headers, .. } = self.head;
        let Scope { date, region, service, .. } = &self.said.scope;
        let canonical = canonical::request(method, uri, headers, &self.said.signed_headers, body);
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{TERMINATOR}\n{}",
            self.time,
            canonical::hash(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret.key).into_bytes();
        for part in [date.as_str(), region.as_str(), service.as_str(), TERMINATOR] {
            key = mac(&key, part.as_bytes())?.finalize().into_bytes().to_vec();
        }
        // Compared in constant time.
        let signature = from_hexadecimal(&self.said.signature).unwrap_or_default();
        let same = mac(&key, to_sign.as_bytes())?.verify_slice(&signature);
        same.map_err(|_| refusal::mismatch(&canonical, &to_sign))
    }
}

fn mac(key: &[u8], message: &[u8]) -> Result<Hmac<Sha256>, Fault> {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| Fault::internal("the signing key cannot be used".to_owned()))?;
    mac.update(message);
    Ok(mac)
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}

/// Without a token in the file, a request must have none either.
fn same_token(secret: &Secret, token: Option<&str>) -> bool {
    let digest = |token: &str| mac(secret.key.as_bytes(), token.as_bytes());
    match (&secret.session_token, token) {
        (None, None) => true,
        (Some(expected), Some(token)) => match (digest(expected), digest(token)) {
            // By their MACs, so that how far they agree does not show in the time it takes.
            (Ok(expected), Ok(token)) => expected.verify(&token.finalize().into_bytes()).is_ok(),
            _ => false,
        },
        _ => false,
    }
}

fn iso(time: OffsetDateTime) -> Result<String, Fault> {
    time.format(ISO_BASIC).map_err(|error| Fault::internal(error.to_string()))
}

fn said(head: &Parts) -> Result<Said, Fault> {
    let header = head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let in_query =
        canonical::parameters(head.uri.query()).any(|(name, _)| name == b"X-Amz-Algorithm");
    match header {
        Some(_) if in_query => Err(refusal::invalid(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP \
             header."
                .to_owned(),
        )),
        Some(header) if header.starts_with("AWS4-") => said_in_header(header, &head.headers),
        None if in_query => said_in_query(head.uri.query()),
        _ => Err(refusal::missing()),
    }
}

fn said_in_header(header: &str, headers: &HeaderMap) -> Result<Said, Fault> {
    let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
    check_algorithm(algorithm)?;
    let part = |name: &str| {
        let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    };
    let date_header = headers.get("x-amz-date").or_else(|| headers.get(DATE));
    let mut lacking = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if part(name).is_none() {
            lacking += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if date_header.is_none() {
        lacking += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                    header. ";
    }
    let (Some(credential), Some(signature), Some(signed), Some(date)) =
        (part("Credential"), part("Signature"), part("SignedHeaders"), date_header)
    else {
        return Err(refusal::incomplete_header(lacking.trim_end(), header));
    };
    let incomplete = |what: String| refusal::incomplete_header(&what, header);
    let token = headers.get("x-amz-security-token");
    Ok(Said {
        scope: scope(credential).map_err(incomplete)?,
        signed_headers: signed_headers(signed),
        signature: signature.to_owned(),
        time: date.to_str().ok().and_then(parse_time).ok_or_else(|| {
            incomplete("Date must be in ISO-8601 'basic format'. See also: Date.".to_owned())
        })?,
        session_token: token.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned()),
        expires: None,
    })
}

fn said_in_query(query: Option<&str>) -> Result<Said, Fault> {
    let parameter = |name: &str| {
        let mut found = canonical::parameters(query).filter(|(found, _)| found == name.as_bytes());
        let value = found.next().map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        value.filter(|value| !value.is_empty())
    };
    check_algorithm(&parameter("X-Amz-Algorithm").unwrap_or_default())?;
    let names =
        ["X-Amz-Credential", canonical::SIGNATURE_PARAMETER, "X-Amz-SignedHeaders", "X-Amz-Date"];
    let [Some(credential), Some(signature), Some(signed), Some(date)] = names.map(parameter) else {
        let lacking = names.iter().filter(|name| parameter(name).is_none());
        let lacking =
            lacking.map(|name| format!("AWS query-string parameters must include '{name}'."));
        return Err(refusal::incomplete_query(&lacking.collect::<Vec<_>>().join(" ")));
    };
    let incomplete = |what: String| refusal::incomplete_query(&what);
    let expires = match parameter("X-Amz-Expires").map(|text| text.parse::<i64>()) {
        None => None,
        Some(Ok(seconds)) if (1..=EXPIRES_SECONDS_MAX).contains(&seconds) => {
            Some(Duration::seconds(seconds))
        }
        Some(_) => {
            let what = "X-Amz-Expires must be a number of seconds from 1 to 604800, a week.";
            return Err(incomplete(what.to_owned()));
        }
    };
    Ok(Said {
        scope: scope(&credential).map_err(incomplete)?,
        signed_headers: signed_headers(&signed),
        signature,
        time: parse_time(&date).ok_or_else(|| {
            incomplete(format!("X-Amz-Date must be in the ISO8601 Long Format, got '{date}'."))
        })?,
        session_token: parameter("X-Amz-Security-Token"),
        expires,
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), Fault> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(refusal::invalid(format!("Unsupported AWS 'algorithm': '{algorithm}'.")))
}

fn scope(credential: &str) -> Result<Scope, String> {
    // A key may hold slashes, so the parts are counted from the end.
    let parts: Vec<&str> = credential.rsplitn(5, '/').collect();
    let &[terminator, service, region, date, access_key] = parts.as_slice() else {
        return Err(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{credential}'."
        ));
    };
    if terminator != TERMINATOR {
        return Err(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
             '{terminator}'."
        ));
    }
    let [access_key, date, region, service] =
        [access_key, date, region, service].map(str::to_owned);
    Ok(Scope { access_key, date, region, service })
}

fn signed_headers(list: &str) -> Vec<String> {
    let mut names: Vec<String> = list.split(';').map(str::to_ascii_lowercase).collect();
    names.sort();
    names
}

/// ISO 8601 without separators, or as HTTP writes a date.
fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let basic = PrimitiveDateTime::parse(text, ISO_BASIC).map(PrimitiveDateTime::assume_utc);
    let parsed = basic.or_else(|_| OffsetDateTime::parse(text, &Rfc2822)).ok()?;
    parsed.checked_to_offset(UtcOffset::UTC)
}

fn check_scope(scope: &Scope, service: &str, time: &str) -> Result<(), Fault> {
    let day = time.get(..8).unwrap_or_default();
    if scope.date != day {
        return Err(refusal::invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{day}', from '{time}'.",
            scope.date
        )));
    }
    if scope.service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(refusal::invalid(message));
    }
    Ok(())
}

fn check_time(said: &Said, now: OffsetDateTime) -> Result<(), Fault> {
    let skew = Duration::minutes(SKEW_MINUTES);
    let (signed, current) = (iso(said.time)?, iso(now)?);
    if said.time > now + skew {
        let limit = iso(now + skew)?;
        return Err(refusal::invalid(format!(
            "Signature not yet current: {signed} is still later than {limit} ({current} + \
             {SKEW_MINUTES} min.)"
        )));
    }
    let expired = match said.expires {
        Some(expires) if said.time + expires < now => {
            format!("{} is now earlier than {current}", iso(said.time + expires)?)
        }
        None if said.time < now - skew => {
            let limit = iso(now - skew)?;
            let range = format!("({current} - {SKEW_MINUTES} min.)");
            format!("{signed} is now earlier than {limit} {range}")
        }
        _ => return Ok(()),
    };
    Err(refusal::invalid(format!("Signature expired: {expired}")))
}

fn check_signed(head: &Parts, signed: &[String]) -> Result<(), Fault> {
    let is_signed = |name: &str| signed.iter().any(|one| one == name);
    let said = |what: &str| {
        Err(refusal::invalid(format!("{what} must be a 'SignedHeader' in the AWS Authorization.")))
    };
    if !is_signed("host") {
        return said("'Host' or ':authority'");
    }
    let unsigned = |name: &&&str| head.headers.contains_key(**name) && !is_signed(name);
    match ALWAYS_SIGNED.iter().find(unsigned) {
        Some(name) => said(&format!("'{name}'")),
        None => Ok(()),
    }
}
