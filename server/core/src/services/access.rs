//! Asking for a role, and giving it.

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, FieldError, NamespaceName, Resource, TenantName, TenantRole, UserName,
    access::{AccessRequest, AccessState},
    custom_role::CustomRole,
};
use uuid::Uuid;

use super::{
    Done, Services,
    identity::new_id,
    life::reason,
    namespace_members::{check_gift, giver, namespace_role},
    robots::kept_by_people,
    roles::{held_rights, known_rights},
};
use crate::{
    authz::{Grant, NamespaceRef, Rights, TenantRef, matrix::rule_for},
    ctx::OpCtx,
    error::{Error, Result},
    ports::access::{AccessDecision, NewAccessRequest, Place},
};

/// Requests that a person makes in a day at most, wherever.
const A_DAY: i64 = 20;
/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Who can give what somebody lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granters {
    /// The weakest role that has the right; none: only the platform's admins have it.
    pub role: Option<TenantRole>,
    /// Who can give it, by the name that others see and the one they sign in as; empty where the asker may not know.
    pub people: Vec<(String, String)>,
}

/// Whether asking for a role that gives `rights` makes sense for somebody who may `have` in this place, `held` of it by the role that
/// this one would take the place of; and what is wrong where it does not.
fn check_asked((have, held): (Rights, Option<Rights>), rights: Rights) -> Result<()> {
    if have.covers(rights) {
        let message = "you have all of this role here already";
        return Err(Error::field(FieldError::new("role", "access_has", message)));
    }
    let lost = held.map(|held| held.without(rights)).filter(|lost| *lost != Rights::NONE);
    if let Some(lost) = lost {
        let lost = lost.words();
        let message = format!("it would take the place of your role here, and lacks {lost}: ask for one that has it");
        return Err(Error::field(FieldError::new("role", "access_less", message).param("value", lost)));
    }
    Ok(())
}

/// What the actor may in a place, and what of it by the role that another one there would take the place of.
fn standing(own: &[CustomRole], place: &Place) -> (Rights, Option<Rights>) {
    match place {
        Place::Tenant(tenant) => (tenant.rights, tenant.role.map(|_| tenant.rights)),
        Place::Namespace(namespace) => (namespace.rights, namespace.given.map(|given| held_rights(own, given))),
    }
}

impl Services {
    /// Where a role is asked for or given, if the actor may do that there.
    async fn access_place(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: Option<&NamespaceName>,
        action: Action,
    ) -> Result<Place> {
        Ok(match namespace {
            None => Place::Tenant(self.authz.tenant(ctx, tenant, Resource::Access, action).await?),
            Some(namespace) => {
                Place::Namespace(self.authz.namespace(ctx, tenant, namespace, Resource::Access, action).await?)
            }
        })
    }

    /// Asks for a role, in the tenant or in one of its namespaces.
    ///
    /// # Errors
    /// `Invalid` at `role` and `reason`; `AlreadyExists` while another request for the same place waits; `RateLimited`; forbidden
    /// to who does not belong there.
    pub async fn request_access(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): (&TenantName, Option<&NamespaceName>),
        role: TenantRole,
        why: &str,
    ) -> Result<AccessRequest> {
        let work = async {
            let place = self.access_place(ctx, tenant, namespace, Action::Create).await?;
            let person = self.authz.person(ctx)?;
            kept_by_people(person)?;
            let own = self.store.list_roles(place.tenant()).await?;
            let asked = namespace_role(role).and_then(|()| known_rights(&own, role));
            let asked = asked.and_then(|rights| check_asked(standing(&own, &place), rights));
            let mut wrong = Vec::new();
            wrong.extend(asked.err().iter().flat_map(|e| e.fields().to_vec()));
            let why = reason(why, true).inspect_err(|e| wrong.extend(e.fields().to_vec())).unwrap_or_default();
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            let now = ctx.now();
            if self.store.count_access_requests(person.id, now - DAY).await? >= A_DAY {
                let message = "you have asked for many roles today; wait until tomorrow";
                return Err(Error::new(ErrorCode::RateLimited, message).retry_after(DAY));
            }
            let id = new_id(now, &*self.random)?;
            let new = NewAccessRequest { id, user: person.id, role, reason: why, created_at: now };
            self.store.create_access_request(&place, &new).await.map_err(|e| match e.code() {
                ErrorCode::AlreadyExists => {
                    let message = "you have asked for a role here already; it waits for an answer";
                    Error::new(ErrorCode::AlreadyExists, message)
                        .with_fields(vec![FieldError::new("role", "access_waits", message)])
                        .caused_by(e)
                }
                _ => e,
            })?;
            let detail = serde_json::json!({ "id": id, "role": role, "reason": new.reason });
            Ok(Done::with(self.find_access(place.tenant(), id).await?, detail))
        };
        self.audited(ctx, "access.request", place_name(tenant, namespace), Some(tenant), work).await
    }

    async fn find_access(&self, tenant: &TenantRef, id: Uuid) -> Result<AccessRequest> {
        let all = self.store.list_access_requests(tenant).await?;
        all.into_iter().find(|request| request.id == id).ok_or_else(Error::not_found)
    }

    /// A tenant's requests for roles that the actor may decide, or made: open ones first, then newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn list_access(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<AccessRequest>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Read).await?;
        let person = self.authz.person(ctx)?;
        let only = person.scope.namespace.as_ref();
        let all = only.is_none() && self.authz.could(ctx, &grant, Resource::Access, Action::Read);
        let mine =
            |namespace: &Grant<NamespaceRef>| self.authz.could_in(ctx, namespace, Resource::Access, Action::Read);
        let seen = self.authz.visible_namespaces(ctx, &grant).await?;
        let theirs: Vec<&NamespaceName> = seen.iter().filter(|n| mine(n)).map(|n| &n.name).collect();
        let mut requests = self.store.list_access_requests(&grant).await?;
        requests.retain(|request| {
            let here = request.namespace.as_ref();
            let own = request.user == person.name && (only.is_none() || only == here);
            all || own || here.is_some_and(|here| theirs.contains(&here))
        });
        Ok(requests)
    }

    /// Gives the role that a request asks for, or declines with a reason.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is decided; `Invalid` at `comment` where a refusal has none; forbidden.
    pub async fn decide_access(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        id: Uuid,
        approved: bool,
        comment: &str,
    ) -> Result<AccessRequest> {
        let work = async {
            let known = self.authz.find_tenant(self.authz.person(ctx)?, tenant).await?;
            let found = self.find_access(&known, id).await;
            // Who may decide nothing here does not learn which requests there are.
            let namespace = found.as_ref().ok().and_then(|request| request.namespace.clone());
            let place = self.access_place(ctx, tenant, namespace.as_ref(), Action::Update).await?;
            let request = found?;
            let comment = told(comment, !approved)?;
            let own = self.store.list_roles(place.tenant()).await?;
            let rights = if approved { known_rights(&own, request.role)? } else { held_rights(&own, request.role) };
            check_gift(giver(ctx, standing(&own, &place).0), None, Some(rights))?;
            let decision = AccessDecision { approved, by: self.authz.person(ctx)?.id, comment, at: ctx.now() };
            self.store.decide_access_request(&place, id, &decision).await?;
            let detail = serde_json::json!({
                "id": id, "user": request.user, "namespace": request.namespace, "role": request.role,
                "comment": decision.comment,
            });
            Ok(Done::with(self.find_access(place.tenant(), id).await?, detail))
        };
        let action = if approved { "access.approve" } else { "access.decline" };
        self.audited(ctx, action, format!("{tenant}/{id}"), Some(tenant), work).await
    }

    /// The requests of a tenant that wait for the actor, or for others who may decide as they do.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn open_access(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<AccessRequest>> {
        let name = self.authz.person(ctx)?.name.clone();
        let mut all = self.list_access(ctx, tenant).await?;
        all.retain(|request| request.state == AccessState::Open && request.user != name);
        Ok(all)
    }

    /// Who can give the right that somebody lacks, in the tenant or in one of its namespaces.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn granters(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): (&TenantName, Option<&NamespaceName>),
        right: (Resource, Action),
    ) -> Result<Granters> {
        let role = rule_for(right.0, right.1).tenant;
        let Some(role) = role else { return Ok(Granters { role, people: Vec::new() }) };
        let mut all: Vec<(TenantRole, String, UserName)> = match namespace {
            // With all who have a role by the tenant.
            Some(namespace) => match self.list_namespace_members(ctx, (tenant, namespace)).await {
                Ok(members) => members.into_iter().map(|m| (m.role, m.display_name, m.user)).collect(),
                // A role of the tenant's own need not let one see who is there.
                Err(e) if e.code() == ErrorCode::Forbidden => Vec::new(),
                Err(e) => return Err(e),
            },
            None => match self.list_members(ctx, tenant).await {
                Ok(members) => members.into_iter().map(|m| (m.role, m.display_name, m.user)).collect(),
                Err(e) if e.code() == ErrorCode::Forbidden => Vec::new(),
                Err(e) => return Err(e),
            },
        };
        // An admin gives all roles but an owner's. Stronger roles come first.
        let gives = if role == TenantRole::Owner { TenantRole::Owner } else { TenantRole::Admin };
        // Robots are asked nothing.
        all.retain(|(have, _, user)| *have <= gives && user.as_robot().is_none());
        all.sort();
        Ok(Granters {
            role: Some(role),
            people: all.into_iter().map(|(_, shown, user)| (shown, user.to_string())).collect(),
        })
    }
}

fn place_name(tenant: &TenantName, namespace: Option<&NamespaceName>) -> String {
    namespace.map_or_else(|| tenant.to_string(), |namespace| format!("{tenant}/{namespace}"))
}

/// What who decides says.
fn told(text: &str, needed: bool) -> Result<String> {
    let at_comment = |e: Error| {
        let fields = e.fields().iter().cloned().map(|f| FieldError { field: "comment".into(), ..f }).collect();
        Error::invalid(fields)
    };
    reason(text, needed).map_err(at_comment)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::{
        PlatformRole,
        TenantRole::{Admin, Developer, Owner, Viewer},
        people::TokenScope,
    };

    use super::*;
    use crate::testing::World;

    #[test]
    fn what_may_be_asked_for() {
        for (have, role, code) in [
            (Some(Viewer), Developer, None),
            (Some(Viewer), Admin, None),
            (None, Viewer, None),
            (Some(Viewer), Viewer, Some("access_has")),
            (Some(Admin), Developer, Some("access_has")),
            (Some(Admin), Owner, Some("namespace_role")),
        ] {
            let have = have.map(|have| Rights::from(Some(have)));
            let asked = namespace_role(role);
            let asked = asked.and_then(|()| check_asked((have.unwrap_or_default(), have), Rights::from(Some(role))));
            let got = asked.err().map(|e| e.fields()[0].code.to_string());
            assert_eq!(got.as_deref(), code, "{have:?} {role}");
        }
    }

    /// `shop` of olga's with `dev` and `prod`; vera and bob look; nia keeps `dev` alone.
    async fn scene() -> (World, TenantName, NamespaceName, NamespaceName) {
        let world = World::new();
        for name in ["olga", "vera", "bob", "nia", "out"] {
            world.person(name, None).await;
        }
        world.person("root", Some(PlatformRole::Admin)).await;
        let shop = world.tenant("shop", &[("olga", Owner), ("vera", Viewer), ("bob", Viewer)]).await;
        world.tenant("other", &[("out", Owner)]).await;
        let (dev, prod) = (world.namespace(&shop, "dev").await.name, world.namespace(&shop, "prod").await.name);
        let path = (&shop.name, &dev);
        world
            .services
            .set_namespace_member(&world.ctx("olga").await, path, &"nia".parse().unwrap(), Admin)
            .await
            .unwrap();
        (world, shop.name, dev, prod)
    }

    #[tokio::test]
    async fn a_request_reaches_who_can_grant_it_and_nobody_else() {
        let (world, shop, dev, prod) = scene().await;
        let services = &world.services;
        let vera = world.ctx("vera").await;
        let whole = services.request_access(&vera, (&shop, None), Admin, "holiday cover").await.unwrap();
        let in_dev = services.request_access(&vera, (&shop, Some(&dev)), Developer, "a fix").await.unwrap();
        let in_prod = services.request_access(&vera, (&shop, Some(&prod)), Developer, "a fix").await.unwrap();
        let seen = async |who: &str| {
            let ids = services.list_access(&world.ctx(who).await, &shop).await.map_err(|e| e.code())?;
            Ok::<_, ErrorCode>(ids.into_iter().map(|r| r.id).collect::<Vec<_>>())
        };
        assert_eq!(seen("olga").await.unwrap().len(), 3);
        assert_eq!(seen("vera").await.unwrap().len(), 3, "one's own");
        assert_eq!(seen("nia").await.unwrap(), [in_dev.id]);
        assert_eq!(seen("bob").await.unwrap(), [] as [Uuid; 0]);
        assert_eq!(seen("out").await, Err(ErrorCode::NotFound));
        assert_eq!(services.open_access(&vera, &shop).await.unwrap(), [], "nothing for her to decide");

        let decide = async |who: &str, id| {
            let ctx = world.ctx(who).await;
            services.decide_access(&ctx, &shop, id, true, "").await.map(|r| r.state).map_err(|e| e.code())
        };
        assert_eq!(decide("bob", whole.id).await, Err(ErrorCode::Forbidden));
        assert_eq!(decide("vera", in_dev.id).await, Err(ErrorCode::Forbidden));
        assert_eq!(decide("nia", whole.id).await, Err(ErrorCode::Forbidden));
        assert_eq!(decide("nia", in_prod.id).await, Err(ErrorCode::NotFound), "she does not know of it");
        assert_eq!(decide("out", whole.id).await, Err(ErrorCode::NotFound));
        // What is not there answers them alike.
        assert_eq!(decide("bob", Uuid::nil()).await, Err(ErrorCode::Forbidden));
        assert_eq!(decide("olga", Uuid::nil()).await, Err(ErrorCode::NotFound));

        assert_eq!(decide("nia", in_dev.id).await, Ok(AccessState::Approved));
        assert_eq!(decide("olga", in_dev.id).await, Err(ErrorCode::Conflict), "once");
        let right =
            async |at| services.authz().namespace(&vera, &shop, at, Resource::App, Action::Create).await.is_ok();
        assert!(right(&dev).await && !right(&prod).await);
        assert_eq!(decide("root", whole.id).await, Ok(AccessState::Approved));
        assert!(right(&prod).await);
        let log: Vec<_> = world.store.audit().into_iter().filter(|e| e.action == "access.approve").collect();
        assert_eq!(log.iter().filter(|e| e.outcome == "done").count(), 2);
        assert!(log.iter().any(|e| e.outcome == "denied"), "refused attempts, too");
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_one_may_ask_again() {
        let (world, shop, ..) = scene().await;
        let (services, olga, vera) = (&world.services, world.ctx("olga").await, world.ctx("vera").await);
        let asked = services.request_access(&vera, (&shop, None), Developer, "x").await.unwrap();
        let twice = services.request_access(&vera, (&shop, None), Admin, "x").await.unwrap_err();
        assert_eq!((twice.code(), twice.fields()[0].field.as_str()), (ErrorCode::AlreadyExists, "role"));
        let silent = services.decide_access(&olga, &shop, asked.id, false, " ").await.unwrap_err();
        assert_eq!((silent.code(), silent.fields()[0].field.as_str()), (ErrorCode::Invalid, "comment"));
        let declined = services.decide_access(&olga, &shop, asked.id, false, "not this month").await.unwrap();
        assert_eq!((declined.state, declined.comment.as_str()), (AccessState::Declined, "not this month"));
        assert_eq!(declined.decided_by.as_ref().map(|by| by.as_str()), Some("olga"));
        assert!(services.authz().tenant(&vera, &shop, Resource::Request, Action::Create).await.is_err());
        services.request_access(&vera, (&shop, None), Developer, "again").await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_too_often_waits() {
        let (world, shop, ..) = scene().await;
        let (services, olga, vera) = (&world.services, world.ctx("olga").await, world.ctx("vera").await);
        for _ in 0..A_DAY {
            let asked = services.request_access(&vera, (&shop, None), Developer, "x").await.unwrap();
            services.decide_access(&olga, &shop, asked.id, false, "no").await.unwrap();
        }
        let limited = services.request_access(&vera, (&shop, None), Developer, "x").await.unwrap_err();
        assert_eq!(limited.code(), ErrorCode::RateLimited);
        world.clock.advance(DAY + Duration::from_secs(1));
        services.request_access(&vera, (&shop, None), Developer, "x").await.unwrap();
    }

    #[tokio::test]
    async fn all_that_is_wrong_is_told_at_once_and_nothing_is_asked() {
        let (world, shop, dev, _) = scene().await;
        let (services, vera) = (&world.services, world.ctx("vera").await);
        let wrong = services.request_access(&vera, (&shop, None), Viewer, "").await.unwrap_err();
        let fields: Vec<_> = wrong.fields().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["role", "reason"]);
        let long = services.request_access(&vera, (&shop, Some(&dev)), Admin, &"x".repeat(501)).await.unwrap_err();
        assert_eq!(long.fields()[0].field, "reason");
        // A token that only reads asks for nothing.
        let mut person = vera.person().unwrap().clone();
        person.scope = TokenScope { read_only: true, ..TokenScope::default() };
        let reader = vera.clone().with_actor(crate::Actor::Person(std::sync::Arc::new(person)));
        let refused = services.request_access(&reader, (&shop, None), Admin, "x").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden);
        assert!(services.list_access(&vera, &shop).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_can_grant_what() {
        let (world, shop, dev, prod) = scene().await;
        let services = &world.services;
        let names = async |who: &str, namespace: Option<&NamespaceName>, right| {
            let found = services.granters(&world.ctx(who).await, (&shop, namespace), right).await.unwrap();
            (found.role, found.people.into_iter().map(|(_, user)| user).collect::<Vec<_>>())
        };
        let deploy = (Resource::App, Action::Create);
        assert_eq!(names("vera", None, deploy).await, (Some(Developer), vec!["olga".to_owned()]));
        assert_eq!(names("vera", Some(&dev), deploy).await.1, ["olga", "nia"]);
        assert_eq!(names("vera", Some(&prod), deploy).await.1, ["olga"]);
        assert_eq!(
            names("vera", None, (Resource::Tenant, Action::Delete)).await,
            (Some(Owner), vec!["olga".to_owned()])
        );
        assert_eq!(names("vera", None, (Resource::Quota, Action::Update)).await, (None, vec![]));
        // A guest learns who is in the namespace, and not who else is in the tenant.
        assert_eq!(names("nia", None, deploy).await, (Some(Developer), vec![]));
    }
}
