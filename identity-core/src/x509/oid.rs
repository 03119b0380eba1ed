//! OBJECT IDENTIFIERs, as content octets.

/// 2.5.4.3
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.4.5
pub(crate) const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
/// 2.5.4.10
pub(crate) const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// 2.5.4.11
pub(crate) const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 4, 11];

/// 2.5.29.14
pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
/// 2.5.29.15
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
/// 2.5.29.17
pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
/// 2.5.29.19
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
/// 2.5.29.35
pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
/// 2.5.29.37
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// 2.5.29.37.0
pub(crate) const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37, 0];

/// 1.3.6.1.5.5.7.3.1
pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// 1.3.6.1.5.5.7.3.2
pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// 1.3.6.1.5.5.7.8.4, RFC 4108 §5
pub(crate) const HARDWARE_MODULE_NAME: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 4];

/// 1.2.840.10045.2.1
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// 1.2.840.10045.3.1.7
pub(crate) const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.2.840.10045.4.3.2
pub(crate) const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// 1.2.840.10045.4: every ECDSA signature algorithm
pub(crate) const ECDSA_PREFIX: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4];
/// 1.2.840.113549.1.1: RSA keys and signatures
pub(crate) const RSA_PREFIX: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// 1.3.101: Curve25519 and Curve448 keys and signatures (RFC 8410)
pub(crate) const EDWARDS_PREFIX: &[u8] = &[0x2b, 0x65];

/// 1.2.840.113549.1.7.2
pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
/// 1.2.840.113549.1.9.7
pub(crate) const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7];
/// 1.2.840.113549.1.9.14
pub(crate) const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

/// Whether these are well-formed contents: whole subidentifiers, none with a leading zero digit (X.690 §8.19).
pub(crate) fn is_valid(contents: &[u8]) -> bool {
    let mut starts = true;
    let padded = contents.iter().any(|&octet| {
        let padded = starts && octet == 0x80;
        starts = octet < 0x80;
        padded
    });
    !contents.is_empty() && starts && !padded
}
