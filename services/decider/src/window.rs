//! Windowed counts, in event time: how many distinct occurrences a rule has seen of one domain and service.
//!
//! A window is any stretch of event time of the rule's length, both its ends included: six occurrences one minute
//! apart lie within five minutes. The rule triggers on the
//! arrival of the occurrence that completes enough of them inside one such stretch, whatever the order in which
//! they arrived; it then starts anew, with nothing counted. An occurrence counts once, however often it comes:
//! also one that the window has already acted on.
//!
//! An occurrence is late once every window it could be in has closed by its own source's clock, the grace
//! included: so any order is good inside of a window, and a source whose clock is fast silences no other. In the
//! same way an occurrence that was counted is let go of once its own source is past everything it could be
//! counted with.

use prunella_knowledge::{Count, Rule};
use prunella_schemas::BorrowedAlert;
use prunella_schemas::state::{Counted, Watermark, Window};
use prunella_stream::{Digest, Millis, WindowStore};

use crate::state::DeciderState;

/// How long, by the time of day, what was counted is remembered beyond its windows: a source may fall silent,
/// and re-notify what it knows when it comes back. What is older than that is late by the time of day.
const HOLD_MS: Millis = 24 * 60 * 60 * 1_000;

/// What an occurrence does to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// It was counted before.
    Again,
    /// It comes too late, by so many milliseconds.
    Late(Millis),
    /// It is counted; the fullest window it lies in holds so many.
    Counted(usize),
    /// It completes a window; the window starts anew.
    Reached(usize),
}

/// Moves the source's event time on. To be called for every alert, also those that no windowed rule is for.
pub(crate) fn advance(
    watermarks: &mut WindowStore<String, Watermark>,
    alert: &BorrowedAlert<'_>,
    now: Millis,
) {
    let source = alert.source_system.to_string();
    let known = watermarks.get(&source);
    if known.is_none_or(|known| alert.timestamp > known.at) {
        let mark = Watermark {
            at: alert.timestamp,
        };
        let keep = now.saturating_add(HOLD_MS);
        watermarks.put(source, mark, keep);
    }
}

/// Counts an occurrence in the rule's window for its domain and service.
pub(crate) fn count(
    state: &mut DeciderState,
    alert: &BorrowedAlert<'_>,
    rule: &Rule,
    count: Count,
    grace: Millis,
    now: Millis,
) -> Counting {
    let window_key = window_key(alert, rule);
    let occurrence = Digest::of(&[
        &window_key.0,
        alert.fingerprint.as_bytes(),
        &alert.starts_at.to_be_bytes(),
    ]);
    let at = alert.timestamp;
    let reach = count.within_ms.saturating_add(grace);
    let keep = now.max(at).saturating_add(reach).saturating_add(HOLD_MS);
    if let Some(known) = state.counted.get(&occurrence).copied() {
        // Re-notifications keep the memory of it alive, so that they never add up.
        state.counted.put(occurrence, known, keep);
        return Counting::Again;
    }
    let closed = at.saturating_add(reach);
    let source = alert.source_system.to_string();
    let mark = state.watermarks.get(&source);
    let late_by_source = mark.map_or(Millis::MIN, |mark| mark.at.saturating_sub(closed));
    let late_by_day = now.saturating_sub(closed.saturating_add(HOLD_MS));
    let late = late_by_source.max(late_by_day);
    if late > 0 {
        return Counting::Late(late);
    }
    state.counted.put(occurrence, Counted { at }, keep);
    let mut window = state.windows.get(&window_key).cloned().unwrap_or_default();
    let horizon = count.within_ms.saturating_add(reach);
    let_go(&mut window, &state.watermarks, horizon);
    let times = window.times.entry(source).or_default();
    let place = times.partition_point(|time| *time <= at);
    times.insert(place, at);
    let fullest = fullest(&window, at, count.within_ms);
    let reached = fullest >= usize::try_from(count.at_least).unwrap_or(usize::MAX);
    if reached {
        state.windows.remove(&window_key);
        return Counting::Reached(fullest);
    }
    state.windows.put(window_key, window, keep);
    Counting::Counted(fullest)
}

/// Names of services compare without case.
fn window_key(alert: &BorrowedAlert<'_>, rule: &Rule) -> Digest {
    let service = alert.service_name.as_deref().map(str::to_lowercase);
    Digest::of(&[
        rule.id.as_bytes(),
        alert.domain.as_bytes(),
        &[u8::from(service.is_some())],
        service.unwrap_or_default().as_bytes(),
    ])
}

/// Drops what its own source is so far past that nothing can be counted with it any more.
fn let_go(window: &mut Window, watermarks: &WindowStore<String, Watermark>, horizon: Millis) {
    window.times.retain(|source, times| {
        let Some(mark) = watermarks.get(source) else {
            return false;
        };
        let gone = times.partition_point(|time| time.saturating_add(horizon) < mark.at);
        times.drain(..gone);
        !times.is_empty()
    });
}

/// The most occurrences inside one window that holds this time.
fn fullest(window: &Window, at: Millis, within: Millis) -> usize {
    let mut near: Vec<Millis> = window
        .times
        .values()
        .flatten()
        .copied()
        .filter(|time| time.abs_diff(at) <= within.unsigned_abs())
        .collect();
    near.sort_unstable();
    let mut most = 0;
    let mut first = 0;
    for (last, time) in near.iter().enumerate() {
        while time.abs_diff(near[first]) > within.unsigned_abs() {
            first += 1;
        }
        if near[first] <= at && at <= *time {
            most = most.max(last - first + 1);
        }
    }
    most
}

#[cfg(test)]
mod tests;
