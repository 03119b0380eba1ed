//! HTTP field values: media type, Retry-After, dates (RFC 9110).

use crate::agent::step::{Challenge, Media, RetryAfter};
use crate::time::UnixTime;

/// The media type in a Content-Type field value. Case and parameters do not matter. RFC 9110 §8.3.
#[must_use]
pub fn media(value: &[u8]) -> Media {
    let essence = value.split(|&octet| octet == b';').next().unwrap_or_default().trim_ascii();
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    let ends = |name: &str| {
        let start = essence.len().checked_sub(name.len());
        start.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(name.as_bytes()))
    };
    if is("application/pkcs7-mime") {
        Media::Pkcs7
    } else if is("application/csrattrs") {
        Media::CsrAttrs
    } else if is("application/json") || (ends("+json") && starts_with(essence, b"application/")) {
        Media::Json
    } else {
        Media::Other
    }
}

/// The error that a WWW-Authenticate field value names (RFC 6750 §3, RFC 9449 §7.1); of several challenges in one value the
/// first that names one counts.
#[must_use]
pub fn challenge(value: &[u8]) -> Challenge {
    let parameters = value.split(|&octet| octet == b',' || octet == b' ').map(<[u8]>::trim_ascii);
    let error = parameters.filter_map(|parameter| parameter.strip_prefix(b"error=")).next();
    match error.map(|error| error.strip_prefix(b"\"").and_then(|error| error.strip_suffix(b"\"")).unwrap_or(error)) {
        Some(b"invalid_token") => Challenge::InvalidToken,
        Some(b"insufficient_scope") => Challenge::InsufficientScope,
        Some(b"use_dpop_nonce") => Challenge::UseDpopNonce,
        _ => Challenge::None,
    }
}

/// A Retry-After field value: seconds, saturating, or a date. RFC 9110 §10.2.3.
#[must_use]
pub fn retry_after(value: &[u8]) -> Option<RetryAfter> {
    let value = value.trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let add = |sum: u32, &octet: &u8| sum.saturating_mul(10).saturating_add(u32::from(octet.wrapping_sub(b'0')));
        return Some(RetryAfter::Seconds(value.iter().fold(0, add)));
    }
    date(value).map(RetryAfter::At)
}

/// An HTTP-date in any of the three forms of RFC 9110 §5.6.7. The name of the day is not checked against the date.
///
/// The two-digit year of the RFC 850 form is taken as 1970 to 2069.
#[must_use]
pub fn date(value: &[u8]) -> Option<UnixTime> {
    let value = value.trim_ascii();
    let comma = value.iter().position(|&octet| octet == b',');
    let Some((day_name, rest)) = comma.and_then(|at| value.split_at_checked(at)) else {
        return asctime(value);
    };
    let rest = rest.strip_prefix(b", ")?;
    match (is_day(day_name)?, *rest.get(2)?) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        (true, b' ') => {
            let rest: &[u8; 24] = rest.try_into().ok()?;
            let [d1, d2, _, m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ .., b' ', b'G', b'M', b'T'] = *rest else {
                return None;
            };
            unix(number(&[y1, y2, y3, y4])?, month([m1, m2, m3])?, number(&[d1, d2])?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        (false, b'-') => {
            let rest: &[u8; 22] = rest.try_into().ok()?;
            let [d1, d2, _, m1, m2, m3, b'-', y1, y2, b' ', time @ .., b' ', b'G', b'M', b'T'] = *rest else {
                return None;
            };
            let year = number(&[y1, y2])?;
            let century = if year < 70 { 2000 } else { 1900 };
            unix(year.checked_add(century)?, month([m1, m2, m3])?, number(&[d1, d2])?, time)
        }
        _ => None,
    }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<UnixTime> {
    let value: &[u8; 24] = value.try_into().ok()?;
    let [n1, n2, n3, b' ', m1, m2, m3, b' ', d1, d2, b' ', h1, h2, c1, i1, i2, c2, s1, s2, b' ', y1, y2, y3, y4] =
        *value
    else {
        return None;
    };
    if !is_day(&[n1, n2, n3])? {
        return None;
    }
    let d1 = if d1 == b' ' { b'0' } else { d1 };
    let time = [h1, h2, c1, i1, i2, c2, s1, s2];
    unix(number(&[y1, y2, y3, y4])?, month([m1, m2, m3])?, number(&[d1, d2])?, time)
}

/// Whether a name of a day is the short one; none if it is no day.
fn is_day(name: &[u8]) -> Option<bool> {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    DAYS.iter().find_map(|day| {
        let day = day.as_bytes();
        if day == name { Some(false) } else { (day.get(..3) == Some(name)).then_some(true) }
    })
}

fn month(name: [u8; 3]) -> Option<u32> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.iter().zip(1..).find_map(|(month, number)| (**month == name).then_some(number))
}

/// Up to nine digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |sum, octet| {
        octet.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u32::from(octet.wrapping_sub(b'0'))))
    })
}

/// Seconds since 1970 of a Gregorian date and `HH:MM:SS`; none if it is no date or is before 1970. A leap second counts as
/// the first second of the next minute.
fn unix(year: u32, month: u32, day: u32, time: [u8; 8]) -> Option<UnixTime> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    };
    if year < 1970 || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years start in March, so that the leap day is the last of its year.
    let (year, month) =
        if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let leap_days = (year / 4).checked_sub(year / 100)?.checked_add(year / 400)?;
    let of_year = month.checked_mul(153)?.checked_add(2)? / 5;
    // 719,469 days lie between 0000-03-01 and 1970-01-01, counted from day 1.
    let days = year.checked_mul(365)?.checked_add(leap_days)?.checked_add(of_year)?.checked_add(day)?;
    let days = u64::from(days.checked_sub(719_469)?);
    let of_day = u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second);
    Some(UnixTime(days.checked_mul(86_400)?.checked_add(of_day)?))
}

fn starts_with(octets: &[u8], prefix: &[u8]) -> bool {
    octets.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn media_types() {
        for (value, wanted) in [
            ("application/pkcs7-mime", Media::Pkcs7),
            (" Application/PKCS7-Mime ; smime-type=certs-only", Media::Pkcs7),
            ("application/csrattrs", Media::CsrAttrs),
            ("application/json;charset=utf-8", Media::Json),
            ("application/problem+JSON", Media::Json),
            ("image/x+json", Media::Other),
            ("+json", Media::Other),
            ("application/pkcs7-mimes", Media::Other),
            ("text/html", Media::Other),
            ("", Media::Other),
        ] {
            assert_eq!(media(value.as_bytes()), wanted, "{value:?}");
        }
    }

    #[test]
    fn the_three_date_forms_of_the_rfc() {
        let wanted = Some(UnixTime(784_111_777));
        assert_eq!(date(b"Sun, 06 Nov 1994 08:49:37 GMT"), wanted);
        assert_eq!(date(b"Sunday, 06-Nov-94 08:49:37 GMT"), wanted);
        assert_eq!(date(b"Sun Nov  6 08:49:37 1994"), wanted);
        assert_eq!(date(b" Sun, 06 Nov 1994 08:49:37 GMT\t"), wanted);
    }

    #[test]
    fn calendar() {
        for (value, wanted) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
            ("Sat, 01 Jan 2000 00:00:00 GMT", 946_684_800),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Monday, 01-Jan-69 00:00:00 GMT", 3_124_224_000),
        ] {
            assert_eq!(date(value.as_bytes()), Some(UnixTime(wanted)), "{value}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for value in [
            "",
            ",",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 1900 00:00:00 GMT",
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sunday Nov  6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 ,",
        ] {
            assert_eq!(date(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn retry_after_forms() {
        assert_eq!(retry_after(b"120"), Some(RetryAfter::Seconds(120)));
        assert_eq!(retry_after(b" 0 "), Some(RetryAfter::Seconds(0)));
        assert_eq!(retry_after(b"99999999999999"), Some(RetryAfter::Seconds(u32::MAX)));
        assert_eq!(retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(RetryAfter::At(UnixTime(784_111_777))));
        for value in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(retry_after(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn every_damaged_octet_is_survived() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            for at in 0..form.len() {
                assert_eq!(date(&form.as_bytes()[..at]), None, "{form} cut at {at}");
                for octet in 0..=255 {
                    let mut damaged = Vec::from(form);
                    damaged[at] = octet;
                    let _ = (date(&damaged), retry_after(&damaged), media(&damaged));
                }
            }
        }
    }
}
