//! The executor as one task, driven by hand.

mod claims;
mod doubt;
mod schedules;
mod world;
