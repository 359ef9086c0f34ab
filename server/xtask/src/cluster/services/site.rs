//! Where a service runs, and what all of them do alike.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::{
        binary::{self, read},
        blanks::filled,
        certificates::{Authority, Identity, write},
        cgroups,
        layout::Cluster,
        network,
        process::Place,
        services::Service,
    },
    shell::line,
    workspace::Workspace,
};

/// One service of one cluster.
pub struct Site<'a> {
    /// Where its sources and settings are.
    pub workspace: &'a Workspace,
    /// Around which it stands.
    pub cluster: &'a Cluster,
    /// Its own folder.
    pub folder: PathBuf,
    service: Service,
}

impl<'a> Site<'a> {
    /// Its folder, with its programs and its certificate.
    ///
    /// # Errors
    /// Files cannot be written.
    pub fn prepare(workspace: &'a Workspace, cluster: &'a Cluster, service: Service, programs: &Path) -> Result<Self> {
        let folder = service.folder(cluster);
        fs::create_dir_all(folder.join("log"))?;
        let bin = folder.join("bin");
        // One that ended is started anew, perhaps of another version.
        let _ = fs::remove_file(&bin);
        symlink(programs, &bin).with_context(|| format!("cannot make {}", bin.display()))?;
        cgroups::create(&service.cgroup(cluster))?;
        let site = Self { workspace, cluster, folder, service };
        let hosts = [site.address(), format!("{}.berth.test", service.name())];
        site.identity(service.name(), &hosts)?.write(&site.folder, "tls")?;
        Ok(site)
    }

    /// Of one that was started.
    ///
    /// # Errors
    /// It was not.
    pub fn find(workspace: &'a Workspace, cluster: &'a Cluster, service: Service) -> Result<Self> {
        let folder = service.folder(cluster);
        if !folder.exists() {
            bail!("the service {} was not started", service.name());
        }
        Ok(Self { workspace, cluster, folder, service })
    }

    /// A certificate of the cluster's authority.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn identity(&self, name: &str, hosts: &[String]) -> Result<Identity> {
        Authority::read(&self.cluster.path("pki"))?.identity(name, None, hosts)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.cluster.around()
    }

    /// A file in its folder, as text.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A file that stands in the sources.
    pub fn source(&self, name: &str) -> PathBuf {
        sources(self.workspace, self.service.name()).join(name)
    }

    /// One of its programs.
    pub fn program(&self, name: &str) -> String {
        self.folder.join("bin").join(name).display().to_string()
    }

    /// One thing of how to get in.
    pub fn access(&self, key: &str) -> String {
        self.service.kind().access(self.cluster)[key].as_str().unwrap_or_default().to_owned()
    }

    /// Writes one of its settings: the source of that name with `${…}` filled in.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn fill(&self, name: &str, values: &[(&str, String)]) -> Result<()> {
        let text = String::from_utf8(read(&self.source(name))?)?;
        write(&self.folder.join(name), &filled(&text, values)?)
    }

    /// Where it runs: in the control plane's network, with what else comes before the program.
    pub fn place(&self, before: &[&str]) -> Place {
        let mut inside = network::inside(&self.cluster.netns());
        inside.extend(before.iter().map(|word| (*word).to_owned()));
        Place {
            cgroup: self.service.cgroup(self.cluster),
            inside,
            log: self.folder.join("log").join(format!("{}.log", self.service.name())),
        }
    }

    /// Starts a program and waits until it listens on `port`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn serve(&self, before: &[&str], program: &str, arguments: &[&str], port: u16) -> Result<()> {
        let mut started = self.place(before).start(program, arguments)?;
        let at = format!("{}:{port}", self.address());
        started.until("listening", Duration::from_secs(60), || TcpStream::connect(&at).is_ok())
    }

    /// `curl` that trusts the cluster's authority.
    pub fn curl(&self, arguments: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert"]);
        curl.arg(ca(self.cluster)).args(arguments);
        curl
    }
}

/// What signs all services' certificates.
pub fn ca(cluster: &Cluster) -> String {
    cluster.path("pki/ca.crt").display().to_string()
}

/// Where a service's sources are.
pub fn sources(workspace: &Workspace, service: &str) -> PathBuf {
    workspace.path(binary::SOURCES).join("services").join(service)
}

/// Builds a Go program of a module in the sources, unless that is done: the folder that has it, under the service's name.
///
/// # Errors
/// Go fails.
pub fn go_program(workspace: &Workspace, service: &str, package: &str) -> Result<PathBuf> {
    let doing = format!("Building the service {service} (the first time this takes minutes)");
    binary::go_program(&format!("service-{service}"), &doing, &sources(workspace, service), package, service)
}

/// What a command prints, on both its outputs, and whether it succeeded: for trials of what shall fail.
///
/// # Errors
/// It cannot be started.
pub fn attempt(command: &mut Command) -> Result<(bool, String)> {
    let said = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", line(command)))?;
    let text = [said.stdout, said.stderr].concat();
    Ok((said.status.success(), String::from_utf8_lossy(&text).into_owned()))
}
