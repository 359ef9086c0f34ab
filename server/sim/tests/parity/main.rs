//! The parity suite: conversations whose answers from the embedded cluster must be those that Kubernetes gave.
//!
//! Without a real cluster it compares with the recordings; `cargo xtask parity record` makes them anew
//! (`docs/parity.md` has the format, the figures and what is known to differ).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod model;
mod normal;
mod recording;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use berth_sim::{Sim, clock::Clock, controllers::Options};
use futures::{StreamExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use model::{Area, Conversation};
use recording::{Answers, Recording};
use run::{Place, Target};

/// The version that the recordings are of.
const VERSION: &str = "v1.35.4";
/// Images that the real nodes have, so that nothing is pulled there either.
const IMAGES: &[&str] =
    &["nginx:1.27", "nginx:1.28", "busybox:1", "sim.berth.dev/crash:1", "sim.berth.dev/never-ready:1"];
/// Share of conversations that must be equal.
const TARGET: f64 = 0.95;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

/// A clock that runs ahead of the machine's, so that nobody waits for pods.
struct Quick {
    begun: Instant,
    at: Timestamp,
}

impl Quick {
    const FACTOR: i32 = 10;

    #[allow(clippy::disallowed_methods, reason = "certificates and kubectl go by the machine's clock")]
    fn start() -> Self {
        Self { begun: Instant::now(), at: Timestamp::now() }
    }
}

impl Clock for Quick {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.begun.elapsed()).unwrap() * Self::FACTOR;
        self.at.checked_add(passed).unwrap()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let wait = Duration::try_from(deadline.duration_since(self.now())).unwrap_or_default();
        Box::pin(tokio::time::sleep(wait / u32::try_from(Self::FACTOR).unwrap()))
    }
}

/// A name that no other run has.
fn fresh_id() -> String {
    const LETTERS: &[u8] = b"acdefhijkmnoprstuvwxyz347";
    let mut bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let mut id = "q".to_owned();
    for _ in 0..6 {
        id.push(char::from(LETTERS[usize::try_from(bits % LETTERS.len() as u64).unwrap()]));
        bits /= LETTERS.len() as u64;
    }
    id
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    ClientBuilder::try_from(config).unwrap().build()
}

/// kubectl of the recorded version: the one that is asked for, the one of the real cluster, or the machine's own.
fn kubectl() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("BERTH_PARITY_KUBECTL") {
        return Some(path.into());
    }
    let cache = std::env::var_os("BERTH_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/berth")));
    let built = cache.and_then(|cache| std::fs::read_dir(cache.join("cluster")).ok()).into_iter().flatten().flatten();
    let built = built
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("kubernetes-{VERSION}-")))
        .map(|entry| entry.path().join("kubectl"));
    let is_right = |program: &PathBuf| {
        let output = std::process::Command::new(program).args(["version", "--client"]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&format!("{VERSION}\n")))
    };
    built.chain([PathBuf::from("kubectl")]).find(is_right)
}

/// Has all conversations that are asked for, `at_once` of them side by side.
async fn talk(target: &Target, areas: &[(String, Area)], at_once: usize) -> BTreeMap<String, Answers> {
    let only = std::env::var("BERTH_PARITY_ONLY").unwrap_or_default();
    let wanted = |own: &Conversation| own.name.contains(&only) && (target.kubectl.is_some() || !own.needs_kubectl());
    let mut work: Vec<(Place, bool, Conversation)> = Vec::new();
    let mut shared = Vec::new();
    for (name, area) in areas {
        let conversations: Vec<_> = area.conversations(name).into_iter().filter(wanted).collect();
        let setup = Conversation { name: name.clone(), steps: area.setup.clone(), ..Conversation::default() };
        if conversations.is_empty() || (setup.needs_kubectl() && target.kubectl.is_none()) {
            continue;
        }
        if area.shared {
            shared.push((setup, conversations));
        } else {
            work.extend(conversations.into_iter().map(|own| (Place::new(&fresh_id()), true, own)));
        }
    }
    let ready: Vec<_> = futures::stream::iter(shared)
        .map(|(setup, conversations)| async move {
            let mut place = Place::new(&fresh_id());
            target.open(&place).await;
            let answers = target.talk(&setup, &mut place).await;
            assert!(answers.iter().all(|answer| answer.get("broken").is_none()), "{}: {answers:?}", setup.name);
            (place, conversations)
        })
        .buffer_unordered(at_once)
        .collect()
        .await;
    let places: Vec<Place> = ready.iter().map(|(place, _)| place.clone()).collect();
    for (place, conversations) in ready {
        work.extend(conversations.into_iter().map(|own| (place.clone(), false, own)));
    }
    let answers = futures::stream::iter(work)
        .map(|(mut place, own_namespace, conversation)| async move {
            if own_namespace {
                target.open(&place).await;
            }
            let begun = Instant::now();
            let answers = target.talk(&conversation, &mut place).await;
            if own_namespace {
                target.close(&place).await;
            }
            if begun.elapsed() > Duration::from_secs(10) {
                eprintln!("{:.0?} {}", begun.elapsed(), conversation.name);
            }
            (conversation.name, answers)
        })
        .buffer_unordered(at_once)
        .collect()
        .await;
    for place in &places {
        target.close(place).await;
    }
    answers
}

fn areas() -> Vec<(String, Area)> {
    let mut all: Vec<_> = std::fs::read_dir(here("conversations"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), Area::read(&path))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Conversations that may differ: the list in `docs/parity.md`.
fn known() -> BTreeSet<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/parity.md")).unwrap();
    let list = page.split_once("\n## Conversations that differ").map_or("", |(_, list)| list);
    list.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`')).map(str::to_owned).collect()
}

async fn record(kubeconfig: &Path, areas: &[(String, Area)], folder: &Path) {
    let target = Target {
        client: client(kubeconfig).await,
        kubeconfig: kubeconfig.to_owned(),
        kubectl: Some(kubectl().expect("kubectl of the recorded version")),
        folder: folder.to_owned(),
        pause: Duration::from_millis(100),
    };
    let version = target.client.apiserver_version().await.unwrap().git_version;
    assert_eq!(version, VERSION, "the recordings are of another version");
    let mut answers = talk(&target, areas, 8).await;
    let mut broken = Vec::new();
    for (name, area) in areas {
        let path = here("recordings").join(format!("{name}.json"));
        let mut recording = Recording::read(&path);
        VERSION.clone_into(&mut recording.kubernetes);
        let names: BTreeSet<String> = area.conversations(name).into_iter().map(|own| own.name).collect();
        recording.conversations.retain(|name, _| names.contains(name));
        for name in &names {
            if let Some(answers) = answers.remove(name) {
                if let Some(fault) = answers.iter().find(|answer| answer.get("broken").is_some()) {
                    broken.push(format!("{name}: {fault}"));
                }
                recording.conversations.insert(name.clone(), answers);
            }
        }
        recording.write(&path);
    }
    assert!(broken.is_empty(), "the real cluster did not do what was waited for:\n{}", broken.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_cluster_answers_as_the_real_one() {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let areas = areas();
    if let Some(kubeconfig) = std::env::var_os("BERTH_PARITY_RECORD") {
        return record(Path::new(&kubeconfig), &areas, folder.path()).await;
    }
    let options = Options { images: IMAGES.iter().map(|image| (*image).to_owned()).collect(), ..Options::default() };
    let sim = Sim::builder().options(options).clock(Arc::new(Quick::start())).build().unwrap();
    let serving = sim.serve_tls(([127, 0, 0, 1], 0).into()).await.unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    serving.write_kubeconfig(&kubeconfig).unwrap();
    let kubectl = kubectl();
    if kubectl.is_none() {
        eprintln!("no kubectl {VERSION} here: its conversations did not run (cargo xtask cluster up builds one)");
    }
    let target = Target {
        client: client(&kubeconfig).await,
        kubeconfig,
        kubectl,
        folder: folder.path().to_owned(),
        pause: Duration::from_millis(20),
    };
    let answers = talk(&target, &areas, 8).await;

    let (known, mut faults, mut report) = (known(), Vec::new(), String::new());
    let (mut equal, mut same_status) = (0, 0);
    let mut recorded = BTreeMap::new();
    for (name, _) in &areas {
        recorded.extend(Recording::read(&here("recordings").join(format!("{name}.json"))).conversations);
    }
    for (name, ours) in &answers {
        let Some(real) = recorded.get(name) else {
            faults.push(format!("{name} has no recording (cargo xtask parity record)"));
            continue;
        };
        let status = recording::statuses(real) == recording::statuses(ours);
        same_status += usize::from(status);
        equal += usize::from(real == ours);
        let listed = known.contains(name);
        if real != ours {
            let differences = recording::differences(real, ours, 40).join("\n    ");
            report.push_str(&format!("{}{name}\n    {differences}\n", if status { "" } else { "STATUS " }));
        }
        if !status {
            faults.push(format!("{name}: another status or exit code"));
        } else if real != ours && !listed {
            faults.push(format!("{name}: {}", recording::differences(real, ours, 3).join("; ")));
        } else if real == ours && listed {
            faults.push(format!("{name} is equal now: take it off the list in docs/parity.md"));
        }
    }
    if std::env::var_os("BERTH_PARITY_ONLY").is_none() {
        let all: BTreeSet<String> =
            areas.iter().flat_map(|(name, area)| area.conversations(name)).map(|own| own.name).collect();
        faults
            .extend(known.iter().filter(|name| !all.contains(*name)).map(|name| format!("{name} is no conversation")));
        faults.extend(
            recorded.keys().filter(|name| !all.contains(*name)).map(|name| format!("{name} is recorded, but gone")),
        );
    }
    let share = equal as f64 / answers.len() as f64;
    println!(
        "parity with Kubernetes {VERSION}: {} conversations, {equal} equal ({:.1} %), {same_status} equal in status and exit code; {:.1?}",
        answers.len(),
        share * 100.0,
        begun.elapsed()
    );
    if let Some(path) = std::env::var_os("BERTH_PARITY_REPORT") {
        std::fs::write(path, report).unwrap();
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(share >= TARGET, "{:.1} % are equal", share * 100.0);
}
