//! Answers that GitHub is still working out, asked for until they are there.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::request::Prepared;
use crate::response::Raw;
use crate::retry::retry_after;

/// How long a call waits for what GitHub answers `202 Accepted` to.
pub(crate) struct Polls {
    until: Instant,
    pause: Duration,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

impl Polls {
    /// For a call that waits until then, if it is to.
    pub(crate) fn of(prepared: &Prepared) -> Option<Self> {
        let at_most = prepared.until_ready?;
        let start = Instant::now();
        // A year stands for what no clock can hold.
        let until = start.checked_add(at_most).unwrap_or(start + Duration::from_secs(31_536_000));
        Some(Self { until, pause: FIRST })
    }

    /// The time until it is asked for again; `None` if it is there.
    pub(crate) fn again(
        &mut self,
        prepared: &Prepared,
        answer: &Raw,
    ) -> Result<Option<Duration>, Error> {
        if answer.status != StatusCode::ACCEPTED {
            return Ok(None);
        }
        let pause = retry_after(&answer.headers).unwrap_or_default().max(self.pause);
        let left = self.until.saturating_duration_since(Instant::now());
        if pause > left.min(prepared.patience()) {
            let message = "GitHub is still working on it, and the time to wait for it is over";
            return Err(Error::new(ErrorKind::Timeout, message)
                .with_answer(answer.status, (*answer.headers).clone())
                .with_advice("ask again later, or allow more by until_ready"));
        }
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(Some(pause))
    }
}
