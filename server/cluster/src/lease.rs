//! Which replica works on a cluster: a `coordination.k8s.io/v1` Lease, kept as client-go's `leaderelection` keeps it.
//!
//! Every process looks at the Lease; one holds it and renews it. Others' clocks are never compared with: a Lease is over when
//! *this* process has seen it unchanged for as long as it is good for. Whoever holds it stops before that, by the same measure,
//! and from then on no write of the controller leaves this process ([`Term::fence`]). Each holder has a number of its own,
//! greater than all before (`leaseTransitions`): its epoch.

use std::{sync::Arc, time::Duration};

use berth_core::{Error, Result, env::Clock};
use berth_types::ErrorCode;
use http::{Method, Request};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{health::Health, pause},
    error::Target,
    meta,
    rest::{Kind, Rest, bounded},
};

/// Where the Lease is: a namespace that every cluster has, so that any two Berths meet there.
pub const NAMESPACE: &str = "kube-system";
/// Its name.
pub const NAME: &str = "berth-controller";

/// Said where the holder has another database.
pub(crate) const OTHER_BERTH: &str =
    "another Berth, with a database of its own, works on this cluster, so this one does not";
/// And what to do about it.
pub(crate) const OTHER_BERTH_FIX: &str = "stop the other, or give this one the other's database with --database";

/// How long a Lease is good for without being renewed.
const DURATION: Duration = Duration::from_secs(8);
/// As much is believed of what another holder says it is good for.
const LONGEST: Duration = Duration::from_mins(1);
/// How long its holder goes on without having renewed it: less, as what is under way takes its time.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often it is renewed, and looked at by the others.
const PERIOD: Duration = Duration::from_secs(1);
/// After how long without a sign of whoever works on the cluster people are told: longer than one takes over from another.
const IDLE: Duration = Duration::from_secs(15);
/// The longest that one call may take: several fit in the deadline.
const CALL: Duration = Duration::from_secs(2);

/// A process among those that work on the same cluster.
#[derive(Debug, Clone)]
pub struct Replica {
    /// As nobody else is called. A process that is started again may go by the name it had only if the former one is certainly
    /// gone.
    pub name: String,
    /// Which Berth it belongs to ([`Database::installation`](berth_core::ports::store::Database::installation)).
    pub installation: String,
}

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    /// Empty where nobody holds it.
    pub(crate) holder: String,
    /// The holder's Berth.
    pub(crate) installation: String,
    /// Changes with each renewal; never read as a time.
    pub(crate) renewed: String,
    duration: Duration,
    transitions: i64,
}

impl Record {
    pub(crate) fn of(lease: &Value) -> Self {
        let spec = &lease["spec"];
        let note = &lease["metadata"]["annotations"][meta::INSTALLATION];
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
        Self {
            holder: text("holderIdentity"),
            installation: note.as_str().unwrap_or_default().to_owned(),
            renewed: text("renewTime"),
            // Whoever wrote a year there is not waited for.
            duration: spec["leaseDurationSeconds"].as_u64().map_or(DURATION, Duration::from_secs).min(LONGEST),
            transitions: spec["leaseTransitions"].as_i64().unwrap_or(0),
        }
    }
}

/// What follows from a look at the Lease.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It may be taken, with this epoch.
    Take(i64),
    /// It is somebody's.
    Wait,
}

/// Whether a process called `me`, which does not lead, may take a Lease that it has seen unchanged for `unchanged`.
fn decide(me: &str, record: &Record, unchanged: Duration) -> Step {
    let free = record.holder.is_empty() || record.holder == me || unchanged >= record.duration;
    // The field has 32 bits.
    let next = i32::try_from(record.transitions + 1).map_or(1, i64::from);
    if free { Step::Take(next) } else { Step::Wait }
}

/// This process's epoch, and until when it is sure; `None` while it does not lead.
type Mine = Option<(i64, Instant)>;

/// This process's part in it. Cheap to clone.
#[derive(Clone)]
pub struct Leadership {
    me: Arc<Replica>,
    rest: Rest,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    mine: watch::Sender<Mine>,
}

/// A time in which this process leads: its epoch.
#[derive(Clone)]
pub(crate) struct Term {
    pub(crate) epoch: i64,
    mine: watch::Sender<Mine>,
    /// Ends with it.
    pub(crate) over: CancellationToken,
}

/// Why a write did not leave this process.
#[derive(Debug, thiserror::Error)]
#[error("epoch {epoch} is over: another replica works on this cluster")]
pub(crate) struct TermOver {
    epoch: i64,
}

impl Term {
    fn holds(&self) -> bool {
        self.mine.borrow().is_some_and(|(epoch, until)| epoch == self.epoch && Instant::now() < until)
    }

    /// `client`, but once this term is over it only reads.
    pub(crate) fn fence(&self, client: &Client) -> Client {
        let (term, base) = (self.clone(), client.clone());
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (term, base) = (term.clone(), base.clone());
            async move {
                if request.method() != Method::GET && !term.holds() {
                    return Err(kube::Error::Service(Box::new(TermOver { epoch: term.epoch })));
                }
                base.send(request).await
            }
        });
        Client::new(service, namespace)
    }
}

impl Leadership {
    /// The part of the process `me`.
    pub(crate) fn new(me: Replica, client: &Client, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        Self { me: Arc::new(me), rest: Rest::new(client.clone()), clock, health, mine: watch::Sender::new(None) }
    }

    /// This process.
    pub(crate) fn me(&self) -> &Replica {
        &self.me
    }

    /// Whether this process leads.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.mine.borrow().is_some_and(|(_, until)| Instant::now() < until)
    }

    /// Waits until this process leads.
    pub async fn held(&self) {
        let _ = self.mine.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until this process leads; `None` when `stop` came first. The Lease is kept until `stop` or until it is lost, then
    /// the term is over. Call [`Self::release`] once all that the term began has ended.
    pub(crate) async fn gain(&self, stop: &CancellationToken) -> Option<Term> {
        let mut seen = (Record::default(), Instant::now());
        let mut worked_on = Instant::now();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            match self.try_take(&mut seen).await {
                Ok(Some((epoch, asked))) => {
                    tracing::info!(me = self.me.name, epoch, "this replica works on the cluster now");
                    self.health.worked_on(true);
                    self.mine.send_replace(Some((epoch, asked + DEADLINE)));
                    let term = Term { epoch, mine: self.mine.clone(), over: stop.child_token() };
                    tokio::spawn(self.clone().keep(term.clone()));
                    return Some(term);
                }
                Ok(None) => failures = 0,
                Err(e) => {
                    failures += 1;
                    if failures == 3 || failures.is_multiple_of(60) {
                        tracing::warn!(error = %e, "the lease cannot be had: nobody may be working on the cluster");
                    }
                }
            }
            let renewed = !seen.0.holder.is_empty() && seen.0.installation == self.me.installation;
            if self.health.unanswered().is_some() {
                // It is said that the cluster is away; nothing can be known of others.
                worked_on = Instant::now();
            } else if renewed {
                worked_on = worked_on.max(seen.1);
            }
            self.health.worked_on(worked_on.elapsed() < IDLE);
            tokio::select! {
                () = stop.cancelled() => {}
                () = pause(PERIOD) => {}
            }
        }
        None
    }

    /// One look, and the Lease taken where that may be: its epoch, and when it was asked for.
    async fn try_take(&self, seen: &mut (Record, Instant)) -> Result<Option<(i64, Instant)>> {
        let lease = self.read().await?;
        let record = lease.as_ref().map(Record::of).unwrap_or_default();
        if record != seen.0 {
            if record.holder != seen.0.holder && !record.holder.is_empty() && record.holder != self.me.name {
                if record.installation == self.me.installation {
                    tracing::info!(holder = record.holder, "another replica works on the cluster");
                } else {
                    tracing::error!(holder = record.holder, "{OTHER_BERTH}; {OTHER_BERTH_FIX}");
                }
            }
            *seen = (record, Instant::now());
        }
        let Step::Take(epoch) = decide(&self.me.name, &seen.0, seen.1.elapsed()) else { return Ok(None) };
        let asked = Instant::now();
        match self.write(lease.as_ref(), epoch, Some(&self.me.name)).await {
            Ok(()) => Ok(Some((epoch, asked))),
            // Somebody was quicker.
            Err(e) if matches!(e.code(), ErrorCode::Conflict | ErrorCode::AlreadyExists) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Renews until the term is over, or ends it when that does not work any more.
    async fn keep(self, term: Term) {
        loop {
            tokio::select! {
                () = term.over.cancelled() => return,
                () = pause(PERIOD) => {}
            }
            let asked = Instant::now();
            match self.renew(term.epoch).await {
                Ok(true) => drop(self.mine.send_replace(Some((term.epoch, asked + DEADLINE)))),
                Ok(false) => {
                    tracing::warn!(epoch = term.epoch, "another replica took the lease");
                    break;
                }
                Err(e) if term.holds() => tracing::debug!(error = %e, "the lease could not be renewed; trying again"),
                Err(e) => {
                    tracing::warn!(epoch = term.epoch, error = %e, "the lease could not be renewed in time");
                    break;
                }
            }
        }
        self.mine.send_replace(None);
        term.over.cancel();
    }

    /// Whether it is still ours.
    async fn renew(&self, epoch: i64) -> Result<bool> {
        let lease = self.read().await?;
        let ours = |lease: &Value| {
            let record = Record::of(lease);
            record.holder == self.me.name && record.transitions == epoch
        };
        match lease {
            Some(lease) if !ours(&lease) => Ok(false),
            // Deleted by hand, perhaps: made anew.
            lease => match self.write(lease.as_ref(), epoch, Some(&self.me.name)).await {
                Ok(()) => Ok(true),
                Err(e) if matches!(e.code(), ErrorCode::Conflict | ErrorCode::AlreadyExists) => Ok(false),
                Err(e) => Err(e),
            },
        }
    }

    /// Gives the Lease back, so that nobody has to wait for its end.
    pub(crate) async fn release(&self, term: &Term) {
        self.mine.send_replace(None);
        let given_back = async {
            let lease = self.read().await?;
            let record = lease.as_ref().map(Record::of).unwrap_or_default();
            if record.holder == self.me.name && record.transitions == term.epoch {
                self.write(lease.as_ref(), term.epoch, None).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(e) = given_back.await {
            tracing::info!(error = %e, "the lease was not given back; others wait for its end");
        }
    }

    async fn read(&self) -> Result<Option<Value>> {
        match bounded(CALL, self.rest.get(&target(), &Kind::LEASE.at(NAMESPACE, NAME))).await? {
            Ok(lease) => Ok(Some(lease)),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes what is to be instead of `before`; refused where somebody else has written since.
    async fn write(&self, before: Option<&Value>, epoch: i64, holder: Option<&str>) -> Result<()> {
        let now = micro_time(self.clock.now());
        let taken_before = before.filter(|lease| {
            let record = Record::of(lease);
            holder.is_some_and(|holder| record.holder == holder) && record.transitions == epoch
        });
        let acquired = taken_before.and_then(|lease| lease["spec"]["acquireTime"].as_str()).unwrap_or(&now);
        let mut lease = json!({
            "apiVersion": Kind::LEASE.api_version,
            "kind": Kind::LEASE.kind,
            "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": { meta::MANAGED_BY: meta::BERTH }, "annotations": { meta::INSTALLATION: self.me.installation } },
            "spec": {
                "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": acquired,
                "renewTime": now,
                "leaseTransitions": epoch,
            },
        });
        if let Some(holder) = holder {
            lease["spec"]["holderIdentity"] = json!(holder);
        }
        let written = match before {
            Some(before) => {
                lease["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
                bounded(CALL, self.rest.replace(&target(), &Kind::LEASE.at(NAMESPACE, NAME), &lease)).await?
            }
            None => bounded(CALL, self.rest.create(&target(), &Kind::LEASE.within(NAMESPACE), &lease)).await?,
        };
        written.map(drop)
    }
}

fn target() -> Target<'static> {
    Target::new("the lease", NAME)
}

/// As `metav1.MicroTime` is written.
fn micro_time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_take_it() {
        let lease = |holder: &str| Record {
            holder: holder.to_owned(),
            installation: String::new(),
            renewed: "2026-11-21T10:00:00.000000Z".to_owned(),
            duration: DURATION,
            transitions: 7,
        };
        let second = Duration::from_secs(1);
        for (record, unchanged, want) in [
            (Record::default(), Duration::ZERO, Step::Take(1)),
            (lease(""), Duration::ZERO, Step::Take(8)),
            (lease("a"), Duration::ZERO, Step::Take(8)),
            (lease("b"), Duration::ZERO, Step::Wait),
            (lease("b"), DURATION - second, Step::Wait),
            (lease("b"), DURATION, Step::Take(8)),
            // What the holder says of its own time counts, not ours.
            (Record { duration: second * 60, ..lease("b") }, DURATION, Step::Wait),
            (Record { transitions: i64::from(i32::MAX), ..lease("") }, DURATION, Step::Take(1)),
        ] {
            assert_eq!(decide("a", &record, unchanged), want, "{record:?} for {unchanged:?}");
        }
    }

    #[test]
    fn a_holder_stops_before_others_begin() {
        assert!(DEADLINE + CALL < DURATION, "a renewal that is under way at the deadline has ended");
        assert!(PERIOD + CALL < DEADLINE, "one failure is no loss");
        assert!(DURATION + PERIOD < Duration::from_secs(10), "taken over within ten seconds, the calls included");
    }

    #[test]
    fn reads_what_it_wrote() {
        let lease = json!({"spec": {"holderIdentity": "a", "renewTime": "t", "leaseDurationSeconds": 8, "leaseTransitions": 3}});
        let record = Record::of(&lease);
        assert_eq!((record.holder.as_str(), record.transitions, record.duration), ("a", 3, DURATION));
        assert_eq!(Record::of(&json!({})).holder, "");
        let forever = Record::of(&json!({"spec": {"leaseDurationSeconds": 2_000_000_000}}));
        assert_eq!(forever.duration, LONGEST);
        let at: jiff::Timestamp = "2026-11-21T10:00:00.5Z".parse().expect("a time");
        assert_eq!(micro_time(at), "2026-11-21T10:00:00.500000Z");
    }
}
