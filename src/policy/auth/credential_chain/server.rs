//! The server that an environment selects, and the variables of its tokens.
//!
//! `GH_HOST` names the server, as it does for `gh`; then `GITHUB_API_URL`, which GitHub Actions sets; github.com by
//! default. Which hosts a user has signed in to with `gh` has no effect, since a login must not redirect a program to
//! another server.

use std::borrow::Cow;

use secrecy::ExposeSecret;
use url::Url;

use crate::endpoints::{self, GITHUB};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::auth::environment::{Environment, read_non_empty};

/// A server, and how its credentials are found.
#[derive(Debug)]
pub(super) struct Server {
    /// The name that `gh` has for it: `github.com`, `SUBDOMAIN.ghe.com`, or the host of an Enterprise Server.
    pub(super) name: String,
    pub(super) base_url: Cow<'static, str>,
    /// Whether it is the server of a job of GitHub Actions.
    is_of_actions: bool,
}

const HOST: &str = "GH_HOST";
const API_URL: &str = "GITHUB_API_URL";
const GITHUB_NAME: &str = "github.com";

impl Server {
    /// Returns the server of this base URL, or the one that the environment selects.
    ///
    /// # Errors
    /// If the base URL, or the variable that selects the server, is invalid.
    pub(super) fn select(environment: &dyn Environment, base_url: Option<&str>) -> Result<Self> {
        let host = read_non_empty(environment, HOST)?;
        let is_selected = base_url.is_some() || host.is_some();
        let api_url = read_non_empty(environment, API_URL)?;
        let api_url = api_url.map(|url| endpoints::parse_base_url(API_URL, url.expose_secret()));
        let api_url = match api_url {
            Some(Err(error)) if !is_selected => return Err(error),
            // An invalid one is not that of the selected server.
            api_url => api_url.and_then(Result::ok),
        };
        let (name, base_url) = match (base_url, host, &api_url) {
            (Some(base_url), _, _) => {
                let url = endpoints::parse_base_url("base_url", base_url)?;
                (endpoints::server_name(&url), Cow::Owned(base_url.to_owned()))
            }
            (None, Some(host), _) => {
                let name = normalized(host.expose_secret())?;
                let base_url = base_url_of(&name);
                (name, base_url)
            }
            (None, None, Some(url)) => {
                (endpoints::server_name(url), Cow::Owned(url.as_str().to_owned()))
            }
            (None, None, None) => (GITHUB_NAME.to_owned(), Cow::Borrowed(GITHUB)),
        };
        let is_of_actions = api_url.is_some_and(|url| endpoints::server_name(&url) == name);
        Ok(Self { name, base_url, is_of_actions })
    }

    /// Returns the variables of the server's tokens, in the order in which `gh` reads them.
    ///
    /// `GITHUB_TOKEN` is also a token of the server that `GITHUB_API_URL` names: GitHub Actions sets both for the same
    /// server.
    pub(super) fn token_variables(&self) -> &'static [&'static str] {
        let is_enterprise_server = self.name != GITHUB_NAME && !self.name.ends_with(".ghe.com");
        match (is_enterprise_server, self.is_of_actions) {
            (false, _) => &["GH_TOKEN", "GITHUB_TOKEN"],
            (true, false) => &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"],
            (true, true) => &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITHUB_TOKEN"],
        }
    }
}

/// Returns the name of a server as `gh` writes it: in lower case, and without a further subdomain of github.com or of
/// data residency.
fn normalized(host: &str) -> Result<String> {
    let host = host.to_ascii_lowercase();
    // A URL with anything besides the host, such as a port or a path, has another host.
    let is_host = Url::parse(&format!("https://{host}/"))
        .is_ok_and(|url| url.host_str() == Some(host.as_str()));
    if !is_host {
        return Err(Error::new(ErrorKind::Configuration, format!("{HOST} is not a host name"))
            .with_advice("set it to the name alone, such as github.example.com"));
    }
    if host.ends_with(".github.com") {
        return Ok(GITHUB_NAME.to_owned());
    }
    let tenant = host.strip_suffix(".ghe.com").and_then(|before| before.rsplit('.').next());
    Ok(match tenant {
        Some(tenant) => format!("{tenant}.ghe.com"),
        None => host,
    })
}

/// Returns the base URL of the API of a server.
fn base_url_of(name: &str) -> Cow<'static, str> {
    if name == GITHUB_NAME {
        Cow::Borrowed(GITHUB)
    } else if name.ends_with(".ghe.com") {
        Cow::Owned(format!("https://api.{name}"))
    } else {
        Cow::Owned(format!("https://{name}/api/v3"))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn select(variables: Variables, base_url: Option<&str>) -> Result<Server> {
        let environment = move |name: &str| {
            let value = variables.iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| OsString::from(value))
        };
        Server::select(&environment, base_url)
    }

    const GHES: &str = "https://ghe.example.com/api/v3";
    const GHEC: &str = "https://api.octo.ghe.com";
    const LOCAL: &str = "http://127.0.0.1:8080/";

    #[test]
    fn the_environment_selects_the_server() {
        let cases: &[(Variables, &str, &str)] = &[
            (&[], "github.com", GITHUB),
            (&[(HOST, ""), (API_URL, " ")], "github.com", GITHUB),
            (&[(HOST, "github.com")], "github.com", GITHUB),
            (&[(HOST, " API.GitHub.com\n")], "github.com", GITHUB),
            (&[(HOST, "octo.ghe.com")], "octo.ghe.com", GHEC),
            (&[(HOST, "api.octo.ghe.com")], "octo.ghe.com", GHEC),
            (&[(HOST, "GHE.example.com")], "ghe.example.com", GHES),
            // GitHub Actions.
            (&[(API_URL, GITHUB)], "github.com", "https://api.github.com/"),
            (&[(API_URL, GHES)], "ghe.example.com", GHES),
            (&[(API_URL, LOCAL)], "127.0.0.1:8080", LOCAL),
            // GH_HOST is set by hand.
            (&[(API_URL, GITHUB), (HOST, "ghe.example.com")], "ghe.example.com", GHES),
            (&[(API_URL, GHES), (HOST, "github.com")], "github.com", GITHUB),
        ];
        for &(variables, name, base_url) in cases {
            let server = select(variables, None).unwrap();
            let found = (server.name.as_str(), &*server.base_url);
            assert_eq!(found, (name, base_url), "{variables:?}");
        }
    }

    #[test]
    fn the_base_url_of_the_builder_selects_the_server() {
        for (base_url, name) in [
            (GITHUB, "github.com"),
            (GHEC, "octo.ghe.com"),
            (GHES, "ghe.example.com"),
            ("https://api.github.com:8443", "api.github.com:8443"),
            ("https://github-proxy.example", "github-proxy.example"),
        ] {
            let server = select(&[(HOST, "other.example"), (API_URL, LOCAL)], Some(base_url));
            let server = server.unwrap();
            assert_eq!((server.name.as_str(), &*server.base_url), (name, base_url));
        }
    }

    /// A token reaches the servers that it is for, and no others.
    #[test]
    fn the_variables_of_tokens_are_those_of_the_server() {
        const CLOUD: &[&str] = &["GH_TOKEN", "GITHUB_TOKEN"];
        const SERVER: &[&str] = &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
        const ACTIONS: &[&str] =
            &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITHUB_TOKEN"];
        let cases: &[(Variables, Option<&str>, &[&str])] = &[
            (&[], None, CLOUD),
            (&[(HOST, "octo.ghe.com")], None, CLOUD),
            (&[(HOST, "ghe.example.com")], None, SERVER),
            (&[(HOST, "evilgithub.com")], None, SERVER),
            (&[(HOST, "evilghe.com")], None, SERVER),
            (&[(API_URL, GITHUB)], None, CLOUD),
            (&[(API_URL, GHES)], None, ACTIONS),
            (&[(API_URL, GHES), (HOST, "ghe.example.com")], None, ACTIONS),
            (&[(API_URL, GITHUB), (HOST, "ghe.example.com")], None, SERVER),
            (&[(API_URL, GHES)], Some(GHES), ACTIONS),
            (&[(API_URL, GHES)], Some(GITHUB), CLOUD),
            (&[(API_URL, GITHUB)], Some(GHES), SERVER),
            (&[], Some(GHEC), CLOUD),
            (&[], Some("https://api.github.com:8443"), SERVER),
            (&[], Some("http://api.github.com"), SERVER),
            (&[], Some("https://api.github.com.evil.example"), SERVER),
            (&[], Some("https://api.evil.example/github.com"), SERVER),
        ];
        for &(variables, base_url, expected) in cases {
            let server = select(variables, base_url).unwrap();
            assert_eq!(server.token_variables(), expected, "{variables:?} {base_url:?}");
        }
    }

    #[test]
    fn an_invalid_server_is_an_error_that_names_the_variable_and_not_the_value() {
        const INVALID: [Variables; 8] = [
            &[(HOST, "https://hunter2.example")],
            &[(HOST, "hunter2.example/api/v3")],
            &[(HOST, "hunter2.example:8443")],
            &[(HOST, "hunter2@example.com")],
            &[(HOST, "hunter2 example.com")],
            &[(HOST, "hunter2.example?x")],
            &[(API_URL, "hunter2.example")],
            &[(API_URL, "https://hunter2:hunter2@example.com")],
        ];
        for variables in INVALID {
            let error = select(variables, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{variables:?}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(variables[0].0) && !shown.contains("hunter2"), "{shown}");
        }
        // It selects no server.
        for base_url in [None, Some(GHES)] {
            let server = select(&[(HOST, "ghe.example.com"), (API_URL, "hunter2")], base_url);
            assert_eq!(server.unwrap().base_url, GHES);
        }
        let error = select(&[], Some("hunter2")).unwrap_err();
        assert!(error.to_string().contains("base_url"), "{error}");
    }
}
