use std::vec::Vec;

use embassy_futures::block_on;
use identity_core::Error as CoreError;
use identity_core::agent::step::{Authorization, Challenge, Media, Method, Nonce, Reply, Request, RetryAfter};
use identity_core::config::Secret;
use identity_core::time::{Instant, Judge, UnixTime};
use identity_core::trust::Trust;

use super::exchange;
use crate::Error;
use crate::net::transport::Transport;

/// Gives `reply` piece by piece, then the end; keeps what was sent.
struct Script {
    reply: Vec<u8>,
    at: usize,
    piece: usize,
    sent: Vec<Vec<u8>>,
}

impl Script {
    fn new(reply: &[u8], piece: usize) -> Self {
        Self { reply: reply.to_vec(), at: 0, piece, sent: Vec::new() }
    }
}

impl Transport for Script {
    async fn readable(&mut self, _: Instant) -> Result<bool, Error> {
        Ok(true)
    }

    async fn read(&mut self, into: &mut [u8], _: Instant) -> Result<usize, Error> {
        assert!(!into.is_empty(), "a read without room cannot tell the end from nothing");
        let rest = &self.reply[self.at..];
        let length = rest.len().min(into.len()).min(self.piece);
        into[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }

    async fn write_all(&mut self, octets: &[u8], _: Instant) -> Result<(), Error> {
        self.sent.push(octets.to_vec());
        Ok(())
    }
}

fn get() -> Request<'static> {
    Request {
        proof: None,
        purpose: "test",
        method: Method::Get,
        host: "ca.example",
        port: 443,
        path: "/.well-known/est/cacerts",
        accept: "application/pkcs7-mime",
        content_type: "",
        base64: false,
        authorization: Authorization::None,
        body: b"",
        trust: Trust::Anchors(identity_core::trust::Anchors::default()),
        judge: Judge::Floor(UnixTime(0)),
        client: None,
    }
}

fn ask_with(reply: &[u8], piece: usize, space: usize) -> Result<(Reply, Vec<u8>, bool), Error> {
    let (mut into, mut head) = (std::vec![0; space], [0; 512]);
    let (reply, again) = block_on(exchange(
        &mut Script::new(reply, piece),
        &get(),
        &mut into,
        &mut Nonce::default(),
        &mut head,
        Instant(1000),
    ))?;
    assert_eq!(head, [0; 512], "the head is wiped");
    into.truncate(reply.length);
    Ok((reply, into, again))
}

/// The outcome of a reply, the same for pieces of every size.
fn ask(reply: &str) -> Result<(Reply, Vec<u8>, bool), Error> {
    let outcome = ask_with(reply.as_bytes(), 1, 64);
    for piece in [2, 3, 7, 4096] {
        assert_eq!(ask_with(reply.as_bytes(), piece, 64), outcome, "{reply:?} in pieces of {piece}");
    }
    outcome
}

fn ok(reply: &str) -> (u16, Vec<u8>, bool) {
    let (reply, body, again) = ask(reply).unwrap();
    (reply.status, body, again)
}

fn problem(reply: &str) -> &'static str {
    match ask(reply) {
        Err(Error::Core(CoreError::Malformed { what: "test", problem })) => problem,
        other => panic!("{reply:?} gave {other:?}"),
    }
}

fn sent(request: &Request<'_>, head: usize) -> Result<Vec<Vec<u8>>, Error> {
    let mut script = Script::new(b"HTTP/1.1 204 Nothing\r\n\r\n", 99);
    block_on(exchange(&mut script, request, &mut [], &mut Nonce::default(), &mut std::vec![0; head], Instant(1000)))?;
    Ok(script.sent)
}

#[test]
fn a_token_larger_than_the_buffer_goes_out_from_where_it_lies() {
    let token = "t".repeat(4096);
    for authorization in [Authorization::Bearer(Secret::new(&token)), Authorization::Dpop(Secret::new(&token))] {
        let request = Request { authorization, proof: Some("p"), ..get() };
        let sent = |head: usize| sent(&request, head).map(|parts| parts.concat());
        let small = sent(512).unwrap();
        assert_eq!(small, sent(8192).unwrap(), "the octets are the same however large the buffer is");
        let text = std::string::String::from_utf8(small).unwrap();
        assert!(text.contains(&token) && text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1);
        assert!(sent(64).is_err(), "the rest of the head does not fit");
    }
}

#[test]
fn heads_of_requests() {
    let agent = concat!("User-Agent: device-sdk/", env!("CARGO_PKG_VERSION"));
    let wanted = std::format!(
        "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: ca.example\r\n{agent}\r\nAccept: application/pkcs7-mime\r\n\r\n"
    );
    assert_eq!(sent(&get(), 512).unwrap(), [wanted.into_bytes()]);

    let post = Request {
        method: Method::Post,
        port: 8443,
        path: "/enrol?a=b",
        accept: "",
        content_type: "application/pkcs10",
        base64: true,
        authorization: Authorization::Basic { user: "Aladdin", password: Secret::new("open sesame") },
        body: &[b'x'; 300],
        ..get()
    };
    // The encoded credential is the example of RFC 7617 §2.
    let head = std::format!(
        "POST /enrol?a=b HTTP/1.1\r\nHost: ca.example:8443\r\n{agent}\r\nContent-Type: application/pkcs10\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Length: 300\r\n\
         Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
    );
    assert_eq!(sent(&post, 1024).unwrap(), [[head.as_bytes(), post.body].concat()], "in one piece");
    assert_eq!(sent(&post, head.len()).unwrap(), [head.as_bytes(), post.body], "in two");
    let short = Err(Error::Core(CoreError::NoSpace { what: "head of an HTTP request", wanted: head.len() }));
    for space in 0..head.len() {
        assert_eq!(sent(&post, space), short, "{space}");
    }

    let bearer = Request { authorization: Authorization::Bearer(Secret::new("a.b-c")), ..get() };
    let text = sent(&bearer, 512).unwrap().concat();
    assert!(text.ends_with(b"\r\nAuthorization: Bearer a.b-c\r\n\r\n"));
}

#[test]
fn what_would_break_out_of_its_place_is_refused_and_nothing_is_sent() {
    let secret = Secret::new;
    for bad in ["a\r\nX: y", "a\nb", "a\0b", "a b\x7f", "\u{e9}\r"] {
        let path = std::format!("/{bad}");
        for request in [
            Request { host: bad, ..get() },
            Request { path: &path, ..get() },
            Request { authorization: Authorization::Bearer(secret(bad)), ..get() },
            Request { authorization: Authorization::Basic { user: bad, password: secret("p") }, ..get() },
            Request { authorization: Authorization::Basic { user: "u", password: secret(bad) }, ..get() },
        ] {
            let mut script = Script::new(b"", 1);
            let outcome =
                block_on(exchange(&mut script, &request, &mut [], &mut Nonce::default(), &mut [0; 512], Instant(1000)));
            assert!(matches!(outcome, Err(Error::Core(CoreError::Misuse(_)))), "{outcome:?}");
            assert!(script.sent.is_empty());
        }
    }
    for request in [
        Request { host: "", ..get() },
        Request { host: "https://ca.example", ..get() },
        Request { host: "user@ca.example", ..get() },
        Request { path: "", ..get() },
        Request { path: "est", ..get() },
        Request { path: "/a b", ..get() },
        Request { path: "/a#b", ..get() },
        Request { body: b"x", ..get() },
        Request { authorization: Authorization::Basic { user: "a:b", password: secret("") }, ..get() },
        Request { authorization: Authorization::Bearer(secret("")), ..get() },
    ] {
        assert!(matches!(sent(&request, 512), Err(Error::Core(CoreError::Misuse(_)))));
    }
}

#[test]
fn fields_of_a_reply() {
    let (reply, _, _) = ask("HTTP/1.1 202 Accepted\r\nretry-after: 30\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Content-type: application/PKCS7-mime; smime-type=certs-only\r\ncontent-length: 0\r\n\r\n")
    .unwrap();
    assert_eq!(
        reply,
        Reply {
            challenge: Challenge::None,
            status: 202,
            media: Media::Pkcs7,
            retry_after: Some(RetryAfter::Seconds(30)),
            date: Some(UnixTime(784_111_777)),
            length: 0
        }
    );
    let (reply, _, _) =
        ask("HTTP/1.1 200 OK\r\nDate: today\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!((reply.media, reply.retry_after, reply.date), (Media::Absent, None, None));
}

#[test]
fn framings() {
    let body = |body: &str, again| (200, Vec::from(body), again);
    assert_eq!(ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), body("hello", true));
    assert_eq!(ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5, 05\r\n\r\nhello"), body("hello", true));
    assert_eq!(ok("HTTP/1.1 200 OK\r\n\r\nhello"), body("hello", false));
    assert_eq!(ok("HTTP/1.1 200\r\n\r\n"), body("", false));
    let chunked = |rest: &str| ok(&std::format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{rest}"));
    assert_eq!(chunked("5\r\nhello\r\n0\r\n\r\n"), body("hello", true));
    assert_eq!(
        chunked("2;a=\"b\"\r\nhe\r\n03 ; x\r\nllo\r\n000\r\nTrailer: x\r\nOther: y\r\n\r\n"),
        body("hello", true)
    );
    assert_eq!(chunked("A\r\n\r\n0\r\n\r\n67\n\r\n0;last\r\n\r\n"), body("\r\n0\r\n\r\n67\n", true));
    let none = |status| (status, Vec::new(), true);
    assert_eq!(ok("HTTP/1.1 204 No\r\n\r\n"), none(204));
    assert_eq!(ok("HTTP/1.1 304 Not\r\n\r\n"), none(304));
    assert_eq!(ok("HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"), none(302));
}

#[test]
fn whether_the_connection_lives_on() {
    let lives = |head: &str| ok(&std::format!("{head}\r\nContent-Length: 2\r\n\r\nok")).2;
    assert!(lives("HTTP/1.1 200 OK"));
    assert!(!lives("HTTP/1.1 200 OK\r\nConnection: x, Close"));
    assert!(!lives("HTTP/1.0 200 OK"));
    assert!(lives("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"));
    // A 204 that announces a body leaves it open whether octets follow.
    assert!(!ok("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n").2);
    // Octets behind the reply answer no question.
    assert!(!ask_with(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK", 999, 64).unwrap().2);
}

#[test]
fn interim_replies_are_skipped_but_not_for_ever() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(ok(&(interim.repeat(8) + last)), (200, b"ok".to_vec(), true));
    assert!(problem(&(interim.repeat(9) + last)).contains("interim"));
    assert!(problem("HTTP/1.1 101 Switching\r\n\r\n").contains("101"));
}

#[test]
fn replies_that_break_the_rules() {
    let head = |fields: &str| problem(&std::format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"));
    assert!(head("Content-Length: 5\r\nContent-Length: 6").contains("two values"));
    assert!(head("Content-Length: 5, 6").contains("two values"));
    for length in ["-1", "+5", "0x5", "5 5", "", "5,"] {
        assert!(head(&std::format!("Content-Length: {length}")).contains("not a number"), "{length}");
    }
    assert!(head("Content-Length: 5\r\nTransfer-Encoding: chunked").contains("smuggled"));
    assert!(head("Transfer-Encoding: gzip, chunked").contains("other than chunked"));
    assert!(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked").contains("other than chunked"));
    assert!(head("A: b\r\n folded").contains("forbids"));
    assert!(head("A : b").contains("forbids"));
    assert!(head("A: \0").contains("forbids"));
    assert!(head(&"A:b\r\n".repeat(33)).contains("32 header fields"));
    assert!(problem("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").contains("HTTP/1.0"));
    assert!(problem("HTTP/2.0 200 OK\r\n\r\n").contains("not HTTP/1.0"));
    assert!(problem("SSH-2.0-OpenSSH\r\n").contains("not HTTP/1.0"));
    assert!(problem("HTTP/1.1 2x0 OK\r\n\r\n").contains("three digits"));
    assert!(problem("HTTP/1.1 999 OK\r\n\r\n").contains("100 to 599"));
    let chunked = |rest: &str| problem(&std::format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"));
    for size in ["", "x", "-1", "5 5", "0x5", " 5"] {
        assert!(chunked(&std::format!("{size}\r\nhello\r\n0\r\n\r\n")).contains("chunk size"), "{size}");
    }
    assert!(chunked("4\r\nhello\r\n0\r\n\r\n").contains("longer than its size"));
    assert!(chunked(&(std::string::String::from("0\r\n") + &"A: b\r\n".repeat(33) + "\r\n")).contains("trailer"));
}

#[test]
fn memory_too_small_names_the_octets() {
    let space = |what, wanted| Err(Error::Core(CoreError::NoSpace { what, wanted }));
    let body = "body of an HTTP reply";
    let huge = std::format!("HTTP/1.1 200 OK\r\nContent-Length: {}9\r\n\r\n", usize::MAX);
    assert_eq!(ask(&huge), space(body, usize::MAX));
    let huge = std::format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n{:x}0\r\n", usize::MAX);
    assert_eq!(ask(&huge), space(body, usize::MAX));
    for (framing, sent, wanted) in [
        ("Content-Length: 65", "x".repeat(65), 65),
        ("Transfer-Encoding: chunked", std::format!("3c\r\n{}\r\n8\r\n12345678\r\n0\r\n\r\n", "x".repeat(60)), 68),
        ("A: b", "x".repeat(99), 65),
    ] {
        assert_eq!(ask(&std::format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{sent}")), space(body, wanted));
        // The page that comes with an error is no reason to hide the error.
        let dropped = (404, Vec::new(), false);
        assert_eq!(ok(&std::format!("HTTP/1.1 404 Not Found\r\n{framing}\r\n\r\n{sent}")), dropped);
    }
    assert_eq!(ok(&std::format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(64))).1.len(), 64, "it fits exactly");
    let long = std::format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(600));
    assert_eq!(ask(&long), space("head of an HTTP reply", 513));
    let long = std::format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\n", "x".repeat(600));
    assert_eq!(ask(&long), space("chunk extension or trailer of an HTTP reply", 513));
}

#[test]
fn a_cut_at_every_octet_is_told() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
    ] {
        for cut in 0..reply.len() {
            let during = match cut {
                0 => "the wait for an HTTP reply",
                _ if cut < reply.find("\r\n\r\n").unwrap() + 4 => "the head of an HTTP reply",
                _ => "body of an HTTP reply",
            };
            assert_eq!(ask(&reply[..cut]), Err(Error::Closed { during }), "{reply:?} cut at {cut}");
        }
        assert_eq!(ok(reply), (200, b"hello".to_vec(), true));
    }
}
