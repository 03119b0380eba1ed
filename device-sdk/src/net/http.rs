//! HTTP/1.1 client (RFC 9112) on httparse: one request, its reply, in memory that the caller lends.
//!
//! No redirect is followed: a 3xx is a reply like any other and the core decides. So no credential ever travels to a host
//! other than the one it was meant for.

mod head;
mod request;
mod wire;

#[cfg(test)]
mod tests;

use identity_core::agent::step::{Nonce, Reply, Request};
use identity_core::time::Instant;
use zeroize::Zeroize;

use self::head::{Framing, Head};
use self::wire::Wire;
use crate::error::Error;
use crate::net::transport::Transport;

/// Interim replies (1xx, RFC 9110 §15.2) that are skipped before a server is taken for a broken one.
const INTERIM_MAX: usize = 8;

/// Wipes what is lent when it goes out of scope, however that comes about: heads carry credentials.
struct Wiped<'h>(&'h mut [u8]);

impl Drop for Wiped<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Sends `request` and reads its reply. The body goes to `into`, transfer coding removed; a DPoP-Nonce goes to `nonce`. Gives
/// the reply and whether the connection may carry another request.
///
/// The head of the request and then that of the reply live in `head`: 2,048 octets do for common servers; it is wiped at
/// the end. `until` bounds the whole exchange, however slowly octets trickle in.
///
/// A body that does not fit is an error if the status is 2xx. Else it is dropped (length 0, and the connection may not be
/// used again), because then the status is what matters and the body is often a page for people.
///
/// # Errors
/// [`Error::Core`] with `Misuse` if the request holds what HTTP cannot carry, with `NoSpace` if `head` or `into` is too
/// small, with `Malformed` if the reply breaks RFC 9112; [`Error::Closed`] if it is cut short; errors of the transport.
/// After an error the connection is of no more use.
pub async fn exchange<T: Transport>(
    transport: &mut T,
    request: &Request<'_>,
    into: &mut [u8],
    nonce: &mut Nonce,
    head: &mut [u8],
    until: Instant,
) -> Result<(Reply, bool), Error> {
    let head = Wiped(head);
    match request::write(request, head.0, true) {
        Ok(length) => {
            // A small body travels with its head: one record, one packet, no wait for an acknowledgement between them.
            let whole = length.saturating_add(request.body.len());
            let (sent, rest) = match head.0.get_mut(length..whole) {
                Some(room) => {
                    room.iter_mut().zip(request.body).for_each(|(to, from)| *to = *from);
                    (whole, &[][..])
                }
                None => (length, request.body),
            };
            transport.write_all(head.0.get(..sent).unwrap_or_default(), until).await?;
            if !rest.is_empty() {
                transport.write_all(rest, until).await?;
            }
        }
        // A token may be larger than the buffer: it goes out from where it lies.
        Err(identity_core::Error::NoSpace { .. }) if request::token(request).is_some() => {
            let length = request::write(request, head.0, false)?;
            transport.write_all(head.0.get(..length).unwrap_or_default(), until).await?;
            transport.write_all(request::token(request).unwrap_or_default().as_bytes(), until).await?;
            transport.write_all(request::END, until).await?;
            if !request.body.is_empty() {
                transport.write_all(request.body, until).await?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    head.0.zeroize();

    let mut wire = Wire::new(transport, head.0, until, request.purpose);
    let head = final_head(&mut wire, nonce).await?;
    let (length, fits) = match wire.body(head.framing, into).await {
        Ok(length) => (length, true),
        Err(Error::Core(identity_core::Error::NoSpace { what: wire::BODY, .. }))
            if !(200..300).contains(&head.status) =>
        {
            (0, false)
        }
        Err(error) => return Err(error),
    };
    // Octets after the end are no reply to anything that was asked.
    let again = head.persistent && head.framing != Framing::UntilClose && fits && wire.is_drained();
    let Head { status, media, retry_after, date, challenge, .. } = head;
    Ok((Reply { status, media, retry_after, date, challenge, length }, again))
}

/// The head of the final reply, after any interim ones.
async fn final_head<T: Transport>(wire: &mut Wire<'_, T>, nonce: &mut Nonce) -> Result<Head, Error> {
    for _ in 0..=INTERIM_MAX {
        let head = wire.head(nonce).await?;
        match head.status {
            101 => return Err(wire.malformed("status 101, but no other protocol was asked for")),
            100..200 => {}
            _ => return Ok(head),
        }
    }
    Err(wire.malformed("more than 8 interim (1xx) replies and no final one"))
}
