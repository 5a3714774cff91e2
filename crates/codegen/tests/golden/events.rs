crate::webhooks::event::generated::concerned! { SimpleUser, login }
crate::webhooks::event::generated::payload! { WebhookGithubAppAuthorizationRevoked { sender: sender } }
crate::webhooks::event::generated::actions! {
/// The event `github_app_authorization`: This event occurs when a user revokes their authorization of a GitHub App. For more information, see "[About apps](https://docs.github.com/developers/apps/getting-started-with-apps/about-apps#about-github-apps)." For information about the API to manage GitHub Apps, see [the GraphQL API documentation](https://docs.github.com/graphql/reference/objects#app) or "[Apps](https://docs.github.com/rest/apps)" in the REST API documentation.
///
/// A GitHub App receives this webhook by default and cannot unsubscribe from this event.
///
/// Anyone can revoke their authorization of a GitHub App from their [GitHub account settings page](https://github.com/settings/apps/authorizations). Revoking the authorization of a GitHub App does not uninstall the GitHub App. You should program your GitHub App so that when it receives this webhook, it stops calling the API on behalf of the person who revoked the token. If your GitHub App continues to use a revoked access token, it will receive the `401 Bad Credentials` error. For details about requests with a user access token, which require GitHub App authorization, see "[Authenticating with a GitHub App on behalf of a user](https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-with-a-github-app-on-behalf-of-a-user)."
///
/// Feature `webhook-github-app-authorization`, [GitHub's documentation](https://docs.github.com/webhooks/webhook-events-and-payloads#github_app_authorization)
GithubAppAuthorizationEvent = "github_app_authorization" {
    /// Someone revoked their authorization of a GitHub App.
    Revoked = "revoked": WebhookGithubAppAuthorizationRevoked,
}
}
crate::webhooks::event::generated::events! {
    /// `github_app_authorization`, by action.
    actions GithubAppAuthorization = "github_app_authorization": GithubAppAuthorizationEvent;
}
