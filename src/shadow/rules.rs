//! What a user may decide about comparing.

use std::time::Duration;

use serde_json::Value;

use super::compare;
use super::difference::Difference;
use super::pattern::{Pattern, Step};
use crate::error::{Error, ErrorKind, Result};

/// How two answers are compared, as JSON. Without rules, they have to be equal; `1` and `1.0` are.
///
/// ```
/// use std::time::Duration;
/// use octowire::shadow::Rules;
/// use serde_json::json;
///
/// # fn example() -> octowire::Result<()> {
/// let rules = Rules::default()
///     .ignore("$..node_id")
///     .unordered("$.labels")
///     .times_within("$..updated_at", Duration::from_secs(2));
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
/// A rule holds where its pattern means the whole path of a value:
///
/// | pattern | means |
/// |---|---|
/// | `$` | the answer itself |
/// | `.name`, `["any name"]` | a property; the second as a JSON string |
/// | `.*_url` | a property whose name begins and ends so; one `*` in a name |
/// | `[3]` | an item of a list, from 0 |
/// | `[*]`, `.*` | any item or property |
/// | `..name`, `..*`, `..["any name"]`, `..[3]` | the same at any depth, also right here |
///
/// So `$.items[*].updated_at` is that property of each item, and `$..node_id` every `node_id`. In a
/// list whose order says nothing, `[3]` means nothing. If several rules mean a place, the first of each
/// kind holds there.
///
/// A pattern that can not be read is remembered, and is the error of what takes the rules.
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a shadow"]
pub struct Rules {
    ignored: Vec<Pattern>,
    orders: Vec<(Pattern, Order)>,
    times: Vec<(Pattern, Duration)>,
    numbers: Vec<Pattern>,
    absent: Absent,
    pub(super) limit: usize,
    pub(super) values: bool,
    refused: Option<String>,
}

/// How the items of a list without order find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// They are equal.
    Whole,
    /// They have the same value of this property.
    By(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Absent {
    Missing,
    Null,
    Empty,
}

/// What holds at one place.
#[derive(Default)]
pub(super) struct At<'r> {
    pub(super) order: Option<&'r Order>,
    pub(super) within: Option<Duration>,
    pub(super) number_is_text: bool,
}

const LIMIT: usize = 64;
const MOST: usize = 1_000;

impl Default for Rules {
    fn default() -> Self {
        Self {
            ignored: Vec::new(),
            orders: Vec::new(),
            times: Vec::new(),
            numbers: Vec::new(),
            absent: Absent::Missing,
            limit: LIMIT,
            values: false,
            refused: None,
        }
    }
}

impl Rules {
    /// Leaves out what is there, on either side and whether or not the other side has it.
    pub fn ignore(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.ignored.push(pattern);
        }
        self
    }

    /// The order of the lists there says nothing: each item needs an equal one, as often as it occurs.
    pub fn unordered(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.orders.push((pattern, Order::Whole));
        }
        self
    }

    /// The same, and items are told apart by a property such as `id`, so that it is said what differs
    /// within an item rather than that there is no equal one. Items of the same value are taken in an
    /// order of their own; those without the property are of the same one.
    pub fn unordered_by(mut self, pattern: &str, property: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.orders.push((pattern, Order::By(property.to_owned())));
        }
        self
    }

    /// Times there, as text of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), may be so far apart;
    /// with [`Duration::ZERO`] they may be written differently. What is no time is compared as ever.
    pub fn times_within(mut self, pattern: &str, tolerance: Duration) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.times.push((pattern, tolerance));
        }
        self
    }

    /// A number there is equal to the text that it is written as: `7` and `"7"`.
    pub fn numbers_as_text(mut self, pattern: &str) -> Self {
        if let Some(pattern) = self.read(pattern) {
            self.numbers.push(pattern);
        }
        self
    }

    /// A property that is `null` is as one that is not there, everywhere.
    pub fn null_is_absent(mut self) -> Self {
        if self.absent < Absent::Null {
            self.absent = Absent::Null;
        }
        self
    }

    /// A property that is `null` or an empty list is as one that is not there, everywhere: this library
    /// reads lists so.
    pub fn empty_is_absent(mut self) -> Self {
        self.absent = Absent::Empty;
        self
    }

    /// How many differences of one comparison are told; 64 by default, from 1 to 1,000. Comparing ends
    /// there.
    pub fn limit(mut self, differences: usize) -> Self {
        self.limit = differences.clamp(1, MOST);
        self
    }

    /// Differences carry the values, cut to 200 characters. Off by default: a difference is a path and
    /// a kind, and answers may hold secrets.
    pub fn keep_values(mut self) -> Self {
        self.values = true;
        self
    }

    /// Compares two answers, and gives what differs: in the order of the old one, and what only the
    /// new one has behind it. What is nested deeper than 128 is not looked at.
    ///
    /// # Errors
    /// If a pattern can not be read: [`Configuration`](ErrorKind::Configuration).
    pub fn compare(&self, old: &Value, new: &Value) -> Result<Vec<Difference>> {
        self.check()?;
        Ok(compare::compare(self, old, new))
    }

    /// # Errors
    /// The first pattern that can not be read.
    pub(super) fn check(&self) -> Result<()> {
        match &self.refused {
            None => Ok(()),
            Some(refused) => Err(Error::new(ErrorKind::Configuration, refused.clone())
                .with_advice("see the documentation of octowire::shadow::Rules")),
        }
    }

    pub(super) fn ignores(&self, path: &[Step<'_>]) -> bool {
        self.ignored.iter().any(|pattern| pattern.matches(path))
    }

    pub(super) fn at(&self, path: &[Step<'_>]) -> At<'_> {
        fn first<'r, T>(rules: &'r [(Pattern, T)], path: &[Step<'_>]) -> Option<&'r T> {
            rules.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, rule)| rule)
        }
        At {
            order: first(&self.orders, path),
            within: first(&self.times, path).copied(),
            number_is_text: self.numbers.iter().any(|pattern| pattern.matches(path)),
        }
    }

    /// Whether a property of this value is as one that is not there.
    pub(super) fn is_absent(&self, value: &Value) -> bool {
        match value {
            Value::Null => self.absent >= Absent::Null,
            Value::Array(items) => items.is_empty() && self.absent >= Absent::Empty,
            _ => false,
        }
    }

    fn read(&mut self, text: &str) -> Option<Pattern> {
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(reason) => {
                self.refused.get_or_insert_with(|| format!("invalid pattern {text:?}: {reason}"));
                None
            }
        }
    }
}
