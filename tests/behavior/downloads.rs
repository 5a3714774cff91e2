//! Downloads to files: complete or not there.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::Method;
use octowire::testing::MockGitHub;
use octowire::{ByteStream, DownloadProgress, ErrorKind, Response};

use crate::support::{Folder, Server, json_response};

async fn stream(server: &Server) -> Response<ByteStream> {
    server.client().request(Method::GET, "/archive").send_stream().await.unwrap()
}

#[tokio::test]
async fn a_download_is_saved_with_its_progress() {
    let body = "0123456789".repeat(100_000);
    let server = Server::fixed_response(json_response("200 OK", "", &body)).await;
    let folder = Folder::created("downloads-saved");
    let path = folder.0.join("a.txt");
    let seen: Arc<Mutex<Vec<DownloadProgress>>> = Arc::default();
    let mut download = stream(&server).await;
    assert_eq!(download.length(), Some(1_000_000));
    let entries = Arc::clone(&seen);
    download.on_progress(move |progress| entries.lock().unwrap().push(progress));
    assert_eq!(download.save_to(&path, 1_000_000).await.unwrap(), 1_000_000);
    assert_eq!(fs::read_to_string(&path).unwrap(), body);
    assert_eq!(folder.names(), ["a.txt"]);
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1 && seen.is_sorted_by_key(|progress| progress.received));
    assert!(seen.iter().all(|progress| progress.total == Some(1_000_000)));
    assert_eq!(seen.last().unwrap().received, 1_000_000);
}

#[tokio::test]
async fn a_download_in_one_call_replaces_a_former_file() {
    let server = Server::fixed_response(json_response("200 OK", "", "new")).await;
    let folder = Folder::created("downloads-replaced");
    let path = folder.0.join("a.txt");
    fs::write(&path, "a longer former file").unwrap();
    let call = server.client().request(Method::GET, "/archive").send_stream();
    let saved = call.save_to(&path, 3).await.unwrap();
    assert_eq!(
        (*saved, saved.meta().status().as_u16(), saved.meta().operation()),
        (3, 200, "GET /archive")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(folder.names(), ["a.txt"]);
}

#[tokio::test]
async fn a_download_that_fails_leaves_the_former_file_and_no_part() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let folder = Folder::created("downloads-failed");
    let path = folder.0.join("a.txt");
    fs::write(&path, "former").unwrap();
    for (response, kind) in [
        // The length exceeds the limit; the body does.
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcdefghi".to_owned(),
            ErrorKind::BodyTooLarge,
        ),
        (format!("{CHUNKED}9\r\nabcdefghi\r\n0\r\n\r\n"), ErrorKind::BodyTooLarge),
        // The connection ends early.
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabc".to_owned(), ErrorKind::Transport),
        (format!("{CHUNKED}3\r\nabc\r\n"), ErrorKind::Transport),
    ] {
        let server = Server::fixed_response(response.clone()).await;
        let error = stream(&server).await.save_to(&path, 8).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{response:?}: {error}");
        assert_eq!(error.operation(), Some("GET /archive"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "former");
        assert_eq!(folder.names(), ["a.txt"], "{response:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_error_that_names_it() {
    let server = Server::fixed_response(json_response("200 OK", "", "new")).await;
    let folder = Folder::created("downloads-unwritable");
    for path in [folder.0.join("missing").join("a.txt"), folder.0.clone()] {
        let error = stream(&server).await.save_to(&path, 3).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        let shown = error.to_string();
        let expected = format!("GET /archive: cannot create the file {path:?}: ");
        assert!(shown.starts_with(&expected), "{shown}");
        let source = std::error::Error::source(&error);
        assert!(source.is_some_and(|source| source.is::<std::io::Error>()), "{error:?}");
    }
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn a_download_that_is_dropped_leaves_no_part() {
    let server = Server::silent_after("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    let folder = Folder::created("downloads-dropped");
    let mut download = stream(&server).await;
    let (sender, received) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let path = folder.0.clone();
    download.on_progress(move |_| {
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "there is no part to remove");
        if let Some(sender) = sender.take() {
            sender.send(()).unwrap();
        }
    });
    tokio::select! {
        saved = download.save_to(folder.0.join("a.txt"), 9) => panic!("{saved:?}"),
        chunk = received => chunk.unwrap(),
    }
    assert!(folder.names().is_empty());
    // The rest of the body is still there to be read.
    assert!(futures_util::FutureExt::now_or_never(download.next()).is_none());
}

#[tokio::test]
async fn a_file_of_the_current_folder_and_an_empty_one_are_saved() {
    let server = Server::fixed_response(json_response("200 OK", "", "")).await;
    let name = format!("octowire-downloads-{}.txt", std::process::id());
    assert_eq!(stream(&server).await.save_to(&name, 0).await.unwrap(), 0);
    let read = fs::read(Path::new(&name));
    fs::remove_file(&name).unwrap();
    assert!(read.unwrap().is_empty());
}

#[tokio::test]
async fn archives_and_release_assets_are_downloaded_in_one_call() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let folder = Folder::created("downloads-mock");
    let path = folder.0.join("a.zip");

    let call = github.repos().download_zipball_archive().owner("octocat").repo("hello-world");
    let saved = call.ref_("main").send().save_to(&path, 1_000).await.unwrap();
    let archive = fs::read(&path).unwrap();
    assert_eq!(archive.len() as u64, *saved);
    assert!(archive.starts_with(b"PK"));

    let asset = || github.repos().get_release_asset().owner("octocat").repo("hello-world");
    let saved = asset().asset_id(1).send_stream().save_to(&path, 1_000).await.unwrap();
    assert_eq!(fs::read(&path).unwrap().len() as u64, *saved);
    let requests = mock.requests();
    let mut requests = requests.iter();
    let asset_id = Some("repos/get-release-asset");
    let request = requests.find(|request| request.operation_id() == asset_id).unwrap();
    assert_eq!(request.headers()["accept"], "application/octet-stream");
    // The call itself still returns the metadata.
    assert!(!asset().asset_id(1).send().await.unwrap().name.is_empty());
}
