//! Where people get mail, and mail until it is sent.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::Result,
    ports::{
        links::link_gone,
        mail::{DueMail, MailCounts, Mailbox, Mails, NewMail, Pending, Receiver, TriedMail, WARNINGS},
        pages::Language,
        store::Digest,
        webhooks::Spread,
    },
};
use berth_types::{PlatformRole, TenantRole, UserName, mail::MailTrouble, webhook::EventKind};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    links::{keeping_reset, voiding_reset},
    quotas::finish,
    roles::{own, own_rights},
    store::{SqlStore, decoded, found},
};

/// Mail that is taken at once.
const ROUND: i64 = 16;

fn words(events: &[EventKind]) -> String {
    events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}

/// What is no word any more, nobody hears of.
fn muted(row: &mut Reader<'_>) -> Result<Option<Vec<EventKind>>> {
    Ok(row.text_or_null()?.map(|words| words.split_whitespace().filter_map(EventKind::from_word).collect()))
}

/// Reads `pending, digest, expires_at`.
fn pending(row: &mut Reader<'_>) -> Result<Option<Pending>> {
    let (address, digest, ends) = (row.text_or_null()?, row.bytes_or_null()?, row.time_or_null()?);
    let (Some(address), Some(digest), Some(expires_at)) = (address, digest, ends) else { return Ok(None) };
    let digest = digest.try_into().map_err(|_| berth_core::Error::internal("a link's digest has not 32 bytes"))?;
    Ok(Some(Pending { address, digest, expires_at }))
}

fn mailbox(row: &mut Reader<'_>) -> Result<Mailbox> {
    let verified = row.text_or_null()?.zip(row.time_or_null()?);
    Ok(Mailbox { verified, pending: pending(row)?, language: row.word(Language::from_tag)?, muted: muted(row)? })
}

fn receiver(row: &mut Reader<'_>) -> Result<Receiver> {
    Ok(Receiver {
        id: row.parsed()?,
        name: row.user()?,
        platform_role: row.word_or_null(PlatformRole::from_word)?,
        role: row.word_or_null(TenantRole::from_word)?,
        own: own(row)?,
        inside: row.bool()?,
        address: row.text()?,
        language: row.word(Language::from_tag)?,
        muted: muted(row)?,
        recent: row.int()?,
        dropped: row.int()?,
    })
}

fn due(row: &mut Reader<'_>) -> Result<DueMail> {
    Ok(DueMail {
        id: row.parsed()?,
        user: row.parsed_or_null()?,
        address: row.text()?,
        sealed: row.bytes()?,
        created_at: row.time()?,
        until: row.time()?,
        attempts: row.int()?,
    })
}

/// A mail to be sent.
pub(crate) fn adding(mail: &NewMail) -> Statement {
    const SQL: &str = "INSERT INTO mails (id, user_id, kind, state, address, sealed, attempts, created_at, until_at, \
                       next_at) VALUES ($1, $2, $3, 'waiting', $4, $5, 0, $6, $7, $6)";
    let row = sql(SQL).bind(mail.id).bind(mail.user).bind(mail.kind).bind(mail.address.as_str());
    row.bind(mail.sealed.as_slice()).bind(mail.created_at).bind(mail.until)
}

/// Drops what waits for somebody, but for [`WARNINGS`].
fn dropping(user: Uuid) -> Statement {
    const SQL: &str = "DELETE FROM mails WHERE user_id = $1 AND state = 'waiting' AND kind NOT IN ($2, $3, $4, $5, $6)";
    WARNINGS.iter().fold(sql(SQL).bind(user), |statement, kind| statement.bind(*kind))
}

/// Puts mail in the place of a notice.
pub(crate) async fn spread(transaction: &mut impl Transaction, spread: &Spread) -> Result<()> {
    const TOLD: &str = "UPDATE mailboxes SET dropped = 0 WHERE user_id = $1 AND dropped > 0";
    const DROPPED: &str = "UPDATE mailboxes SET dropped = dropped + 1 WHERE user_id = $1";
    for mail in &spread.mails {
        transaction.execute(adding(mail)).await?;
        if let (true, Some(user)) = (mail.says_dropped, mail.user) {
            transaction.execute(sql(TOLD).bind(user)).await?;
        }
    }
    for user in &spread.dropped {
        transaction.execute(sql(DROPPED).bind(*user)).await?;
    }
    if let Some(reset) = &spread.reset {
        transaction.execute(keeping_reset(reset)).await?;
    }
    Ok(())
}

async fn set_pending(
    transaction: &mut impl Transaction,
    user: Uuid,
    (pending, language): (&Pending, Language),
    mail: &NewMail,
) -> Result<()> {
    const SQL: &str = "INSERT INTO mailboxes (user_id, pending, digest, expires_at, language, dropped) \
                       VALUES ($1, $2, $3, $4, $5, 0) \
                       ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending, digest = excluded.digest, \
                       expires_at = excluded.expires_at, language = CASE WHEN mailboxes.muted IS NULL \
                       THEN excluded.language ELSE mailboxes.language END";
    const LINKS: &str = "DELETE FROM mails WHERE user_id = $1 AND state = 'waiting' AND kind = $2";
    let row = sql(SQL).bind(user).bind(pending.address.as_str()).bind(&pending.digest).bind(pending.expires_at);
    transaction.execute(row.bind(language.tag())).await?;
    transaction.execute(sql(LINKS).bind(user).bind(mail.kind)).await?;
    transaction.execute(adding(mail)).await.map(drop)
}

async fn verify(
    transaction: &mut impl Transaction,
    (user, digest): (Uuid, &Digest),
    now: Timestamp,
    told: Option<&NewMail>,
) -> Result<()> {
    const SQL: &str = "UPDATE mailboxes SET address = pending, verified_at = $3, pending = NULL, digest = NULL, \
                       expires_at = NULL WHERE user_id = $1 AND digest = $2 AND expires_at > $3";
    if transaction.execute(sql(SQL).bind(user).bind(digest).bind(now)).await? == 0 {
        return Err(link_gone());
    }
    // A link to a new password that is on its way to the old one is void, as where there is none any more.
    transaction.execute(voiding_reset(user)).await?;
    transaction.execute(dropping(user)).await?;
    if let Some(mail) = told {
        transaction.execute(adding(mail)).await?;
    }
    Ok(())
}

async fn remove(transaction: &mut impl Transaction, user: Uuid, told: Option<&NewMail>) -> Result<()> {
    const SQL: &str = "UPDATE mailboxes SET address = NULL, verified_at = NULL, pending = NULL, digest = NULL, \
                       expires_at = NULL WHERE user_id = $1 AND (address IS NOT NULL OR pending IS NOT NULL)";
    found(transaction.execute(sql(SQL).bind(user)).await?)?;
    transaction.execute(voiding_reset(user)).await?;
    transaction.execute(dropping(user)).await?;
    if let Some(mail) = told {
        transaction.execute(adding(mail)).await?;
    }
    Ok(())
}

#[async_trait]
impl<E: Engine> Mails for SqlStore<E> {
    async fn find_mailbox(&self, user: Uuid) -> Result<Option<Mailbox>> {
        const SQL: &str = "SELECT address, verified_at, pending, digest, expires_at, language, muted \
                           FROM mailboxes WHERE user_id = $1";
        self.one(sql(SQL).bind(user), mailbox).await
    }

    async fn set_pending_address(
        &self,
        user: Uuid,
        pending: &Pending,
        language: Language,
        mail: &NewMail,
    ) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = set_pending(&mut transaction, user, (pending, language), mail).await;
        finish(transaction, done).await
    }

    async fn find_verification(&self, digest: &Digest) -> Result<Option<(Uuid, Pending)>> {
        const SQL: &str = "SELECT user_id, pending, digest, expires_at FROM mailboxes WHERE digest = $1";
        let found = self.one(sql(SQL).bind(digest), |row| Ok((row.parsed()?, pending(row)?))).await?;
        Ok(found.and_then(|(user, pending)| Some((user, pending?))))
    }

    async fn verify_address(&self, user: Uuid, digest: &Digest, now: Timestamp, told: Option<&NewMail>) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = verify(&mut transaction, (user, digest), now, told).await;
        finish(transaction, done).await
    }

    async fn adopt_address(&self, user: Uuid, address: &str, now: Timestamp) -> Result<bool> {
        const SQL: &str = "INSERT INTO mailboxes (user_id, address, verified_at, language, dropped) \
                           VALUES ($1, $2, $3, $4, 0) ON CONFLICT (user_id) DO NOTHING";
        let row = sql(SQL).bind(user).bind(address).bind(now).bind(Language::default().tag());
        Ok(self.engine.execute(row).await? > 0)
    }

    async fn remove_address(&self, user: Uuid, told: Option<&NewMail>) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = remove(&mut transaction, user, told).await;
        finish(transaction, done).await
    }

    async fn set_mail_choices(&self, user: Uuid, language: Language, muted: &[EventKind]) -> Result<()> {
        const SQL: &str = "INSERT INTO mailboxes (user_id, language, muted, dropped) VALUES ($1, $2, $3, 0) \
                           ON CONFLICT (user_id) DO UPDATE SET language = excluded.language, muted = excluded.muted";
        let row = sql(SQL).bind(user).bind(language.tag()).bind(words(muted).as_str());
        self.engine.execute(row).await.map(drop)
    }

    async fn add_mail(&self, mail: &NewMail) -> Result<()> {
        self.engine.execute(adding(mail)).await.map(drop)
    }

    async fn mail_receivers(
        &self,
        _: &Grant<PlatformRef>,
        tenant: Option<Uuid>,
        who: Option<&UserName>,
        since: Timestamp,
    ) -> Result<Vec<Receiver>> {
        const SQL: &str = concat!(
            "SELECT u.id, u.name, u.platform_role, m.role, ",
            own_rights!("m.tenant_id", "m.role"),
            ", (m.role IS NOT NULL OR EXISTS (SELECT 1 FROM namespace_roles g JOIN namespaces n ON n.id = g.namespace_id \
             WHERE n.tenant_id = $1 AND g.user_id = u.id)), b.address, b.language, b.muted, \
             (SELECT COUNT(*) FROM mails l WHERE l.user_id = u.id AND l.created_at >= $3), b.dropped \
             FROM mailboxes b JOIN users u ON u.id = b.user_id \
             LEFT JOIN memberships m ON m.user_id = u.id AND m.tenant_id = $1 \
             WHERE b.address IS NOT NULL AND NOT u.disabled \
             AND (m.role IS NOT NULL OR u.platform_role IS NOT NULL OR u.name = $2) ORDER BY u.name"
        );
        self.all(sql(SQL).bind(tenant).bind(who.map(UserName::as_str)).bind(since), receiver).await
    }

    async fn take_mails(&self, _: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<DueMail>> {
        // Who takes at the same time waits for the rows, and finds that they are not due any more.
        const TAKE: &str = "UPDATE mails SET next_at = $2 WHERE next_at <= $1 AND id IN \
                            (SELECT id FROM mails WHERE next_at <= $1 ORDER BY next_at, id LIMIT $3) \
                            RETURNING id, user_id, address, sealed, created_at, until_at, attempts";
        let rows = self.engine.write(sql(TAKE).bind(now).bind(until).bind(ROUND)).await?;
        let mut all = decoded(&rows, due)?;
        all.sort_by_key(|mail| (mail.created_at, mail.id));
        Ok(all)
    }

    async fn note_mail(&self, _: &Grant<PlatformRef>, tried: &TriedMail) -> Result<()> {
        const AGAIN: &str = "UPDATE mails SET attempts = attempts + 1, tried_at = $2, trouble = $3, next_at = $4 \
                             WHERE id = $1 AND state = 'waiting'";
        const DONE: &str = "UPDATE mails SET attempts = attempts + 1, tried_at = $2, trouble = $3, state = $4, \
                            address = NULL, sealed = NULL, next_at = NULL WHERE id = $1 AND state = 'waiting'";
        let text = if tried.again.is_some() { AGAIN } else { DONE };
        let row = sql(text).bind(tried.id).bind(tried.at).bind(tried.trouble.as_deref());
        let row = match tried.again {
            Some(again) => row.bind(again),
            None => row.bind(if tried.trouble.is_none() { "delivered" } else { "failed" }),
        };
        self.engine.execute(row).await.map(drop)
    }

    async fn count_mails(&self, _: &Grant<PlatformRef>) -> Result<MailCounts> {
        const COUNT: &str = "SELECT state, COUNT(*), MAX(tried_at) FROM mails GROUP BY state";
        const TROUBLE: &str = "SELECT tried_at, trouble, next_at FROM mails \
                               WHERE trouble IS NOT NULL ORDER BY tried_at DESC, id LIMIT 1";
        let mut counts = MailCounts::default();
        for (state, count, last) in
            self.all(sql(COUNT), |row| Ok((row.text()?, row.int()?, row.time_or_null()?))).await?
        {
            match state.as_str() {
                "waiting" => counts.waiting = count,
                "failed" => counts.failed = count,
                _ => (counts.delivered, counts.last_delivered_at) = (count, last),
            }
        }
        let trouble = |row: &mut Reader<'_>| {
            Ok(MailTrouble { at: row.time()?, reason: row.text()?, again_at: row.time_or_null()? })
        };
        counts.trouble = self.one(sql(TROUBLE), trouble).await?;
        Ok(counts)
    }
}
