//! Watches a plant while a device lives: what the servers see and what the subscriber receives goes to the timeline.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::INTERRUPTED;
use crate::plant::Plant;
use crate::subscriber::Subscriber;
use crate::timeline::Timeline;

/// A plant being watched.
pub(super) struct Watch<'p> {
    plant: &'p Plant,
    subscriber: Subscriber,
    /// Events that were printed.
    seen: usize,
    /// Payloads that the subscriber received.
    pub(super) received: Vec<String>,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was lived to its end.
    Lived,
    /// Ctrl-C.
    Interrupted,
}

impl<'p> Watch<'p> {
    /// Subscribes to all devices.
    pub(super) fn new(plant: &'p Plant) -> Result<Self, String> {
        Ok(Self { plant, subscriber: plant.subscribe("devices/#")?, seen: 0, received: Vec::new() })
    }

    /// Watches until `ended` says how it ended; `each` is called between.
    pub(super) fn until(
        &mut self,
        mut ended: impl FnMut() -> Option<Result<(), String>>,
        mut each: impl FnMut(&Plant),
    ) -> Result<End, String> {
        loop {
            self.print(Duration::from_millis(50));
            if INTERRUPTED.load(Ordering::SeqCst) {
                Timeline::line("demo", "Ctrl-C: ended; the flash is as the device left it");
                return Ok(End::Interrupted);
            }
            each(self.plant);
            if let Some(outcome) = ended() {
                self.print(Duration::ZERO);
                return outcome.map(|()| End::Lived);
            }
        }
    }

    /// Waits for the messages that are still on their way.
    pub(super) fn expect(&mut self, messages: usize) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(5);
        while self.received.len() < messages {
            if Instant::now() > until {
                return Err(format!("the subscriber received {} of {messages} messages", self.received.len()));
            }
            self.print(Duration::from_millis(50));
        }
        Ok(())
    }

    fn print(&mut self, timeout: Duration) {
        for (_, event) in self.plant.events().after(self.seen, timeout) {
            self.seen += 1;
            Timeline::event(&event);
        }
        while let Some(message) = self.subscriber.receive(Duration::from_millis(1)) {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            Timeline::line("subscriber", &format!("received {text} on {}", message.topic));
            self.received.push(text);
        }
    }
}
