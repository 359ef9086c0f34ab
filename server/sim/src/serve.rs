//! The API over TLS on a socket, and the kubeconfig that reaches it.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::sim::{Error, Sim};

/// The cluster's certificate authority. It lives as long as the state, so that a kubeconfig does, too.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Authority {
    key_pem: String,
    /// Its certificate, which clients trust.
    pub certificate_pem: String,
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error(format!("TLS: {error}"))
}

impl Authority {
    pub fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(fault)?;
        let certificate = Self::params().self_signed(&key).map_err(fault)?;
        Ok(Self { key_pem: key.serialize_pem(), certificate_pem: certificate.pem() })
    }

    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params
    }

    /// A server's certificate for `ip` and the names that a cluster's API has.
    fn server_config(&self, ip: IpAddr) -> Result<Arc<rustls::ServerConfig>, Error> {
        let issuer = Issuer::new(Self::params(), KeyPair::from_pem(&self.key_pem).map_err(fault)?);
        let key = KeyPair::generate().map_err(fault)?;
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let mut params = CertificateParams::new(names.map(str::to_owned)).map_err(fault)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        for ip in [ip, IpAddr::from([127, 0, 0, 1])] {
            params.subject_alt_names.push(SanType::IpAddress(ip));
        }
        let certificate = params.signed_by(&key, &issuer).map_err(fault)?;
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(fault)?
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
                .map_err(fault)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A running listener. Dropping it stops it.
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    ca_pem: String,
    token: String,
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Serving {
    /// A kubeconfig that reaches the cluster as administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: berth-sim\n  cluster:\n    server: https://{}\n    certificate-authority-data: {}\nusers:\n- name: kubernetes-admin\n  user:\n    token: {}\ncontexts:\n- name: berth-sim\n  context:\n    cluster: berth-sim\n    user: kubernetes-admin\ncurrent-context: berth-sim\n",
            self.address,
            STANDARD.encode(&self.ca_pem),
            self.token,
        )
    }

    /// Writes the kubeconfig, readable by its owner alone, in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), Error> {
        use std::io::Write as _;
        let fault = |error: std::io::Error| Error(format!("{}: {error}", path.display()));
        let draft = path.with_extension("tmp");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft).map_err(fault)?;
        file.write_all(self.kubeconfig().as_bytes()).map_err(fault)?;
        std::fs::rename(&draft, path).map_err(fault)
    }

    /// Waits until the listener ends, which it does only by being dropped.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Sim {
    /// Serves the API over TLS. Port 0 picks a free one.
    ///
    /// # Errors
    /// When the address is taken or no certificate can be made.
    pub async fn serve_tls(&self, address: SocketAddr) -> Result<Serving, Error> {
        let config = self.authority().server_config(address.ip())?;
        let listener =
            TcpListener::bind(address).await.map_err(|error| Error(format!("cannot listen on {address}: {error}")))?;
        let address = listener.local_addr().map_err(fault)?;
        let acceptor = TlsAcceptor::from(config);
        let router = self.network_service();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let acceptor = acceptor.clone();
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http1().half_close(true);
                    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
        });
        let ca_pem = self.authority().certificate_pem.clone();
        Ok(Serving { address, ca_pem, token: self.admin_token().to_owned(), task })
    }
}
