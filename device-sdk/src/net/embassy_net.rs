//! The network of a microcontroller: TCP, UDP and DNS of embassy-net, over IPv4.

use embassy_net::dns::{DnsQueryType, Error as DnsError};
use embassy_net::tcp::{ConnectError, State, TcpSocket};
use embassy_net::udp::{PacketMetadata, SendError, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use identity_core::agent::step::Cause;

use crate::ports::{Net, PortError};

/// Octets of the largest datagram that is sent or received.
pub const DATAGRAM_MAX: usize = 512;

/// How long to wait for the cable or radio and for an address.
const UP: Duration = Duration::from_secs(15);
/// How long to wait for the DNS server.
const RESOLVE: Duration = Duration::from_secs(15);
/// How long to wait for the peer to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long sent octets may stay unacknowledged before the connection counts as lost; longer than [`CONNECT`], so that
/// the stack never reports a connection that timed out as one that was refused.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How long the last connection may take to end in good order when the next one is wanted.
const LINGER: Duration = Duration::from_secs(1);
/// How long to wait for a reset to leave.
const RESET: Duration = Duration::from_millis(100);

/// Memory of one TCP socket (`RX` and `TX` octets of window) and one UDP socket, to be lent to an [`EmbassyNet`] for ever:
/// `static BUFFERS: ConstStaticCell<SocketBuffers<4096, 2048>> = ConstStaticCell::new(SocketBuffers::new())`.
pub struct SocketBuffers<const RX: usize, const TX: usize> {
    tcp_rx: [u8; RX],
    tcp_tx: [u8; TX],
    udp_rx: [u8; DATAGRAM_MAX],
    udp_tx: [u8; DATAGRAM_MAX],
    udp_rx_meta: [PacketMetadata; 4],
    udp_tx_meta: [PacketMetadata; 1],
}

impl<const RX: usize, const TX: usize> SocketBuffers<RX, TX> {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tcp_rx: [0; RX],
            tcp_tx: [0; TX],
            udp_rx: [0; DATAGRAM_MAX],
            udp_tx: [0; DATAGRAM_MAX],
            udp_rx_meta: [PacketMetadata::EMPTY; 4],
            udp_tx_meta: [PacketMetadata::EMPTY; 1],
        }
    }
}

impl<const RX: usize, const TX: usize> Default for SocketBuffers<RX, TX> {
    fn default() -> Self {
        Self::new()
    }
}

/// embassy-net as [`Net`], one connection at a time. Two of them over one stack serve two connections at once, as
/// [`Device::with_second_socket`](crate::Device::with_second_socket) wants.
///
/// It keeps its two sockets for good. A dropped stream is closed in good order by the stack's runner: octets already
/// written (an MQTT DISCONNECT, a TLS alert) and the FIN still go out. Only if that takes longer than a second when the
/// next connection is wanted, the old one is reset.
pub struct EmbassyNet {
    stack: Stack<'static>,
    tcp: TcpSocket<'static>,
    udp: UdpSocket<'static>,
}

impl EmbassyNet {
    /// Takes two sockets of the stack's `StackResources`; DNS takes one more and DHCP one: `StackResources<4>` for all, and
    /// `StackResources<6>` with a second one of these.
    ///
    /// # Panics
    /// If `StackResources` has no two sockets left.
    #[must_use]
    pub fn new<const RX: usize, const TX: usize>(
        stack: Stack<'static>,
        buffers: &'static mut SocketBuffers<RX, TX>,
    ) -> Self {
        let SocketBuffers { tcp_rx, tcp_tx, udp_rx, udp_tx, udp_rx_meta, udp_tx_meta } = buffers;
        Self {
            stack,
            tcp: TcpSocket::new(stack, tcp_rx, tcp_tx),
            udp: UdpSocket::new(stack, udp_rx_meta, udp_rx, udp_tx_meta, udp_tx),
        }
    }

    /// Waits for link and address, then resolves `host`: an IPv4 address in dotted decimal, or a name with an A record.
    async fn resolve(&self, host: &str, port: u16) -> Result<IpEndpoint, NetError> {
        with_timeout(UP, self.stack.wait_link_up()).await.map_err(|_| NetError::NoLink)?;
        with_timeout(UP, self.stack.wait_config_up()).await.map_err(|_| NetError::NoAddress)?;
        let asked = with_timeout(RESOLVE, self.stack.dns_query(host, DnsQueryType::A)).await;
        let addresses = asked.map_err(|_| NetError::NameNotFound)?.map_err(|error| match error {
            DnsError::InvalidName | DnsError::NameTooLong => NetError::NotAName,
            DnsError::Failed => NetError::NameNotFound,
        })?;
        let address = addresses.first().ok_or(NetError::NameNotFound)?;
        Ok(IpEndpoint::new(*address, port))
    }

    /// Sees the last connection off.
    async fn settle(&mut self) {
        let tcp = &mut self.tcp;
        tcp.close();
        let _ = with_timeout(LINGER, tcp.flush()).await;
        if !matches!(tcp.state(), State::Closed | State::TimeWait) {
            tcp.abort();
            let _ = with_timeout(RESET, tcp.flush()).await;
        }
    }
}

impl Net for EmbassyNet {
    type Error = NetError;
    type Stream<'a> = EmbassyStream<'a>;

    async fn connect<'a>(&'a mut self, host: &str, port: u16) -> Result<EmbassyStream<'a>, NetError> {
        let peer = self.resolve(host, port).await?;
        self.settle().await;
        self.tcp.set_timeout(Some(UNACKNOWLEDGED));
        self.tcp.set_nagle_enabled(false);
        // From here on a drop, also of this future, closes the socket.
        let stream = EmbassyStream { tcp: &mut self.tcp };
        match with_timeout(CONNECT, stream.tcp.connect(peer)).await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(ConnectError::NoRoute)) => Err(NetError::NoRoute),
            Ok(Err(_)) => Err(NetError::Refused),
            Err(_) => Err(NetError::TimedOut),
        }
    }

    /// At most [`DATAGRAM_MAX`] octets either way. Datagrams of other senders are dropped. Waits for ever if no reply comes.
    async fn datagram(&mut self, host: &str, port: u16, send: &[u8], into: &mut [u8]) -> Result<usize, NetError> {
        let peer = self.resolve(host, port).await?;
        // Closing empties it of what came too late for an earlier question; port 0 takes a fresh one.
        self.udp.close();
        self.udp.bind(0).map_err(|_| NetError::NoRoute)?;
        self.udp.send_to(send, peer).await.map_err(|error| match error {
            SendError::PacketTooLarge => NetError::TooLong,
            SendError::NoRoute | SendError::SocketNotBound => NetError::NoRoute,
        })?;
        let reply = loop {
            let reply = self.udp.recv_from_with(|octets, from| {
                (from.endpoint == peer).then(|| {
                    let room = into.get_mut(..octets.len()).ok_or(NetError::TooLong)?;
                    room.copy_from_slice(octets);
                    Ok(octets.len())
                })
            });
            if let Some(reply) = reply.await {
                break reply;
            }
        };
        self.udp.close();
        reply
    }
}

/// A TCP connection. Reads and writes are cancel-safe: a dropped one moved no octet. Dropping it closes the connection;
/// see [`EmbassyNet`].
pub struct EmbassyStream<'a> {
    tcp: &'a mut TcpSocket<'static>,
}

impl Drop for EmbassyStream<'_> {
    fn drop(&mut self) {
        self.tcp.close();
    }
}

impl ErrorType for EmbassyStream<'_> {
    type Error = NetError;
}

impl Read for EmbassyStream<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        self.tcp.read(into).await.map_err(|_| NetError::Lost)
    }
}

impl Write for EmbassyStream<'_> {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, NetError> {
        if octets.is_empty() {
            return Ok(0);
        }
        self.tcp.write(octets).await.map_err(|_| NetError::Lost)
    }

    /// Nothing to do: what was written is sent at once. Waiting for its acknowledgement here would stall each message for
    /// a round trip and the peer's delayed acknowledgement.
    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

/// Why the network does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NetError {
    /// The cable is out, or the radio is not associated.
    NoLink,
    /// No IPv4 address was configured.
    NoAddress,
    /// The address is of no use from here.
    NoRoute,
    /// The host is neither an IPv4 address nor a DNS name.
    NotAName,
    /// The DNS server knows no address of that name, or did not answer.
    NameNotFound,
    /// The peer refused the connection.
    Refused,
    /// The peer did not answer.
    TimedOut,
    /// The connection was reset, or the peer stopped acknowledging.
    Lost,
    /// A datagram is longer than [`DATAGRAM_MAX`] or than the buffer for it.
    TooLong,
}

impl PortError for NetError {
    fn cause(&self) -> Cause {
        if matches!(self, Self::NotAName | Self::TooLong) { Cause::Permanent } else { Cause::Transient }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoLink => "there is no link; check cable, switch port or Wi-Fi credentials",
            Self::NoAddress => "there is no IPv4 address; check the DHCP server or set a static address",
            Self::NoRoute => "the address cannot be reached from here; check host, port, netmask and gateway",
            Self::NotAName => "the host name is not one; check the configuration",
            Self::NameNotFound => "the host name has no address; check the name and the DNS server",
            Self::Refused => "nothing listens there; check host, port and that the server runs",
            Self::TimedOut => "the peer does not answer; check host, port, gateway and firewall",
            Self::Lost => "the connection was lost; the peer reset it or went silent",
            Self::TooLong => "the datagram does not fit its buffer",
        }
    }
}

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.hint())
    }
}

impl core::error::Error for NetError {}

impl embedded_io_async::Error for NetError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Lost => ErrorKind::ConnectionReset,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::NoLink | Self::NoAddress | Self::NoRoute => ErrorKind::NotConnected,
            Self::NotAName | Self::TooLong => ErrorKind::InvalidInput,
            Self::NameNotFound => ErrorKind::NotFound,
        }
    }
}
