//! Reading the audit log: one entry, files of many, checkpoints.

use berth_types::{Action, ListQuery, Page, Resource, audit::AuditCheckpoint, people::AuditEntry};

use super::{Done, Services};
use crate::{
    audit::{
        AuditKey, Head,
        chain::hex,
        checkpoint::{self, is_due},
        export::Format,
        verify::{self, Break},
    },
    ctx::OpCtx,
    error::{Error, Result},
};

/// Entries of an export that are held at a time.
const CHUNK: usize = 500;
/// How often a place for a checkpoint is tried for that somebody else takes first.
const PLACE_TRIES: usize = 5;

/// A file of entries, as far as it has been written. It ends with what the log held when it was asked for.
pub struct AuditExport {
    services: Services,
    query: ListQuery,
    format: Format,
    /// The number of the last entry written, and of the last to be.
    after: i64,
    to: i64,
    /// What is written already and not yet taken.
    ready: Option<Vec<u8>>,
}

impl AuditExport {
    /// The next part of the file; `None` at its end. The person of `ctx` must still be allowed to read the log.
    ///
    /// # Errors
    /// The right is gone; the store's.
    pub async fn next(&mut self, ctx: &OpCtx) -> Result<Option<Vec<u8>>> {
        if let Some(ready) = self.ready.take() {
            return Ok(Some(ready));
        }
        let lines = self.read(ctx).await?;
        Ok((!lines.is_empty()).then_some(lines))
    }

    async fn read(&mut self, ctx: &OpCtx) -> Result<Vec<u8>> {
        let grant = self.services.authz.platform(ctx, Resource::Audit, Action::Read)?;
        let numbers = (self.after, self.to);
        let entries = self.services.store.audit_after(&grant, &self.query, numbers, CHUNK).await?;
        self.after = match entries.last() {
            Some(last) if entries.len() == CHUNK => last.id,
            _ => self.to,
        };
        self.format.lines(&entries).map_err(Error::internal)
    }
}

/// What came of looking whether a checkpoint is due.
#[derive(Debug)]
pub enum Checkpointed {
    /// A new one.
    Made(AuditCheckpoint),
    /// None was due, or another replica made it; the newest there is.
    NotDue(Option<AuditCheckpoint>),
    /// None was made, as the log is not what was written.
    Broken(Break),
}

impl Services {
    /// One entry of the audit log.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn find_audit(&self, ctx: &OpCtx, sequence: i64) -> Result<AuditEntry> {
        let grant = self.authz.platform(ctx, Resource::Audit, Action::Read)?;
        self.store.find_audit(&grant, sequence).await?.ok_or_else(Error::not_found)
    }

    /// A file of all entries that fit words and filters of `query`, oldest first. That it was asked for is itself in the log.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` filters.
    pub async fn export_audit(&self, ctx: &OpCtx, query: &ListQuery, format: Format) -> Result<AuditExport> {
        let detail = serde_json::json!({ "format": format.as_str(), "q": query.q, "filters": query.filters });
        let query = ListQuery { q: query.q.clone(), filters: query.filters.clone(), ..ListQuery::default() };
        let work = async {
            self.authz.platform(ctx, Resource::Audit, Action::Read)?;
            let to = self.audit_head().await?.sequence;
            let mut export = AuditExport { services: self.clone(), query, format, after: 0, to, ready: None };
            // Before the answer begins: what is wrong with the filters is then still said in its place.
            let first = export.read(ctx).await?;
            export.ready = Some([format.heading().as_bytes(), &first].concat());
            Ok(Done::with(export, detail))
        };
        self.audited(ctx, "audit.export", "audit".to_owned(), None, work).await
    }

    /// A part of the checkpoints, newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` columns.
    pub async fn list_checkpoints(&self, ctx: &OpCtx, query: &ListQuery) -> Result<Page<AuditCheckpoint>> {
        let grant = self.authz.platform(ctx, Resource::Audit, Action::Read)?;
        self.store.list_checkpoints(&grant, query).await
    }

    async fn audit_head(&self) -> Result<Head> {
        let head = self.store.audit_slice(0, 0).await?.head;
        head.ok_or_else(|| Error::internal("the row that tells where the audit log ends is missing"))
    }

    /// Signs where the log ends, when that is due, or when it is `wanted` and there is something new. Several replicas that
    /// do so at once make one checkpoint. Whatever is signed was verified from the last checkpoint on.
    ///
    /// # Errors
    /// The store's.
    pub async fn checkpoint_audit(&self, key: &AuditKey, wanted: bool) -> Result<Checkpointed> {
        for _ in 0..PLACE_TRIES {
            let (place, last) = self.store.last_checkpoint().await?.unzip();
            let head = self.store.audit_slice(0, 0).await?.head;
            if !self.is_wanted(last.as_ref(), head.as_ref(), wanted) {
                return Ok(Checkpointed::NotDue(last));
            }
            let installation = self.store.installation().await?;
            let start = match &last {
                None => Head::genesis(&installation),
                Some(last) => {
                    let own = [key.public().clone()];
                    // One that was signed before the key was replaced is for `berth audit verify` to check.
                    let keys = (last.key == own[0].id()).then_some(&own[..]);
                    match checkpoint::check(last, &installation, keys) {
                        Ok(hash) => Head { sequence: last.sequence, hash },
                        Err(fault) => return Ok(Checkpointed::Broken(Break::of_checkpoint(last.sequence, &fault))),
                    }
                }
            };
            let whole = match verify::verify_after(&*self.store, start).await? {
                Ok(whole) => whole,
                Err(found) => return Ok(Checkpointed::Broken(found)),
            };
            let made = checkpoint::sign(key, &installation, &whole.head, self.clock.now());
            if self.store.add_checkpoint(place.unwrap_or(0) + 1, &made).await? {
                return Ok(Checkpointed::Made(made));
            }
        }
        Ok(Checkpointed::NotDue(self.store.last_checkpoint().await?.map(|(_, last)| last)))
    }

    /// Whether to look closer: a checkpoint is due or wanted, or what is there contradicts the last one at first sight.
    fn is_wanted(&self, last: Option<&AuditCheckpoint>, head: Option<&Head>, wanted: bool) -> bool {
        let Some(head) = head else { return true };
        let contradicts = last.is_some_and(|last| {
            head.sequence < last.sequence || head.sequence == last.sequence && hex(&head.hash) != last.hash
        });
        let new = head.sequence > last.map_or(0, |last| last.sequence);
        contradicts || wanted && new || is_due(last, head, self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use berth_types::{ErrorCode, PlatformRole};

    use super::*;
    use crate::{
        audit::{checkpoint::sign, verify::Kind},
        env::Clock as _,
        ports::store::AuditChain as _,
        services::people::NewUser,
        testing::{World, audit_key},
    };

    /// Somebody made, hence an entry.
    async fn act(world: &World, name: &str) {
        let new = NewUser { name: name.into(), display_name: String::new(), platform_role: None, password: None };
        world.services.create_user(&world.system(), &new).await.unwrap();
    }

    async fn made(world: &World, key: &AuditKey, wanted: bool) -> Option<i64> {
        match world.services.checkpoint_audit(key, wanted).await.unwrap() {
            Checkpointed::Made(one) => Some(one.sequence),
            Checkpointed::NotDue(_) => None,
            Checkpointed::Broken(found) => panic!("{found}"),
        }
    }

    #[tokio::test]
    async fn checkpoints_are_made_when_they_are_due() {
        let (world, key) = (World::new(), audit_key());
        assert_eq!(made(&world, &key, true).await, None, "of nothing");
        act(&world, "ann").await;
        assert_eq!(made(&world, &key, false).await, Some(1));
        act(&world, "bob").await;
        assert_eq!(made(&world, &key, false).await, None, "too soon");
        assert_eq!(made(&world, &key, true).await, Some(2), "but wanted");
        assert_eq!(made(&world, &key, true).await, None, "nothing new");
        world.clock.advance(Duration::from_hours(2));
        assert_eq!(made(&world, &key, false).await, None, "still nothing new");
        act(&world, "cid").await;
        assert_eq!(made(&world, &key, false).await, Some(3));
    }

    #[tokio::test]
    async fn what_contradicts_the_last_checkpoint_is_not_signed() {
        for (sequence, kind) in [(9, Kind::CutOff), (1, Kind::Head)] {
            let (world, key) = (World::new(), audit_key());
            act(&world, "ann").await;
            let other = Head { sequence, hash: [1; 32] };
            world.store.add_checkpoint(1, &sign(&key, "memory", &other, world.clock.now())).await.unwrap();
            let Checkpointed::Broken(found) = world.services.checkpoint_audit(&key, false).await.unwrap() else {
                panic!("signed");
            };
            assert_eq!(found.kind, kind, "{found}");
        }
        let world = World::new();
        act(&world, "ann").await;
        let mut forged = sign(&audit_key(), "memory", &Head { sequence: 1, hash: [1; 32] }, world.clock.now());
        let key = audit_key();
        forged.key = key.public().id();
        world.store.add_checkpoint(1, &forged).await.unwrap();
        let found = world.services.checkpoint_audit(&key, true).await.unwrap();
        assert!(matches!(&found, Checkpointed::Broken(found) if found.kind == Kind::Checkpoint), "{found:?}");
    }

    async fn read(export: &mut AuditExport, ctx: &OpCtx) -> Result<String> {
        let mut all = Vec::new();
        while let Some(part) = export.next(ctx).await? {
            all.extend(part);
        }
        Ok(String::from_utf8(all).unwrap())
    }

    #[tokio::test]
    async fn an_export_is_whole_filtered_and_in_the_log() {
        let world = World::new();
        world.person("audrey", Some(PlatformRole::Auditor)).await;
        let ctx = world.ctx("audrey").await;
        let people = CHUNK * 2 + 1;
        for n in 0..people {
            act(&world, &format!("p{n}")).await;
        }
        let query = ListQuery::default();
        let mut export = world.services.export_audit(&ctx, &query, Format::Ndjson).await.unwrap();
        act(&world, "later").await;
        let text = read(&mut export, &ctx).await.unwrap();
        let entries: Vec<AuditEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let wanted: Vec<i64> = (1..=i64::try_from(people).unwrap()).collect();
        assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), wanted, "up to when it was asked for");

        let query = ListQuery { q: "p7".to_owned(), ..ListQuery::default() }.filter("action", "user.create");
        let mut export = world.services.export_audit(&ctx, &query, Format::Csv).await.unwrap();
        let text = read(&mut export, &ctx).await.unwrap();
        assert!(text.starts_with("id,at,actor"), "{text}");
        let fit = (0..people).filter(|n| format!("p{n}").contains("p7")).count();
        assert_eq!(text.lines().count(), fit + 1);
        let log = world.store.audit();
        let told = log.iter().rfind(|entry| entry.action == "audit.export").unwrap();
        assert_eq!((told.actor.as_str(), told.outcome.as_str()), ("audrey", "done"));
        assert_eq!(told.detail.as_ref().unwrap()["filters"]["action"][0], "user.create");
    }

    #[tokio::test]
    async fn an_export_ends_with_the_right_to_it() {
        let world = World::new();
        world.person("audrey", Some(PlatformRole::Auditor)).await;
        world.person("vera", None).await;
        let (auditor, other) = (world.ctx("audrey").await, world.ctx("vera").await);
        let all = ListQuery::default();
        let refused = world.services.export_audit(&other, &all, Format::Csv).await.err().unwrap();
        assert_eq!(refused.code(), ErrorCode::NotFound);
        assert_eq!(world.store.audit().last().unwrap().outcome, "denied", "and that is in the log");
        let wrong = world.services.export_audit(&auditor, &all.clone().filter("since", "x"), Format::Csv).await;
        assert_eq!(wrong.err().unwrap().fields()[0].field, "since");

        let mut export = world.services.export_audit(&auditor, &all, Format::Ndjson).await.unwrap();
        export.next(&auditor).await.unwrap().unwrap();
        assert_eq!(export.next(&other).await.unwrap_err().code(), ErrorCode::NotFound);
    }
}
