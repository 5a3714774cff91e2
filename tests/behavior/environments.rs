//! Credentials from environment variables, and the errors of invalid ones.
//!
//! Variables are a process's own, so each case is a process: this test binary with [`a_child`], or
//! [`a_child_with_a_client`], as its only test.

use std::ffi::OsString;
use std::process::Command;

use octowire::Client;
use octowire::auth::{AuthFailure, CredentialSource, Credentials, PersonalToken, TokenProvider};

use crate::support::Folder;
use crate::support::github_app::Key;

/// A process whose only test is this one.
fn child(test: &str) -> Command {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("{module}::{test}")]);
    command
}

/// The outcome that a process prints: `ok` or `error`, and its cause.
fn outcome(child: &mut Command) -> String {
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("outcome: "));
    let line = line.unwrap_or_else(|| panic!("{text} {output:?}")).to_owned();
    assert!(!line.contains("hunter2"), "{line}");
    line
}

/// The outcome of [`Credentials::from_env`] in a process with these variables.
fn with(environment: &str, variables: &[(&str, &str)]) -> String {
    let mut child = child("a_child");
    child.env("OCTOWIRE_TEST_ENVIRONMENT", environment);
    outcome(child.envs(variables.iter().copied()))
}

#[test]
#[ignore = "what the processes do that other tests start"]
fn a_child() {
    let environment = std::env::var("OCTOWIRE_TEST_ENVIRONMENT").unwrap();
    match Credentials::from_env(&environment) {
        Ok(credentials) => println!("outcome: ok {} {credentials:?}", credentials.identity()),
        Err(error) => println!("outcome: error {:?} {error}", error.auth_failure().unwrap()),
    }
}

/// The variables in which a client looks for credentials; the process of the tests can have some of them.
const VARIABLES: [&str; 20] = [
    "GITHUB_APP_ID",
    "GITHUB_APP_CLIENT_ID",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_APP_PRIVATE_KEY_PATH",
    "GITHUB_APP_PRIVATE_KEY_FILE",
    "GITHUB_APP_PRIVATE_KEY_OLD",
    "GITHUB_APP_INSTALLATION_ID",
    "GITHUB_APP_INSTALLATION_ORG",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GH_HOST",
    "GITHUB_API_URL",
    "GH_CONFIG_DIR",
    "GH_PATH",
    "XDG_CONFIG_HOME",
    "HOME",
    "AppData",
    "USERPROFILE",
];

/// The outcome of [`Client::from_env`] in a process with these variables.
fn client_with(variables: &[(&str, &str)]) -> String {
    let mut child = child("a_child_with_a_client");
    for variable in VARIABLES {
        child.env_remove(variable);
    }
    outcome(child.envs(variables.iter().copied()))
}

#[test]
#[ignore = "what the processes do that other tests start"]
fn a_child_with_a_client() {
    match Client::from_env() {
        Ok(client) => {
            let source = client.credential_source().unwrap();
            println!("outcome: ok {source} {} {}", client.base_url(), client.identity());
            assert!(client.unauthenticated().credential_source().is_none());
        }
        Err(error) => println!("outcome: error {:?} {error}", error.auth_failure().unwrap()),
    }
}

#[test]
fn a_client_has_the_first_credential_of_the_process() {
    let folder = Folder::created("from-env");
    let hosts_file = folder.0.join("hosts.yml");
    std::fs::write(
        &hosts_file,
        "github.com:\n    oauth_token: gho_hunter2hunter2\n    user: octocat\n",
    )
    .unwrap();
    let config = ("GH_CONFIG_DIR", folder.0.to_str().unwrap());
    let no_program = ("GH_PATH", "/nowhere/gh");
    let found = client_with(&[config, no_program]);
    let source = format!("ok {} https://api.github.com/ token:", hosts_file.display());
    assert!(found.starts_with(&source), "{found}");

    let token = ("GITHUB_TOKEN", "ghp_hunter2hunter2");
    let found = client_with(&[config, token]);
    assert!(found.starts_with("ok GITHUB_TOKEN https://api.github.com/ env:"), "{found}");
    // As a job of GitHub Actions on an Enterprise Server has them.
    let url = ("GITHUB_API_URL", "https://ghe.example.com/api/v3");
    let found = client_with(&[config, token, url]);
    assert!(found.starts_with("ok GITHUB_TOKEN https://ghe.example.com/api/v3 "), "{found}");
    // A token of github.com is not sent to another server.
    let host = ("GH_HOST", "ghe.example.com");
    let found = client_with(&[config, no_program, token, host]);
    assert!(found.starts_with("error Missing no credentials for ghe.example.com"), "{found}");

    let key = Key::generate().pem.replace('\n', "\\n");
    let app = [("GITHUB_APP_ID", "12345"), ("GITHUB_APP_PRIVATE_KEY", key.as_str())];
    let found = client_with(&[app[0], app[1], token, config]);
    assert_eq!(found, "ok GITHUB_APP_ID https://api.github.com/ app:12345");

    let none = client_with(&[no_program]);
    assert!(none.starts_with("error Missing") && none.contains("GITHUB_TOKEN"), "{none}");
}

#[test]
fn the_last_setting_of_credentials_applies_and_the_base_url_in_any_order() {
    const FOUND: CredentialSource = CredentialSource::Variable("GITHUB_TOKEN");
    const OTHER: &str = "ghp_hunter2hunter3";
    const GHES: &str = "https://ghe.example.com/api/v3";
    let environment =
        |name: &str| (name == "GITHUB_TOKEN").then(|| OsString::from("ghp_hunter2hunter2"));
    let found = || Client::builder().credentials_from(environment);
    for (builder, source) in [
        (found(), Some(FOUND)),
        (Client::builder().token(OTHER).credentials_from(environment), Some(FOUND)),
        (found().token(OTHER), None),
        (found().auth(PersonalToken::new(OTHER).unwrap()), None),
    ] {
        let client = builder.build().unwrap();
        assert_eq!(client.credential_source(), source.as_ref());
    }
    for builder in
        [found().base_url(GHES), Client::builder().base_url(GHES).credentials_from(environment)]
    {
        let error = builder.build().unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Missing), "{error}");
    }
}

#[tokio::test]
async fn handles_of_an_app_have_its_source() {
    let key = Key::generate().pem;
    let environment = move |name: &str| match name {
        "GITHUB_APP_ID" => Some(OsString::from("12345")),
        "GITHUB_APP_PRIVATE_KEY" => Some(OsString::from(&key)),
        _ => None,
    };
    let app = Client::builder().credentials_from(environment).build().unwrap();
    let installation = app.installation(42_u64).unwrap();
    for client in [&app, &installation, &installation.as_app().unwrap()] {
        let source = CredentialSource::AppVariables("GITHUB_APP_ID");
        assert_eq!(client.credential_source(), Some(&source));
    }
    let other = app.with_auth(PersonalToken::new("ghp_hunter2hunter2").unwrap());
    assert_eq!(other.credential_source(), None);
}

/// `gh` stores tokens in the keyring of the system by default.
#[cfg(unix)]
#[test]
fn a_client_asks_gh_for_the_token_of_a_login() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::created("gh-program");
    let program = folder.0.join("gh");
    let script =
        "#!/bin/sh\n[ \"$*\" = 'auth token --hostname github.com' ] && echo gho_hunter2hunter2\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.0.display());
    let path = ("PATH", path.as_str());
    let config = ("GH_CONFIG_DIR", folder.0.to_str().unwrap());
    let found = client_with(&[path, config]);
    assert!(found.starts_with("ok gh auth token https://api.github.com/ token:"), "{found}");
    let failed = client_with(&[path, config, ("GH_HOST", "ghe.example.com")]);
    assert!(failed.contains("gh auth token failed: it ended with exit status: 1"), "{failed}");
}

#[test]
fn environments_keep_their_credentials_apart() {
    let both = [
        ("PROD_GITHUB_TOKEN", "ghp_hunter2hunter2hunter2"),
        ("STAGING_GITHUB_TOKEN", "ghp_hunter2hunter2hunter3"),
        ("GITHUB_TOKEN", "ghp_hunter2hunter2hunter4"),
    ];
    let (prod, staging) = (with("PROD", &both), with("STAGING", &both));
    assert!(prod.starts_with("ok PROD/") && staging.starts_with("ok STAGING/"), "{prod} {staging}");
    let none = with("DEV", &both);
    assert!(none.starts_with("error Missing"), "{none}");
    assert!(none.contains("DEV_GITHUB_TOKEN") && none.contains("DEV_GITHUB_APP_ID"), "{none}");
}

#[test]
fn every_kind_of_credential_is_read_from_its_variables() {
    let folder = Folder::created("environments");
    let (key, older) = (Key::generate().pem, Key::generate().pem);
    let key_file = folder.0.join("key.pem");
    std::fs::write(&key_file, &key).unwrap();
    let key_file = key_file.to_str().unwrap();
    let token_file = folder.0.join("token");
    std::fs::write(&token_file, "ghs_hunter2hunter2hunter2\n").unwrap();
    let token_file = token_file.to_str().unwrap();

    const ID: (&str, &str) = ("A_GITHUB_APP_ID", "12345");
    const CLIENT_ID: (&str, &str) = ("A_GITHUB_APP_CLIENT_ID", "Iv23liABC");
    // As many secret stores hand a key over.
    let one_line = key.replace('\n', "\\n");
    for (variables, expected) in [
        (vec![("A_GITHUB_TOKEN_FILE", token_file)], "ok A/"),
        (vec![ID, ("A_GITHUB_APP_PRIVATE_KEY", &one_line)], "ok A/app:12345"),
        (vec![CLIENT_ID, ("A_GITHUB_APP_PRIVATE_KEY", &one_line)], "ok A/app:Iv23liABC"),
        (vec![ID, CLIENT_ID, ("A_GITHUB_APP_PRIVATE_KEY", &one_line)], "ok A/app:12345"),
        // A program that signs users in has a client id and no App.
        (vec![CLIENT_ID, ("A_GITHUB_TOKEN", "ghp_hunter2hunter2hunter2")], "ok A/env:"),
        (
            vec![
                ID,
                ("A_GITHUB_APP_PRIVATE_KEY_FILE", key_file),
                ("A_GITHUB_APP_INSTALLATION_ID", "42"),
            ],
            "ok A/installation:42",
        ),
        (vec![ID, ("A_GITHUB_APP_PRIVATE_KEY_PATH", key_file)], "ok A/app:12345"),
        (
            vec![
                ID,
                ("A_GITHUB_APP_PRIVATE_KEY", &key),
                ("A_GITHUB_APP_PRIVATE_KEY_OLD", &older),
                ("A_GITHUB_APP_INSTALLATION_ORG", "octo-org"),
                // As CI systems pass unset variables.
                ("A_GITHUB_TOKEN", ""),
            ],
            "ok A/installation:12345/orgs/octo-org",
        ),
    ] {
        let said = with("A", &variables);
        assert!(said.starts_with(expected), "{expected}: {said}");
        assert!(!said.contains(&key[40..80]), "{said}");
    }
}

#[test]
fn an_invalid_environment_variable_is_named() {
    let key = Key::generate().pem;
    const ID: (&str, &str) = ("A_GITHUB_APP_ID", "12345");
    let token = ("A_GITHUB_TOKEN", "ghp_hunter2hunter2hunter2");
    let client_id = ("A_GITHUB_APP_CLIENT_ID", "Iv23liABC");
    let key_file = ("A_GITHUB_APP_PRIVATE_KEY_FILE", "/nowhere/key");
    let installation = ("A_GITHUB_APP_INSTALLATION_ID", "42");
    for (variables, failure, named) in [
        (vec![token, ID], "Ambiguous", "A_GITHUB_APP_ID"),
        // The id was forgotten: the token's owner is another identity.
        (vec![token, key_file], "Ambiguous", "A_GITHUB_APP_PRIVATE_KEY_FILE"),
        (vec![token, installation], "Ambiguous", "A_GITHUB_APP_INSTALLATION_ID"),
        (vec![("A_GITHUB_TOKEN_FILE", "/nowhere/token"), key_file], "Ambiguous", key_file.0),
        (vec![key_file], "Missing", "A_GITHUB_APP_ID"),
        (vec![key_file], "Missing", "A_GITHUB_APP_CLIENT_ID"),
        (vec![installation], "Missing", "A_GITHUB_APP_ID"),
        (vec![client_id], "Missing", "A_GITHUB_TOKEN"),
        (vec![client_id, installation], "Missing", "A_GITHUB_APP_PRIVATE_KEY"),
        (vec![ID], "Missing", "A_GITHUB_APP_PRIVATE_KEY_FILE"),
        (vec![ID, ("A_GITHUB_APP_PRIVATE_KEY", token.1)], "WrongKind", "A_GITHUB_APP_PRIVATE_KEY"),
        (vec![("A_GITHUB_TOKEN", key.as_str())], "WrongKind", "A_GITHUB_TOKEN"),
        (vec![("A_GITHUB_TOKEN", "hunter2 hunter2")], "Malformed", "A_GITHUB_TOKEN"),
        (
            vec![ID, ("A_GITHUB_APP_PRIVATE_KEY", &key), ("A_GITHUB_APP_INSTALLATION_ID", "octo")],
            "Malformed",
            "A_GITHUB_APP_INSTALLATION_ID",
        ),
        (
            vec![
                ID,
                ("A_GITHUB_APP_PRIVATE_KEY", &key),
                ("A_GITHUB_APP_PRIVATE_KEY_OLD", "hunter2"),
            ],
            "InvalidKey",
            "A_GITHUB_APP_PRIVATE_KEY_OLD",
        ),
        (vec![("A_GITHUB_TOKEN_FILE", "/nowhere/token")], "Missing", "/nowhere/token"),
    ] {
        let said = with("A", &variables);
        assert!(said.starts_with(&format!("error {failure}")), "{failure}: {said}");
        assert!(said.contains(named), "{named}: {said}");
    }
}
