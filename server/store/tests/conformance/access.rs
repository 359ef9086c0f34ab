//! Requests for roles.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    ports::{
        access::{AccessDecision, NewAccessRequest, Place},
        store::Store,
    },
};
use berth_types::{
    Action, ErrorCode, Resource,
    TenantRole::{self, Admin, Developer, Owner, Viewer},
    access::AccessState,
};
use uuid::Uuid;

use crate::{
    fixture::{add_tenant, add_users, at, id, name, namespace, refused},
    namespace_roles::granted,
};

/// `shop` of ann's with `dev`, where bob looks, and `bank` of bob's.
async fn scene(store: &dyn Store) -> [Place; 3] {
    add_users(store, &["ann", "bob"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    let bank = add_tenant(store, 11, "bank", id(2)).await;
    let dev = namespace(20, "shop", "dev");
    store.create_namespace(&shop, &dev).await.unwrap();
    store.set_member(&shop, &name("bob"), Viewer, at(1)).await.unwrap();
    let dev = granted(&shop, &dev);
    let grant = |tenant: &Grant<TenantRef>| Grant::unchecked((**tenant).clone(), Resource::Access, Action::Create);
    [Place::Tenant(grant(&shop)), Place::Namespace(dev), Place::Tenant(grant(&bank))]
}

fn new(number: u128, user: Uuid, role: TenantRole) -> NewAccessRequest {
    let seconds = i64::try_from(number).unwrap();
    NewAccessRequest { id: id(number), user, role, reason: format!("for {number}"), created_at: at(seconds) }
}

fn decision(approved: bool, seconds: i64) -> AccessDecision {
    AccessDecision { approved, by: id(1), comment: "so".to_owned(), at: at(seconds) }
}

pub async fn one_that_waits(store: Arc<dyn Store>) {
    let [shop, dev, bank] = scene(&*store).await;
    store.create_access_request(&shop, &new(30, id(2), Developer)).await.unwrap();
    refused(store.create_access_request(&shop, &new(31, id(2), Admin)).await, ErrorCode::AlreadyExists);
    store.create_access_request(&dev, &new(32, id(2), Admin)).await.unwrap();
    refused(store.create_access_request(&dev, &new(33, id(2), Developer)).await, ErrorCode::AlreadyExists);
    store.create_access_request(&bank, &new(34, id(1), Viewer)).await.unwrap();

    let list = async |place: &Place| -> Vec<(Uuid, AccessState)> {
        let all = store.list_access_requests(place.tenant()).await.unwrap();
        all.iter().map(|request| (request.id, request.state)).collect()
    };
    assert_eq!(list(&shop).await, [(id(32), AccessState::Open), (id(30), AccessState::Open)]);
    assert_eq!(list(&bank).await, [(id(34), AccessState::Open)]);
    let all = store.list_access_requests(shop.tenant()).await.unwrap();
    let first = &all[0];
    assert_eq!((first.user.as_str(), first.namespace.as_ref().map(|n| n.as_str())), ("bob", Some("dev")));
    assert_eq!((first.role, first.reason.as_str(), first.created_at), (Admin, "for 32", at(32)));
    assert_eq!((first.decided_by.as_ref(), first.decided_at, first.comment.as_str()), (None, None, ""));
    assert_eq!(store.count_access_requests(id(2), at(0)).await.unwrap(), 2);
    assert_eq!(store.count_access_requests(id(2), at(31)).await.unwrap(), 1);

    // Decided, it makes room, and stands behind those that wait.
    store.decide_access_request(&dev, id(32), &decision(false, 40)).await.unwrap();
    store.create_access_request(&dev, &new(35, id(2), Developer)).await.unwrap();
    let want = [(id(35), AccessState::Open), (id(30), AccessState::Open), (id(32), AccessState::Declined)];
    assert_eq!(list(&shop).await, want);
    let declined = store.list_access_requests(shop.tenant()).await.unwrap().remove(2);
    let by = declined.decided_by.as_ref().map(|by| by.as_str());
    assert_eq!((by, declined.decided_at, declined.comment.as_str()), (Some("ann"), Some(at(40)), "so"));
}

pub async fn a_decision_gives_the_role(store: Arc<dyn Store>) {
    let [shop, dev, bank] = scene(&*store).await;
    let role = async |place: &Place| {
        let tenant = &shop.tenant().name;
        match place.namespace() {
            None => store.find_tenant_access(id(2), tenant).await.unwrap().unwrap().role,
            Some(_) => {
                let found = store.find_namespace_access(id(2), tenant, &"dev".parse().unwrap()).await.unwrap();
                found.unwrap().1.role
            }
        }
    };
    for (number, place, asked, approved, want) in [
        (30, &shop, Developer, false, Some(Viewer)),
        (31, &shop, Developer, true, Some(Developer)),
        (32, &dev, Admin, true, Some(Admin)),
        (33, &dev, Viewer, true, Some(Admin)),
    ] {
        store.create_access_request(place, &new(number, id(2), asked)).await.unwrap();
        // Not from another place than its own.
        for other in [&shop, &dev, &bank] {
            let same = (other.tenant().id, other.namespace()) == (place.tenant().id, place.namespace());
            if !same {
                let foreign = store.decide_access_request(other, id(number), &decision(true, 50)).await;
                refused(foreign, ErrorCode::NotFound);
            }
        }
        store.decide_access_request(place, id(number), &decision(approved, 50)).await.unwrap();
        assert_eq!(role(place).await, want, "{number}");
        let again = store.decide_access_request(place, id(number), &decision(!approved, 51)).await;
        refused(again, ErrorCode::Conflict);
        assert_eq!(role(place).await, want, "{number}, once");
    }
    // Who has become stronger meanwhile stays so.
    store.create_access_request(&shop, &new(36, id(2), Admin)).await.unwrap();
    let Place::Tenant(grant) = &shop else { panic!("a tenant") };
    store.set_member(grant, &name("bob"), Owner, at(60)).await.unwrap();
    store.decide_access_request(&shop, id(36), &decision(true, 61)).await.unwrap();
    assert_eq!(role(&shop).await, Some(Owner));
}
