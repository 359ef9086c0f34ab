//! The API as kube's client sees it, in process.

use berth_sim::Sim;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

fn client() -> (Sim, Client) {
    let sim = Sim::builder().build().unwrap();
    let client = Client::new(sim.service(), "default");
    (sim, client)
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"key": value}}))
        .unwrap()
}

fn secret(name: &str) -> Secret {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": name}}})).unwrap()
}

#[tokio::test]
async fn objects_live_and_die() {
    let (_sim, client) = client();
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let made = api.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let again = api.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err();
    assert!(again.to_string().contains("configmaps \"a\" already exists"), "{again}");

    let mut changed = made.clone();
    changed.data.as_mut().unwrap().insert("key".into(), "2".into());
    let updated = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(updated.metadata.resource_version, made.metadata.resource_version);
    let stale = api.replace("a", &PostParams::default(), &made).await.unwrap_err();
    let kube::Error::Api(stale) = stale else { panic!("{stale}") };
    assert_eq!(
        (stale.code, stale.message.as_str()),
        (
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
        )
    );

    let patched = api
        .patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"key": null, "other": "3"}})))
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap().into_iter().collect::<Vec<_>>(), [("other".to_owned(), "3".to_owned())]);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_page_consistently() {
    let (_sim, client) = client();
    // Unlike ConfigMaps, no controller puts one into the namespace.
    let api: Api<Secret> = Api::default_namespaced(client);
    for name in ["a", "b", "c", "d", "e"] {
        api.create(&PostParams::default(), &secret(name)).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = api.list(&ListParams::default().limit(10).continue_token(&token)).await.unwrap();
    let names: Vec<_> = second.items.iter().filter_map(|item| item.metadata.name.clone()).collect();
    assert_eq!(names, ["c", "d", "e"], "the list goes on as it was when it began");
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    let chosen = api.list(&ListParams::default().labels("app in (a,b)").fields("metadata.name!=a")).await.unwrap();
    assert_eq!(chosen.items.len(), 1);
}

#[tokio::test]
async fn watches_follow_and_select() {
    let (_sim, client) = client();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    api.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let mut events = api.watch(&WatchParams::default().labels("app=a"), "0").await.unwrap().boxed();
    assert!(matches!(events.try_next().await.unwrap().unwrap(), WatchEvent::Added(_)));
    api.create(&PostParams::default(), &config_map("b", "1")).await.unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"app": "z"}}})))
        .await
        .unwrap();
    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Deleted(gone) => assert_eq!(gone.metadata.labels.unwrap()["app"], "a"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn custom_resources_are_served_at_once() {
    let (_sim, client) = client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "apps.berth.dev"},
        "spec": {
            "group": "berth.dev",
            "scope": "Namespaced",
            "names": {"plural": "apps", "kind": "App", "singular": "app"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"image": {"type": "string"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    }))
    .unwrap();
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let established = definitions.get("apps.berth.dev").await.unwrap();
    assert!(
        established
            .status
            .unwrap()
            .conditions
            .unwrap()
            .iter()
            .any(|own| own.type_ == "Established" && own.status == "True")
    );

    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("berth.dev", "v1alpha1", "App"));
    let apps: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let mut app = DynamicObject::new("shop", &resource);
    app.data = json!({"spec": {"image": "nginx"}, "status": {"phase": "ignored on create"}});
    let made = apps.create(&PostParams::default(), &app).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.data.get("status").is_none());
    let status = apps
        .patch_status("shop", &PatchParams::default(), &Patch::Merge(json!({"status": {"phase": "Ready"}})))
        .await
        .unwrap();
    assert_eq!(status.data["status"]["phase"], "Ready");
    assert_eq!(status.metadata.generation, Some(1), "a status is no new generation");
    let changed =
        apps.patch("shop", &PatchParams::default(), &Patch::Merge(json!({"spec": {"image": "caddy"}}))).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));

    definitions.delete("apps.berth.dev", &DeleteParams::default()).await.unwrap();
    assert!(definitions.get_opt("apps.berth.dev").await.unwrap().is_none());
    assert!(apps.get("shop").await.is_err());
}

#[tokio::test]
async fn namespaces_wait_for_their_finalizer() {
    let (_sim, client) = client();
    let api: Api<Namespace> = Api::all(client);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    api.create(&PostParams::default(), &namespace).await.unwrap();
    let going = api.delete("team", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(going.status.unwrap().phase.as_deref(), Some("Terminating"));
}
