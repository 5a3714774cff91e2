//! Lists in pages, with the `Link` header that leads from one page to the next.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::received::RecordedRequest;
use super::wire_response::{WireResponse, rewrite_urls};
use crate::api::operation::ParameterLocation;
use crate::contract::OperationSpec;

/// The form of an operation's list.
pub(super) struct ListEndpoint {
    /// The property with the list, if the body is an envelope such as
    /// `{"total_count": 1, "workflow_runs": [...]}`.
    envelope: Option<String>,
    style: PaginationStyle,
    default_per_page: usize,
    max_per_page: usize,
    /// Maximum number of available items of the list.
    max_items: usize,
}

/// Maximum number of available results of a search:
/// <https://docs.github.com/en/rest/search/search#about-search>
const MAX_RESULTS: usize = 1_000;

/// The content of a list.
pub(super) enum ListItems {
    /// The items of the description's example.
    Example,
    /// This number of items, each made from the example's, with distinct ids.
    Generated(usize),
    /// These items.
    Given(Vec<Value>),
}

/// One page of a list.
pub(super) struct Page {
    body: Value,
    links: String,
}

impl Page {
    /// With URLs that lead to the mock.
    pub(super) fn rebased(mut self, request: &RecordedRequest) -> WireResponse {
        rewrite_urls(&mut self.body, &request.origin());
        self.reply()
    }

    pub(super) fn reply(self) -> WireResponse {
        let reply = WireResponse::json(200, &self.body);
        match self.links.is_empty() {
            true => reply,
            false => reply.header("link", self.links),
        }
    }
}

/// The query parameters that select a page.
enum PaginationStyle {
    /// `page=2`
    Page,
    /// `after=…`, and `before=…` for the way back
    AfterBefore,
    /// `cursor=…`
    Cursor,
    /// `since=30`, the id of the last item seen
    Since,
}

impl ListEndpoint {
    /// The listing of an operation, if its example and parameters describe one.
    pub(super) fn of(example: &Value, operation: &OperationSpec) -> Option<Self> {
        let query = |name: &str| operation.parameter(ParameterLocation::Query, name);
        let style = match () {
            () if query("page").is_some() => PaginationStyle::Page,
            () if query("after").is_some() => PaginationStyle::AfterBefore,
            () if query("cursor").is_some() => PaginationStyle::Cursor,
            // In other operations, `since` is a date, and pages have numbers.
            () if query("since").is_some_and(|since| since.schema.value["type"] == "integer") => {
                PaginationStyle::Since
            }
            () => return None,
        };
        let per_page = query("per_page");
        let default = per_page.and_then(|parameter| parameter.schema.value["default"].as_u64());
        let longest = per_page.and_then(|parameter| parameter.max_per_page);
        let number = |number: Option<u64>, or| number.and_then(|n| n.try_into().ok()).unwrap_or(or);
        Some(Self {
            envelope: envelope(example)?,
            style,
            // An empty page would have no next one.
            default_per_page: number(default, 30).max(1),
            max_per_page: number(longest, 100).max(1),
            max_items: match example.get("incomplete_results") {
                Some(_) => MAX_RESULTS,
                None => usize::MAX,
            },
        })
    }

    /// The page for `request`.
    pub(super) fn page(
        &self,
        request: &RecordedRequest,
        example: &Value,
        items: &ListItems,
    ) -> Page {
        let query = &request.query_pairs;
        let per_page = self.per_page(query);
        let shown = match &self.envelope {
            Some(name) => &example[name],
            None => example,
        };
        let shown = shown.as_array().map_or(&[][..], Vec::as_slice);
        let total = match items {
            ListItems::Example => shown.len(),
            ListItems::Generated(total) => *total,
            ListItems::Given(items) => items.len(),
        };
        let served = total.min(self.max_items);
        let range = self.range(query, per_page, served);
        let page: Vec<Value> = match items {
            ListItems::Example => shown[range.clone()].to_vec(),
            ListItems::Generated(_) => range.clone().filter_map(|at| item(shown, at)).collect(),
            ListItems::Given(items) => items[range.clone()].to_vec(),
        };
        let mut body = example.clone();
        match &self.envelope {
            Some(name) => {
                for count in ["total_count", "total_seats"] {
                    if body.get(count).is_some() {
                        body[count] = json!(total);
                    }
                }
                if body.get("has_next_page").is_some() {
                    body["has_next_page"] = json!(range.end < served);
                }
                body[name] = page.into();
            }
            None => body = page.into(),
        }
        Page { body, links: self.links(request, range, per_page, served) }
    }

    fn per_page(&self, query: &[(String, String)]) -> usize {
        number(query, "per_page")
            .filter(|n| *n > 0)
            .unwrap_or(self.default_per_page)
            .min(self.max_per_page)
    }

    /// Indices of the items on the page, from 0.
    fn range(&self, query: &[(String, String)], per_page: usize, total: usize) -> Range<usize> {
        if let (PaginationStyle::AfterBefore, Some(end)) = (&self.style, cursor(query, "before")) {
            let end = end.min(total);
            return end.saturating_sub(per_page)..end;
        }
        let start = match self.style {
            PaginationStyle::Page => {
                number(query, "page").unwrap_or(1).saturating_sub(1).saturating_mul(per_page)
            }
            PaginationStyle::AfterBefore => cursor(query, "after").unwrap_or(0),
            PaginationStyle::Cursor => cursor(query, "cursor").unwrap_or(0),
            PaginationStyle::Since => number(query, "since").unwrap_or(0),
        };
        let start = start.min(total);
        start..start.saturating_add(per_page).min(total)
    }

    /// In GitHub's order: prev, next, last, first.
    fn links(
        &self,
        request: &RecordedRequest,
        range: Range<usize>,
        per_page: usize,
        total: usize,
    ) -> String {
        let has_next = range.end < total;
        let has_previous = range.start > 0;
        let mut links = Vec::new();
        let mut link = |name: &str, value: String, rel: &str| {
            links.push(format!("<{}>; rel=\"{rel}\"", self.url(request, name, &value)));
        };
        match self.style {
            PaginationStyle::Page => {
                let last = total.div_ceil(per_page).max(1);
                let before = range.start.checked_div(per_page).unwrap_or_default();
                if has_previous {
                    link("page", before.max(1).to_string(), "prev");
                }
                if has_next {
                    link("page", before.saturating_add(2).to_string(), "next");
                    link("page", last.to_string(), "last");
                }
                if has_previous {
                    link("page", "1".to_owned(), "first");
                }
            }
            PaginationStyle::AfterBefore => {
                if has_previous {
                    link("before", opaque(range.start), "prev");
                }
                if has_next {
                    link("after", opaque(range.end), "next");
                }
            }
            PaginationStyle::Cursor if has_next => link("cursor", opaque(range.end), "next"),
            PaginationStyle::Since if has_next => link("since", range.end.to_string(), "next"),
            PaginationStyle::Cursor | PaginationStyle::Since => {}
        }
        links.join(", ")
    }

    /// The URL of the request with another page. Everything else stays as it was sent.
    fn url(&self, request: &RecordedRequest, name: &str, value: &str) -> String {
        let picks_page: &[&str] = match self.style {
            PaginationStyle::Page => &["page"],
            PaginationStyle::AfterBefore => &["after", "before"],
            PaginationStyle::Cursor => &["cursor"],
            PaginationStyle::Since => &["since"],
        };
        let mut query: Vec<&str> = (request.query.split('&'))
            .filter(|pair| {
                let key = pair.split('=').next().unwrap_or("");
                !key.is_empty() && !picks_page.contains(&key)
            })
            .collect();
        let picked = format!("{name}={value}");
        query.push(&picked);
        format!("{}{}?{}", request.origin(), request.path, query.join("&"))
    }
}

/// The name of an envelope's list, `None` for a bare list. Nothing if the example is neither, or if the list
/// is empty, since there is no item to repeat.
fn envelope(example: &Value) -> Option<Option<String>> {
    if let Some(items) = example.as_array() {
        return (!items.is_empty()).then_some(None);
    }
    let mut lists =
        (example.as_object()?.iter()).filter_map(|(name, value)| Some((name, value.as_array()?)));
    match (lists.next(), lists.next()) {
        (Some((name, items)), None) if !items.is_empty() => Some(Some(name.clone())),
        // A commit with its files, a comparison: lists are only a part of the object.
        _ => None,
    }
}

/// The item at `position`: the examples in turn, with the distinguishing fields that GitHub uses.
pub(super) fn item(examples: &[Value], position: usize) -> Option<Value> {
    let mut item = examples.get(position.checked_rem(examples.len())?)?.clone();
    let n = position.saturating_add(1);

    if let Value::String(text) = &item {
        return Some(json!(format!("{text}-{n}")));
    }
    let mut is_distinct = false;
    for key in ["id", "number"] {
        if let Some(value) = item.get_mut(key) {
            is_distinct |= renumber(value, n);
        }
    }
    if let Some(Value::String(title)) = item.get_mut("title") {
        *title = format!("{title} ({n})");
        is_distinct = true;
    }
    if !is_distinct {
        for key in ["name", "login", "sha", "key_id"] {
            if let Some(Value::String(text)) = item.get_mut(key) {
                *text = format!("{text}-{n}");
                break;
            }
        }
    }
    Some(item)
}

fn renumber(value: &mut Value, n: usize) -> bool {
    *value = match &value {
        Value::Number(_) => json!(n),
        Value::String(text) => json!(format!("{text}-{n}")),
        _ => return false,
    };
    true
}

fn number(query: &[(String, String)], name: &str) -> Option<usize> {
    query.iter().find(|(key, _)| key == name)?.1.parse().ok()
}

/// Positions are opaque, so that clients do not calculate with them.
fn opaque(position: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("cursor:{position}"))
}

fn cursor(query: &[(String, String)], name: &str) -> Option<usize> {
    let (_, value) = query.iter().find(|(key, _)| key == name)?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    text.strip_prefix("cursor:")?.parse().ok()
}
