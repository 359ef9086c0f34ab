//! Namespaces that are nobody's yet: which there are, what is in one, and how it becomes a tenant's.

use berth_core::{
    Error, Result,
    adoption::{Strange, StrangePod},
    ports::cluster::{Cluster as _, DesiredNamespace},
};
use berth_types::ErrorCode;
use kube::client::Body;
use serde_json::{Value, json};

use crate::{
    KubeCluster,
    cache::room,
    error::{Target, from_kube, unavailable},
    json::{controller, listed, name},
    meta,
    namespaces::{find, is_foreign},
    network::is_ours,
    rest::{self, Kind, Rest, TIMEOUT, bounded, query},
};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorCode::Conflict, message)
}

/// Whether it may be anybody's: no Berth's, and not on its way out.
fn is_nobodys(namespace: &Value) -> bool {
    let metadata = &namespace["metadata"];
    metadata["labels"][meta::TENANT].is_null() && metadata["deletionTimestamp"].is_null()
}

/// What made a pod. A ReplicaSet of a Deployment is called after it and the hash of its template.
fn owner(pod: &Value) -> Option<(String, String)> {
    let owner = controller(pod)?;
    let (kind, name) = (owner["kind"].as_str()?, owner["name"].as_str()?);
    let hash = pod["metadata"]["labels"]["pod-template-hash"].as_str();
    let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    Some(match deployment {
        Some(deployment) if kind == "ReplicaSet" => ("Deployment".to_owned(), deployment.to_owned()),
        _ => (kind.to_owned(), name.to_owned()),
    })
}

/// A pod that counts; none that has ended, or is ending.
fn pod(pod: &Value) -> Option<StrangePod> {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let spec = &pod["spec"];
    let default = matches!(spec["serviceAccountName"].as_str(), None | Some("" | "default"));
    Some(StrangePod {
        name: name(pod),
        owner: owner(pod),
        token: default && spec["automountServiceAccountToken"].is_null(),
        takes: room::takes(pod).unwrap_or_default(),
    })
}

/// The text of a `Warning` header: `299 - "text"`, or with an agent in place of the dash (RFC 7234, 5.5).
fn warning(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let text = quoted.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Of what the API server says to a new level, the lines about pods; the first only says that there are some.
fn about_pods(warnings: Vec<String>) -> Vec<String> {
    let heading = |text: &str| text.starts_with("existing pods in namespace ");
    match warnings.iter().position(|text| heading(text)) {
        Some(at) => warnings.into_iter().skip(at + 1).collect(),
        None => Vec::new(),
    }
}

/// What Pod Security would mind, which says so to who tries the label.
async fn refused(rest: &Rest, namespace: &str, level: &str) -> Result<Vec<String>> {
    let target = Target::new("the namespace", namespace);
    let path = query(&Kind::NAMESPACE.at("", namespace), &[("dryRun", "All"), ("fieldManager", meta::CONTROLLER)]);
    let change = json!({ "metadata": { "labels": { ENFORCE: level } } });
    let request = rest::merging(&path, &change)?.map(Body::from);
    let answer = bounded(TIMEOUT, rest.client.send(request)).await?.map_err(|e| from_kube(e, &target))?;
    if !answer.status().is_success() {
        return Err(unavailable(format!("it answered {} to a trial of Pod Security", answer.status())));
    }
    let said = answer.headers().get_all(http::header::WARNING).iter();
    Ok(about_pods(said.filter_map(|text| warning(text.to_str().ok()?)).collect()))
}

impl KubeCluster {
    pub(crate) async fn nobodys_namespaces(&self) -> Result<Vec<String>> {
        let list: Value =
            self.controller_rest().get(&Target::new("the namespaces", ""), &Kind::NAMESPACE.all()).await?;
        Ok(listed(&list).iter().filter(|namespace| is_nobodys(namespace)).map(name).collect())
    }

    /// Whether `desired` may have the namespace: nobody else has.
    fn free(&self, have: &Value, desired: &DesiredNamespace) -> Result<()> {
        let given = !is_foreign(have, desired, self.installation(), self.leads());
        let going = have["metadata"]["deletionTimestamp"].is_string();
        if going || !given && !is_nobodys(have) {
            return Err(conflict("the namespace is another's, or on its way out"));
        }
        Ok(())
    }

    pub(crate) async fn look_at(&self, desired: &DesiredNamespace) -> Result<Strange> {
        let (rest, at) = (self.controller_rest(), desired.kube_name.as_str());
        let have = find(&rest, Kind::NAMESPACE, "", at).await?.ok_or_else(Error::not_found)?;
        self.free(&have, desired)?;
        let read =
            async |rest: &Rest, kind: Kind| rest.get::<Value>(&Target::new(kind.kind, at), &kind.within(at)).await;
        let names = |list: &Value| listed(list).iter().filter(|one| !is_ours(one)).map(name).collect::<Vec<_>>();
        let pods = read(&rest, Kind::POD).await?;
        let level = desired.labels.iter().find(|(label, _)| label == ENFORCE).map(|(_, level)| level.as_str());
        Ok(Strange {
            kube_name: at.to_owned(),
            uid: have["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            pods: listed(&pods).iter().filter_map(pod).collect(),
            refused: match level {
                Some(level) => refused(&rest, at, level).await?,
                None => Vec::new(),
            },
            policies: names(&read(&rest, Kind::NETWORK_POLICY).await?),
            bindings: names(&read(&rest, Kind::ROLE_BINDING).await?),
            // Quotas are listed by who fills the cache.
            quotas: names(&read(&Rest::new(self.connection.reader.clone()), Kind::QUOTA).await?),
        })
    }

    /// Writes down whose the namespace is; everything else follows from its row.
    pub(crate) async fn adopt(&self, desired: &DesiredNamespace, uid: &str) -> Result<()> {
        let rest = self.controller_rest();
        let have = find(&rest, Kind::NAMESPACE, "", &desired.kube_name).await?.ok_or_else(Error::not_found)?;
        self.free(&have, desired)?;
        if have["metadata"]["uid"] != uid {
            return Err(conflict("the namespace is another one by now"));
        }
        // With the version that was looked at: who else takes it in the meantime has it.
        let mut change = json!({ "metadata": {
            "resourceVersion": have["metadata"]["resourceVersion"],
            "labels": { meta::TENANT: desired.tenant, meta::NAMESPACE: desired.name },
        } });
        if let Some(own) = self.installation() {
            change["metadata"]["annotations"] = json!({ meta::INSTALLATION: own });
        }
        self.change(&rest, desired, &change).await
    }

    pub(crate) async fn disown(&self, desired: &DesiredNamespace) -> Result<()> {
        let rest = self.controller_rest();
        let have = find(&rest, Kind::NAMESPACE, "", &desired.kube_name).await?.ok_or_else(Error::not_found)?;
        if is_foreign(&have, desired, self.installation(), self.leads()) {
            return Ok(());
        }
        let change = json!({ "metadata": {
            "resourceVersion": have["metadata"]["resourceVersion"],
            "labels": { meta::TENANT: null, meta::NAMESPACE: null },
            "annotations": { meta::INSTALLATION: null },
        } });
        self.change(&rest, desired, &change).await
    }

    async fn change(&self, rest: &Rest, desired: &DesiredNamespace, change: &Value) -> Result<()> {
        let path = query(&Kind::NAMESPACE.at("", &desired.kube_name), &[("fieldManager", meta::CONTROLLER)]);
        rest.merge(&Target::new("Namespace", &desired.kube_name), &path, change).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_made_a_pod() {
        let pod = |kind: &str, name: &str, hash: Option<&str>| {
            json!({"metadata": {"name": "p", "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"kind": kind, "name": name, "controller": true}]}})
        };
        let is = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
        for (pod, expected) in [
            (pod("ReplicaSet", "web-5d4f", Some("5d4f")), is("Deployment", "web")),
            (pod("ReplicaSet", "by-hand", None), is("ReplicaSet", "by-hand")),
            (pod("StatefulSet", "db", None), is("StatefulSet", "db")),
            (json!({"metadata": {"name": "p"}}), None),
        ] {
            assert_eq!(owner(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn which_pods_count_and_have_a_token() {
        let with =
            |spec: Value, phase: &str| json!({"metadata": {"name": "p"}, "spec": spec, "status": {"phase": phase}});
        let token = |spec: Value| pod(&with(spec, "Running")).map(|pod| pod.token);
        assert_eq!(token(json!({"containers": []})), Some(true));
        assert_eq!(token(json!({"containers": [], "serviceAccountName": "default"})), Some(true));
        assert_eq!(token(json!({"containers": [], "serviceAccountName": "own"})), Some(false));
        assert_eq!(token(json!({"containers": [], "automountServiceAccountToken": true})), Some(false));
        assert_eq!(pod(&with(json!({"containers": []}), "Succeeded")), None);
    }

    #[test]
    fn what_pod_security_says() {
        let heading = r#"299 - "existing pods in namespace \"legacy\" violate the new PodSecurity enforce level \"restricted:latest\"""#;
        let line = r#"299 - "web-1 (and 1 other pod): runAsNonRoot != true""#;
        let said = |headers: &[&str]| about_pods(headers.iter().filter_map(|header| warning(header)).collect());
        assert_eq!(said(&[heading, line]), ["web-1 (and 1 other pod): runAsNonRoot != true"]);
        assert_eq!(said(&["299 - \"something else\""]), [""; 0]);
        assert_eq!(warning("nonsense"), None);
    }
}
