//! Limits on usage that the owner of a budget sets.

use super::period::Period;
use super::plan::PricingPlan;
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
/// process keeps its own count of a budget that is not [strict](Self::fail_closed). If a store loses or evicts values, it
/// loses budgets: the client's own memory when the client ends, [`MemoryStore`](crate::store::MemoryStore) when it is full of
/// them, [`DiskStore`](crate::store::DiskStore) the least recently used values when it is full, Redis if eviction is enabled
/// (`maxmemory-policy`).
///
/// ```
/// use octowire::Client;
/// use octowire::usage::{Budget, Period, PricingPlan, UsageConfig};
///
/// # fn example() -> octowire::Result<()> {
/// let plan = PricingPlan::new("gateway", Period::Month, "USD").tier(1_000, 0).tier(10_000, 29_00);
/// let budget = Budget::from_plan(plan).soft_limit(8_000).hard_limit(10_000).exempt_operation("apps/get-authenticated");
/// let client = Client::builder()
///     .token_from_env("GITHUB_TOKEN")
///     .usage(UsageConfig::new().environment("production").budget(budget))
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a budget does nothing before it is given to a `UsageConfig`"]
pub struct Budget {
    pub(super) name: String,
    pub(super) period: Period,
    pub(super) plan: Option<PricingPlan>,
    pub(super) soft_limit: Option<u64>,
    pub(super) hard_limit: Option<u64>,
    pub(super) exempt_operations: Vec<String>,
    pub(super) shared: bool,
    pub(super) fail_closed: bool,
    pub(super) exclude_not_modified: bool,
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
            soft_limit: None,
            hard_limit: None,
            exempt_operations: Vec::new(),
            shared: false,
            fail_closed: false,
            exclude_not_modified: false,
        }
    }

    /// Creates a budget with the plan's name and period, whose report states the cost. The plan itself sets no limit:
    /// set a [hard](Self::hard_limit) limit as well.
    pub fn from_plan(plan: PricingPlan) -> Self {
        Self { plan: Some(plan.clone()), ..Self::new(plan.name, plan.period) }
    }

    /// Sets the number of requests that causes a warning, once in the period, however many processes share the store.
    /// None by default.
    pub fn soft_limit(mut self, requests: u64) -> Self {
        self.soft_limit = Some(requests);
        self
    }

    /// Sets the maximum number of requests. Further requests are rejected, with an error of the kind
    /// [`Budget`](crate::ErrorKind::BudgetExhausted). None by default.
    pub fn hard_limit(mut self, requests: u64) -> Self {
        self.hard_limit = Some(requests);
        self
    }

    /// Exempts an operation, such as `rate-limit/get`: its requests count, but are never rejected. A call without a
    /// generated operation is named by its method and path, such as `GET /rate_limit`.
    pub fn exempt_operation(mut self, operation: impl Into<String>) -> Self {
        self.exempt_operations.push(operation.into());
        self
    }

    /// Uses one budget for all identities of the environment together, and not one for each.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Rejects requests also while the store that counts them is unavailable, so that the limit holds in all cases. By
    /// default, requests are then sent if the count of this process and its last known sum are within the limit: each
    /// of several processes can use the whole rest.
    pub fn fail_closed(mut self) -> Self {
        self.fail_closed = true;
        self
    }

    /// Does not count a response that confirms a cached one (304) to a call with a token, just as GitHub's
    /// [primary limit](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate)
    /// does not.
    pub fn exclude_not_modified(mut self) -> Self {
        self.exclude_not_modified = true;
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
        let limits = [self.soft_limit, self.hard_limit];
        if limits.into_iter().flatten().any(|limit| limit == 0 || limit > MAX_REQUESTS) {
            return wrong("a limit is zero or above 2^53", "use a limit between them, or none");
        }
        if let [Some(soft), Some(hard)] = limits
            && soft > hard
        {
            return wrong("soft exceeds hard", "set soft to at most hard");
        }
        for operation in &self.exempt_operations {
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
        self.plan.as_ref().map_or(Ok(()), PricingPlan::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_budget_is_rejected() {
        let day = |name: &str| Budget::new(name, Period::Day);
        let wrong = [
            (day(""), "empty or too long"),
            (day(&"x".repeat(65)), "empty or too long"),
            (day("a\nb"), "control character"),
            (day("a").hard_limit(0), "zero"),
            (day("a").soft_limit(11).hard_limit(10), "soft exceeds hard"),
            (day("a").exempt_operation("rate_limit"), "unknown exempt operation"),
            (day("a").exempt_operation("/rate_limit"), "unknown exempt operation"),
            (Budget::from_plan(PricingPlan::new("p", Period::Day, "USD")), "no tier"),
        ];
        for (budget, expected) in wrong {
            let error = budget.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(expected), "{error}");
        }
        let well = Budget::from_plan(PricingPlan::github(5_000)).soft_limit(10).hard_limit(10);
        well.exempt_operation("rate-limit/get")
            .exempt_operation("GET /rate_limit")
            .check()
            .unwrap();
    }
}
