//! `cargo xtask test`: every check there is, each with its name, time and result. With `--cluster`, the suites that need a
//! cluster run on a real one instead of the embedded one.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::{self, Addon, Testbed},
    generated, layers, needs,
    shell::{line, run as run_command, say, seconds, watch},
    site,
    workspace::{Profile, Workspace},
};

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Prints the steps and does nothing.
    #[arg(long)]
    list: bool,
    /// On a real Kubernetes of three nodes (`cargo xtask cluster`), started for it and removed afterwards.
    #[arg(long)]
    cluster: bool,
    /// On the real one only what touches the cluster and needs no image of Berth.
    #[arg(long, requires = "cluster")]
    short: bool,
    /// Given to the tests, after `--`: for `rust` to cargo test, for `browser` to Playwright.
    #[arg(last = true)]
    arguments: Vec<String>,
}

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Session<'_>) -> Result<Count>,
}

/// Cheap ones first: they fail soonest.
const STEPS: &[Step] = &[
    Step { name: "format", about: "cargo fmt --check", run: format },
    Step { name: "layers", about: "who may import whom, from cargo tree", run: check_layers },
    Step { name: "lints", about: "clippy, warnings are errors", run: lints },
    Step { name: "wasm", about: "berth-types builds for the browser by itself", run: wasm },
    Step { name: "rust", about: "unit and integration tests, on SQLite and PostgreSQL", run: rust },
    Step { name: "generated", about: "committed files that are made from code are current", run: check_generated },
    Step { name: "browser", about: "Playwright against a real server, in Chromium", run: browser },
];

const RUST_ON_CLUSTER: Step =
    Step { name: "rust", about: "cluster and portal tests on a real Kubernetes", run: rust_on_cluster };
const BROWSER_ON_CLUSTER: Step =
    Step { name: "browser", about: "Playwright against a portal on a real Kubernetes", run: browser };
const INSTALL: Step =
    Step { name: "install", about: "the chart, installed, upgraded and removed by Helm", run: install };

/// With `--cluster`.
const CLUSTER_STEPS: &[Step] = &[RUST_ON_CLUSTER, BROWSER_ON_CLUSTER, INSTALL];

/// With `--short`: without the one that builds Berth's image first.
const SHORT_STEPS: &[Step] = &[RUST_ON_CLUSTER, BROWSER_ON_CLUSTER];

/// Name of the cluster that they run on.
const TESTBED: &str = "tests";

/// Policies are enforced, as in any cluster that keeps tenants apart.
const TESTBED_HAS: &[Addon] = &[Addon::Dns, Addon::Metrics, Addon::Policy];

/// Rust's tests that talk to a cluster which need not be the embedded one.
const ON_CLUSTERS: &[&str] = &["cluster", "portal", "kubectl"];

/// Tests of one or more runners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// What the steps of one call share.
struct Session<'a> {
    workspace: &'a Workspace,
    arguments: &'a [String],
    built: bool,
    /// Pages that are the same on any cluster are left to the embedded one.
    short: bool,
    /// The real cluster that tests run on.
    testbed: Option<Testbed>,
    /// This program. A build may put a new one in its place, after which nobody could ask for the path any more.
    program: PathBuf,
}

impl Session<'_> {
    /// What tells tests which cluster to use.
    fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let Some(testbed) = &self.testbed else { return Ok(Vec::new()) };
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([testbed.programs.clone()].into_iter().chain(env::split_paths(&path)))?;
        Ok(vec![
            ("BERTH_TEST_KUBECONFIG", testbed.kubeconfig.clone().into()),
            ("BERTH_TEST_CLUSTER", TESTBED.into()),
            ("BERTH_XTASK", self.program.clone().into()),
            // The cluster's own kubectl.
            ("PATH", path),
        ])
    }

    /// Builds everything that tests need, `berth` too, once and with the same features for all steps.
    fn build(&mut self) -> Result<()> {
        if !self.built {
            run_command(self.workspace.cargo().args(["build", "--workspace", "--all-targets"]))?;
            self.built = true;
        }
        Ok(())
    }
}

struct Done {
    name: &'static str,
    time: Duration,
    count: Count,
    error: Option<String>,
}

/// Runs the steps; all of them, even when one fails.
///
/// # Errors
/// A step failed, or a name is not a step's.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let known = match options {
        Options { cluster: true, short: true, .. } => SHORT_STEPS,
        Options { cluster: true, .. } => CLUSTER_STEPS,
        _ => STEPS,
    };
    if options.list {
        for step in known {
            println!("{:<10} {}", step.name, step.about);
        }
        return Ok(());
    }
    let steps = chosen(known, &options.only)?;
    let testbed = options.cluster.then(|| cluster::testbed(workspace, TESTBED, TESTBED_HAS)).transpose()?;
    let program = env::current_exe()?;
    let short = options.short;
    let mut session = Session { workspace, arguments: &options.arguments, built: false, short, testbed, program };
    let mut all = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        say(&format!("{}/{} {}: {}", at + 1, steps.len(), step.name, step.about));
        let start = Instant::now();
        let (mut count, error) = match (step.run)(&mut session) {
            Ok(count) => (count, None),
            Err(error) => (Count::default(), Some(format!("{error:#}"))),
        };
        if error.is_some() {
            count.failed = count.failed.max(1);
        }
        let time = start.elapsed();
        let done = Done { name: step.name, time, count, error };
        eprintln!("{}\n", done.line());
        all.push(done);
    }
    if session.testbed.is_some() {
        cluster::clear(TESTBED)?;
    }
    let total = summary(&all);
    println!("tests: {total}");
    if total.failed > 0 {
        let how = if options.cluster { "--cluster " } else { "" };
        bail!("a check failed; to run it alone: cargo xtask test {how}--only STEP");
    }
    Ok(())
}

impl Done {
    fn line(&self) -> String {
        let result = if self.count.failed == 0 { "ok" } else { "FAILED" };
        let mut line = format!("  {:<10} {result:<6} {:>12}   {}", self.name, seconds(self.time), self.count);
        if let Some(error) = &self.error {
            line += &format!("\n    {}", error.replace('\n', "\n    "));
        }
        line
    }
}

fn summary(all: &[Done]) -> Count {
    let mut total = Count::default();
    eprintln!("Summary");
    for done in all {
        eprintln!("{}", done.line());
        total.add(done.count);
    }
    total
}

fn chosen(steps: &'static [Step], names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| steps.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = steps.iter().map(|step| step.name).collect();
        bail!("no step is called `{unknown}`; there are {}", known.join(", "));
    }
    Ok(steps.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect())
}

/// A step that is one check.
fn one(done: Result<()>) -> Result<Count> {
    done.map(|()| Count { passed: 1, ..Count::default() })
}

fn format(session: &mut Session<'_>) -> Result<Count> {
    one(run_command(session.workspace.cargo().args(["fmt", "--all", "--check"])).context("to mend it: cargo fmt --all"))
}

fn check_layers(session: &mut Session<'_>) -> Result<Count> {
    // Cargo tree asks rustc about the browser's target.
    needs::wasm_target()?;
    Ok(Count { passed: layers::check(session.workspace)?, ..Count::default() })
}

fn lints(session: &mut Session<'_>) -> Result<Count> {
    let mut cargo = session.workspace.cargo();
    one(run_command(cargo.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])))
}

fn wasm(session: &mut Session<'_>) -> Result<Count> {
    needs::wasm_target()?;
    let mut cargo = session.workspace.cargo();
    one(run_command(cargo.args(["check", "--package", "berth-types", "--target", "wasm32-unknown-unknown"])))
}

fn rust(session: &mut Session<'_>) -> Result<Count> {
    needs::postgres()?;
    needs::node_modules(session.workspace, needs::PROVIDER)?;
    session.build()?;
    let mut cargo = session.workspace.cargo();
    cargo.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]).args(session.arguments);
    let mut count = Count::default();
    let passed = watch(&mut cargo, |text| count.add(of_libtest(text).unwrap_or_default()))?;
    finished(&line(&cargo), passed, count)
}

/// One at a time: they share the cluster, and each brings a controller.
fn rust_on_cluster(session: &mut Session<'_>) -> Result<Count> {
    session.build()?;
    let mut cargo = session.workspace.cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]).args(ON_CLUSTERS.iter().flat_map(|name| ["--test", name]));
    cargo.args(["--", "--test-threads=1"]).args(session.arguments).envs(session.environment()?);
    let mut count = Count::default();
    let passed = watch(&mut cargo, |text| count.add(of_libtest(text).unwrap_or_default()))?;
    finished(&line(&cargo), passed, count)
}

fn install(session: &mut Session<'_>) -> Result<Count> {
    one(cluster::install_check(session.workspace, TESTBED, None, Profile::Dev))
}

fn check_generated(session: &mut Session<'_>) -> Result<Count> {
    session.build()?;
    Ok(Count { passed: generated::check(session.workspace)?, ..Count::default() })
}

fn browser(session: &mut Session<'_>) -> Result<Count> {
    session.build()?;
    let mut arguments = session.arguments.to_vec();
    if session.testbed.is_some() {
        // Pages without JavaScript are the same on any cluster: the embedded one shows them, in less time.
        arguments.insert(0, format!("--project={}", if session.short { "cluster" } else { "browser" }));
    }
    playwright(session.workspace, &arguments, &session.environment()?)
}

/// Runs Playwright with a `berth` that is already built.
fn playwright(workspace: &Workspace, arguments: &[String], environment: &[(&str, OsString)]) -> Result<Count> {
    let npm = needs::npm()?;
    let chromium = needs::chromium()?;
    needs::node_modules(workspace, needs::BROWSER)?;
    needs::node_modules(workspace, needs::PROVIDER)?;
    let site = site::build(workspace, Profile::Dev)?;
    let report = workspace.target("browser-tests.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = workspace.command(npm);
    command.current_dir(workspace.path("end2end")).args(["test", "--silent", "--"]).args(arguments);
    command.env("BERTH_BINARY", workspace.berth(Profile::Dev)).env("BERTH_SITE", site);
    command.env("BERTH_CHROMIUM", chromium).env("BERTH_REPORT", &report);
    command.envs(environment.iter().cloned());
    let passed = watch(&mut command, |_| {})?;
    let report = fs::read(&report).context("Playwright wrote no report")?;
    finished(&line(&command), passed, of_playwright(&serde_json::from_slice(&report)?))
}

/// Makes the pictures of the README.
///
/// # Errors
/// A page did not come up.
pub fn screenshots(workspace: &Workspace) -> Result<()> {
    let count = playwright(workspace, &["--project=screenshots".to_owned()], &[("BERTH_SCREENSHOTS", "1".into())])?;
    if count.failed > 0 {
        bail!("the pictures were not all made")
    }
    Ok(())
}

/// A runner's result. One that failed without a failed test (it did not build, it crashed) is a failure too.
fn finished(command: &str, passed: bool, mut count: Count) -> Result<Count> {
    if !passed && count.failed == 0 {
        count.failed = 1;
        eprintln!("`{command}` failed without naming a failed test");
    }
    if count.passed + count.failed == 0 {
        bail!("`{command}` ran no test");
    }
    Ok(count)
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn of_libtest(text: &str) -> Option<Count> {
    let (_, numbers) = text.strip_prefix("test result: ")?.split_once(". ")?;
    let mut count = Count::default();
    for part in numbers.split("; ") {
        let Some((number, what)) = part.split_once(' ') else { continue };
        match what {
            "passed" => count.passed = number.parse().ok()?,
            "failed" => count.failed = number.parse().ok()?,
            "ignored" => count.skipped = number.parse().ok()?,
            _ => {}
        }
    }
    Some(count)
}

/// The `stats` of Playwright's JSON report. A flaky test is one that failed.
fn of_playwright(report: &serde_json::Value) -> Count {
    let number = |name: &str| report["stats"][name].as_u64().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let broken = report["errors"].as_array().map_or(0, Vec::len);
    Count {
        passed: number("expected"),
        failed: number("unexpected") + number("flaky") + broken,
        skipped: number("skipped"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn counts_what_runners_say() {
        let text = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.01s";
        assert_eq!(of_libtest(text), Some(Count { passed: 3, failed: 2, skipped: 1 }));
        assert_eq!(of_libtest("test a::b ... ok"), None);
        let report =
            serde_json::json!({"stats": {"expected": 4, "unexpected": 1, "flaky": 1, "skipped": 2}, "errors": []});
        assert_eq!(of_playwright(&report), Count { passed: 4, failed: 2, skipped: 2 });
    }

    #[test]
    fn a_runner_that_ran_nothing_has_not_passed() {
        assert!(finished("x", true, Count::default()).is_err());
        assert_eq!(finished("x", false, Count { passed: 3, ..Count::default() }).unwrap().failed, 1);
    }

    #[test]
    fn unknown_steps_are_named() {
        let error = chosen(STEPS, &["rusty".to_owned()]).err().expect("refused").to_string();
        assert!(error.contains("rusty") && error.contains("browser"), "{error}");
        assert_eq!(chosen(STEPS, &[]).unwrap().len(), STEPS.len());
    }
}
