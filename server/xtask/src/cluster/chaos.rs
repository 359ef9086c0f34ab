//! Trouble on demand with the control plane: its programs are stopped, frozen or slowed, and etcd's disk is full.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    cluster::{cgroups, control, kubectl, layout::Cluster, network, process},
    shell::{kill, output, say, step},
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
/// What slows a program is called so.
const BRAKE: &str = "brake";
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
        cgroups::program(&control_group(cluster), self.program())
    }

    fn running(self, cluster: &Cluster) -> Result<u32> {
        self.id(cluster)?.with_context(|| format!("{} of {} does not run", self.program(), cluster.name))
    }
}

fn control_group(cluster: &Cluster) -> String {
    format!("{}/control", cluster.cgroup())
}

/// It keeps its connections and answers nobody.
///
/// # Errors
/// It does not run.
pub fn freeze(cluster: &Cluster, part: Part) -> Result<()> {
    kill("STOP", &[part.running(cluster)?])
}

/// It answers, but stands still for most of each second.
///
/// # Errors
/// It does not run.
pub fn slow(cluster: &Cluster, part: Part) -> Result<()> {
    let pid = part.running(cluster)?;
    hurry(cluster, pid)?;
    let script = "while kill -STOP $1 2>/dev/null; do sleep $2; kill -CONT $1; sleep $3; done";
    let arguments = ["-c", script, BRAKE, &pid.to_string(), STANDS, GOES];
    let mut brake = control::place(cluster, BRAKE).start("sh", arguments)?;
    brake.until("working", PATIENCE, || stands(pid))
}

fn stands(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

/// Ends what slows that process.
fn hurry(cluster: &Cluster, pid: u32) -> Result<()> {
    // Its name and its first argument, as they stand in the command line.
    let its = format!("\0{BRAKE}\0{pid}\0");
    let is_it = |id: &u32| fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains(&its));
    let brakes =
        || -> Result<Vec<u32>> { Ok(cgroups::processes(&control_group(cluster))?.into_iter().filter(is_it).collect()) };
    let found = brakes()?;
    if found.is_empty() {
        return Ok(());
    }
    kill("KILL", &found)?;
    process::wait("the brake ends", PATIENCE, || Ok(brakes()?.is_empty()))
}

/// It goes on, at its own speed.
///
/// # Errors
/// It does not run.
pub fn thaw(cluster: &Cluster, part: Part) -> Result<()> {
    let pid = part.running(cluster)?;
    hurry(cluster, pid)?;
    kill("CONT", &[pid])
}

/// It ends at once, as in a crash.
///
/// # Errors
/// It does not end.
pub fn stop(cluster: &Cluster, part: Part) -> Result<()> {
    let Some(pid) = part.id(cluster)? else {
        say(&format!("{} is stopped already", part.program()));
        return Ok(());
    };
    step(&format!("Stopping {}", part.program()), || end(cluster, part, pid))
}

fn end(cluster: &Cluster, part: Part, pid: u32) -> Result<()> {
    hurry(cluster, pid)?;
    kill("KILL", &[pid])?;
    process::wait("it ends", PATIENCE, || Ok(part.id(cluster)?.is_none()))
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
    end(cluster, Part::Etcd, Part::Etcd.running(cluster)?)?;
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
