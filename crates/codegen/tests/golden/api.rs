/// The types of requests and responses, named as in GitHub's OpenAPI description.
///
/// `==` compares records and unions by their JSON, in which `NaN` is `null`, and enums by their text, also with text:
/// `state == "open"`. A record of a request with an invalid value, which has no JSON, equals only a record with the
/// same values and the same reasons. It keeps a reason until the setter of the same property receives a valid value: an
/// assignment to the field does not remove the reason.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
pub mod types {
#[allow(unused_imports)] use crate::codec;
codec::closed_enum! {
/// The duration of the interaction restriction. Default: `one_day`.
InteractionExpiryInput {
    OneDay = "one_day",
    ThreeDays = "three_days",
    OneWeek = "one_week",
    OneMonth = "one_month",
    SixMonths = "six_months",
}
}
codec::open_enum! {
/// The type of GitHub user that can comment, open issues, or create pull requests while the interaction limit is in effect.
InteractionGroup {
    ExistingUsers = "existing_users",
    ContributorsOnly = "contributors_only",
    CollaboratorsOnly = "collaborators_only",
}
}
codec::closed_enum! {
/// The type of GitHub user that can comment, open issues, or create pull requests while the interaction limit is in effect.
InteractionGroupInput {
    ExistingUsers = "existing_users",
    ContributorsOnly = "contributors_only",
    CollaboratorsOnly = "collaborators_only",
}
}
/// Limit interactions to a specific type of user for a specified duration
#[derive(Clone)]
#[non_exhaustive]
pub struct InteractionLimitInput {
    /// The property `limit`.
    pub limit: InteractionGroupInput,
    /// The property `expiry`, or `None` if it is absent.
    pub expiry: ::core::option::Option<InteractionExpiryInput>,
    invalid_values: codec::InvalidValues,
}
impl ::core::fmt::Debug for InteractionLimitInput { #[inline] fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { self.invalid_values.debug(f.debug_struct("InteractionLimitInput")
.field("limit", &self.limit)
.field("expiry", &self.expiry)
) } }
impl InteractionLimitInput {
    /// With all that GitHub requires. An invalid value fails the call before it is sent, unless the setter of its property receives a valid one.
    #[inline] pub fn new(limit: impl crate::IntoEnum<InteractionGroupInput>) -> Self {
        let mut invalid_values = codec::InvalidValues::default(); Self { limit: invalid_values.check("limit", crate::IntoEnum::<InteractionGroupInput>::into_enum(limit)).unwrap_or_else(<InteractionGroupInput as codec::NamedStrings>::placeholder), expiry: ::core::default::Default::default(), invalid_values }
    }
    /// Sets [`limit`](Self::limit). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn limit(mut self, value: impl crate::IntoEnum<InteractionGroupInput>) -> Self { self.limit = self.invalid_values.check("limit", crate::IntoEnum::<InteractionGroupInput>::into_enum(value)).unwrap_or_else(<InteractionGroupInput as codec::NamedStrings>::placeholder); self }
    /// Sets [`expiry`](Self::expiry). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn expiry(mut self, value: impl crate::IntoEnum<InteractionExpiryInput>) -> Self { self.expiry = self.invalid_values.check("expiry", crate::IntoEnum::<InteractionExpiryInput>::into_enum(value)); self }
}
impl codec::WriteRecord for InteractionLimitInput { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "limit", &self.limit)?;
codec::write_optional_field(_to, "expiry", &self.expiry)?;
self.invalid_values.report() } }
/// Interaction limit settings.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InteractionLimitResponse {
    /// The property `limit`.
    pub limit: InteractionGroup,
    /// The property `origin`.
    pub origin: ::std::string::String,
    /// The property `expires_at`.
    pub expires_at: ::chrono::DateTime<::chrono::Utc>,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for InteractionLimitResponse { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "limit", &self.limit)?;
codec::write_field(_to, "origin", &self.origin)?;
codec::write_field(_to, "expires_at", &self.expires_at)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for InteractionLimitResponse {
const FIELDS: &'static [&'static str] = &["limit", "origin", "expires_at"];
const REQUIRED: &'static [u16] = &[0, 1, 2];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_value(from, &mut self.limit),
1 => codec::read_value(from, &mut self.origin),
2 => codec::read_timestamp(from, &mut self.expires_at),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
codec::read_union! {
/// The response of `interactions/get-restrictions-for-org`: a value of one of the types `InteractionLimitResponse`, `Object`.
InteractionsGetRestrictionsForOrgResponse {
    InteractionLimitResponse(InteractionLimitResponse) [as_interaction_limit_response into_interaction_limit_response &InteractionLimitResponse] Record { InteractionLimitResponse; 0 1 2;  };
    Object(::std::collections::BTreeMap<::std::string::String, ::serde_json::Value>) [as_object into_object &::std::collections::BTreeMap<::std::string::String, ::serde_json::Value>] Map;
}
}
impl ::core::convert::From<InteractionLimitResponse> for InteractionsGetRestrictionsForOrgResponse {
#[inline] fn from(value: InteractionLimitResponse) -> Self { Self::InteractionLimitResponse(value) }
}
impl ::core::convert::From<::std::collections::BTreeMap<::std::string::String, ::serde_json::Value>> for InteractionsGetRestrictionsForOrgResponse {
#[inline] fn from(value: ::std::collections::BTreeMap<::std::string::String, ::serde_json::Value>) -> Self { Self::Object(value) }
}
/// Private registry configuration for an organization
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OrgPrivateRegistryConfiguration {
    /// The name of the private registry configuration.
    pub name: ::std::string::String,
    /// The registry type.
    pub registry_type: OrgPrivateRegistryConfigurationRegistryType,
    /// The authentication type for the private registry.
    pub auth_type: ::core::option::Option<OrgPrivateRegistryConfigurationAuthType>,
    /// The URL of the private registry.
    pub url: ::core::option::Option<::std::string::String>,
    /// The name that the overlay describes.
    pub username: ::core::option::Option<::std::string::String>,
    /// Whether this private registry replaces the base registry (e.g., npmjs.org for npm, rubygems.org for rubygems). When `true`, Dependabot will only use this registry and will not fall back to the public registry. When `false` (default), Dependabot will use this registry for scoped packages but may fall back to the public registry for other packages.
    pub replaces_base: ::core::option::Option<bool>,
    /// Which type of organization repositories have access to the private registry.
    pub visibility: OrgPrivateRegistryConfigurationVisibility,
    /// The tenant ID of the Azure AD application.
    pub tenant_id: ::core::option::Option<::std::string::String>,
    /// The client ID of the Azure AD application.
    pub client_id: ::core::option::Option<::std::string::String>,
    /// The AWS region.
    pub aws_region: ::core::option::Option<::std::string::String>,
    /// The AWS account ID.
    pub account_id: ::core::option::Option<::std::string::String>,
    /// The AWS IAM role name.
    pub role_name: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain.
    pub domain: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain owner.
    pub domain_owner: ::core::option::Option<::std::string::String>,
    /// The JFrog OIDC provider name.
    pub jfrog_oidc_provider_name: ::core::option::Option<::std::string::String>,
    /// The OIDC audience.
    pub audience: ::core::option::Option<::std::string::String>,
    /// The JFrog identity mapping name.
    pub identity_mapping_name: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith organization namespace.
    pub namespace: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith service account slug.
    pub service_slug: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith API host.
    pub api_host: ::core::option::Option<::std::string::String>,
    /// The full resource name of the GCP Workload Identity Provider (e.g. `projects/<NUM>/locations/global/workloadIdentityPools/<POOL>/providers/<PROVIDER>`).
    pub workload_identity_provider: ::core::option::Option<::std::string::String>,
    /// The GCP service account email to impersonate. If omitted, the federated token is used directly (direct WIF).
    pub service_account: ::core::option::Option<::std::string::String>,
    /// The property `created_at`.
    pub created_at: ::chrono::DateTime<::chrono::Utc>,
    /// The property `updated_at`.
    pub updated_at: ::chrono::DateTime<::chrono::Utc>,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for OrgPrivateRegistryConfiguration { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "name", &self.name)?;
codec::write_field(_to, "registry_type", &self.registry_type)?;
codec::write_optional_field(_to, "auth_type", &self.auth_type)?;
codec::write_optional_field(_to, "url", &self.url)?;
codec::write_optional_field(_to, "username", &self.username)?;
codec::write_optional_field(_to, "replaces_base", &self.replaces_base)?;
codec::write_field(_to, "visibility", &self.visibility)?;
codec::write_optional_field(_to, "tenant_id", &self.tenant_id)?;
codec::write_optional_field(_to, "client_id", &self.client_id)?;
codec::write_optional_field(_to, "aws_region", &self.aws_region)?;
codec::write_optional_field(_to, "account_id", &self.account_id)?;
codec::write_optional_field(_to, "role_name", &self.role_name)?;
codec::write_optional_field(_to, "domain", &self.domain)?;
codec::write_optional_field(_to, "domain_owner", &self.domain_owner)?;
codec::write_optional_field(_to, "jfrog_oidc_provider_name", &self.jfrog_oidc_provider_name)?;
codec::write_optional_field(_to, "audience", &self.audience)?;
codec::write_optional_field(_to, "identity_mapping_name", &self.identity_mapping_name)?;
codec::write_optional_field(_to, "namespace", &self.namespace)?;
codec::write_optional_field(_to, "service_slug", &self.service_slug)?;
codec::write_optional_field(_to, "api_host", &self.api_host)?;
codec::write_optional_field(_to, "workload_identity_provider", &self.workload_identity_provider)?;
codec::write_optional_field(_to, "service_account", &self.service_account)?;
codec::write_field(_to, "created_at", &self.created_at)?;
codec::write_field(_to, "updated_at", &self.updated_at)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for OrgPrivateRegistryConfiguration {
const FIELDS: &'static [&'static str] = &["name", "registry_type", "auth_type", "url", "username", "replaces_base", "visibility", "tenant_id", "client_id", "aws_region", "account_id", "role_name", "domain", "domain_owner", "jfrog_oidc_provider_name", "audience", "identity_mapping_name", "namespace", "service_slug", "api_host", "workload_identity_provider", "service_account", "created_at", "updated_at"];
const REQUIRED: &'static [u16] = &[0, 1, 6, 22, 23];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_value(from, &mut self.name),
1 => codec::read_value(from, &mut self.registry_type),
2 => codec::read_value(from, &mut self.auth_type),
3 => codec::read_value(from, &mut self.url),
4 => codec::read_value(from, &mut self.username),
5 => codec::read_value(from, &mut self.replaces_base),
6 => codec::read_value(from, &mut self.visibility),
7 => codec::read_value(from, &mut self.tenant_id),
8 => codec::read_value(from, &mut self.client_id),
9 => codec::read_value(from, &mut self.aws_region),
10 => codec::read_value(from, &mut self.account_id),
11 => codec::read_value(from, &mut self.role_name),
12 => codec::read_value(from, &mut self.domain),
13 => codec::read_value(from, &mut self.domain_owner),
14 => codec::read_value(from, &mut self.jfrog_oidc_provider_name),
15 => codec::read_value(from, &mut self.audience),
16 => codec::read_value(from, &mut self.identity_mapping_name),
17 => codec::read_value(from, &mut self.namespace),
18 => codec::read_value(from, &mut self.service_slug),
19 => codec::read_value(from, &mut self.api_host),
20 => codec::read_value(from, &mut self.workload_identity_provider),
21 => codec::read_value(from, &mut self.service_account),
22 => codec::read_timestamp(from, &mut self.created_at),
23 => codec::read_timestamp(from, &mut self.updated_at),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
codec::open_enum! {
/// The authentication type for the private registry.
OrgPrivateRegistryConfigurationAuthType {
    Token = "token",
    UsernamePassword = "username_password",
    OidcAzure = "oidc_azure",
    OidcAws = "oidc_aws",
    OidcJfrog = "oidc_jfrog",
    OidcCloudsmith = "oidc_cloudsmith",
    OidcGcp = "oidc_gcp",
}
}
codec::open_enum! {
/// The registry type.
OrgPrivateRegistryConfigurationRegistryType {
    MavenRepository = "maven_repository",
    NugetFeed = "nuget_feed",
    GoproxyServer = "goproxy_server",
    NpmRegistry = "npm_registry",
    RubygemsServer = "rubygems_server",
    CargoRegistry = "cargo_registry",
    ComposerRepository = "composer_repository",
    DockerRegistry = "docker_registry",
    GitSource = "git_source",
    HelmRegistry = "helm_registry",
    HexOrganization = "hex_organization",
    HexRepository = "hex_repository",
    PubRepository = "pub_repository",
    PythonIndex = "python_index",
    TerraformRegistry = "terraform_registry",
}
}
codec::open_enum! {
/// Which type of organization repositories have access to the private registry.
OrgPrivateRegistryConfigurationVisibility {
    All = "all",
    Private = "private",
    Selected = "selected",
}
}
/// Private registry configuration for an organization
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OrgPrivateRegistryConfigurationWithSelectedRepositories {
    /// The name of the private registry configuration.
    pub name: ::std::string::String,
    /// The registry type.
    pub registry_type: OrgPrivateRegistryConfigurationWithSelectedRepositoriesRegistryType,
    /// The authentication type for the private registry.
    pub auth_type: ::core::option::Option<OrgPrivateRegistryConfigurationWithSelectedRepositoriesAuthType>,
    /// The URL of the private registry.
    pub url: ::core::option::Option<::std::string::String>,
    /// The username to use when authenticating with the private registry.
    pub username: ::core::option::Option<::std::string::String>,
    /// Whether this private registry replaces the base registry (e.g., npmjs.org for npm, rubygems.org for rubygems). When `true`, Dependabot will only use this registry and will not fall back to the public registry. When `false` (default), Dependabot will use this registry for scoped packages but may fall back to the public registry for other packages.
    pub replaces_base: ::core::option::Option<bool>,
    /// Which type of organization repositories have access to the private registry. `selected` means only the repositories specified by `selected_repository_ids` can access the private registry.
    pub visibility: OrgPrivateRegistryConfigurationWithSelectedRepositoriesVisibility,
    /// An array of repository IDs that can access the organization private registry when `visibility` is set to `selected`.
    pub selected_repository_ids: ::std::vec::Vec<i64>,
    /// The tenant ID of the Azure AD application.
    pub tenant_id: ::core::option::Option<::std::string::String>,
    /// The client ID of the Azure AD application.
    pub client_id: ::core::option::Option<::std::string::String>,
    /// The AWS region.
    pub aws_region: ::core::option::Option<::std::string::String>,
    /// The AWS account ID.
    pub account_id: ::core::option::Option<::std::string::String>,
    /// The AWS IAM role name.
    pub role_name: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain.
    pub domain: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain owner.
    pub domain_owner: ::core::option::Option<::std::string::String>,
    /// The JFrog OIDC provider name.
    pub jfrog_oidc_provider_name: ::core::option::Option<::std::string::String>,
    /// The OIDC audience.
    pub audience: ::core::option::Option<::std::string::String>,
    /// The JFrog identity mapping name.
    pub identity_mapping_name: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith organization namespace.
    pub namespace: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith service account slug.
    pub service_slug: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith API host.
    pub api_host: ::core::option::Option<::std::string::String>,
    /// The full resource name of the GCP Workload Identity Provider (e.g. `projects/<NUM>/locations/global/workloadIdentityPools/<POOL>/providers/<PROVIDER>`).
    pub workload_identity_provider: ::core::option::Option<::std::string::String>,
    /// The GCP service account email to impersonate. If omitted, the federated token is used directly (direct WIF).
    pub service_account: ::core::option::Option<::std::string::String>,
    /// The property `created_at`.
    pub created_at: ::chrono::DateTime<::chrono::Utc>,
    /// The property `updated_at`.
    pub updated_at: ::chrono::DateTime<::chrono::Utc>,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for OrgPrivateRegistryConfigurationWithSelectedRepositories { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "name", &self.name)?;
codec::write_field(_to, "registry_type", &self.registry_type)?;
codec::write_optional_field(_to, "auth_type", &self.auth_type)?;
codec::write_optional_field(_to, "url", &self.url)?;
codec::write_optional_field(_to, "username", &self.username)?;
codec::write_optional_field(_to, "replaces_base", &self.replaces_base)?;
codec::write_field(_to, "visibility", &self.visibility)?;
codec::write_field(_to, "selected_repository_ids", &self.selected_repository_ids)?;
codec::write_optional_field(_to, "tenant_id", &self.tenant_id)?;
codec::write_optional_field(_to, "client_id", &self.client_id)?;
codec::write_optional_field(_to, "aws_region", &self.aws_region)?;
codec::write_optional_field(_to, "account_id", &self.account_id)?;
codec::write_optional_field(_to, "role_name", &self.role_name)?;
codec::write_optional_field(_to, "domain", &self.domain)?;
codec::write_optional_field(_to, "domain_owner", &self.domain_owner)?;
codec::write_optional_field(_to, "jfrog_oidc_provider_name", &self.jfrog_oidc_provider_name)?;
codec::write_optional_field(_to, "audience", &self.audience)?;
codec::write_optional_field(_to, "identity_mapping_name", &self.identity_mapping_name)?;
codec::write_optional_field(_to, "namespace", &self.namespace)?;
codec::write_optional_field(_to, "service_slug", &self.service_slug)?;
codec::write_optional_field(_to, "api_host", &self.api_host)?;
codec::write_optional_field(_to, "workload_identity_provider", &self.workload_identity_provider)?;
codec::write_optional_field(_to, "service_account", &self.service_account)?;
codec::write_field(_to, "created_at", &self.created_at)?;
codec::write_field(_to, "updated_at", &self.updated_at)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for OrgPrivateRegistryConfigurationWithSelectedRepositories {
const FIELDS: &'static [&'static str] = &["name", "registry_type", "auth_type", "url", "username", "replaces_base", "visibility", "selected_repository_ids", "tenant_id", "client_id", "aws_region", "account_id", "role_name", "domain", "domain_owner", "jfrog_oidc_provider_name", "audience", "identity_mapping_name", "namespace", "service_slug", "api_host", "workload_identity_provider", "service_account", "created_at", "updated_at"];
const REQUIRED: &'static [u16] = &[0, 1, 6, 23, 24];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_value(from, &mut self.name),
1 => codec::read_value(from, &mut self.registry_type),
2 => codec::read_value(from, &mut self.auth_type),
3 => codec::read_value(from, &mut self.url),
4 => codec::read_value(from, &mut self.username),
5 => codec::read_value(from, &mut self.replaces_base),
6 => codec::read_value(from, &mut self.visibility),
7 => codec::read_integers(from, &mut self.selected_repository_ids),
8 => codec::read_value(from, &mut self.tenant_id),
9 => codec::read_value(from, &mut self.client_id),
10 => codec::read_value(from, &mut self.aws_region),
11 => codec::read_value(from, &mut self.account_id),
12 => codec::read_value(from, &mut self.role_name),
13 => codec::read_value(from, &mut self.domain),
14 => codec::read_value(from, &mut self.domain_owner),
15 => codec::read_value(from, &mut self.jfrog_oidc_provider_name),
16 => codec::read_value(from, &mut self.audience),
17 => codec::read_value(from, &mut self.identity_mapping_name),
18 => codec::read_value(from, &mut self.namespace),
19 => codec::read_value(from, &mut self.service_slug),
20 => codec::read_value(from, &mut self.api_host),
21 => codec::read_value(from, &mut self.workload_identity_provider),
22 => codec::read_value(from, &mut self.service_account),
23 => codec::read_timestamp(from, &mut self.created_at),
24 => codec::read_timestamp(from, &mut self.updated_at),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
/// The authentication type for the private registry.
pub type OrgPrivateRegistryConfigurationWithSelectedRepositoriesAuthType = OrgPrivateRegistryConfigurationAuthType;
/// The registry type.
pub type OrgPrivateRegistryConfigurationWithSelectedRepositoriesRegistryType = OrgPrivateRegistryConfigurationRegistryType;
/// Which type of organization repositories have access to the private registry. `selected` means only the repositories specified by `selected_repository_ids` can access the private registry.
pub type OrgPrivateRegistryConfigurationWithSelectedRepositoriesVisibility = OrgPrivateRegistryConfigurationVisibility;
/// The body of `private-registries/create-org-private-registry`: an object with `registry_type`, `url`, `username`, `replaces_base`, `encrypted_value`, `key_id`, `visibility`, `selected_repository_ids`, `auth_type`, `tenant_id`, `client_id`, `aws_region` and 12 more.
#[derive(Clone)]
#[non_exhaustive]
pub struct PrivateRegistriesCreateOrgPrivateRegistryBody {
    /// The registry type.
    pub registry_type: PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType,
    /// The URL of the private registry.
    pub url: ::std::string::String,
    /// The username to use when authenticating with the private registry. This field should be omitted if the private registry does not require a username for authentication.
    pub username: ::core::option::Option<::core::option::Option<::std::string::String>>,
    /// Whether this private registry should replace the base registry (e.g., npmjs.org for npm, rubygems.org for rubygems). When set to `true`, Dependabot will only use this registry and will not fall back to the public registry. When set to `false` (default), Dependabot will use this registry for scoped packages but may fall back to the public registry for other packages.
    pub replaces_base: ::core::option::Option<bool>,
    /// The value for your secret, encrypted with [LibSodium](https://libsodium.gitbook.io/doc/bindings_for_other_languages) using the public key retrieved from the [Get private registries public key for an organization](https://docs.github.com/rest/private-registries/organization-configurations#get-private-registries-public-key-for-an-organization) endpoint. Required when `auth_type` is `token` or `username_password`. Should be omitted for OIDC auth types.
    pub encrypted_value: ::core::option::Option<::std::string::String>,
    /// The ID of the key you used to encrypt the secret. Required when `auth_type` is `token` or `username_password`. Should be omitted for OIDC auth types.
    pub key_id: ::core::option::Option<::std::string::String>,
    /// Which type of organization repositories have access to the private registry. `selected` means only the repositories specified by `selected_repository_ids` can access the private registry.
    pub visibility: PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility,
    /// An array of repository IDs that can access the organization private registry. You can only provide a list of repository IDs when `visibility` is set to `selected`. You can manage the list of selected repositories using the [Update a private registry for an organization](https://docs.github.com/rest/private-registries/organization-configurations#update-a-private-registry-for-an-organization) endpoint. This field should be omitted if `visibility` is set to `all` or `private`.
    pub selected_repository_ids: ::core::option::Option<::std::vec::Vec<i64>>,
    /// The authentication type for the private registry. Defaults to `token` if not specified. Use `oidc_azure`, `oidc_aws`, `oidc_jfrog`, `oidc_cloudsmith`, or `oidc_gcp` for OIDC authentication.
    pub auth_type: ::core::option::Option<PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType>,
    /// The tenant ID of the Azure AD application. Required when `auth_type` is `oidc_azure`.
    pub tenant_id: ::core::option::Option<::std::string::String>,
    /// The client ID of the Azure AD application. Required when `auth_type` is `oidc_azure`.
    pub client_id: ::core::option::Option<::std::string::String>,
    /// The AWS region. Required when `auth_type` is `oidc_aws`.
    pub aws_region: ::core::option::Option<::std::string::String>,
    /// The AWS account ID. Required when `auth_type` is `oidc_aws`.
    pub account_id: ::core::option::Option<::std::string::String>,
    /// The AWS IAM role name. Required when `auth_type` is `oidc_aws`.
    pub role_name: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain. Required when `auth_type` is `oidc_aws`.
    pub domain: ::core::option::Option<::std::string::String>,
    /// The CodeArtifact domain owner (AWS account ID). Required when `auth_type` is `oidc_aws`.
    pub domain_owner: ::core::option::Option<::std::string::String>,
    /// The JFrog OIDC provider name. Required when `auth_type` is `oidc_jfrog`.
    pub jfrog_oidc_provider_name: ::core::option::Option<::std::string::String>,
    /// The OIDC audience. Optional for `oidc_aws`, `oidc_jfrog`, and `oidc_gcp`, and required for `oidc_cloudsmith` auth types.
    pub audience: ::core::option::Option<::std::string::String>,
    /// The JFrog identity mapping name. Optional for `oidc_jfrog` auth type.
    pub identity_mapping_name: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith organization namespace. Required when `auth_type` is `oidc_cloudsmith`.
    pub namespace: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith service account slug. Required when `auth_type` is `oidc_cloudsmith`.
    pub service_slug: ::core::option::Option<::std::string::String>,
    /// The Cloudsmith API host. Optional for `oidc_cloudsmith` auth type. If omitted, `api.cloudsmith.io` is used by default.
    pub api_host: ::core::option::Option<::std::string::String>,
    /// The full resource name of the GCP Workload Identity Provider (e.g. `projects/<NUM>/locations/global/workloadIdentityPools/<POOL>/providers/<PROVIDER>`). Required when `auth_type` is `oidc_gcp`.
    pub workload_identity_provider: ::core::option::Option<::std::string::String>,
    /// The GCP service account email to impersonate. Optional for `oidc_gcp` auth type. If omitted, the federated token is used directly (direct WIF).
    pub service_account: ::core::option::Option<::std::string::String>,
    invalid_values: codec::InvalidValues,
}
impl ::core::fmt::Debug for PrivateRegistriesCreateOrgPrivateRegistryBody { #[inline] fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { self.invalid_values.debug(f.debug_struct("PrivateRegistriesCreateOrgPrivateRegistryBody")
.field("registry_type", &self.registry_type)
.field("url", &self.url)
.field("username", &self.username)
.field("replaces_base", &self.replaces_base)
.field("encrypted_value", &self.encrypted_value)
.field("key_id", &self.key_id)
.field("visibility", &self.visibility)
.field("selected_repository_ids", &self.selected_repository_ids)
.field("auth_type", &self.auth_type)
.field("tenant_id", &self.tenant_id)
.field("client_id", &self.client_id)
.field("aws_region", &self.aws_region)
.field("account_id", &self.account_id)
.field("role_name", &self.role_name)
.field("domain", &self.domain)
.field("domain_owner", &self.domain_owner)
.field("jfrog_oidc_provider_name", &self.jfrog_oidc_provider_name)
.field("audience", &self.audience)
.field("identity_mapping_name", &self.identity_mapping_name)
.field("namespace", &self.namespace)
.field("service_slug", &self.service_slug)
.field("api_host", &self.api_host)
.field("workload_identity_provider", &self.workload_identity_provider)
.field("service_account", &self.service_account)
) } }
impl PrivateRegistriesCreateOrgPrivateRegistryBody {
    /// With all that GitHub requires. An invalid value fails the call before it is sent, unless the setter of its property receives a valid one.
    #[inline] pub fn new(registry_type: impl crate::IntoEnum<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>, url: impl ::core::convert::Into<::std::string::String>, visibility: impl crate::IntoEnum<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>) -> Self {
        let mut invalid_values = codec::InvalidValues::default(); Self { registry_type: invalid_values.check("registry_type", crate::IntoEnum::<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>::into_enum(registry_type)).unwrap_or_else(<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType as codec::NamedStrings>::placeholder), url: url.into(), visibility: invalid_values.check("visibility", crate::IntoEnum::<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>::into_enum(visibility)).unwrap_or_else(<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility as codec::NamedStrings>::placeholder), username: ::core::default::Default::default(), replaces_base: ::core::default::Default::default(), encrypted_value: ::core::default::Default::default(), key_id: ::core::default::Default::default(), selected_repository_ids: ::core::default::Default::default(), auth_type: ::core::default::Default::default(), tenant_id: ::core::default::Default::default(), client_id: ::core::default::Default::default(), aws_region: ::core::default::Default::default(), account_id: ::core::default::Default::default(), role_name: ::core::default::Default::default(), domain: ::core::default::Default::default(), domain_owner: ::core::default::Default::default(), jfrog_oidc_provider_name: ::core::default::Default::default(), audience: ::core::default::Default::default(), identity_mapping_name: ::core::default::Default::default(), namespace: ::core::default::Default::default(), service_slug: ::core::default::Default::default(), api_host: ::core::default::Default::default(), workload_identity_provider: ::core::default::Default::default(), service_account: ::core::default::Default::default(), invalid_values }
    }
    /// Sets [`registry_type`](Self::registry_type). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn registry_type(mut self, value: impl crate::IntoEnum<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>) -> Self { self.registry_type = self.invalid_values.check("registry_type", crate::IntoEnum::<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>::into_enum(value)).unwrap_or_else(<PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType as codec::NamedStrings>::placeholder); self }
    /// Sets [`username`](Self::username).
    #[inline] #[must_use] pub fn username(mut self, value: impl ::core::convert::Into<::core::option::Option<::std::string::String>>) -> Self { self.username = ::core::option::Option::Some(value.into()); self }
    /// Sets [`replaces_base`](Self::replaces_base).
    #[inline] #[must_use] pub fn replaces_base(mut self, value: impl ::core::convert::Into<bool>) -> Self { self.replaces_base = ::core::option::Option::Some(value.into()); self }
    /// Sets [`encrypted_value`](Self::encrypted_value).
    #[inline] #[must_use] pub fn encrypted_value(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.encrypted_value = ::core::option::Option::Some(value.into()); self }
    /// Sets [`key_id`](Self::key_id).
    #[inline] #[must_use] pub fn key_id(mut self, value: impl crate::IntoText) -> Self { self.key_id = ::core::option::Option::Some(crate::IntoText::into_text(value)); self }
    /// Sets [`visibility`](Self::visibility). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn visibility(mut self, value: impl crate::IntoEnum<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>) -> Self { self.visibility = self.invalid_values.check("visibility", crate::IntoEnum::<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>::into_enum(value)).unwrap_or_else(<PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility as codec::NamedStrings>::placeholder); self }
    /// Sets [`selected_repository_ids`](Self::selected_repository_ids). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn selected_repository_ids<K>(mut self, value: impl crate::IntoIntegers<K>) -> Self { self.selected_repository_ids = self.invalid_values.check("selected_repository_ids", crate::api::into_values::Integers::integers(value)); self }
    /// Sets [`auth_type`](Self::auth_type). An invalid value fails the call before it is sent.
    #[inline] #[must_use] pub fn auth_type(mut self, value: impl crate::IntoEnum<PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType>) -> Self { self.auth_type = self.invalid_values.check("auth_type", crate::IntoEnum::<PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType>::into_enum(value)); self }
    /// Sets [`tenant_id`](Self::tenant_id).
    #[inline] #[must_use] pub fn tenant_id(mut self, value: impl crate::IntoText) -> Self { self.tenant_id = ::core::option::Option::Some(crate::IntoText::into_text(value)); self }
    /// Sets [`client_id`](Self::client_id).
    #[inline] #[must_use] pub fn client_id(mut self, value: impl crate::IntoText) -> Self { self.client_id = ::core::option::Option::Some(crate::IntoText::into_text(value)); self }
    /// Sets [`aws_region`](Self::aws_region).
    #[inline] #[must_use] pub fn aws_region(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.aws_region = ::core::option::Option::Some(value.into()); self }
    /// Sets [`account_id`](Self::account_id).
    #[inline] #[must_use] pub fn account_id(mut self, value: impl crate::IntoText) -> Self { self.account_id = ::core::option::Option::Some(crate::IntoText::into_text(value)); self }
    /// Sets [`role_name`](Self::role_name).
    #[inline] #[must_use] pub fn role_name(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.role_name = ::core::option::Option::Some(value.into()); self }
    /// Sets [`domain`](Self::domain).
    #[inline] #[must_use] pub fn domain(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.domain = ::core::option::Option::Some(value.into()); self }
    /// Sets [`domain_owner`](Self::domain_owner).
    #[inline] #[must_use] pub fn domain_owner(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.domain_owner = ::core::option::Option::Some(value.into()); self }
    /// Sets [`jfrog_oidc_provider_name`](Self::jfrog_oidc_provider_name).
    #[inline] #[must_use] pub fn jfrog_oidc_provider_name(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.jfrog_oidc_provider_name = ::core::option::Option::Some(value.into()); self }
    /// Sets [`audience`](Self::audience).
    #[inline] #[must_use] pub fn audience(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.audience = ::core::option::Option::Some(value.into()); self }
    /// Sets [`identity_mapping_name`](Self::identity_mapping_name).
    #[inline] #[must_use] pub fn identity_mapping_name(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.identity_mapping_name = ::core::option::Option::Some(value.into()); self }
    /// Sets [`namespace`](Self::namespace).
    #[inline] #[must_use] pub fn namespace(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.namespace = ::core::option::Option::Some(value.into()); self }
    /// Sets [`service_slug`](Self::service_slug).
    #[inline] #[must_use] pub fn service_slug(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.service_slug = ::core::option::Option::Some(value.into()); self }
    /// Sets [`api_host`](Self::api_host).
    #[inline] #[must_use] pub fn api_host(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.api_host = ::core::option::Option::Some(value.into()); self }
    /// Sets [`workload_identity_provider`](Self::workload_identity_provider).
    #[inline] #[must_use] pub fn workload_identity_provider(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.workload_identity_provider = ::core::option::Option::Some(value.into()); self }
    /// Sets [`service_account`](Self::service_account).
    #[inline] #[must_use] pub fn service_account(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self { self.service_account = ::core::option::Option::Some(value.into()); self }
}
impl codec::WriteRecord for PrivateRegistriesCreateOrgPrivateRegistryBody { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "registry_type", &self.registry_type)?;
codec::write_field(_to, "url", &self.url)?;
codec::write_optional_field(_to, "username", &self.username)?;
codec::write_optional_field(_to, "replaces_base", &self.replaces_base)?;
codec::write_optional_field(_to, "encrypted_value", &self.encrypted_value)?;
codec::write_optional_field(_to, "key_id", &self.key_id)?;
codec::write_field(_to, "visibility", &self.visibility)?;
codec::write_optional_field(_to, "selected_repository_ids", &self.selected_repository_ids)?;
codec::write_optional_field(_to, "auth_type", &self.auth_type)?;
codec::write_optional_field(_to, "tenant_id", &self.tenant_id)?;
codec::write_optional_field(_to, "client_id", &self.client_id)?;
codec::write_optional_field(_to, "aws_region", &self.aws_region)?;
codec::write_optional_field(_to, "account_id", &self.account_id)?;
codec::write_optional_field(_to, "role_name", &self.role_name)?;
codec::write_optional_field(_to, "domain", &self.domain)?;
codec::write_optional_field(_to, "domain_owner", &self.domain_owner)?;
codec::write_optional_field(_to, "jfrog_oidc_provider_name", &self.jfrog_oidc_provider_name)?;
codec::write_optional_field(_to, "audience", &self.audience)?;
codec::write_optional_field(_to, "identity_mapping_name", &self.identity_mapping_name)?;
codec::write_optional_field(_to, "namespace", &self.namespace)?;
codec::write_optional_field(_to, "service_slug", &self.service_slug)?;
codec::write_optional_field(_to, "api_host", &self.api_host)?;
codec::write_optional_field(_to, "workload_identity_provider", &self.workload_identity_provider)?;
codec::write_optional_field(_to, "service_account", &self.service_account)?;
self.invalid_values.report() } }
codec::closed_enum! {
/// The authentication type for the private registry. Defaults to `token` if not specified. Use `oidc_azure`, `oidc_aws`, `oidc_jfrog`, `oidc_cloudsmith`, or `oidc_gcp` for OIDC authentication.
PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType {
    Token = "token",
    UsernamePassword = "username_password",
    OidcAzure = "oidc_azure",
    OidcAws = "oidc_aws",
    OidcJfrog = "oidc_jfrog",
    OidcCloudsmith = "oidc_cloudsmith",
    OidcGcp = "oidc_gcp",
}
}
codec::closed_enum! {
/// The registry type.
PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType {
    MavenRepository = "maven_repository",
    NugetFeed = "nuget_feed",
    GoproxyServer = "goproxy_server",
    NpmRegistry = "npm_registry",
    RubygemsServer = "rubygems_server",
    CargoRegistry = "cargo_registry",
    ComposerRepository = "composer_repository",
    DockerRegistry = "docker_registry",
    GitSource = "git_source",
    HelmRegistry = "helm_registry",
    HexOrganization = "hex_organization",
    HexRepository = "hex_repository",
    PubRepository = "pub_repository",
    PythonIndex = "python_index",
    TerraformRegistry = "terraform_registry",
}
}
codec::closed_enum! {
/// Which type of organization repositories have access to the private registry. `selected` means only the repositories specified by `selected_repository_ids` can access the private registry.
PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility {
    All = "all",
    Private = "private",
    Selected = "selected",
}
}
/// The response of `private-registries/list-org-private-registries`: an object with `total_count`, `configurations`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PrivateRegistriesListOrgPrivateRegistriesResponse {
    /// The property `total_count`.
    pub total_count: i64,
    /// The property `configurations`.
    pub configurations: ::std::vec::Vec<OrgPrivateRegistryConfiguration>,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for PrivateRegistriesListOrgPrivateRegistriesResponse { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "total_count", &self.total_count)?;
codec::write_field(_to, "configurations", &self.configurations)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for PrivateRegistriesListOrgPrivateRegistriesResponse {
const FIELDS: &'static [&'static str] = &["total_count", "configurations"];
const REQUIRED: &'static [u16] = &[0];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_integer(from, &mut self.total_count),
1 => codec::read_list(from, &mut self.configurations),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
/// A GitHub user.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SimpleUser {
    /// The property `name`, or `None` if it is absent.
    pub name: ::core::option::Option<::std::string::String>,
    /// The property `email`, or `None` if it is absent.
    pub email: ::core::option::Option<::std::string::String>,
    /// The property `login`.
    pub login: ::std::string::String,
    /// The property `id`.
    pub id: i64,
    /// The property `node_id`.
    pub node_id: ::std::string::String,
    /// The property `avatar_url`.
    pub avatar_url: ::std::string::String,
    /// The property `gravatar_id`, or `None` if it is `null`.
    pub gravatar_id: ::core::option::Option<::std::string::String>,
    /// The property `url`.
    pub url: ::std::string::String,
    /// The property `html_url`.
    pub html_url: ::std::string::String,
    /// The property `followers_url`.
    pub followers_url: ::std::string::String,
    /// The property `following_url`.
    pub following_url: ::std::string::String,
    /// The property `gists_url`.
    pub gists_url: ::std::string::String,
    /// The property `starred_url`.
    pub starred_url: ::std::string::String,
    /// The property `subscriptions_url`.
    pub subscriptions_url: ::std::string::String,
    /// The property `organizations_url`.
    pub organizations_url: ::std::string::String,
    /// The property `repos_url`.
    pub repos_url: ::std::string::String,
    /// The property `events_url`.
    pub events_url: ::std::string::String,
    /// The property `received_events_url`.
    pub received_events_url: ::std::string::String,
    /// The property `type`.
    pub type_: ::std::string::String,
    /// The property `site_admin`.
    pub site_admin: bool,
    /// The property `starred_at`, or `None` if it is absent.
    pub starred_at: ::core::option::Option<::std::string::String>,
    /// The property `user_view_type`, or `None` if it is absent.
    pub user_view_type: ::core::option::Option<::std::string::String>,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for SimpleUser { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_optional_field(_to, "name", &self.name)?;
codec::write_optional_field(_to, "email", &self.email)?;
codec::write_field(_to, "login", &self.login)?;
codec::write_field(_to, "id", &self.id)?;
codec::write_field(_to, "node_id", &self.node_id)?;
codec::write_field(_to, "avatar_url", &self.avatar_url)?;
codec::write_field(_to, "gravatar_id", &self.gravatar_id)?;
codec::write_field(_to, "url", &self.url)?;
codec::write_field(_to, "html_url", &self.html_url)?;
codec::write_field(_to, "followers_url", &self.followers_url)?;
codec::write_field(_to, "following_url", &self.following_url)?;
codec::write_field(_to, "gists_url", &self.gists_url)?;
codec::write_field(_to, "starred_url", &self.starred_url)?;
codec::write_field(_to, "subscriptions_url", &self.subscriptions_url)?;
codec::write_field(_to, "organizations_url", &self.organizations_url)?;
codec::write_field(_to, "repos_url", &self.repos_url)?;
codec::write_field(_to, "events_url", &self.events_url)?;
codec::write_field(_to, "received_events_url", &self.received_events_url)?;
codec::write_field(_to, "type", &self.type_)?;
codec::write_field(_to, "site_admin", &self.site_admin)?;
codec::write_optional_field(_to, "starred_at", &self.starred_at)?;
codec::write_optional_field(_to, "user_view_type", &self.user_view_type)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for SimpleUser {
const FIELDS: &'static [&'static str] = &["name", "email", "login", "id", "node_id", "avatar_url", "gravatar_id", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url", "organizations_url", "repos_url", "events_url", "received_events_url", "type", "site_admin", "starred_at", "user_view_type"];
const REQUIRED: &'static [u16] = &[2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_value(from, &mut self.name),
1 => codec::read_value(from, &mut self.email),
2 => codec::read_value(from, &mut self.login),
3 => codec::read_integer(from, &mut self.id),
4 => codec::read_value(from, &mut self.node_id),
5 => codec::read_value(from, &mut self.avatar_url),
6 => codec::read_value(from, &mut self.gravatar_id),
7 => codec::read_value(from, &mut self.url),
8 => codec::read_value(from, &mut self.html_url),
9 => codec::read_value(from, &mut self.followers_url),
10 => codec::read_value(from, &mut self.following_url),
11 => codec::read_value(from, &mut self.gists_url),
12 => codec::read_value(from, &mut self.starred_url),
13 => codec::read_value(from, &mut self.subscriptions_url),
14 => codec::read_value(from, &mut self.organizations_url),
15 => codec::read_value(from, &mut self.repos_url),
16 => codec::read_value(from, &mut self.events_url),
17 => codec::read_value(from, &mut self.received_events_url),
18 => codec::read_value(from, &mut self.type_),
19 => codec::read_value(from, &mut self.site_admin),
20 => codec::read_value(from, &mut self.starred_at),
21 => codec::read_value(from, &mut self.user_view_type),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
/// The payload of the event `github_app_authorization` with the action `revoked`.
///
/// Someone revoked their authorization of a GitHub App.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WebhookGithubAppAuthorizationRevoked {
    /// The property `action`.
    pub action: WebhookGithubAppAuthorizationRevokedAction,
    /// The property `sender`.
    pub sender: SimpleUser,
    unknown_properties: codec::UnknownFields,
}
impl codec::WriteRecord for WebhookGithubAppAuthorizationRevoked { fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) -> ::core::result::Result<(), M::Error> {
codec::write_field(_to, "action", &self.action)?;
codec::write_field(_to, "sender", &self.sender)?;
self.unknown_properties.write(_to) } }
impl codec::ReadRecord for WebhookGithubAppAuthorizationRevoked {
const FIELDS: &'static [&'static str] = &["action", "sender"];
const REQUIRED: &'static [u16] = &[0, 1];
fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) -> ::core::result::Result<(), A::Error> { self.unknown_properties.read(name, from) }
fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> ::core::result::Result<(), A::Error> { match index {
0 => codec::read_value(from, &mut self.action),
1 => codec::read_value(from, &mut self.sender),
_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) } }
}
codec::open_enum! {
/// The property `action` of `WebhookGithubAppAuthorizationRevoked`: one of `revoked`.
WebhookGithubAppAuthorizationRevokedAction {
    Revoked = "revoked",
}
}
codec::impl_read! { InteractionLimitResponse OrgPrivateRegistryConfiguration OrgPrivateRegistryConfigurationWithSelectedRepositories PrivateRegistriesListOrgPrivateRegistriesResponse SimpleUser WebhookGithubAppAuthorizationRevoked }
codec::impl_read_with_catch_all! {  }
codec::impl_write! { InteractionLimitInput PrivateRegistriesCreateOrgPrivateRegistryBody }
}
/// Calls of [`Interactions`], one builder for each operation.
#[cfg_attr(docsrs, doc(cfg(any(feature = "interactions"))))]
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
pub mod interactions {
#[allow(unused_imports)] use super::types;
/// Get interaction restrictions for an organization.
///
/// Shows which type of GitHub user can interact with this organization and when the restriction expires. If there is no restrictions, you will see an empty response.
///
/// `GET /orgs/{org}/interaction-limits`, [GitHub's documentation](https://docs.github.com/rest/interactions/orgs#get-interaction-restrictions-for-an-organization)
///
/// Example: `github.interactions().get_restrictions_for_org().org(org).send().await?`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct GetRestrictionsForOrg(pub(super) crate::Request);
impl GetRestrictionsForOrg {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call.
    #[inline] pub fn send(self) -> crate::ResponseFuture<types::InteractionsGetRestrictionsForOrgResponse> { self.0.send() }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for GetRestrictionsForOrg { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for GetRestrictionsForOrg {}
/// Remove interaction restrictions for an organization.
///
/// Removes all interaction restrictions from public repositories in the given organization. You must be an organization owner to remove restrictions.
///
/// `DELETE /orgs/{org}/interaction-limits`, [GitHub's documentation](https://docs.github.com/rest/interactions/orgs#remove-interaction-restrictions-for-an-organization)
///
/// Example: `github.interactions().remove_restrictions_for_org().org(org).send().await?`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct RemoveRestrictionsForOrg(pub(super) crate::Request);
impl RemoveRestrictionsForOrg {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call. The response is its status.
    #[inline] pub fn send(self) -> crate::ResponseFuture<()> { self.0.send_empty() }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for RemoveRestrictionsForOrg { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for RemoveRestrictionsForOrg {}
/// Set interaction restrictions for an organization.
///
/// Temporarily restricts interactions to a certain type of GitHub user in any public repository in the given organization. You must be an organization owner to set these restrictions. Setting the interaction limit at the organization level will overwrite any interaction limits that are set for individual repositories owned by the organization.
///
/// `PUT /orgs/{org}/interaction-limits`, [GitHub's documentation](https://docs.github.com/rest/interactions/orgs#set-interaction-restrictions-for-an-organization)
///
/// Example: `github.interactions().set_restrictions_for_org().org(org).limit(limit).send().await?`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct SetRestrictionsForOrg(pub(super) crate::Request);
impl SetRestrictionsForOrg {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// Required. The property `limit` of the body. One of `existing_users`, `contributors_only`, `collaborators_only`.
    #[inline] pub fn limit(mut self, value: impl crate::IntoEnum<types::InteractionGroupInput>) -> Self { self.0.draft_mut().set_field_enum::<types::InteractionGroupInput>("limit", value); self }
    /// The property `expiry` of the body. One of `one_day`, `three_days`, `one_week`, `one_month`, `six_months`.
    #[inline] pub fn expiry(mut self, value: impl crate::IntoEnum<types::InteractionExpiryInput>) -> Self { self.0.draft_mut().set_field_enum::<types::InteractionExpiryInput>("expiry", value); self }
    /// The whole body at once, instead of property by property.
    #[inline] pub fn json(mut self, body: impl ::core::convert::Into<types::InteractionLimitInput>) -> Self { self.0.draft_mut().set_json(&body.into()); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call.
    #[inline] pub fn send(self) -> crate::ResponseFuture<types::InteractionLimitResponse> { self.0.send() }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for SetRestrictionsForOrg { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for SetRestrictionsForOrg {}
}
/// The operations `interactions/…`, called by `github.interactions()` or `github.org(org).interactions()`. [GitHub's documentation](https://docs.github.com/rest/interactions/orgs)
#[cfg_attr(docsrs, doc(cfg(any(feature = "interactions"))))]
#[derive(Clone, Copy, Debug)]
pub struct Interactions<'a>(&'a crate::Client);
impl crate::Client {
    /// The operations of [`Interactions`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "interactions"))))]
    #[inline] #[must_use] pub fn interactions(&self) -> Interactions<'_> { Interactions(self) }
}
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
impl Interactions<'_> {
    /// Get interaction restrictions for an organization. `interactions/get-restrictions-for-org`
    #[inline] pub fn get_restrictions_for_org(&self) -> interactions::GetRestrictionsForOrg { interactions::GetRestrictionsForOrg(crate::Request::operation(self.0, &OPERATIONS[0])) }
    /// Remove interaction restrictions for an organization. `interactions/remove-restrictions-for-org`
    #[inline] pub fn remove_restrictions_for_org(&self) -> interactions::RemoveRestrictionsForOrg { interactions::RemoveRestrictionsForOrg(crate::Request::operation(self.0, &OPERATIONS[1])) }
    /// Set interaction restrictions for an organization. `interactions/set-restrictions-for-org`
    #[inline] pub fn set_restrictions_for_org(&self) -> interactions::SetRestrictionsForOrg { interactions::SetRestrictionsForOrg(crate::Request::operation(self.0, &OPERATIONS[2])) }
}
/// Calls of [`PrivateRegistries`], one builder for each operation.
#[cfg_attr(docsrs, doc(cfg(any(feature = "private-registries"))))]
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
pub mod private_registries {
#[allow(unused_imports)] use super::types;
/// Create a private registry for an organization.
///
/// Creates a private registry configuration with an encrypted value for an organization. Encrypt your secret using [LibSodium](https://libsodium.gitbook.io/doc/bindings_for_other_languages). For more information, see "[Encrypting secrets for the REST API](https://docs.github.com/rest/guides/encrypting-secrets-for-the-rest-api)."
/// For OIDC-based registries (`oidc_azure`, `oidc_aws`, `oidc_jfrog`, `oidc_cloudsmith`, or `oidc_gcp`), the `encrypted_value` and `key_id` fields should be omitted.
///
/// OAuth app tokens and personal access tokens (classic) need the `admin:org` scope to use this endpoint.
///
/// `POST /orgs/{org}/private-registries`, [GitHub's documentation](https://docs.github.com/rest/private-registries/organization-configurations#create-a-private-registry-for-an-organization)
///
/// Example: `github.private_registries().create_org_private_registry().org(org).registry_type(registry_type).url(url).visibility(visibility).send().await?`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct CreateOrgPrivateRegistry(pub(super) crate::Request);
impl CreateOrgPrivateRegistry {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// Required. The registry type. One of `maven_repository`, `nuget_feed`, `goproxy_server`, `npm_registry`, `rubygems_server`, `cargo_registry`, `composer_repository`, `docker_registry`, `git_source`, `helm_registry`, `hex_organization`, `hex_repository` and 3 more.
    #[inline] pub fn registry_type(mut self, value: impl crate::IntoEnum<types::PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>) -> Self { self.0.draft_mut().set_field_enum::<types::PrivateRegistriesCreateOrgPrivateRegistryBodyRegistryType>("registry_type", value); self }
    /// Required. The URL of the private registry.
    #[inline] pub fn url(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("url", value); self }
    /// The username to use when authenticating with the private registry. This field should be omitted if the private registry does not require a username for authentication.
    #[inline] pub fn username(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("username", value); self }
    /// Sends `null` as [`username`](Self::username).
    #[inline] pub fn clear_username(mut self) -> Self { self.0.draft_mut().set_null("username"); self }
    /// Whether this private registry should replace the base registry (e.g., npmjs.org for npm, rubygems.org for rubygems). When set to `true`, Dependabot will only use this registry and will not fall back to the public registry. When set to `false` (default), Dependabot will use this registry for scoped packages but may fall back to the public registry for other packages.
    #[inline] pub fn replaces_base(mut self, value: impl ::core::convert::TryInto<bool, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<bool>("replaces_base", value); self }
    /// The value for your secret, encrypted with [LibSodium](https://libsodium.gitbook.io/doc/bindings_for_other_languages) using the public key retrieved from the [Get private registries public key for an organization](https://docs.github.com/rest/private-registries/organization-configurations#get-private-registries-public-key-for-an-organization) endpoint. Required when `auth_type` is `token` or `username_password`. Should be omitted for OIDC auth types.
    #[inline] pub fn encrypted_value(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("encrypted_value", value); self }
    /// The ID of the key you used to encrypt the secret. Required when `auth_type` is `token` or `username_password`. Should be omitted for OIDC auth types.
    #[inline] pub fn key_id(mut self, value: impl crate::IntoText) -> Self { self.0.draft_mut().set_field_text("key_id", value); self }
    /// Required. Which type of organization repositories have access to the private registry. `selected` means only the repositories specified by `selected_repository_ids` can access the private registry. One of `all`, `private`, `selected`.
    #[inline] pub fn visibility(mut self, value: impl crate::IntoEnum<types::PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>) -> Self { self.0.draft_mut().set_field_enum::<types::PrivateRegistriesCreateOrgPrivateRegistryBodyVisibility>("visibility", value); self }
    /// An array of repository IDs that can access the organization private registry. You can only provide a list of repository IDs when `visibility` is set to `selected`. You can manage the list of selected repositories using the [Update a private registry for an organization](https://docs.github.com/rest/private-registries/organization-configurations#update-a-private-registry-for-an-organization) endpoint. This field should be omitted if `visibility` is set to `all` or `private`.
    #[inline] pub fn selected_repository_ids<K>(mut self, values: impl crate::IntoIntegers<K>) -> Self { self.0.draft_mut().set_field_integers("selected_repository_ids", values); self }
    /// The authentication type for the private registry. Defaults to `token` if not specified. Use `oidc_azure`, `oidc_aws`, `oidc_jfrog`, `oidc_cloudsmith`, or `oidc_gcp` for OIDC authentication. One of `token`, `username_password`, `oidc_azure`, `oidc_aws`, `oidc_jfrog`, `oidc_cloudsmith`, `oidc_gcp`.
    #[inline] pub fn auth_type(mut self, value: impl crate::IntoEnum<types::PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType>) -> Self { self.0.draft_mut().set_field_enum::<types::PrivateRegistriesCreateOrgPrivateRegistryBodyAuthType>("auth_type", value); self }
    /// The tenant ID of the Azure AD application. Required when `auth_type` is `oidc_azure`.
    #[inline] pub fn tenant_id(mut self, value: impl crate::IntoText) -> Self { self.0.draft_mut().set_field_text("tenant_id", value); self }
    /// The client ID of the Azure AD application. Required when `auth_type` is `oidc_azure`.
    #[inline] pub fn client_id(mut self, value: impl crate::IntoText) -> Self { self.0.draft_mut().set_field_text("client_id", value); self }
    /// The AWS region. Required when `auth_type` is `oidc_aws`.
    #[inline] pub fn aws_region(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("aws_region", value); self }
    /// The AWS account ID. Required when `auth_type` is `oidc_aws`.
    #[inline] pub fn account_id(mut self, value: impl crate::IntoText) -> Self { self.0.draft_mut().set_field_text("account_id", value); self }
    /// The AWS IAM role name. Required when `auth_type` is `oidc_aws`.
    #[inline] pub fn role_name(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("role_name", value); self }
    /// The CodeArtifact domain. Required when `auth_type` is `oidc_aws`.
    #[inline] pub fn domain(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("domain", value); self }
    /// The CodeArtifact domain owner (AWS account ID). Required when `auth_type` is `oidc_aws`.
    #[inline] pub fn domain_owner(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("domain_owner", value); self }
    /// The JFrog OIDC provider name. Required when `auth_type` is `oidc_jfrog`.
    #[inline] pub fn jfrog_oidc_provider_name(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("jfrog_oidc_provider_name", value); self }
    /// The OIDC audience. Optional for `oidc_aws`, `oidc_jfrog`, and `oidc_gcp`, and required for `oidc_cloudsmith` auth types.
    #[inline] pub fn audience(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("audience", value); self }
    /// The JFrog identity mapping name. Optional for `oidc_jfrog` auth type.
    #[inline] pub fn identity_mapping_name(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("identity_mapping_name", value); self }
    /// The Cloudsmith organization namespace. Required when `auth_type` is `oidc_cloudsmith`.
    #[inline] pub fn namespace(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("namespace", value); self }
    /// The Cloudsmith service account slug. Required when `auth_type` is `oidc_cloudsmith`.
    #[inline] pub fn service_slug(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("service_slug", value); self }
    /// The Cloudsmith API host. Optional for `oidc_cloudsmith` auth type. If omitted, `api.cloudsmith.io` is used by default.
    #[inline] pub fn api_host(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("api_host", value); self }
    /// The full resource name of the GCP Workload Identity Provider (e.g. `projects/<NUM>/locations/global/workloadIdentityPools/<POOL>/providers/<PROVIDER>`). Required when `auth_type` is `oidc_gcp`.
    #[inline] pub fn workload_identity_provider(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("workload_identity_provider", value); self }
    /// The GCP service account email to impersonate. Optional for `oidc_gcp` auth type. If omitted, the federated token is used directly (direct WIF).
    #[inline] pub fn service_account(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_field::<::std::string::String>("service_account", value); self }
    /// The whole body at once, instead of property by property.
    #[inline] pub fn json(mut self, body: impl ::core::convert::Into<types::PrivateRegistriesCreateOrgPrivateRegistryBody>) -> Self { self.0.draft_mut().set_json(&body.into()); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call.
    #[inline] pub fn send(self) -> crate::ResponseFuture<types::OrgPrivateRegistryConfigurationWithSelectedRepositories> { self.0.send() }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for CreateOrgPrivateRegistry { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for CreateOrgPrivateRegistry {}
/// Get a private registry for an organization.
///
/// Get the configuration of a single private registry defined for an organization, omitting its encrypted value.
///
/// OAuth app tokens and personal access tokens (classic) need the `admin:org` scope to use this endpoint.
///
/// `GET /orgs/{org}/private-registries/{secret_name}`, [GitHub's documentation](https://docs.github.com/rest/private-registries/organization-configurations#get-a-private-registry-for-an-organization)
///
/// Example: `github.private_registries().get_org_private_registry().org(org).secret_name(secret_name).send().await?`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct GetOrgPrivateRegistry(pub(super) crate::Request);
impl GetOrgPrivateRegistry {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// Required. The name of the secret.
    #[inline] pub fn secret_name(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(1, value); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call.
    #[inline] pub fn send(self) -> crate::ResponseFuture<types::OrgPrivateRegistryConfiguration> { self.0.send() }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for GetOrgPrivateRegistry { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for GetOrgPrivateRegistry {}
/// List private registries for an organization.
///
/// Lists all private registry configurations available at the organization-level without revealing their encrypted
/// values.
///
/// OAuth app tokens and personal access tokens (classic) need the `admin:org` scope to use this endpoint.
///
/// `GET /orgs/{org}/private-registries`, [GitHub's documentation](https://docs.github.com/rest/private-registries/organization-configurations#list-private-registries-for-an-organization)
///
/// Example: `github.private_registries().list_org_private_registries().org(org).stream()`
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct ListOrgPrivateRegistries(pub(super) crate::Request);
impl ListOrgPrivateRegistries {
    /// Required. The organization name. The name is not case sensitive.
    #[inline] pub fn org(mut self, value: impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>) -> Self { self.0.draft_mut().set_path::<::std::string::String>(0, value); self }
    /// The number of results per page (max 100). For more information, see "[Using pagination in the REST API](https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api)." Default: `30`.
    #[inline] pub fn per_page(mut self, value: impl crate::IntoInteger) -> Self { self.0.draft_mut().set_query_integer("per_page", value); self }
    /// The page number of the results to fetch. For more information, see "[Using pagination in the REST API](https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api)." Default: `1`.
    #[inline] pub fn page(mut self, value: impl crate::IntoInteger) -> Self { self.0.draft_mut().set_query_integer("page", value); self }
    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.
    #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self { Self(adjust(self.0)) }
    /// Converts the call into a request, to read the response as another type or as bytes.
    #[inline] pub fn into_request(self) -> crate::Request { self.0 }
    /// Sends the call.
    #[inline] pub fn send(self) -> crate::ResponseFuture<types::PrivateRegistriesListOrgPrivateRegistriesResponse> { self.0.send() }
    /// The pages of the response, in the order of their `Link` headers.
    #[inline] pub fn pages(self) -> crate::Pages<types::PrivateRegistriesListOrgPrivateRegistriesResponse> { self.0.pages() }
    /// The items of all pages.
    #[inline] pub fn stream(self) -> crate::Items<types::OrgPrivateRegistryConfiguration> { self.0.list(::core::option::Option::Some("configurations"), |page: types::PrivateRegistriesListOrgPrivateRegistriesResponse| crate::client::pagination::Listed { items: page.configurations, total: crate::client::pagination::TotalCount::total(page.total_count), incomplete_results: ::core::option::Option::None }) }
}
#[cfg(feature = "testing")] impl crate::testing::TypedCall for ListOrgPrivateRegistries { #[inline] fn into_request(self) -> crate::Request { self.0 } }
#[cfg(feature = "testing")] impl crate::testing::sealed::Sealed for ListOrgPrivateRegistries {}
}
/// The operations `private-registries/…`, called by `github.private_registries()` or `github.org(org).private_registries()`. [GitHub's documentation](https://docs.github.com/rest/private-registries/organization-configurations)
#[cfg_attr(docsrs, doc(cfg(any(feature = "private-registries"))))]
#[derive(Clone, Copy, Debug)]
pub struct PrivateRegistries<'a>(&'a crate::Client);
impl crate::Client {
    /// The operations of [`PrivateRegistries`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "private-registries"))))]
    #[inline] #[must_use] pub fn private_registries(&self) -> PrivateRegistries<'_> { PrivateRegistries(self) }
}
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
impl PrivateRegistries<'_> {
    /// Create a private registry for an organization. `private-registries/create-org-private-registry`
    #[inline] pub fn create_org_private_registry(&self) -> private_registries::CreateOrgPrivateRegistry { private_registries::CreateOrgPrivateRegistry(crate::Request::operation(self.0, &OPERATIONS[3])) }
    /// Get a private registry for an organization. `private-registries/get-org-private-registry`
    #[inline] pub fn get_org_private_registry(&self) -> private_registries::GetOrgPrivateRegistry { private_registries::GetOrgPrivateRegistry(crate::Request::operation(self.0, &OPERATIONS[4])) }
    /// List private registries for an organization. `private-registries/list-org-private-registries`
    #[inline] pub fn list_org_private_registries(&self) -> private_registries::ListOrgPrivateRegistries { private_registries::ListOrgPrivateRegistries(crate::Request::operation(self.0, &OPERATIONS[5])) }
}
/// Calls of [`OrganizationHandle`](crate::OrganizationHandle), one handle for each scope.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
pub mod org {
use super::{OPERATIONS, interactions, private_registries};
impl crate::OrganizationHandle {
    /// The operations of [`Interactions`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "interactions"))))] #[inline] #[must_use] pub fn interactions(&self) -> Interactions { Interactions(self.0.clone()) }
    /// The operations of [`PrivateRegistries`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "private-registries"))))] #[inline] #[must_use] pub fn private_registries(&self) -> PrivateRegistries { PrivateRegistries(self.0.clone()) }
}
/// The operations `interactions/…` of an organization, called by `github.org(org).interactions()`. [GitHub's documentation](https://docs.github.com/rest/interactions/orgs)
#[cfg_attr(docsrs, doc(cfg(any(feature = "interactions"))))] #[derive(Clone, Debug)] pub struct Interactions(crate::client::entity::EntityClient);
impl Interactions {
    /// Get interaction restrictions for an organization. `interactions/get-restrictions-for-org`
    #[inline] pub fn get_restrictions_for_org(&self) -> interactions::GetRestrictionsForOrg { interactions::GetRestrictionsForOrg(self.0.call(&OPERATIONS[0])) }
    /// Remove interaction restrictions for an organization. `interactions/remove-restrictions-for-org`
    #[inline] pub fn remove_restrictions_for_org(&self) -> interactions::RemoveRestrictionsForOrg { interactions::RemoveRestrictionsForOrg(self.0.call(&OPERATIONS[1])) }
    /// Set interaction restrictions for an organization. `interactions/set-restrictions-for-org`
    #[inline] pub fn set_restrictions_for_org(&self) -> interactions::SetRestrictionsForOrg { interactions::SetRestrictionsForOrg(self.0.call(&OPERATIONS[2])) }
}
/// The operations `private-registries/…` of an organization, called by `github.org(org).private_registries()`. [GitHub's documentation](https://docs.github.com/rest/private-registries/organization-configurations)
#[cfg_attr(docsrs, doc(cfg(any(feature = "private-registries"))))] #[derive(Clone, Debug)] pub struct PrivateRegistries(crate::client::entity::EntityClient);
impl PrivateRegistries {
    /// Create a private registry for an organization. `private-registries/create-org-private-registry`
    #[inline] pub fn create_org_private_registry(&self) -> private_registries::CreateOrgPrivateRegistry { private_registries::CreateOrgPrivateRegistry(self.0.call(&OPERATIONS[3])) }
    /// Get a private registry for an organization. `private-registries/get-org-private-registry`
    #[inline] pub fn get_org_private_registry(&self) -> private_registries::GetOrgPrivateRegistry { private_registries::GetOrgPrivateRegistry(self.0.call(&OPERATIONS[4])) }
    /// List private registries for an organization. `private-registries/list-org-private-registries`
    #[inline] pub fn list_org_private_registries(&self) -> private_registries::ListOrgPrivateRegistries { private_registries::ListOrgPrivateRegistries(self.0.call(&OPERATIONS[5])) }
}
}
/// Every operation of this build, sorted by id.
pub static OPERATIONS: &[crate::Operation] = &[
crate::Operation { id: "interactions/get-restrictions-for-org", tag: "interactions", method: ::http::Method::GET, path: "/orgs/{org}/interaction-limits", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, ], statuses: &[200], missing_body: crate::MissingBody::Send, rate_limit: "core", creates_content: false, documentation_url: "https://docs.github.com/rest/interactions/orgs#get-interaction-restrictions-for-an-organization", deprecated: false },
crate::Operation { id: "interactions/remove-restrictions-for-org", tag: "interactions", method: ::http::Method::DELETE, path: "/orgs/{org}/interaction-limits", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, ], statuses: &[204], missing_body: crate::MissingBody::Send, rate_limit: "core", creates_content: false, documentation_url: "https://docs.github.com/rest/interactions/orgs#remove-interaction-restrictions-for-an-organization", deprecated: false },
crate::Operation { id: "interactions/set-restrictions-for-org", tag: "interactions", method: ::http::Method::PUT, path: "/orgs/{org}/interaction-limits", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, crate::OperationParameter { name: "limit", setter: "limit", location: crate::ParameterLocation::Body, required: true, allows_slash: false }, crate::OperationParameter { name: "expiry", setter: "expiry", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, ], statuses: &[200, 422], missing_body: crate::MissingBody::Reject, rate_limit: "core", creates_content: false, documentation_url: "https://docs.github.com/rest/interactions/orgs#set-interaction-restrictions-for-an-organization", deprecated: false },
crate::Operation { id: "private-registries/create-org-private-registry", tag: "private-registries", method: ::http::Method::POST, path: "/orgs/{org}/private-registries", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, crate::OperationParameter { name: "registry_type", setter: "registry_type", location: crate::ParameterLocation::Body, required: true, allows_slash: false }, crate::OperationParameter { name: "url", setter: "url", location: crate::ParameterLocation::Body, required: true, allows_slash: false }, crate::OperationParameter { name: "username", setter: "username", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "replaces_base", setter: "replaces_base", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "encrypted_value", setter: "encrypted_value", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "key_id", setter: "key_id", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "visibility", setter: "visibility", location: crate::ParameterLocation::Body, required: true, allows_slash: false }, crate::OperationParameter { name: "selected_repository_ids", setter: "selected_repository_ids", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "auth_type", setter: "auth_type", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "tenant_id", setter: "tenant_id", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "client_id", setter: "client_id", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "aws_region", setter: "aws_region", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "account_id", setter: "account_id", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "role_name", setter: "role_name", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "domain", setter: "domain", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "domain_owner", setter: "domain_owner", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "jfrog_oidc_provider_name", setter: "jfrog_oidc_provider_name", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "audience", setter: "audience", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "identity_mapping_name", setter: "identity_mapping_name", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "namespace", setter: "namespace", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "service_slug", setter: "service_slug", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "api_host", setter: "api_host", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "workload_identity_provider", setter: "workload_identity_provider", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, crate::OperationParameter { name: "service_account", setter: "service_account", location: crate::ParameterLocation::Body, required: false, allows_slash: false }, ], statuses: &[201, 404, 422], missing_body: crate::MissingBody::Reject, rate_limit: "core", creates_content: true, documentation_url: "https://docs.github.com/rest/private-registries/organization-configurations#create-a-private-registry-for-an-organization", deprecated: false },
crate::Operation { id: "private-registries/get-org-private-registry", tag: "private-registries", method: ::http::Method::GET, path: "/orgs/{org}/private-registries/{secret_name}", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, crate::OperationParameter { name: "secret_name", setter: "secret_name", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, ], statuses: &[200, 404], missing_body: crate::MissingBody::Send, rate_limit: "core", creates_content: false, documentation_url: "https://docs.github.com/rest/private-registries/organization-configurations#get-a-private-registry-for-an-organization", deprecated: false },
crate::Operation { id: "private-registries/list-org-private-registries", tag: "private-registries", method: ::http::Method::GET, path: "/orgs/{org}/private-registries", server: None, accept: "application/vnd.github+json", parameters: &[crate::OperationParameter { name: "org", setter: "org", location: crate::ParameterLocation::Path, required: true, allows_slash: false }, crate::OperationParameter { name: "per_page", setter: "per_page", location: crate::ParameterLocation::Query, required: false, allows_slash: false }, crate::OperationParameter { name: "page", setter: "page", location: crate::ParameterLocation::Query, required: false, allows_slash: false }, ], statuses: &[200, 400, 404], missing_body: crate::MissingBody::Send, rate_limit: "core", creates_content: false, documentation_url: "https://docs.github.com/rest/private-registries/organization-configurations#list-private-registries-for-an-organization", deprecated: false },
];
/// The name of the OpenAPI description from which this build was generated.
pub const OPENAPI_DESCRIPTION: &str = "api.github.com";
/// The version of the OpenAPI description from which this build was generated.
pub const OPENAPI_VERSION: &str = "23.0.2";
