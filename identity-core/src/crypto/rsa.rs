//! RSA signature verification (RFC 8017), moduli of 2048 to 4096 bits, on the stack: 6 numbers of 512 octets.
//!
//! All its input is public, so it may take a time that depends on it.

use super::der::two_positive;
use super::hash::Hash;

/// Limbs of the largest modulus, 4096 bits.
const LIMBS: usize = 128;

/// Octets of the largest modulus.
const OCTETS: usize = LIMBS * 4;

/// How the hash is laid out in the signed number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// EMSA-PKCS1-v1_5. RFC 8017 §9.2.
    Pkcs1,
    /// EMSA-PSS, MGF1 with the same hash, salt as long as the hash. RFC 8017 §9.1, RFC 8446 §4.2.3.
    Pss,
}

/// Verifies `signature` over `message` under `key`, the DER of an RSAPublicKey.
pub(super) fn verify(padding: Padding, hash: Hash, key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let [modulus, exponent] = two_positive(key)?;
    verify_numbers(padding, hash, [modulus, exponent], message, signature)
}

/// The same under a modulus and an exponent, big-endian without leading zeros.
pub(super) fn verify_numbers(
    padding: Padding,
    hash: Hash,
    [modulus, exponent]: [&[u8]; 2],
    message: &[u8],
    signature: &[u8],
) -> Option<()> {
    let bits = bit_length(modulus);
    let exponent = exponent.iter().try_fold(0_u64, |e, &octet| (e >> 56 == 0).then_some(e << 8 | u64::from(octet)))?;
    let sizes = (2048..=4096).contains(&bits) && signature.len() == modulus.len();
    let odd = modulus.last()? & exponent as u8 & 1 == 1;
    if !sizes || !odd || !(3..1 << 33).contains(&exponent) {
        return None;
    }
    let mut room = [0; OCTETS];
    let encoded = room.get_mut(..modulus.len())?;
    raise(modulus, bits, exponent, signature, encoded)?;
    let digest = hash.digest(&[message]);
    let digest = digest.get(..hash.len())?;
    match padding {
        Padding::Pkcs1 => pkcs1(hash, encoded, digest),
        Padding::Pss => pss(hash, encoded, bits, digest),
    }
}

/// Bits of a big-endian number without leading zeros.
fn bit_length(number: &[u8]) -> u32 {
    let zeros = number.first().map_or(0, |top| top.leading_zeros());
    (number.len() as u32).saturating_mul(8).saturating_sub(zeros)
}

/// Compares the whole encoded message with the only one allowed: nothing is parsed, so nothing can be smuggled in.
fn pkcs1(hash: Hash, encoded: &[u8], digest: &[u8]) -> Option<()> {
    // DigestInfo up to the digest: SEQUENCE { SEQUENCE { 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING }. RFC 8017 §9.2 note 1.
    let (kind, length) = match hash {
        Hash::Sha256 => (1, 32),
        Hash::Sha384 => (2, 48),
        Hash::Sha512 => (3, 64),
    };
    let info = [0x30, length + 17, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, kind, 5, 0, 4, length];
    let filling = encoded.len().checked_sub(info.len() + 3)?.checked_sub(digest.len())?;
    let wanted = [0, 1].into_iter().chain(core::iter::repeat_n(0xff, filling)).chain([0]).chain(info);
    encoded.iter().copied().eq(wanted.chain(digest.iter().copied())).then_some(())
}

/// EMSA-PSS-VERIFY. RFC 8017 §9.1.2; numbers are its steps.
fn pss(hash: Hash, encoded: &mut [u8], bits: u32, digest: &[u8]) -> Option<()> {
    // The encoded message has one bit less than the modulus, hence an octet less if the modulus has 8k + 1 bits.
    let spare = bits.checked_sub(1)? % 8;
    let encoded = match (spare, encoded) {
        (0, [0, rest @ ..]) => rest,
        (0, _) => return None,
        (_, all) => all,
    };
    let mask_top = match spare {
        0 => 0xff,
        spare => 0xff_u8 >> (8 - spare),
    };
    // 4, 5
    let (&mut trailer, rest) = encoded.split_last_mut()?;
    let (masked, seed) = rest.split_at_mut_checked(rest.len().checked_sub(hash.len())?)?;
    // 6
    if trailer != 0xbc || masked.first()? & !mask_top != 0 {
        return None;
    }
    // 7, 8: MGF1. Appendix B.2.1.
    for (counter, chunk) in (0_u32..).zip(masked.chunks_mut(hash.len())) {
        let mask = hash.digest(&[seed, &counter.to_be_bytes()]);
        chunk.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    }
    // 9
    *masked.first_mut()? &= mask_top;
    // 10, 11
    let (padding, salt) = masked.split_at_checked(masked.len().checked_sub(hash.len())?)?;
    let (&one, zeros) = padding.split_last()?;
    if one != 1 || zeros.iter().any(|&octet| octet != 0) {
        return None;
    }
    // 12 to 14
    let expected = hash.digest(&[&[0; 8], digest, salt]);
    seed.iter().eq(expected.get(..hash.len())?).then_some(())
}

/// `into` = `base` ^ `exponent` mod `modulus`, big-endian, all three of one length; none if `base` is not below the
/// modulus. The modulus is odd and without leading zeros, the exponent odd.
fn raise(modulus: &[u8], bits: u32, exponent: u64, base: &[u8], into: &mut [u8]) -> Option<()> {
    let mut room = [[0; LIMBS]; 5];
    let [n, s, form, acc, spare] = &mut room;
    let limbs = modulus.len().div_ceil(4);
    let n = load(modulus, n.get_mut(..limbs)?);
    let s = load(base, s.get_mut(..limbs)?);
    let (form, mut acc, mut spare) = (form.get_mut(..limbs)?, acc.get_mut(..limbs)?, spare.get_mut(..limbs)?);
    if !below(s, n) {
        return None;
    }
    let modulus = Modulus { n, inverse: negated_inverse(*n.first()?) };
    // acc = R² mod n, R = 2^(32·limbs): from 2^(bits − 1), which is below n, by doubling to R·2^limbs, then squaring.
    let top = bits.checked_sub(1)?;
    *acc.get_mut(top as usize / 32)? = 1 << (top % 32);
    let limbs = limbs as u32;
    for _ in top..limbs.saturating_mul(33) {
        modulus.double(acc);
    }
    for _ in 0..5 {
        modulus.multiply(acc, acc, spare)?;
        core::mem::swap(&mut acc, &mut spare);
    }
    // form = s·R, the Montgomery form of s.
    modulus.multiply(s, acc, form)?;
    acc.iter_mut().zip(form.iter()).for_each(|(to, from)| *to = *from);
    // Left to right over the bits under the top one; the last is 1, and multiplying by s itself there takes R away.
    for bit in (0..63_u32.saturating_sub(exponent.leading_zeros())).rev() {
        modulus.multiply(acc, acc, spare)?;
        core::mem::swap(&mut acc, &mut spare);
        if exponent >> bit & 1 == 1 {
            modulus.multiply(acc, if bit == 0 { s } else { form }, spare)?;
            core::mem::swap(&mut acc, &mut spare);
        }
    }
    let octets = acc.iter().flat_map(|limb| limb.to_le_bytes());
    into.iter_mut().rev().zip(octets).for_each(|(to, from)| *to = from);
    Some(())
}

/// Big-endian octets to limbs, least significant first.
fn load<'a>(octets: &[u8], into: &'a mut [u32]) -> &'a [u32] {
    for (limb, chunk) in into.iter_mut().zip(octets.rchunks(4)) {
        *limb = chunk.iter().fold(0, |limb, &octet| limb << 8 | u32::from(octet));
    }
    into
}

/// a < b
fn below(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// −1/n mod 2^32 for odd n: each turn doubles the bits that are right, from 3.
fn negated_inverse(n: u32) -> u32 {
    let mut inverse = n;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

struct Modulus<'a> {
    n: &'a [u32],
    /// −1/n mod 2^32
    inverse: u32,
}

impl Modulus<'_> {
    /// x = 2x mod n
    fn double(&self, x: &mut [u32]) {
        let mut carry = 0;
        for limb in x.iter_mut() {
            (*limb, carry) = (*limb << 1 | carry, *limb >> 31);
        }
        self.reduce(x, carry);
    }

    /// Takes n away once if x, with `carry` above it, is not below n.
    fn reduce(&self, x: &mut [u32], carry: u32) {
        if carry == 0 && below(x, self.n) {
            return;
        }
        let mut borrow = false;
        for (limb, n) in x.iter_mut().zip(self.n) {
            let (difference, under) = limb.overflowing_sub(*n);
            let (difference, under_again) = difference.overflowing_sub(u32::from(borrow));
            (*limb, borrow) = (difference, under | under_again);
        }
    }

    /// into = a·b/R mod n: Montgomery's product, multiplying and reducing in one pass (FIOS).
    fn multiply(&self, a: &[u32], b: &[u32], into: &mut [u32]) -> Option<()> {
        let wide = |x: u32, y: u32| u64::from(x) * u64::from(y);
        let (&n0, n_rest) = self.n.split_first()?;
        let (&a0, a_rest) = a.split_first()?;
        into.fill(0);
        let mut top = 0;
        for &b in b {
            let (mut previous, rest) = into.split_first_mut()?;
            // No sum overflows: (2^32 − 1)² + 2(2^32 − 1) = 2^64 − 1.
            let sum = wide(a0, b) + u64::from(*previous);
            let quotient = (sum as u32).wrapping_mul(self.inverse);
            let zero = wide(n0, quotient) + u64::from(sum as u32);
            let (mut carry_a, mut carry_n) = (sum >> 32, zero >> 32);
            for ((limb, &a), &n) in rest.iter_mut().zip(a_rest).zip(n_rest) {
                let sum = wide(a, b) + u64::from(*limb) + carry_a;
                let reduced = wide(n, quotient) + u64::from(sum as u32) + carry_n;
                (carry_a, carry_n) = (sum >> 32, reduced >> 32);
                *previous = reduced as u32;
                previous = limb;
            }
            let sum = u64::from(top) + carry_a + carry_n;
            *previous = sum as u32;
            top = (sum >> 32) as u32;
        }
        self.reduce(into, top);
        Some(())
    }
}
