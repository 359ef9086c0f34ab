//! What the controller would make of an app, as people read it.

use berth_core::authz::AppRef;
use berth_types::app::AppSpec;
use serde_json::{Map, Value};

use super::desired::{Wanted, desired};

/// The objects that an app with `spec` wants, without what only the controller reads: digests, revision numbers, the owner.
pub(crate) fn preview(app: &AppRef, spec: &AppSpec) -> Vec<Value> {
    let wanted = Wanted {
        name: app.name.as_str(),
        namespace: &app.namespace.kube_name,
        uid: "",
        spec,
        restarted_at: None,
        revision: 0,
    };
    desired(&wanted, &|_| None).into_iter().map(|object| readable(object.body)).collect()
}

fn readable(mut body: Value) -> Value {
    for at in ["/metadata", "/spec/template/metadata"] {
        let Some(metadata) = body.pointer_mut(at).and_then(Value::as_object_mut) else { continue };
        metadata.remove("ownerReferences");
        drop_bookkeeping(metadata, "annotations", |_| false);
        // What selects pods is no bookkeeping.
        drop_bookkeeping(metadata, "labels", |key| key != crate::meta::REVISION);
    }
    // How many is what one looks for first.
    if let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(replicas) = spec.shift_remove("replicas")
    {
        spec.shift_insert(0, "replicas".to_owned(), replicas);
    }
    body
}

/// Removes Berth's own keys from `metadata[field]`, but those to `keep`; and the field when nothing is left of it.
fn drop_bookkeeping(metadata: &mut Map<String, Value>, field: &str, keep: fn(&str) -> bool) {
    let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else { return };
    map.retain(|key, _| !key.starts_with("berth.dev/") || keep(key));
    if map.is_empty() {
        metadata.remove(field);
    }
}

#[cfg(test)]
mod tests {
    use berth_core::authz::{NamespaceRef, TenantRef};
    use berth_types::ClusterId;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn people_see_what_they_asked_for() {
        let tenant = TenantRef {
            id: Uuid::nil(),
            name: "shop".parse().unwrap(),
            display_name: "".into(),
            role: None,
            rights: Default::default(),
            halt: None,
        };
        let namespace = NamespaceRef {
            tenant,
            id: Uuid::nil(),
            name: "dev".parse().unwrap(),
            cluster: ClusterId::local(),
            kube_name: "shop-dev".into(),
            given: None,
            rights: Default::default(),
            protected: false,
            halt: None,
        };
        let app = AppRef { namespace, name: "web".parse().unwrap() };
        let spec = json!({ "components": [{
            "name": "main", "image": "nginx:1.27", "replicas": 2, "ports": [{ "port": 8080 }],
            "expose": { "type": "Ingress", "host": "shop.example.com", "annotations": { "a.example/b": "c" } },
        }] });
        let objects = preview(&app, &serde_json::from_value(spec).unwrap());
        let kinds: Vec<_> = objects.iter().map(|o| o["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Deployment", "Service", "Ingress", "PodDisruptionBudget"]);
        let all = Value::from(objects.clone()).to_string();
        for hidden in ["ownerReferences", "berth.dev/revision", "berth.dev/applied", "berth.dev/template"] {
            assert!(!all.contains(hidden), "{hidden} is in {all}");
        }
        let deployment = &objects[0];
        assert_eq!(deployment["spec"]["selector"]["matchLabels"]["berth.dev/app"], "web");
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["berth.dev/app"], "web");
        assert_eq!(objects[2]["metadata"]["annotations"], json!({ "a.example/b": "c" }));
    }
}
