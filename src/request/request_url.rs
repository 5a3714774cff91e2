//! The URL of a request, which is parsed when it is first used.

use std::sync::{Arc, OnceLock};

use url::Url;

use crate::endpoints::BaseUrl;

/// The URL of a request.
///
/// That of an operation is parsed when it is first used: a call that is served from the cache uses only its path and its
/// query, which the reference contains. For this, an operation's path template is in the normal form of URLs, as all of
/// GitHub's are, and the values in it are encoded.
pub(crate) enum RequestUrl {
    Parsed(Url),
    /// The reference, and the URL once it was used.
    Relative(RelativeReference, OnceLock<Box<Url>>),
}

/// A path and a query below a base URL.
pub(crate) struct RelativeReference {
    base: Arc<BaseUrl>,
    /// The path, which begins with that of the base, and the query.
    pub(super) text: String,
    /// Where the path ends, if there is a query.
    path_end: Option<usize>,
}

impl RequestUrl {
    /// Creates the URL of a reference in the normal form of URLs.
    pub(super) fn relative(reference: RelativeReference) -> Self {
        Self::Relative(reference, OnceLock::new())
    }

    /// Returns the URL.
    pub(crate) fn get(&self) -> &Url {
        match self {
            Self::Parsed(url) => url,
            Self::Relative(reference, url) => url.get_or_init(|| Box::new(reference.resolve())),
        }
    }

    /// Converts it to the URL.
    pub(crate) fn into_url(self) -> Url {
        match self {
            Self::Parsed(url) => url,
            Self::Relative(reference, url) => {
                url.into_inner().map_or_else(|| reference.resolve(), |url| *url)
            }
        }
    }

    /// Returns the path and the query.
    pub(crate) fn path_and_query(&self) -> (&str, Option<&str>) {
        match self {
            Self::Parsed(url) => (url.path(), url.query()),
            Self::Relative(reference, _) => reference.path_and_query(),
        }
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query().0
    }

    /// Returns a URL of the same server.
    pub(super) fn server(&self) -> &Url {
        match self {
            Self::Parsed(url) => url,
            Self::Relative(reference, _) => reference.base.url(),
        }
    }
}

impl RelativeReference {
    /// Creates a reference with the path of the base. `capacity` is the expected length of the rest.
    pub(super) fn new(base: &Arc<BaseUrl>, capacity: usize) -> Self {
        let path = base.url().path().trim_end_matches('/');
        let mut text = String::with_capacity(path.len() + capacity);
        text.push_str(path);
        Self { base: Arc::clone(base), text, path_end: None }
    }

    /// Ends the path, and returns the text to which the query is added.
    pub(super) fn begin_query(&mut self) -> &mut String {
        self.path_end = Some(self.text.len());
        &mut self.text
    }

    /// Returns the URL. It is cheaper than parsing the whole URL, and a path cannot become a part of the server's name.
    pub(super) fn resolve(&self) -> Url {
        let (path, query) = self.path_and_query();
        self.base.with_path(path, query)
    }

    fn path_and_query(&self) -> (&str, Option<&str>) {
        match self.path_end.and_then(|end| self.text.split_at_checked(end)) {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.text, None),
        }
    }
}
