//! A board whose flash, network and clocks fail as a test says: for the device against bad luck.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use device_sdk::Device;
use device_sdk::clock::std_clock::StdClock;
use device_sdk::entropy::Rng;
use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::keys::std_entropy::StdEntropy;
use device_sdk::net::std_net::{NetError, StdNet, StdStream};
use device_sdk::ports::{Clock, Net, Platform, PortError, Store};
use embedded_io_async::{ErrorType, Read, Write};
use identity_core::agent::step::Cause;
use identity_core::time::{Instant, UnixTime};

/// Everything around the device, for the test to look at and to turn.
#[derive(Default)]
pub struct World {
    /// What flash holds, by record.
    pub records: RefCell<BTreeMap<u8, Vec<u8>>>,
    /// Fails every store operation, and why.
    pub broken: Cell<Option<Cause>>,
    /// Connections opened so far.
    pub connections: Cell<usize>,
    /// Connections up to this number were closed by the peer.
    pub cut: Cell<usize>,
    /// Cuts all connections when this record is stored.
    pub cut_at: Cell<Option<u8>>,
    /// Octets, either way, after which the connection is cut.
    pub fuse: Cell<Option<usize>>,
    /// Octets that are sent at once, at most.
    pub piece: Cell<Option<usize>>,
    /// No TCP connection comes about.
    pub offline: Cell<bool>,
    /// What the time servers say, one after another; none: silence.
    pub times: RefCell<Vec<Option<u64>>>,
    /// Seconds by which the monotonic clock was moved forward.
    pub ahead: Cell<u64>,
    /// What the board's real-time clock says.
    pub wall: Cell<Option<u64>>,
    /// Waits take no time.
    pub instant: Cell<bool>,
}

/// Records of the world.
#[derive(Clone)]
pub struct Flash(pub Rc<World>);

/// Flash that the test broke.
#[derive(Debug)]
pub struct Broken(Cause);

impl PortError for Broken {
    fn cause(&self) -> Cause {
        self.0
    }

    fn hint(&self) -> &'static str {
        "broken for the test"
    }
}

impl Store for Flash {
    type Error = Broken;

    async fn load(&mut self, record: u8, into: &mut [u8]) -> Result<Option<usize>, Broken> {
        pause().await;
        if let Some(cause) = self.0.broken.get() {
            return Err(Broken(cause));
        }
        Ok(self.0.records.borrow().get(&record).map(|octets| {
            into[..octets.len()].copy_from_slice(octets);
            octets.len()
        }))
    }

    async fn store(&mut self, record: u8, octets: &[u8]) -> Result<(), Broken> {
        pause().await;
        if let Some(cause) = self.0.broken.get() {
            return Err(Broken(cause));
        }
        if self.0.cut_at.get() == Some(record) {
            self.0.cut.set(self.0.connections.get());
        }
        self.0.records.borrow_mut().insert(record, octets.to_vec());
        pause().await;
        Ok(())
    }

    async fn erase(&mut self, record: u8) -> Result<(), Broken> {
        pause().await;
        self.0.records.borrow_mut().remove(&record);
        Ok(())
    }
}

/// Gives way once, so that a driver can be dropped here.
pub async fn pause() {
    let mut first = true;
    poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// The network of the world.
pub struct Cable(Rc<World>);

/// A stream that ends when the test says so.
pub struct Severed {
    world: Rc<World>,
    number: usize,
    stream: StdStream,
}

impl Severed {
    fn is_cut(&self) -> bool {
        self.number <= self.world.cut.get()
    }

    fn burn(&self, octets: usize) {
        let Some(left) = self.world.fuse.get() else { return };
        if left <= octets {
            self.world.cut.set(self.number);
        }
        self.world.fuse.set(left.checked_sub(octets).filter(|left| *left > 0));
    }
}

impl ErrorType for Severed {
    type Error = NetError;
}

impl Read for Severed {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        if self.is_cut() {
            return Ok(0);
        }
        let read = self.stream.read(into).await?;
        self.burn(read);
        Ok(read)
    }
}

impl Write for Severed {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, NetError> {
        pause().await;
        let some = &octets[..octets.len().min(self.world.piece.get().unwrap_or(usize::MAX))];
        if self.is_cut() {
            return Ok(octets.len());
        }
        let written = self.stream.write(some).await?;
        self.burn(written);
        Ok(written)
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        self.stream.flush().await
    }
}

impl Net for Cable {
    type Error = NetError;
    type Stream<'a> = Severed;

    async fn connect(&mut self, host: &str, port: u16) -> Result<Severed, NetError> {
        if self.0.offline.get() {
            return Err(NetError(std::io::ErrorKind::ConnectionRefused));
        }
        let stream = StdNet.connect(host, port).await?;
        self.0.connections.set(self.0.connections.get() + 1);
        Ok(Severed { world: self.0.clone(), number: self.0.connections.get(), stream })
    }

    async fn datagram(&mut self, _: &str, _: u16, send: &[u8], into: &mut [u8]) -> Result<usize, NetError> {
        let mut times = self.0.times.borrow_mut();
        let answer = if times.is_empty() { None } else { times.remove(0) };
        let Some(unix) = answer else { return Err(NetError(std::io::ErrorKind::ConnectionRefused)) };
        into[..48].fill(0);
        (into[0], into[1]) = (0x24, 2);
        into[24..32].copy_from_slice(&send[40..48]);
        into[40..44].copy_from_slice(&u32::try_from(unix + 2_208_988_800).expect("before 2036").to_be_bytes());
        Ok(48)
    }
}

/// The clocks of the world.
pub struct Ticks(Rc<World>, StdClock);

impl Clock for Ticks {
    fn now(&self) -> Instant {
        self.1.now().after_seconds(self.0.ahead.get())
    }

    async fn sleep_until(&self, until: Instant) {
        if self.0.instant.get() {
            pause().await;
            let late = until.0.saturating_sub(self.now().0).div_ceil(1000);
            self.0.ahead.set(self.0.ahead.get() + late);
            return;
        }
        self.1.sleep_until(Instant(until.0.saturating_sub(self.0.ahead.get() * 1000))).await;
    }

    fn wall(&self) -> Option<UnixTime> {
        self.0.wall.get().map(UnixTime)
    }
}

/// A board on which everything but the keys can be made to fail.
pub type Board<S = Flash> = Platform<SoftwareKeys<StdEntropy>, S, Cable, Ticks>;

/// A device on it.
pub type Unlucky<'m, S = Flash> = Device<'m, SoftwareKeys<StdEntropy>, S, Cable, Ticks>;

/// A board that is switched on: RAM is empty, flash is as it was.
#[must_use]
pub fn board(world: &Rc<World>) -> Board {
    board_with(world, Flash(world.clone()))
}

/// The same with another store.
///
/// # Panics
/// When the operating system's entropy fails its tests.
pub fn board_with<S: Store>(world: &Rc<World>, store: S) -> Board<S> {
    Platform {
        keys: SoftwareKeys::new(Rng::start(StdEntropy, b"test").expect("entropy"), DeviceSecret::new([7; 32])),
        store,
        net: Cable(world.clone()),
        clock: Ticks(world.clone(), StdClock::new()),
    }
}

/// Polls `work` at most `times` times, then drops it.
pub async fn at_most<T>(times: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = times;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
