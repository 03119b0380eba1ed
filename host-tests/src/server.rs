//! TLS servers on loopback: one thread each, ended when the handle is dropped.

use crate::ca::Identity;
use crate::events::{Event, Events};
use crate::http::{Delivery, HttpRequest, HttpResponse, read_request, write_response};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Gives wall time in Unix seconds; a test may move it.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Wall time of this machine.
#[must_use]
pub fn system_clock() -> WallClock {
    Arc::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Whether a server asks for a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It does not ask.
    None,
    /// It asks; the client may have none.
    Optional,
    /// It refuses the handshake without one.
    Required,
}

#[derive(Clone)]
struct At(WallClock);

impl core::fmt::Debug for At {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("At")
    }
}

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs((self.0)())))
    }
}

/// TLS 1.3 with `identity`, client certificates judged against `roots` at the time of `clock`.
///
/// # Panics
/// When the identity or a root cannot be used.
#[must_use]
pub fn tls_config(identity: &Identity, roots: &[&[u8]], clients: ClientAuth, clock: &WallClock) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(At(clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring knows TLS 1.3");
    let builder = if clients == ClientAuth::None {
        builder.with_no_client_auth()
    } else {
        let mut store = rustls::RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from(root.to_vec())).expect("a root certificate");
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
        let verifier = if clients == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
        builder.with_client_cert_verifier(verifier.build().expect("at least one root"))
    };
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::try_from(identity.key.pkcs8().to_vec()).expect("PKCS#8");
    Arc::new(builder.with_single_cert(chain, key).expect("a key that fits its certificate"))
}

/// Runs async code in a thread of its own until dropped, then drops every task with its sockets.
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts `main` in a thread called `name`.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[must_use]
    pub fn start<F: Future<Output = ()>>(name: &str, main: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! { () = main() => {}, _ = stopped => {} }
            });
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).expect("a thread");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A TCP listener on a free port of loopback.
///
/// # Panics
/// When loopback has no free port.
#[must_use]
pub fn loopback() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// What a server can do wrong before it speaks its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It takes the connection and says nothing.
    Mute,
    /// It takes the connection and ends it.
    Hangup,
    /// It ends the connection after the TLS handshake, in order.
    HangupAfterTls,
    /// It says nothing after the TLS handshake.
    MuteAfterTls,
}

/// The fault of a server's connections, if any; may be changed at any time. Clones are the same.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<Option<LineFault>>>);

impl Line {
    /// Misbehaves towards every connection from now on, or behaves again.
    pub fn set_fault(&self, fault: Option<LineFault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Option<LineFault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts TLS connections for ever and spawns `serve` with each and with the client's certificate.
/// `refused` hears why a handshake failed.
pub(crate) async fn accept_tls<F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    line: Line,
    serve: impl Fn(TlsStream<TcpStream>, Option<Vec<u8>>) -> F + Clone + Send + 'static,
    refused: impl Fn(String) + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
    let acceptor = TlsAcceptor::from(tls);
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let (acceptor, serve, refused) = (acceptor.clone(), serve.clone(), refused.clone());
        let fault = line.fault();
        tokio::spawn(async move {
            match fault {
                Some(LineFault::Hangup) => return,
                Some(LineFault::Mute) => return drain(socket).await,
                _ => {}
            }
            match acceptor.accept(socket).await {
                Ok(mut stream) => {
                    match fault {
                        Some(LineFault::HangupAfterTls) => return drop(stream.shutdown().await),
                        Some(LineFault::MuteAfterTls) => return drain(stream).await,
                        _ => {}
                    }
                    let chain = stream.get_ref().1.peer_certificates();
                    let client = chain.and_then(<[_]>::first).map(|certificate| certificate.to_vec());
                    serve(stream, client).await;
                }
                Err(error) => refused(error.to_string()),
            }
        });
    }
}

/// Takes what comes until the client goes.
async fn drain(mut stream: impl AsyncRead + Unpin) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Answers a request made with a client certificate (DER).
pub type Handler = Arc<Mutex<dyn FnMut(Option<&[u8]>, &HttpRequest) -> HttpResponse + Send>>;

/// An HTTPS server; ends when dropped.
pub struct HttpsServer {
    address: SocketAddr,
    line: Line,
    _background: Background,
}

impl HttpsServer {
    /// Starts on a free port of loopback. `framing` is how plain responses are delivered; `events` hears of failed
    /// handshakes.
    #[must_use]
    pub fn start(tls: Arc<ServerConfig>, framing: Delivery, events: Events, handler: Handler) -> Self {
        let (listener, address) = loopback();
        let serve = move |mut stream: TlsStream<TcpStream>, client: Option<Vec<u8>>| {
            let handler = handler.clone();
            async move {
                let mut pending = Vec::new();
                while let Ok(Some(request)) = read_request(&mut stream, &mut pending).await {
                    let response = match handler.lock() {
                        Ok(mut handle) => handle(client.as_deref(), &request),
                        Err(_) => HttpResponse::text(500, "The handler panicked.\n"),
                    };
                    let close = request.header("Connection").is_some_and(|wish| wish.eq_ignore_ascii_case("close"));
                    match write_response(&mut stream, &response, framing).await {
                        Ok(true) if !close => {}
                        Ok(true) => break,
                        _ => return, // a cut: no close_notify
                    }
                }
                let _ = stream.shutdown().await;
            }
        };
        let refused = move |why| events.push(Event::TlsRefused { server: "https", why });
        let line = Line::default();
        let shared = line.clone();
        let background = Background::start("https", move || accept_tls(listener, tls, shared, serve, refused));
        Self { address, line, _background: background }
    }

    /// Its connections, for their faults.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}
