//! The rules of a comparison.

use std::time::Duration;

use serde_json::Value;

use super::compare;
use super::difference::Difference;
use super::pattern::{PathSegment, Pattern};
use crate::error::{Error, ErrorKind, Result};

/// The rules for comparing two results as JSON. Without rules, they have to be equal; `1` and `1.0` are
/// equal.
///
/// ```
/// use std::time::Duration;
/// use octowire::migration::ComparisonRules;
/// use serde_json::json;
///
/// # fn example() -> octowire::Result<()> {
/// let rules = ComparisonRules::default()
///     .ignore("$..node_id")
///     .unordered("$.labels")
///     .time_tolerance("$..updated_at", Duration::from_secs(2));
/// let old = json!({"labels": ["bug", "p1"], "updated_at": "2024-05-01T08:00:00Z", "title": "It leaks"});
/// let new = json!({"labels": ["p1", "bug"], "updated_at": "2024-05-01T08:00:01Z", "title": "It drips"});
/// let differences = rules.compare(&old, &new)?;
/// assert_eq!(differences.len(), 1);
/// assert_eq!(differences[0].path, "$.title");
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
///
/// # Patterns
///
/// A rule applies where its pattern matches the whole path of a value:
///
/// | pattern | means |
/// |---|---|
/// | `$` | the result itself |
/// | `.name`, `["any name"]` | a property; the second as a JSON string |
/// | `.*_url` | a property whose name has this beginning and end; one `*` in a name |
/// | `[3]` | an item of a list, from 0 |
/// | `[*]`, `.*` | any item or property |
/// | `..name`, `..*`, `..["any name"]`, `..[3]` | the same at any depth, including the current one |
///
/// So `$.items[*].updated_at` is that property of each item, and `$..node_id` is every `node_id`. In an
/// unordered list, `[3]` matches nothing. If several rules match a location, the first of each kind applies.
///
/// An invalid pattern is stored, and is the error of the function that takes the rules.
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a migration"]
pub struct ComparisonRules {
    ignored: Vec<Pattern>,
    orders: Vec<(Pattern, ListOrder)>,
    times: Vec<(Pattern, Duration)>,
    numbers: Vec<Pattern>,
    absent: AbsentValue,
    pub(super) max_differences: usize,
    pub(super) include_values: bool,
    invalid: Option<String>,
}

/// How items of unordered lists are paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListOrder {
    /// They are equal.
    ByValue,
    /// They have the same value of this property.
    ByKey(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum AbsentValue {
    Missing,
    Null,
    Empty,
}

/// The rules that apply at one location.
#[derive(Default)]
pub(super) struct RulesAt<'r> {
    pub(super) order: Option<&'r ListOrder>,
    pub(super) within: Option<Duration>,
    pub(super) number_is_text: bool,
}

const DEFAULT_MAX_DIFFERENCES: usize = 64;
const MAX_DIFFERENCES: usize = 1_000;

impl Default for ComparisonRules {
    fn default() -> Self {
        Self {
            ignored: Vec::new(),
            orders: Vec::new(),
            times: Vec::new(),
            numbers: Vec::new(),
            absent: AbsentValue::Missing,
            max_differences: DEFAULT_MAX_DIFFERENCES,
            include_values: false,
            invalid: None,
        }
    }
}

impl ComparisonRules {
    /// Ignores the value at the location, on either side, even if only one side has it.
    pub fn ignore(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.ignored.push(pattern);
        }
        self
    }

    /// Ignores the order of the list at the location: each item needs an equal one, the same number of times.
    pub fn unordered(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.orders.push((pattern, ListOrder::ByValue));
        }
        self
    }

    /// Ignores the order of the list at the location, and pairs items by a property such as `id`, so that
    /// differences within an item are reported instead of missing items. Items with the same value are paired
    /// in a canonical order; items without the property count as having the same value.
    pub fn unordered_by_key(mut self, pattern: &str, property: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.orders.push((pattern, ListOrder::ByKey(property.to_owned())));
        }
        self
    }

    /// Allows times at the location, as text of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), to differ
    /// by this duration; with [`Duration::ZERO`], only the notation can differ. Values that are not times are
    /// compared as usual.
    pub fn time_tolerance(mut self, pattern: &str, tolerance: Duration) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.times.push((pattern, tolerance));
        }
        self
    }

    /// Treats a number at the location as equal to its text: `7` and `"7"`.
    pub fn coerce_numbers(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.numbers.push(pattern);
        }
        self
    }

    /// Treats a property that is `null` as absent, everywhere.
    pub fn ignore_nulls(mut self) -> Self {
        if self.absent < AbsentValue::Null {
            self.absent = AbsentValue::Null;
        }
        self
    }

    /// Treats a property that is `null` or an empty list as absent, everywhere, as this library reads lists.
    pub fn ignore_empty(mut self) -> Self {
        self.absent = AbsentValue::Empty;
        self
    }

    /// Sets the maximum number of reported differences of one comparison; 64 by default, from 1 to 1,000. The
    /// comparison ends there.
    pub fn max_differences(mut self, differences: usize) -> Self {
        self.max_differences = differences.clamp(1, MAX_DIFFERENCES);
        self
    }

    /// Includes the values in differences, truncated to 200 characters. Off by default: a difference is a
    /// path and a kind, since results can contain secrets.
    pub fn include_values(mut self) -> Self {
        self.include_values = true;
        self
    }

    /// Compares two results, and returns the differences: in the order of the old result, followed by parts
    /// that only the new one has. Values that are nested deeper than 128 levels are not compared.
    ///
    /// # Errors
    /// If a pattern is invalid: [`Configuration`](ErrorKind::Configuration).
    pub fn compare(&self, old: &Value, new: &Value) -> Result<Vec<Difference>> {
        self.check()?;
        Ok(compare::compare(self, old, new))
    }

    /// # Errors
    /// The first invalid pattern.
    pub(super) fn check(&self) -> Result<()> {
        match &self.invalid {
            None => Ok(()),
            Some(problem) => Err(Error::new(ErrorKind::Configuration, problem.clone())
                .with_advice("see the documentation of octowire::migration::ComparisonRules")),
        }
    }

    pub(super) fn ignores(&self, path: &[PathSegment<'_>]) -> bool {
        self.ignored.iter().any(|pattern| pattern.matches(path))
    }

    pub(super) fn at(&self, path: &[PathSegment<'_>]) -> RulesAt<'_> {
        fn first<'r, T>(rules: &'r [(Pattern, T)], path: &[PathSegment<'_>]) -> Option<&'r T> {
            rules.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, rule)| rule)
        }
        RulesAt {
            order: first(&self.orders, path),
            within: first(&self.times, path).copied(),
            number_is_text: self.numbers.iter().any(|pattern| pattern.matches(path)),
        }
    }

    /// Returns whether a property with this value counts as absent.
    pub(super) fn is_absent(&self, value: &Value) -> bool {
        match value {
            Value::Null => self.absent >= AbsentValue::Null,
            Value::Array(items) => items.is_empty() && self.absent >= AbsentValue::Empty,
            _ => false,
        }
    }

    fn read(&mut self, text: &str) -> Option<Pattern> {
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(reason) => {
                self.invalid.get_or_insert_with(|| format!("invalid pattern {text:?}: {reason}"));
                None
            }
        }
    }
}
