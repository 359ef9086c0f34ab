//! A tenant's robots and their tokens; and the actions that a token can be limited to.

use std::time::Duration;

use axum::extract::State;
use berth_core::{
    authz::matrix::{needs, rights, rule_for},
    listing::{Column, Listing},
    ports::robots::RobotChange,
    services::robots::RobotText,
};
use berth_types::{
    NamespaceName, Page, Right, TenantRole,
    people::{ApiToken, Robot},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::me::{self, MadeToken, NewToken};
use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InTenant, OfRobot, OfRobotToken},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const ROBOTS: Columns =
    Columns { sorts: &["name", "created"], filters: &[("role", &[]), ("disabled", &["true", "false"])] };

static LISTING: Listing<Robot> = Listing {
    columns: &[
        Column { name: "name", key: Some(|r| r.name.as_str().into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column { name: "role", key: None, value: Some(|r| r.role.to_string()), facet: true },
        Column { name: "disabled", key: None, value: Some(|r| r.disabled.to_string()), facet: true },
    ],
    search: |r| format!("{} {}", r.name, r.description),
    unique: "name",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_actions))
        .routes(routes!(list_robots, create_robot))
        .routes(routes!(get_robot, replace_robot, delete_robot))
        .routes(routes!(list_robot_tokens, create_robot_token))
        .routes(routes!(revoke_robot_token))
}

/// A row of the role matrix.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActionRow {
    /// What it is called: `app.update`.
    pub action: Right,
    /// What comes along with it, as it makes no sense without.
    pub needs: Vec<Right>,
    /// The weakest role in a tenant that gives it; absent: only roles on the platform do.
    pub role: Option<TenantRole>,
}

impl ActionRow {
    pub(crate) fn of(action: Right) -> Self {
        Self { action, needs: needs(action), role: rule_for(action.resource, action.action).tenant }
    }
}

/// All actions, in the order of the role matrix.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Actions {
    /// Them.
    pub items: Vec<ActionRow>,
}

/// A robot to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRobot {
    /// Its name within the tenant.
    pub name: String,
    /// What it is for; 1 to 60 characters (default: its name).
    #[serde(default)]
    pub description: String,
    /// What it may: `admin`, `developer`, `viewer` or a role of the tenant's own, no more than you may.
    pub role: TenantRole,
    /// In this namespace alone (default: in the whole tenant). It cannot be moved later.
    pub namespace: Option<NamespaceName>,
}

impl Input for NewRobot {}

/// What a robot shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RobotReplacement {
    /// What it is for; 1 to 60 characters.
    pub description: String,
    /// What it may, where it is.
    pub role: TenantRole,
    /// Whether its tokens are refused.
    pub disabled: bool,
}

impl Input for RobotReplacement {}

/// List what a token can be limited to
///
/// The actions of the role matrix, each with what it needs, which a token limited to it may do as well.
#[utoipa::path(get, path = "/actions", tag = "me",
    responses((status = 200, description = "The actions.", body = Actions)))]
pub(crate) async fn list_actions(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    api.services().authz().person(&caller.ctx)?;
    Ok(reply::tagged(&asked, &Actions { items: rights().map(ActionRow::of).collect() })?)
}

/// List robots
#[utoipa::path(get, path = "/tenants/{tenant}/robots", tag = "members",
    description = "The tenant's robots: accounts for machines, which come in by their tokens alone.",
    responses((status = 200, description = "Robots.", body = Page<Robot>)))]
pub(crate) async fn list_robots(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&ROBOTS)?;
    let robots = api.services().list_robots(&caller.ctx, &place.tenant).await?;
    Ok(reply::page(&asked, &LISTING.page(robots, &query)?)?)
}

/// Create a robot
///
/// It stands among the tenant's members as `robot:TENANT/NAME`, and so in the audit log and in the cluster. Robots are kept by
/// people: a robot's own token answers 403.
#[utoipa::path(post, path = "/tenants/{tenant}/robots", tag = "members", request_body = NewRobot,
    responses((status = 201, description = "The robot.", body = Robot)))]
pub(crate) async fn create_robot(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewRobot>,
) -> Reply {
    let NewRobot { name, description, role, namespace } = new;
    let text = RobotText { name, description, role, namespace };
    let robot = api.services().create_robot(&caller.ctx, &place.tenant, &text).await?;
    Ok(reply::created(&robot, &format!("{}/{}", asked.uri.path(), robot.name))?)
}

/// Get a robot
#[utoipa::path(get, path = "/tenants/{tenant}/robots/{robot}", tag = "members",
    description = "What it may, and whether it is used.",
    responses((status = 200, description = "The robot.", body = Robot)))]
pub(crate) async fn get_robot(State(api): State<Api>, caller: Caller, At(place): At<OfRobot>, asked: Asked) -> Reply {
    Ok(reply::tagged(&asked, &api.services().get_robot(&caller.ctx, &place.tenant, &place.robot).await?)?)
}

/// Change a robot
///
/// Its role counts with the next request of each of its tokens; while it is disabled they answer 401. Robots have no versions: the
/// last change wins.
#[utoipa::path(put, path = "/tenants/{tenant}/robots/{robot}", tag = "members", request_body = RobotReplacement,
    responses((status = 200, description = "The robot.", body = Robot)))]
pub(crate) async fn replace_robot(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRobot>,
    Sent(wanted): Sent<RobotReplacement>,
) -> Reply {
    let RobotReplacement { description, role, disabled } = wanted;
    let change = RobotChange { description, role, disabled };
    let robot = api.services().update_robot(&caller.ctx, &place.tenant, &place.robot, &change).await?;
    Ok(reply::json(&robot)?)
}

/// Delete a robot
#[utoipa::path(delete, path = "/tenants/{tenant}/robots/{robot}", tag = "members",
    description = "Its tokens stop working at once, streams that are open included. Platform admins may do so, too.",
    responses((status = 204, description = "Deleted.")))]
pub(crate) async fn delete_robot(State(api): State<Api>, caller: Caller, At(place): At<OfRobot>) -> Reply {
    api.services().remove_robot(&caller.ctx, &place.tenant, &place.robot).await?;
    Ok(reply::nothing())
}

/// List a robot's tokens
#[utoipa::path(get, path = "/tenants/{tenant}/robots/{robot}/tokens", tag = "members",
    description = "Without their secrets, newest first.",
    responses((status = 200, description = "Its tokens.", body = Page<ApiToken>)))]
pub(crate) async fn list_robot_tokens(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRobot>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&me::TOKENS)?;
    let tokens = api.services().list_robot_tokens(&caller.ctx, &place.tenant, &place.robot).await?;
    Ok(reply::page(&asked, &me::LISTING.page(tokens, &query)?)?)
}

/// Create a token of a robot
///
/// It may at most what the robot may. Its `scope` narrows that: to a namespace, to reading, to some `actions` of the role matrix.
#[utoipa::path(post, path = "/tenants/{tenant}/robots/{robot}/tokens", tag = "members", request_body = NewToken,
    responses((status = 201, description = "The token; its secret is shown only here.", body = MadeToken)))]
pub(crate) async fn create_robot_token(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRobot>,
    asked: Asked,
    Sent(new): Sent<NewToken>,
) -> Reply {
    let lives = Duration::from_secs(u64::from(new.days()) * 86_400);
    let robot = (&place.tenant, &place.robot);
    me::made(&asked, api.services().create_robot_token(&caller.ctx, robot, &new.name, new.scope, lives).await?)
}

/// Revoke a robot's token
#[utoipa::path(delete, path = "/tenants/{tenant}/robots/{robot}/tokens/{token}", tag = "members",
    description = "It stops working at once.",
    responses((status = 204, description = "Revoked.")))]
pub(crate) async fn revoke_robot_token(State(api): State<Api>, caller: Caller, At(place): At<OfRobotToken>) -> Reply {
    api.services().revoke_robot_token(&caller.ctx, &place.tenant, &place.robot, place.token).await?;
    Ok(reply::nothing())
}
