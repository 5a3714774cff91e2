//! A result of which "not found" is a value.

use super::{Error, Result};

/// Makes "not found" a value of a result, as [`Option`].
///
/// ```no_run
/// use octowire::OptionalExt as _;
///
/// # #[cfg(feature = "repos")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// let repo = github.repo("octocat", "hello-world");
/// match repo.repos().get_latest_release().send().await.optional()? {
///     Some(release) => println!("{}", release.tag_name),
///     None => println!("it has no release"),
/// }
/// # Ok(())
/// # }
/// ```
pub trait OptionalExt<T> {
    /// Returns `Ok(Some(value))` for a value, and `Ok(None)` for an error that [is not
    /// found](Error::is_not_found): the statuses 404 and 410.
    ///
    /// GitHub also [responds with 404](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#404-not-found-for-an-existing-resource)
    /// for resources that the token has no access to, and for a parent that does not exist: `None` states that the token
    /// sees no such resource.
    ///
    /// # Errors
    ///
    /// Returns each other error unchanged.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExt<T> for Result<T, Error> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
