//! Agents are registered, taken, sent away and let go of.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{
    Action, ClusterId, ErrorCode, PlatformRole, Resource,
    cluster::{ClusterHealth, NewAgent},
};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::{
    Error, OpCtx,
    env::Clock as _,
    ports::agents::AgentRows as _,
    services::agents::{AGENT_PREFIX, Agent},
    testing::World,
};

const MOON: &str = "https://moon.inside";

async fn world() -> (World, OpCtx) {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    world.elsewhere.put(MOON, None);
    let root = world.ctx("root").await;
    (world, root)
}

fn new(name: &str) -> NewAgent {
    NewAgent { name: name.to_owned(), ..NewAgent::default() }
}

fn id(text: &str) -> ClusterId {
    text.parse().unwrap()
}

async fn token(world: &World, root: &OpCtx, name: &str) -> String {
    world.services.register_agent(root, &new(name)).await.unwrap().token.expose_secret().to_owned()
}

async fn agent(world: &World, token: &str) -> Agent {
    world.services.authenticate_agent(token).await.unwrap().unwrap()
}

/// What the portal's side of a call does in the background.
type Served = tokio::task::JoinHandle<Result<(), Error>>;

/// A call from the cluster at `server`: the first line that it hears, its end, and what becomes of it.
async fn call(world: &World, token: &str, server: &str) -> (String, DuplexStream, Served) {
    let (mut near, far) = tokio::io::duplex(1024);
    let (services, agent) = (world.services.clone(), agent(world, token).await);
    let ctx = OpCtx::anonymous(world.clock.clone(), "call", "203.0.113.7");
    let admitted = services.admit_agent(agent).unwrap();
    let served = tokio::spawn(async move { services.serve_agent(&ctx, admitted, Box::new(far)).await });
    near.write_all(format!("{server}\n").as_bytes()).await.unwrap();
    let mut said = String::new();
    loop {
        match near.read_u8().await {
            Ok(b'\n') | Err(_) => break,
            Ok(byte) => said.push(char::from(byte)),
        }
    }
    (said, near, served)
}

fn audited(world: &World, action: &str) -> Vec<(String, String)> {
    let all = world.store.audit().into_iter().filter(|entry| entry.action == action);
    all.map(|entry| (entry.target, entry.outcome)).collect()
}

#[tokio::test]
async fn an_agent_is_taken_and_its_cluster_is_there() {
    let (world, root) = world().await;
    let secret = token(&world, &root, "moon").await;
    assert!(secret.starts_with(AGENT_PREFIX));
    let moon = world.services.get_cluster(&root, &id("moon")).await.unwrap();
    let known = moon.agent.clone().unwrap();
    assert_eq!((moon.health, moon.server, known.tunnels, known.seen_at), (ClusterHealth::Away, None, 0, None));
    assert!(known.token.is_some_and(|prefix| secret.starts_with(&prefix) && prefix.len() < 20));
    assert!(!format!("{:?}", world.store.audit()).contains(&secret), "the token is in no log");

    let (said, near, served) = call(&world, &secret, MOON).await;
    assert_eq!(said, "welcome 1");
    let moon = world.services.get_cluster(&root, &id("moon")).await.unwrap();
    let known = moon.agent.unwrap();
    assert_eq!((moon.health, moon.server.as_deref()), (ClusterHealth::Live, Some(MOON)));
    assert_eq!((known.tunnels, known.replicas, known.address.as_deref()), (1, 1, Some("203.0.113.7")));
    assert!(moon.probe.is_some(), "it was looked at");
    assert_eq!(audited(&world, "cluster.connect"), [("moon".to_owned(), "done".to_owned())]);

    // Gone, it is away; back at once, nobody writes it down; back after long, it is.
    drop(near);
    served.await.unwrap().unwrap();
    let moon = world.services.get_cluster(&root, &id("moon")).await.unwrap();
    assert_eq!((moon.health, moon.agent.unwrap().tunnels), (ClusterHealth::Away, 0));
    for (minutes, entries) in [(1, 1), (11, 2)] {
        world.clock.advance(Duration::from_mins(minutes));
        let (said, near, served) = call(&world, &secret, MOON).await;
        assert_eq!(said, "welcome 1");
        assert_eq!(audited(&world, "cluster.connect").len(), entries, "{minutes}");
        drop(near);
        served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_token_is_good_for_one_cluster() {
    let (world, root) = world().await;
    let secret = token(&world, &root, "moon").await;
    let (_, near, served) = call(&world, &secret, MOON).await;
    drop(near);
    served.await.unwrap().unwrap();
    world.elsewhere.put("https://sun.inside", None);
    for again in [false, true] {
        let (said, _near, served) = call(&world, &secret, "https://sun.inside").await;
        assert!(said.contains("another cluster"), "{said}");
        assert_eq!(served.await.unwrap().unwrap_err().code(), ErrorCode::Conflict);
        let known = world.services.get_cluster(&root, &id("moon")).await.unwrap();
        assert!(known.agent.unwrap().refused.unwrap().contains("another cluster"), "{again}");
    }
    assert_eq!(audited(&world, "cluster.connect").len(), 2, "once taken, sent away once for one reason");

    // Neither the configured one nor one that is there under another name.
    let sun = token(&world, &root, "sun").await;
    world.elsewhere.put("https://local.example", None);
    for known in [MOON, "https://local.example"] {
        let (said, _near, served) = call(&world, &sun, known).await;
        assert!(said.contains("under another name"), "{said}");
        assert_eq!(served.await.unwrap().unwrap_err().code(), ErrorCode::AlreadyExists);
    }
    // One whose API server does not answer it.
    let (said, _near, _) = call(&world, &sun, "https://nobody.inside").await;
    assert!(said.contains("does not answer"), "{said}");
    assert_eq!(world.services.get_cluster(&root, &id("sun")).await.unwrap().server, None);
}

#[tokio::test]
async fn a_token_that_is_over_lets_go_of_its_agent() {
    let (world, root) = world().await;
    let first = token(&world, &root, "moon").await;
    let (_, _near, served) = call(&world, &first, MOON).await;
    let second = world.services.renew_agent(&root, &id("moon")).await.unwrap().token;
    assert!(world.services.authenticate_agent(&first).await.unwrap().is_none());
    // Asked again within 5 s.
    while !served.is_finished() {
        world.clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.services.get_cluster(&root, &id("moon")).await.unwrap().health, ClusterHealth::Away);

    let (said, _near, served) = call(&world, second.expose_secret(), MOON).await;
    assert_eq!(said, "welcome 1");
    world.services.revoke_agent(&root, &id("moon")).await.unwrap();
    while !served.is_finished() {
        world.clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    let moon = world.services.get_cluster(&root, &id("moon")).await.unwrap();
    assert_eq!((moon.health, moon.agent.unwrap().token), (ClusterHealth::Away, None));
    assert_eq!(audited(&world, "cluster.agent.revoke").len(), 1);
    assert_eq!(audited(&world, "cluster.agent.renew").len(), 1);

    // Its token goes with the cluster.
    let third = world.services.renew_agent(&root, &id("moon")).await.unwrap().token;
    world.services.remove_cluster(&root, &id("moon")).await.unwrap();
    assert!(world.services.authenticate_agent(third.expose_secret()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_wrong_is_said_and_who_may() {
    let (world, root) = world().await;
    let wrong = NewAgent { name: "Moon!".into(), label: "x".repeat(61), labels: [("a b".into(), "c".into())].into() };
    let refused = world.services.register_agent(&root, &wrong).await.err().unwrap();
    let places: Vec<&str> = refused.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(places, ["name", "label", "labels"]);
    token(&world, &root, "moon").await;
    let again = world.services.register_agent(&root, &new("moon")).await.err().unwrap();
    assert_eq!(again.code(), ErrorCode::AlreadyExists);
    let local = ClusterId::local();
    assert_eq!(world.services.renew_agent(&root, &local).await.err().unwrap().code(), ErrorCode::NotFound);
    let kubeconfig = crate::testing::FakeRegistrar::kubeconfig(MOON).into();
    let other = world.services.replace_cluster_access(&root, &id("moon"), &kubeconfig).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::Conflict, "its agent leads to it");
    let (eye, olga) = (world.ctx("eye").await, world.ctx("olga").await);
    for (who, code) in [(&eye, ErrorCode::Forbidden), (&olga, ErrorCode::NotFound)] {
        assert_eq!(world.services.register_agent(who, &new("sun")).await.err().unwrap().code(), code);
        assert_eq!(world.services.renew_agent(who, &id("moon")).await.err().unwrap().code(), code);
        assert_eq!(world.services.revoke_agent(who, &id("moon")).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn it_is_told_of_all_replicas_at_once_and_one_that_has_a_tunnel_takes_no_other() {
    let (world, root) = world().await;
    let secret = token(&world, &root, "moon").await;
    let grant = world.services.authz().platform(&root, Resource::Cluster, Action::Read).unwrap();
    world.store.note_replica(&grant, "other", world.clock.now(), &[]).await.unwrap();
    world.services.beat_replica().await.unwrap();
    // With the first word: an agent that hears of one rests when it has one, and is told again only when that changes.
    let (said, near, _served) = call(&world, &secret, MOON).await;
    assert_eq!(said, "welcome 2");
    let (said, _near, served) = call(&world, &secret, &format!("{MOON} other fake")).await;
    assert_eq!(said, "spare 2");
    served.await.unwrap().unwrap();
    let moon = world.services.get_cluster(&root, &id("moon")).await.unwrap();
    assert_eq!((moon.health, moon.agent.unwrap().tunnels), (ClusterHealth::Live, 1), "the first goes on");
    drop(near);
}

#[tokio::test]
async fn calls_have_places_before_anything_is_heard_of_them() {
    let (world, root) = world().await;
    let (moon, sun) = (token(&world, &root, "moon").await, token(&world, &root, "sun").await);
    let (moon, sun) = (agent(&world, &moon).await, agent(&world, &sun).await);
    let mut held: Vec<_> = (0..8).map(|_| world.services.admit_agent(moon.clone()).unwrap()).collect();
    let refused = world.services.admit_agent(moon.clone()).err().unwrap();
    assert_eq!((refused.code(), refused.wait().is_some()), (ErrorCode::RateLimited, true));
    assert!(world.services.admit_agent(sun).is_ok(), "another cluster has places of its own");
    world.services.beat_replica().await.unwrap();
    let known = world.services.get_cluster(&root, &id("moon")).await.unwrap().agent.unwrap();
    assert_eq!(known.tunnels, 0, "none of them is a tunnel yet");
    held.pop();
    assert!(world.services.admit_agent(moon).is_ok());
}

#[tokio::test]
async fn why_one_cannot_be_heard_stands_on_its_page() {
    let (world, root) = world().await;
    let secret = token(&world, &root, "moon").await;
    let (_, _near, served) = call(&world, &secret, "http://moon.inside").await;
    assert_eq!(served.await.unwrap().unwrap_err().code(), ErrorCode::Invalid);
    let known = world.services.get_cluster(&root, &id("moon")).await.unwrap().agent.unwrap();
    assert!(known.refused.is_some_and(|why| why.contains("https://")));
}
