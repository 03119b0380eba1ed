//! ECDSA verification (FIPS 186-5 §6.4.2) over any curve of the elliptic-curve traits. Not constant in time: all is public.
//!
//! The crates have it as well, but with assertions that a compiler cannot see to hold; here is no branch to a panic.

use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::ops::{Invert, LinearCombination, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, Field, FieldBytes, ProjectivePoint, Scalar};

/// Verifies r and s, 1 to n − 1 each, over `prehash`, the leftmost bits of the digest as a number of the curve's width.
pub(super) fn verify<C: CurveArithmetic>(
    public: AffinePoint<C>,
    prehash: &FieldBytes<C>,
    r: FieldBytes<C>,
    s: FieldBytes<C>,
) -> Option<()> {
    let number =
        |octets| Option::<Scalar<C>>::from(Scalar::<C>::from_repr(octets)).filter(|n| !bool::from(n.is_zero()));
    let (r, s) = (number(r)?, number(s)?);
    let inverse = Option::<Scalar<C>>::from(Invert::invert(&s))?;
    let (u, v) = (Scalar::<C>::reduce_bytes(prehash) * inverse, r * inverse);
    let sum = ProjectivePoint::<C>::lincomb(&ProjectivePoint::<C>::generator(), &u, &public.into(), &v);
    let sum: AffinePoint<C> = sum.into();
    // for the point at infinity, x reads as 0, which r is not
    (Scalar::<C>::reduce_bytes(&sum.x()) == r).then_some(())
}
