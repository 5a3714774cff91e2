//! The comparison of two JSON values.

use std::cmp::Ordering;

use chrono::DateTime;
use serde_json::{Map, Number, Value};

use super::difference::{Difference, DifferenceKind, cut};
use super::pattern::{PathSegment, render};
use super::rules::{ComparisonRules, ListOrder, RulesAt};

/// The limit of serde_json.
const MAX_DEPTH: usize = 128;

/// The differences between two values.
pub(super) fn compare(rules: &ComparisonRules, old: &Value, new: &Value) -> Vec<Difference> {
    let mut walk = Comparison { rules, path: Vec::new(), found: Vec::new() };
    walk.values(old, new);
    walk.found
}

struct Comparison<'a> {
    rules: &'a ComparisonRules,
    path: Vec<PathSegment<'a>>,
    found: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    fn values(&mut self, old: &'a Value, new: &'a Value) {
        if self.is_full() || self.rules.ignores(&self.path) {
            return;
        }
        let at = self.rules.at(&self.path);
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => self.objects(old, new),
            (Value::Array(old), Value::Array(new)) => match at.order {
                Some(order) => self.unordered(order, old, new),
                None => self.lists(old, new),
            },
            _ if equal(&at, old, new) => {}
            _ if kind(old) == kind(new) => {
                self.add_difference(DifferenceKind::Value, Some(old), Some(new))
            }
            _ => self.add_difference(DifferenceKind::Type, Some(old), Some(new)),
        }
    }

    fn objects(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>) {
        let rules = self.rules;
        let there = |object: &'a Map<String, Value>, key: &str| {
            object.get(key).filter(|value| !rules.is_absent(value))
        };
        for key in old.keys() {
            self.property(key, there(old, key), there(new, key));
        }
        for key in new.keys().filter(|key| !old.contains_key(*key)) {
            self.property(key, None, there(new, key));
        }
    }

    fn property(&mut self, key: &'a str, old: Option<&'a Value>, new: Option<&'a Value>) {
        self.path.push(PathSegment::Key(key));
        self.add_one_sided(old, new);
        self.path.pop();
    }

    fn lists(&mut self, old: &'a [Value], new: &'a [Value]) {
        for index in 0..old.len().max(new.len()) {
            if self.is_full() {
                return;
            }
            self.path.push(PathSegment::Index(index));
            self.add_one_sided(old.get(index), new.get(index));
            self.path.pop();
        }
    }

    fn unordered(&mut self, order: &ListOrder, old: &'a [Value], new: &'a [Value]) {
        let [mut old, mut new] =
            [old, new].map(|items| self.sorted(order, items).into_iter().peekable());
        while !self.is_full() {
            let side = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.key.cmp(&new.key),
            };
            let old = if side.is_le() { old.next() } else { None };
            let new = if side.is_ge() { new.next() } else { None };
            let Some(place) = old.as_ref().or(new.as_ref()).map(|item| item.index) else { return };
            self.path.push(PathSegment::Item(place));
            self.add_one_sided(old.map(|item| item.value), new.map(|item| item.value));
            self.path.pop();
        }
    }

    /// The items in an order that depends only on their content. Items with the same key are adjacent, in the
    /// order of their times, so that the nearest ones are paired.
    fn sorted(&mut self, order: &ListOrder, items: &'a [Value]) -> Vec<UnorderedItem<'a>> {
        let mut sorted: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(place, value)| {
                self.path.push(PathSegment::Item(place));
                let key = match order {
                    ListOrder::ByValue => self.canonical(value, TimeRendering::Masked),
                    ListOrder::ByKey(name) => self.canonical_property(value, name),
                };
                let whole = self.canonical(value, TimeRendering::Exact);
                self.path.pop();
                UnorderedItem { key, canonical: whole, index: place, value }
            })
            .collect();
        sorted.sort_by(|a, b| (&a.key, &a.canonical).cmp(&(&b.key, &b.canonical)));
        sorted
    }

    fn add_one_sided(&mut self, old: Option<&'a Value>, new: Option<&'a Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.values(old, new),
            (None, None) => {}
            _ if self.is_full() || self.rules.ignores(&self.path) => {}
            (Some(_), None) => self.add_difference(DifferenceKind::OnlyInOld, old, None),
            (None, Some(_)) => self.add_difference(DifferenceKind::OnlyInNew, None, new),
        }
    }

    fn add_difference(&mut self, kind: DifferenceKind, old: Option<&Value>, new: Option<&Value>) {
        let keep = |value: Option<&Value>| {
            value.filter(|_| self.rules.include_values).map(|value| cut(value.to_string()))
        };
        self.found.push(Difference {
            path: cut(render(&self.path, false)),
            pattern: cut(render(&self.path, true)),
            kind,
            old: keep(old),
            new: keep(new),
        });
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.rules.max_differences || self.path.len() > MAX_DEPTH
    }
}

/// An item of an unordered list.
struct UnorderedItem<'a> {
    key: String,
    canonical: String,
    index: usize,
    value: &'a Value,
}

/// The treatment of times that may differ, in the text that identifies a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeRendering {
    Masked,
    Exact,
}

/// Texts that are equal for values that are equal by the rules.
impl<'a> Comparison<'a> {
    fn canonical(&mut self, value: &'a Value, times: TimeRendering) -> String {
        let mut text = String::new();
        self.write(value, times, &mut text);
        text
    }

    fn canonical_property(&mut self, value: &'a Value, name: &str) -> String {
        match value.as_object().and_then(|object| object.get_key_value(name)) {
            Some((key, value)) => {
                self.path.push(PathSegment::Key(key));
                let text = self.canonical(value, TimeRendering::Masked);
                self.path.pop();
                text
            }
            None => String::new(),
        }
    }

    fn write(&mut self, value: &'a Value, times: TimeRendering, text: &mut String) {
        if self.path.len() > MAX_DEPTH || self.rules.ignores(&self.path) {
            text.push('_');
            return;
        }
        let at = self.rules.at(&self.path);
        match value {
            Value::Object(object) => self.write_object(object, times, text),
            Value::Array(items) => {
                let mut written = Vec::with_capacity(items.len());
                for (place, item) in items.iter().enumerate() {
                    let ordered = at.order.is_none();
                    self.path.push(if ordered {
                        PathSegment::Index(place)
                    } else {
                        PathSegment::Item(place)
                    });
                    if !self.rules.ignores(&self.path) {
                        written.push(self.canonical(item, times));
                    }
                    self.path.pop();
                }
                if at.order.is_some() {
                    written.sort_unstable();
                }
                text.push('[');
                text.push_str(&written.join(","));
                text.push(']');
            }
            Value::Number(number) if at.number_is_text => {
                text.push_str(&Value::from(decimal(number)).to_string());
            }
            Value::Number(number) => text.push_str(&decimal(number)),
            Value::String(string) => match at.within.and_then(|_| millis(string)) {
                Some(_) if times == TimeRendering::Masked => text.push_str("time"),
                // With a fixed width, so that texts sort like times.
                Some(millis) => {
                    text.push_str(&format!(
                        "time {:020}",
                        i128::from(millis).saturating_sub(i128::from(i64::MIN))
                    ));
                }
                None => text.push_str(&value.to_string()),
            },
            Value::Null | Value::Bool(_) => text.push_str(&value.to_string()),
        }
    }

    fn write_object(
        &mut self,
        object: &'a Map<String, Value>,
        times: TimeRendering,
        text: &mut String,
    ) {
        let mut properties: Vec<_> = object.iter().collect();
        properties.sort_unstable_by_key(|(key, _)| *key);
        text.push('{');
        for (key, value) in properties {
            self.path.push(PathSegment::Key(key));
            if !self.rules.is_absent(value) && !self.rules.ignores(&self.path) {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                self.write(value, times, text);
                text.push(',');
            }
            self.path.pop();
        }
        text.push('}');
    }
}

fn equal(at: &RulesAt<'_>, old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => decimal(old) == decimal(new),
        (Value::String(text), Value::Number(number))
        | (Value::Number(number), Value::String(text)) => {
            at.number_is_text && decimal(number) == *text
        }
        (Value::String(old), Value::String(new)) if old != new => {
            match at.within.zip(millis(old).zip(millis(new))) {
                Some((within, (old, new))) => u128::from(old.abs_diff(new)) <= within.as_millis(),
                None => false,
            }
        }
        // Of different types, or neither lists nor objects: not compared further.
        _ => kind(old) == kind(new) && old == new,
    }
}

/// The shortest notation of a number: `1` for `1.0`.
fn decimal(number: &Number) -> String {
    /// Up to this value, each integer is a distinct float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() && is_small_integer(float, EXACT) => {
            format!("{}", float as i64)
        }
        _ => number.to_string(),
    }
}

fn is_small_integer(float: f64, most: f64) -> bool {
    float.fract() == 0.0 && float.abs() <= most
}

fn millis(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
mod tests;
