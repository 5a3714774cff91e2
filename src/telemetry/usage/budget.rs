//! Limits on usage that the owner of a budget sets.

use super::period::Period;
use super::plan::Plan;
use crate::error::{Error, ErrorKind, Result};

/// A limit on the requests in an hour, a day or a month: a bound that the application sets, or the requests that a plan
/// includes.
///
/// Each request to GitHub counts as one, with its redirects, whether it is the first attempt of a call or a retry.
/// Responses from the cache, and requests that provably did not reach GitHub, do not count. The client's own requests,
/// such as those for tokens, count as well.
///
/// A request is counted in the client's [store](crate::ClientBuilder::store) before it is sent, which costs one round
/// trip for all budgets, within the time that a call [waits for its store](crate::ClientBuilder::store_timeout). While
/// the store responds in time, not one request exceeds a hard limit, whatever clients share it. While it does not, each
/// process keeps its own count of a budget that is not [strict](Self::strict). If a store loses or evicts values, it
/// loses budgets: the client's own memory when the client ends, [`Memory`](crate::store::Memory) when it is full of
/// them, [`Disk`](crate::store::Disk) the least recently used values when it is full, Redis if eviction is enabled
/// (`maxmemory-policy`).
///
/// ```
/// use octowire::Client;
/// use octowire::telemetry::usage::{Budget, Period, Plan, UsagePolicy};
///
/// # fn example() -> octowire::Result<()> {
/// let plan = Plan::new("gateway", Period::Month, "USD").tier(1_000, 0).tier(10_000, 29_00);
/// let budget = Budget::of(plan).soft(8_000).hard(10_000).exempt("apps/get-authenticated");
/// let client = Client::builder()
///     .token_from_env("GITHUB_TOKEN")
///     .usage(UsagePolicy::new().environment("production").budget(budget))
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a budget does nothing before it is given to a UsagePolicy"]
pub struct Budget {
    pub(super) name: String,
    pub(super) period: Period,
    pub(super) plan: Option<Plan>,
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
    pub(super) exempt: Vec<String>,
    pub(super) shared: bool,
    pub(super) strict: bool,
    pub(super) free_304: bool,
}

/// The maximum length of a name, in bytes.
const MAX_NAME: usize = 64;
/// The maximum value of a sum in a store.
const MAX_REQUESTS: u64 = 1 << 53;

impl Budget {
    /// Creates a budget with this name for each such period; without a limit, it only counts. The name can have up to
    /// 64 bytes.
    pub fn new(name: impl Into<String>, period: Period) -> Self {
        Self {
            name: name.into(),
            period,
            plan: None,
            soft: None,
            hard: None,
            exempt: Vec::new(),
            shared: false,
            strict: false,
            free_304: false,
        }
    }

    /// Creates a budget with the plan's name and period, whose report states the cost. The plan itself sets no limit:
    /// set a [hard](Self::hard) limit as well.
    pub fn of(plan: Plan) -> Self {
        Self { plan: Some(plan.clone()), ..Self::new(plan.name, plan.period) }
    }

    /// Sets the number of requests that causes a warning, once in the period, however many processes share the store.
    /// None by default.
    pub fn soft(mut self, requests: u64) -> Self {
        self.soft = Some(requests);
        self
    }

    /// Sets the maximum number of requests. Further requests are rejected, with an error of the kind
    /// [`Budget`](crate::ErrorKind::Budget). None by default.
    pub fn hard(mut self, requests: u64) -> Self {
        self.hard = Some(requests);
        self
    }

    /// Exempts an operation, such as `rate-limit/get`: its requests count, but are never rejected. A call without a
    /// generated operation is named by its method and path, such as `GET /rate_limit`.
    pub fn exempt(mut self, operation: impl Into<String>) -> Self {
        self.exempt.push(operation.into());
        self
    }

    /// Uses one budget for all identities of the environment together, and not one for each.
    pub fn across_identities(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Rejects requests also while the store that counts them is unavailable, so that the limit holds in all cases. By
    /// default, requests are then sent if the count of this process and its last known sum are within the limit: each
    /// of several processes can use the whole rest.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Does not count a response that confirms a cached one (304) to a call with a token, just as GitHub's
    /// [primary limit](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate)
    /// does not.
    pub fn not_modified_is_free(mut self) -> Self {
        self.free_304 = true;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &str, advice: &'static str| {
            let message = format!("invalid budget {:?}: {what}", self.name);
            Err(Error::new(ErrorKind::Configuration, message).with_advice(advice))
        };
        if self.name.is_empty() || self.name.len() > MAX_NAME {
            return wrong("the name is empty or too long", "use 1 to 64 bytes");
        }
        if self.name.chars().any(char::is_control) {
            return wrong("the name contains a control character", "remove the character");
        }
        let limits = [self.soft, self.hard];
        if limits.into_iter().flatten().any(|limit| limit == 0 || limit > MAX_REQUESTS) {
            return wrong("a limit is zero or above 2^53", "use a limit between them, or none");
        }
        if let [Some(soft), Some(hard)] = limits
            && soft > hard
        {
            return wrong("soft exceeds hard", "set soft to at most hard");
        }
        for operation in &self.exempt {
            let form = operation.split_once('/').is_some_and(|(of, name)| {
                !of.is_empty() && !name.is_empty() && !operation.starts_with('/')
            });
            if !form {
                return wrong(
                    &format!("unknown exempt operation {operation:?}"),
                    "use the form rate-limit/get or GET /rate_limit",
                );
            }
        }
        self.plan.as_ref().map_or(Ok(()), Plan::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_kept_is_refused() {
        let day = |name: &str| Budget::new(name, Period::Day);
        let wrong = [
            (day(""), "empty or too long"),
            (day(&"x".repeat(65)), "empty or too long"),
            (day("a\nb"), "control character"),
            (day("a").hard(0), "zero"),
            (day("a").soft(11).hard(10), "soft exceeds hard"),
            (day("a").exempt("rate_limit"), "unknown exempt operation"),
            (day("a").exempt("/rate_limit"), "unknown exempt operation"),
            (Budget::of(Plan::new("p", Period::Day, "USD")), "no tier"),
        ];
        for (budget, expected) in wrong {
            let error = budget.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(expected), "{error}");
        }
        let well = Budget::of(Plan::github(5_000)).soft(10).hard(10);
        well.exempt("rate-limit/get").exempt("GET /rate_limit").check().unwrap();
    }
}
