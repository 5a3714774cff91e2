//! A custom service behind the layer that verifies.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use octowire::webhooks::{Delivery, VerifyLayer};
use tower::{Layer, ServiceExt, service_fn};

use super::{delivery, signed, verifier};

async fn echo(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let delivery = request.extensions().get::<Delivery>().cloned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let delivery = delivery.expect("only what is verified comes here");
    assert_eq!(delivery.payload(), &body);
    Ok(Response::new(Full::from(delivery.id().to_owned())))
}

#[tokio::test]
async fn the_verify_layer_passes_only_signed_requests() {
    let service = VerifyLayer::new(verifier()).layer(service_fn(echo));
    let response = service.clone().oneshot(signed(delivery("d-1"))).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "d-1");
    let unsigned = Request::post("/").body(Full::from("{}")).unwrap();
    let response = service.oneshot(unsigned).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "unauthorized\n");
}
