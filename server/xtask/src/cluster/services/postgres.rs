//! A database with TLS: Debian's PostgreSQL as an instance of the cluster's own, run by Debian's user for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, attempt, ca},
};
use crate::{
    cluster::{kubectl, layout::Cluster},
    needs,
    shell::{output, run},
    workspace::Workspace,
};

const PORT: u16 = 5432;
const USER: &str = "berth";
const PASSWORD: &str = "postgres-for-tests";
/// It refuses to be root.
const OWNER: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];

/// It.
pub struct Postgres;

impl Kind for Postgres {
    fn build(&self, _: &Workspace) -> Result<PathBuf> {
        let initdb = needs::postgres()?;
        Ok(initdb.parent().context("initdb is in no folder")?.to_owned())
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        let values = [
            ("FOLDER", site.folder.display().to_string()),
            ("ADDRESS", site.address()),
            ("PORT", PORT.to_string()),
            ("USER", USER.to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
        ];
        for file in ["postgresql.conf", "pg_hba.conf", "setup.sql"] {
            site.fill(file, &values)?;
        }
        run(Command::new("chown").args(["--recursive", "--no-dereference", "postgres:postgres"]).arg(&site.folder))?;
        let data = site.file("data");
        if !Path::new(&data).exists() {
            // There whole or not at all.
            let unfinished = site.file("unfinished");
            let _ = fs::remove_dir_all(&unfinished);
            let mut initdb = as_owner(&site.program("initdb"));
            initdb.args([
                "--pgdata",
                &unfinished,
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ]);
            // Who may connect stands in our own file; said here only so that it does not warn.
            initdb.args(["--auth-local=peer", "--auth-host=reject"]);
            run(initdb.stdout(Stdio::null()))?;
            fs::rename(&unfinished, &data).context("cannot keep the new database")?;
        }
        // Left by one that was killed; in its cgroup nothing runs.
        let _ = fs::remove_file(Path::new(&data).join("postmaster.pid"));
        // Its own IPC namespace: one that is killed would leave shared memory to the machine.
        let place = site.place(&[&["unshare", "--ipc"], &OWNER[..]].concat());
        let settings = format!("--config-file={}", site.file("postgresql.conf"));
        let mut started = place.start(&site.program("postgres"), ["-D", &data, &settings])?;
        started.until("ready", Duration::from_secs(60), || {
            let mut asked = Command::new(site.program("pg_isready"));
            asked.args(["--quiet", "--host", &site.address(), "--port", &PORT.to_string()]);
            asked.status().is_ok_and(|status| status.success())
        })?;
        let mut psql = as_owner(&site.program("psql"));
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=postgres"]);
        psql.arg("--host").arg(&site.folder);
        run(psql.args(["--file", &site.file("setup.sql")]))
    }

    fn access(&self, cluster: &Cluster) -> Value {
        let (at, ca) = (cluster.around(), ca(cluster));
        json!({
            "url": format!("postgres://{USER}:{PASSWORD}@{at}:{PORT}/berth?sslmode=verify-full&sslrootcert={ca}"),
            "ca": ca,
            "user": USER,
            "password": PASSWORD,
        })
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        let url = site.access("url");
        let asks = |mut psql: Command, url: &str| {
            psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname", url]);
            attempt(psql.args(["--command", "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]))
        };
        let from_here = || Command::new(site.program("psql"));
        let pod = process_of_pod(site.cluster)?;
        let mut from_pod = Command::new("nsenter");
        from_pod.args(["--target", &pod, "--net"]).arg(site.program("psql"));
        for (what, psql) in [("this machine", from_here()), ("a pod's network", from_pod)] {
            let (done, said) = asks(psql, &url)?;
            if !done || said.trim() != "berth|t" {
                bail!("from {what} it answers {said:?}");
            }
        }
        for (what, other) in
            [("no TLS", url.replace("verify-full", "disable")), ("a wrong password", url.replace(PASSWORD, "wrong"))]
        {
            if asks(from_here(), &other)?.0 {
                bail!("it lets somebody in with {what}");
            }
        }
        Ok(())
    }
}

fn as_owner(program: &str) -> Command {
    let mut command = Command::new(OWNER[0]);
    command.args(&OWNER[1..]).arg(program).current_dir("/");
    command
}

/// A process in one of the trials' pods.
fn process_of_pod(cluster: &Cluster) -> Result<String> {
    let pods = kubectl::get(cluster, &["pods", "--selector", "app=web", "--field-selector", "spec.nodeName=node1"])?;
    let container = pods["items"][0]["status"]["containerStatuses"][0]["containerID"].as_str();
    let container = container.and_then(|id| id.strip_prefix("containerd://")).context("no pod on node1")?;
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(cluster.node("node1")?.socket()).args(["--namespace", "k8s.io", "tasks", "list"]);
    let tasks = String::from_utf8(output(&mut ctr)?)?;
    let task = tasks.lines().find(|line| line.starts_with(container)).context("its container does not run")?;
    task.split_whitespace().nth(1).map(str::to_owned).context("no process")
}
