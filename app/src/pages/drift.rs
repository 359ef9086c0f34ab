//! What somebody changed that Berth keeps, on the namespace's page.

use berth_types::drift::{Drift, DriftKind};
use leptos::prelude::*;

use crate::{
    components::{Column, Tone, ago, card, note, table},
    tr,
    ui::Ui,
};

/// From so many times on it is no accident.
const AGAIN: i64 = 5;

/// What keeps Berth from keeping the namespace, if anything does.
pub fn refused(ui: Ui, all: &[Drift]) -> Option<AnyView> {
    let why = all.iter().find(|one| one.kind == DriftKind::Refused)?.by.clone().unwrap_or_default();
    Some(note(Tone::Bad, view! { <p>{tr::drift::refused(ui.lang, why)}</p> }.into_any()).into_any())
}

/// What was put right; nothing where nothing was.
pub fn mended(ui: Ui, all: &[Drift]) -> Option<AnyView> {
    let l = ui.lang;
    let how = |one: &Drift| match one.kind {
        DriftKind::Missing => Some(tr::drift::missing(l)),
        DriftKind::Changed => Some(tr::drift::changed(l)),
        DriftKind::Surplus => Some(tr::drift::surplus(l)),
        DriftKind::Refused => None,
    };
    let rows: Vec<_> = all
        .iter()
        .filter_map(|one| Some((one, how(one)?)))
        .map(|(one, how)| {
            let by = one.by.clone().map_or_else(
                || view! { <span class="muted">{tr::drift::unknown(l)}</span> }.into_any(),
                |by| view! { <span class="mono">{by}</span> }.into_any(),
            );
            view! {
                <tr>
                    <td class="name mono">{one.object.clone()}</td>
                    <td>{how}</td>
                    <td>{by}</td>
                    <td class="num">{one.times}</td>
                    <td class="num muted">{ago(ui, one.last_at)}</td>
                </tr>
            }
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let again = all.iter().any(|one| one.kind != DriftKind::Refused && one.times >= AGAIN);
    let again = again.then(|| note(Tone::Warn, view! { <p>{tr::drift::again(l)}</p> }.into_any()));
    let columns = [
        Column::text(tr::drift::object(l)),
        Column::text(tr::drift::how(l)),
        Column::text(tr::drift::by(l)),
        Column::number(tr::drift::times(l)),
        Column::number(tr::drift::last(l)),
    ];
    let body = view! { <p class="in small muted">{tr::drift::what(l)}</p> {again} {table(columns, None, rows)} };
    Some(card(tr::drift::title(l), None, body.into_any()).into_any())
}
