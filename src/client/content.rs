//! Content that is not JSON: GitHub's media types, text and bytes, and downloads to files.

use std::path::PathBuf;

use bytes::Bytes;
use http::HeaderValue;

use super::{Request, ResponseFuture};
use crate::error::Result;
use crate::pipeline::{BodyMode, execute};
use crate::response::{ByteStream, Response, content};

/// GitHub's [media
/// types](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types) for content
/// that is not JSON. Which of them an operation has, its documentation says; another one is ignored, or rejected with 415.
///
/// The response is read with [`send_text`](Self::send_text), [`send_bytes`](Self::send_bytes) or
/// [`send_stream`](Self::send_stream).
impl Request {
    /// Requests a diff, of a commit, a comparison or a pull request: `application/vnd.github.diff`.
    ///
    /// ```no_run
    /// # #[cfg(feature = "pulls")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let pull = github.pulls().get().owner("octocat").repo("hello-world").pull_number(1);
    /// let diff = pull.into_request().diff().send_text().await?;
    /// println!("{}", *diff);
    /// # Ok(())
    /// # }
    /// ```
    pub fn diff(self) -> Self {
        self.media_type("application/vnd.github.diff")
    }

    /// Requests patches with their messages, of a commit, a comparison or a pull request, as `git am` reads them:
    /// `application/vnd.github.patch`.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let commit = github.repos().get_commit().owner("octocat").repo("hello-world").ref_("main");
    /// let patch = commit.into_request().patch().send_text().await?;
    /// println!("{}", *patch);
    /// # Ok(())
    /// # }
    /// ```
    pub fn patch(self) -> Self {
        self.media_type("application/vnd.github.patch")
    }

    /// Requests the content itself, of a file, a blob or a gist: `application/vnd.github.raw+json`. Files of more than 1
    /// MB have no other form.
    ///
    /// An operation about issues or comments returns JSON still, with their text as Markdown.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let file = github.repos().get_content().owner("rust-lang").repo("rust").path("logo.png");
    /// let logo = file.into_request().raw().max_body_bytes(1 << 20).send_bytes().await?;
    /// println!("{} bytes", logo.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn raw(self) -> Self {
        self.media_type("application/vnd.github.raw+json")
    }

    /// Requests HTML, of a file that GitHub renders, such as a README: `application/vnd.github.html+json`.
    ///
    /// An operation about issues or comments returns JSON still, with their text as HTML.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let readme = github.repos().get_readme().owner("rust-lang").repo("rust");
    /// let page = readme.into_request().html().send_text().await?;
    /// println!("{}", *page);
    /// # Ok(())
    /// # }
    /// ```
    pub fn html(self) -> Self {
        self.media_type("application/vnd.github.html+json")
    }

    fn media_type(self, name: &'static str) -> Self {
        self.accept(HeaderValue::from_static(name))
    }
}

/// Methods that send the request, for bodies that are not JSON.
impl Request {
    /// Sends the request and returns the body as text, such as a [diff](Self::diff).
    ///
    /// The body is read as that of [`send`](Self::send): the call is retried if it breaks off, the response is cached, and
    /// [`max_body_bytes`](Self::max_body_bytes) is its limit, 64 MiB by default. A longer one fails with
    /// [`ErrorKind::BodyTooLarge`](crate::ErrorKind::BodyTooLarge), and one that is not UTF-8 with
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode).
    ///
    /// ```no_run
    /// # #[cfg(feature = "pulls")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let pull = github.pulls().get().owner("octocat").repo("hello-world").pull_number(1);
    /// // At most 1 MiB.
    /// let diff = pull.into_request().diff().max_body_bytes(1 << 20).send_text().await?;
    /// println!("{} lines", diff.lines().count());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_text(self) -> ResponseFuture<String> {
        ResponseFuture::new(execute(self.into_call(), BodyMode::Buffered), content::text)
    }

    /// Sends the request and returns the body as bytes, such as a [file](Self::raw).
    ///
    /// The body is read as by [`send_text`](Self::send_text), and need not be text.
    ///
    /// ```no_run
    /// # #[cfg(feature = "git")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let blob = github.git().get_blob().owner("octocat").repo("hello-world").file_sha("3a0f86f");
    /// let bytes = blob.into_request().raw().send_bytes().await?;
    /// println!("{} bytes", bytes.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(self) -> ResponseFuture<Bytes> {
        ResponseFuture::new(execute(self.into_call(), BodyMode::Buffered), content::bytes)
    }
}

impl ResponseFuture<ByteStream> {
    /// Sends the call and saves the body in a file, if it is not more than `limit` bytes. The value of the response is the
    /// length of the file. [`ByteStream::save_to`] has the details.
    ///
    /// ```no_run
    /// # #[cfg(all(feature = "actions", feature = "repos"))]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// // GitHub redirects to the archive on another server, which does not receive the token.
    /// let logs = github.actions().download_workflow_run_logs().owner("octocat").repo("hello-world");
    /// logs.run_id(1).send().save_to("logs.zip", 100 << 20).await?; // at most 100 MiB
    ///
    /// let asset = github.repos().get_release_asset().owner("octocat").repo("hello-world");
    /// let saved = asset.asset_id(1).send_stream().save_to("app.zip", 1 << 30).await?;
    /// println!("{} bytes", *saved);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the call, and those of [`ByteStream::save_to`].
    pub async fn save_to(self, path: impl Into<PathBuf>, limit: u64) -> Result<Response<u64>> {
        let path: PathBuf = path.into();
        let mut response = self.await?;
        let length = response.save_to(path, limit).await?;
        Ok(response.map(|_| length))
    }
}
