//! On a desktop: that both do the same, the memory it takes, and what a dropped receive loses.

mod broker;
mod cancel;
mod same;

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

/// Asks once; none if the future waits.
fn ask<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Asks once, then drops the future.
fn once<F: Future>(future: F) -> Option<F::Output> {
    ask(pin!(future))
}

/// A figure for the table of `cargo xtask mqtt-compare`: whose and which, and its text.
fn tell(which: &str, text: &str) {
    println!("figure {which}: {text}");
}
