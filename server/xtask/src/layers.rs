//! Who may import whom (`server/docs/ARCHITECTURE.md`), proven from what cargo resolves rather than from what we meant.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail};

use crate::{shell::output, workspace::Workspace};

/// A crate, as built with these arguments, and what it must not bring along.
struct Rule {
    package: &'static str,
    arguments: &'static [&'static str],
    forbidden: &'static [&'static [&'static str]],
}

const SQL: &[&str] = &["sqlx", "sqlx-core"];
const KUBE: &[&str] = &["kube", "kube-client", "kube-core"];
const AXUM: &[&str] = &["axum", "axum-core"];
const PAGES: &[&str] = &["leptos"];
const RUNTIME: &[&str] = &["tokio"];
const CORE: &[&str] = &["berth-core"];
const STORE: &[&str] = &["berth-store"];
const CLUSTER: &[&str] = &["berth-cluster"];
const SIM: &[&str] = &["berth-sim"];
const API: &[&str] = &["berth-api"];
const WEB: &[&str] = &["berth-web"];
const OIDC: &[&str] = &["berth-oidc"];
const OUTBOUND: &[&str] = &["berth-outbound"];
const MAIL: &[&str] = &["berth-mail"];
const TUNNEL: &[&str] = &["berth-tunnel"];
const APP: &[&str] = &["berth-app"];
const BINARY: &[&str] = &["berth"];

const IN_BROWSER: &[&str] = &["--no-default-features", "--features", "hydrate", "--target", "wasm32-unknown-unknown"];

const RULES: &[Rule] = &[
    Rule {
        package: "berth-types",
        arguments: &["--features", "schema"],
        forbidden: &[
            SQL, KUBE, AXUM, PAGES, RUNTIME, CORE, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, APP,
            BINARY,
        ],
    },
    Rule {
        package: "berth-core",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, PAGES, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-store",
        arguments: &[],
        forbidden: &[KUBE, AXUM, PAGES, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-cluster",
        arguments: &[],
        forbidden: &[SQL, AXUM, PAGES, STORE, SIM, API, WEB, OIDC, OUTBOUND, MAIL, APP, BINARY],
    },
    Rule {
        package: "berth-api",
        arguments: &[],
        forbidden: &[SQL, KUBE, PAGES, STORE, CLUSTER, SIM, WEB, OIDC, OUTBOUND, MAIL, APP, BINARY],
    },
    Rule {
        package: "berth-web",
        arguments: &[],
        forbidden: &[SQL, KUBE, PAGES, STORE, CLUSTER, SIM, API, OIDC, OUTBOUND, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-app",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, BINARY],
    },
    Rule {
        package: "berth-app",
        arguments: IN_BROWSER,
        forbidden: &[
            SQL, KUBE, AXUM, RUNTIME, CORE, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, BINARY,
        ],
    },
    Rule {
        package: "berth-tunnel",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, PAGES, CORE, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, APP, BINARY],
    },
    Rule {
        package: "berth-sim",
        arguments: &[],
        forbidden: &[SQL, KUBE, PAGES, CORE, STORE, CLUSTER, API, WEB, OIDC, OUTBOUND, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-oidc",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, PAGES, STORE, CLUSTER, SIM, API, WEB, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-mail",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, PAGES, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "berth-outbound",
        arguments: &[],
        forbidden: &[SQL, KUBE, AXUM, PAGES, CORE, STORE, CLUSTER, SIM, API, WEB, OIDC, MAIL, TUNNEL, APP, BINARY],
    },
    Rule {
        package: "xtask",
        arguments: &[],
        forbidden: &[CORE, STORE, CLUSTER, SIM, API, WEB, OIDC, OUTBOUND, MAIL, APP, BINARY],
    },
];

/// Checks every rule. The number of rules that hold.
///
/// # Errors
/// The rules that are broken, or a name in a rule that no crate has (a rule that cannot fail).
pub fn check(workspace: &Workspace) -> Result<usize> {
    let lock = workspace.path("Cargo.lock");
    let lock: toml::Table =
        fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let known: BTreeSet<&str> = packages.filter_map(|package| package.get("name")?.as_str()).collect();

    let mut wrong = Vec::new();
    for rule in RULES {
        // Fails by itself when there is no such package.
        let mut tree = workspace.cargo();
        tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let tree = output(tree.args(["--package", rule.package]).args(rule.arguments))?;
        wrong.extend(broken(rule, &String::from_utf8_lossy(&tree), &known));
    }
    if !wrong.is_empty() {
        bail!("the layers are broken:\n  {}", wrong.join("\n  "));
    }
    Ok(RULES.len())
}

/// What is wrong with `tree`: lines of `name v1.2.3 …`, the package itself first.
fn broken(rule: &Rule, tree: &str, known: &BTreeSet<&str>) -> Vec<String> {
    let has: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let who = [&[rule.package], rule.arguments].concat().join(" ");
    let mut wrong = Vec::new();
    if !has.contains(rule.package) {
        wrong.push(format!("{who}: cargo tree shows nothing of it"));
    }
    for name in rule.forbidden.iter().copied().flatten() {
        if !known.contains(name) {
            wrong.push(format!("{who}: the rule forbids `{name}`, but no crate in Cargo.lock is called that"));
        } else if has.contains(name) {
            wrong.push(format!("{who} must not depend on {name}; to see how it does: cargo tree -p {who} -i {name}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["berth-core", "sqlx", "sqlx-core", "serde"];

    fn broken_by(forbidden: &'static [&'static [&'static str]], tree: &str) -> Vec<String> {
        let rule = Rule { package: "berth-core", arguments: &[], forbidden };
        broken(&rule, tree, &KNOWN.iter().copied().collect())
    }

    #[test]
    fn holds_and_breaks() {
        assert!(broken_by(&[SQL], "berth-core v0.1.0 (/x)\nserde v1.0.0\n").is_empty());
        let wrong = broken_by(&[SQL], "berth-core v0.1.0 (/x)\nserde v1.0.0\nsqlx-core v0.9.0\n");
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("must not depend on sqlx-core"), "{wrong:?}");
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(broken_by(&[&["sqlx"]], "berth-core v0.1.0\nsqlx-core v0.9.0\n").is_empty());
    }

    #[test]
    fn mistyped_names_do_not_pass() {
        assert!(broken_by(&[&["sqlxx"]], "berth-core v0.1.0\n")[0].contains("no crate in Cargo.lock"));
        assert!(broken_by(&[SQL], "berth-cor v0.1.0\n")[0].contains("nothing of it"));
    }
}
