//! The real `kubectl` with kubeconfigs that Berth makes, through a portal of its own process: on the embedded cluster, or on the
//! real one of `BERTH_TEST_KUBECONFIG`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/front.rs"]
mod front;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream as StdStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use front::{carry, tls_front};
use process::{Process, Server, admin};
use serde_json::Value;

/// An app as people write it for kubectl.
const APP: &str = "apiVersion: berth.dev/v1alpha1
kind: App
metadata: {name: web}
spec:
  components:
  - name: main
    image: registry.example.com/shop/web:1
    replicas: 1
    ports: [{port: 8080}]
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
";

const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: more}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'berth:tenant:shop:developer'}]
";

fn kubectl_is_missing() -> bool {
    let missing = Command::new("kubectl").args(["version", "--client"]).output().is_err();
    if missing {
        eprintln!(
            "kubectl is missing: this test did not run (apt-get install kubernetes-client; `cargo xtask test --cluster` builds one)"
        );
    }
    missing
}

struct Scene {
    server: Server,
    folder: tempfile::TempDir,
}

impl Scene {
    /// A portal with `shop`, whose namespace `dev` is made; `dan` develops, `vera` looks, `bert` has `bank` with `vault`.
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, listener, acceptor) = tls_front(folder.path()).await;
        let data = folder.path().join("data").to_str().unwrap().to_owned();
        let names = ["ops", "dan", "vera", "bert"];
        let mut made = Vec::new();
        for name in names {
            let mut arguments = vec!["create-user", name];
            arguments.extend((name == "ops").then_some("--platform-admin"));
            made.push(admin(&arguments, &["--data", &data]));
        }
        let url = format!("https://127.0.0.1:{port}");
        let real = std::env::var("BERTH_TEST_KUBECONFIG").ok();
        let cluster = match &real {
            Some(kubeconfig) => vec!["--kubeconfig", kubeconfig],
            None => vec!["--sim"],
        };
        let server = Server::start([&["serve", "--data", &data, "--public-url", &url], cluster.as_slice()].concat());
        tokio::spawn(carry(listener, acceptor, server.address.clone()));
        for (name, made) in names.iter().zip(&made) {
            server.choose_password(name, made);
        }
        let token = |name: &str| admin(&["create-token", name], &["--data", &data]).trim().to_owned();
        let (ops, dan, vera) = (token("ops"), token("dan"), token("vera"));
        let put = |method: &str, path: &str, body: &str| {
            let (status, answer) = server.ask(method, &format!("/api/v1/tenants{path}"), &ops, body);
            assert!(matches!(status, 200..300), "{path}: {answer}");
        };
        for (tenant, namespace, members) in
            [("shop", "dev", &[("dan", "developer"), ("vera", "viewer")][..]), ("bank", "vault", &[("bert", "owner")])]
        {
            put("POST", "", &format!(r#"{{"name":"{tenant}"}}"#));
            put("POST", &format!("/{tenant}/namespaces"), &format!(r#"{{"name":"{namespace}"}}"#));
            for (member, role) in members {
                put("PUT", &format!("/{tenant}/members/{member}"), &format!(r#"{{"role":"{role}"}}"#));
            }
        }
        std::fs::write(folder.path().join("ops"), ops).unwrap();
        let scene = Self { server, folder };
        for (name, token) in [("dan", &dan), ("vera", &vera)] {
            let (status, answer) =
                scene.server.ask("POST", "/api/v1/me/kubeconfigs", token, r#"{"tenant":"shop","hours":1}"#);
            assert_eq!(status, 201, "{answer}");
            let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            std::fs::write(scene.folder.path().join(name), body["kubeconfig"].as_str().unwrap()).unwrap();
        }
        for (name, text) in [("app.yaml", APP), ("binding.yaml", BINDING)] {
            std::fs::write(scene.folder.path().join(name), text).unwrap();
        }
        std::fs::write(scene.folder.path().join("bad.yaml"), APP.replace("registry.example.com", "HTTP://x")).unwrap();
        scene
    }

    fn kubectl(&self, who: &str, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .env("KUBECONFIG", self.folder.path().join(who))
            .env("SSL_CERT_FILE", self.folder.path().join("ca.pem"))
            .env("HOME", self.folder.path());
        command
    }

    /// Whether it succeeded, and all that it printed.
    fn run(&self, who: &str, arguments: &str) -> (bool, String) {
        let output = self.kubectl(who, arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// What it answered, where that is not as expected.
    fn otherwise(&self, who: &str, arguments: &str, succeeds: bool, expected: &str) -> Option<String> {
        let (success, text) = self.run(who, arguments);
        let as_expected = success == succeeds && text.contains(expected);
        (!as_expected).then(|| format!("{who}: kubectl {arguments}: {text}"))
    }

    /// The same until it is as wanted: what a controller does takes a moment.
    fn until(&self, who: &str, arguments: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (_, text) = self.run(who, arguments);
            if wanted(&text) {
                return text;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "kubectl {arguments} stayed {text}");
        }
    }

    /// One that goes on, and what it prints.
    fn follow(
        &self,
        who: &str,
        arguments: &str,
    ) -> (Process, BufReader<std::process::ChildStdout>, std::process::ChildStdin) {
        let mut child: Child =
            self.kubectl(who, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (out, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        (Process(child), BufReader::new(out), input)
    }

    /// Opens a shell in a pod as `dan`, and waits until it is closed, which `by` brings about in less than 5 s.
    fn shell_ends(&self, pod: &str, by: impl FnOnce()) {
        let (mut shell, mut said, mut input) = self.follow("dan", &format!("exec -i {pod} -- sh"));
        input.write_all(b"echo still here\n").unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "still here\n");
        by();
        let begun = Instant::now();
        let mut rest = String::new();
        let _ = said.read_to_string(&mut rest);
        shell.0.wait().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_does_what_the_role_gives_and_nothing_else() {
    if kubectl_is_missing() {
        return;
    }
    let scene = Scene::open().await;
    tokio::task::spawn_blocking(move || {
        let mut wrong = Vec::new();
        // The custom resource and the bindings come a moment after the namespace.
        scene.until("dan", "get apps", |text| text.contains("No resources found"));
        for (who, arguments, succeeds, expected) in [
            ("dan", "apply -f app.yaml", true, "app.berth.dev/web created"),
            ("dan", "apply -f app.yaml", true, "app.berth.dev/web unchanged"),
            ("dan", "wait --for=jsonpath={.status.phase}=Ready app/web --timeout=60s", true, "condition met"),
            ("dan", "get app web -o name", true, "app.berth.dev/web"),
            ("dan", "explain app.spec.components.image", true, "FIELD: image <string>"),
            ("dan", "api-resources --api-group=berth.dev", true, "berth.dev/v1alpha1"),
            ("dan", "auth whoami", true, "berth:dan"),
            ("dan", "auth can-i create apps.berth.dev", true, "yes"),
            ("dan", "auth can-i get secrets", false, "no"),
            ("dan", "auth can-i create rolebindings", false, "no"),
            // What Berth refuses in its own forms, it refuses here.
            ("dan", "apply -f bad.yaml", false, "spec.components[0].image"),
            // What the role does not give.
            ("dan", "get secrets", false, "cannot list resource \"secrets\""),
            ("dan", "apply -f binding.yaml", false, "rolebindings.rbac.authorization.k8s.io \"more\" is forbidden"),
            ("dan", "create token default", false, "cannot create resource \"serviceaccounts/token\""),
            ("dan", "create configmap x --from-literal=a=b", false, "cannot create resource \"configmaps\""),
            ("dan", "run x --image=busybox", false, "cannot create resource \"pods\""),
            ("dan", "delete pods --all", true, "deleted"),
            ("dan", "delete resourcequota berth", false, "forbidden"),
            (
                "dan",
                "get pods --as=system:admin --as-group=system:masters -n kube-system",
                false,
                "User \"berth:dan\" cannot list",
            ),
            ("dan", "get pods --all-namespaces", false, "at the cluster scope"),
            ("dan", "get nodes", false, "at the cluster scope"),
            ("dan", "get pods -n kube-system", false, "User \"berth:dan\" cannot list resource \"pods\""),
            ("dan", "get pods -n bank-vault", false, "User \"berth:dan\" cannot list resource \"pods\""),
            // kubectl takes this path as the whole of the address.
            ("dan", "get --raw /k8s/local/metrics", false, "forbidden"),
            ("vera", "get apps", true, "web"),
            ("vera", "delete app web", false, "apps.berth.dev \"web\" is forbidden"),
            ("vera", "auth can-i create pods/exec", false, "no"),
        ] {
            wrong.extend(scene.otherwise(who, arguments, succeeds, expected));
        }

        // A pod of the app, which runs again since all were deleted.
        let running = "get pods -o jsonpath={.items[?(@.status.containerStatuses[0].ready==true)].metadata.name}";
        let names = scene.until("dan", running, |text| text.split(' ').count() == 1 && text.contains("web"));
        let pod = names.trim();
        for (who, arguments, succeeds, expected) in [
            ("vera", format!("logs {pod}"), true, ""),
            ("dan", format!("exec {pod} -- echo hello"), true, "hello"),
            ("vera", format!("exec {pod} -- echo hello"), false, "cannot "),
            ("vera", format!("port-forward pod/{pod} :8080"), false, "cannot "),
            ("vera", format!("attach {pod}"), false, "cannot "),
            ("vera", format!("delete pod {pod}"), false, "cannot delete resource \"pods\""),
            ("dan", format!("debug {pod} --image=busybox"), false, "forbidden"),
            ("dan", format!("exec {pod} -n bank-vault -- echo hello"), false, "cannot "),
        ] {
            wrong.extend(scene.otherwise(who, &arguments, succeeds, expected));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // The older protocol, SPDY, too; the embedded cluster speaks the newer one alone.
        let mut spdy = scene.kubectl("dan", &format!("exec {pod} -- echo hello"));
        let said = spdy.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        let real = std::env::var_os("BERTH_TEST_KUBECONFIG").is_some();
        assert!(said.contains(if real { "hello" } else { "Upgrade request required" }), "{said}");

        // Logs come as they are printed.
        let (_following, mut log, _) = scene.follow("vera", &format!("logs --follow {pod}"));
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "a line came");

        // A port of the pod.
        let (_forwarding, mut said, _) = scene.follow("dan", &format!("port-forward pod/{pod} :8080"));
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect(&line).to_owned();
        let mut stream = StdStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1."), "{answer}");

        // A shell that is open when its namespace becomes protected is closed. There one reads, until it is open again.
        let ops = std::fs::read_to_string(scene.path("ops")).unwrap();
        let protect = |protected: bool| {
            let body = format!(r#"{{"protected":{protected}}}"#);
            scene.server.ask("PUT", "/api/v1/tenants/shop/namespaces/dev/protection", &ops, &body)
        };
        scene.shell_ends(pod, || assert_eq!(protect(true).0, 200));
        let refused = "shop/dev is protected, and is changed in Berth alone";
        let mut wrong = Vec::new();
        for (arguments, succeeds, expected) in [
            (format!("exec {pod} -- echo hello"), false, refused),
            (format!("port-forward pod/{pod} :8080"), false, refused),
            (format!("delete pod {pod}"), false, refused),
            ("apply -f app.yaml --force-conflicts --server-side".to_owned(), false, refused),
            ("delete app web".to_owned(), false, refused),
            ("get app web -o name".to_owned(), true, "app.berth.dev/web"),
            (format!("logs {pod}"), true, ""),
        ] {
            wrong.extend(scene.otherwise("dan", &arguments, succeeds, expected));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(protect(false).0, 200);
        let (success, text) = scene.run("dan", &format!("exec {pod} -- echo hello"));
        assert!(success, "{text}");

        // Nor does one outlive the role, and nothing can be asked any more.
        scene.shell_ends(pod, || {
            let (status, answer) = scene.server.ask("DELETE", "/api/v1/tenants/shop/members/dan", &ops, "");
            assert_eq!(status, 204, "{answer}");
        });
        let (success, text) = scene.run("dan", "get pods");
        assert!(!success && text.contains("orbidden"), "{text}");

        // All of it is in the audit log.
        let (_, log) = scene.server.ask("GET", "/api/v1/admin/audit?action=kubectl.exec&limit=50", &ops, "");
        for (who, outcome) in [("dan", "done"), ("vera", "denied")] {
            let log: Value = serde_json::from_str(log.split_once("\r\n\r\n").unwrap().1).unwrap();
            let there = log["items"].as_array().unwrap().iter().any(|e| e["actor"] == who && e["outcome"] == outcome);
            assert!(there, "{who} {outcome}: {log:#}");
        }
    })
    .await
    .unwrap();
}
