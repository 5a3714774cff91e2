//! One part of a transaction, and the caller that waits for its outcome.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::transaction::{JournalTransaction, Outcome};
use crate::error::{Error, Result};

/// An operation on the file, with the caller that waits for it.
pub(super) struct WriteJob<T> {
    write: Option<WriteFn<T>>,
    outcome: Option<T>,
    reply: Option<oneshot::Sender<Result<JobResult<T>>>>,
    transfer: Option<OwnershipTransfer<T>>,
    /// The delivery whose outcome the job records.
    records: Option<(String, Outcome)>,
    /// The job changes nothing.
    is_reading: bool,
    size: usize,
}

type WriteFn<T> = Box<dyn FnOnce(&mut JournalTransaction<'_>) -> Result<T, redb::Error> + Send>;

/// A delivery that the caller owns if the outcome says so.
struct OwnershipTransfer<T> {
    id: String,
    transfers: fn(&T) -> bool,
}

/// The outcome of a job.
pub(super) struct JobResult<T> {
    outcome: T,
    owned: Option<OwnedDelivery>,
}

/// A delivery on its way to the caller, which might have been dropped: if this is dropped, the delivery has no owner.
struct OwnedDelivery {
    id: Option<String>,
    unclaimed: UnclaimedIds,
}

/// The keys of deliveries without an owner.
pub(super) type UnclaimedIds = Arc<Mutex<Vec<String>>>;

impl<T> JobResult<T> {
    /// Returns the outcome to the caller, which owns the delivery from then on.
    pub(super) fn take(self) -> T {
        if let Some(yours) = self.owned {
            yours.take();
        }
        self.outcome
    }
}

impl OwnedDelivery {
    fn take(mut self) {
        self.id = None;
    }
}

impl Drop for OwnedDelivery {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }
}

impl<T> WriteJob<T> {
    pub(super) fn new(
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        let act: WriteFn<T> = Box::new(act);
        Self {
            write: Some(act),
            outcome: None,
            reply: None,
            transfer: None,
            records: None,
            is_reading: false,
            size: 0,
        }
    }

    /// Creates a job that changes nothing: it runs even if the disk is full.
    pub(super) fn read_only(
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { is_reading: true, ..Self::new(act) }
    }

    /// Creates a job for which an outcome with a true `transfers` gives the delivery to the caller.
    pub(super) fn with_transfer(
        id: &str,
        does: fn(&T) -> bool,
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self {
            transfer: Some(OwnershipTransfer { id: id.to_owned(), transfers: does }),
            ..Self::new(act)
        }
    }

    /// Creates a job that records the outcome of a delivery. If it fails, the thread records it later.
    pub(super) fn with_outcome(
        id: &str,
        outcome: Outcome,
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { records: Some((id.to_owned(), outcome)), ..Self::new(act) }
    }

    /// Returns the receiver of the outcome.
    pub(super) fn receiver(&mut self) -> oneshot::Receiver<Result<JobResult<T>>> {
        let (response, receiver) = oneshot::channel();
        self.reply = Some(response);
        receiver
    }

    /// Sets how many bytes it writes.
    pub(super) fn with_size(self, bytes: usize) -> Self {
        Self { size: bytes, ..self }
    }
}

/// A [`WriteJob`] of any outcome.
pub(super) trait ErasedJob: Send {
    fn size(&self) -> usize;

    /// Returns whether the job changes nothing.
    fn is_reading(&self) -> bool;

    /// Takes the delivery whose outcome the job records.
    fn take_recorded(&mut self) -> Option<(String, Outcome)>;

    fn run(&mut self, inbox: &mut JournalTransaction<'_>) -> Result<(), redb::Error>;

    /// Sends the outcome. A delivery for the caller is left if the caller was dropped, or if it is unknown whether it
    /// is on the disk.
    fn reply(self: Box<Self>, error: Option<&Error>, left: &UnclaimedIds);
}

impl<T: Send> ErasedJob for WriteJob<T> {
    fn size(&self) -> usize {
        self.size
    }

    fn is_reading(&self) -> bool {
        self.is_reading
    }

    fn take_recorded(&mut self) -> Option<(String, Outcome)> {
        self.records.take()
    }

    fn run(&mut self, inbox: &mut JournalTransaction<'_>) -> Result<(), redb::Error> {
        let is_left = self.reply.as_ref().is_none_or(oneshot::Sender::is_closed);
        if is_left && self.transfer.is_some() {
            return Ok(());
        }
        if let Some(act) = self.write.take() {
            self.outcome = Some(act(inbox)?);
        }
        Ok(())
    }

    fn reply(self: Box<Self>, error: Option<&Error>, left: &UnclaimedIds) {
        let Self { outcome, reply: response, transfer: hands_over, .. } = *self;
        let yours = hands_over.zip(outcome.as_ref()).and_then(|(hands_over, outcome)| {
            let id = (hands_over.transfers)(outcome).then_some(hands_over.id);
            id.map(|id| OwnedDelivery { id: Some(id), unclaimed: Arc::clone(left) })
        });
        let said = match (error, outcome) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(outcome)) => Ok(JobResult { outcome, owned: yours }),
            (None, None) => return,
        };
        if let Some(response) = response {
            let _ = response.send(said);
        }
    }
}
