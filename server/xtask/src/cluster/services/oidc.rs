//! An OpenID provider: npm's certified oidc-provider with the tests' people (`end2end/cluster/services/oidc`).

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, ca, sources},
};
use crate::{
    cluster::{
        binary::{kept, read},
        layout::Cluster,
    },
    needs,
    shell::{run, which},
    workspace::Workspace,
};

const PORT: u16 = 8443;
const USER: &str = "berth";
const PASSWORD: &str = "oidc-for-tests";
/// What is kept beside the packages, so that it finds them.
const FILES: [&str; 6] = ["package.json", "package-lock.json", "accounts.json", "pages.mjs", "provider.mjs", "try.mjs"];

/// It.
pub struct Oidc;

impl Kind for Oidc {
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        needs::npm()?;
        let from = sources(workspace, "oidc");
        let files: Vec<_> = FILES.iter().map(|name| read(&from.join(name))).collect::<Result<_>>()?;
        let parts: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        kept("service-oidc", &parts, "Installing the packages of the service oidc: npm ci", |folder| {
            for (name, content) in FILES.iter().zip(&files) {
                fs::write(folder.join(name), content)?;
            }
            let mut npm = Command::new("npm");
            npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
            run(npm.stdout(Stdio::null()))
        })
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        let (program, issuer) = (site.program("provider.mjs"), site.access("url"));
        let (certificate, key) = (site.file("tls.crt"), site.file("tls.key"));
        let mut arguments = vec![program.as_str(), "--issuer", &issuer, "--certificate", &certificate, "--key", &key];
        arguments.extend(["--client", USER, "--secret", PASSWORD]);
        site.serve(&[], &node()?, &arguments, PORT)
    }

    fn access(&self, cluster: &Cluster) -> Value {
        let password = |name: &str| format!("{name}-for-tests");
        json!({
            "url": format!("https://{}:{PORT}", cluster.around()),
            "ca": ca(cluster),
            "user": USER,
            "password": PASSWORD,
            "accounts": {"ada": password("ada"), "grace": password("grace"), "mallory": password("mallory")},
        })
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        let mut attempt = Command::new(node()?);
        attempt.arg(site.program("try.mjs")).args([&site.access("url"), USER, PASSWORD]);
        run(attempt.env("NODE_EXTRA_CA_CERTS", ca(site.cluster)))
    }
}

fn node() -> Result<String> {
    Ok(which("node").context("Node.js is gone")?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_those_of_the_provider() {
        let accounts = include_str!("../../../../../end2end/cluster/services/oidc/accounts.json");
        let accounts: Value = serde_json::from_str(accounts).unwrap();
        let passwords = accounts.as_object().unwrap().iter().map(|(name, it)| (name.clone(), it["password"].clone()));
        let listed = Oidc.access(&Cluster { name: "a".to_owned(), slot: 0 });
        assert_eq!(listed["accounts"], Value::Object(passwords.collect()));
    }
}
