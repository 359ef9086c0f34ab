//! Who was given a role in one namespace, beside what they have in the whole tenant.

use berth_types::{
    Action, ErrorCode, FieldError, PlatformRole, Resource, TenantRole, UserName, people::NamespaceMember,
};

use super::{
    Done, Services,
    apps::NamespacePath,
    roles::{held_rights, known_rights},
    tenants::no_such_person,
};
use crate::{
    authz::Rights,
    ctx::OpCtx,
    error::{Error, Result},
};

/// Whether somebody who may `own` here may turn what a person was given from `before` into `after`.
///
/// Nobody gives, changes or takes away more than they have. Who keeps the platform has no role here and may.
pub(super) fn check_gift(own: Option<Rights>, before: Option<Rights>, after: Option<Rights>) -> Result<()> {
    let Some(own) = own else { return Ok(()) };
    if before.into_iter().chain(after).all(|rights| own.covers(rights)) {
        return Ok(());
    }
    let message = "nobody gives, changes or takes away a role that holds more than their own";
    Err(Error::new(ErrorCode::Forbidden, message))
}

/// The rights by which the actor gives roles in a place where they have `rights`; none for who keeps the platform.
pub(super) fn giver(ctx: &OpCtx, rights: Rights) -> Option<Rights> {
    let keeper = ctx.person().is_some_and(|person| person.platform_role == Some(PlatformRole::Admin));
    (!keeper).then_some(rights)
}

/// Refuses a role that is not given in a namespace, or asked for. Whether there is one of that name, [`Services::rights_of`] says.
pub(super) fn namespace_role(role: TenantRole) -> Result<()> {
    if role.is_custom() || TenantRole::IN_NAMESPACE.contains(&role) {
        return Ok(());
    }
    let choices = TenantRole::IN_NAMESPACE.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("one of {choices}: owners are made by owners, of the whole tenant");
    Err(Error::field(FieldError::new("role", "namespace_role", message).param("choices", choices)))
}

/// Refuses a role that cannot be given here, or that would change nothing for somebody with `tenant_role`.
fn check_role(user: &UserName, tenant_role: Option<(TenantRole, Rights)>, role: (TenantRole, Rights)) -> Result<()> {
    namespace_role(role.0)?;
    match tenant_role.filter(|(_, have)| have.covers(role.1)) {
        Some((have, _)) => {
            let message = format!("{user} is {have} in the whole tenant, which gives all of that here, too");
            Err(Error::field(FieldError::new("role", "has_more", message).param("value", user)))
        }
        None => Ok(()),
    }
}

impl Services {
    /// All who have a role in a namespace, by the tenant or given here, strongest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn list_namespace_members(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
    ) -> Result<Vec<NamespaceMember>> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Membership, Action::Read).await?;
        self.store.list_namespace_members(&grant).await
    }

    /// Gives somebody a role in this namespace alone, or changes what they were given. They need not belong to the tenant.
    ///
    /// # Errors
    /// `Invalid` at `user`, at `role` where that is an owner's, or no more than they have anyway; forbidden.
    pub async fn set_namespace_member(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
        user: &UserName,
        role: TenantRole,
    ) -> Result<NamespaceMember> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Membership, Action::Update).await?;
            let have = self.store.list_namespace_members(&grant).await?.into_iter().find(|m| m.user == *user);
            let before = have.as_ref().and_then(|m| m.given);
            let own = self.store.list_roles(&grant.tenant).await?;
            let rights = known_rights(&own, role)?;
            let whole = have.and_then(|m| m.tenant_role).map(|have| (have, held_rights(&own, have)));
            check_role(user, whole, (role, rights))?;
            let before_rights = before.map(|before| held_rights(&own, before));
            check_gift(giver(ctx, grant.rights), before_rights, Some(rights))?;
            self.store.set_namespace_member(&grant, user, role, ctx.now()).await.map_err(|e| match e.code() {
                ErrorCode::NotFound => no_such_person("user", user),
                _ => e,
            })?;
            let members = self.store.list_namespace_members(&grant).await?;
            let member = members.into_iter().find(|m| m.user == *user).ok_or_else(Error::not_found)?;
            Ok(Done::with(member, serde_json::json!({ "user": user, "before": before, "after": role })))
        };
        let target = format!("{tenant}/{namespace}/{user}");
        self.audited(ctx, "namespace.member.set", target, Some(tenant), work).await
    }

    /// Takes away what somebody was given in this namespace alone. What they may in the whole tenant stays.
    ///
    /// # Errors
    /// `NotFound` when that is nothing; forbidden.
    pub async fn remove_namespace_member(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
        user: &UserName,
    ) -> Result<()> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Membership, Action::Delete).await?;
            let have = self.store.list_namespace_members(&grant).await?.into_iter().find(|m| m.user == *user);
            let before = have.and_then(|m| m.given);
            let own = self.store.list_roles(&grant.tenant).await?;
            check_gift(giver(ctx, grant.rights), before.map(|before| held_rights(&own, before)), None)?;
            self.store.remove_namespace_member(&grant, user).await?;
            Ok(Done::with((), serde_json::json!({ "user": user, "before": before })))
        };
        let target = format!("{tenant}/{namespace}/{user}");
        self.audited(ctx, "namespace.member.remove", target, Some(tenant), work).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::{
        NamespaceName, TenantName,
        TenantRole::{Admin, Developer, Owner, Viewer},
        people::TokenScope,
    };

    use super::*;
    use crate::{authz::impersonation, testing::World};

    #[test]
    fn nobody_gives_more_than_they_have() {
        for (own, before, after, ok) in [
            (Some(Owner), Some(Admin), None, true),
            (Some(Admin), None, Some(Admin), true),
            (Some(Admin), Some(Viewer), Some(Developer), true),
            (Some(Developer), None, Some(Developer), true),
            (Some(Developer), None, Some(Admin), false),
            (Some(Developer), Some(Admin), Some(Viewer), false),
            (Some(Developer), Some(Admin), None, false),
            (Some(Viewer), None, Some(Developer), false),
            (None, Some(Admin), Some(Developer), true),
        ] {
            let rights = |role: Option<TenantRole>| role.map(|role| Rights::from(Some(role)));
            let got = check_gift(rights(own), rights(before), rights(after)).is_ok();
            assert_eq!(got, ok, "{own:?}: {before:?} → {after:?}");
        }
    }

    #[test]
    fn a_role_that_changes_nothing_is_refused() {
        let ann: UserName = "ann".parse().unwrap();
        for (tenant, role, code) in [
            (None, Viewer, None),
            (None, Admin, None),
            (Some(Viewer), Developer, None),
            (Some(Developer), Admin, None),
            (None, Owner, Some("namespace_role")),
            (Some(Viewer), Viewer, Some("has_more")),
            (Some(Developer), Viewer, Some("has_more")),
            (Some(Owner), Admin, Some("has_more")),
        ] {
            let with = |role: TenantRole| (role, Rights::from(Some(role)));
            let got = check_role(&ann, tenant.map(with), with(role)).err().map(|e| e.fields()[0].code.to_string());
            assert_eq!(got.as_deref(), code, "{tenant:?} {role}");
        }
    }

    /// `shop` with `dev` and `prod`: olga owns it, vera looks; gus is given `dev` alone, vera more in it.
    async fn scene() -> (World, TenantName, NamespaceName, NamespaceName) {
        let world = World::new();
        for name in ["olga", "vera", "gus", "mia"] {
            world.person(name, None).await;
        }
        world.person("root", Some(PlatformRole::Admin)).await;
        let shop = world.tenant("shop", &[("olga", Owner), ("vera", Viewer)]).await;
        let dev = world.namespace(&shop, "dev").await.name;
        let prod = world.namespace(&shop, "prod").await.name;
        let olga = world.ctx("olga").await;
        for (who, role) in [("gus", Developer), ("vera", Admin)] {
            let path = (&shop.name, &dev);
            world.services.set_namespace_member(&olga, path, &who.parse().unwrap(), role).await.unwrap();
        }
        (world, shop.name, dev, prod)
    }

    #[tokio::test]
    async fn a_guest_sees_the_tenants_name_and_one_namespace() {
        let (world, shop, dev, prod) = scene().await;
        let (gus, services) = (world.ctx("gus").await, &world.services);
        let authz = services.authz();
        let tenants = services.list_tenants(&gus).await.unwrap();
        assert_eq!(tenants.iter().map(|t| (t.name.as_str(), t.role)).collect::<Vec<_>>(), [("shop", None)]);
        assert_eq!(services.get_tenant(&gus, &shop).await.unwrap().1.name, shop);
        let seen = services.list_namespaces(&gus, &shop).await.unwrap();
        assert_eq!(seen.iter().map(|n| n.namespace.name.as_str()).collect::<Vec<_>>(), ["dev"]);
        let (_, places) = authz.visible_places(&gus, &shop).await.unwrap();
        assert_eq!(places.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["dev"]);
        assert!(services.search(&gus, "prod", 9).await.unwrap().is_empty());

        authz.namespace(&gus, &shop, &dev, Resource::Exec, Action::Create).await.unwrap();
        let code = async |at: &NamespaceName, resource, action| {
            authz.namespace(&gus, &shop, at, resource, action).await.unwrap_err().code()
        };
        assert_eq!(code(&dev, Resource::Network, Action::Update).await, ErrorCode::Forbidden);
        // A sibling answers as one that is not there.
        assert_eq!(code(&prod, Resource::Namespace, Action::Read).await, ErrorCode::NotFound);
        assert_eq!(code(&"test".parse().unwrap(), Resource::Namespace, Action::Read).await, ErrorCode::NotFound);
        for (resource, action) in Resource::ALL.iter().flat_map(|r| Action::ALL.iter().map(move |a| (*r, *a))) {
            let may = authz.tenant(&gus, &shop, resource, action).await.is_ok();
            assert_eq!(may, (resource, action) == (Resource::Tenant, Action::Read), "{resource} {action}");
        }
    }

    #[tokio::test]
    async fn a_member_is_stronger_in_one_namespace_and_there_alone() {
        let (world, shop, dev, prod) = scene().await;
        let (vera, services) = (world.ctx("vera").await, &world.services);
        let right = async |at: &NamespaceName| {
            services
                .authz()
                .namespace(&vera, &shop, at, Resource::Network, Action::Update)
                .await
                .map(|grant| grant.role())
        };
        assert_eq!(right(&dev).await.unwrap(), Some(Admin));
        assert_eq!(right(&prod).await.unwrap_err().code(), ErrorCode::Forbidden);
        // She keeps the namespace's members, and no others.
        let mia: UserName = "mia".parse().unwrap();
        services.set_namespace_member(&vera, (&shop, &dev), &mia, Admin).await.unwrap();
        let elsewhere = services.set_namespace_member(&vera, (&shop, &prod), &mia, Viewer).await.unwrap_err();
        assert_eq!(elsewhere.code(), ErrorCode::Forbidden);
        let whole = services.set_member(&vera, &shop, &mia, Viewer).await.unwrap_err();
        assert_eq!(whole.code(), ErrorCode::Forbidden);
        // The cluster knows her by both, the second bound in this namespace alone.
        let grant = services.authz().namespace(&vera, &shop, &dev, Resource::App, Action::Update).await.unwrap();
        let groups = impersonation(&vera, Some(&grant)).unwrap().groups;
        assert_eq!(groups, ["berth:tenant:shop:viewer", "berth:namespace:shop:dev:admin"]);
        let grant = services.authz().namespace(&vera, &shop, &prod, Resource::App, Action::Read).await.unwrap();
        assert_eq!(impersonation(&vera, Some(&grant)).unwrap().groups, ["berth:tenant:shop:viewer"]);
    }

    #[tokio::test]
    async fn what_is_taken_away_counts_at_once() {
        let (world, shop, dev, _) = scene().await;
        let (olga, gus, services) = (world.ctx("olga").await, world.ctx("gus").await, &world.services);
        let name: UserName = "gus".parse().unwrap();
        let sees = async || services.get_tenant(&gus, &shop).await.map(|_| ()).map_err(|e| e.code());
        sees().await.unwrap();
        services.remove_namespace_member(&olga, (&shop, &dev), &name).await.unwrap();
        assert_eq!(sees().await, Err(ErrorCode::NotFound));
        let again = services.remove_namespace_member(&olga, (&shop, &dev), &name).await.unwrap_err();
        assert_eq!(again.code(), ErrorCode::NotFound);
        // Who leaves the tenant leaves its namespaces, a guest, too.
        services.set_namespace_member(&olga, (&shop, &dev), &name, Viewer).await.unwrap();
        services.remove_member(&olga, &shop, &name).await.unwrap();
        assert_eq!(sees().await, Err(ErrorCode::NotFound));
        let log: Vec<_> = world.store.audit().into_iter().map(|e| (e.action, e.target, e.outcome)).collect();
        let last = ("namespace.member.set".to_owned(), "shop/dev/gus".to_owned(), "done".to_owned());
        assert!(log.contains(&last), "{log:?}");
    }

    #[tokio::test]
    async fn a_token_opens_no_more_than_its_person() {
        let (world, shop, dev, prod) = scene().await;
        let (gus, services) = (world.ctx("gus").await, &world.services);
        let day = std::time::Duration::from_secs(86_400);
        for (namespace, there) in [(&dev, true), (&prod, false)] {
            let scope =
                TokenScope { tenant: Some(shop.clone()), namespace: Some(namespace.clone()), ..TokenScope::default() };
            let made = services.create_token(&gus, &format!("for {namespace}"), scope, day).await;
            assert_eq!(made.is_ok(), there, "{namespace}: {:?}", made.err());
        }
    }

    #[tokio::test]
    async fn a_resting_tenant_changes_no_members() {
        let (world, shop, dev, _) = scene().await;
        let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
        world.services.suspend_tenant(&root, &shop, "unpaid").await.unwrap();
        let mia: UserName = "mia".parse().unwrap();
        let refused = world.services.set_namespace_member(&olga, (&shop, &dev), &mia, Viewer).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Suspended);
        world.services.set_namespace_member(&root, (&shop, &dev), &mia, Viewer).await.unwrap();
        // Who keeps the platform does so, also where they are no more than a viewer themselves.
        world.services.set_namespace_member(&root, (&shop, &dev), &"root".parse().unwrap(), Viewer).await.unwrap();
        world.services.set_namespace_member(&root, (&shop, &dev), &mia, Admin).await.unwrap();
    }
}
