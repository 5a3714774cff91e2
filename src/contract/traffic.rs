//! The answers of a client, as they go by.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::response::CheckResponse;
use crate::request::Prepared;

impl Prepared {
    /// Shows an answer to the client's checker, if it has one and the answer is GitHub's.
    pub(crate) fn show(&self, url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let client = self.client().inner();
        let Some(checker) = &client.contract else { return };
        if self.is_elsewhere() || self.is_graphql() || !client.origins.trusts(url) {
            return;
        }
        let other_media_type = self.headers().contains_key(ACCEPT);
        let answer = CheckResponse { status, headers, body, other_media_type };
        match self.operation_id() {
            Some(id) => checker.check_operation(id, answer),
            None => checker.check(self.method(), self.path(), answer),
        }
    }
}
