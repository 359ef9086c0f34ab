//! A full disk under `--data`: what is refused is nowhere to be seen, and all goes on once there is room.

use std::{path::Path, process::Command};

use axum::body::Body;
use berth_sim::Sim;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

const CHILD: &str = "BERTH_SIM_TEST_FULL_DISK";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn send(sim: &Sim, method: Method, path: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = sim.service().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn names(sim: &Sim) -> Vec<String> {
    let list: Value = serde_json::from_str(&send(sim, Method::GET, MAPS, &Value::Null).await.1).unwrap();
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn map(index: usize) -> Value {
    json!({"metadata": {"name": format!("m{index:03}")}, "data": {"text": "x".repeat(100 * 1024)}})
}

/// What happens on a file system of 8 MiB at `folder`.
async fn on_a_small_disk(folder: &Path) {
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![1; 2 * 1024 * 1024]).unwrap();
    let data = folder.join("data");
    let sim = Sim::builder().data_dir(&data).api_only().build().unwrap();
    assert_eq!(send(&sim, Method::GET, "/readyz", &Value::Null).await, (200, "ok".into()));

    let mut made = 0;
    let refusal = loop {
        let (code, text) = send(&sim, Method::POST, MAPS, &map(made)).await;
        if code != 201 {
            break (code, text);
        }
        made += 1;
        assert!(made < 100, "8 MiB took {made} of 100 KiB");
    };
    let status: Value = serde_json::from_str(&refusal.1).unwrap();
    assert_eq!((refusal.0, &status["message"]), (500, &json!("etcdserver: mvcc: database space exceeded")));
    assert!(made > 10, "{made}");
    assert_eq!(names(&sim).await.len(), made, "what was refused is not listed");
    let (code, text) = send(&sim, Method::GET, "/readyz", &Value::Null).await;
    assert_eq!(code, 500);
    assert!(text.contains("[-]etcd failed"), "{text}");
    assert_eq!(send(&sim, Method::GET, "/livez", &Value::Null).await.0, 200, "a restart would not help");
    // Cleaning up is possible; what is there stays readable.
    assert_eq!(send(&sim, Method::DELETE, &format!("{MAPS}/m000"), &Value::Null).await.0, 200);
    assert_eq!(send(&sim, Method::GET, &format!("{MAPS}/m001"), &Value::Null).await.0, 200);

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(send(&sim, Method::POST, MAPS, &map(made)).await.0, 201);
    assert_eq!(send(&sim, Method::GET, "/readyz", &Value::Null).await.0, 200);
    let before = names(&sim).await;
    sim.stop();
    let again = Sim::builder().data_dir(&data).api_only().build().unwrap();
    assert_eq!(names(&again).await, before, "memory did not run ahead of the disk");
}

#[tokio::test]
async fn refused_writes_are_nowhere() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return on_a_small_disk(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=8m none \"$1\" || exit 77; exec \"$0\" --exact full_disk::refused_writes_are_nowhere";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path())
        .env(CHILD, folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "it was not found by its name: {said}");
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        // Without root there is no small disk to be had.
        other => eprintln!("this test did not run: {other:?}"),
    }
}
