//! Integer parameters of setters.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::num::{NonZeroI32, NonZeroI64, NonZeroU32, NonZeroU64};

/// Values that an integer setter accepts: every integer type of Rust, and text that is one decimal integer.
///
/// GitHub writes the ids of some resources as text in its responses and accepts them as integers in its requests, such
/// as the id of a [notification thread](https://docs.github.com/en/rest/activity/notifications). Setters accept both.
/// If a value is not a 64-bit integer, the call fails before anything is sent: its error is of the kind
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and names the parameter.
///
/// ```no_run
/// # #[cfg(feature = "activity")]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let threads = client.activity().list_notifications_for_authenticated_user().send().await?;
/// for thread in &*threads {
///     client.activity().mark_thread_as_read().thread_id(&thread.id).send().await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// An application's id type can implement the trait:
///
/// ```
/// use octowire::{IntoInteger, InvalidInteger};
///
/// struct RepositoryId(u64);
///
/// impl IntoInteger for RepositoryId {
///     fn into_integer(self) -> Result<i64, InvalidInteger> {
///         self.0.into_integer()
///     }
/// }
///
/// assert_eq!(RepositoryId(1_296_269).into_integer(), Ok(1_296_269));
/// assert!("octocat".into_integer().is_err());
/// ```
pub trait IntoInteger {
    /// Converts the value to the integer that is sent.
    ///
    /// # Errors
    /// If the value is not a 64-bit integer.
    fn into_integer(self) -> Result<i64, InvalidInteger>;
}

/// The error for a value that is not a 64-bit integer: [`IntoInteger`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInteger {
    message: String,
}

impl InvalidInteger {
    /// Creates an error with this message, for implementations of [`IntoInteger`].
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for InvalidInteger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InvalidInteger {}

#[cold]
fn too_large(value: impl fmt::Display) -> InvalidInteger {
    InvalidInteger::new(format!("{value} does not fit in a 64-bit integer"))
}

/// Parses text that is one decimal integer.
fn parse(text: &str) -> Result<i64, InvalidInteger> {
    text.parse()
        .map_err(|reason| InvalidInteger::new(format!("`{text}` is not an integer: {reason}")))
}

macro_rules! integers {
    ($($of:ident)*) => {$(
        impl IntoInteger for $of {
            #[inline]
            fn into_integer(self) -> Result<i64, InvalidInteger> {
                i64::try_from(self).map_err(|_| too_large(self))
            }
        }
        impl IntoInteger for &$of {
            #[inline]
            fn into_integer(self) -> Result<i64, InvalidInteger> {
                (*self).into_integer()
            }
        }
    )*};
}

macro_rules! non_zero {
    ($($of:ident)*) => {$(
        impl IntoInteger for $of {
            #[inline]
            fn into_integer(self) -> Result<i64, InvalidInteger> {
                self.get().into_integer()
            }
        }
    )*};
}

macro_rules! texts {
    ($($of:ty)*) => {$(
        impl IntoInteger for $of {
            #[inline]
            fn into_integer(self) -> Result<i64, InvalidInteger> {
                parse(&self)
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
non_zero! { NonZeroI32 NonZeroI64 NonZeroU32 NonZeroU64 }
texts! { &str &&str String &String Cow<'_, str> }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_type_and_text_is_one_integer() {
        let thousand = [
            1000_i16.into_integer(),
            1000_i32.into_integer(),
            1000_i64.into_integer(),
            (&1000_i64).into_integer(),
            1000_u32.into_integer(),
            1000_u64.into_integer(),
            1000_usize.into_integer(),
            1000_i128.into_integer(),
            "1000".into_integer(),
            String::from("1000").into_integer(),
            (&String::from("1000")).into_integer(),
            Cow::Borrowed("1000").into_integer(),
            NonZeroU64::new(1000).unwrap().into_integer(),
        ];
        assert!(thousand.iter().all(|value| *value == Ok(1000)), "{thousand:?}");
        assert_eq!((-7_i8).into_integer(), Ok(-7));
        assert_eq!("-7".into_integer(), Ok(-7));
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        let error = u64::MAX.into_integer().unwrap_err().to_string();
        assert_eq!(error, "18446744073709551615 does not fit in a 64-bit integer");
        for text in ["", "octocat", "1.5", "1e3", "12 ", "99999999999999999999"] {
            let error = text.into_integer().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not an integer: ")), "{error}");
        }
    }
}
