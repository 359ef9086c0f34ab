//! Tenants' quotas, what their namespaces have of them, and the plans that give them.

use axum::extract::State;
use berth_core::{
    Error,
    listing::{Column, Key, Listing},
    services::{
        plans::PlanText,
        quotas::{QuotaOverview, Wanted},
    },
};
use berth_types::{
    ClusterId, FieldError, Page, Resources,
    quota::{ContainerDefaults, NamespaceQuota, Plan, PlanEffect, PlanRow, TenantPressure, TenantQuota, Written},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, InNamespace, InTenant, OfPlan},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const PLANS: Columns = Columns { sorts: &["name", "tenants"], filters: &[] };
pub(crate) const QUOTAS: Columns = Columns { sorts: &["cluster"], filters: &[("limited", &["true", "false"])] };
pub(crate) const PRESSURE: Columns =
    Columns { sorts: &["tenant", "pressure", "idle"], filters: &[("cluster", &[]), ("limited", &["true", "false"])] };
pub(crate) const EFFECTS: Columns = Columns { sorts: &["tenant"], filters: &[] };

static PLAN_LISTING: Listing<PlanRow> = Listing {
    columns: &[
        Column { name: "name", key: Some(|p| p.plan.name.as_str().into()), value: None, facet: false },
        Column { name: "tenants", key: Some(|p| count(p.tenants)), value: None, facet: false },
    ],
    search: |p| format!("{} {}", p.plan.name, p.plan.display_name),
    unique: "name",
    descending: false,
};

static QUOTA_LISTING: Listing<TenantQuota> = Listing {
    columns: &[
        Column { name: "cluster", key: Some(|q| q.cluster.as_str().into()), value: None, facet: false },
        Column { name: "limited", key: None, value: Some(|q| q.limited.to_string()), facet: false },
    ],
    search: |q| q.cluster.to_string(),
    unique: "cluster",
    descending: false,
};

static PRESSURE_LISTING: Listing<TenantPressure> = Listing {
    columns: &[
        Column {
            name: "place",
            key: Some(|t| Key::Text(format!("{}/{}", t.tenant, t.cluster))),
            value: None,
            facet: false,
        },
        Column { name: "tenant", key: Some(|t| t.tenant.as_str().into()), value: None, facet: false },
        // What nothing limits comes after all that is limited.
        Column { name: "pressure", key: Some(|t| t.pressure.unwrap_or(-1).into()), value: None, facet: false },
        Column { name: "idle", key: Some(|t| t.idle_part().unwrap_or(-1).into()), value: None, facet: false },
        Column { name: "cluster", key: None, value: Some(|t| t.cluster.to_string()), facet: true },
        Column { name: "limited", key: None, value: Some(|t| t.limited.to_string()), facet: true },
    ],
    search: |t| format!("{} {}", t.tenant, t.display_name),
    unique: "place",
    descending: false,
};

static EFFECT_LISTING: Listing<PlanEffect> = Listing {
    columns: &[
        Column {
            name: "place",
            key: Some(|t| Key::Text(format!("{}/{}", t.tenant, t.cluster))),
            value: None,
            facet: false,
        },
        Column { name: "tenant", key: Some(|t| t.tenant.as_str().into()), value: None, facet: false },
    ],
    search: |t| t.tenant.to_string(),
    unique: "place",
    descending: false,
};

fn count(n: usize) -> Key {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_plans, create_plan))
        .routes(routes!(get_plan, replace_plan, delete_plan))
        .routes(routes!(preview_plan))
        .routes(routes!(get_tenant_quota, set_tenant_quota))
        .routes(routes!(move_quota))
        .routes(routes!(get_namespace_quota, set_namespace_quota, clear_namespace_quota))
        .routes(routes!(list_pressure))
}

/// A plan to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewPlan {
    /// 1 to 30 of a–z, 0–9 and -.
    pub name: String,
    /// What people call it (default: its name).
    #[serde(default)]
    pub display_name: String,
    /// How much of each key of Kubernetes' ResourceQuota, as quantities; what is not named is not limited.
    #[schema(value_type = Resources)]
    pub resources: Written,
    /// What containers get that do not say themselves.
    #[serde(default)]
    pub defaults: ContainerDefaults,
}

impl Input for NewPlan {}

/// What is to be true of a plan from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PlanReplacement {
    /// What people call it (default: its name).
    #[serde(default)]
    pub display_name: String,
    /// How much of each key of Kubernetes' ResourceQuota, as quantities; what is not named is not limited.
    #[schema(value_type = Resources)]
    pub resources: Written,
    /// What containers get that do not say themselves.
    #[serde(default)]
    pub defaults: ContainerDefaults,
}

impl Input for PlanReplacement {}

impl From<PlanReplacement> for PlanText {
    fn from(sent: PlanReplacement) -> Self {
        let PlanReplacement { display_name, resources, defaults } = sent;
        Self { display_name, resources, defaults }
    }
}

/// What a tenant may have on a cluster: exactly one of `plan`, `resources` and `unlimited`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct QuotaReplacement {
    /// The cluster (default: the first that Berth knows).
    pub cluster: Option<ClusterId>,
    /// As much as this plan gives, also when that changes.
    pub plan: Option<String>,
    /// So much of each key of Kubernetes' ResourceQuota, as quantities; what is not named is not limited.
    #[schema(value_type = Option<Resources>)]
    pub resources: Option<Written>,
    /// As much as it likes.
    #[serde(default)]
    pub unlimited: bool,
}

impl Input for QuotaReplacement {}

/// What a namespace shall have of its tenant's quota.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ShareReplacement {
    /// How much of each key, as quantities.
    #[schema(value_type = Resources)]
    pub resources: Written,
}

impl Input for ShareReplacement {}

/// A part of one namespace's share that shall be another's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct QuotaMove {
    /// Whose share shrinks.
    pub from: String,
    /// Whose share grows.
    pub to: String,
    /// How much of each key, as quantities.
    #[schema(value_type = Resources)]
    pub resources: Written,
}

impl Input for QuotaMove {}

/// List plans
#[utoipa::path(get, path = "/plans", tag = "quotas",
    description = "Named quotas, each with how many tenants have it. For people with a role on the platform.",
    responses((status = 200, description = "Plans.", body = Page<PlanRow>)))]
pub(crate) async fn list_plans(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&PLANS)?;
    let plans = api.services().list_plans(&caller.ctx).await?;
    Ok(reply::page(&asked, &PLAN_LISTING.page(plans, &query)?)?)
}

/// Create a plan
#[utoipa::path(post, path = "/plans", tag = "quotas", request_body = NewPlan,
    description = "Platform admins only. Tenants are given it by `PUT /tenants/{tenant}/quota`.",
    responses((status = 201, description = "The plan.", body = Plan)))]
pub(crate) async fn create_plan(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewPlan>,
) -> Reply {
    let NewPlan { name, display_name, resources, defaults } = new;
    let text = PlanText { display_name, resources, defaults };
    let plan = api.services().create_plan(&caller.ctx, &name, &text).await?;
    let (location, version) = (format!("{}/{}", asked.uri.path(), plan.name), plan.version);
    Ok(reply::with_tag(reply::created(&plan, &location)?, tag(version, false)))
}

/// Get a plan
#[utoipa::path(get, path = "/plans/{plan}", tag = "quotas", description = "One plan.",
    responses((status = 200, description = "The plan.", body = Plan)))]
pub(crate) async fn get_plan(State(api): State<Api>, caller: Caller, At(place): At<OfPlan>, asked: Asked) -> Reply {
    let plan = api.services().get_plan(&caller.ctx, &place.plan).await?;
    let tag = tag(plan.version, false);
    Ok(reply::unless_known(&asked, reply::json(&plan)?, tag))
}

/// Replace a plan
///
/// All tenants that have it follow, their namespaces within half a minute. Refused, with the tenant and the key named, where one
/// has shared out or uses more than it would then have. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/plans/{plan}", tag = "quotas", request_body = PlanReplacement,
    responses((status = 200, description = "The plan as it is now.", body = Plan)))]
pub(crate) async fn replace_plan(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlan>,
    asked: Asked,
    Sent(wanted): Sent<PlanReplacement>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let changed = api.services().update_plan(&caller.ctx, &place.plan, &wanted.into(), known).await;
    let plan = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    Ok(reply::with_tag(reply::json(&plan)?, tag(plan.version, false)))
}

/// Delete a plan
#[utoipa::path(delete, path = "/plans/{plan}", tag = "quotas", description = "Refused while a tenant has it.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn delete_plan(State(api): State<Api>, caller: Caller, At(place): At<OfPlan>) -> Reply {
    api.services().delete_plan(&caller.ctx, &place.plan).await?;
    Ok(reply::nothing())
}

/// Preview a change of a plan
///
/// What `PUT /plans/{plan}` with the same body would do to each tenant that has it, and why it could not. Changes nothing.
#[utoipa::path(post, path = "/plans/{plan}/preview", tag = "quotas", request_body = PlanReplacement,
    responses((status = 200, description = "One row a tenant and cluster.", body = Page<PlanEffect>)))]
pub(crate) async fn preview_plan(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlan>,
    asked: Asked,
    Sent(wanted): Sent<PlanReplacement>,
) -> Reply {
    let query = asked.list(&EFFECTS)?;
    let effects = api.services().preview_plan(&caller.ctx, &place.plan, &wanted.into()).await?;
    Ok(reply::page(&asked, &EFFECT_LISTING.page(effects, &query)?)?)
}

/// Get the quota of a tenant
///
/// On each cluster: what it may have, what its namespaces have of it, what is left, and what is used as the cluster counts.
/// `limited` is false where nothing limits it.
#[utoipa::path(get, path = "/tenants/{tenant}/quota", tag = "quotas",
    responses((status = 200, description = "One row a cluster.", body = Page<TenantQuota>)))]
pub(crate) async fn get_tenant_quota(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&QUOTAS)?;
    let quotas = api.services().tenant_quota(&caller.ctx, &place.tenant).await?;
    let rows = quotas.into_iter().map(|QuotaOverview { quota, .. }| quota).collect();
    Ok(reply::page(&asked, &QUOTA_LISTING.page(rows, &query)?)?)
}

/// Set the quota of a tenant
///
/// Platform admins only. Refused, key by key, where its namespaces have more than that, or use more than would be left to them;
/// a namespace that was given no share has nothing of what the quota limits. The last one who sets it wins.
#[utoipa::path(put, path = "/tenants/{tenant}/quota", tag = "quotas", request_body = QuotaReplacement,
    responses((status = 200, description = "The quota as it is now.", body = TenantQuota)))]
pub(crate) async fn set_tenant_quota(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    Sent(sent): Sent<QuotaReplacement>,
) -> Reply {
    let wanted = match (sent.plan, sent.resources, sent.unlimited) {
        (Some(plan), None, false) => Wanted::Plan(plan),
        (None, Some(resources), false) => Wanted::Own(resources),
        (None, None, true) => Wanted::Unlimited,
        _ => {
            let choices = "plan, resources, unlimited";
            let error = FieldError::new("plan", "one_of", format!("set exactly one of {choices}"));
            return Err(Error::field(error.param("choices", choices)).into());
        }
    };
    let set = api.services().set_tenant_quota(&caller.ctx, &place.tenant, sent.cluster.as_ref(), &wanted).await?;
    Ok(reply::json(&set.quota)?)
}

/// Move quota between namespaces
///
/// One namespace's share shrinks by so much as another's grows, both or neither.
#[utoipa::path(post, path = "/tenants/{tenant}/quota/move", tag = "quotas", request_body = QuotaMove,
    responses((status = 204, description = "Moved.")))]
pub(crate) async fn move_quota(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    Sent(sent): Sent<QuotaMove>,
) -> Reply {
    let QuotaMove { from, to, resources } = sent;
    api.services().move_share(&caller.ctx, &place.tenant, &from, &to, &resources).await?;
    Ok(reply::nothing())
}

/// Get a namespace's share
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/quota", tag = "quotas",
    description = "What the namespace has of its tenant's quota, what the cluster enforces, and what is used.",
    responses((status = 200, description = "The share.", body = NamespaceQuota)))]
pub(crate) async fn get_namespace_quota(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let quota = api.services().namespace_quota(&caller.ctx, &place.tenant, &place.namespace).await?;
    Ok(reply::tagged(&asked, &quota)?)
}

/// Set a namespace's share
///
/// Owners and admins of the tenant. Refused, key by key, where so much is not left of the tenant's quota, or where the namespace
/// uses more. The last one who sets it wins.
#[utoipa::path(put, path = "/tenants/{tenant}/namespaces/{namespace}/quota", tag = "quotas",
    request_body = ShareReplacement,
    responses((status = 200, description = "The share as it is now.", body = NamespaceQuota)))]
pub(crate) async fn set_namespace_quota(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    Sent(sent): Sent<ShareReplacement>,
) -> Reply {
    let (tenant, namespace) = place.path();
    let quota = api.services().set_share(&caller.ctx, tenant, namespace, Some(&sent.resources)).await?;
    Ok(reply::json(&quota)?)
}

/// Take a namespace's share back
///
/// It then has nothing of what the tenant's quota limits; where that limits nothing, neither is it limited.
#[utoipa::path(delete, path = "/tenants/{tenant}/namespaces/{namespace}/quota", tag = "quotas",
    responses((status = 204, description = "Taken back.")))]
pub(crate) async fn clear_namespace_quota(State(api): State<Api>, caller: Caller, At(place): At<InNamespace>) -> Reply {
    let (tenant, namespace) = place.path();
    api.services().set_share(&caller.ctx, tenant, namespace, None).await?;
    Ok(reply::nothing())
}

/// List tenants by pressure
///
/// How near each tenant is to its quotas, one row a tenant and cluster. `pressure` is the use of the key that is used most, in
/// thousandths of its limit.
#[utoipa::path(get, path = "/admin/quotas", tag = "admin",
    responses((status = 200, description = "Tenants.", body = Page<TenantPressure>)))]
pub(crate) async fn list_pressure(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&PRESSURE)?;
    let rows = api.services().tenant_pressure(&caller.ctx).await?;
    Ok(reply::page(&asked, &PRESSURE_LISTING.page(rows, &query)?)?)
}
