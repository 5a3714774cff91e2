//! Links that name another address of the same server are followed at the client's own.

use http::Method;
use octowire::{Error, ErrorKind, Items};

use crate::support::{Received, Reply, Server, json_response};

/// A server with two pages below `/api/v3`, of which the first links to `link`.
async fn linking(link: &str) -> Server {
    let link = format!("link: <{link}>; rel=\"next\"\r\n");
    Server::start(move |request: Received| {
        let reply = match request.number("page") {
            None => json_response("200 OK", &link, "[1]"),
            Some(_) => json_response("200 OK", "", "[2]"),
        };
        async { Reply::Raw(reply) }
    })
    .await
}

fn items(server: &Server, base: &str) -> Items<u64> {
    let client = server.builder().base_url(format!("{}{base}", server.url)).token("t0ken");
    client.build().unwrap().request(Method::GET, "/list").items(|page: Vec<u64>| page)
}

/// The target of the second request, and the items of the list.
async fn followed(link: &str, base: &str) -> Result<String, Error> {
    let server = linking(link).await;
    let all = items(&server, base).collect_all(10).await;
    let requests = server.requests();
    match all {
        Ok(all) => {
            assert_eq!(all, [1, 2], "{link}");
            assert!(requests.iter().all(|it| it.headers["authorization"] == "Bearer t0ken"));
            Ok(requests[1].target.clone())
        }
        Err(error) => {
            assert_eq!(requests.len(), 1, "{link} was asked for");
            Err(error)
        }
    }
}

#[tokio::test]
async fn a_link_to_the_servers_public_name_is_followed_at_the_configured_address() {
    for (base, link, expected) in [
        ("/api/v3", "https://ghe.example/api/v3/list?page=2", "/api/v3/list?page=2"),
        ("/api/v3/", "https://ghe.example/api/v3/list?page=2", "/api/v3/list?page=2"),
        (
            "",
            "https://api.github.com/repositories/7/issues?page=2",
            "/repositories/7/issues?page=2",
        ),
        // Another scheme, as of a proxy that ends TLS, and another port.
        ("/api/v3", "http://ghe.example/api/v3/list?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "https://ghe.example:8443/api/v3/list?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "https://127.0.0.1/api/v3/list?page=2", "/api/v3/list?page=2"),
        // A gateway below a path that passes links through.
        (
            "/github",
            "https://api.github.com/repositories/7/issues?page=2",
            "/github/repositories/7/issues?page=2",
        ),
        ("/gh/api/v3", "https://ghe.example/api/v3/list?page=2", "/gh/api/v3/list?page=2"),
        // Encoded characters stay encoded.
        ("", "https://x.example/a%2Fb?q=%26&page=2", "/a%2Fb?q=%26&page=2"),
        // User names, passwords and fragments are left out.
        ("/api/v3", "https://me:secret@ghe.example/api/v3/list?page=2#x", "/api/v3/list?page=2"),
        // Relative links.
        ("/api/v3", "/api/v3/list?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "list?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "//ghe.example/api/v3/list?page=2", "/api/v3/list?page=2"),
        ("/api/v3", "https://ghe.example/api/v3/x/../list?page=2", "/api/v3/list?page=2"),
    ] {
        let target = followed(link, base).await.unwrap_or_else(|error| panic!("{link}: {error}"));
        assert_eq!(target, expected, "{link}");
    }
}

#[tokio::test]
async fn a_link_that_leaves_the_base_path_is_an_error() {
    for link in [
        "https://ghe.example/list?page=2",
        "https://ghe.example/api/v30/list?page=2",
        "https://ghe.example/api/v3/../../admin?page=2",
        "https://ghe.example/api/v3/%2e%2e/%2e%2e/admin?page=2",
        "/admin?page=2",
        "../../admin?page=2",
        "https://ghe.example/API/v3/list?page=2",
    ] {
        let error = followed(link, "/api/v3").await.expect_err(link);
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl, "{link}");
        assert_eq!(error.operation(), Some("GET /list"));
        assert!(error.to_string().contains("/api/v3"), "{error}");
        assert!(error.to_string().contains("rewrite Link headers"), "{error}");
    }
}

#[tokio::test]
async fn a_link_that_is_not_http_is_an_error() {
    for link in
        ["ftp://ghe.example/list?page=2", "file:///list?page=2", "javascript:alert(1)?page=2"]
    {
        let error = followed(link, "").await.expect_err(link);
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl, "{link}");
    }
    let error = followed("https://[/list?page=2", "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pagination);
}

#[tokio::test]
async fn numbered_pages_behind_a_proxy_are_fetched_at_the_configured_address() {
    for (base, public) in [
        ("/api/v3", "https://ghe.example/api/v3"),
        ("/gh/api/v3", "https://ghe.example/api/v3"),
        ("/github", "https://api.github.com"),
    ] {
        numbered_pages(base, public).await;
    }
}

async fn numbered_pages(base: &str, public: &'static str) {
    let server = Server::start(move |request: Received| {
        let page = request.number("page").unwrap_or(1);
        let link = |page: u64, rel: &str| {
            format!("<{public}/repositories/7/issues?page={page}>; rel=\"{rel}\"")
        };
        let links = match page < 5 {
            true => format!("link: {}, {}\r\n", link(page + 1, "next"), link(5, "last")),
            false => String::new(),
        };
        let reply = json_response("200 OK", &links, &format!("[{page}]"));
        async { Reply::Raw(reply) }
    })
    .await;
    assert_eq!(items(&server, base).collect_all(10).await.unwrap(), [1, 2, 3, 4, 5]);
    let targets: Vec<String> = server.requests().into_iter().map(|it| it.target).collect();
    assert_eq!(targets[0], format!("{base}/list"));
    let begin = format!("{base}/repositories/7/issues?page=");
    assert!(targets[1..].iter().all(|it| it.starts_with(&begin)), "{targets:?}");
}

#[tokio::test]
async fn a_page_of_another_server_leads_nowhere() {
    // GitHub redirects to another server, whose link is no page of GitHub's.
    let other = Server::fixed_response(json_response(
        "200 OK",
        "link: </list?page=2>; rel=next\r\n",
        "[1]",
    ))
    .await;
    let location = format!("location: {}/list\r\n", other.url);
    let server = Server::fixed_response(json_response("302 Found", &location, "")).await;
    let mut items = items(&server, "");
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    let error = items.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    assert_eq!((server.requests().len(), other.requests().len()), (1, 1));
}
