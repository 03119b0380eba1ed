use super::*;
use crate::Error;
use crate::entropy::{Drbg, RawSource, Tested};
use crate::error::EntropyFault;
use crate::keys::{PublicKey, Signature, Slot};
use std::vec::Vec;

/// Hexadecimal to octets.
pub(super) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// SHA-256 in counter mode: noise for tests.
struct Counter(u64);

impl RawSource for Counter {
    const CENTIBITS_PER_OCTET: u16 = 800;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        for block in into.chunks_mut(32) {
            self.0 += 1;
            block.copy_from_slice(&sha256(&self.0.to_be_bytes())[..block.len()]);
        }
        Ok(())
    }
}

fn drbg() -> Drbg {
    Drbg::new(Tested::start(Counter(0)).unwrap().seed().unwrap(), b"test")
}

/// RFC 6979 A.2.5.
const RFC6979_KEY: &str = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
const RFC6979_POINT: &str = "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6\
                             7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";

fn rfc6979_key() -> SecretKey {
    SecretKey::from_octets(&hex(RFC6979_KEY).try_into().unwrap()).unwrap()
}

#[test]
fn rfc6979_vectors() {
    let key = rfc6979_key();
    assert_eq!(key.public().0.as_slice(), hex(RFC6979_POINT));
    for (message, answer) in [
        (
            "sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
             F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            "test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367\
             019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ] {
        let signature = key.sign_with(&sha256(message.as_bytes()), &[]).unwrap();
        assert_eq!(signature.0.as_slice(), hex(answer));
    }
}

#[test]
fn hedged_signatures_differ_and_verify() {
    let (mut drbg, key, digest) = (drbg(), rfc6979_key(), sha256(b"sample"));
    let [a, b] = [(); 2].map(|()| key.sign(&digest, &mut drbg).unwrap());
    assert_ne!(a, b);
    for signature in [a, b] {
        verify_p256(&key.public(), &digest, &signature).unwrap();
        assert!(verify_p256(&key.public(), &sha256(b"Sample"), &signature).is_err());
    }
}

#[test]
fn generated_keys_differ_and_sign() {
    let mut drbg = drbg();
    let keys = [(); 2].map(|()| SecretKey::generate(&mut drbg).unwrap());
    assert_ne!(keys[0].public(), keys[1].public());
    for key in &keys {
        key.public().validate().unwrap();
        let signature = key.sign(&sha256(b"hello"), &mut drbg).unwrap();
        verify_p256(&key.public(), &sha256(b"hello"), &signature).unwrap();
    }
    let other = keys[1].sign(&sha256(b"hello"), &mut drbg).unwrap();
    assert!(verify_p256(&keys[0].public(), &sha256(b"hello"), &other).is_err());
}

#[test]
fn private_keys_out_of_range_are_refused() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut octets: [u8; 32] = hex(order).try_into().unwrap();
    assert!(SecretKey::from_octets(&[0; 32]).is_err());
    assert!(SecretKey::from_octets(&octets).is_err());
    assert!(SecretKey::from_octets(&[0xff; 32]).is_err());
    octets[31] -= 1;
    let largest = SecretKey::from_octets(&octets).unwrap();
    assert!(largest.with_octets(|lent| *lent == octets));
}

#[test]
fn points_off_the_curve_are_refused() {
    let good = rfc6979_key().public();
    good.validate().unwrap();
    let mut off = good;
    off.0[64] ^= 1;
    let mut compressed = good;
    compressed.0[0] = 2;
    let zero = PublicKey([&[4][..], &[0; 64]].concat().try_into().unwrap());
    let large = PublicKey([&[4][..], &[0xff; 64]].concat().try_into().unwrap());
    for bad in [off, compressed, zero, large, PublicKey::EMPTY] {
        assert!(bad.validate().is_err());
    }
}

#[test]
fn signatures_in_der() {
    let mut room = [0xaa; SIGNATURE_DER_MAX];
    let mut signature = Signature::EMPTY;
    assert_eq!(signature.to_der(&mut room), hex("3006020100020100"));
    signature.0[31] = 0x7f;
    signature.0[63] = 0x80;
    assert_eq!(signature.to_der(&mut room), hex("300702017f02020080"));
    assert_eq!(Signature::from_der(&hex("300702017f02020080")), Ok(signature));
    signature.0 = [0xff; 64];
    assert_eq!(signature.to_der(&mut room).len(), SIGNATURE_DER_MAX);
    for shift in 0..256 {
        let mut signature = Signature([0; 64]);
        signature.0[31 - shift / 8] = 1 << (shift % 8);
        signature.0[32 + shift / 8] = 0x80 >> (shift % 8);
        let der = signature.to_der(&mut room);
        assert_eq!(Signature::from_der(der), Ok(signature));
        // Every truncation, and one octet too many, is refused.
        for cut in 0..der.len() {
            assert!(Signature::from_der(&der[..cut]).is_err());
        }
        assert!(Signature::from_der(&[der, &[0]].concat()).is_err());
    }
    for bad in [
        "3006020101020100",                                                                 // s = 0
        "30060201010201ff",                                                                 // s < 0
        "300702010102020001",                                                               // padded s
        "3081060201010201 01",                                                              // long length
        "3006020101020101 00",                                                              // trailing
        "300902010102010102010 1",                                                          // third INTEGER
        "30800201010201010000",                                                             // indefinite length
        "3106020101020101",                                                                 // SET
        "300602010103020101",                                                               // BIT STRING
        "30260221010000000000000000000000000000000000000000000000000000000000000000020101", // r of 33 octets
    ] {
        assert!(Signature::from_der(&hex(&bad.replace(' ', ""))).is_err(), "{bad}");
    }
}

#[test]
fn sealed_keys_open_only_where_they_belong() {
    let (mut drbg, key, secret) = (drbg(), rfc6979_key(), [7; 32]);
    let sealed = seal(&secret, Slot::A, &key, &mut drbg).unwrap();
    assert_ne!(sealed, seal(&secret, Slot::A, &key, &mut drbg).unwrap(), "a nonce was used twice");
    let private = hex(RFC6979_KEY);
    assert!(!sealed.windows(8).any(|window| private.windows(8).any(|p| p == window)));
    let opened = open(&secret, Slot::A, &sealed).unwrap();
    assert_eq!(opened.public(), key.public());
    let refused = |secret: &[u8; 32], slot, sealed: &[u8]| {
        let newer = sealed.first().is_some_and(|version| *version > 1);
        match open(secret, slot, sealed).err() {
            Some(Error::Newer { .. }) => assert!(newer),
            Some(Error::Stored { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
    };
    refused(&[8; 32], Slot::A, &sealed);
    refused(&secret, Slot::B, &sealed);
    refused(&secret, Slot::Birth, &sealed);
    for length in 0..SEALED_LEN {
        refused(&secret, Slot::A, &sealed[..length]);
    }
    refused(&secret, Slot::A, &[&sealed[..], &[0]].concat());
    for bit in 0..SEALED_LEN * 8 {
        let mut damaged = sealed;
        damaged[bit / 8] ^= 1 << (bit % 8);
        refused(&secret, Slot::A, &damaged);
    }
}

#[test]
fn hmac_of_rfc4231() {
    let parts: [(&[u8], &[u8], &str); 3] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, message, answer) in parts {
        let (a, b) = message.split_at(message.len() / 2);
        assert_eq!(hmac_sha256(key, &[a, b]).as_slice(), hex(answer));
    }
    let mut parts = Sha256::default();
    parts.update(b"a");
    parts.update(b"bc");
    assert_eq!(parts.finish(), sha256(b"abc"));
}

#[test]
fn the_public_point_is_that_of_the_crates_own_encoder() {
    use ::p256::elliptic_curve::sec1::ToEncodedPoint;
    let mut odd = [false; 2];
    for number in 1..=32 {
        let mut octets = [0x35; 32];
        octets[7] = number;
        let public = SecretKey::from_octets(&octets).unwrap().public();
        let theirs = ::p256::SecretKey::from_bytes((&octets).into()).unwrap().public_key().to_encoded_point(false);
        assert_eq!(public.0, theirs.as_bytes());
        odd[usize::from(public.0[64] & 1)] = true;
    }
    assert_eq!(odd, [true; 2], "both parities of y were seen");
}
