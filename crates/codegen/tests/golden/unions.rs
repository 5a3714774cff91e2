&[
("InteractionsGetRestrictionsForOrgResponse", read::<octowire::types::InteractionsGetRestrictionsForOrgResponse> as Reader, &[
    ("InteractionLimitResponse", "{\"limit\":\"existing_users\",\"origin\":\"text\",\"expires_at\":\"2020-02-29T12:00:00Z\"}", "{\"limit\":\"existing_users\",\"origin\":\"text\",\"expires_at\":\"2020-02-29T12:00:00Z\"}"),
    ("Object", "{}", "{}"),
]),
]
