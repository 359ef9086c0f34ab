//! The browser part: the islands compiled to WASM, the style sheet, each named by its content and compressed ahead.
//!
//! Nothing is downloaded: wasm-bindgen is a library of this program, of the same version as the crate that it serves.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    minify, needs,
    shell::{run as run_command, say, step},
    workspace::{Profile, Workspace},
};

/// Style sheets in their order.
const STYLES: &[&str] = &["style/tokens.css", "style/main.css"];

/// Bumped when this file makes other output of the same input.
const RECIPE: u32 = 1;

/// What `cargo xtask site` takes.
#[derive(clap::Args)]
pub struct Options {
    /// Compress as well as Brotli can: for what is shipped.
    #[arg(long)]
    release: bool,
}

/// Builds it and prints its folder.
///
/// # Errors
/// A build step failed.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let site = step("Browser part", || build(workspace, Profile::of(options.release)))?;
    println!("{}", site.display());
    Ok(())
}

/// Builds what changed. The folder has `site.json`, which names the files: `{"css": …, "js": …, "wasm": …}`.
///
/// # Errors
/// A build step failed.
pub fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    needs::wasm_target()?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "berth-app", "--lib", "--target", "wasm32-unknown-unknown"]);
    cargo.args(["--no-default-features", "--features", "hydrate", "--profile", "wasm"]);
    run_command(&mut cargo)?;

    let module = workspace.target("wasm32-unknown-unknown/wasm/berth_app.wasm");
    let module = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let style = style(workspace)?;
    // Two folders, so that a release build and a daily one do not undo each other's work.
    let folder = workspace.target(match profile {
        Profile::Dev => "site",
        Profile::Release => "site-release",
    });
    let inputs = short_hash(&[&module, style.as_bytes(), format!("{RECIPE} {profile:?}").as_bytes()]);
    let manifest = folder.join("site.json");
    if is_made_of(&manifest, &inputs) {
        return Ok(folder);
    }
    say("wasm-bindgen and Brotli");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (js, wasm) = bind(module)?;
    let site = Site { folder: &folder, quality: if profile == Profile::Release { 11 } else { 5 } };
    let names = json!({
        "css": site.write("main", "css", style.as_bytes())?,
        "js": site.write("berth", "js", js.as_bytes())?,
        "wasm": site.write("berth", "wasm", &wasm)?,
        "inputs": inputs,
    });
    // Last: a folder with a manifest is whole.
    fs::write(&manifest, format!("{names:#}\n")).with_context(|| format!("cannot write {}", manifest.display()))?;
    Ok(folder)
}

struct Site<'a> {
    folder: &'a Path,
    quality: u32,
}

impl Site<'_> {
    /// Writes `stem-HASH.extension` and the same with `.br`; its name.
    fn write(&self, stem: &str, extension: &str, content: &[u8]) -> Result<String> {
        let name = format!("{stem}-{}.{extension}", short_hash(&[content]));
        let file = self.folder.join(&name);
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        let mut packed = Vec::new();
        let mut brotli = brotli::CompressorWriter::new(&mut packed, 1 << 16, self.quality, 22);
        brotli.write_all(content)?;
        brotli.flush()?;
        drop(brotli);
        let file = self.folder.join(format!("{name}.br"));
        fs::write(&file, &packed).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("  {name}: {} KB, {} KB as sent", content.len().div_ceil(1000), packed.len().div_ceil(1000));
        Ok(name)
    }
}

/// JavaScript and WASM of a module that cargo built.
fn bind(module: Vec<u8>) -> Result<(String, Vec<u8>)> {
    let mut bindgen = Bindgen::new();
    bindgen.input_bytes("berth", module).web(true)?.typescript(false).remove_name_section(true);
    bindgen.remove_producers_section(true).omit_default_module_path(true);
    let mut output = bindgen.generate_output()?;
    // Every crate has an entry; only one that is not empty brings files.
    let snippets = output.snippets().iter().filter(|(_, files)| !files.is_empty()).map(|(name, _)| name);
    let files = snippets.chain(output.local_modules().keys()).cloned().collect::<Vec<_>>();
    if !files.is_empty() {
        bail!("the browser part brings JavaScript files of its own, which are not served: {}", files.join(", "));
    }
    Ok((output.js().to_owned(), output.wasm_mut().emit_wasm()))
}

fn style(workspace: &Workspace) -> Result<String> {
    let mut all = String::new();
    for name in STYLES {
        let path = workspace.path(name);
        all += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        all.push('\n');
    }
    Ok(minify::css(&all))
}

fn is_made_of(manifest: &Path, inputs: &str) -> bool {
    let Ok(text) = fs::read(manifest) else { return false };
    serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|it| it["inputs"] == inputs)
}

/// Sixteen hex digits that tell contents apart.
fn short_hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
