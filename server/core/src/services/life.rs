//! The rest of a tenant's life, after it was made: suspended and resumed, removed and taken back, gone. The same for a namespace.
//!
//! A mark in the store says what is so; everything else follows from it again and again: nothing can be changed (`authz`), nothing
//! runs (the reconciler marks the namespaces, the controller scales the apps to zero), and once its time is over, it goes.

use berth_types::{
    Action, ErrorCode, FieldError, NamespaceName, Resource, TenantName,
    life::{Halt, HaltKind, Mark},
    people::Namespace,
};
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::{Done, Services, namespaces::desired};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::Stage,
};

/// Longest reason, in characters.
pub const MAX_REASON: usize = 500;
/// Namespaces that follow at once; more follow with the reconciler.
const AT_ONCE: usize = 8;
/// What is over is removed so much later: clocks of replicas differ, and who still could take it back must not lose it.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);

/// What was written as a reason.
pub(super) fn reason(text: &str, needed: bool) -> Result<String> {
    let text = text.trim();
    if needed && text.is_empty() {
        return Err(Error::field(FieldError::new("reason", "required", "say why: others read it")));
    }
    let lines = |c: char| c.is_control() && c != '\n' && c != '\r';
    if text.chars().count() > MAX_REASON || text.chars().any(lines) {
        let message = format!("at most {MAX_REASON} characters");
        return Err(Error::field(FieldError::new("reason", "name_too_long", message).param("max", MAX_REASON)));
    }
    Ok(text.to_owned())
}

/// Whether the name was typed that is to go.
///
/// # Errors
/// `Invalid` at `confirm`.
pub fn confirmed(typed: &str, name: &str) -> Result<()> {
    if typed.trim() == name {
        return Ok(());
    }
    let error = FieldError::new("confirm", "confirm_name", format!("type {name} to confirm")).param("want", name);
    Err(Error::field(error))
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorCode::Conflict, message)
}

/// Refused once it is too late.
fn returnable(halt: Option<&Halt>, kind: HaltKind, ctx: &OpCtx) -> Result<()> {
    match halt.filter(|halt| halt.kind == kind) {
        None => Err(conflict("it is not being removed")),
        Some(halt) if halt.is_due(ctx.now()) => Err(conflict("its time is over: it is being removed now")),
        Some(_) => Ok(()),
    }
}

impl Services {
    fn mark(&self, ctx: &OpCtx, reason: String, leaves: bool) -> Result<Mark> {
        let at = ctx.now();
        let until = leaves.then(|| at.checked_add(self.grace)).transpose().map_err(Error::internal)?;
        Ok(Mark { at, by: ctx.actor.to_string(), reason, until })
    }

    /// Puts a tenant to rest: its apps are scaled to zero, nothing in it can be changed.
    ///
    /// # Errors
    /// `Invalid` at `reason`; `Conflict` when it rests already; forbidden to all but platform admins.
    pub async fn suspend_tenant(&self, ctx: &OpCtx, tenant: &TenantName, why: &str) -> Result<Mark> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Suspension, Action::Create).await?;
            let mark = self.mark(ctx, reason(why, true)?, false)?;
            self.store.set_suspended(&grant, Some(&mark)).await?;
            self.tenant_follows(&grant).await;
            let detail = json!({ "reason": mark.reason });
            Ok(Done::with(mark, detail))
        };
        self.audited(ctx, "tenant.suspend", tenant.to_string(), Some(tenant), work).await
    }

    /// Ends that: its apps run again as they did.
    ///
    /// # Errors
    /// `Conflict` when it does not rest; forbidden to all but platform admins.
    pub async fn resume_tenant(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Suspension, Action::Delete).await?;
            self.store.set_suspended(&grant, None).await?;
            self.tenant_follows(&grant).await;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "tenant.resume", tenant.to_string(), Some(tenant), work).await
    }

    /// Begins to remove a tenant: it rests from now on, can be taken back for a while, and is then gone with all its namespaces.
    ///
    /// # Errors
    /// `Invalid` at `reason`; `Conflict` when that has begun; forbidden.
    pub async fn remove_tenant(&self, ctx: &OpCtx, tenant: &TenantName, why: &str) -> Result<Mark> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Delete).await?;
            let mark = self.mark(ctx, reason(why, false)?, true)?;
            self.store.set_tenant_leaving(&grant, Some(&mark)).await?;
            self.tenant_follows(&grant).await;
            let detail = json!({ "reason": mark.reason, "until": mark.until });
            Ok(Done::with(mark, detail))
        };
        self.audited(ctx, "tenant.remove", tenant.to_string(), Some(tenant), work).await
    }

    /// Takes back that a tenant is removed. One that was suspended before is so again.
    ///
    /// # Errors
    /// `Conflict` when it is not being removed, or too late; forbidden.
    pub async fn restore_tenant(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Delete).await?;
            returnable(grant.halt.as_ref(), HaltKind::TenantLeaving, ctx)?;
            self.store.set_tenant_leaving(&grant, None).await?;
            self.tenant_follows(&grant).await;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "tenant.restore", tenant.to_string(), Some(tenant), work).await
    }

    /// Begins to remove a namespace, as [`Self::remove_tenant`] does a tenant.
    ///
    /// # Errors
    /// `Invalid` at `reason`; `Conflict` when that has begun; forbidden.
    pub async fn remove_namespace(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        why: &str,
    ) -> Result<Mark> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Namespace, Action::Delete).await?;
            let mark = self.mark(ctx, reason(why, false)?, true)?;
            self.store.set_namespace_leaving(&grant, Some(&mark)).await?;
            self.namespaces_follow(&grant.tenant, Some(grant.id)).await;
            let detail = json!({ "reason": mark.reason, "until": mark.until });
            Ok(Done::with(mark, detail))
        };
        self.audited(ctx, "namespace.remove", format!("{tenant}/{namespace}"), Some(tenant), work).await
    }

    /// Takes back that a namespace is removed.
    ///
    /// # Errors
    /// `Conflict` when it is not being removed, or too late; forbidden.
    pub async fn restore_namespace(&self, ctx: &OpCtx, tenant: &TenantName, namespace: &NamespaceName) -> Result<()> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Namespace, Action::Delete).await?;
            returnable(grant.halt.as_ref(), HaltKind::NamespaceLeaving, ctx)?;
            self.store.set_namespace_leaving(&grant, None).await?;
            self.namespaces_follow(&grant.tenant, Some(grant.id)).await;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "namespace.restore", format!("{tenant}/{namespace}"), Some(tenant), work).await
    }

    /// For how many days what is removed can be taken back.
    #[must_use]
    pub fn grace_days(&self) -> i64 {
        self.grace.as_hours() / 24
    }

    async fn tenant_follows(&self, tenant: &TenantRef) {
        self.namespaces_follow(tenant, None).await;
    }

    /// Makes the clusters follow at once; what fails, the reconciler makes later.
    async fn namespaces_follow(&self, tenant: &TenantRef, only: Option<Uuid>) {
        let follow = async {
            let rows = self.store.list_namespaces(tenant).await?;
            for row in rows.iter().filter(|row| only.is_none_or(|id| row.id == id)).take(AT_ONCE) {
                let cluster = self.clusters.get(&row.cluster)?;
                self.reconcile_now(&cluster, tenant, row).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(e) = follow.await {
            tracing::warn!(tenant = %tenant.name, error = %e, "the cluster does not follow a change of the tenant yet");
        }
    }

    /// Removes what is to be removed by now, step by step: the namespace in the cluster, its row, the tenant's row; how many steps
    /// were made. Failures are logged and tried again next time.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep_lives(&self) -> Result<usize> {
        let ctx = OpCtx::system(self.clock.clone(), "life-keeper");
        let grant = self.authz.platform(&ctx, Resource::Namespace, Action::Delete)?;
        let now = ctx.now() - MARGIN;
        let mut steps = 0;
        let mut occupied = Vec::new();
        for book in self.store.list_all_books(&grant).await? {
            for row in book.shares.iter().map(|share| &share.namespace) {
                let mut there = true;
                if row.halt.as_ref().is_some_and(|halt| halt.is_due(now)) {
                    match self.remove_step(&ctx, &grant, row).await {
                        Ok(Some(gone)) => {
                            steps += 1;
                            there = !gone;
                        }
                        Ok(None) => {}
                        Err(e) => {
                            tracing::warn!(namespace = row.kube_name, error = %e, "a namespace could not be removed")
                        }
                    }
                }
                if there {
                    occupied.push(book.tenant_id);
                }
            }
        }
        // What is no cluster's is done once: by who works on the first of them.
        if !self.clusters.all().first().is_some_and(|cluster| cluster.leads()) {
            return Ok(steps);
        }
        let all = self.store.list_tenant_access(Uuid::nil(), true).await?;
        let due = all.into_iter().map(|row| row.tenant).filter(|tenant| {
            tenant.halt.as_ref().is_some_and(|halt| halt.is_due(now)) && !occupied.contains(&tenant.id)
        });
        for tenant in due {
            let work = async { self.store.delete_tenant(&grant, tenant.id, now).await.map(Done::plain) };
            match self.audited(&ctx, "tenant.gone", tenant.name.to_string(), Some(&tenant.name), work).await {
                Ok(()) => steps += 1,
                Err(e) => tracing::warn!(tenant = %tenant.name, error = %e, "a tenant could not be removed"),
            }
        }
        Ok(steps)
    }

    /// One step of a namespace's way out: `Some(true)` with the last one, `None` where there is nothing to do but wait.
    async fn remove_step(&self, ctx: &OpCtx, grant: &Grant<PlatformRef>, row: &Namespace) -> Result<Option<bool>> {
        let cluster = self.clusters.get(&row.cluster)?;
        if !cluster.leads() {
            return Ok(None);
        }
        let (wanted, target) = (desired(row), format!("{}/{}", row.tenant, row.name));
        match cluster.namespace_stage(&wanted).await? {
            Stage::Going => Ok(None),
            Stage::There => {
                let work = async { cluster.delete_namespace(ctx, &wanted).await.map(Done::plain) };
                self.audited(ctx, "namespace.delete", target, Some(&row.tenant), work).await?;
                Ok(Some(false))
            }
            Stage::Gone => {
                let now = ctx.now() - MARGIN;
                let work = async { self.store.delete_namespace(grant, row.id, now).await.map(Done::plain) };
                self.audited(ctx, "namespace.gone", target, Some(&row.tenant), work).await?;
                Ok(Some(true))
            }
        }
    }
}
