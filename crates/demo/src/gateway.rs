//! The gateway, in this process.

use anyhow::Context;
use gateway::config::Config;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Gateway {
    /// Starts with this configuration; returns when it accepts connections.
    pub(crate) fn start(config: &str) -> anyhow::Result<Self> {
        let loaded = Config::parse("the demonstration's configuration", config, [])
            .map_err(|rejected| anyhow::anyhow!("{:?}", rejected.problems))?;
        let bound = gateway::gateway::Gateway::bind(&loaded.config)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = TaskTracker::new().spawn(async move {
            bound.run(stopped).await;
        });
        Ok(Self { stop, running })
    }

    /// Finishes what is under way and stops.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await.context("the gateway panicked")
    }
}
