//! Agents of clusters, and the replicas that they call.

use std::sync::Arc;

use berth_core::ports::{
    agents::{AgentToken, Caller, unmet},
    clusters::{ClusterRow, Registered},
    store::Store,
};
use berth_types::{ClusterId, ErrorCode};

use crate::{
    clusters::cluster,
    fixture::{at, platform, refused},
};

fn called(text: &str) -> ClusterId {
    text.parse().unwrap()
}

fn token(number: u8) -> AgentToken {
    AgentToken { digest: [number; 32], prefix: format!("berth_agent_{number}"), by: "root".into(), at: at(2) }
}

fn by_agent(name: &str) -> ClusterRow {
    let row = cluster(name, &unmet(&called(name)));
    let registered = Registered { server: String::new(), ..row.registered.clone().unwrap() };
    ClusterRow { registered: Some(registered), ..row }
}

pub async fn agents(store: Arc<dyn Store>) {
    let grant = platform();
    let (moon, sun) = (called("moon"), called("sun"));
    store.create_cluster(&grant, &cluster("east", "uid-1"), b"x").await.unwrap();
    store.create_agent(&grant, &by_agent("moon"), &token(1)).await.unwrap();
    store.create_agent(&grant, &by_agent("sun"), &token(2)).await.unwrap();
    // Nothing of one whose name is taken is kept.
    let taken = refused(store.create_agent(&grant, &by_agent("east"), &token(3)).await, ErrorCode::AlreadyExists);
    assert_eq!(taken.fields()[0].field, "name");
    assert_eq!(store.find_agent(&[3; 32]).await.unwrap(), None);
    assert_eq!(store.find_agent(&[1; 32]).await.unwrap(), Some(moon.clone()));
    let all = store.list_agents(&grant).await.unwrap();
    assert_eq!(all.iter().map(|row| row.cluster.as_str()).collect::<Vec<_>>(), ["moon", "sun"]);
    assert_eq!((all[0].prefix.as_deref(), &all[0].caller, all[0].seen_at), (Some("berth_agent_1"), &None, None));

    // Which cluster it is gets fixed once, and no two are the same.
    refused(store.meet_cluster(&grant, &moon, "uid-1", "https://a").await, ErrorCode::AlreadyExists);
    store.meet_cluster(&grant, &moon, "uid-7", "https://a").await.unwrap();
    refused(store.meet_cluster(&grant, &moon, "uid-8", "https://a").await, ErrorCode::Conflict);
    refused(store.meet_cluster(&grant, &sun, "uid-7", "https://a").await, ErrorCode::AlreadyExists);
    let rows = store.list_clusters(&grant).await.unwrap();
    let registered = rows.iter().find(|row| row.id == moon).unwrap().registered.clone().unwrap();
    assert_eq!((registered.identity.as_str(), registered.server.as_str()), ("uid-7", "https://a"));

    store.note_refusal(&grant, &moon, "another cluster", at(4)).await.unwrap();
    let noted = store.list_agents(&grant).await.unwrap()[0].clone();
    assert_eq!(noted.refused, Some(("another cluster".to_owned(), at(4))));
    let who = Caller { version: "0.1.0".into(), address: "203.0.113.7".into() };
    store.note_call(&grant, &moon, &who, at(5)).await.unwrap();
    let noted = store.list_agents(&grant).await.unwrap()[0].clone();
    assert_eq!((noted.caller, noted.seen_at, noted.refused), (Some(who.clone()), Some(at(5)), None));
    refused(store.note_call(&grant, &called("east"), &who, at(5)).await, ErrorCode::NotFound);

    // Another token, none, one again.
    store.set_agent_token(&grant, &moon, Some(&token(4))).await.unwrap();
    assert_eq!(store.find_agent(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.find_agent(&[4; 32]).await.unwrap(), Some(moon.clone()));
    store.set_agent_token(&grant, &moon, None).await.unwrap();
    assert_eq!(store.find_agent(&[4; 32]).await.unwrap(), None);
    assert_eq!(store.list_agents(&grant).await.unwrap()[0].prefix, None);
    store.set_agent_token(&grant, &moon, Some(&token(1))).await.unwrap();
    refused(store.set_agent_token(&grant, &called("east"), None).await, ErrorCode::NotFound);
}

pub async fn replicas_and_their_tunnels(store: Arc<dyn Store>) {
    let (grant, moon) = (platform(), called("moon"));
    store.create_agent(&grant, &by_agent("moon"), &token(1)).await.unwrap();
    let gone = (called("gone"), at(1));
    store.note_replica(&grant, "a", at(10), &[(moon.clone(), at(3)), gone]).await.unwrap();
    store.note_replica(&grant, "b", at(12), &[(moon.clone(), at(11))]).await.unwrap();
    assert_eq!(store.list_replicas(&grant, at(9)).await.unwrap(), ["a", "b"]);
    assert_eq!(store.list_replicas(&grant, at(10)).await.unwrap(), ["b"]);
    let tunnels = async |since| {
        let all = store.list_tunnels(&grant, at(since)).await.unwrap();
        all.into_iter().map(|t| (t.cluster.to_string(), t.replica, t.since)).collect::<Vec<_>>()
    };
    let of = |replica: &str, since| ("moon".to_owned(), replica.to_owned(), at(since));
    assert_eq!(tunnels(9).await, [of("a", 3), of("b", 11)]);
    assert_eq!(tunnels(10).await, [of("b", 11)]);
    assert_eq!(store.list_agents(&grant).await.unwrap()[0].seen_at, Some(at(12)));
    // What a replica has no more it does not say.
    store.note_replica(&grant, "a", at(13), &[]).await.unwrap();
    assert_eq!(tunnels(9).await, [of("b", 11)]);
    store.remove_replica(&grant, "b").await.unwrap();
    assert_eq!((tunnels(9).await, store.list_replicas(&grant, at(9)).await.unwrap()), (vec![], vec!["a".to_owned()]));

    // All goes with the cluster.
    store.note_replica(&grant, "a", at(14), &[(moon.clone(), at(14))]).await.unwrap();
    store.remove_cluster(&grant, &moon, false).await.unwrap();
    assert_eq!(tunnels(9).await, []);
    assert_eq!(store.find_agent(&[1; 32]).await.unwrap(), None);
    store.create_agent(&grant, &by_agent("moon"), &token(1)).await.unwrap();
}
