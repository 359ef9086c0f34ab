//! Mail: one's own address and choices, whether a person can be reached, how it is with mail on the platform.

use axum::extract::State;
use berth_types::mail::{MailStatus, MyMail, Reachable};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    caller::Caller,
    places::{At, OfUser},
    problem::Reply,
    query::Asked,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(get_my_mail))
        .routes(routes!(get_user_mail))
        .routes(routes!(get_mail_status))
        .routes(routes!(test_mail))
}

/// Read where you get mail, and which
///
/// Address and choices are changed in the browser (Account, E-mail): a token cannot change the account it belongs to.
#[utoipa::path(get, path = "/me/mail", tag = "me",
    responses((status = 200, description = "Your address, and of what you are told.", body = MyMail)))]
pub(crate) async fn get_my_mail(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    Ok(reply::tagged(&asked, &api.services().my_mail(&caller.ctx).await?)?)
}

/// Read whether a person gets mail
#[utoipa::path(get, path = "/admin/users/{user}/mail", tag = "admin",
    description = "Whether they have shown that an address is theirs; not which.",
    responses((status = 200, description = "Whether mail reaches them.", body = Reachable)))]
pub(crate) async fn get_user_mail(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfUser>,
    asked: Asked,
) -> Reply {
    Ok(reply::tagged(&asked, &api.services().is_reachable(&caller.ctx, &place.user).await?)?)
}

/// Read whether mail works
#[utoipa::path(get, path = "/admin/mail", tag = "admin",
    description = "Whether mail is sent, how much waits, and why the last one did not arrive. What was sent is counted for a week.",
    responses((status = 200, description = "How it is with mail.", body = MailStatus)))]
pub(crate) async fn get_mail_status(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    Ok(reply::tagged(&asked, &api.services().mail_status(&caller.ctx).await?)?)
}

/// Send a test mail to yourself
#[utoipa::path(post, path = "/admin/mail/test", tag = "admin",
    description = "To your own address, which you must have shown to be yours; it is tried once, within seconds: `GET /admin/mail` says what became of it.",
    responses((status = 204, description = "It is on its way.")))]
pub(crate) async fn test_mail(State(api): State<Api>, caller: Caller) -> Reply {
    api.services().test_mail(&caller.ctx).await?;
    Ok(reply::nothing())
}
