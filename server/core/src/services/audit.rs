//! The audit log: what is about to be tried is written down first, then how it ended. So nothing happens that the log does not
//! know of, not even when the process is killed in between.

use std::{future::Future, time::Duration};

use berth_types::{ErrorCode, TenantName, UserName};
use jiff::SignedDuration;

use super::{Services, identity::new_id};
use crate::{
    ctx::{Actor, OpCtx, Person},
    error::{Error, Result},
    ports::store::NewAudit,
};

/// How often an entry that the audit log did not take is tried again, and how many times.
const RETRY: Duration = Duration::from_secs(5);
const TRIES: u32 = 100;
/// An attempt whose end nobody told for so long has nobody who will: longer than all tries.
const UNTOLD: SignedDuration = SignedDuration::from_mins(15);

/// What a change did, for the audit log.
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// What changed, as JSON without secrets.
    pub detail: Option<serde_json::Value>,
    /// Who did it, where that is known only now: who signs in is nobody before.
    pub by: Option<UserName>,
    /// What was done, where it came to less than what was tried.
    pub action: Option<&'static str>,
}

impl<T> Done<T> {
    /// A result with what changed.
    pub fn with(value: T, detail: serde_json::Value) -> Self {
        Self { value, detail: Some(detail), by: None, action: None }
    }

    /// A result that says all.
    pub fn plain(value: T) -> Self {
        Self { value, detail: None, by: None, action: None }
    }

    /// The same, done by `user`.
    #[must_use]
    pub fn by(self, user: UserName) -> Self {
        Self { by: Some(user), ..self }
    }

    /// The same, written down as another action than the one that was tried.
    #[must_use]
    pub fn called(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// Who, and how they came in; where they look as somebody else, as whom.
fn who(actor: &Actor) -> (String, String) {
    let via = match actor {
        Actor::Person(person) => match person.viewed_by() {
            Some(view) => return (view.by.to_string(), format!("view:{}", person.name)),
            None => person.via.to_string(),
        },
        Actor::System(_) => "system".to_owned(),
        Actor::Anonymous => String::new(),
    };
    (actor.to_string(), via)
}

/// The entry with how it ended.
fn ended<T>(attempt: NewAudit, result: &Result<Done<T>>) -> NewAudit {
    match result {
        Ok(done) => NewAudit {
            actor: done.by.as_ref().map_or(attempt.actor, UserName::to_string),
            action: done.action.map_or(attempt.action, str::to_owned),
            outcome: "done",
            detail: done.detail.clone(),
            ..attempt
        },
        Err(e) => {
            let code = e.code();
            let denied = matches!(
                code,
                ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::NotFound | ErrorCode::Viewing
            );
            // Of what is denied, why: for who signs in by a provider there are many reasons.
            let why = e.fields().first().filter(|_| denied).map(|field| serde_json::json!({ "why": field.code }));
            let detail = if denied { why } else { Some(serde_json::json!({ "message": e.message() })) };
            let outcome = match code {
                _ if denied => "denied",
                _ if e.is_uncertain() => "unknown",
                _ => "failed",
            };
            NewAudit { outcome, reason: Some(code.to_string()), detail, ..attempt }
        }
    }
}

impl Services {
    /// Every change goes through here: it is written down, authorised and done (`work`), and what came of it is written down,
    /// refusals too. A change is confirmed only when its entry is written. Who looks as somebody else changes nothing.
    pub(crate) async fn audited<T>(
        &self,
        ctx: &OpCtx,
        action: &str,
        target: String,
        tenant: Option<&TenantName>,
        work: impl Future<Output = Result<Done<T>>>,
    ) -> Result<T> {
        match ctx.person().and_then(Person::viewed_by) {
            Some(view) => self.written_down(ctx, action, target, tenant, async { Err(view.refused()) }).await,
            None => self.written_down(ctx, action, target, tenant, work).await,
        }
    }

    /// The same for what may be done while one looks as somebody else: to end that.
    pub(super) async fn written_down<T>(
        &self,
        ctx: &OpCtx,
        action: &str,
        target: String,
        tenant: Option<&TenantName>,
        work: impl Future<Output = Result<Done<T>>>,
    ) -> Result<T> {
        let (actor, via) = who(&ctx.actor);
        let attempt = NewAudit {
            id: new_id(ctx.now(), &*self.random)?,
            at: ctx.now(),
            actor,
            via,
            action: action.to_owned(),
            target,
            tenant: tenant.cloned(),
            outcome: "unknown",
            reason: None,
            detail: None,
            request_id: ctx.request_id.to_string(),
            network: ctx.network.to_string(),
        };
        if let Err(unwritten) = self.store.begin_audit(&attempt).await {
            tracing::error!(action, error = %unwritten, "nothing was changed, as the audit log cannot be written");
            let message = "the audit log cannot be written; nothing was changed";
            return Err(Error::new(ErrorCode::StoreUnavailable, message).retry_after(RETRY).caused_by(unwritten));
        }
        let result = work.await;
        let mut entry = ended(attempt, &result);
        if self.skips_preflight {
            // Who passed it by is known when a rollout waits for room.
            entry.detail.get_or_insert_with(|| serde_json::json!({}))["preflight"] = "skipped".into();
        }
        match (result, self.store.append_audit(&entry).await) {
            (result, Ok(())) => result.map(|done| done.value),
            // It is done, and cannot be undone by saying that it is not; but nothing is confirmed that is not written down.
            (Ok(_), Err(unwritten)) => {
                tracing::error!(action, error = %unwritten, "a change is done, but not in the audit log yet");
                self.write_later(entry);
                let message = "it is done, but the database does not take the entry for the audit log yet; look before you \
                               send it again";
                Err(Error::new(ErrorCode::StoreUnavailable, message).retry_after(RETRY).caused_by(unwritten))
            }
            (Err(e), Err(unwritten)) => {
                tracing::error!(action, error = %unwritten, "a refusal is not in the audit log yet");
                self.write_later(entry);
                Err(e)
            }
        }
    }

    /// Tries again and again to write how an attempt ended. Where all is in vain, it is settled as unknown.
    fn write_later(&self, entry: NewAudit) {
        // Without a runtime (a test's executor) there is nobody to try.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (store, clock) = (self.store.clone(), self.clock.clone());
        runtime.spawn(async move {
            for _ in 0..TRIES {
                clock.sleep(RETRY).await;
                if store.append_audit_again(&entry).await.is_ok() {
                    return;
                }
            }
            tracing::error!(?entry, "an entry could not be written to the audit log");
        });
    }

    /// Puts attempts whose end nobody will tell any more (a process was killed, a caller went away) into the log, with an
    /// outcome that is unknown; how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_audit(&self) -> Result<u64> {
        self.store.settle_audit(self.clock.now() - UNTOLD).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::testing::World;

    /// The log, oldest first: what, who, how it ended.
    fn log(world: &World) -> Vec<(String, String, String)> {
        world.store.audit().into_iter().map(|e| (e.action, e.actor, e.outcome)).collect()
    }

    fn entry(outcome: &str) -> Vec<(String, String, String)> {
        vec![("app.scale".to_owned(), "system:test".to_owned(), outcome.to_owned())]
    }

    async fn scale(world: &World, work: impl Future<Output = Result<Done<()>>>) -> Result<()> {
        world.services.audited(&world.system(), "app.scale", "shop/dev/web".to_owned(), None, work).await
    }

    /// Moves the clock until the log says so.
    async fn until(world: &World, want: &[(String, String, String)]) {
        let told = async {
            while log(world) != want {
                world.clock.advance(RETRY);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("it is written in the end");
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_not_done() {
        let world = World::new();
        world.store.set_down(true);
        let refused = scale(&world, async { panic!("done without an entry") }).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StoreUnavailable);
        assert!(refused.message().contains("nothing was changed"), "{}", refused.message());
        world.store.set_down(false);
        scale(&world, async { Ok(Done::plain(())) }).await.unwrap();
        assert_eq!(log(&world), entry("done"));
    }

    #[tokio::test]
    async fn what_is_done_is_written_when_the_log_opens_again() {
        for (result, code, outcome) in [
            (Ok(Done::plain(())), ErrorCode::StoreUnavailable, "done"),
            (Err(Error::new(ErrorCode::Conflict, "changed")), ErrorCode::Conflict, "failed"),
            (Err(Error::new(ErrorCode::Forbidden, "no")), ErrorCode::Forbidden, "denied"),
            (Err(Error::new(ErrorCode::StoreUnavailable, "?").uncertain()), ErrorCode::StoreUnavailable, "unknown"),
        ] {
            let world = World::new();
            let work = async {
                world.store.set_down(true);
                result
            };
            let told = scale(&world, work).await.unwrap_err();
            assert_eq!(told.code(), code);
            assert!(!told.message().contains("nothing was changed"), "{}", told.message());
            world.store.set_down(false);
            until(&world, &entry(outcome)).await;
            world.clock.advance(Duration::from_hours(1));
            assert_eq!(world.services.settle_audit().await.unwrap(), 0, "its attempt has ended");
        }
    }

    #[tokio::test]
    async fn what_was_cut_off_is_in_the_log_as_unknown() {
        let world = World::new();
        let cut = tokio::time::timeout(Duration::from_millis(1), scale(&world, std::future::pending())).await;
        assert!(cut.is_err() && log(&world).is_empty());
        assert_eq!(world.services.settle_audit().await.unwrap(), 0, "it may still end");
        world.clock.advance(Duration::from_mins(16));
        assert_eq!(world.services.settle_audit().await.unwrap(), 1);
        assert_eq!(world.services.settle_audit().await.unwrap(), 0, "once");
        assert_eq!(log(&world), entry("unknown"));
    }
}
