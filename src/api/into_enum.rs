//! Enum parameters of setters.

use crate::codec::{self, EnumText, NamedStrings, UnknownEnumValue};

/// Values that a setter of an enum accepts: text, a value of its own type `T`, and a value of any other enum of
/// [`types`](crate::types), such as that of a response.
///
/// If the enum does not have the value, the call fails before anything is sent: its error is of the kind
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and names the parameter. A value that GitHub's description does
/// not name is sent only as the variant `Other` of a request's enum.
///
/// ```no_run
/// # #[cfg(all(feature = "issues", feature = "pulls"))]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let pull = client.pulls().get().owner("octo-org").repo("hello-world").pull_number(7).send().await?;
/// let issue = client.issues().update().owner("octo-org").repo("hello-world").issue_number(8);
/// issue.clone().state("open").send().await?;
/// issue.state(&pull.state).send().await?;
/// # Ok(())
/// # }
/// ```
///
/// An application's type can implement the trait:
///
/// ```
/// # #[cfg(feature = "issues")]
/// # mod example {
/// use octowire::types::IssueStateInput;
/// use octowire::{IntoEnum, UnknownEnumValue};
///
/// enum Column {
///     InProgress,
///     Done,
/// }
///
/// impl IntoEnum<IssueStateInput> for Column {
///     fn into_enum(self) -> Result<IssueStateInput, UnknownEnumValue> {
///         match self {
///             Self::InProgress => Ok(IssueStateInput::Open),
///             Self::Done => Ok(IssueStateInput::Closed),
///         }
///     }
/// }
/// # }
/// ```
pub trait IntoEnum<T> {
    /// Converts the value to that of the enum.
    ///
    /// # Errors
    /// If the enum does not have the value.
    fn into_enum(self) -> Result<T, UnknownEnumValue>;
}

impl<V: EnumText, T: NamedStrings> IntoEnum<T> for V {
    #[inline]
    fn into_enum(self) -> Result<T, UnknownEnumValue> {
        codec::convert_name(&self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(unreachable_pub, reason = "the macros write what is public in generated code")]

    use super::*;

    codec::open_enum! {
        /// A state that is read.
        ReadState { Open = "open", Closed = "closed", Merged = "merged", }
    }

    codec::closed_enum! {
        /// A state that is sent.
        State { Open = "open", Closed = "closed", }
    }

    codec::closed_enum! {
        /// A state that is searched for.
        Filter { All = "all", Closed = "closed", Open = "open", }
    }

    fn state(value: impl IntoEnum<State>) -> Result<State, String> {
        value.into_enum().map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_the_values_of_other_enums_are_converted_by_their_name() {
        let text = "closed".to_owned();
        for converted in [
            state("closed"),
            state(&text),
            state(text),
            state(State::Closed),
            state(&State::Closed),
            state(ReadState::Closed),
            state(&ReadState::Closed),
            state(Filter::Closed),
            // A value that a response was read with before the description named it.
            state(ReadState::Unknown("closed".to_owned())),
        ] {
            assert!(matches!(converted, Ok(State::Closed)), "{converted:?}");
        }
    }

    #[test]
    fn a_value_that_the_enum_does_not_have_is_an_error() {
        for (converted, value) in [
            (state("shut"), "shut"),
            (state(ReadState::Merged), "merged"),
            (state(ReadState::Unknown("paused".to_owned())), "paused"),
            (state(Filter::All), "all"),
        ] {
            let expected = format!("`{value}` is not one of `open`, `closed`");
            assert_eq!(converted, Err(expected));
        }
    }

    #[test]
    fn a_value_that_the_caller_names_explicitly_is_kept() {
        for converted in
            [state(State::Other("paused".to_owned())), state(Filter::Other("paused".to_owned()))]
        {
            assert!(
                matches!(&converted, Ok(State::Other(text)) if text == "paused"),
                "{converted:?}"
            );
        }
    }
}
