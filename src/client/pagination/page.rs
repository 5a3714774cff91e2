//! One page of a list, decoded.
//!
//! A page is decoded as a whole. If that fails, each item is decoded separately, so that one invalid item does not lose
//! the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::vec;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::completeness::missing_organizations;
use super::numbered::PagePosition;
use super::progress::PageContent;
use crate::api::operation::metric_name;
use crate::codec::json_path;
use crate::error::{Error, Result};
use crate::meter;
use crate::response::{BadItem, RawResponse};

/// The items of a page, and its statements about the whole list. Generated code creates it.
pub(crate) struct Listed<I> {
    pub(crate) items: Vec<I>,
    /// The number of items on all pages.
    pub(crate) total: Option<u64>,
    /// GitHub's `incomplete_results`.
    pub(crate) incomplete_results: Option<bool>,
}

impl<I> Listed<I> {
    pub(crate) fn items(items: Vec<I>) -> Self {
        Self { items, total: None, incomplete_results: None }
    }
}

impl<I> Default for Listed<I> {
    fn default() -> Self {
        Self::items(Vec::new())
    }
}

/// A `total_count`, in the types of GitHub's description.
pub(crate) trait TotalCount {
    /// Returns the count; `None` if the value is not a count, such as a negative number.
    fn total(self) -> Option<u64>;
}

impl TotalCount for i64 {
    fn total(self) -> Option<u64> {
        self.try_into().ok()
    }
}

impl TotalCount for f64 {
    fn total(self) -> Option<u64> {
        // A larger number saturates.
        let is_count = self.is_finite() && self >= 0.0 && self.fract() == 0.0;
        is_count.then_some(self as u64)
    }
}

impl<C: TotalCount> TotalCount for Option<C> {
    fn total(self) -> Option<u64> {
        self.and_then(C::total)
    }
}

/// A page, as the stream of items reads it.
pub(super) struct Page<I> {
    pub(super) entries: Entries<I>,
    /// The items that the page lists, decoded or not.
    pub(super) listed: u64,
    pub(super) total: Option<u64>,
    pub(super) incomplete_results: bool,
    /// The organizations whose results are missing.
    pub(super) organizations: Option<Vec<u64>>,
    pub(super) position: PagePosition,
}

impl<I> Page<I> {
    /// Creates an empty page with these organizations.
    #[cfg(test)]
    pub(super) fn empty_with(organizations: Option<Vec<u64>>) -> Self {
        Self {
            entries: Entries::Decoded(Vec::new().into_iter()),
            listed: 0,
            total: None,
            incomplete_results: false,
            organizations,
            position: PagePosition { is_later: false, has_cursor: false, number: None },
        }
    }

    /// Returns the first item that did not decode, as the error of the page.
    pub(super) fn first_error(&self) -> Option<Error> {
        match &self.entries {
            Entries::Decoded(_) => None,
            Entries::Mixed(mixed) => {
                let bad = mixed.entries.as_slice().iter().find_map(|entry| entry.as_ref().err());
                bad.map(|bad| mixed.raw.item_decode_error(bad, mixed.page))
            }
        }
    }
}

/// The remaining items of a page.
pub(super) enum Entries<I> {
    Decoded(vec::IntoIter<I>),
    Mixed(Box<MixedEntries<I>>),
}

type Entry<I> = Result<I, BadItem>;

/// The items of a page of which some did not decode. Their errors are created when they are read.
pub(super) struct MixedEntries<I> {
    entries: vec::IntoIter<Entry<I>>,
    raw: RawResponse,
    /// The number of the page, as far as it is known.
    page: Option<u64>,
}

impl<I> Entries<I> {
    /// Sets the number of the page.
    pub(super) fn of_page(mut self, number: u64) -> Self {
        if let Self::Mixed(mixed) = &mut self {
            mixed.page = Some(number);
        }
        self
    }

    /// Returns the number of remaining items, decoded or not.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Decoded(items) => items.len(),
            Self::Mixed(mixed) => mixed.entries.len(),
        }
    }
}

impl<I> Iterator for Entries<I> {
    type Item = Result<I>;

    fn next(&mut self) -> Option<Result<I>> {
        match self {
            Self::Decoded(items) => items.next().map(Ok),
            Self::Mixed(mixed) => {
                let entry = mixed.entries.next()?;
                Some(entry.map_err(|bad| mixed.raw.item_decode_error(&bad, mixed.page)))
            }
        }
    }
}

/// Decodes the items of one JSON text. If it does not decode, returns the location and the cause.
type ReadItem<I> = Box<dyn Fn(&str) -> Result<Vec<I>, (String, serde_json::Error)> + Send + Sync>;

/// Reads pages of the type `T` into items.
pub(super) struct PageReader<T, I> {
    /// The property with the list; `None` if the page is the list.
    field: Option<&'static str>,
    open: Box<dyn Fn(T) -> Listed<I> + Send + Sync>,
    read_item: ReadItem<I>,
    /// Whether the page type has no counts, so that they are read from the JSON.
    is_opaque: bool,
}

impl<T: DeserializeOwned + 'static, I: 'static> PageReader<T, I> {
    pub(super) fn for_operation(field: Option<&'static str>, open: fn(T) -> Listed<I>) -> Self
    where
        I: DeserializeOwned,
    {
        let read_item = |item: &str| match serde_json::from_str(item) {
            Ok(item) => Ok(vec![item]),
            Err(error) => Err((item_path(item, &error), error)),
        };
        Self { field, open: Box::new(open), read_item: Box::new(read_item), is_opaque: false }
    }

    pub(super) fn with_extractor(extract: fn(T) -> Vec<I>) -> Self {
        let read_item = move |item: &str| {
            // The caller's type is that of a page: here, of a page with one item.
            let page = format!("[{item}]");
            match serde_json::from_str(&page) {
                Ok(page) => Ok(extract(page)),
                Err(error) => {
                    let path = item_path(&page, &error);
                    Err((path.strip_prefix("[0]").map_or_else(String::new, str::to_owned), error))
                }
            }
        };
        let open = move |page| Listed::items(extract(page));
        Self { field: None, open: Box::new(open), read_item: Box::new(read_item), is_opaque: true }
    }

    /// Decodes a page.
    ///
    /// # Errors
    /// If the page does not decode, and the cause is not in single items.
    pub(super) fn read(&self, raw: RawResponse) -> Result<Page<I>> {
        let place = PagePosition::of(&raw.url);
        let organizations = missing_organizations(raw.headers.map());
        let (listed, entries, count) = match raw.parse::<T>() {
            Ok(page) => {
                let mut listed = (self.open)(page);
                let items = std::mem::take(&mut listed.items);
                let mut count = items.len();
                if self.is_opaque
                    && let Some(counts) = PageCounts::of(raw.bytes())
                {
                    count = counts.listed.unwrap_or_default();
                    listed.total = counts.total;
                    listed.incomplete_results = Some(counts.incomplete_results);
                }
                (listed, Entries::Decoded(items.into_iter()), count)
            }
            Err(error) => match self.read_items(&raw) {
                Some((listed, entries, count)) => {
                    let entries = entries.into_iter();
                    (
                        listed,
                        Entries::Mixed(Box::new(MixedEntries { entries, raw, page: place.number })),
                        count,
                    )
                }
                None => return Err(raw.decode_error(error)),
            },
        };
        Ok(Page {
            entries,
            listed: u64::try_from(count).unwrap_or(u64::MAX),
            total: listed.total,
            incomplete_results: listed.incomplete_results.unwrap_or_default(),
            organizations,
            position: place,
        })
    }

    /// Returns the items of a page that does not decode as a whole, and the number that it lists. Returns `None` if the
    /// cause is not in single items.
    fn read_items(&self, raw: &RawResponse) -> Option<(Listed<I>, Vec<Entry<I>>, usize)> {
        let body = raw.bytes();
        let (without_items, items) = split_items(body, self.field)?;
        let listed = (self.open)(serde_json::from_slice(&without_items).ok()?);
        let key = json_path::key(self.field);
        let mut entries = Vec::with_capacity(items.len());
        let mut bad: usize = 0;
        for (index, item) in items.iter().enumerate() {
            match (self.read_item)(item.get()) {
                Ok(read) => entries.extend(read.into_iter().map(Ok)),
                Err((below, reason)) => {
                    bad = bad.saturating_add(1);
                    let json_path = format!("${key}[{index}]{below}");
                    let json = body.slice_ref(item.get().as_bytes());
                    entries.push(Err(BadItem { index, json_path, json, reason }));
                }
            }
        }
        if bad == 0 {
            return None;
        }
        meter::undecodable_items(metric_name(&raw.operation), bad);
        Some((listed, entries, items.len()))
    }
}

/// Returns the path of an error within an item, without its `$`.
fn item_path(json: &str, error: &serde_json::Error) -> String {
    let path = json_path::locate(json.as_bytes(), error.line(), error.column());
    path.strip_prefix('$').map_or_else(String::new, str::to_owned)
}

/// Returns the JSON of a page with an empty list, and the items of the list.
fn split_items<'a>(
    body: &'a Bytes,
    field: Option<&str>,
) -> Option<(Cow<'static, [u8]>, Vec<&'a RawValue>)> {
    let Some(field) = field else {
        return Some((Cow::Borrowed(b"[]"), serde_json::from_slice(body).ok()?));
    };
    let page: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    let list = page.get(field)?.get();
    let items = serde_json::from_str(list).ok()?;
    // The text of the list is a part of the body.
    let start = (list.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let (before, after) = (body.get(..start)?, body.get(start.checked_add(list.len())?..)?);
    Some((Cow::Owned([before, b"[]", after].concat()), items))
}

/// Returns the content of a page from its JSON, whatever part of it the caller's type keeps.
pub(super) fn page_content(body: &[u8], hasher: &RandomState) -> PageContent {
    // The maximum size in bytes of a page without items: it has little other content.
    const MAX_EMPTY_BYTES: usize = 4 * 1024;
    let body = body.trim_ascii();
    let list = body.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let is_empty = body.is_empty()
        || list.is_some_and(|items| items.trim_ascii().is_empty())
        || body.len() <= MAX_EMPTY_BYTES
            && PageCounts::of(body).is_some_and(|counts| counts.listed == Some(0));
    if is_empty { PageContent::Empty } else { PageContent::Items(hasher.hash_one(body)) }
}

/// The counts in the JSON of a page, if its type has none.
struct PageCounts {
    /// `None` if it is ambiguous which list is the page's.
    listed: Option<usize>,
    total: Option<u64>,
    incomplete_results: bool,
}

impl PageCounts {
    /// Returns `None` if the page is not an object. If it is ambiguous which list is the page's, there is no total to
    /// compare with.
    fn of(body: &[u8]) -> Option<Self> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let page: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
        let mut lists = page.iter().filter(|(_, value)| value.get().starts_with('['));
        let list = match (page.get("items"), lists.next(), lists.next()) {
            (Some(items), ..) => Some(*items),
            (None, Some((_, only)), None) => Some(*only),
            _ => None,
        };
        let listed = list.and_then(|list| serde_json::from_str(list.get()).ok());
        let listed = listed.map(|items: Vec<IgnoredAny>| items.len());
        let total = page.get("total_count").and_then(|total| {
            let total = total.get();
            total.parse::<u64>().ok().or_else(|| total.parse::<f64>().ok()?.total())
        });
        let incomplete_results = page.get("incomplete_results");
        Some(Self {
            listed,
            total: total.filter(|_| listed.is_some()),
            incomplete_results: incomplete_results.is_some_and(|said| said.get() == "true"),
        })
    }
}

#[cfg(test)]
mod tests;
