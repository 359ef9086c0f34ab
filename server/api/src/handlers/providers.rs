//! How people sign in: identity providers, what their groups mean, and whether passwords are taken.

use axum::extract::State;
use berth_core::{
    listing::{Column, Listing},
    services::{oauth::OAuthText, providers::ProviderText},
};
use berth_types::{
    Page,
    provider::{GroupRule, IdentityProvider, SignInSettings},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, OfProvider, OfRule},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const PROVIDERS: Columns = Columns { sorts: &["name"], filters: &[("enabled", &["true", "false"])] };
pub(crate) const RULES: Columns = Columns { sorts: &["group", "tenant"], filters: &[] };

static PROVIDER_LISTING: Listing<IdentityProvider> = Listing {
    columns: &[
        Column { name: "name", key: Some(|p| p.name.as_str().into()), value: None, facet: false },
        Column { name: "enabled", key: None, value: Some(|p| p.enabled.to_string()), facet: false },
    ],
    search: |p| format!("{} {} {}", p.name, p.display_name, p.issuer),
    unique: "name",
    descending: false,
};

static RULE_LISTING: Listing<GroupRule> = Listing {
    columns: &[
        Column { name: "id", key: Some(|r| r.id.to_string().as_str().into()), value: None, facet: false },
        Column { name: "group", key: Some(|r| r.group.as_str().into()), value: None, facet: false },
        Column { name: "tenant", key: Some(|r| r.tenant.as_str().into()), value: None, facet: false },
    ],
    search: |r| format!("{} {}", r.group, r.tenant),
    unique: "id",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_providers, create_provider))
        .routes(routes!(get_provider, replace_provider, delete_provider))
        .routes(routes!(list_group_rules, create_group_rule))
        .routes(routes!(delete_group_rule))
        .routes(routes!(get_sign_in_settings, set_sign_in_settings))
}

fn yes() -> bool {
    true
}

/// How a provider speaks plain OAuth 2.0.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OAuthInput {
    /// Where people say yes; https, or http on loopback.
    pub authorization_url: String,
    /// Where codes become tokens.
    pub token_url: String,
    /// What says who somebody is, as a JSON object.
    pub user_url: String,
    /// What lists their groups, as a JSON list; empty where the person's own object does.
    #[serde(default)]
    pub groups_url: String,
    /// The field of what never changes and is nobody else's ever; never the e-mail address (default: `id`). A path has dots.
    #[serde(default)]
    pub id_field: String,
    /// The field of what they sign in as there (default: `login`).
    #[serde(default)]
    pub login_field: String,
    /// The field of their name (default: `name`).
    #[serde(default)]
    pub name_field: String,
    /// Whether the client's secret goes into a header (HTTP Basic) instead of the form (default: false).
    #[serde(default)]
    pub basic_auth: bool,
}

impl From<OAuthInput> for OAuthText {
    fn from(sent: OAuthInput) -> Self {
        let OAuthInput { authorization_url, token_url, user_url, groups_url, .. } = sent;
        let (id_field, login_field, name_field, basic_auth) =
            (sent.id_field, sent.login_field, sent.name_field, sent.basic_auth);
        Self { authorization_url, token_url, user_url, groups_url, id_field, login_field, name_field, basic_auth }
    }
}

/// A provider to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewProvider {
    /// 1 to 30 of a–z, 0–9 and -; stands in the address that people come back to: `/auth/{name}/callback`.
    pub name: String,
    /// What the button says (default: the name).
    #[serde(default)]
    pub display_name: String,
    /// Who signs its tokens, to the letter as the provider writes it; https, or http on loopback. Of plain OAuth 2.0, an address that
    /// stands for it: with a person's id it is their identity.
    pub issuer: String,
    /// What the provider calls Berth.
    pub client_id: String,
    /// Name of the file with the client secret, in the directory of the setting `provider_secrets`; empty for a public client.
    #[serde(default)]
    pub secret: String,
    /// What is asked for; of OpenID Connect, besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How its ID tokens may be signed (default: RS256, ES256, EdDSA).
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The claim that lists a person's groups (default: `groups`).
    #[serde(default)]
    pub group_claim: String,
    /// Only who is in one of these comes in; empty: everybody.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    /// Whether people may sign in by it (default: true).
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether signing out ends the session there, too, where the provider offers it (default: true). It has to know the portal's
    /// `/sign-in` as an address to send people back to.
    #[serde(default = "yes")]
    pub sign_out_there: bool,
    /// For a provider that speaks plain OAuth 2.0; absent for OpenID Connect. Which of the two it is never changes.
    #[serde(default)]
    pub oauth: Option<OAuthInput>,
}

impl Input for NewProvider {}

/// What is to be true of a provider from now on; what is left out takes its default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProviderReplacement {
    /// What the button says (default: the name).
    #[serde(default)]
    pub display_name: String,
    /// Who signs its tokens, to the letter as the provider writes it; https, or http on loopback. Of plain OAuth 2.0, an address that
    /// stands for it: with a person's id it is their identity.
    pub issuer: String,
    /// What the provider calls Berth.
    pub client_id: String,
    /// Name of the file with the client secret, in the directory of the setting `provider_secrets`; empty for a public client.
    #[serde(default)]
    pub secret: String,
    /// What is asked for; of OpenID Connect, besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How its ID tokens may be signed (default: RS256, ES256, EdDSA).
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The claim that lists a person's groups (default: `groups`).
    #[serde(default)]
    pub group_claim: String,
    /// Only who is in one of these comes in; empty: everybody.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    /// Whether people may sign in by it (default: true).
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether signing out ends the session there, too, where the provider offers it (default: true). It has to know the portal's
    /// `/sign-in` as an address to send people back to.
    #[serde(default = "yes")]
    pub sign_out_there: bool,
    /// For a provider that speaks plain OAuth 2.0; absent for OpenID Connect. Which of the two it is never changes.
    #[serde(default)]
    pub oauth: Option<OAuthInput>,
}

impl Input for ProviderReplacement {}

impl From<ProviderReplacement> for ProviderText {
    fn from(sent: ProviderReplacement) -> Self {
        let ProviderReplacement { display_name, issuer, client_id, secret, scopes, .. } = sent;
        let (algorithms, group_claim) = (sent.algorithms, sent.group_claim);
        let (allowed_groups, enabled, sign_out_there) = (sent.allowed_groups, sent.enabled, sent.sign_out_there);
        let oauth = sent.oauth.map(OAuthText::from);
        Self {
            display_name,
            issuer,
            client_id,
            secret,
            scopes,
            algorithms,
            group_claim,
            allowed_groups,
            enabled,
            sign_out_there,
            oauth,
        }
    }
}

/// A rule to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRule {
    /// The group, as the provider calls it.
    pub group: String,
    /// The tenant whose member one becomes.
    pub tenant: String,
    /// `admin`, `developer` or `viewer`.
    pub role: String,
}

impl Input for NewRule {}

/// How people shall sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignInReplacement {
    /// Whether passwords of local accounts are taken.
    pub local_accounts: bool,
}

impl Input for SignInReplacement {}

/// List identity providers
#[utoipa::path(get, path = "/admin/providers", tag = "admin",
    description = "By which people sign in: by OpenID Connect, or plain OAuth 2.0.",
    responses((status = 200, description = "Providers.", body = Page<IdentityProvider>)))]
pub(crate) async fn list_providers(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&PROVIDERS)?;
    let providers = api.services().list_providers(&caller.ctx).await?;
    Ok(reply::page(&asked, &PROVIDER_LISTING.page(providers, &query)?)?)
}

/// Add an identity provider
///
/// It is asked first: one that does not answer, or lacks something that Berth needs, is refused at its field.
#[utoipa::path(post, path = "/admin/providers", tag = "admin", request_body = NewProvider,
    responses((status = 201, description = "The provider.", body = IdentityProvider)))]
pub(crate) async fn create_provider(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewProvider>,
) -> Reply {
    let NewProvider { name, display_name, issuer, client_id, secret, scopes, .. } = new;
    let (algorithms, group_claim) = (new.algorithms, new.group_claim);
    let (allowed_groups, enabled, sign_out_there) = (new.allowed_groups, new.enabled, new.sign_out_there);
    let oauth = new.oauth.map(OAuthText::from);
    let text = ProviderText {
        display_name,
        issuer,
        client_id,
        secret,
        scopes,
        algorithms,
        group_claim,
        allowed_groups,
        enabled,
        sign_out_there,
        oauth,
    };
    let provider = api.services().create_provider(&caller.ctx, &name, &text).await?;
    let (location, version) = (format!("{}/{}", asked.uri.path(), provider.name), provider.version);
    Ok(reply::with_tag(reply::created(&provider, &location)?, tag(version, false)))
}

/// Get an identity provider
#[utoipa::path(get, path = "/admin/providers/{provider}", tag = "admin", description = "One provider.",
    responses((status = 200, description = "The provider.", body = IdentityProvider)))]
pub(crate) async fn get_provider(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfProvider>,
    asked: Asked,
) -> Reply {
    let provider = api.services().get_provider(&caller.ctx, &place.provider).await?;
    let tag = tag(provider.version, false);
    Ok(reply::unless_known(&asked, reply::json(&provider)?, tag))
}

/// Replace an identity provider
///
/// Unless it is switched off it is asked first. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/admin/providers/{provider}", tag = "admin", request_body = ProviderReplacement,
    responses((status = 200, description = "The provider as it is now.", body = IdentityProvider)))]
pub(crate) async fn replace_provider(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfProvider>,
    asked: Asked,
    Sent(wanted): Sent<ProviderReplacement>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let changed = api.services().update_provider(&caller.ctx, &place.provider, &wanted.into(), known).await;
    let provider = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    Ok(reply::with_tag(reply::json(&provider)?, tag(provider.version, false)))
}

/// Delete an identity provider
///
/// With its rules and the memberships that they made. Accounts stay, and are found again when it is added again. Refused while
/// passwords are not taken and it is the last way in.
#[utoipa::path(delete, path = "/admin/providers/{provider}", tag = "admin",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn delete_provider(State(api): State<Api>, caller: Caller, At(place): At<OfProvider>) -> Reply {
    api.services().delete_provider(&caller.ctx, &place.provider).await?;
    Ok(reply::nothing())
}

/// List what a provider's groups mean
#[utoipa::path(get, path = "/admin/providers/{provider}/rules", tag = "admin",
    description = "Applied whenever one of its people signs in.",
    responses((status = 200, description = "Rules.", body = Page<GroupRule>)))]
pub(crate) async fn list_group_rules(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfProvider>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&RULES)?;
    let rules = api.services().list_group_rules(&caller.ctx, &place.provider).await?;
    Ok(reply::page(&asked, &RULE_LISTING.page(rules, &query)?)?)
}

/// Say what a group means
///
/// Who is in the group becomes a member of the tenant at their next sign-in, and is one no more when the group is gone. Roles that
/// people gave by hand are never changed by a rule. Of several roles in one tenant the strongest counts.
#[utoipa::path(post, path = "/admin/providers/{provider}/rules", tag = "admin", request_body = NewRule,
    responses((status = 201, description = "The rule.", body = GroupRule)))]
pub(crate) async fn create_group_rule(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfProvider>,
    asked: Asked,
    Sent(new): Sent<NewRule>,
) -> Reply {
    let NewRule { group, tenant, role } = new;
    let rule = api.services().create_group_rule(&caller.ctx, &place.provider, &group, &tenant, &role).await?;
    let location = format!("{}/{}", asked.uri.path(), rule.id);
    Ok(reply::created(&rule, &location)?)
}

/// Remove a rule
#[utoipa::path(delete, path = "/admin/providers/{provider}/rules/{rule}", tag = "admin",
    description = "The memberships that it made go at each person's next sign-in.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn delete_group_rule(State(api): State<Api>, caller: Caller, At(place): At<OfRule>) -> Reply {
    api.services().delete_group_rule(&caller.ctx, &place.provider, place.rule).await?;
    Ok(reply::nothing())
}

/// Get how people sign in
#[utoipa::path(get, path = "/admin/sign-in", tag = "admin",
    description = "Whether passwords of local accounts are taken, besides the providers.",
    responses((status = 200, description = "The settings.", body = SignInSettings)))]
pub(crate) async fn get_sign_in_settings(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    asked.only(&[])?;
    let local_accounts = api.services().local_accounts(&caller.ctx).await?;
    Ok(reply::tagged(&asked, &SignInSettings { local_accounts })?)
}

/// Set how people sign in
///
/// Passwords can be switched off by who comes in without: whose account is connected with a provider that is switched on. On the
/// machine itself `berth admin allow-local-accounts` switches them on again.
#[utoipa::path(put, path = "/admin/sign-in", tag = "admin", request_body = SignInReplacement,
    responses((status = 200, description = "The settings as they are now.", body = SignInSettings)))]
pub(crate) async fn set_sign_in_settings(
    State(api): State<Api>,
    caller: Caller,
    Sent(wanted): Sent<SignInReplacement>,
) -> Reply {
    api.services().set_local_accounts(&caller.ctx, wanted.local_accounts).await?;
    Ok(reply::json(&SignInSettings { local_accounts: wanted.local_accounts })?)
}
