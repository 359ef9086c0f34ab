//! Names, folders and addresses of a cluster. Every other file asks here.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// All clusters' folders and the numbers that they hold.
const HOME: &str = "/var/lib/berth-cluster";
/// How many clusters fit beside each other.
const SLOTS: u8 = 8;
/// Nodes of a cluster.
const NODES: u8 = 3;

/// A cluster: its folder, and a number that keeps its addresses apart from those of its neighbours.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// As given with `--name`.
    pub name: String,
    /// From 0.
    pub slot: u8,
}

/// One of its machines.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// Where it belongs.
    pub cluster: &'a Cluster,
    /// From 1.
    pub index: u8,
}

/// Checks a cluster's name.
///
/// # Errors
/// It could not be part of a path.
pub fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 30 || !text.chars().all(allowed) || text.starts_with('-') || text == "slots" {
        return Err("lower case letters, digits and hyphens, at most 30, not beginning with a hyphen".to_owned());
    }
    Ok(text.to_owned())
}

impl Cluster {
    /// The one of that name, if there is one.
    ///
    /// # Errors
    /// Its folder cannot be read.
    pub fn find(name: &str) -> Result<Option<Self>> {
        for slot in 0..SLOTS {
            match fs::read_to_string(slot_file(slot)) {
                Ok(holder) if holder == name => return Ok(Some(Self { name: name.to_owned(), slot })),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", slot_file(slot).display())),
            }
        }
        Ok(None)
    }

    /// A new one with addresses that neither another cluster nor this machine uses; `routes` is what `ip route` says.
    ///
    /// # Errors
    /// There is no room.
    pub fn create(name: &str, routes: &str) -> Result<Self> {
        fs::create_dir_all(Path::new(HOME).join("slots"))?;
        for slot in 0..SLOTS {
            let cluster = Self { name: name.to_owned(), slot };
            if cluster.taken(routes) {
                continue;
            }
            // Made by one caller alone, however many try.
            match fs::File::create_new(slot_file(slot)) {
                Ok(mut file) => {
                    file.write_all(name.as_bytes())?;
                    fs::create_dir_all(cluster.dir())?;
                    return Ok(cluster);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).context("cannot take addresses for the cluster"),
            }
        }
        bail!("all addresses for test clusters are in use; see {HOME}/slots and `ip route`")
    }

    /// Gives name and addresses back.
    ///
    /// # Errors
    /// Files cannot be removed.
    pub fn forget(&self) -> Result<()> {
        match fs::remove_dir_all(self.dir()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", self.dir().display()));
            }
            _ => {}
        }
        fs::remove_file(slot_file(self.slot))?;
        // These succeed for the last cluster only.
        let _ = fs::remove_dir(Path::new(HOME).join("slots"));
        let _ = fs::remove_dir(HOME);
        Ok(())
    }

    fn taken(&self, routes: &str) -> bool {
        let ours = [self.net(), format!("10.{}.", 244 + self.slot), format!("10.{}.", 96 + self.slot)];
        let of = |route: &str| route.split_whitespace().next().map(|to| ours.iter().any(|ours| to.starts_with(ours)));
        routes.lines().any(|route| of(route) == Some(true))
    }

    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        Path::new(HOME).join(&self.name)
    }

    /// A path in its folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir().join(relative)
    }

    /// One of Kubernetes' programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.path("bin").join(name)
    }

    /// A disk that all nodes see, each at `/var/lib/shared`.
    pub fn shared(&self) -> PathBuf {
        self.path("shared")
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.conf")
    }

    /// The control plane's network namespace.
    pub fn netns(&self) -> PathBuf {
        self.path("control/net")
    }

    /// Its group of cgroups, relative to a hierarchy's root.
    pub fn cgroup(&self) -> String {
        format!("berth-cluster/{}", self.name)
    }

    /// The one link that the host has.
    pub fn link(&self) -> String {
        format!("berth{}", self.slot)
    }

    /// The API server and the nodes are in this /24: `172.31.255.`
    fn net(&self) -> String {
        format!("172.31.{}.", 255 - self.slot)
    }

    /// The host's own address there.
    pub fn host(&self) -> String {
        self.net() + "1"
    }

    /// The control plane's address.
    pub fn control(&self) -> String {
        self.net() + "10"
    }

    /// The address of what stands around it.
    pub fn around(&self) -> String {
        self.net() + "20"
    }

    /// All pods.
    pub fn pods(&self) -> String {
        format!("10.{}.0.0/16", 244 + self.slot)
    }

    /// All services.
    pub fn services(&self) -> String {
        format!("10.{}.0.0/16", 96 + self.slot)
    }

    /// A service's address by its last number: 1 is the API server's, 10 the DNS server's.
    pub fn service(&self, number: u8) -> String {
        format!("10.{}.0.{number}", 96 + self.slot)
    }

    /// `https://…` for people and nodes.
    pub fn url(&self) -> String {
        format!("https://{}:6443", self.control())
    }

    /// Its machines.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (1..=NODES).map(|index| Node { cluster: self, index })
    }

    /// The machine of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, name: &str) -> Result<Node<'_>> {
        let found = self.nodes().find(|node| node.name() == name);
        found.with_context(|| format!("no node is called {name}; there are node1 to node{NODES}"))
    }
}

impl Node<'_> {
    /// `node1`
    pub fn name(self) -> String {
        format!("node{}", self.index)
    }

    /// Its disk and its run-time files, seen from the host.
    pub fn dir(self) -> PathBuf {
        self.cluster.path(&self.name())
    }

    /// Its network namespace.
    pub fn netns(self) -> PathBuf {
        self.dir().join("net")
    }

    /// containerd's socket, seen from the host.
    pub fn socket(self) -> PathBuf {
        self.dir().join("run/containerd/containerd.sock")
    }

    /// Relative to a hierarchy's root.
    pub fn cgroup(self) -> String {
        format!("{}/{}", self.cluster.cgroup(), self.name())
    }

    /// The other end of its cable, on the control plane's switch.
    pub fn cable(self) -> String {
        self.name()
    }

    /// Its address.
    pub fn address(self) -> String {
        format!("{}{}", self.cluster.net(), 10 + self.index)
    }

    /// Its pods.
    pub fn pods(self) -> String {
        format!("10.{}.{}.0/24", 244 + self.cluster.slot, self.index)
    }
}

fn slot_file(slot: u8) -> PathBuf {
    Path::new(HOME).join(format!("slots/{slot}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_do_not_share_addresses() {
        let routes = "default via 10.0.0.1 dev eth0\n172.31.254.0/24 dev x\n10.246.0.0/16 dev y\n10.99.0.0/16 dev z\n";
        let free = |slot| !Cluster { name: "a".to_owned(), slot }.taken(routes);
        assert_eq!((0..SLOTS).filter(|slot| free(*slot)).collect::<Vec<_>>(), [0, 4, 5, 6, 7]);
    }

    #[test]
    fn names_are_parts_of_paths() {
        assert!(name("berth").is_ok() && name("b-2").is_ok());
        for wrong in ["", "..", "a/b", "Berth", "-a", "slots"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
