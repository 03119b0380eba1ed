//! Request bodies of type application/x-www-form-urlencoded (RFC 6749 appendix B), written into a lent buffer.

use crate::Error;

/// Content-Type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A form being written. What does not fit is counted, so that the error at the end can say how much was wanted.
pub struct Form<'b> {
    into: &'b mut [u8],
    length: usize,
}

impl<'b> Form<'b> {
    /// An empty form.
    pub const fn new(into: &'b mut [u8]) -> Self {
        Self { into, length: 0 }
    }

    /// Adds `name=value`, the value percent-encoded.
    pub fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        encode(value, |octet| self.put(octet));
        self
    }

    /// Adds the field if there is a value and it is not empty.
    pub fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) if !value.is_empty() => self.field(name, value),
            _ => self,
        }
    }

    /// Adds `name=`; its value, which needs no encoding, follows at the end of the form in the buffer.
    pub fn name(&mut self, name: &str) -> &mut Self {
        if self.length > 0 {
            self.put(b'&');
        }
        name.bytes().for_each(|octet| self.put(octet));
        self.put(b'=');
        self
    }

    /// Octets of the form.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with the octets wanted.
    pub fn finish(&self) -> Result<usize, Error> {
        if self.length > self.into.len() {
            return Err(Error::NoSpace { what: "a token request; `Memory`'s TOKENS", wanted: self.length });
        }
        Ok(self.length)
    }

    fn put(&mut self, octet: u8) {
        if let Some(place) = self.into.get_mut(self.length) {
            *place = octet;
        }
        self.length = self.length.saturating_add(1);
    }
}

/// Writes `text` form-encoded to the start of `into`; its length in octets, also if it does not fit.
pub fn encode_into(text: &str, into: &mut [u8]) -> usize {
    let mut length = 0_usize;
    encode(text, |octet| {
        if let Some(place) = into.get_mut(length) {
            *place = octet;
        }
        length = length.saturating_add(1);
    });
    length
}

/// Unreserved characters as they are, a space as `+`, all else as `%XX` of its UTF-8 octets.
fn encode(text: &str, mut put: impl FnMut(u8)) {
    let digit =
        |nibble: u8| if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'A'.wrapping_add(nibble.wrapping_sub(10)) };
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => put(octet),
            b' ' => put(b'+'),
            _ => [b'%', digit(octet >> 4), digit(octet & 15)].into_iter().for_each(&mut put),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_joined() {
        let mut buffer = [0; 128];
        let mut form = Form::new(&mut buffer);
        form.field("grant_type", "urn:x:y")
            .optional("scope", Some("a b"))
            .optional("resource", None)
            .field("k", "ä&=%");
        let length = form.finish().unwrap();
        assert_eq!(&buffer[..length], b"grant_type=urn%3Ax%3Ay&scope=a+b&k=%C3%A4%26%3D%25");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut buffer = [0; 8];
        let mut form = Form::new(&mut buffer);
        form.field("scope", "abc d");
        assert!(matches!(form.finish(), Err(Error::NoSpace { wanted: 11, .. })));
        assert_eq!(encode_into("a/b", &mut [0; 2]), 5);
    }
}
