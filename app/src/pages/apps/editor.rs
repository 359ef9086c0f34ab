//! The form and the YAML view of an app: two faces of one object, for a new app and for one that is there.

use berth_core::{ports::pages::PageRequest, services::preview::Planned, yaml};
use berth_types::{AppName, FieldError, app::ExposeKind, app::Strategy};
use leptos::prelude::*;
use serde_json::Value;

use super::{
    document, env,
    form::{AppForm, Field as Part, blank, form_field},
    headroom::{self, Outlook},
    plan,
};
use crate::{
    components::{
        Button, Diff, Field, Form, Icon, button, card, code, diff, field, form::summary, hidden, icon, link_button,
    },
    tr,
    ui::Ui,
};

/// Which face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Fields.
    Form,
    /// A document.
    Yaml,
}

impl Face {
    /// In forms and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Yaml => "yaml",
        }
    }

    /// The form, unless `word` says otherwise.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        if word == "yaml" { Self::Yaml } else { Self::Form }
    }
}

/// Refuses a form whose hidden object came back damaged: fields laid over anything but what they were made from would drop
/// what the form does not show.
///
/// # Errors
/// `Invalid` at `base`.
pub fn check_base(base: &str) -> berth_core::Result<()> {
    if serde_json::from_str::<Value>(base).is_ok_and(|base| base.is_object()) {
        return Ok(());
    }
    let message = "the form came back damaged; open it anew";
    Err(berth_core::Error::field(FieldError::new("base", "base_unreadable", message)))
}

/// What a browser sent from either face.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The face it was sent from.
    pub face: Face,
    /// The `spec` that was edited: what the form is laid over.
    pub base: Value,
    /// The `spec` as it was when the reader began; another one than `base` after a visit to the YAML.
    pub seen: Value,
    /// The form as typed, or as the document makes it.
    pub form: AppForm,
    /// The document as typed, or as the form makes it.
    pub text: String,
    /// The `spec` that is wanted, or what is wrong with it.
    pub spec: Result<Value, Vec<FieldError>>,
    /// Whether the document can be read at all: only then can it become a form.
    pub readable: bool,
    /// The namespace that the document names.
    pub namespace: Option<String>,
    /// What the reader wants done: empty for the deed itself, else `form`, `yaml`, `preview`, or one of [`headroom`]'s words.
    pub to: String,
}

impl Sent {
    /// Reads a request. `app` is the name of an app that is there already, which cannot be changed.
    #[must_use]
    pub fn read(request: &PageRequest, app: Option<&str>) -> Self {
        let value = |name: &str| request.field(name).unwrap_or_default();
        let object = |name: &str| serde_json::from_str(value(name)).ok().filter(Value::is_object);
        let base = object("base").unwrap_or_else(blank);
        let seen = object("seen").unwrap_or_else(|| base.clone());
        let component = value("component").parse().unwrap_or(0);
        let fields = request.form.as_deref().unwrap_or_default();
        let mut to = value("to").to_owned();
        let face = Face::from_word(value("view"));
        if face == Face::Yaml {
            return Self { seen, ..Self::from_text(base, component, value("yaml").replace("\r\n", "\n"), app, to) };
        }
        let mut form = AppForm::from_fields(fields, &base, component);
        if let Some(name) = app {
            name.clone_into(&mut form.name);
        }
        if form.take(value("fix")) {
            to = "form".to_owned();
        }
        let mut spec = form.apply(&base);
        if let Err(e) = berth_core::services::people::name::<AppName>("name", &form.name, AppName::MAX) {
            let mut all = e.fields().to_vec();
            all.extend(spec.err().unwrap_or_default());
            spec = Err(all);
        }
        let text = document::print(&form.name, &form.to_spec(&base)).unwrap_or_default();
        Self { face, base, seen, form, text, spec, readable: true, namespace: None, to }
    }

    fn from_text(base: Value, component: usize, text: String, app: Option<&str>, to: String) -> Self {
        let (read, readable) = match document::read(&text) {
            Ok(document) => (Ok(document), true),
            Err(errors) => (Err(errors), false),
        };
        let mut form = AppForm::from_spec(&base, component);
        let mut namespace = None;
        let spec = read.and_then(|document| {
            namespace.clone_from(&document.namespace);
            form = AppForm::from_spec(&document.spec, 0);
            document.name.clone_into(&mut form.name);
            let mut errors = match (
                app,
                berth_core::services::people::name::<AppName>("metadata.name", &document.name, AppName::MAX),
            ) {
                (Some(app), _) if document.name != app => {
                    let message = format!("must be {app}: an app keeps its name");
                    vec![FieldError::new("metadata.name", "must_be", message).param("want", app)]
                }
                (None, Err(e)) => e.fields().to_vec(),
                _ => Vec::new(),
            };
            if let Err(e) = yaml::app_spec(&document.spec) {
                errors.extend(e.fields().iter().cloned());
            }
            if errors.is_empty() { Ok(document.spec) } else { Err(document::with_lines(errors, &text)) }
        });
        let seen = base.clone();
        Self { face: Face::Yaml, base, seen, form, text, spec, readable, namespace, to }
    }

    /// The same, refused where the document is for another namespace than `here`, as the cluster calls it.
    #[must_use]
    pub fn in_namespace(mut self, here: &str) -> Self {
        if self.namespace.as_ref().is_some_and(|named| named != here) {
            let message = format!("must be {here}: that is this namespace's name in the cluster");
            let error = FieldError::new("metadata.namespace", "must_be", message).param("want", here);
            let mut errors = self.spec.err().unwrap_or_default();
            errors.extend(document::with_lines(vec![error], &self.text));
            self.spec = Err(errors);
        }
        self
    }

    /// The `spec` for the other face: right or wrong.
    #[must_use]
    pub fn draft(&self) -> Value {
        match self.face {
            Face::Form => self.form.to_spec(&self.base),
            Face::Yaml => document::read(&self.text).map_or_else(|_| self.base.clone(), |d| d.spec),
        }
    }
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Editor {
    /// The app's name when it is there already.
    pub app: Option<String>,
    /// Where to go without doing anything.
    pub cancel: String,
    /// Which face.
    pub face: Face,
    /// What stands in its fields, and what is wrong with it.
    pub form: Form,
    /// The `spec` that is edited.
    pub base: Value,
    /// The `spec` as it was when the reader began.
    pub seen: Value,
    /// Index of the component that the form shows.
    pub component: usize,
    /// What changed since the reader opened the page.
    pub meanwhile: Vec<Diff>,
    /// The `spec` that it comes to, right or wrong.
    pub draft: Value,
    /// What that takes of the quota; nothing until it was counted.
    pub outlook: Option<Outlook>,
    /// What would be made, when the reader asked for it and all is right.
    pub planned: Option<Vec<Planned>>,
}

impl Editor {
    /// The form over `base`.
    #[must_use]
    pub fn of_form(app: Option<String>, cancel: String, form: &AppForm, base: Value) -> Self {
        let values = Part::ALL.iter().map(|part| (part.name(), form.get(*part).to_owned()));
        Self {
            app,
            cancel,
            face: Face::Form,
            form: Form::with(values.chain([("name", form.name.clone())])),
            component: form.component,
            meanwhile: Vec::new(),
            draft: form.to_spec(&base),
            outlook: None,
            seen: base.clone(),
            base,
            planned: None,
        }
    }

    /// The document `text`; `base` is what it began as.
    #[must_use]
    pub fn of_text(app: Option<String>, cancel: String, text: String, base: Value) -> Self {
        let draft = document::read(&text).map(|d| d.spec).unwrap_or_default();
        Self {
            app,
            cancel,
            face: Face::Yaml,
            form: Form::with([("yaml", text)]),
            component: 0,
            meanwhile: Vec::new(),
            draft,
            outlook: None,
            seen: base.clone(),
            base,
            planned: None,
        }
    }

    /// What was sent, shown again in the face that was asked for, with what is wrong with it.
    #[must_use]
    pub fn again(sent: &Sent, app: Option<String>, cancel: String) -> Self {
        let mut editor = match (sent.face, sent.to.as_str()) {
            (Face::Form, "yaml") => Self::of_text(app, cancel, sent.text.clone(), sent.base.clone()),
            (Face::Yaml, "form") if sent.readable => {
                // What the form does not show is carried along in what it is laid over.
                Self::of_form(app, cancel, &sent.form, sent.draft())
            }
            (Face::Form, _) => Self::of_form(app, cancel, &sent.form, sent.base.clone()),
            (Face::Yaml, _) => Self::of_text(app, cancel, sent.text.clone(), sent.base.clone()),
        };
        editor.seen = sent.seen.clone();
        // Another face, or a suggestion that was taken: nothing was to be done yet, so nothing is complained of.
        let looks = matches!(sent.to.as_str(), "form" | "yaml") && sent.readable || sent.to == headroom::COUNT;
        if !looks {
            editor.form.errors = sent.spec.as_ref().err().cloned().unwrap_or_default();
        }
        editor
    }

    /// With what a check found: what would be refused stands at its field, as if it had been.
    #[must_use]
    pub fn checked(self, outlook: Outlook) -> Self {
        let refused = Form { errors: outlook.errors().to_vec(), ..Form::default() };
        Self { outlook: Some(outlook), ..self.refused(refused) }
    }

    /// With what the services refused.
    #[must_use]
    pub fn refused(mut self, refused: Form) -> Self {
        self.form.message = refused.message;
        self.form.errors = refused.errors;
        match self.face {
            Face::Form => {
                for error in &mut self.form.errors {
                    error.field = form_field(&error.field, self.component);
                }
            }
            Face::Yaml => {
                let text = self.form.value("yaml").to_owned();
                self.form.errors = document::with_lines(std::mem::take(&mut self.form.errors), &text);
            }
        }
        self
    }
}

/// The editor below the page's head.
#[must_use]
pub fn view(ui: Ui, m: &Editor) -> AnyView {
    let l = ui.lang;
    let body = match m.face {
        Face::Form => fields(ui, m),
        Face::Yaml => text(ui, m),
    };
    let base = serde_json::to_string(&m.base).unwrap_or_default();
    let seen = (m.seen != m.base).then(|| serde_json::to_string(&m.seen).unwrap_or_default());
    let outlook = m.outlook.as_ref().map(|outlook| headroom::panel(ui, outlook));
    let layout = if outlook.is_some() { "cols" } else { "stack" };
    let (deed, symbol) = match m.app {
        None => (tr::apps::deploy(l), Icon::Plus),
        Some(_) => (tr::apps::save(l), Icon::Ok),
    };
    view! {
        <form class="stack editor" method="post" novalidate>
            // Enter in a field does the first button of a form: this one, not the switch of faces.
            <button class="sr" type="submit" tabindex="-1" aria-hidden="true"></button>
            {hidden("view", m.face.as_str())}
            {hidden("base", base)}
            {seen.map(|seen| hidden("seen", seen))}
            {hidden("component", m.component.to_string())}
            {switch(ui, m)}
            {meanwhile(ui, m)}
            <div class=layout>
                <div class="stack">
                    {body}
                    <div class="fixes">
                        {button(Button::Go, Some(symbol), deed, None)}
                        <button class="btn" type="submit" name="to" value="preview">{tr::apps::preview(l)}</button>
                        {link_button(Button::Quiet, None, tr::apps::cancel(l), m.cancel.clone())}
                    </div>
                </div>
                {outlook.map(|outlook| view! { <aside class="stack follow">{outlook}</aside> })}
            </div>
        </form>
    }
    .into_any()
}

/// The same to read, for who may not change it.
#[must_use]
pub fn read(ui: Ui, m: &Editor) -> AnyView {
    match m.face {
        Face::Form => view! { <fieldset class="stack" disabled>{fields(ui, m)}</fieldset> }.into_any(),
        Face::Yaml => {
            let text = m.form.value("yaml").to_owned();
            card("YAML", None, code(text, tr::apps::yaml_label(ui.lang)).into_any()).into_any()
        }
    }
}

fn switch(ui: Ui, m: &Editor) -> AnyView {
    let l = ui.lang;
    let face = |face: Face, label: &'static str| {
        let current = (face == m.face).then_some("true");
        view! { <button type="submit" name="to" value=face.as_str() aria-pressed=current.unwrap_or("false")>{label}</button> }
    };
    view! {
        <div class="seg" role="group" aria-label=tr::apps::view_as(l)>
            {face(Face::Form, tr::apps::form(l))}
            {face(Face::Yaml, "YAML")}
        </div>
    }
    .into_any()
}

fn meanwhile(ui: Ui, m: &Editor) -> AnyView {
    let l = ui.lang;
    if let Some(planned) = &m.planned {
        return plan::view(ui, planned);
    }
    if m.meanwhile.is_empty() {
        return ().into_any();
    }
    let hint = match m.face {
        Face::Form => tr::apps::meanwhile_form(l),
        Face::Yaml => tr::apps::meanwhile_yaml(l),
    };
    view! {
        <section class="card finding warn" role="alert">
            <div class="in">
                <h2>{tr::apps::meanwhile(l)}</h2>
                <p class="small">{hint}</p>
                {diff(m.meanwhile.clone(), tr::apps::meanwhile(l))}
            </div>
        </section>
    }
    .into_any()
}

fn fields(ui: Ui, m: &Editor) -> AnyView {
    let l = ui.lang;
    let component = &m.base["components"][m.component];
    let put = |spec: Field| field(ui, &m.form, spec);
    let of = |part: Part, label: &'static str| Field::text(part.name(), label);
    let number = |part: Part, label: &'static str| Field::number(part.name(), label);
    let name = m.app.is_none().then(|| {
        put(Field::text("name", tr::apps::name(l))
            .hint(tr::apps::name_hint(l))
            .required()
            .focus()
            .max(AppName::MAX)
            .checked_as("app"))
    });
    let shown: Vec<&str> = Part::ALL.iter().map(|part| part.name()).chain(["name"]).collect();
    let open = |parts: &[Part]| {
        parts.iter().any(|part| {
            m.form.errors_of(part.name()).next().is_some()
                || !matches!(m.form.value(part.name()), "" | "Rolling" | "None")
        })
    };
    let exposed = ExposeKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), expose_word(ui, *kind))).collect();
    let strategies = Strategy::ALL
        .iter()
        .map(|s| {
            let word = match s {
                Strategy::Rolling => tr::apps::rolling(l),
                Strategy::Recreate => tr::apps::recreate(l),
            };
            (s.as_str().to_owned(), word.to_owned())
        })
        .collect();
    let other_check =
        ["tcp", "exec", "grpc"].into_iter().find(|kind| !component["probes"]["readiness"][*kind].is_null());
    let readiness_hint = match other_check {
        Some(kind) => tr::apps::readiness_other(l, kind),
        None => tr::apps::readiness_hint(l).to_owned(),
    };
    let references = env::references(&component["env"]);
    let references = (!references.is_empty()).then(|| {
        let items: Vec<_> = references
            .into_iter()
            .map(|(name, from)| view! { <li><code>{name}</code>" "<span class="muted">{from}</span></li> })
            .collect();
        view! { <div class="small"><p class="muted">{tr::apps::env_references(l)}</p><ul>{items}</ul></div> }
    });
    let limits = [Part::CpuLimit, Part::MemoryLimit];
    let auto = [Part::Autoscale, Part::AutoscaleMin, Part::AutoscaleMax, Part::AutoscaleCpu, Part::AutoscaleMemory];
    let roll = [Part::Strategy, Part::MaxSurge, Part::MaxUnavailable];
    view! {
        {summary(ui, &m.form, &shown)}
        <section class="card">
            <header><h2>{tr::apps::what(l)}</h2>{component_tag(m)}</header>
            <div class="in">
                <div class="row">
                    {name}
                    {put(
                        of(Part::Image, tr::apps::image(l)).hint(tr::apps::image_hint(l)).required().mono()
                            .placeholder("registry.example.com/shop/web:1.4").checked_as("image"),
                    )}
                </div>
            </div>
        </section>
        <section class="card">
            <header><h2>{tr::apps::how_much(l)}</h2></header>
            <div class="in">
                <div class="row">
                    {put(number(Part::Replicas, tr::apps::replicas(l)).hint(tr::apps::replicas_hint(l)).placeholder("1"))}
                    {put(of(Part::CpuRequest, tr::apps::cpu_each(l)).hint(tr::apps::cpu_hint(l)).placeholder("100m").checked_as("quantity"))}
                    {put(of(Part::MemoryRequest, tr::apps::memory_each(l)).hint(tr::apps::memory_hint(l)).placeholder("128Mi").checked_as("quantity"))}
                </div>
                <details class="more" open=open(&limits)>
                    <summary>{tr::apps::limits(l)}</summary>
                    <div class="row">
                        {put(of(Part::CpuLimit, tr::apps::cpu_limit(l)).hint(tr::apps::cpu_limit_hint(l)).checked_as("quantity"))}
                        {put(of(Part::MemoryLimit, tr::apps::memory_limit(l)).hint(tr::apps::memory_limit_hint(l)).checked_as("quantity"))}
                    </div>
                </details>
                <details class="more" open=open(&auto)>
                    <summary>{tr::apps::autoscale(l)}</summary>
                    {put(Field::check(Part::Autoscale.name(), tr::apps::autoscale_on(l)).hint(tr::apps::autoscale_hint(l)))}
                    <div class="row">
                        {put(number(Part::AutoscaleMin, tr::apps::at_least(l)).placeholder("2"))}
                        {put(number(Part::AutoscaleMax, tr::apps::at_most(l)).placeholder("6"))}
                        {put(number(Part::AutoscaleCpu, tr::apps::cpu_percent(l)).placeholder("70"))}
                        {put(number(Part::AutoscaleMemory, tr::apps::memory_percent(l)))}
                    </div>
                </details>
            </div>
        </section>
        <section class="card">
            <header><h2>{tr::apps::reach_it(l)}</h2></header>
            <div class="in">
                <div class="row">
                    {put(number(Part::Port, tr::apps::port(l)).hint(tr::apps::port_hint(l)).placeholder("8080"))}
                    {put(of(Part::ReadinessPath, tr::apps::ready_when(l)).hint(readiness_hint).mono().placeholder("/healthz"))}
                    {put(Field::select(Part::Expose.name(), tr::apps::who_reaches_it(l), exposed))}
                </div>
                <div class="row">
                    {put(of(Part::Host, tr::apps::host(l)).hint(tr::apps::host_hint(l)).placeholder("shop.example.com"))}
                    {put(of(Part::Path, tr::apps::path(l)).hint(tr::apps::path_hint(l)).mono().placeholder("/"))}
                </div>
            </div>
        </section>
        <section class="card">
            <header><h2>{tr::apps::environment(l)}</h2></header>
            <div class="in">
                {put(
                    Field::area(Part::Env.name(), tr::apps::variables(l), 6).hint(tr::apps::env_hint(l))
                        .placeholder("LOG_LEVEL=info"),
                )}
                {references}
            </div>
        </section>
        <section class="card">
            <header><h2>{tr::apps::rollout(l)}</h2></header>
            <div class="in">
                <details class="more" open=open(&roll)>
                    <summary>{tr::apps::rollout_summary(l)}</summary>
                    <div class="row">
                        {put(Field::select(Part::Strategy.name(), tr::apps::strategy(l), strategies))}
                        {put(of(Part::MaxSurge, tr::apps::max_surge(l)).hint(tr::apps::number_or_percent(l)).placeholder("25%"))}
                        {put(of(Part::MaxUnavailable, tr::apps::max_unavailable(l)).hint(tr::apps::number_or_percent(l)).placeholder("0"))}
                    </div>
                </details>
            </div>
        </section>
        <p class="small muted">{tr::apps::form_keeps(l)}</p>
    }
    .into_any()
}

fn component_tag(m: &Editor) -> Option<AnyView> {
    let all = m.base["components"].as_array()?;
    let name = all.get(m.component)?["name"].as_str()?.to_owned();
    (all.len() > 1).then(|| view! { <div class="do"><span class="tag mono">{name}</span></div> }.into_any())
}

fn expose_word(ui: Ui, kind: ExposeKind) -> String {
    let l = ui.lang;
    match kind {
        ExposeKind::None => tr::apps::expose_none(l),
        ExposeKind::Internal => tr::apps::expose_internal(l),
        ExposeKind::Ingress => tr::apps::expose_ingress(l),
        ExposeKind::LoadBalancer => tr::apps::expose_load_balancer(l),
    }
    .to_owned()
}

fn text(ui: Ui, m: &Editor) -> AnyView {
    let l = ui.lang;
    let wrong: Vec<_> = m.form.errors.iter().map(|error| yaml_error(ui, error)).collect();
    let message = m.form.message.clone();
    let errors = (!wrong.is_empty() || message.is_some()).then(|| {
        view! {
            <div class="note bad" role="alert">
                {icon(Icon::Bad)}
                <div>
                    {message.map(|text| view! { <p>{text}</p> })}
                    <ul id="yaml-errors">{wrong}</ul>
                </div>
            </div>
        }
    });
    // The errors stand in the list above, each with its line: the field itself does not repeat them.
    let plain = Form { values: m.form.values.clone(), ..Form::default() };
    view! {
        {errors}
        <section class="card">
            <div class="in">
                {field(ui, &plain, Field::area("yaml", tr::apps::yaml_label(l), 28).hint(tr::apps::yaml_hint(l)).required())}
            </div>
        </section>
    }
    .into_any()
}

fn yaml_error(ui: Ui, error: &FieldError) -> AnyView {
    let l = ui.lang;
    let line = error.params.get("line").map(|line| tr::apps::line(l, line));
    let at = (error.field != "yaml").then(|| error.field.clone());
    let meant = (!error.suggestions.is_empty()).then(|| {
        let list = error.suggestions.join(", ");
        format!(" {}", tr::apps::perhaps(l, list))
    });
    view! {
        <li>
            {line.map(|line| view! { <b>{line}</b>" " })}
            {at.map(|at| view! { <code>{at}</code>": " })}
            {tr::field_error(l, error)}
            {meant}
        </li>
    }
    .into_any()
}
