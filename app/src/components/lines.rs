//! Text in lines: code, differences, logs, what happened.

use leptos::prelude::*;

/// Code in a block of its own.
#[must_use]
pub fn code(text: impl Into<String>, label: impl Into<String>) -> impl IntoView + 'static {
    view! { <pre class="code" tabindex="0" role="region" aria-label=label.into()><code>{text.into()}</code></pre> }
}

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diff {
    /// In both.
    Same(String),
    /// Was there.
    Removed(String),
    /// Is new.
    Added(String),
}

impl Diff {
    /// The lines in which `after` differs from `before`, each with `context` lines around it.
    #[must_use]
    pub fn of(before: &str, after: &str, context: usize) -> Vec<Self> {
        let diff = similar::TextDiff::from_lines(before, after);
        let mut out = Vec::new();
        for (n, group) in diff.grouped_ops(context).iter().enumerate() {
            if n > 0 {
                out.push(Self::Same("…".to_owned()));
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let text = change.value().trim_end_matches('\n').to_owned();
                out.push(match change.tag() {
                    similar::ChangeTag::Equal => Self::Same(text),
                    similar::ChangeTag::Delete => Self::Removed(text),
                    similar::ChangeTag::Insert => Self::Added(text),
                });
            }
        }
        out
    }
}

/// A difference; signs as well as colours.
#[must_use]
pub fn diff(lines: Vec<Diff>, label: impl Into<String>) -> impl IntoView + 'static {
    let lines: Vec<_> = lines
        .into_iter()
        .map(|line| match line {
            Diff::Same(text) => view! { <div class="same">{format!("  {text}")}</div> }.into_any(),
            Diff::Removed(text) => view! { <div class="del">{format!("- {text}")}</div> }.into_any(),
            Diff::Added(text) => view! { <div class="add">{format!("+ {text}")}</div> }.into_any(),
        })
        .collect();
    view! { <div class="diff" tabindex="0" role="region" aria-label=label.into()>{lines}</div> }
}

/// One printed line; `text` must be free of control characters already.
#[must_use]
pub fn log_line(time: Option<String>, pod: String, text: String) -> impl IntoView + 'static {
    let class = level_class(&text);
    view! {
        <div>
            {time.map(|t| view! { <time>{t}</time> })}
            <span class="pod">{pod}</span>
            <span class=class>{text}</span>
        </div>
    }
}

/// A guess at how grave a printed line is, from the words that loggers use: `e` error, `w` warning, else empty.
#[must_use]
pub fn level_class(text: &str) -> &'static str {
    crate::islands::level::of(text).class()
}

/// What happened, newest first. `class`: `now` for what still holds, `good`, or empty.
#[must_use]
pub fn timeline(items: Vec<(&'static str, AnyView)>) -> impl IntoView + 'static {
    let items: Vec<_> = items.into_iter().map(|(class, body)| view! { <li class=class>{body}</li> }).collect();
    view! { <ol class="line-time">{items}</ol> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_keep_their_context() {
        let got = Diff::of("a\nb\nc\nd\n", "a\nb\nX\nd\n", 1);
        assert_eq!(
            got,
            [Diff::Same("b".into()), Diff::Removed("c".into()), Diff::Added("X".into()), Diff::Same("d".into())]
        );
        assert!(Diff::of("a\n", "a\n", 3).is_empty());
    }
}
