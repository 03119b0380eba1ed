//! ECDSA verification over P-384 (FIPS 186-5), for chains of others: this device's own keys are on P-256.

use super::ecdsa;
use p384::elliptic_curve::generic_array::GenericArray;
use p384::elliptic_curve::sec1::FromEncodedPoint;
use p384::{AffinePoint, EncodedPoint, FieldBytes, NistP384};

/// Verifies under an uncompressed point of 97 octets; `prehash` is the digest as a 384-bit number, r and s take 48 octets each.
pub(super) fn verify(public: &[u8], prehash: &[u8; 48], signature: &[u8; 96]) -> Option<()> {
    let (r, s) = signature.split_first_chunk::<48>()?;
    let s: &[u8; 48] = s.try_into().ok()?;
    let number = |octets: &[u8; 48]| *FieldBytes::from_slice(octets);
    ecdsa::verify::<NistP384>(point(public)?, &number(prehash), number(r), number(s))
}

fn point(octets: &[u8]) -> Option<AffinePoint> {
    let (&[4], coordinates) = octets.split_first_chunk()? else { return None };
    let coordinates: &[u8; 96] = coordinates.try_into().ok()?;
    AffinePoint::from_encoded_point(&EncodedPoint::from_untagged_bytes(GenericArray::from_slice(coordinates))).into()
}
