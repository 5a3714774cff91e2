//! The page and its assets.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::DashboardState;
use crate::util::html::escaped;

pub(super) async fn page(
    State(shown): State<Arc<DashboardState>>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    // The path at which the router is nested, if it is.
    let base = shown.dashboard.base_path.as_deref().unwrap_or(uri.path());
    let base = base.trim_end_matches('/');
    let page = include_str!("page.html")
        .replace("{title}", &escaped(&shown.dashboard.title))
        .replace("{base}", &escaped(base))
        .replace("{version}", env!("CARGO_PKG_VERSION"));
    respond("text/html; charset=utf-8", page)
}

pub(super) async fn style() -> Response {
    respond("text/css; charset=utf-8", include_str!("style.css"))
}

pub(super) async fn script() -> Response {
    respond("text/javascript; charset=utf-8", include_str!("script.js"))
}

pub(super) async fn icon() -> Response {
    respond("image/svg+xml", include_str!("icon.svg"))
}

fn respond(content_type: &'static str, body: impl IntoResponse) -> Response {
    ([(CONTENT_TYPE, content_type)], body).into_response()
}
