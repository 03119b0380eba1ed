//! DER in two small tools: a reader that gives parts of a slice, and a writer that fills a buffer from its end.
//!
//! Writing backwards means that the length of a value is known when its header is written, so nothing is computed twice.

/// Universal and context tags used in this crate.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8: u8 = 0x0c;
    pub(crate) const PRINTABLE: u8 = 0x13;
    pub(crate) const IA5: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// `[n]`, constructed.
    pub(crate) const fn context(n: u8) -> u8 {
        0xa0 | n
    }
    /// `[n]`, primitive.
    pub(crate) const fn context_primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// One tag, length and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    /// The identifier octet; high tag numbers are refused.
    pub(crate) tag: u8,
    /// Header and contents.
    pub(crate) whole: &'a [u8],
    /// Contents.
    pub(crate) value: &'a [u8],
}

/// Splits one TLV off the front: DER lengths only (definite, shortest form), below 16 MiB.
pub(crate) fn split(octets: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&tag, after_tag) = octets.split_first()?;
    let (&first, after_first) = after_tag.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, body) = match first {
        0..=0x7f => (usize::from(first), after_first),
        0x81..=0x83 => {
            let (digits, body) = after_first.split_at_checked(usize::from(first & 0x03))?;
            let length = digits.iter().fold(0usize, |sum, &digit| (sum << 8) | usize::from(digit));
            let shortest = digits.first().is_some_and(|&digit| digit != 0) && length > 0x7f;
            (shortest.then_some(length)?, body)
        }
        _ => return None,
    };
    let (value, rest) = body.split_at_checked(length)?;
    let whole = octets.get(..octets.len().checked_sub(rest.len())?)?;
    Some((Tlv { tag, whole, value }, rest))
}

/// Reads TLVs one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next TLV, whatever it is.
    pub(crate) fn any(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split(self.0)?;
        self.0 = rest;
        Some(tlv)
    }

    /// The next TLV if it has this tag; else nothing is consumed.
    pub(crate) fn take(&mut self, tag: u8) -> Option<Tlv<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.any()
    }

    /// The contents of the next TLV if it has this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.take(tag).map(|tlv| tlv.value)
    }

    /// A reader for the contents of the next TLV if it has this tag.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }

    /// The octets of a BIT STRING without unused bits.
    pub(crate) fn whole_bits(&mut self) -> Option<&'a [u8]> {
        match self.value(tag::BIT_STRING)?.split_first()? {
            (0, bits) => Some(bits),
            _ => None,
        }
    }

    /// BOOLEAN DEFAULT FALSE.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.take(tag::BOOLEAN) {
            Some(Tlv { value: [0xff], .. }) => Some(true),
            Some(Tlv { value: [0x00], .. }) => Some(false),
            Some(_) => None,
            None => Some(false),
        }
    }

    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Some` if everything was read.
    pub(crate) fn finish(self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

/// The contents of one TLV with this tag that fills `octets` exactly.
pub(crate) fn only(octets: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader(octets);
    let value = reader.value(tag)?;
    reader.finish()?;
    Some(value)
}

/// Octets of the longest header.
pub(crate) const MAX_HEADER: usize = 5;

/// Writes tag and length (below 16 MiB) to the start of `into` and gives the octets of this header.
pub(crate) fn header_of(tag: u8, length: usize, into: &mut [u8; MAX_HEADER]) -> usize {
    let [.., high, middle, low] = length.to_be_bytes();
    let (header, octets) = match length {
        0..=0x7f => ([tag, low, 0, 0, 0], 2),
        0x80..=0xff => ([tag, 0x81, low, 0, 0], 3),
        0x100..=0xffff => ([tag, 0x82, middle, low, 0], 4),
        _ => ([tag, 0x83, high, middle, low], 5),
    };
    *into = header;
    octets
}

/// Fills a buffer from its end. What does not fit is counted, so that the wanted size is known.
pub(crate) struct Backward<'a> {
    into: &'a mut [u8],
    used: usize,
}

impl<'a> Backward<'a> {
    /// A writer at the end of `into`.
    pub(crate) fn new(into: &'a mut [u8]) -> Self {
        Self { into, used: 0 }
    }

    /// Octets written so far, or wanted if they did not fit.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Puts octets before what was written.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let end = self.into.len().checked_sub(self.used);
        self.used = self.used.saturating_add(octets.len());
        let start = self.into.len().checked_sub(self.used);
        if let (Some(start), Some(end)) = (start, end)
            && let Some(place) = self.into.get_mut(start..end)
        {
            place.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        }
    }

    /// Puts a header before what was written since `mark` (an earlier [`used`](Self::used)).
    pub(crate) fn wrap(&mut self, tag: u8, mark: usize) {
        let length = self.used.saturating_sub(mark);
        let mut header = [0u8; MAX_HEADER];
        let length = header_of(tag, length, &mut header);
        self.push(header.get(..length).unwrap_or_default());
    }

    /// Puts one primitive TLV before what was written.
    pub(crate) fn primitive(&mut self, tag: u8, value: &[u8]) {
        let mark = self.used;
        self.push(value);
        self.wrap(tag, mark);
    }

    /// Puts a non-negative INTEGER, given big-endian, before what was written: shortest form.
    pub(crate) fn unsigned(&mut self, big_endian: &[u8]) {
        let mark = self.used;
        let zeros = big_endian.iter().take_while(|&&octet| octet == 0).count();
        let digits = big_endian.get(zeros..).unwrap_or_default();
        self.push(digits);
        if digits.first().is_none_or(|&first| first >= 0x80) {
            self.push(&[0]);
        }
        self.wrap(tag::INTEGER, mark);
    }
}

/// Moves `length` octets from offset `from` to offset `to`; the places may overlap. What lies outside is left alone.
pub(crate) fn slide(octets: &mut [u8], from: usize, to: usize, length: usize) {
    let copy = |octets: &mut [u8], i: usize| {
        if let Some(&octet) = octets.get(from.wrapping_add(i))
            && let Some(place) = octets.get_mut(to.wrapping_add(i))
        {
            *place = octet;
        }
    };
    if to <= from {
        (0..length).for_each(|i| copy(octets, i));
    } else {
        (0..length).rev().for_each(|i| copy(octets, i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shortest_definite_lengths_are_read() {
        for bad in [&[0x30][..], &[0x30, 0x80], &[0x30, 0x81, 0x7f], &[0x30, 0x82, 0, 0x80], &[0x30, 2, 1], &[0x1f, 0]]
        {
            assert!(split(bad).is_none(), "{bad:02x?}");
        }
        let (tlv, rest) = split(&[0x04, 2, 1, 2, 9]).unwrap();
        assert_eq!((tlv.tag, tlv.value, tlv.whole, rest), (4, &[1, 2][..], &[4, 2, 1, 2][..], &[9][..]));
    }

    #[test]
    fn what_is_written_is_read_back_at_every_length() {
        let mut buffer = std::vec![0u8; 70_000];
        for length in [0usize, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let mut writer = Backward::new(&mut buffer);
            writer.primitive(tag::OCTET_STRING, &std::vec![7; length]);
            let start = 70_000 - writer.used();
            assert_eq!(only(&buffer[start..], tag::OCTET_STRING).unwrap().len(), length);
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut writer = Backward::new(&mut []);
        writer.primitive(tag::OCTET_STRING, &[0; 200]);
        assert_eq!(writer.used(), 203);
    }

    #[test]
    fn integers_are_shortest() {
        for (value, wanted) in
            [(&[0u8, 0][..], &[2u8, 1, 0][..]), (&[0, 0x7f], &[2, 1, 0x7f]), (&[0x80], &[2, 2, 0, 0x80])]
        {
            let mut buffer = [0; 8];
            let mut writer = Backward::new(&mut buffer);
            writer.unsigned(value);
            let start = 8 - writer.used();
            assert_eq!(&buffer[start..], wanted);
        }
    }
}
