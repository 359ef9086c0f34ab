//! What the containers of an app print: the last lines as HTML, and as they come where the browser can.

use std::{collections::VecDeque, time::Duration};

use berth_core::{Result, ports::cluster::LogQuery};
use berth_types::{ListQuery, rows::LogLine, text::printable};
use futures::{StreamExt, pin_mut};
use leptos::prelude::*;

use super::{
    Spot,
    head::{self, Head, Tab},
};
use crate::{
    components::{Button, Field, Form, Icon, Tone, button, empty, field, lines::log_line, note},
    islands::{
        level::{self, Level},
        line,
    },
    paths,
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

/// Lines of each container that are asked for when nothing else is said.
const DEFAULT_TAIL: i64 = 200;
/// Most lines of each container that can be asked for.
const MOST_TAIL: i64 = 2000;
/// Most lines on the page; the newest count.
const MOST_LINES: usize = 2000;
/// A page does not wait longer than this for lines: what has come is shown.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Logs {
    /// The app and what stands above it.
    pub head: Head,
    /// What was asked for, as typed.
    pub form: Form,
    /// Pods to choose from.
    pub pods: Vec<String>,
    /// The lines, or why there are none.
    pub lines: Result<Vec<LogLine>, String>,
    /// Where the lines to come are found.
    pub stream: String,
}

/// Reads the form's filters.
fn asked(cx: &Cx, app: &str) -> LogQuery {
    let text = |name: &str| Some(cx.query(name).trim().to_owned()).filter(|v| !v.is_empty());
    LogQuery {
        app: Some(app.to_owned()),
        component: text("component"),
        pod: text("pod"),
        container: text("container"),
        previous: cx.query("previous") == "on",
        follow: false,
        tail: Some(cx.query("tail").parse().unwrap_or(DEFAULT_TAIL).clamp(1, MOST_TAIL)),
        since: None,
    }
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    let ui = cx.ui();
    let query = asked(&cx, &head.app.name);
    let lines = match collect(&cx, &head.spot, &query, MOST_LINES).await {
        Ok(lines) => Ok(matching(lines, cx.query("q"), cx.query("level"))),
        Err(e) if e.code() == berth_types::ErrorCode::Forbidden => return Err(e),
        Err(e) => Err(crate::components::form::explain(&cx, &e)),
    };
    let of_app = ListQuery { limit: 100, ..ListQuery::default() }.filter("app", head.app.name.clone());
    let pods = cx.services.list_pods(&cx.ctx, head.spot.path(), &of_app).await?.page.items;
    let tail = query.tail.unwrap_or(DEFAULT_TAIL).to_string();
    let stream = paths::with_query(
        &paths::log_stream(&head.spot.tenant, &head.spot.namespace),
        [
            ("app", head.app.name.as_str()),
            ("component", query.component.as_deref().unwrap_or_default()),
            ("pod", query.pod.as_deref().unwrap_or_default()),
            ("container", query.container.as_deref().unwrap_or_default()),
            ("tail", tail.as_str()),
        ],
    );
    let values =
        ["component", "pod", "container", "q", "level", "previous"].map(|name| (name, cx.query(name).to_owned()));
    let form = Form::with(values.into_iter().chain([("tail", tail)]));
    let model = Logs { head, form, pods: pods.iter().map(|p| p.name.to_string()).collect(), lines, stream };
    Ok(head::page(ui, &model.head, &found, Tab::Logs, view(ui, &model)).into())
}

/// The newest lines, at most `most`, oldest first. Waits [`PATIENCE`] at most.
///
/// # Errors
/// Those of the service; what breaks off after some lines leaves those lines.
pub async fn collect(cx: &Cx, spot: &Spot, query: &LogQuery, most: usize) -> Result<Vec<LogLine>> {
    let clock = cx.ctx.clock.clone();
    let stream = cx.services.logs(&cx.ctx, spot.path(), query).await?.take_until(clock.sleep(PATIENCE));
    pin_mut!(stream);
    let mut lines = VecDeque::new();
    let mut error = None;
    while let Some(item) = stream.next().await {
        match item {
            Ok(line) => lines.push_back(line),
            Err(e) => error = Some(e),
        }
        if lines.len() > most {
            lines.pop_front();
        }
    }
    match error {
        Some(e) if lines.is_empty() => Err(e),
        _ => Ok(lines.into()),
    }
}

/// The lines that hold all words of `q` and are at least as grave as `level`.
fn matching(lines: Vec<LogLine>, q: &str, level: &str) -> Vec<LogLine> {
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    let least = Level::from_word(level);
    let fits = |line: &LogLine| {
        let text = line.text.to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
            && least.is_none_or(|least| level::of(&line.text) >= least)
    };
    lines.into_iter().filter(fits).collect()
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, m: &Logs) -> AnyView {
    let l = ui.lang;
    let any = || (String::new(), tr::apps::any(l).to_owned());
    let choice = |values: Vec<String>| -> Vec<(String, String)> {
        std::iter::once(any()).chain(values.into_iter().map(|v| (v.clone(), v))).collect()
    };
    let several = m.head.app.spec.components.len() > 1;
    let components: Vec<String> = m.head.app.spec.components.iter().map(|c| c.name.clone()).collect();
    let component =
        several.then(|| field(ui, &m.form, Field::select("component", tr::apps::component(l), choice(components))));
    let levels = vec![
        any(),
        ("warn".to_owned(), tr::apps::level_warn(l).to_owned()),
        ("error".to_owned(), tr::apps::level_error(l).to_owned()),
    ];
    let lines = match &m.lines {
        Err(why) => note(Tone::Warn, why.clone().into_any()).into_any(),
        Ok(lines) if lines.is_empty() => {
            empty(Icon::Lines, tr::apps::log_empty(l), tr::apps::log_empty_hint(l), None).into_any()
        }
        Ok(lines) => block(ui, lines, several),
    };
    view! {
        <section class="card" aria-label=tr::apps::logs(l)>
            <form class="tools" method="get">
                {component}
                {field(ui, &m.form, Field::select("pod", tr::apps::pod(l), choice(m.pods.clone())))}
                {field(ui, &m.form, Field::select("level", tr::apps::level(l), levels))}
                {field(ui, &m.form, Field::text("q", tr::apps::contains(l)))}
                {field(ui, &m.form, Field::number("tail", tr::apps::lines_each(l)))}
                {field(ui, &m.form, Field::check("previous", tr::apps::previous_run(l)))}
                {button(Button::Plain, None, tr::apps::show(l), None)}
            </form>
            <div data-island="log" data-src=m.stream.clone() data-several=several.then_some("")>{lines}</div>
        </section>
    }
    .into_any()
}

/// Lines as a block. Control characters of the lines are made visible or dropped here. `several`: the app has several
/// components.
#[must_use]
pub fn block(ui: Ui, lines: &[LogLine], several: bool) -> AnyView {
    let rows: Vec<_> = lines
        .iter()
        .map(|printed| {
            let time = printed.at.map(|at| line::time_of_day(&at.to_string()));
            let origin = line::origin(&printed.pod, &printed.container, several);
            log_line(time, origin, printable(&printed.text).into_owned())
        })
        .collect();
    view! { <div class="log" tabindex="0" role="log" aria-label=tr::apps::log(ui.lang)>{rows}</div> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filtered_by_words_and_level() {
        let line = |text: &str| LogLine { at: None, pod: "a".into(), container: "main".into(), text: text.to_owned() };
        let all = vec![line("INFO ready"), line("WARN disk slow"), line("ERROR disk gone")];
        for (q, level, want) in [
            ("", "", vec!["INFO ready", "WARN disk slow", "ERROR disk gone"]),
            ("Disk", "", vec!["WARN disk slow", "ERROR disk gone"]),
            ("", "error", vec!["ERROR disk gone"]),
            ("slow disk", "warn", vec!["WARN disk slow"]),
            ("none", "", vec![]),
        ] {
            let got: Vec<String> = matching(all.clone(), q, level).into_iter().map(|l| l.text).collect();
            assert_eq!(got, want, "{q} {level}");
        }
    }
}
