//! Comparison of the delivered items of a list with the count that GitHub reports.
//!
//! # Which count applies
//! The items of a numbered list that grows or shrinks while it is read move from page to page, but the pages before the
//! last are full. So the last page's `total_count` fits the items of all pages, whatever happened before. In a list
//! with cursors, new items can appear before the cursor, and only the last count includes them: there the lowest count
//! of all pages is taken.

use std::collections::BTreeSet;

use http::HeaderMap;

use super::page::Page;
use crate::error::{Incomplete, IncompleteReason};

/// The maximum number of organizations that are remembered for one list.
const MAX_ORGANIZATIONS: usize = 1_000;

/// The counts of the pages of one list so far.
#[derive(Debug, Default)]
pub(super) struct Completeness {
    /// Whether the first page that was read is the first of the list; `None` before it.
    from_start: Option<bool>,
    has_cursors: bool,
    /// Items that pages listed, decoded or not.
    listed: u64,
    last_total: Option<u64>,
    lowest_total: Option<u64>,
    timed_out: bool,
    /// The organizations whose results are missing; `None` if none are.
    organizations: Option<BTreeSet<u64>>,
}

impl Completeness {
    pub(super) fn add<I>(&mut self, page: &Page<I>) {
        self.from_start.get_or_insert(!page.position.is_later);
        self.has_cursors |= page.position.has_cursor;
        self.listed = self.listed.saturating_add(page.listed);
        if let Some(total) = page.total {
            self.last_total = Some(total);
            self.lowest_total = Some(self.lowest_total.map_or(total, |lowest| lowest.min(total)));
        }
        self.timed_out |= page.incomplete_results;
        if let Some(found) = &page.organizations {
            let known = self.organizations.get_or_insert_default();
            known.extend(found.iter().take(MAX_ORGANIZATIONS.saturating_sub(known.len())));
        }
    }

    /// Returns the latest count of the whole list.
    pub(super) fn total(&self) -> Option<u64> {
        self.last_total
    }

    /// Returns the missing part, once the pages have ended; `None` if the list is complete.
    pub(super) fn incomplete(&self) -> Option<Incomplete> {
        let total = if self.has_cursors { self.lowest_total } else { self.last_total };
        let missing = total.filter(|total| *total > self.listed);
        let reason = if let Some(organizations) = &self.organizations {
            IncompleteReason::SingleSignOn {
                organizations: organizations.iter().copied().collect(),
            }
        } else if self.timed_out {
            IncompleteReason::SearchTimeout
        } else if self.from_start == Some(true) && missing.is_some() {
            IncompleteReason::PagesEnded
        } else {
            return None;
        };
        Some(Incomplete { delivered: self.listed, total, reason })
    }
}

/// Returns the organizations whose results are missing from a response, since its token is not authorized for their
/// single sign-on: `X-GitHub-SSO: partial-results; organizations=21955855,20582480`. Returns `None` if the header does
/// not say so. Ids that are not numbers are left out.
///
/// Source: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#personal-access-tokens-and-saml-sso>
pub(super) fn missing_organizations(headers: &HeaderMap) -> Option<Vec<u64>> {
    let mut missing = None;
    for value in headers.get_all("x-github-sso") {
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut parts = text.split(';').map(str::trim);
        if !parts.next().is_some_and(|first| first.eq_ignore_ascii_case("partial-results")) {
            continue;
        }
        let missing: &mut Vec<u64> = missing.get_or_insert_default();
        for part in parts {
            let Some((name, ids)) = part.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("organizations") {
                let ids = ids.trim().trim_matches('"').split(',');
                missing.extend(ids.filter_map(|id| id.trim().parse::<u64>().ok()));
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests;
