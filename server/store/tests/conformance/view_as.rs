use std::sync::Arc;

use berth_core::{
    ports::{
        store::{Account, Store},
        view_as::NewView,
    },
    view_as::Viewed,
};
use berth_types::{ErrorCode, PlatformRole, people::User, view_as::ViewEnd};

use crate::fixture::{at, digest, id, platform, session, user};

fn look(number: u128, session: u8, viewer: u128, viewed: u128) -> NewView {
    NewView {
        id: id(number),
        session: id(session.into()),
        viewer: id(viewer),
        viewed: id(viewed),
        reason: "cannot find the app".to_owned(),
        begun_at: at(20),
        until: at(50),
    }
}

/// `root` with a session, and `ann`.
async fn people(store: &dyn Store) {
    let root = User { platform_role: Some(PlatformRole::Admin), ..user(1, "root") };
    for user in [root, user(2, "ann")] {
        store.create_user(&Account { user, password_hash: None }).await.unwrap();
    }
    for number in [10, 11] {
        store.create_session(&session(number, id(1))).await.unwrap();
    }
}

pub async fn looks(store: Arc<dyn Store>) {
    people(&*store).await;
    let grant = platform();
    let found = async |number| store.find_session(&digest(number), at(30), at(0)).await.unwrap().unwrap().2;
    assert_eq!(found(10).await, None);
    store.begin_view(&grant, &look(100, 10, 1, 2)).await.unwrap();
    let open = found(10).await.unwrap();
    let ann = store.find_account_by_id(id(2)).await.unwrap().unwrap().user;
    let viewed = Viewed {
        id: id(2),
        name: ann.name.clone(),
        display_name: ann.display_name.clone(),
        platform_role: None,
        disabled: false,
    };
    assert_eq!((open.id, &open.viewed, open.until), (id(100), &viewed, at(50)));
    assert_eq!(found(11).await, None, "another browser is their own");

    // One at a time in a session; and in one that is there, of who looks.
    for (wrong, want) in [
        (look(101, 10, 1, 2), ErrorCode::AlreadyExists),
        (look(101, 12, 1, 2), ErrorCode::NotFound),
        (look(101, 11, 2, 1), ErrorCode::NotFound),
    ] {
        assert_eq!(store.begin_view(&grant, &wrong).await.unwrap_err().code(), want);
    }
    let running = store.running_views().await.unwrap();
    let [one] = &running[..] else { panic!("{running:?}") };
    assert_eq!((&one.open, one.by.as_str(), one.role), (&open, "root", Some(PlatformRole::Admin)));
    assert!(one.session && !one.disabled);

    let both =
        tokio::join!(store.end_view(id(100), at(40), ViewEnd::Asked), store.end_view(id(100), at(41), ViewEnd::Over),);
    let (asked, over) = (both.0.unwrap(), both.1.unwrap());
    assert!(asked != over, "of two that end it, one does");
    assert!(!store.end_view(id(99), at(40), ViewEnd::Asked).await.unwrap());
    assert_eq!((found(10).await, store.running_views().await.unwrap()), (None, vec![]));

    store.begin_view(&grant, &NewView { begun_at: at(60), until: at(90), ..look(102, 10, 1, 2) }).await.unwrap();
    store.end_session(id(1), id(10)).await.unwrap();
    assert!(!store.running_views().await.unwrap()[0].session, "the look is there, its session is not");
    let all = store.list_views(id(2), 5).await.unwrap();
    assert_eq!(all.iter().map(|view| view.id).collect::<Vec<_>>(), [id(102), id(100)]);
    assert_eq!((all[0].ended, all[0].ended_at, all[1].ended.is_some()), (None, None, true));
    assert_eq!((all[1].by.as_str(), all[1].begun_at, all[1].until), ("root", at(20), at(50)));
    assert_eq!(store.list_views(id(2), 1).await.unwrap().len(), 1);
    assert_eq!(store.list_views(id(1), 5).await.unwrap(), []);
}
