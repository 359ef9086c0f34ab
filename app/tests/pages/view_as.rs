//! Looking at the portal as somebody else has it: all that is read is as they have it, nothing that is sent is done.

use berth_core::{ports::pages::Pages as _, roles::RoleText, services::robots::RobotText, testing::World};
use berth_types::{
    PlatformRole, TenantRole,
    announcement::{AnnouncementLevel, AnnouncementText},
};
use serde_json::json;

use crate::common::{concrete, get, pages, post, to};

/// `olga` owns `shop`, in which there is one of all that has a form; `root` keeps the platform.
async fn world() -> World {
    let world = World::new();
    for (name, role) in
        [("olga", None), ("vera", None), ("root", Some(PlatformRole::Admin)), ("eye", Some(PlatformRole::Auditor))]
    {
        world.person(name, role).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    world.namespace(&shop, "dev").await;
    let (olga, root, services) = (world.ctx("olga").await, world.ctx("root").await, &world.services);
    let spec = json!({ "components": [{ "name": "main", "image": "a:1" }] });
    services.create_app(&olga, (&shop.name, &"dev".parse().unwrap()), "web", &spec).await.unwrap();
    services
        .create_role(
            &olga,
            &shop.name,
            "releaser",
            &RoleText { actions: vec!["app.update".parse().unwrap()], ..RoleText::default() },
        )
        .await
        .unwrap();
    let deploy =
        RobotText { name: "deploy".to_owned(), description: String::new(), role: TenantRole::Viewer, namespace: None };
    services.create_robot(&olga, &shop.name, &deploy).await.unwrap();
    let text = AnnouncementText {
        level: AnnouncementLevel::Info.to_string(),
        text: "Works at night".to_owned(),
        from: None,
        until: None,
        on_sign_in: false,
    };
    services.create_announcement(&root, &text).await.unwrap();
    world
}

/// The page without what says that somebody else looks.
fn plain(html: &str) -> String {
    let mut text = html.to_owned();
    for (from, until, nothing) in [
        ("<section aria-label=\"Viewing as", "</section>", "<!>"),
        ("<input type=\"hidden\" name=\"viewing\"", ">", ""),
        (" data-as=\"", "\"", ""),
    ] {
        while let Some((before, rest)) = text.split_once(from) {
            text = format!("{before}{nothing}{}", rest.split_once(until).unwrap().1);
        }
    }
    text.replace("class=\"with-nav viewing\"", "class=\"with-nav\"").replace("class=\"viewing\"", "class=\"\"")
}

#[tokio::test]
async fn every_page_is_as_the_person_has_it() {
    let world = world().await;
    let (own, (looking, _)) = (world.ctx("olga").await, world.view_as("root", "olga").await);
    let mut same = 0;
    for route in pages(&world).routes().iter().filter(|route| !route.post) {
        let path = concrete(route.pattern);
        let (theirs, seen) = (get(&world, &own, &path).await, get(&world, &looking, &path).await);
        // What opens the account or a container is shown to nobody but the person.
        let secret = ["/account/", "/kubectl", "/exec"].iter().any(|part| path.contains(part));
        if secret && theirs.redirect.is_none() {
            assert_eq!(seen.status, 403, "{path}");
            assert!(seen.html.contains("Only to be looked at"), "{path}: {}", seen.html);
            assert!(seen.html.contains("viewing-bar"), "{path}");
            continue;
        }
        assert_eq!(seen.status, theirs.status, "{path}");
        assert_eq!(seen.redirect, theirs.redirect, "{path}");
        if seen.redirect.is_some() {
            continue;
        }
        assert_eq!(seen.html.matches("class=\"viewing-bar\"").count(), 1, "{path}: {}", seen.html);
        let marks = seen.html.matches("name=\"viewing\"").count();
        assert_eq!(marks, seen.html.matches("method=\"post\"").count(), "{path}: each form says so");
        // The profile holds the form for another password, and who is looking now.
        if path != "/account" && path != "/password" {
            let (seen, theirs) = (plain(&seen.html), plain(&theirs.html));
            let differs = seen.bytes().zip(theirs.bytes()).position(|(a, b)| a != b).unwrap_or(seen.len());
            assert_eq!(seen.get(differs..), theirs.get(differs..), "{path}");
            same += 1;
        }
    }
    assert!(same > 30, "{same}");
    let profile = get(&world, &looking, "/account").await.html;
    assert!(!profile.contains("current-password") && profile.contains("cannot find the app"), "{profile}");
}

/// What every button of a page sends: where to, and the fields.
fn buttons(path: &str, html: &str) -> Vec<(String, String)> {
    let value = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\"")).or_else(|| tag.split_once(&format!("\n{name}=\"")))?;
        Some(rest.split_once('"')?.0.replace('&', " "))
    };
    let mut all = Vec::new();
    for form in html.split("<form").skip(1) {
        let (tag, body) = form.split_once('>').unwrap();
        if !tag.contains("method=\"post\"") {
            continue;
        }
        let body = body.split("</form>").next().unwrap();
        let tags = |name: &'static str| body.split('<').filter(move |tag| tag.starts_with(name));
        let fields: Vec<String> = tags("input")
            .chain(tags("textarea"))
            .chain(tags("select"))
            .filter_map(|tag| Some((value(tag, "name")?, value(tag, "value").unwrap_or_default())))
            .map(|(name, value)| format!("{name}={}", if value.is_empty() { "x" } else { &value }))
            .collect();
        let to = value(tag, "action").unwrap_or_else(|| path.to_owned());
        for button in tags("button") {
            let own =
                value(button, "name").map(|name| format!("{name}={}", value(button, "value").unwrap_or_default()));
            let sent: Vec<String> = fields.iter().cloned().chain(own).collect();
            all.push((to.clone(), sent.join("&")));
        }
    }
    all
}

#[tokio::test]
async fn no_button_of_any_page_does_anything() {
    let world = world().await;
    let (own, (looking, _)) = (world.ctx("olga").await, world.view_as("root", "olga").await);
    let mut pressed = std::collections::BTreeSet::new();
    for route in pages(&world).routes().iter().filter(|route| !route.post) {
        let path = concrete(route.pattern);
        let page = get(&world, &own, &path).await;
        pressed.extend(buttons(&path, &page.html));
    }
    assert!(pressed.len() > 40, "{}", pressed.len());
    let before = world.store.audit().len();
    let mut refused = 0;
    for (to, fields) in pressed {
        // Colours and language are the browser's; and leaving is no change.
        if to == "/preferences" || to == "/sign-out" {
            continue;
        }
        let answer = post(&world, &looking, &to, &fields).await;
        refused += usize::from(answer.status == 403);
        assert_ne!(answer.status, 303, "POST {to} {fields}");
    }
    let tried = world.store.audit().split_off(before);
    assert!(refused > 30 && tried.len() > 30, "{refused} {}", tried.len());
    for entry in tried {
        let told = (entry.actor.as_str(), entry.via.as_str(), entry.outcome.as_str());
        assert_eq!(told, ("root", "view:olga", "denied"), "{} {}", entry.action, entry.target);
    }
    assert!(!world.services.announced(&own).await.is_empty(), "nor is it put away for her");
}

#[tokio::test]
async fn from_the_page_of_a_person_and_back() {
    let world = world().await;
    let browser = world.browser("root").await;
    let own = world.asked_from(&browser).await;
    let page = get(&world, &own, "/admin/people/olga").await.html;
    assert!(page.contains("View as olga") && page.contains("Nobody so far."), "{page}");
    let short = post(&world, &own, "/admin/people/olga", "do=view-as&reason=look").await;
    assert_eq!(short.status, 422);
    assert!(short.html.contains("A few words: 10 to 300") && short.html.contains("value=\"look\""), "{}", short.html);
    assert!(short.html.contains("name=\"displayName\" value=\"olga\"") || short.html.contains("value=\"olga\""));

    let begun = post(&world, &own, "/admin/people/olga", "do=view-as&reason=cannot <b>find</b> the app").await;
    assert_eq!(to(&begun), "/");
    let looking = world.asked_from(&browser).await;
    let home = get(&world, &looking, "/").await.html;
    assert!(home.contains("You see the portal as olga has it.") && home.contains("You are root."), "{home}");
    assert!(home.contains("/t/shop") && !home.contains("href=\"/admin\""), "{home}");
    assert_eq!(get(&world, &looking, "/admin/people/olga").await.status, 404);
    assert_eq!(to(&post(&world, &looking, "/view/end", "x=").await), "/admin/people/olga");
    let own = world.asked_from(&browser).await;
    let page = get(&world, &own, "/admin/people/olga").await.html;
    assert!(page.contains("cannot &lt;b&gt;find&lt;/b&gt; the app") && page.contains("until ended"), "{page}");
    assert!(!page.contains("viewing-bar"));
    let profile = get(&world, &world.ctx("olga").await, "/account").await.html;
    assert!(profile.contains("Who looked as you") && profile.contains("find&lt;/b&gt; the app"), "{profile}");
    let log = get(&world, &own, "/admin/audit?action=view.end").await.html;
    assert!(log.contains("as olga"), "{log}");
    // Nothing is over that never began.
    assert_eq!(post(&world, &own, "/view/end", "x=").await.status, 404);

    // Not as who has a role on the platform; an auditor sees who looked, and begins nothing.
    let eye = get(&world, &own, "/admin/people/eye").await.html;
    assert!(eye.contains("Nobody views as somebody with a role") && !eye.contains("value=\"view-as\""), "{eye}");
    let auditor = world.ctx("eye").await;
    let page = get(&world, &auditor, "/admin/people/olga").await.html;
    assert!(page.contains("until ended") && !page.contains("value=\"view-as\""), "{page}");
    assert_eq!(post(&world, &auditor, "/admin/people/olga", "do=view-as&reason=cannot find the app").await.status, 403);
    let zh =
        crate::common::ask(&world, &own, "/admin/people/olga", None, berth_core::ports::pages::Language::ZhCn).await;
    assert!(zh.html.contains("以 olga 的身份查看"), "{}", zh.html);
}
