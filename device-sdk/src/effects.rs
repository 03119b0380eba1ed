//! The steps of the agent that a board does by itself: flash and keys.

use identity_core::agent::step::{Cause, Failure, Outcome, Step};
use identity_core::error::Error as CoreError;
use identity_core::keys::Slot;
use identity_core::record::Record;

use crate::Error;
use crate::ports::{KeyStore, PortError, SEALED_MAX, Store};

/// Does one step. An exchange and idling are not for here, and leave [`Outcome::Done`].
pub(crate) async fn perform<K: KeyStore, S: Store>(step: Step<'_>, keys: &mut K, store: &mut S) -> Outcome {
    match local(step, keys, store).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(failure("this board", error)),
    }
}

async fn local<K: KeyStore, S: Store>(step: Step<'_>, keys: &mut K, store: &mut S) -> Result<Outcome, Error> {
    Ok(match step {
        Step::Load { record, into } => match store.load(record.number(), into).await.map_err(store_error)? {
            // what does not open any more is of no use: as if it were not there
            Some(length) if record.is_sealed() => match keys.open(record.number(), into, length) {
                Ok(length) => Outcome::Loaded(length),
                Err(error) => {
                    warn!("{}: {}", record.name(), error.hint());
                    Outcome::Absent
                }
            },
            Some(length) => Outcome::Loaded(length),
            None => Outcome::Absent,
        },
        Step::StoreSealed { record, octets, length } => {
            let length = keys.seal(record.number(), octets, length).map_err(key_error)?;
            let sealed = octets.get(..length).unwrap_or_default();
            store.store(record.number(), sealed).await.map_err(store_error)?;
            info!("stored sealed: {}, {} octets", record.name(), length);
            Outcome::Done
        }
        Step::Erase { record } => {
            store.erase(record.number()).await.map_err(store_error)?;
            info!("erased: {}", record.name());
            Outcome::Done
        }
        Step::Random { into } => {
            keys.random(into).map_err(key_error)?;
            Outcome::Done
        }
        Step::Store { record, bytes } => {
            store.store(record.number(), bytes).await.map_err(store_error)?;
            info!("stored: {}, {} octets", record.name(), bytes.len());
            Outcome::Done
        }
        Step::Public { slot, into } => match key(keys, store, slot).await? {
            true => match keys.public(slot).map_err(key_error)? {
                Some(public) => {
                    *into = public;
                    Outcome::Done
                }
                None => Outcome::Absent,
            },
            false => Outcome::Absent,
        },
        Step::Generate { slot, into } => {
            let mut sealed = [0; SEALED_MAX];
            let length = keys.generate(slot, into, &mut sealed).map_err(key_error)?;
            if length > 0 {
                let octets = sealed.get(..length).unwrap_or_default();
                if let Err(error) = store.store(Record::Key(slot).number(), octets).await {
                    // a key that would be lost at reset must not be found by a later look
                    keys.destroy(slot).map_err(key_error)?;
                    return Err(store_error(error));
                }
            }
            info!("key made in slot {}", slot.number());
            Outcome::Done
        }
        Step::Sign { slot, digest, into } => {
            if !key(keys, store, slot).await? {
                return Err(Error::Core(CoreError::Misuse("there is no key in that slot")));
            }
            *into = keys.sign(slot, digest).map_err(key_error)?;
            info!("signed with the key in slot {}", slot.number());
            Outcome::Done
        }
        Step::Destroy { slot } => {
            store.erase(Record::Key(slot).number()).await.map_err(store_error)?;
            keys.destroy(slot).map_err(key_error)?;
            info!("key destroyed in slot {}", slot.number());
            Outcome::Done
        }
        Step::Exchange { .. } | Step::Idle { .. } => Outcome::Done,
    })
}

/// Whether there is a key in `slot`, taken back from flash if need be. A sealed key that does not open is no key.
pub(crate) async fn key<K: KeyStore, S: Store>(keys: &mut K, store: &mut S, slot: Slot) -> Result<bool, Error> {
    if keys.public(slot).map_err(key_error)?.is_some() {
        return Ok(true);
    }
    let mut sealed = [0; SEALED_MAX];
    let Some(length) = store.load(Record::Key(slot).number(), &mut sealed).await.map_err(store_error)? else {
        return Ok(false);
    };
    let opens = keys.restore(slot, sealed.get(..length).unwrap_or_default()).map_err(key_error)?;
    if !opens {
        warn!("sealed key in slot {}: damaged, or sealed by another device; it counts as lost", slot.number());
    }
    Ok(opens)
}

fn store_error<E: PortError>(error: E) -> Error {
    Error::port("store", &error)
}

fn key_error<E: PortError>(error: E) -> Error {
    Error::port("keys", &error)
}

/// What the agent needs to know of an error.
pub(crate) fn failure(by: &'static str, error: Error) -> Failure {
    let (cause, problem) = match error {
        Error::Core(error) => return Failure { cause: Cause::Permanent, error },
        Error::Port { cause, hint, .. } => (cause, hint),
        Error::Timeout { .. } => (Cause::Transient, "no answer in time; check host, port and network"),
        Error::Closed { .. } => (Cause::Transient, "the peer closed the connection"),
        Error::Tls { what, .. } => (Cause::Transient, what),
        Error::Broker { hint, .. } => (Cause::Transient, hint),
        Error::Approval => (Cause::Transient, "a person has to approve the device"),
        Error::Due => (Cause::Transient, "a credential or the time is due for renewal"),
    };
    Failure { cause, error: CoreError::Unreachable { by, problem } }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::keys::std_entropy::StdEntropy;
    use crate::keys::{DeviceSecret, SoftwareKeys};
    use crate::store::MemStore;
    use identity_core::entropy::Rng;
    use identity_core::keys::PublicKey;

    #[test]
    fn a_key_that_flash_does_not_take_is_no_key() {
        let mut keys = SoftwareKeys::new(Rng::start(StdEntropy, b"").unwrap(), DeviceSecret::new([1; 32]));
        let mut full = MemStore::<0, 0>::default();
        let mut into = PublicKey::EMPTY;
        let step = Step::Generate { slot: Slot::A, into: &mut into };
        let outcome = embassy_futures::block_on(perform(step, &mut keys, &mut full));
        assert!(matches!(outcome, Outcome::Failed(Failure { cause: Cause::Permanent, .. })));
        assert_eq!(keys.public(Slot::A), Ok(None));
    }
}
