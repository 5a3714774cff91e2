match operation {
"interactions/set-restrictions-for-org" => round_trip::<octowire::types::InteractionLimitResponse>(body),
"interactions/get-restrictions-for-org" => round_trip::<octowire::types::InteractionsGetRestrictionsForOrgResponse>(body),
"private-registries/get-org-private-registry" => round_trip::<octowire::types::OrgPrivateRegistryConfiguration>(body),
"private-registries/create-org-private-registry" => round_trip::<octowire::types::OrgPrivateRegistryConfigurationWithSelectedRepositories>(body),
"private-registries/list-org-private-registries" => round_trip::<octowire::types::PrivateRegistriesListOrgPrivateRegistriesResponse>(body),
_ => return None,
}
