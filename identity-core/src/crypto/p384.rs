//! ECDSA verification over P-384 (FIPS 186-5), for chains of others: this device's own keys are on P-256.

use ecdsa::hazmat::VerifyPrimitive;
use p384::elliptic_curve::sec1::FromEncodedPoint;
use p384::{AffinePoint, EncodedPoint};

/// Verifies under an uncompressed point of 97 octets; `prehash` is the digest as a 384-bit number, r and s take 48 octets each.
pub(super) fn verify(public: &[u8], prehash: &[u8; 48], signature: &[u8; 96]) -> Option<()> {
    if public.len() != 97 {
        return None;
    }
    let point = EncodedPoint::from_bytes(public).ok()?;
    let point = Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&point))?;
    let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
    point.verify_prehashed(prehash.into(), &signature).ok()
}
