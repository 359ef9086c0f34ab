//! Lists: pages, filters, order, tags.

use berth_core::{ports::cluster::Cluster as _, testing::app_of};
use serde_json::Value;

use crate::fixture::{APPS, Site, spec};

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

async fn many() -> Site {
    let site = Site::new().await;
    let ctx = site.world.ctx("developer").await;
    for n in 0..7 {
        let app = app_of(&site.prod, &format!("app-{n}"));
        site.world.cluster.create_app(&ctx, &app, &spec("a:1")).await.unwrap();
    }
    site
}

#[tokio::test]
async fn following_next_sees_every_row_once() {
    let site = many().await;
    let mut uri = format!("{APPS}?limit=3&sort=-name&q=app&phase=Progressing&phase=Ready");
    let mut seen = Vec::new();
    loop {
        let answer = site.ask("viewer", "GET", &uri).send().await;
        let page = answer.json();
        assert_eq!((page["total"].as_u64(), answer.header("vary")), (Some(7), "accept"), "{page}");
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let link = answer.header("link");
        assert_eq!(link.is_empty(), page.get("next").is_none());
        let Some(next) = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")) else { break };
        assert!(next.contains("phase=Progressing&phase=Ready"), "{next}");
        uri = next.to_owned();
    }
    assert_eq!(seen, ["app-6", "app-5", "app-4", "app-3", "app-2", "app-1", "app-0"]);
}

#[tokio::test]
async fn filters_and_facets() {
    let site = many().await;
    let ready = site.get("viewer", &format!("{APPS}?phase=Ready")).await;
    assert_eq!(names(&ready), ["checkout"]);
    assert_eq!(ready["facets"]["phase"]["Progressing"], 7, "counted before the column's own filter");
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let site = many().await;
    let first = site.ask("viewer", "GET", APPS).send().await;
    let again = || site.ask("viewer", "GET", APPS).header("if-none-match", first.header("etag")).send();
    site.world.clock.advance(std::time::Duration::from_secs(5));
    let same = again().await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    let ctx = site.world.ctx("developer").await;
    site.world.cluster.delete_app(&ctx, &app_of(&site.prod, "app-3"), None).await.unwrap();
    let other = again().await;
    assert_eq!(other.status, 200);
    assert_ne!(other.header("etag"), first.header("etag"));
}
