//! `application/x-www-form-urlencoded` as RFC 6749 §3.2 and appendix B want it, read strictly.

use crate::http::HttpRequest;
use crate::oauth::problem::Problem;

/// Parameters of a request. One sent without value counts as left out (RFC 6749 §3.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

/// Parameters that may come several times (RFC 8707 §2, RFC 8693 §2.1); no other may.
const REPEATED: [&str; 2] = ["resource", "audience"];

impl Form {
    /// Reads the body of a request.
    pub(crate) fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let media = request.header("Content-Type").and_then(|media| media.split(';').next()).unwrap_or_default();
        if !media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Problem::request("Content-Type: application/x-www-form-urlencoded is needed"));
        }
        if request.path.contains('?') {
            return Err(Problem::request("parameters belong in the body, not in the URI"));
        }
        let body = core::str::from_utf8(&request.body).map_err(|_| Problem::request("the body is not ASCII"))?;
        Self::parse(body)
    }

    fn parse(body: &str) -> Result<Self, Problem> {
        let mut form = Self::default();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(Problem::request)?;
            let value = decode(value).map_err(|why| Problem::request(format!("{name}: {why}")))?;
            if form.0.iter().any(|(known, _)| *known == name) && !REPEATED.contains(&name.as_str()) {
                return Err(Problem::request(format!("{name} comes twice")));
            }
            form.0.push((name, value));
        }
        form.0.retain(|(_, value)| !value.is_empty());
        Ok(form)
    }

    /// Value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Values of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Value of a parameter that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::request(format!("{name} is missing")))
    }
}

/// Undoes form encoding. A character that should have been encoded is refused; `~` may stay (RFC 3986 §2.3).
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err("% without two hexadecimal digits".into());
                };
                (high * 16 + low) as u8
            }
            b'*' | b'-' | b'.' | b'_' | b'~' => octet,
            _ if octet.is_ascii_alphanumeric() => octet,
            _ => return Err(format!("octet 0x{octet:02X} must be percent-encoded")),
        });
    }
    String::from_utf8(octets).map_err(|_| "not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_the_rfc_has_it() {
        let form = Form::parse("scope=a+b%3Ac&resource=x&resource=y&empty=&").unwrap();
        assert_eq!((form.get("scope"), form.get("empty")), (Some("a b:c"), None));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        for bad in ["scope=a&scope=a", "a=%4", "a=%zz", "a=b:c", "a=b c", "a=b=c", "a=%ff"] {
            assert!(Form::parse(bad).is_err(), "{bad}");
        }
    }
}
