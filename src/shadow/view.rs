//! The compared part of a result.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::stage::Side;

/// The whole result, as JSON: the default.
#[derive(Clone, Copy, Debug)]
pub struct Whole;

/// The value that a function derives from a result: [`Call::view`](super::Call::view).
pub struct By<F>(pub(super) Arc<F>);

impl<F> Clone for By<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> std::fmt::Debug for By<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("By").finish_non_exhaustive()
    }
}

/// A result that is converted into JSON when it is compared; the conversion can fail.
pub(super) type Seen = Box<dyn FnOnce() -> serde_json::Result<Value> + Send>;

pub(super) use sealed::View;

mod sealed {
    use super::{Seen, Side};

    /// The part of a result that is kept for the comparison.
    pub trait View<T>: Clone + Send + Sync + 'static {
        /// Called on the caller's path, so it does as little as possible.
        fn seen(&self, side: Side, answer: &T) -> Seen;
    }
}

/// A clone on the caller's path; it is converted into JSON where it is compared.
impl<T: Clone + Serialize + Send + 'static> View<T> for Whole {
    fn seen(&self, _: Side, answer: &T) -> Seen {
        let answer = answer.clone();
        Box::new(move || serde_json::to_value(answer))
    }
}

impl<T, F: Fn(Side, &T) -> Value + Send + Sync + 'static> View<T> for By<F> {
    fn seen(&self, side: Side, answer: &T) -> Seen {
        let view = (self.0)(side, answer);
        Box::new(move || Ok(view))
    }
}
