//! Writes JSON into a lent buffer.

use crate::error::Error;
use crate::wire::base64;
use crate::wire::base64url;

/// A writer that sets the commas itself. What does not fit is counted, so that one failed attempt tells the space wanted.
pub struct Writer<'b> {
    into: &'b mut [u8],
    used: usize,
    /// The octet written last: a comma is needed unless it opened something.
    last: u8,
}

impl<'b> Writer<'b> {
    /// Starts at the front of `into`.
    #[must_use]
    pub fn new(into: &'b mut [u8]) -> Self {
        Self { into, used: 0, last: b'{' }
    }

    /// Octets written, or wanted if that is more than was lent.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The octets written.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with `what` and the octets wanted.
    pub fn finish(self, what: &'static str) -> Result<&'b [u8], Error> {
        self.into.get(..self.used).ok_or(Error::NoSpace { what, wanted: self.used })
    }

    /// `{`, as a value of the document or of an array.
    pub fn open_object(&mut self) {
        self.comma();
        self.push(b'{');
    }

    /// `"name":{`
    pub fn object(&mut self, name: &str) {
        self.name(name);
        self.push(b'{');
    }

    /// `}`
    pub fn close_object(&mut self) {
        self.push(b'}');
    }

    /// `"name":[`
    pub fn array(&mut self, name: &str) {
        self.name(name);
        self.push(b'[');
    }

    /// `]`
    pub fn close_array(&mut self) {
        self.push(b']');
    }

    /// `"name":"value"`
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    /// `"name":value`
    pub fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let (mut digits, mut rest, mut count) = ([0; 20], value, 0_usize);
        for place in digits.iter_mut().rev() {
            *place = b'0'.wrapping_add((rest % 10) as u8);
            (rest, count) = (rest / 10, count.wrapping_add(1));
            if rest == 0 {
                break;
            }
        }
        self.extend(digits.into_iter().skip(20_usize.saturating_sub(count)));
    }

    /// `"name":true` or `"name":false`
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.extend(if value { "true" } else { "false" }.bytes());
    }

    /// `"name":"…"` with the base64url text of `octets`
    pub fn base64url(&mut self, name: &str, octets: &[u8]) {
        self.name(name);
        self.between_quotes(base64url::letters(octets));
    }

    /// Members or values that are JSON already, with commas between.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.extend(json.bytes());
    }

    /// `"value"`, as a value of an array.
    pub fn item(&mut self, value: &str) {
        self.comma();
        self.quoted(value);
    }

    /// `"…"` with the padded base64 text of `octets`, as a value of an array (`x5c`, RFC 7515 §4.1.6).
    pub fn item_base64(&mut self, octets: &[u8]) {
        self.comma();
        self.between_quotes(base64::letters(octets));
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.quoted(name);
        self.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        self.push(b'"');
        for octet in text.bytes() {
            match octet {
                b'"' | b'\\' => self.extend([b'\\', octet]),
                0..0x20 => {
                    let digit =
                        |n: u8| if n < 10 { b'0'.wrapping_add(n) } else { b'a'.wrapping_add(n.wrapping_sub(10)) };
                    self.extend([b'\\', b'u', b'0', b'0', digit(octet >> 4), digit(octet & 15)]);
                }
                _ => self.push(octet),
            }
        }
        self.push(b'"');
    }

    fn between_quotes(&mut self, letters: impl Iterator<Item = u8>) {
        self.push(b'"');
        self.extend(letters);
        self.push(b'"');
    }

    fn comma(&mut self) {
        if !matches!(self.last, b'{' | b'[' | b':') {
            self.push(b',');
        }
    }

    fn extend(&mut self, octets: impl IntoIterator<Item = u8>) {
        octets.into_iter().for_each(|octet| self.push(octet));
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.into.get_mut(self.used) {
            *place = octet;
        }
        (self.used, self.last) = (self.used.saturating_add(1), octet);
    }
}
