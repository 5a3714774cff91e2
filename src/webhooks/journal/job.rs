//! One part of a transaction, and the caller that waits for its outcome.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::inbox::{Inbox, Outcome};
use crate::error::{Error, Result};

/// An operation on the file, with the caller that waits for it.
pub(super) struct Job<T> {
    act: Option<Act<T>>,
    outcome: Option<T>,
    answer: Option<oneshot::Sender<Result<Answer<T>>>>,
    hands_over: Option<HandsOver<T>>,
    /// The delivery whose outcome the job records.
    records: Option<(String, Outcome)>,
    /// The job changes nothing.
    reads: bool,
    size: usize,
}

type Act<T> = Box<dyn FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send>;

/// A delivery that the caller owns if the outcome says so.
struct HandsOver<T> {
    id: String,
    does: fn(&T) -> bool,
}

/// The outcome of a job.
pub(super) struct Answer<T> {
    outcome: T,
    yours: Option<Yours>,
}

/// A delivery on its way to the caller, which might have been dropped: if this is dropped, the delivery has no owner.
struct Yours {
    id: Option<String>,
    left: Left,
}

/// The keys of deliveries without an owner.
pub(super) type Left = Arc<Mutex<Vec<String>>>;

impl<T> Answer<T> {
    /// Returns the outcome to the caller, which owns the delivery from then on.
    pub(super) fn take(self) -> T {
        if let Some(yours) = self.yours {
            yours.take();
        }
        self.outcome
    }
}

impl Yours {
    fn take(mut self) {
        self.id = None;
    }
}

impl Drop for Yours {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }
}

impl<T> Job<T> {
    pub(super) fn new(
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        let act: Act<T> = Box::new(act);
        Self {
            act: Some(act),
            outcome: None,
            answer: None,
            hands_over: None,
            records: None,
            reads: false,
            size: 0,
        }
    }

    /// Creates a job that changes nothing: it runs even if the disk is full.
    pub(super) fn reading(
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { reads: true, ..Self::new(act) }
    }

    /// Creates a job for which an outcome with a true `does` gives the delivery to the caller.
    pub(super) fn handing_over(
        id: &str,
        does: fn(&T) -> bool,
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { hands_over: Some(HandsOver { id: id.to_owned(), does }), ..Self::new(act) }
    }

    /// Creates a job that records the outcome of a delivery. If it fails, the thread records it later.
    pub(super) fn recording(
        id: &str,
        outcome: Outcome,
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { records: Some((id.to_owned(), outcome)), ..Self::new(act) }
    }

    /// Returns the receiver of the outcome.
    pub(super) fn answered(&mut self) -> oneshot::Receiver<Result<Answer<T>>> {
        let (answer, answered) = oneshot::channel();
        self.answer = Some(answer);
        answered
    }

    /// Sets how many bytes it writes.
    pub(super) fn of_size(self, bytes: usize) -> Self {
        Self { size: bytes, ..self }
    }
}

/// A [`Job`] of any outcome.
pub(super) trait Work: Send {
    fn size(&self) -> usize;

    /// Returns whether the job changes nothing.
    fn is_reading(&self) -> bool;

    /// Takes the delivery whose outcome the job records.
    fn take_recorded(&mut self) -> Option<(String, Outcome)>;

    fn act(&mut self, inbox: &mut Inbox<'_>) -> Result<(), redb::Error>;

    /// Sends the outcome. A delivery for the caller is left if the caller was dropped, or if it is unknown whether it
    /// is on the disk.
    fn answer(self: Box<Self>, error: Option<&Error>, left: &Left);
}

impl<T: Send> Work for Job<T> {
    fn size(&self) -> usize {
        self.size
    }

    fn is_reading(&self) -> bool {
        self.reads
    }

    fn take_recorded(&mut self) -> Option<(String, Outcome)> {
        self.records.take()
    }

    fn act(&mut self, inbox: &mut Inbox<'_>) -> Result<(), redb::Error> {
        let is_left = self.answer.as_ref().is_none_or(oneshot::Sender::is_closed);
        if is_left && self.hands_over.is_some() {
            return Ok(());
        }
        if let Some(act) = self.act.take() {
            self.outcome = Some(act(inbox)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<&Error>, left: &Left) {
        let Self { outcome, answer, hands_over, .. } = *self;
        let yours = hands_over.zip(outcome.as_ref()).and_then(|(hands_over, outcome)| {
            let id = (hands_over.does)(outcome).then_some(hands_over.id);
            id.map(|id| Yours { id: Some(id), left: Arc::clone(left) })
        });
        let said = match (error, outcome) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(outcome)) => Ok(Answer { outcome, yours }),
            (None, None) => return,
        };
        if let Some(answer) = answer {
            let _ = answer.send(said);
        }
    }
}
