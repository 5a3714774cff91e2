//! The answers of a client, as they go by.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::response::CheckResponse;
use crate::request::Prepared;

/// Where an Enterprise Server takes uploads.
const UPLOADS: &str = "/api/uploads";

impl Prepared {
    /// Shows an answer to the client's checker, if it has one and the answer is GitHub's, and not that
    /// of where GitHub redirects to.
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
