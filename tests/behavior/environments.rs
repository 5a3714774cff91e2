//! Credentials from environment variables, and the errors of invalid ones.
//!
//! Variables are a process's own, so each case is a process: this test binary with [`a_child`] as
//! its only test.

use std::process::Command;

use octowire::auth::{Credentials, TokenProvider};

use crate::support::github_app::Key;

/// The outcome of a process with these variables: `ok` or `error`, and its cause.
fn with(environment: &str, variables: &[(&str, &str)]) -> String {
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("{module}::a_child")])
        .env("OCTOWIRE_TEST_ENVIRONMENT", environment)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("credentials: "));
    let line = line.unwrap_or_else(|| panic!("{text} {output:?}")).to_owned();
    assert!(!line.contains("hunter2"), "{line}");
    line
}

#[test]
#[ignore = "what the processes do that other tests start"]
fn a_child() {
    let environment = std::env::var("OCTOWIRE_TEST_ENVIRONMENT").unwrap();
    match Credentials::from_env(&environment) {
        Ok(credentials) => println!("credentials: ok {} {credentials:?}", credentials.identity()),
        Err(error) => println!("credentials: error {:?} {error}", error.auth_failure().unwrap()),
    }
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
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("environments-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, older) = (Key::generate().pem, Key::generate().pem);
    let key_file = folder.join("key.pem");
    std::fs::write(&key_file, &key).unwrap();
    let key_file = key_file.to_str().unwrap();
    let token_file = folder.join("token");
    std::fs::write(&token_file, "ghs_hunter2hunter2hunter2\n").unwrap();
    let token_file = token_file.to_str().unwrap();

    const ID: (&str, &str) = ("A_GITHUB_APP_ID", "12345");
    // As many secret stores hand a key over.
    let one_line = key.replace('\n', "\\n");
    for (variables, expected) in [
        (vec![("A_GITHUB_TOKEN_FILE", token_file)], "ok A/"),
        (vec![ID, ("A_GITHUB_APP_PRIVATE_KEY", &one_line)], "ok A/app:12345"),
        (
            vec![
                ID,
                ("A_GITHUB_APP_PRIVATE_KEY_FILE", key_file),
                ("A_GITHUB_APP_INSTALLATION_ID", "42"),
            ],
            "ok A/installation:42",
        ),
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
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_invalid_environment_variable_is_named() {
    let key = Key::generate().pem;
    const ID: (&str, &str) = ("A_GITHUB_APP_ID", "12345");
    let token = ("A_GITHUB_TOKEN", "ghp_hunter2hunter2hunter2");
    for (variables, failure, named) in [
        (vec![token, ID], "Ambiguous", "A_GITHUB_APP_ID"),
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
