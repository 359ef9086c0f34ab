//! What a cluster has to be able to do, tried on one that is used for nothing else.

mod csi;
mod policy;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    cluster::{addons::Addon, kubectl, layout::Cluster, process, status},
    shell::{output, run as run_command, step},
};

/// A pod on each node with volumes, a Service, a log, a command in a pod, a power cut.
///
/// # Errors
/// It does not do one of them.
pub fn run(cluster: &Cluster, with: &[Addon]) -> Result<()> {
    step("Running pods on every node", || {
        kubectl::apply(cluster, PODS)?;
        let ready = || {
            let set = kubectl::get(cluster, &["daemonset", "web"])?;
            Ok(set["status"]["numberReady"].as_u64() == Some(3)
                && set["status"]["observedGeneration"] == set["metadata"]["generation"])
        };
        wait("a pod ready on each node", &ready)
    })?;
    step("A Service, a log and a command in a pod", || {
        let service = kubectl::get(cluster, &["service", "web"])?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?.to_owned();
        let pod = first_pod(cluster, "node1")?;
        // From a pod, by the rules of its node's kube-proxy, to pods of all nodes.
        // Not wget -T: with it Debian's busybox ends in a segmentation fault.
        let fetch = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do timeout 5 wget -q -O - http://{address}/; done | sort -u | wc -l"
        );
        wait("the Service reaches pods of all nodes", &|| Ok(in_pod(cluster, &pod, &fetch)?.trim() == "3"))?;
        let log = output(kubectl::kubectl(cluster).args(["logs", &pod]))?;
        if !String::from_utf8_lossy(&log).contains("listening on") {
            bail!("the pod's log is not what it printed: {}", String::from_utf8_lossy(&log));
        }
        Ok(())
    })?;
    for addon in with {
        step(&format!("What the add-on {addon:?} is for"), || addon_works(cluster, *addon))?;
    }
    status::off(cluster, "node2")?;
    step("Waiting until the cluster notices", || {
        wait("node2 not ready", &|| Ok(!kubectl::ready_nodes(cluster)?.iter().any(|name| name == "node2")))
    })?;
    status::on(cluster, "node2")?;
    step("Waiting until its pods are back", || {
        wait("pods of node2 ready", &|| {
            Ok(kubectl::get(cluster, &["daemonset", "web"])?["status"]["numberReady"].as_u64() == Some(3))
        })
    })?;
    status::print(cluster)?;
    run_command(kubectl::kubectl(cluster).args(["get", "pods", "--all-namespaces", "--output", "wide"]))
}

fn first_pod(cluster: &Cluster, node: &str) -> Result<String> {
    let pods = kubectl::get(
        cluster,
        &["pods", "--selector", "app=web", "--field-selector", &format!("spec.nodeName={node}")],
    )?;
    pods["items"][0]["metadata"]["name"].as_str().map(str::to_owned).with_context(|| format!("no pod on {node}"))
}

/// What an add-on is there for.
fn addon_works(cluster: &Cluster, addon: Addon) -> Result<()> {
    let pod = first_pod(cluster, "node1")?;
    match addon {
        Addon::Csi => csi::run(cluster),
        Addon::Policy => policy::run(cluster),
        Addon::Dns => {
            let fetch =
                "timeout 5 wget -q -O - http://web.default.svc.cluster.local/ && timeout 5 wget -q -O - http://web/";
            wait("a Service is found by its name", &|| Ok(in_pod(cluster, &pod, fetch)?.lines().count() == 2))
        }
        Addon::Metrics => wait("each node's and pod's use is known", &|| {
            let known = |path: &str| -> Result<usize> {
                let mut raw = kubectl::kubectl(cluster);
                let said = raw.args(["get", "--raw", path]).output()?.stdout;
                let list: Value = serde_json::from_slice(&said).unwrap_or_default();
                Ok(list["items"].as_array().map_or(0, Vec::len))
            };
            let pods = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
            Ok(known("/apis/metrics.k8s.io/v1beta1/nodes")? == 3 && known(pods)? >= 3)
        }),
        Addon::Ingress => {
            kubectl::apply(cluster, INGRESS)?;
            let fetch =
                format!("timeout 5 wget -q -O - --header 'Host: web.test' http://{}/hello", cluster.service(80));
            wait("the Ingress leads to a pod", &|| {
                Ok(in_pod(cluster, &pod, &fetch)?.starts_with("GET /hello from web-"))
            })
        }
        Addon::Storage => {
            kubectl::apply(cluster, VOLUME)?;
            wait("the claim is bound and written to", &|| {
                let claim = kubectl::get(cluster, &["persistentvolumeclaim", "notes"])?;
                Ok(claim["status"]["phase"] == "Bound"
                    && in_pod(cluster, "notes", "cat /notes/first")?.trim() == "kept")
            })?;
            // What is written outlives the pod.
            run_command(kubectl::kubectl(cluster).args(["delete", "pod", "notes", "--now", "--wait"]))?;
            kubectl::apply(cluster, VOLUME)?;
            wait("what was written is still there", &|| {
                Ok(in_pod(cluster, "notes", "wc -l < /notes/first")?.trim() == "2")
            })
        }
    }
}

fn wait(what: &str, so: impl FnMut() -> Result<bool>) -> Result<()> {
    process::wait(what, Duration::from_secs(120), so)
}

/// What a command in a pod prints; nothing when it cannot run yet.
fn in_pod(cluster: &Cluster, pod: &str, script: &str) -> Result<String> {
    let said = kubectl::kubectl(cluster).args(["exec", pod, "--", "sh", "-c", script]).output()?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: default}
data: {greeting: hello}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: berth.test/fixture:1
        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: config, mountPath: /config}, {name: scratch, mountPath: /scratch}, {name: memory, mountPath: /memory}]
        securityContext:
          runAsNonRoot: true
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          seccompProfile: {type: RuntimeDefault}
      volumes: [{name: config, configMap: {name: web}}, {name: scratch, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]
"#;

const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  rules:
  - host: web.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
"#;

/// Each start of the pod adds a line.
const VOLUME: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: notes, namespace: default}
spec:
  containers:
  - name: notes
    image: busybox:1
    command: [sh, -c, "echo kept >>/notes/first; exec sleep 100000"]
    volumeMounts: [{name: notes, mountPath: /notes}]
  volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
"#;
