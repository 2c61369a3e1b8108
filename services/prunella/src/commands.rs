//! The commands, one file each.

pub mod decide;
pub mod doctor;
pub mod kill_switch;
pub mod knowledge;
pub mod normalize;
pub mod run;
pub mod tail;
pub mod topology;
pub mod up;
