//! Who is connected to the broker, who subscribed to what, and what is retained.

use crate::broker::BrokerFault;
use crate::mqtt_wire::{Message, Outgoing};
use std::collections::HashMap;
use tokio::sync::mpsc::UnboundedSender;

/// A connected client.
pub(crate) struct Client {
    pub(crate) serial: u64,
    pub(crate) outbox: UnboundedSender<Outgoing>,
    pub(crate) filters: Vec<(String, u8)>,
}

/// Where messages go.
#[derive(Default)]
pub(crate) struct Router {
    pub(crate) clients: HashMap<String, Client>,
    retained: HashMap<String, Message>,
    pub(crate) serial: u64,
    pub(crate) fault: Option<BrokerFault>,
}

impl Router {
    pub(crate) fn publish(&mut self, message: &Message) {
        if message.retain && message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if message.retain {
            self.retained.insert(message.topic.clone(), message.clone());
        }
        for client in self.clients.values() {
            let granted = client.filters.iter().filter(|(filter, _)| rumqttc::matches(&message.topic, filter));
            if let Some(qos) = granted.map(|(_, qos)| *qos).max() {
                let message = Message { qos: qos.min(message.qos), retain: false, ..message.clone() };
                let _ = client.outbox.send(Outgoing::Publish { id: 1, message });
            }
        }
    }

    /// Subscribes a client and sends what is retained; none if the client is gone.
    pub(crate) fn subscribe(&mut self, client_id: &str, filter: String, qos: u8) -> Option<u8> {
        let kept: Vec<Message> =
            self.retained.values().filter(|message| rumqttc::matches(&message.topic, &filter)).cloned().collect();
        let client = self.clients.get_mut(client_id)?;
        for message in kept {
            let message = Message { qos: message.qos.min(qos), ..message };
            let _ = client.outbox.send(Outgoing::Publish { id: 1, message });
        }
        client.filters.retain(|(known, _)| *known != filter);
        client.filters.push((filter, qos));
        Some(qos)
    }
}
