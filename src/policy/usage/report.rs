//! Reports of usage, as text and as data.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{CalendarWindow, IdentityUsageState, Period, PlanCost, UsageCount, UsageRegistry};
use crate::time::clock;

/// The usage of an identity: [`Usage::report`](super::Usage::report).
///
/// Its [`Display`](fmt::Display) is a text table of the twenty operations with the most requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UsageReport {
    /// The environment that [`UsageConfig::environment`](super::UsageConfig::environment) names.
    pub environment: String,
    /// The identity that GitHub limits, similar to [`Client::identity`](crate::Client::identity).
    pub identity: String,
    /// The time of the report.
    pub time: DateTime<Utc>,
    /// Whether all of it was read from the store. Counts that other processes have not written yet are missing in any
    /// case.
    pub is_complete: bool,
    /// The hour, the day and the month.
    pub periods: Vec<PeriodUsage>,
    /// The state of the budgets, in their order.
    pub budgets: Vec<BudgetReport>,
}

/// The usage in an hour, a day or a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PeriodUsage {
    /// The kind of period.
    pub period: Period,
    /// The beginning of the period.
    pub start: DateTime<Utc>,
    /// The end of the period.
    pub end: DateTime<Utc>,
    /// The total of all operations.
    pub total: UsageCount,
    /// Each operation that was called; those with the most requests come first. Calls without a generated operation are
    /// combined as `request`.
    pub operations: Vec<OperationUsage>,
}

/// The usage of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OperationUsage {
    /// The id of the operation, such as `issues/get`.
    pub operation: String,
    /// The numbers of calls and requests.
    #[serde(flatten)]
    pub count: UsageCount,
}

/// The state of a [`Budget`](super::Budget).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BudgetReport {
    /// The name of the budget.
    pub name: String,
    /// The period of the budget.
    pub period: Period,
    /// The end of the current window.
    pub end: DateTime<Utc>,
    /// Whether a limit is reached.
    pub state: BudgetState,
    /// The requests in the window.
    pub used: u64,
    /// The number of requests that causes a warning.
    pub soft_limit: Option<u64>,
    /// The maximum number of requests.
    pub hard_limit: Option<u64>,
    /// The expected requests at the end of the window, at the rate since its first request; `None` until a hundredth of
    /// the window, or ten minutes, have passed since then.
    pub forecast: Option<u64>,
    /// The cost of the requests so far, if the budget has a plan.
    pub cost: Option<PlanCost>,
    /// The cost of the forecast.
    pub forecast_cost: Option<PlanCost>,
}

/// The state of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetState {
    /// No limit is reached.
    Ok,
    /// The soft limit is reached.
    SoftLimitReached,
    /// The hard limit is reached: requests are rejected.
    Exhausted,
}

/// The usage of an identity in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IdentityUsage {
    /// The environment.
    pub environment: String,
    /// The identity.
    pub identity: String,
    /// The number of its requests.
    pub requests: u64,
}

impl UsageReport {
    /// Returns the report as JSON, on one line; [`serde::Serialize`] provides other formats.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Any numbers and text can be encoded as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(super) async fn report(
    registry: &UsageRegistry,
    account: &Arc<IdentityUsageState>,
    time: SystemTime,
) -> UsageReport {
    let mut is_complete = true;
    // Counts that are written to a failing store are missing from this report.
    if account.storage.is_available() {
        account.counter.flush().await;
    }
    let mut periods = Vec::new();
    for window in Period::ALL.map(|period| period.at(time)) {
        let (counts, reply) = account.counter.counts(window).await;
        is_complete &= reply;
        let operations =
            counts.into_iter().map(|(operation, count)| OperationUsage { operation, count });
        let mut operations: Vec<_> = operations.collect();
        operations
            .sort_by_key(|usage| std::cmp::Reverse((usage.count.requests, usage.count.calls)));
        let mut total = UsageCount::default();
        operations.iter().for_each(|usage| total.add(usage.count));
        let CalendarWindow { period, start: began, end: ends } = window;
        periods.push(PeriodUsage { period, start: began, end: ends, total, operations });
    }
    let mut budgets = Vec::new();
    for spending in &account.budgets {
        let budget = &spending.budget;
        let window = budget.period.at(time);
        let (used, first, reply) = spending.used(&account.storage, window).await;
        is_complete &= reply;
        let forecast = forecast(used, first, window, clock::monotonic_wall_clock());
        let cost = |requests| budget.plan.as_ref().map(|plan| plan.cost(requests));
        budgets.push(BudgetReport {
            name: budget.name.clone(),
            period: budget.period,
            end: window.end,
            state: state(used, budget.soft_limit, budget.hard_limit),
            used,
            soft_limit: budget.soft_limit,
            hard_limit: budget.hard_limit,
            forecast,
            cost: cost(used),
            forecast_cost: forecast.and_then(cost),
        });
    }
    UsageReport {
        environment: registry.keys.environment.clone(),
        identity: account.counter.identity().to_owned(),
        time: clock::to_utc(time),
        is_complete,
        periods,
        budgets,
    }
}

pub(super) async fn identities(
    registry: &UsageRegistry,
    month: CalendarWindow,
) -> Option<Vec<IdentityUsage>> {
    let all = registry.storage.counters(&registry.keys.identities(month)).await?;
    let all = all.into_iter().map(|(name, requests)| {
        // The combined entry of further identities has no environment.
        let (environment, identity) = name.split_once('\n').unwrap_or(("", &name));
        let (environment, identity) = (environment.to_owned(), identity.to_owned());
        IdentityUsage { environment, identity, requests }
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|usage| std::cmp::Reverse(usage.requests));
    Some(all)
}

/// The time after the first request before which, unless a hundredth of the window has passed, there is no forecast.
const MIN_FORECAST_FRACTION: Duration = Duration::from_secs(10 * 60);

/// Returns the expected number at the end of the window, at the rate since the first request.
fn forecast(
    used: u64,
    first: Option<SystemTime>,
    window: CalendarWindow,
    now: SystemTime,
) -> Option<u64> {
    let left = window.remaining(now);
    if left.is_zero() {
        return Some(used);
    }
    let began = SystemTime::from(window.start);
    let seen = now.duration_since(first?.max(began)).unwrap_or_default();
    let length = SystemTime::from(window.end).duration_since(began).unwrap_or_default();
    // A number beyond 2^64 saturates.
    let more = used as f64 * (left.as_secs_f64() / seen.as_secs_f64());
    (seen >= MIN_FORECAST_FRACTION.min(length / 100))
        .then(|| used.saturating_add(more.round() as u64))
}

fn state(used: u64, soft: Option<u64>, hard: Option<u64>) -> BudgetState {
    if hard.is_some_and(|hard| used >= hard) {
        BudgetState::Exhausted
    } else if soft.is_some_and(|soft| used >= soft) {
        BudgetState::SoftLimitReached
    } else {
        BudgetState::Ok
    }
}

/// The maximum number of operations in the table.
const MAX_ROWS: usize = 20;

impl fmt::Display for UsageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usage of {}", self.identity)?;
        if !self.environment.is_empty() {
            write!(f, " in {}", self.environment)?;
        }
        write!(f, " at {}", self.time.format("%Y-%m-%d %H:%M UTC"))?;
        writeln!(f, "{}", if self.is_complete { "" } else { " (this process only)" })?;
        writeln!(f, "{:<40} {:>10} {:>10} {:>10}", "", "requests", "calls", "failed")?;
        for PeriodUsage { period, start: began, total, .. } in &self.periods {
            let name = format!("{period} from {}", began.format("%Y-%m-%d %H:%M"));
            row(f, &name, *total)?;
        }
        if let Some(month) = self.periods.last() {
            for OperationUsage { operation, count } in month.operations.iter().take(MAX_ROWS) {
                row(f, &format!("  {operation}"), *count)?;
            }
            if month.operations.len() > MAX_ROWS {
                writeln!(f, "  … {} operations in total", month.operations.len())?;
            }
        }
        self.budgets.iter().try_for_each(|budget| writeln!(f, "{budget}"))
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: UsageCount) -> fmt::Result {
    writeln!(f, "{name:<40} {:>10} {:>10} {:>10}", count.requests, count.calls, count.failed)
}

impl fmt::Display for BudgetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "budget {}: {}", self.name, self.used)?;
        if let Some(limit) = self.hard_limit.or(self.soft_limit) {
            write!(f, " of {limit}")?;
        }
        write!(f, " requests this {}", self.period)?;
        if let Some(cost) = &self.cost {
            write!(f, " ({cost})")?;
        }
        if let Some(forecast) = self.forecast {
            write!(f, ", forecast {forecast}")?;
        }
        if let Some(cost) = &self.forecast_cost {
            write!(f, " ({cost})")?;
        }
        f.write_str(match self.state {
            BudgetState::Ok => "",
            BudgetState::SoftLimitReached => "; soft limit reached",
            BudgetState::Exhausted => "; exhausted",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_forecast_continues_as_before(used in 0_u64..1_000_000, first in 0_u64..80_000, seen in 600_u64..6_000) {
            let window = Period::Day.at(SystemTime::UNIX_EPOCH);
            let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let forecast = forecast(used, Some(at(first)), window, at(first + seen)).unwrap();
            prop_assert!(forecast >= used);
            let rate = used as f64 / seen as f64;
            let expected = rate * (86_400.0 - first as f64).max(seen as f64);
            prop_assert!((forecast as f64 - expected).abs() <= 1.0, "{forecast} of {expected}");
        }
    }

    #[test]
    fn a_short_window_has_no_forecast_and_a_past_one_has_its_total() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let (hour, month) = (Period::Hour.at(at(0)), Period::Month.at(at(0)));
        assert_eq!(forecast(9, None, hour, at(1_800)), None);
        assert_eq!(forecast(9, Some(at(1_000)), hour, at(1_035)), None);
        assert_eq!(forecast(9, Some(at(1_000)), hour, at(1_036)), Some(9 + 641));
        assert_eq!(forecast(9, Some(at(1_000)), month, at(1_599)), None);
        assert!(forecast(9, Some(at(1_000)), month, at(1_600)).is_some());
        assert_eq!(forecast(9, Some(at(1_000)), hour, at(3_600)), Some(9));
        // If the first request is recorded as earlier than the window, it counts from the beginning of the window.
        assert_eq!(forecast(9, Some(at(0)), Period::Hour.at(at(3_600)), at(5_400)), Some(18));
    }
}
