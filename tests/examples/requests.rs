//! Argument types of setters, for operations of the complete description: an id of a response fits the
//! parameter that it names, as it is.

use octowire::chrono::{DateTime, NaiveDate, Utc};
use octowire::types::{
    AgentsCreateOrgVariableBodyVisibility, CodeScanningDefaultSetupUpdateLanguagesItemInput,
};
use octowire::{Client, types};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that responds with `{}`, and the requests that it receives: target and body.
async fn server() -> (Client, tokio::sync::mpsc::UnboundedReceiver<(String, String)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (note, noted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let mut part = [0; 4096];
                let count = socket.read(&mut part).await.unwrap();
                bytes.extend_from_slice(&part[..count]);
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.parse::<usize>().unwrap())
                });
                if count == 0 || body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let target = head.split(' ').nth(1).unwrap();
            let target = percent_encoding::percent_decode_str(target).decode_utf8().unwrap();
            note.send((target.into_owned(), body)).unwrap();
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            socket.write_all(response).await.unwrap();
        }
    });
    (Client::builder().base_url(&url).build().unwrap(), noted)
}

#[tokio::test]
async fn workflow_runs_are_listed_by_a_range_of_times() {
    let (client, mut noted) = server().await;
    let list = || client.actions().list_workflow_runs_for_repo().owner("o").repo("r");
    let date = |day: u32| NaiveDate::from_ymd_opt(2024, 1, day).unwrap();
    let time: DateTime<Utc> = "2024-01-01T08:00:00Z".parse().unwrap();
    for (call, created) in [
        (list().created(">=2024-01-01"), ">=2024-01-01"),
        (list().created("2024-01-01..2024-01-31"), "2024-01-01..2024-01-31"),
        (list().created(date(1)..=date(31)), "2024-01-01..2024-01-31"),
        (list().created(date(1)..), ">=2024-01-01"),
        (list().created(date(1)), "2024-01-01"),
        (list().created(time), "2024-01-01T08:00:00Z"),
        (list().created(time..), ">=2024-01-01T08:00:00Z"),
    ] {
        call.into_request().send_empty().await.unwrap();
        let (target, _) = noted.recv().await.unwrap();
        assert_eq!(target, format!("/repos/o/r/actions/runs?created={created}"));
    }
    let advisories = client.security_advisories().list_global_advisories();
    advisories.updated(date(1)..).into_request().send_empty().await.unwrap();
    assert_eq!(noted.recv().await.unwrap().0, "/advisories?updated=>=2024-01-01");
}

#[tokio::test]
async fn dates_times_and_lists_are_text_or_values() {
    let (client, mut noted) = server().await;
    let day = || client.copilot().copilot_organization_one_day_usage_metrics().org("o");
    for call in [day().day("2025-10-13"), day().day(NaiveDate::from_ymd_opt(2025, 10, 13).unwrap())]
    {
        call.into_request().send_empty().await.unwrap();
        assert!(noted.recv().await.unwrap().0.ends_with("?day=2025-10-13"));
    }
    let error = day().day("13.10.2025").into_request().send_empty().await.unwrap_err();
    assert!(
        error.to_string().contains(r#"invalid query parameter "day": `13.10.2025` is not a date"#)
    );
    let items = client.projects().list_items_for_org().org("o").project_number(1);
    items.fields([123_i64, 456]).into_request().send_empty().await.unwrap();
    assert!(noted.recv().await.unwrap().0.ends_with("?fields=123,456"));
    let contributors = client.repos().list_contributors().owner("o").repo("r").anon(true);
    contributors.into_request().send_empty().await.unwrap();
    assert!(noted.recv().await.unwrap().0.ends_with("?anon=true"));
    let search = client.search().issues_and_pull_requests().q("x").advanced_search(true);
    search.into_request().send_empty().await.unwrap();
    assert!(noted.recv().await.unwrap().0.contains("advanced_search=true"));
}

#[tokio::test]
async fn handles_of_entities_set_their_parameters_at_any_place_of_the_path() {
    let (client, mut noted) = server().await;
    let (repo, org) = (client.repo("o", "r"), client.org("acme"));
    let (user, enterprise) = (client.user("mona"), client.enterprise("octo"));
    let team_repo = "/orgs/acme/teams/core/repos/o/r";
    let membership = "/enterprises/octo/teams/core/memberships/mona";
    for (call, target) in [
        (repo.actions().list_artifacts_for_repo().into_request(), "/repos/o/r/actions/artifacts"),
        (
            repo.activity().check_repo_is_starred_by_authenticated_user().into_request(),
            "/user/starred/o/r",
        ),
        (
            repo.teams()
                .check_permissions_for_repo_in_org()
                .org("acme")
                .team_slug("core")
                .into_request(),
            team_repo,
        ),
        (
            org.teams()
                .check_permissions_for_repo_in_org()
                .team_slug("core")
                .owner("o")
                .repo("r")
                .into_request(),
            team_repo,
        ),
        (
            org.billing().get_all_budgets_org().into_request(),
            "/organizations/acme/settings/billing/budgets",
        ),
        (
            user.activity().list_org_events_for_authenticated_user().org("acme").into_request(),
            "/users/mona/events/orgs/acme",
        ),
        (
            user.enterprise_team_memberships()
                .get()
                .enterprise("octo")
                .enterprise_team("core")
                .into_request(),
            membership,
        ),
        (
            enterprise
                .enterprise_team_memberships()
                .get()
                .enterprise_team("core")
                .username("mona")
                .into_request(),
            membership,
        ),
        (enterprise.enterprise_teams().list().into_request(), "/enterprises/octo/teams"),
    ] {
        call.send_empty().await.unwrap();
        assert_eq!(noted.recv().await.unwrap().0, target);
    }
}

#[tokio::test]
async fn a_value_that_the_description_lacks_is_sent_in_lists_too() {
    let (client, mut noted) = server().await;
    type Language = CodeScanningDefaultSetupUpdateLanguagesItemInput;
    let setup = client.code_scanning().update_default_setup().owner("o").repo("r");
    let languages = [Language::Other("cobol".into()), Language::try_from("go").unwrap()];
    setup.languages(languages).into_request().send_empty().await.unwrap();
    let (_, body) = noted.recv().await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "languages": ["cobol", "go"] })
    );
    let variable = client.agents().create_org_variable().org("o").name("n").value("v");
    let internal = AgentsCreateOrgVariableBodyVisibility::Other("internal".into());
    variable.visibility(internal).into_request().send_empty().await.unwrap();
    let (_, body) = noted.recv().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["visibility"], "internal");
}

/// An id of a response is given to the setter of the parameter that it names, without a cast: that
/// it compiles is the test.
#[allow(clippy::too_many_arguments, reason = "a resource each")]
fn ids_of_responses_fit(
    client: &Client,
    thread: &types::Thread,
    run: &types::WorkflowRun,
    artifact: &types::Artifact,
    user: &types::SimpleUser,
    team: &types::EnterpriseTeam,
    grant: &types::OrganizationProgrammaticAccessGrant,
    group: &types::RunnerGroupsOrg,
    project: &types::ProjectsV2,
    item: &types::ProjectsV2ItemSimple,
    workflow: &types::Workflow,
    milestone: &types::Milestone,
    image: &types::ActionsHostedRunnerCustomImage,
) {
    // Text in the response, an integer in the parameter.
    let _ = client.activity().get_thread().thread_id(&thread.id);
    let _ = client.activity().mark_thread_as_done().thread_id(thread.id.clone());
    // An integer in the response, text in the parameter.
    let _ = client.projects().create_view_for_user().user_id(user.id);
    let _ = client.api_insights().get_user_stats().user_id(user.id);
    let _ = client.users().get_context_for_user().subject_id(run.repository.id);
    let _ = client.enterprise_team_memberships().list().enterprise_team(team.id);
    let _ = client.copilot_spaces().remove_collaborator_for_org().actor_identifier(user.id);
    let _ = client.issues().list_for_repo().milestone(milestone.number);
    let _ = client.actions().update_hosted_runner_for_org().image_id(image.id);
    let _ = client.checks().create().external_id(run.id);
    // Lists of text in the parameter.
    let _ = client.orgs().list_pat_grants().token_id(grant.token_id);
    // A number in the response, an integer in the parameter.
    let _ = client.actions().get_self_hosted_runner_group_for_org().runner_group_id(group.id);
    let _ = client.projects().get_for_org().project_number(project.number);
    let _ = client.projects().get_org_item().item_id(item.id);
    // An integer in the response, a number in the body.
    let _ = client.repos().create_pages_deployment().artifact_id(artifact.id);
    // An integer or a name.
    let _ = client.actions().get_workflow().workflow_id(workflow.id);
    // The same type on both sides.
    let _ = client.actions().get_workflow_run().run_id(run.id);
}

#[test]
fn ids_of_responses_are_accepted_by_setters_unchanged() {
    let fit = ids_of_responses_fit;
    let _ = fit;
}
