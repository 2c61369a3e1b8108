//! How much a source may send.

use std::time::{Duration, Instant};

/// A token bucket: so many a second for long, so many at once.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    filled: Option<Instant>,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            level: f64::from(burst),
            filled: None,
        }
    }

    /// Takes one, or says how long it takes until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = self
            .filled
            .map(|filled| now.saturating_duration_since(filled));
        self.filled = Some(self.filled.map_or(now, |filled| filled.max(now)));
        let gained = since.unwrap_or_default().as_secs_f64() * self.per_second;
        self.level = (self.level + gained).min(self.burst);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.level) / self.per_second,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::new(10, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(Duration::from_millis(100)));
        assert!(bucket.take(at(99)).is_err());
        assert_eq!(bucket.take(at(101)), Ok(()));
        assert!(bucket.take(at(102)).is_err());
        // It never holds more than its burst.
        for _ in 0..3 {
            assert_eq!(bucket.take(at(60_000)), Ok(()));
        }
        assert!(bucket.take(at(60_000)).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let later = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(1, 1);
        assert_eq!(bucket.take(later), Ok(()));
        assert!(bucket.take(later - Duration::from_secs(10)).is_err());
        assert!(bucket.take(later).is_err());
    }
}
