//! Robots: accounts of a tenant for machines. People keep them; a robot comes in by its tokens alone.

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, FieldError, NamespaceName, Resource, RobotName, TenantName, TenantRole,
    people::{ApiToken, Robot, TokenScope},
};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{new_id, to_person},
    namespace_members::{check_gift, namespace_role},
    people::{label, name},
    roles::{held_rights, known_rights},
};
use crate::{
    authz::{Grant, TenantRef, matrix::rule_for},
    ctx::{OpCtx, Person, Via},
    error::{Error, Result},
    ports::robots::{NewRobot, RobotChange},
};

/// A robot as somebody wants it.
#[derive(Debug, Clone)]
pub struct RobotText {
    /// Its name within the tenant.
    pub name: String,
    /// What it is for; its name when empty.
    pub description: String,
    /// Its role.
    pub role: TenantRole,
    /// In this namespace alone.
    pub namespace: Option<NamespaceName>,
}

/// Refuses robots: one that keeps robots, or asks for roles, could live on for ever by itself.
pub(super) fn kept_by_people(person: &Person) -> Result<()> {
    if person.name.as_robot().is_some() {
        return Err(Error::new(ErrorCode::Forbidden, "robots are kept by people: a robot does not do this"));
    }
    Ok(())
}

/// What a robot's token may be limited to: what a tenant's role can give.
fn check_scope(tenant: &TenantName, mut scope: TokenScope) -> Result<TokenScope> {
    let mut wrong = Vec::new();
    if scope.tenant.as_ref().is_some_and(|other| other != tenant) {
        let message = format!("a robot of {tenant} sees no other tenant");
        wrong.push(FieldError::new("scope.tenant", "robot_elsewhere", message).param("value", tenant));
    }
    for (i, right) in scope.actions.iter().enumerate() {
        if rule_for(right.resource, right.action).tenant.is_none() {
            let message = format!("no role in a tenant gives {right}");
            wrong.push(FieldError::new(format!("scope.actions[{i}]"), "action_nobody", message).param("value", right));
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    scope.tenant = Some(tenant.clone());
    Ok(scope)
}

impl Services {
    /// A right on a tenant's robots, for a person.
    async fn robots(&self, ctx: &OpCtx, tenant: &TenantName, action: Action) -> Result<Grant<TenantRef>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Robot, action).await?;
        if action != Action::Read {
            kept_by_people(self.authz.person(ctx)?)?;
        }
        Ok(grant)
    }

    async fn find_robot(&self, ctx: &OpCtx, grant: &Grant<TenantRef>, robot: &RobotName) -> Result<Robot> {
        let all = self.store.list_robots(grant, ctx.now()).await?;
        all.into_iter().find(|known| known.name == *robot).ok_or_else(Error::not_found)
    }

    /// A robot, and a right on it.
    pub(super) async fn robot_for(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        robot: &RobotName,
        action: Action,
    ) -> Result<(Grant<TenantRef>, Robot)> {
        let grant = self.robots(ctx, tenant, action).await?;
        let robot = self.find_robot(ctx, &grant, robot).await?;
        Ok((grant, robot))
    }

    /// A tenant's robots, by name.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn list_robots(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<Robot>> {
        let grant = self.robots(ctx, tenant, Action::Read).await?;
        self.store.list_robots(&grant, ctx.now()).await
    }

    /// One of them.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn get_robot(&self, ctx: &OpCtx, tenant: &TenantName, robot: &RobotName) -> Result<Robot> {
        self.robot_for(ctx, tenant, robot, Action::Read).await.map(|(_, robot)| robot)
    }

    /// Makes a robot with a role that is no stronger than the asking person's.
    ///
    /// # Errors
    /// `Invalid` at `name`, `description`, `role`, `namespace`; `AlreadyExists`; forbidden.
    pub async fn create_robot(&self, ctx: &OpCtx, tenant: &TenantName, new: &RobotText) -> Result<Robot> {
        let work = async {
            let grant = self.robots(ctx, tenant, Action::Create).await?;
            let mut wrong = Vec::new();
            let mut noted = |e: Error| {
                if e.fields().is_empty() {
                    Some(e)
                } else {
                    wrong.extend(e.fields().to_vec());
                    None
                }
            };
            let named = name::<RobotName>("name", &new.name, RobotName::MAX).map_err(&mut noted).ok();
            let shown = if new.description.trim().is_empty() { &new.name } else { &new.description };
            let description = label("description", shown).map_err(&mut noted).ok();
            let own = self.store.list_roles(&grant).await?;
            let rights = namespace_role(new.role).and_then(|()| known_rights(&own, new.role)).map_err(&mut noted);
            let namespace = match &new.namespace {
                None => None,
                Some(namespace) => match self.authz.find_namespace(self.authz.person(ctx)?, tenant, namespace).await {
                    Ok(found) => Some(found),
                    Err(e) if e.code() == ErrorCode::NotFound => {
                        let message = format!("there is no namespace “{namespace}”");
                        let error = FieldError::new("namespace", "no_such_place", message);
                        wrong.push(error.param("value", namespace));
                        None
                    }
                    Err(e) => return Err(e),
                },
            };
            let (Some(name), Some(description), Ok(rights), true) = (named, description, rights, wrong.is_empty())
            else {
                return Err(Error::invalid(wrong));
            };
            check_gift(Some(grant.rights), None, Some(rights))?;
            let id = new_id(ctx.now(), &*self.random)?;
            let robot =
                NewRobot { id, name: name.clone(), description, role: new.role, namespace, created_at: ctx.now() };
            self.store.create_robot(&grant, &robot).await?;
            let made = self.find_robot(ctx, &grant, &name).await?;
            let detail = json!({ "role": made.role, "namespace": made.namespace });
            Ok(Done::with(made, detail))
        };
        let target = format!("{tenant}/{}", new.name.chars().take(60).collect::<String>());
        self.audited(ctx, "robot.create", target, Some(tenant), work).await
    }

    /// Changes what a robot is for, its role, and whether its tokens are taken.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` at `description` and `role`; forbidden.
    pub async fn update_robot(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        robot: &RobotName,
        change: &RobotChange,
    ) -> Result<Robot> {
        let work = async {
            let (grant, before) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            let description = label("description", &change.description);
            let own = self.store.list_roles(&grant).await?;
            let role = namespace_role(change.role).and_then(|()| known_rights(&own, change.role));
            let wrong: Vec<FieldError> = [description.as_ref().err(), role.as_ref().err()]
                .into_iter()
                .flatten()
                .flat_map(|e| e.fields().to_vec())
                .collect();
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            check_gift(Some(grant.rights), Some(held_rights(&own, before.role)), Some(role?))?;
            let change = RobotChange { description: description?, ..change.clone() };
            self.store.update_robot(&grant, before.id, &change).await?;
            let after = self.find_robot(ctx, &grant, robot).await?;
            let said = |robot: &Robot| json!({ "role": robot.role, "disabled": robot.disabled });
            let detail = json!({ "before": said(&before), "after": said(&after) });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "robot.update", format!("{tenant}/{robot}"), Some(tenant), work).await
    }

    /// Removes a robot; its tokens stop working at once.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn remove_robot(&self, ctx: &OpCtx, tenant: &TenantName, robot: &RobotName) -> Result<()> {
        let work = async {
            let (grant, before) = self.robot_for(ctx, tenant, robot, Action::Delete).await?;
            self.store.delete_robot(&grant, before.id).await?;
            Ok(Done::with((), json!({ "role": before.role, "namespace": before.namespace })))
        };
        self.audited(ctx, "robot.remove", format!("{tenant}/{robot}"), Some(tenant), work).await
    }

    /// A robot's tokens, newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn list_robot_tokens(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        robot: &RobotName,
    ) -> Result<Vec<ApiToken>> {
        let (_, robot) = self.robot_for(ctx, tenant, robot, Action::Read).await?;
        self.store.list_tokens(robot.id).await
    }

    /// Makes a token of a robot; the secret comes back once. One that a limited token makes is limited alike, and ends with it.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `name`, `expiresInDays`, `scope`; `AlreadyExists` at `name`; forbidden.
    pub async fn create_robot_token(
        &self,
        ctx: &OpCtx,
        (tenant, robot): (&TenantName, &RobotName),
        token_name: &str,
        scope: TokenScope,
        lives: Duration,
    ) -> Result<(ApiToken, SecretString)> {
        let work = async {
            let (grant, robot) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            let own = self.store.list_roles(&grant).await?;
            check_gift(Some(grant.rights), Some(held_rights(&own, robot.role)), None)?;
            let maker = self.limited_maker(ctx).await?;
            let scope = match &maker {
                Some(maker) => maker.narrows(scope)?,
                None => scope,
            };
            let scope = check_scope(tenant, scope)?;
            let account = self.store.find_account_by_id(robot.id).await?.ok_or_else(Error::not_found)?;
            let person = to_person(&account, Via::Begun, TokenScope::default());
            let (token, secret) = self.make_token(ctx, &person, token_name, (scope, lives), maker.as_ref()).await?;
            let detail = json!({ "prefix": token.prefix, "scope": token.scope, "expiresAt": token.expires_at });
            Ok(Done::with((token, secret), detail))
        };
        let target = format!("{tenant}/{robot}/{}", token_name.chars().take(60).collect::<String>());
        self.audited(ctx, "robot.token.create", target, Some(tenant), work).await
    }

    /// Revokes one of a robot's tokens.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn revoke_robot_token(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        robot: &RobotName,
        token: Uuid,
    ) -> Result<()> {
        let work = async {
            let (_, robot) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            self.store.revoke_token(robot.id, token).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "robot.token.revoke", format!("{tenant}/{robot}/{token}"), Some(tenant), work).await
    }
}
