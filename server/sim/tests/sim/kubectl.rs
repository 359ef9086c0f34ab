//! The embedded cluster as kubectl sees it, over TLS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use berth_sim::{Serving, Sim};

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

const SHELL: &str = "apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  restartPolicy: Never
  containers: [{name: shell, image: busybox, stdin: true, stdinOnce: true}]
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

fn kubectl_is_missing() -> bool {
    let missing = Command::new("kubectl").arg("version").arg("--client").output().is_err();
    if missing {
        eprintln!("kubectl is missing: this test did not run (apt-get install kubernetes-client)");
    }
    missing
}

/// A cluster, and a folder with a kubeconfig for it.
async fn cluster() -> (Sim, Serving, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::builder().build().unwrap();
    let serving = sim.serve_tls(([127, 0, 0, 1], 0).into()).await.unwrap();
    serving.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
    (sim, serving, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_is_content() {
    if kubectl_is_missing() {
        return;
    }
    let (_sim, _serving, folder) = cluster().await;
    std::fs::write(folder.path().join("d.yaml"), DEPLOYMENT).unwrap();
    std::fs::write(folder.path().join("e.yaml"), DEPLOYMENT.replace("1.27", "1.28")).unwrap();
    std::fs::write(folder.path().join("bad.yaml"), DEPLOYMENT.replace("nginx:1.27", "\"\"")).unwrap();

    for (args, succeeds, expected) in [
        ("apply -f d.yaml", true, "deployment.apps/api created"),
        ("apply -f d.yaml", true, "deployment.apps/api unchanged"),
        ("apply -f e.yaml", true, "deployment.apps/api configured"),
        (
            "apply --server-side --field-manager other -f d.yaml",
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

/// Runs kubectl with something on its input; its output and error together, and its exit code.
async fn kubectl_told(folder: &Path, args: &str, input: &'static str) -> (Option<i32>, String) {
    let (folder, args): (_, Vec<String>) = (folder.to_owned(), args.split(' ').map(str::to_owned).collect());
    tokio::task::spawn_blocking(move || {
        let mut child = Command::new("kubectl")
            .args(args)
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_talks_to_processes() {
    if kubectl_is_missing() {
        return;
    }
    let (_sim, _serving, folder) = cluster().await;
    std::fs::write(folder.path().join("shell.yaml"), SHELL).unwrap();
    for args in [
        "run web --image nginx:1.27",
        "apply -f shell.yaml",
        "run ticker --image busybox --command -- sh -c while\ttrue;\tdo\techo\ttick;\tsleep\t1;\tdone",
    ] {
        let (done, text) = kubectl(folder.path(), args).await;
        assert!(done, "kubectl {args}: {text}");
    }
    let (done, text) =
        kubectl(folder.path(), "wait --for=condition=Ready pod/web pod/shell pod/ticker --timeout 60s").await;
    assert!(done, "{text}");

    let typed = "echo hello | tr a-z A-Z\ncd /etc\npwd\nexit 3\n";
    let (code, text) = kubectl_told(folder.path(), "exec -i web -- sh", typed).await;
    assert!(text.starts_with("HELLO\n/etc\n"), "{text}");
    assert_eq!(code, Some(3), "{text}");

    // As the portal's terminal asks for the best shell there is.
    let best = "exec -i web -- sh -c command\t-v\tbash\t>/dev/null\t2>&1\t&&\texec\tbash\t||\texec\tsh";
    let (code, text) = kubectl_told(folder.path(), best, typed).await;
    assert!(text.starts_with("HELLO\n/etc\n"), "{text}");
    assert_eq!(code, Some(3), "{text}");

    // The shell of the pod itself: what it is told ends it.
    let (_, text) = kubectl_told(folder.path(), "attach -i shell", "echo from $HOSTNAME\nexit 4\n").await;
    assert!(text.contains("from shell\n"), "{text}");
    let (done, text) =
        kubectl(folder.path(), "wait --for=jsonpath={.status.phase}=Failed pod/shell --timeout 30s").await;
    assert!(done, "{text}");
    let (_, code) =
        kubectl(folder.path(), "get pod shell -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}")
            .await;
    assert_eq!(code, "4");

    // Attached without an input: the output as it comes.
    let mut attached = spawn(folder.path(), &["attach", "ticker"]);
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(attached.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    })
    .await
    .unwrap();
    assert_eq!(line, "tick\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_copies_in_and_out() {
    if kubectl_is_missing() {
        return;
    }
    let (_sim, _serving, folder) = cluster().await;
    let here = folder.path();
    let bytes: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::create_dir_all(here.join("tree/deep/er")).unwrap();
    std::fs::write(here.join("tree/a.bin"), &bytes).unwrap();
    std::fs::write(here.join("tree/deep/er/b.txt"), "umlaut ä\n").unwrap();
    for args in ["run web --image nginx:1.27", "wait --for=condition=Ready pod/web --timeout 60s"] {
        let (done, text) = kubectl(here, args).await;
        assert!(done, "kubectl {args}: {text}");
    }
    for (args, succeeds, expected) in [
        ("cp tree/a.bin web:/tmp/copy.bin", true, ""),
        ("cp web:/tmp/copy.bin back.bin", true, ""),
        ("cp tree web:/tmp/tree", true, ""),
        ("exec web -- cat /tmp/tree/deep/er/b.txt", true, "umlaut ä"),
        ("cp web:/tmp/tree back", true, ""),
        ("exec web -- rm -r /tmp/tree", true, ""),
        ("exec web -- ls /tmp/tree", false, "No such file or directory"),
        // kubectl calls this a success, and does not always wait for tar's complaint.
        ("cp web:/tmp/none x", true, ""),
        ("exec web -- tar cf - /tmp/none", false, "tar: /tmp/none: No such file or directory"),
        ("exec web -- tar -xf /tmp/copy.bin", false, "tar: short read"),
    ] {
        let (done, text) = kubectl(here, args).await;
        assert_eq!(done, succeeds, "kubectl {args}: {text}");
        assert!(text.contains(expected), "kubectl {args}: {text}");
    }
    assert_eq!(std::fs::read(here.join("back.bin")).unwrap(), bytes);
    assert_eq!(std::fs::read(here.join("back/a.bin")).unwrap(), bytes);
    assert_eq!(std::fs::read_to_string(here.join("back/deep/er/b.txt")).unwrap(), "umlaut ä\n");
}

/// A kubectl that is killed when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(folder: &Path, args: &[&str]) -> Running {
    let child = Command::new("kubectl")
        .args(args)
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_ports() {
    if kubectl_is_missing() {
        return;
    }
    let (_sim, _serving, folder) = cluster().await;
    assert!(kubectl(folder.path(), "run web --image nginx:1.27").await.0);
    assert!(kubectl(folder.path(), "wait --for=condition=Ready pod/web --timeout 60s").await.0);
    // SPDY in a WebSocket as since 1.31, and SPDY alone as before.
    for websockets in ["true", "false"] {
        let child = Command::new("kubectl")
            .args(["port-forward", "pod/web", ":8080", "--address", "127.0.0.1"])
            .env("KUBECONFIG", folder.path().join("kubeconfig"))
            .env("HOME", folder.path())
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut forward = Running(child);
        let answers = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            // Kept to the end: kubectl says more, and a broken pipe would end it.
            let mut said = BufReader::new(forward.0.stdout.take().unwrap());
            said.read_line(&mut line).unwrap();
            let port: u16 = line
                .strip_prefix("Forwarding from 127.0.0.1:")
                .and_then(|rest| rest.split(' ').next())
                .and_then(|port| port.parse().ok())
                .unwrap_or_else(|| panic!("{line}"));
            // Several connections over one tunnel.
            (0..3)
                .map(|_| {
                    let mut connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                    connection.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
                    let mut text = String::new();
                    connection.read_to_string(&mut text).unwrap();
                    text
                })
                .collect::<Vec<_>>()
        })
        .await
        .unwrap();
        for answer in answers {
            assert!(
                answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("web answers on port 8080\n"),
                "{answer}"
            );
        }
    }
}
