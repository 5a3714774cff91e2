//! The pages of the loopback server. They load nothing, and contain no script.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use url::Url;

use crate::endpoints::origin_of;
use crate::util::html::escaped;

/// The style of all pages. The Content-Security-Policy names its digest.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}\
    pre{overflow:auto;padding:1rem;border:1px solid}button{font:inherit;padding:.5rem 1rem}";

/// Returns the page with the form, which posts the manifest to GitHub when the person clicks.
pub(super) fn form(action: &Url, manifest: &str) -> String {
    let server = escaped(&origin_of(action));
    let (action, value, shown) =
        (escaped(action.as_str()), escaped(manifest), escaped(&indented(manifest)));
    page(
        "Register a GitHub App",
        &format!(
            "<p>Sign in to {server} in this browser first. GitHub then asks for the App's name, and \
             registers it with these settings:</p>\n<pre>{shown}</pre>\n<form method=\"post\" \
             action=\"{action}\">\n<input type=\"hidden\" name=\"manifest\" value=\"{value}\">\n<button \
             type=\"submit\">Continue to {server}</button>\n</form>"
        ),
    )
}

/// Returns the page after the registration, with a link to the page on which the App is installed.
pub(super) fn registered(install_url: Option<&Url>) -> String {
    let link = install_url.map(|url| {
        let url = escaped(url.as_str());
        format!("\n<p><a href=\"{url}\" rel=\"noreferrer\">Install the App on an account</a></p>")
    });
    let text = "<p>Return to the program that registered it.</p>";
    page("The GitHub App is registered", &format!("{text}{}", link.unwrap_or_default()))
}

/// Returns a page with a text.
pub(super) fn message(title: &str, text: &str) -> String {
    page(title, &format!("<p>{}</p>", escaped(text)))
}

fn page(title: &str, content: &str) -> String {
    let title = escaped(title);
    // The empty icon prevents a request for one.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light \
         dark\">\n<title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
}

/// Returns JSON with line breaks, for a person to read.
fn indented(json: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| json.to_owned())
}

/// Returns the policy of all pages: no scripts, no resources but their own style and the empty icon, no frames, and
/// forms to the server of this URL only.
pub(super) fn content_security_policy(action: &Url) -> HeaderValue {
    let (style, server) = (STANDARD.encode(Sha256::digest(STYLE)), origin_of(action));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action {server}; base-uri \
         'none'; frame-ancestors 'none'"
    );
    // An origin is ASCII. Otherwise the form could not be sent.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_attribute() {
        let action = "https://github.com/settings/apps/new?state=a&b=%22".parse().unwrap();
        let manifest = r#"{"name":"\"><script>alert('1')</script>&quot;"}"#;
        let html = form(&action, manifest);
        assert!(!html.contains("<script") && !html.contains("alert('1')"), "{html}");
        assert!(html.contains("action=\"https://github.com/settings/apps/new?state=a&amp;b=%22\""));
        assert_eq!(html.matches("<input").count(), 1, "{html}");
        assert!(!message("<b>", "<i>").contains("<b>") && !message("<b>", "<i>").contains("<i>"));
    }

    #[test]
    fn the_policy_admits_the_style_and_forms_to_github_only() {
        let action = "https://github.com/settings/apps/new".parse().unwrap();
        let policy = content_security_policy(&action);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("form-action https://github.com;"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        // The digest is that of the text between the tags.
        let html = message("a", "b");
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(policy.contains(&format!("'sha256-{digest}'")), "{policy}");
    }

    #[test]
    fn the_last_page_leads_to_the_installation() {
        let url = "https://github.com/apps/octo-app/installations/new".parse().unwrap();
        assert!(registered(Some(&url)).contains(&format!("href=\"{url}\"")));
        assert!(!registered(None).contains("href=\"http"));
    }
}
