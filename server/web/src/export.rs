//! `/admin/audit/export`: the audit log as a file, for the page of the log. Query: the filters of that page, and `format`.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, OpCtx, RequestMeta,
    audit::{FILTERS, export::Format},
    services::audit_log::AuditExport,
};
use berth_types::{Action, ErrorCode, FieldError, ListQuery, Resource};
use futures::TryStreamExt;

use crate::{WebState, origin, pages, session};

/// The file. Unlike other reading it leaves an entry in the log, hence the same rule as for what changes something.
pub async fn export(State(state): State<WebState>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = request.headers().clone();
    let asked = asked(&request);
    let begun = async {
        // Who may not read the log learns nothing of what it can be asked for.
        let may = || state.services.authz().platform(&ctx, Resource::Audit, Action::Read);
        let (query, format) = asked.or_else(|wrong| may().and(Err(wrong)))?;
        Ok((state.services.export_audit(&ctx, &query, format).await?, format))
    };
    match begun.await {
        Ok((export, format)) => file(format, body(state, ctx, headers, export)),
        Err(e) => pages::refusal(&state, request, e).await,
    }
}

fn asked(request: &Request) -> Result<(ListQuery, Format), Error> {
    if !origin::is_same_origin(request.headers()) {
        return Err(Error::new(ErrorCode::Forbidden, "this was asked for by another site; nothing was exported"));
    }
    read(&pages::pairs(request.uri().query().unwrap_or_default().as_bytes()))
}

/// What is asked for. Sort and page of the list are no part of it.
fn read(asked: &[(String, String)]) -> Result<(ListQuery, Format), Error> {
    let mut query = ListQuery::default();
    let mut format = None;
    for (name, value) in asked.iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "format" => format = Format::from_word(value),
            "q" => query.q = value.trim().to_owned(),
            "sort" | "page" | "limit" => {}
            name if FILTERS.contains(&name) => query = query.filter(name, value),
            // A mistyped filter must not export everything.
            name => return Err(Error::field(FieldError::new(name, "parameter_unknown", "is no filter of this list"))),
        }
    }
    let known = Format::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ");
    let wrong = FieldError::new("format", "filter_value", format!("use one of {known}")).param("known", known);
    Ok((query, format.ok_or_else(|| Error::field(wrong))?))
}

/// A part at a time. Session and rights are checked for each.
fn body(state: WebState, ctx: OpCtx, headers: HeaderMap, mut export: AuditExport) -> Body {
    let meta = RequestMeta { request_id: ctx.request_id.clone(), network: ctx.network.clone() };
    let request_id = ctx.request_id.clone();
    let parts = async_stream::try_stream! {
        loop {
            let ctx = session::context(&state, Some(&meta), &headers).await?;
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
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let read = |query: &str| read(&pages::pairs(query.as_bytes()));
        let (query, format) = read("format=csv&actor=ann&q=+web+&tenant=&page=3").unwrap();
        assert_eq!((format, query.q.as_str(), query.filters.len()), (Format::Csv, "web", 1));
        for (asked, field) in [("", "format"), ("format=xls", "format"), ("format=csv&actr=ann", "actr")] {
            assert_eq!(read(asked).unwrap_err().fields()[0].field, field);
        }
    }
}
