//! Starting what runs in a cluster, and waiting for it.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::cluster::cgroups;

/// Where something runs.
pub struct Place {
    /// Its cgroup, relative to a hierarchy's root.
    pub cgroup: String,
    /// What comes before the program: `nsenter`, say.
    pub inside: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Something that was started and outlives us.
pub struct Started {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Place {
    /// Starts a program there, in a session of its own so that a Ctrl-C here does not reach it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Result<Started> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(cgroups::entrance(&self.cgroup)?);
        command.args(&self.inside).arg(program).args(arguments);
        // A proxy or a kubeconfig of the caller's is none of the cluster's.
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root");
        command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Started { name, log: self.log.clone(), child })
    }
}

impl Started {
    /// Its process: the same from the first program to the last, as each becomes the next.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it does what it is for.
    ///
    /// # Errors
    /// It ended, or took too long: the message says where its log is.
    pub fn until(&mut self, what: &str, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}); its log: {}{}", self.name, self.log.display(), tail(&self.log));
            }
            if started.elapsed() > limit {
                bail!(
                    "{} is not {what} after {limit:?}; its log: {}{}",
                    self.name,
                    self.log.display(),
                    tail(&self.log)
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// Asks until it is so. That asking fails is no answer: a busy API server may not take a connection for a moment.
///
/// # Errors
/// It took too long; why asking failed at last, if it did.
pub fn wait(what: &str, limit: Duration, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = so();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if started.elapsed() > limit {
            let late = format!("{what}: not after {limit:?}");
            return match answer {
                Err(error) => Err(error.context(late)),
                Ok(_) => bail!(late),
            };
        }
        // As long as asking took: a machine that has much to do is not kept from it by being asked.
        thread::sleep(asked.elapsed().max(Duration::from_millis(200)));
    }
}

/// The last lines of a log, to show with an error.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.iter().rev().map(|line| format!("\n    {line}")).collect()
}
