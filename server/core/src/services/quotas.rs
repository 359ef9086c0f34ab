//! Tenants' quotas and what their namespaces have of them. Allotment stands in the store, use in the clusters' caches; the
//! reconciler makes the clusters enforce what is allotted.

use std::collections::{BTreeMap, BTreeSet};

use berth_types::{
    Action, ClusterId, ErrorCode, FieldError, NamespaceName, Quantity, QuotaKey, Resource, Resources, TenantName,
    quota::{NamespaceQuota, Plan, QuotaRow, TenantPressure, TenantQuota, Written, field},
};
use serde_json::json;

use super::{Done, Services, usage::idle_of};
use crate::{
    authz::{Grant, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::{
        cluster::{CacheState, Cluster, DesiredQuota, Freshness},
        clusters::unknown,
    },
    quota::{Book, Change, Changed, Limit, Lowered, RESOURCES, Share, plan_unknown, refusal},
};

/// Namespaces that follow a change at once; more follow with the reconciler.
const AT_ONCE: usize = 8;
/// The pressure of a tenant that uses what it may have nothing of.
pub const BEYOND: i64 = 1_000_000;

/// What a tenant shall have on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// As much as it likes.
    Unlimited,
    /// What the plan of this name gives.
    Plan(String),
    /// These amounts.
    Own(Written),
}

/// A tenant's quota on a cluster.
#[derive(Debug, Clone)]
pub struct QuotaOverview {
    /// Limits, shares, use.
    pub quota: TenantQuota,
    /// How fresh the use is.
    pub freshness: Freshness,
}

impl Services {
    /// A tenant's quota on each cluster where it has a namespace or a limit; on all of them where it has neither.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn tenant_quota(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<QuotaOverview>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Quota, Action::Read).await?;
        let mut books = self.store.list_books(&grant).await?;
        if books.is_empty() {
            books = self.clusters.all().iter().map(|cluster| Book::empty(&grant, cluster.id())).collect();
        }
        Ok(books.iter().map(|book| self.quota_overview(book)).collect())
    }

    /// What a namespace has of its tenant's quota.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn namespace_quota(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
    ) -> Result<NamespaceQuota> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Share, Action::Read).await?;
        let books = self.store.list_books(&grant.tenant).await?;
        let found = books.iter().find_map(|book| Some((book, book.share(namespace)?)));
        let (book, share) = found.ok_or_else(Error::not_found)?;
        Ok(self.shown(book, share))
    }

    /// Sets what a tenant may have on a cluster (the first that Berth knows, when none is named).
    ///
    /// # Errors
    /// `Invalid` at `cluster`, `plan`, or each key: less than is shared out, or than is in use; `ClusterUnavailable` where
    /// something is lowered and its use is not known now; forbidden.
    pub async fn set_tenant_quota(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        cluster: Option<&ClusterId>,
        wanted: &Wanted,
    ) -> Result<QuotaOverview> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Quota, Action::Update).await?;
            let adapter = self.known_cluster(cluster)?;
            let cluster = adapter.id().clone();
            let limit = match wanted {
                Wanted::Unlimited => None,
                Wanted::Plan(name) => {
                    let platform = self.authz.platform(ctx, Resource::Plan, Action::Read)?;
                    let known = match name.parse() {
                        Ok(parsed) => self.store.find_plan(&platform, &parsed).await?,
                        Err(_) => None,
                    };
                    let plan = known.ok_or_else(|| plan_unknown(name))?;
                    let Plan { name, resources, defaults, .. } = plan;
                    Some(Limit { plan: Some(name), origin: None, resources, defaults })
                }
                Wanted::Own(written) => {
                    let resources = Resources::read(RESOURCES, written).map_err(Error::invalid)?;
                    if resources.is_empty() {
                        let message = "limit at least one key, or say that the tenant is not limited";
                        return Err(Error::field(FieldError::new(RESOURCES, "quota_empty", message)));
                    }
                    let books = self.store.list_books(&grant).await?;
                    let before = books.iter().find(|book| book.cluster == cluster).and_then(|book| book.limit.as_ref());
                    self.keys_are_known(&[adapter], &resources, before.map(|limit| &limit.resources)).await?;
                    Some(Limit { plan: None, origin: None, resources, defaults: Default::default() })
                }
            };
            let changed = self.change_book(&grant, &cluster, &Change::Limit(limit), ctx).await?;
            let said = |book: &Book| {
                book.limit.as_ref().map(|limit| json!({ "plan": limit.plan, "resources": limit.resources }))
            };
            let detail = json!({ "cluster": cluster, "before": said(&changed.before), "after": said(&changed.after) });
            Ok(Done::with(self.quota_overview(&changed.after), detail))
        };
        self.audited(ctx, "quota.set", tenant.to_string(), Some(tenant), work).await
    }

    /// Sets what a namespace has of its tenant's quota; `None`: nothing is given to it.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at each key: more than is left, or less than is in use; `ClusterUnavailable` where something is
    /// lowered and its use is not known now; forbidden.
    pub async fn set_share(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        share: Option<&Written>,
    ) -> Result<NamespaceQuota> {
        let right = if share.is_some() { Action::Update } else { Action::Delete };
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Share, right).await?;
            let cluster = self.cluster_of(&grant, namespace).await?;
            let share = share.map(|written| Resources::read(RESOURCES, written)).transpose().map_err(Error::invalid)?;
            let share = share.filter(|share| !share.is_empty());
            let changed = self.change_book(&grant, &cluster, &Change::Share(namespace.clone(), share), ctx).await?;
            let said = |book: &Book| book.share(namespace).and_then(|share| share.resources.clone());
            let detail = json!({ "before": said(&changed.before), "after": said(&changed.after) });
            let share = changed.after.share(namespace).ok_or_else(Error::not_found)?;
            Ok(Done::with(self.shown(&changed.after, share), detail))
        };
        self.audited(ctx, "share.set", format!("{tenant}/{namespace}"), Some(tenant), work).await
    }

    /// Makes a part of one namespace's share another's, at once.
    ///
    /// # Errors
    /// `Invalid` at `from`, `to`, or each key: more than `from` has, or than it can spare; `ClusterUnavailable` where its use
    /// is not known now; forbidden.
    pub async fn move_share(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        from: &str,
        to: &str,
        written: &Written,
    ) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Share, Action::Update).await?;
            let books = self.store.list_books(&grant).await?;
            let place = |at: &'static str, called: &str| {
                let found = books.iter().flat_map(|book| &book.shares).find(|s| s.namespace.name.as_str() == called);
                found.map(|share| &share.namespace).ok_or_else(|| {
                    let message = format!("{tenant} has no namespace “{called}”");
                    FieldError::new(at, "namespace_unknown", message).param("value", called)
                })
            };
            let (giver, taker, resources) =
                match (place("from", from), place("to", to), Resources::read(RESOURCES, written)) {
                    (Ok(giver), Ok(taker), Ok(resources)) => (giver, taker, resources),
                    (giver, taker, resources) => {
                        let places = giver.err().into_iter().chain(taker.err());
                        return Err(Error::invalid(places.chain(resources.err().into_iter().flatten()).collect()));
                    }
                };
            let wrong = |code: &str, message: String| Error::field(FieldError::new("to", code, message));
            if giver.name == taker.name {
                return Err(wrong("quota_same", "choose another namespace than the one that gives".to_owned()));
            }
            if giver.cluster != taker.cluster {
                let message =
                    format!("{from} is on {}, {to} on {}: each has its own quota", giver.cluster, taker.cluster);
                return Err(wrong("quota_clusters", message));
            }
            if resources.iter().all(|(_, amount)| amount == Quantity::ZERO) {
                let message = "say how much of what shall move";
                return Err(Error::field(FieldError::new(RESOURCES, "quota_nothing", message)));
            }
            let moved = resources.clone();
            let change = Change::Move { from: giver.name.clone(), to: taker.name.clone(), resources };
            let changed = self.change_book(&grant, &giver.cluster, &change, ctx).await?;
            let both = |book: &Book| {
                let own = |name| book.share(name).and_then(|share| share.resources.clone());
                json!({ "from": own(&giver.name), "to": own(&taker.name) })
            };
            let before_and_after = (both(&changed.before), both(&changed.after));
            let detail = json!({ "moved": moved, "before": before_and_after.0, "after": before_and_after.1 });
            Ok(Done::with((), detail))
        };
        let target = format!("{tenant}/{} → {}", short(from), short(to));
        self.audited(ctx, "share.move", target, Some(tenant), work).await
    }

    /// How near each tenant is to its quotas, one row a tenant and cluster; tenants that have neither namespace nor quota too.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn tenant_pressure(&self, ctx: &OpCtx) -> Result<Vec<TenantPressure>> {
        let grant = self.authz.platform(ctx, Resource::Platform, Action::Read)?;
        let totals = self.totals(&grant, ctx.now()).await?;
        let row = |book: &Book| TenantPressure { idle: idle_of(std::iter::once(book), &totals), ..self.pressure(book) };
        let mut rows: Vec<TenantPressure> = self.store.list_all_books(&grant).await?.iter().map(row).collect();
        let first = self.known_cluster(None)?;
        for tenant in self.authz.visible_tenants(ctx).await? {
            if !rows.iter().any(|row| row.tenant == tenant.name) {
                rows.push(self.pressure(&Book::empty(&tenant, first.id())));
            }
            for row in rows.iter_mut().filter(|row| row.tenant == tenant.name) {
                row.halt = tenant.halt.clone();
            }
        }
        Ok(rows)
    }

    fn pressure(&self, book: &Book) -> TenantPressure {
        let quota = self.quota_overview(book).quota;
        let used = used_in(&quota.namespaces);
        let limits = book.limit.iter().flat_map(|limit| limit.resources.keys());
        let fullest = limits.filter_map(|key| pressure(*used.get(key)?, book.limit_of(key)?)).max();
        TenantPressure {
            tenant: book.tenant.clone(),
            display_name: book.display_name.clone(),
            cluster: quota.cluster,
            limited: quota.limited,
            plan: quota.plan,
            pressure: fullest,
            resources: quota.resources,
            halt: None,
            idle: Vec::new(),
        }
    }

    /// Checks a change against shares and use, writes it, and makes the cluster follow.
    async fn change_book(
        &self,
        grant: &Grant<TenantRef>,
        cluster: &ClusterId,
        change: &Change,
        ctx: &OpCtx,
    ) -> Result<Changed> {
        let known = self.store.list_books(grant).await?.into_iter().find(|book| book.cluster == *cluster);
        let before = known.unwrap_or_else(|| Book::empty(grant, cluster));
        let after = before.after(change).map_err(|lacks| refusal(&lacks))?;
        if matches!(change, Change::Limit(_)) {
            self.may_grow(&before, &after).await?;
        }
        let errors = self.beyond_use(&Changed { before, after }).await?;
        if !errors.is_empty() {
            return Err(Error::invalid(errors));
        }
        // Checked again where nobody can come between.
        let changed = self.store.change_book(grant, cluster, change, ctx.now()).await?;
        self.follow(grant, &changed).await;
        Ok(changed)
    }

    /// Where a change would leave a namespace with less than it uses, key by key.
    ///
    /// # Errors
    /// `ClusterUnavailable` where something is lowered and its use is not known now.
    pub(crate) async fn beyond_use(&self, changed: &Changed) -> Result<Vec<FieldError>> {
        let lowered = changed.lowered();
        if lowered.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = self.clusters.get(&changed.after.cluster)?;
        if cluster.freshness().state != CacheState::Live {
            let message =
                "what is in use is not known now, as the cluster does not answer: only then can a quota be lowered";
            return Err(
                Error::new(ErrorCode::ClusterUnavailable, message).retry_after(std::time::Duration::from_secs(5))
            );
        }
        let existing = existing(&*cluster, &changed.after, &lowered).await?;
        let mut errors = Vec::new();
        for lowered in lowered {
            let mut used = counted(&*cluster, &changed.after, lowered.share);
            // No quota there counts a new key yet: what is there does, or what the pods that run ask for.
            if let Some(found) = existing.get(&lowered.share.namespace.name).filter(|_| !used.has(&lowered.key))
                && found.has(&lowered.key)
            {
                used.set(lowered.key.clone(), found.of(&lowered.key));
            }
            let asked = cluster.taken(&changed.after.namespace(lowered.share)).counted;
            let asked = |key: &str| asked.get(key).copied().unwrap_or_default();
            let (key, to, name) = (&lowered.key, lowered.to, &lowered.share.namespace.name);
            let at = field(RESOURCES, key.as_str());
            let limit = key.write(to);
            let is_counted = used.has(key);
            let uses = if is_counted { used.of(key) } else { asked(key.as_str()) };
            let pods = used.get("pods").unwrap_or_default().max(asked("pods"));
            if !is_counted && key.is_compute() && to == Quantity::ZERO && pods > Quantity::ZERO {
                // They take some of it for sure, whatever they ask for.
                let pods = pods.as_units();
                let message = format!("{name} runs {pods} pods, and would have none of it: give it a share first");
                let said = FieldError::new(at, "quota_below_running", message).param("namespace", name);
                errors.push(said.param("pods", pods));
            } else if uses > to {
                let used = key.write(uses);
                let message = format!("{name} uses {used}: it cannot have {limit}");
                let said = FieldError::new(at, "quota_below_use", message).param("namespace", name);
                errors.push(said.param("used", used).param("limit", limit));
            }
        }
        Ok(errors)
    }

    /// Makes the cluster enforce at once what a change says; what shrinks first, so that the sum in the cluster never passes the
    /// limit either. What fails is made by the reconciler.
    pub(super) async fn follow(&self, tenant: &TenantRef, changed: &Changed) {
        let enforced = |book: &Book, name: &NamespaceName| book.share(name).and_then(|share| book.enforced(share));
        let other_defaults = changed.before.defaults() != changed.after.defaults();
        let differs =
            |name: &NamespaceName| other_defaults || enforced(&changed.before, name) != enforced(&changed.after, name);
        let shrinking = changed.lowered();
        let mut shares: Vec<&Share> = changed.after.shares.iter().filter(|s| differs(&s.namespace.name)).collect();
        shares.sort_by_key(|share| !shrinking.iter().any(|lowered| lowered.share == *share));
        let follow = async {
            let cluster = self.clusters.get(&changed.after.cluster)?;
            for share in shares.into_iter().take(AT_ONCE) {
                self.reconcile_now(&cluster, tenant, &share.namespace).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(e) = follow.await {
            tracing::warn!(tenant = %tenant.name, error = %e, "the cluster does not enforce the quota yet");
        }
    }

    /// The cluster called `id`, or the first one.
    pub(crate) fn known_cluster(&self, id: Option<&ClusterId>) -> Result<std::sync::Arc<dyn Cluster>> {
        let id = match id {
            Some(id) => id.clone(),
            None => self.clusters.all().first().map_or_else(ClusterId::local, |cluster| cluster.id().clone()),
        };
        self.clusters.get(&id).map_err(|_| unknown(&id))
    }

    async fn cluster_of(&self, tenant: &Grant<TenantRef>, namespace: &NamespaceName) -> Result<ClusterId> {
        let all = self.store.list_namespaces(tenant).await?;
        all.into_iter().find(|row| row.name == *namespace).map(|row| row.cluster).ok_or_else(Error::not_found)
    }

    pub(super) fn quota_overview(&self, book: &Book) -> QuotaOverview {
        let namespaces: Vec<_> = book.shares.iter().map(|share| self.shown(book, share)).collect();
        let used = used_in(&namespaces);
        let row = |key: &QuotaKey| {
            let (limit, shared) = (book.limit_of(key), book.shared(key).unwrap_or_default());
            let left = limit.map(|limit| if shared > limit { Quantity::ZERO } else { limit.minus(shared) });
            QuotaRow {
                resource: key.to_string(),
                limit: limit.map(|limit| key.write(limit)),
                lent: Some(book.lent(key)).filter(|lent| *lent > Quantity::ZERO).map(|lent| key.write(lent)),
                shared: key.write(shared),
                left: left.map(|left| key.write(left)),
                used: used.get(key).map(|used| key.write(*used)),
            }
        };
        let cluster = self.clusters.get(&book.cluster).ok();
        QuotaOverview {
            freshness: cluster.map_or_else(Freshness::never, |cluster| cluster.freshness()),
            quota: TenantQuota {
                cluster: book.cluster.clone(),
                limited: book.limit.is_some(),
                plan: book.limit.as_ref().and_then(|limit| limit.plan.clone()),
                origin: book.limit.as_ref().and_then(|limit| limit.origin.clone()),
                loans: book.loans.clone(),
                resources: book.keys().iter().map(row).collect(),
                namespaces,
            },
        }
    }

    fn shown(&self, book: &Book, share: &Share) -> NamespaceQuota {
        let cluster = self.clusters.get(&book.cluster).ok();
        NamespaceQuota {
            namespace: share.namespace.name.clone(),
            share: share.resources.clone(),
            enforced: book.enforced(share),
            used: cluster.map(|cluster| counted(&*cluster, book, share)).unwrap_or_default(),
        }
    }
}

/// What the cluster shall enforce in a namespace.
pub(crate) fn desired_quota(book: &Book, share: &Share) -> Option<DesiredQuota> {
    Some(DesiredQuota { hard: book.enforced(share)?, defaults: book.defaults() })
}

/// What a namespace uses of each key that the cluster counts.
pub(super) fn counted(cluster: &dyn Cluster, book: &Book, share: &Share) -> Resources {
    let rows = cluster.usage(&book.namespace(share));
    rows.iter().filter_map(|row| Some((row.resource.parse().ok()?, row.used.parse().ok()?))).collect()
}

/// What namespaces have of lowered keys that count objects where no quota there counts them yet.
async fn existing<'a>(
    cluster: &dyn Cluster,
    book: &Book,
    lowered: &[Lowered<'a>],
) -> Result<BTreeMap<&'a NamespaceName, Resources>> {
    let mut shares: BTreeMap<&NamespaceName, &Share> = BTreeMap::new();
    let mut keys: BTreeSet<&QuotaKey> = BTreeSet::new();
    for Lowered { share, key, .. } in lowered.iter().filter(|lowered| lowered.key.objects().is_some()) {
        if !counted(cluster, book, share).has(key) {
            shares.insert(&share.namespace.name, share);
            keys.insert(key);
        }
    }
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<QuotaKey> = keys.into_iter().cloned().collect();
    let places: Vec<_> = shares.values().map(|share| book.namespace(share)).collect();
    let found = cluster.existing(&places, &keys).await?;
    Ok(shares.into_keys().zip(found).collect())
}

/// What namespaces use together of each key that the cluster counts.
pub(super) fn used_in(namespaces: &[NamespaceQuota]) -> BTreeMap<QuotaKey, Quantity> {
    let mut sum = BTreeMap::new();
    for (key, used) in namespaces.iter().flat_map(|namespace| namespace.used.iter()) {
        let total = sum.entry(key.clone()).or_insert(Quantity::ZERO);
        *total = total.plus(used);
    }
    sum
}

/// Use of a limit in thousandths; `None` of nothing.
fn pressure(used: Quantity, limit: Quantity) -> Option<i64> {
    used.thousandths_of(limit).or((used > Quantity::ZERO).then_some(BEYOND))
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}
