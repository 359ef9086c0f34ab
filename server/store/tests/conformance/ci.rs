//! CI systems, what robots trust of them, and tokens of jobs, which count once.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    ports::{
        ci::NewTrust,
        robots::{NewRobot, RobotChange},
        store::{NewToken, Store},
    },
};
use berth_types::{
    ErrorCode, TenantRole, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
};

use crate::fixture::{add_tenant, add_users, at, digest, id, platform, refused, token};

fn issuer(number: u128, called: &str) -> CiIssuer {
    let issuer = format!("https://{called}.example.com");
    CiIssuer { id: id(number), name: called.parse().unwrap(), issuer, created_at: at(0) }
}

fn trust(number: u128, robot: u128, issuer: &str) -> NewTrust {
    NewTrust {
        id: id(number),
        robot: id(robot),
        issuer: issuer.parse().unwrap(),
        audience: "https://berth.example.com".to_owned(),
        conditions: vec![Condition { claim: "sub".to_owned(), value: "repo:acme/web:*".to_owned() }],
        minutes: 15,
        created_at: at(i64::try_from(number).unwrap()),
    }
}

fn whole(robot: &str) -> UserName {
    UserName::stored(robot).unwrap()
}

/// `shop` and `bank` of ann; `shop` has the robot `deploy` (40), which trusts `github` (60); there is `gitlab`, too.
async fn scene(store: &dyn Store) -> (Grant<TenantRef>, Grant<TenantRef>) {
    add_users(store, &["ann"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    let bank = add_tenant(store, 11, "bank", id(1)).await;
    let deploy = NewRobot {
        id: id(40),
        name: "deploy".parse().unwrap(),
        description: "x".to_owned(),
        role: TenantRole::Developer,
        namespace: None,
        created_at: at(0),
    };
    store.create_robot(&shop, &deploy).await.unwrap();
    for (number, called) in [(50, "github"), (51, "gitlab")] {
        store.create_ci_issuer(&platform(), &issuer(number, called)).await.unwrap();
    }
    store.create_trust(&shop, &trust(60, 40, "github")).await.unwrap();
    (shop, bank)
}

/// What `deploy` trusts under a number.
async fn known(store: &dyn Store, shop: &Grant<TenantRef>, number: u128) -> RobotTrust {
    let all = store.list_trusts(shop, id(40)).await.unwrap();
    all.into_iter().find(|trust| trust.id == id(number)).expect("it is there")
}

pub async fn trusts(store: Arc<dyn Store>) {
    let (shop, bank) = scene(&*store).await;
    assert_eq!(store.list_ci_issuers().await.unwrap(), [issuer(50, "github"), issuer(51, "gitlab")]);
    let same_name = CiIssuer { issuer: "https://other.example.com".to_owned(), ..issuer(52, "github") };
    let same_issuer = CiIssuer { name: "other".parse().unwrap(), ..issuer(52, "github") };
    for (again, field) in [(same_name, "name"), (same_issuer, "issuer")] {
        let error = refused(store.create_ci_issuer(&platform(), &again).await, ErrorCode::AlreadyExists);
        assert_eq!(error.fields()[0].field, field);
    }
    store.create_trust(&shop, &trust(61, 40, "gitlab")).await.unwrap();
    let made = store.list_trusts(&shop, id(40)).await.unwrap();
    let said: Vec<String> = made.iter().map(|t| format!("{} {} {}", t.issuer, t.issuer_url, t.minutes)).collect();
    assert_eq!(said, ["github https://github.example.com 15", "gitlab https://gitlab.example.com 15"]);
    assert_eq!(
        (&made[0].audience, &made[0].conditions),
        (&trust(60, 40, "github").audience, &trust(60, 40, "github").conditions)
    );

    // Nobody keeps another tenant's, and people trust nobody.
    assert_eq!(store.list_trusts(&bank, id(40)).await.unwrap(), []);
    refused(store.create_trust(&bank, &trust(62, 40, "github")).await, ErrorCode::NotFound);
    refused(store.create_trust(&shop, &trust(62, 1, "github")).await, ErrorCode::NotFound);
    refused(store.create_trust(&shop, &trust(62, 40, "jenkins")).await, ErrorCode::NotFound);
    refused(store.delete_trust(&bank, id(40), id(60)).await, ErrorCode::NotFound);
    refused(store.delete_trust(&shop, id(41), id(60)).await, ErrorCode::NotFound);

    let (account, found) = store.find_trusts(&whole("robot:shop/deploy")).await.unwrap().expect("found");
    assert_eq!((account.user.id, found), (id(40), made));
    assert!(store.find_trusts(&whole("robot:bank/deploy")).await.unwrap().is_none());
    assert!(store.find_trusts(&whole("ann")).await.unwrap().is_none());
    let change = RobotChange { description: "x".to_owned(), role: TenantRole::Viewer, disabled: true };
    store.update_robot(&shop, id(40), &change).await.unwrap();
    assert!(store.find_trusts(&whole("robot:shop/deploy")).await.unwrap().is_none(), "disabled");
    store.delete_trust(&shop, id(40), id(60)).await.unwrap();
    refused(store.delete_trust(&shop, id(40), id(60)).await, ErrorCode::NotFound);
    assert_eq!(store.list_trusts(&shop, id(40)).await.unwrap().len(), 1);
    store.delete_robot(&shop, id(40)).await.unwrap();
    store.delete_ci_issuer(&platform(), &"github".parse().unwrap()).await.unwrap();
    refused(store.delete_ci_issuer(&platform(), &"github".parse().unwrap()).await, ErrorCode::NotFound);
}

pub async fn a_job_comes_in_once(store: Arc<dyn Store>) {
    let (shop, bank) = scene(&*store).await;
    let now = at(10);
    let alive = async |number: u8| store.find_token(&digest(number), now).await.unwrap().is_some();
    store.redeem_job(&known(&*store, &shop, 60).await, &digest(90), at(500), &token(1, id(40), "job 1")).await.unwrap();
    assert!(alive(1).await);
    let again =
        store.redeem_job(&known(&*store, &shop, 60).await, &digest(90), at(500), &token(2, id(40), "job 2")).await;
    refused(again, ErrorCode::AlreadyExists);
    assert!(!alive(2).await, "nothing was given");
    // Those of jobs are not among the robot's own.
    store.create_token(&token(3, id(40), "own")).await.unwrap();
    assert_eq!(store.list_tokens(id(40)).await.unwrap().len(), 1);
    assert_eq!(store.list_robots(&shop, now).await.unwrap()[0].tokens, 1);
    store.touch_token(id(1), at(70)).await.unwrap();
    assert_eq!(store.list_robots(&shop, now).await.unwrap()[0].last_used_at, Some(at(70)));

    // What is made with one ends no later, and with it.
    let end = store.token_end(id(40), id(1)).await.unwrap();
    assert_eq!(end, Some(token(1, id(40), "job 1").expires_at));
    assert_eq!(store.token_end(id(1), id(1)).await.unwrap(), None, "of somebody else");
    store.create_token(&NewToken { made_by: Some(id(1)), ..token(7, id(40), "kubectl") }).await.unwrap();
    assert!(alive(7).await);

    // They end when it is changed, whatever else stays.
    let stale = known(&*store, &shop, 60).await;
    let mut changed = NewTrust { minutes: 5, audience: "x".to_owned(), ..trust(60, 40, "gitlab") };
    changed.conditions[0].value = "repo:acme/api:*".to_owned();
    refused(store.update_trust(&bank, &changed).await, ErrorCode::NotFound);
    refused(store.update_trust(&shop, &NewTrust { robot: id(41), ..changed.clone() }).await, ErrorCode::NotFound);
    refused(store.update_trust(&shop, &trust(60, 40, "jenkins")).await, ErrorCode::NotFound);
    assert!(alive(1).await, "what was refused changed nothing");
    store.update_trust(&shop, &changed).await.unwrap();
    let after = store.list_trusts(&shop, id(40)).await.unwrap().remove(0);
    assert_eq!((after.issuer.as_str(), after.minutes, after.created_at), ("gitlab", 5, at(60)));
    assert_eq!((after.conditions, after.audience.as_str()), (changed.conditions.clone(), "x"));
    assert!(!alive(1).await && !alive(7).await && alive(3).await);
    // A job that was looked at before gets nothing, and keeps its token.
    let late = store.redeem_job(&stale, &digest(89), at(500), &token(6, id(40), "job 6")).await;
    refused(late, ErrorCode::Unauthenticated);
    store.update_trust(&shop, &trust(60, 40, "github")).await.unwrap();
    store.redeem_job(&known(&*store, &shop, 60).await, &digest(89), at(500), &token(6, id(40), "job 6")).await.unwrap();
    assert!(alive(6).await);

    // They end with what gave them.
    store.delete_trust(&shop, id(40), id(60)).await.unwrap();
    assert!(!alive(6).await && alive(3).await);
    store.create_trust(&shop, &trust(61, 40, "github")).await.unwrap();
    store.redeem_job(&known(&*store, &shop, 61).await, &digest(91), at(500), &token(4, id(40), "job 4")).await.unwrap();
    store.delete_ci_issuer(&platform(), &"github".parse().unwrap()).await.unwrap();
    assert!(!alive(4).await && alive(3).await);
    assert_eq!(store.list_trusts(&shop, id(40)).await.unwrap(), []);

    // What a job's token was is remembered until it is worth nothing.
    store.create_trust(&shop, &trust(62, 40, "gitlab")).await.unwrap();
    assert_eq!(store.sweep(at(499)).await.unwrap(), 0);
    refused(
        store.redeem_job(&known(&*store, &shop, 62).await, &digest(91), at(500), &token(5, id(40), "job 5")).await,
        ErrorCode::AlreadyExists,
    );
    assert_eq!(store.sweep(at(501)).await.unwrap(), 3);
}

pub async fn one_of_many_jobs_comes_in(store: Arc<dyn Store>) {
    let (shop, _) = scene(&*store).await;
    let trust = known(&*store, &shop, 60).await;
    let tries = (1..=8).map(|number| {
        let (store, trust) = (store.clone(), trust.clone());
        tokio::spawn(async move {
            store.redeem_job(&trust, &digest(90), at(500), &token(number, id(40), &format!("job {number}"))).await
        })
    });
    let mut given = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(()) => given += 1,
            Err(e) => assert_eq!(e.code(), ErrorCode::AlreadyExists, "{e}"),
        }
    }
    assert_eq!(given, 1);
}
