//! What a client tells of itself: spans and events by [`tracing`], and numbers by the facade
//! [`metrics`](https://docs.rs/metrics) (feature `metrics`), to whatever the application has installed for them.
//!
//! Beside these, which somebody has to collect, a client keeps what is asked of it: its
//! [health](crate::Client::health), its [usage], and with the feature `dashboard` a page.
//!
//! # Spans
//!
//! Each call has a span, and within it each attempt has one, which is one request with its redirects.
//! They follow OpenTelemetry's
//! [conventions for HTTP clients](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span);
//! `otel.name` and `otel.kind` are what `tracing-opentelemetry` takes a span's name and kind from.
//!
//! | Field | `github` (INFO) | `github.attempt` (DEBUG) | What it is |
//! |---|---|---|---|
//! | `otel.name` | the operation | method and template | The name of the span; the method alone for a call made by hand |
//! | `otel.kind` | `internal` | `client` | The kind of the span |
//! | `otel.status_code` | if it failed | if it failed | `ERROR` |
//! | `github.operation` | yes | | The operation's id, or the method and path of a call made by hand |
//! | `http.request.method` | yes | yes | The method |
//! | `http.request.resend_count` | | from the second on | How often it was sent before, for whatever reason |
//! | `url.template` | yes | yes | The path without its values; absent for a call made by hand |
//! | `server.address` | yes | yes | The server's name |
//! | `server.port` | | yes | Its port |
//! | `http.response.status_code` | yes | yes | The status, if there is an answer |
//! | `error.type` | if it failed | if it failed | The status, or the kind of the error: [`ErrorKind::name`](crate::ErrorKind::name); `cancelled` if it was dropped before its end |
//! | `github.request_id` | yes | yes | GitHub's id of the request |
//! | `github.cache` | yes | | What the cache had: `hit`, `revalidated`, `stale`, `miss` or `bypass` |
//!
//! What differs from the conventions: an attempt has one span with its redirects, and there is no `url.full`,
//! which holds the names of repositories and people. A span of a call ends when its answer is decoded;
//! that of a stream when its headers are there. What the client asks behind the back of a read, to refresh
//! what is stored, has a span and counts as attempts, but as no call.
//!
//! Minting a token has the span `github_token`, handling a delivery of a webhook `webhook.delivery`; both
//! have fields of their own.
//!
//! # Levels
//!
//! - **ERROR**: something is lost that somebody has to look after, such as a delivery that is given up.
//! - **WARN**: it goes on, but not well: no token could be minted, the store does not answer, a circuit
//!   opens, a credential is old.
//! - **INFO**: rare news, such as that what was told as a warning is over. A client that works is silent,
//!   whatever it does.
//! - **DEBUG**: each attempt, each wait, and each decision about a call. Bodies, if
//!   [`ClientBuilder::log_bodies`](crate::ClientBuilder::log_bodies) asks for them.
//!
//! A call that fails is told by its error alone: whether that is worth a line is for the caller to say.
//!
//! # Metrics
//!
//! Histograms need buckets, which many exporters do not have by themselves: give them [`BUCKETS`], as
//! `examples/prometheus.rs` does; the dashboard `dashboards/grafana.json` asks for them.
//!
//! They are given to the recorder of the process, with names and labels that Prometheus takes as they
//! are. [`METRICS`] is this table as data. Gauges are of the whole process: of several clients, the last one
//! that told is seen.
//!
//! | Name | Kind | Unit | Labels | What it says |
//! |---|---|---|---|---|
//! | `octowire_calls_total` | counter | count | `operation`, `outcome` | Calls that ended, by how: `ok` or the error's type |
//! | `octowire_call_duration_seconds` | histogram | seconds | `operation` | From the beginning of a call to its end, with all waits and attempts |
//! | `octowire_calls_in_flight` | gauge | count |  | Calls that are under way, waiting or not |
//! | `octowire_calls_waiting` | gauge | count |  | Calls that ask to be let through by a rate limit |
//! | `octowire_undecodable_items_total` | counter | count | `operation` | Items of lists that did not decode, whether they were yielded as errors or skipped |
//! | `octowire_attempt_duration_seconds` | histogram | seconds | `method`, `status` | From sending a request to its answer; without an answer, the status is the error's type |
//! | `octowire_retries_total` | counter | count | `reason` | Attempts after the first of a call, by the error's type before |
//! | `octowire_wait_seconds` | histogram | seconds | `reason` | Times that calls waited: for a `rate_limit`, before a `retry`, or for what is `not_ready` |
//! | `octowire_rate_limit_limit` | gauge | count | `identity`, `resource` | Requests that a primary rate limit allows in its window |
//! | `octowire_rate_limit_remaining` | gauge | count | `identity`, `resource` | Requests that are left in the window |
//! | `octowire_rate_limit_reset_seconds` | gauge | seconds | `identity`, `resource` | When the window ends, in seconds since 1970 |
//! | `octowire_rate_limited_total` | counter | count | `kind`, `resource` | Refusals for a rate limit by GitHub, `primary` or `secondary` |
//! | `octowire_cache_total` | counter | count | `outcome` | Reads, by what the cache had: `hit`, `revalidated`, `stale`, `miss` or `bypass` |
//! | `octowire_quota_saved_total` | counter | count |  | Reads that the cache answered without a request, or with one that did not count |
//! | `octowire_tokens_total` | counter | count | `outcome` | Tokens that were `minted`, found `stored`, or `failed` to be had |
//! | `octowire_circuit_state` | gauge | state | `server` | Whether calls to a server are let through: 0 closed, 1 half open, 2 open |
//! | `octowire_budget_used` | gauge | count | `budget`, `identity` | Requests that were made of a budget in its window |
//! | `octowire_budget_limit` | gauge | count | `budget`, `identity` | Its hard limit, or the soft one if it has no other |
//! | `octowire_budget_refused_total` | counter | count | `budget` | Requests that were not sent since a budget is spent |
//! | `octowire_store_failures_total` | counter | count |  | Times that the store did not answer |
//! | `octowire_store_available` | gauge | state |  | Whether the store answers: 1 or 0 |
//! | `octowire_store_unreadable_total` | counter | count | `kind` | Values in the store that could not be read, by the kind of their key |
//! | `octowire_store_writes_dropped_total` | counter | count | `reason` | Values of the cache that were not written to the store: `failed`, or too many were pending (`full`) |
//! | `octowire_webhook_deliveries_total` | counter | count | `event`, `outcome` | What happened to deliveries of webhooks: one is `accepted` and then `handled` or `failed`, with as many of `failed_attempt`, or is not taken |
//! | `octowire_webhook_handler_duration_seconds` | histogram | seconds | `event` | Attempts at handling a delivery |
//! | `octowire_webhook_undecoded_total` | counter | count | `action`, `event` | Payloads of webhooks that do not fit the type of their event |
//! | `octowire_webhook_queue_length` | gauge | count |  | Deliveries that wait or are handled |
//!
//! # How many series there may be
//!
//! | Label | Values | At most |
//! |---|---|---|
//! | `operation` | ids of operations, what the client calls its own requests, such as `POST /graphql`, and `request` for calls made by hand | 1,240 |
//! | `outcome` of calls, `status`, `reason` | statuses and kinds of errors | 80 |
//! | `outcome` else | as the table says | 11 |
//! | `method` | HTTP's, and `_OTHER` | 8 |
//! | `identity` | whom GitHub limits, much as [`Client::identity`](crate::Client::identity) says, which may be the name of a file or variable; `own` for a call with a token of its own, `all` for a budget of all | 102 |
//! | `resource` | primary rate limits, as GitHub names them; `none` for a refusal that names none | 102 |
//! | `budget` | names of [budgets](usage::Budget) | 101 |
//! | `server` | addresses of servers | 101 |
//! | `event` | events of webhooks, as the headers of verified deliveries name them; `none` for what was not verified | 102 |
//! | `action` | actions of webhooks, as GitHub's description names them; `none` for an event without actions | 120 |
//!
//! Of what GitHub or the application names, the first hundred are told apart, and the others are `other`, for
//! whom the gauges of rate limits are not set.
//!
//! A histogram has a series for each bucket as well: `octowire_call_duration_seconds` may have some 20,000 in a
//! process that calls every operation. An application that calls twenty has 340.
// Without the feature there is nothing here to link to.
#![cfg_attr(not(feature = "metrics"), doc = "")]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "[`BUCKETS`]: https://docs.rs/octowire/latest/octowire/telemetry/constant.BUCKETS.html"
)]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "[`METRICS`]: https://docs.rs/octowire/latest/octowire/telemetry/constant.METRICS.html"
)]

pub(crate) mod bodies;
pub(crate) mod error_type;
#[cfg(feature = "metrics")]
mod keys;
#[cfg_attr(not(feature = "metrics"), path = "telemetry/no_meter.rs")]
pub(crate) mod meter;
pub(crate) mod observed;
mod place;
mod ring;
#[cfg(feature = "dashboard")]
pub(crate) mod seconds;
pub(crate) mod spans;
#[cfg(feature = "metrics")]
mod table;
#[cfg(feature = "__bench")]
mod telling;
pub mod usage;
pub(crate) mod watch;

pub use bodies::BodyLog;
#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use telling::Telling;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use {
    meter::describe_metrics,
    table::{BUCKETS, METRICS, Metric, MetricKind},
};
