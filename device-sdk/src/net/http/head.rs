//! The head of a reply: what it says of the body and of the connection (RFC 9112 §4 to §7, §9).

use httparse::{EMPTY_HEADER, Header, Response, Status};
use identity_core::agent::step::{Challenge, Media, Nonce, RetryAfter};
use identity_core::time::UnixTime;
use identity_core::wire::http;

/// Header fields of a reply, at most; each costs 16 octets of stack on a 32-bit machine.
const FIELDS_MAX: usize = 32;

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) media: Media,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) date: Option<UnixTime>,
    pub(super) challenge: Challenge,
    pub(super) framing: Framing,
    /// The connection may carry another request, once the body was read.
    pub(super) persistent: bool,
}

/// Where the body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many octets.
    Length(usize),
    /// After the last chunk.
    Chunked,
    /// Where the peer closes.
    UntilClose,
}

/// Parses the head at the start of `octets`, and gives its length with it; none if it goes on.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(octets: &[u8], nonce: &mut Nonce) -> Result<Option<(Head, usize)>, &'static str> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut response = Response::new(&mut fields);
    let length = match response.parse(octets).map_err(problem)? {
        Status::Complete(length) => length,
        Status::Partial => return Ok(None),
    };
    let status = response.code.filter(|code| (100..600).contains(code)).ok_or("a status code outside 100 to 599")?;
    let fields = Fields(response.headers);
    let is_11 = response.version == Some(1);
    let asked = fields.framing(is_11)?;
    if let Some(value) = fields.value("DPoP-Nonce") {
        nonce.set(value);
    }
    let (framing, persistent) = match status {
        // Never a body. If the head speaks of one, do not wait to see whether the server believes it.
        100..200 | 204 | 304 => (Framing::Length(0), asked == Framing::UntilClose || asked == Framing::Length(0)),
        _ => (asked, true),
    };
    let head = Head {
        status,
        media: fields.value("Content-Type").map_or(Media::Absent, http::media),
        retry_after: fields.value("Retry-After").and_then(http::retry_after),
        date: fields.value("Date").and_then(http::date),
        challenge: fields
            .values("WWW-Authenticate")
            .map(http::challenge)
            .find(|found| *found != Challenge::None)
            .unwrap_or_default(),
        framing,
        persistent: persistent && fields.persistent(is_11),
    };
    Ok(Some((head, length)))
}

fn problem(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::TooManyHeaders => "more than 32 header fields in a reply",
        httparse::Error::Version => "the reply is not HTTP/1.0 or HTTP/1.1; check that the port speaks HTTP",
        httparse::Error::Status => "a status that is not three digits",
        _ => "a header field that RFC 9112 forbids",
    }
}

struct Fields<'h, 'b>(&'h [Header<'b>]);

impl<'b> Fields<'_, 'b> {
    /// All values of a name, in order.
    fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The first value of a name.
    fn value(&self, name: &str) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// The members of all values of a name that is defined as a list (RFC 9110 §5.6.1).
    fn list(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.values(name).flat_map(|value| value.split(|&octet| octet == b',')).map(<[u8]>::trim_ascii)
    }

    fn framing(&self, is_11: bool) -> Result<Framing, &'static str> {
        let mut length = None;
        for value in self.list("Content-Length") {
            let this = number(value).ok_or("a Content-Length that is not a number")?;
            if length.is_some_and(|length| length != this) {
                return Err("two values of Content-Length; which of them holds cannot be known");
            }
            length = Some(this);
        }
        let mut codings = self.list("Transfer-Encoding");
        match (codings.next(), codings.next(), length) {
            (None, _, Some(length)) => Ok(Framing::Length(length)),
            (None, _, None) => Ok(Framing::UntilClose),
            (Some(_), _, Some(_)) => Err("both Content-Length and Transfer-Encoding; this is how replies are smuggled"),
            (Some(_), _, None) if !is_11 => Err("a Transfer-Encoding in HTTP/1.0"),
            (Some(coding), None, None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), _, None) => Err("a Transfer-Encoding other than chunked, which was not asked for"),
        }
    }

    /// RFC 9112 §9.3.
    fn persistent(&self, is_11: bool) -> bool {
        let says = |word: &str| self.list("Connection").any(|option| option.eq_ignore_ascii_case(word.as_bytes()));
        !says("close") && (is_11 || says("keep-alive"))
    }
}

/// Digits; a number beyond `usize` is the largest `usize`, which fits nowhere either.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0usize, |sum, octet| {
        let digit = octet.is_ascii_digit().then(|| usize::from(octet - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}
