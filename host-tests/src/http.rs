//! HTTP/1.1 for the servers of the test bed: a request and a response as values, read from and written to any stream.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets of the largest request head and of the largest body accepted.
const HEAD_MAX: usize = 16 * 1024;
const BODY_MAX: usize = 256 * 1024;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// "GET", "POST".
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Body, transfer coding removed.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A GET without headers.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), ..Self::default() }
    }

    /// A POST with a Content-Type.
    #[must_use]
    pub fn post(path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".into(), content_type.into())];
        Self { method: "POST".into(), path: path.into(), headers, body: body.into() }
    }

    /// This request with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// First header field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// A response and how it is to be delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Header fields; the server adds Content-Length or Transfer-Encoding.
    pub headers: Vec<(String, String)>,
    /// Body, not transfer coded.
    pub body: Vec<u8>,
    /// How it goes over the wire. A test without wire may ignore this.
    pub delivery: Delivery,
}

impl HttpResponse {
    /// A response without body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A text for people.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self { status, body: text.into(), ..Self::default() }.with("Content-Type", "text/plain")
    }

    /// This response with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// First header field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// How a response is put on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// As the server is set up.
    #[default]
    Plain,
    /// With Content-Length.
    Length,
    /// Chunked, in pieces of so many octets.
    Chunked(usize),
    /// 2,000 header fields and one of 64 KiB before the body.
    AbsurdHeaders,
    /// So many header fields more.
    Fields(usize),
    /// A header field of so many octets more.
    LongField(usize),
    /// The connection ends within the head.
    CutHead,
    /// So much is announced in Content-Length, whatever the body is; the connection stays open.
    Announce(&'static str),
    /// Chunked, each chunk with this as its size line; the connection stays open.
    ChunkSize(&'static str),
    /// Chunks for ever, after the body.
    EndlessChunks,
    /// One octet at a time, so many milliseconds apart.
    Trickle(u64),
    /// The connection ends after so many octets of the body, which was announced in full.
    Cut(usize),
    /// Nothing at all: the connection stays open and silent.
    Silence,
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads the next request of a connection; none at its orderly end. `pending` keeps octets read too far.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    pending: &mut Vec<u8>,
) -> io::Result<Option<HttpRequest>> {
    let head = loop {
        if let Some(end) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            break pending.drain(..end + 4).collect::<Vec<u8>>();
        }
        if pending.len() > HEAD_MAX {
            return Err(invalid("request head too long"));
        }
        if more(stream, pending).await? == 0 {
            return if pending.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(&head).map_err(|error| invalid(&error.to_string()))?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut request = HttpRequest {
        method: parsed.method.unwrap_or_default().into(),
        path: parsed.path.unwrap_or_default().into(),
        headers: parsed.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect(),
        body: Vec::new(),
    };
    if request.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        request.body = read_chunked(stream, pending).await?;
    } else if let Some(length) = request.header("Content-Length") {
        let length = length.parse().map_err(|_| invalid("Content-Length"))?;
        request.body = take(stream, pending, length).await?;
    }
    Ok(Some(request))
}

async fn more(stream: &mut (impl AsyncRead + Unpin), pending: &mut Vec<u8>) -> io::Result<usize> {
    let mut block = [0; 4096];
    let count = stream.read(&mut block).await?;
    pending.extend_from_slice(&block[..count]);
    Ok(count)
}

async fn take(stream: &mut (impl AsyncRead + Unpin), pending: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_MAX {
        return Err(invalid("body too long"));
    }
    while pending.len() < length {
        if more(stream, pending).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(pending.drain(..length).collect())
}

async fn read_chunked(stream: &mut (impl AsyncRead + Unpin), pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        while !pending.contains(&b'\n') {
            if more(stream, pending).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (line, size) = match httparse::parse_chunk_size(pending) {
            Ok(httparse::Status::Complete(found)) => found,
            _ => return Err(invalid("chunk size")),
        };
        pending.drain(..line);
        let size = usize::try_from(size).map_err(|_| invalid("chunk size"))?;
        if size > BODY_MAX || body.len() + size > BODY_MAX {
            return Err(invalid("body too long"));
        }
        body.extend(take(stream, pending, size).await?);
        take(stream, pending, 2).await?; // CRLF after the data, and after a last chunk without trailers
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Writes a response. Gives false when the connection is to end.
pub(crate) async fn write_response(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &HttpResponse,
    plain: Delivery,
) -> io::Result<bool> {
    let delivery = if response.delivery == Delivery::Plain { plain } else { response.delivery };
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if delivery == Delivery::AbsurdHeaders {
        (0..2000).for_each(|number| head += &format!("X-Absurd-{number}: {number}\r\n"));
        head += &format!("X-Huge: {}\r\n", "a".repeat(64 * 1024));
    }
    match delivery {
        Delivery::Fields(count) => (0..count).for_each(|number| head += &format!("X-More-{number}: {number}\r\n")),
        Delivery::LongField(octets) => head += &format!("X-Long: {}\r\n", "a".repeat(octets)),
        _ => {}
    }
    let body = &response.body;
    let chunked = matches!(delivery, Delivery::Chunked(_) | Delivery::EndlessChunks | Delivery::ChunkSize(_));
    if let Delivery::Announce(length) = delivery {
        head += &format!("Content-Length: {length}\r\n\r\n");
    } else if chunked {
        head += "Transfer-Encoding: chunked\r\n\r\n";
    } else if response.status == 204 {
        head += "\r\n"; // RFC 9110 §8.6: no Content-Length with 204
    } else {
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
    }
    match delivery {
        Delivery::Silence => core::future::pending::<()>().await,
        Delivery::Chunked(size) => {
            let mut octets = head.into_bytes();
            for chunk in body.chunks(size.max(1)) {
                octets.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
            }
            octets.extend(b"0\r\n\r\n");
            stream.write_all(&octets).await?;
        }
        Delivery::EndlessChunks => {
            let first = format!("{head}{:x}\r\n", body.len().max(1));
            stream.write_all(first.as_bytes()).await?;
            stream.write_all(if body.is_empty() { b"A" } else { body }).await?;
            loop {
                stream.write_all(b"\r\n40\r\n").await?;
                stream.write_all(&[b'A'; 0x40]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Delivery::Trickle(milliseconds) => {
            for octet in head.bytes().chain(body.iter().copied()) {
                stream.write_all(&[octet]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
        }
        Delivery::Cut(after) => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body[..after.min(body.len())]).await?;
            stream.flush().await?;
            return Ok(false);
        }
        Delivery::CutHead => {
            stream.write_all(&head.as_bytes()[..head.len() / 2]).await?;
            stream.flush().await?;
            return Ok(false);
        }
        Delivery::ChunkSize(size) => {
            stream.write_all(format!("{head}{size}\r\n").as_bytes()).await?;
            stream.write_all(&[body, b"\r\n0\r\n\r\n".as_slice()].concat()).await?;
        }
        Delivery::Plain
        | Delivery::Length
        | Delivery::AbsurdHeaders
        | Delivery::Fields(_)
        | Delivery::LongField(_)
        | Delivery::Announce(_) => stream.write_all(&[head.as_bytes(), body].concat()).await?,
    }
    stream.flush().await?;
    Ok(true)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        415 => "Unsupported Media Type",
        503 => "Service Unavailable",
        _ => "Other",
    }
}
