//! Telemetry of a client: spans and events with [`tracing`], and metrics with the facade
//! [`metrics`](https://docs.rs/metrics) (feature `metrics`), for the backends that the application has installed.
//!
//! In addition, a client keeps data for queries: its [health](crate::Client::health), with the feature `usage` its
//! usage, and with the feature `dashboard` a page.
//!
//! # Spans
//!
//! Each call has a span, and each attempt (one request with its redirects) a child span. They follow OpenTelemetry's
//! [conventions for HTTP clients](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span);
//! `tracing-opentelemetry` reads a span's name and kind from `otel.name` and `otel.kind`.
//!
//! | Field | `github` (INFO) | `github.attempt` (DEBUG) | Meaning |
//! |---|---|---|---|
//! | `otel.name` | the operation | method and template | The name of the span; the method alone for a call without an operation |
//! | `otel.kind` | `internal` | `client` | The kind of the span |
//! | `otel.status_code` | if it failed | if it failed | `ERROR` |
//! | `github.operation` | yes | | The operation's id, or the method and path of a call without an operation |
//! | `http.request.method` | yes | yes | The method |
//! | `http.request.resend_count` | | from the second on | How often it was sent before, for any reason |
//! | `url.template` | yes | yes | The path without its values; absent for a call without an operation |
//! | `server.address` | yes | yes | The server's name |
//! | `server.port` | | yes | Its port |
//! | `http.response.status_code` | yes | yes | The status, if there is a response |
//! | `error.type` | if it failed | if it failed | The status, or the kind of the error: [`ErrorKind::name`](crate::ErrorKind::name); `cancelled` if it was dropped before its end |
//! | `github.request_id` | yes | yes | GitHub's id of the request |
//! | `github.cache` | yes | | The cache status: `hit`, `revalidated`, `stale`, `miss` or `bypass` |
//!
//! Differences from the conventions: an attempt has one span with its redirects, and there is no `url.full`, which
//! contains the names of repositories and people. The span of a call ends when its response is decoded; that of a
//! stream when its headers have arrived. A background refresh of a stored response has a span and counts as attempts,
//! but not as a call.
//!
//! A token request has the span `github_token`, handling a webhook delivery `webhook.delivery`; both have fields of
//! their own.
//!
//! # Levels
//!
//! - **ERROR**: a loss that an operator has to handle, such as a delivery that is given up.
//! - **WARN**: the client continues with a problem: a token request failed, the store is unavailable, a circuit opened,
//!   a credential is old.
//! - **INFO**: rare events, such as the end of a problem that was logged as a warning. A client without problems logs
//!   nothing.
//! - **DEBUG**: each attempt, each wait, and each decision about a call. Bodies, if
//!   [`ClientBuilder::body_logging`](crate::ClientBuilder::body_logging) enables them.
//!
//! A failed call is reported only by its error: the caller decides whether to log it.
//!
//! # Metrics
//!
//! Histograms need buckets, which many exporters do not set by default: pass them [`HISTOGRAM_BUCKETS`], as
//! `examples/prometheus.rs` does; the dashboard `dashboards/grafana.json` requires them.
//!
//! The recorder of the process receives them, with names and labels that are valid for Prometheus. [`METRICS`] is this
//! table as data. Gauges apply to the whole process: of several clients, the last update is visible.
//!
//! | Name | Kind | Unit | Labels | Meaning |
//! |---|---|---|---|---|
//! | `octowire_calls_total` | counter | count | `operation`, `outcome` | Completed calls by outcome: `ok` or the error kind |
//! | `octowire_call_duration_seconds` | histogram | seconds | `operation` | Duration of calls, with all waits and attempts |
//! | `octowire_calls_in_flight` | gauge | count |  | Calls in flight, queued or not |
//! | `octowire_calls_waiting` | gauge | count |  | Calls queued by the rate limiter |
//! | `octowire_undecodable_items_total` | counter | count | `operation` | List items that did not decode, yielded as errors or skipped |
//! | `octowire_attempt_duration_seconds` | histogram | seconds | `method`, `status` | Duration from a request to its response; without a response, the status is the error kind |
//! | `octowire_retries_total` | counter | count | `reason` | Retries by the kind of the preceding error |
//! | `octowire_wait_seconds` | histogram | seconds | `reason` | Waiting times of calls: for a `rate_limit`, before a `retry`, or for a response that is `not_ready` |
//! | `octowire_rate_limit_limit` | gauge | count | `identity`, `resource` | Requests that a primary rate limit allows in its window |
//! | `octowire_rate_limit_remaining` | gauge | count | `identity`, `resource` | Requests remaining in the window |
//! | `octowire_rate_limit_reset_seconds` | gauge | seconds | `identity`, `resource` | End of the window, in seconds since 1970 |
//! | `octowire_rate_limited_total` | counter | count | `kind`, `resource` | Requests rejected by a rate limit of GitHub, `primary` or `secondary` |
//! | `octowire_cache_total` | counter | count | `outcome` | Reads by cache status: `hit`, `revalidated`, `stale`, `miss` or `bypass` |
//! | `octowire_quota_saved_total` | counter | count |  | Reads served by the cache without a request, or with one that did not count |
//! | `octowire_tokens_total` | counter | count | `outcome` | Token acquisitions by outcome: `issued`, `stored` or `failed` |
//! | `octowire_circuit_state` | gauge | state | `server` | Circuit breaker state of a server: 0 closed, 1 half-open, 2 open |
//! | `octowire_budget_used` | gauge | count | `budget`, `identity` | Requests counted against a budget in its window |
//! | `octowire_budget_limit` | gauge | count | `budget`, `identity` | Hard limit of a budget, or its soft limit if it has no hard one |
//! | `octowire_budget_rejected_total` | counter | count | `budget` | Requests rejected because a budget is exhausted |
//! | `octowire_store_failures_total` | counter | count |  | Failed operations of the store |
//! | `octowire_store_available` | gauge | state |  | Whether the store is available: 1 or 0 |
//! | `octowire_store_unreadable_total` | counter | count | `kind` | Unreadable values in the store, by the kind of their key |
//! | `octowire_store_writes_dropped_total` | counter | count | `reason` | Cache values not written to the store: `failed`, or too many pending (`full`) |
//! | `octowire_webhook_deliveries_total` | counter | count | `event`, `outcome` | Webhook deliveries by outcome: `accepted` and then `handled` or `failed`, with a `failed_attempt` for each failed attempt, or rejected |
//! | `octowire_webhook_handler_duration_seconds` | histogram | seconds | `event` | Duration of attempts to handle a delivery |
//! | `octowire_webhook_undecoded_total` | counter | count | `action`, `event` | Webhook payloads that do not match the type of their event |
//! | `octowire_webhook_queue_length` | gauge | count |  | Deliveries that are queued or being handled |
//!
//! # Number of series
//!
//! | Label | Values | At most |
//! |---|---|---|
//! | `operation` | ids of operations, the client's names for its own requests, such as `POST /graphql`, and `request` for calls without an operation | 1,240 |
//! | `outcome` of calls, `status`, `reason` | statuses and kinds of errors | 80 |
//! | `outcome` else | as the table says | 11 |
//! | `method` | HTTP's, and `_OTHER` | 8 |
//! | `identity` | the identity that GitHub limits, similar to [`Client::identity`](crate::Client::identity), which can be the name of a file or variable; `own` for a call with a request credential, `all` for a budget of all | 102 |
//! | `resource` | primary rate limits, as GitHub names them; `none` for a rejection that names none | 102 |
//! | `budget` | names of budgets (feature `usage`) | 101 |
//! | `server` | addresses of servers | 101 |
//! | `event` | events of webhooks, as in the headers of verified deliveries; `none` for unverified requests | 102 |
//! | `action` | actions of webhooks, as GitHub's description names them; `none` for an event without actions | 120 |
//!
//! For names that GitHub or the application chooses, the first hundred are distinct, and all further ones are `other`,
//! for which the gauges of rate limits are not set.
//!
//! A histogram has a series for each bucket as well: `octowire_call_duration_seconds` can have about 20,000 in a
//! process that calls every operation. An application that calls twenty operations has 340.
// Without the feature there is no link target.
#![cfg_attr(not(feature = "metrics"), doc = "")]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "[`HISTOGRAM_BUCKETS`]: https://docs.rs/octowire/latest/octowire/observability/constant.HISTOGRAM_BUCKETS.html"
)]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "[`METRICS`]: https://docs.rs/octowire/latest/octowire/observability/constant.METRICS.html"
)]

mod body_log;
#[cfg(feature = "dashboard")]
pub(crate) mod dashboard_series;
pub mod health;
pub(crate) mod observer;
pub(crate) mod recent;
mod spans;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use crate::meter::{
    catalog::{HISTOGRAM_BUCKETS, METRICS, MetricDescription, MetricKind},
    describe_metrics,
};
pub use body_log::BodyLogging;
