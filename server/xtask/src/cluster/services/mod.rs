//! What stands around a cluster, started by name: servers that a portal, its people and its pods talk to. Each is a process of
//! the cluster's at one address that nodes, pods and this machine reach; `services.json` tells tests how to get in.

mod mail;
mod oidc;
mod postgres;
mod prometheus;
mod registry;
mod s3;
mod site;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::{
    cluster::{
        certificates::write,
        cgroups,
        layout::{Cluster, Node},
        services::site::Site,
    },
    shell::{say, step},
    workspace::Workspace,
};

/// A service. Its name is its folder's, in `end2end/cluster/services` and in the cluster's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// An OCI registry with TLS and a password: distribution.
    Registry,
    /// Object storage as S3 has it: versitygw.
    S3,
    /// An OpenID provider with the tests' people: oidc-provider.
    Oidc,
    /// A database with TLS: Debian's PostgreSQL.
    Postgres,
    /// Metrics of nodes, containers and pods: Prometheus and node-exporter.
    Prometheus,
    /// A mail server that keeps what it is sent.
    Mail,
}

/// What each of them brings.
trait Kind {
    /// Finds, installs or builds its programs: the folder that has them.
    fn build(&self, workspace: &Workspace) -> Result<PathBuf>;
    /// Starts it and waits until it answers. Its folder has the programs as `bin`.
    fn start(&self, site: &Site<'_>) -> Result<()>;
    /// How to get in: `url`, `user`, `password`, `ca` and what else there is.
    fn access(&self, cluster: &Cluster) -> Value;
    /// Tries what it is for.
    fn works(&self, site: &Site<'_>) -> Result<()>;
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::S3 => "s3",
            Self::Oidc => "oidc",
            Self::Postgres => "postgres",
            Self::Prometheus => "prometheus",
            Self::Mail => "mail",
        }
    }

    fn kind(self) -> &'static dyn Kind {
        match self {
            Self::Registry => &registry::Registry,
            Self::S3 => &s3::S3,
            Self::Oidc => &oidc::Oidc,
            Self::Postgres => &postgres::Postgres,
            Self::Prometheus => &prometheus::Prometheus,
            Self::Mail => &mail::Mail,
        }
    }

    fn folder(self, cluster: &Cluster) -> PathBuf {
        cluster.path("services").join(self.name())
    }

    fn cgroup(self, cluster: &Cluster) -> String {
        format!("{}/services/{}", cluster.cgroup(), self.name())
    }

    fn runs(self, cluster: &Cluster) -> Result<bool> {
        Ok(!cgroups::processes(&self.cgroup(cluster))?.is_empty())
    }

    /// As `services.json` has it.
    fn described(self, cluster: &Cluster) -> Value {
        let mut access = self.kind().access(cluster);
        access["log"] = Value::from(self.folder(cluster).join("log").display().to_string());
        access
    }
}

/// Builds what they need, unless that is done.
///
/// # Errors
/// Something cannot be built or installed.
pub fn build(workspace: &Workspace, all: &[Service]) -> Result<()> {
    all.iter().try_for_each(|service| service.kind().build(workspace).map(drop))
}

/// Starts those that do not run.
///
/// # Errors
/// One does not come up.
pub fn start(workspace: &Workspace, cluster: &Cluster, all: &[Service]) -> Result<()> {
    for service in all {
        let programs = service.kind().build(workspace)?;
        if service.runs(cluster)? {
            say(&format!("The service {} runs already", service.name()));
            continue;
        }
        step(&format!("Starting the service {}", service.name()), || {
            let site = Site::prepare(workspace, cluster, *service, &programs)?;
            service.kind().start(&site)?;
            write_list(cluster)
        })?;
    }
    if !all.is_empty() {
        say(&format!("How to get in: {}", list(cluster).display()));
    }
    Ok(())
}

/// A node is on again: starts what runs on it.
///
/// # Errors
/// It cannot be started.
pub fn node_on(node: Node<'_>) -> Result<()> {
    if Service::Prometheus.runs(node.cluster)? {
        prometheus::export(node, &Service::Prometheus.folder(node.cluster))?;
    }
    Ok(())
}

/// Tries each, as its users would.
///
/// # Errors
/// One does not do what it is for.
pub fn work(workspace: &Workspace, cluster: &Cluster, all: &[Service]) -> Result<()> {
    all.iter().try_for_each(|service| {
        step(&format!("What the service {} is for", service.name()), || {
            service.kind().works(&Site::find(workspace, cluster, *service)?)
        })
    })
}

/// Prints those that were started.
///
/// # Errors
/// The cgroups cannot be read.
pub fn print(cluster: &Cluster) -> Result<()> {
    let mut listed = false;
    for service in started(cluster) {
        if !listed {
            println!("services    {}", list(cluster).display());
            listed = true;
        }
        let power = if service.runs(cluster)? { "on " } else { "off" };
        let access = service.described(cluster);
        let text = |key: &str| access[key].as_str().unwrap_or_default().to_owned();
        // Without what a program wants to know beside the address.
        let url = text("url").split('?').next().unwrap_or_default().to_owned();
        let (user, password, log) = (text("user"), text("password"), text("log"));
        println!("{:<11} {power} {url:<32} {user:<6} {password:<19} {log}", service.name());
    }
    Ok(())
}

fn started(cluster: &Cluster) -> impl Iterator<Item = Service> {
    Service::value_variants().iter().copied().filter(|service| service.folder(cluster).exists())
}

fn list(cluster: &Cluster) -> PathBuf {
    cluster.path("services.json")
}

fn write_list(cluster: &Cluster) -> Result<()> {
    let all: Map<_, _> =
        started(cluster).map(|service| (service.name().to_owned(), service.described(cluster))).collect();
    write(&list(cluster), &format!("{:#}\n", Value::Object(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for service in Service::value_variants() {
            assert_eq!(service.to_possible_value().unwrap().get_name(), service.name());
        }
    }

    #[test]
    fn each_has_an_address_that_is_its_own() {
        let cluster = Cluster { name: "a".to_owned(), slot: 1 };
        let urls: std::collections::BTreeSet<_> = Service::value_variants()
            .iter()
            .map(|service| service.kind().access(&cluster)["url"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(urls.len(), Service::value_variants().len());
        assert!(urls.iter().all(|url| url.contains("172.31.254.20:")), "{urls:?}");
    }
}
