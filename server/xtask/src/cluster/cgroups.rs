//! A cluster's cgroups: what is in them belongs to it, so that nothing has to be found by its name.
//!
//! On cgroup v1 a group must exist in every hierarchy; on v2 there is one, with the controllers handed down.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// Where the hierarchies are mounted: several on v1, one on v2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    let found = of_mounts(&mounts);
    if found.is_empty() {
        bail!("no cgroups are mounted on this machine");
    }
    Ok(found)
}

fn of_mounts(mounts: &str) -> Vec<PathBuf> {
    let cgroup = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let path = words.next()?;
        matches!(words.next()?, "cgroup" | "cgroup2").then(|| PathBuf::from(path))
    };
    mounts.lines().filter_map(cgroup).collect()
}

/// Makes `group` and those above it, in all hierarchies, usable for containers.
///
/// # Errors
/// A folder cannot be made.
pub fn create(group: &str) -> Result<()> {
    for top in hierarchies()? {
        let mut above = top.clone();
        for part in Path::new(group) {
            let folder = above.join(part);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
            // v1: a new group may use no processor until told which.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read_to_string(above.join(file))
                    && above.join("cgroup.clone_children").exists()
                {
                    fs::write(folder.join(file), value.trim())?;
                }
            }
            // v2: what the parent has. One that cannot be handed down is one that containers do without.
            for controller in
                fs::read_to_string(above.join("cgroup.controllers")).unwrap_or_default().split_whitespace()
            {
                let _ = fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            above = folder;
        }
    }
    Ok(())
}

/// The file that takes a process into `group`. One hierarchy is enough to find it again.
///
/// # Errors
/// No hierarchy is mounted.
pub fn entrance(group: &str) -> Result<PathBuf> {
    let all = hierarchies()?;
    let pids = all.iter().find(|path| path.ends_with("pids")).or(all.first());
    Ok(pids.context("no cgroups")?.join(group).join("cgroup.procs"))
}

/// The processes in `group` and below.
///
/// # Errors
/// A hierarchy cannot be read.
pub fn processes(group: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for top in hierarchies()? {
        collect(&top.join(group), &mut found)?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The process of a program in `group` and below, if it runs there.
///
/// # Errors
/// A hierarchy cannot be read.
pub fn program(group: &str, name: &str) -> Result<Option<u32>> {
    let is_it = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    Ok(processes(group)?.into_iter().find(is_it))
}

fn collect(folder: &Path, into: &mut Vec<u32>) -> Result<()> {
    // Groups vanish while we look.
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    into.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    for below in folders(folder)? {
        collect(&below, into)?;
    }
    Ok(())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// Kills all in `group` and below, and removes it with what is below.
///
/// # Errors
/// Something cannot be killed.
pub fn destroy(group: &str) -> Result<()> {
    // Some may start others while we look: again until there are none.
    for _ in 0..200 {
        let all = processes(group)?;
        if all.is_empty() {
            for top in hierarchies()? {
                remove(&top.join(group))?;
            }
            return Ok(());
        }
        let mut kill = Command::new("kill");
        kill.arg("-9").args(all.iter().map(u32::to_string)).stderr(std::process::Stdio::null());
        // Fails for those that are gone already.
        let _ = kill.status().context("cannot run kill")?;
        thread::sleep(Duration::from_millis(50));
    }
    bail!("processes {:?} do not end", processes(group)?)
}

fn remove(folder: &Path) -> Result<()> {
    for below in folders(folder)? {
        remove(&below)?;
    }
    // A process that was just killed may hold its group for a moment.
    for _ in 0..100 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(Duration::from_millis(20)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove the cgroup {}", folder.display()));
            }
            _ => return Ok(()),
        }
    }
    bail!("the cgroup {} stays busy", folder.display())
}

/// Removes `group`, unless others are below it.
///
/// # Errors
/// No hierarchy is mounted.
pub fn remove_if_empty(group: &str) -> Result<()> {
    for top in hierarchies()? {
        let _ = fs::remove_dir(top.join(group));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_mounts_of_cgroups() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n/dev/vda / ext4 rw 0 0\n";
        assert_eq!(
            of_mounts(mounts),
            [Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup/unified")].map(Path::to_path_buf)
        );
    }
}
