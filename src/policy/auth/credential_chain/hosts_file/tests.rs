//! The file as `gh` writes it, as users edit it, and as any other text.

use std::ffi::OsString;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn token(text: &str, host: &str) -> Result<Option<String>, usize> {
    let token = find_token(text.as_bytes(), host)?;
    Ok(token.map(|token| token.expose_secret().to_owned()))
}

fn found(text: &str) -> Result<Option<String>, usize> {
    token(text, "github.com")
}

/// Before gh 2.40, which has several accounts for each host.
const ONE_ACCOUNT: &str = "\
github.com:
    user: octocat
    oauth_token: gho_one
    git_protocol: ssh
ghe.example.com:
    oauth_token: gho_two
    user: hubot
    git_protocol: https
";

/// Since gh 2.40, without a keyring.
const SEVERAL_ACCOUNTS: &str = "\
github.com:
    git_protocol: https
    users:
        hubot:
            oauth_token: gho_hubot
        octocat:
            oauth_token: gho_octocat
    user: octocat
    oauth_token: gho_octocat
";

/// With a keyring, which has the tokens.
const KEYRING: &str = "\
github.com:
    git_protocol: https
    users:
        hubot: {}
        octocat:
    user: octocat
";

#[test]
fn the_token_of_the_active_account_is_found() {
    for (text, host, expected) in [
        (ONE_ACCOUNT, "github.com", Some("gho_one")),
        (ONE_ACCOUNT, "ghe.example.com", Some("gho_two")),
        (ONE_ACCOUNT, "example.com", None),
        (ONE_ACCOUNT, "octocat", None),
        (SEVERAL_ACCOUNTS, "github.com", Some("gho_octocat")),
        (SEVERAL_ACCOUNTS, "hubot", None),
        (KEYRING, "github.com", None),
        ("", "github.com", None),
        // Only the accounts have tokens.
        (
            "github.com:\n  user: b\n  users:\n    a:\n      oauth_token: x\n    b:\n      oauth_token: y\n",
            "github.com",
            Some("y"),
        ),
        ("github.com:\n  users:\n    a:\n      oauth_token: x\n", "github.com", None),
        ("github.com:\n  user: c\n  users:\n    a:\n      oauth_token: x\n", "github.com", None),
        // A token that is not of a host.
        ("oauth_token: x\nuser: y\n", "github.com", None),
        ("github.com:\n  other:\n    oauth_token: x\n", "github.com", None),
    ] {
        let expected = Ok(expected.map(str::to_owned));
        assert_eq!(token(text, host), expected, "{host} in {text}");
        assert_eq!(token(&text.replace('\n', "\r\n"), host), expected, "{host} in {text}");
    }
}

#[test]
fn forms_of_users_are_read() {
    for text in [
        "github.com:\n oauth_token: gho_x",
        "GitHub.com:\n  oauth_token: gho_x\n",
        "\u{feff}github.com:\n  oauth_token: gho_x\n",
        "# by hand\n\ngithub.com: # the public one\n  # a comment\n\n  oauth_token: gho_x # old\n",
        "\"github.com\":\n  \"oauth_token\": \"gho_x\"\n",
        "'github.com':\n  'oauth_token': 'gho_x' # old\n",
        "github.com:\n  user: ''\n  oauth_token:   gho_x  \t\n",
        "github.com:\n  user: null\n  oauth_token: gho_x\n",
        "github.com:\n  user: \"12345\"\n  oauth_token: gho_x\n",
        "a.example:\n  oauth_token: y\ngithub.com:\n  oauth_token: gho_x\nz.example:\n",
        // The first of equal keys counts, as for gh.
        "github.com:\n  oauth_token: gho_x\n  oauth_token: y\n",
        "  github.com:\n    oauth_token: gho_x\n",
    ] {
        assert_eq!(found(text), Ok(Some("gho_x".to_owned())), "{text}");
    }
    for text in
        ["github.com:\n  oauth_token:\n", "github.com:\n  oauth_token: ''\n", "github.com: {}\n"]
    {
        assert_eq!(found(text), Ok(None), "{text}");
    }
}

/// What this reader does not know is left to gh: a guess could be another user's token.
#[test]
fn any_other_yaml_is_reported_with_its_line() {
    for (text, line) in [
        ("---\ngithub.com:\n", 1),
        ("github.com: &a\n", 1),
        ("github.com:\n  oauth_token: *a\n", 2),
        ("github.com:\n  oauth_token: |\n    gho_x\n", 2),
        ("github.com:\n  oauth_token: >-\n    gho_x\n", 2),
        ("github.com:\n  oauth_token: !!str gho_x\n", 2),
        ("github.com: {oauth_token: gho_x}\n", 1),
        ("{\"github.com\": {}}\n", 1),
        ("- github.com\n", 1),
        ("github.com\n", 1),
        ("github.com:oauth_token\n", 1),
        ("github.com:\n\toauth_token: gho_x\n", 2),
        ("github.com:\n  oauth_token: \"gho\\u005fx\"\n", 2),
        ("github.com:\n  oauth_token: 'gho''x'\n", 2),
        ("github.com:\n  oauth_token: \"gho_x\n", 2),
        ("github.com:\n  oauth_token: \"gho_x\" y\n", 2),
        ("github.com:\n  oauth_token: 'gho_x'# y\n", 2),
        ("github.com:\n  oauth_token: a: b\n", 2),
        ("github.com:\n  oauth_token: gho_x\n    continued\n", 3),
        ("github.com:\n  oauth_token: gho_x\n    user: y\n", 3),
        ("github.com:\n    user: y\n  oauth_token: gho_x\n", 3),
        ("  github.com:\noauth_token: gho_x\n", 2),
        ("github.com:\n  oauth_token: gho\u{7}x\n", 2),
        ("a:\n b:\n  c:\n   d:\n    e:\n     f:\n      g:\n       h:\n        i:\n", 9),
    ] {
        assert_eq!(found(text), Err(line), "{text}");
    }
    assert_eq!(find_token(b"github.com:\n  oauth_token: gho_\xff\n", "github.com").unwrap_err(), 1);
}

#[test]
fn the_file_is_where_gh_looks_for_it() {
    type Variables = &'static [(&'static str, &'static str)];
    let all: Variables = &[
        ("GH_CONFIG_DIR", "/config"),
        ("XDG_CONFIG_HOME", "/xdg"),
        ("AppData", "/appdata"),
        ("USERPROFILE", "/profile"),
        ("HOME", "/home/me"),
    ];
    let path = |variables: Variables, is_windows| {
        let environment = move |name: &str| {
            let value = variables.iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| OsString::from(value))
        };
        super::path(&environment, is_windows)
    };
    for (skipped, is_windows, expected) in [
        (0, false, "/config/hosts.yml"),
        (0, true, "/config/hosts.yml"),
        (1, false, "/xdg/gh/hosts.yml"),
        (1, true, "/xdg/gh/hosts.yml"),
        (2, false, "/home/me/.config/gh/hosts.yml"),
        (2, true, "/appdata/GitHub CLI/hosts.yml"),
        (3, true, "/profile/.config/gh/hosts.yml"),
    ] {
        let found = path(&all[skipped..], is_windows);
        assert_eq!(found, Some(PathBuf::from(expected)), "{skipped} {is_windows}");
    }
    assert_eq!(path(&[], false), None);
    // An empty variable is not set.
    let set: Variables = &[("GH_CONFIG_DIR", ""), ("XDG_CONFIG_HOME", ""), ("HOME", "/me")];
    assert_eq!(path(set, false), Some(PathBuf::from("/me/.config/gh/hosts.yml")));
}

/// A login of a host, as gh writes it.
#[derive(Clone, Debug)]
struct Account {
    host: String,
    users: Vec<(String, String)>,
    active: prop::sample::Index,
}

impl Account {
    fn active(&self) -> &(String, String) {
        self.active.get(&self.users)
    }

    fn write(&self, file: &mut String, has_own_token: bool) {
        let quoted = |text: &str| match text.parse::<f64>() {
            // A number that is text.
            Ok(_) => format!("\"{text}\""),
            Err(_) => text.to_owned(),
        };
        file.push_str(&format!("{}:\n    git_protocol: https\n    users:\n", quoted(&self.host)));
        for (user, token) in &self.users {
            let (user, token) = (quoted(user), quoted(token));
            file.push_str(&format!("        {user}:\n            oauth_token: {token}\n"));
        }
        let (user, token) = self.active();
        file.push_str(&format!("    user: {}\n", quoted(user)));
        if has_own_token {
            file.push_str(&format!("    oauth_token: {}\n", quoted(token)));
        }
    }
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let users = prop::collection::btree_map(
        "[a-z0-9]{1,3}(-[a-z0-9]{1,3})?",
        "gh[ops]_[A-Za-z0-9]{1,8}",
        1..4,
    );
    let account = ("[a-z]{1,6}\\.[a-z]{1,6}(:[0-9]{2,4})?", users, any::<prop::sample::Index>());
    let account = account.prop_map(|(host, users, active)| Account {
        host,
        users: users.into_iter().collect(),
        active,
    });
    prop::collection::vec(account, 1..4)
}

proptest! {
    /// Each host has the token of its active user, and a host that is not in the file has none.
    #[test]
    fn what_gh_writes_is_read(logins in accounts(), has_own_token in any::<bool>()) {
        let mut file = String::new();
        for login in &logins {
            login.write(&mut file, has_own_token);
        }
        for login in &logins {
            // Of equal hosts, the first one counts.
            let first = logins.iter().find(|other| other.host == login.host).unwrap();
            let expected = Ok(Some(first.active().1.clone()));
            prop_assert_eq!(token(&file, &login.host), expected, "{}", file);
        }
        prop_assert_eq!(token(&file, "other.host.example"), Ok(None));
    }

    /// Whatever the text, the result is a part of it, or the number of a line.
    #[test]
    fn any_text_is_read_or_reported(
        text in "((github\\.com|users|user|octocat|oauth_token|gho_x|null|#| |  |    |:|: |\n|\r\n|\t|\"|'|\\{\\}|-|&|\\\\|[^a-z]){0,60})",
    ) {
        match found(&text) {
            Ok(Some(token)) => prop_assert!(text.contains(&token)),
            Ok(None) => {}
            Err(line) => prop_assert!((1..=text.lines().count()).contains(&line)),
        }
    }

    #[test]
    fn any_bytes_are_read_or_reported(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = find_token(&bytes, "github.com");
    }
}
