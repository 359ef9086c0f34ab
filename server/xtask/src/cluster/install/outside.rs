//! Berth outside of the cluster: a person's kubeconfig is enough, if the person has the rights that OPERATIONS.md lists.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{APP, Check, HOST, PASSWORD, PATIENCE, RELEASE, portal::Portal, sqlite};
use crate::{
    cluster::{
        certificates::{Authority, write},
        kubectl,
        layout::Cluster,
        process,
    },
    shell::{kill, output, run as run_command, step},
};

/// Whose kubeconfig it is.
const PERSON: &str = "paula";
/// The chart's roles for one that is everything to the cluster that Berth is.
const ROLES: [&str; 3] = ["reader", "controller", "writer"];
const RBAC: &str = "templates/rbac.yaml";

/// `berth`, as it is in the image, on this machine.
pub(super) struct Outside {
    /// The unpacked image, the database, a person's kubeconfig.
    folder: PathBuf,
    /// The cluster that it is told of.
    own: (&'static str, OsString),
    server: Option<Child>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Check<'_> {
    /// Signs in to a portal that runs beside the cluster and does the main job there; the app outlives it.
    pub(super) fn outside(&self, image: &Path, tenant: &str) -> Result<()> {
        let roles = self.release.template(&sqlite(), RBAC)?;
        kubectl::apply(self.cluster, &roles)?;
        kubectl::apply(self.cluster, &bindings().to_string())?;
        let done = step("Outside of the cluster, with a person's kubeconfig", || {
            let mut outside = Outside::of_a_person(self.cluster, image)?;
            let (mut portal, one_time) = outside.serve()?;
            portal.sign_in("admin", &one_time, PASSWORD)?;
            portal.token = outside.berth(&["admin", "create-token", "admin"])?.trim().to_owned();
            portal.create_tenant(tenant)?;
            portal.deploy(tenant, APP)?;
            portal.until_ready(tenant, APP)?;
            eprint!("{}", outside.berth(&["doctor"])?);
            outside.stop()
        });
        // They would be in the way of the next install.
        for objects in [bindings().to_string(), roles] {
            kubectl::delete(self.cluster, &objects)?;
        }
        done
    }
}

impl Outside {
    /// One that knows the cluster by a person's kubeconfig.
    fn of_a_person(cluster: &Cluster, image: &Path) -> Result<Self> {
        let folder = cluster.path("outside");
        let kubeconfig = folder.join("kubeconfig");
        let outside = Self { folder, own: ("BERTH_KUBECONFIG", kubeconfig.clone().into()), server: None };
        outside.unpack(image)?;
        let authority = Authority::read(&cluster.path("pki"))?;
        let person = authority.identity(PERSON, None, &[])?;
        write(&kubeconfig, &authority.kubeconfig(cluster, &person))?;
        Ok(outside)
    }

    /// One that has a cluster of its own, in itself, and does not know this one.
    pub(super) fn elsewhere(cluster: &Cluster, image: &Path) -> Result<Self> {
        let outside = Self { folder: cluster.path("elsewhere"), own: ("BERTH_SIM", "true".into()), server: None };
        outside.unpack(image)?;
        Ok(outside)
    }

    /// Lays the image's files out in its folder, which holds nothing else.
    fn unpack(&self, image: &Path) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("cannot empty {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        unpack(image, &self.folder)
    }

    /// Its own folder is its home, too: nothing of the caller's is found there.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("berth"));
        command.args(arguments).arg("--data").arg(self.folder.join("data"));
        command.env_clear().env("HOME", &self.folder).env("BERTH_SITE", self.folder.join("site"));
        command.env(self.own.0, &self.own.1).current_dir(&self.folder);
        command
    }

    pub(super) fn berth(&self, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8(output(&mut self.command(arguments))?)?)
    }

    /// Starts it behind a proxy that ends TLS, as far as it can tell: the way to it, and the first admin's password.
    pub(super) fn serve(&mut self) -> Result<(Portal, String)> {
        let log = self.folder.join("log");
        let said = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut serve = self.command(&["serve", "--listen", "127.0.0.1:0", "--secure", "true"]);
        serve.stdin(Stdio::null()).stderr(said.try_clone()?).stdout(said);
        let server = self.server.insert(serve.spawn().context("cannot start berth")?);
        let mut found = None;
        let mut ended = None;
        process::wait("berth serves", PATIENCE, || {
            ended = server.try_wait()?;
            found = greeting(&fs::read_to_string(&log)?);
            Ok(found.is_some() || ended.is_some())
        })?;
        if let Some(status) = ended {
            bail!("berth ended ({status}):\n{}", fs::read_to_string(&log)?);
        }
        let (address, password) = found.context("berth said nothing")?;
        let address = address.parse().with_context(|| format!("{address} is no address"))?;
        Ok((Portal { address, host: HOST.to_owned(), token: String::new() }, password))
    }

    /// As a machine that is switched off would.
    pub(super) fn stop(&mut self) -> Result<()> {
        let mut server = self.server.take().context("berth does not run")?;
        kill("TERM", &[server.id()])?;
        process::wait("berth ended", PATIENCE, || Ok(server.try_wait()?.is_some()))?;
        let status = server.wait()?;
        if status.success() { Ok(()) } else { bail!("berth ended with {status}") }
    }
}

/// Where it listens and the one-time password, once it has said both.
fn greeting(log: &str) -> Option<(String, String)> {
    let after = |words: &str| log.lines().find_map(|line| line.split_once(words)).map(|(_, rest)| rest.to_owned());
    Some((after(" listens on http://")?, after("one-time password: ")?))
}

/// Lays an image's files out in a folder.
fn unpack(image: &Path, folder: &Path) -> Result<()> {
    let tar = |archive: &Path| {
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--file").arg(archive);
        tar
    };
    let manifest: Value = serde_json::from_slice(&output(tar(image).args(["--to-stdout", "manifest.json"]))?)?;
    let layers = manifest[0]["Layers"].as_array().context("the image has no layers")?;
    for layer in layers.iter().filter_map(Value::as_str) {
        run_command(tar(image).arg("--directory").arg(folder).arg(layer))?;
        let layer = folder.join(layer);
        run_command(tar(&layer).arg("--directory").arg(folder))?;
        fs::remove_file(&layer).with_context(|| format!("cannot remove {}", layer.display()))?;
    }
    Ok(())
}

/// Gives the person what the chart gives to accounts.
fn bindings() -> Value {
    let subjects = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": PERSON}]);
    let binding = |kind: &str, role: &str, name: &str, namespace: Option<&str>| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": format!("{PERSON}-{name}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": format!("{RELEASE}-{name}")},
            "subjects": subjects,
        })
    };
    let everywhere = ROLES.iter().map(|role| binding("ClusterRoleBinding", "ClusterRole", role, None));
    let lease = binding("RoleBinding", "Role", "controller", Some("kube-system"));
    json!({"apiVersion": "v1", "kind": "List", "items": everywhere.chain([lease]).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_is_read() {
        let log = "INFO starting\nberth 0.1.0 listens on http://127.0.0.1:4242\nfirst admin: admin\n";
        assert_eq!(greeting(log), None);
        let log = format!("{log}one-time password: a-b-c\n");
        assert_eq!(greeting(&log), Some(("127.0.0.1:4242".to_owned(), "a-b-c".to_owned())));
    }

    #[test]
    fn a_person_gets_the_roles_of_the_chart() {
        let all = bindings();
        let names = |kind: &str| {
            let of_kind = all["items"].as_array().into_iter().flatten().filter(|it| it["kind"] == kind);
            of_kind.filter_map(|it| it["roleRef"]["name"].as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names("ClusterRoleBinding"), ["berth-reader", "berth-controller", "berth-writer"]);
        assert_eq!(names("RoleBinding"), ["berth-controller"]);
    }
}
