//! What an app would take of its namespace's quota, and whether the cluster would take its pods: before it is written.

use axum::extract::State;
use berth_core::{
    Result, Services,
    services::preflight::{Depth, Policy, Preflight},
    yaml,
};
use berth_types::{AppSpec, FieldError, headroom::HeadroomRow, list::ListFreshness};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InNamespace, OfApp},
    problem::Reply,
    query::{Asked, wrong},
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(preflight_new_app)).routes(routes!(preflight_app))
}

/// The parameter by which a change of an app is made without a preflight.
pub(crate) const PREFLIGHT: &str = "preflight";

/// The services as `?preflight=` wants them: with it, or with `skip` without.
///
/// # Errors
/// `Invalid` for another word, and for parameters that are unknown.
pub(crate) fn services(api: &Api, asked: &Asked) -> Result<Services> {
    asked.only(&[PREFLIGHT])?;
    match asked.one(PREFLIGHT)? {
        None => Ok(api.services().clone()),
        Some("skip") => Ok(api.services().without_preflight()),
        Some(other) => Err(wrong(PREFLIGHT, "choice", format!("“{other}” is not “skip”, the only choice"))),
    }
}

/// What is wanted of an app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WantedSpec {
    /// The whole spec, as it would be sent to make or replace the app.
    #[schema(value_type = AppSpec)]
    pub spec: Value,
}

impl Input for WantedSpec {
    const YAML: bool = true;

    fn from_value(value: Value) -> Result<Self> {
        yaml::typed("", &value)
    }
}

/// What was found before anything was written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreflightReport {
    /// Whether it would be done: nothing stands in `errors`.
    pub passes: bool,
    /// Each limited key that the app has to do with; empty where the namespace has no quota.
    pub headroom: Vec<HeadroomRow>,
    /// The same for when it is resumed; only for an app that would be suspended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<HeadroomRow>,
    /// Why it would be refused, at fields of the spec.
    pub errors: Vec<FieldError>,
    /// What would not go smoothly: a rollout that waits, an autoscaler that stops early.
    pub warnings: Vec<FieldError>,
    /// Whether the cluster's policies were asked about one pod of each component.
    pub policy_asked: bool,
    /// Why they were not, where they could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_unknown: Option<String>,
    /// When the numbers were true; absent when they have never been read.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
    /// Whether the cluster is followed.
    pub freshness: ListFreshness,
}

impl From<Preflight> for PreflightReport {
    fn from(found: Preflight) -> Self {
        let rows = |keys: &[berth_types::headroom::Headroom]| keys.iter().map(HeadroomRow::from).collect();
        Self {
            passes: found.errors.is_empty(),
            headroom: rows(&found.headroom),
            resumed: rows(&found.resumed),
            policy_asked: found.policy == Policy::Asked,
            policy_unknown: match found.policy {
                Policy::Unknown(why) => Some(why),
                Policy::Asked | Policy::Unasked => None,
            },
            as_of: found.freshness.as_of,
            freshness: reply::told(&found.freshness),
            errors: found.errors,
            warnings: found.warnings,
        }
    }
}

/// Try a new app
///
/// What it would take of the namespace's quota at rest and at its peak, what is left then, and whether the cluster's policies
/// would take its pods. Nothing is made.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/preflight", tag = "apps",
    request_body(content((WantedSpec = "application/json"), (WantedSpec = "application/yaml"))),
    responses((status = 200, description = "What was found.", body = PreflightReport)))]
pub(crate) async fn preflight_new_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
    Sent(wanted): Sent<WantedSpec>,
) -> Reply {
    asked.only(&[])?;
    let found = api.services().preflight_new_app(&caller.ctx, place.path(), &wanted.spec, Depth::Whole).await?;
    Ok(reply::json(&PreflightReport::from(found))?)
}

/// Try a change of an app
///
/// What the app would take with this spec instead of the one it has: see the same for a new app. Nothing is changed.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/preflight", tag = "apps",
    request_body(content((WantedSpec = "application/json"), (WantedSpec = "application/yaml"))),
    responses((status = 200, description = "What was found.", body = PreflightReport)))]
pub(crate) async fn preflight_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(wanted): Sent<WantedSpec>,
) -> Reply {
    asked.only(&[])?;
    let found = api.services().preflight_app(&caller.ctx, place.path(), &wanted.spec, Depth::Whole).await?;
    Ok(reply::json(&PreflightReport::from(found))?)
}
