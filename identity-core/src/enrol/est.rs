//! Enrolment over Secure Transport (RFC 7030, with the corrections of RFC 8951).

use super::{Context, Enrol, Next, Path, Stage};
use crate::Error;
use crate::agent::step::{Authorization, Media, Method, Reply, Request};
use crate::config::Secret;
use crate::trust::Trust;
use crate::wire::base64;
use crate::x509::csrattrs::CsrAttrs;
use crate::x509::der::slide;
use crate::x509::{cms, verify};
use core::fmt::Write;

/// How the first enrolment proves that this device may enrol. Renewal always presents the live certificate.
#[derive(Clone, Copy)]
pub enum Bootstrap {
    /// The certificate in [`crate::keys::Slot::Birth`], by TLS client authentication (RFC 7030 §3.3.2).
    BirthCertificate,
    /// User name and one-time secret, by HTTP basic authentication (RFC 7030 §3.2.3).
    Secret {
        /// User name; no colon.
        user: &'static str,
        /// The secret.
        password: Secret<'static>,
    },
    /// A bearer token (RFC 6750).
    Bearer(Secret<'static>),
    /// Nothing: the server decides by the CSR alone, such as by manual approval.
    Open,
}

/// An EST server.
#[derive(Clone, Copy)]
pub struct Est {
    /// Server name, as in its certificate.
    pub host: &'static str,
    /// TCP port; 443 by the standard.
    pub port: u16,
    /// The CA label in the path (RFC 7030 §3.2.2), if the server has several CAs: 1 to 64 octets.
    pub label: Option<&'static str>,
    /// How the first enrolment is authorised.
    pub bootstrap: Bootstrap,
    /// SHA-256 of the root CA's DER certificate, 32 octets: bootstraps trust in this server (RFC 7030 §4.1.1), also where
    /// `Config::anchors` has anchors for others.
    pub pinned: Option<[u8; 32]>,
}

/// Longest CA label, in octets.
const LABEL: usize = 64;

/// What a label must not be, or it would name an operation of the unlabelled CA. RFC 7030 §3.2.2.
const OPERATIONS: [&str; 6] = ["cacerts", "csrattrs", "fullcmc", "serverkeygen", "simpleenroll", "simplereenroll"];

/// Whether it is a path segment that needs no escape (RFC 3986 §2.3).
fn is_label(label: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    (1..=LABEL).contains(&label.len()) && label.bytes().all(plain) && !OPERATIONS.contains(&label)
}

/// CA certificates from a server not authenticated yet, to be held against the pinned fingerprint.
const PROVISIONAL: Stage = Stage(0);
const CACERTS: Stage = Stage(1);
const CSRATTRS: Stage = Stage(2);
const ENROLL: Stage = Stage(3);
const REENROLL: Stage = Stage(4);
/// CSR attributes from a server that wants to know who asks.
const CSRATTRS_AS: Stage = Stage(5);

impl Enrol for Est {
    fn start(&self, context: &Context<'_>) -> Result<Next, Error> {
        if !context.renewal && matches!(self.bootstrap, Bootstrap::BirthCertificate) && context.client.is_none() {
            return Err(Error::Misuse(
                "EST: bootstrap is BirthCertificate, but slot Birth holds no credential; provision one, or use a secret",
            ));
        }
        if !self.label.is_none_or(is_label) {
            return Err(Error::Misuse(
                "EST: label: 1 to 64 of A-Z a-z 0-9 - . _ ~ and no name of an operation (RFC 7030 section 3.2.2)",
            ));
        }
        if let Bootstrap::Secret { user, .. } = self.bootstrap
            && user.contains(':')
        {
            return Err(Error::Misuse("EST: the user name of the secret has a colon, which HTTP basic cannot carry"));
        }
        let fetched = !context.anchors.fetched.is_empty();
        match self.pinned {
            // before a first enrolment always: a cut may have left the pinned one alone, without those below it
            _ if fetched && !context.renewal => Ok(Next::Ask(CACERTS)),
            _ if fetched => Ok(Next::Ask(CSRATTRS)),
            Some(_) => Ok(Next::Ask(PROVISIONAL)),
            None if !context.anchors.is_empty() => Ok(Next::Ask(CACERTS)),
            None => Err(Error::Misuse(
                "EST: no trust anchor; set `Config::anchors`, or `pinned` to the SHA-256 of the root CA",
            )),
        }
    }

    fn request<'a>(&'a self, stage: Stage, context: &Context<'a>, path: &'a mut Path) -> Request<'a> {
        let (operation, purpose, accept) = match stage {
            PROVISIONAL | CACERTS => ("cacerts", "EST cacerts", "application/pkcs7-mime"),
            CSRATTRS | CSRATTRS_AS => ("csrattrs", "EST csrattrs", "application/csrattrs"),
            REENROLL => ("simplereenroll", "EST simplereenroll", "application/pkcs7-mime"),
            _ => ("simpleenroll", "EST simpleenroll", "application/pkcs7-mime"),
        };
        path.clear();
        let written = match self.label {
            Some(label) => write!(path, "/.well-known/est/{label}/{operation}"),
            None => write!(path, "/.well-known/est/{operation}"),
        };
        if written.is_err() {
            path.clear(); // not reached: start() checked the label
        }
        let enrolling = matches!(stage, ENROLL | REENROLL);
        let provisional = stage == PROVISIONAL;
        Request {
            purpose,
            method: if enrolling { Method::Post } else { Method::Get },
            host: self.host,
            port: self.port,
            path: path.as_str(),
            accept,
            content_type: if enrolling { "application/pkcs10" } else { "" },
            base64: enrolling,
            // a secret goes to the request that needs it, and never to an unproven server
            authorization: if matches!(stage, ENROLL | CSRATTRS_AS) { self.secret() } else { Authorization::None },
            proof: None,
            body: if enrolling { context.csr } else { &[] },
            trust: if provisional { Trust::Provisional } else { Trust::Anchors(context.anchors) },
            judge: context.judge,
            client: if provisional { None } else { context.client },
        }
    }

    fn reply(&self, stage: Stage, context: &Context<'_>, reply: &Reply, body: &mut [u8]) -> Result<Next, Error> {
        let by = match stage {
            PROVISIONAL | CACERTS => "EST cacerts",
            CSRATTRS | CSRATTRS_AS => "EST csrattrs",
            REENROLL => "EST simplereenroll",
            _ => "EST simpleenroll",
        };
        let length = reply.length;
        let enroll = if context.renewal { REENROLL } else { ENROLL };
        let refused = |code| Error::Refused { by, code, hint: hint(code) };
        match (stage, reply.status) {
            (PROVISIONAL, 200) => {
                let length = certificates(by, reply, body)?;
                let all = body.get(..length).unwrap_or_default();
                let pinned = self.pinned.as_ref().ok_or(Error::Misuse("EST: nothing is pinned"))?;
                let root = verify::find_pinned(all, pinned)?;
                // the other certificates came from a server that nothing vouches for: keep the pinned one alone
                let (start, length) = (root.as_ptr().addr().wrapping_sub(all.as_ptr().addr()), root.len());
                slide(body, start, 0, length);
                Ok(Next::Anchors { length, then: CACERTS })
            }
            (CACERTS, 200) => {
                let length = certificates(by, reply, body)?;
                verify::has_authority(body.get(..length).unwrap_or_default())?;
                Ok(Next::Anchors { length, then: CSRATTRS })
            }
            // RFC 8951 §3.4: attributes may be for authenticated clients alone. With nothing to show (RFC 7030 §3.2.3) the
            // enrolment itself finds out whether the device may enrol.
            (CSRATTRS, 401) if context.renewal || matches!(self.secret(), Authorization::None) => Ok(Next::Csr(enroll)),
            (CSRATTRS, 401) => Ok(Next::Ask(CSRATTRS_AS)),
            // §4.5.2: a server without CSR attributes may answer 204 or 404
            (CSRATTRS | CSRATTRS_AS, 204 | 404) => Ok(Next::Csr(enroll)),
            (CSRATTRS | CSRATTRS_AS, 200) => {
                if !matches!(reply.media, Media::CsrAttrs | Media::Absent) {
                    return Err(Error::Malformed { what: by, problem: "its Content-Type is not application/csrattrs" });
                }
                let length = base64::decode_body(by, body, length)?;
                CsrAttrs::parse(body.get(..length).unwrap_or_default())?.honour()?;
                Ok(Next::Csr(enroll))
            }
            (ENROLL | REENROLL, 200) => Ok(Next::Issued { length: certificates(by, reply, body)? }),
            (_, 202) => Ok(Next::Later { retry_after: reply.retry_after, stage, why: refused(202) }),
            // without a time to come back at it is a failure like any other, with longer and longer waits
            (_, code @ (429 | 503)) if reply.retry_after.is_some() => {
                Ok(Next::Later { retry_after: reply.retry_after, stage, why: refused(code) })
            }
            (_, code) => Err(refused(code)),
        }
    }

    fn wrap_csr(&self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        base64::encode_in_place(buffer, length)
    }
}

impl Est {
    /// What vouches for a first enrolment over HTTP, if anything does.
    const fn secret(&self) -> Authorization<'_> {
        match self.bootstrap {
            Bootstrap::Secret { user, password } => Authorization::Basic { user, password },
            Bootstrap::Bearer(token) => Authorization::Bearer(token),
            Bootstrap::BirthCertificate | Bootstrap::Open => Authorization::None,
        }
    }
}

/// Turns a certs-only reply into concatenated DER at the start of the body; its length.
fn certificates(by: &'static str, reply: &Reply, body: &mut [u8]) -> Result<usize, Error> {
    if reply.media != Media::Pkcs7 {
        return Err(Error::Malformed {
            what: by,
            problem: "its Content-Type is not application/pkcs7-mime; is this an EST server?",
        });
    }
    let length = base64::decode_body(by, body, reply.length)?;
    cms::unpack(body, length)
}

fn hint(code: u16) -> &'static str {
    match code {
        202 => "it has not decided yet; approve the request at the CA; the device asks again when the server said",
        429 | 503 => "it is busy; the device asks again when the server said, else with growing waits",
        301 | 302 | 303 | 307 | 308 => "it redirects; set `host`, `port` and `label` to the final server",
        400 => "it found the CSR wrong; compare subject and names with the CA's profile",
        401 => "it wants authentication; check the bootstrap secret, token or birth certificate",
        403 => "it knows this device and forbids it; check the device's registration at the CA",
        404 => "it has no such path; check `label` and that EST is enabled",
        408 => "it waited in vain for the request; it is asked again",
        500..=599 => "it failed; see the server's log",
        _ => "this status is not part of EST; check `host` and `port`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::step::Challenge;
    use crate::time::{Judge, UnixTime};
    use crate::trust::Anchors;

    const EST: Est = Est {
        host: "est.plant.example",
        port: 443,
        label: None,
        bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
        pinned: None,
    };
    /// An empty SEQUENCE: enough to be there.
    const SOME: &[u8] = &[0x30, 0];

    fn context(renewal: bool, anchors: Anchors<'_>) -> Context<'_> {
        Context { renewal, anchors, csr: &[], client: None, judge: Judge::Floor(UnixTime(0)) }
    }

    #[test]
    fn the_start_depends_on_who_is_trusted() {
        let none = Anchors::default();
        let configured = Anchors { configured: &[SOME], fetched: &[] };
        let fetched = Anchors { configured: &[], fetched: SOME };
        let pinned = Est { pinned: Some([0; 32]), ..EST };
        let start = |est: &Est, renewal, anchors| est.start(&context(renewal, anchors)).ok();
        assert!(matches!(EST.start(&context(false, none)), Err(Error::Misuse(text)) if text.contains("pinned")));
        assert_eq!(start(&pinned, false, none), Some(Next::Ask(PROVISIONAL)));
        assert_eq!(start(&EST, false, configured), Some(Next::Ask(CACERTS)));
        assert_eq!(
            start(&pinned, false, configured),
            Some(Next::Ask(PROVISIONAL)),
            "anchors of others do not lead here"
        );
        assert_eq!(
            start(&pinned, false, fetched),
            Some(Next::Ask(CACERTS)),
            "a cut may have left the pinned one alone"
        );
        assert_eq!(start(&pinned, true, fetched), Some(Next::Ask(CSRATTRS)));
        assert_eq!(start(&pinned, true, none), Some(Next::Ask(PROVISIONAL)), "they were lost");
    }

    #[test]
    fn a_configuration_that_cannot_work_is_named() {
        let longest = "abcdefghijklmnopqrstuvwxyz-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWX";
        let anchors = Anchors { configured: &[SOME], fetched: &[] };
        for label in [longest, "pumps", "1"] {
            let est = Est { label: Some(label), ..EST };
            est.start(&context(false, anchors)).unwrap();
            for stage in [PROVISIONAL, CACERTS, CSRATTRS, CSRATTRS_AS, ENROLL, REENROLL] {
                let mut path = Path::new();
                let request = est.request(stage, &context(false, anchors), &mut path);
                assert!(request.path.starts_with("/.well-known/est/") && request.path.contains(label));
            }
        }
        let longer = std::format!("{longest}Y").leak();
        for label in ["", "a/b", "../x", "my pumps", "a\r\nHost: evil", "pümpe", "cacerts", "simplereenroll", longer] {
            let refused = Est { label: Some(label), ..EST }.start(&context(false, anchors));
            assert!(matches!(refused, Err(Error::Misuse(text)) if text.contains("label")), "{label:?}");
        }
        let colon = Bootstrap::Secret { user: "a:b", password: Secret::new("once") };
        let refused = Est { bootstrap: colon, ..EST }.start(&context(false, anchors));
        assert!(matches!(refused, Err(Error::Misuse(text)) if text.contains("colon")));
        let refused = Est { bootstrap: Bootstrap::BirthCertificate, ..EST }.start(&context(false, anchors));
        assert!(matches!(refused, Err(Error::Misuse(text)) if text.contains("Birth")));
    }

    #[test]
    fn a_secret_is_shown_to_enrol_and_where_it_is_asked_for() {
        let anchors = Anchors { configured: &[SOME], fetched: &[] };
        let mut path = Path::new();
        for (stage, shown) in [
            (PROVISIONAL, false),
            (CACERTS, false),
            (CSRATTRS, false),
            (CSRATTRS_AS, true),
            (ENROLL, true),
            (REENROLL, false),
        ] {
            let request = EST.request(stage, &context(stage == REENROLL, anchors), &mut path);
            assert_eq!(matches!(request.authorization, Authorization::Basic { .. }), shown, "{stage:?}");
            assert_eq!(matches!(request.trust, Trust::Provisional), stage == PROVISIONAL);
        }
        let reply = Reply {
            status: 401,
            media: Media::Absent,
            retry_after: None,
            date: None,
            challenge: Challenge::None,
            length: 0,
        };
        let refused = EST.reply(CSRATTRS_AS, &context(false, anchors), &reply, &mut []);
        assert!(matches!(refused, Err(Error::Refused { code: 401, .. })), "asked once with it, not for ever");
        let passed_over = EST.reply(CSRATTRS, &context(true, anchors), &reply, &mut []);
        assert_eq!(passed_over, Ok(Next::Csr(REENROLL)), "never at renewal");
        let open = Est { bootstrap: Bootstrap::Open, ..EST };
        assert_eq!(open.reply(CSRATTRS, &context(false, anchors), &reply, &mut []), Ok(Next::Csr(ENROLL)));
    }

    #[test]
    fn every_status_has_a_next_step() {
        let anchors = Anchors { configured: &[SOME], fetched: &[] };
        for status in (0..=1000).chain([u16::MAX]) {
            for stage in [PROVISIONAL, CACERTS, CSRATTRS, CSRATTRS_AS, ENROLL, REENROLL, Stage(99)] {
                let reply = Reply {
                    status,
                    media: Media::Other,
                    retry_after: None,
                    date: None,
                    challenge: Challenge::None,
                    length: 0,
                };
                match EST.reply(stage, &context(false, anchors), &reply, &mut []) {
                    Ok(next) => assert!(matches!(status, 202 | 204 | 401 | 404), "{status} {stage:?} {next:?}"),
                    Err(Error::Refused { code, hint, .. }) => assert!(code == status && !hint.is_empty()),
                    Err(error) => assert_eq!(status, 200, "{stage:?} {error}"),
                }
            }
        }
    }
}
