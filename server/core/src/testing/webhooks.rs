//! Webhooks, their messages and the outbox of a [`FakeStore`]; a receiver that answers what it is told to; who hears notices.

use std::collections::HashMap;

use async_trait::async_trait;
use berth_types::{
    UserName,
    webhook::{Delivery, DeliveryState, EventKind, HookStop, Webhook},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Rows as AllRows, taken},
};
use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    notices::{Notice, Notices},
    ports::{
        links::Within,
        webhooks::{Answered, Due, NewDelivery, NewWebhook, Sender, Spread, Tried, Waiting, Webhooks},
    },
    webhooks::pressure::Pressure,
};

struct Kept {
    tenant: Option<Uuid>,
    new: NewWebhook,
    old: Option<Vec<u8>>,
}

struct Message {
    new: NewDelivery,
    shown: Delivery,
}

#[derive(Default)]
pub(super) struct Rows {
    hooks: Vec<Kept>,
    messages: Vec<Message>,
    outbox: Vec<Waiting>,
    numbers: i64,
    pressures: HashMap<Uuid, Pressure>,
}

/// Messages of one webhook that are taken at once.
const A_FEW: usize = 4;

impl Rows {
    pub(super) fn put(&mut self, tenant: Option<Uuid>, notice: &Notice) {
        self.numbers += 1;
        self.outbox.push(Waiting { id: self.numbers, tenant, notice: notice.clone() });
    }

    /// What goes with a tenant.
    pub(super) fn forget(&mut self, tenant: Uuid) {
        self.outbox.retain(|waiting| waiting.tenant != Some(tenant));
        self.hooks.retain(|kept| kept.tenant != Some(tenant));
        self.settle();
    }

    /// What goes with a namespace.
    pub(super) fn forget_namespace(&mut self, namespace: Uuid) {
        self.pressures.remove(&namespace);
    }

    fn settle(&mut self) {
        let hooks: Vec<Uuid> = self.hooks.iter().map(|kept| kept.new.hook.id).collect();
        self.messages.retain(|message| hooks.contains(&message.new.hook));
    }

    fn find(&mut self, within: Within<'_>, id: Uuid) -> Result<&mut Kept> {
        let theirs = |kept: &&mut Kept| kept.tenant == within.tenant() && kept.new.hook.id == id;
        self.hooks.iter_mut().find(theirs).ok_or_else(Error::not_found)
    }

    fn check_name(&self, within: Within<'_>, hook: &Webhook) -> Result<()> {
        let same = |kept: &Kept| kept.tenant == within.tenant() && kept.new.hook.name == hook.name;
        if self.hooks.iter().any(|kept| same(kept) && kept.new.hook.id != hook.id) {
            return Err(taken("name", format!("there is a webhook “{}” already", hook.name)));
        }
        Ok(())
    }

    fn add(&mut self, new: &NewDelivery) {
        let shown = Delivery {
            id: new.id,
            event: new.event,
            state: DeliveryState::Waiting,
            attempts: 0,
            created_at: new.created_at,
            next_at: Some(new.created_at),
            last: None,
        };
        self.messages.push(Message { new: new.clone(), shown });
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> usize {
        let had = self.messages.len();
        let late = before - jiff::SignedDuration::from_hours(6 * 24);
        self.messages.retain(|m| m.shown.state == DeliveryState::Waiting || m.shown.created_at >= late);
        had - self.messages.len()
    }
}

impl AllRows {
    /// The name of somebody of whom a notice tells.
    pub(super) fn called(&self, user: Uuid) -> Result<UserName> {
        let account = self.account(user).ok_or_else(|| Error::internal("nobody asked"))?;
        Ok(account.user.name.clone())
    }

    /// That something was done to an account, for its owner.
    pub(super) fn tell_owner(&mut self, event: EventKind, user: Uuid, now: Timestamp) -> Result<()> {
        let whose = self.called(user)?;
        self.webhooks.put(None, &Notice::of_account(event, &whose, now));
        Ok(())
    }
}

#[async_trait]
impl Webhooks for FakeStore {
    async fn list_webhooks(&self, within: Within<'_>) -> Result<Vec<Webhook>> {
        let rows = self.rows()?;
        let theirs = rows.webhooks.hooks.iter().filter(|kept| kept.tenant == within.tenant());
        let mut all: Vec<Webhook> = theirs.map(|kept| kept.new.hook.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn create_webhook(&self, within: Within<'_>, new: &NewWebhook) -> Result<()> {
        let mut rows = self.rows()?;
        rows.webhooks.check_name(within, &new.hook)?;
        rows.webhooks.hooks.push(Kept { tenant: within.tenant(), new: new.clone(), old: None });
        Ok(())
    }

    async fn update_webhook(&self, within: Within<'_>, hook: &Webhook) -> Result<()> {
        let mut rows = self.rows()?;
        let rows = &mut rows.webhooks;
        rows.check_name(within, hook)?;
        let conflict = || Error::new(berth_types::ErrorCode::Conflict, "it was changed since it was read");
        let known = &mut rows.find(within, hook.id).map_err(|_| conflict())?.new.hook;
        if known.version != hook.version - 1 {
            return Err(conflict());
        }
        let stays = (known.created_by.clone(), known.created_at, known.old_secret_until);
        *known = hook.clone();
        (known.created_by, known.created_at, known.old_secret_until) = stays;
        Ok(())
    }

    async fn set_webhook_secret(
        &self,
        within: Within<'_>,
        id: Uuid,
        sealed: &[u8],
        old_until: Timestamp,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        let kept = rows.webhooks.find(within, id)?;
        kept.old = Some(std::mem::replace(&mut kept.new.sealed, sealed.to_vec()));
        kept.new.hook.old_secret_until = Some(old_until);
        kept.new.hook.version += 1;
        Ok(())
    }

    async fn delete_webhook(&self, within: Within<'_>, id: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        rows.webhooks.find(within, id)?;
        rows.webhooks.hooks.retain(|kept| kept.new.hook.id != id);
        rows.webhooks.settle();
        Ok(())
    }

    async fn list_deliveries(&self, within: Within<'_>, id: Uuid, limit: i64) -> Result<Vec<Delivery>> {
        let mut rows = self.rows()?;
        if rows.webhooks.find(within, id).is_err() {
            return Ok(Vec::new());
        }
        let theirs = rows.webhooks.messages.iter().filter(|message| message.new.hook == id);
        let mut all: Vec<Delivery> = theirs.map(|message| message.shown.clone()).collect();
        all.sort_by_key(|one| std::cmp::Reverse((one.created_at, one.id)));
        all.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(all)
    }

    async fn add_delivery(&self, within: Within<'_>, new: &NewDelivery) -> Result<()> {
        let mut rows = self.rows()?;
        rows.webhooks.find(within, new.hook)?;
        rows.webhooks.add(new);
        Ok(())
    }

    async fn put_notice(&self, tenant: Option<Uuid>, notice: &Notice) -> Result<()> {
        self.rows()?.webhooks.put(tenant, notice);
        Ok(())
    }

    async fn waiting_notices(&self, _: &Grant<PlatformRef>, limit: i64) -> Result<Vec<Waiting>> {
        let limit = usize::try_from(limit).unwrap_or_default();
        Ok(self.rows()?.webhooks.outbox.iter().take(limit).cloned().collect())
    }

    async fn hooks_for(&self, _: &Grant<PlatformRef>, tenant: Option<Uuid>, kind: EventKind) -> Result<Vec<Uuid>> {
        let rows = self.rows()?;
        let hears = |kept: &&Kept| {
            let hook = &kept.new.hook;
            (kept.tenant.is_none() || kept.tenant == tenant) && hook.stopped.is_none() && hook.events.contains(&kind)
        };
        let mut all: Vec<Uuid> = rows.webhooks.hooks.iter().filter(hears).map(|kept| kept.new.hook.id).collect();
        all.sort_unstable();
        Ok(all)
    }

    async fn spread_notice(&self, _: &Grant<PlatformRef>, id: i64, spread: &Spread) -> Result<bool> {
        let mut all = self.rows()?;
        let rows = &mut all.webhooks;
        let Some(at) = rows.outbox.iter().position(|waiting| waiting.id == id) else { return Ok(false) };
        rows.outbox.remove(at);
        for message in &spread.messages {
            rows.add(message);
        }
        rows.settle();
        all.mail.spread(spread);
        if let Some(reset) = &spread.reset {
            all.links.keep_reset(reset);
        }
        Ok(true)
    }

    async fn take_deliveries(&self, _: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<Due>> {
        let mut rows = self.rows()?;
        let rows = &mut rows.webhooks;
        let mut of_hook: HashMap<Uuid, usize> = HashMap::new();
        let mut due = Vec::new();
        rows.messages.sort_by_key(|message| (message.shown.next_at, message.new.id));
        for message in &mut rows.messages {
            if message.shown.next_at.is_none_or(|at| at > now) {
                continue;
            }
            let taken = of_hook.entry(message.new.hook).or_default();
            if *taken == A_FEW {
                continue;
            }
            *taken += 1;
            message.shown.next_at = Some(until);
            let kept = rows.hooks.iter().find(|kept| kept.new.hook.id == message.new.hook);
            let kept = kept.ok_or_else(|| Error::internal("a message to nobody"))?;
            due.push(Due {
                message: message.new.clone(),
                attempts: message.shown.attempts,
                url: kept.new.hook.url.clone(),
                sealed: kept.new.sealed.clone(),
                old_sealed: kept.old.clone().filter(|_| kept.new.hook.old_secret_until.is_some_and(|at| at > now)),
                failing_since: kept.new.hook.failing_since,
            });
        }
        Ok(due)
    }

    async fn note_attempt(&self, _: &Grant<PlatformRef>, tried: &Tried) -> Result<()> {
        let mut rows = self.rows()?;
        let rows = &mut rows.webhooks;
        for message in rows.messages.iter_mut().filter(|message| message.new.id == tried.delivery) {
            message.shown.attempts += 1;
            message.shown.next_at = tried.again;
            message.shown.last = Some(tried.attempt.clone());
            message.shown.state = match (tried.arrived, tried.again) {
                (true, _) => DeliveryState::Delivered,
                (false, Some(_)) => DeliveryState::Waiting,
                (false, None) => DeliveryState::Failed,
            };
        }
        for kept in rows.hooks.iter_mut().filter(|kept| kept.new.hook.id == tried.hook) {
            let hook = &mut kept.new.hook;
            hook.failing_since = if tried.arrived { None } else { hook.failing_since.or(Some(tried.attempt.at)) };
            if let (Some(stop), None) = (&tried.stop, &hook.stopped) {
                hook.stopped = Some(HookStop::clone(stop));
                hook.version += 1;
            }
        }
        if tried.stop.is_some() {
            let waits = |m: &&mut Message| m.new.hook == tried.hook && m.shown.state == DeliveryState::Waiting;
            for message in rows.messages.iter_mut().filter(waits) {
                (message.shown.state, message.shown.next_at) = (DeliveryState::Failed, None);
            }
        }
        Ok(())
    }

    async fn list_pressures(&self, _: &Grant<PlatformRef>) -> Result<Vec<(Uuid, Pressure)>> {
        let mut all: Vec<(Uuid, Pressure)> = self.rows()?.webhooks.pressures.iter().map(|(id, p)| (*id, *p)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        Ok(all)
    }

    async fn set_pressure(
        &self,
        _: &Grant<PlatformRef>,
        namespace: Uuid,
        pressure: Option<Pressure>,
        notice: Option<(Uuid, &Notice)>,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        let there = rows.namespaces.iter().any(|(_, row)| row.id == namespace);
        let rows = &mut rows.webhooks;
        let before = match pressure.filter(|_| there) {
            Some(pressure) => rows.pressures.insert(namespace, pressure),
            None => rows.pressures.remove(&namespace),
        };
        if let (Some((tenant, notice)), true) = (notice, there && before.is_some_and(|before| !before.told)) {
            rows.put(Some(tenant), notice);
        }
        Ok(())
    }
}

/// A request as a [`FakeReceiver`] got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Where to.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: String,
}

impl Posted {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// Takes what is sent, and answers as it is told: with 204 until then.
#[derive(Default)]
pub struct FakeReceiver {
    got: Mutex<Vec<Posted>>,
    says: Mutex<Option<Result<Answered, String>>>,
}

impl FakeReceiver {
    /// What came in since the last time.
    pub fn take(&self) -> Vec<Posted> {
        std::mem::take(&mut *self.got.lock())
    }

    /// From now on answers with this status and text.
    pub fn says(&self, status: u16, body: &str) {
        *self.says.lock() = Some(Ok(Answered { status, body: body.into(), retry_after: None }));
    }

    /// The same, and that it wants to be asked again then.
    pub fn wants_later(&self, status: u16, retry_after: &str) {
        let retry_after = Some(retry_after.to_owned());
        *self.says.lock() = Some(Ok(Answered { status, body: Vec::new(), retry_after }));
    }

    /// From now on does not answer, for this reason.
    pub fn away(&self, why: &str) {
        *self.says.lock() = Some(Err(why.to_owned()));
    }
}

#[async_trait]
impl Sender for FakeReceiver {
    async fn post(&self, url: &str, headers: &[(&'static str, String)], body: String) -> Result<Answered, String> {
        self.got.lock().push(Posted { url: url.to_owned(), headers: headers.to_vec(), body });
        self.says.lock().clone().unwrap_or(Ok(Answered { status: 204, body: Vec::new(), retry_after: None }))
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Heard(Mutex<Vec<Notice>>);

impl Heard {
    /// What it was told since the last time.
    pub fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Notices for Heard {
    fn tell(&self, notice: &Notice) {
        self.0.lock().push(notice.clone());
    }
}
