//! The hand-over of a client's responses to its validator.

use http::StatusCode;
use http::header::ACCEPT;
use url::Url;

use super::call::CallContext;
use crate::contract::response::ResponseToValidate;
use crate::response::response_headers::ResponseHeaders;

/// The path prefix of uploads on an Enterprise Server.
const UPLOADS: &str = "/api/uploads";

/// Passes a response to the client's validator, if it has one and the response is GitHub's, not that of a redirect
/// target on another host. `redirected_to` is the URL of the response, if it is not that of the request.
pub(super) fn validate_response(
    context: &CallContext,
    redirected_to: Option<&Url>,
    status: StatusCode,
    headers: &ResponseHeaders,
    body: &[u8],
) {
    let (shared, spec) = (context.shared(), &context.spec);
    let Some(validator) = &shared.response_validator else { return };
    let url = redirected_to.unwrap_or_else(|| spec.url.get());
    let redirected = url.path() != spec.url.path();
    if spec.is_external || spec.is_graphql() || redirected || !shared.endpoints.trusts(url) {
        return;
    }
    let accept = context.own_headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let response =
        ResponseToValidate::new(&spec.method, status, headers.map(), body).accept(accept);
    match (spec.operation, spec.path()) {
        (Some(operation), _) => validator.validate_operation(operation.id, response),
        (None, "") => {
            let path = url.path();
            let path = path.strip_prefix(UPLOADS).unwrap_or(path);
            validator.validate(&spec.method, path, response);
        }
        (None, path) => validator.validate(&spec.method, path, response),
    }
}
