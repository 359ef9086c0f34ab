//! Style sheet and browser part: files of the site directory, named by their content, kept for ever by the browser.

use std::{collections::BTreeMap, fs, io, path::Path};

use axum::{
    extract::{Path as UrlPath, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;

use crate::WebState;

/// One file, also as Brotli where the build made it.
#[derive(Debug, Clone)]
struct File {
    plain: Bytes,
    brotli: Option<Bytes>,
    media_type: &'static str,
}

/// What the pages link to, as `site.json` names it: paths below `/assets/`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Manifest {
    /// The style sheet.
    pub css: String,
    /// The islands' JavaScript; absent when the browser part was not built: all works without.
    #[serde(default)]
    pub js: Option<String>,
    /// The islands' WebAssembly.
    #[serde(default)]
    pub wasm: Option<String>,
}

/// All assets, in memory: a few hundred kilobytes.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// What the pages link to.
    pub manifest: Manifest,
    files: BTreeMap<String, File>,
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

impl Site {
    /// Reads a site directory: `site.json` and the files it was made with; `NAME.br` is the Brotli form of `NAME`.
    ///
    /// # Errors
    /// When the directory cannot be read or `site.json` is no manifest.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let manifest = fs::read(dir.join("site.json"))?;
        let manifest = serde_json::from_slice(&manifest).map_err(io::Error::other)?;
        let mut files = BTreeMap::new();
        collect(dir, "", &mut files)?;
        Ok(Self { manifest, files })
    }
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, File>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if Path::new(&name).extension().is_none_or(|e| e != "br") {
            let mut compressed = path.clone().into_os_string();
            compressed.push(".br");
            let brotli = match fs::read(&compressed) {
                Ok(bytes) => Some(bytes.into()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            let file = File { plain: fs::read(&path)?.into(), brotli, media_type: media_type(&name) };
            files.insert(format!("{prefix}{name}"), file);
        }
    }
    Ok(())
}

/// One asset.
pub async fn asset(State(state): State<WebState>, UrlPath(path): UrlPath<String>, headers: HeaderMap) -> Response {
    let Some(file) = state.site.files.get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let brotli = file.brotli.as_ref().filter(|_| accepts.split(',').any(|e| e.trim().starts_with("br")));
    let mut response = brotli.unwrap_or(&file.plain).clone().into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if brotli.is_some() {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

/// The browser asks for it whatever the page says.
pub async fn favicon() -> Response {
    const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#0b6e75" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><path d="M3 9h18M6 9v6a6 6 0 0 0 12 0V9M12 9V3M12 3h5"/></svg>"##;
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "public, max-age=86400")], ICON).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn loads_a_site_with_its_compressed_twins() {
        let dir = std::env::temp_dir().join(format!("berth-site-{}", std::process::id()));
        fs::create_dir_all(dir.join("pkg")).unwrap();
        fs::write(dir.join("site.json"), r#"{"css":"main.1.css"}"#).unwrap();
        fs::write(dir.join("main.1.css"), "a{}").unwrap();
        fs::write(dir.join("main.1.css.br"), "x").unwrap();
        fs::write(dir.join("pkg/b.wasm"), "y").unwrap();
        let site = Site::load(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(site.manifest.css, "main.1.css");
        assert_eq!(site.files["main.1.css"].brotli.as_deref(), Some(b"x".as_slice()));
        assert_eq!(site.files["pkg/b.wasm"].media_type, "application/wasm");
        assert!(!site.files.contains_key("main.1.css.br"));
    }
}
