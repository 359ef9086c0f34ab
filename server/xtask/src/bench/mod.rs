//! `cargo xtask bench`: the project's figures, measured on a release build. Not a test: it depends on the machine.
//!
//! The server has one core, the client and the cluster the other. Load is open-loop.

mod alike;
mod cluster;
pub mod http;
mod load;
mod portal;
mod quiet;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;

use self::{
    http::{Connection, Request},
    load::{Load, closed_loop, open_loop},
    portal::{Ground, Parts, Portal, grouped, pin_client},
    quiet::calm,
    report::Figure,
};
use crate::{
    shell::{output, run as run_command, say, step, which},
    site,
    workspace::{Profile, Workspace},
};

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub struct Options {
    /// On a real Kubernetes, started for it and removed afterwards: the figures that only that can give.
    #[arg(long)]
    cluster: bool,
    /// A tenth of the objects and of the time: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Write the table to `server/docs/BENCH.md` (or `BENCH-CLUSTER.md`) too.
    #[arg(long)]
    write: bool,
    /// So many apps of one pod each.
    #[arg(long)]
    apps: Option<usize>,
    /// So many pods for the memory of one.
    #[arg(long)]
    pods: Option<usize>,
    /// Only this part.
    #[arg(long, value_enum, conflicts_with_all = ["cluster", "write"])]
    only: Option<Part>,
    /// Measure this `berth` instead of building one: to compare two versions.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What a pod costs in the cache.
    Cache,
    /// Start and memory.
    Start,
    /// Pages and lists.
    Lists,
    /// What is hidden against what is absent.
    Alike,
}

/// How much of everything.
struct Scale {
    apps: usize,
    nodes: usize,
    many_pods: usize,
    seconds: u64,
    pairs: usize,
}

/// Measures and prints. Succeeds even where a goal is missed: the table says so.
///
/// # Errors
/// Something could not be measured.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if which("taskset").is_none() {
        bail!("taskset is missing: apt-get install util-linux");
    }
    let scale = if options.quick {
        Scale { apps: 1_000, nodes: 20, many_pods: 10_000, seconds: 3, pairs: 500 }
    } else {
        Scale { apps: 10_000, nodes: 200, many_pods: 100_000, seconds: 20, pairs: 10_000 }
    };
    let apps = options.apps.unwrap_or(scale.apps);
    // 110 pods a node is what a kubelet takes.
    let scale = Scale {
        apps,
        nodes: scale.nodes.max(apps.div_ceil(100)),
        many_pods: options.pods.unwrap_or(scale.many_pods),
        ..scale
    };
    let berth = match &options.binary {
        Some(file) => file.clone(),
        None => step("Release build", || {
            build(workspace)?;
            Ok(workspace.berth(Profile::Release))
        })?,
    };
    let site = step("Browser part", || site::build(workspace, Profile::Release))?;
    let mut figures = Vec::new();
    let parts = Parts { folder: workspace.target(""), berth, site };
    // What was measured is reported even where something else could not be.
    let done = if options.cluster {
        vec![cluster::run(workspace, &parts, &mut figures)]
    } else {
        let parts_of = Part::value_variants().iter().filter(|part| options.only.is_none_or(|only| only == **part));
        let measure = |part: &Part| match part {
            Part::Cache => cache(workspace, &scale, &mut figures),
            Part::Start => start(&parts, &scale, &mut figures),
            Part::Lists => lists(&parts, &scale, &mut figures),
            Part::Alike => alike::alike(&parts, scale.pairs, &mut figures),
        };
        parts_of.map(measure).collect()
    };

    let machine = report::machine(workspace)?;
    let table = report::table(&figures);
    println!("\n{machine}\n\n{table}");
    if options.write {
        let (file, title, how) = if options.cluster {
            let how = "`cargo xtask bench --cluster --write`. Cluster, portal and client share the machine.";
            ("server/docs/BENCH-CLUSTER.md", "Figures on a real cluster", how)
        } else {
            let how = "`cargo xtask bench --write`. The server has one core; the client and the cluster (another process) have \
                       the other. Load is open-loop: a latency counts from when its request was meant to be sent. Lists are \
                       measured while the host takes no processor away (steal in `/proc/stat`).";
            ("server/docs/BENCH.md", "Figures", how)
        };
        let file = workspace.path(file);
        let text = format!("# {title}\n\nMade by {how}\n\n{machine}\n\n{table}");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    if missed > 0 {
        println!("{missed} of {} figures miss their goal", figures.len());
    }
    done.into_iter().collect()
}

/// The portal and the example, in one build: of the whole workspace, so that nothing has other features than in the portal.
fn build(workspace: &Workspace) -> Result<()> {
    let arguments = ["build", "--workspace", "--bin", "berth", "--example", "cache_bench", "--release"];
    run_command(workspace.cargo().args(arguments))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// Pages over many apps and pods, and what the first page after sign-in transfers.
fn lists(parts: &Parts, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let many = grouped(scale.apps);
    say(&format!("{many} apps and pods of 9 KB on {} nodes", scale.nodes));
    let mut portal = Portal::start(parts, &Ground::Embedded(scale.nodes))?;
    portal.seed(scale.apps, 1)?;
    pin_client()?;
    let start = portal.restart(scale.apps)?;
    figures.push(Figure::noted(
        &format!("start to first correct page over {many} apps and pods"),
        start.as_secs_f64(),
        "s",
    ));
    let begun = Instant::now();
    portal.until_idle()?;
    let rest = start + begun.elapsed();
    figures.push(Figure::noted("and until its controller has looked at all of them again", rest.as_secs_f64(), "s"));
    figures.push(Figure::at_most(
        "first page after sign-in, everything in it",
        100.0,
        first_page(&portal, &parts.site)?,
        "KB",
    ));
    let deep = (scale.apps / 200).max(1);
    for (list, first, found, what) in [
        (
            format!("app list over {many}"),
            portal.page("apps?sort=name"),
            portal.page(&format!("apps?q=app&sort=-created&page={deep}")),
            format!("filter, sort and page {deep}"),
        ),
        (
            format!("pod list over {many}"),
            portal.page("pods?sort=name"),
            portal.page(&format!("pods?q=app&sort=-created&page={deep}")),
            format!("filter, sort and page {deep}"),
        ),
        (
            format!("pod list over {many} (REST)"),
            portal.api("pods?limit=100&sort=name"),
            portal.api("pods?limit=100&q=app-0&sort=-created"),
            "filter and sort".to_owned(),
        ),
    ] {
        say(&list);
        let (one, size) = single(&portal, &first)?;
        figures.push(Figure::at_most(
            &format!("{list}: first sorted page of 100 rows, median"),
            5.0,
            ms(&one, 0.5)?,
            "ms",
        ));
        figures.push(Figure::at_most(&format!("{list}: the same, compressed"), 20.0, size, "KB"));
        let time = Duration::from_secs(scale.seconds);
        let (worked, mut pages) = (portal.worked()?, 0);
        let most = calm(|| {
            let load = closed_loop(portal.port, &first, time, 8)?;
            pages += load.count();
            Ok(load)
        })?;
        let each = (portal.worked()? - worked).div_f64(f64::from(pages.max(1))).as_secs_f64() * 1000.0;
        figures.push(Figure::at_least(&format!("{list}: pages a second on one core"), 500.0, most.rate(), "pages/s"));
        figures.push(Figure::noted(&format!("{list}: processor time a page"), each, "ms"));
        let steady = calm(|| open_loop(portal.port, &first, 200, time, 32))?;
        figures.push(Figure::at_most(&format!("{list}: p99 at 200 requests/s"), 15.0, ms(&steady, 0.99)?, "ms"));
        let (found, _) = single(&portal, &found)?;
        figures.push(Figure::at_most(&format!("{list}: {what}, median"), 10.0, ms(&found, 0.5)?, "ms"));
        let refused = one.refused + most.refused + steady.refused + found.refused;
        if refused > 0 {
            bail!("{refused} pages of the {list} were not answered with 200: the figures mean nothing");
        }
    }
    let mut clicks = Vec::new();
    for _ in 0..9 {
        clicks.push(portal.click_to_change()?);
    }
    let click = median(clicks) * 1000.0;
    figures.push(Figure::at_most("from click to the first change of a pod on the page, median", 300.0, click, "ms"));
    let memory = portal.memory()?;
    let whole = format!("whole process at {many} apps and pods, after all this");
    figures.push(Figure::noted(&whole, megabytes(memory.resting), "MB"));
    figures.push(Figure::noted(&format!("{whole}, at its peak"), megabytes(memory.peak), "MB"));
    Ok(())
}

/// Start and memory over as many pods, ten an app.
fn start(parts: &Parts, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let replicas = 10;
    let (apps, many) = (scale.apps / replicas, grouped(scale.apps));
    say(&format!("{many} pods of {} apps", grouped(apps)));
    let mut portal = Portal::start(parts, &Ground::Embedded(scale.nodes))?;
    portal.seed(apps, replicas)?;
    // The first time, the cluster has its own first list to make.
    let mut starts = Vec::new();
    for _ in 0..5 {
        starts.push(portal.restart(scale.apps)?);
    }
    let name = format!("start to first correct page over {many} pods, median of 5");
    figures.push(Figure::at_most(&name, 2.0, median(starts), "s"));
    let memory = portal.settled_memory()?;
    let whole = format!("whole process at {many} pods");
    figures.push(Figure::at_most(&format!("{whole}, resting"), 60.0, megabytes(memory.resting), "MB"));
    figures.push(Figure::noted(&format!("{whole}, at its peak"), megabytes(memory.peak), "MB"));
    Ok(())
}

/// What a pod costs in the cache.
fn cache(workspace: &Workspace, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let many = grouped(scale.many_pods);
    say(&format!("{many} pods in the cache"));
    // A cluster's side of so many pods would not fit beside it: the example answers the watch by itself.
    build(workspace)?;
    let example = workspace.target("release/examples/cache_bench");
    let said = String::from_utf8(output(Command::new(example).arg(scale.many_pods.to_string()))?)?;
    print!("{said}");
    let each = said.lines().find_map(|line| line.strip_prefix("resident memory: ")?.split(' ').next()?.parse().ok());
    let each = each.with_context(|| format!("no memory in what the example said: {said}"))?;
    figures.push(Figure::at_most(&format!("memory of a pod in a cache of {many}"), 2_000.0, each, "bytes"));
    Ok(())
}

/// One connection, nothing else going on: the latencies and the kilobytes of a page.
fn single(portal: &Portal, request: &Request) -> Result<(Load, f64)> {
    let size = Connection::open(portal.port)?.send(request)?.body.len();
    let load = calm(|| closed_loop(portal.port, request, Duration::from_secs(2), 1))?;
    #[allow(clippy::cast_precision_loss)]
    Ok((load, size as f64 / 1000.0))
}

/// Kilobytes of the page and of every asset, as sent.
fn first_page(portal: &Portal, site: &Path) -> Result<f64> {
    let answer = Connection::open(portal.port)?.send(&portal.get("/"))?;
    if answer.status != 200 {
        bail!("the first page was answered with {}", answer.status);
    }
    let mut bytes = answer.body.len() as u64;
    for entry in fs::read_dir(site)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|end| end == "br") {
            bytes += entry.metadata()?.len();
        }
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(bytes as f64 / 1000.0)
}

fn ms(load: &Load, share: f64) -> Result<f64> {
    Ok(load.quantile(share).context("no page was answered")?.as_secs_f64() * 1000.0)
}

fn megabytes(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / 1e6
}
