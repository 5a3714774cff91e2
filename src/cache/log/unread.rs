//! The part of the log that is to be read next.

use super::{MAX_HINT, MAX_MARK, Shared, TAG};

/// Who reads a part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// The call that looks, while it has time; else a task.
    #[default]
    Now,
    /// The call, if it may give a stored response; else a task.
    IfNeeded,
    /// A task, which begins the log again before: it has no number that can be read.
    Lost,
}

/// What is to be read of the log: a hint at its end, and marks that follow one another.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// The number before the first mark.
    pub(super) after: u64,
    /// It was read before, and is not read again.
    pub(super) is_last: bool,
    pub(crate) urgency: Urgency,
    pub(crate) names: Vec<String>,
}

impl Unread {
    pub(super) fn after(shared: &Shared, after: u64, marks: u64) -> Self {
        let numbers = (1..=marks).map_while(|ahead| after.checked_add(ahead));
        let marks = numbers.map(|number| shared.name(number));
        let names = std::iter::once(shared.hint_name()).chain(marks).collect();
        Self { after, is_last: false, urgency: Urgency::Now, names }
    }

    /// The keys with the most bytes that their values have.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, usize)> {
        let bounds = std::iter::once(MAX_HINT).chain(std::iter::repeat(TAG + MAX_MARK));
        self.names.iter().map(String::as_str).zip(bounds)
    }

    /// The number that a log begins with which may not be there: of one that nothing is known of.
    pub(crate) fn beginning(&self) -> Option<u64> {
        let start = std::time::SystemTime::UNIX_EPOCH.elapsed().ok()?;
        let start = u64::try_from(start.as_millis()).ok()?;
        (self.after == 0 && !self.names.is_empty()).then_some(start)
    }
}
