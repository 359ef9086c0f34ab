//! Accounts, their passwords, and the list of people.

use std::sync::Arc;

use berth_core::ports::store::{Account, NewSession, Store};
use berth_types::{ErrorCode, ListQuery, PlatformRole, people::User};

use crate::fixture::{add_user, add_users, admin, at, digest, id, name, platform, refused, session, user};

pub async fn accounts(store: Arc<dyn Store>) {
    assert!(!store.any_user().await.unwrap());
    assert!(store.find_account(&name("ann")).await.unwrap().is_none());
    let ann = User { must_change_password: true, ..admin(user(1, "ann")) };
    let account = Account { user: ann.clone(), password_hash: None };
    store.create_user(&account).await.unwrap();

    assert!(store.any_user().await.unwrap());
    let by_name = store.find_account(&name("ann")).await.unwrap().expect("found");
    assert_eq!((by_name.user, by_name.password_hash), (ann.clone(), None));
    let by_id = store.find_account_by_id(id(1)).await.unwrap().expect("found");
    assert_eq!(by_id.user, ann);
    assert!(store.find_account_by_id(id(2)).await.unwrap().is_none());

    let again = Account { user: User { id: id(2), ..ann }, password_hash: None };
    let error = refused(store.create_user(&again).await, ErrorCode::AlreadyExists);
    assert!(error.message().contains("“ann”"), "{error}");
    assert_eq!(error.fields()[0].field, "name");
    assert!(store.find_account_by_id(id(2)).await.unwrap().is_none(), "nothing was made");
}

pub async fn changes_of_an_account(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    let wanted =
        User { display_name: "Ann B.".to_owned(), platform_role: Some(PlatformRole::Auditor), ..users[0].clone() };
    // Name, date and password are not this call's to change.
    let given = User { name: name("other"), created_at: at(99), must_change_password: true, ..wanted.clone() };
    store.update_user(&platform(), &given).await.unwrap();
    assert_eq!(store.find_account_by_id(id(1)).await.unwrap().expect("found").user, wanted);
    assert_eq!(store.find_account_by_id(id(2)).await.unwrap().expect("found").user, users[1]);

    store.update_user(&platform(), &users[0]).await.unwrap();
    assert_eq!(store.find_account_by_id(id(1)).await.unwrap().expect("found").user, users[0]);
    refused(store.update_user(&platform(), &user(7, "nobody")).await, ErrorCode::NotFound);
}

pub async fn passwords(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    for (number, user) in [(1, &users[0]), (2, &users[0]), (3, &users[0]), (4, &users[1])] {
        store.create_session(&session(number, user.id)).await.unwrap();
    }
    store.set_password(id(1), "$argon2id$new", true, at(5)).await.unwrap();
    let ann = store.find_account_by_id(id(1)).await.unwrap().expect("found");
    assert_eq!(ann.password_hash.as_deref(), Some("$argon2id$new"));
    assert!(ann.user.must_change_password);
    for (number, alive) in [(1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(store.find_session(&digest(number), at(10), at(0)).await.unwrap().is_some(), alive, "{number}");
    }
    store.set_password(id(1), "$argon2id$own", false, at(5)).await.unwrap();
    assert!(!store.find_account_by_id(id(1)).await.unwrap().expect("found").user.must_change_password);
    refused(store.set_password(id(9), "x", false, at(5)).await, ErrorCode::NotFound);

    // Who knows the old one changes it, as long as it is that.
    store.create_session(&session(5, id(1))).await.unwrap();
    assert!(!store.change_password(id(1), "$argon2id$new", "$argon2id$late", at(6)).await.unwrap());
    assert!(store.find_session(&digest(5), at(10), at(0)).await.unwrap().is_some(), "nothing was done");
    assert!(store.change_password(id(1), "$argon2id$own", "$argon2id$new", at(6)).await.unwrap());
    assert!(store.find_session(&digest(5), at(10), at(0)).await.unwrap().is_none());
    assert!(store.change_password(id(1), "$argon2id$new", "$argon2id$own", at(6)).await.unwrap());
    let ann = store.find_account_by_id(id(1)).await.unwrap().expect("found");
    assert_eq!((ann.password_hash.as_deref(), ann.user.must_change_password), (Some("$argon2id$own"), false));

    // A rehash of a password that has been replaced meanwhile must not bring the old one back.
    for (old, want) in [("$argon2id$new", "$argon2id$own"), ("$argon2id$own", "$argon2id$stronger")] {
        store.rehash_password(id(1), old, "$argon2id$stronger").await.unwrap();
        let hash = store.find_account_by_id(id(1)).await.unwrap().expect("found").password_hash;
        assert_eq!(hash.as_deref(), Some(want));
    }
}

pub async fn sessions_begin_with_the_password_that_was_looked_at(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let with = |number, hash: &str| NewSession { password: Some(hash.to_owned()), ..session(number, id(1)) };
    assert!(store.create_session(&with(1, "$argon2id$1")).await.unwrap());
    store.set_password(id(1), "$argon2id$new", false, at(5)).await.unwrap();
    assert!(!store.create_session(&with(2, "$argon2id$1")).await.unwrap());
    assert!(store.find_session(&digest(2), at(10), at(0)).await.unwrap().is_none());
    assert!(store.create_session(&with(3, "$argon2id$new")).await.unwrap());
    assert!(store.create_session(&session(4, id(1))).await.unwrap(), "by a provider");
    refused(store.create_session(&session(5, id(9))).await, ErrorCode::NotFound);
    // At once, in whatever order: no session outlives the password that it began with.
    let mut old = "$argon2id$new".to_owned();
    for number in 10..40 {
        let new = format!("$argon2id${number}");
        let (begins, changes) = (store.clone(), store.clone());
        let (session, hash) = (with(number, &old), new.clone());
        let began = tokio::spawn(async move { begins.create_session(&session).await.unwrap() });
        let changed = tokio::spawn(async move { changes.set_password(id(1), &hash, false, at(5)).await.unwrap() });
        began.await.unwrap();
        changed.await.unwrap();
        assert!(store.find_session(&digest(number), at(50), at(0)).await.unwrap().is_none(), "{number}");
        old = new;
    }
}

/// ann (admin, 1), bob (2), Çağla (auditor, 3), dan (disabled, 4), eve_100% (5).
async fn five(store: &dyn Store) {
    let users = [
        admin(user(1, "ann")),
        user(2, "bob"),
        User { platform_role: Some(PlatformRole::Auditor), display_name: "Çağla ÖZ".to_owned(), ..user(3, "cagla") },
        User { disabled: true, ..user(4, "dan") },
        User { display_name: "Eve_100%".to_owned(), ..user(5, "eve") },
    ];
    for user in &users {
        add_user(store, user).await;
    }
}

async fn names(store: &dyn Store, query: &ListQuery) -> Vec<String> {
    let page = store.list_users(&platform(), query).await.unwrap();
    page.items.iter().map(|user| user.name.to_string()).collect()
}

pub async fn list_is_sorted(store: Arc<dyn Store>) {
    five(&*store).await;
    // Made at the same time as bob: the name decides between them, upwards.
    add_user(&*store, &User { created_at: at(2), ..user(6, "abe") }).await;
    for (sort, want) in [
        ("", "abe ann bob cagla dan eve"),
        ("name", "abe ann bob cagla dan eve"),
        ("-name", "eve dan cagla bob ann abe"),
        ("created", "ann abe bob cagla dan eve"),
        ("-created", "eve dan cagla abe bob ann"),
        ("-created,-name", "eve dan cagla bob abe ann"),
    ] {
        let query = ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() };
        assert_eq!(names(&*store, &query).await.join(" "), want, "{sort}");
    }
}

pub async fn list_is_filtered(store: Arc<dyn Store>) {
    five(&*store).await;
    let none = ListQuery::default;
    for (query, want) in [
        (none().filter("role", "admin"), "ann"),
        (none().filter("role", "admin").filter("role", "auditor"), "ann cagla"),
        (none().filter("role", "none"), "bob dan eve"),
        (none().filter("disabled", "true"), "dan"),
        (none().filter("disabled", "false").filter("role", "none"), "bob eve"),
        (none().filter("disabled", "true").filter("role", "admin"), ""),
    ] {
        assert_eq!(names(&*store, &query).await.join(" "), want, "{query:?}");
    }
    let page = store.list_users(&platform(), &none().filter("disabled", "false")).await.unwrap();
    assert_eq!(page.total, 4);
    let facet = |field: &str| -> Vec<(&str, usize)> {
        page.facets[field].iter().map(|(value, count)| (value.as_str(), *count)).collect()
    };
    assert_eq!(facet("role"), [("admin", 1), ("auditor", 1), ("none", 2)]);
    assert_eq!(facet("disabled"), [("false", 4), ("true", 1)], "before its own filter");
}

pub async fn list_is_searched(store: Arc<dyn Store>) {
    five(&*store).await;
    for (q, want) in [
        ("AN", "ann dan"),
        ("an the", "ann dan"),
        ("öz", "cagla"),
        ("çağla cagla", "cagla"),
        ("100%", "eve"),
        ("_100", "eve"),
        ("1%", ""),
        ("e_e", ""),
        ("\\", ""),
        ("'", ""),
        ("\0", ""),
    ] {
        let query = ListQuery { q: q.to_owned(), ..ListQuery::default() };
        assert_eq!(names(&*store, &query).await.join(" "), want, "{q}");
    }
}

pub async fn list_goes_on_from_a_cursor(store: Arc<dyn Store>) {
    for number in 1..=7 {
        // Three each at the same time.
        let created_at = at(i64::try_from(number).unwrap() / 3);
        add_user(&*store, &User { created_at, ..user(number, &format!("u{number}")) }).await;
    }
    for sort in ["", "-name", "created", "-created", "-created,-name"] {
        let sort = ListQuery::parse_sort(sort);
        let whole = names(&*store, &ListQuery { sort: sort.clone(), ..ListQuery::default() }).await;
        let mut query = ListQuery { sort, limit: 3, ..ListQuery::default() };
        let mut seen = Vec::new();
        for (offset, rows, last) in [(0, 3, false), (3, 3, false), (6, 1, true)] {
            let page = store.list_users(&platform(), &query).await.unwrap();
            assert_eq!((page.offset, page.items.len(), page.total), (offset, rows, 7));
            assert_eq!(page.next.is_none(), last);
            seen.extend(page.items.iter().map(|user| user.name.to_string()));
            query.cursor = page.next;
        }
        assert_eq!(seen, whole);
    }

    // Rows that come and go before the cursor do not shift what follows.
    let first = store.list_users(&platform(), &ListQuery { limit: 3, ..ListQuery::default() }).await.unwrap();
    add_user(&*store, &user(8, "a8")).await;
    let then = ListQuery { limit: 3, cursor: first.next, ..ListQuery::default() };
    assert_eq!(names(&*store, &then).await.join(" "), "u4 u5 u6");
    let numbered = ListQuery { limit: 3, offset: 3, ..ListQuery::default() };
    assert_eq!(names(&*store, &numbered).await.join(" "), "u3 u4 u5");
    let beyond = store.list_users(&platform(), &ListQuery { offset: 100, ..ListQuery::default() }).await.unwrap();
    assert_eq!((beyond.items.len(), beyond.total, beyond.next), (0, 8, None));
    // A page that ends with the list is the last one.
    let whole = store.list_users(&platform(), &ListQuery { limit: 8, ..ListQuery::default() }).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (8, None));
}

pub async fn list_refuses_what_it_does_not_know(store: Arc<dyn Store>) {
    five(&*store).await;
    let page = store.list_users(&platform(), &ListQuery { limit: 1, ..ListQuery::default() }).await.unwrap();
    let sorted = |sort: &str| ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() };
    for (query, field) in [
        (sorted("password_hash"), "sort"),
        (sorted("name; DROP TABLE users"), "sort"),
        (ListQuery::default().filter("id", "1"), "filter"),
        (ListQuery { cursor: Some("nonsense".to_owned()), ..ListQuery::default() }, "cursor"),
        (ListQuery { cursor: page.next, ..sorted("created") }, "cursor"),
    ] {
        let error = refused(store.list_users(&platform(), &query).await, ErrorCode::Invalid);
        assert_eq!(error.fields()[0].field, field, "{query:?}");
    }
}

pub async fn list_refuses_unknown_values(store: Arc<dyn Store>) {
    for (field, value) in [("role", "king"), ("disabled", "perhaps")] {
        let query = ListQuery::default().filter(field, value);
        let error = refused(store.list_users(&platform(), &query).await, ErrorCode::Invalid);
        assert_eq!(error.fields()[0].field, field);
        assert!(error.message().contains(value), "{error}");
    }
}
