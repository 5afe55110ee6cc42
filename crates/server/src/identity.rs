//! Who a client says it is, by the certificate that it was let in with.

use thiserror::Error;

/// A field of a certificate's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateField {
    /// `O`.
    Organization,
    /// `OU`.
    OrganizationalUnit,
    /// `CN`.
    CommonName,
}

impl CertificateField {
    /// By the name that flags give it; empty is none.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "organization" => Some(CertificateField::Organization),
            "organizationalUnit" => Some(CertificateField::OrganizationalUnit),
            "commonName" => Some(CertificateField::CommonName),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            CertificateField::Organization => "organization",
            CertificateField::OrganizationalUnit => "organizationalUnit",
            CertificateField::CommonName => "commonName",
        }
    }

    /// The last byte of its object identifier, 2.5.4.x.
    fn oid_end(self) -> u8 {
        match self {
            CertificateField::Organization => 10,
            CertificateField::OrganizationalUnit => 11,
            CertificateField::CommonName => 3,
        }
    }
}

/// A field that is wanted and not there. The texts are stock's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// No certificate.
    #[error("could not get required certificate field from client cert")]
    NoCertificate,
    /// No such field in it.
    #[error("could not get {0} field from client cert")]
    NoField(&'static str),
}

/// The subject of the certificate of a request's client; an extension of requests over mutual TLS.
///
/// Layout (DER): SEQUENCE of SET of SEQUENCE {OBJECT IDENTIFIER, text}, each a tag, a length (one byte below 128, else
/// 0x80 | n and n bytes) and content.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    fields: Vec<(u8, String)>,
}

impl ClientIdentity {
    /// Reads the subject of a certificate: the fifth element of the signed part, behind an optional version.
    pub fn from_certificate(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, 0x30)?;
        let (mut signed, _) = element(certificate, 0x30)?;
        if let Some((_, rest)) = element(signed, 0xa0) {
            signed = rest;
        }
        for _ in ["serial number", "algorithm", "issuer", "validity"] {
            (_, signed) = element(signed, *signed.first()?)?;
        }
        Some(ClientIdentity::from_subject(element(signed, 0x30)?.0))
    }

    /// Reads the content of a subject (without its outermost tag and length); fields of other kinds are read past.
    pub fn from_subject(subject: &[u8]) -> Self {
        let (mut fields, mut sets) = (Vec::new(), subject);
        while let Some((set, rest)) = element(sets, 0x31) {
            sets = rest;
            let mut attributes = set;
            while let Some((attribute, rest)) = element(attributes, 0x30) {
                attributes = rest;
                let Some(([0x55, 0x04, end], value)) = element(attribute, 0x06) else { continue };
                if let Some((text, _)) = value.first().and_then(|tag| element(value, *tag)) {
                    fields.push((*end, String::from_utf8_lossy(text).into_owned()));
                }
            }
        }
        ClientIdentity { fields }
    }

    /// The first value of a field.
    pub fn field_of(identity: Option<&Self>, field: CertificateField) -> Result<&str, IdentityError> {
        let fields = &identity.ok_or(IdentityError::NoCertificate)?.fields;
        let found = fields.iter().find(|(end, text)| *end == field.oid_end() && !text.is_empty());
        found.map(|(_, text)| text.as_str()).ok_or(IdentityError::NoField(field.name()))
    }
}

/// The content of an element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first().filter(|(first, _)| **first == tag)?;
    debug_assert_eq!(*first, tag);
    let (len, rest) = match rest.split_first()? {
        (len @ 0..=0x7f, rest) => (usize::from(*len), rest),
        (count @ 0x81..=0x83, rest) => {
            let (len, rest) = rest.split_at_checked(usize::from(count & 0x7f))?;
            (len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8], content].concat()
    }

    fn attribute(end: u8, text: &str) -> Vec<u8> {
        tlv(0x31, &tlv(0x30, &[tlv(0x06, &[0x55, 4, end]), tlv(0x0c, text.as_bytes())].concat()))
    }

    #[test]
    fn fields_are_found_by_their_kind() {
        let subject =
            [attribute(6, "DE"), attribute(10, "team-a"), attribute(10, "second"), attribute(3, "client")].concat();
        let identity = ClientIdentity::from_subject(&subject);
        let field = |field| ClientIdentity::field_of(Some(&identity), field);
        assert_eq!(field(CertificateField::Organization), Ok("team-a"));
        assert_eq!(field(CertificateField::CommonName), Ok("client"));
        let missing = field(CertificateField::OrganizationalUnit).unwrap_err();
        assert_eq!(missing.to_string(), "could not get organizationalUnit field from client cert");
        assert_eq!(ClientIdentity::field_of(None, CertificateField::CommonName), Err(IdentityError::NoCertificate));
    }

    #[test]
    fn damaged_subjects_have_no_fields() {
        let subject = attribute(10, "team-a");
        for len in 0..subject.len() {
            assert!(ClientIdentity::from_subject(&subject[..len]).fields.is_empty());
        }
    }
}
