//! Identity providers, identities, rules for groups, attempts.

use std::sync::Arc;

use berth_core::ports::{
    sign_in::{Applied, Attempt, Most, NewGroupRule},
    store::{Account, NewSession, Store},
};
use berth_types::{
    ErrorCode, TenantRole,
    provider::{GroupRule, Identity, IdentityProvider, OAuth, SigningAlgorithm},
};

use crate::fixture::{add_tenant, add_users, at, digest, id, name, platform, refused, session, user};

fn provider(number: u128, called: &str) -> IdentityProvider {
    IdentityProvider {
        id: id(number),
        name: called.parse().unwrap(),
        display_name: format!("The {called} people"),
        issuer: format!("https://{called}.example.com"),
        client_id: "berth".to_owned(),
        secret: Some(called.to_owned()),
        scopes: vec!["profile".to_owned(), "groups".to_owned()],
        algorithms: vec![SigningAlgorithm::Es256, SigningAlgorithm::EdDsa],
        group_claim: "groups".to_owned(),
        allowed_groups: vec!["cn=staff, ou=x".to_owned()],
        enabled: true,
        sign_out_there: true,
        created_at: at(1),
        version: 1,
        oauth: None,
    }
}

fn oauth() -> OAuth {
    let at = |path: &str| format!("https://hub.example.com/{path}");
    OAuth {
        authorization_url: at("authorize"),
        token_url: at("token"),
        user_url: at("user"),
        groups_url: Some(at("orgs")),
        id_field: "id".to_owned(),
        login_field: "login".to_owned(),
        name_field: "name".to_owned(),
        basic_auth: true,
    }
}

pub async fn add_provider(store: &dyn Store, number: u128, called: &str) -> IdentityProvider {
    let provider = provider(number, called);
    store.create_provider(&platform(), &provider).await.unwrap();
    provider
}

fn identity(number: u128, subject: &str) -> Identity {
    Identity {
        id: id(number),
        issuer: "https://corp.example.com".to_owned(),
        subject: subject.to_owned(),
        email: Some("same@example.com".to_owned()),
        created_at: at(1),
        last_used_at: at(1),
    }
}

pub async fn providers(store: Arc<dyn Store>) {
    let other = add_provider(&*store, 2, "other").await;
    let corp = add_provider(&*store, 1, "corp").await;
    assert_eq!(store.list_providers().await.unwrap(), [corp.clone(), other.clone()], "by name");
    let same_name = IdentityProvider { issuer: "https://new.example.com".to_owned(), ..provider(3, "corp") };
    let error = refused(store.create_provider(&platform(), &same_name).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "name");
    let same_issuer = IdentityProvider { issuer: corp.issuer.clone(), ..provider(3, "third") };
    let error = refused(store.create_provider(&platform(), &same_issuer).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "issuer");

    let off = IdentityProvider {
        oauth: Some(oauth()),
        secret: None,
        scopes: Vec::new(),
        allowed_groups: Vec::new(),
        enabled: false,
        sign_out_there: false,
        display_name: "Corp".to_owned(),
        ..corp.clone()
    };
    assert_eq!(store.update_provider(&platform(), &off).await.unwrap(), 2);
    refused(store.update_provider(&platform(), &off).await, ErrorCode::Conflict);
    let taken = IdentityProvider { issuer: other.issuer.clone(), version: 2, ..off.clone() };
    let error = refused(store.update_provider(&platform(), &taken).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "issuer");
    assert_eq!(store.list_providers().await.unwrap()[0], IdentityProvider { version: 2, ..off });

    store.delete_provider(&platform(), &corp.name).await.unwrap();
    refused(store.delete_provider(&platform(), &corp.name).await, ErrorCode::NotFound);
    assert_eq!(store.list_providers().await.unwrap(), [other]);
}

pub async fn sessions_know_their_provider(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let corp = add_provider(&*store, 10, "corp").await;
    for (number, provider) in [(1, Some(corp.id)), (2, None)] {
        store.create_session(&NewSession { provider, ..session(number, id(1)) }).await.unwrap();
    }
    assert_eq!(store.session_provider(id(1)).await.unwrap(), Some(corp.clone()));
    assert_eq!(store.session_provider(id(2)).await.unwrap(), None);
    assert_eq!(store.session_provider(id(9)).await.unwrap(), None);
    store.delete_provider(&platform(), &corp.name).await.unwrap();
    assert_eq!(store.session_provider(id(1)).await.unwrap(), None);
    assert_eq!(store.list_sessions(id(1), at(10)).await.unwrap().len(), 2, "nobody is thrown out");
}

pub async fn attempts_are_taken_once(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let corp = add_provider(&*store, 10, "corp").await;
    let attempt = |number, user| Attempt {
        digest: digest(number),
        provider: corp.id,
        user,
        return_to: "/t/shop".to_owned(),
        network: "192.0.2.1".to_owned(),
        expires_at: at(600),
    };
    let most = Most { of_network: 9, of_user: 9, overall: 9 };
    for wanted in [attempt(1, None), attempt(2, Some(id(1)))] {
        store.begin_attempt(&wanted, most, at(0)).await.unwrap();
        assert_eq!(store.take_attempt(&digest(9)).await.unwrap(), None);
        let both = tokio::join!(store.take_attempt(&wanted.digest), store.take_attempt(&wanted.digest));
        let taken: Vec<_> = [both.0.unwrap(), both.1.unwrap()].into_iter().flatten().collect();
        assert_eq!(taken, [wanted], "of two that come at once, one");
    }
    store.begin_attempt(&attempt(3, None), most, at(0)).await.unwrap();
    assert_eq!(store.sweep(at(600)).await.unwrap(), 0);
    assert_eq!(store.sweep(at(601)).await.unwrap(), 1);
    store.begin_attempt(&attempt(4, None), most, at(0)).await.unwrap();
    store.delete_provider(&platform(), &corp.name).await.unwrap();
    assert_eq!(store.take_attempt(&digest(4)).await.unwrap(), None, "it went with its provider");
}

pub async fn nobody_fills_the_table(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let corp = add_provider(&*store, 10, "corp").await;
    let most = Most { of_network: 3, of_user: 2, overall: 6 };
    // Later ones end later.
    let begin = async |number: u8, network: &str, user: Option<u128>| {
        let attempt = Attempt {
            digest: digest(number),
            provider: corp.id,
            user: user.map(id),
            return_to: "/".to_owned(),
            network: network.to_owned(),
            expires_at: at(100 + i64::from(number)),
        };
        store.begin_attempt(&attempt, most, at(i64::from(number))).await.unwrap();
    };
    let left = async |numbers: &[u8]| {
        let mut left = Vec::new();
        for number in numbers {
            left.extend(store.take_attempt(&digest(*number)).await.unwrap().map(|_| *number));
        }
        left
    };
    for number in 1..=5 {
        begin(number, "a", None).await;
    }
    assert_eq!(left(&[1, 2, 3, 4, 5]).await, [3, 4, 5], "of one network");
    for (number, user) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        begin(number, &format!("n{number}"), Some(user)).await;
    }
    assert_eq!(left(&[1, 2, 3, 4]).await, [2, 3, 4], "of one person");
    for number in 1..=8 {
        begin(number, &format!("n{number}"), None).await;
    }
    assert_eq!(left(&[1, 2, 3, 4, 5, 6, 7, 8]).await, [3, 4, 5, 6, 7, 8], "in all");
    begin(1, "a", None).await;
    begin(101, "b", None).await;
    assert_eq!(left(&[1, 101]).await, [101], "what is over goes with the next");

    let all = (1..=12).map(|number| {
        let (store, provider) = (store.clone(), corp.id);
        tokio::spawn(async move {
            let (return_to, network) = ("/".to_owned(), "c".to_owned());
            let attempt =
                Attempt { digest: digest(number), provider, user: None, return_to, network, expires_at: at(600) };
            store.begin_attempt(&attempt, most, at(0)).await.unwrap();
        })
    });
    futures::future::try_join_all(all).await.unwrap();
    assert_eq!(left(&(1..=12).collect::<Vec<_>>()).await.len(), 3, "who comes at once makes no exception");
}

pub async fn identities(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann"]).await;
    assert!(store.find_identity("https://corp.example.com", "ann-1").await.unwrap().is_none());
    store.add_identity(id(1), &identity(11, "ann-1")).await.unwrap();
    let (found, account) = store.find_identity("https://corp.example.com", "ann-1").await.unwrap().expect("found");
    assert_eq!((found, &account.user), (identity(11, "ann-1"), &users[0]));
    assert!(store.find_identity("https://corp.example.com/", "ann-1").await.unwrap().is_none());
    assert!(store.find_identity("https://corp.example.com", "ANN-1").await.unwrap().is_none());
    let error = refused(store.add_identity(id(1), &identity(12, "ann-1")).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "identity");

    let made = |number, called: &str| Account { user: user(number, called), password_hash: None };
    store.create_user_with(&made(2, "bob"), &identity(12, "bob-1")).await.unwrap();
    for (account, subject, field) in [(made(3, "bob"), "new", "name"), (made(3, "carl"), "ann-1", "identity")] {
        let error = refused(store.create_user_with(&account, &identity(13, subject)).await, ErrorCode::AlreadyExists);
        assert_eq!(error.fields()[0].field, field);
    }
    assert!(store.find_account(&name("carl")).await.unwrap().is_none(), "both or neither");

    store.touch_identity(id(11), None, at(50)).await.unwrap();
    let touched = Identity { email: None, last_used_at: at(50), ..identity(11, "ann-1") };
    assert_eq!(store.list_identities(id(1)).await.unwrap(), [touched]);
}

pub async fn the_last_way_in_stays(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let corp = add_provider(&*store, 1, "corp").await;
    let bob = Account { user: user(2, "bob"), password_hash: None };
    store.create_user_with(&bob, &identity(20, "bob-1")).await.unwrap();
    for (number, subject) in [(11, "a"), (12, "b")] {
        store.add_identity(id(1), &identity(number, subject)).await.unwrap();
    }
    refused(store.remove_identity(id(1), id(20), true).await, ErrorCode::NotFound);
    // No password.
    refused(store.remove_identity(id(2), id(20), true).await, ErrorCode::Invalid);
    assert_eq!(store.list_identities(id(2)).await.unwrap().len(), 1);
    // Two at once: one of them is the last.
    let both = tokio::join!(store.remove_identity(id(1), id(11), false), store.remove_identity(id(1), id(12), false));
    let refusals: Vec<_> = [both.0, both.1].into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].fields()[0].code, "last_way_in");
    let left = store.list_identities(id(1)).await.unwrap().remove(0).id;
    store.remove_identity(id(1), left, true).await.unwrap();
    refused(store.remove_identity(id(1), left, true).await, ErrorCode::NotFound);

    // One of a provider that is switched off, or gone, opens nothing.
    let other = Identity { issuer: "https://gone.example.com".to_owned(), ..identity(21, "bob-2") };
    store.add_identity(id(2), &other).await.unwrap();
    refused(store.remove_identity(id(2), id(20), true).await, ErrorCode::Invalid);
    let version =
        store.update_provider(&platform(), &IdentityProvider { enabled: false, ..corp.clone() }).await.unwrap();
    refused(store.remove_identity(id(2), id(21), true).await, ErrorCode::Invalid);
    store.update_provider(&platform(), &IdentityProvider { version, ..corp }).await.unwrap();
    store.remove_identity(id(2), id(21), true).await.unwrap();
}

pub async fn rules_of_groups(store: Arc<dyn Store>) {
    add_users(&*store, &["olga", "ann"]).await;
    let (corp, other) = (add_provider(&*store, 10, "corp").await, add_provider(&*store, 20, "other").await);
    let shop = add_tenant(&*store, 30, "shop", id(1)).await;
    add_tenant(&*store, 31, "blog", id(1)).await;
    let rule = |number, group: &str, tenant: &str, role| NewGroupRule {
        id: id(number),
        group: group.to_owned(),
        tenant: tenant.parse().unwrap(),
        role,
        created_at: at(5),
    };
    let rules = [
        rule(41, "team", "shop", TenantRole::Developer),
        rule(42, "leads", "shop", TenantRole::Admin),
        rule(43, "team", "blog", TenantRole::Viewer),
    ];
    for rule in &rules {
        store.create_group_rule(&platform(), corp.id, rule).await.unwrap();
    }
    let again = rule(44, "team", "shop", TenantRole::Admin);
    let error = refused(store.create_group_rule(&platform(), corp.id, &again).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "group");
    let nowhere = rule(44, "team", "nowhere", TenantRole::Admin);
    refused(store.create_group_rule(&platform(), corp.id, &nowhere).await, ErrorCode::NotFound);
    let listed: Vec<GroupRule> = store.list_group_rules(corp.id).await.unwrap();
    let order: Vec<_> = listed.iter().map(|rule| (rule.group.as_str(), rule.tenant.as_str())).collect();
    assert_eq!(order, [("leads", "shop"), ("team", "blog"), ("team", "shop")]);
    assert!(store.list_group_rules(other.id).await.unwrap().is_empty());

    let groups = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
    let roles = async || {
        let all = store.list_tenant_access(id(2), false).await.unwrap();
        all.into_iter().map(|access| (access.tenant.name.to_string(), access.role.unwrap())).collect::<Vec<_>>()
    };
    let is = |tenant: &str, role| (tenant.to_owned(), role);
    let applied = store.apply_group_rules(id(2), corp.id, &groups(&["team", "leads", "x"]), at(6)).await.unwrap();
    assert_eq!(applied.set.len(), 2, "{applied:?}");
    assert_eq!(roles().await, [is("blog", TenantRole::Viewer), is("shop", TenantRole::Admin)]);
    let whose = store.list_members(&shop).await.unwrap();
    let whose: Vec<_> = whose.into_iter().map(|member| (member.user.to_string(), member.provider)).collect();
    assert_eq!(whose, [("olga".to_owned(), None), ("ann".to_owned(), Some(corp.name.clone()))]);
    // Nothing to do, and another provider's rules are not asked.
    let idle = store.apply_group_rules(id(2), corp.id, &groups(&["team", "leads"]), at(7)).await.unwrap();
    assert_eq!(idle, Applied::default());
    assert_eq!(store.apply_group_rules(id(2), other.id, &groups(&["team"]), at(7)).await.unwrap(), Applied::default());

    // What somebody gives by hand is no rule's any more.
    store.set_member(&shop, &name("ann"), TenantRole::Admin, at(8)).await.unwrap();
    let gone = store.apply_group_rules(id(2), corp.id, &[], at(9)).await.unwrap();
    assert_eq!((gone.set.len(), gone.removed), (0, vec!["blog".parse().unwrap()]));
    assert_eq!(roles().await, [is("shop", TenantRole::Admin)]);

    store.apply_group_rules(id(2), corp.id, &groups(&["team"]), at(10)).await.unwrap();
    store.delete_group_rule(&platform(), corp.id, id(41)).await.unwrap();
    refused(store.delete_group_rule(&platform(), corp.id, id(41)).await, ErrorCode::NotFound);
    refused(store.delete_group_rule(&platform(), other.id, id(42)).await, ErrorCode::NotFound);
    store.delete_provider(&platform(), &corp.name).await.unwrap();
    assert_eq!(roles().await, [is("shop", TenantRole::Admin)], "its memberships went with it");
}

pub async fn passwords_can_be_switched_off(store: Arc<dyn Store>) {
    assert!(store.local_accounts().await.unwrap());
    for allowed in [false, false, true] {
        store.set_local_accounts(&platform(), allowed).await.unwrap();
        assert_eq!(store.local_accounts().await.unwrap(), allowed);
    }
}
