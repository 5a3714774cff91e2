//! Detection of a list whose pages continue to link to further pages but have no new items.

use super::cycle_detector::CycleDetector;
use crate::error::{Error, ErrorKind};

/// The maximum number of consecutive pages without new items. GitHub sends empty pages in the middle of filtered lists,
/// but not a hundred in a row.
pub(super) const MAX_PAGES_WITHOUT_PROGRESS: u32 = 100;

/// The content of a page, as its body shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageContent {
    Empty,
    /// Items, with a digest of the whole page.
    Items(u64),
}

/// Counts the pages in a row that are empty, or equal to one of the last thousand pages of the same list.
#[derive(Debug, Default)]
pub(super) struct ProgressGuard {
    recent_digests: CycleDetector,
    pages_without_progress: u32,
}

impl ProgressGuard {
    /// Records a page. Returns whether the list can continue.
    pub(super) fn add(&mut self, content: PageContent) -> bool {
        let is_new = match content {
            PageContent::Empty => false,
            PageContent::Items(digest) => {
                let is_new = !self.recent_digests.contains(digest);
                self.recent_digests.insert(digest);
                is_new
            }
        };
        self.pages_without_progress =
            if is_new { 0 } else { self.pages_without_progress.saturating_add(1) };
        self.pages_without_progress < MAX_PAGES_WITHOUT_PROGRESS
    }
}

/// Returns the error for a list that makes no progress.
pub(super) fn no_progress() -> Error {
    Error::new(
        ErrorKind::Pagination,
        format!(
            "{MAX_PAGES_WITHOUT_PROGRESS} consecutive pages were empty or repeated earlier pages, \
             and link to further pages"
        ),
    )
    .with_advice("pagination was stopped because it would not end; narrow the query")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u32 = MAX_PAGES_WITHOUT_PROGRESS - 1;

    #[test]
    fn a_list_may_have_empty_and_equal_pages_but_not_too_many_in_a_row() {
        let mut progress = ProgressGuard::default();
        assert!(progress.add(PageContent::Items(1)));
        for round in 2..5 {
            for number in 0..LAST {
                let content =
                    if number % 2 == 0 { PageContent::Empty } else { PageContent::Items(1) };
                assert!(progress.add(content));
            }
            assert!(progress.add(PageContent::Items(round)));
        }
        for _ in 0..LAST {
            assert!(progress.add(PageContent::Empty));
        }
        assert!(!progress.add(PageContent::Empty));
    }

    #[test]
    fn pages_that_repeat_are_noticed_whatever_their_period() {
        for period in [1_u64, 2, 3, 50, 1000] {
            let mut progress = ProgressGuard::default();
            let ends = (0..).find(|page| !progress.add(PageContent::Items(page % period))).unwrap();
            assert!(ends < period + u64::from(MAX_PAGES_WITHOUT_PROGRESS), "{period}");
        }
    }
}
