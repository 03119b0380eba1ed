//! JSON of a peer, of any shape and with members nobody knows, read where it lies (RFC 8259).
//!
//! [`object`] checks the syntax of the whole document once; what it gives are views of the octets, which are `Copy` and look
//! members up when asked. Nothing is allocated, and nothing recurses.

mod syntax;
mod text;
mod write;

pub use text::{Number, Octets, Text};
pub use write::Writer;

use crate::error::Error;

/// Deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 16;

/// Most members of an object that [`Object::unique`] looks through: its work grows with their square.
pub const MAX_UNIQUE: usize = 64;

/// Reads a document that must be an object: UTF-8, and nothing but white space around it.
///
/// # Errors
/// [`Error::Malformed`] with `what` and the reason.
pub fn object<'a>(what: &'static str, document: &'a [u8]) -> Result<Object<'a>, Error> {
    let malformed = |problem| Error::Malformed { what, problem };
    if core::str::from_utf8(document).is_err() {
        return Err(malformed("not JSON: not UTF-8"));
    }
    let (value, after) = syntax::value(syntax::space(document)).map_err(malformed)?;
    if !syntax::space(after).is_empty() {
        return Err(malformed("not JSON: something follows the value"));
    }
    match Value::of(value) {
        Value::Object(object) => Ok(object),
        _ => Err(malformed("JSON, but not an object")),
    }
}

/// Any value. No `Debug`: it may hold a token.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `{…}`
    Object(Object<'a>),
    /// `[…]`
    Array(Array<'a>),
    /// `"…"`
    Text(Text<'a>),
    /// A number.
    Number(Number<'a>),
    /// `true`, `false`
    Bool(bool),
    /// `null`
    Null,
}

impl<'a> Value<'a> {
    /// The view of octets whose syntax was checked.
    fn of(octets: &'a [u8]) -> Self {
        match octets {
            [b'{', inside @ ..] => Self::Object(Object(inside)),
            [b'[', inside @ ..] => Self::Array(Array(inside)),
            [b'"', inside @ .., b'"'] => Self::Text(Text(inside)),
            [b't', ..] => Self::Bool(true),
            [b'f', ..] => Self::Bool(false),
            [b'n', ..] => Self::Null,
            _ => Self::Number(Number(octets)),
        }
    }
}

/// An object: the octets after its bracket.
#[derive(Clone, Copy)]
pub struct Object<'a>(&'a [u8]);

impl<'a> Object<'a> {
    /// Its members, in the order they are written.
    pub fn members(self) -> impl Iterator<Item = (Text<'a>, Value<'a>)> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (name, value) = syntax::name(separated(rest)).ok()?;
            let (value, after) = syntax::value(value).ok()?;
            rest = after;
            Some((Text(name), Value::of(value)))
        })
    }

    /// The value of a member, or none if there is no such member.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the member occurs twice: readers differ in which one they take (RFC 8259 §4).
    pub fn get(self, name: &'static str) -> Result<Option<Value<'a>>, Error> {
        let mut found = self.members().filter_map(|(member, value)| member.is(name).then_some(value));
        let value = found.next();
        match found.next() {
            None => Ok(value),
            Some(_) => Err(Error::Malformed { what: name, problem: "the member occurs twice in one JSON object" }),
        }
    }

    /// Checks that no member of the object itself occurs twice, and that there are at most [`MAX_UNIQUE`].
    ///
    /// # Errors
    /// [`Error::Malformed`] with `what` if that is not so.
    pub fn unique(self, what: &'static str) -> Result<(), Error> {
        let malformed = |problem| Err(Error::Malformed { what, problem });
        for (at, (name, _)) in self.members().enumerate() {
            if at == MAX_UNIQUE {
                return malformed("more than 64 members");
            }
            if self.members().take(at).any(|(earlier, _)| earlier.same(name)) {
                return malformed("a member occurs twice");
            }
        }
        Ok(())
    }

    /// A member that is text; none if it is absent or null.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is something else or occurs twice.
    pub fn text(self, name: &'static str) -> Result<Option<Text<'a>>, Error> {
        self.typed(name, "not a string", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The whole part of a member that is a number from 0 to 2^64 − 1; none if it is absent or null.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is something else, out of range or occurs twice.
    pub fn whole(self, name: &'static str) -> Result<Option<u64>, Error> {
        self.typed(name, "not a number from 0 to 2^64 - 1", |value| match value {
            Value::Number(number) => number.whole(),
            _ => None,
        })
    }

    /// A member that is true or false; none if it is absent or null.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is something else or occurs twice.
    pub fn boolean(self, name: &'static str) -> Result<Option<bool>, Error> {
        self.typed(name, "neither true nor false", |value| match value {
            Value::Bool(boolean) => Some(boolean),
            _ => None,
        })
    }

    /// A member that is an array; none if it is absent or null.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is something else or occurs twice.
    pub fn array(self, name: &'static str) -> Result<Option<Array<'a>>, Error> {
        self.typed(name, "not an array", |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })
    }

    /// A member that is an object; none if it is absent or null.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is something else or occurs twice.
    pub fn object(self, name: &'static str) -> Result<Option<Object<'a>>, Error> {
        self.typed(name, "not an object", |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })
    }

    fn typed<T>(
        self,
        name: &'static str,
        problem: &'static str,
        of: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.get(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => of(value).map(Some).ok_or(Error::Malformed { what: name, problem }),
        }
    }
}

/// An array: the octets after its bracket.
#[derive(Clone, Copy)]
pub struct Array<'a>(&'a [u8]);

impl<'a> Array<'a> {
    /// Its values, in order.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (value, after) = syntax::value(separated(rest)).ok()?;
            rest = after;
            Some(Value::of(value))
        })
    }

    /// Those of its values that are text.
    pub fn texts(self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        self.values().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }
}

/// What follows the comma, if there is one, and white space. The syntax was checked.
fn separated(octets: &[u8]) -> &[u8] {
    match syntax::space(octets) {
        [b',', rest @ ..] => syntax::space(rest),
        rest => rest,
    }
}

#[cfg(test)]
mod tests;
