//! Lists that ended early.

use super::{Error, ErrorKind};

/// The delivered part of a list, and the reason for missing items:
/// [`Error::incomplete`](crate::Error::incomplete).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incomplete {
    /// The number of items that the pages had, including items that did not decode.
    pub delivered: u64,
    /// The number of items of the whole list, if GitHub states it. It can be `delivered` or less if the
    /// [reason](Self::reason) is not [`IncompleteReason::PagesEnded`].
    pub total: Option<u64>,
    /// The reason for missing items.
    pub reason: IncompleteReason,
}

/// The reason why a list is [`Incomplete`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IncompleteReason {
    /// The pages ended before they delivered the number of items in the property `total_count`. GitHub
    /// delivers at most [1,000 results of a
    /// search](https://docs.github.com/en/rest/search/search#about-search), and the same number of some lists
    /// with filters, such as [workflow
    /// runs](https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-repository).
    PagesEnded,
    /// A page has `incomplete_results`: the search [timed
    /// out](https://docs.github.com/en/rest/search/search#timeouts-and-incomplete-results) at GitHub, and
    /// there might be more results.
    SearchTimeout,
    /// The results of some organizations are missing, since the token is not authorized for their [single
    /// sign-on](https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#personal-access-tokens-and-saml-sso):
    /// a page has the header `X-GitHub-SSO: partial-results`.
    SingleSignOn {
        /// The ids of these organizations, sorted: at most 1,000. Empty if the header names none.
        organizations: Vec<u64>,
    },
}

impl Error {
    pub(crate) fn new_incomplete(incomplete: Incomplete) -> Self {
        let Incomplete { delivered, total, reason } = &incomplete;
        let (why, advice) = match reason {
            IncompleteReason::PagesEnded => (
                "the pages ended early".to_owned(),
                "GitHub delivers at most 1,000 results of a search or of a filtered list: split \
                 the query, for example by date",
            ),
            IncompleteReason::SearchTimeout => {
                ("the search timed out at GitHub".to_owned(), "try again, or narrow the query")
            }
            IncompleteReason::SingleSignOn { organizations } => (
                format!("results of {} are missing", list_organizations(organizations)),
                "authorize the token for the single sign-on of these organizations",
            ),
        };
        let message = match total {
            Some(total) => {
                format!("incomplete list: {why}; {delivered} of {total} items delivered")
            }
            None => format!("incomplete list: {why}; {delivered} items delivered"),
        };
        let retryable = matches!(reason, IncompleteReason::SearchTimeout);
        let mut error =
            Self::new(ErrorKind::Incomplete, message).with_advice(advice).with_retryable(retryable);
        error.0.incomplete = Some(incomplete);
        error
    }

    /// Returns the delivered part of a list and the reason for missing items, for errors of the kind
    /// [`ErrorKind::Incomplete`].
    #[must_use]
    pub fn incomplete(&self) -> Option<&Incomplete> {
        self.0.incomplete.as_ref()
    }
}

/// The organizations for a message: the first ten.
fn list_organizations(organizations: &[u64]) -> String {
    const MAX_LISTED: usize = 10;
    let shown: Vec<String> = organizations.iter().take(MAX_LISTED).map(u64::to_string).collect();
    let more = if organizations.len() > MAX_LISTED { ", …" } else { "" };
    match organizations.len() {
        0 => "some organizations".to_owned(),
        1 => format!("the organization {}", shown.join(", ")),
        _ => format!("the organizations {}{more}", shown.join(", ")),
    }
}
