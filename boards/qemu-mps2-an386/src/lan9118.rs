//! The Ethernet controller: SMSC LAN9118, 32-bit bus, driven by its "frame received" interrupt.

use core::task::Context;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;
use static_cell::ConstStaticCell;

/// Number of its interrupt.
pub(crate) const INTERRUPT: u16 = 13;

/// Octets of the largest frame, CRC included, in whole words.
const FRAME: usize = 1520;

/// Woken when a frame waits.
static WAKER: AtomicWaker = AtomicWaker::new();

/// Registers, as octets from the base; LAN9118 data sheet, table 5.1.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Register {
    RxData = 0x00,
    TxData = 0x20,
    RxStatus = 0x40,
    IrqCfg = 0x54,
    IntSts = 0x58,
    IntEn = 0x5c,
    ByteTest = 0x64,
    FifoInt = 0x68,
    RxCfg = 0x6c,
    TxCfg = 0x70,
    HwCfg = 0x74,
    RxFifoInf = 0x7c,
    TxFifoInf = 0x80,
    MacCsrCmd = 0xa4,
    MacCsrData = 0xa8,
}
use Register as R;

const BASE: usize = 0x4020_0000;

fn read(register: Register) -> u32 {
    // SAFETY: a register of the controller, aligned, on a bus that is always clocked.
    unsafe { ((BASE + register as usize) as *const u32).read_volatile() }
}

fn write(register: Register, value: u32) {
    // SAFETY: as in `read`; the controller reads and writes no memory of ours.
    unsafe { ((BASE + register as usize) as *mut u32).write_volatile(value) }
}

/// INT_EN: the receive status FIFO holds a frame.
const FRAME_RECEIVED: u32 = 1 << 3;

/// Registers of the MAC, reached through MAC_CSR_CMD.
mod mac {
    pub(super) const CONTROL: u32 = 1;
    pub(super) const ADDRESS_HIGH: u32 = 2;
    pub(super) const ADDRESS_LOW: u32 = 3;
    pub(super) const BUSY: u32 = 1 << 31;
    pub(super) const READ: u32 = 1 << 30;
    /// Full duplex, transmitter and receiver on.
    pub(super) const ON: u32 = 0x0010_000c;
}

fn mac(command: u32) {
    write(R::MacCsrCmd, mac::BUSY | command);
    while read(R::MacCsrCmd) & mac::BUSY != 0 {}
}

fn mac_read(index: u32) -> u32 {
    mac(mac::READ | index);
    read(R::MacCsrData)
}

fn mac_write(index: u32, value: u32) {
    write(R::MacCsrData, value);
    mac(index);
}

/// Called for its interrupt: silent until the driver has emptied the FIFO.
pub(crate) fn interrupt() {
    write(R::IntEn, 0);
    WAKER.wake();
}

#[derive(Clone, Copy)]
struct Line;

// SAFETY: the number of the interrupt on this board, and always the same.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        INTERRUPT
    }
}

/// The driver. One frame each way is buffered in RAM, the rest in the controller.
pub(crate) struct Lan9118 {
    address: [u8; 6],
    /// In a static: the driver is moved on its way into the network's task.
    frames: &'static mut Frames,
}

struct Frames {
    received: [u8; FRAME],
    to_send: [u8; FRAME],
}

impl Lan9118 {
    /// Resets the controller and starts it.
    ///
    /// # Panics
    /// When there is none, or when called twice.
    pub(crate) fn start() -> Self {
        static FRAMES: ConstStaticCell<Frames> =
            ConstStaticCell::new(Frames { received: [0; FRAME], to_send: [0; FRAME] });
        assert_eq!(read(R::ByteTest), 0x8765_4321, "no LAN9118: start QEMU with -nic user,model=lan9118");
        write(R::HwCfg, 1);
        // 5 KiB of FIFO for sending, the rest for receiving
        write(R::HwCfg, 0x0005_0000);
        write(R::TxCfg, 0xc002);
        write(R::RxCfg, 0);
        write(R::FifoInt, 0x4800_0000);
        write(R::IntSts, u32::MAX);
        write(R::IntEn, FRAME_RECEIVED);
        // enabled, active high, push-pull
        write(R::IrqCfg, 0x111);
        let (low, high) = (mac_read(mac::ADDRESS_LOW).to_le_bytes(), mac_read(mac::ADDRESS_HIGH).to_le_bytes());
        mac_write(mac::CONTROL, mac::ON);
        // SAFETY: the handler and this driver share nothing but the controller and an atomic waker.
        unsafe { NVIC::unmask(Line) };
        let address = [low[0], low[1], low[2], low[3], high[0], high[1]];
        Self { address, frames: FRAMES.take() }
    }
}

fn frame_waits() -> bool {
    read(R::RxFifoInf) & 0x00ff_0000 != 0
}

/// Room for the largest frame and its two command words.
fn room_to_send() -> bool {
    read(R::TxFifoInf) & 0xffff >= FRAME as u32 + 8
}

impl Driver for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, ToSend<'_>)> {
        if !frame_waits() {
            WAKER.register(context.waker());
            write(R::IntSts, u32::MAX);
            write(R::IntEn, FRAME_RECEIVED);
            // A frame that came before the interrupt was on raises none.
            if !frame_waits() {
                return None;
            }
        }
        let Frames { received, to_send } = &mut *self.frames;
        Some((Received(received), ToSend(to_send)))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<ToSend<'_>> {
        if room_to_send() {
            return Some(ToSend(&mut self.frames.to_send));
        }
        // The FIFO drains in microseconds: not worth an interrupt.
        context.waker().wake_by_ref();
        None
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        // what the receive FIFO of 10,560 octets holds
        capabilities.max_burst_size = Some(6);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A frame waits in the controller.
pub(crate) struct Received<'a>(&'a mut [u8; FRAME]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        let with_crc = (read(Register::RxStatus) >> 16 & 0x3fff) as usize;
        // Words that do not fit are read all the same, to empty the FIFO; no frame is that long.
        let mut words = self.0.chunks_exact_mut(4);
        for _ in 0..with_crc.div_ceil(4) {
            let word = read(Register::RxData).to_le_bytes();
            if let Some(into) = words.next() {
                into.copy_from_slice(&word);
            }
        }
        let length = with_crc.saturating_sub(4).min(FRAME);
        f(&mut self.0[..length])
    }
}

/// Room for one frame.
pub(crate) struct ToSend<'a>(&'a mut [u8; FRAME]);

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let result = f(&mut self.0[..length]);
        // first and last segment of a frame of `length` octets, twice
        write(Register::TxData, 0x3000 | length as u32);
        write(Register::TxData, length as u32);
        let words = self.0.chunks_exact(4).take(length.div_ceil(4));
        for word in words {
            write(Register::TxData, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        // throws away the status of what was sent
        write(Register::TxCfg, 0x8002);
        result
    }
}
