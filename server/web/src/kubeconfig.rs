//! `/t/{tenant}/kubectl/file`: the target of the form on a tenant's page for kubectl. Fields: `namespace`, `hours`.

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_core::{Error, OpCtx, Result};
use berth_types::{NamespaceName, TenantName};

use crate::{WebState, pages};

/// Makes a kubeconfig and hands it out as a file: it has a secret, so it stands in no page and in no cache.
pub async fn file(State(state): State<WebState>, Path(tenant): Path<String>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = request.headers().clone();
    let mut asked = pages::page_request(&state, request.uri(), &headers, request.extensions().get());
    // Where one signs in again, or tries again, is the page: this address shows nothing.
    asked.path = asked.path.trim_end_matches("/file").to_owned();
    match make(&state, &ctx, &tenant, &headers, request).await {
        Ok((name, yaml)) => attachment(&name, yaml),
        Err(e) => pages::error(&state, &ctx, asked, e).await,
    }
}

async fn make(
    state: &WebState,
    ctx: &OpCtx,
    tenant: &str,
    headers: &HeaderMap,
    request: Request,
) -> Result<(String, String)> {
    let form = pages::read_form(state, request).await?;
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim());
    let base = pages::base(state, headers)?;
    let tenant: TenantName = tenant.parse().map_err(|_| Error::not_found())?;
    let namespace = match field("namespace") {
        "" => None,
        name => Some(name.parse::<NamespaceName>().map_err(|_| Error::not_found())?),
    };
    // What is no number is as wrong as none: the service says what may stand there.
    let hours = field("hours").parse().unwrap_or_default();
    let made = state.services.create_kubeconfig(ctx, &tenant, namespace.as_ref(), hours).await?;
    Ok((made.file_name(), made.to_yaml(&base)))
}

fn attachment(name: &str, yaml: String) -> Response {
    let mut response = Body::from(yaml).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Names of tenants and namespaces are plain letters, digits and hyphens.
    if let Ok(how) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, how);
    }
    response
}
