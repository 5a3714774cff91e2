//! List parameters of setters.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt::Display;

use super::integers::IntoInteger;

/// Values that a setter of a list accepts: an array of up to 32 items, a `Vec`, `VecDeque`, `BTreeSet`, `HashSet` or
/// `Option`, a reference to any collection, whose items are cloned, or an iterator. Each item is converted to `T` as by
/// the setter of one value: `&str` to text, to the value of an enum, or to a label.
///
/// The compiler infers `Kind`, which distinguishes these. `[]` is the empty list. Of another type of collection, or a longer
/// array, pass a reference or the iterator. The items of an iterator are not cloned: if it returns references, add
/// `.cloned()`.
///
/// If an item is invalid, the call fails before anything is sent: its error is of the kind
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), and names the parameter and the position of the item.
///
/// ```no_run
/// # #[cfg(feature = "issues")]
/// # async fn example(client: octowire::Client, names: Vec<String>) -> octowire::Result<()> {
/// let issue = client.issues().update().owner("octo-org").repo("hello-world").issue_number(7);
/// issue.clone().labels(["bug", "ui"]).send().await?;
/// issue.clone().labels(&names).send().await?;
/// issue.clone().labels(names.iter().map(|name| name.to_lowercase())).send().await?;
/// // Without any label.
/// issue.labels([]).send().await?;
/// # Ok(())
/// # }
/// ```
///
/// The trait is sealed.
pub trait IntoValues<T, Kind>: sealed::Values<T, Kind> {}

impl<V: sealed::Values<T, Kind>, T, Kind> IntoValues<T, Kind> for V {}

/// Values that a setter of a list of integers accepts: the lists of [`IntoValues`], with items of the types of
/// [`IntoInteger`].
///
/// ```no_run
/// # #[cfg(feature = "apps")]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let token = client.apps().create_installation_access_token().installation_id(42);
/// let token = token.repository_ids([1_296_269]).send().await?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
///
/// The trait is sealed.
pub trait IntoIntegers<Kind>: sealed::Integers<Kind> {}

impl<V: sealed::Integers<Kind>, Kind> IntoIntegers<Kind> for V {}

mod sealed {
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a list of values that convert to `{T}`",
        note = "pass an array of up to 32 items, a `Vec`, a reference to a collection, or an iterator"
    )]
    pub trait Values<T, Kind> {
        /// Converts the items, or returns why one of them is invalid.
        fn values(self) -> Result<Vec<T>, String>;
    }

    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a list of integers",
        note = "pass an array of up to 32 items, a `Vec`, a reference to a collection, or an iterator"
    )]
    pub trait Integers<Kind> {
        /// Converts the items, or returns why one of them is invalid.
        fn integers(self) -> Result<Vec<i64>, String>;
    }
}

pub(crate) use sealed::{Integers, Values};

/// The kinds of lists. With one implementation for each kind, iterators of all types are accepted beside arrays, and
/// the compiler finds the type of the items of `[]`: of arrays without items, there is only one.
mod kinds {
    #![allow(unreachable_pub, reason = "inferred in other crates, and never named there")]

    /// A collection that is consumed.
    pub enum Owned {}

    /// A reference to a collection.
    pub enum Borrowed {}

    /// An iterator.
    pub enum Iterating {}
}

use kinds::{Borrowed, Iterating, Owned};

/// Converts the items, or returns why the first invalid one is invalid.
fn collect<V, T, E: Display>(
    values: impl IntoIterator<Item = V>,
    convert: impl Fn(V) -> Result<T, E>,
) -> Result<Vec<T>, String> {
    let values = values.into_iter().enumerate();
    values
        .map(|(index, value)| convert(value).map_err(|reason| format!("value {index}: {reason}")))
        .collect()
}

impl<I, V, T> Values<T, Iterating> for I
where
    I: Iterator<Item = V>,
    V: TryInto<T, Error: Display>,
{
    fn values(self) -> Result<Vec<T>, String> {
        collect(self, <V as TryInto<T>>::try_into)
    }
}

impl<I: Iterator<Item: IntoInteger>> Integers<Iterating> for I {
    fn integers(self) -> Result<Vec<i64>, String> {
        collect(self, IntoInteger::into_integer)
    }
}

impl<'a, C, V, T> Values<T, Borrowed> for &'a C
where
    C: ?Sized,
    &'a C: IntoIterator<Item = &'a V>,
    V: Clone + TryInto<T, Error: Display> + 'a,
{
    fn values(self) -> Result<Vec<T>, String> {
        collect(self, |value| <V as TryInto<T>>::try_into(V::clone(value)))
    }
}

impl<'a, C, V> Integers<Borrowed> for &'a C
where
    C: ?Sized,
    &'a C: IntoIterator<Item = &'a V>,
    V: Clone + IntoInteger + 'a,
{
    fn integers(self) -> Result<Vec<i64>, String> {
        collect(self, |value| V::clone(value).into_integer())
    }
}

/// Implements the traits for a collection of `V`.
macro_rules! owned {
    ($($of:ty $(, $parameter:ident)?;)*) => {$(
        impl<V: TryInto<T, Error: Display>, T $(, $parameter)?> Values<T, Owned> for $of {
            fn values(self) -> Result<Vec<T>, String> {
                collect(self, <V as TryInto<T>>::try_into)
            }
        }

        impl<V: IntoInteger $(, $parameter)?> Integers<Owned> for $of {
            fn integers(self) -> Result<Vec<i64>, String> {
                collect(self, IntoInteger::into_integer)
            }
        }
    )*};
}

owned! {
    Vec<V>;
    VecDeque<V>;
    BTreeSet<V>;
    HashSet<V, S>, S;
    Option<V>;
}

/// Implements the traits for arrays of these lengths. With a parameter for the length, `[]` would match two
/// implementations, and have no type.
macro_rules! arrays {
    ($($length:literal)*) => {
        owned! { $([V; $length];)* }
    };
}

/// Passes the lengths of arrays, except 0, to a macro.
macro_rules! with_array_lengths {
    ($then:ident) => {
        $then! {
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        }
    };
}

with_array_lengths! { arrays }

pub(super) use with_array_lengths;

impl<T> Values<T, Owned> for [T; 0] {
    fn values(self) -> Result<Vec<T>, String> {
        Ok(Vec::new())
    }
}

impl Integers<Owned> for [i64; 0] {
    fn integers(self) -> Result<Vec<i64>, String> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<K>(values: impl IntoValues<String, K>) -> Result<Vec<String>, String> {
        values.values()
    }

    fn bytes<K>(values: impl IntoValues<u8, K>) -> Result<Vec<u8>, String> {
        values.values()
    }

    fn integers<K>(values: impl IntoIntegers<K>) -> Result<Vec<i64>, String> {
        values.integers()
    }

    #[test]
    fn each_kind_of_list_is_converted_item_by_item() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let expected = Ok(names.clone());
        assert_eq!(texts(["a", "b"]), expected);
        assert_eq!(texts(&["a", "b"]), expected);
        assert_eq!(texts(vec!["a", "b"]), expected);
        assert_eq!(texts(&names), expected);
        assert_eq!(texts(names.as_slice()), expected);
        assert_eq!(texts(names.iter()), expected);
        assert_eq!(texts(names.iter().map(|name| name.to_lowercase())), expected);
        assert_eq!(texts(BTreeSet::from(["b", "a"])), expected);
        assert_eq!(texts(&BTreeSet::from(["b".to_owned(), "a".to_owned()])), expected);
        assert_eq!(texts(VecDeque::from(["a", "b"])), expected);
        assert_eq!(texts(names), expected);
        assert_eq!(texts(Some('a')), Ok(vec!["a".to_owned()]));
        assert_eq!(texts(HashSet::from(["a"])), Ok(vec!["a".to_owned()]));
        assert_eq!(texts(["a"; 32]).map(|values| values.len()), Ok(32));
        assert_eq!(texts(&["a"; 33]).map(|values| values.len()), Ok(33));
    }

    #[test]
    fn integers_are_of_any_type() {
        assert_eq!(integers([1, 2]), Ok(vec![1, 2]));
        assert_eq!(integers(["1", "2"]), Ok(vec![1, 2]));
        assert_eq!(integers(vec![1_u64, 2]), Ok(vec![1, 2]));
        assert_eq!(integers(&[1_u8, 2]), Ok(vec![1, 2]));
        assert_eq!(integers(1..3), Ok(vec![1, 2]));
        assert_eq!(integers([7_usize].iter()), Ok(vec![7]));
    }

    #[test]
    fn an_empty_array_needs_no_type() {
        assert_eq!(texts([]), Ok(Vec::new()));
        assert_eq!(integers([]), Ok(Vec::new()));
    }

    #[test]
    fn an_invalid_item_is_named_by_its_position() {
        let error = integers(["1", "two", "three"]).unwrap_err();
        assert!(error.starts_with("value 1: `two` is not an integer"), "{error}");
        let error = bytes([1_i32, 256]).unwrap_err();
        assert!(error.starts_with("value 1: "), "{error}");
    }
}
