//! `cluster check`: a cluster of its own is started, used and stopped, and the machine is as before.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::{
        cgroups, down,
        layout::Cluster,
        services, trials, up,
        with::{self, Extra},
    },
    shell::{output, say, step},
    workspace::Workspace,
};

/// Its name: one that nobody else uses.
const NAME: &str = "check";
/// How long the kernel may take to clear away a namespace whose last process is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is on the machine that a cluster could leave behind.
type Picture = BTreeSet<String>;

/// Does it.
///
/// # Errors
/// The cluster does not do what it should, or something stays.
pub fn run(workspace: &Workspace, with: &[Extra]) -> Result<()> {
    let (addons, around) = with::split(with);
    down::run(NAME)?;
    let before = picture()?;
    up::run(workspace, NAME, with)?;
    let cluster = Cluster::find(NAME)?.context("it did not stay")?;
    let used = trials::run(&cluster, &addons).and_then(|()| services::work(workspace, &cluster, &around));
    let spaces = namespaces(&cluster)?;
    say(&format!("{} processes in {} namespaces are the cluster's", members(&cluster)?.len(), spaces.len()));
    down::run(NAME)?;
    used?;
    step("Comparing what there is with what there was", || {
        let start = Instant::now();
        loop {
            let mut changes = differences(&before, &picture()?);
            changes.extend(strays(&spaces)?);
            if changes.is_empty() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("the cluster is gone, but not without a trace:\n  {}", changes.join("\n  "));
            }
            thread::sleep(Duration::from_millis(200));
        }
    })
}

/// Mounts, links, addresses, routes, packet filters, loop devices, settings, cgroups and folders of the machine.
fn picture() -> Result<Picture> {
    let mut all = Picture::new();
    let mut add = |what: &str, text: &str| all.extend(text.lines().map(|line| format!("{what}: {}", line.trim_end())));
    add("mount", &fs::read_to_string("/proc/mounts")?);
    for (what, command) in [
        ("link", "ip -o link | cut -d: -f2"),
        ("address", "ip -o addr | awk '{print $2, $4}'"),
        ("route", "ip route show table all; ip -6 route show table all"),
        ("rule", "ip rule"),
        ("shared memory", "ipcs; ls -A /dev/shm"),
        ("nftables", "nft list ruleset"),
        ("loop device", "losetup --list --noheadings --output NAME,BACK-FILE"),
        (
            "setting",
            "sysctl -a 2>/dev/null | grep -E '^(vm|kernel\\.(panic|keys)|net\\.(bridge|netfilter\\.nf_conntrack_(max|buckets)|ipv[46]\\.(ip_forward|conf)))'",
        ),
        // Other programs make groups of theirs meanwhile, and other clusters' pods: ours are known by these words.
        (
            "cgroup",
            "find /sys/fs/cgroup -type d | grep -E 'berth-cluster|kubepods|cri-containerd' | awk '!/berth-cluster\\/./ || /berth-cluster\\/check(\\/|$)/'",
        ),
        (
            "file",
            "ls -A -d /run/* /run/netns/* /run/containerd/* /var/lib/* /var/lib/cni/* /var/log/* /opt/* /etc/cni/* 2>/dev/null || true",
        ),
    ] {
        add(what, &String::from_utf8_lossy(&output(Command::new("sh").args(["-c", command]))?));
    }
    Ok(all)
}

fn differences(before: &Picture, after: &Picture) -> Vec<String> {
    let gone = before.difference(after).map(|it| format!("- {it}"));
    gone.chain(after.difference(before).map(|it| format!("+ {it}"))).collect()
}

/// The processes of a cluster.
fn members(cluster: &Cluster) -> Result<Vec<u32>> {
    cgroups::processes(&cluster.cgroup())
}

/// The network and mount namespaces that the cluster's processes are in, but not we.
fn namespaces(cluster: &Cluster) -> Result<BTreeSet<PathBuf>> {
    let ours: Vec<_> = spaces_of(Path::new("/proc/self"));
    let all = members(cluster)?.into_iter().flat_map(|id| spaces_of(&Path::new("/proc").join(id.to_string())));
    Ok(all.filter(|space| !ours.contains(space)).collect())
}

fn spaces_of(process: &Path) -> Vec<PathBuf> {
    ["net", "mnt", "pid", "ipc", "uts"].iter().flat_map(|kind| fs::read_link(process.join("ns").join(kind))).collect()
}

/// Processes that are still in a namespace of the cluster's.
fn strays(spaces: &BTreeSet<PathBuf>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let stays = spaces_of(&entry.path()).iter().any(|space| spaces.contains(space));
        if stays {
            let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default().replace('\0', " ");
            found.push(format!("+ process: {} {command}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_came_and_what_went() {
        let picture = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Picture>();
        assert!(differences(&picture(&["a"]), &picture(&["a"])).is_empty());
        assert_eq!(differences(&picture(&["a", "b"]), &picture(&["b", "c"])), ["- a", "+ c"]);
    }
}
