//! The manifest of a GitHub App.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::error::Result;
use crate::policy::auth::PermissionLevel;
use crate::request::invalid;

/// The settings of a GitHub App that is to be registered, as GitHub's
/// [manifest](https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#github-app-manifest-parameters)
/// has them.
///
/// ```
/// use octowire::auth::PermissionLevel::{Read, Write};
/// use octowire::registration::AppManifest;
///
/// # fn main() -> octowire::Result<()> {
/// let manifest = AppManifest::new("https://bot.example.com")
///     .name("Octo Bot")
///     .webhook("https://bot.example.com/webhooks")
///     .permissions([("issues", Write), ("metadata", Read)])
///     .events(["issues", "issue_comment"]);
/// let json = manifest.to_json("https://bot.example.com/registered")?;
/// assert!(json.contains(r#""default_permissions":{"issues":"write","metadata":"read"}"#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing before it is given to an AppRegistration"]
pub struct AppManifest {
    url: String,
    name: Option<String>,
    description: Option<String>,
    public: bool,
    webhook_url: Option<String>,
    webhook_active: bool,
    callback_urls: Vec<String>,
    setup_url: Option<String>,
    setup_on_update: bool,
    request_oauth_on_install: bool,
    /// The name of the level of each permission.
    permissions: BTreeMap<String, &'static str>,
    events: BTreeSet<String>,
    /// Those without a method.
    properties: BTreeMap<String, Value>,
}

/// The properties with a method, and `redirect_url`.
const KNOWN_PROPERTIES: [&str; 12] = [
    "callback_urls",
    "default_events",
    "default_permissions",
    "description",
    "hook_attributes",
    "name",
    "public",
    "redirect_url",
    "request_oauth_on_install",
    "setup_on_update",
    "setup_url",
    "url",
];
/// GitHub's maximum length of an App's name, in characters.
const MAX_NAME_CHARS: usize = 34;
/// GitHub's maximum number of callback URLs.
const MAX_CALLBACK_URLS: usize = 10;

impl AppManifest {
    /// Creates the manifest of an App with this homepage. The App has no permissions, no events and no webhook, and only
    /// the account that owns it can install it.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: None,
            description: None,
            public: false,
            webhook_url: None,
            webhook_active: true,
            callback_urls: Vec::new(),
            setup_url: None,
            setup_on_update: false,
            request_oauth_on_install: false,
            permissions: BTreeMap::new(),
            events: BTreeSet::new(),
            properties: BTreeMap::new(),
        }
    }

    /// Suggests a name, of at most 34 characters. The person who registers the App can change it, has to if it is taken,
    /// and chooses one if there is no suggestion.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the description on the App's public page; none by default.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets whether any account can install the App, and not only the owner; `false` by default.
    pub fn public(mut self, public: bool) -> Self {
        self.public = public;
        self
    }

    /// Sets the URL to which GitHub sends [deliveries](https://docs.github.com/en/webhooks). GitHub rejects one that is
    /// not reachable from the internet, such as `localhost`. By default the App has no webhook.
    pub fn webhook(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// Sets whether GitHub sends deliveries to the [webhook](Self::webhook); `true` by default. The App's settings page
    /// can change it later.
    pub fn webhook_active(mut self, active: bool) -> Self {
        self.webhook_active = active;
        self
    }

    /// Adds a callback URL of users that sign in: see `OAuthApp::redirect_uri` (feature `oauth`). GitHub accepts ten. Each is
    /// an absolute URL without a fragment; its scheme can be that of an application on a device.
    pub fn callback_url(mut self, url: impl Into<String>) -> Self {
        self.callback_urls.push(url.into());
        self
    }

    /// Sets the URL to which GitHub sends the person who has installed the App; none by default. GitHub uses none with
    /// [`request_oauth_on_install`](Self::request_oauth_on_install), so that both are an error.
    pub fn setup_url(mut self, url: impl Into<String>) -> Self {
        self.setup_url = Some(url.into());
        self
    }

    /// Sets whether GitHub also uses the [setup URL](Self::setup_url) after an installation was changed; `false` by
    /// default.
    pub fn setup_on_update(mut self, redirect: bool) -> Self {
        self.setup_on_update = redirect;
        self
    }

    /// Sets whether a person who installs the App also signs in; `false` by default. GitHub then sends the person to the
    /// first [callback URL](Self::callback_url), without which this is an error, and to no
    /// [setup URL](Self::setup_url).
    pub fn request_oauth_on_install(mut self, request: bool) -> Self {
        self.request_oauth_on_install = request;
        self
    }

    /// Adds a permission, such as `issues`, and replaces its previous level. See GitHub's
    /// [list](https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps); the names are those
    /// of [`Installation::permission`](crate::auth::Installation::permission).
    pub fn permission(mut self, name: impl Into<String>, level: PermissionLevel) -> Self {
        self.permissions.insert(name.into(), level.as_str());
        self
    }

    /// Adds permissions, as [`permission`](Self::permission) does.
    pub fn permissions<S: Into<String>>(
        self,
        permissions: impl IntoIterator<Item = (S, PermissionLevel)>,
    ) -> Self {
        permissions
            .into_iter()
            .fold(self, |manifest, (name, level)| manifest.permission(name, level))
    }

    /// Adds a webhook [event](https://docs.github.com/en/webhooks/webhook-events-and-payloads), such as `issues`, to
    /// which the App subscribes. It needs a [webhook](Self::webhook), and mostly a permission.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.events.insert(name.into());
        self
    }

    /// Adds events, as [`event`](Self::event) does.
    pub fn events<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        names.into_iter().fold(self, |manifest, name| manifest.event(name))
    }

    /// Sets a property of the manifest that has no method here, such as one that GitHub adds later, and replaces its
    /// previous value. It is sent as it is.
    ///
    /// The other methods take precedence: a name that they set, or `redirect_url`, is an error of
    /// [`to_json`](Self::to_json), whether or not they are called.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// Returns the JSON that a browser posts to GitHub in the form field `manifest`. After the registration, GitHub
    /// redirects the browser to `redirect_url`, with a `code` and the `state` of the form.
    ///
    /// [`AppRegistration`](super::AppRegistration) calls this. The form's action is `/settings/apps/new`, or
    /// `/organizations/ORG/settings/apps/new`, below [`Client::web_url`](crate::Client::web_url).
    ///
    /// URLs are sent as they are parsed by the [URL standard](https://url.spec.whatwg.org/), as browsers do: without white
    /// space around them, and with other than ASCII characters encoded.
    ///
    /// # Errors
    /// If a value is invalid, or two of them contradict each other
    /// ([`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest)): the error names them.
    pub fn to_json(&self, redirect_url: &str) -> Result<String> {
        self.check()?;
        let optional_page = |what, url: &Option<String>| -> Result<Option<String>> {
            url.as_deref().map(|url| parse_page(what, url)).transpose()
        };
        let active = self.webhook_active;
        let webhook = optional_page("webhook", &self.webhook_url)?;
        let json = ManifestJson {
            name: self.name.as_deref(),
            url: parse_page("url", &self.url)?,
            hook_attributes: webhook.map(|url| HookAttributes { url, active }),
            redirect_url: parse_page("redirect_url", redirect_url)?,
            callback_urls: self.parse_callback_urls()?,
            setup_url: optional_page("setup_url", &self.setup_url)?,
            description: self.description.as_deref(),
            public: self.public,
            default_events: &self.events,
            default_permissions: &self.permissions,
            request_oauth_on_install: self.request_oauth_on_install,
            setup_on_update: self.setup_on_update,
            properties: &self.properties,
        };
        serde_json::to_string(&json)
            .map_err(|error| invalid("App manifest serialization failed").with_source(error))
    }

    /// Rejects what GitHub does, as far as it is known: its page shows an error without the name of the value.
    fn check(&self) -> Result<()> {
        let name_length = self.name.as_deref().map_or(1, |name| name.chars().count());
        if !(1..=MAX_NAME_CHARS).contains(&name_length) {
            return Err(invalid(format!(
                "invalid name in the App manifest: it has {name_length} characters, not 1 to \
                 {MAX_NAME_CHARS}"
            )));
        }
        if self.webhook_url.is_none() && !self.events.is_empty() {
            return Err(invalid("invalid events in the App manifest: there is no webhook")
                .with_advice(
                    "set AppManifest::webhook; it can be inactive until its server exists",
                ));
        }
        if self.request_oauth_on_install && self.callback_urls.is_empty() {
            return Err(invalid(
                "invalid request_oauth_on_install in the App manifest: there is no callback_url",
            )
            .with_advice("add AppManifest::callback_url, to which GitHub sends the person"));
        }
        if self.request_oauth_on_install && self.setup_url.is_some() {
            return Err(invalid(
                "invalid setup_url in the App manifest: GitHub uses none with \
                 request_oauth_on_install",
            )
            .with_advice("set one of them; the callback URL can lead to the setup"));
        }
        let is_known = |name: &&String| KNOWN_PROPERTIES.contains(&name.as_str());
        if let Some(name) = self.properties.keys().find(is_known) {
            return Err(invalid(format!(
                "invalid property in the App manifest: {name} has a method of its own"
            ))
            .with_advice("use the method of AppManifest; redirect_url is set by the flow"));
        }
        let names = self.permissions.keys().map(|name| ("permission", name));
        let names = names.chain(self.events.iter().map(|name| ("event", name)));
        let mut names = names.chain(self.properties.keys().map(|name| ("property", name)));
        match names.find(|(_, name)| !is_name(name)) {
            Some((what, name)) => Err(invalid(format!(
                "invalid {what} in the App manifest: {name:?} has other characters than lower-case \
                 letters, digits and underscores"
            ))),
            None => Ok(()),
        }
    }

    /// Returns the callback URLs as GitHub receives them.
    fn parse_callback_urls(&self) -> Result<Vec<String>> {
        if self.callback_urls.len() > MAX_CALLBACK_URLS {
            return Err(invalid(format!(
                "too many callback URLs in the App manifest: GitHub accepts {MAX_CALLBACK_URLS}"
            )));
        }
        let parse = |text: &String| {
            // An application on a device can have a scheme of its own.
            let url = Url::parse(text).ok().filter(|url| url.fragment().is_none());
            url.map(|url| parsed_text(&url, text)).ok_or_else(|| {
                invalid(
                    "invalid callback_url in the App manifest: expected an absolute URL without a \
                     fragment",
                )
            })
        };
        self.callback_urls.iter().map(parse).collect()
    }
}

fn is_name(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_valid)
}

/// Parses the URL of a web page or server. The parser accepts text that GitHub does not, such as `https:example.com`, so
/// that the result is sent.
fn parse_page(what: &str, text: &str) -> Result<String> {
    let is_page = |url: &Url| matches!(url.scheme(), "https" | "http") && url.has_host();
    let url = Url::parse(text).ok().filter(is_page);
    url.map(|url| parsed_text(&url, text)).ok_or_else(|| {
        invalid(format!(
            "invalid {what} in the App manifest: expected an absolute URL with http or https"
        ))
    })
}

/// Returns the text of a URL that was parsed from this one, without the `/` of an empty path: GitHub compares callback
/// URLs with those of a sign-in.
fn parsed_text(url: &Url, text: &str) -> String {
    let parsed = url.as_str();
    match parsed.strip_suffix('/') {
        Some(shorter) if url.path() == "/" && !text.trim_end().ends_with('/') => shorter.to_owned(),
        _ => parsed.to_owned(),
    }
}

/// The manifest as GitHub documents it.
#[derive(Serialize)]
struct ManifestJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_attributes: Option<HookAttributes>,
    redirect_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    callback_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    public: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    default_events: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    default_permissions: &'a BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "is_false")]
    request_oauth_on_install: bool,
    #[serde(skip_serializing_if = "is_false")]
    setup_on_update: bool,
    #[serde(flatten)]
    properties: &'a BTreeMap<String, Value>,
}

/// GitHub requires the URL if the object is there, also for an inactive webhook.
#[derive(Serialize)]
struct HookAttributes {
    url: String,
    #[serde(skip_serializing_if = "is_true")]
    active: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_true(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests;
