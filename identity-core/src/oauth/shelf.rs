//! The lent area in which tokens are kept: a few items one behind the other, and the rest free for the request being made.

use crate::Error;
use crate::x509::der::slide;
use zeroize::Zeroize;

/// What may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The endpoints of the authorization server, as [`super::endpoint::read_metadata`] writes them.
    Endpoints,
    /// The refresh token.
    Refresh,
    /// The device code (RFC 8628 §3.2), while a person is awaited.
    DeviceCode,
    /// What the person is shown: user code, URL, complete URL, separated by line feeds.
    UserCode,
    /// The access token of one want, by its index.
    Access(usize),
}

/// Access tokens that are kept at most.
pub(crate) const TOKENS_MAX: usize = 4;
const ITEMS: usize = 4 + TOKENS_MAX;

/// Lengths of the items, in their order.
pub(crate) struct Shelf {
    lengths: [usize; ITEMS],
}

impl Item {
    const fn index(self) -> usize {
        match self {
            Self::Endpoints => 0,
            Self::Refresh => 1,
            Self::DeviceCode => 2,
            Self::UserCode => 3,
            Self::Access(want) => 4_usize.saturating_add(want),
        }
    }
}

impl Shelf {
    pub(crate) const fn new() -> Self {
        Self { lengths: [0; ITEMS] }
    }

    /// Start and length of an item.
    fn span(&self, item: Item) -> (usize, usize) {
        let index = item.index();
        let start = self.lengths.iter().take(index).fold(0, |sum: usize, length| sum.saturating_add(*length));
        (start, self.lengths.get(index).copied().unwrap_or_default())
    }

    /// Octets of all items.
    pub(crate) fn used(&self) -> usize {
        self.lengths.iter().fold(0, |sum: usize, length| sum.saturating_add(*length))
    }

    /// The item; empty if it is not kept.
    pub(crate) fn get<'a>(&self, area: &'a [u8], item: Item) -> &'a [u8] {
        let (start, length) = self.span(item);
        area.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// The item as text; none if it is not kept.
    pub(crate) fn text<'a>(&self, area: &'a [u8], item: Item) -> Option<&'a str> {
        core::str::from_utf8(self.get(area, item)).ok().filter(|text| !text.is_empty())
    }

    /// The items, and what is free behind them.
    pub(crate) fn split<'a>(&self, area: &'a mut [u8]) -> (&'a [u8], &'a mut [u8]) {
        match area.split_at_mut_checked(self.used()) {
            Some((items, free)) => (items, free),
            None => (&[], &mut []),
        }
    }

    /// Replaces an item by what `write` puts into the free room lent to it; `write` gives the octets written. On an error
    /// the old item is gone, and [`Error::NoSpace`] tells the octets that the whole area must hold. The free room is wiped: the
    /// request that was there carried secrets.
    pub(crate) fn put(
        &mut self,
        area: &mut [u8],
        item: Item,
        write: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        self.remove(area, item);
        let (start, _) = self.span(item);
        let used = self.used();
        let free = area.get_mut(used..).unwrap_or_default();
        free.zeroize();
        let written = write(free).map_err(|error| error.behind(used))?.min(free.len());
        // turn [items after | new] into [new | items after]
        let turned = area.get_mut(start..used.saturating_add(written)).unwrap_or_default();
        rotate(turned, used.saturating_sub(start));
        if let Some(length) = self.lengths.get_mut(item.index()) {
            *length = written;
        }
        Ok(())
    }

    /// Forgets an item; its octets are overwritten.
    pub(crate) fn remove(&mut self, area: &mut [u8], item: Item) {
        let (start, length) = self.span(item);
        let used = self.used();
        if length == 0 {
            return;
        }
        let end = start.saturating_add(length);
        slide(area, end, start, used.saturating_sub(end));
        let left = used.saturating_sub(length);
        area.get_mut(left..used).unwrap_or_default().zeroize();
        if let Some(length) = self.lengths.get_mut(item.index()) {
            *length = 0;
        }
    }
}

/// Moves the first `by` octets behind the others.
fn rotate(octets: &mut [u8], by: usize) {
    // three reversals; `rotate_left` has an assertion
    let by = by.min(octets.len());
    if let Some((first, second)) = octets.split_at_mut_checked(by) {
        first.reverse();
        second.reverse();
    }
    octets.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(shelf: &mut Shelf, area: &mut [u8], item: Item, octets: &[u8]) -> Result<(), Error> {
        shelf.put(area, item, |room| {
            let place = room.get_mut(..octets.len());
            place.ok_or(Error::NoSpace { what: "x", wanted: octets.len() })?.copy_from_slice(octets);
            Ok(octets.len())
        })
    }

    #[test]
    fn items_are_replaced_and_forgotten_in_any_order() {
        let (mut shelf, mut area) = (Shelf::new(), [0; 16]);
        put(&mut shelf, &mut area, Item::Access(1), b"token").unwrap();
        put(&mut shelf, &mut area, Item::Endpoints, b"ends").unwrap();
        put(&mut shelf, &mut area, Item::Refresh, b"re").unwrap();
        assert_eq!(&area[..11], b"endsretoken");
        put(&mut shelf, &mut area, Item::Endpoints, b"e").unwrap();
        assert_eq!(shelf.get(&area, Item::Endpoints), b"e");
        assert_eq!(shelf.text(&area, Item::Access(1)), Some("token"));
        assert_eq!(shelf.get(&area, Item::Refresh), b"re");
        assert_eq!(shelf.text(&area, Item::UserCode), None);
        shelf.remove(&mut area, Item::Refresh);
        assert_eq!(shelf.get(&area, Item::Access(1)), b"token");
        assert_eq!((shelf.used(), &area[6..]), (6, &[0; 10][..]), "what was forgotten is overwritten");
        assert!(put(&mut shelf, &mut area, Item::Refresh, &[7; 11]).is_err());
        assert_eq!(shelf.get(&area, Item::Access(1)), b"token");
        assert_eq!(shelf.split(&mut area).1.len(), 10);
    }
}
