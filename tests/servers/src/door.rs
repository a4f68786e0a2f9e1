//! A listener that can be closed and opened again at the same address, and the owner of every
//! task behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ReservedPort;

/// Closed when made. Dropping it ends the listener and every connection.
#[derive(Debug)]
pub(crate) struct Door {
    port: ReservedPort,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    end: CancellationToken,
    tasks: TaskTracker,
}

impl Door {
    pub(crate) fn at(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            port: ReservedPort::at(addr)?,
            open: Mutex::new(None),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Accepts connections and gives each to `serve`; does nothing where it already does.
    pub(crate) fn open<S, F>(&self, serve: S) -> io::Result<()>
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(());
        }
        let listener = self.port.listen()?;
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (connections, each) = (tasks.clone(), end.clone());
        let accept = async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        connections.spawn(each.clone().run_until_cancelled_owned(serve(stream)));
                    }
                    // Out of descriptors, or a peer that is gone already: the next one may do.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tasks.spawn(end.clone().run_until_cancelled_owned(accept));
        *open = Some(Open { end, tasks });
        Ok(())
    }

    /// Stops listening and breaks every connection; when it returns, they are broken.
    pub(crate) async fn close(&self) {
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Open { end, tasks }) = open {
            end.cancel();
            tasks.close();
            tasks.wait().await;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.take() {
            open.end.cancel();
        }
    }
}
