//! Polls for a response that GitHub is still computing.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::headers::retry_after::retry_after;
use crate::response::AttemptResponse;
use crate::time::clock::saturating_after;

/// How long a call polls after `202 Accepted`.
pub(crate) struct AcceptedPoller {
    deadline: Instant,
    delay: Duration,
}

const INITIAL_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(15);

impl AcceptedPoller {
    /// Creates the poll schedule of a call that polls for this long at most.
    pub(crate) fn new(max: Duration) -> Self {
        Self { deadline: saturating_after(Instant::now(), max), delay: INITIAL_DELAY }
    }

    /// Returns the delay until the next poll; `None` if the response is ready. `max_wait` is the longest wait that the
    /// caller permits.
    pub(crate) fn next_poll(
        &mut self,
        response: &AttemptResponse,
        max_wait: Duration,
    ) -> Result<Option<Duration>> {
        if response.status != StatusCode::ACCEPTED {
            return Ok(None);
        }
        let pause = retry_after(&response.headers).unwrap_or_default().max(self.delay);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if pause > left.min(max_wait) {
            let message = "response not ready (202 Accepted): the time to wait for it has elapsed";
            return Err(Error::new(ErrorKind::Timeout, message)
                .with_response(response.status, HeaderMap::clone(response.headers.map()))
                .with_advice("try again later, or allow more time with poll_until_ready"));
        }
        self.delay = self.delay.saturating_mul(2).min(MAX_DELAY);
        Ok(Some(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::response_headers::ResponseHeaders;
    use crate::response::{CacheStatus, RawBody};
    use crate::time::deadline::Deadline;

    fn accepted(retry_after: Option<&str>) -> AttemptResponse {
        let mut response = AttemptResponse {
            operation: "x/y".into(),
            status: StatusCode::ACCEPTED,
            headers: ResponseHeaders::default(),
            url: None,
            body: RawBody::Bytes("{}".into()),
            cache_status: CacheStatus::Bypass,
            age: None,
            from_external_host: false,
        };
        if let Some(value) = retry_after {
            let headers =
                HeaderMap::from_iter([(http::header::RETRY_AFTER, value.parse().unwrap())]);
            response.headers = ResponseHeaders::received(&headers);
        }
        response
    }

    /// For each limit of the polls, one case in which it alone ends them or sets the delay.
    #[tokio::test(start_paused = true)]
    async fn each_limit_of_the_polls_binds() {
        const SECOND: Duration = Duration::from_secs(1);
        let pauses = |until: Duration, timeout: Option<Duration>, asked: Option<&str>| {
            let response = accepted(asked);
            async move {
                let timeout = timeout.map(|timeout| Deadline::new(Instant::now(), timeout, None));
                let (mut polls, mut pauses) = (AcceptedPoller::new(until), Vec::new());
                let max_wait = || timeout.as_ref().map_or(Duration::MAX, Deadline::remaining);
                while let Ok(Some(pause)) = polls.next_poll(&response, max_wait()) {
                    pauses.push(pause.as_secs());
                    tokio::time::sleep(pause).await;
                }
                pauses
            }
        };
        // The polling timeout ends the polls, and the longest delay bounds the doubling.
        assert_eq!(pauses(62 * SECOND, None, None).await, [1, 2, 4, 8, 15, 15, 15]);
        // So does the call's own timeout, and GitHub can request longer delays.
        assert_eq!(pauses(62 * SECOND, Some(10 * SECOND), None).await, [1, 2, 4]);
        assert_eq!(pauses(62 * SECOND, None, Some("30")).await, [30, 30]);
        assert_eq!(pauses(20 * SECOND, None, Some("30")).await, [0_u64; 0]);
    }
}
