//! What the outbox holds is passed on, by the one process that leads: notices become messages to webhooks and mail, messages are sent until
//! they arrive or are given up.
//!
//! Killed between any two lines, nothing is lost: a notice is taken out of the outbox with its messages put in, and a message that
//! was sent, but not noted, is sent again with the same id.

use std::sync::Arc;

use berth_types::{
    Action, ErrorCode, Resource,
    webhook::{Attempt, EventKind, HookStop, MAX_ANSWER},
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Done, Services, identity::new_id, mailing::Mailing, quotas::counted, webhooks::place};
use crate::{
    authz::{Grant, PlatformRef},
    ctx::OpCtx,
    error::{Error, Result},
    notices::{KeyUse, Notice},
    ports::{
        cluster::{CacheState, Cluster},
        webhooks::{Due, NewDelivery, NoSender, Sender, Spread, Tried, Waiting},
    },
    quota::{Book, Share},
    webhooks::{
        guard::Guard,
        pressure::{self, HIGH},
        schedule::{again, arrived, gives_up, wanted},
        sign::{message_id, signatures},
    },
};

/// Notices that are passed on in one go.
const AT_ONCE: i64 = 100;
/// Nobody else sends a message for so long after somebody took it: longer than all of a round takes.
const TAKEN: SignedDuration = SignedDuration::from_mins(2);

/// How messages leave.
pub struct Hooks {
    /// The way out.
    pub sender: Arc<dyn Sender>,
    /// Where they may go.
    pub guard: Guard,
    /// The portal's address, where it is known: messages lead there.
    pub site: Option<String>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { sender: Arc::new(NoSender), guard: Guard::default(), site: None }
    }
}

/// How an answer begins, as text without anything that steers.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_ANSWER)]).into_owned();
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// How much of its quota a namespace uses, fullest first.
fn used(cluster: &dyn Cluster, book: &Book, share: &Share) -> Vec<KeyUse> {
    let used = counted(cluster, book, share);
    let limits = book.enforced(share).unwrap_or_default();
    let mut all: Vec<KeyUse> = limits
        .iter()
        .filter_map(|(key, limit)| {
            let percent = used.of(key).thousandths_of(limit)? / 10;
            Some(KeyUse { key: key.to_string(), percent })
        })
        .collect();
    all.sort_by(|a, b| b.percent.cmp(&a.percent).then_with(|| a.key.cmp(&b.key)));
    all
}

impl Services {
    /// The same, which sends messages to webhooks so.
    #[must_use]
    pub fn with_hooks(&self, hooks: Hooks) -> Self {
        Self { hooks: Arc::new(hooks), ..self.clone() }
    }

    pub(super) fn outbox(&self) -> Result<(OpCtx, Grant<PlatformRef>)> {
        let ctx = OpCtx::system(self.clock.clone(), "outbox");
        let grant = self.authz.platform(&ctx, Resource::Webhook, Action::Update)?;
        Ok((ctx, grant))
    }

    /// Passes notices on, to the log and to the webhooks that want them; how many. For the one process that leads; two that do it
    /// at once do it once.
    ///
    /// # Errors
    /// The store's.
    pub async fn spread_notices(&self) -> Result<usize> {
        let (ctx, grant) = self.outbox()?;
        let mut passed = 0;
        for waiting in self.store.waiting_notices(&grant, AT_ONCE).await? {
            passed += usize::from(self.pass_on(&ctx, &grant, waiting).await?);
        }
        Ok(passed)
    }

    /// Passes one on; whether it was this call that did.
    pub(super) async fn pass_on(&self, ctx: &OpCtx, grant: &Grant<PlatformRef>, waiting: Waiting) -> Result<bool> {
        let mut notice = waiting.notice;
        let Mailing { mails, dropped, reset } = self.mails_of(ctx, grant, waiting.tenant, &mut notice).await?;
        let hooks = self.store.hooks_for(grant, waiting.tenant, notice.event).await?;
        let body = notice.payload(self.hooks.site.as_deref()).to_string();
        let message = |hook| {
            let (id, event) = (new_id(ctx.now(), &*self.random)?, notice.event);
            Ok(NewDelivery { id, hook, event, body: body.clone(), created_at: ctx.now() })
        };
        let messages = hooks.into_iter().map(message).collect::<Result<Vec<_>>>()?;
        let spread = Spread { messages, mails, dropped, reset };
        let passing = self.store.spread_notice(grant, waiting.id, &spread);
        let passed = match &spread.reset {
            None => passing.await?,
            Some(reset) => {
                let detail = json!({ "expiresAt": reset.expires_at, "by": "mail" });
                let whose = notice.data.user.clone().unwrap_or_default();
                let work = async {
                    match passing.await? {
                        true => Ok(Done::with(true, detail)),
                        // The link that was made here is kept nowhere: the log must not say that it was.
                        false => Err(Error::new(ErrorCode::Conflict, "another replica has made one")),
                    }
                };
                match self.audited(ctx, "password.reset-link", whose, None, work).await {
                    Err(e) if e.code() == ErrorCode::Conflict => false,
                    made => made?,
                }
            }
        };
        if passed {
            self.notices.tell(&notice);
        }
        Ok(passed)
    }

    /// Sends the messages that are due, side by side; how many. For the one process that leads.
    ///
    /// # Errors
    /// The store's.
    pub async fn send_messages(&self) -> Result<usize> {
        let (ctx, grant) = self.outbox()?;
        let until = ctx.now().checked_add(TAKEN).map_err(Error::internal)?;
        let due = self.store.take_deliveries(&grant, ctx.now(), until).await?;
        let sent = join_all(due.iter().map(|due| self.send(&ctx, &grant, due))).await;
        sent.into_iter().collect::<Result<Vec<()>>>().map(|all| all.len())
    }

    async fn send(&self, ctx: &OpCtx, grant: &Grant<PlatformRef>, due: &Due) -> Result<()> {
        let at = self.clock.now();
        let answer = match self.signed(due, at) {
            Ok(headers) => self.hooks.sender.post(&due.url, &headers, due.message.body.clone()).await,
            Err(e) => Err(e.message().to_owned()),
        };
        let millis = i64::try_from(self.clock.now().duration_since(at).as_millis()).unwrap_or(i64::MAX);
        let (status, answer, retry_after) = match answer {
            Ok(answer) => (Some(i64::from(answer.status)), beginning(&answer.body), answer.retry_after),
            Err(why) => (None, why.chars().take(MAX_ANSWER).collect(), None),
        };
        let (now, arrived) = (self.clock.now(), arrived(status));
        let mut chance = [0; 2];
        self.random.fill(&mut chance).map_err(Error::internal)?;
        let tests = due.message.event == EventKind::Test;
        let again = again(due.attempts + 1, now, u16::from_le_bytes(chance)).filter(|_| !arrived && !tests);
        let wanted = retry_after.and_then(|text| wanted(&text, now));
        let again = again.map(|again| wanted.map_or(again, |wanted| again.max(wanted)));
        let since = due.failing_since.unwrap_or(now);
        let gives_up = !arrived && !tests && gives_up(status, again.is_none(), since, now);
        let reason = status.map_or_else(|| answer.clone(), |status| format!("HTTP {status}"));
        let stop = gives_up.then(|| HookStop { at: now, by: HookStop::BERTH.to_owned(), reason });
        let tried = Tried {
            delivery: due.message.id,
            hook: due.message.hook,
            attempt: Attempt { at, millis, status, answer },
            arrived,
            again: again.filter(|_| stop.is_none()),
            stop,
        };
        match &tried.stop {
            None => self.store.note_attempt(grant, &tried).await,
            Some(stop) => {
                let work = async {
                    self.store.note_attempt(grant, &tried).await?;
                    Ok(Done::with((), json!({ "reason": stop.reason, "failingSince": since })))
                };
                self.audited(ctx, "webhook.stop", tried.hook.to_string(), None, work).await
            }
        }
    }

    /// What goes with a message, its signatures among it.
    fn signed(&self, due: &Due, at: Timestamp) -> Result<Vec<(&'static str, String)>> {
        let lost =
            || Error::new(ErrorCode::Internal, "its secret cannot be opened with the key that Berth has: rotate it");
        let key = self.seal_key().ok_or_else(lost)?;
        let place = place(due.message.hook);
        let mut secrets = vec![key.open(&due.sealed, &place).ok_or_else(lost)?];
        secrets.extend(due.old_sealed.as_ref().and_then(|old| key.open(old, &place)));
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.expose_secret()).collect();
        let id = message_id(due.message.id);
        let signature = signatures(&secrets, &id, at, &due.message.body);
        Ok(vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", at.as_second().to_string()),
            ("webhook-signature", signature),
        ])
    }

    /// Looks which namespaces hold nearly all of their quota, and tells of those that do for a while; of how many something changed.
    /// For the one process that leads; what a cluster that is away uses is not known, and stays as it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn watch_quotas(&self) -> Result<usize> {
        let (ctx, grant) = self.outbox()?;
        let known = self.store.list_pressures(&grant).await?;
        let mut changed = 0;
        for book in self.store.list_all_books(&grant).await? {
            let Ok(cluster) = self.clusters.get(&book.cluster) else { continue };
            if cluster.freshness().state != CacheState::Live {
                continue;
            }
            for share in &book.shares {
                let namespace = &share.namespace;
                let mut used = used(&*cluster, &book, share);
                let percent = used.first().map_or(0, |fullest| fullest.percent);
                let before = known.iter().find(|(id, _)| *id == namespace.id).map(|(_, pressure)| *pressure);
                let after = pressure::after(before, percent, ctx.now());
                if after == before {
                    continue;
                }
                used.retain(|one| one.percent >= HIGH);
                let tells = after.is_some_and(|after| after.told);
                let notice =
                    tells.then(|| Notice::of_quota((&book.tenant, &namespace.name, &book.cluster), used, ctx.now()));
                let notice = notice.as_ref().map(|notice| (book.tenant_id, notice));
                self.store.set_pressure(&grant, namespace.id, after, notice).await?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}
