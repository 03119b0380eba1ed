//! An EST server (RFC 7030, clarified by RFC 8951) as a pure function of time, client certificate and request.

use crate::ca::{Ca, Csr, Validity, alternative_of, spki_of, subject_of};
use crate::der;
pub use crate::est_options::*;
use crate::http::{HttpRequest, HttpResponse};
use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// When, in Unix seconds.
    pub at: u64,
    /// By `/simplereenroll`.
    pub renewal: bool,
    /// It, DER.
    pub certificate: Vec<u8>,
    /// What it was asked for with.
    pub csr: Csr,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// When, in Unix seconds.
    pub at: u64,
    /// Method and path.
    pub request: String,
    /// Octets of the request's body.
    pub request_octets: usize,
    /// Status code.
    pub status: u16,
    /// Octets of the reply's body.
    pub reply_octets: usize,
}

/// An EST server.
pub struct EstServer {
    /// The authority that issues.
    pub ca: Ca,
    /// Another authority whose client certificates may enrol: the factory's birth certificates.
    pub factory: Option<Ca>,
    /// Set-up; may be changed at any time.
    pub options: EstOptions,
    faults: Vec<Injection>,
    polls: HashMap<Vec<u8>, u32>,
    approved: Vec<Vec<u8>>,
    enrolments: Vec<Enrolment>,
    served: Vec<Served>,
}

/// A refusal on the way to a certificate.
type Refused = HttpResponse;

impl EstServer {
    /// A server that issues from `ca`.
    #[must_use]
    pub fn new(ca: Ca, options: EstOptions) -> Self {
        Self {
            ca,
            factory: None,
            options,
            faults: Vec::new(),
            polls: HashMap::new(),
            approved: Vec::new(),
            enrolments: Vec::new(),
            served: Vec::new(),
        }
    }

    /// Certificates issued (repeated answers and flawed certificates do not count).
    #[must_use]
    pub fn enrolments(&self) -> &[Enrolment] {
        &self.enrolments
    }

    /// Requests answered.
    #[must_use]
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// Misbehaves the next `times` times it is asked `on`.
    pub fn inject(&mut self, on: Operation, fault: Fault, times: u32) {
        self.faults.push(Injection { on, fault, times });
    }

    /// Behaves again.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Approves every request that waits for a person.
    pub fn approve(&mut self) {
        self.approved = self.polls.keys().cloned().collect();
    }

    /// Answers one request at `now` (Unix seconds), made over TLS with the client certificate `client` (DER), if any.
    pub fn handle(&mut self, now: u64, client: Option<&[u8]>, request: &HttpRequest) -> HttpResponse {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
        let response = self.route(now, client, request).with("Date", &date);
        self.served.push(Served {
            at: now,
            request: format!("{} {}", request.method, request.path),
            request_octets: request.body.len(),
            status: response.status,
            reply_octets: response.body.len(),
        });
        response
    }

    fn route(&mut self, now: u64, client: Option<&[u8]>, request: &HttpRequest) -> HttpResponse {
        let Some((operation, method)) = self.operation(&request.path) else {
            return HttpResponse::text(404, "No such EST operation or label.\n");
        };
        if request.method != method {
            return HttpResponse::text(405, "Wrong method.\n").with("Allow", method);
        }
        let fault = self.due(operation);
        if let Some(response) = fault.and_then(|fault| instead(fault, now)) {
            return response;
        }
        let (media, octets) = match operation {
            Operation::CaCerts => ("application/pkcs7-mime", der::certs_only(&self.ca.certificates())),
            Operation::CsrAttrs => match self.attributes() {
                Ok(octets) => ("application/csrattrs", octets),
                Err(refused) => return refused,
            },
            Operation::SimpleEnroll | Operation::SimpleReenroll => {
                let renewal = operation == Operation::SimpleReenroll;
                match self.enrol(now, client, request, renewal, fault) {
                    Ok(certificate) => {
                        ("application/pkcs7-mime; smime-type=certs-only", der::certs_only(&[&certificate]))
                    }
                    Err(refused) => return refused,
                }
            }
        };
        self.reply(media, octets, fault)
    }

    fn operation(&self, path: &str) -> Option<(Operation, &'static str)> {
        let path = path.split('?').next()?.strip_prefix("/.well-known/est/")?;
        let name = match path.split_once('/') {
            Some((label, name)) if self.options.labels.is_empty() || self.options.labels.iter().any(|l| l == label) => {
                name
            }
            Some(_) => return None,
            None => path,
        };
        match name {
            "cacerts" => Some((Operation::CaCerts, "GET")),
            "csrattrs" => Some((Operation::CsrAttrs, "GET")),
            "simpleenroll" => Some((Operation::SimpleEnroll, "POST")),
            "simplereenroll" => Some((Operation::SimpleReenroll, "POST")),
            _ => None,
        }
    }

    /// The fault due now, if any; counts it down.
    fn due(&mut self, operation: Operation) -> Option<Fault> {
        let injection = self.faults.iter_mut().find(|injection| injection.on == operation && injection.times > 0)?;
        injection.times -= 1;
        Some(injection.fault)
    }

    /// RFC 7030 §4.5.2: 204 or 404 when nothing is asked for.
    fn attributes(&self) -> Result<Vec<u8>, Refused> {
        match &self.options.attributes {
            CsrAttrs::NoContent => Err(HttpResponse::status(204)),
            CsrAttrs::NotFound => Err(HttpResponse::text(404, "No attributes.\n")),
            CsrAttrs::Empty => Ok(der::sequence(&[])),
            CsrAttrs::Oids(oids) => {
                let oids: Vec<u8> = oids.iter().flat_map(|arcs| der::oid(arcs)).collect();
                Ok(der::sequence(&[&oids]))
            }
            CsrAttrs::Der(octets) => Ok(octets.clone()),
        }
    }

    /// RFC 7030 §4.2.
    fn enrol(
        &mut self,
        now: u64,
        client: Option<&[u8]>,
        request: &HttpRequest,
        renewal: bool,
        fault: Option<Fault>,
    ) -> Result<Vec<u8>, Refused> {
        if renewal && client.is_none() {
            return Err(HttpResponse::text(403, "Renewal needs the client certificate that is to be renewed.\n"));
        }
        let grant = self.authorize(now, client, request, renewal)?;
        let csr = read_csr(request)?;
        if let Some(current) = client.filter(|_| renewal) {
            same_names(current, &csr)?;
        }
        if let Some(grant) = grant.and_then(|index| self.options.grants.get(index))
            && grant.used_by.as_ref().is_some_and(|used_by| *used_by != csr.spki)
        {
            return Err(challenge("This one-time secret has been used."));
        }
        self.approval(now, &csr)?;
        let validity = Validity::starting(now, self.options.lifetime);
        if let Some(Fault::Certificate(flaw)) = fault {
            return Ok(self.ca.issue_flawed(&csr, now, validity, flaw));
        }
        let keeps_key = renewal && client.and_then(spki_of).is_some_and(|spki| spki == csr.spki);
        if let Some(known) = self.enrolments.iter().rev().find(|known| {
            known.csr.spki == csr.spki
                && known.csr.subject == csr.subject
                && now < known.at + self.options.repeat_window
        }) && !keeps_key
        {
            return Ok(known.certificate.clone());
        }
        let certificate = self.ca.issue_for(&csr, validity);
        if let Some(grant) = grant.and_then(|index| self.options.grants.get_mut(index))
            && grant.once
        {
            grant.used_by = Some(csr.spki.clone());
        }
        self.enrolments.push(Enrolment { at: now, renewal, certificate: certificate.clone(), csr });
        Ok(certificate)
    }

    /// Who asks (RFC 7030 §3.2.3, §3.3.2): the index of the grant used, none for a client certificate.
    fn authorize(
        &self,
        now: u64,
        client: Option<&[u8]>,
        request: &HttpRequest,
        renewal: bool,
    ) -> Result<Option<usize>, Refused> {
        if let Some(certificate) = client.filter(|_| self.options.certificates) {
            let own = self.ca.vouches_for(certificate, now);
            let factory = self.factory.iter().any(|factory| factory.vouches_for(certificate, now).is_ok());
            match own {
                Ok(()) => return Ok(None),
                Err(_) if factory && !renewal => return Ok(None),
                Err(why) if renewal => return Err(HttpResponse::text(403, &format!("Your certificate is {why}.\n"))),
                Err(_) => {}
            }
        }
        let grants = &self.options.grants;
        match request.header("Authorization") {
            Some(given) => grants
                .iter()
                .position(|grant| same_authorization(&grant.authorization, given))
                .map(Some)
                .ok_or_else(|| challenge("Wrong credentials.")),
            None if grants.is_empty() => {
                Err(HttpResponse::text(403, "A client certificate of this plant is needed.\n"))
            }
            None => Err(challenge("Credentials, please.")),
        }
    }

    /// RFC 7030 §4.2.3: 202 with Retry-After until a person has approved.
    fn approval(&mut self, now: u64, csr: &Csr) -> Result<(), Refused> {
        let polls = self.polls.entry(csr.spki.clone()).or_default();
        let granted = match self.options.approval {
            Approval::None => true,
            Approval::After(times) => *polls >= times,
            Approval::ByCall => self.approved.contains(&csr.spki),
        };
        *polls += 1;
        if granted { Ok(()) } else { Err(pending(self.options.retry_after, now)) }
    }

    fn reply(&self, media: &str, mut octets: Vec<u8>, fault: Option<Fault>) -> HttpResponse {
        match fault {
            Some(Fault::Truncated) => octets.truncate(octets.len() * 2 / 3),
            Some(Fault::OverLong) => octets = der::certs_only(&[self.ca.root()].repeat(400)),
            Some(Fault::NoCertificate) => octets = der::certs_only(&[]),
            _ => {}
        }
        let mut body = if fault == Some(Fault::NotBase64) {
            octets
        } else if self.options.line_breaks {
            der::base64_lines(&octets, 76, "\r\n").into_bytes()
        } else {
            data_encoding::BASE64.encode(&octets).into_bytes()
        };
        let middle = body.len() / 2;
        match fault {
            Some(Fault::BrokenBase64) => body[middle..middle + 8].copy_from_slice(b"~~~~~~~~"),
            Some(Fault::EmptyBody) => body.clear(),
            _ => {}
        }
        let mut response = HttpResponse { status: 200, body, ..HttpResponse::default() };
        if let Some(Fault::Delivery(delivery)) = fault {
            response.delivery = delivery;
        }
        match fault {
            Some(Fault::NoContentType) => response,
            Some(Fault::WrongContentType) => response.with("Content-Type", "text/html"),
            _ => response.with("Content-Type", media).with("Content-Transfer-Encoding", "base64"),
        }
    }
}

/// The response a fault puts in place of the real one.
fn instead(fault: Fault, now: u64) -> Option<HttpResponse> {
    match fault {
        Fault::Status(401) => Some(challenge("Injected.")),
        Fault::Status(status) => Some(HttpResponse::text(status, "Injected.\n")),
        Fault::Page(status) => Some(HttpResponse::text(status, &"Sorry. ".repeat(15_000))),
        Fault::Busy(when) => Some(retry(HttpResponse::text(503, "Busy.\n"), when, now)),
        Fault::Pending(when) => Some(pending(when, now)),
        Fault::Redirect => {
            let elsewhere = "https://elsewhere.example/.well-known/est/cacerts";
            Some(HttpResponse::text(302, "Elsewhere.\n").with("Location", elsewhere))
        }
        _ => None,
    }
}

fn pending(when: RetryAfter, now: u64) -> HttpResponse {
    retry(HttpResponse::text(202, "Waiting for approval.\n"), when, now)
}

fn retry(response: HttpResponse, when: RetryAfter, now: u64) -> HttpResponse {
    match when {
        RetryAfter::Seconds(seconds) => response.with("Retry-After", &seconds.to_string()),
        RetryAfter::Date(seconds) => {
            response.with("Retry-After", &httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now + seconds)))
        }
        RetryAfter::Missing => response,
    }
}

/// 401 (RFC 7030 §3.2.3).
fn challenge(why: &str) -> HttpResponse {
    HttpResponse::text(401, &format!("{why}\n")).with("WWW-Authenticate", "Basic realm=\"est\", Bearer realm=\"est\"")
}

/// The scheme is case-insensitive (RFC 9110 §11.1), the rest is not.
fn same_authorization(known: &str, given: &str) -> bool {
    match (known.split_once(' '), given.trim().split_once(' ')) {
        (Some((scheme, secret)), Some((given_scheme, given_secret))) => {
            scheme.eq_ignore_ascii_case(given_scheme) && secret == given_secret.trim()
        }
        _ => false,
    }
}

/// The request's body: base64 whatever Content-Transfer-Encoding says, line breaks ignored (RFC 8951 §3.1).
pub(crate) fn read_csr(request: &HttpRequest) -> Result<Csr, Refused> {
    let media = request.header("Content-Type").and_then(|media| media.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/pkcs10") {
        return Err(HttpResponse::text(415, "Content-Type: application/pkcs10 is needed.\n"));
    }
    let text: Vec<u8> = request.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let bad = |why: String| HttpResponse::text(400, &format!("{why}\n"));
    let octets = data_encoding::BASE64.decode(&text).map_err(|error| bad(format!("Not base64: {error}.")))?;
    Csr::read(&octets).map_err(bad)
}

/// A renewal keeps subject and alternative names (RFC 7030 §4.2.2).
fn same_names(current: &[u8], csr: &Csr) -> Result<(), Refused> {
    if subject_of(current).as_deref() != Some(&csr.subject) {
        return Err(HttpResponse::text(403, "The subject is not that of your certificate.\n"));
    }
    if alternative_of(current) != csr.alternative {
        return Err(HttpResponse::text(403, "The alternative names are not those of your certificate.\n"));
    }
    Ok(())
}
