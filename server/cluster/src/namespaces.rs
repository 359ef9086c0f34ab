//! What Berth keeps in a cluster for its tenants: namespaces with their labels, role bindings, network policies and quotas, and the roles themselves.
//! Level-triggered: looked at again and again, written only when something differs.

use berth_core::{
    Error, Result,
    ports::cluster::{Cluster as _, DesiredNamespace, Kept, Stage},
};
use berth_types::ErrorCode;
use serde_json::{Map, Value, json};

use crate::{
    KubeCluster,
    drift::Notes,
    error::Target,
    meta,
    network::{keep_account, keep_policies},
    quotas::{gone, keep_quota},
    rest::{Kind, Rest, query},
    roles::{cluster_roles, node_keepers},
};

pub(crate) fn applied(kind: Kind, namespace: &str, name: &str) -> String {
    query(&kind.at(namespace, name), &[("fieldManager", meta::CONTROLLER), ("force", "true")])
}

/// Whether everything that `wanted` says is so in `have`. Lists are equal or not.
pub(crate) fn agrees(wanted: &Value, have: &Value) -> bool {
    match (wanted, have) {
        (Value::Object(wanted), Value::Object(have)) => {
            wanted.iter().all(|(key, value)| have.get(key).is_some_and(|have| agrees(value, have)))
        }
        _ => wanted == have,
    }
}

pub(crate) async fn find(rest: &Rest, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>> {
    match rest.get::<Value>(&Target::new(kind.kind, name), &kind.at(namespace, name)).await {
        Ok(have) => Ok(Some(have)),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether a namespace is not what Berth made for this tenant under this name: `cert-manager` is not the namespace
/// `manager` of a tenant `cert`, and giving that tenant rights in it would give it the cluster.
///
/// One of another Berth is foreign too, unless this one (`own`) leads: then the other is gone, and what it left is taken up.
pub(crate) fn is_foreign(namespace: &Value, desired: &DesiredNamespace, own: Option<&str>, leads: bool) -> bool {
    let labels = &namespace["metadata"]["labels"];
    let installation = namespace["metadata"]["annotations"][meta::INSTALLATION].as_str();
    let of_another = matches!((installation, own), (Some(theirs), Some(own)) if theirs != own);
    labels[meta::TENANT] != *desired.tenant || labels[meta::NAMESPACE] != *desired.name || of_another && !leads
}

/// Server-side apply of what is not so yet; whether something had to change.
async fn ensure(rest: &Rest, kind: Kind, namespace: &str, wanted: &Value) -> Result<bool> {
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let have = find(rest, kind, namespace, name).await?;
    ensure_from(have.as_ref(), rest, kind, namespace, wanted).await
}

/// The same, and it is noted.
async fn keep_from(
    have: Option<&Value>,
    rest: &Rest,
    notes: &mut Notes,
    kind: Kind,
    namespace: &str,
    wanted: &Value,
) -> Result<()> {
    notes.wants(wanted);
    if ensure_from(have, rest, kind, namespace, wanted).await? {
        notes.wrote(kind, wanted["metadata"]["name"].as_str().unwrap_or_default(), have);
    }
    Ok(())
}

/// The same, where what the cluster has was read already.
async fn ensure_from(have: Option<&Value>, rest: &Rest, kind: Kind, namespace: &str, wanted: &Value) -> Result<bool> {
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let target = Target::new(kind.kind, name);
    if have.is_some_and(|have| agrees(wanted, have)) {
        return Ok(false);
    }
    // A binding's role cannot be changed: it is made anew.
    if kind == Kind::ROLE_BINDING && have.is_some_and(|have| have["roleRef"] != wanted["roleRef"]) {
        rest.delete(&target, &kind.at(namespace, name), &json!({})).await?;
    }
    rest.apply(&target, &applied(kind, namespace, name), wanted).await?;
    Ok(true)
}

fn binding(namespace: &str, role: &str, groups: &[String]) -> Value {
    let group = |name| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name });
    json!({
        "apiVersion": Kind::ROLE_BINDING.api_version,
        "kind": Kind::ROLE_BINDING.kind,
        "metadata": { "name": role, "namespace": namespace, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": groups.iter().map(group).collect::<Vec<_>>(),
    })
}

impl KubeCluster {
    /// Makes the ClusterRoles that namespaces refer to, and gives platform admins the nodes; whether something had to change.
    ///
    /// # Errors
    /// `ClusterUnavailable`; `ClusterRefused` when Berth lacks the right.
    pub async fn ensure_cluster_roles(&self) -> Result<bool> {
        let rest = self.controller_rest();
        let mut changed = false;
        for role in cluster_roles() {
            changed |= ensure(&rest, Kind::CLUSTER_ROLE, "", &role).await?;
        }
        Ok(changed | ensure(&rest, Kind::CLUSTER_ROLE_BINDING, "", &node_keepers()).await?)
    }

    pub(crate) async fn is_foreign(&self, desired: &DesiredNamespace) -> Result<bool> {
        let have = find(&self.controller_rest(), Kind::NAMESPACE, "", &desired.kube_name).await?;
        Ok(have.is_some_and(|have| is_foreign(&have, desired, self.installation(), self.leads())))
    }

    pub(crate) async fn stage(&self, desired: &DesiredNamespace) -> Result<Stage> {
        let have = find(&self.controller_rest(), Kind::NAMESPACE, "", &desired.kube_name).await?;
        Ok(match have {
            Some(have) if is_foreign(&have, desired, self.installation(), self.leads()) => Stage::Gone,
            Some(have) if have["metadata"]["deletionTimestamp"].is_string() => Stage::Going,
            Some(_) => Stage::There,
            None => Stage::Gone,
        })
    }

    /// Removes the namespace that was looked at, and no other of its name.
    pub(crate) async fn begin_removal(&self, desired: &DesiredNamespace) -> Result<()> {
        let rest = self.controller_rest();
        let have = find(&rest, Kind::NAMESPACE, "", &desired.kube_name).await?;
        let ours = have.filter(|have| !is_foreign(have, desired, self.installation(), self.leads()));
        let Some(ours) = ours else {
            return Err(Error::new(ErrorCode::Conflict, "the namespace in the cluster is not Berth's any more"));
        };
        let options = json!({ "preconditions": { "uid": ours["metadata"]["uid"] } });
        let target = Target::new("Namespace", &desired.kube_name);
        gone(rest.delete(&target, &Kind::NAMESPACE.at("", &desired.kube_name), &options).await).map(drop)
    }

    pub(crate) async fn keep_namespace(&self, desired: &DesiredNamespace) -> Result<Kept> {
        let rest = self.controller_rest();
        let have = find(&rest, Kind::NAMESPACE, "", &desired.kube_name).await?;
        if have.as_ref().is_some_and(|have| is_foreign(have, desired, self.installation(), self.leads())) {
            let message = "the cluster has a namespace of that name which is not Berth's; it was not touched";
            return Err(Error::new(ErrorCode::AlreadyExists, message));
        }
        let mut labels: Map<String, Value> = desired.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        labels.insert(meta::TENANT.to_owned(), json!(desired.tenant));
        labels.insert(meta::NAMESPACE.to_owned(), json!(desired.name));
        labels.insert(meta::MANAGED_BY.to_owned(), json!(meta::BERTH));
        let marked = have.as_ref().is_some_and(|have| have["metadata"]["labels"].get(meta::SUSPENDED).is_some());
        if desired.suspended {
            labels.insert(meta::SUSPENDED.to_owned(), json!("true"));
        } else if marked {
            // Whoever put it there: an apply would take away only what it put there itself.
            let none = json!({ "metadata": { "labels": { meta::SUSPENDED: null } } });
            let path = Kind::NAMESPACE.at("", &desired.kube_name);
            rest.merge(&Target::new("Namespace", &desired.kube_name), &path, &none).await?;
        }
        let mut namespace = json!({
            "apiVersion": Kind::NAMESPACE.api_version,
            "kind": Kind::NAMESPACE.kind,
            "metadata": { "name": desired.kube_name, "labels": labels },
        });
        if let Some(own) = self.installation() {
            namespace["metadata"]["annotations"] = json!({ meta::INSTALLATION: own });
        }
        let mut notes = Notes::default();
        if marked && !desired.suspended {
            notes.wrote(Kind::NAMESPACE, &desired.kube_name, have.as_ref());
        }
        keep_from(have.as_ref(), &rest, &mut notes, Kind::NAMESPACE, "", &namespace).await?;
        let bindings: Vec<Value> =
            desired.bindings.iter().map(|(role, groups)| binding(&desired.kube_name, role, groups)).collect();
        keep_bindings(&rest, &mut notes, &desired.kube_name, &bindings).await?;
        keep_policies(&rest, &mut notes, desired).await?;
        keep_account(&rest, &mut notes, &desired.kube_name).await?;
        keep_quota(&rest, &mut notes, &desired.kube_name, desired.quota.as_ref()).await?;
        let before = have.as_ref().and_then(|have| have["metadata"]["annotations"][meta::KEPT].as_str());
        let digest = notes.digest();
        if before != Some(digest.as_str()) {
            // Last, when all of it is so: what is cut off in between is not taken for somebody else's hand.
            let mark = json!({ "metadata": { "annotations": { meta::KEPT: digest } } });
            let path = Kind::NAMESPACE.at("", &desired.kube_name);
            rest.merge(&Target::new("Namespace", &desired.kube_name), &path, &mark).await?;
        }
        Ok(notes.kept(before))
    }
}

/// Makes the bindings that are wanted, and removes those of Berth's that are not any more.
async fn keep_bindings(rest: &Rest, notes: &mut Notes, namespace: &str, wanted: &[Value]) -> Result<()> {
    let kind = Kind::ROLE_BINDING;
    let selector = format!("{}={}", meta::MANAGED_BY, meta::BERTH);
    let target = Target::new("the role bindings of", namespace);
    let mut list: Value = rest.get(&target, &query(&kind.within(namespace), &[("labelSelector", &selector)])).await?;
    let mut have = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    for item in have.iter_mut().filter_map(Value::as_object_mut) {
        // Items of a list do not say what they are.
        item.insert("apiVersion".to_owned(), json!(kind.api_version));
        item.insert("kind".to_owned(), json!(kind.kind));
    }
    for binding in wanted {
        let name = &binding["metadata"]["name"];
        let unlabelled = match called(&have, name) {
            Some(_) => None,
            // Not there, or somebody took Berth's label away.
            None => find(rest, kind, namespace, name.as_str().unwrap_or_default()).await?,
        };
        let known = called(&have, name).or(unlabelled.as_ref());
        keep_from(known, rest, notes, kind, namespace, binding).await?;
    }
    for item in have.iter().filter(|item| called(wanted, &item["metadata"]["name"]).is_none()) {
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        rest.delete(&target, &kind.at(namespace, name), &json!({})).await?;
        notes.removed(kind, name, item);
    }
    Ok(())
}

fn called<'a>(objects: &'a [Value], name: &Value) -> Option<&'a Value> {
    objects.iter().find(|one| one["metadata"]["name"] == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement() {
        let have =
            json!({"metadata": {"name": "a", "uid": "1", "labels": {"x": "1", "y": "2"}}, "subjects": [{"name": "g"}]});
        for (wanted, want) in [
            (json!({"metadata": {"labels": {"x": "1"}}}), true),
            (json!({"metadata": {"labels": {"x": "2"}}}), false),
            (json!({"metadata": {"labels": {"z": "1"}}}), false),
            (json!({"subjects": [{"name": "g"}]}), true),
            (json!({"subjects": [{"name": "h"}]}), false),
        ] {
            assert_eq!(agrees(&wanted, &have), want, "{wanted}");
        }
    }

    #[test]
    fn whose_namespace_it_is() {
        let desired = DesiredNamespace {
            kube_name: "shop-dev".into(),
            tenant: "shop".into(),
            name: "dev".into(),
            labels: Vec::new(),
            bindings: Vec::new(),
            quota: None,
            network: Default::default(),
            suspended: false,
        };
        let namespace = |tenant: &str, installation: Option<&str>| {
            json!({"metadata": {
                "labels": {"berth.dev/tenant": tenant, "berth.dev/namespace": "dev"},
                "annotations": {"berth.dev/installation": installation},
            }})
        };
        for (namespace, leads, foreign) in [
            (namespace("shop", Some("ours")), false, false),
            (namespace("shop", None), false, false),
            (namespace("shop", Some("theirs")), false, true),
            (namespace("shop", Some("theirs")), true, false),
            (namespace("blog", Some("ours")), true, true),
            (json!({"metadata": {}}), true, true),
        ] {
            assert_eq!(is_foreign(&namespace, &desired, Some("ours"), leads), foreign, "{namespace} {leads}");
        }
    }
}
