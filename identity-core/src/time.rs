//! Two clocks: monotonic time for waiting, wall time for validity. Neither is read here; both are arguments.

/// Monotonic time since start, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(pub u64);

impl Instant {
    /// This instant plus `ms` milliseconds, saturating.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This instant plus `seconds`, saturating.
    #[must_use]
    pub const fn after_seconds(self, seconds: u64) -> Self {
        self.after_ms(seconds.saturating_mul(1000))
    }
}

/// Wall time in seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The end of what does not end.
    pub const NEVER: Self = Self(u64::MAX);
}

/// What is known of time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic; used for waiting only.
    pub mono: Instant,
    /// Wall time if it is trusted; used for validity only.
    pub wall: Option<UnixTime>,
}

/// What validity is judged against: a trusted wall clock, or only the floor below which time cannot be.
///
/// Without a trusted wall clock notBefore is not judged and notAfter is judged against the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// A trusted wall clock.
    Wall(UnixTime),
    /// The larger of build time and last-known-good time.
    Floor(UnixTime),
}

impl Judge {
    /// The judge for `wall` if there is one (never before the floor), else for the floor.
    #[must_use]
    pub fn new(wall: Option<UnixTime>, floor: UnixTime) -> Self {
        match wall {
            Some(wall) if wall >= floor => Self::Wall(wall),
            _ => Self::Floor(floor),
        }
    }

    /// The latest time that is certain to have been reached.
    #[must_use]
    pub const fn at_least(self) -> UnixTime {
        match self {
            Self::Wall(t) | Self::Floor(t) => t,
        }
    }
}
