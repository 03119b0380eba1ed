//! The network of a desktop: TCP and UDP of the operating system on async-io.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::string::String;
use std::vec::Vec;

use async_io::Async;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use identity_core::agent::step::Cause;

use crate::ports::{Net, PortError};

/// TCP and UDP of the operating system, IPv4 and IPv6; names are resolved on a thread beside the executor.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdNet;

/// What the operating system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetError(pub io::ErrorKind);

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.hint())
    }
}

impl core::error::Error for NetError {}

impl From<io::Error> for NetError {
    fn from(error: io::Error) -> Self {
        Self(error.kind())
    }
}

impl PortError for NetError {
    fn cause(&self) -> Cause {
        match self.0 {
            io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied => Cause::Permanent,
            _ => Cause::Transient,
        }
    }

    fn hint(&self) -> &'static str {
        match self.0 {
            io::ErrorKind::ConnectionRefused => "nothing listens there; check host, port and that the server runs",
            io::ErrorKind::NotFound => "the host name has no address; check the name and DNS",
            io::ErrorKind::InvalidInput => "the host name is not one; check the configuration",
            io::ErrorKind::PermissionDenied => "the system forbids it; check firewall and sandbox",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the peer closed the connection",
            _ => "the network failed; check host, port and cable",
        }
    }
}

impl embedded_io_async::Error for NetError {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            io::ErrorKind::ConnectionRefused => ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset => ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted => ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
            io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        }
    }
}

/// A TCP connection. Reads and writes are cancel-safe: a dropped one moved no octet.
#[derive(Debug)]
pub struct StdStream(Async<TcpStream>);

impl ErrorType for StdStream {
    type Error = NetError;
}

impl Read for StdStream {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        Ok(AsyncReadExt::read(&mut self.0, into).await?)
    }
}

impl Write for StdStream {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, NetError> {
        Ok(AsyncWriteExt::write(&mut self.0, octets).await?)
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(AsyncWriteExt::flush(&mut self.0).await?)
    }
}

/// All addresses of `host`. An address in digits is taken as it is; a name is asked for on a thread of its own, which
/// outlives a dropped future harmlessly.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(ip) = host.parse() {
        return Ok(Vec::from([SocketAddr::new(ip, port)]));
    }
    let host = String::from(host);
    let answer = blocking(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    // getaddrinfo says "no such name" as an uncategorized error.
    let addresses = answer.await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => NetError(io::ErrorKind::InvalidInput),
        _ => NetError(io::ErrorKind::NotFound),
    })?;
    if addresses.is_empty() { Err(NetError(io::ErrorKind::NotFound)) } else { Ok(addresses) }
}

/// Runs `work` on a thread that wakes us when it is done; no thread pool for the rare name.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Waker};
    type Shared<T> = (Option<io::Result<T>>, Option<Waker>);
    let shared: Arc<Mutex<Shared<T>>> = Arc::new(Mutex::new((None, None)));
    let theirs = Arc::clone(&shared);
    std::thread::Builder::new().name("resolver".into()).spawn(move || {
        let result = work();
        if let Ok(mut shared) = theirs.lock() {
            shared.0 = Some(result);
            if let Some(waker) = shared.1.take() {
                waker.wake();
            }
        }
    })?;
    core::future::poll_fn(move |context| {
        let Ok(mut shared) = shared.lock() else { return Poll::Ready(Err(io::ErrorKind::Other.into())) };
        match shared.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                shared.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

impl Net for StdNet {
    type Error = NetError;
    type Stream<'a> = StdStream;

    async fn connect(&mut self, host: &str, port: u16) -> Result<StdStream, NetError> {
        let mut last = NetError(io::ErrorKind::NotFound);
        for address in resolve(host, port).await? {
            match Async::<TcpStream>::connect(address).await {
                Ok(stream) => {
                    stream.get_ref().set_nodelay(true)?;
                    return Ok(StdStream(stream));
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn datagram(&mut self, host: &str, port: u16, send: &[u8], into: &mut [u8]) -> Result<usize, NetError> {
        let mut last = NetError(io::ErrorKind::NotFound);
        for address in resolve(host, port).await? {
            let local: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
            let asked = async {
                let socket = Async::<UdpSocket>::bind(local)?;
                // A connected socket takes datagrams of that address only.
                socket.get_ref().connect(address)?;
                socket.send(send).await?;
                socket.recv(into).await
            };
            match asked.await {
                Ok(length) => return Ok(length),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::std_clock::{StdClock, block_on};
    use crate::net::transport::{Plain, Transport};
    use crate::ports::Clock;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn connects_by_name_and_by_address_and_echoes() {
        for host in ["127.0.0.1", "localhost"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let peer = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = [0; 5];
                stream.read_exact(&mut got).unwrap();
                stream.write_all(&got).unwrap();
            });
            let clock = StdClock::new();
            block_on(async {
                let mut net = StdNet;
                let mut stream = Plain::new(net.connect(host, port).await.unwrap(), &clock);
                // A wait that ends early takes nothing.
                assert_eq!(stream.readable(clock.now().after_ms(20)).await, Ok(false));
                let until = clock.now().after_seconds(5);
                stream.write_all(b"hello", until).await.unwrap();
                assert_eq!(stream.readable(until).await, Ok(true));
                let (mut got, mut have) = ([0; 8], 0);
                loop {
                    match stream.read(&mut got[have..], until).await.unwrap() {
                        0 => break,
                        n => have += n,
                    }
                }
                assert_eq!(&got[..have], b"hello");
            });
            peer.join().unwrap();
        }
    }

    #[test]
    fn a_refusal_says_so() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = block_on(StdNet.connect("127.0.0.1", port)).unwrap_err();
        assert_eq!(error, NetError(io::ErrorKind::ConnectionRefused));
        assert_eq!(error.cause(), Cause::Transient);
    }

    #[test]
    fn a_silent_peer_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = StdClock::new();
        let result = block_on(async {
            let mut net = StdNet;
            let mut stream = Plain::new(net.connect("127.0.0.1", port).await.unwrap(), &clock);
            stream.read(&mut [0; 4], clock.now().after_ms(30)).await
        });
        assert!(matches!(result, Err(crate::Error::Timeout { .. })), "{result:?}");
    }

    #[test]
    fn a_datagram_is_answered() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let peer = thread::spawn(move || {
            let mut got = [0; 16];
            let (n, from) = server.recv_from(&mut got).unwrap();
            got[..n].reverse();
            server.send_to(&got[..n], from).unwrap();
        });
        let mut into = [0; 16];
        let n = block_on(StdNet.datagram("127.0.0.1", port, b"abc", &mut into)).unwrap();
        assert_eq!(&into[..n], b"cba");
        peer.join().unwrap();
    }
}
