//! The headers that interceptors cannot change.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use octowire::auth::PersonalToken;
use octowire::cache::CacheStatus::{Bypass, Hit, Miss};
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::{Client, ClientBuilder, Interceptor, InterceptorFuture, OutgoingRequest, Request};
use serde_json::{Value, json};

use super::FRESH;
use crate::behavior::cache::responder::{Responder, respond};

/// The method of an interceptor that changes headers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hook {
    BeforeCall,
    BeforeAttempt,
}

const HOOKS: [Hook; 2] = [Hook::BeforeCall, Hook::BeforeAttempt];

type Change = fn(&mut HeaderMap, HeaderName);

const CHANGES: [(&str, Change); 3] = [
    ("append", |headers, name| {
        headers.append(name, HeaderValue::from_static("7"));
    }),
    ("replace", |headers, name| {
        headers.insert(name, HeaderValue::from_static("7"));
    }),
    ("remove", |headers, name| {
        headers.remove(name);
    }),
];

/// Changes a header, and keeps the headers that it sees.
#[derive(Clone, Debug)]
struct Changes {
    hook: Hook,
    header: &'static str,
    change: Change,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Changes {
    fn apply(&self, request: &mut OutgoingRequest<'_>, hook: Hook) {
        if self.hook == hook {
            self.seen.lock().unwrap().push(format!("{:?}", request.headers()));
            (self.change)(request.headers_mut(), HeaderName::from_static(self.header));
        }
    }
}

impl Interceptor for Changes {
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.apply(request, Hook::BeforeCall);
        Box::pin(async { Ok(()) })
    }

    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        self.apply(request, Hook::BeforeAttempt);
        Box::pin(async { Ok(()) })
    }
}

/// The headers of the requests that a server has received.
type Received = Arc<Mutex<Vec<HeaderMap>>>;

/// A client of a server that repeats the cookie.
fn client() -> (ClientBuilder, Received) {
    let received = Received::default();
    let server = Arc::clone(&received);
    let transport = Responder::new(move |request| {
        let cookie = request.headers().get("cookie").map(|cookie| cookie.to_str().unwrap());
        let body = json!({ "cookie": cookie }).to_string();
        server.lock().unwrap().push(request.headers().clone());
        async move { respond(200, &[FRESH], body) }
    });
    let gateway = PersonalToken::new("gateway-token").unwrap();
    let client = Client::builder().token("s3cret-token").transport(transport);
    (client.gateway("x-gateway", gateway), received)
}

fn values(headers: &HeaderMap, name: &str) -> Vec<HeaderValue> {
    headers.get_all(name).into_iter().cloned().collect()
}

/// Sets headers of a call.
type Set = fn(Request) -> Request;

#[tokio::test]
async fn an_interceptor_cannot_change_a_protected_header_in_any_method() {
    const PROTECTED: [&str; 5] =
        ["authorization", "x-gateway", "host", "content-length", "transfer-encoding"];
    const CALLS: [(&str, Set); 3] = [
        ("without headers", |call| call),
        ("with a credential", |call| {
            call.header("authorization", "Bearer 0wn-token").header("x-gateway", "0wn-gateway")
        }),
        ("with a body", |call| call.json(&json!({ "a": 1 }))),
    ];
    for (call, set) in CALLS {
        let send = async |client: Client| {
            for method in [Method::GET, Method::POST] {
                set(client.request(method, "/x")).send_empty().await.unwrap();
            }
            client.usage().report().await
        };
        let (builder, expected) = client();
        send(builder.build().unwrap()).await;
        for hook in HOOKS {
            for header in PROTECTED {
                for (name, change) in CHANGES {
                    let shown = format!("{call}, {hook:?}, {name} {header}");
                    let interceptor = Changes { hook, header, change, seen: Arc::default() };
                    let seen = Arc::clone(&interceptor.seen);
                    let (builder, received) = client();
                    send(builder.interceptor(interceptor).build().unwrap()).await;
                    let (expected, received) = (expected.lock().unwrap(), received.lock().unwrap());
                    assert_eq!((expected.len(), received.len()), (2, 2), "{shown}");
                    for (expected, received) in expected.iter().zip(received.iter()) {
                        for header in PROTECTED {
                            let expected = values(expected, header);
                            assert_eq!(values(received, header), expected, "{shown}: {header}");
                        }
                    }
                    let seen = seen.lock().unwrap().concat();
                    assert!(!seen.contains("-token"), "{shown}: {seen}");
                    let shows_own = seen.contains("0wn-");
                    assert!(!shows_own || hook == Hook::BeforeCall, "{shown}: {seen}");
                }
            }
        }
    }
}

/// An interceptor can change all other headers.
#[tokio::test]
async fn an_interceptor_can_set_other_headers() {
    for hook in HOOKS {
        for header in ["accept", "user-agent", "x-trace", "content-type"] {
            let (_, change) = CHANGES[1];
            let (builder, received) = client();
            let interceptor = Changes { hook, header, change, seen: Arc::default() };
            let client = builder.interceptor(interceptor).build().unwrap();
            let call = client.request(Method::POST, "/x").json(&json!({ "a": 1 }));
            call.send_empty().await.unwrap();
            assert_eq!(values(&received.lock().unwrap()[0], header), ["7"], "{hook:?} {header}");
        }
    }
}

/// The response to a request with a cookie belongs to the cookie's identity.
#[tokio::test]
async fn a_read_through_the_cache_sends_no_cookie_of_an_interceptor() {
    let cache = || CacheConfig::default().default_policy(CachePolicy::respect_server());
    let read = async |client: &Client, policy: CachePolicy| {
        let read = client.request(Method::GET, "/x").cache(policy).send::<Value>().await.unwrap();
        (read.meta().cache_status(), read["cookie"].clone())
    };
    let fresh = CachePolicy::respect_server;
    for (name, change) in CHANGES {
        let interceptor =
            Changes { hook: Hook::BeforeAttempt, header: "cookie", change, seen: Arc::default() };
        let (builder, received) = client();
        let client = builder.cache(cache()).interceptor(interceptor.clone()).build().unwrap();
        assert_eq!(read(&client, fresh()).await, (Miss, Value::Null), "{name}");
        assert_eq!(read(&client, fresh()).await, (Hit, Value::Null), "{name}");
        let stored = read(&client, CachePolicy::only_if_cached()).await;
        assert_eq!(stored, (Hit, Value::Null), "{name}");
        assert_eq!(values(&received.lock().unwrap()[0], "cookie"), [""; 0], "{name}");
        assert_eq!(received.lock().unwrap().len(), 1, "{name}");

        // The client's own cookie is a part of its identity.
        let (builder, received) = self::client();
        let client = builder.cache(cache()).default_header("cookie", "client");
        let client = client.interceptor(interceptor.clone()).build().unwrap();
        assert_eq!(read(&client, fresh()).await, (Miss, "client".into()), "{name}");
        assert_eq!(values(&received.lock().unwrap()[0], "cookie"), ["client"], "{name}");
    }
    // No other request is concerned: a write, a stream, a call without a cache.
    let (_, change) = CHANGES[1];
    let with_cookie = |hook| Changes { hook, header: "cookie", change, seen: Arc::default() };
    let (builder, received) = client();
    let client = builder.cache(cache()).interceptor(with_cookie(Hook::BeforeAttempt));
    let client = client.build().unwrap();
    client.request(Method::POST, "/x").send_empty().await.unwrap();
    client.request(Method::GET, "/x").send_stream().await.unwrap();
    client.request(Method::GET, "/x").cache(CachePolicy::no_store()).send_empty().await.unwrap();
    // A call that has a cookie bypasses the cache.
    let (builder, of_calls) = self::client();
    let client = builder.cache(cache()).interceptor(with_cookie(Hook::BeforeCall)).build().unwrap();
    for _ in 0..2 {
        let read = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
        assert_eq!((read.meta().cache_status(), &read["cookie"]), (Bypass, &"7".into()));
    }
    assert_eq!(client.cache().memory_bytes(), 0);
    for (requests, count) in [(received, 3), (of_calls, 2)] {
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), count);
        assert!(requests.iter().all(|request| values(request, "cookie") == ["7"]));
    }
}

#[tokio::test]
async fn a_call_with_its_own_token_for_the_gateway_bypasses_the_cache() {
    let (builder, received) = client();
    let cache = CacheConfig::default().default_policy(CachePolicy::respect_server());
    let client = builder.cache(cache).build().unwrap();
    for own in ["one", "another"] {
        let read = client.request(Method::GET, "/x").header("x-gateway", own);
        assert_eq!(read.send_empty().await.unwrap().meta().cache_status(), Bypass);
    }
    assert_eq!(client.cache().memory_bytes(), 0);
    for expected in [Miss, Hit] {
        let read = client.request(Method::GET, "/x");
        assert_eq!(read.send_empty().await.unwrap().meta().cache_status(), expected);
    }
    let received = received.lock().unwrap();
    let sent: Vec<_> = received.iter().flat_map(|request| values(request, "x-gateway")).collect();
    assert_eq!(sent, ["one", "another", "Bearer gateway-token"]);
}
