//! Ports that stay ours for as long as a server may be restarted on them.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::atomic::{AtomicU16, Ordering},
};

use crate::error::{Doing, Result, ServerError};

/// Below the range from which the kernel takes the ports of outgoing connections (32768 and up): otherwise any
/// client's connection could sit on a broker's port between its kill and its restart.
const FROM: u16 = 15_000;
const TO: u16 = 32_000;

/// A free loopback port. No other `ReservedPort` has the same number while this one lives, in this process or
/// in another: a lock on a file in the temporary directory says so.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _lock: File,
}

impl ReservedPort {
    pub fn new() -> Result<ReservedPort> {
        let dir = std::env::temp_dir().join("prunella-ports");
        std::fs::create_dir_all(&dir).doing(|| format!("create {}", dir.display()))?;
        for _ in FROM..TO {
            if let Some(port) = ReservedPort::reserve(&dir, next_candidate())? {
                return Ok(port);
            }
        }
        Err(ServerError::NoFreePort { from: FROM, to: TO })
    }

    /// `None` when someone else has it reserved or listens on it.
    fn reserve(dir: &Path, number: u16) -> Result<Option<ReservedPort>> {
        let path = dir.join(number.to_string());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .doing(|| format!("open {}", path.display()))?;
        let free =
            lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(ReservedPort {
            number,
            _lock: lock,
        }))
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Different processes begin at different places, so that they rarely try the same port at once.
fn next_candidate() -> u16 {
    static STEP: AtomicU16 = AtomicU16::new(0);
    let step = u32::from(STEP.fetch_add(1, Ordering::Relaxed));
    let place = std::process::id().wrapping_mul(61).wrapping_add(step) % u32::from(TO - FROM);
    FROM + place as u16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reserved_ports_are_all_different_and_can_be_bound() {
        let ports: Vec<ReservedPort> = (0..20).map(|_| ReservedPort::new().unwrap()).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(ReservedPort::number).collect();
        assert_eq!(numbers.len(), 20);
        for port in &ports {
            TcpListener::bind(port.address()).unwrap();
        }
    }

    #[test]
    fn a_port_is_refused_while_it_is_reserved_or_listened_on_and_given_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let number = ReservedPort::new().unwrap().number();
        let reserve = || ReservedPort::reserve(dir.path(), number).unwrap();
        let first = reserve();
        assert!(first.is_some());
        assert!(reserve().is_none());
        drop(first);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(reserve().is_none());
        drop(listener);
        assert!(reserve().is_some());
    }
}
