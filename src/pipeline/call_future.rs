//! The future of one call, from its request to its response.
//!
//! It is a type of its own instead of an `async` block: it consists of a few pointers and the call's observer, since the
//! attempts, the cache's part and the interceptors' part are in boxes. So a [`ResponseFuture`](crate::ResponseFuture)
//! contains it without a box. A response in the memory of the cache ends the call in its first poll, without such a box.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::call::{Call, CallContext};
use super::interception::{self, InterceptedCall};
use super::{BodyMode, CallOutcome, cached, send_uncached};
use crate::error::{OperationName, Result};
use crate::observability::observer::CallObserver;
use crate::response::{RawResponse, accepted, content};
use crate::runtime::detachable::{BoxFuture, DetachableCall};

/// The future of a call, which begins with its first poll.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct CallFuture {
    // A dropped call is first dropped, then recorded.
    stage: Stage,
    started: Option<StartedCall>,
}

enum Stage {
    NotStarted(Box<Call>, BodyMode),
    /// Interceptors run before the call.
    Intercepting(BoxFuture<(InterceptedCall, Result<Next<Fetch>>)>),
    Fetching(Fetch),
    Ended,
}

/// A read through the cache, or the attempts of a call that bypasses it.
enum Fetch {
    Cached(BoxFuture<Result<RawResponse>>),
    Uncached(DetachableCall<Result<RawResponse>>),
}

/// The next step of the call, or the response that ends it.
type Next<T> = ControlFlow<RawResponse, T>;

/// What a call that was polled keeps for its end.
struct StartedCall {
    observer: CallObserver,
    intercepted: InterceptedCall,
    name: OperationName,
    awaits_result: bool,
    max_body_bytes: Option<usize>,
}

impl CallFuture {
    pub(super) fn new(call: Box<Call>, mode: BodyMode) -> Self {
        Self { stage: Stage::NotStarted(call, mode), started: None }
    }
}

impl Future for CallFuture {
    type Output = CallOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CallOutcome> {
        let Self { stage, started } = &mut *self;
        if let Stage::NotStarted(call, _) = stage {
            started.get_or_insert_with(|| StartedCall::new(call));
        }
        // Taken at the end: a future that is polled afterwards stays pending.
        let Some(call) = started else { return Poll::Pending };
        let result = {
            let _entered = call.observer.span().enter();
            let started_at = call.observer.started_at();
            let result = ready!(stage.poll(context, started_at, &mut call.intercepted));
            *stage = Stage::Ended;
            let result = result
                .and_then(|raw| accepted::require_result(raw, call.awaits_result))
                .and_then(|raw| content::require_length(raw, call.max_body_bytes))
                .map_err(|error| error.with_operation(&call.name));
            std::mem::take(&mut call.intercepted).end(&result);
            result
        };
        match started.take() {
            Some(StartedCall { observer, .. }) => Poll::Ready(CallOutcome { result, observer }),
            None => Poll::Pending,
        }
    }
}

impl StartedCall {
    fn new(call: &Call) -> Self {
        Self {
            observer: call.observe(),
            intercepted: InterceptedCall::default(),
            name: call.draft.name.clone(),
            awaits_result: call.draft.awaits_result(),
            max_body_bytes: call.options.max_body_bytes,
        }
    }
}

impl Stage {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        started_at: Instant,
        intercepted: &mut InterceptedCall,
    ) -> Poll<Result<RawResponse>> {
        loop {
            let next = match self {
                Self::NotStarted(..) => match std::mem::replace(self, Self::Ended) {
                    Self::NotStarted(call, mode) => begin(call, mode, started_at)?,
                    other => Next::Continue(other),
                },
                Self::Intercepting(interceptors) => {
                    let (passed, fetch) = ready!(interceptors.as_mut().poll(context));
                    *intercepted = passed;
                    fetch?.map_continue(Self::Fetching)
                }
                Self::Fetching(Fetch::Cached(read)) => return read.as_mut().poll(context),
                Self::Fetching(Fetch::Uncached(attempts)) => {
                    return Pin::new(attempts).poll(context);
                }
                Self::Ended => return Poll::Pending,
            };
            match next {
                Next::Continue(stage) => *self = stage,
                Next::Break(response) => return Poll::Ready(Ok(response)),
            }
        }
    }
}

/// Validates the request of a call that started now, and begins with the interceptors, if there are any.
fn begin(call: Box<Call>, mode: BodyMode, now: Instant) -> Result<Next<Stage>> {
    let mut context = CallContext::new(*call, now)?;
    if !interception::applies(&context) {
        return Ok(fetch(context, None, mode)?.map_continue(Stage::Fetching));
    }
    // Interceptors change the headers of the call, and run again for its refresh.
    let can_be_refreshed = mode == BodyMode::Buffered && context.may_be_refreshed();
    let original = can_be_refreshed.then(|| context.to_call());
    Ok(Next::Continue(Stage::Intercepting(Box::pin(async move {
        let mut intercepted = InterceptedCall::default();
        let begun = intercepted.begin(&mut context).await;
        (intercepted, begun.and_then(|()| fetch(context, original, mode)))
    }))))
}

/// Begins to obtain the response to a call: from the cache, from an equal read in flight, or from GitHub. `original` is
/// the call before its interceptors, if they can have changed it.
fn fetch(context: CallContext, original: Option<Box<Call>>, mode: BodyMode) -> Result<Next<Fetch>> {
    match cached::plan_lookup(&context, mode)? {
        Some(lookup) => Ok(cached::begin(lookup, context, original)?.map_continue(Fetch::Cached)),
        None => Ok(Next::Continue(Fetch::Uncached(send_uncached(context, mode)))),
    }
}
