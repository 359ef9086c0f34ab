//! What the platform tells everybody: the banner above every page, and putting one away.

use berth_core::{Result, ports::pages::Access};
use berth_types::announcement::{Announcement, AnnouncementLevel, Piece, pieces};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{Tone, hidden, note},
    paths,
    request::{Answer, Cx},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::action("/announcements/{announcement}/dismiss", Access::SignedIn, |cx| dismiss(cx).boxed())];

/// POST `/announcements/{announcement}/dismiss`: back to where one was.
async fn dismiss(cx: Cx) -> Result<Answer> {
    let id = cx.param("announcement")?.parse().map_err(|_| berth_core::Error::not_found())?;
    cx.services.dismiss_announcement(&cx.ctx, id).await?;
    let to = paths::safe_next(cx.field("next")).unwrap_or(paths::HOME).to_owned();
    Ok(berth_core::ports::pages::PageResponse::redirect(to).into())
}

/// Tone and word of a level.
#[must_use]
pub fn level(ui: Ui, level: AnnouncementLevel) -> (Tone, &'static str) {
    match level {
        AnnouncementLevel::Critical => (Tone::Bad, tr::announcements::critical(ui.lang)),
        AnnouncementLevel::Warning => (Tone::Warn, tr::announcements::warning(ui.lang)),
        AnnouncementLevel::Info => (Tone::Info, tr::announcements::info(ui.lang)),
    }
}

/// The banners above a page; who is signed in can put away those that are not critical, and comes back `here`.
#[must_use]
pub fn banners(ui: Ui, all: &[Announcement], signed_in: bool, here: &str) -> Option<AnyView> {
    let l = ui.lang;
    if all.is_empty() {
        return None;
    }
    let banner = |a: &Announcement| {
        let (tone, word) = level(ui, a.level);
        let parts: Vec<_> = pieces(&a.text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned().into_any(),
                Piece::Link(href) => {
                    view! { <a href=href.to_owned() rel="noopener noreferrer">{href.to_owned()}</a> }.into_any()
                }
            })
            .collect();
        let away = (signed_in && a.level != AnnouncementLevel::Critical).then(|| {
            let action = format!("/announcements/{}/dismiss", a.id);
            view! {
                <form method="post" action=action>
                    {hidden("next", here)}
                    <button class="btn sm quiet" type="submit">{tr::announcements::dismiss(l)}</button>
                </form>
            }
        });
        let body = view! {
            <p class="announced"><strong>{word} ": "</strong>{parts}</p>
            {away}
        };
        note(tone, body.into_any())
    };
    let all: Vec<_> = all.iter().map(banner).collect();
    Some(view! { <section class="stack" aria-label=tr::announcements::announcements(l)>{all}</section> }.into_any())
}
