//! Server-side apply, client-side patches, defaults and validation, as kube's client sees them.

use berth_sim::Sim;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn client() -> Client {
    let sim = Sim::builder().api_only().build().unwrap();
    Client::new(sim.service(), "default")
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]},
            },
        },
    })
}

fn message(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn appliers_conflict_force_and_share() {
    let api: Api<Deployment> = Api::default_namespaced(client());
    let alice = PatchParams::apply("alice");
    let made = api.patch("web", &alice, &Patch::Apply(deployment("nginx:1"))).await.unwrap();
    assert_eq!(made.spec.as_ref().unwrap().replicas, Some(1), "defaults are filled in");
    let owned = serde_json::to_value(&made.metadata.managed_fields).unwrap();
    assert_eq!(owned[0]["operation"], "Apply");
    let fields = &owned[0]["fieldsV1"]["f:spec"];
    assert!(fields["f:replicas"].is_null(), "defaults are nobody's");
    assert_eq!(
        fields["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"]["f:ports"],
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}})
    );

    let again = api.patch("web", &alice, &Patch::Apply(deployment("nginx:1"))).await.unwrap();
    assert_eq!(again.metadata.resource_version, made.metadata.resource_version, "nothing changed, nothing is written");

    let bob = PatchParams::apply("bob");
    let refused = api.patch("web", &bob, &Patch::Apply(deployment("nginx:2"))).await.unwrap_err();
    assert_eq!(
        message(refused),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"alice\": .spec.template.spec.containers[name=\"web\"].image"
                .into()
        )
    );
    let forced = api.patch("web", &bob.clone().force(), &Patch::Apply(deployment("nginx:2"))).await.unwrap();
    let managers: Vec<_> = forced.metadata.managed_fields.unwrap().into_iter().filter_map(|own| own.manager).collect();
    assert_eq!(managers, ["alice", "bob"]);
}

#[tokio::test]
async fn what_is_no_longer_applied_goes() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let params = PatchParams::apply("alice");
    let map = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
    api.patch("m", &params, &Patch::Apply(map(json!({"a": "1", "b": "2"})))).await.unwrap();
    api.patch("m", &PatchParams::apply("bob"), &Patch::Apply(map(json!({"b": "2"})))).await.unwrap();
    let left = api.patch("m", &params, &Patch::Apply(map(json!({"c": "3"})))).await.unwrap();
    let data: Vec<_> = left.data.unwrap().into_iter().collect();
    assert_eq!(data, [("b".into(), "2".into()), ("c".into(), "3".into())], "b is still bob's, a was alice's alone");
}

#[tokio::test]
async fn updates_are_recorded_and_conflict_with_their_version() {
    let api: Api<Deployment> = Api::default_namespaced(client());
    let create: Deployment = serde_json::from_value(deployment("nginx:1")).unwrap();
    let params = PostParams { field_manager: Some("kubectl".into()), ..PostParams::default() };
    let made = api.create(&params, &create).await.unwrap();
    let owned = serde_json::to_value(&made.metadata.managed_fields).unwrap();
    assert_eq!(owned[0]["fieldsV1"]["f:spec"]["f:replicas"], json!({}), "an update owns defaults, too");
    assert!(owned[0]["fieldsV1"]["f:spec"]["."].is_null(), "the spec itself was there before, in Go's eyes");
    let mut other = deployment("nginx:1");
    other["spec"]["replicas"] = json!(5);
    let refused = api.patch("web", &PatchParams::apply("bob"), &Patch::Apply(other)).await.unwrap_err();
    assert_eq!(
        message(refused).1,
        "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas"
    );
}

#[tokio::test]
async fn strategic_patches_merge_by_key() {
    let api: Api<Deployment> = Api::default_namespaced(client());
    api.patch("web", &PatchParams::apply("a"), &Patch::Apply(deployment("nginx:1"))).await.unwrap();
    let add = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:1"}]}}}});
    let both = api.patch("web", &PatchParams::default(), &Patch::Strategic(add)).await.unwrap();
    let names = |own: &Deployment| -> Vec<String> {
        own.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers.iter().map(|c| c.name.clone()).collect()
    };
    assert_eq!(names(&both), ["side", "web"], "what a patch adds comes first, unless it says in which order");
    let drop = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "$patch": "delete"}]}}}});
    let one = api.patch("web", &PatchParams::default(), &Patch::Strategic(drop)).await.unwrap();
    assert_eq!(names(&one), ["side"]);
}

#[tokio::test]
async fn bad_objects_are_told_where() {
    let api: Api<Deployment> = Api::default_namespaced(client());
    let mut bad = deployment("");
    bad["spec"]["template"]["spec"]["containers"][0]["name"] = json!("Web");
    let (code, text) = message(api.patch("web", &PatchParams::apply("a"), &Patch::Apply(bad)).await.unwrap_err());
    assert_eq!(code, 422);
    assert!(text.starts_with("Deployment.apps \"web\" is invalid: [spec.template.spec.containers[0].name: Invalid value: \"Web\": a lowercase RFC 1123 label must consist"), "{text}");
    assert!(text.ends_with("spec.template.spec.containers[0].image: Required value]"), "{text}");

    let mut unknown = deployment("nginx");
    unknown["spec"]["foo"] = json!(1);
    unknown["spec"]["template"]["spec"]["containers"][0]["bar"] = json!(1);
    let (code, text) = message(api.patch("web", &PatchParams::apply("a"), &Patch::Apply(unknown)).await.unwrap_err());
    assert_eq!(
        (code, text.as_str()),
        (
            500,
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): errors:\n  .spec.template.spec.containers[name=\"web\"].bar: field not declared in schema\n  .spec.foo: field not declared in schema"
        ),
        "a server-side apply never drops a field"
    );

    let mut wrong = deployment("nginx");
    wrong["spec"]["replicas"] = json!("three");
    let (code, text) = message(api.patch("web", &PatchParams::apply("a"), &Patch::Apply(wrong)).await.unwrap_err());
    assert_eq!(code, 400);
    assert!(
        text.contains("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        "{text}"
    );
    assert!(api.get_opt("web").await.unwrap().is_none(), "nothing was stored");
}

#[tokio::test]
async fn services_get_addresses_and_ports() {
    let api: Api<Service> = Api::default_namespaced(client());
    let service = |name: &str| -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80}]},
        }))
        .unwrap()
    };
    let one = api.create(&PostParams::default(), &service("one")).await.unwrap().spec.unwrap();
    let two = api.create(&PostParams::default(), &service("two")).await.unwrap().spec.unwrap();
    assert!(one.cluster_ip.as_deref().is_some_and(|ip| ip.starts_with("10.96.")));
    assert_ne!(one.cluster_ip, two.cluster_ip);
    let port = |spec: &k8s_openapi::api::core::v1::ServiceSpec| spec.ports.as_ref().unwrap()[0].node_port;
    assert!(port(&one).is_some() && port(&one) != port(&two));
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Sim::builder().api_only().data_dir(folder.path()).build().unwrap();
    let (token, version) = {
        let sim = start();
        let api: Api<ConfigMap> = Api::default_namespaced(Client::new(sim.service(), "default"));
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "kept"}, "data": {"a": "b"}})).unwrap();
        let made = api.create(&PostParams::default(), &map).await.unwrap();
        // Nothing is flushed here: what was answered is on disk already.
        let token = sim.admin_token().to_owned();
        sim.stop();
        (token, made.metadata.resource_version)
    };
    let sim = start();
    let api: Api<ConfigMap> = Api::default_namespaced(Client::new(sim.service(), "default"));
    let kept = api.get("kept").await.unwrap();
    assert_eq!((kept.metadata.resource_version, sim.admin_token()), (version, token.as_str()));
}
