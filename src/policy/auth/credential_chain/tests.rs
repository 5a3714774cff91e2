//! The order of the places, and what each of them reports.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use secrecy::SecretString;

use super::*;
use crate::error::ErrorKind;

/// An environment that is set in full.
#[derive(Default)]
struct FakeEnvironment {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    /// The result of `gh`; `None` if there is no such program.
    gh: Option<Result<&'static str, &'static str>>,
    /// The arguments of each run of `gh`.
    runs: Arc<Mutex<Vec<(OsString, String)>>>,
}

impl FakeEnvironment {
    fn of(variables: &[(&str, &str)]) -> Self {
        Self::default().with(variables)
    }

    fn with(mut self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        self.variables.extend(variables);
        self
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    fn gh(mut self, result: Result<&'static str, &'static str>) -> Self {
        self.gh = Some(result);
        self
    }

    fn resolve(self) -> Result<ResolvedCredentials> {
        resolve_credentials(Arc::new(self), None)
    }

    /// Returns the text of the source, and the identity.
    fn found(self) -> (String, String) {
        let found = self.resolve().unwrap_or_else(|error| panic!("{error}"));
        (found.source.to_string(), found.provider.identity().into_owned())
    }

    fn error(self) -> Error {
        self.resolve().err().expect("credentials were found")
    }
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path).map(String::as_str) {
            Some("(denied)") => Err(io::ErrorKind::PermissionDenied.into()),
            Some(content) => Ok(content.as_bytes().to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn modified_at(&self, path: &Path) -> Option<SystemTime> {
        self.files.get(path).map(|_| SystemTime::UNIX_EPOCH)
    }

    fn gh_auth_token(&self, program: &OsStr, host: &str) -> io::Result<SecretString> {
        self.runs.lock().unwrap().push((program.to_owned(), host.to_owned()));
        match self.gh {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Ok(token)) => Ok(token.into()),
            Some(Err(reason)) => Err(io::Error::other(reason)),
        }
    }
}

const HOME: (&str, &str) = ("GH_CONFIG_DIR", "/gh");
const HOSTS: &str = "/gh/hosts.yml";
const LOGIN: &str = "github.com:\n    user: octocat\n    oauth_token: gho_hunter2_file\n\
                     ghe.example.com:\n    oauth_token: gho_hunter2_ghes\n";

#[test]
fn the_first_place_that_has_a_credential_decides() {
    let environment = || FakeEnvironment::of(&[HOME]).gh(Ok("gho_hunter2_gh\n"));
    assert_eq!(environment().found().0, "gh auth token");

    let environment = || environment().file(HOSTS, LOGIN);
    assert_eq!(environment().found().0, HOSTS);

    let environment = || environment().with(&[("GITHUB_TOKEN", "ghp_hunter2_github")]);
    let (source, identity) = environment().found();
    assert_eq!(source, "GITHUB_TOKEN");
    assert!(identity.starts_with("env:GITHUB_TOKEN:"), "{identity}");

    let environment = || environment().with(&[("GH_TOKEN", " ghp_hunter2_gh\n")]);
    assert_eq!(environment().found().0, "GH_TOKEN");

    let runs = {
        let environment = environment();
        let runs = Arc::clone(&environment.runs);
        environment.found();
        runs
    };
    assert!(runs.lock().unwrap().is_empty(), "gh runs only if there is no other credential");
}

#[test]
fn the_same_token_is_the_same_identity_for_rate_limits_wherever_it_was_found() {
    const TOKEN: &str = "gho_hunter2";
    let file = format!("github.com:\n  oauth_token: {TOKEN}\n");
    let places = [
        FakeEnvironment::of(&[("GH_TOKEN", TOKEN)]),
        FakeEnvironment::of(&[HOME]).file(HOSTS, &file),
        FakeEnvironment::default().gh(Ok(TOKEN)),
    ];
    let identities = places.map(|environment| {
        environment.resolve().ok().unwrap().provider.rate_limit_identity().into_owned()
    });
    assert!(identities.iter().all(|identity| *identity == identities[0]), "{identities:?}");
    assert!(!identities[0].contains("hunter2"), "{identities:?}");
}

#[test]
fn each_place_is_searched_for_the_server() {
    let of_server = |variables: &[(&str, &str)]| {
        let environment = FakeEnvironment::of(&[HOME]).file(HOSTS, LOGIN).with(variables);
        let found = environment.resolve().ok().unwrap();
        (found.source.to_string(), found.base_url.into_owned())
    };
    const GHES: (&str, &str) = ("GH_HOST", "ghe.example.com");
    const URL: &str = "https://ghe.example.com/api/v3";
    let found = |source: &str, url: &str| (source.to_owned(), url.to_owned());
    // A token of github.com is not one of the Enterprise Server.
    let github = ("GH_TOKEN", "ghp_hunter2");
    assert_eq!(of_server(&[github]), found("GH_TOKEN", "https://api.github.com"));
    assert_eq!(of_server(&[github, GHES]), found(HOSTS, URL));
    let enterprise = ("GITHUB_ENTERPRISE_TOKEN", "ghp_hunter2");
    assert_eq!(of_server(&[enterprise]), found(HOSTS, "https://api.github.com"));
    assert_eq!(of_server(&[enterprise, GHES]), found("GITHUB_ENTERPRISE_TOKEN", URL));

    let environment = FakeEnvironment::of(&[GHES, ("GH_PATH", "/opt/gh")]).gh(Ok("gho_hunter2"));
    let runs = Arc::clone(&environment.runs);
    assert_eq!(environment.found().0, "gh auth token");
    assert_eq!(*runs.lock().unwrap(), [(OsString::from("/opt/gh"), "ghe.example.com".to_owned())]);
}

#[test]
fn a_base_url_of_the_application_decides_which_credentials_are_used() {
    let environment = || Arc::new(FakeEnvironment::of(&[HOME]).file(HOSTS, LOGIN));
    let found = resolve_credentials(environment(), Some("https://ghe.example.com/api/v3"));
    let found = found.ok().unwrap();
    assert_eq!(found.base_url, "https://ghe.example.com/api/v3");
    assert_eq!(found.provider.initial_token().unwrap().expose_secret(), "gho_hunter2_ghes");
    let error = resolve_credentials(environment(), Some("https://evil.example")).err().unwrap();
    assert_eq!(error.auth_failure(), Some(AuthFailure::Missing));
    let error = resolve_credentials(environment(), Some("nonsense")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn the_error_lists_all_places_and_the_next_step() {
    let text = FakeEnvironment::of(&[HOME, ("GITHUB_TOKEN", " ")]).error().to_string();
    for part in [
        "github.com",
        "GITHUB_APP_ID",
        "GH_TOKEN, GITHUB_TOKEN",
        "/gh/hosts.yml does not exist",
        "the program gh was not found",
        "gh auth login",
        "Client::builder",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ghes = FakeEnvironment::of(&[("GH_HOST", "ghe.example.com"), ("GH_TOKEN", "ghp_hunter2")]);
    let text = ghes.error().to_string();
    for part in ["ghe.example.com", "set GH_ENTERPRISE_TOKEN", "hosts.yml is unknown"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (environment, part) in [
        (FakeEnvironment::of(&[HOME]).file(HOSTS, "(denied)"), "cannot be read"),
        (FakeEnvironment::of(&[HOME]).file(HOSTS, "a.example:\n"), "has no token of github.com"),
        (FakeEnvironment::of(&[HOME]).file(HOSTS, "a:\n  - hunter2\n"), "gh writes it in line 2"),
        (FakeEnvironment::default().gh(Ok(" \n")), "gh auth token returned no token"),
        (FakeEnvironment::default().gh(Err("exit status: 1")), "gh auth token failed: exit status"),
    ] {
        let error = environment.error();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Missing));
        let text = error.to_string();
        assert!(text.contains(part) && !text.contains("hunter2"), "{part}: {text}");
    }
}

/// The next place could have the credential of another user.
#[test]
fn an_invalid_credential_ends_the_search_with_its_place() {
    for (environment, failure, place) in [
        (
            FakeEnvironment::of(&[("GH_TOKEN", "hunter2 hunter2"), ("GITHUB_TOKEN", "ghp_x")]),
            AuthFailure::Malformed,
            "GH_TOKEN",
        ),
        (
            FakeEnvironment::of(&[("GITHUB_TOKEN", "ghr_hunter2")]).gh(Ok("gho_x")),
            AuthFailure::WrongKind,
            "GITHUB_TOKEN",
        ),
        (
            FakeEnvironment::of(&[HOME])
                .file(HOSTS, "github.com:\n  oauth_token: hunter2 hunter2\n")
                .gh(Ok("gho_x")),
            AuthFailure::Malformed,
            HOSTS,
        ),
        (
            FakeEnvironment::default().gh(Ok("no token: hunter2")),
            AuthFailure::Malformed,
            "gh auth token",
        ),
    ] {
        let error = environment.error();
        assert_eq!(error.auth_failure(), Some(failure), "{place}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(place) && !shown.contains("hunter2"), "{place}: {shown}");
    }
}

#[cfg(feature = "github-app")]
mod app {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn key() -> String {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        let lines = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
        let lines: Vec<_> = lines.collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    const ID: (&str, &str) = ("GITHUB_APP_ID", " 12345\n");
    const CLIENT_ID: (&str, &str) = ("GITHUB_APP_CLIENT_ID", "Iv23liABC");
    const TOKEN: (&str, &str) = ("GITHUB_TOKEN", "ghp_hunter2");

    #[test]
    fn an_app_comes_first_in_every_form_of_its_key() {
        let key = key();
        let (escaped, encoded) = (key.replace('\n', "\\n"), STANDARD.encode(&key));
        let key_is = |form| ("GITHUB_APP_PRIVATE_KEY", form);
        for (variables, source, identity) in [
            (vec![ID, key_is(key.as_str())], ID, "app:12345"),
            (vec![ID, key_is(&escaped)], ID, "app:12345"),
            (vec![ID, key_is(&encoded)], ID, "app:12345"),
            (vec![CLIENT_ID, key_is(&key)], CLIENT_ID, "app:Iv23liABC"),
            (vec![ID, CLIENT_ID, key_is(&key)], ID, "app:12345"),
            (vec![ID, key_is(&key), ("GITHUB_APP_INSTALLATION_ID", " 42 ")], ID, "installation:42"),
            (
                vec![ID, key_is(&key), ("GITHUB_APP_INSTALLATION_ORG", "octo-org")],
                ID,
                "installation:12345/orgs/octo-org",
            ),
        ] {
            let found = FakeEnvironment::of(&variables).with(&[TOKEN]).found();
            assert_eq!(found, (source.0.to_owned(), identity.to_owned()));
        }
    }

    #[test]
    fn the_key_can_be_in_a_file_which_has_its_age() {
        let key = key();
        let path = ("GITHUB_APP_PRIVATE_KEY_PATH", "/app.pem");
        let file = ("GITHUB_APP_PRIVATE_KEY_FILE", "/app.pem");
        for variables in [vec![path], vec![file], vec![path, file]] {
            let environment = FakeEnvironment::of(&[ID, TOKEN]).with(&variables);
            let found = environment.file("/app.pem", &key).resolve().ok().unwrap();
            assert_eq!(found.source, CredentialSource::AppVariables(ID.0), "{variables:?}");
            assert_eq!(found.provider.credential_created_at(), Some(SystemTime::UNIX_EPOCH));
        }
    }

    /// A secret that is missing in a deployment does not turn the App into a user.
    #[test]
    fn an_incomplete_app_is_an_error() {
        let key = key();
        let old = ("GITHUB_APP_PRIVATE_KEY_OLD", key.as_str());
        let key = ("GITHUB_APP_PRIVATE_KEY", key.as_str());
        let path = ("GITHUB_APP_PRIVATE_KEY_PATH", "/hunter2.pem");
        let file = ("GITHUB_APP_PRIVATE_KEY_FILE", "/other.pem");
        let installation = ("GITHUB_APP_INSTALLATION_ID", "42");
        let wrong = |value| ("GITHUB_APP_PRIVATE_KEY", value);
        for (variables, failure, named) in [
            (vec![ID], AuthFailure::Missing, "GITHUB_APP_PRIVATE_KEY_PATH"),
            (vec![ID, wrong("")], AuthFailure::Missing, "GITHUB_APP_PRIVATE_KEY"),
            (vec![key], AuthFailure::Missing, "GITHUB_APP_ID"),
            // The key that replaces the older one is missing.
            (vec![CLIENT_ID, old], AuthFailure::Missing, "GITHUB_APP_PRIVATE_KEY"),
            (vec![installation], AuthFailure::Missing, "GITHUB_APP_ID"),
            (vec![ID, key, path], AuthFailure::Ambiguous, "GITHUB_APP_PRIVATE_KEY_PATH"),
            (vec![ID, key, file], AuthFailure::Ambiguous, "GITHUB_APP_PRIVATE_KEY_FILE"),
            (vec![ID, path, file], AuthFailure::Ambiguous, "GITHUB_APP_PRIVATE_KEY_FILE"),
            (vec![ID, path], AuthFailure::Missing, "GITHUB_APP_PRIVATE_KEY_PATH"),
            (vec![ID, file], AuthFailure::Missing, "GITHUB_APP_PRIVATE_KEY_FILE"),
            (vec![file], AuthFailure::Missing, "GITHUB_APP_ID"),
            (vec![ID, wrong("ghp_hunter2")], AuthFailure::WrongKind, "GITHUB_APP_PRIVATE_KEY"),
            (vec![ID, wrong("hunter2")], AuthFailure::InvalidKey, "GITHUB_APP_PRIVATE_KEY"),
            (vec![("GITHUB_APP_ID", "ghp_hunter2"), key], AuthFailure::WrongKind, "GITHUB_APP_ID"),
            (
                vec![ID, key, ("GITHUB_APP_INSTALLATION_ID", "hunter2")],
                AuthFailure::Malformed,
                "GITHUB_APP_INSTALLATION_ID",
            ),
        ] {
            let error = FakeEnvironment::of(&variables).with(&[TOKEN]).error();
            assert_eq!(error.auth_failure(), Some(failure), "{named}");
            let text = error.to_string();
            assert!(text.contains(named), "{named}: {text}");
            assert!(!text.replace("/hunter2.pem", "").contains("hunter2"), "{text}");
        }
    }

    /// Signing in users requires the client id, and no private key.
    #[test]
    fn a_client_id_alone_is_no_app() {
        assert_eq!(FakeEnvironment::of(&[CLIENT_ID, TOKEN]).found().0, "GITHUB_TOKEN");
    }
}

#[cfg(not(feature = "github-app"))]
#[test]
fn without_its_feature_an_app_is_an_error_and_not_another_identity() {
    let token = ("GITHUB_TOKEN", "ghp_hunter2");
    for name in ["GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID"] {
        let error = FakeEnvironment::of(&[(name, "12345"), token]).error();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Signer), "{name}");
        let text = error.to_string();
        assert!(text.contains("GITHUB_APP_ID") && text.contains("github-app"), "{text}");
    }
}
