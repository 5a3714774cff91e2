//! Trusted addresses, and links to external hosts.

use super::*;

fn origins(base: &str) -> Endpoints {
    Endpoints::new(base, None).unwrap()
}

#[test]
fn uploads_graphql_and_web_follow_from_the_base_url() {
    for (base, upload, graphql, web) in [
        (
            "https://api.github.com",
            "https://uploads.github.com",
            "https://api.github.com/graphql",
            "https://github.com/",
        ),
        (
            "https://api.octocorp.ghe.com/",
            "https://uploads.octocorp.ghe.com",
            "https://api.octocorp.ghe.com/graphql",
            "https://octocorp.ghe.com/",
        ),
        (
            "https://github.example.com/api/v3/",
            "https://github.example.com/api/uploads",
            "https://github.example.com/api/graphql",
            "https://github.example.com/",
        ),
        (
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/graphql",
            "http://127.0.0.1:8080/",
        ),
    ] {
        let origins = origins(base);
        assert_eq!(origins.upload.prefix, upload, "{base}");
        assert_eq!(origins.graphql().as_str(), graphql, "{base}");
        assert_eq!(origins.web().as_str(), web, "{base}");
    }
}

#[test]
fn the_base_url_of_an_enterprise_server_without_its_path_is_recognized() {
    for base in [
        "https://github.example.com",
        "https://github.example.com/",
        "http://github.example.com:8443",
        "https://github.example.com/api",
        "https://github.example.com/api/v4",
        "https://github.example.com/api/graphql",
        "https://10.0.0.1",
        "https://github",
    ] {
        assert!(origins(base).lacks_enterprise_path(), "{base}");
    }
    for base in [
        GITHUB,
        "https://github.com",
        "https://api.octocorp.ghe.com",
        "https://octocorp.ghe.com",
        "https://api.example.com",
        "https://github.example.com/api/v3",
        "https://github.example.com/api/v3/",
        "https://gateway.example.com/github",
        "https://gateway.example.com/ghes/api/v3",
        "http://localhost:8080",
        "http://github.localhost",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        assert!(!origins(base).lacks_enterprise_path(), "{base}");
    }
}

#[test]
fn a_server_has_the_name_that_users_know() {
    for (base, name) in [
        (GITHUB, "github.com"),
        ("https://api.octocorp.ghe.com/", "octocorp.ghe.com"),
        ("https://GitHub.example.com/api/v3", "github.example.com"),
        ("https://github.example.com:443/api/v3", "github.example.com"),
        ("https://github.example.com:8443/api/v3", "github.example.com:8443"),
        ("https://api.github.com:8443", "api.github.com:8443"),
        ("https://api.github.com.example.com", "api.github.com.example.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://api.github.com", "api.github.com:80"),
        ("http://github.example.com/api/v3", "github.example.com:80"),
    ] {
        assert_eq!(server_name(&parse_base_url("base_url", base).unwrap()), name, "{base}");
    }
}

#[test]
fn an_operation_is_sent_to_the_server_of_the_description() {
    let ghes = origins("https://github.example.com/api/v3");
    let github = origins(GITHUB);
    for (server, at_ghes, at_github) in [
        (None, "https://github.example.com/api/v3", "https://api.github.com/"),
        (
            Some("https://uploads.github.com"),
            "https://github.example.com/api/uploads",
            "https://uploads.github.com/",
        ),
        (Some("{protocol}://{hostname}"), "https://github.example.com/", "https://api.github.com/"),
    ] {
        assert_eq!(ghes.for_operation(server).as_str(), at_ghes);
        assert_eq!(github.for_operation(server).as_str(), at_github);
    }
}

#[test]
fn only_the_same_scheme_host_and_port_is_trusted() {
    let origins = origins(GITHUB);
    for (url, trusted) in [
        ("https://api.github.com/user", true),
        ("https://api.github.com:443/user", true),
        ("https://API.GitHub.com/user", true),
        ("https://uploads.github.com/x", true),
        ("http://api.github.com/user", false),
        ("https://api.github.com:8443/user", false),
        ("https://api.github.com.evil.example/user", false),
        ("https://api.github.com@evil.example/user", false),
        ("https://codeload.github.com/x", false),
        ("https://github.com/user", false),
    ] {
        assert_eq!(origins.trusts(&Url::parse(url).unwrap()), trusted, "{url}");
    }
}

#[test]
fn a_page_is_fetched_below_the_base_path_of_a_known_address_only() {
    let ghes = origins("https://ghe.internal/api/v3");
    let from = Url::parse("https://ghe.internal/api/v3/list").unwrap();
    let host = Url::parse("https://ghe.internal/manage/v1/x").unwrap();
    for (link, from, expected) in [
        (
            "https://ghe.example/api/v3/x?page=2",
            &from,
            Some("https://ghe.internal/api/v3/x?page=2"),
        ),
        ("https://a:b@ghe.internal/api/v3/x#y", &from, Some("https://ghe.internal/api/v3/x")),
        (
            "http://ghe.internal:81/api/v3//evil.example/x",
            &from,
            Some("https://ghe.internal/api/v3//evil.example/x"),
        ),
        ("https://ghe.internal/api/uploads/x", &from, Some("https://ghe.internal/api/uploads/x")),
        ("https://ghe.internal/x", &from, None),
        ("https://ghe.example/x", &from, None),
        ("https://ghe.internal/api/v3/..%2fx", &from, None),
        ("https://ghe.internal/api/v3/..%2F..%2Fetc?page=2", &from, None),
        ("https://ghe.internal/api/v3/a/%2e%2e%5c..%5cetc", &from, None),
        ("https://ghe.internal/api/v3/..%5Cetc", &from, None),
        ("https://ghe.internal/api/v3/%252e%252e%252fetc", &from, None),
        ("https://ghe.internal/api/v3/%25252e%25252e/etc", &from, None),
        ("https://ghe.internal/api/v3\\..\\..\\etc", &from, None),
        ("https://ghe.internal/api/v3/.%2e/etc", &from, None),
        // A name with an encoded slash, a percent sign, or dots is a name.
        (
            "https://ghe.internal/api/v3/a%2Fb/100%25/..c/x...y",
            &from,
            Some("https://ghe.internal/api/v3/a%2Fb/100%25/..c/x...y"),
        ),
        ("ftp://ghe.internal/api/v3/x", &from, None),
        ("data:/api/v3/x", &from, None),
        // The management API is not below the base path.
        (
            "https://ghe.internal/manage/v1/x?page=2",
            &host,
            Some("https://ghe.internal/manage/v1/x?page=2"),
        ),
    ] {
        let page = ghes.resolve_page(&Url::parse(link).unwrap(), from);
        assert_eq!(page.as_ref().ok().map(Url::as_str), expected, "{link}");
    }
    let stranger = Url::parse("https://stranger.example/list").unwrap();
    let link = Url::parse("https://stranger.example/api/v3/x").unwrap();
    assert!(ghes.resolve_page(&link, &stranger).is_err());
}

#[test]
fn links_of_github_from_a_gateway_are_requested_from_the_gateway() {
    for (base, link, expected) in [
        // Below a path, in front of github.com, a data residency, and an Enterprise Server.
        (
            "/github",
            "https://api.github.com/repos/o/r/issues?page=2",
            "/github/repos/o/r/issues?page=2",
        ),
        (
            "/github/",
            "https://api.github.com/repositories/1/x?after=a%2Fb",
            "/github/repositories/1/x?after=a%2Fb",
        ),
        ("/a/b", "http://api.github.com/x?page=2", "/a/b/x?page=2"),
        ("/gh", "https://api.octocorp.ghe.com/x?page=2", "/gh/x?page=2"),
        ("/gh/api/v3", "https://ghe.example/api/v3/x?page=2", "/gh/api/v3/x?page=2"),
        ("/gh/api/v3", "https://ghe.example:8443/api/v3/x?page=2", "/gh/api/v3/x?page=2"),
        // GitHub has paths that begin as the gateway's own.
        (
            "/repos",
            "https://api.github.com/repos/o/r/issues?page=2",
            "/repos/repos/o/r/issues?page=2",
        ),
        ("/user", "https://api.github.com/user?page=2", "/user/user?page=2"),
        // A gateway that rewrites them, wholly or the path alone, and one without a path.
        ("/github", "https://gateway.internal/github/x?page=2", "/github/x?page=2"),
        ("/github", "https://other.internal/github/x?page=2", "/github/x?page=2"),
        ("", "https://api.github.com/x?page=2", "/x?page=2"),
        // A name and a password do not go along.
        ("/github", "https://a:b@api.github.com/x?page=2#y", "/github/x?page=2"),
    ] {
        let origins = origins(&format!("https://gateway.internal{base}"));
        let from = Url::parse(&format!("https://gateway.internal{base}/list")).unwrap();
        let page = origins.resolve_page(&Url::parse(link).unwrap(), &from).unwrap();
        let expected = format!("https://gateway.internal{expected}");
        assert_eq!(page.as_str(), expected, "{base} {link}");
    }
    for (base, link) in [
        // Neither GitHub's address nor the gateway's path.
        ("/github", "https://ghe.example/x?page=2"),
        ("/github", "https://api.github.com.evil.example/x?page=2"),
        ("/github", "https://evil.example/?https://api.github.com/x"),
        ("/github", "https://api.github.com:8443/x?page=2"),
        ("/github", "https://github.com/x?page=2"),
        ("/github", "https://api.github.com@evil.example/x?page=2"),
        // The gateway's own links keep to its path.
        ("/github", "https://gateway.internal/x?page=2"),
        ("/gh/api/v3", "https://gateway.internal/api/v3/x?page=2"),
        // Out of the gateway's path.
        ("/github", "https://api.github.com/..%2fadmin?page=2"),
        ("/github", "https://api.github.com/%252e%252e%252fadmin"),
        ("/gh/api/v3", "https://ghe.example/api/v3/..%2f..%2f..%2fadmin"),
        ("/gh/api/v3", "https://ghe.example/api/v3x?page=2"),
    ] {
        let origins = origins(&format!("https://gateway.internal{base}"));
        let from = Url::parse(&format!("https://gateway.internal{base}/list")).unwrap();
        let error = origins.resolve_page(&Url::parse(link).unwrap(), &from).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl, "{base} {link}");
        assert!(error.to_string().contains("rewrite Link headers"), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_link_leads_to_another_host(
        base in "(|/api/v3|/a/b|/a/api/v3)",
        link in "(https?|ftp|HTTP)://([a-z:@]{0,5})?([a-z.]{1,12}|api\\.github\\.com|uploads\\.x\\.ghe\\.com)(:[0-9]{1,4})?/([a-z0-9./%?#@:\\\\]|%2e|%2f|%5c|%25){0,40}",
    ) {
        let origins = origins(&format!("https://ghe.internal{base}"));
        let from = Url::parse(&format!("https://ghe.internal{base}/list")).unwrap();
        if let Ok(link) = Url::parse(&link)
            && let Ok(page) = origins.resolve_page(&link, &from)
        {
            proptest::prop_assert!(origins.trusts(&page) && origins.contains(&page), "{page}");
            proptest::prop_assert!(!has_credentials(&page), "{page}");
            proptest::prop_assert_eq!(page.query(), link.query());
        }
    }
}

#[test]
fn a_bad_base_url_is_rejected_and_not_repeated() {
    for text in [
        "api.github.com",
        "ftp://api.github.com",
        "https://user:hunter2@api.github.com",
        "https://api.github.com?hunter2",
        "",
    ] {
        let error = Endpoints::new(text, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
