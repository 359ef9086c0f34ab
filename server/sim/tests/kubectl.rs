//! The embedded cluster as kubectl sees it, over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{path::Path, process::Command};

use berth_sim::Sim;

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app: api}}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers: [{name: api, image: nginx:1.27}]
";

/// Runs kubectl; its standard output and error together, and whether it succeeded.
async fn kubectl(folder: &Path, args: &str) -> (bool, String) {
    let (folder, args): (_, Vec<String>) = (folder.to_owned(), args.split(' ').map(str::to_owned).collect());
    tokio::task::spawn_blocking(move || {
        let output = Command::new("kubectl")
            .args(args)
            .current_dir(&folder)
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("HOME", &folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_is_content() {
    if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("kubectl is missing: this test did not run (apt-get install kubernetes-client)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::builder().build().unwrap();
    let serving = sim.serve_tls(([127, 0, 0, 1], 0).into()).await.unwrap();
    serving.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
    std::fs::write(folder.path().join("d.yaml"), DEPLOYMENT).unwrap();
    std::fs::write(folder.path().join("e.yaml"), DEPLOYMENT.replace("1.27", "1.28")).unwrap();
    std::fs::write(folder.path().join("bad.yaml"), DEPLOYMENT.replace("nginx:1.27", "\"\"")).unwrap();

    for (args, succeeds, expected) in [
        ("apply -f d.yaml", true, "deployment.apps/api created"),
        ("apply -f d.yaml", true, "deployment.apps/api unchanged"),
        ("apply -f e.yaml", true, "deployment.apps/api configured"),
        (
            "apply --server-side -f d.yaml",
            false,
            "conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.template.spec.containers[name=\"api\"].image",
        ),
        ("apply --server-side --force-conflicts -f e.yaml", true, "deployment.apps/api serverside-applied"),
        (
            "apply -f bad.yaml",
            false,
            "The Deployment \"api\" is invalid: spec.template.spec.containers[0].image: Required value",
        ),
        ("scale deployment api --replicas 2", true, "deployment.apps/api scaled"),
        ("rollout status deployment/api --timeout 60s", true, "successfully rolled out"),
        ("wait --for=condition=Available deployment/api --timeout 60s", true, "condition met"),
        ("get deployment api", true, "2/2"),
        ("create configmap x --from-literal=a=b", true, "configmap/x created"),
        ("create configmap x --from-literal=a=b", false, "configmaps \"x\" already exists"),
        ("explain deployment.spec.strategy", true, "FIELD: strategy <DeploymentStrategy>"),
        ("logs deployment/api", true, "listening"),
        ("exec deploy/api -- echo hello", true, "hello"),
        ("exec deploy/api -- cat /no-such-file", false, "command terminated with exit code 1"),
        ("exec deploy/api -- no-such-command", false, "executable file not found in $PATH"),
        ("auth whoami", true, "kubernetes-admin"),
        ("auth can-i list pods --as joe", false, "no"),
        (
            "get pods --as joe",
            false,
            "pods is forbidden: User \"joe\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        ("delete deployment api", true, "deployment.apps \"api\" deleted"),
        ("get deployment api", false, "deployments.apps \"api\" not found"),
    ] {
        let (success, text) = kubectl(folder.path(), args).await;
        assert_eq!(success, succeeds, "kubectl {args}: {text}");
        assert!(text.contains(expected), "kubectl {args}: {text}");
    }
}
