//! Handles of one repository, organization, user or enterprise.
//!
//! A handle sets the path parameters of its entity in each of its calls. The generated code adds a method for each
//! scope that has such operations (`crates/codegen/src/write/entity_handles.rs`), so a handle has no methods here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Client, Request};
use crate::api::into_text::IntoText;
use crate::api::operation::Operation;
use crate::error::Result;
use crate::request::invalid;

/// Handles of one repository, organization, user or enterprise.
impl Client {
    /// Returns a handle of a repository, which sets `owner` and `repo` in its calls.
    ///
    /// A value that no path can contain, such as an empty one, fails the call when it is sent, as it does with the
    /// setters of a call.
    ///
    /// ```no_run
    /// # #[cfg(feature = "issues")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let repo = github.repo("rust-lang", "rust");
    /// let issue = repo.issues().get().issue_number(1).send().await?;
    /// println!("{repo}#{}: {}", issue.number, issue.title);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn repo(&self, owner: impl IntoText, repo: impl IntoText) -> RepositoryHandle {
        let parameters = vec![("owner", owner.into_text()), ("repo", repo.into_text())];
        RepositoryHandle(EntityClient::new(self, parameters))
    }

    /// Returns a handle of the repository with this full name, such as `rust-lang/rust`: from a configuration, the
    /// variable `GITHUB_REPOSITORY` of
    /// [GitHub Actions](https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables),
    /// or the `full_name` of a response or a webhook event.
    ///
    /// ```no_run
    /// # #[cfg(feature = "issues")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let full_name = std::env::var("GITHUB_REPOSITORY").unwrap_or_default();
    /// let repo = github.repo_by_full_name(&full_name)?;
    /// let open = repo.issues().list_for_repo().state("open").send().await?;
    /// # let _ = open;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the text is not an owner and a name with a `/` between them, with an error of the kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) that states the reason. Both consist of ASCII letters,
    /// digits, `-`, `_` and `.`, as [GitHub's
    /// names](https://docs.github.com/en/repositories/creating-and-managing-repositories/repository-limits) do, so a
    /// URL is not a full name. The error does not contain the text, since a URL can contain a password.
    pub fn repo_by_full_name(&self, full_name: &str) -> Result<RepositoryHandle> {
        let (owner, repo) = split_full_name(full_name).map_err(|reason| {
            invalid(format!("invalid full name of a repository: {reason}"))
                .with_advice("use its owner and name, such as rust-lang/rust")
        })?;
        Ok(self.repo(owner, repo))
    }

    /// Returns a handle of an organization, which sets `org` in its calls.
    ///
    /// An invalid value fails the call, as for [`repo`](Self::repo).
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let mut repos = github.org("rust-lang").repos().list_for_org().stream();
    /// while let Some(repo) = repos.try_next().await? {
    ///     println!("{}", repo.full_name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn org(&self, org: impl IntoText) -> OrganizationHandle {
        OrganizationHandle(EntityClient::new(self, vec![("org", org.into_text())]))
    }

    /// Returns a handle of a user, which sets `username` in its calls.
    ///
    /// An invalid value fails the call, as for [`repo`](Self::repo).
    ///
    /// ```no_run
    /// # #[cfg(feature = "users")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let followers = github.user("octocat").users().list_followers_for_user().send().await?;
    /// println!("{}", followers.len());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn user(&self, username: impl IntoText) -> UserHandle {
        UserHandle(EntityClient::new(self, vec![("username", username.into_text())]))
    }

    /// Returns a handle of an enterprise, which sets `enterprise` in its calls: the slug of the enterprise's name.
    ///
    /// An invalid value fails the call, as for [`repo`](Self::repo). The default features have no operation of an
    /// enterprise.
    ///
    /// ```no_run
    /// # #[cfg(feature = "enterprise-teams")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let teams = github.enterprise("octo-enterprise").enterprise_teams().list().send().await?;
    /// println!("{}", teams.len());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn enterprise(&self, enterprise: impl IntoText) -> EnterpriseHandle {
        EnterpriseHandle(EntityClient::new(self, vec![("enterprise", enterprise.into_text())]))
    }
}

/// A handle of one [repository](https://docs.github.com/en/rest/repos/repos): [`Client::repo`](crate::Client::repo).
///
/// It has a method for each scope with operations whose path contains `owner` and `repo`, such as `issues()`. Its calls
/// are those of the client, with both parameters set; setting one again replaces it. It calls as the identity of the
/// client that created it.
///
/// Cloning is cheap, and the handle can be stored and sent to other tasks. Its [`Display`](fmt::Display) is the full
/// name, such as `rust-lang/rust`, which GitHub's search accepts as `repo:rust-lang/rust`.
#[derive(Clone, Debug)]
pub struct RepositoryHandle(pub(crate) EntityClient);

/// A handle of one [organization](https://docs.github.com/en/rest/orgs/orgs): [`Client::org`](crate::Client::org).
///
/// It has a method for each scope with operations whose path contains `org`; see [`RepositoryHandle`]. Its
/// [`Display`](fmt::Display) is the organization's name.
#[derive(Clone, Debug)]
pub struct OrganizationHandle(pub(crate) EntityClient);

/// A handle of one [user](https://docs.github.com/en/rest/users/users): [`Client::user`](crate::Client::user).
///
/// It has a method for each scope with operations whose path contains `username`; see [`RepositoryHandle`]. Its
/// [`Display`](fmt::Display) is the user's name.
#[derive(Clone, Debug)]
pub struct UserHandle(pub(crate) EntityClient);

/// A handle of one [enterprise](https://docs.github.com/en/enterprise-cloud@latest/rest/enterprise-admin):
/// [`Client::enterprise`](crate::Client::enterprise).
///
/// It has a method for each scope with operations whose path contains `enterprise`; see [`RepositoryHandle`]. Its
/// [`Display`](fmt::Display) is the enterprise's slug.
#[derive(Clone, Debug)]
pub struct EnterpriseHandle(pub(crate) EntityClient);

impl fmt::Display for RepositoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OrganizationHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for UserHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EnterpriseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client, and the path parameters of one entity, which its calls start with. All handles of the entity share it.
#[derive(Clone)]
pub(crate) struct EntityClient(Arc<Inner>);

struct Inner {
    client: Client,
    /// The name and the value of each path parameter.
    parameters: Vec<(&'static str, String)>,
}

impl EntityClient {
    fn new(client: &Client, parameters: Vec<(&'static str, String)>) -> Self {
        Self(Arc::new(Inner { client: client.clone(), parameters }))
    }

    /// Returns a request of an operation whose path has the parameters.
    // The features determine whether there are operations.
    #[allow(dead_code)]
    pub(crate) fn call(&self, operation: &'static Operation) -> Request {
        let mut request = Request::operation(&self.0.client, operation);
        for (name, value) in &self.0.parameters {
            request.draft_mut().set_path_by_name(name, value);
        }
        request
    }
}

impl fmt::Display for EntityClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (_, value)) in self.0.parameters.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(value)?;
        }
        Ok(())
    }
}

impl fmt::Debug for EntityClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_string().fmt(f)
    }
}

/// Returns the owner and the name of a repository with this full name, or why the text is not a full name.
fn split_full_name(full_name: &str) -> Result<(&str, &str), Cow<'static, str>> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let is_segment = |name: &str| !matches!(name, "" | "." | "..");
    if full_name.is_empty() {
        return Err("it is empty".into());
    }
    if let Some(other) = full_name.chars().find(|c| !is_allowed(*c)) {
        return Err(format!("it contains {other:?}").into());
    }
    let Some((owner, repo)) = full_name.split_once('/') else {
        return Err("it contains no `/`".into());
    };
    if repo.contains('/') {
        return Err("it contains more than one `/`".into());
    }
    if !is_segment(owner) {
        return Err("its owner is empty, `.` or `..`".into());
    }
    if !is_segment(repo) {
        return Err("its name is empty, `.` or `..`".into());
    }
    Ok((owner, repo))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn client() -> Client {
        Client::builder().build().unwrap()
    }

    #[test]
    fn a_full_name_is_an_owner_and_a_name() {
        for (full_name, owner, repo) in [
            ("rust-lang/rust", "rust-lang", "rust"),
            ("octocat/hello_world.rs", "octocat", "hello_world.rs"),
            // A user that an enterprise manages, and a repository of an organization's profile.
            ("mona_octo/.github", "mona_octo", ".github"),
            ("7/8", "7", "8"),
        ] {
            assert_eq!(split_full_name(full_name), Ok((owner, repo)));
            let handle = client().repo_by_full_name(full_name).unwrap();
            assert_eq!(handle.to_string(), full_name);
        }
    }

    #[test]
    fn any_other_text_is_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "it is empty"),
            ("rust", "it contains no `/`"),
            ("rust-lang/rust/issues", "it contains more than one `/`"),
            ("/rust", "its owner is empty, `.` or `..`"),
            ("../rust", "its owner is empty, `.` or `..`"),
            ("rust-lang/", "its name is empty, `.` or `..`"),
            ("rust-lang/.", "its name is empty, `.` or `..`"),
            ("rust-lang/rust\n", "it contains '\\n'"),
            (" rust-lang/rust", "it contains ' '"),
            ("https://github.com/rust-lang/rust", "it contains ':'"),
            ("git@github.com:rust-lang/rust", "it contains '@'"),
            ("rust-lang/rüst", "it contains 'ü'"),
            ("rust-lang/rust?ref=main", "it contains '?'"),
            ("rust-lang/%2E%2E", "it contains '%'"),
        ] {
            let error = client().repo_by_full_name(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text:?}");
            let expected = format!(
                "invalid full name of a repository: {reason}; use its owner and name, such as \
                 rust-lang/rust"
            );
            assert_eq!(error.to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_error_of_a_url_shows_no_password() {
        let error = client().repo_by_full_name("https://mona:hunter2@github.com/o/r").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    proptest! {
        #[test]
        fn owner_and_name_are_as_they_were_joined(
            owner in "[A-Za-z0-9_-]{1,39}",
            repo in "[A-Za-z0-9._-]{3,100}",
        ) {
            let full_name = format!("{owner}/{repo}");
            prop_assert_eq!(split_full_name(&full_name), Ok((owner.as_str(), repo.as_str())));
        }

        #[test]
        fn no_text_has_more_than_two_segments(text in prop_oneof!["[a-z./]{0,12}", "\\PC{0,20}"]) {
            if let Ok((owner, repo)) = split_full_name(&text) {
                prop_assert_eq!(format!("{owner}/{repo}"), text.as_str());
                for segment in [owner, repo] {
                    prop_assert!(!matches!(segment, "" | "." | "..") && !segment.contains('/'));
                }
            }
        }
    }

    #[test]
    fn a_handle_shows_the_entity_and_not_the_client() {
        let client = client();
        let repo = client.repo("rust-lang", String::from("rust"));
        assert_eq!(repo.to_string(), "rust-lang/rust");
        assert_eq!(format!("{repo:?}"), "RepositoryHandle(\"rust-lang/rust\")");
        assert_eq!(format!("{:?}", client.org("a\nb")), r#"OrganizationHandle("a\nb")"#);
        assert_eq!(client.user("octocat").to_string(), "octocat");
        assert_eq!(client.enterprise("octo-enterprise").to_string(), "octo-enterprise");
    }

    #[test]
    fn a_handle_can_be_stored_and_sent_to_another_thread() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<RepositoryHandle>();
        check::<OrganizationHandle>();
        check::<UserHandle>();
        check::<EnterpriseHandle>();
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_call_has_the_parameters_at_their_places_in_the_path() {
        let parameters = [("owner", "o"), ("repo", "r")];
        let owned = parameters.map(|(name, value)| (name, value.to_owned()));
        let entity = EntityClient::new(&client(), owned.to_vec());
        let expected = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for operation in crate::api::OPERATIONS {
            let has_all =
                parameters.iter().all(|(name, _)| operation.path_position(name).is_some());
            match entity.call(operation).draft().matcher() {
                Ok((id, matcher)) => {
                    assert!(has_all, "{id}");
                    assert_eq!((id, &matcher.path[..]), (operation.id, &expected[..]));
                }
                Err(reason) => {
                    assert!(!has_all, "{reason}");
                    assert!(reason.contains("the path has no parameter"), "{reason}");
                }
            }
        }
    }
}
