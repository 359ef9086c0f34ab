//! What the platform tells everybody.

use std::sync::Arc;

use berth_core::ports::store::Store;
use berth_types::{
    ErrorCode,
    announcement::{Announcement, AnnouncementLevel},
};

use crate::fixture::{add_users, at, id, platform, refused};

fn announcement(number: u128, level: AnnouncementLevel, from: i64, until: Option<i64>) -> Announcement {
    Announcement {
        id: id(number),
        level,
        text: format!("no. {number}\nhttps://example.com"),
        from: at(from),
        until: until.map(at),
        on_sign_in: number.is_multiple_of(2),
        created_by: "root".to_owned(),
        created_at: at(1),
        version: 1,
    }
}

pub async fn announcements(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let grant = platform();
    let rows = [
        announcement(11, AnnouncementLevel::Info, 10, None),
        announcement(12, AnnouncementLevel::Critical, 20, Some(40)),
        announcement(13, AnnouncementLevel::Warning, 30, None),
    ];
    for row in &rows {
        store.create_announcement(&grant, row).await.unwrap();
    }
    let ids = |all: Vec<Announcement>| all.into_iter().map(|a| a.id).collect::<Vec<_>>();
    assert_eq!(store.list_announcements(&grant).await.unwrap(), [rows[2].clone(), rows[1].clone(), rows[0].clone()]);
    for (now, want) in [(5, vec![]), (10, vec![id(11)]), (39, vec![id(12), id(13), id(11)]), (40, vec![id(13), id(11)])]
    {
        assert_eq!(ids(store.current_announcements(at(now)).await.unwrap()), want, "at {now}");
    }

    // Put away as it is: a change brings it back.
    store.dismiss_announcement(id(1), id(11), 1).await.unwrap();
    store.dismiss_announcement(id(1), id(11), 1).await.unwrap();
    store.dismiss_announcement(id(1), id(13), 7).await.unwrap();
    store.dismiss_announcement(id(1), id(99), 1).await.unwrap();
    assert_eq!(store.dismissed_announcements(id(1)).await.unwrap(), [id(11)]);
    assert!(store.dismissed_announcements(id(2)).await.unwrap().is_empty());
    let changed = Announcement { text: "other".into(), until: Some(at(90)), on_sign_in: true, ..rows[0].clone() };
    assert_eq!(store.update_announcement(&grant, &changed).await.unwrap(), 2);
    assert!(store.dismissed_announcements(id(1)).await.unwrap().is_empty());
    refused(store.update_announcement(&grant, &changed).await, ErrorCode::Conflict);
    let absent = Announcement { id: id(99), ..changed.clone() };
    refused(store.update_announcement(&grant, &absent).await, ErrorCode::NotFound);
    let kept = store.list_announcements(&grant).await.unwrap().pop().unwrap();
    assert_eq!(kept, Announcement { version: 2, ..changed });
    store.dismiss_announcement(id(1), id(11), 2).await.unwrap();
    assert_eq!(store.dismissed_announcements(id(1)).await.unwrap(), [id(11)]);

    store.delete_announcement(&grant, id(11)).await.unwrap();
    assert!(store.dismissed_announcements(id(1)).await.unwrap().is_empty());
    refused(store.delete_announcement(&grant, id(11)).await, ErrorCode::NotFound);
}
