//! The compared part of a result.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::stage::Side;

/// The whole result, as JSON: the default.
#[derive(Clone, Copy, Debug)]
pub struct FullResponse;

/// The value that a function derives from a result: [`ShadowedCall::project`](super::ShadowedCall::project).
pub struct Projection<F>(pub(super) Arc<F>);

impl<F> Clone for Projection<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> std::fmt::Debug for Projection<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection").finish_non_exhaustive()
    }
}

/// A result that is converted into JSON when it is compared; the conversion can fail.
pub(super) type DeferredJson = Box<dyn FnOnce() -> serde_json::Result<Value> + Send>;

pub(super) use sealed::Project;

mod sealed {
    use super::{DeferredJson, Side};

    /// The part of a result that is kept for the comparison.
    pub trait Project<T>: Clone + Send + Sync + 'static {
        /// Called on the caller's path, so it does as little as possible.
        fn project(&self, side: Side, response: &T) -> DeferredJson;
    }
}

/// A clone on the caller's path; it is converted into JSON where it is compared.
impl<T: Clone + Serialize + Send + 'static> Project<T> for FullResponse {
    fn project(&self, _: Side, response: &T) -> DeferredJson {
        let response = response.clone();
        Box::new(move || serde_json::to_value(response))
    }
}

impl<T, F: Fn(Side, &T) -> Value + Send + Sync + 'static> Project<T> for Projection<F> {
    fn project(&self, side: Side, response: &T) -> DeferredJson {
        let view = (self.0)(side, response);
        Box::new(move || Ok(view))
    }
}
