//! The gateway in this process.

use std::net::SocketAddr;

use anyhow::Result;
use prunella_runtime::client_config;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;

/// A gateway that serves until it is stopped.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Gateway {
    /// Starts it.
    ///
    /// # Errors
    /// A setting, a token or an address that cannot be.
    pub async fn start(config: &Config) -> Result<Self> {
        let gateway = prunella_gateway::Gateway::bind(
            config.gateway.clone(),
            client_config(&config.kafka),
            config.topology.prefix.clone(),
        )
        .await?;
        let address = gateway.address();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(gateway.run(async {
            // A sender that is gone asks for the same.
            let _ = stopped.await;
        }));
        Ok(Self {
            address,
            stop,
            served,
        })
    }

    /// True if it no longer serves.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.served.is_finished()
    }

    /// Finishes what is under way and ends.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        Ok(self.served.await?)
    }
}
