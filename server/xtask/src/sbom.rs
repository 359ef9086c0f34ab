//! What is in the binary, as a CycloneDX bill of materials: the crates that cargo links for the target, with their licences and
//! checksums. Without time or serial number: the same sources make the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use cyclonedx_bom::{
    models::{
        component::Classification,
        hash::{Hash, HashAlgorithm, HashValue, Hashes},
        license::{LicenseChoice, Licenses},
    },
    prelude::{Bom, Component, Components, Metadata, Purl, SpdxExpression, SpecVersion, Validate as _},
};

use crate::{shell::output, workspace::Workspace};

/// A crate: name, version, licence.
type Crate = (String, String, String);

/// Writes the bill of `package`, which is called `version` and built for `target`; how many crates it names.
///
/// # Errors
/// Cargo fails, or the bill is none as the standard wants it.
pub fn write(workspace: &Workspace, package: &str, version: &str, target: &str, to: &Path) -> Result<usize> {
    let mut cargo = workspace.cargo();
    cargo.args(["tree", "--locked", "--package", package, "--target", target, "--prefix", "none"]);
    // Not what only builds or tests it: macros and build scripts leave code, but are not in the binary themselves.
    cargo.args(["--edges", "normal,no-proc-macro", "--format", "{p}|{l}"]);
    let linked = crates(&String::from_utf8(output(&mut cargo)?)?)?;
    let lock = fs::read_to_string(workspace.path("Cargo.lock")).context("cannot read Cargo.lock")?;
    let bill = bill(package, version, &linked, &checksums(&lock)?)?;
    let found = bill.validate_version(SpecVersion::V1_5);
    if !found.passed() {
        bail!("the bill of materials is not valid: {:?}", found.errors().collect::<Vec<_>>());
    }
    let mut file = fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    bill.output_as_json_v1_5(&mut file).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(linked.len())
}

/// The lines of `cargo tree`: `serde v1.0.228|MIT OR Apache-2.0`, some with more behind the version, and `(*)` at what was named before.
fn crates(tree: &str) -> Result<BTreeSet<Crate>> {
    let one = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((name.to_owned(), version.to_owned(), licence.trim_end_matches(" (*)").to_owned()))
    };
    let lines = tree.lines().filter(|line| !line.is_empty());
    lines.map(|line| one(line).with_context(|| format!("cargo tree says {line:?}, which is not known here"))).collect()
}

/// SHA-256 of each crate that comes from a registry.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock names no packages")?;
    let text = |package: &toml::Value, key: &str| package.get(key)?.as_str().map(str::to_owned);
    let all = packages.iter().filter_map(|it| Some(((text(it, "name")?, text(it, "version")?), text(it, "checksum")?)));
    Ok(all.collect())
}

fn bill(
    package: &str,
    version: &str,
    linked: &BTreeSet<Crate>,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Bom> {
    let component = |kind: Classification, (name, version, licence): &Crate| -> Result<Component> {
        let purl = Purl::new("cargo", name, version)?;
        let mut component = Component::new(kind, name, version, Some(purl.to_string()));
        component.purl = Some(purl);
        if !licence.is_empty() {
            // Some still write `MIT/Apache-2.0`.
            let licence = SpdxExpression::parse_lax(licence.clone()).map_err(|e| anyhow::anyhow!("{name}: {e}"))?;
            component.licenses = Some(Licenses(vec![LicenseChoice::Expression(licence)]));
        }
        let checksum = checksums.get(&(name.clone(), version.clone()));
        component.hashes =
            checksum.map(|sum| Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(sum.clone()) }]));
        Ok(component)
    };
    let ours = linked.iter().find(|it| it.0 == package).with_context(|| format!("{package} is not in its own tree"))?;
    let subject = component(Classification::Application, &(ours.0.clone(), version.to_owned(), ours.2.clone()))?;
    let others = linked.iter().filter(|it| it.0 != package).map(|it| component(Classification::Library, it));
    Ok(Bom {
        serial_number: None,
        metadata: Some(Metadata { component: Some(subject), ..Metadata::default() }),
        components: Some(Components(others.collect::<Result<_>>()?)),
        ..Bom::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_what_cargo_says() {
        let tree = "berth v0.1.0 (/work/server)|Apache-2.0\nserde v1.0.228|MIT OR Apache-2.0\nserde v1.0.228|MIT OR Apache-2.0 (*)\n\
                    berth v0.1.0 (/work/server)|Apache-2.0 (*)\n";
        let owned =
            |name: &str, version: &str, licence: &str| (name.to_owned(), version.to_owned(), licence.to_owned());
        let want = [owned("berth", "0.1.0", "Apache-2.0"), owned("serde", "1.0.228", "MIT OR Apache-2.0")];
        assert_eq!(crates(tree).unwrap(), BTreeSet::from(want));
        assert!(crates("something else\n").is_err());
    }

    #[test]
    fn is_a_valid_bill() {
        let lock = "[[package]]\nname = \"berth\"\nversion = \"0.1.0\"\n[[package]]\nname = \"slab\"\nversion = \"0.4.1\"\nchecksum = \"d9\"\n";
        let tree = crates("berth v0.1.0 (/x)|Apache-2.0\nslab v0.4.1|MIT/Apache-2.0\n").unwrap();
        let sums = checksums(&lock.replace("d9", &"d9".repeat(32))).unwrap();
        let bill = bill("berth", "0.1.0", &tree, &sums).unwrap();
        assert!(bill.validate_version(SpecVersion::V1_5).passed());
        let mut json = Vec::new();
        bill.output_as_json_v1_5(&mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["metadata"]["component"]["name"], "berth");
        let [slab] = json["components"].as_array().unwrap().as_slice() else { unreachable!("one component: {json}") };
        assert_eq!(slab["purl"], "pkg:cargo/slab@0.4.1");
        assert_eq!(slab["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(slab["hashes"][0]["content"], "d9".repeat(32));
    }
}
