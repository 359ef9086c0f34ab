//! The table: each figure, its goal, what was measured, and on what.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{shell::output, workspace::Workspace};

/// A figure.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    goal: String,
    measured: String,
    met: Option<bool>,
}

impl Figure {
    /// A number that should be at most the goal.
    pub fn at_most(name: &str, goal: f64, measured: f64, unit: &str) -> Self {
        Self::new(name, "≤", goal, measured, unit, measured <= goal)
    }

    /// A number that should be at least the goal.
    pub fn at_least(name: &str, goal: f64, measured: f64, unit: &str) -> Self {
        Self::new(name, "≥", goal, measured, unit, measured >= goal)
    }

    /// A number without a goal.
    pub fn noted(name: &str, measured: f64, unit: &str) -> Self {
        let measured = format!("{} {unit}", number(measured));
        Self { name: name.to_owned(), goal: String::new(), measured, met: None }
    }

    fn new(name: &str, sign: &str, goal: f64, measured: f64, unit: &str, met: bool) -> Self {
        Self {
            name: name.to_owned(),
            goal: format!("{sign} {} {unit}", number(goal)),
            measured: format!("{} {unit}", number(measured)),
            met: Some(met),
        }
    }

    /// Whether the goal was reached; true without one.
    pub fn is_met(&self) -> bool {
        self.met != Some(false)
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The figures as Markdown.
pub fn table(figures: &[Figure]) -> String {
    let mut out = String::from("| figure | goal | measured | |\n| --- | --- | --- | --- |\n");
    for Figure { name, goal, measured, met } in figures {
        let met = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        out += &format!("| {name} | {goal} | {measured} | {met} |\n");
    }
    out
}

/// What it was measured on: commit, processor, memory, system, compiler.
///
/// # Errors
/// Git or rustc cannot be asked.
pub fn machine(workspace: &Workspace) -> Result<String> {
    let said = |command: &mut Command| -> Result<String> { Ok(String::from_utf8(output(command)?)?.trim().to_owned()) };
    let commit = said(workspace.command("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let rustc = said(Command::new("rustc").arg("--version"))?;
    let day = said(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let memory = memory.unwrap_or_default().div_ceil(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!("{day}, commit {commit}: {model}, {cores} cores, {memory} GiB; Linux {}; {rustc}", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whether_a_goal_is_met() {
        let figures = [
            Figure::at_most("page", 5.0, 1.234, "ms"),
            Figure::at_least("rate", 500.0, 499.0, "pages/s"),
            Figure::noted("size", 19.94, "KB"),
        ];
        assert_eq!(
            table(&figures).lines().skip(2).collect::<Vec<_>>(),
            [
                "| page | ≤ 5 ms | 1.23 ms | met |",
                "| rate | ≥ 500 pages/s | 499 pages/s | **missed** |",
                "| size |  | 19.9 KB |  |",
            ]
        );
        assert_eq!(figures.map(|figure| figure.is_met()), [true, false, true]);
    }
}
