//! From a form that does not fit to another quota, page by page, as a browser without scripts walks.

use std::time::Duration;

use berth_core::{
    authz::NamespaceRef,
    ports::pages::{Fragment, Language, PageRequest, PageResponse, Pages as _},
    services::quotas::Wanted,
    testing::World,
};
use berth_types::{PlatformRole, TenantRole, quota::Written, rows::UsageRow};
use futures::StreamExt as _;

use crate::common::{self, to};

fn amounts(text: &str) -> Written {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, amount)| (key.to_owned(), amount.to_owned())).collect()
}

/// Tenant `shop` of `olga` with `dev`, limited to 10 pods of which `dev` has 8; `dave` develops, `root` and `rita` keep the
/// platform, `audrey` looks.
struct Scene {
    world: World,
    dev: NamespaceRef,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        for admin in ["root", "rita"] {
            world.person(admin, Some(PlatformRole::Admin)).await;
        }
        world.person("audrey", Some(PlatformRole::Auditor)).await;
        for name in ["olga", "dave", "vera"] {
            world.person(name, None).await;
        }
        let members = [("olga", TenantRole::Owner), ("dave", TenantRole::Developer), ("vera", TenantRole::Viewer)];
        let shop = world.tenant("shop", &members).await;
        let dev = world.namespace(&shop, "dev").await;
        let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
        let limit = Wanted::Own(amounts("pods=10 requests.memory=8Gi"));
        world.services.set_tenant_quota(&root, &shop.name, None, &limit).await.unwrap();
        world.services.set_share(&olga, &shop.name, &dev.name, Some(&amounts("pods=8"))).await.unwrap();
        Self { world, dev }
    }

    fn uses(&self, pods: &str) {
        let row = UsageRow { resource: "pods".to_owned(), used: pods.to_owned(), limit: None };
        self.world.cluster.set_usage(&self.dev, vec![row]);
    }

    async fn get(&self, who: &str, url: &str) -> PageResponse {
        common::get(&self.world, &self.world.ctx(who).await, url).await
    }

    async fn page(&self, who: &str, url: &str) -> String {
        let page = self.get(who, url).await;
        assert_eq!(page.status, 200, "{url}: {}", page.html);
        page.html
    }

    async fn post(&self, who: &str, path: &str, form: &str) -> PageResponse {
        common::post(&self.world, &self.world.ctx(who).await, path, form).await
    }

    /// A request of `who`; its page.
    async fn made(&self, who: &str, form: &str) -> String {
        let sent = self.post(who, NEW, &format!("reason=The sale begins&cluster=local&{form}")).await;
        to(&sent).to_owned()
    }
}

const NEW: &str = "/t/shop/quota/requests/new";
const LIST: &str = "/t/shop/quota/requests";

#[tokio::test]
async fn what_is_lacking_is_filled_in_and_what_was_typed_stays() {
    let scene = Scene::new().await;
    scene.uses("3");
    // Two pods are not shared out yet: four more are lacking.
    let form = scene.page("dave", &format!("{NEW}?namespace=dev&lacking[pods]=6")).await;
    for part in [
        r#"name="resources[pods]" value="14""#,
        r#"name="resources[requests.memory]" value="8Gi""#,
        r#"name="lacking[pods]" value="6""#,
        r#"<option value="dev" selected"#,
        "Pods: 6 is lacking, 2 is left to share out.",
        "Now 10; 8 shared out, 3 in use.",
    ] {
        assert!(form.contains(part), "{part} is not in {form}");
    }
    assert!(!form.contains("you need not ask"), "{form}");
    let enough = scene.page("dave", &format!("{NEW}?namespace=dev&lacking[pods]=2")).await;
    assert!(enough.contains("you need not ask") && enough.contains(r#"href="/t/shop/n/dev/quota""#), "{enough}");

    let typed = "namespace=dev&resources[pods]=much&resources[requests.memory]=8Gi&reason= &until=2027-12-01T00:00";
    let wrong = scene.post("dave", NEW, &format!("cluster=local&lacking[pods]=6&{typed}")).await;
    assert_eq!(wrong.status, 422);
    for part in [
        r#"value="much""#,
        r#"value="2027-12-01T00:00""#,
        "Say why, in a sentence.",
        "within 90 days",
        r#"name="lacking[pods]" value="6""#,
    ] {
        assert!(wrong.html.contains(part), "{part} is not in {}", wrong.html);
    }
    let below = scene.post("olga", NEW, "cluster=local&resources[pods]=7&reason=Less").await;
    assert!(below.status == 422 && below.html.contains("7 is less than the namespaces have: 8"), "{}", below.html);
    assert_eq!(scene.get("vera", NEW).await.status, 403, "a viewer does not ask");
    assert_eq!(scene.post("vera", NEW, "resources[pods]=12&reason=x").await.status, 403);
}

#[tokio::test]
async fn asked_decided_and_seen() {
    let scene = Scene::new().await;
    scene.uses("3");
    let request = scene.made("dave", "namespace=dev&resources[pods]=14&lacking[pods]=6").await;
    let page = scene.page("dave", &request).await;
    for part in ["Pods 10 → 14", "Waits for an admin", "Why no rule approved it", "Lacking: Pods 6", "Withdraw request"]
    {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("value=\"approve\""), "who asks does not decide");
    let quota = scene.page("vera", "/t/shop/quota").await;
    assert!(quota.contains("Pods 10 → 14") && !quota.contains("/t/shop/quota/requests/new"), "{quota}");
    assert!(quota.contains("You may not make quota requests here. This needs the role Developer."), "{quota}");

    let inbox = scene.page("root", "/admin/requests").await;
    assert!(inbox.contains("Pods 10 → 14") && inbox.contains(r#"<span class="count">1</span>"#), "{inbox}");
    assert!(scene.page("audrey", "/admin/requests").await.contains("Pods 10 → 14"));
    assert_eq!(scene.get("olga", "/admin/requests").await.status, 404);
    assert!(!scene.page("audrey", &request).await.contains("value=\"approve\""), "an auditor looks");

    let page = scene.page("root", &request).await;
    assert!(page.contains("value=\"approve\"") && page.contains("value=\"offer\""), "{page}");
    // Whoever decides sees how it is now, beside how it was: what differs stands out.
    scene.uses("7");
    let limit = Wanted::Own(amounts("pods=12 requests.memory=8Gi"));
    let root = scene.world.ctx("root").await;
    scene.world.services.set_tenant_quota(&root, &"shop".parse().unwrap(), None, &limit).await.unwrap();
    let (start, end) = ("Then and now", "</table>");
    for (who, want) in [
        ("root", ["10", "<b>12</b>", "8", "8", "3", "<b>7</b>"]),
        ("dave", ["10", "<b>12</b>", "8", "8", "3", "<b>7</b>"]),
    ] {
        let page = scene.page(who, &request).await;
        let part = page.split(start).nth(1).and_then(|rest| rest.split(end).next()).unwrap();
        let cells: Vec<&str> =
            part.split(r#"<td class="num">"#).skip(1).filter_map(|td| td.split("</td>").next()).collect();
        assert_eq!(cells, want, "{who}: {part}");
    }
    let silent = scene.post("root", &request, "version=1&do=refuse&comment=").await;
    assert!(silent.status == 422 && silent.html.contains("Say why, in a sentence."), "{}", silent.html);
    assert!(silent.html.contains(r#"value="14""#), "the offer's fields keep what they showed: {}", silent.html);
    assert_eq!(scene.post("dave", &request, "version=1&do=approve&comment=").await.status, 403);
    assert_eq!(to(&scene.post("root", &request, "version=1&do=approve&comment=Good luck").await), request);
    let late = scene.post("rita", &request, "version=1&do=refuse&comment=No").await;
    assert_eq!(late.status, 422, "{}", late.html);
    let page = scene.page("dave", &request).await;
    assert!(!page.contains("Then and now"), "it is decided: {page}");
    assert!(page.contains("Good luck") && page.contains("Approved") && !page.contains("Withdraw request"), "{page}");
    let inbox = scene.page("root", "/admin/requests?state=open").await;
    assert!(
        !inbox.contains(r#"<span class="count">1</span>"#) && inbox.contains("Nothing fits this filter"),
        "{inbox}"
    );
    let quota = scene.page("dave", "/t/shop/quota").await;
    assert!(quota.contains("No request waits.") && quota.contains("Ask for more quota"), "{quota}");
    assert!(scene.page("vera", LIST).await.contains("Pods 10 → 14"));
    for absent in ["/t/shop/quota/requests/x", "/t/shop/quota/requests/00000000-0000-0000-0000-000000000009"] {
        assert_eq!(scene.get("olga", absent).await.status, 404, "{absent}");
    }
}

#[tokio::test]
async fn an_offer_and_a_loan() {
    let scene = Scene::new().await;
    let request = scene.made("dave", "namespace=dev&resources[pods]=30").await;
    let offer = "version=1&do=offer&resources[pods]=x&until=2026-12-01T12:00&note=As much as is free";
    let wrong = scene.post("root", &request, offer).await;
    assert!(wrong.status == 422 && wrong.html.contains(r#"value="x""#), "{}", wrong.html);
    assert!(wrong.html.contains("As much as is free"), "what was typed stays");
    assert_eq!(to(&scene.post("root", &request, &offer.replace("=x", "=12")).await), request);
    let page = scene.page("dave", &request).await;
    assert!(page.contains("You are offered:") && page.contains("As much as is free"), "{page}");
    assert!(!scene.page("vera", &request).await.contains("value=\"accept\""));
    assert_eq!(to(&scene.post("dave", &request, "version=2&do=accept").await), request);
    let quota = scene.page("olga", "/t/shop/quota").await;
    for part in ["2 of it lent", "Loans", "Running", "2026-12-01 12:00"] {
        assert!(quota.contains(part), "{part} is not in {quota}");
    }
    assert!(!scene.page("vera", "/t/shop/quota").await.contains("Keep for longer"), "who may not ask");
    // To keep it for longer is to ask for the same with a later end.
    let longer = format!("{NEW}?cluster=local&loan={}", request.rsplit('/').next().unwrap());
    assert!(quota.contains(&longer.replace('&', "&amp;")) || quota.contains(&longer), "{quota}");
    let form = scene.page("dave", &longer).await;
    for part in [r#"name="resources[pods]" value="12""#, "Without that it ends:", r#"<option value="dev" selected"#] {
        assert!(form.contains(part), "{part} is not in {form}");
    }
    let asked = scene.made("dave", "namespace=dev&resources[pods]=12&until=2026-12-20T12:00").await;
    assert!(scene.page("root", &asked).await.contains("Pods 12 → 12"));
    scene.post("dave", &asked, "version=1&do=withdraw").await;
    let same = scene.post("dave", NEW, "cluster=local&resources[pods]=12&until=2026-11-30T12:00&reason=x").await;
    assert_eq!(same.status, 422, "it is lent until then");
    let for_good = scene.made("dave", "resources[pods]=11").await;
    assert!(scene.page("root", &for_good).await.contains("Pods 10 → 11"), "for good is apart from what is lent");
    scene.post("dave", &for_good, "version=1&do=withdraw").await;
    let form = scene.page("root", "/admin/tenants/shop/quota").await;
    assert!(form.contains(r#"name="resources[pods]" value="10""#), "what is lent is not set by hand: {form}");

    for (hours, word) in [(24 * 9, "Ends within 3 days"), (24 * 2, "Ends within a day"), (24, "Overdue")] {
        scene.world.clock.advance(Duration::from_hours(hours));
        let quota = scene.page("olga", "/t/shop/quota").await;
        assert!(quota.contains(word), "{word} is not in {quota}");
    }
    scene.uses("9");
    scene.world.services.keep_loans().await.unwrap();
    assert!(!scene.page("olga", "/t/shop/quota").await.contains("Loans"));
}

#[tokio::test]
async fn a_rule_approves_at_once_and_every_page_speaks_chinese() {
    let scene = Scene::new().await;
    scene.uses("9");
    let sent = scene.post("olga", NEW, "cluster=local&namespace=dev&resources[pods]=20&reason=Nearly full").await;
    assert!(sent.flash.as_deref().unwrap().starts_with("Approved"), "{:?}", sent.flash);
    let request = to(&sent).to_owned();
    assert!(scene.page("olga", &request).await.contains("by rule: one step up"));
    for url in [NEW, LIST, request.as_str(), "/t/shop/quota", "/admin/requests"] {
        let who = if url.starts_with("/admin") { "root" } else { "olga" };
        let ctx = scene.world.ctx(who).await;
        let page = common::ask(&scene.world, &ctx, url, None, Language::ZhCn).await;
        assert!(page.status == 200 && page.html.contains("配额"), "{url}: {}", page.html);
    }
}

#[tokio::test]
async fn where_nothing_is_limited_there_is_nothing_to_ask_for() {
    let world = World::new();
    world.person("olga", None).await;
    let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    let scene = Scene { dev: world.namespace(&tenant, "dev").await, world };
    assert!(scene.page("olga", NEW).await.contains("there is nothing to ask for"));
    assert!(!scene.page("olga", "/t/shop/quota").await.contains("Ask for more quota"));
    let sent = scene.post("olga", NEW, "cluster=local&resources[pods]=5&reason=x").await;
    assert_eq!(sent.status, 422);
}

#[tokio::test]
async fn inbox_and_request_follow_by_themselves() {
    let scene = Scene::new().await;
    let request = scene.made("dave", "namespace=dev&resources[pods]=14").await;
    let (dave, root) = (scene.world.ctx("dave").await, scene.world.ctx("root").await);
    let open = async |ctx, path: &str| {
        let page = PageRequest { path: path.into(), ..PageRequest::default() };
        let mut live = common::pages(&scene.world).live(ctx, page).await.unwrap();
        live.next().await.unwrap().unwrap();
        live
    };
    let mut own = open(&dave, &request).await;
    let mut inbox = open(&root, "/admin/requests").await;
    let mut list = open(&dave, LIST).await;
    let refused = scene.post("root", &request, "do=refuse&comment=Not this month").await;
    assert_eq!(to(&refused), request);
    let ticking = async {
        loop {
            scene.world.clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    };
    let (own, inbox, list) = tokio::select! {
        (own, inbox, list) = async { tokio::join!(own.next(), inbox.next(), list.next()) } => (own, inbox, list),
        _ = tokio::time::timeout(Duration::from_secs(30), ticking) => panic!("nothing is told"),
    };
    let has = |parts: &[Fragment], id: &str, text: &str| parts.iter().any(|f| f.id == id && f.html.contains(text));
    let (own, inbox, list) = (own.unwrap().unwrap(), inbox.unwrap().unwrap(), list.unwrap().unwrap());
    assert!(has(&own, "request-state", "Refused") && has(&own, "request-history", "Not this month"), "{own:?}");
    assert!(has(&inbox, "requests-rows", "Refused"), "{inbox:?}");
    assert!(has(&list, "requests-rows", "Refused"), "{list:?}");
}
