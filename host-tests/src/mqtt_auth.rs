//! The AUTH packet of MQTT 5 (§3.15). Written here, because rumqttc 0.25.1 miscounts the length of its properties.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Reason codes (§3.15.2.1).
pub(crate) const SUCCESS: u8 = 0x00;
pub(crate) const RE_AUTHENTICATE: u8 = 0x19;

/// AUTH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Auth {
    pub(crate) reason: u8,
    pub(crate) method: Option<String>,
    pub(crate) data: Option<Bytes>,
}

/// Takes an AUTH packet out of `octets`, which begins with one; none if it is not whole yet.
pub(crate) fn read(octets: &mut BytesMut) -> Result<Option<Auth>, String> {
    if octets.first() != Some(&0xF0) {
        return Err("AUTH with flags".into());
    }
    let Some((length, size)) = variable(&octets[1..])? else { return Ok(None) };
    if octets.len() < 1 + size + length {
        return Ok(None);
    }
    octets.advance(1 + size);
    let mut packet = octets.split_to(length).freeze();
    if packet.is_empty() {
        return Ok(Some(Auth::default())); // §3.15.2.1: Success, without properties
    }
    let mut auth = Auth { reason: packet.get_u8(), ..Auth::default() };
    if packet.is_empty() {
        return Ok(Some(auth));
    }
    let Some((length, size)) = variable(&packet)? else { return Err("property length".into()) };
    packet.advance(size);
    if packet.len() != length {
        return Err("the properties of AUTH do not fill it".into());
    }
    while packet.has_remaining() {
        match packet.get_u8() {
            0x15 if auth.method.is_none() => auth.method = Some(text(&mut packet)?),
            0x16 if auth.data.is_none() => auth.data = Some(binary(&mut packet)?),
            0x1F => drop(text(&mut packet)?),
            0x26 => drop((text(&mut packet)?, text(&mut packet)?)),
            other => return Err(format!("property 0x{other:02X} twice or out of place in AUTH")),
        }
    }
    if auth.method.is_none() {
        return Err("AUTH without authentication method".into()); // §3.15.2.2.2
    }
    Ok(Some(auth))
}

/// Octets of an AUTH packet.
pub(crate) fn write(auth: &Auth) -> BytesMut {
    let mut properties = BytesMut::new();
    if let Some(method) = &auth.method {
        properties.put_u8(0x15);
        properties.put_u16(method.len() as u16);
        properties.put_slice(method.as_bytes());
    }
    if let Some(data) = &auth.data {
        properties.put_u8(0x16);
        properties.put_u16(data.len() as u16);
        properties.put_slice(data);
    }
    let mut rest = BytesMut::from(&[auth.reason][..]);
    put_variable(&mut rest, properties.len());
    rest.put_slice(&properties);
    let mut out = BytesMut::from(&[0xF0][..]);
    put_variable(&mut out, rest.len());
    out.put_slice(&rest);
    out
}

/// A variable byte integer (§1.5.5) and its size; none if it is not whole.
fn variable(octets: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut value = 0;
    for (index, octet) in octets.iter().take(4).enumerate() {
        value |= usize::from(octet & 0x7F) << (7 * index);
        if octet & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if octets.len() < 4 { Ok(None) } else { Err("a variable byte integer of more than four octets".into()) }
}

fn put_variable(out: &mut BytesMut, mut value: usize) {
    while value > 0x7F {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn binary(octets: &mut Bytes) -> Result<Bytes, String> {
    if octets.len() < 2 {
        return Err("AUTH ends within a property".into());
    }
    let length = usize::from(octets.get_u16());
    if octets.len() < length {
        return Err("AUTH ends within a property".into());
    }
    Ok(octets.split_to(length))
}

fn text(octets: &mut Bytes) -> Result<String, String> {
    String::from_utf8(binary(octets)?.to_vec()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let auth = Auth {
            reason: RE_AUTHENTICATE,
            method: Some("OAUTH2-JWT".into()),
            data: Some(Bytes::from(vec![b'x'; 3000])),
        };
        let whole = write(&auth);
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert!(cut == 0 || read(&mut part) == Ok(None));
        }
        let mut two = [&whole[..], &whole[..]].concat().as_slice().into();
        assert_eq!(read(&mut two), Ok(Some(auth)));
        assert_eq!(two, whole);
    }

    #[test]
    fn short_and_broken_forms() {
        assert_eq!(read(&mut BytesMut::from(&[0xF0, 0][..])), Ok(Some(Auth::default())));
        let short = read(&mut BytesMut::from(&[0xF0, 1, 0x18][..])).unwrap().unwrap();
        assert_eq!(short.reason, 0x18);
        for bad in [&[0xF0, 2, 0x19, 0][..], &[0xF1, 0], &[0xF0, 3, 0x19, 1, 0x15], &[0xF0, 5, 0x19, 3, 0x15, 0, 9]] {
            assert!(read(&mut BytesMut::from(bad)).is_err(), "{bad:02x?}");
        }
    }
}
