//! Webhooks, the messages to them, and the outbox: notices are written in the transactions of what they tell of.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    notices::Notice,
    ports::{
        links::Within,
        webhooks::{Due, NewDelivery, NewWebhook, Spread, Tried, Waiting, Webhooks},
    },
    webhooks::pressure::Pressure,
};
use berth_types::{
    ErrorCode, UserName,
    webhook::{Delivery, DeliveryState, EventKind, Webhook},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    mail,
    quotas::{finish, text},
    store::{SqlStore, decoded, taken},
};

/// Messages of one webhook that are taken at once, and of all: one that answers slowly keeps the others from little.
const A_FEW: i64 = 4;
const ROUND: i64 = 64;

/// Writes a notice in the transaction of what it tells of.
pub(crate) async fn put(transaction: &mut impl Transaction, tenant: Option<Uuid>, notice: &Notice) -> Result<()> {
    transaction.execute(putting(tenant, notice)?).await.map(drop)
}

fn putting(tenant: Option<Uuid>, notice: &Notice) -> Result<Statement> {
    const SQL: &str = "INSERT INTO notices (tenant_id, body) VALUES ($1, $2)";
    Ok(sql(SQL).bind(tenant).bind(text(notice)?.as_str()))
}

/// The name of somebody of whom a notice tells.
pub(crate) async fn called(transaction: &mut impl Transaction, user: Uuid) -> Result<UserName> {
    let rows = transaction.fetch(sql("SELECT name FROM users WHERE id = $1").bind(user)).await?;
    decoded(&rows, |row| row.user())?.pop().ok_or_else(Error::not_found)
}

fn words(events: &[EventKind]) -> String {
    events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}

fn hook(row: &mut Reader<'_>) -> Result<Webhook> {
    Ok(Webhook {
        id: row.parsed()?,
        name: row.text()?,
        url: row.text()?,
        events: row.text()?.split(' ').filter_map(EventKind::from_word).collect(),
        stopped: row.json_or_null()?,
        failing_since: row.time_or_null()?,
        old_secret_until: row.time_or_null()?,
        created_by: row.text()?,
        created_at: row.time()?,
        version: row.int()?,
    })
}

fn delivery(row: &mut Reader<'_>) -> Result<Delivery> {
    Ok(Delivery {
        id: row.parsed()?,
        event: row.word(EventKind::from_word)?,
        state: row.word(DeliveryState::from_word)?,
        attempts: row.int()?,
        created_at: row.time()?,
        next_at: row.time_or_null()?,
        last: row.json_or_null()?,
    })
}

fn due(row: &mut Reader<'_>, now: Timestamp) -> Result<Due> {
    let message = NewDelivery {
        id: row.parsed()?,
        hook: row.parsed()?,
        event: row.word(EventKind::from_word)?,
        body: row.text()?,
        created_at: row.time()?,
    };
    let (attempts, url) = (row.int()?, row.text()?);
    let sealed = row.bytes_or_null()?.unwrap_or_default();
    let (old, until) = (row.bytes_or_null()?, row.time_or_null()?);
    let old_sealed = old.filter(|_| until.is_some_and(|until| until > now));
    Ok(Due { message, attempts, url, sealed, old_sealed, failing_since: row.time_or_null()? })
}

/// A message, if its webhook is there.
fn adding(new: &NewDelivery) -> Statement {
    const SQL: &str = "INSERT INTO webhook_messages (id, webhook_id, event, body, state, attempts, created_at, next_at) \
                       SELECT $1, w.id, $3, $4, 'waiting', 0, $5, $5 FROM webhooks w WHERE w.id = $2";
    let row = sql(SQL).bind(new.id).bind(new.hook).bind(new.event.as_str());
    row.bind(new.body.as_str()).bind(new.created_at)
}

fn same_name(hook: &Webhook) -> impl FnOnce(Error) -> Error {
    let name = hook.name.clone();
    taken("name", move || format!("there is a webhook “{name}” already"))
}

async fn spread(transaction: &mut impl Transaction, id: i64, spread: &Spread) -> Result<bool> {
    if transaction.execute(sql("DELETE FROM notices WHERE id = $1").bind(id)).await? == 0 {
        return Ok(false);
    }
    for message in &spread.messages {
        transaction.execute(adding(message)).await?;
    }
    mail::spread(transaction, spread).await?;
    Ok(true)
}

async fn note(transaction: &mut impl Transaction, tried: &Tried) -> Result<()> {
    const MESSAGE: &str = "UPDATE webhook_messages SET state = $2, attempts = attempts + 1, next_at = $3, last = $4 \
                           WHERE id = $1";
    const CAME: &str = "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL";
    const FAILED: &str = "UPDATE webhooks SET failing_since = $2 WHERE id = $1 AND failing_since IS NULL";
    const STOP: &str = "UPDATE webhooks SET stopped = $2, version = version + 1 WHERE id = $1 AND stopped IS NULL";
    const REST: &str = "UPDATE webhook_messages SET state = 'failed', next_at = NULL \
                        WHERE webhook_id = $1 AND state = 'waiting'";
    let state = match (tried.arrived, tried.again) {
        (true, _) => DeliveryState::Delivered,
        (false, Some(_)) => DeliveryState::Waiting,
        (false, None) => DeliveryState::Failed,
    };
    let message = sql(MESSAGE).bind(tried.delivery).bind(state.as_str());
    let message = message.bind(tried.again.map(Timestamp::as_microsecond)).bind(text(&tried.attempt)?.as_str());
    transaction.execute(message).await?;
    let state =
        if tried.arrived { sql(CAME).bind(tried.hook) } else { sql(FAILED).bind(tried.hook).bind(tried.attempt.at) };
    transaction.execute(state).await?;
    if let Some(stop) = &tried.stop {
        transaction.execute(sql(STOP).bind(tried.hook).bind(text(stop)?.as_str())).await?;
        transaction.execute(sql(REST).bind(tried.hook)).await?;
    }
    Ok(())
}

async fn set_pressure(
    transaction: &mut impl Transaction,
    namespace: Uuid,
    pressure: Option<Pressure>,
    notice: Option<(Uuid, &Notice)>,
) -> Result<()> {
    const BEGIN: &str = "INSERT INTO quota_pressures (namespace_id, since, told) \
                         SELECT n.id, $2, $3 FROM namespaces n WHERE n.id = $1 ON CONFLICT (namespace_id) DO NOTHING";
    const TOLD: &str = "UPDATE quota_pressures SET told = $2 WHERE namespace_id = $1 AND NOT told";
    const OVER: &str = "DELETE FROM quota_pressures WHERE namespace_id = $1";
    let Some(pressure) = pressure else {
        return transaction.execute(sql(OVER).bind(namespace)).await.map(drop);
    };
    let Some((tenant, notice)) = notice else {
        let begin = sql(BEGIN).bind(namespace).bind(pressure.since).bind(pressure.told);
        return transaction.execute(begin).await.map(drop);
    };
    if transaction.execute(sql(TOLD).bind(namespace).bind(true)).await? > 0 {
        put(transaction, Some(tenant), notice).await?;
    }
    Ok(())
}

#[async_trait]
impl<E: Engine> Webhooks for SqlStore<E> {
    async fn list_webhooks(&self, within: Within<'_>) -> Result<Vec<Webhook>> {
        const SQL: &str = "SELECT id, name, url, events, stopped, failing_since, old_secret_until, created_by, \
                           created_at, version FROM webhooks \
                           WHERE COALESCE(tenant_id, '') = COALESCE($1, '') ORDER BY name";
        self.all(sql(SQL).bind(within.tenant()), hook).await
    }

    async fn create_webhook(&self, within: Within<'_>, new: &NewWebhook) -> Result<()> {
        const SQL: &str = "INSERT INTO webhooks (id, tenant_id, name, url, events, secret, created_by, created_at, version) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let hook = &new.hook;
        let row = sql(SQL).bind(hook.id).bind(within.tenant()).bind(hook.name.as_str()).bind(hook.url.as_str());
        let row = row.bind(words(&hook.events).as_str()).bind(new.sealed.as_slice()).bind(hook.created_by.as_str());
        let row = row.bind(hook.created_at).bind(hook.version);
        self.engine.execute(row).await.map(drop).map_err(same_name(hook))
    }

    async fn update_webhook(&self, within: Within<'_>, hook: &Webhook) -> Result<()> {
        const SQL: &str = "UPDATE webhooks SET name = $4, url = $5, events = $6, stopped = $7, failing_since = $8, \
                           version = version + 1 \
                           WHERE id = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '') AND version = $3";
        let row = sql(SQL).bind(hook.id).bind(within.tenant()).bind(hook.version - 1).bind(hook.name.as_str());
        let stopped = hook.stopped.as_ref().map(text).transpose()?;
        let row = row.bind(hook.url.as_str()).bind(words(&hook.events).as_str()).bind(stopped.as_deref());
        let row = row.bind(hook.failing_since.map(Timestamp::as_microsecond));
        match self.engine.execute(row).await.map_err(same_name(hook))? {
            0 => Err(Error::new(ErrorCode::Conflict, "it was changed since it was read")),
            _ => Ok(()),
        }
    }

    async fn set_webhook_secret(
        &self,
        within: Within<'_>,
        id: Uuid,
        sealed: &[u8],
        old_until: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "UPDATE webhooks SET old_secret = secret, secret = $3, old_secret_until = $4, \
                           version = version + 1 WHERE id = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '')";
        self.change_one(sql(SQL).bind(id).bind(within.tenant()).bind(sealed).bind(old_until)).await
    }

    async fn delete_webhook(&self, within: Within<'_>, id: Uuid) -> Result<()> {
        const SQL: &str = "DELETE FROM webhooks WHERE id = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '')";
        self.change_one(sql(SQL).bind(id).bind(within.tenant())).await
    }

    async fn list_deliveries(&self, within: Within<'_>, id: Uuid, limit: i64) -> Result<Vec<Delivery>> {
        const SQL: &str = "SELECT m.id, m.event, m.state, m.attempts, m.created_at, m.next_at, m.last \
                           FROM webhook_messages m JOIN webhooks w ON w.id = m.webhook_id \
                           WHERE w.id = $1 AND COALESCE(w.tenant_id, '') = COALESCE($2, '') \
                           ORDER BY m.created_at DESC, m.id DESC LIMIT $3";
        self.all(sql(SQL).bind(id).bind(within.tenant()).bind(limit), delivery).await
    }

    async fn add_delivery(&self, within: Within<'_>, new: &NewDelivery) -> Result<()> {
        const THEIRS: &str = "SELECT 1 FROM webhooks WHERE id = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '')";
        if self.engine.read(sql(THEIRS).bind(new.hook).bind(within.tenant())).await?.is_empty() {
            return Err(Error::not_found());
        }
        self.change_one(adding(new)).await
    }

    async fn put_notice(&self, tenant: Option<Uuid>, notice: &Notice) -> Result<()> {
        self.engine.execute(putting(tenant, notice)?).await.map(drop)
    }

    async fn waiting_notices(&self, _: &Grant<PlatformRef>, limit: i64) -> Result<Vec<Waiting>> {
        const SQL: &str = "SELECT id, tenant_id, body FROM notices ORDER BY id LIMIT $1";
        let waiting =
            |row: &mut Reader<'_>| Ok(Waiting { id: row.int()?, tenant: row.parsed_or_null()?, notice: row.json()? });
        self.all(sql(SQL).bind(limit), waiting).await
    }

    async fn hooks_for(&self, _: &Grant<PlatformRef>, tenant: Option<Uuid>, kind: EventKind) -> Result<Vec<Uuid>> {
        // A word among others; `_` stands in some kinds, and means any one character.
        const SQL: &str = "SELECT id FROM webhooks WHERE (tenant_id IS NULL OR tenant_id = $1) AND stopped IS NULL \
                           AND ' ' || events || ' ' LIKE $2 ESCAPE '\\' ORDER BY id";
        let wanted = format!("% {} %", kind.as_str().replace('_', "\\_"));
        self.all(sql(SQL).bind(tenant).bind(wanted.as_str()), |row| row.parsed()).await
    }

    async fn spread_notice(&self, _: &Grant<PlatformRef>, id: i64, what: &Spread) -> Result<bool> {
        let mut transaction = self.engine.begin().await?;
        let done = spread(&mut transaction, id, what).await;
        finish(transaction, done).await
    }

    async fn take_deliveries(&self, _: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<Due>> {
        // Who takes at the same time waits for the rows, and finds that they are not due any more.
        const TAKE: &str = "UPDATE webhook_messages SET next_at = $2 WHERE next_at <= $1 AND id IN \
                            (SELECT id FROM (SELECT id, next_at, \
                             ROW_NUMBER() OVER (PARTITION BY webhook_id ORDER BY next_at, id) AS place \
                             FROM webhook_messages WHERE next_at <= $1) q WHERE place <= $3 ORDER BY next_at, id LIMIT $4) \
                            RETURNING id";
        const FIND: &str = "SELECT m.id, w.id, m.event, m.body, m.created_at, m.attempts, w.url, w.secret, w.old_secret, \
                            w.old_secret_until, w.failing_since FROM webhook_messages m \
                            JOIN webhooks w ON w.id = m.webhook_id WHERE m.id = $1";
        let take = sql(TAKE).bind(now).bind(until).bind(A_FEW).bind(ROUND);
        let ids: Vec<Uuid> = decoded(&self.engine.write(take).await?, |row| row.parsed())?;
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            all.extend(self.one(sql(FIND).bind(id), |row| due(row, now)).await?);
        }
        Ok(all)
    }

    async fn note_attempt(&self, _: &Grant<PlatformRef>, tried: &Tried) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = note(&mut transaction, tried).await;
        finish(transaction, done).await
    }

    async fn list_pressures(&self, _: &Grant<PlatformRef>) -> Result<Vec<(Uuid, Pressure)>> {
        const SQL: &str = "SELECT namespace_id, since, told FROM quota_pressures ORDER BY namespace_id";
        self.all(sql(SQL), |row| Ok((row.parsed()?, Pressure { since: row.time()?, told: row.bool()? }))).await
    }

    async fn set_pressure(
        &self,
        _: &Grant<PlatformRef>,
        namespace: Uuid,
        pressure: Option<Pressure>,
        notice: Option<(Uuid, &Notice)>,
    ) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = set_pressure(&mut transaction, namespace, pressure, notice).await;
        finish(transaction, done).await
    }
}
