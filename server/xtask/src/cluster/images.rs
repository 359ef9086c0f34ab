//! The cluster's own images: packed here as tar files, and brought onto the nodes. There is no registry and no Docker.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    cluster::{
        binary::{SOURCES, go_build, kept, read, sources},
        layout::{Cluster, Node},
    },
    shell::{output, run, step},
    workspace::Workspace,
};

/// What holds each pod's namespaces.
pub const PAUSE: &str = "localhost/berth/pause:1";
/// The static shell, from Debian.
const BUSYBOX: &str = "/bin/busybox";
/// Changes when what is packed changes, but neither of its programs.
const RECIPE: &str = "1";
/// The special images of the embedded cluster (`server/sim/docs/images.md`), here with a tag: without one the kubelet would pull.
const BEHAVIOURS: [&str; 12] = [
    "crash",
    "crash-after",
    "exit",
    "oom",
    "never-ready",
    "slow-start",
    "flaky",
    "hang-after",
    "ignore-term",
    "chatty",
    "no-db",
    "sleep",
];

/// An image: which layers, and how it starts.
pub struct Image {
    /// With registry and tag.
    pub name: String,
    /// Folders that are packed.
    pub layers: Vec<&'static str>,
    /// User, environment, entry point.
    pub config: Value,
}

fn ours() -> Vec<Image> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let app = |name: &str, behaviour: &str| Image {
        name: name.to_owned(),
        layers: vec!["shell", "fixture"],
        // Not root: it runs where Pod Security is `restricted`.
        config: json!({"User": "65532:65532", "Env": [path], "Entrypoint": ["/fixture", behaviour], "ExposedPorts": {"8080/tcp": {}}}),
    };
    let mut all = vec![
        Image {
            name: PAUSE.to_owned(),
            layers: vec!["fixture"],
            config: json!({"User": "65535:65535", "Entrypoint": ["/fixture", "pause"]}),
        },
        Image {
            name: "docker.io/library/busybox:1".to_owned(),
            layers: vec!["shell"],
            config: json!({"Env": [path], "Cmd": ["sh"], "WorkingDir": "/"}),
        },
    ];
    // What the embedded cluster calls any image: a small web service.
    all.extend(
        ["berth.test/fixture:1", "docker.io/library/nginx:1.27", "docker.io/library/nginx:1.28"]
            .map(|name| app(name, "serve")),
    );
    all.extend(BEHAVIOURS.map(|behaviour| app(&format!("sim.berth.dev/{behaviour}:1"), behaviour)));
    all
}

/// Packs our images, unless that is done: one tar file with all of them.
///
/// # Errors
/// A program cannot be built, or not be packed.
pub fn build(workspace: &Workspace) -> Result<PathBuf> {
    let program = sources(&workspace.path(&format!("{SOURCES}/fixture")))?;
    let list: String = ours().iter().map(|image| format!("{}{:?}{}", image.name, image.layers, image.config)).collect();
    let made_from = [RECIPE.as_bytes(), &program, &read(Path::new(BUSYBOX))?, list.as_bytes()];
    let doing = "Packing the cluster's own images";
    Ok(kept("images", &made_from, doing, |folder| pack_ours(workspace, folder))?.join("images.tar"))
}

fn pack_ours(workspace: &Workspace, folder: &Path) -> Result<()> {
    let work = folder.join("work");
    let (shell, fixture) = (work.join("shell"), work.join("fixture"));
    for below in ["bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "tmp"] {
        fs::create_dir_all(shell.join(below))?;
    }
    fs::set_permissions(shell.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(shell.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/tmp:/bin/sh\n")?;
    fs::write(shell.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    fs::copy(BUSYBOX, shell.join("bin/busybox"))?;
    for applet in String::from_utf8(output(Command::new(BUSYBOX).arg("--list-full"))?)?.lines() {
        // Already there: busybox itself.
        let _ = symlink("/bin/busybox", shell.join(applet));
    }
    fs::create_dir_all(&fixture)?;
    go_build(&workspace.path(SOURCES), "./fixture", &fixture.join("fixture"), "-s -w")?;
    pack(&ours(), &work, &folder.join("images.tar"))?;
    fs::remove_dir_all(&work).context("cannot clean up")
}

/// Writes images as `docker save` does: a manifest, a configuration an image and the layers, which are shared. The layers'
/// folders are below `work`.
///
/// # Errors
/// tar fails.
pub fn pack(images: &[Image], work: &Path, to: &Path) -> Result<()> {
    let out = work.join("out");
    fs::create_dir_all(&out)?;
    let mut layers = BTreeMap::new();
    for name in images.iter().flat_map(|image| &image.layers) {
        if !layers.contains_key(name) {
            let file = out.join(format!("{name}.tar"));
            run(tar(&work.join(name), &file).arg("."))?;
            layers.insert(*name, sha256(&read(&file)?));
        }
    }
    let mut manifest = Vec::new();
    for image in images {
        let digests: Vec<_> = image.layers.iter().map(|name| format!("sha256:{}", layers[name])).collect();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": digests},
        })
        .to_string();
        let file = format!("{}.json", sha256(config.as_bytes()));
        fs::write(out.join(&file), config)?;
        let files: Vec<_> = image.layers.iter().map(|name| format!("{name}.tar")).collect();
        manifest.push(json!({"Config": file, "RepoTags": [image.name], "Layers": files}));
    }
    fs::write(out.join("manifest.json"), Value::from(manifest).to_string())?;
    run(tar(&out, to).arg("."))
}

/// The same files make the same bytes.
fn tar(folder: &Path, to: &Path) -> Command {
    let mut command = Command::new("tar");
    command.args([
        "--create",
        "--format=gnu",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ]);
    command.arg("--transform=s,^\\./,,").arg("--file").arg(to).arg("--directory").arg(folder);
    command
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Brings an archive's images onto a node.
///
/// # Errors
/// containerd refuses it.
pub fn import(node: Node<'_>, archive: &Path) -> Result<String> {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(node.socket()).args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    let output = ctr.stdin(Stdio::null()).output().context("cannot start ctr")?;
    if !output.status.success() {
        bail!(
            "{} does not take {}: {}",
            node.name(),
            archive.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Brings an archive's images onto every node that is on; what containerd said of them.
///
/// # Errors
/// A node does not take one.
pub fn spread(cluster: &Cluster, archive: &Path) -> Result<String> {
    thread::scope(|scope| {
        let nodes = cluster.nodes().filter(|node| node.socket().exists());
        let threads: Vec<_> = nodes.map(|node| scope.spawn(move || import(node, archive))).collect();
        let said = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a node's thread failed"))?);
        Ok(said.collect::<Result<Vec<_>>>()?.into_iter().next().unwrap_or_default())
    })
}

/// `cluster load`.
///
/// # Errors
/// A file is not there, or a node does not take it.
pub fn load(cluster: &Cluster, files: &[PathBuf]) -> Result<()> {
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        bail!("there is no file {}", missing.display());
    }
    for file in files {
        let said = step(&format!("Loading {}", file.display()), || spread(cluster, file))?;
        print!("{said}");
    }
    Ok(())
}
