//! SNTP client (RFC 4330, the format of RFC 5905): one question, one answer, no credentials.

use identity_core::error::Error as CoreError;
use identity_core::time::UnixTime;

use crate::Error;
use crate::ports::Net;

/// Octets of a message without extensions.
const MESSAGE: usize = 48;
/// Seconds from 1900 to 1970.
const EPOCH: u64 = 2_208_988_800;
/// Seconds of an era: the timestamp wraps in February 2036.
const ERA: u64 = 1 << 32;

/// Asks `host` for the time. `nonce` travels as the client's timestamp and must come back, so that an answer cannot be
/// forged by someone who did not see the question. It serves until 2104. The caller bounds the wait.
///
/// # Errors
/// [`Error::Port`] from the network; [`Error::Core`] if the answer is malformed, not to this question, unsynchronised, or
/// before `floor`.
pub async fn ask<N: Net>(net: &mut N, host: &str, port: u16, nonce: u64, floor: UnixTime) -> Result<UnixTime, Error> {
    let mut question = [0; MESSAGE];
    // version 4, mode 3 (client)
    question[0] = 0x23;
    let (_, transmit) = question.split_at_mut(40);
    transmit.iter_mut().zip(nonce.to_be_bytes()).for_each(|(to, from)| *to = from);

    let mut answer = [0; MESSAGE + 20];
    let length = net.datagram(host, port, &question, &mut answer).await.map_err(|error| Error::port("net", &error))?;
    Ok(read(answer.get(..length).unwrap_or_default(), nonce, floor)?)
}

fn read(answer: &[u8], nonce: u64, floor: UnixTime) -> Result<UnixTime, CoreError> {
    let bad = |problem| CoreError::Malformed { what: "SNTP answer", problem };
    let number = |at: usize, length: usize| {
        let octets = answer.get(at..at.saturating_add(length))?;
        Some(octets.iter().fold(0, |sum: u64, &octet| (sum << 8) | u64::from(octet)))
    };
    let short = bad("shorter than 48 octets");
    let (Some(flags), Some(stratum)) = (number(0, 1), number(1, 1)) else { return Err(short) };
    let (Some(origin), Some(seconds), Some(transmit)) = (number(24, 8), number(40, 4), number(40, 8)) else {
        return Err(short);
    };
    if flags & 7 != 4 || !(3..=4).contains(&((flags >> 3) & 7)) {
        return Err(bad("not an answer of a server of version 3 or 4"));
    }
    if origin != nonce {
        return Err(bad("not to our question: the originate timestamp is not ours"));
    }
    if stratum == 0 {
        let hint = "kiss-o'-death: the time server does not want to be asked (so often); use another";
        return Err(CoreError::Refused { by: "time server", code: 0, hint });
    }
    if stratum > 15 || flags >> 6 == 3 || transmit == 0 {
        return Err(bad("the time server is not synchronised; use another"));
    }
    // RFC 4330 §3: without the top bit it is the era that began in 2036
    let era = if seconds < ERA / 2 { ERA } else { 0 };
    let time = (seconds + era).saturating_sub(EPOCH);
    if time < floor.0 {
        return Err(bad("before the clock floor; the time server is wrong"));
    }
    Ok(UnixTime(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(change: impl FnOnce(&mut [u8; MESSAGE])) -> Result<UnixTime, CoreError> {
        let mut octets = [0; MESSAGE];
        (octets[0], octets[1]) = (0x24, 2);
        octets[24..32].copy_from_slice(&7u64.to_be_bytes());
        octets[40..44].copy_from_slice(&0xEE00_0000u32.to_be_bytes());
        change(&mut octets);
        read(&octets, 7, UnixTime(1_700_000_000))
    }

    #[test]
    fn only_a_sound_answer_to_this_question_counts() {
        assert_eq!(answer(|_| ()), Ok(UnixTime(0xEE00_0000 - EPOCH)));
        assert_eq!(
            answer(|octets| octets[40..44].copy_from_slice(&[0; 4])),
            answer(|octets| octets[43] = 0).and(Err(CoreError::Malformed {
                what: "SNTP answer",
                problem: "the time server is not synchronised; use another"
            },))
        );
        let second_era = answer(|octets| octets[40..44].copy_from_slice(&5u32.to_be_bytes()));
        assert_eq!(second_era, Ok(UnixTime(ERA + 5 - EPOCH)), "2036");
        let faults: [fn(&mut [u8; MESSAGE]); 7] = [
            |octets| octets[0] = 0x23,
            |octets| octets[0] = 0x0C,
            |octets| octets[0] |= 0xC0,
            |octets| octets[1] = 0,
            |octets| octets[1] = 16,
            |octets| octets[31] = 8,
            |octets| octets[40] = 0x80,
        ];
        for fault in faults {
            assert!(answer(fault).is_err());
        }
        assert!(read(&[0x24; 47], 7, UnixTime(0)).is_err());
    }
}
