//! One HTTPS request on loopback, blocking: for tests that stand where a person or an independent client would.

use crate::ca::Identity;
use crate::http::{HttpRequest, HttpResponse};
use crate::subscriber::client_config;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends `request` to `localhost:port` and closes the connection. The server's certificate must lead to `root`;
/// `identity` is shown if it asks for one.
///
/// # Errors
/// What TCP, TLS or HTTP said against it.
pub fn send(
    port: u16,
    root: &[u8],
    identity: Option<&Identity>,
    request: &HttpRequest,
) -> Result<HttpResponse, String> {
    exchange(port, root, identity, request).map_err(|error| error.to_string())
}

fn exchange(
    port: u16,
    root: &[u8],
    identity: Option<&Identity>,
    request: &HttpRequest,
) -> std::io::Result<HttpResponse> {
    let tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let config = client_config(root, identity);
    let mut tls = StreamOwned::new(ClientConnection::new(config, name).map_err(std::io::Error::other)?, tcp);
    let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost:{port}\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Connection: close\r\nContent-Length: {}\r\n\r\n", request.body.len());
    tls.write_all(&[head.as_bytes(), &request.body].concat())?;
    let mut octets = Vec::new();
    tls.read_to_end(&mut octets)?;
    read(&octets).ok_or_else(|| std::io::Error::other("not a response of HTTP/1.1"))
}

fn read(octets: &[u8]) -> Option<HttpResponse> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = parsed.parse(octets).ok()? else { return None };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut response = HttpResponse {
        status: parsed.code?,
        headers: parsed.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect(),
        ..HttpResponse::default()
    };
    let body = octets.get(head..)?;
    let chunked = response.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    response.body = match response.header("Content-Length") {
        _ if chunked => unchunked(body)?,
        Some(length) => body.get(..length.parse().ok()?)?.to_vec(),
        None if response.status == 204 => Vec::new(),
        None => return None,
    };
    Some(response)
}

fn unchunked(mut octets: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((line, size)) = httparse::parse_chunk_size(octets).ok()? else { return None };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(octets.get(line..line + size)?);
        octets = octets.get(line + size + 2..)?;
    }
}
