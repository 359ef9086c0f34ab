//! Webhooks: where a tenant's notices go, and the platform's. What is sent when, is [`super::outbox`]'s.

use berth_types::{
    Action, ErrorCode, FieldError, Resource, TenantName,
    webhook::{Delivery, EventKind, HookStop, MAX_HOOKS, Webhook},
};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Done, Services, identity::new_id, invitations::Granted, people::label};
use crate::{
    ctx::OpCtx,
    error::{Error, Result},
    notices::Notice,
    ports::webhooks::{NewDelivery, NewWebhook},
    webhooks::sign::{new_secret, shown},
};

/// Messages that are shown.
const SHOWN: i64 = 50;
/// Tests of one webhook that may wait at once.
const TESTS: usize = 3;
/// How long the secret before the newest stays good: receivers are given the new one in their own time.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// A webhook as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookText {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What it is told.
    pub events: Vec<String>,
}

/// What somebody wrote, checked.
struct Read {
    name: String,
    url: String,
    events: Vec<EventKind>,
}

/// For what a webhook's secret is sealed.
pub(super) fn place(hook: Uuid) -> String {
    format!("webhook:{hook}")
}

fn events(written: &[String], platform: bool) -> Result<Vec<EventKind>, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let mut picked = Vec::new();
    let known = || EventKind::choices(platform).map(EventKind::as_str).collect::<Vec<_>>().join(", ");
    for (i, word) in written.iter().enumerate() {
        match EventKind::choices(platform).find(|kind| kind.as_str() == word.trim()) {
            Some(kind) if picked.contains(&kind) => {}
            Some(kind) => picked.push(kind),
            None => {
                let error = FieldError::new(format!("events[{i}]"), "one_of", format!("one of {}", known()));
                wrong.push(error.param("choices", known()));
            }
        }
    }
    if written.is_empty() {
        wrong.push(FieldError::new("events", "hook_events", "pick one at least"));
    }
    picked.sort();
    if wrong.is_empty() { Ok(picked) } else { Err(wrong) }
}

/// What the audit log says of one. Its address may hold a secret.
fn said(hook: &Webhook) -> Value {
    let veiled = hook.clone().veiled();
    json!({ "name": veiled.name, "url": veiled.url, "events": veiled.events, "on": veiled.stopped.is_none() })
}

fn target(tenant: Option<&TenantName>, rest: impl std::fmt::Display) -> String {
    tenant.map_or_else(|| rest.to_string(), |tenant| format!("{tenant}/{rest}"))
}

impl Services {
    async fn hooks(&self, ctx: &OpCtx, tenant: Option<&TenantName>, action: Action) -> Result<Granted> {
        Ok(match tenant {
            Some(tenant) => Granted::Tenant(self.authz.tenant(ctx, tenant, Resource::Webhook, action).await?),
            None => Granted::Platform(self.authz.platform(ctx, Resource::Webhook, action)?),
        })
    }

    /// Whether the asking person may change what they see here.
    fn may_change_hooks(&self, ctx: &OpCtx, granted: &Granted) -> bool {
        match granted {
            Granted::Tenant(tenant) => self.authz.could(ctx, tenant, Resource::Webhook, Action::Update),
            Granted::Platform(_) => self.authz.platform(ctx, Resource::Webhook, Action::Update).is_ok(),
        }
    }

    async fn find_hook(&self, granted: &Granted, id: Uuid) -> Result<Webhook> {
        let all = self.store.list_webhooks(granted.within()).await?;
        all.into_iter().find(|hook| hook.id == id).ok_or_else(Error::not_found)
    }

    /// The webhooks of a tenant, or of the platform, by name.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn list_webhooks(&self, ctx: &OpCtx, tenant: Option<&TenantName>) -> Result<Vec<Webhook>> {
        let granted = self.hooks(ctx, tenant, Action::Read).await?;
        let all = self.store.list_webhooks(granted.within()).await?;
        let may = self.may_change_hooks(ctx, &granted);
        Ok(all.into_iter().map(|hook| if may { hook } else { hook.veiled() }).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Self::list_webhooks`].
    pub async fn get_webhook(&self, ctx: &OpCtx, tenant: Option<&TenantName>, id: Uuid) -> Result<Webhook> {
        let all = self.list_webhooks(ctx, tenant).await?;
        all.into_iter().find(|hook| hook.id == id).ok_or_else(Error::not_found)
    }

    /// The last messages to one, newest first.
    ///
    /// # Errors
    /// As [`Self::list_webhooks`].
    pub async fn list_deliveries(&self, ctx: &OpCtx, tenant: Option<&TenantName>, id: Uuid) -> Result<Vec<Delivery>> {
        let granted = self.hooks(ctx, tenant, Action::Read).await?;
        self.find_hook(&granted, id).await?;
        self.store.list_deliveries(granted.within(), id, SHOWN).await
    }

    /// What was written; all that is wrong with it at once.
    fn read_hook(&self, text: &HookText, platform: bool) -> Result<Read> {
        let name = label("name", &text.name).map_err(|e| e.fields().to_vec());
        let url = self.hooks.guard.read(&text.url).map_err(|e| vec![e]);
        match (name, url, events(&text.events, platform)) {
            (Ok(name), Ok(url), Ok(events)) => Ok(Read { name, url, events }),
            (name, url, events) => {
                let wrong = [name.err(), url.err(), events.err()].into_iter().flatten().flatten().collect();
                Err(Error::invalid(wrong))
            }
        }
    }

    /// A new secret of `hook`, sealed and to be shown.
    fn hook_secret(&self, hook: Uuid) -> Result<(Vec<u8>, SecretString)> {
        let none = || Error::new(ErrorCode::Forbidden, "webhooks need a key: see second_factor_key_file");
        let key = self.seal_key().ok_or_else(none)?;
        let secret = new_secret(&*self.random)?;
        Ok((key.seal(&secret, &place(hook), &*self.random)?, shown(&secret)))
    }

    /// Makes a webhook; its secret comes back once.
    ///
    /// # Errors
    /// `Invalid` at `name`, `url`, `events`; `AlreadyExists` at `name`; forbidden, also where Berth has no key to seal secrets with.
    pub async fn create_webhook(
        &self,
        ctx: &OpCtx,
        tenant: Option<&TenantName>,
        text: &HookText,
    ) -> Result<(Webhook, SecretString)> {
        let work = async {
            let granted = self.hooks(ctx, tenant, Action::Create).await?;
            let Read { name, url, events } = self.read_hook(text, tenant.is_none())?;
            if self.store.list_webhooks(granted.within()).await?.len() >= MAX_HOOKS {
                let message = format!("there are {MAX_HOOKS} already: remove one first");
                return Err(Error::field(FieldError::new("name", "hook_many", message).param("max", MAX_HOOKS)));
            }
            let id = new_id(ctx.now(), &*self.random)?;
            let (sealed, secret) = self.hook_secret(id)?;
            let hook = Webhook {
                id,
                name,
                url,
                events,
                stopped: None,
                failing_since: None,
                old_secret_until: None,
                created_by: ctx.actor.to_string(),
                created_at: ctx.now(),
                version: 1,
            };
            let new = NewWebhook { hook, sealed };
            self.store.create_webhook(granted.within(), &new).await?;
            let detail = json!({ "id": id, "after": said(&new.hook) });
            Ok(Done::with((new.hook, secret), detail))
        };
        let called = text.name.trim().chars().take(60).collect::<String>();
        self.audited(ctx, "webhook.create", target(tenant, called), tenant, work).await
    }

    /// Changes one, if it still has `version` (any, when absent); on again, it begins anew.
    ///
    /// # Errors
    /// As [`Self::create_webhook`]; `NotFound`, `Conflict`.
    pub async fn update_webhook(
        &self,
        ctx: &OpCtx,
        (tenant, id): (Option<&TenantName>, Uuid),
        (text, on): (&HookText, bool),
        version: Option<i64>,
    ) -> Result<Webhook> {
        let work = async {
            let granted = self.hooks(ctx, tenant, Action::Update).await?;
            let before = self.find_hook(&granted, id).await?;
            if version.is_some_and(|version| version != before.version) {
                return Err(Error::new(ErrorCode::Conflict, "it was changed since it was read"));
            }
            let Read { name, url, events } = self.read_hook(text, tenant.is_none())?;
            let stop = HookStop { at: ctx.now(), by: ctx.actor.to_string(), reason: String::new() };
            let stopped = if on { None } else { Some(before.stopped.clone().unwrap_or(stop)) };
            let anew = on && before.stopped.is_some();
            let failing_since = before.failing_since.filter(|_| !anew);
            let version = before.version + 1;
            let after = Webhook { name, url, events, stopped, failing_since, version, ..before.clone() };
            self.store.update_webhook(granted.within(), &after).await?;
            let detail = json!({ "before": said(&before), "after": said(&after) });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "webhook.update", target(tenant, id), tenant, work).await
    }

    /// Gives one another secret, which comes back once; for a day messages are signed with both.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn rotate_webhook_secret(
        &self,
        ctx: &OpCtx,
        tenant: Option<&TenantName>,
        id: Uuid,
    ) -> Result<(Webhook, SecretString)> {
        let work = async {
            let granted = self.hooks(ctx, tenant, Action::Update).await?;
            self.find_hook(&granted, id).await?;
            let (sealed, secret) = self.hook_secret(id)?;
            let until = ctx.now().checked_add(OLD).map_err(Error::internal)?;
            self.store.set_webhook_secret(granted.within(), id, &sealed, until).await?;
            let hook = self.find_hook(&granted, id).await?;
            Ok(Done::with((hook, secret), json!({ "oldUntil": until })))
        };
        self.audited(ctx, "webhook.rotate", target(tenant, id), tenant, work).await
    }

    /// Removes one, with what waits for it.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn delete_webhook(&self, ctx: &OpCtx, tenant: Option<&TenantName>, id: Uuid) -> Result<()> {
        let work = async {
            let granted = self.hooks(ctx, tenant, Action::Delete).await?;
            let before = self.find_hook(&granted, id).await?;
            self.store.delete_webhook(granted.within(), id).await?;
            Ok(Done::with((), json!({ "before": said(&before) })))
        };
        self.audited(ctx, "webhook.delete", target(tenant, id), tenant, work).await
    }

    /// Sends a message that says nothing to one, on or off; it is tried once.
    ///
    /// # Errors
    /// `NotFound`; `RateLimited` while others wait; forbidden.
    pub async fn test_webhook(&self, ctx: &OpCtx, tenant: Option<&TenantName>, id: Uuid) -> Result<Delivery> {
        let work = async {
            let granted = self.hooks(ctx, tenant, Action::Update).await?;
            self.find_hook(&granted, id).await?;
            let known = self.store.list_deliveries(granted.within(), id, SHOWN).await?;
            if known.iter().filter(|one| one.event == EventKind::Test && one.next_at.is_some()).count() >= TESTS {
                let message = "tests wait already: look what becomes of them";
                return Err(Error::new(ErrorCode::RateLimited, message).retry_after(std::time::Duration::from_secs(10)));
            }
            let now = ctx.now();
            let notice = Notice::of_test(tenant, ctx.actor.to_string(), now);
            let body = notice.payload(self.hooks.site.as_deref()).to_string();
            let message = NewDelivery {
                id: new_id(now, &*self.random)?,
                hook: id,
                event: EventKind::Test,
                body,
                created_at: now,
            };
            self.store.add_delivery(granted.within(), &message).await?;
            let all = self.store.list_deliveries(granted.within(), id, SHOWN).await?;
            let made = all.into_iter().find(|one| one.id == message.id).ok_or_else(Error::not_found)?;
            Ok(Done::with(made, json!({ "message": message.id })))
        };
        self.audited(ctx, "webhook.test", target(tenant, id), tenant, work).await
    }

    /// The webhooks that Berth gave up and the asking person could mend; pages go on without where they cannot be asked for.
    pub async fn given_up_webhooks(&self, ctx: &OpCtx, tenant: Option<&TenantName>) -> Vec<Webhook> {
        let Ok(granted) = self.hooks(ctx, tenant, Action::Read).await else { return Vec::new() };
        if !self.may_change_hooks(ctx, &granted) {
            return Vec::new();
        }
        let mut all = self.store.list_webhooks(granted.within()).await.unwrap_or_default();
        all.retain(|hook| hook.stopped.as_ref().is_some_and(HookStop::is_given_up));
        all
    }
}
