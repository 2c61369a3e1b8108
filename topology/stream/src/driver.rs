//! The test driver for whole topologies.
