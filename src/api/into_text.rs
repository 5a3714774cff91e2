//! Text parameters of setters, from values of other types.

use std::borrow::Cow;

use super::into_values::with_array_lengths;

/// Values that a setter accepts where GitHub's description declares text and GitHub's own values are text, integers or
/// booleans: ids that are sent as text, `milestone` of a list of issues, and flags such as `recursive` of a tree. The
/// names of a handle, such as those of [`Client::repo`](crate::Client::repo), are such values as well.
///
/// ```no_run
/// # #[cfg(all(feature = "issues", feature = "git"))]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let issues = client.issues().list_for_repo().owner("rust-lang").repo("rust");
/// let planned = issues.clone().milestone(7).send().await?;
/// let unplanned = issues.milestone("none").send().await?;
///
/// let tree = client.git().get_tree().owner("rust-lang").repo("rust").tree_sha("main");
/// let files = tree.recursive(true).send().await?;
/// # let _ = (planned, unplanned, files);
/// # Ok(())
/// # }
/// ```
///
/// A type of an application can implement the trait.
pub trait IntoText {
    /// Converts the value to the text that is sent.
    fn into_text(self) -> String;
}

/// Values that a setter accepts where GitHub reads a list as `a,b,c`: text that is sent as it is, or a list that is
/// joined by commas: an array of up to 32 items, a `Vec`, or a reference to a slice, `Vec` or array.
///
/// If an item of a list contains a comma, the call fails before anything is sent, since GitHub would parse it as two
/// items.
///
/// ```no_run
/// # #[cfg(feature = "issues")]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let issues = client.issues().list_for_repo().owner("rust-lang").repo("rust");
/// let bugs = issues.clone().labels("C-bug,P-high").send().await?;
/// let same = issues.labels(["C-bug", "P-high"]).send().await?;
/// # let _ = (bugs, same);
/// # Ok(())
/// # }
/// ```
///
/// The trait is sealed.
pub trait IntoList: sealed::Sealed {}

impl<T: sealed::Sealed> IntoList for T {}

mod sealed {
    pub trait Sealed {
        /// Joins the items, or returns which of them contains a comma.
        fn list(self) -> Result<String, String>;
    }
}

pub(crate) use sealed::Sealed;

macro_rules! texts {
    ($($of:ty)*) => {$(
        impl IntoText for $of {
            #[inline]
            fn into_text(self) -> String {
                self.into()
            }
        }
        impl Sealed for $of {
            #[inline]
            fn list(self) -> Result<String, String> {
                Ok(self.into())
            }
        }
    )*};
}

macro_rules! written {
    ($($of:ident)*) => {$(
        impl IntoText for $of {
            #[inline]
            fn into_text(self) -> String {
                self.to_string()
            }
        }
        impl IntoText for &$of {
            #[inline]
            fn into_text(self) -> String {
                self.to_string()
            }
        }
        impl Sealed for $of {
            #[inline]
            fn list(self) -> Result<String, String> {
                Ok(self.to_string())
            }
        }
    )*};
}

texts! { &str String &String Cow<'_, str> Box<str> char }
written! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl IntoText for &&str {
    #[inline]
    fn into_text(self) -> String {
        (*self).to_owned()
    }
}

/// Implements the trait for arrays of these lengths. With a parameter for the length, `[]` would have no type.
macro_rules! arrays {
    ($($length:literal)*) => {$(
        impl<T: IntoText> Sealed for [T; $length] {
            fn list(self) -> Result<String, String> {
                joined(self.into_iter().map(IntoText::into_text).collect())
            }
        }
    )*};
}

with_array_lengths! { arrays }

impl Sealed for [&str; 0] {
    fn list(self) -> Result<String, String> {
        Ok(String::new())
    }
}

impl<T: IntoText> Sealed for Vec<T> {
    fn list(self) -> Result<String, String> {
        joined(self.into_iter().map(IntoText::into_text).collect())
    }
}

impl<'a, T> Sealed for &'a [T]
where
    &'a T: IntoText,
{
    fn list(self) -> Result<String, String> {
        joined(self.iter().map(IntoText::into_text).collect())
    }
}

impl<'a, T> Sealed for &'a Vec<T>
where
    &'a T: IntoText,
{
    fn list(self) -> Result<String, String> {
        self.as_slice().list()
    }
}

impl<'a, T, const N: usize> Sealed for &'a [T; N]
where
    &'a T: IntoText,
{
    fn list(self) -> Result<String, String> {
        self.as_slice().list()
    }
}

fn joined(items: Vec<String>) -> Result<String, String> {
    match items.iter().position(|item| item.contains(',')) {
        Some(index) => Err(format!(
            "value {index}: `{}` contains a comma, which GitHub reads as a separator",
            items[index]
        )),
        None => Ok(items.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: impl IntoList) -> Result<String, String> {
        values.list()
    }

    #[test]
    fn a_list_is_joined_and_text_stays_as_it_is() {
        let owned = vec!["bug".to_owned(), "ui".to_owned()];
        for list in [
            "bug,ui".list(),
            String::from("bug,ui").list(),
            ["bug", "ui"].list(),
            vec!["bug", "ui"].list(),
            owned.as_slice().list(),
            (&owned).list(),
            owned.clone().list(),
            (&["bug", "ui"]).list(),
        ] {
            assert_eq!(list.as_deref(), Ok("bug,ui"));
        }
        assert_eq!([123_i64, 456].list().as_deref(), Ok("123,456"));
        assert_eq!(123_i64.list().as_deref(), Ok("123"));
        assert_eq!(Vec::<String>::new().list().as_deref(), Ok(""));
        assert_eq!(list([]).as_deref(), Ok(""));
    }

    #[test]
    fn an_item_that_contains_a_comma_is_rejected() {
        let error = ["bug", "ui, urgent"].list().unwrap_err();
        assert!(error.contains("value 1: `ui, urgent` contains a comma"), "{error}");
    }

    #[test]
    fn text_may_be_a_number_or_a_flag() {
        assert_eq!((7_i64.into_text(), true.into_text()), ("7".to_owned(), "true".to_owned()));
        assert_eq!((&7_i64).into_text(), "7");
        assert_eq!("none".into_text(), "none");
    }
}
