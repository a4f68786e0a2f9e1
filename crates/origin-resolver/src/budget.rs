//! What may be read in the background: reserved before an origin is asked, given back where it was
//! not read.
//!
//! Who has the bytes is not known here: this process, or a gateway beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use object::{BodyError, Interruption, ObjectBody};

use crate::bandwidth::Bandwidth;

/// Who says whether more may be read from an origin in the background.
pub trait Budget: Send + Sync {
    /// Takes so many bytes if they are there; nothing is taken where they are not. Zero asks
    /// whether anything is left.
    fn take(&self, bytes: u64) -> BoxFuture<'_, Result<(), Unaffordable>>;

    /// Gives back what was taken and not read.
    fn give_back(&self, bytes: u64);
}

/// Why nothing may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaffordable(pub Box<str>);

impl fmt::Display for Unaffordable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What background work may use.
#[derive(Clone, Default)]
pub struct Means {
    /// How fast bytes are moved.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// How many bytes may be read.
    pub budget: Option<Arc<dyn Budget>>,
    /// Bytes that will be read, as far as that is known before: an origin is not asked for what
    /// the budget does not have. It sends more than is taken from it before it can be stopped.
    pub expected_bytes: u64,
    /// How long storing waits for an origin that is being left alone: what is to be stored may
    /// have been paid for.
    pub patience: Duration,
}

/// Bytes that were taken from a budget and are not read yet.
pub(crate) struct Reserved {
    budget: Arc<dyn Budget>,
    bytes: u64,
}

impl Reserved {
    /// Takes so many.
    pub(crate) async fn take(budget: &Arc<dyn Budget>, bytes: u64) -> Result<Self, Unaffordable> {
        budget.take(bytes).await?;
        Ok(Self {
            budget: Arc::clone(budget),
            bytes,
        })
    }

    /// Takes more until it is so many, or gives back what is too much.
    pub(crate) async fn become_bytes(&mut self, bytes: u64) -> Result<(), Unaffordable> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes).await?;
        } else if bytes < self.bytes {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// So many were read.
    async fn spend(&mut self, bytes: u64) -> Result<(), Unaffordable> {
        if bytes > self.bytes {
            self.become_bytes(bytes).await?;
        }
        self.bytes -= bytes;
        Ok(())
    }

    /// A body whose bytes are paid from it. What is not read of it is given back.
    pub(crate) fn pay_for(self, body: ObjectBody) -> ObjectBody {
        ObjectBody::new(stream::unfold(Some((body, self)), |reading| async move {
            let (mut body, mut reserved) = reading?;
            match body.next().await? {
                Ok(chunk) => match reserved.spend(chunk.len() as u64).await {
                    Ok(()) => Some((Ok(chunk), Some((body, reserved)))),
                    Err(why) => {
                        let error = BodyError::new(Interruption::Cut, why.0);
                        Some((Err(error), None))
                    }
                },
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}
