//! Our own kubectl, as the administrator.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    cluster::layout::Cluster,
    shell::{line, output},
};

/// To be given arguments.
pub fn kubectl(cluster: &Cluster) -> Command {
    let mut command = Command::new(cluster.program("kubectl"));
    command.arg("--kubeconfig").arg(cluster.kubeconfig()).env_remove("KUBECONFIG");
    command
}

/// Whether the API server says that it is ready.
pub fn ready(cluster: &Cluster) -> bool {
    let mut command = kubectl(cluster);
    command.args(["get", "--raw", "/readyz", "--request-timeout=2s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What it answers, as JSON.
///
/// # Errors
/// It fails.
pub fn get(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    let text = output(kubectl(cluster).arg("get").args(arguments).args(["--output", "json"]))?;
    serde_json::from_slice(&text).context("kubectl's answer is no JSON")
}

/// Applies objects.
///
/// # Errors
/// One is refused.
pub fn apply(cluster: &Cluster, objects: &str) -> Result<()> {
    feed(cluster, &["apply", "--server-side", "--force-conflicts"], objects).map(drop)
}

/// Deletes objects, where they are still there.
///
/// # Errors
/// One is not to be deleted.
pub fn delete(cluster: &Cluster, objects: &str) -> Result<()> {
    feed(cluster, &["delete", "--ignore-not-found"], objects).map(drop)
}

/// Creates objects: what they are then, one for each.
///
/// # Errors
/// One is refused.
pub fn create(cluster: &Cluster, objects: &[Value]) -> Result<Vec<Value>> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let made = feed(cluster, &["create", "--output", "json"], &list.to_string())?;
    let made = serde_json::Deserializer::from_slice(&made).into_iter().collect::<Result<Vec<_>, _>>();
    made.context("kubectl's answer is no JSON")
}

fn feed(cluster: &Cluster, arguments: &[&str], objects: &str) -> Result<Vec<u8>> {
    let mut command = kubectl(cluster);
    command.args(arguments).args(["--filename", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start kubectl")?;
    let mut input = child.stdin.take().context("no input")?;
    // It reads all before it says anything.
    input.write_all(objects.as_bytes())?;
    drop(input);
    let said = child.wait_with_output()?;
    if !said.status.success() {
        bail!("`{}` failed", line(&command));
    }
    Ok(said.stdout)
}

/// The names of the nodes that are ready.
///
/// # Errors
/// The API server does not answer.
pub fn ready_nodes(cluster: &Cluster) -> Result<Vec<String>> {
    Ok(of_ready(&get(cluster, &["nodes"])?))
}

/// When a node that is ready last said so.
///
/// # Errors
/// The API server does not answer, or knows no such node.
pub fn heartbeat(cluster: &Cluster, node: &str) -> Result<Option<String>> {
    let node = get(cluster, &["node", node])?;
    Ok(ready_condition(&node).and_then(|it| it["lastHeartbeatTime"].as_str()).map(str::to_owned))
}

fn of_ready(nodes: &Value) -> Vec<String> {
    let all = nodes["items"].as_array().into_iter().flatten();
    let ready = all.filter(|node| ready_condition(node).is_some());
    ready.filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// The condition of a node that is ready.
fn ready_condition(node: &Value) -> Option<&Value> {
    node["status"]["conditions"].as_array()?.iter().find(|it| it["type"] == "Ready" && it["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_nodes_are_those_that_say_so() {
        let node = |name, status| serde_json::json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        let all = serde_json::json!({"items": [node("node1", "True"), node("node2", "Unknown"), {"metadata": {"name": "node3"}}]});
        assert_eq!(of_ready(&all), ["node1"]);
    }
}
