//! Pages, asked as `web` asks them.

use berth_app::{AppPages, Assets};
use berth_core::{
    OpCtx,
    ports::pages::{Language, PageRequest, PageResponse, Pages},
    testing::World,
};

pub fn pages(world: &World) -> AppPages {
    AppPages::new(world.services.clone(), Assets::default())
}

pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |p: &str| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    text.split('&').filter(|p| !p.is_empty()).map(pair).collect()
}

pub async fn ask(world: &World, ctx: &OpCtx, url: &str, form: Option<&str>, language: Language) -> PageResponse {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (path, query, form) = (path.into(), pairs(query), form.map(pairs));
    pages(world).respond(ctx, PageRequest { path, query, form, language, ..PageRequest::default() }).await
}

pub async fn get(world: &World, ctx: &OpCtx, url: &str) -> PageResponse {
    ask(world, ctx, url, None, Language::En).await
}

pub async fn post(world: &World, ctx: &OpCtx, url: &str, form: &str) -> PageResponse {
    ask(world, ctx, url, Some(form), Language::En).await
}

pub fn nobody(world: &World) -> OpCtx {
    OpCtx::anonymous(world.clock.clone(), "request-1", "192.0.2.1")
}

/// Where an answer leads.
#[track_caller]
pub fn to(response: &PageResponse) -> &str {
    assert_eq!(response.status, 303, "{}", response.html);
    response.redirect.as_deref().unwrap()
}

/// The path of a route, with something in the place of each parameter.
#[track_caller]
pub fn concrete(pattern: &str) -> String {
    let path = pattern
        .replace("{tenant}", "shop")
        .replace("{namespace}", "dev")
        .replace("{app}", "web")
        .replace("{pod}", "web-1")
        .replace("{role}", "releaser")
        .replace("{robot}", "deploy")
        .replace("{passkey}", "00000000-0000-0000-0000-00000000000a")
        .replace("{webhook}", "00000000-0000-0000-0000-00000000000e")
        .replace("{cluster}", "local")
        .replace("{node}", "node-1")
        .replace("{announcement}", "00000000-0000-0000-0000-000000000009")
        .replace("{plan}", "small")
        .replace("{provider}", "corp")
        .replace("{secret}", "no-such-secret")
        .replace("{request}", "00000000-0000-0000-0000-000000000007")
        .replace("{user}", "olga")
        .replace("{entry}", "1");
    assert!(!path.contains('{'), "{path}: say here what its parameter is");
    path
}
