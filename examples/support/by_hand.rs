//! A hand-written client of GitHub with only the features that were needed when it was written.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::Issue;

pub struct ByHand {
    http: reqwest::Client,
    base_url: String,
    follows_pages: AtomicBool,
}

impl ByHand {
    pub fn new(base_url: String) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().user_agent("bot").build()?;
        Ok(Self { http, base_url, follows_pages: AtomicBool::new(false) })
    }

    /// Corrects the defect that was unnoticed for years.
    pub fn follow_pages(&self) {
        self.follows_pages.store(true, Ordering::Relaxed);
    }

    pub async fn issues(&self, owner: &str, repo: &str) -> reqwest::Result<Vec<Issue>> {
        let mut issues = Vec::new();
        let mut url = Some(format!("{}/repos/{owner}/{repo}/issues", self.base_url));
        while let Some(page) = url {
            let response = self.http.get(page).send().await?.error_for_status()?;
            url = next(&response).filter(|_| self.follows_pages.load(Ordering::Relaxed));
            issues.extend(response.json::<Vec<Value>>().await?.iter().map(issue));
        }
        Ok(issues)
    }
}

fn next(response: &reqwest::Response) -> Option<String> {
    let links = response.headers().get("link")?.to_str().ok()?;
    links.split(", ").find_map(|link| {
        let (url, rel) = link.split_once("; ")?;
        (rel == "rel=\"next\"").then(|| url.trim_matches(['<', '>']).to_owned())
    })
}

fn issue(json: &Value) -> Issue {
    Issue {
        number: json["number"].as_i64().unwrap_or_default(),
        title: json["title"].as_str().unwrap_or_default().to_owned(),
        comments: json["comments"].as_i64().unwrap_or_default(),
    }
}
