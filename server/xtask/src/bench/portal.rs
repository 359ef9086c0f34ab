//! The portal under test: a release build, its cluster in another process, each on a core of its own.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    http::{Connection, Request},
    load::each,
};
use crate::shell::{kill, output, seconds};

/// Where the server runs.
pub const SERVER_CORE: &str = "0";
/// Where the client and the cluster run.
pub const CLIENT_CORE: &str = "1";

const TENANT: &str = "bench";
const NAMESPACE: &str = "main";
const PASSWORD: &str = "a long enough password for a bench";

/// A page of the namespace that everything happens in.
fn page(rest: &str) -> String {
    format!("/t/{TENANT}/n/{NAMESPACE}/{rest}")
}

fn api(rest: &str) -> String {
    format!("/api/v1/tenants/{TENANT}/namespaces/{NAMESPACE}/{rest}")
}

/// A process that ends with us.
#[derive(Debug)]
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is measured, and where it may write.
#[derive(Debug)]
pub struct Parts {
    /// For data and logs.
    pub folder: PathBuf,
    /// The binary.
    pub berth: PathBuf,
    /// The browser part.
    pub site: PathBuf,
}

/// The cluster that it runs on.
#[derive(Debug)]
pub enum Ground {
    /// An embedded one of so many nodes, in a process of its own.
    Embedded(usize),
    /// A real one, by its kubeconfig.
    Real(PathBuf),
}

/// Somebody who has a role nowhere.
#[derive(Debug)]
pub struct Stranger {
    /// What they are called.
    pub name: String,
    /// For the REST API.
    pub token: String,
    /// For pages.
    pub cookie: String,
}

/// Both processes, their folder, and who we are to them.
#[derive(Debug)]
pub struct Portal {
    berth: PathBuf,
    site: PathBuf,
    folder: PathBuf,
    /// Where the pages are.
    pub port: u16,
    token: String,
    cookie: String,
    server: Option<Process>,
    kubeconfig: PathBuf,
    cluster: Option<Process>,
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.server = None;
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("  {} could not be removed: {error}", self.folder.display());
        }
    }
}

impl Portal {
    /// Starts the cluster, unless it runs, and a portal on it, signs in, makes the namespace.
    ///
    /// # Errors
    /// Something does not start or refuses; the logs are in the folder that the message names.
    pub fn start(parts: &Parts, ground: &Ground) -> Result<Self> {
        let folder = parts.folder.join(format!("bench-{}", id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let berth = parts.berth.clone();
        let (kubeconfig, cluster) = match ground {
            Ground::Real(kubeconfig) => (kubeconfig.clone(), None),
            Ground::Embedded(nodes) => {
                let kubeconfig = folder.join("kubeconfig");
                let listen = format!("127.0.0.1:{}", free_port()?);
                let mut sim = Command::new(&berth);
                sim.args(["sim", "--listen", &listen, "--nodes", &nodes.to_string()]);
                sim.arg("--kubeconfig-out").arg(&kubeconfig);
                let cluster = spawn(&mut sim, &folder.join("cluster.log"))?;
                (kubeconfig, Some(cluster))
            }
        };
        let mut portal = Self {
            port: free_port()?,
            site: parts.site.clone(),
            token: String::new(),
            cookie: String::new(),
            server: None,
            kubeconfig,
            cluster,
            berth,
            folder,
        };
        wait("the embedded cluster", Duration::from_secs(60), || Ok(portal.kubeconfig.is_file()))?;
        let (password, token) = portal.create_person(&["bench", "--platform-admin"])?;
        portal.token = token;
        portal.serve(None)?;
        portal.wait_ready()?;
        portal.cookie = sign_in(portal.port, "bench", &password)?;
        let mut connection = Connection::open(portal.port)?;
        portal.call(&mut connection, "POST", "/api/v1/tenants", &json!({"name": TENANT, "displayName": "Bench"}))?;
        let path = format!("/api/v1/tenants/{TENANT}/namespaces");
        portal.call(&mut connection, "POST", &path, &json!({"name": NAMESPACE}))?;
        Ok(portal)
    }

    /// Somebody new: their one-time password and a token.
    fn create_person(&self, arguments: &[&str]) -> Result<(String, String)> {
        let admin = |command: &str, arguments: &[&str]| -> Result<String> {
            let mut admin = Command::new(&self.berth);
            admin.args(["admin", command]).args(arguments).arg("--data").arg(self.folder.join("data"));
            Ok(String::from_utf8(output(&mut admin)?)?)
        };
        let said = admin("create-user", arguments)?;
        let password = said.lines().find_map(|line| line.strip_prefix("one-time password: "));
        let password = password.with_context(|| format!("no one-time password in: {said}"))?.to_owned();
        Ok((password, admin("create-token", &arguments[..1])?.trim().to_owned()))
    }

    /// Somebody who signed in and has a role nowhere.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn stranger(&self) -> Result<Stranger> {
        let (password, token) = self.create_person(&["stranger"])?;
        Ok(Stranger { name: "stranger".to_owned(), token, cookie: sign_in(self.port, "stranger", &password)? })
    }

    /// Gives somebody a role in a namespace beside the one where everything happens.
    ///
    /// # Errors
    /// It is refused.
    pub fn welcome(&self, name: &str) -> Result<()> {
        let mut connection = Connection::open(self.port)?;
        let namespaces = format!("/api/v1/tenants/{TENANT}/namespaces");
        self.call(&mut connection, "POST", &namespaces, &json!({"name": "beside"}))?;
        let member = format!("{namespaces}/beside/members/{name}");
        self.call(&mut connection, "PUT", &member, &json!({"role": "viewer"})).map(drop)
    }

    /// What `kubectl` shows when the owner of `token` uses it here.
    ///
    /// # Errors
    /// A kubeconfig is refused.
    pub fn kubectl_token(&self, token: &str) -> Result<String> {
        let mut connection = Connection::open(self.port)?;
        let made = call(&mut connection, token, ("POST", "/api/v1/me/kubeconfigs"), &json!({"tenant": TENANT}))?;
        let file = made["kubeconfig"].as_str().unwrap_or_default();
        let token = file.lines().find_map(|line| line.trim().strip_prefix("token: ")).context("no token in it")?;
        Ok(token.trim_matches('"').to_owned())
    }

    /// Starts the server, on one core when it is named.
    fn serve(&mut self, core: Option<&str>) -> Result<()> {
        let mut serve = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", core]).arg(&self.berth);
                command
            }
            None => Command::new(&self.berth),
        };
        serve.arg("serve").args(["--listen", &format!("127.0.0.1:{}", self.port), "--log", "warn"]);
        serve.arg("--site").arg(&self.site).arg("--data").arg(self.folder.join("data"));
        serve.arg("--kubeconfig").arg(&self.kubeconfig);
        self.server = Some(spawn(&mut serve, &self.folder.join("server.log"))?);
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        let what = format!("the portal (see {})", self.folder.join("server.log").display());
        wait(&what, Duration::from_secs(120), || {
            let Ok(mut connection) = Connection::open(self.port) else { return Ok(false) };
            Ok(connection.send(&Request::get("/readyz", "")).is_ok_and(|answer| answer.status == 200))
        })
    }

    /// Stops the server and starts it on its core; the time until the app list and a list of pods are there and whole.
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart(&mut self, pods: usize) -> Result<Duration> {
        let Some(Process(child)) = &mut self.server else { bail!("the server is not running") };
        kill("TERM", &[child.id()])?;
        child.wait()?;
        self.server = None;
        let start = Instant::now();
        self.serve(Some(SERVER_CORE))?;
        let wanted = format!("\"total\":{pods}");
        wait("the first correct page", Duration::from_secs(120), || {
            let Ok(mut connection) = Connection::open(self.port) else { return Ok(false) };
            let Ok(answer) = connection.send(&self.api("pods?limit=100&sort=name")) else { return Ok(false) };
            if answer.status != 200 || !answer.text()?.replace(' ', "").contains(&wanted) {
                return Ok(false);
            }
            Ok(connection.send(&self.page("apps"))?.status == 200)
        })?;
        Ok(start.elapsed())
    }

    /// A GET of a page by the one who signed in.
    pub fn get(&self, path: &str) -> Request {
        Request::get(path, &self.cookie)
    }

    /// A GET of a page of the namespace.
    pub fn page(&self, rest: &str) -> Request {
        self.get(&page(rest))
    }

    /// A GET of the REST API in the namespace.
    pub fn api(&self, rest: &str) -> Request {
        Request::get_json(&api(rest), &self.token)
    }

    fn call(&self, connection: &mut Connection, method: &str, path: &str, body: &Value) -> Result<Value> {
        call(connection, &self.token, (method, path), body)
    }

    /// Deploys `apps` apps of `replicas` pods, each object padded to 9 KB or so, and waits until all pods run.
    ///
    /// # Errors
    /// An app is refused, or the pods do not come up.
    pub fn seed(&self, apps: usize, replicas: usize) -> Result<()> {
        let start = Instant::now();
        each(self.port, 4, apps, |connection, number| {
            self.call(connection, "POST", &api("apps"), &app(number, replicas)).map(drop)
        })?;
        eprintln!("  {apps} apps made in {}", seconds(start.elapsed()));
        let mut connection = Connection::open(self.port)?;
        let wanted = apps * replicas;
        let patience = Duration::from_secs(120 + wanted as u64 / 25);
        let (mut seen, mut said) = (0, usize::MAX);
        wait(&format!("{wanted} running pods (seen: {seen})"), patience, || {
            let list = self.call(&mut connection, "GET", &api("pods?limit=1&phase=running"), &Value::Null)?;
            seen = list["total"].as_u64().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
            let tenths = seen * 10 / wanted.max(1);
            if std::mem::replace(&mut said, tenths) != tenths {
                eprintln!("  {seen} of {wanted} pods run");
            }
            thread::sleep(Duration::from_millis(100));
            Ok(seen >= wanted)
        })?;
        eprintln!("  after {}", seconds(start.elapsed()));
        Ok(())
    }

    /// Deploys an app of so many small pods.
    ///
    /// # Errors
    /// It is refused.
    pub fn deploy(&self, name: &str, replicas: usize) -> Result<()> {
        let app = json!({ "name": name, "spec": app(0, replicas)["spec"] });
        self.call(&mut Connection::open(self.port)?, "POST", &api("apps"), &app).map(drop)
    }

    fn read(&self, rest: &str) -> Result<Value> {
        self.call(&mut Connection::open(self.port)?, "GET", &api(rest), &Value::Null)
    }

    /// An app as the API tells it.
    ///
    /// # Errors
    /// There is none.
    pub fn app(&self, name: &str) -> Result<Value> {
        self.read(&format!("apps/{name}"))
    }

    /// How many `apps` or `pods` there are.
    ///
    /// # Errors
    /// The API refuses.
    pub fn count(&self, what: &str) -> Result<usize> {
        let total = self.read(&format!("{what}?limit=1"))?["total"].as_u64();
        Ok(usize::try_from(total.context("a list without a total")?)?)
    }

    /// Whether lists follow the cluster: `live`, `stale`, `loading`.
    ///
    /// # Errors
    /// The API refuses.
    pub fn freshness(&self) -> Result<String> {
        Ok(self.read("apps?limit=1")?["freshness"]["state"].as_str().unwrap_or_default().to_owned())
    }

    /// What the namespace is called in the cluster.
    ///
    /// # Errors
    /// The API refuses.
    pub fn kube_namespace(&self) -> Result<String> {
        let path = format!("/api/v1/tenants/{TENANT}/namespaces/{NAMESPACE}");
        let row = self.call(&mut Connection::open(self.port)?, "GET", &path, &Value::Null)?;
        row["kubeName"].as_str().map(str::to_owned).with_context(|| format!("no kubeName in {row}"))
    }

    /// The processor's time that the server has used.
    ///
    /// # Errors
    /// It is not running.
    pub fn worked(&self) -> Result<Duration> {
        let Some(server) = &self.server else { bail!("the server is not running") };
        worked(server)
    }

    /// Waits until server and cluster have nothing left to do of what came before.
    ///
    /// # Errors
    /// They do not come to rest.
    pub fn until_idle(&self) -> Result<()> {
        let all = || -> Result<Duration> {
            let cluster = self.cluster.as_ref().map(worked).transpose()?;
            Ok(self.worked()? + cluster.unwrap_or_default())
        };
        wait("rest", Duration::from_secs(300), || {
            let before = all()?;
            thread::sleep(Duration::from_secs(2));
            Ok(all()? - before < Duration::from_millis(200))
        })
    }

    /// From the click that scales an app to the first change of its pods in the page's event stream.
    ///
    /// # Errors
    /// The stream says nothing.
    pub fn click_to_change(&self) -> Result<Duration> {
        let mut stream = Connection::open(self.port)?;
        let followed = page("apps/app-00000/pods").replace('/', "%2F");
        stream.begin(&Request::events(&format!("/live?path={followed}"), &self.cookie))?;
        if !stream.until(&["event: hello"], Duration::from_secs(10))? {
            bail!("the event stream does not begin");
        }
        // What it says at its beginning has been said once it is silent.
        stream.until(&["never"], Duration::from_millis(700))?;
        let mut connection = Connection::open(self.port)?;
        let app = self.call(&mut connection, "GET", &api("apps/app-00000"), &Value::Null)?;
        let replicas = app["spec"]["components"][0]["replicas"].as_i64().unwrap_or(1);
        let start = Instant::now();
        self.call(&mut connection, "POST", &api("apps/app-00000/scale"), &json!({ "replicas": replicas + 1 }))?;
        if !stream.until(&["pods-rows"], Duration::from_secs(10))? {
            bail!("no change of the pods was seen within 10 s");
        }
        Ok(start.elapsed())
    }

    /// Memory of the server once it has stopped growing or shrinking: all watches have told all they know.
    ///
    /// # Errors
    /// It is not running, or does not come to rest.
    pub fn settled_memory(&self) -> Result<Memory> {
        let mut last = self.memory()?;
        let mut same = 0;
        wait("resting memory", Duration::from_secs(120), || {
            thread::sleep(Duration::from_secs(1));
            let now = self.memory()?;
            same = if now.resting.abs_diff(last.resting) < 500_000 { same + 1 } else { 0 };
            last = now;
            Ok(same >= 10)
        })?;
        Ok(last)
    }

    /// Memory of the server, in bytes.
    ///
    /// # Errors
    /// It is not running.
    pub fn memory(&self) -> Result<Memory> {
        let Some(Process(child)) = &self.server else { bail!("the server is not running") };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
        };
        Ok(Memory { resting: kilobytes("VmRSS:"), peak: kilobytes("VmHWM:") })
    }
}

/// What is answered to a request that is not refused.
fn call(connection: &mut Connection, token: &str, (method, path): (&str, &str), body: &Value) -> Result<Value> {
    let answer = connection.send(&Request::json(method, path, token, body))?;
    let text = answer.text()?;
    if !(200..300).contains(&answer.status) {
        bail!("{method} {path}: {} {text}", answer.status);
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn worked(Process(child): &Process) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    // After the name in brackets, proc(5): user and system time are the 12th and 13th, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub resting: u64,
    /// At most, since the start.
    pub peak: u64,
}

/// An app whose pods have about 9 KB of JSON.
fn app(number: usize, replicas: usize) -> Value {
    let padding = "x".repeat(7_000);
    json!({
        "name": format!("app-{number:05}"),
        "spec": {"components": [{
            "name": "main",
            "image": format!("registry.example/team-{}/service:{}.{}", number % 40, number % 9, number % 31),
            "replicas": replicas,
            "ports": [{"port": 8080}],
            "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"cpu": "100m", "memory": "64Mi"},
            },
            "podAnnotations": {"example.com/padding": padding},
        }]},
    })
}

/// A session's cookie, after the one-time password was changed.
fn sign_in(port: u16, name: &str, password: &str) -> Result<String> {
    // The requests name the host without its port.
    let origin = "http://127.0.0.1";
    let mut connection = Connection::open(port)?;
    let answer = connection.send(&Request::form("/sign-in", "", origin, &[("name", name), ("password", password)]))?;
    let cookie = answer.cookies().collect::<Vec<_>>().join("; ");
    if answer.status != 303 || cookie.is_empty() {
        bail!("sign-in was refused ({}): {}", answer.status, answer.text()?);
    }
    let fields = [("current", password), ("new", PASSWORD), ("again", PASSWORD)];
    let answer = connection.send(&Request::form("/password", &cookie, origin, &fields))?;
    if answer.status != 303 {
        bail!("the new password was refused ({}): {}", answer.status, answer.text()?);
    }
    let renewed = answer.cookies().filter(|pair| pair.starts_with("berth-plain=")).collect::<Vec<_>>().join("; ");
    Ok(if renewed.is_empty() { cookie } else { renewed })
}

/// Puts this process, and what it starts from now on, on one core.
///
/// # Errors
/// `taskset` is missing or refuses.
pub fn pin_client() -> Result<()> {
    output(Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", CLIENT_CORE, &id().to_string()]))?;
    Ok(())
}

/// Starts something that ends with us.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command, log: &Path) -> Result<Process> {
    let file = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("BERTH_")) {
        command.env_remove(name);
    }
    command.spawn().map(Process).with_context(|| format!("cannot start {command:?}"))
}

/// Looks until it is done.
///
/// # Errors
/// It takes too long, or looking fails.
pub fn wait(what: &str, patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > patience {
            bail!("{what}: not within {}", seconds(patience));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A port that nobody has.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `10,000`, as pages write it.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, wanted) in [(0, "0"), (999, "999"), (1_000, "1,000"), (10_000, "10,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), wanted);
        }
    }

    #[test]
    fn an_app_is_padded() {
        assert!((7_000..8_500).contains(&app(7, 1).to_string().len()));
    }
}
