//! Who may do what in one namespace, as a browser without scripts walks.

use berth_core::{ports::pages::Language, testing::World};
use berth_types::{
    PlatformRole, TenantRole,
    rows::{PodPhase, PodRow},
};

use crate::common::{ask, get, post, to};

const ACCESS: &str = "/t/shop/n/dev/members";
const POD: &str = "/t/shop/n/dev/pods/web-1";

/// Tenant `shop` of `olga` with `dev` and `prod`, where `vera` looks; `gus` is nobody there yet.
async fn scene() -> World {
    let world = World::new();
    for name in ["olga", "vera", "gus"] {
        world.person(name, None).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    world.namespace(&shop, "dev").await;
    world.namespace(&shop, "prod").await;
    world.cluster.put_pod(pod(&world));
    world
}

fn pod(world: &World) -> PodRow {
    PodRow {
        name: "web-1".into(),
        kube_namespace: "shop-dev".into(),
        app: None,
        component: None,
        phase: PodPhase::Running,
        reason: "Running".into(),
        message: None,
        ready: 1,
        containers: 1,
        restarts: 0,
        last_exit_code: None,
        last_exit_at: None,
        node: None,
        ip: None,
        revision: None,
        created_at: world.system().now(),
    }
}

#[tokio::test]
async fn an_auditor_finds_every_control_closed() {
    let world = scene().await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    let audrey = world.ctx("audrey").await;
    for (path, what) in [
        ("/t/shop", "You may not make namespaces here."),
        ("/t/shop/members", "You may not change members here."),
        ("/t/shop/invitations", "You may not make invitations here."),
        ("/t/shop/robots", "You may not make robots here."),
        ("/t/shop/roles", "You may not make roles here."),
        ("/t/shop/quota", "You may not change shares of the quota here."),
        (ACCESS, "You may not change members here."),
        ("/t/shop/n/dev", "You may not make apps here."),
        ("/t/shop/n/dev/apps", "You may not make apps here."),
        ("/t/shop/n/dev/network", "You may not change the network here."),
        (POD, "You may not see logs here."),
        (POD, "You may not make terminals here."),
        (POD, "You may not remove pods here."),
    ] {
        let page = get(&world, &audrey, path).await;
        assert!(page.status == 200 && page.html.contains(what), "{path} lacks {what}: {}", page.html);
        assert!(page.html.contains("Ask olga (olga)."), "{path}: {}", page.html);
    }
}

#[tokio::test]
async fn what_waits_is_counted_and_guests_are_listed() {
    let world = scene().await;
    let (olga, vera) = (world.ctx("olga").await, world.ctx("vera").await);
    let count = r#"<span class="count">1</span>"#;
    let members =
        |html: &str| html.split_once(r#"href="/t/shop/members""#).unwrap().1.split_once("</li>").unwrap().0.to_owned();
    assert!(!members(&get(&world, &olga, "/t/shop").await.html).contains("count"));
    assert_eq!(
        to(&post(&world, &vera, "/t/shop/access", "namespace=dev&role=developer&reason=x").await),
        "/t/shop/access"
    );
    assert!(members(&get(&world, &olga, "/t/shop").await.html).contains(count));
    assert!(!members(&get(&world, &vera, "/t/shop").await.html).contains("count"), "she decides nothing");
    let here = |html: &str| {
        html.split_once(&format!("href=\"{ACCESS}\"")).unwrap().1.split_once("</li>").unwrap().0.to_owned()
    };
    assert!(here(&get(&world, &olga, "/t/shop/n/dev").await.html).contains(count));
    let prod = get(&world, &olga, "/t/shop/n/prod").await.html;
    let prod = prod.split_once(r#"href="/t/shop/n/prod/members""#).unwrap().1.split_once("</li>").unwrap().0;
    assert!(!prod.contains("count"), "it is for dev: {prod}");

    assert!(!get(&world, &olga, "/t/shop/members").await.html.contains("Guests"));
    assert_eq!(to(&post(&world, &olga, ACCESS, "user=gus&role=developer&do=add").await), ACCESS);
    assert_eq!(to(&post(&world, &olga, ACCESS, "user=vera&role=admin&do=add").await), ACCESS);
    let page = get(&world, &olga, "/t/shop/members").await.html;
    let guests = page.split_once("Guests").unwrap().1;
    assert!(guests.contains(">gus<") && guests.contains(&format!("href=\"{ACCESS}\"")), "{guests}");
    assert!(!guests.contains(">vera<"), "a member is no guest: {guests}");
}

#[tokio::test]
async fn a_role_is_given_changed_and_taken_away() {
    let world = scene().await;
    let (olga, vera) = (world.ctx("olga").await, world.ctx("vera").await);
    let page = get(&world, &olga, ACCESS).await;
    assert!(page.status == 200 && page.html.contains("Give a role here"), "{}", page.html);
    assert!(!page.html.contains(r#"value="owner""#), "a namespace has none: {}", page.html);
    let looks = get(&world, &vera, ACCESS).await;
    assert!(looks.status == 200 && !looks.html.contains(r#"value="add""#), "{}", looks.html);
    assert_eq!(post(&world, &vera, ACCESS, "user=vera&role=admin&do=add").await.status, 403);

    let flash = post(&world, &olga, ACCESS, "user=vera&role=admin&do=add").await;
    assert_eq!(to(&flash), ACCESS);
    let given = get(&world, &vera, ACCESS).await;
    assert!(given.html.contains("Given here; Viewer in the whole tenant"), "{}", given.html);
    // She keeps who is here now, and not who is in the tenant.
    assert_eq!(to(&post(&world, &vera, ACCESS, "user=gus&role=viewer&do=add").await), ACCESS);
    assert_eq!(post(&world, &vera, "/t/shop/members", "user=gus&role=viewer&do=add").await.status, 403);
    let chinese = ask(&world, &olga, ACCESS, None, Language::ZhCn).await;
    assert!(chinese.html.contains("仅在此授予"), "{}", chinese.html);
    assert_eq!(to(&post(&world, &olga, ACCESS, "user=vera&do=remove").await), ACCESS);
    assert_eq!(post(&world, &vera, ACCESS, "user=gus&do=remove").await.status, 403);
}

#[tokio::test]
async fn what_is_wrong_is_told_at_its_field() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    for (form, told) in [
        ("user=nobody&role=viewer&do=add", "There is nobody called “nobody”."),
        ("user=vera&role=viewer&do=add", "vera has this role or a stronger one in the whole tenant already"),
        ("user=olga&role=admin&do=add", "olga has this role or a stronger one"),
        ("user=gus&role=owner&do=add", "Only owners make owners"),
    ] {
        let page = post(&world, &olga, ACCESS, form).await;
        assert!(page.status == 422 && page.html.contains(told), "{form}: {} {}", page.status, page.html);
    }
    let page = get(&world, &olga, ACCESS).await;
    assert!(!page.html.contains("Given here"), "nothing has changed: {}", page.html);
}

#[tokio::test]
async fn a_guest_is_led_to_one_namespace_and_nothing_else() {
    let world = scene().await;
    let (olga, gus) = (world.ctx("olga").await, world.ctx("gus").await);
    assert_eq!(get(&world, &gus, "/t/shop").await.status, 404);
    post(&world, &olga, ACCESS, "user=gus&role=developer&do=add").await;

    let home = get(&world, &gus, "/").await;
    assert!(home.html.contains(r#"href="/t/shop""#), "{}", home.html);
    for (path, status) in [
        ("/t/shop", 200),
        ("/t/shop/n/dev", 200),
        ("/t/shop/n/dev/apps/new", 200),
        (ACCESS, 200),
        ("/t/shop/n/prod", 404),
        ("/t/shop/n/prod/members", 404),
        ("/t/shop/members", 403),
        ("/t/shop/quota", 403),
        ("/t/shop/invitations", 403),
    ] {
        let page = get(&world, &gus, path).await;
        assert_eq!(page.status, status, "{path}");
        // Nothing leads where they may not go.
        for closed in ["/t/shop/n/prod", "/t/shop/members", "/t/shop/quota\""] {
            assert!(status != 200 || !page.html.contains(closed), "{path} leads to {closed}: {}", page.html);
        }
    }
}

#[tokio::test]
async fn a_closed_control_says_why_and_leads_to_the_form() {
    let world = scene().await;
    let (olga, vera) = (world.ctx("olga").await, world.ctx("vera").await);
    for (path, what, href) in [
        (
            "/t/shop/n/dev",
            "You may not make apps here. This needs the role Developer.",
            "role=developer&amp;namespace=dev",
        ),
        ("/t/shop/n/dev/apps", "You may not make apps here.", "role=developer&amp;namespace=dev"),
        ("/t/shop/n/dev/network", "You may not change the network here.", "role=admin&amp;namespace=dev"),
        (ACCESS, "You may not change members here. This needs the role Admin.", "role=admin&amp;namespace=dev"),
        ("/t/shop", "You may not make namespaces here.", "/t/shop/access?role=admin"),
        ("/t/shop/members", "You may not change members here.", "/t/shop/access?role=admin"),
        ("/t/shop/namespaces/new", "You may not make namespaces here.", "/t/shop/access?role=admin"),
        ("/t/shop/n/dev/apps/new", "You may not make apps here.", "role=developer&amp;namespace=dev"),
        ("/t/shop/quota", "You may not change shares of the quota here.", "/t/shop/access?role=admin"),
        ("/t/shop/members", "You may not see invitations here.", "/t/shop/access?role=admin"),
        ("/t/shop/invitations", "You may not see invitations here.", "/t/shop/access?role=admin"),
        (POD, "You may not make terminals here. This needs the role Developer.", "role=developer&amp;namespace=dev"),
        (POD, "You may not remove pods here.", "role=developer&amp;namespace=dev"),
        ("/t/shop/n/dev/pods/web-1/terminal", "You may not make terminals here.", "role=developer&amp;namespace=dev"),
    ] {
        let closed = get(&world, &vera, path).await;
        for told in [what, "Ask olga (olga).", href] {
            assert!(closed.html.contains(told), "{path} lacks {told}: {}", closed.html);
        }
        let open = get(&world, &olga, path).await;
        assert!(!open.html.contains("You may not"), "{path}: {}", open.html);
    }
    let chinese = ask(&world, &vera, "/t/shop/n/dev", None, Language::ZhCn).await;
    assert!(chinese.html.contains("你在这里不能创建应用。"), "{}", chinese.html);
    // Only the platform's admins may: nothing to ask a tenant's for.
    let form = get(&world, &vera, "/t/shop/access?role=developer&namespace=dev").await;
    for chosen in [r#"<option value="developer" selected"#, r#"<option value="dev" selected"#] {
        assert!(form.html.contains(chosen), "{chosen}: {}", form.html);
    }
}

#[tokio::test]
async fn a_request_is_sent_decided_and_answered() {
    let world = scene().await;
    let (olga, vera, gus) = (world.ctx("olga").await, world.ctx("vera").await, world.ctx("gus").await);
    const ASK: &str = "/t/shop/access";
    let wrong = post(&world, &vera, ASK, "namespace=&role=viewer&reason=").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("You have this role or a stronger one here already."), "{}", wrong.html);
    assert_eq!(post(&world, &gus, ASK, "namespace=&role=viewer&reason=x").await.status, 404);

    let asked = "namespace=dev&role=developer&reason=on call <now>";
    assert_eq!(to(&post(&world, &vera, ASK, asked).await), ASK);
    let mine = get(&world, &vera, ASK).await;
    assert!(mine.html.contains("Your requests") && mine.html.contains("Waiting"), "{}", mine.html);
    let twice = post(&world, &vera, ASK, asked).await;
    assert!(twice.status == 422 && twice.html.contains("it waits for an answer"), "{}", twice.html);
    assert!(!get(&world, &vera, ACCESS).await.html.contains("Requests that wait for you"));

    for inbox in [ACCESS, "/t/shop/members"] {
        let page = get(&world, &olga, inbox).await;
        assert!(page.html.contains("Requests that wait for you"), "{inbox}: {}", page.html);
        assert!(page.html.contains("on call &lt;now&gt;"), "{inbox}: {}", page.html);
    }
    let id = world.services.open_access(&olga, &"shop".parse().unwrap()).await.unwrap()[0].id;
    assert_eq!(post(&world, &vera, ACCESS, &format!("request={id}&do=approve")).await.status, 403);
    let silent = post(&world, &olga, ACCESS, &format!("request={id}&do=decline&comment=")).await;
    assert_eq!(silent.status, 422);
    assert_eq!(to(&post(&world, &olga, ACCESS, &format!("request={id}&do=approve")).await), ACCESS);
    assert!(get(&world, &vera, ASK).await.html.contains("Given"));
    assert_eq!(get(&world, &vera, "/t/shop/n/dev/apps/new").await.status, 200);

    post(&world, &vera, ASK, "namespace=&role=admin&reason=x").await;
    let id = world.services.open_access(&olga, &"shop".parse().unwrap()).await.unwrap()[0].id;
    let no = format!("request={id}&do=decline&comment=not this month");
    assert_eq!(to(&post(&world, &olga, "/t/shop/members", &no).await), "/t/shop/members");
    let told = get(&world, &vera, ASK).await;
    assert!(told.html.contains("Declined") && told.html.contains("olga: not this month"), "{}", told.html);
}
