//! The pages, as `web` serves them.

use std::{error::Error as _, sync::Arc};

use async_trait::async_trait;
use berth_core::{
    Error, OpCtx, Person, Result, Services,
    error::causes,
    ports::pages::{Access, Fragment, PageRequest, PageResponse, Pages, Route},
};
use berth_types::ErrorCode;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use crate::{
    assets::Assets,
    layout, live, pages, paths,
    request::{Answer, Cx, PageCx, retry_after},
    router::{self, Matched},
};

/// All pages over the services.
#[derive(Clone)]
pub struct AppPages {
    services: Services,
    assets: Arc<Assets>,
}

impl AppPages {
    /// Pages that do what `services` can and load `assets`.
    #[must_use]
    pub fn new(services: Services, assets: Assets) -> Self {
        Self { services, assets: Arc::new(assets) }
    }

    fn cx(&self, ctx: &OpCtx, request: PageRequest, params: Vec<(&'static str, String)>) -> Cx {
        Arc::new(PageCx {
            services: self.services.clone(),
            ctx: ctx.clone(),
            request,
            params,
            assets: self.assets.clone(),
        })
    }
}

/// Where somebody must go first, if anywhere: to sign in, to choose a password of their own, to add a second factor.
async fn first_go(cx: &Cx, access: Access, pattern: &str) -> Option<PageResponse> {
    match cx.ctx.person() {
        _ if access == Access::Public => None,
        None => Some(signed_out(cx).await),
        Some(person) if person.must_change_password && pattern != paths::PASSWORD => {
            Some(PageResponse::redirect(paths::with_query(paths::PASSWORD, [("next", back(cx).as_str())])))
        }
        Some(person) if person.needs_second_factor && !matches!(pattern, paths::PASSWORD | paths::SECOND_FACTOR) => {
            Some(PageResponse::redirect(paths::with_query(paths::SECOND_FACTOR, [("next", back(cx).as_str())])))
        }
        Some(_) => None,
    }
}

/// The way to sign in. Who was signed out while they filled in a form keeps what they typed; but no page keeps a password.
async fn signed_out(cx: &Cx) -> PageResponse {
    match &cx.request.form {
        Some(fields) if !fields.iter().any(|(name, _)| pages::session::is_secret(name)) => {
            let page = pages::session::ended(cx.ui(), &cx.request.path, fields);
            layout::respond(cx, page, false).await
        }
        _ => PageResponse::redirect(paths::sign_in(&back(cx))),
    }
}

/// Where to go on afterwards: what a form was sent to is looked at, not sent again.
fn back(cx: &PageCx) -> String {
    if cx.request.form.is_some() { cx.request.path.clone() } else { cx.here() }
}

/// What is shown in a look as somebody else says so in all its forms.
fn marked(ctx: &OpCtx, html: String) -> String {
    match ctx.person().and_then(Person::viewed_by) {
        Some(view) => pages::view_as::marked(&html, view),
        None => html,
    }
}

async fn answer(cx: &Cx, matched: &Matched) -> Result<PageResponse> {
    let entry = matched.entry;
    if let Some(elsewhere) = first_go(cx, entry.access, entry.pattern).await {
        return Ok(elsewhere);
    }
    let handler = if cx.request.form.is_some() { entry.form } else { entry.page };
    let Some(handler) = handler else {
        return Err(Error::new(ErrorCode::MethodNotAllowed, "this address answers another method"));
    };
    match handler(cx.clone()).await? {
        Answer::Plain(response) => Ok(*response),
        Answer::Page(page) => Ok(layout::respond(cx, *page, entry.live.is_some()).await),
    }
}

async fn refuse(cx: &Cx, error: Error) -> PageResponse {
    if matches!(error.code(), ErrorCode::Internal | ErrorCode::Timeout) {
        let cause = error.source().map(causes).unwrap_or_default();
        tracing::error!(request_id = %cx.ctx.request_id, path = cx.request.path, cause, "{error}");
    }
    if error.code() == ErrorCode::Unauthenticated {
        return signed_out(cx).await;
    }
    let retry_after = retry_after(&error);
    let page = pages::errors::page(cx, &error).await;
    PageResponse { retry_after, ..layout::respond(cx, page, false).await }
}

#[async_trait]
impl Pages for AppPages {
    async fn respond(&self, ctx: &OpCtx, request: PageRequest) -> PageResponse {
        let Some(mut matched) = router::find(&request.path) else {
            return self.error(ctx, request, Error::not_found()).await;
        };
        let cx = self.cx(ctx, request, std::mem::take(&mut matched.params));
        let response = match answer(&cx, &matched).await {
            Ok(response) => response,
            Err(error) => refuse(&cx, error).await,
        };
        PageResponse { html: marked(ctx, response.html), ..response }
    }

    async fn error(&self, ctx: &OpCtx, request: PageRequest, error: Error) -> PageResponse {
        let response = refuse(&self.cx(ctx, request, Vec::new()), error).await;
        PageResponse { html: marked(ctx, response.html), ..response }
    }

    async fn live(&self, ctx: &OpCtx, request: PageRequest) -> Result<BoxStream<'static, Result<Vec<Fragment>>>> {
        let matched = router::find(&request.path).ok_or_else(Error::not_found)?;
        let render = matched.entry.live.ok_or_else(Error::not_found)?;
        let cx = self.cx(ctx, PageRequest { form: None, ..request }, matched.params);
        if first_go(&cx, matched.entry.access, matched.entry.pattern).await.is_some() {
            return Err(Error::unauthenticated());
        }
        let (fragments, ctx) = (live::stream(cx, render).await?, ctx.clone());
        let mark = move |fragment: Fragment| Fragment { html: marked(&ctx, fragment.html), ..fragment };
        Ok(fragments.map_ok(move |all| all.into_iter().map(&mark).collect()).boxed())
    }

    fn routes(&self) -> Vec<Route> {
        router::routes()
    }
}
