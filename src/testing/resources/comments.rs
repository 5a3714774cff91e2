//! Comments of issues.

use serde_json::{Value, json};

use super::issues::set;
use super::{Repository, ResourceRequest, WireResponse};

impl Repository {
    pub(super) fn comment_call(
        &mut self,
        call: &str,
        ask: &ResourceRequest<'_>,
    ) -> Option<WireResponse> {
        Some(match call {
            "create-comment" => self.create_comment(ask.number("issue_number")?, ask),
            "list-comments" => {
                let of = ask.number("issue_number")?;
                match self.issues.contains_key(&of) {
                    true => ask.list(self.list_comments(Some(of), ask)),
                    false => ask.not_found(),
                }
            }
            "list-comments-for-repo" => ask.list(self.list_comments(None, ask)),
            "get-comment" => match self.comments.get(&ask.number("comment_id")?) {
                Some((_, comment)) => ask.reply(comment),
                None => ask.not_found(),
            },
            "update-comment" => match self.comments.get_mut(&ask.number("comment_id")?) {
                Some((_, comment)) => {
                    set(comment, "body", ask.body["body"].clone());
                    set(comment, "updated_at", ask.now());
                    ask.reply(comment)
                }
                None => ask.not_found(),
            },
            "delete-comment" => match self.comments.remove(&ask.number("comment_id")?) {
                Some((issue, _)) => {
                    self.count(issue, ask);
                    ask.no_content()
                }
                None => ask.not_found(),
            },
            _ => return None,
        })
    }

    fn create_comment(&mut self, issue: u64, ask: &ResourceRequest<'_>) -> WireResponse {
        if !self.issues.contains_key(&issue) {
            return ask.not_found();
        }
        let id = self.next_id();
        let mut comment = self.examples.comment.clone();
        let now = ask.now();
        let html_url = self.html_url(&format!("issues/{issue}#issuecomment-{id}"));
        set(&mut comment, "id", json!(id));
        set(&mut comment, "body", ask.body["body"].clone());
        set(&mut comment, "url", json!(self.url(&format!("issues/comments/{id}"))));
        set(&mut comment, "html_url", json!(html_url));
        set(&mut comment, "issue_url", json!(self.url(&format!("issues/{issue}"))));
        set(&mut comment, "created_at", now.clone());
        set(&mut comment, "updated_at", now);
        let reply = ask.created(&comment);
        self.comments.insert(id, (issue, comment));
        self.count(issue, ask);
        reply
    }

    fn list_comments(&self, of: Option<u64>, ask: &ResourceRequest<'_>) -> Vec<Value> {
        let comments = self
            .comments
            .values()
            .filter(|(issue, comment)| of.is_none_or(|of| of == *issue) && ask.is_recent(comment));
        comments.map(|(_, comment)| comment.clone()).collect()
    }

    /// Updates the number of comments of an issue.
    fn count(&mut self, issue: u64, ask: &ResourceRequest<'_>) {
        let count = self.comments.values().filter(|(of, _)| *of == issue).count();
        if let Some(issue) = self.issues.get_mut(&issue) {
            set(issue, "comments", json!(count));
            set(issue, "updated_at", ask.now());
        }
    }
}
