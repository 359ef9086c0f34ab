//! The live parts of a page, rendered again whenever something in them changes.
//!
//! A page renders all its live parts at once, by the same views that made the page; what comes out is compared with what
//! the browser has, and only the parts that differ are sent. Rendering asks the services again, so it is also the check
//! that the reader may still see them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use berth_core::{
    Result,
    env::Clock,
    ports::{
        cluster::{Change, ChangeKind, Cluster},
        pages::Fragment,
    },
    recheck,
};
use berth_types::{Action, Resource};
use futures::{
    FutureExt, StreamExt,
    future::{self, Either},
    stream::{self, BoxStream},
};
use leptos::prelude::RenderHtml;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{layout::stale_banner, request::Cx, router::Live};

/// A change is seldom alone: so long its company is waited for. Short, for somebody may have clicked just now.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// At most one rendering in this time, however busy the cluster is.
const AT_MOST_EVERY: Duration = Duration::from_millis(120);

/// A stream of what changed on the page of `cx`; the first item has all its live parts.
///
/// # Errors
/// Those of `render`, for the first answer, and what keeps the place of the page from being found.
pub async fn stream(cx: Cx, render: Live) -> Result<BoxStream<'static, Result<Vec<Fragment>>>> {
    // Subscribed before the first rendering, so that nothing falls between the two.
    let (changes, cluster) = changes(&cx).await?;
    let clock = cx.ctx.clock.clone();
    let parts = move || {
        let (cx, cluster) = (cx.clone(), cluster.clone());
        async move {
            let mut fragments = render(cx.clone()).await?;
            if let Some(cluster) = cluster {
                let banner = stale_banner(cx.lang(), &cluster.freshness());
                let html = banner.map(RenderHtml::to_html).unwrap_or_default();
                fragments.push(Fragment { id: "stale".to_owned(), html });
            }
            Ok(fragments)
        }
    };
    let first = parts().await?;
    Ok(follow(clock, changes, first, parts))
}

/// The changes that the page of `cx` may show, and the cluster that they come from: those of its app, else of its
/// namespace, else of all clusters.
async fn changes(cx: &Cx) -> Result<(BoxStream<'static, ()>, Option<Arc<dyn Cluster>>)> {
    if cx.param("namespace").is_err() {
        let all: Vec<_> = cx.services.clusters().all().iter().map(|c| received(c.subscribe(), |_| true)).collect();
        return Ok((stream::select_all(all).boxed(), None));
    }
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let grant = cx.services.authz().namespace(&cx.ctx, &tenant, &namespace, Resource::Namespace, Action::Read).await?;
    let cluster = cx.services.clusters().get(&grant.cluster)?;
    let app = cx.app().ok();
    let namespace = grant.kube_name.clone();
    let concerns = move |change: &Change| {
        change.kind == ChangeKind::Freshness
            || (change.namespace == namespace
                && match (&change.app, &app) {
                    (Some(changed), Some(shown)) => **changed == *shown.as_str(),
                    _ => true,
                })
    };
    Ok((received(cluster.subscribe(), concerns), Some(cluster)))
}

/// One item for each change that `concerns` the page. Who lagged behind may have missed anything.
fn received(
    receiver: Receiver<Change>,
    concerns: impl Fn(&Change) -> bool + Send + Sync + 'static,
) -> BoxStream<'static, ()> {
    stream::unfold((receiver, concerns), |(mut receiver, concerns)| async move {
        loop {
            match receiver.recv().await {
                Ok(change) if !concerns(&change) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return Some(((), (receiver, concerns))),
                Err(RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}

/// What a stream holds between two items.
struct State<R> {
    clock: Arc<dyn Clock>,
    changes: BoxStream<'static, ()>,
    sent: HashMap<String, u64>,
    render: R,
    /// When it was last rendered.
    at: jiff::Timestamp,
}

/// `first`, then the parts that `render` makes differently, whenever there are changes and at least every [`recheck::EVERY`]. Ends
/// with the first error.
fn follow<R, F>(
    clock: Arc<dyn Clock>,
    changes: BoxStream<'static, ()>,
    first: Vec<Fragment>,
    render: R,
) -> BoxStream<'static, Result<Vec<Fragment>>>
where
    R: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<Vec<Fragment>>> + Send,
{
    let at = clock.now();
    // A stream that ends would be ready for ever.
    let changes = changes.chain(stream::pending()).boxed();
    let mut state = State { clock, changes, sent: HashMap::new(), render, at };
    let first = state.news(first);
    let rest = stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        loop {
            state.wait().await;
            let rendered = (state.render)().await;
            state.at = state.clock.now();
            match rendered {
                Ok(fragments) => {
                    let news = state.news(fragments);
                    if !news.is_empty() {
                        return Some((Ok(news), Some(state)));
                    }
                }
                Err(e) => return Some((Err(e), None)),
            }
        }
    });
    stream::once(future::ready(Ok(first))).chain(rest).boxed()
}

impl<R> State<R> {
    /// Returns when it is time to render again.
    async fn wait(&mut self) {
        let changed = {
            let next = pin!(self.changes.next());
            let tick = pin!(self.clock.sleep(recheck::EVERY));
            matches!(future::select(next, tick).await, Either::Left(_))
        };
        if changed {
            let since = self.clock.now().duration_since(self.at).unsigned_abs();
            self.clock.sleep(DEBOUNCE.max(AT_MOST_EVERY.saturating_sub(since))).await;
            while let Some(Some(())) = self.changes.next().now_or_never() {}
        }
    }

    /// The fragments that the browser does not have yet.
    fn news(&mut self, fragments: Vec<Fragment>) -> Vec<Fragment> {
        fragments
            .into_iter()
            .filter(|fragment| {
                let hash = fingerprint(&fragment.html);
                self.sent.insert(fragment.id.clone(), hash) != Some(hash)
            })
            .collect()
    }
}

/// A hash of `html` that does not see what stands in `<time>` elements: browsers keep relative times themselves.
fn fingerprint(html: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut rest = html;
    while let Some(at) = rest.find("<time") {
        let open = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
        hasher.write(&rest.as_bytes()[..open]);
        rest = &rest[open..];
        rest = rest.find("</time>").map_or("", |close| &rest[close..]);
    }
    hasher.write(rest.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_core::{Error, env::ManualClock};
    use futures::channel::mpsc;
    use shared::Shared;

    use super::*;

    /// A value that the rendering reads and the test sets.
    mod shared {
        use std::sync::{Arc, Mutex};

        #[derive(Clone, Default)]
        pub struct Shared<T>(Arc<Mutex<T>>);

        impl<T: Clone> Shared<T> {
            pub fn new(value: T) -> Self {
                Self(Arc::new(Mutex::new(value)))
            }
            pub fn set(&self, value: T) {
                *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
            }
            pub fn get(&self) -> T {
                self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
            }
        }
    }

    struct Bench {
        clock: Arc<ManualClock>,
        changed: mpsc::UnboundedSender<()>,
        /// What the fragments `a` and `b` hold; `None`: not to be seen any more.
        page: Shared<Option<(&'static str, &'static str)>>,
        stream: BoxStream<'static, Result<Vec<Fragment>>>,
    }

    fn bench() -> Bench {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (changed, changes) = mpsc::unbounded();
        let page = Shared::new(Some(("1", "1")));
        let read = page.clone();
        let render = move || {
            let result = match read.get() {
                Some((a, b)) => Ok(vec![fragment("a", a), fragment("b", b)]),
                None => Err(Error::not_found()),
            };
            future::ready(result)
        };
        let first = vec![fragment("a", "1"), fragment("b", "1")];
        let stream = follow(clock.clone(), changes.boxed(), first, render);
        Bench { clock, changed, page, stream }
    }

    fn fragment(id: &str, html: &str) -> Fragment {
        Fragment { id: id.to_owned(), html: html.to_owned() }
    }

    impl Bench {
        /// What comes within `milliseconds` on the clock.
        fn within(&mut self, milliseconds: u64) -> Option<Result<Vec<Fragment>, berth_types::ErrorCode>> {
            for _ in 0..=milliseconds / 10 {
                if let Some(item) = self.stream.next().now_or_never() {
                    return item.map(|item| item.map_err(|e| e.code()));
                }
                self.clock.advance(Duration::from_millis(10));
            }
            None
        }
    }

    #[test]
    fn only_what_changed_is_sent_and_soon() {
        let mut bench = bench();
        assert_eq!(bench.within(0), Some(Ok(vec![fragment("a", "1"), fragment("b", "1")])));
        assert_eq!(bench.within(1000), None);
        bench.page.set(Some(("1", "2")));
        for _ in 0..5 {
            bench.changed.unbounded_send(()).unwrap();
        }
        assert_eq!(bench.within(100), Some(Ok(vec![fragment("b", "2")])));
        // A busy cluster does not make a busy page.
        bench.page.set(Some(("1", "3")));
        bench.changed.unbounded_send(()).unwrap();
        assert_eq!(bench.within(80), None);
        assert_eq!(bench.within(60), Some(Ok(vec![fragment("b", "3")])));
    }

    #[test]
    fn rights_are_looked_at_without_changes() {
        let mut bench = bench();
        assert!(bench.within(0).is_some());
        bench.page.set(None);
        assert_eq!(bench.within(2900), None);
        assert_eq!(bench.within(200), Some(Err(berth_types::ErrorCode::NotFound)));
        assert!(bench.stream.next().now_or_never().unwrap().is_none(), "nothing comes after an error");
    }

    #[test]
    fn relative_times_are_no_change() {
        let one = fingerprint(r#"<td><time datetime="x">1 s</time></td><td>a</td>"#);
        assert_eq!(one, fingerprint(r#"<td><time datetime="x">9 s</time></td><td>a</td>"#));
        assert_ne!(one, fingerprint(r#"<td><time datetime="y">1 s</time></td><td>a</td>"#));
        assert_ne!(one, fingerprint(r#"<td><time datetime="x">1 s</time></td><td>b</td>"#));
    }
}
