//! Passes a client's responses to its checker.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::contract::response::ResponseToValidate;
use crate::request::Prepared;

/// The path prefix of uploads on an Enterprise Server.
const UPLOADS: &str = "/api/uploads";

impl Prepared {
    /// Passes a response to the client's checker, if it has one and the response is GitHub's, not that of a
    /// redirect target on another host.
    pub(crate) fn validate_response(
        &self,
        url: &Url,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) {
        let client = &self.client().handle().shared;
        let Some(checker) = &client.response_validator else { return };
        let redirected = url.path() != self.url().path();
        if self.is_external() || self.is_graphql() || redirected || !client.endpoints.trusts(url) {
            return;
        }
        let accept = self.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let response = ResponseToValidate::new(self.method(), status, headers, body).accept(accept);
        match (self.operation_id(), self.path()) {
            (Some(id), _) => checker.validate_operation(id, response),
            (None, "") => {
                let path = url.path();
                let path = path.strip_prefix(UPLOADS).unwrap_or(path);
                checker.validate(self.method(), path, response);
            }
            (None, path) => checker.validate(self.method(), path, response),
        }
    }
}
