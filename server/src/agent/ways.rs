//! The way to the agent's own cluster: from a kubeconfig, or a pod's account. Tokens are renewed on the disk: it is read again and again.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use berth_core::access_file;
use berth_tunnel::words::Access;
use http::Uri;
use serde_json::json;
use tokio::sync::watch;

/// How often is looked for new credentials.
const LOOK: Duration = Duration::from_secs(10);
/// Where a pod's account is mounted.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What API servers call themselves within their cluster, whatever address leads there.
const OWN_NAME: &str = "https://kubernetes.default.svc";

/// A way.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Host and port of the API server: streams lead there, and nowhere else.
    pub(super) address: (String, u16),
    /// What the portal needs to speak with it.
    pub(super) access: Access,
}

/// Where it is read from.
enum Source {
    File(PathBuf),
    Pod { folder: PathBuf, host: String, port: u16 },
}

impl Source {
    fn read(&self, identities: Option<&str>) -> anyhow::Result<Way> {
        let (kubeconfig, address) = match self {
            Self::File(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("the kubeconfig {}", path.display()))?;
                let endpoint = access_file::read(&text).map_err(|e| {
                    let why: Vec<&str> = e.fields().iter().map(|field| field.message.as_str()).collect();
                    anyhow::anyhow!("the kubeconfig {}: {}", path.display(), why.join("; "))
                })?;
                let address = address(&endpoint.server)?;
                (text, address)
            }
            Self::Pod { folder, host, port } => (pod(folder)?, (host.clone(), *port)),
        };
        Ok(Way { address, access: Access { kubeconfig, identities: identities.map(str::to_owned) } })
    }
}

fn address(server: &str) -> anyhow::Result<(String, u16)> {
    let uri: Uri = server.parse().with_context(|| format!("“{server}” is no address"))?;
    let host = uri.host().context("the API server's address has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, uri.port_u16().unwrap_or(443)))
}

/// A kubeconfig with a pod's account in it.
fn pod(folder: &Path) -> anyhow::Result<String> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("the pod's account, {}", path.display()))
    };
    let (token, authority, namespace) = (read("token")?, read("ca.crt")?, read("namespace")?);
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "clusters": [{ "name": "own", "cluster": { "server": OWN_NAME, "certificate-authority-data": BASE64.encode(authority) } }],
        "users": [{ "name": "pod", "user": { "token": token.trim() } }],
        "contexts": [{ "name": "pod", "context": { "cluster": "own", "user": "pod", "namespace": namespace.trim() } }],
    })
    .to_string())
}

/// The way as it is, and as it becomes.
pub struct Ways {
    source: Source,
    identities: Option<String>,
    first: Way,
}

impl Ways {
    /// By a kubeconfig, or as the pod's account.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(kubeconfig: Option<PathBuf>, identities: Option<String>) -> anyhow::Result<Self> {
        let source = match kubeconfig {
            Some(path) => Source::File(path),
            None => {
                let (Ok(host), Ok(port)) =
                    (std::env::var("KUBERNETES_SERVICE_HOST"), std::env::var("KUBERNETES_SERVICE_PORT"))
                else {
                    bail!("no cluster: name one with --kubeconfig FILE, or run it in a pod")
                };
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let port = port.parse().context("KUBERNETES_SERVICE_PORT")?;
                Source::Pod { folder: ACCOUNT.into(), host, port }
            }
        };
        let first = source.read(identities.as_deref())?;
        Ok(Self { source, identities, first })
    }

    /// What is seen of it, and what keeps it.
    pub(super) fn split(self) -> (watch::Receiver<Way>, Keeper) {
        let (tell, ways) = watch::channel(self.first);
        (ways, Keeper { source: self.source, identities: self.identities, tell })
    }
}

/// Looks for new credentials.
pub(super) struct Keeper {
    source: Source,
    identities: Option<String>,
    tell: watch::Sender<Way>,
}

impl Keeper {
    fn look(&self) {
        match self.source.read(self.identities.as_deref()) {
            Ok(now) => {
                self.tell.send_if_modified(|way| {
                    let other = *way != now;
                    *way = now;
                    other
                });
            }
            // It may be read while it is written: the old one goes on.
            Err(e) => tracing::warn!(error = format!("{e:#}"), "the way to the cluster cannot be read"),
        }
    }

    pub(super) async fn keep(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_way_leads_to_the_api_server_alone() {
        for (server, want) in [
            ("https://10.0.0.1:6443", ("10.0.0.1", 6443)),
            ("https://api.example", ("api.example", 443)),
            ("https://[fd00::1]:6443/path", ("fd00::1", 6443)),
        ] {
            assert_eq!(address(server).unwrap(), (want.0.to_owned(), want.1), "{server}");
        }
    }

    #[test]
    fn a_token_that_is_renewed_is_handed_on() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("token", "one\n"), ("ca.crt", "CA"), ("namespace", "berth-agent")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let source = Source::Pod { folder: folder.path().to_owned(), host: "10.96.0.1".into(), port: 443 };
        let first = source.read(Some("berth-agent")).unwrap();
        assert_eq!(access_file::read(&first.access.kubeconfig).unwrap().server, OWN_NAME);
        assert_eq!(first.address, ("10.96.0.1".to_owned(), 443));
        let (mut ways, keeper) = Ways { source, identities: Some("berth-agent".into()), first }.split();
        keeper.look();
        assert!(!ways.has_changed().unwrap());
        std::fs::write(folder.path().join("token"), "two").unwrap();
        keeper.look();
        assert!(ways.has_changed().unwrap());
        assert!(ways.borrow_and_update().access.kubeconfig.contains("\"two\""));
        // What cannot be read changes nothing.
        std::fs::remove_file(folder.path().join("token")).unwrap();
        keeper.look();
        assert!(!ways.has_changed().unwrap());
    }
}
