//! What this process has used.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Processor time of all threads, and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Processor time since the process began.
    pub cpu: Duration,
    /// When.
    pub at: Instant,
}

impl Reading {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(cpu.tv_nsec).unwrap_or(0);
        Self {
            cpu: Duration::new(seconds, nanos),
            at: Instant::now(),
        }
    }
}

/// The most memory this process ever held, in MiB; 0 where the system does not say.
#[must_use]
pub fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    peak_of(&status)
}

fn peak_of(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Processor time of this process's threads in microseconds, by name; nothing where the system does not say.
#[must_use]
pub fn processor_time_by_thread() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat")
            .split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok());
        *times.entry(read("comm").trim().to_owned()).or_default() += nanos.unwrap_or(0) / 1_000;
    }
    times
}

/// The median; 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[3.0], 3.0),
            (&[9.0, 1.0, 5.0], 5.0),
            (&[4.0, 1.0, 2.0, 9.0], 3.0),
        ] {
            assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn peak_memory_is_read_in_mib() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t  204800 kB\n"), 200);
        assert_eq!(peak_of("Name:\tx\n"), 0);
    }
}
