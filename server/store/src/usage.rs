//! What namespaces took and used, hour by hour.

use std::{fmt::Write as _, ops::Range};

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::Result,
    ports::usage::Usages,
    usage::{Compute, Hour, KEPT, Level, Pair, Sample, Slot, Totals},
};
use berth_types::ClusterId;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, Value, sql},
    quotas::finish,
    store::{SqlStore, decoded},
};

/// Rows of one statement: far fewer values than either database takes.
const ROWS: usize = 100;

/// How samples of an hour come together.
#[derive(Clone, Copy)]
enum Merge {
    Sum,
    Peak,
    Last,
}
use Merge::{Last, Peak, Sum};

/// The columns of `usage_hours` after `namespace_id` and `hour`, in the order of [`values`].
const COLUMNS: [(&str, Merge); 23] = [
    ("samples", Sum),
    ("measured", Sum),
    ("cpu_used", Sum),
    ("cpu_used_peak", Peak),
    ("cpu_requests", Sum),
    ("cpu_requests_peak", Peak),
    ("cpu_limits", Sum),
    ("cpu_limits_peak", Peak),
    ("cpu_quota", Last),
    ("memory_used", Sum),
    ("memory_used_peak", Peak),
    ("memory_requests", Sum),
    ("memory_requests_peak", Peak),
    ("memory_limits", Sum),
    ("memory_limits_peak", Peak),
    ("memory_quota", Last),
    ("pods", Sum),
    ("pods_peak", Peak),
    ("pods_quota", Last),
    ("stored", Sum),
    ("storage", Sum),
    ("storage_peak", Peak),
    ("storage_quota", Last),
];

fn values(namespace: Uuid, hour: &Hour) -> impl Iterator<Item = Value> + use<> {
    let compute = |c: &Compute| -> [Value; 7] {
        let [used, requests, limits] = [c.used, c.requests, c.limits];
        [
            used.sum.into(),
            used.peak.into(),
            requests.sum.into(),
            requests.peak.into(),
            limits.sum.into(),
            limits.peak.into(),
            c.quota.into(),
        ]
    };
    let first: [Value; 4] = [namespace.into(), hour.hour.into(), hour.samples.into(), hour.measured.into()];
    let last: [Value; 7] = [
        hour.pods.sum.into(),
        hour.pods.peak.into(),
        hour.pods_quota.into(),
        hour.stored.into(),
        hour.storage.sum.into(),
        hour.storage.peak.into(),
        hour.storage_quota.into(),
    ];
    first.into_iter().chain(compute(&hour.cpu)).chain(compute(&hour.memory)).chain(last)
}

/// Adds samples to what their hours have. Namespaces that are gone by now are left out.
fn add(hour: i64, samples: &[(Uuid, Sample)]) -> Statement {
    let width = COLUMNS.len() + 2;
    let mut text = "INSERT INTO usage_hours (namespace_id, hour".to_owned();
    let all = |text: &mut String, each: &dyn Fn(&mut String, usize, &str, Merge)| {
        for (at, (name, merge)) in COLUMNS.iter().enumerate() {
            each(text, at, name, *merge);
        }
    };
    all(&mut text, &|text, _, name, _| {
        let _ = write!(text, ", {name}");
    });
    text.push_str(") SELECT n.id, v.column2");
    all(&mut text, &|text, at, _, _| {
        let _ = write!(text, ", v.column{}", at + 3);
    });
    text.push_str(" FROM (VALUES ");
    for row in 0..samples.len() {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=width {
            let comma = if column == 1 { "" } else { ", " };
            let _ = write!(text, "{comma}${}", row * width + column);
        }
        text.push(')');
    }
    // Without WHERE, SQLite takes ON for a part of the join.
    text.push_str(
        ") AS v JOIN namespaces n ON n.id = v.column1 WHERE true ON CONFLICT (namespace_id, hour) DO UPDATE SET ",
    );
    all(&mut text, &|text, at, name, merge| {
        let comma = if at == 0 { "" } else { ", " };
        let _ = match merge {
            Sum => write!(text, "{comma}{name} = usage_hours.{name} + excluded.{name}"),
            Peak => write!(
                text,
                "{comma}{name} = CASE WHEN excluded.{name} > usage_hours.{name} THEN excluded.{name} ELSE usage_hours.{name} END"
            ),
            Last => write!(text, "{comma}{name} = excluded.{name}"),
        };
    });
    let values = samples.iter().flat_map(|(id, sample)| values(*id, &Hour::of(hour, sample)));
    Statement::composed(text, values.collect())
}

/// The hours of some namespaces together, as [`Hour::filled`] gives each of them.
macro_rules! hours {
    ($from:literal) => {
        concat!(
            "SELECT u.hour, MAX(u.samples), MIN(u.measured), ",
            compute!("cpu"),
            ", ",
            compute!("memory"),
            ", ",
            sum!("u.pods"),
            ", ",
            sum!("u.pods_peak"),
            ", ",
            quota!("pods"),
            ", MIN(u.stored), ",
            sum!("CASE WHEN u.stored > 0 THEN u.storage * u.samples / u.stored ELSE 0 END"),
            ", ",
            sum!("u.storage_peak"),
            ", ",
            quota!("storage"),
            " FROM usage_hours u",
            $from,
            " AND u.hour >= $2 AND u.hour < $3 GROUP BY u.hour ORDER BY u.hour"
        )
    };
}
/// A sum is a NUMERIC in Postgres.
macro_rules! sum {
    ($what:literal) => {
        concat!("CAST(SUM(", $what, ") AS BIGINT)")
    };
}
/// What may be had without limit in one of them, may be so in all.
macro_rules! quota {
    ($name:literal) => {
        concat!("CASE WHEN COUNT(u.", $name, "_quota) = COUNT(*) THEN CAST(SUM(u.", $name, "_quota) AS BIGINT) END")
    };
}
macro_rules! compute {
    ($name:literal) => {
        concat!(
            "CAST(SUM(CASE WHEN u.measured > 0 THEN u.",
            $name,
            "_used * u.samples / u.measured ELSE 0 END) AS BIGINT), CAST(SUM(u.",
            $name,
            "_used_peak) AS BIGINT), CAST(SUM(u.",
            $name,
            "_requests) AS BIGINT), CAST(SUM(u.",
            $name,
            "_requests_peak) AS BIGINT), CAST(SUM(u.",
            $name,
            "_limits) AS BIGINT), CAST(SUM(u.",
            $name,
            "_limits_peak) AS BIGINT), ",
            quota!($name)
        )
    };
}
fn level(row: &mut Reader<'_>) -> Result<Level> {
    Ok(Level { sum: row.int()?, peak: row.int()? })
}

fn compute(row: &mut Reader<'_>) -> Result<Compute> {
    Ok(Compute { used: level(row)?, requests: level(row)?, limits: level(row)?, quota: row.int_or_null()? })
}

fn hour(row: &mut Reader<'_>) -> Result<Hour> {
    Ok(Hour {
        hour: row.int()?,
        samples: row.int()?,
        measured: row.int()?,
        cpu: compute(row)?,
        memory: compute(row)?,
        pods: level(row)?,
        pods_quota: row.int_or_null()?,
        stored: row.int()?,
        storage: level(row)?,
        storage_quota: row.int_or_null()?,
    })
}

async fn pass(
    transaction: &mut impl Transaction,
    cluster: &ClusterId,
    slot: Slot,
    samples: &[(Uuid, Sample)],
) -> Result<bool> {
    // Whoever comes second waits for the first here, and finds the bit set.
    const MARK: &str = "INSERT INTO usage_passes (cluster, hour, parts) VALUES ($1, $2, $3) \
                        ON CONFLICT (cluster, hour) DO UPDATE SET parts = usage_passes.parts | excluded.parts \
                        WHERE (usage_passes.parts & excluded.parts) = 0";
    const OLD: &str = "SELECT hour FROM usage_passes WHERE cluster = $1 ORDER BY hour DESC LIMIT 1 OFFSET $2";
    const FORGET: &str = "DELETE FROM usage_passes WHERE cluster = $1 AND hour <= $2";
    // By its key, namespace by namespace.
    const FORGET_HOURS: &str = "DELETE FROM usage_hours WHERE namespace_id IN \
                                (SELECT id FROM namespaces WHERE cluster = $1) AND hour <= $2";
    let mark = sql(MARK).bind(cluster.as_str()).bind(slot.hour).bind(slot.bit());
    if transaction.execute(mark).await? == 0 {
        return Ok(false);
    }
    for some in samples.chunks(ROWS) {
        transaction.execute(add(slot.hour, some)).await?;
    }
    let old = transaction.fetch(sql(OLD).bind(cluster.as_str()).bind(KEPT)).await?;
    if let Some(old) = decoded(&old, |row| row.int())?.pop() {
        for text in [FORGET_HOURS, FORGET] {
            transaction.execute(sql(text).bind(cluster.as_str()).bind(old)).await?;
        }
    }
    Ok(true)
}

#[async_trait]
impl<E: Engine> Usages for SqlStore<E> {
    async fn add_usage(
        &self,
        _: &Grant<PlatformRef>,
        cluster: &ClusterId,
        slot: Slot,
        samples: &[(Uuid, Sample)],
    ) -> Result<bool> {
        let mut transaction = self.engine.begin().await?;
        let done = pass(&mut transaction, cluster, slot, samples).await;
        finish(transaction, done).await
    }

    async fn namespace_usage(&self, namespace: &Grant<NamespaceRef>, hours: Range<i64>) -> Result<Vec<Hour>> {
        const SQL: &str = hours!(" WHERE u.namespace_id = $1");
        self.all(sql(SQL).bind(namespace.id).bind(hours.start).bind(hours.end), hour).await
    }

    async fn tenant_usage(&self, tenant: &TenantRef, cluster: &ClusterId, hours: Range<i64>) -> Result<Vec<Hour>> {
        const SQL: &str = hours!(
            " WHERE u.namespace_id IN (SELECT n.id FROM namespaces n WHERE n.tenant_id = $1 AND n.cluster = $4)"
        );
        let statement = sql(SQL).bind(tenant.id).bind(hours.start).bind(hours.end).bind(cluster.as_str());
        self.all(statement, hour).await
    }

    async fn usage_totals(&self, _: &Grant<PlatformRef>, hours: Range<i64>) -> Result<Vec<(Uuid, Totals)>> {
        // An hour's averages, as `Totals::of` takes them.
        const SQL: &str = "SELECT u.namespace_id, COUNT(*), \
             CAST(SUM(u.cpu_used * u.samples / u.measured / u.samples) AS BIGINT), \
             CAST(SUM(u.memory_used * u.samples / u.measured / u.samples) AS BIGINT), \
             CAST(SUM(u.cpu_requests / u.samples) AS BIGINT), CAST(SUM(u.memory_requests / u.samples) AS BIGINT) \
             FROM usage_hours u WHERE u.measured > 0 AND u.hour >= $1 AND u.hour < $2 \
             GROUP BY u.namespace_id ORDER BY u.namespace_id";
        let totals = |row: &mut Reader<'_>| {
            let id: Uuid = row.parsed()?;
            let measured = row.int()?;
            let used = Pair { cpu: row.int()?, memory: row.int()? };
            Ok((id, Totals { measured, used, requests: Pair { cpu: row.int()?, memory: row.int()? } }))
        };
        self.all(sql(SQL).bind(hours.start).bind(hours.end), totals).await
    }
}
