//! How calls fail.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::difference::cut;
use crate::error::{Error, ErrorKind};

/// How a call failed, as far as it matters for comparing: two failures of one name are the same.
///
/// It is kept and shown: it should carry no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    name: Cow<'static, str>,
    answer: bool,
}

impl Failure {
    /// A failure of the side, such as a timeout, of this name, which is cut to 200 characters. It counts
    /// for the rate of errors.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: Cow::Owned(cut(name.into().into_owned())), answer: false }
    }

    /// An error that is an answer, such as 404: it is compared, and neither counts for the rate of
    /// errors nor leads to a fallback.
    #[must_use]
    pub fn answer(name: impl Into<Cow<'static, str>>) -> Self {
        Self { answer: true, ..Self::new(name) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is an answer.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.answer
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What 4xx says of the call rather than of the side: not who may call, nor how often.
impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match (error.kind(), error.status()) {
            _ if error.is_rate_limited() => Self::new("rate limited"),
            (ErrorKind::Api, Some(status)) => match status.as_u16() {
                401 | 403 | 408 | 425 | 429 => Self::new(status.as_str().to_owned()),
                300..500 => Self::answer(status.as_str().to_owned()),
                _ => Self::new(status.as_str().to_owned()),
            },
            (kind, _) => Self::new(format!("{kind:?}")),
        }
    }
}

/// How errors of which type are read.
#[derive(Clone)]
pub(super) struct Failures(HashMap<TypeId, Arc<Read>>);

type Read = dyn Fn(&dyn Any) -> Option<Failure> + Send + Sync;

impl Default for Failures {
    fn default() -> Self {
        let mut failures = Self(HashMap::new());
        failures.read_by(|error: &Error| Failure::from(error));
        failures
    }
}

impl Failures {
    pub(super) fn read_by<E: 'static>(
        &mut self,
        read: impl Fn(&E) -> Failure + Send + Sync + 'static,
    ) {
        let read = move |error: &dyn Any| error.downcast_ref().map(&read);
        self.0.insert(TypeId::of::<E>(), Arc::new(read));
    }

    pub(super) fn of<E: 'static>(&self, error: &E) -> Failure {
        let read = self.0.get(&TypeId::of::<E>()).and_then(|read| read(error));
        read.unwrap_or_else(|| Failure::new("failed"))
    }
}
