//! The predicates of an error: the usual decisions of a program, by GitHub's status, body and headers.

use http::StatusCode;

use super::{Error, ErrorKind};

impl Error {
    /// Returns whether GitHub responded with 404 or 410.
    ///
    /// GitHub also responds with 404 for resources that the token has no access to.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.0.status, Some(StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    /// Returns whether GitHub responded with 401: the token is missing, wrong, expired or revoked, or the endpoint does
    /// not accept its kind. See [authentication](https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api).
    ///
    /// If the token's provider could issue another token, GitHub has rejected that one as well. If the client cannot
    /// obtain a token, the error is of the kind [`ErrorKind::Authentication`] and has no status: then this is `false`,
    /// and [`auth_failure`](Self::auth_failure) returns the reason.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.0.status == Some(StatusCode::UNAUTHORIZED)
    }

    /// Returns whether GitHub responded with 403, and not because of a [rate limit](Self::is_rate_limited): the token
    /// [lacks a
    /// permission](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible),
    /// or a policy forbids the call, such as single sign-on ([`sso_url`](Self::sso_url)), an IP allow list or an archived
    /// repository.
    ///
    /// A 403 is either this or a rate limit. The error's text names the reason and the next step. For private resources
    /// that the token has no access to, GitHub also responds with 404: see [`is_not_found`](Self::is_not_found).
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.0.status == Some(StatusCode::FORBIDDEN) && !self.0.rate_limited
    }

    /// Returns whether GitHub responded with 409, a
    /// [conflict](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.10): the state of the resource does not allow the
    /// call now. Examples are a merge conflict, a file or pull request that has changed since its SHA was read, an empty
    /// Git repository, and a variable that [exists](Self::already_exists).
    ///
    /// The client does not retry it: read the resource again, and decide by its state.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.0.status == Some(StatusCode::CONFLICT)
    }

    /// Returns whether GitHub responded with 422 and the body of its [validation
    /// error](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed): a JSON
    /// object with a `message` or a list of `errors`. A 422 without such a body, as of a proxy, is `false`.
    ///
    /// GitHub sends it for values that are missing or invalid, for a resource that [exists](Self::already_exists), and
    /// for some calls that the state of the resource does not allow. [`api`](Self::api) has the invalid fields, as far as
    /// GitHub names them: a validation error can lack `errors`.
    ///
    /// ```no_run
    /// # #[cfg(feature = "issues")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let create = github.issues().create().owner("octocat").repo("hello-world").title("");
    /// match create.send().await {
    ///     Err(error) if error.is_validation_failed() => {
    ///         for detail in error.api().into_iter().flat_map(|api| &api.errors) {
    ///             println!("{:?}: {:?}", detail.field, detail.code);
    ///         }
    ///     }
    ///     created => println!("#{}", created?.number),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_validation_failed(&self) -> bool {
        self.0.validation.is_failed
    }

    /// Returns whether GitHub rejected the call since the resource to create exists, so that a program that only needs
    /// the resource can continue. GitHub states this in several forms:
    ///
    /// | status | form | resources |
    /// |---|---|---|
    /// | 422 | the [code](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed) `already_exists` in an entry of `errors` | releases, labels, milestones |
    /// | 422 | `already exists` in the message of an entry of `errors`, which usually has the code `custom` | repositories, pull requests, webhooks |
    /// | 422 | `already exists` in the message of the error | Git references |
    /// | 409 | the same forms | variables of GitHub Actions |
    ///
    /// It is `true` if one entry says so; other entries can name further faults of the same call. It is `false` if GitHub
    /// uses other words, such as `key is already in use` for a deploy key, which can belong to another repository.
    ///
    /// ```no_run
    /// # #[cfg(feature = "issues")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let label = github.issues().create_label().owner("octocat").repo("hello-world").name("triage");
    /// match label.send().await {
    ///     Ok(label) => println!("created {}", label.name),
    ///     Err(error) if error.already_exists() => println!("the label exists"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.0.validation.already_exists
    }

    /// Returns whether GitHub responded with 304 (not modified) to a [conditional
    /// request](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests):
    /// one with an `if-none-match` or `if-modified-since` header.
    ///
    /// It is an error since there is no value; [`headers`](Self::headers) contains the `etag`.
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.0.status == Some(StatusCode::NOT_MODIFIED)
    }

    /// Returns whether GitHub responded with 202 Accepted to a read, since it is still computing the response, as it
    /// does for [statistics](https://docs.github.com/en/rest/metrics/statistics).
    ///
    /// The kind is [`ErrorKind::Timeout`]. Call again later, or let the call wait with
    /// [`poll_until_ready`](crate::Request::poll_until_ready).
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        self.0.kind == ErrorKind::Timeout && self.0.status == Some(StatusCode::ACCEPTED)
    }

    /// Returns whether a timeout ended the call.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Returns whether GitHub rejected the call because of a primary or secondary [rate
    /// limit](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api): with 429, or with 403
    /// and a message that names a limit. If the message of a 403 names no reason, `retry-after` or
    /// `x-ratelimit-remaining: 0` decides; if it names another reason, such as a permission, these headers are ignored.
    ///
    /// [`retry_after`](Self::retry_after) and [`rate_limit`](Self::rate_limit) return when to retry.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.0.rate_limited
    }

    /// Returns whether the same call might succeed later: connection failures, timeouts, incomplete bodies, rate
    /// limits, and the statuses 408, 425, 429, 500, 502, 503 and 504.
    ///
    /// It does not mean that a repetition is *safe*: a POST that timed out might have reached GitHub.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}
