//! The database itself.

use std::{sync::Arc, task::Poll};

use berth_core::ports::store::{Account, Store};
use berth_types::people::User;

use crate::fixture::{add_users, at, id, name, user};

pub async fn answers(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    let description = store.describe().await.unwrap();
    let (product, version) = description.split_once(' ').expect("two words");
    assert!(matches!(product, "SQLite" | "PostgreSQL"), "{description}");
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{description}");
}

pub async fn says_which_installation_it_is(store: Arc<dyn Store>) {
    let id = store.installation().await.unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(store.installation().await.unwrap(), id);
}

pub async fn text_is_kept_as_it_is(store: Arc<dyn Store>) {
    for (number, text) in (1..).zip(["", "O'Brien; --", "名前 👩‍💻", "tab\tline\nend", "\\%_\"$1?"]) {
        let user = User { display_name: text.to_owned(), ..user(number, &format!("u{number}")) };
        store.create_user(&Account { user: user.clone(), password_hash: None }).await.unwrap();
        assert_eq!(store.find_account_by_id(id(number)).await.unwrap().expect("found").user, user);
    }
}

/// Postgres has no NUL in text: on both it becomes the character that stands for what cannot be shown.
pub async fn nul_is_replaced(store: Arc<dyn Store>) {
    let nul = User { display_name: "a\0b".to_owned(), ..user(99, "nul") };
    store.create_user(&Account { user: nul, password_hash: None }).await.unwrap();
    assert_eq!(store.find_account(&name("nul")).await.unwrap().expect("found").user.display_name, "a\u{fffd}b");
}

/// A request whose client went away is dropped at whatever point it has reached: what it began is undone, the connection
/// is used again.
pub async fn dropped_work_leaves_no_trace(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    for polls in 0..12 {
        let before = store.find_account_by_id(id(1)).await.unwrap().expect("found");
        let hash = format!("$argon2id${polls}");
        {
            let mut work = store.set_password(id(1), &hash, true, at(5));
            let mut left = polls;
            let done = std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(None);
                }
                left -= 1;
                work.as_mut().poll(context).map(Some)
            })
            .await;
            if let Some(done) = done {
                done.unwrap();
            }
        }
        let after = store.find_account_by_id(id(1)).await.unwrap().expect("found");
        let hashes = [before.password_hash, Some(hash.clone())];
        assert!(hashes.contains(&after.password_hash), "{:?}", after.password_hash);
        let whole = after.password_hash != Some(hash) || after.user.must_change_password;
        assert!(whole, "all or nothing");
        store.set_password(id(1), "$argon2id$own", false, at(5)).await.unwrap();
    }
}
