//! The audit log beyond its list: one entry, files of many, checkpoints.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use berth_core::{Error, Result, audit::export::Format, services::audit_log::AuditExport};
use berth_types::{Page, audit::AuditCheckpoint, people::AuditEntry};
use futures::TryStreamExt;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    caller::Caller,
    handlers::admin::AUDIT,
    places::{At, OfEntry},
    problem::Reply,
    query::{Asked, Columns},
    reply::{self, CSV, JSON, NDJSON},
    streams::Place,
};

pub(crate) const CHECKPOINTS: Columns = Columns { sorts: &["sequence"], filters: &[] };

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(export_audit))
        .routes(routes!(get_audit_entry))
        .routes(routes!(list_checkpoints))
}

/// Read an audit entry
///
/// With its hash, which is taken over the entry and the hash of the one before it.
#[utoipa::path(get, path = "/admin/audit/{entry}", tag = "admin",
    responses((status = 200, description = "The entry.", body = AuditEntry)))]
pub(crate) async fn get_audit_entry(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    At(place): At<OfEntry>,
) -> Reply {
    asked.only(&[])?;
    let entry = api.services().find_audit(&caller.ctx, place.entry).await?;
    Ok(reply::tagged(&asked, &entry)?)
}

/// Export the audit log
///
/// All entries that fit the filters, oldest first, as NDJSON or, with `Accept: text/csv`, as CSV in which nothing is a formula.
/// The file ends with the last entry that there was when it was asked for; the connection breaks off when it cannot be whole.
/// That it was exported, and with which filters, is itself in the log.
#[utoipa::path(get, path = "/admin/audit/export", tag = "admin",
    responses((status = 200, description = "The entries.")))]
pub(crate) async fn export_audit(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.filters(&AUDIT)?;
    let format = if asked.accepts(&[NDJSON, CSV]) == CSV { Format::Csv } else { Format::Ndjson };
    let place = api.streams().take(caller.person()?.id)?;
    let export = api.services().export_audit(&caller.ctx, &query, format).await?;
    Ok(file(format, body(api, caller, export, place)))
}

/// The file, a part at a time. Rights are checked for each: the token may have been revoked, the role taken away.
fn body(api: Api, caller: Caller, mut export: AuditExport, place: Place) -> Body {
    let request_id = caller.ctx.request_id.clone();
    let parts = async_stream::try_stream! {
        let _place = place;
        loop {
            let ctx = caller.again(&api).await?;
            let Some(part) = export.next(&ctx).await? else { break };
            yield Bytes::from(part);
        }
    };
    Body::from_stream(parts.inspect_err(move |e: &Error| {
        tracing::warn!(%request_id, error = %e, "an export of the audit log broke off");
    }))
}

fn file(format: Format, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(format.disposition()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// List the checkpoints of the audit log
///
/// Signed statements of how long the log was and what it held, newest first. Keep them where nobody who can write Berth's
/// database reaches them: `berth audit verify --checkpoints FILE` then finds a log that was cut off or written anew. With
/// `Accept: application/x-ndjson`, one a line, as the command reads them.
#[utoipa::path(get, path = "/audit/checkpoints", tag = "admin",
    responses((status = 200, description = "Checkpoints.", body = Page<AuditCheckpoint>)))]
pub(crate) async fn list_checkpoints(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&CHECKPOINTS)?;
    let page = api.services().list_checkpoints(&caller.ctx, &query).await?;
    if asked.accepts(&[JSON, NDJSON]) == NDJSON { Ok(lines(&page)?) } else { Ok(reply::page(&asked, &page)?) }
}

fn lines(page: &Page<AuditCheckpoint>) -> Result<Response> {
    let mut text = String::new();
    for one in &page.items {
        text.push_str(&serde_json::to_string(one).map_err(Error::internal)?);
        text.push('\n');
    }
    Ok(reply::text(NDJSON, text))
}
