//! The live parts of a page, rendered again whenever something in them changes.

use berth_core::{Result, ports::pages::Fragment};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{request::Cx, router::Live};

/// A stream of what changed on the page of `cx`.
///
/// # Errors
/// Those of `render`, for the first answer.
pub async fn stream(cx: Cx, render: Live) -> Result<BoxStream<'static, Result<Vec<Fragment>>>> {
    let first = render(cx).await?;
    Ok(stream::once(async { Ok(first) }).chain(stream::pending()).boxed())
}
