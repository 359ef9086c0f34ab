//! Webhooks of a tenant, and of the platform.

use axum::extract::State;
use berth_core::services::webhooks::HookText;
use berth_types::{
    TenantName,
    webhook::{Delivery, Webhook},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::me::shown_once;
use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, InTenant, OfPlatformWebhook, OfWebhook},
    problem::Reply,
    query::Asked,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(get_webhook, replace_webhook, delete_webhook))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(test_webhook))
        .routes(routes!(list_webhook_messages))
        .routes(routes!(list_platform_webhooks, create_platform_webhook))
        .routes(routes!(get_platform_webhook, replace_platform_webhook, delete_platform_webhook))
        .routes(routes!(rotate_platform_webhook_secret))
        .routes(routes!(test_platform_webhook))
        .routes(routes!(list_platform_webhook_messages))
}

/// All there are; no more than 64.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hooks {
    /// By name.
    pub items: Vec<Webhook>,
}

/// The last messages; no more than 50.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Messages {
    /// Newest first.
    pub items: Vec<Delivery>,
}

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewHook {
    /// What it is called; 1 to 60 characters.
    pub name: String,
    /// Where it is: `https://…`.
    pub url: String,
    /// What it is told: `request.waiting`, `loan.ends_soon`, ….
    pub events: Vec<String>,
}

impl Input for NewHook {}

/// What a webhook shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HookReplacement {
    /// What it is called; 1 to 60 characters.
    pub name: String,
    /// Where it is: `https://…`.
    pub url: String,
    /// What it is told.
    pub events: Vec<String>,
    /// Whether it is on (default). One that Berth gave up begins anew.
    pub on: Option<bool>,
}

impl Input for HookReplacement {}

/// A webhook with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeHook {
    /// The webhook.
    pub webhook: Webhook,
    /// `whsec_…`, with which receivers check signatures: shown only here; absent when the reply is replayed for an idempotency key.
    pub secret: Option<String>,
}

impl From<(Webhook, SecretString)> for MadeHook {
    fn from((webhook, secret): (Webhook, SecretString)) -> Self {
        Self { webhook, secret: Some(secret.expose_secret().to_owned()) }
    }
}

/// What an operation is about.
struct Work<'a> {
    api: &'a Api,
    caller: &'a Caller,
    tenant: Option<&'a TenantName>,
}

impl Work<'_> {
    async fn list(&self, asked: &Asked) -> Reply {
        let items = self.api.services().list_webhooks(&self.caller.ctx, self.tenant).await?;
        Ok(reply::tagged(asked, &Hooks { items })?)
    }

    async fn create(&self, asked: &Asked, new: NewHook) -> Reply {
        let NewHook { name, url, events } = new;
        let text = HookText { name, url, events };
        let made = self.api.services().create_webhook(&self.caller.ctx, self.tenant, &text).await?;
        let mut made = MadeHook::from(made);
        let response = reply::created(&made, &format!("{}/{}", asked.uri.path(), made.webhook.id))?;
        made.secret = None;
        Ok(shown_once(response, &made)?)
    }

    async fn get(&self, asked: &Asked, id: Uuid) -> Reply {
        let hook = self.api.services().get_webhook(&self.caller.ctx, self.tenant, id).await?;
        Ok(reply::unless_known(asked, reply::json(&hook)?, tag(hook.version, false)))
    }

    async fn replace(&self, asked: &Asked, id: Uuid, wanted: HookReplacement) -> Reply {
        let known = IfMatch::read(&asked.headers)?.number();
        let HookReplacement { name, url, events, on } = wanted;
        let wanted = (&HookText { name, url, events }, on.unwrap_or(true));
        let services = self.api.services();
        let changed = services.update_webhook(&self.caller.ctx, (self.tenant, id), wanted, known).await;
        let hook = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
        Ok(reply::with_tag(reply::json(&hook)?, tag(hook.version, false)))
    }

    async fn delete(&self, id: Uuid) -> Reply {
        self.api.services().delete_webhook(&self.caller.ctx, self.tenant, id).await?;
        Ok(reply::nothing())
    }

    async fn rotate(&self, id: Uuid) -> Reply {
        let made = self.api.services().rotate_webhook_secret(&self.caller.ctx, self.tenant, id).await?;
        let mut made = MadeHook::from(made);
        let response = reply::json(&made)?;
        made.secret = None;
        Ok(shown_once(response, &made)?)
    }

    async fn test(&self, id: Uuid) -> Reply {
        Ok(reply::json(&self.api.services().test_webhook(&self.caller.ctx, self.tenant, id).await?)?)
    }

    async fn messages(&self, asked: &Asked, id: Uuid) -> Reply {
        let items = self.api.services().list_deliveries(&self.caller.ctx, self.tenant, id).await?;
        Ok(reply::tagged(asked, &Messages { items })?)
    }
}

/// List webhooks
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks", tag = "members",
    description = "Where notices of the tenant go; who may not change them sees no more of an address than its host.",
    responses((status = 200, description = "Webhooks.", body = Hooks)))]
pub(crate) async fn list_webhooks(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.list(&asked).await
}

/// Create a webhook
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks", tag = "members",
    request_body = NewHook,
    description = "Messages are signed as https://www.standardwebhooks.com says. It is sent to the internet, by https, and to what `webhook_ranges` names.",
    responses((status = 201, description = "The webhook; its secret is shown only here.", body = MadeHook)))]
pub(crate) async fn create_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewHook>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.create(&asked, new).await
}

/// Get a webhook
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "members",
    description = "Where it is, what it is told, whether it works.",
    responses((status = 200, description = "The webhook.", body = Webhook)))]
pub(crate) async fn get_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfWebhook>,
    asked: Asked,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.get(&asked, place.webhook).await
}

/// Change a webhook
#[utoipa::path(put, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "members",
    request_body = HookReplacement,
    description = "With `If-Match`, only the version that you read is changed. `on` switches one on again that was given up.",
    responses((status = 200, description = "The webhook as it is now.", body = Webhook)))]
pub(crate) async fn replace_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfWebhook>,
    asked: Asked,
    Sent(wanted): Sent<HookReplacement>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.replace(&asked, place.webhook, wanted).await
}

/// Remove a webhook
#[utoipa::path(delete, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "members",
    description = "With the messages that wait for it.",
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete_webhook(State(api): State<Api>, caller: Caller, At(place): At<OfWebhook>) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.delete(place.webhook).await
}

/// Renew the secret of a webhook
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks/{webhook}/rotate-secret", tag = "members",
    description = "For a day messages are signed with both, the new one first.",
    responses((status = 200, description = "The webhook; its new secret is shown only here.", body = MadeHook)))]
pub(crate) async fn rotate_webhook_secret(State(api): State<Api>, caller: Caller, At(place): At<OfWebhook>) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.rotate(place.webhook).await
}

/// Try a webhook
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks/{webhook}/test", tag = "members",
    description = "Sends `webhook.test`, once, whether it is on or not; what became of it is among its messages.",
    responses((status = 200, description = "The message, which is sent within seconds.", body = Delivery)))]
pub(crate) async fn test_webhook(State(api): State<Api>, caller: Caller, At(place): At<OfWebhook>) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.test(place.webhook).await
}

/// List messages to a webhook
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks/{webhook}/messages", tag = "members",
    description = "The last 50, newest first: whether they arrived, and what was answered. They are kept for a week.",
    responses((status = 200, description = "Messages.", body = Messages)))]
pub(crate) async fn list_webhook_messages(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfWebhook>,
    asked: Asked,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: Some(&place.tenant) }.messages(&asked, place.webhook).await
}

/// List webhooks of the platform
#[utoipa::path(get, path = "/admin/webhooks", tag = "admin",
    description = "Where notices of the platform go; who may not change them sees no more of an address than its host.",
    responses((status = 200, description = "Webhooks.", body = Hooks)))]
pub(crate) async fn list_platform_webhooks(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.list(&asked).await
}

/// Create a webhook of the platform
#[utoipa::path(post, path = "/admin/webhooks", tag = "admin",
    request_body = NewHook,
    description = "Messages are signed as https://www.standardwebhooks.com says. It is sent to the internet, by https, and to what `webhook_ranges` names.",
    responses((status = 201, description = "The webhook; its secret is shown only here.", body = MadeHook)))]
pub(crate) async fn create_platform_webhook(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewHook>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.create(&asked, new).await
}

/// Get a webhook of the platform
#[utoipa::path(get, path = "/admin/webhooks/{webhook}", tag = "admin",
    description = "Where it is, what it is told, whether it works.",
    responses((status = 200, description = "The webhook.", body = Webhook)))]
pub(crate) async fn get_platform_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
    asked: Asked,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.get(&asked, place.webhook).await
}

/// Change a webhook of the platform
#[utoipa::path(put, path = "/admin/webhooks/{webhook}", tag = "admin",
    request_body = HookReplacement,
    description = "With `If-Match`, only the version that you read is changed. `on` switches one on again that was given up.",
    responses((status = 200, description = "The webhook as it is now.", body = Webhook)))]
pub(crate) async fn replace_platform_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
    asked: Asked,
    Sent(wanted): Sent<HookReplacement>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.replace(&asked, place.webhook, wanted).await
}

/// Remove a webhook of the platform
#[utoipa::path(delete, path = "/admin/webhooks/{webhook}", tag = "admin",
    description = "With the messages that wait for it.",
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete_platform_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.delete(place.webhook).await
}

/// Renew the secret of a webhook of the platform
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/rotate-secret", tag = "admin",
    description = "For a day messages are signed with both, the new one first.",
    responses((status = 200, description = "The webhook; its new secret is shown only here.", body = MadeHook)))]
pub(crate) async fn rotate_platform_webhook_secret(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.rotate(place.webhook).await
}

/// Try a webhook of the platform
#[utoipa::path(post, path = "/admin/webhooks/{webhook}/test", tag = "admin",
    description = "Sends `webhook.test`, once, whether it is on or not; what became of it is among its messages.",
    responses((status = 200, description = "The message, which is sent within seconds.", body = Delivery)))]
pub(crate) async fn test_platform_webhook(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.test(place.webhook).await
}

/// List messages to a webhook of the platform
#[utoipa::path(get, path = "/admin/webhooks/{webhook}/messages", tag = "admin",
    description = "The last 50, newest first: whether they arrived, and what was answered. They are kept for a week.",
    responses((status = 200, description = "Messages.", body = Messages)))]
pub(crate) async fn list_platform_webhook_messages(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformWebhook>,
    asked: Asked,
) -> Reply {
    Work { api: &api, caller: &caller, tenant: None }.messages(&asked, place.webhook).await
}
