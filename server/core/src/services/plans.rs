//! Plans: named quotas that platform admins define. A plan says what its tenants may have from then on, so a change of it is
//! checked against all of them.

use berth_types::{
    Action, ClusterId, FieldError, PlanName, Resource, Resources, TenantName,
    quota::{ContainerDefaults, Plan, PlanEffect, PlanRow, Written},
};
use serde_json::json;

use super::{
    Done, Services,
    identity::new_id,
    people::{label, name},
};
use crate::{
    authz::{Grant, PlatformRef},
    ctx::OpCtx,
    error::{Error, Result},
    quota::{Book, Changed, Lack, Limit, RESOURCES, of_tenant},
};

/// What is to be true of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanText {
    /// What people call it.
    pub display_name: String,
    /// How much of each key.
    pub resources: Written,
    /// What containers get that do not say themselves.
    pub defaults: ContainerDefaults,
}

impl PlanText {
    /// Label and amounts, checked; `called` when it has no label.
    fn read(&self, called: &str) -> Result<(String, Resources)> {
        let shown = if self.display_name.trim().is_empty() { called } else { &self.display_name };
        let shown = label("displayName", shown);
        let resources = Resources::read(RESOURCES, &self.resources);
        let mut errors = self.defaults.check("defaults");
        if resources.as_ref().is_ok_and(Resources::is_empty) {
            let message = "limit at least one key";
            errors.push(FieldError::new(RESOURCES, "quota_empty", message));
        }
        match (shown, resources) {
            (Ok(shown), Ok(resources)) if errors.is_empty() => Ok((shown, resources)),
            (shown, resources) => {
                let mut all = shown.err().map(|e| e.fields().to_vec()).unwrap_or_default();
                all.extend(resources.err().into_iter().flatten());
                all.append(&mut errors);
                Err(Error::invalid(all))
            }
        }
    }
}

fn said(plan: &Plan) -> serde_json::Value {
    json!({ "displayName": plan.display_name, "resources": plan.resources, "defaults": plan.defaults })
}

impl Services {
    /// All plans, by name.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_plans(&self, ctx: &OpCtx) -> Result<Vec<PlanRow>> {
        let grant = self.authz.platform(ctx, Resource::Plan, Action::Read)?;
        self.store.list_plans(&grant).await
    }

    /// One plan.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound`.
    pub async fn get_plan(&self, ctx: &OpCtx, plan: &PlanName) -> Result<Plan> {
        let grant = self.authz.platform(ctx, Resource::Plan, Action::Read)?;
        self.store.find_plan(&grant, plan).await?.ok_or_else(Error::not_found)
    }

    /// Makes a plan.
    ///
    /// # Errors
    /// `Invalid` at `name`, `displayName`, each key, each default; `AlreadyExists`.
    pub async fn create_plan(&self, ctx: &OpCtx, called: &str, text: &PlanText) -> Result<Plan> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Plan, Action::Create)?;
            let parsed = name::<PlanName>("name", called, PlanName::MAX);
            let (name, (display_name, resources)) = match (parsed, text.read(called)) {
                (Ok(name), Ok(read)) => (name, read),
                (name, read) => {
                    let errors = [name.err(), read.err()].into_iter().flatten();
                    return Err(Error::invalid(errors.flat_map(|e| e.fields().to_vec()).collect()));
                }
            };
            self.keys_are_known(&self.clusters.all(), &resources, None).await?;
            let now = ctx.now();
            let id = new_id(now, &*self.random)?;
            let defaults = text.defaults.clone();
            let plan = Plan { id, name, display_name, resources, defaults, created_at: now, version: 1 };
            self.store.create_plan(&grant, &plan).await?;
            let detail = json!({ "after": said(&plan) });
            Ok(Done::with(plan, detail))
        };
        self.audited(ctx, "plan.create", called.chars().take(60).collect(), None, work).await
    }

    /// Changes a plan, if it still has `version` (any, when absent). Its tenants' namespaces follow within half a minute.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`; `Invalid` at each key of which a tenant has shared out, or uses, more.
    pub async fn update_plan(
        &self,
        ctx: &OpCtx,
        plan: &PlanName,
        text: &PlanText,
        version: Option<i64>,
    ) -> Result<Plan> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Plan, Action::Update)?;
            let before = self.store.find_plan(&grant, plan).await?.ok_or_else(Error::not_found)?;
            let (display_name, resources) = text.read(plan.as_str())?;
            self.keys_are_known(&self.clusters.all(), &resources, Some(&before.resources)).await?;
            let version = version.unwrap_or(before.version);
            let mut after =
                Plan { display_name, resources, defaults: text.defaults.clone(), version, ..before.clone() };
            let problems: Vec<FieldError> =
                self.effects(&grant, &after).await?.into_iter().flat_map(|effect| effect.problems).collect();
            if !problems.is_empty() {
                return Err(Error::invalid(problems));
            }
            after.version = self.store.update_plan(&grant, &after).await?;
            let detail = json!({ "before": said(&before), "after": said(&after) });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "plan.update", plan.to_string(), None, work).await
    }

    /// What changing a plan so would do to each tenant that has it; changes nothing.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` as [`Self::update_plan`], but for what tenants lack.
    pub async fn preview_plan(&self, ctx: &OpCtx, plan: &PlanName, text: &PlanText) -> Result<Vec<PlanEffect>> {
        let grant = self.authz.platform(ctx, Resource::Plan, Action::Update)?;
        let before = self.store.find_plan(&grant, plan).await?.ok_or_else(Error::not_found)?;
        let (_, resources) = text.read(plan.as_str())?;
        self.keys_are_known(&self.clusters.all(), &resources, Some(&before.resources)).await?;
        self.effects(&grant, &Plan { resources, defaults: text.defaults.clone(), ..before }).await
    }

    /// Removes a plan that no tenant has.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `plan` while a tenant has it.
    pub async fn delete_plan(&self, ctx: &OpCtx, plan: &PlanName) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Plan, Action::Delete)?;
            let before = self.store.find_plan(&grant, plan).await?.ok_or_else(Error::not_found)?;
            self.store.delete_plan(&grant, plan).await?;
            Ok(Done::with((), json!({ "before": said(&before) })))
        };
        self.audited(ctx, "plan.delete", plan.to_string(), None, work).await
    }

    /// Which tenants have a plan, and on which cluster.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn tenants_of_plan(&self, ctx: &OpCtx, plan: &PlanName) -> Result<Vec<(TenantName, ClusterId)>> {
        let grant = self.authz.platform(ctx, Resource::Plan, Action::Read)?;
        let books = self.store.list_all_books(&grant).await?;
        Ok(books.into_iter().filter(|book| has(book, plan)).map(|book| (book.tenant, book.cluster)).collect())
    }

    /// What each tenant that has the plan would lack if it were so.
    async fn effects(&self, grant: &Grant<PlatformRef>, plan: &Plan) -> Result<Vec<PlanEffect>> {
        let books = self.store.list_all_books(grant).await?.into_iter().filter(|book| has(book, &plan.name));
        let mut effects = Vec::new();
        for before in books {
            let limit = Limit {
                plan: Some(plan.name.clone()),
                origin: None,
                resources: plan.resources.clone(),
                defaults: plan.defaults.clone(),
            };
            let after = Book { limit: Some(limit), ..before.clone() };
            let lacks = after.lacks().iter().map(Lack::error).collect::<Vec<_>>();
            let (tenant, cluster) = (after.tenant.clone(), after.cluster.clone());
            let beyond = self
                .beyond_use(&Changed { before, after })
                .await
                .unwrap_or_else(|e| vec![FieldError::new(RESOURCES, "quota_use_unknown", e.message().to_owned())]);
            let problems = lacks.into_iter().chain(beyond).map(|error| of_tenant(&tenant, error)).collect();
            effects.push(PlanEffect { tenant, cluster, problems });
        }
        Ok(effects)
    }
}

fn has(book: &Book, plan: &PlanName) -> bool {
    book.limit.as_ref().is_some_and(|limit| limit.plan.as_ref() == Some(plan))
}
