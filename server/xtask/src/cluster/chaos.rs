//! Trouble on demand with the control plane: its programs are stopped, frozen or slowed, and etcd's disk is full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    cluster::{cgroups, control, kubectl, layout::Cluster, network, process},
    shell::{output, run, say, step},
};

/// A program of the control plane that trouble may be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The API server.
    ApiServer,
    /// The API server's database.
    Etcd,
}

/// How long a program may take to end or to come up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of each second, for how long a slowed program stands still.
const STANDS: &str = "0.9";
const GOES: &str = "0.1";
/// Bytes that etcd may keep once its disk is full: less than any cluster has.
const NOTHING: u64 = 1;

impl Part {
    fn program(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::Etcd => "etcd",
        }
    }

    fn id(self, cluster: &Cluster) -> Result<Option<u32>> {
        let all = cgroups::processes(&format!("{}/control", cluster.cgroup()))?;
        let is_it =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == self.program());
        Ok(all.into_iter().find(is_it))
    }

    fn running(self, cluster: &Cluster) -> Result<u32> {
        self.id(cluster)?.with_context(|| format!("{} of {} does not run", self.program(), cluster.name))
    }
}

fn signal(pid: u32, signal: &str) -> Result<()> {
    run(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()))
}

/// It keeps its connections and answers nobody.
///
/// # Errors
/// It does not run.
pub fn freeze(cluster: &Cluster, part: Part) -> Result<()> {
    signal(part.running(cluster)?, "STOP")
}

/// It answers, but stands still for most of each second.
///
/// # Errors
/// It does not run.
pub fn slow(cluster: &Cluster, part: Part) -> Result<()> {
    let pid = part.running(cluster)?.to_string();
    hurry(cluster, part)?;
    let script = "while kill -STOP $1 2>/dev/null; do sleep $2; kill -CONT $1; sleep $3; done";
    let mut brake = control::place(cluster, "brake").start("sh", ["-c", script, "brake", &pid, STANDS, GOES])?;
    let file = brake_file(cluster, part);
    fs::write(&file, brake.id().to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    brake.until("working", PATIENCE, || stands(&pid))
}

fn stands(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

fn brake_file(cluster: &Cluster, part: Part) -> PathBuf {
    cluster.path(&format!("control/brake-{}", part.program()))
}

/// Ends what slows it.
fn hurry(cluster: &Cluster, part: Part) -> Result<()> {
    let file = brake_file(cluster, part);
    let Ok(pid) = fs::read_to_string(&file) else { return Ok(()) };
    let ours = |pid: &str| Path::new("/proc").join(pid).join("cmdline");
    if fs::read_to_string(ours(&pid)).is_ok_and(|line| line.contains("brake")) {
        signal(pid.parse()?, "KILL")?;
        process::wait("the brake ends", PATIENCE, || Ok(!ours(&pid).exists()))?;
    }
    Ok(fs::remove_file(file)?)
}

/// It goes on, at its own speed.
///
/// # Errors
/// It does not run.
pub fn thaw(cluster: &Cluster, part: Part) -> Result<()> {
    hurry(cluster, part)?;
    signal(part.running(cluster)?, "CONT")
}

/// It ends at once, as in a crash.
///
/// # Errors
/// It does not end.
pub fn stop(cluster: &Cluster, part: Part) -> Result<()> {
    hurry(cluster, part)?;
    let Some(pid) = part.id(cluster)? else {
        say(&format!("{} is stopped already", part.program()));
        return Ok(());
    };
    step(&format!("Stopping {}", part.program()), || {
        signal(pid, "KILL")?;
        process::wait("it ends", PATIENCE, || Ok(part.id(cluster)?.is_none()))
    })
}

/// It runs again.
///
/// # Errors
/// It does not come up.
pub fn start(cluster: &Cluster, part: Part) -> Result<()> {
    if part.id(cluster)?.is_some() {
        say(&format!("{} runs already", part.program()));
        return Ok(());
    }
    step(&format!("Starting {}", part.program()), || {
        match part {
            Part::ApiServer => drop(control::start_api_server(cluster)?),
            Part::Etcd => start_etcd(cluster, None)?,
        }
        ready(cluster)
    })
}

fn start_etcd(cluster: &Cluster, quota: Option<u64>) -> Result<()> {
    let mut etcd = control::start_etcd(cluster, quota)?;
    etcd.until("answering", PATIENCE, || {
        let Ok(mut command) = asking_etcd(cluster, &json!({ "action": "GET" })) else { return false };
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

fn ready(cluster: &Cluster) -> Result<()> {
    // Where the other one is stopped, too, there is nothing to wait for.
    let whole = Part::ApiServer.id(cluster)?.is_some() && Part::Etcd.id(cluster)?.is_some();
    process::wait("the API server is ready", PATIENCE, || Ok(!whole || kubectl::ready(cluster)))
}

/// etcd takes nothing more, as if its disk were full: it refuses all that is new until it is emptied.
///
/// # Errors
/// It does not come up.
pub fn fill(cluster: &Cluster) -> Result<()> {
    step("Filling etcd's disk", || restart_etcd(cluster, Some(NOTHING)))
}

/// There is room again.
///
/// # Errors
/// It does not come up, or does not take its alarm back.
pub fn empty(cluster: &Cluster) -> Result<()> {
    step("Making room on etcd's disk", || {
        restart_etcd(cluster, None)?;
        // It refuses until somebody says that the trouble is over.
        for alarm in alarms(cluster)?.as_array().into_iter().flatten() {
            let taken_back = json!({ "action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": alarm["alarm"] });
            ask_etcd(cluster, &taken_back)?;
        }
        match alarms(cluster)? {
            Value::Null => Ok(()),
            left => bail!("etcd still has alarms: {left}"),
        }
    })
}

fn restart_etcd(cluster: &Cluster, quota: Option<u64>) -> Result<()> {
    signal(Part::Etcd.running(cluster)?, "KILL")?;
    process::wait("etcd ends", PATIENCE, || Ok(Part::Etcd.id(cluster)?.is_none()))?;
    start_etcd(cluster, quota)?;
    ready(cluster)
}

fn alarms(cluster: &Cluster) -> Result<Value> {
    Ok(ask_etcd(cluster, &json!({ "action": "GET" }))?["alarms"].take())
}

fn ask_etcd(cluster: &Cluster, what: &Value) -> Result<Value> {
    Ok(serde_json::from_slice(&output(&mut asking_etcd(cluster, what)?)?)?)
}

/// Its gateway speaks JSON; kubectl, which is there in any case, brings it along.
fn asking_etcd(cluster: &Cluster, what: &Value) -> Result<Command> {
    let file = cluster.path("control/alarm.json");
    fs::write(&file, what.to_string())?;
    let inside = network::inside(&cluster.netns());
    let mut command = Command::new(&inside[0]);
    command.args(&inside[1..]).arg(cluster.program("kubectl"));
    command.args(["--server=http://127.0.0.1:2379", "create", "--raw=/v3/maintenance/alarm", "--filename"]).arg(&file);
    Ok(command)
}
