//! What the cases are made of.

use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::store::{Account, Digest, NewSession, NewToken, Store},
};
use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, UserName,
    people::{Namespace, Tenant, TokenPurpose, TokenScope, User},
};
use jiff::Timestamp;
use uuid::Uuid;

/// `seconds` after the beginning of the tests' time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_750_000_000_123_456 + seconds * 1_000_000).unwrap()
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn digest(number: u8) -> Digest {
    [number; 32]
}

pub fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

pub fn user(number: u128, called: &str) -> User {
    User {
        id: id(number),
        name: name(called),
        display_name: format!("{called} the {number}."),
        platform_role: None,
        disabled: false,
        must_change_password: false,
        second_factor: false,
        created_at: at(i64::try_from(number).unwrap()),
    }
}

pub async fn add_user(store: &dyn Store, user: &User) {
    store.create_user(&Account { user: user.clone(), password_hash: Some("$argon2id$1".to_owned()) }).await.unwrap();
}

/// People 1, 2, … with these names.
pub async fn add_users(store: &dyn Store, names: &[&str]) -> Vec<User> {
    let mut users = Vec::new();
    for (number, called) in (1..).zip(names) {
        let user = user(number, called);
        add_user(store, &user).await;
        users.push(user);
    }
    users
}

pub fn session(number: u8, user: Uuid) -> NewSession {
    NewSession {
        id: id(number.into()),
        digest: digest(number),
        user,
        created_at: at(number.into()),
        expires_at: at(1000),
        user_agent: "Firefox".to_owned(),
        network: "10.0.0.1".to_owned(),
        provider: None,
        password: None,
    }
}

pub fn token(number: u8, user: Uuid, called: &str) -> NewToken {
    NewToken {
        id: id(number.into()),
        digest: digest(number),
        user,
        name: called.to_owned(),
        prefix: format!("berth_{number}"),
        purpose: TokenPurpose::Api,
        made_by: None,
        scope: TokenScope::default(),
        created_at: at(number.into()),
        expires_at: at(1000),
    }
}

pub fn tenant(number: u128, called: &str) -> Tenant {
    Tenant {
        id: id(number),
        name: called.parse().unwrap(),
        display_name: format!("The {called} team"),
        created_at: at(0),
        halt: None,
        version: 1,
    }
}

/// A tenant with its first owner; what its members would hold.
pub async fn add_tenant(store: &dyn Store, number: u128, called: &str, owner: Uuid) -> Grant<TenantRef> {
    let tenant = tenant(number, called);
    store.create_tenant(&platform(), &tenant, owner).await.unwrap();
    grant(&tenant)
}

pub fn grant(tenant: &Tenant) -> Grant<TenantRef> {
    let reference = TenantRef {
        id: tenant.id,
        name: tenant.name.clone(),
        display_name: tenant.display_name.as_str().into(),
        role: None,
        rights: Default::default(),
        halt: None,
    };
    Grant::unchecked(reference, Resource::Tenant, Action::Update)
}

/// A namespace as it is found for somebody who was given nothing there.
pub fn place(tenant: &TenantRef, row: &Namespace) -> NamespaceRef {
    NamespaceRef {
        tenant: tenant.clone(),
        id: row.id,
        name: row.name.clone(),
        cluster: row.cluster.clone(),
        kube_name: row.kube_name.as_str().into(),
        given: None,
        rights: Default::default(),
        protected: row.protected,
        halt: None,
    }
}

pub fn platform() -> Grant<PlatformRef> {
    Grant::unchecked(PlatformRef, Resource::Platform, Action::Update)
}

pub fn namespace(number: u128, tenant: &str, called: &str) -> Namespace {
    Namespace {
        id: id(number),
        name: called.parse().unwrap(),
        tenant: tenant.parse().unwrap(),
        cluster: "local".parse().unwrap(),
        kube_name: format!("{tenant}-{called}"),
        egress: Default::default(),
        protected: false,
        halt: None,
        created_at: at(0),
        version: 1,
    }
}

pub fn admin(mut user: User) -> User {
    user.platform_role = Some(PlatformRole::Admin);
    user
}

/// The error that was wanted; the test fails when there is none or another one.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>, code: ErrorCode) -> Error {
    let error = result.expect_err("should be refused");
    assert_eq!(error.code(), code, "{error}: {:?}", std::error::Error::source(&error));
    error
}
