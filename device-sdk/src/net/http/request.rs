//! The head of a request (RFC 9112 §3, §5). Nothing the caller gives can end a line or a field early.

use identity_core::Error;
use identity_core::agent::step::{Authorization, Method, Request};
use identity_core::wire::base64;

/// Ends the head behind a token that was left out.
pub(super) const END: &[u8] = b"\r\n\r\n";

/// The token in the head of `request`, if there is one.
pub(super) fn token<'a>(request: &Request<'a>) -> Option<&'a str> {
    match request.authorization {
        Authorization::Bearer(token) | Authorization::Dpop(token) => Some(token.reveal()),
        Authorization::None | Authorization::Basic { .. } => None,
    }
}

/// Writes the head of `request` to the start of `into`; its length in octets. If it is not to be `whole`, it ends before its
/// [`token`], and [`END`] comes behind that.
pub(super) fn write(request: &Request<'_>, into: &mut [u8], whole: bool) -> Result<usize, Error> {
    check(request)?;
    let mut to = Writer { into, at: 0 };
    to.put(match request.method {
        Method::Get => "GET ",
        Method::Post => "POST ",
        Method::Put => "PUT ",
        Method::Delete => "DELETE ",
    });
    to.put(request.path);
    to.put(" HTTP/1.1\r\nHost: ");
    to.put(request.host);
    if request.port != 443 {
        to.put(":");
        to.number(usize::from(request.port));
    }
    to.put(concat!("\r\nUser-Agent: device-sdk/", env!("CARGO_PKG_VERSION"), "\r\n"));
    to.field("Accept: ", request.accept);
    to.field("Content-Type: ", request.content_type);
    if request.base64 {
        to.put("Content-Transfer-Encoding: base64\r\n");
    }
    if has_body(request.method) {
        to.put("Content-Length: ");
        to.number(request.body.len());
        to.put("\r\n");
    }
    to.field("DPoP: ", request.proof.unwrap_or_default());
    match request.authorization {
        Authorization::None => to.put("\r\n"),
        Authorization::Basic { user, password } => {
            to.basic(user, password.reveal());
            to.put("\r\n");
        }
        Authorization::Bearer(_) | Authorization::Dpop(_) => {
            let bearer = matches!(request.authorization, Authorization::Bearer(_));
            to.put(if bearer { "Authorization: Bearer " } else { "Authorization: DPoP " });
            if whole {
                to.put(token(request).unwrap_or_default());
                to.put("\r\n\r\n");
            }
        }
    }
    if to.at > to.into.len() {
        return Err(Error::NoSpace { what: "head of an HTTP request", wanted: to.at });
    }
    Ok(to.at)
}

const fn has_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put)
}

/// Refuses what would let a value escape from its place.
fn check(request: &Request<'_>) -> Result<(), Error> {
    let ensure = |holds: bool, problem| if holds { Ok(()) } else { Err(Error::Misuse(problem)) };
    let graphic = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
    let field = |text: &str| text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    let printable = |text: &str| !text.bytes().any(|octet| octet.is_ascii_control());
    let name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
    ensure(
        !request.host.is_empty() && request.host.bytes().all(name),
        "the host of an HTTP request must be a DNS name or an IPv4 address, without scheme and port",
    )?;
    ensure(
        request.path.starts_with('/') && graphic(request.path) && !request.path.contains('#'),
        "the path of an HTTP request must start with a slash; percent-encode spaces, controls, # and all beyond ASCII",
    )?;
    ensure(
        field(request.accept) && field(request.content_type),
        "a media type of an HTTP request must be printable ASCII",
    )?;
    ensure(has_body(request.method) || request.body.is_empty(), "an HTTP GET or DELETE must have no body")?;
    ensure(request.proof.is_none_or(graphic), "a DPoP proof must be printable ASCII without spaces (RFC 9449)")?;
    match request.authorization {
        Authorization::None => Ok(()),
        Authorization::Basic { user, password } => ensure(
            printable(user) && printable(password.reveal()) && !user.contains(':'),
            "user and password for HTTP must hold no control character, and the user no colon (RFC 7617)",
        ),
        Authorization::Bearer(token) | Authorization::Dpop(token) => ensure(
            !token.reveal().is_empty() && graphic(token.reveal()),
            "a bearer token must be printable ASCII without spaces (RFC 6750)",
        ),
    }
}

/// Writes what fits and counts what does not, so that the error can say how much was wanted.
struct Writer<'b> {
    into: &'b mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        let room = self.into.iter_mut().skip(self.at);
        room.zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.at = self.at.saturating_add(text.len());
    }

    /// `start` holds the name, colon and what precedes the value. An empty value has no field.
    fn field(&mut self, start: &str, value: &str) {
        if !value.is_empty() {
            self.put(start);
            self.put(value);
            self.put("\r\n");
        }
    }

    fn number(&mut self, number: usize) {
        let mut weight = 1;
        while number / weight >= 10 {
            weight *= 10;
        }
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        while weight > 0 {
            self.put(DIGITS.get(number / weight % 10).copied().unwrap_or_default());
            weight /= 10;
        }
    }

    fn basic(&mut self, user: &str, password: &str) {
        self.put("Authorization: Basic ");
        let from = self.at;
        self.put(user);
        self.put(":");
        self.put(password);
        let length = self.at.saturating_sub(from);
        // Fails only where there is no room, which the count below tells of.
        if let Some(rest) = self.into.get_mut(from..) {
            let _ = base64::encode_in_place(rest, length);
        }
        self.at = from.saturating_add(base64::encoded_len(length));
        self.put("\r\n");
    }
}
