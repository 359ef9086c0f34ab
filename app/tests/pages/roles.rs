//! Roles that a tenant makes, as a browser without scripts walks.

use berth_core::{ports::pages::Language, testing::World};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, post, to};

const ROLES: &str = "/t/shop/roles";
const RELEASER: &str = "/t/shop/roles/releaser";
const MEMBERS: &str = "/t/shop/members";

/// `shop` of olga with `dev`, where ada is admin and vera looks; mia is nobody there yet.
async fn scene() -> World {
    let world = World::new();
    for name in ["olga", "ada", "vera", "mia", "stranger"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    let members = [("olga", TenantRole::Owner), ("ada", TenantRole::Admin), ("vera", TenantRole::Viewer)];
    let shop = world.tenant("shop", &members).await;
    world.namespace(&shop, "dev").await;
    world
}

#[tokio::test]
async fn a_role_from_its_making_to_its_end() {
    let world = scene().await;
    let (ada, mia) = (world.ctx("ada").await, world.ctx("mia").await);
    assert!(get(&world, &ada, MEMBERS).await.html.contains(&format!("href=\"{ROLES}\"")));
    let empty = get(&world, &ada, ROLES).await.html;
    assert!(empty.contains("No roles of its own") && empty.contains(r#"value="app.update""#), "{empty}");
    assert!(!empty.contains(r#"value="membership.update""#), "what no role may hold is not offered: {empty}");
    assert!(empty.contains("namespace.read, tenant.read, workload.read"), "what comes along is said: {empty}");
    let wrong = post(&world, &ada, ROLES, "do=create&name=Bad Name&displayName=Releaser&actions=log.read").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("Use a–z, 0–9 and - only.") && wrong.html.contains(r#"value="Releaser""#));
    assert!(wrong.html.contains(r#"value="log.read" checked"#), "what was ticked stays: {}", wrong.html);
    let none = post(&world, &ada, ROLES, "do=create&name=releaser").await;
    assert!(none.status == 422 && none.html.contains("Choose an action, or a role"), "{}", none.html);
    let all = post(&world, &ada, ROLES, "do=create&name=releaser&actions=tenant.delete").await;
    assert!(all.status == 422 && all.html.contains("tenant.delete stays with owners"), "{}", all.html);
    let form = "do=create&name=releaser&displayName=Releaser&description=Deploys&actions=app.update";
    assert_eq!(to(&post(&world, &ada, ROLES, form).await), RELEASER);

    // The answer says what came along, and why.
    let page = get(&world, &ada, RELEASER).await.html;
    for told in ["app.update makes no sense without it", "Chosen", "Everybody may who belongs", "Nobody"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    // It is given as others are.
    let members = get(&world, &ada, MEMBERS).await.html;
    assert!(members.contains("Releaser (releaser)"), "{members}");
    assert_eq!(to(&post(&world, &ada, MEMBERS, "user=mia&role=releaser&do=add").await), MEMBERS);
    for path in ["/", "/t/shop", "/t/shop/n/dev", "/t/shop/n/dev/apps", "/t/shop/n/dev/pods", "/t/shop/access"] {
        let page = get(&world, &mia, path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.html);
    }
    for path in ["/t/shop/n/dev/members", ROLES, "/t/shop/robots", "/t/shop/members", "/t/shop/n/dev/network"] {
        assert_eq!(get(&world, &mia, path).await.status, 403, "{path}");
    }
    let closed = get(&world, &mia, "/t/shop/n/dev/apps").await.html;
    assert!(closed.contains("You may not make apps here. This needs the role Developer."), "{closed}");
    let unknown = post(&world, &ada, MEMBERS, "user=mia&role=releasr&do=add").await;
    assert!(unknown.status == 422 && unknown.html.contains("There is no role “releasr” here."), "{}", unknown.html);
    for path in ["/t/shop/robots", "/t/shop/invitations", "/t/shop/access", "/t/shop/n/dev/members"] {
        let html = get(&world, &ada, path).await.html;
        assert!(html.contains(r#"<option value="releaser""#), "{path}: {html}");
    }

    // In use: whom a change concerns is said, and it stays.
    let page = get(&world, &ada, RELEASER).await.html;
    assert!(page.contains(">mia<") && page.contains("A change counts at once for 1 holder"), "{page}");
    let refused = post(&world, &ada, RELEASER, "do=remove").await;
    assert!(refused.status == 422 && refused.html.contains("In use by mia."), "{}", refused.html);
    let circle = post(&world, &ada, RELEASER, "do=set&displayName=R&includes=releaser").await;
    assert!(circle.status == 422 && circle.html.contains("releaser → releaser"), "{}", circle.html);
    let change = "do=set&displayName=Releaser&description=&actions=app.update&includes=viewer";
    assert_eq!(to(&post(&world, &ada, RELEASER, change).await), RELEASER);
    assert_eq!(get(&world, &mia, MEMBERS).await.status, 200, "it counts at once");
    assert!(get(&world, &ada, RELEASER).await.html.contains("Role Viewer gives it"));
    // It goes when they have another: which is asked for there, and what was wrong stands at the field.
    let page = get(&world, &ada, RELEASER).await.html;
    assert!(page.contains("1 holder in the list above") && page.contains(r#"<option value="viewer""#), "{page}");
    assert!(!page.contains(r#"<option value="releaser""#), "not itself: {page}");
    for wrong in ["releaser", "owner", "No Name"] {
        let refused = post(&world, &ada, RELEASER, &format!("do=remove&replacement={wrong}")).await;
        assert!(refused.status == 422 && refused.html.contains("There is no role “"), "{wrong}: {}", refused.html);
        assert!(refused.html.contains(r#"value="app.update" checked"#), "the role's own form stays: {}", refused.html);
    }
    assert_eq!(to(&post(&world, &ada, RELEASER, "do=remove&replacement=viewer").await), ROLES);
    assert_eq!(get(&world, &ada, RELEASER).await.status, 404);
    assert_eq!(get(&world, &mia, "/t/shop/n/dev/apps").await.status, 200);
    assert!(get(&world, &ada, MEMBERS).await.html.contains(">mia<"));
    // What nobody has goes without.
    assert_eq!(to(&post(&world, &ada, ROLES, "do=create&name=releaser&actions=app.update").await), RELEASER);
    assert!(!get(&world, &ada, RELEASER).await.html.contains(r#"name="replacement""#));
    assert_eq!(to(&post(&world, &ada, RELEASER, "do=remove").await), ROLES);
}

#[tokio::test]
async fn who_sees_and_makes_roles() {
    let world = scene().await;
    let ada = world.ctx("ada").await;
    assert_eq!(to(&post(&world, &ada, ROLES, "do=create&name=releaser&actions=app.update").await), RELEASER);
    let make = "do=create&name=other&actions=log.read";
    for (who, seen, done) in
        [("olga", 200, 303), ("root", 200, 422), ("audrey", 200, 403), ("vera", 200, 403), ("stranger", 404, 404)]
    {
        let ctx = world.ctx(who).await;
        for path in [ROLES, RELEASER] {
            assert_eq!(get(&world, &ctx, path).await.status, seen, "{who} {path}");
        }
        // The second who may finds the name taken.
        assert_eq!(post(&world, &ctx, ROLES, make).await.status, done, "{who}");
        if seen == 200 && done == 403 {
            assert_eq!(post(&world, &ctx, RELEASER, "do=remove").await.status, 403, "{who}");
        }
    }
    let vera = get(&world, &world.ctx("vera").await, ROLES).await.html;
    assert!(vera.contains("You may not make roles here.") && !vera.contains(r#"value="create""#), "{vera}");
    let chinese = ask(&world, &ada, RELEASER, None, Language::ZhCn).await.html;
    assert!(chinese.contains("授予的权限") && chinese.contains("移除角色"), "{chinese}");
}
