//! Health tests of SP 800-90B §4.4 on raw octets, cutoffs for a false alarm once in 2^30 octets.

use crate::error::EntropyFault;

/// Samples in a window of the adaptive proportion test, for a non-binary source. SP 800-90B §4.4.2.
pub const WINDOW: u16 = 512;

/// Octets the start-up test looks at before anything may be used: two whole windows. SP 800-90B §4.3 wants 1024.
pub const START_UP_OCTETS: usize = 1024;

/// −log2 of the chance that one octet of a good source raises an alarm. SP 800-90B §4.3 recommends 20 to 40.
const ALPHA_EXPONENT: u32 = 30;

/// Octets of one value in a row that fail the repetition count test: C = 1 + ⌈30 / H⌉. SP 800-90B §4.4.1.
///
/// `centibits`: min-entropy H of an octet in hundredths of a bit, 1 to 800.
#[must_use]
pub const fn repetition_cutoff(centibits: u16) -> u16 {
    let h = claim(centibits) as u32;
    // At most 3001, so the conversion is exact.
    (1 + (ALPHA_EXPONENT * 100).div_ceil(h)) as u16
}

/// Octets equal to the first of a window of 512 that fail the adaptive proportion test:
/// C = 1 + critbinom(512, 2^−H, 1 − 2^−30). SP 800-90B §4.4.2.
///
/// `centibits`: min-entropy H of an octet in hundredths of a bit, 1 to 800. Below 6 the window cannot tell such a source
/// from a stuck one and the result is over 512: the repetition count test alone guards it.
///
/// Meant for constants: it sums a binomial tail in floating point, which the compiler does.
#[must_use]
pub const fn proportion_cutoff(centibits: u16) -> u16 {
    let alpha = 1.0 / (1_u64 << ALPHA_EXPONENT) as f64;
    let p = two_to_minus(claim(centibits) as f64 / 100.0);
    let n = WINDOW as f64;
    // Both walks start at the end whose probability is at least 2^-512, which a double holds.
    if p <= 0.5 {
        let (mut k, mut term) = (0.0, power(1.0 - p, WINDOW));
        let mut below = term;
        while below < 1.0 - alpha {
            term *= (n - k) / (k + 1.0) * (p / (1.0 - p));
            k += 1.0;
            below += term;
        }
        k as u16 + 1
    } else {
        let (mut k, mut term) = (n, power(p, WINDOW));
        let mut tail = term;
        while tail <= alpha {
            term *= k / (n - k + 1.0) * ((1.0 - p) / p);
            k -= 1.0;
            tail += term;
        }
        // P(X ≥ k) > α ≥ P(X ≥ k + 1), so critbinom is k.
        k as u16 + 1
    }
}

/// A claim kept to what an octet can hold.
const fn claim(centibits: u16) -> u16 {
    match centibits {
        0 => 1,
        801.. => 800,
        h => h,
    }
}

/// 2^−h for 0 ≤ h ≤ 8, by the exponential series on an eighth of the exponent.
const fn two_to_minus(h: f64) -> f64 {
    let x = -h * core::f64::consts::LN_2 / 8.0;
    let (mut sum, mut term, mut i) = (1.0, 1.0, 1);
    while i < 24 {
        term *= x / i as f64;
        sum += term;
        i += 1;
    }
    power(sum, 8)
}

/// base^exponent by squaring.
const fn power(base: f64, exponent: u16) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}

/// Both tests, fed with every raw octet in order.
pub(super) struct Health {
    repetition_cutoff: u16,
    proportion_cutoff: u16,
    /// The octet seen last and how many times in a row.
    last: u8,
    run: u16,
    /// The first octet of this window, how many equal it, and how many octets of the window have been seen.
    first: u8,
    equal: u16,
    seen: u16,
}

impl Health {
    pub(super) const fn new(repetition_cutoff: u16, proportion_cutoff: u16) -> Self {
        Self { repetition_cutoff, proportion_cutoff, last: 0, run: 0, first: 0, equal: 0, seen: 0 }
    }

    /// Takes the next raw octets.
    pub(super) fn feed(&mut self, raw: &[u8]) -> Result<(), EntropyFault> {
        raw.iter().try_for_each(|&octet| self.octet(octet))
    }

    fn octet(&mut self, octet: u8) -> Result<(), EntropyFault> {
        self.run = if self.run > 0 && octet == self.last { self.run.saturating_add(1) } else { 1 };
        self.last = octet;
        if self.run >= self.repetition_cutoff {
            return Err(EntropyFault::Stuck);
        }
        if self.seen == 0 {
            self.first = octet;
            self.equal = 0;
        }
        if octet == self.first {
            self.equal = self.equal.saturating_add(1);
        }
        if self.equal >= self.proportion_cutoff {
            return Err(EntropyFault::Biased);
        }
        self.seen = if self.seen >= WINDOW - 1 { 0 } else { self.seen + 1 };
        Ok(())
    }
}
