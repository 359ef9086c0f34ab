//! Rows of webhooks, their messages and the outbox; and the way to a webhook.

use std::time::Duration;

use async_trait::async_trait;
use berth_types::webhook::{Attempt, Delivery, EventKind, HookStop, Webhook};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    links::{NewReset, Within},
    mail::NewMail,
};
use crate::{
    authz::{Grant, PlatformRef},
    error::Result,
    notices::Notice,
    webhooks::pressure::Pressure,
};

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// As it is shown.
    pub hook: Webhook,
    /// Its secret, sealed.
    pub sealed: Vec<u8>,
}

/// A notice that nobody passed on yet.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place in the outbox.
    pub id: i64,
    /// The tenant whose webhooks hear of it, beside the platform's; none: those alone.
    pub tenant: Option<Uuid>,
    /// What it tells.
    pub notice: Notice,
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its id.
    pub id: Uuid,
    /// To which webhook.
    pub hook: Uuid,
    /// What it tells.
    pub event: EventKind,
    /// The bytes that are signed and sent.
    pub body: String,
    /// When it was made; it is sent at once.
    pub created_at: Timestamp,
}

/// A message that is to be sent now, with all that needs.
#[derive(Debug, Clone)]
pub struct Due {
    /// The message.
    pub message: NewDelivery,
    /// How often it was tried.
    pub attempts: i64,
    /// Where to.
    pub url: String,
    /// The webhook's secret, sealed.
    pub sealed: Vec<u8>,
    /// The one before it, while that is good.
    pub old_sealed: Option<Vec<u8>>,
    /// Since when nothing has come through.
    pub failing_since: Option<Timestamp>,
}

/// What takes the place of a notice.
#[derive(Debug, Default)]
pub struct Spread {
    /// To webhooks; those to webhooks that are gone by now are left out.
    pub messages: Vec<NewDelivery>,
    /// To people.
    pub mails: Vec<NewMail>,
    /// People to whom one more mail was left out.
    pub dropped: Vec<Uuid>,
    /// A link to a new password that one of the mails holds, in the place of the person's last one.
    pub reset: Option<NewReset>,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Of which message.
    pub delivery: Uuid,
    /// To which webhook.
    pub hook: Uuid,
    /// What came of it.
    pub attempt: Attempt,
    /// Whether it arrived.
    pub arrived: bool,
    /// When it is tried again; none: not any more.
    pub again: Option<Timestamp>,
    /// The webhook is given up: what waits for it has failed.
    pub stop: Option<HookStop>,
}

/// Webhooks, their messages and the outbox.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Whose webhooks there are, by name.
    async fn list_webhooks(&self, within: Within<'_>) -> Result<Vec<Webhook>>;
    /// A new one. `AlreadyExists` at `name`.
    async fn create_webhook(&self, within: Within<'_>, new: &NewWebhook) -> Result<()>;
    /// Sets name, address, events and whether it is on, if the version is still one less than `hook.version`. `AlreadyExists` at `name`;
    /// `Conflict`.
    async fn update_webhook(&self, within: Within<'_>, hook: &Webhook) -> Result<()>;
    /// Gives it another secret; the one before stays good until `old_until`. `NotFound`.
    async fn set_webhook_secret(&self, within: Within<'_>, id: Uuid, sealed: &[u8], old_until: Timestamp)
    -> Result<()>;
    /// Removes one with its messages. `NotFound`.
    async fn delete_webhook(&self, within: Within<'_>, id: Uuid) -> Result<()>;
    /// The last messages to one, newest first, at most `limit`; none to one that is not theirs.
    async fn list_deliveries(&self, within: Within<'_>, id: Uuid, limit: i64) -> Result<Vec<Delivery>>;
    /// A message to one of theirs, beside the outbox; `NotFound`.
    async fn add_delivery(&self, within: Within<'_>, new: &NewDelivery) -> Result<()>;

    /// A notice of something that changed no row.
    async fn put_notice(&self, tenant: Option<Uuid>, notice: &Notice) -> Result<()>;
    /// Notices that wait, oldest first, at most `limit`.
    async fn waiting_notices(&self, grant: &Grant<PlatformRef>, limit: i64) -> Result<Vec<Waiting>>;
    /// The webhooks that are on and want `kind`: of `tenant`, and the platform's.
    async fn hooks_for(&self, grant: &Grant<PlatformRef>, tenant: Option<Uuid>, kind: EventKind) -> Result<Vec<Uuid>>;
    /// Takes a notice out of the outbox and puts messages and mail in its place, both or neither; whether it was still there.
    async fn spread_notice(&self, grant: &Grant<PlatformRef>, id: i64, spread: &Spread) -> Result<bool>;
    /// Messages that are due at `now`, a few of each webhook; nobody else gets them before `until`.
    async fn take_deliveries(&self, grant: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<Due>>;
    /// Writes down what came of an attempt.
    async fn note_attempt(&self, grant: &Grant<PlatformRef>, tried: &Tried) -> Result<()>;

    /// What is remembered of namespaces whose quota is nearly used up.
    async fn list_pressures(&self, grant: &Grant<PlatformRef>) -> Result<Vec<(Uuid, Pressure)>>;
    /// Sets it, with the notice that it is so now (the tenant's id, and what is told), both or neither; of many at once one tells.
    async fn set_pressure(
        &self,
        grant: &Grant<PlatformRef>,
        namespace: Uuid,
        pressure: Option<Pressure>,
        notice: Option<(Uuid, &Notice)>,
    ) -> Result<()>;
}

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// How its body begins.
    pub body: Vec<u8>,
    /// Its header `Retry-After`.
    pub retry_after: Option<String>,
}

/// Sends messages to webhooks.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Posts `body` to `url`, which is followed nowhere else; what keeps it from being sent, in words for who keeps the webhook.
    async fn post(&self, url: &str, headers: &[(&'static str, String)], body: String) -> Result<Answered, String>;
}

/// Sends nothing.
pub struct NoSender;

#[async_trait]
impl Sender for NoSender {
    async fn post(&self, _: &str, _: &[(&'static str, String)], _: String) -> Result<Answered, String> {
        Err("nothing is sent from here".to_owned())
    }
}

/// How long a message may take: longer, and it did not arrive.
pub const TIME: Duration = Duration::from_secs(10);
