//! What requests are answered from now, while the configuration changes.
//!
//! One atomic load for a request. Whoever has loaded it keeps it to the end of its request.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::app::App;

/// The app of the moment.
pub(crate) struct Live {
    app: ArcSwap<App>,
    changes: watch::Sender<()>,
}

impl Live {
    pub(crate) fn new(app: Arc<App>) -> Arc<Self> {
        Arc::new(Self {
            app: ArcSwap::new(app),
            changes: watch::Sender::new(()),
        })
    }

    /// What new requests are answered from.
    pub(crate) fn app(&self) -> Arc<App> {
        self.app.load_full()
    }

    /// From now on they are answered from this.
    pub(crate) fn becomes(&self, app: Arc<App>) {
        self.app.store(app);
        self.changes.send_replace(());
    }

    /// Is told of each change after this.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
