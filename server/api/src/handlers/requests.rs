//! Requests for another quota: asked by a tenant's people, decided by rules and platform admins.

use axum::extract::State;
use berth_core::{
    listing::{Column, Listing},
    services::requests::{Decision, Deed, NewAsk},
};
use berth_types::{
    ClusterId, Page, Resources,
    quota::{Written, request::QuotaRequest},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::tag,
    places::{At, InTenant, OfRequest},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

const STATES: &[&str] = &["open", "offered", "approved", "refused", "withdrawn"];
pub(crate) const REQUESTS: Columns = Columns { sorts: &["created"], filters: &[("state", STATES), ("cluster", &[])] };
pub(crate) const ALL_REQUESTS: Columns =
    Columns { sorts: &["created", "tenant"], filters: &[("state", STATES), ("tenant", &[]), ("cluster", &[])] };

static LISTING: Listing<QuotaRequest> = Listing {
    columns: &[
        Column { name: "id", key: Some(|r| r.id.to_string().as_str().into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column {
            name: "tenant",
            key: Some(|r| r.tenant.as_str().into()),
            value: Some(|r| r.tenant.to_string()),
            facet: true,
        },
        Column { name: "state", key: None, value: Some(|r| r.state.to_string()), facet: true },
        Column { name: "cluster", key: None, value: Some(|r| r.cluster.to_string()), facet: true },
    ],
    search: |r| format!("{} {} {}", r.tenant, r.ask.by, r.ask.reason),
    // Ids begin with the time.
    unique: "id",
    descending: true,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_requests, create_request))
        .routes(routes!(get_request))
        .routes(routes!(approve_request))
        .routes(routes!(refuse_request))
        .routes(routes!(offer_request))
        .routes(routes!(accept_request))
        .routes(routes!(withdraw_request))
        .routes(routes!(list_all_requests))
}

/// What a tenant asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewQuotaRequest {
    /// On which cluster (default: the first that Berth knows).
    pub cluster: Option<ClusterId>,
    /// The namespace whose share shall grow by as much, once it is approved.
    pub namespace: Option<String>,
    /// The limit of each key that shall be another, as quantities. Without `until` the limit apart from loans, with it the limit
    /// as a whole.
    #[schema(value_type = Resources)]
    pub resources: Written,
    /// Until when: RFC 3339, or a day, at most 90 days ahead. What is more is lent until then, what is less is less from then
    /// on. Default: for good.
    pub until: Option<String>,
    /// Why.
    pub reason: String,
    /// What was lacking where it failed; kept as evidence.
    #[serde(default)]
    #[schema(value_type = Resources)]
    pub lacking: Written,
}

impl Input for NewQuotaRequest {}

/// What is said about what is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RequestComment {
    /// For who asked and for the record; a refusal needs it.
    #[serde(default)]
    pub comment: String,
    /// Only if the request still has this version.
    pub version: Option<i64>,
}

impl Input for RequestComment {}

/// Something else than what was asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RequestOffer {
    /// The limit of each key, as quantities.
    #[schema(value_type = Resources)]
    pub resources: Written,
    /// Until when; default: for good.
    pub until: Option<String>,
    /// For who asked and for the record.
    #[serde(default)]
    pub comment: String,
    /// Only if the request still has this version.
    pub version: Option<i64>,
}

impl Input for RequestOffer {}

/// List a tenant's quota requests
#[utoipa::path(get, path = "/tenants/{tenant}/quota/requests", tag = "quotas",
    description = "Newest first.",
    responses((status = 200, description = "Requests.", body = Page<QuotaRequest>)))]
pub(crate) async fn list_requests(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&REQUESTS)?;
    let requests = api.services().list_requests(&caller.ctx, &place.tenant).await?;
    Ok(reply::page(&asked, &LISTING.page(requests, &query)?)?)
}

/// Request another quota
///
/// Members from developer on. Limits, shares and use of that moment are kept with it. A decrease, and one step up of what is used
/// nearly whole, is approved at once (`state` is `approved` then) where who asks may share the quota out; all else waits for a
/// platform admin, and `ask.findings` says why.
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests", tag = "quotas", request_body = NewQuotaRequest,
    responses((status = 201, description = "The request.", body = QuotaRequest)))]
pub(crate) async fn create_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(sent): Sent<NewQuotaRequest>,
) -> Reply {
    let NewQuotaRequest { cluster, namespace, resources, until, reason, lacking } = sent;
    let new = NewAsk { cluster, namespace, resources, until, reason, lacking };
    let request = api.services().request_quota(&caller.ctx, &place.tenant, &new).await?;
    let location = format!("{}/{}", asked.uri.path(), request.id);
    Ok(reply::with_tag(reply::created(&request, &location)?, tag(request.version, false)))
}

/// Get a quota request
#[utoipa::path(get, path = "/tenants/{tenant}/quota/requests/{request}", tag = "quotas",
    description = "What was asked, with its evidence, and what was done.",
    responses((status = 200, description = "The request.", body = QuotaRequest)))]
pub(crate) async fn get_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    asked: Asked,
) -> Reply {
    let request = api.services().get_request(&caller.ctx, &place.tenant, place.request).await?;
    let tag = tag(request.version, false);
    Ok(reply::unless_known(&asked, reply::json(&request)?, tag))
}

async fn decide(api: &Api, caller: &Caller, place: &OfRequest, decision: Decision) -> Reply {
    let request = api.services().decide_request(&caller.ctx, &place.tenant, place.request, &decision).await?;
    Ok(reply::with_tag(reply::json(&request)?, tag(request.version, false)))
}

fn said(deed: Deed, RequestComment { comment, version }: RequestComment) -> Decision {
    Decision { deed, comment, version }
}

/// Approve a quota request
///
/// Platform admins only, and not who asked, unless there is no other. Quota and request change together or not at all; a
/// request that is decided never changes again.
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests/{request}/approve", tag = "quotas",
    request_body = RequestComment,
    responses((status = 200, description = "The request as it is now.", body = QuotaRequest)))]
pub(crate) async fn approve_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(sent): Sent<RequestComment>,
) -> Reply {
    decide(&api, &caller, &place, said(Deed::Approve, sent)).await
}

/// Refuse a quota request
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests/{request}/refuse", tag = "quotas",
    description = "Platform admins only, with a comment that says why.", request_body = RequestComment,
    responses((status = 200, description = "The request as it is now.", body = QuotaRequest)))]
pub(crate) async fn refuse_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(sent): Sent<RequestComment>,
) -> Reply {
    decide(&api, &caller, &place, said(Deed::Refuse, sent)).await
}

/// Offer something else
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests/{request}/offer", tag = "quotas",
    description = "Platform admins only. Who asked takes the offer or withdraws; a new offer takes the place of an earlier one.",
    request_body = RequestOffer,
    responses((status = 200, description = "The request as it is now.", body = QuotaRequest)))]
pub(crate) async fn offer_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(sent): Sent<RequestOffer>,
) -> Reply {
    let RequestOffer { resources, until, comment, version } = sent;
    decide(&api, &caller, &place, Decision { deed: Deed::Offer { resources, until }, comment, version }).await
}

/// Accept an offer
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests/{request}/accept", tag = "quotas",
    description = "Who asked, and the tenant's owners and admins. The quota follows at once.", request_body = RequestComment,
    responses((status = 200, description = "The request as it is now.", body = QuotaRequest)))]
pub(crate) async fn accept_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(sent): Sent<RequestComment>,
) -> Reply {
    decide(&api, &caller, &place, said(Deed::Accept, sent)).await
}

/// Withdraw a quota request
#[utoipa::path(post, path = "/tenants/{tenant}/quota/requests/{request}/withdraw", tag = "quotas",
    description = "Who asked, and the tenant's owners and admins.", request_body = RequestComment,
    responses((status = 200, description = "The request as it is now.", body = QuotaRequest)))]
pub(crate) async fn withdraw_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(sent): Sent<RequestComment>,
) -> Reply {
    decide(&api, &caller, &place, said(Deed::Withdraw, sent)).await
}

/// List all quota requests
#[utoipa::path(get, path = "/admin/quota-requests", tag = "admin",
    description = "Of all tenants, newest first; `state=open` are those that wait for an admin.",
    responses((status = 200, description = "Requests.", body = Page<QuotaRequest>)))]
pub(crate) async fn list_all_requests(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&ALL_REQUESTS)?;
    let requests = api.services().list_all_requests(&caller.ctx).await?;
    Ok(reply::page(&asked, &LISTING.page(requests, &query)?)?)
}

#[cfg(test)]
mod tests {
    use berth_types::quota::request::RequestState;

    use super::*;

    #[test]
    fn all_states_can_be_filtered_by() {
        let all: Vec<&str> = RequestState::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(STATES, all);
    }
}
