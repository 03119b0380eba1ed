//! PKCS#10 certification request writer (RFC 2986).

/// Subject name of the CSR; empty fields are left out. UTF8String, at most 64 octets each (RFC 5280 appendix A).
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// CN
    pub common_name: &'a str,
    /// O
    pub organization: &'a str,
    /// OU
    pub organizational_unit: &'a str,
    /// serialNumber (PrintableString)
    pub serial_number: &'a str,
}

/// A subject alternative name.
#[derive(Clone, Copy, Debug)]
pub enum SubjectAlt<'a> {
    /// dNSName
    Dns(&'a str),
    /// uniformResourceIdentifier
    Uri(&'a str),
    /// otherName id-on-hardwareModuleName (RFC 4108 §5)
    HardwareModule {
        /// hwType: content octets of the OBJECT IDENTIFIER.
        kind: &'a [u8],
        /// hwSerialNum
        serial: &'a [u8],
    },
}
