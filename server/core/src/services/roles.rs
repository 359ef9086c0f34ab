//! Roles that a tenant makes for itself.

use berth_types::{
    Action, ErrorCode, FieldError, Resource, RoleName, TenantName, TenantRole,
    custom_role::{CustomRole, Holding, RoleHolder},
};

use super::{
    Done, Services,
    namespace_members::{check_gift, giver},
    people::{label, name},
};
use crate::{
    authz::{Grant, Rights, TenantRef, to_ref},
    ctx::OpCtx,
    error::{Error, Result},
    ports::{roles::Edited, store::TenantAccess},
    roles::{Instead, RoleEdit, RoleText, after, told},
};

/// Holders of a role that the audit log names as another takes its place.
const NOTED: usize = 50;
/// Longest description.
const DESCRIPTION_MAX: usize = 300;

fn rights_of(own: &[CustomRole], role: TenantRole) -> Option<Rights> {
    Rights::built_in(role).or_else(|| {
        let known = own.iter().find(|known| TenantRole::Custom(known.name) == role)?;
        Some(Rights::from_iter(known.rights.iter().copied()))
    })
}

/// What a role gives that somebody is to have, in a tenant whose own roles are `own`.
///
/// # Errors
/// `Invalid` at `role` when there is none of that name.
pub(super) fn known_rights(own: &[CustomRole], role: TenantRole) -> Result<Rights> {
    rights_of(own, role).ok_or_else(|| {
        let known = TenantRole::ALL.iter().map(ToString::to_string).chain(own.iter().map(|role| role.name.to_string()));
        let choices = known.collect::<Vec<_>>().join(", ");
        let message = format!("there is no role “{role}” here; one of {choices}");
        Error::field(FieldError::new("role", "role_unknown", message).param("value", role).param("choices", choices))
    })
}

/// What a role gives that somebody has; one that is gone gives nothing.
pub(super) fn held_rights(own: &[CustomRole], role: TenantRole) -> Rights {
    rights_of(own, role).unwrap_or_default()
}

fn description(text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        let message = format!("at most {DESCRIPTION_MAX} characters, none of them a control character");
        return Err(Error::field(FieldError::new("description", "too_long", message).param("max", DESCRIPTION_MAX)));
    }
    Ok(text.to_owned())
}

/// The texts, cleaned, or all that is wrong with them.
fn checked(role: &str, text: &RoleText) -> Result<RoleText> {
    let shown = if text.display_name.trim().is_empty() { role } else { &text.display_name };
    let (display_name, description) = (label("displayName", shown), description(&text.description));
    let wrong: Vec<FieldError> = [display_name.as_ref().err(), description.as_ref().err()]
        .into_iter()
        .flatten()
        .flat_map(|e| e.fields().to_vec())
        .collect();
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    Ok(RoleText { display_name: display_name?, description: description?, ..text.clone() })
}

fn edited_one(edited: Edited, edit: &RoleEdit) -> Result<CustomRole> {
    edited.roles.into_iter().find(|role| role.name == edit.name()).ok_or_else(Error::not_found)
}

fn content(role: &CustomRole) -> serde_json::Value {
    serde_json::json!({ "displayName": role.display_name, "actions": role.actions, "includes": role.includes })
}

impl Services {
    /// A tenant's own roles, by name.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`; forbidden.
    pub async fn list_roles(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<CustomRole>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Role, Action::Read).await?;
        self.store.list_roles(&grant).await
    }

    /// One of them, and who has it, or may come to have it: whom a change concerns.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`; forbidden.
    pub async fn get_role(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        role: RoleName,
    ) -> Result<(CustomRole, Vec<RoleHolder>)> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Role, Action::Read).await?;
        let all = self.store.list_roles(&grant).await?;
        let found = all.iter().find(|known| known.name == role).ok_or_else(Error::not_found)?.clone();
        let mut holders = self.store.list_role_holders(&grant, role, ctx.now()).await?;
        let including = all.iter().filter(|other| other.includes.contains(&TenantRole::Custom(role)));
        holders.extend(including.map(|other| RoleHolder {
            holding: Holding::Role,
            who: other.name.to_string(),
            namespace: None,
        }));
        let could = |resource| self.authz.could(ctx, &grant, resource, Action::Read);
        let (members, others) = (could(Resource::Membership), could(Resource::Invitation));
        holders.retain(|holder| match holder.holding {
            Holding::Role => true,
            Holding::Member | Holding::NamespaceMember => members,
            // Addresses, groups, and what others ask for.
            Holding::Invitation | Holding::GroupRule | Holding::AccessRequest => others,
        });
        holders.sort();
        Ok((found, holders))
    }

    /// Makes a role.
    ///
    /// # Errors
    /// `Invalid` at `name`, `displayName`, `description`, `actions`, `includes`; `AlreadyExists` at `name`; forbidden.
    pub async fn create_role(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        role: &str,
        text: &RoleText,
    ) -> Result<CustomRole> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Role, Action::Create).await?;
            let named = name::<RoleName>("name", role, RoleName::MAX);
            let text = checked(role.trim(), text);
            let mut wrong: Vec<FieldError> = Vec::new();
            wrong.extend(named.as_ref().err().iter().flat_map(|e| e.fields().to_vec()));
            wrong.extend(text.as_ref().err().iter().flat_map(|e| e.fields().to_vec()));
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            let edit = RoleEdit::Make(named?, text?);
            let made = edited_one(self.edit_roles(ctx, &grant, &edit).await?, &edit)?;
            let detail = serde_json::json!({ "role": made.name, "after": content(&made) });
            Ok(Done::with(made, detail))
        };
        let target = format!("{tenant}/{}", role.chars().take(60).collect::<String>());
        self.audited(ctx, "role.create", target, Some(tenant), work).await
    }

    /// Changes a role, of whoever has it at once; where `version` is given, only if it is still that.
    ///
    /// # Errors
    /// `Invalid` at `displayName`, `description`, `actions`, `includes`; `NotFound`; `Conflict`; forbidden.
    pub async fn update_role(
        &self,
        ctx: &OpCtx,
        (tenant, role): (&TenantName, RoleName),
        text: &RoleText,
        version: Option<i64>,
    ) -> Result<CustomRole> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Role, Action::Update).await?;
            let all = self.store.list_roles(&grant).await?;
            let before = all.iter().find(|known| known.name == role).ok_or_else(Error::not_found)?;
            let edit = RoleEdit::Change(role, checked(role.as_str(), text)?, version);
            let made = edited_one(self.edit_roles(ctx, &grant, &edit).await?, &edit)?;
            let detail = serde_json::json!({ "role": role, "before": content(before), "after": content(&made) });
            Ok(Done::with(made, detail))
        };
        self.audited(ctx, "role.update", format!("{tenant}/{role}"), Some(tenant), work).await
    }

    /// Removes a role that nobody has and none includes; or, with another in its place, one that somebody has: whoever has it, or may
    /// come to have it, has the other from then on, all of them or none.
    ///
    /// # Errors
    /// `NotFound`; `Conflict`, which names who has it; `Invalid` at `replacement`; forbidden, where it is not the actor's to give.
    pub async fn remove_role(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        role: RoleName,
        replacement: Option<TenantRole>,
    ) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Role, Action::Delete).await?;
            // What groups of an identity provider are given, is the platform's to say.
            let rules = self.authz.platform(ctx, Resource::SignIn, Action::Create).is_ok();
            let instead = replacement.map(|role| Instead { role, rules });
            let edited = self.edit_roles(ctx, &grant, &RoleEdit::Remove(role, instead)).await?;
            let mut detail = serde_json::json!({ "role": role });
            if let (Some(replacement), Some(detail)) = (replacement, detail.as_object_mut()) {
                detail.insert("replacement".to_owned(), replacement.to_string().into());
                detail.insert("changed".to_owned(), edited.holders.len().into());
                detail.insert("holders".to_owned(), told(&edited.holders, NOTED).into());
            }
            Ok(Done::with((), detail))
        };
        self.audited(ctx, "role.remove", format!("{tenant}/{role}"), Some(tenant), work).await
    }

    /// The own roles of a tenant that somebody may be about to enter.
    pub(super) async fn roles_of(&self, access: TenantAccess) -> Result<Vec<CustomRole>> {
        self.store.list_roles(&to_ref(access)).await
    }

    /// Edits the roles, if all that changes by it is the actor's to give. Then the clusters are told.
    async fn edit_roles(&self, ctx: &OpCtx, grant: &Grant<TenantRef>, edit: &RoleEdit) -> Result<Edited> {
        let before = self.store.list_roles(grant).await?;
        let holders = self.store.list_role_holders(grant, edit.name(), ctx.now()).await?;
        // The store decides again, while nobody else changes anything.
        let planned = after(&before, edit, &holders, ctx.now())?;
        if let RoleEdit::Remove(gone, Some(instead)) = edit {
            let (was, is) = (held_rights(&before, TenantRole::Custom(*gone)), held_rights(&planned, instead.role));
            check_gift(giver(ctx, grant.rights), Some(was), Some(is))?;
        }
        for role in &planned {
            let was = before.iter().find(|known| known.name == role.name);
            if was != Some(role) {
                let rights = |role: &CustomRole| Rights::from_iter(role.rights.iter().copied());
                check_gift(giver(ctx, grant.rights), was.map(rights), Some(rights(role)))?;
            }
        }
        let edited = self.store.edit_roles(grant, edit, ctx.now()).await?;
        self.tell_clusters(grant).await;
        Ok(edited)
    }

    /// Brings the tenant's RoleBindings up to date at once; where a cluster does not answer, the reconciler does it later. Nobody has
    /// more for as long: Berth's own checks come first on every way.
    async fn tell_clusters(&self, tenant: &TenantRef) {
        let rows = match self.store.list_namespaces(tenant).await {
            Ok(rows) => rows,
            Err(e) => return tracing::warn!(tenant = %tenant.name, error = %e, "the clusters are told later"),
        };
        let mut silent = Vec::new();
        for row in rows.iter().filter(|row| row.halt.is_none()) {
            if silent.contains(&&row.cluster) {
                continue;
            }
            let told = match self.clusters.get(&row.cluster) {
                Ok(cluster) => self.reconcile_now(&cluster, tenant, row).await.map(drop),
                Err(e) => Err(e),
            };
            if let Err(e) = told {
                tracing::warn!(namespace = row.kube_name, error = %e, "the cluster is told of a role later");
                if e.code() == ErrorCode::ClusterUnavailable {
                    silent.push(&row.cluster);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "role_tests.rs"]
mod tests;
