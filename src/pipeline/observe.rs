//! Begins the spans and metrics of calls and attempts, from plain values.

use std::sync::Arc;

use tokio::time::Instant;

use super::call::Call;
use super::call_context::CallContext;
use crate::api::operation::metric_name;
use crate::observability::observer::{
    AttemptMetadata, AttemptObserver, CallMetadata, CallObserver,
};
use crate::policy::usage::UsageRecorder;

pub(crate) fn begin_call(call: &Call) -> CallObserver {
    let Call { handle, draft, options } = call;
    let (shared, has_credential) = (&handle.shared, draft.has_request_credential());
    let metadata = CallMetadata {
        operation: &draft.name,
        template: draft.template(),
        method: &draft.method,
        server: draft.server(&shared.endpoints),
        is_internal: options.is_internal,
        is_authenticated: has_credential || handle.identity.token_manager().is_some(),
    };
    let usage = (!options.is_internal)
        .then(|| UsageRecorder::new(&shared.usage, handle.usage_account_for(has_credential)));
    CallObserver::begin(&metadata, Arc::clone(&shared.recent), usage)
}

/// Begins to observe an attempt, and counts its request. `resend_count` is the number of earlier requests, for any
/// reason.
pub(crate) fn begin_attempt(context: &CallContext, resend_count: u32) -> AttemptObserver {
    let spec = &context.spec;
    let metadata = AttemptMetadata {
        method: &spec.method,
        url: &spec.url,
        template: spec.template(),
        resend_count,
        started_at: Instant::now(),
    };
    if !spec.is_external {
        context.usage_account().record_request(metadata.started_at, metric_name(&spec.name));
    }
    AttemptObserver::begin(&metadata, Arc::clone(&context.shared().recent))
}
