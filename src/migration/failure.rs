//! Failures of calls.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::difference::cut;
use crate::error::{Error, ErrorKind};

/// The failure of a call, for comparisons: two failures with the same name are equal.
///
/// It is kept and shown, so it must not contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    name: Cow<'static, str>,
    is_expected: bool,
}

impl Failure {
    /// Creates a failure of the side, such as a timeout, with this name, which is truncated to 200
    /// characters. It counts towards the error rate.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: Cow::Owned(cut(name.into().into_owned())), is_expected: false }
    }

    /// Creates an error that is a valid result, such as 404: it is compared, and neither counts towards the
    /// error rate nor causes a fallback.
    #[must_use]
    pub fn expected(name: impl Into<Cow<'static, str>>) -> Self {
        Self { is_expected: true, ..Self::new(name) }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is a valid result.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.is_expected
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match (error.kind(), error.status()) {
            _ if error.is_rate_limited() => Self::new("rate limited"),
            (ErrorKind::Api, Some(status)) => Self {
                is_expected: error.class().is_expected_response(),
                ..Self::new(status.as_str().to_owned())
            },
            (kind, _) => Self::new(format!("{kind:?}")),
        }
    }
}

/// The conversions by error type.
#[derive(Clone)]
pub(super) struct FailureClassifiers(HashMap<TypeId, Arc<Classifier>>);

type Classifier = dyn Fn(&dyn Any) -> Option<Failure> + Send + Sync;

impl Default for FailureClassifiers {
    fn default() -> Self {
        let mut failures = Self(HashMap::new());
        failures.register(|error: &Error| Failure::from(error));
        failures
    }
}

impl FailureClassifiers {
    pub(super) fn register<E: 'static>(
        &mut self,
        read: impl Fn(&E) -> Failure + Send + Sync + 'static,
    ) {
        let read = move |error: &dyn Any| error.downcast_ref().map(&read);
        self.0.insert(TypeId::of::<E>(), Arc::new(read));
    }

    pub(super) fn classify<E: 'static>(&self, error: &E) -> Failure {
        let read = self.0.get(&TypeId::of::<E>()).and_then(|read| read(error));
        read.unwrap_or_else(|| Failure::new("failed"))
    }
}
