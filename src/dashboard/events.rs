//! The data of the page, each second or once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::DashboardState;
use super::snapshot::{DashboardUpdate, Subscriber};

/// Maximum duration of an event stream.
const MAX_STREAM_DURATION: Duration = Duration::from_secs(10 * 60);

/// Returns the whole state as JSON.
pub(super) async fn snapshot(State(shown): State<Arc<DashboardState>>) -> Response {
    let update = shown.update_for(&mut Subscriber::default()).await;
    ([(CONTENT_TYPE, "application/json")], json(&update)).into_response()
}

/// Returns the whole state, and then the changes each second, while the stream is read: unread events are not created.
pub(super) async fn events(State(shown): State<Arc<DashboardState>>) -> Response {
    let Ok(place) = Arc::clone(&shown.subscribers).try_acquire_owned() else {
        let full = "Too many open dashboard pages: close one, or try again later.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    // It is free again when the stream is dropped, or after that time: a reader that has stopped does not hold it.
    let (reads, gone) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let _place = place;
        let _ = timeout(MAX_STREAM_DURATION, gone).await;
    });
    let began = Instant::now();
    let begin = (shown, Subscriber::default(), None);
    let events = stream::unfold(begin, move |(shown, mut reader, timer)| async move {
        let name = if timer.is_none() { "start" } else { "tick" };
        let mut timer: Interval = timer.unwrap_or_else(each_second);
        timer.tick().await;
        let update = shown.update_for(&mut reader).await;
        let event = Bytes::from(format!("event: {name}\ndata: {}\n\n", json(&update)));
        Some((Ok::<_, Infallible>(event), (shown, reader, Some(timer))))
    });
    // A browser reconnects by itself.
    let events = events
        .take_while(move |_| std::future::ready(began.elapsed() < MAX_STREAM_DURATION))
        .inspect(move |_| {
            let _ = &reads;
        });
    // Otherwise, proxies would buffer.
    let headers =
        [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Body::from_stream(events)).into_response()
}

/// The first event of a stream, for benchmarks.
#[cfg(feature = "__bench")]
#[doc(hidden)]
pub struct Snapshot(Arc<DashboardState>);

#[cfg(feature = "__bench")]
impl Snapshot {
    pub fn new(dashboard: super::Dashboard) -> crate::Result<Self> {
        DashboardState::new(dashboard).map(Self)
    }

    /// Returns the whole state as JSON.
    pub async fn render(&self) -> String {
        json(&self.0.update_for(&mut Subscriber::default()).await)
    }
}

/// Returns a timer of one second, whose first tick is immediate.
fn each_second() -> Interval {
    let mut timer = interval(Duration::from_secs(1));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

fn json(update: &DashboardUpdate) -> String {
    // Numbers and strings always have a JSON form.
    serde_json::to_string(update).unwrap_or_default()
}
