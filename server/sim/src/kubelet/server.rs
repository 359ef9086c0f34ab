//! What the API server asks kubelets for: logs, exec, attach, port-forward and metrics.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::{
    Nodes,
    container::State,
    environment, files,
    image::{Cause, is_shell},
    logs, metrics,
    shell::{Machine, Outcome, World, names_shell},
    tar,
};
use crate::{
    cluster::Cluster,
    controllers::{
        engine::{Key, Waker},
        fields::Fields,
    },
    hooks::{Duplex, Io, Kubelet, LogOptions},
    registry::builtin::gr,
    status::{Result, Status},
};

/// Most bytes that a program which reads its input is given.
const INPUT_LIMIT: u64 = files::ROOM as u64 + 1024 * 1024;
/// Most bytes read of one line of a shell.
const LINE_LIMIT: u64 = 64 * 1024;

/// The kubelets' server.
pub struct Server {
    cluster: Cluster,
    nodes: Arc<Mutex<Nodes>>,
    waker: Waker,
}

impl Server {
    /// A server over what the kubelets know; `waker` tells them of processes that ended.
    #[must_use]
    pub fn new(cluster: &Cluster, nodes: Arc<Mutex<Nodes>>, waker: Waker) -> Self {
        Self { cluster: cluster.clone(), nodes, waker }
    }

    /// Ends a container's process now.
    fn end(&self, pod: &Value, container: &str, code: i32) {
        let key = Key::new(pod.namespace(), pod.name());
        let now = self.cluster.clock.now();
        if let Some(state) = self.nodes.lock().pods.get_mut(&key).filter(|state| state.uid == pod.uid())
            && let Some(State::Running { end, .. }) =
                state.containers.iter_mut().find(|own| own.name == container).map(|own| &mut own.state)
        {
            *end = Some((now, Cause::Exit(code)));
        }
        self.waker.wake("kubelet", key);
    }

    /// What a process started in a running container sees.
    fn world(&self, pod: &Value, container: &str) -> Result<World> {
        let spec = pod
            .items("/spec/containers")
            .iter()
            .chain(pod.items("/spec/initContainers"))
            .find(|spec| spec.text("/name") == container)
            .ok_or_else(|| super::no_such_container(pod, container))?;
        let nodes = self.nodes.lock();
        let state = nodes
            .pod(pod.namespace(), pod.name())
            .and_then(|state| state.containers.iter().find(|own| own.name == container))
            .filter(|state| state.is_running());
        let Some(run) = state.and_then(|state| state.runs.last()) else {
            return Err(Status::internal(format!("unable to upgrade connection: container not found ({container:?})")));
        };
        let hostname = match pod.text("/spec/hostname") {
            "" => pod.name(),
            hostname => hostname,
        };
        let mut variables = environment::services(&self.cluster, pod);
        variables.extend(run.environment.iter().cloned());
        let mut world = World::bare(&variables, hostname);
        world.now = self.cluster.clock.now();
        let user = ["/securityContext/runAsUser"]
            .iter()
            .find_map(|pointer| spec.int(pointer))
            .or_else(|| pod.int("/spec/securityContext/runAsUser"))
            .unwrap_or_default();
        let group = spec
            .int("/securityContext/runAsGroup")
            .or_else(|| pod.int("/spec/securityContext/runAsGroup"))
            .unwrap_or(user);
        world.user = (u32::try_from(user).unwrap_or_default(), u32::try_from(group).unwrap_or_default());
        let words =
            |pointer: &str| spec.items(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let command = [words("/command"), words("/args")].concat().join(" ");
        let short = super::image::Reference::parse(spec.text("/image"))
            .map_or_else(String::new, |image| image.short().to_owned());
        world.main = if command.is_empty() { format!("/app/{short}") } else { command };
        if !spec.text("/workingDir").is_empty() {
            world.directory = spec.text("/workingDir").to_owned();
        }
        world.files = initial_files(&self.cluster, pod, spec, hostname, &short);
        files::lay_over(&mut world.files, &run.files);
        Ok(world)
    }

    /// Keeps what a process changed in the container's files, for those that come after it.
    fn keep(&self, pod: &Value, container: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
        if before == after {
            return;
        }
        let key = Key::new(pod.namespace(), pod.name());
        let mut nodes = self.nodes.lock();
        let run = nodes
            .pods
            .get_mut(&key)
            .filter(|state| state.uid == pod.uid())
            .and_then(|state| state.containers.iter_mut().find(|own| own.name == container))
            .and_then(|own| own.runs.last_mut());
        if let Some(run) = run {
            files::note(&mut run.files, before, after);
        }
    }
}

/// The files of a container: a few that every image has, and what its volumes bring.
fn initial_files(
    cluster: &Cluster,
    pod: &Value,
    spec: &Value,
    hostname: &str,
    short: &str,
) -> BTreeMap<String, String> {
    let ip = pod.text("/status/podIP");
    let namespace = pod.namespace();
    let mut files: BTreeMap<String, String> = [
        ("/etc/hostname", format!("{hostname}\n")),
        ("/etc/hosts", format!("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{ip}\t{hostname}\n")),
        (
            "/etc/resolv.conf",
            format!("search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"),
        ),
        ("/etc/os-release", "NAME=\"Berth Simulator\"\nID=sim\nVERSION_ID=1\nPRETTY_NAME=\"Berth Simulator\"\n".to_owned()),
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/app:/bin/sh\n".to_owned()),
        ("/bin/sh", String::new()),
        ("/bin/ls", String::new()),
        ("/tmp/.keep", String::new()),
        ("/root/.profile", String::new()),
        ("/proc/1/status", "Name:\tapp\nState:\tS (sleeping)\nPid:\t1\n".to_owned()),
        ("/dev/null", String::new()),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text))
    .collect();
    files.insert(format!("/app/{short}"), String::new());
    for mount in spec.items("/volumeMounts") {
        let path = mount.text("/mountPath").trim_end_matches('/');
        let Some(volume) = pod.items("/spec/volumes").iter().find(|volume| volume["name"] == mount["name"]) else {
            continue;
        };
        let mut put = |key: &str, text: String| {
            let sub = mount.text("/subPath");
            if sub.is_empty() {
                files.insert(format!("{path}/{key}"), text);
            } else if sub == key {
                files.insert(path.to_owned(), text);
            }
        };
        let data = |resource: &crate::store::GroupResource, name: &str| {
            cluster.find(resource, namespace, name).map(|object| environment::data(&object)).unwrap_or_default()
        };
        let mut some = false;
        for (resource, name) in
            [(&gr::CONFIG_MAPS, volume.text("/configMap/name")), (&gr::SECRETS, volume.text("/secret/secretName"))]
        {
            for (key, text) in data(resource, name) {
                put(&key, text);
                some = true;
            }
        }
        for source in volume.items("/projected/sources") {
            for (key, text) in data(&gr::CONFIG_MAPS, source.text("/configMap/name")) {
                put(&key, text);
                some = true;
            }
            if source.at("/serviceAccountToken").is_object() {
                put("token", "simulated\n".to_owned());
                put("namespace", namespace.to_owned());
                some = true;
            }
        }
        if !some {
            files.insert(format!("{path}/.keep"), String::new());
        }
    }
    files
}

async fn write(sink: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>, text: &str, tty: bool) -> std::io::Result<()> {
    if let Some(sink) = sink.as_mut()
        && !text.is_empty()
    {
        let text = if tty { text.replace('\n', "\r\n") } else { text.to_owned() };
        sink.write_all(&files::bytes(&text)).await?;
        sink.flush().await?;
    }
    Ok(())
}

fn broken(error: &std::io::Error) -> Status {
    Status::internal(format!("error executing command in container: {error}"))
}

impl Server {
    /// Runs what a machine has left to say out to the client.
    async fn flush(machine: &mut Machine, io: &mut Io) -> Result<()> {
        let (out, err) = (std::mem::take(&mut machine.out), std::mem::take(&mut machine.err));
        write(&mut io.stdout, &out, io.tty).await.map_err(|error| broken(&error))?;
        if io.tty {
            write(&mut io.stdout, &err, true).await.map_err(|error| broken(&error))
        } else {
            write(&mut io.stderr, &err, false).await.map_err(|error| broken(&error))
        }
    }

    /// Lets the time pass that commands took.
    async fn pass(&self, machine: &mut Machine) {
        let took = std::mem::take(&mut machine.elapsed);
        if !took.is_zero() {
            let until = self.cluster.clock.now().checked_add(took).unwrap_or(jiff::Timestamp::MAX);
            self.cluster.clock.sleep_until(until).await;
        }
    }

    /// A session at a shell; its code, and whether the client just hung up.
    async fn interactive(&self, pod: &Value, container: &str, mut machine: Machine, mut io: Io) -> Result<(i32, bool)> {
        let Some(stdin) = io.stdin.take() else { return Ok((0, true)) };
        let mut input = BufReader::new(stdin);
        let tty = io.tty;
        // Typed while a command ran.
        let mut ahead = Vec::new();
        loop {
            if tty {
                let mark = if machine.world.user.0 == 0 { '#' } else { '$' };
                let prompt = format!("{} {mark} ", machine.world.directory);
                write(&mut io.stdout, &prompt, false).await.map_err(|error| broken(&error))?;
            }
            let line = if tty {
                let mut rest = ahead.as_slice();
                let typed = read_typed(&mut (&mut rest).chain(&mut input), &mut io).await?;
                ahead = rest.to_vec();
                match typed {
                    Typed::Line(line) => line,
                    Typed::End => {
                        write(&mut io.stdout, "exit\r\n", false).await.map_err(|error| broken(&error))?;
                        return Ok((machine.last, false));
                    }
                    Typed::HungUp => return Ok((machine.last, true)),
                }
            } else {
                let mut line = String::new();
                let read = (&mut input).take(LINE_LIMIT).read_line(&mut line).await.map_err(|error| broken(&error))?;
                if read == 0 {
                    return Ok((machine.last, true));
                }
                line
            };
            let before = machine.world.files.clone();
            let outcome = machine.line(line.trim_end_matches(['\n', '\r']));
            self.keep(pod, container, &before, &machine.world.files);
            Self::flush(&mut machine, &mut io).await?;
            let ended = async {
                self.pass(&mut machine).await;
                if outcome == Outcome::Forever {
                    std::future::pending::<()>().await;
                }
            };
            if tty {
                tokio::select! {
                    () = ended => {}
                    interrupted = interrupt(&mut input, &mut ahead) => {
                        if !interrupted.map_err(|error| broken(&error))? {
                            return Ok((machine.last, true));
                        }
                        write(&mut io.stdout, "^C\r\n", false).await.map_err(|error| broken(&error))?;
                        machine.last = 130;
                        continue;
                    }
                }
            } else {
                ended.await;
            }
            if let Outcome::Exit(code) = outcome {
                return Ok((code, false));
            }
        }
    }
}

/// Waits for Ctrl-C; what is typed before it is kept in `ahead`. `false`: the client hung up.
async fn interrupt<R: tokio::io::AsyncBufRead + Unpin + Send>(
    input: &mut R,
    ahead: &mut Vec<u8>,
) -> std::io::Result<bool> {
    const CTRL_C: u8 = 3;
    loop {
        let typed = input.fill_buf().await?;
        if typed.is_empty() {
            return Ok(false);
        }
        let (length, end) = match typed.iter().position(|byte| *byte == CTRL_C) {
            Some(at) => (at + 1, true),
            None => (typed.len(), false),
        };
        if end {
            // As a terminal does: what was typed before is gone.
            ahead.clear();
        } else {
            ahead.extend_from_slice(typed);
        }
        input.consume(length);
        if end {
            return Ok(true);
        }
    }
}

/// What came from a terminal.
enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-D on an empty line.
    End,
    /// Nobody is there any more.
    HungUp,
}

/// A line typed at a terminal, echoed, with backspace, Ctrl-C, Ctrl-U and Ctrl-D.
async fn read_typed<R: tokio::io::AsyncBufRead + Unpin + Send>(input: &mut R, io: &mut Io) -> Result<Typed> {
    let mut line: Vec<u8> = Vec::new();
    loop {
        let byte = match input.read_u8().await {
            Ok(byte) => byte,
            Err(_) => return Ok(Typed::HungUp),
        };
        let echo = match byte {
            b'\r' | b'\n' => {
                write(&mut io.stdout, "\r\n", false).await.map_err(|error| broken(&error))?;
                return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
            }
            4 if line.is_empty() => return Ok(Typed::End),
            3 => {
                write(&mut io.stdout, "^C\r\n", false).await.map_err(|error| broken(&error))?;
                return Ok(Typed::Line(String::new()));
            }
            8 | 127 => {
                if line.pop().is_some() {
                    "\u{8} \u{8}".to_owned()
                } else {
                    String::new()
                }
            }
            21 => {
                let erased = "\u{8} \u{8}".repeat(line.len());
                line.clear();
                erased
            }
            byte if byte >= 32 && (line.len() as u64) < LINE_LIMIT => {
                line.push(byte);
                char::from(byte).to_string()
            }
            _ => String::new(),
        };
        write(&mut io.stdout, &echo, false).await.map_err(|error| broken(&error))?;
    }
}

#[async_trait]
impl Kubelet for Server {
    async fn logs(&self, pod: &Value, container: &str, options: &LogOptions) -> Result<BoxStream<'static, Bytes>> {
        logs::stream(self.nodes.clone(), self.cluster.clock.clone(), pod, container, options)
    }

    async fn exec(&self, pod: &Value, container: &str, command: &[String], mut io: Io) -> Result<i32> {
        let mut machine = Machine::new(self.world(pod, container)?);
        let program = command.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
        let shell = names_shell(program);
        let bare = shell && !command.iter().any(|word| word.starts_with('-') && word.ends_with('c'));
        if bare && io.stdin.is_some() {
            return self.interactive(pod, container, machine, io).await.map(|(code, _)| code);
        }
        let mut stdin = String::new();
        let reads = program == "cat" || (program == "tar" && tar::reads_input(command.get(1..).unwrap_or_default()));
        if !io.tty
            && reads
            && let Some(input) = io.stdin.take()
        {
            // Only programs that read their input wait for it.
            let mut bytes = Vec::new();
            input.take(INPUT_LIMIT).read_to_end(&mut bytes).await.map_err(|error| broken(&error))?;
            stdin = files::text(&bytes);
        }
        let before = machine.world.files.clone();
        let outcome = machine.argv_with(command, &stdin);
        self.keep(pod, container, &before, &machine.world.files);
        if machine.last == 127 && machine.err.contains(": not found") && !shell {
            let program = command.first().map_or("", String::as_str);
            let why = if program.contains('/') {
                format!("stat {program}: no such file or directory")
            } else {
                "executable file not found in $PATH".to_owned()
            };
            let (one, two) = (crate::clock::new_uid().simple(), crate::clock::new_uid().simple());
            // The words say "Internal error occurred" twice: the kubelet's status travels as text in the API server's own.
            return Err(Status::internal(format!(
                "Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"{one}{two}\": OCI runtime exec failed: exec failed: unable to start container process: exec: \"{program}\": {why}: unknown"
            )));
        }
        Self::flush(&mut machine, &mut io).await?;
        self.pass(&mut machine).await;
        if machine.replaced && io.stdin.is_some() {
            return self.interactive(pod, container, machine, io).await.map(|(code, _)| code);
        }
        match outcome {
            Outcome::Code(code) | Outcome::Exit(code) => Ok(code),
            Outcome::Forever => std::future::pending().await,
        }
    }

    async fn attach(&self, pod: &Value, container: &str, mut io: Io) -> Result<i32> {
        use futures::StreamExt;
        let spec = pod.items("/spec/containers").iter().find(|spec| spec.text("/name") == container);
        if let Some(spec) = spec.filter(|spec| io.stdin.is_some() && spec.flag("/stdin") && is_shell(spec)) {
            let (code, hung_up) =
                self.interactive(pod, container, Machine::new(self.world(pod, container)?), io).await?;
            // Without stdinOnce the input stays open for whoever attaches next.
            if !hung_up || spec.flag("/stdinOnce") {
                self.end(pod, container, code);
            }
            return Ok(0);
        }
        let options = LogOptions { follow: true, tail_lines: Some(0), ..LogOptions::default() };
        let mut log = logs::stream(self.nodes.clone(), self.cluster.clock.clone(), pod, container, &options)?;
        while let Some(bytes) = log.next().await {
            write(&mut io.stdout, &String::from_utf8_lossy(&bytes), io.tty).await.map_err(|error| broken(&error))?;
        }
        Ok(0)
    }

    async fn port_forward(&self, pod: &Value, port: u16, mut connection: Box<dyn Duplex>) -> Result<()> {
        // Whatever listens inside answers one HTTP request with its name.
        let mut request = Vec::new();
        let mut buffer = [0u8; 1024];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < 16 * 1024 {
            match connection.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(read) => request.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) => return Err(broken(&error)),
            }
        }
        let body = format!("{} answers on port {port}\n", pod.name());
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(answer.as_bytes()).await.map_err(|error| broken(&error))?;
        connection.shutdown().await.map_err(|error| broken(&error))
    }

    fn pod_metrics(&self, pod: &Value) -> Option<Value> {
        metrics::pod(&self.nodes.lock(), pod, self.cluster.clock.now())
    }

    fn node_metrics(&self, node: &Value) -> Option<Value> {
        metrics::node(&self.cluster, &self.nodes.lock(), node, self.cluster.clock.now())
    }
}
