//! Pricing plans: the cost of requests.

use serde::{Deserialize, Serialize};

use super::period::Period;
use crate::error::{Error, ErrorKind, Result};

/// The prices of a provider for requests, as data that `serde` can read and write.
///
/// ```
/// use octowire::usage::{Period, PricingPlan};
///
/// let plan = PricingPlan::new("gateway", Period::Month, "USD")
///     .tier(1_000, 0)
///     .tier(10_000, 29_00)
///     .tier(100_000, 99_00);
/// let cost = plan.cost(4_200);
/// assert_eq!((cost.requests, cost.price, cost.to_string().as_str()), (10_000, 29_00, "29.00 USD"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PricingPlan {
    /// The name of the plan.
    pub name: String,
    /// The period of its numbers.
    pub period: Period,
    /// The currency, such as `USD`.
    pub currency: String,
    /// The tiers, from the smallest to the largest.
    pub tiers: Vec<PricingTier>,
}

/// The requests that a [`PricingPlan`] includes for one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PricingTier {
    /// The number of requests in the plan's period.
    pub requests: u64,
    /// The price of all of them, in hundredths of the currency, such as cents.
    pub price: u64,
}

/// The tier of a [`PricingPlan`] that a number of requests needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanCost {
    /// The number of requests that the tier includes.
    pub requests: u64,
    /// The price, in hundredths of the currency.
    pub price: u64,
    /// The currency.
    pub currency: String,
    /// Whether the requests exceed the largest tier, which is then this one.
    pub exceeded: bool,
}

impl PricingPlan {
    /// Creates a plan without a tier.
    pub fn new(name: impl Into<String>, period: Period, currency: impl Into<String>) -> Self {
        Self { name: name.into(), period, currency: currency.into(), tiers: Vec::new() }
    }

    /// Creates GitHub's own plan: this number of requests per hour, at no price. It is 5,000 for the token of a user,
    /// and up to 12,500 for an
    /// [installation](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    #[must_use]
    pub fn github(requests_an_hour: u64) -> Self {
        Self::new("GitHub", Period::Hour, "USD").tier(requests_an_hour, 0)
    }

    /// Adds a tier, larger than the earlier ones: a number of requests, and their price in hundredths of the currency.
    #[must_use]
    pub fn tier(mut self, requests: u64, price: u64) -> Self {
        self.tiers.push(PricingTier { requests, price });
        self
    }

    /// Returns the cost of this number of requests: the price of the first tier that includes them, or of the largest
    /// one.
    #[must_use]
    pub fn cost(&self, requests: u64) -> PlanCost {
        let fits = self.tiers.iter().find(|tier| tier.requests >= requests);
        let tier = fits.or(self.tiers.last());
        let PricingTier { requests, price } =
            tier.copied().unwrap_or(PricingTier { requests: 0, price: 0 });
        PlanCost { requests, price, currency: self.currency.clone(), exceeded: fits.is_none() }
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: &str, advice: &'static str| {
            let message = format!("invalid plan {:?}: {what}", self.name);
            Err(Error::new(ErrorKind::Configuration, message).with_advice(advice))
        };
        if self.tiers.is_empty() {
            return wrong("it has no tier", "add one with tier(requests, price)");
        }
        if !self.tiers.is_sorted_by(|one, next| one.requests < next.requests) {
            return wrong("a tier is no larger than the one before", "sort the tiers by requests");
        }
        Ok(())
    }
}

impl std::fmt::Display for PlanCost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02} {}", self.price / 100, self.price % 100, self.currency)?;
        if self.exceeded { f.write_str(", exceeded") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plan_is_data() {
        let text = r#"{"name": "gateway", "period": "month", "currency": "USD", "tiers": [
            {"requests": 1000, "price": 0}, {"requests": 10000, "price": 2900},
            {"requests": 100000, "price": 9900}]}"#;
        let plan: PricingPlan = serde_json::from_str(text).unwrap();
        let prices = [0, 1_000, 1_001, 10_000, 10_001, 100_000, 100_001].map(|requests| {
            let cost = plan.cost(requests);
            (cost.price, cost.exceeded)
        });
        let expected = [
            (0, false),
            (0, false),
            (2900, false),
            (2900, false),
            (9900, false),
            (9900, false),
            (9900, true),
        ];
        assert_eq!(prices, expected);
        assert_eq!(plan.cost(100_001).to_string(), "99.00 USD, exceeded");
        plan.check().unwrap();
        let unsorted = plan.tier(5, 1).check().unwrap_err();
        assert!(unsorted.to_string().contains("no larger than the one before"), "{unsorted}");
    }

    proptest! {
        /// More requests never cost less, and their tier includes them.
        #[test]
        fn prices_follow_requests(steps in prop::collection::vec((1_u64..1_000, 0_u64..1_000), 1..8), one in 0_u64..9_000, more in 0_u64..9_000) {
            let (mut requests, mut price, mut plan) = (0, 0, PricingPlan::new("p", Period::Day, "EUR"));
            for step in steps {
                (requests, price) = (requests + step.0, price + step.1);
                plan = plan.tier(requests, price);
            }
            plan.check().unwrap();
            let (few, many) = (plan.cost(one), plan.cost(one + more));
            prop_assert!(few.price <= many.price);
            prop_assert_eq!(few.exceeded, few.requests < one);
        }
    }
}
