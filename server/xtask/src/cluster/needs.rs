//! What a cluster needs from this machine: checked, installed on Debian, or said in one sentence.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{
    cluster::cgroups,
    needs,
    shell::{NotHere, output, which},
};

/// What Kubernetes 1.35 builds with.
const GO: (u32, u32) = (1, 25);

/// Whether a cluster can run here at all.
///
/// # Errors
/// [`NotHere`].
pub fn machine() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(NotHere("a test cluster needs Linux: its nodes are namespaces of the kernel".to_owned()).into());
    }
    if !needs::as_root() {
        return Err(
            NotHere("a test cluster needs root: its nodes are namespaces, bridges and cgroups".to_owned()).into()
        );
    }
    Ok(())
}

/// Whether root may here do what it usually may: in many containers it may not.
///
/// # Errors
/// [`NotHere`].
fn rights() -> Result<()> {
    let made = Command::new("unshare").args(["--net", "--mount", "true"]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(NotHere("a test cluster needs a machine on which root may make namespaces".to_owned()).into());
    }
    if cgroups::create("berth-cluster").is_err() {
        return Err(NotHere("a test cluster needs a machine on which root may make cgroups".to_owned()).into());
    }
    cgroups::remove_if_empty("berth-cluster")?;
    // There may be no modprobe, or no module as it is built in: whether it helped is seen next.
    let _ = Command::new("modprobe").args(["--quiet", "loop"]).status();
    if !Path::new("/dev/loop-control").exists() {
        return Err(NotHere("a test cluster needs loop devices: its nodes have disks of their own".to_owned()).into());
    }
    Ok(())
}

/// The programs that build and run a cluster.
///
/// # Errors
/// [`NotHere`] without rights, without Go or with one that is too old; otherwise what cannot be installed.
pub fn programs() -> Result<()> {
    rights()?;
    let go = which("go").and_then(|go| output(Command::new(go).args(["env", "GOVERSION"])).ok());
    let go = go.map(|version| String::from_utf8_lossy(&version).trim().to_owned());
    if go.as_deref().and_then(numbers).is_none_or(|version| version < GO) {
        let (major, minor) = GO;
        let found = go.map_or_else(|| "there is none".to_owned(), |version| format!("here is {version}"));
        return Err(
            NotHere(format!("a test cluster needs Go {major}.{minor} or newer ({found}): https://go.dev/dl")).into()
        );
    }
    let present =
        |path: &'static str| move || Some(Path::new(path)).filter(|path| path.exists()).map(Path::to_path_buf);
    needs::install_unless(|| which("containerd").and_then(|_| which("ctr")), "containerd", &["containerd"])?;
    needs::install_unless(|| which("runc"), "runc", &["runc"])?;
    needs::install_unless(present("/usr/lib/cni/bridge"), "The CNI plug-ins", &["containernetworking-plugins"])?;
    needs::install_unless(present("/bin/busybox"), "A static busybox", &["busybox-static"])?;
    needs::install_unless(|| which("ip"), "iproute2", &["iproute2"])?;
    needs::install_unless(|| which("nft"), "nftables", &["nftables"])?;
    // The kubelet and the port mapping's plug-in call it.
    needs::install_unless(|| which("iptables"), "iptables", &["iptables"])?;
    needs::install_unless(|| which("mkfs.ext4"), "mkfs.ext4", &["e2fsprogs"])?;
    needs::install_unless(|| which("sysctl"), "sysctl", &["procps"])?;
    needs::install_unless(|| which("nsenter").and_then(|_| which("unshare")), "nsenter", &["util-linux"])?;
    Ok(())
}

/// `go1.26.8` is (1, 26).
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.strip_prefix("go")?.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_compare() {
        assert_eq!(numbers("go1.26.8"), Some((1, 26)));
        assert_eq!(numbers("go1.27rc1"), Some((1, 27)));
        assert!(numbers("go1.9.2") < Some(GO));
        assert_eq!(numbers("devel +abc"), None);
    }
}
