//! What the platform tells everybody.

use axum::extract::State;
use berth_core::listing::{Column, Listing};
use berth_types::{
    Page,
    announcement::{Announcement, AnnouncementText},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, OfAnnouncement},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const ANNOUNCEMENTS: Columns =
    Columns { sorts: &["from", "level"], filters: &[("level", &["info", "warning", "critical"])] };

static LISTING: Listing<Announcement> = Listing {
    columns: &[
        Column { name: "from", key: Some(|a| a.from.into()), value: None, facet: false },
        Column {
            name: "level",
            key: Some(|a| (a.level as i64).into()),
            value: Some(|a| a.level.to_string()),
            facet: true,
        },
        Column { name: "id", key: Some(|a| a.id.to_string().as_str().into()), value: None, facet: false },
    ],
    search: |a| a.text.clone(),
    unique: "id",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_current_announcements))
        .routes(routes!(dismiss_announcement))
        .routes(routes!(list_announcements, create_announcement))
        .routes(routes!(get_announcement, replace_announcement, delete_announcement))
}

impl Input for AnnouncementText {}

/// List what is announced now
///
/// To you, the gravest first: what you put away is left out.
#[utoipa::path(get, path = "/announcements", tag = "me",
    responses((status = 200, description = "Announcements.", body = Page<Announcement>)))]
pub(crate) async fn list_current_announcements(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&ANNOUNCEMENTS)?;
    api.services().authz().person(&caller.ctx)?;
    let shown = api.services().announced(&caller.ctx).await;
    Ok(reply::page(&asked, &LISTING.page(shown, &query)?)?)
}

/// Put an announcement away
///
/// For yourself, until it is changed. One that is critical stays.
#[utoipa::path(post, path = "/announcements/{announcement}/dismiss", tag = "me",
    responses((status = 204, description = "You do not see it any more.")))]
pub(crate) async fn dismiss_announcement(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfAnnouncement>,
) -> Reply {
    api.services().dismiss_announcement(&caller.ctx, place.announcement).await?;
    Ok(reply::nothing())
}

/// List announcements
#[utoipa::path(get, path = "/admin/announcements", tag = "admin", description = "All, past and to come.",
    responses((status = 200, description = "Announcements.", body = Page<Announcement>)))]
pub(crate) async fn list_announcements(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&ANNOUNCEMENTS)?;
    let all = api.services().list_announcements(&caller.ctx).await?;
    Ok(reply::page(&asked, &LISTING.page(all, &query)?)?)
}

/// Announce something
///
/// A banner on everybody's pages from `from` until `until`, where `onSignIn` says so also before they have signed in.
#[utoipa::path(post, path = "/admin/announcements", tag = "admin", request_body = AnnouncementText,
    responses((status = 201, description = "The announcement.", body = Announcement)))]
pub(crate) async fn create_announcement(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(text): Sent<AnnouncementText>,
) -> Reply {
    let made = api.services().create_announcement(&caller.ctx, &text).await?;
    let location = format!("{}/{}", asked.uri.path(), made.id);
    Ok(reply::with_tag(reply::created(&made, &location)?, tag(made.version, false)))
}

/// Get an announcement
#[utoipa::path(get, path = "/admin/announcements/{announcement}", tag = "admin", description = "One of them.",
    responses((status = 200, description = "The announcement.", body = Announcement)))]
pub(crate) async fn get_announcement(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfAnnouncement>,
    asked: Asked,
) -> Reply {
    let found = api.services().get_announcement(&caller.ctx, place.announcement).await?;
    let tag = tag(found.version, false);
    Ok(reply::unless_known(&asked, reply::json(&found)?, tag))
}

/// Change an announcement
///
/// Who put it away sees it again. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/admin/announcements/{announcement}", tag = "admin", request_body = AnnouncementText,
    responses((status = 200, description = "The announcement as it is now.", body = Announcement)))]
pub(crate) async fn replace_announcement(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfAnnouncement>,
    asked: Asked,
    Sent(text): Sent<AnnouncementText>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let changed = api.services().update_announcement(&caller.ctx, place.announcement, &text, known).await;
    let after = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    let tag = tag(after.version, false);
    Ok(reply::with_tag(reply::json(&after)?, tag))
}

/// Remove an announcement
#[utoipa::path(delete, path = "/admin/announcements/{announcement}", tag = "admin",
    description = "It is gone from everybody's pages.",
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete_announcement(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfAnnouncement>,
) -> Reply {
    api.services().delete_announcement(&caller.ctx, place.announcement).await?;
    Ok(reply::nothing())
}
