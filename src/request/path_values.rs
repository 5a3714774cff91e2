//! The values of a path template.

/// The values of a path template, by their position in it.
#[derive(Clone)]
pub(super) struct PathValues {
    /// How many parameters the template has.
    len: usize,
    first: [Option<PathValue>; INLINE],
    /// The values after the first.
    rest: Vec<Option<PathValue>>,
}

/// The value of a path parameter, before it is encoded.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum PathValue {
    Text(String),
    Integer(i64),
}

/// The number of values without an allocation: of more than a thousand operations, one has a parameter more.
const INLINE: usize = 4;

/// Maximum length of a 64-bit integer as text.
const MAX_INTEGER_LEN: usize = 20;

impl PathValues {
    /// Creates the values of this template, without any of them.
    pub(super) fn new(template: &str) -> Self {
        let len = template.bytes().filter(|byte| *byte == b'{').count();
        let rest = (INLINE..len).map(|_| None).collect();
        Self { len, first: [const { None }; INLINE], rest }
    }

    /// Returns the place of a value; `None` if the template has no such parameter.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Option<PathValue>> {
        match index.checked_sub(INLINE) {
            Some(index) => self.rest.get_mut(index),
            None => self.first.get_mut(..self.len.min(INLINE))?.get_mut(index),
        }
    }

    /// Returns the value of each parameter, in the template's order; `None` for those that are not set.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&PathValue>> {
        self.first.iter().take(self.len).chain(&self.rest).map(Option::as_ref)
    }

    /// Returns an estimate of the length of all values as text.
    pub(super) fn text_len(&self) -> usize {
        let len = |value: &PathValue| match value {
            PathValue::Text(text) => text.len(),
            PathValue::Integer(_) => MAX_INTEGER_LEN,
        };
        self.iter().flatten().map(len).sum()
    }
}

impl PathValue {
    /// Returns the value as text.
    // Only mocks ask for it.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(value) => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values as text, or `-` for those that are not set.
    fn shown(values: &PathValues) -> Vec<String> {
        let text = |value: Option<&PathValue>| value.map_or("-".to_owned(), PathValue::to_text);
        values.iter().map(text).collect()
    }

    #[test]
    fn there_are_as_many_values_as_parameters() {
        for count in 0..8 {
            let mut values = PathValues::new(&"/{x}".repeat(count));
            assert_eq!(shown(&values), vec!["-"; count]);
            for index in 0..count {
                // A value replaces the previous one.
                for value in [PathValue::Integer(0), PathValue::Text(format!("v{index}"))] {
                    *values.get_mut(index).unwrap() = Some(value);
                }
            }
            assert!(values.get_mut(count).is_none() && values.get_mut(usize::MAX).is_none());
            let expected: Vec<_> = (0..count).map(|index| format!("v{index}")).collect();
            assert_eq!(shown(&values), expected);
            assert_eq!(values.text_len(), 2 * count);
        }
    }

    #[test]
    fn the_estimate_holds_for_every_integer() {
        let mut values = PathValues::new("/{id}");
        for value in [i64::MIN, -1, 0, 7, i64::MAX] {
            *values.get_mut(0).unwrap() = Some(PathValue::Integer(value));
            assert_eq!(shown(&values), [value.to_string()]);
            assert!(values.text_len() >= value.to_string().len());
        }
    }
}
