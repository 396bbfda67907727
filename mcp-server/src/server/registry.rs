//! [`Registry`]: the components of a server, by name, with what clients read of them.

use std::any::TypeId;
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::pages::{Key, Page};
use super::switches::Disabled;
use super::versions::{Clash, Registered, Removed, Versions};
use crate::auth::Caller;
use crate::completion::Completions;
use crate::component::RequiredStates;
use crate::hash::sha256_hex;
use crate::icon;
use crate::middleware::Chain;
use crate::resources::{UriTemplate, canonical};
use crate::tools::Checked;
use crate::types::JsonObject;
use crate::version::{Version, Wanted};
use crate::{Error, Prompt, Resource, ResourceRequest, Result, TaskOptions, Tool, types};

pub(crate) type RegisteredTool = Registered<dyn Tool, types::Tool, ToolDetails>;
pub(crate) type RegisteredPrompt = Registered<dyn Prompt, types::Prompt, Completions>;
/// A resource that is no template.
type Fixed = Registered<dyn Resource, types::Resource>;
type RegisteredTemplate = Registered<dyn Resource, types::ResourceTemplate, Template>;

/// What belongs to a tool.
pub(crate) struct ToolDetails {
    /// How its calls become tasks.
    pub(crate) task: Option<TaskOptions>,
    /// What is around its calls.
    pub(crate) middleware: Chain,
    /// How long results may be cached, if it says so.
    pub(crate) cache: Option<Duration>,
}

/// What belongs to a resource template.
pub(crate) struct Template {
    uri: UriTemplate,
    completions: Completions,
}

/// The components of a server, by name. Lists come in the order of names, templates in that of
/// [`Breadth`]. Clones share the components.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    tools: BTreeMap<String, Versions<dyn Tool, types::Tool, ToolDetails>>,
    resources: BTreeMap<String, Versions<dyn Resource, types::Resource>>,
    templates: BTreeMap<Breadth, Versions<dyn Resource, types::ResourceTemplate, Template>>,
    prompts: BTreeMap<String, Versions<dyn Prompt, types::Prompt, Completions>>,
    /// How many tools have calls that become tasks; each message wants to know whether there are any.
    task_tools: usize,
    /// How many prompts and templates suggest values.
    completing: usize,
    /// Tools take no value for one of another type.
    strict_arguments: bool,
    fingerprint: Arc<OnceLock<String>>,
}

/// What a request asks for, and what its caller may have.
#[derive(Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) wanted: Option<&'a Wanted>,
    pub(crate) caller: &'a Caller,
}

/// Tells which state types components may take.
pub(crate) type Provided = dyn Fn(TypeId) -> bool + Send + Sync;

impl Registry {
    pub(crate) fn new(strict_arguments: bool) -> Self {
        Self {
            strict_arguments,
            ..Self::default()
        }
    }

    /// Adds a tool.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`], [`Error::InvalidComponent`] and [`Error::MissingState`], as
    /// [`ServerBuilder::build`](crate::ServerBuilder::build).
    pub(crate) fn add_tool(&mut self, component: Arc<dyn Tool>, provided: &Provided) -> Result<()> {
        let definition = component.definition();
        check_name("tool", &definition.name)?;
        check_icons("tool", &definition.name, &definition.icons)?;
        check_states(&definition.name, definition.required_states(), provided)?;
        let invalid = |reason| invalid("tool", &definition.name, reason);
        check_scopes(&definition.scopes).map_err(invalid)?;
        let version = version(definition.version.as_deref()).map_err(invalid)?;
        let component = Checked::new(component, &definition, self.strict_arguments);
        let component = component.map_err(invalid)?;
        if !definition.enabled {
            return Ok(());
        }
        let wire = definition.to_wire();
        let has_tasks = definition.task.is_some();
        let entry = Registered {
            component: Arc::new(component) as Arc<dyn Tool>,
            wire,
            version,
            details: ToolDetails {
                middleware: definition.middleware().clone(),
                task: definition.task,
                cache: definition.cache,
            },
            scopes: definition.scopes,
            tags: definition.tags,
        };
        add("tool", &mut self.tools, definition.name, entry)?;
        self.task_tools += usize::from(has_tasks);
        Ok(())
    }

    /// Adds a resource or a resource template.
    ///
    /// # Errors
    ///
    /// As [`add_tool`](Self::add_tool).
    pub(crate) fn add_resource(
        &mut self,
        component: Arc<dyn Resource>,
        provided: &Provided,
    ) -> Result<()> {
        let definition = component.definition();
        check_icons("resource", &definition.uri, &definition.icons)?;
        check_states(&definition.name, definition.required_states(), provided)?;
        let invalid = |reason| invalid("resource", &definition.uri, reason);
        check_scopes(&definition.scopes).map_err(invalid)?;
        let version = version(definition.version.as_deref()).map_err(invalid)?;
        let completions = definition.completions().clone();
        if !definition.is_template() {
            check_completions("resource", &definition.uri, &completions, |_| false)?;
            let entry = Fixed {
                component,
                wire: definition.to_wire_resource(),
                version,
                scopes: definition.scopes,
                tags: definition.tags,
                details: (),
            };
            return add("resource", &mut self.resources, definition.uri, entry);
        }
        let uri = UriTemplate::parse(&definition.uri)
            .and_then(|template| template.leave_unchecked(definition.unchecked()))
            .map_err(invalid)?;
        let is_parameter = |name: &str| uri.has_parameter(name);
        check_completions("resource", &definition.uri, &completions, is_parameter)?;
        let completes = !completions.is_empty();
        let entry = RegisteredTemplate {
            component,
            wire: definition.to_wire_template(),
            version,
            details: Template { uri, completions },
            scopes: definition.scopes,
            tags: definition.tags,
        };
        let breadth = Breadth::of(&definition.uri);
        add("resource", &mut self.templates, breadth, entry)?;
        self.completing += usize::from(completes);
        Ok(())
    }

    /// Adds a prompt.
    ///
    /// # Errors
    ///
    /// As [`add_tool`](Self::add_tool).
    pub(crate) fn add_prompt(
        &mut self,
        component: Arc<dyn Prompt>,
        provided: &Provided,
    ) -> Result<()> {
        let definition = component.definition();
        check_name("prompt", &definition.name)?;
        check_icons("prompt", &definition.name, &definition.icons)?;
        check_states(&definition.name, definition.required_states(), provided)?;
        let invalid = |reason| invalid("prompt", &definition.name, reason);
        check_scopes(&definition.scopes).map_err(invalid)?;
        let version = version(definition.version.as_deref()).map_err(invalid)?;
        let completions = definition.completions().clone();
        check_completions("prompt", &definition.name, &completions, |name| {
            let mut arguments = definition.arguments.iter();
            arguments.any(|argument| argument.name == name)
        })?;
        let completes = !completions.is_empty();
        let entry = RegisteredPrompt {
            component,
            wire: definition.to_wire(),
            version,
            scopes: definition.scopes,
            tags: definition.tags,
            details: completions,
        };
        add("prompt", &mut self.prompts, definition.name, entry)?;
        self.completing += usize::from(completes);
        Ok(())
    }

    /// Removes a tool, or one version of it, and tells whether there was one.
    pub(crate) fn remove_tool(&mut self, name: &str, version: Option<&str>) -> bool {
        let removed = remove(&mut self.tools, name, version);
        let with_tasks = removed.iter().filter(|tool| tool.details.task.is_some());
        self.task_tools -= with_tasks.count();
        !removed.is_empty()
    }

    /// Removes a resource or a template, or one version of it, and tells whether there was one.
    pub(crate) fn remove_resource(&mut self, uri: &str, version: Option<&str>) -> bool {
        let removed = remove(&mut self.templates, uri, version);
        let completing = removed
            .iter()
            .filter(|template| !template.details.completions.is_empty());
        self.completing -= completing.count();
        !removed.is_empty() || !remove(&mut self.resources, uri, version).is_empty()
    }

    /// Removes a prompt, or one version of it, and tells whether there was one.
    pub(crate) fn remove_prompt(&mut self, name: &str, version: Option<&str>) -> bool {
        let removed = remove(&mut self.prompts, name, version);
        let completing = removed.iter().filter(|prompt| !prompt.details.is_empty());
        self.completing -= completing.count();
        !removed.is_empty()
    }

    /// Returns the registry without the components that are disabled.
    pub(crate) fn without(&self, disabled: &Disabled) -> Self {
        let mut visible = self.clone();
        visible.fingerprint = Arc::default();
        for name in &disabled.tools {
            visible.remove_tool(name, None);
        }
        for uri in &disabled.resources {
            visible.hide_resource(uri);
        }
        for name in &disabled.prompts {
            visible.remove_prompt(name, None);
        }
        visible
    }

    /// Hides a resource or a template. It keeps its place, so that what is hidden is not read through
    /// a template that matches as well.
    fn hide_resource(&mut self, uri: &str) {
        if let Some(versions) = self.resources.get_mut(uri) {
            versions.hide();
        }
        if let Some(versions) = self.templates.get_mut(&Breadth::of(uri))
            && versions.hide()
        {
            let completing = versions
                .iter()
                .filter(|template| !template.details.completions.is_empty());
            self.completing -= completing.count();
        }
    }

    /// Returns what tells these components from others, as far as clients see them.
    pub(crate) fn fingerprint(&self) -> &str {
        fn shown<K, C: ?Sized, W: Serialize, D>(entries: &BTreeMap<K, Versions<C, W, D>>) -> Value {
            let shown = entries.values().filter(|versions| !versions.is_hidden());
            let shown = shown.flat_map(Versions::iter);
            shown
                .map(|entry| {
                    json!([
                        entry.wire,
                        entry.version.as_ref().map(Version::as_str),
                        entry.scopes
                    ])
                })
                .collect()
        }
        self.fingerprint.get_or_init(|| {
            let all = json!([
                shown(&self.tools),
                shown(&self.resources),
                shown(&self.templates),
                shown(&self.prompts),
            ]);
            sha256_hex(all.to_string())
        })
    }

    /// Tells whether some callers see less than others.
    pub(crate) fn has_scopes(&self) -> bool {
        fn any<K, C: ?Sized, W, D>(entries: &BTreeMap<K, Versions<C, W, D>>) -> bool {
            let mut entries = entries.values().flat_map(Versions::iter);
            entries.any(|entry| !entry.scopes.is_empty())
        }
        any(&self.tools) || any(&self.resources) || any(&self.templates) || any(&self.prompts)
    }

    /// Returns the schema by which the headers of a tool's calls are checked; `None` when that
    /// depends on the version that is called.
    pub(crate) fn header_schema(&self, tool: &str) -> Option<Arc<JsonObject>> {
        let versions = self.tools.get(tool)?;
        let schema = &versions.highest().wire.input_schema;
        let mut others = versions.iter().skip(1);
        let is_same = others.all(|other| headers(&other.wire.input_schema) == headers(schema));
        is_same.then(|| Arc::clone(schema))
    }

    /// Finds a tool, even one that the caller may not use if there is no other.
    pub(crate) fn tool(
        &self,
        name: &str,
        selection: Selection<'_>,
    ) -> Option<&Arc<RegisteredTool>> {
        selection.find(self.tools.get(name)?)
    }

    /// Finds a prompt, as [`tool`](Self::tool) a tool.
    pub(crate) fn prompt(
        &self,
        name: &str,
        selection: Selection<'_>,
    ) -> Option<&Arc<RegisteredPrompt>> {
        selection.find(self.prompts.get(name)?)
    }

    /// Finds the resource of `uri`, or the first template that it matches, as [`tool`](Self::tool) a
    /// tool.
    pub(crate) fn resource(&self, uri: &str, selection: Selection<'_>) -> Option<FoundResource> {
        let request = ResourceRequest::new(uri);
        let fixed = |uri: &str| self.resources.get(uri);
        let canonical = canonical(uri);
        if let Some(versions) = fixed(uri).or_else(|| fixed(&canonical)) {
            // What cannot be used of it is not found by a template that matches as well.
            return Some(FoundResource::new(selection.find(versions)?, request));
        }
        let matching = self.templates.values().find_map(|versions| {
            let entry = selection.find(versions).map(|entry| &**entry);
            let template = entry.unwrap_or(versions.highest());
            let parameters = template.details.uri.matches(&canonical)?;
            Some((entry, template, parameters))
        });
        let (entry, template, parameters) = matching?;
        if template.details.uri.ignores_query()
            && let Some((path, _query)) = canonical.split_once('?')
            && let Some(versions) = fixed(path)
        {
            return Some(FoundResource::new(selection.find(versions)?, request));
        }
        Some(FoundResource::new(
            entry?,
            request.with_parameters(parameters),
        ))
    }

    /// Finds the template that is written as `uri`, as [`tool`](Self::tool) a tool. A resource that
    /// is none has nothing to suggest.
    pub(crate) fn completions_of_resource(
        &self,
        uri: &str,
        selection: Selection<'_>,
    ) -> Option<Completing> {
        if let Some(entry) = self.templates.get(&Breadth::of(uri)) {
            let entry = selection.find(entry)?;
            return Some(Completing {
                completions: entry.details.completions.clone(),
                scopes: entry.scopes.clone(),
            });
        }
        let entry = selection.find(self.resources.get(uri)?)?;
        Some(Completing {
            completions: Completions::default(),
            scopes: entry.scopes.clone(),
        })
    }

    /// Tells whether calls of a tool can become tasks.
    pub(crate) fn has_tasks(&self) -> bool {
        self.task_tools > 0
    }

    pub(crate) fn has_completions(&self) -> bool {
        self.completing > 0
    }

    pub(crate) fn list_tools(
        &self,
        after: Option<&str>,
        size: usize,
        caller: &Caller,
    ) -> Page<types::Tool> {
        Page::of(&self.tools, after, size, |versions| versions.show(caller))
    }

    pub(crate) fn list_resources(
        &self,
        after: Option<&str>,
        size: usize,
        caller: &Caller,
    ) -> Page<types::Resource> {
        Page::of(&self.resources, after, size, |versions| {
            versions.show(caller)
        })
    }

    pub(crate) fn list_templates(
        &self,
        after: Option<&str>,
        size: usize,
        caller: &Caller,
    ) -> Page<types::ResourceTemplate> {
        Page::of(&self.templates, after, size, |versions| {
            versions.show(caller)
        })
    }

    pub(crate) fn list_prompts(
        &self,
        after: Option<&str>,
        size: usize,
        caller: &Caller,
    ) -> Page<types::Prompt> {
        Page::of(&self.prompts, after, size, |versions| versions.show(caller))
    }
}

impl<'a> Selection<'a> {
    pub(crate) const fn new(wanted: Option<&'a Wanted>, caller: &'a Caller) -> Self {
        Self { wanted, caller }
    }

    /// Is whatever there is, for whoever asks.
    pub(crate) const fn any() -> Self {
        Self {
            wanted: None,
            caller: &Caller::Local,
        }
    }

    fn find<'v, C: ?Sized, W, D>(
        &self,
        versions: &'v Versions<C, W, D>,
    ) -> Option<&'v Arc<Registered<C, W, D>>> {
        versions.find(self.wanted, self.caller)
    }
}

/// A resource that was asked for.
pub(crate) struct FoundResource {
    pub(crate) component: Arc<dyn Resource>,
    pub(crate) request: ResourceRequest,
    /// The URI, and the version if there is one.
    pub(crate) identity: String,
    /// What its caller must be allowed to do.
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) tags: BTreeSet<String>,
}

impl FoundResource {
    fn new<W, D>(entry: &Registered<dyn Resource, W, D>, request: ResourceRequest) -> Self {
        Self {
            component: Arc::clone(&entry.component),
            identity: entry.identity(&request.uri).into_owned(),
            request,
            scopes: entry.scopes.clone(),
            tags: entry.tags.clone(),
        }
    }
}

/// What suggests values for the arguments of a component.
pub(crate) struct Completing {
    pub(crate) completions: Completions,
    /// What its caller must be allowed to do.
    pub(crate) scopes: BTreeSet<String>,
}

/// How much a template matches, so that the one that says most is asked first: those without `{x*}`
/// before those with, then the one with more text of its own, then by the alphabet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breadth(usize, Reverse<usize>, String);

impl Key for Breadth {
    fn of(template: &str) -> Self {
        let folders = template.matches("*}").count();
        let mut inside = false;
        let text = template.chars().filter(|c| {
            inside = (inside || *c == '{') && *c != '}';
            !inside && *c != '}'
        });
        Self(folders, Reverse(text.count()), template.to_owned())
    }

    fn name(&self) -> &str {
        &self.2
    }
}

/// Adds an entry under a name that no other one has, or as one more version of it.
fn add<K: Key, C: ?Sized, W, D>(
    kind: &'static str,
    entries: &mut BTreeMap<K, Versions<C, W, D>>,
    key: K,
    entry: Registered<C, W, D>,
) -> Result<()> {
    match entries.entry(key) {
        Entry::Vacant(place) => {
            place.insert(Versions::new(entry));
            Ok(())
        }
        Entry::Occupied(mut versions) => {
            let name = versions.key().name().to_owned();
            let identity = entry.identity(&name).into_owned();
            versions.get_mut().add(entry).map_err(|clash| match clash {
                Clash::Same => Error::Duplicate {
                    kind,
                    name: identity,
                },
                Clash::Mixed => {
                    let reason = "one of its name has a version and another has none; give all of \
                                  them one";
                    invalid(kind, &name, reason.to_owned())
                }
            })
        }
    }
}

/// Removes the entries of a name, or that of one version, and returns them.
fn remove<K: Key, C: ?Sized, W, D>(
    entries: &mut BTreeMap<K, Versions<C, W, D>>,
    name: &str,
    version: Option<&str>,
) -> Removed<C, W, D> {
    let version = match version.map(Version::parse) {
        // There is none that is no version.
        Some(Err(_)) => return Vec::new(),
        Some(Ok(version)) => Some(version),
        None => None,
    };
    let Some((key, versions)) = entries.remove_entry(&K::of(name)) else {
        return Vec::new();
    };
    let (left, removed) = versions.split(version.as_ref());
    if let Some(left) = left {
        entries.insert(key, left);
    }
    removed
}

/// Returns which arguments a tool's clients mirror in headers (SEP-2243).
fn headers(schema: &JsonObject) -> BTreeMap<&str, &Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut headers = BTreeMap::new();
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(header) = schema.get("x-mcp-header") {
            headers.insert(name.as_str(), header);
        }
    }
    headers
}

/// Checks that scopes are those of OAuth (RFC 6749, section 3.3).
fn check_scopes(scopes: &BTreeSet<String>) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    let is_wrong = |scope: &&String| scope.is_empty() || !scope.chars().all(fits);
    match scopes.iter().find(is_wrong) {
        None => Ok(()),
        Some(scope) => Err(format!(
            "the scope {scope:?} is not of visible ASCII characters without spaces, quotes and \
             backslashes; give each scope by itself"
        )),
    }
}

/// Reads the version of a component.
fn version(text: Option<&str>) -> Result<Option<Version>, String> {
    text.map(Version::parse).transpose()
}

fn invalid(kind: &'static str, name: &str, reason: String) -> Error {
    Error::InvalidComponent {
        kind,
        name: name.to_owned(),
        reason,
    }
}

/// Checks a tool's or prompt's name: 1 to 128 of `A-Z a-z 0-9 _ - . /`, as MCP advises (SEP-986).
fn check_name(kind: &'static str, name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if (1..=128).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    let reason = "a name has 1 to 128 characters of A-Z, a-z, 0-9, `_`, `-`, `.` and `/`";
    Err(invalid(kind, name, reason.to_owned()))
}

/// Checks that clients may load the icons.
fn check_icons(kind: &'static str, name: &str, icons: &[types::Icon]) -> Result<()> {
    icon::check(icons).map_err(|reason| invalid(kind, name, reason))
}

/// Checks that all that is completed is an argument.
fn check_completions(
    kind: &'static str,
    name: &str,
    completions: &Completions,
    is_argument: impl Fn(&str) -> bool,
) -> Result<()> {
    match completions
        .arguments()
        .find(|argument| !is_argument(argument))
    {
        None => Ok(()),
        Some(argument) => {
            let reason = format!("it completes `{argument}`, which is none of its arguments");
            Err(invalid(kind, name, reason))
        }
    }
}

/// Checks that everything a component takes is provided.
fn check_states(component: &str, required: &RequiredStates, provided: &Provided) -> Result<()> {
    match required.iter().find(|(id, _)| !provided(*id)) {
        None => Ok(()),
        Some((_, state)) => Err(Error::MissingState {
            component: component.to_owned(),
            state,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_that_says_most_is_asked_first() {
        let mut templates = ["x://{a*}", "x://{b}", "x://{z}/tail", "x://users/{id}"];
        templates.sort_by_cached_key(|template| Breadth::of(template));
        assert_eq!(
            templates,
            ["x://users/{id}", "x://{z}/tail", "x://{b}", "x://{a*}"]
        );
    }
}
