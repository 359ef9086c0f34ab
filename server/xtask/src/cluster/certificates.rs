//! The cluster's authority, its components' certificates and the kubeconfigs made of them. They live as long as the cluster.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::cluster::layout::Cluster;

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What others trust.
    pub pem: String,
}

/// A certificate and its key.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No randomness.
    pub fn generate() -> Result<Self> {
        let (params, key) = (Self::params(), KeyPair::generate()?);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// One that was kept as `ca.crt` and `ca.key`.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        Ok(Self { issuer: Issuer::new(Self::params(), KeyPair::from_pem(&text("ca.key")?)?), pem: text("ca.crt")? })
    }

    /// The same for every authority but for the key.
    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = called(&[(DnType::CommonName, "test-cluster")]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params
    }

    /// Its own key, for the controller manager that signs in its name.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a user `name` in `group`, who may also serve as `hosts` (names and addresses).
    ///
    /// # Errors
    /// A host is no host.
    pub fn identity(&self, name: &str, group: Option<&str>, hosts: &[String]) -> Result<Identity> {
        let mut params = CertificateParams::new(hosts.to_vec())?;
        let group = group.map(|group| (DnType::OrganizationName, group));
        params.distinguished_name = called(&group.into_iter().chain([(DnType::CommonName, name)]).collect::<Vec<_>>());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// A kubeconfig for `who`, whole in itself so that it may be copied elsewhere.
    pub fn kubeconfig(&self, cluster: &Cluster, who: &Identity) -> String {
        let [ca, certificate, key] = [&self.pem, &who.certificate, &who.key].map(|pem| STANDARD.encode(pem));
        let (name, url) = (&cluster.name, cluster.url());
        format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: {name}, cluster: {{server: \"{url}\", certificate-authority-data: {ca}}}}}]
users: [{{name: {name}, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}]
contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]
current-context: {name}
"
        )
    }
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        write(&folder.join(format!("{name}.crt")), &self.certificate)?;
        write(&folder.join(format!("{name}.key")), &self.key)
    }
}

/// What signs the tokens of service accounts, and what checks them.
///
/// # Errors
/// No randomness, or the files cannot be written.
pub fn token_keys(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    write(&folder.join("tokens.key"), &key.serialize_pem())?;
    write(&folder.join("tokens.pub"), &key.public_key_pem())
}

/// Writes a file that root alone reads.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}

fn called(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), *value);
    }
    name
}
