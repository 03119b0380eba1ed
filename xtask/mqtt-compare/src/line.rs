//! The stream below both clients.

use core::future::poll_fn;
use core::task::Poll;

/// Octets to and from a broker.
pub trait Line {
    /// Whether `take` has something.
    fn waiting(&self) -> bool;
    /// What arrived, as much as fits; how many octets.
    fn take(&mut self, into: &mut [u8]) -> usize;
    /// Sends.
    fn put(&mut self, octets: &[u8]);
}

impl<L: Line> Line for &mut L {
    fn waiting(&self) -> bool {
        (**self).waiting()
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        (**self).take(into)
    }

    fn put(&mut self, octets: &[u8]) {
        (**self).put(octets);
    }
}

/// Waits until something arrived: true; false when `late` says so first.
pub async fn arrived(line: &impl Line, late: impl Fn() -> bool) -> bool {
    poll_fn(|_| match line.waiting() {
        true => Poll::Ready(true),
        false if late() => Poll::Ready(false),
        false => Poll::Pending,
    })
    .await
}
