//! Requests of browsers, of proxies, and of neither.

use proptest::prelude::*;

use super::*;

const HERE: &str = "127.0.0.1:5";

fn request(
    peer: Option<&str>,
    uri: &str,
    version: Version,
    headers: &[(&str, &str)],
) -> http::Request<()> {
    let request = http::Request::get(uri).version(version);
    let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
    let mut request = request.body(()).unwrap();
    if let Some(peer) = peer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}

/// Checks a request from this machine with these headers.
fn checked(headers: &[(&str, &str)]) -> Result<(), NotLocal> {
    checked_with(headers, &[])
}

/// The same if the application allows headers.
fn checked_with(headers: &[(&str, &str)], allowed: &[&'static str]) -> Result<(), NotLocal> {
    let allowed: Vec<_> = allowed.iter().map(|name| allowed_header(name).unwrap()).collect();
    check(&request(Some(HERE), "/", Version::HTTP_11, headers), &allowed)
}

#[test]
fn names_of_this_machine_are_those_and_no_others() {
    for host in ["localhost", "LocalHost:80", "127.0.0.1:9465", "127.1.2.3", "[::1]:80", "[::1]"] {
        assert!(is_local_name(host), "{host}");
    }
    for host in [
        "",
        "example.com",
        "127.0.0.1.example",
        "localhost.example",
        "localhost@example.com",
        "x@localhost",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "128.0.0.1",
        "localhost:80:80",
        "local host",
        "localhost,evil.example",
    ] {
        assert!(!is_local_name(host), "{host}");
    }
}

#[test]
fn the_peer_has_to_be_this_machine() {
    let host = ("host", "localhost:80");
    for peer in [HERE, "[::1]:5", "[::ffff:127.0.0.1]:5"] {
        assert_eq!(
            check(&request(Some(peer), "/", Version::HTTP_11, &[host]), &[]),
            Ok(()),
            "{peer}"
        );
    }
    for peer in [None, Some("10.0.0.1:5"), Some("[::ffff:10.0.0.1]:5"), Some("[2001:db8::1]:5")] {
        let checked = check(&request(peer, "/", Version::HTTP_11, &[host]), &[]);
        assert_eq!(checked, Err(NotLocal::Peer), "{peer:?}");
    }
}

#[test]
fn a_request_has_one_name_of_this_machine_and_the_form_of_a_client() {
    let (local, other) = (("host", "localhost:80"), ("host", "evil.example"));
    for headers in [
        &[][..],
        &[other],
        &[local, local],
        &[local, other],
        &[other, local],
        &[("host", "localhost, localhost")],
        &[("host", "")],
    ] {
        assert_eq!(checked(headers), Err(NotLocal::Host), "{headers:?}");
    }
    let at = |uri, version, headers: &[_]| check(&request(Some(HERE), uri, version, headers), &[]);
    assert_eq!(at("http://localhost/", Version::HTTP_2, &[]), Ok(()));
    assert_eq!(at("http://localhost/", Version::HTTP_2, &[local]), Ok(()));
    assert_eq!(at("http://evil.example/", Version::HTTP_2, &[]), Err(NotLocal::Host));
    assert_eq!(at("http://evil.example/", Version::HTTP_2, &[local]), Err(NotLocal::Host));
    assert_eq!(at("http://localhost/", Version::HTTP_2, &[other]), Err(NotLocal::Host));
    assert_eq!(at("http://localhost/", Version::HTTP_2, &[local, local]), Err(NotLocal::Host));
    // As a request to a proxy, and as one of a proxy.
    assert_eq!(at("http://localhost/", Version::HTTP_11, &[local]), Err(NotLocal::Form));
    assert_eq!(at("/", Version::HTTP_10, &[local]), Err(NotLocal::Form));
}

/// Headers that browsers and command-line clients send to `http://127.0.0.1`, by name: a visit, a script or style, an
/// event stream, and a page that is loaded again.
const CLIENTS: &[(&str, &[&str])] = &[
    (
        "Chrome, Edge, Opera and Brave",
        &[
            "connection",
            "cache-control",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "upgrade-insecure-requests",
            "user-agent",
            "accept",
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-user",
            "sec-fetch-dest",
            "sec-fetch-storage-access",
            "accept-encoding",
            "accept-language",
            "cookie",
            "dnt",
            "sec-gpc",
            "referer",
            "purpose",
            "sec-purpose",
            "if-none-match",
            "if-modified-since",
            "save-data",
            "last-event-id",
            "pragma",
        ],
    ),
    (
        "Chrome with every client hint",
        &[
            "sec-ch-ua-arch",
            "sec-ch-ua-bitness",
            "sec-ch-ua-form-factors",
            "sec-ch-ua-full-version",
            "sec-ch-ua-full-version-list",
            "sec-ch-ua-model",
            "sec-ch-ua-platform-version",
            "sec-ch-ua-wow64",
            "sec-ch-device-memory",
            "sec-ch-dpr",
            "sec-ch-prefers-color-scheme",
            "sec-ch-prefers-reduced-motion",
            "sec-ch-prefers-reduced-transparency",
            "sec-ch-viewport-height",
            "sec-ch-viewport-width",
            "sec-ch-width",
            "device-memory",
            "dpr",
            "viewport-width",
            "width",
            "rtt",
            "downlink",
            "ect",
        ],
    ),
    (
        "Firefox",
        &[
            "user-agent",
            "accept",
            "accept-language",
            "accept-encoding",
            "connection",
            "cookie",
            "upgrade-insecure-requests",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "sec-fetch-user",
            "sec-gpc",
            "dnt",
            "priority",
            "te",
            "pragma",
            "cache-control",
            "referer",
            "if-modified-since",
            "x-moz",
        ],
    ),
    (
        "Safari",
        &[
            "upgrade-insecure-requests",
            "accept",
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-dest",
            "user-agent",
            "accept-language",
            "accept-encoding",
            "connection",
            "priority",
            "cookie",
            "x-purpose",
            "if-range",
            "range",
        ],
    ),
    (
        "curl and wget",
        &["user-agent", "accept", "accept-encoding", "connection", "range", "authorization"],
    ),
    ("a web view of Android", &["user-agent", "accept", "x-requested-with"]),
];

#[test]
fn headers_that_clients_send_are_allowed() {
    for (client, names) in CLIENTS {
        let mut headers = vec![("host", "127.0.0.1:9465")];
        // A value that each of them may have.
        headers.extend(names.iter().map(|name| (*name, "keep-alive")));
        assert_eq!(checked(&headers), Ok(()), "{client}");
    }
}

/// Headers that proxies add by default, or as their manuals recommend.
const PROXIES: &[(&str, &[&str])] = &[
    (
        "nginx, with the lines of its guide",
        &["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"],
    ),
    (
        "nginx, ingress of Kubernetes",
        &[
            "x-request-id",
            "x-forwarded-port",
            "x-forwarded-scheme",
            "x-scheme",
            "x-original-forwarded-for",
        ],
    ),
    (
        "HAProxy, option forwardfor, originalto and forwarded",
        &["x-forwarded-for", "x-original-to", "forwarded", "x-unique-id"],
    ),
    (
        "Envoy and Istio",
        &[
            "x-forwarded-proto",
            "x-request-id",
            "x-envoy-external-address",
            "x-envoy-expected-rq-timeout-ms",
            "x-envoy-attempt-count",
            "x-envoy-peer-metadata",
            "x-forwarded-client-cert",
            "x-b3-traceid",
            "traceparent",
            "tracestate",
        ],
    ),
    (
        "Traefik",
        &[
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-forwarded-server",
            "x-real-ip",
        ],
    ),
    (
        "Apache",
        &["x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "via", "max-forwards"],
    ),
    ("Caddy", &["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via"]),
    ("Squid", &["via", "x-forwarded-for", "x-cache-lookup", "surrogate-capability"]),
    ("Varnish", &["x-forwarded-for", "x-varnish", "via"]),
    (
        "AWS ALB and CloudFront",
        &[
            "x-forwarded-for",
            "x-forwarded-port",
            "x-amzn-trace-id",
            "x-amz-cf-id",
            "cloudfront-viewer-address",
            "cloudfront-forwarded-proto",
        ],
    ),
    (
        "Google Cloud",
        &[
            "via",
            "x-cloud-trace-context",
            "x-forwarded-for",
            "x-client-region",
            "x-goog-iap-jwt-assertion",
        ],
    ),
    (
        "Cloudflare",
        &[
            "cf-connecting-ip",
            "cf-ray",
            "cf-visitor",
            "cf-ipcountry",
            "cf-warp-tag-id",
            "true-client-ip",
            "cdn-loop",
            "cf-connecting-ipv6",
            "cf-pseudo-ipv4",
        ],
    ),
    (
        "Fastly",
        &["fastly-client-ip", "fastly-ff", "fastly-ssl", "fastly-client", "x-timer", "cdn-loop"],
    ),
    (
        "Akamai",
        &[
            "true-client-ip",
            "akamai-origin-hop",
            "x-akamai-edgescape",
            "x-akamai-config-log-detail",
        ],
    ),
    (
        "Azure",
        &[
            "x-azure-clientip",
            "x-azure-socketip",
            "x-azure-ref",
            "x-azure-requestchain",
            "x-azure-fdid",
            "x-fd-healthprobe",
            "x-original-host",
            "x-appgw-trace-id",
            "x-arr-ssl",
            "x-arr-log-id",
            "client-ip",
            "disguised-host",
            "x-site-deployment-id",
            "was-default-hostname",
            "x-ms-client-principal",
        ],
    ),
    (
        "Heroku, Fly.io and Vercel",
        &[
            "x-request-start",
            "connect-time",
            "total-route-time",
            "fly-client-ip",
            "fly-forwarded-port",
            "x-vercel-id",
            "x-vercel-forwarded-for",
        ],
    ),
    (
        "ngrok, localtunnel and Tailscale",
        &[
            "x-forwarded-for",
            "ngrok-skip-browser-warning",
            "ngrok-auth-user-email",
            "bypass-tunnel-reminder",
            "tailscale-user-login",
            "tailscale-headers-info",
        ],
    ),
    (
        "Zscaler, Blue Coat and WebLogic",
        &[
            "x-bluecoat-via",
            "x-zscaler-client",
            "wl-proxy-client-ip",
            "proxy-client-ip",
            "x-wcproxy-clientip",
        ],
    ),
    (
        "proxies that authenticate: oauth2-proxy, Grafana's, authentik, Pomerium, Authelia",
        &[
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-access-token",
            "x-auth-username",
            "x-webauth-user",
            "x-authentik-username",
            "x-authentik-jwt",
            "x-pomerium-jwt-assertion",
            "x-pomerium-claim-email",
            "remote-user",
            "remote-groups",
            "remote-email",
            "x-remote-user",
            "x-authenticated-user",
        ],
    ),
    (
        "App Engine, Netlify and DigitalOcean",
        &[
            "x-appengine-user-ip",
            "x-appengine-country",
            "x-nf-client-connection-ip",
            "x-nf-request-id",
            "do-connecting-ip",
        ],
    ),
    (
        "nginx and HAProxy, of a client's certificate",
        &[
            "ssl-client-cert",
            "ssl-client-verify",
            "ssl-client-subject-dn",
            "x-ssl-client-cert",
            "x-ssl-cert",
            "x-ssl-client-verify",
        ],
    ),
    (
        "older ones",
        &[
            "forwarded-for",
            "x-forwarded",
            "x-cluster-client-ip",
            "x-proxyuser-ip",
            "x-client-ip",
            "x-originating-ip",
            "x-remote-ip",
            "x-remote-addr",
            "client-ip",
            "x-host",
            "x-original-url",
            "x-rewrite-url",
            "x-http-host-override",
            "proxy",
            "proxy-connection",
            "proxy-authorization",
            "front-end-https",
            "early-data",
            "upgrade",
            "transfer-encoding",
            "expect",
            "http2-settings",
            "trailer",
        ],
    ),
];

#[test]
fn headers_that_proxies_add_are_denied() {
    for (proxy, names) in PROXIES {
        for name in *names {
            let headers = [("host", "127.0.0.1:9465"), ("accept", "*/*"), (*name, "203.0.113.7")];
            assert_eq!(checked(&headers), Err(NotLocal::Header((*name).to_owned())), "{proxy}");
        }
    }
}

/// Those of them that layers of an application add as well.
const ALLOWABLE: [&str; 5] =
    ["x-request-id", "x-unique-id", "x-b3-traceid", "traceparent", "tracestate"];

#[test]
fn a_header_of_the_applications_own_is_allowed_by_its_name_and_no_other_is() {
    let named = ALLOWABLE.into_iter().chain(["X-Correlation-ID", "x-tenant"]);
    for name in named {
        let headers = [("host", "localhost"), (name, "1")];
        assert_eq!(checked(&headers), Err(NotLocal::Header(name.to_ascii_lowercase())), "{name}");
        let text = checked(&headers).unwrap_err().text();
        let (token, allow) = (text.find("Dashboard::token"), text.find("Dashboard::allow_header"));
        assert!(token.is_some() && token < allow, "the token comes first: {text}");
        assert_eq!(checked_with(&headers, &[name]), Ok(()), "{name}");
        let other = [("host", "localhost"), (name, "1"), ("x-other", "1")];
        assert_eq!(checked_with(&other, &[name]), Err(NotLocal::Header("x-other".to_owned())));
    }
    // The other requirements still apply.
    let allowed = ["x-request-id"];
    assert_eq!(checked_with(&[("host", "evil.example")], &allowed), Err(NotLocal::Host));
    let named = [("host", "localhost"), ("connection", "x-request-id")];
    assert_eq!(checked_with(&named, &allowed), Err(NotLocal::Header("connection".to_owned())));
}

#[test]
fn headers_that_proxies_add_cannot_be_allowed() {
    let names = PROXIES.iter().flat_map(|(_, names)| *names);
    for name in names.filter(|name| !ALLOWABLE.contains(name)) {
        assert!(allowed_header(name).is_err(), "{name}");
        assert!(allowed_header(&name.to_ascii_uppercase()).is_err(), "{name}");
        let headers = [("host", "localhost"), (*name, "203.0.113.7")];
        let text = checked(&headers).unwrap_err().text();
        assert!(text.contains("token") && !text.contains("allow_header"), "{text}");
    }
    for name in ["", "a b", "x:y", "ü", &"x".repeat(MAX_NAME + 1), "host", "connection"] {
        assert!(allowed_header(name).is_err(), "{name}");
    }
    assert!(allowed_header(&"x".repeat(MAX_NAME)).is_ok());
}

#[test]
fn hop_by_hop_headers_are_denied() {
    let with = |value| checked(&[("host", "localhost"), ("connection", value)]);
    for value in ["keep-alive", "Keep-Alive", "close"] {
        assert_eq!(with(value), Ok(()), "{value}");
    }
    for value in ["upgrade", "close, x-forwarded-for", "keep-alive, te", "", "x-real-ip"] {
        assert_eq!(with(value), Err(NotLocal::Header("connection".to_owned())), "{value}");
    }
}

#[test]
fn the_text_says_which_header_it_was_within_bounds() {
    let name = "x".repeat(1_000);
    let text = checked(&[("host", "localhost"), (&name, "1")]).unwrap_err().text();
    assert!(text.contains(&name[..MAX_SHOWN - 1]) && text.len() < 500, "{text}");
}

proptest! {
    #[test]
    fn a_header_that_is_not_known_is_denied(
        name in "[!#$%&'*+.^_`|~0-9a-z-]{1,40}",
        value in "[ -~]{0,40}",
        like in prop::sample::select(CLIENT_HEADERS),
        at in any::<prop::sample::Index>(),
    ) {
        // Any name, and names that resemble known ones.
        let cut = at.index(like.len() + 1);
        for name in [name.clone(), format!("x-{like}"), format!("{like}{name}"), format!("{}{name}{}", &like[..cut], &like[cut..])] {
            let parsed = HeaderName::from_bytes(name.as_bytes()).unwrap();
            prop_assume!(!is_of_a_client(&parsed));
            let checked = checked(&[("host", "localhost"), (&name, &value), ("accept", "*/*")]);
            prop_assert!(matches!(checked, Err(NotLocal::Header(_))), "{name}");
        }
    }
}
