//! ECDSA over P-256 with SHA-256 (FIPS 186-5).

use super::ecdsa;
use crate::Error;
use crate::entropy::{Drbg, HmacDrbg};
use crate::keys::{Digest, PublicKey, Signature};
use ::ecdsa::hazmat::SignPrimitive;
use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::ops::{MulByGenerator, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::FromEncodedPoint;
use p256::{AffinePoint, EncodedPoint, FieldBytes, FieldElement, NistP256, ProjectivePoint, Scalar, U256};
use subtle::ConditionallySelectable;
use zeroize::Zeroizing;

/// Candidates tried before giving up; each misses with a chance under 2^-31, so a second one is already a rarity.
const TRIES: usize = 8;

const NO_CANDIDATE: Error = Error::Crypto("no P-256 scalar from the random generator; it is broken");

/// A P-256 private key: no `Debug`, no copies, zeroized on drop.
pub struct SecretKey(p256::SecretKey);

impl SecretKey {
    /// Makes a key by testing candidates (FIPS 186-5 A.2.2). The generator's type says that its source was tested.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the generator gives no candidate.
    pub fn generate(drbg: &mut Drbg) -> Result<Self, Error> {
        let mut candidate = Zeroizing::new([0; 32]);
        for _ in 0..TRIES {
            drbg.fill(candidate.as_mut_slice())?;
            if let Ok(key) = Self::from_octets(&candidate) {
                return Ok(key);
            }
        }
        Err(NO_CANDIDATE)
    }

    /// Takes a key as 32 octets, big-endian, from 1 to n − 1.
    ///
    /// # Errors
    /// [`Error::Crypto`] if it is 0 or not below the order n.
    pub fn from_octets(octets: &[u8; 32]) -> Result<Self, Error> {
        p256::SecretKey::from_bytes(octets.into())
            .map(Self)
            .map_err(|_| Error::Crypto("not a P-256 private key: 0 or not below the order"))
    }

    /// The public point.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let scalar = Zeroizing::new(*self.0.to_nonzero_scalar().as_ref());
        let point = ProjectivePoint::mul_by_generator(&*scalar).to_affine();
        let (x, y) = (point.x(), ordinate(&point));
        let mut public = PublicKey::EMPTY;
        let octets = [4].into_iter().chain(x).chain(y);
        public.0.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        public
    }

    /// Signs a SHA-256 digest. The nonce is that of RFC 6979 with 32 fresh octets as additional data (§3.6): it needs no
    /// luck from the generator, and a fault injected in one of two equal runs does not give the key away.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the generator is used up.
    pub fn sign(&self, digest: &Digest, drbg: &mut Drbg) -> Result<Signature, Error> {
        let mut fresh = Zeroizing::new([0; 32]);
        drbg.fill(fresh.as_mut_slice())?;
        self.sign_with(digest, fresh.as_slice())
    }

    /// RFC 6979 §3.2 with §3.6. Its generator of k is HMAC_DRBG over x ‖ h ‖ additional data.
    pub(super) fn sign_with(&self, digest: &Digest, additional: &[u8]) -> Result<Signature, Error> {
        let reduced = <Scalar as Reduce<U256>>::reduce_bytes(digest.into());
        let mut nonces =
            self.with_octets(|x| HmacDrbg::new(&[x.as_slice(), reduced.to_bytes().as_slice(), additional]));
        let secret = Zeroizing::new(*self.0.to_nonzero_scalar().as_ref());
        let mut candidate = Zeroizing::new([0; 32]);
        for _ in 0..TRIES {
            nonces.generate(candidate.as_mut_slice());
            let Ok(nonce) = p256::SecretKey::from_bytes((&*candidate).into()) else { continue };
            let nonce = Zeroizing::new(*nonce.to_nonzero_scalar().as_ref());
            if let Ok((signature, _)) = secret.try_sign_prehashed(*nonce, digest.into()) {
                return Ok(Signature(signature.to_bytes().into()));
            }
        }
        Err(NO_CANDIDATE)
    }

    /// Lends the private key, 32 octets big-endian, for sealing and nothing else.
    pub fn with_octets<R>(&self, f: impl FnOnce(&[u8; 32]) -> R) -> R {
        let octets: Zeroizing<[u8; 32]> = Zeroizing::new(self.0.to_bytes().into());
        f(&octets)
    }
}

impl PublicKey {
    /// Checks that it is a point of the curve, uncompressed, and not the point at infinity. SP 800-56A §5.6.2.3.4.
    ///
    /// # Errors
    /// [`Error::Crypto`] if it is not.
    pub fn validate(&self) -> Result<(), Error> {
        point(&self.0).map(|_| ()).ok_or(Error::Crypto("not a point of P-256 in uncompressed form"))
    }
}

/// Verifies an ECDSA P-256 signature of a SHA-256 digest. The key is checked as well.
///
/// # Errors
/// [`Error::Crypto`] if the key is no point of the curve or the signature is not its.
pub fn verify_p256(public: &PublicKey, digest: &Digest, signature: &Signature) -> Result<(), Error> {
    verify(&public.0, digest, &signature.0).ok_or(Error::Crypto("the P-256 signature does not verify"))
}

/// The same for the hash of another length: `prehash` is its leftmost 256 bits. FIPS 186-5 §6.4.1.
pub(super) fn verify(public: &[u8], prehash: &[u8; 32], signature: &[u8; 64]) -> Option<()> {
    let (r, s) = signature.split_first_chunk::<32>()?;
    let s: &[u8; 32] = s.try_into().ok()?;
    ecdsa::verify::<NistP256>(point(public)?, prehash.into(), (*r).into(), (*s).into())
}

fn point(octets: &[u8]) -> Option<AffinePoint> {
    let (&[4], coordinates) = octets.split_first_chunk()? else { return None };
    let coordinates: &[u8; 64] = coordinates.try_into().ok()?;
    AffinePoint::from_encoded_point(&EncodedPoint::from_untagged_bytes(coordinates.into())).into()
}

/// b of the curve's equation y² = x³ − 3x + b. SP 800-186 §3.2.1.3.
const B: [u8; 32] = [
    0x5a, 0xc6, 0x35, 0xd8, 0xaa, 0x3a, 0x93, 0xe7, 0xb3, 0xeb, 0xbd, 0x55, 0x76, 0x98, 0x86, 0xbc, 0x65, 0x1d, 0x06,
    0xb0, 0xcc, 0x53, 0xb0, 0xf6, 0x3b, 0xce, 0x3c, 0x3e, 0x27, 0xd2, 0x60, 0x4b,
];

/// y of a point. The crate gives it out only by an encoder that asserts what a compiler cannot see, so it is computed from
/// x and its own parity; for the point at infinity, which no private key has, it is 0.
fn ordinate(point: &AffinePoint) -> FieldBytes {
    let element = |octets| FieldElement::from_repr(octets).unwrap_or(FieldElement::ZERO);
    let (x, b) = (element(point.x()), element(B.into()));
    let square = x.square() * x - (x.double() + x) + b;
    let root = square.sqrt().unwrap_or(FieldElement::ZERO);
    let other = root.is_odd() ^ point.y_is_odd();
    FieldElement::conditional_select(&root, &-root, other).to_repr()
}
