//! What is generated: the OpenAPI document and the CRDs.

use anyhow::Context;

/// The OpenAPI document as JSON.
pub fn openapi() -> anyhow::Result<String> {
    serde_json::to_string_pretty(&berth_api::openapi()).context("the OpenAPI document cannot be written")
}

/// The CRDs as a YAML stream.
pub fn crds() -> anyhow::Result<String> {
    let mut out = String::new();
    for crd in berth_cluster::crds() {
        let text = berth_core::yaml::print(&crd).map_err(anyhow::Error::new)?;
        out.push_str("---\n");
        out.push_str(&text);
    }
    Ok(out)
}
