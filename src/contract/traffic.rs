//! Passes a client's responses to its checker.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::response::CheckResponse;
use crate::request::Prepared;

/// The path prefix of uploads on an Enterprise Server.
const UPLOADS: &str = "/api/uploads";

impl Prepared {
    /// Passes a response to the client's checker, if it has one and the response is GitHub's, not that of a
    /// redirect target on another host.
    pub(crate) fn show(&self, url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let client = self.client().inner();
        let Some(checker) = &client.contract else { return };
        let redirected = url.path() != self.url().path();
        if self.is_elsewhere() || self.is_graphql() || redirected || !client.origins.trusts(url) {
            return;
        }
        let accept = self.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let answer = CheckResponse::new(self.method(), status, headers, body).accept(accept);
        match (self.operation_id(), self.path()) {
            (Some(id), _) => checker.check_operation(id, answer),
            (None, "") => {
                let path = url.path();
                let path = path.strip_prefix(UPLOADS).unwrap_or(path);
                checker.check(self.method(), path, answer);
            }
            (None, path) => checker.check(self.method(), path, answer),
        }
    }
}
