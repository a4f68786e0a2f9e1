//! Work that may hang for ever, on a thread that nobody waits for.
//!
//! A look at a dead NFS server, or a name that the system's resolver cannot settle, must not keep
//! a command from ending: tokio waits for its own blocking threads when it shuts down.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// What the work returns, unless it takes longer than `patience` or panics.
pub(super) async fn aside<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, waiting) = oneshot::channel();
    let thread = std::thread::Builder::new().name("aside".to_owned());
    thread
        .spawn(move || {
            // Nobody listens any more where it took too long.
            let _ = done.send(work());
        })
        .ok()?;
    timeout(patience, waiting).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_left_behind() {
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let hangs = aside(Duration::from_secs(1), move || hang.recv());
        assert!(hangs.await.is_none());
        drop(release);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_answer_only() {
        let patience = Duration::from_secs(10);
        assert_eq!(aside(patience, || 5).await, Some(5));
        let broken: Option<()> = aside(patience, || panic!("injected")).await;
        assert_eq!(broken, None);
    }
}
