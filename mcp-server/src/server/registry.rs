//! [`Registry`]: the components of a server, by name, with what clients read of them.

use std::any::TypeId;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::pages::{Key, Page};
use super::switches::Disabled;
use crate::completion::Completions;
use crate::component::RequiredStates;
use crate::icon;
use crate::resources::UriTemplate;
use crate::tools::Checked;
use crate::{Complete, Error, Prompt, Resource, ResourceRequest, Result, TaskOptions, Tool, types};

/// A component with what clients read of it.
pub(crate) struct Registered<C: ?Sized, W> {
    pub(crate) component: Arc<C>,
    pub(crate) wire: W,
}

/// A tool with what clients read of it.
pub(crate) struct RegisteredTool {
    pub(crate) component: Arc<dyn Tool>,
    pub(crate) wire: types::Tool,
    /// How its calls become tasks.
    pub(crate) task: Option<TaskOptions>,
}

pub(crate) type RegisteredResource = Registered<dyn Resource, types::Resource>;
pub(crate) type RegisteredTemplate = Registered<dyn Resource, types::ResourceTemplate>;
pub(crate) type RegisteredPrompt = Registered<dyn Prompt, types::Prompt>;

/// The components of a server, by name. Lists come in the order of names, templates in that of
/// [`Breadth`]. Clones share the components.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    tools: BTreeMap<String, Arc<RegisteredTool>>,
    /// How many tools have calls that become tasks; each message wants to know whether there are any.
    task_tools: usize,
    resources: BTreeMap<String, Arc<RegisteredResource>>,
    templates: BTreeMap<Breadth, Arc<(UriTemplate, RegisteredTemplate)>>,
    prompts: BTreeMap<String, Arc<RegisteredPrompt>>,
    completions: BTreeMap<Completed, Completions>,
    /// Tools take no value for one of another type.
    strict_arguments: bool,
}

/// A component whose arguments are completed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Completed {
    Prompt(String),
    Template(String),
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
        let component = Checked::new(component, &definition, self.strict_arguments);
        let component = component.map_err(|reason| Error::InvalidComponent {
            kind: "tool",
            name: definition.name.clone(),
            reason,
        })?;
        if !definition.enabled {
            return Ok(());
        }
        let wire = definition.to_wire();
        let has_tasks = definition.task.is_some();
        let entry = RegisteredTool {
            component: Arc::new(component),
            wire,
            task: definition.task,
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
        let completions = definition.completions().clone();
        if !definition.is_template() {
            check_completions("resource", &definition.uri, &completions, |_| false)?;
            let wire = definition.to_wire_resource();
            let entry = Registered { component, wire };
            return add("resource", &mut self.resources, definition.uri, entry);
        }
        let wire = definition.to_wire_template();
        let uri = definition.uri.clone();
        let breadth = Breadth::of(&uri);
        if self.templates.contains_key(&breadth) {
            return Err(Error::Duplicate {
                kind: "resource",
                name: uri,
            });
        }
        let template = UriTemplate::parse(&uri)
            .and_then(|template| template.leave_unchecked(definition.unchecked()));
        let template = template.map_err(|reason| Error::InvalidComponent {
            kind: "resource",
            name: uri,
            reason,
        })?;
        let is_parameter = |name: &str| template.has_parameter(name);
        check_completions("resource", &definition.uri, &completions, is_parameter)?;
        let entry = (template, Registered { component, wire });
        self.templates.insert(breadth, Arc::new(entry));
        self.complete(Completed::Template(definition.uri), completions);
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
        let completions = definition.completions().clone();
        check_completions("prompt", &definition.name, &completions, |name| {
            let mut arguments = definition.arguments.iter();
            arguments.any(|argument| argument.name == name)
        })?;
        let wire = definition.to_wire();
        let entry = Registered { component, wire };
        add("prompt", &mut self.prompts, definition.name.clone(), entry)?;
        self.complete(Completed::Prompt(definition.name), completions);
        Ok(())
    }

    /// Removes a tool, and tells whether there was one.
    pub(crate) fn remove_tool(&mut self, name: &str) -> bool {
        let removed = self.tools.remove(name);
        let has_tasks = removed.as_ref().is_some_and(|tool| tool.task.is_some());
        self.task_tools -= usize::from(has_tasks);
        removed.is_some()
    }

    /// Removes a resource, or a template, and tells whether there was one.
    pub(crate) fn remove_resource(&mut self, uri: &str) -> bool {
        self.completions
            .remove(&Completed::Template(uri.to_owned()));
        self.resources.remove(uri).is_some() || self.templates.remove(&Breadth::of(uri)).is_some()
    }

    /// Removes a prompt, and tells whether there was one.
    pub(crate) fn remove_prompt(&mut self, name: &str) -> bool {
        self.completions.remove(&Completed::Prompt(name.to_owned()));
        self.prompts.remove(name).is_some()
    }

    /// Returns the registry without the components that are disabled.
    pub(crate) fn without(&self, disabled: &Disabled) -> Self {
        let mut visible = self.clone();
        for name in &disabled.tools {
            visible.remove_tool(name);
        }
        for uri in &disabled.resources {
            visible.remove_resource(uri);
        }
        for name in &disabled.prompts {
            visible.remove_prompt(name);
        }
        visible
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Arc<RegisteredTool>> {
        self.tools.get(name)
    }

    pub(crate) fn prompt(&self, name: &str) -> Option<&Arc<RegisteredPrompt>> {
        self.prompts.get(name)
    }

    /// Finds the resource of `uri`, or the first template that it matches.
    pub(crate) fn resource(&self, uri: &str) -> Option<(Arc<dyn Resource>, ResourceRequest)> {
        let request = ResourceRequest::new(uri);
        if let Some(entry) = self.resources.get(uri) {
            return Some((Arc::clone(&entry.component), request));
        }
        self.templates.values().find_map(|found| {
            let (template, entry) = &**found;
            let parameters = template.matches(uri)?;
            let request = request.clone().with_parameters(parameters);
            Some((Arc::clone(&entry.component), request))
        })
    }

    /// Tells whether calls of a tool can become tasks.
    pub(crate) fn has_tasks(&self) -> bool {
        self.task_tools > 0
    }

    /// Tells whether there is a resource or a template written as `uri`.
    pub(crate) fn has_resource(&self, uri: &str) -> bool {
        self.resources.contains_key(uri) || self.templates.contains_key(&Breadth::of(uri))
    }

    /// Finds what suggests values for an argument.
    pub(crate) fn completion(&self, of: &Completed, argument: &str) -> Option<&Arc<dyn Complete>> {
        self.completions.get(of)?.get(argument)
    }

    pub(crate) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    pub(crate) fn list_tools(&self, after: Option<&str>, size: usize) -> Page<types::Tool> {
        Page::of(&self.tools, after, size, |entry| entry.wire.clone())
    }

    pub(crate) fn list_resources(&self, after: Option<&str>, size: usize) -> Page<types::Resource> {
        Page::of(&self.resources, after, size, |entry| entry.wire.clone())
    }

    pub(crate) fn list_templates(
        &self,
        after: Option<&str>,
        size: usize,
    ) -> Page<types::ResourceTemplate> {
        Page::of(&self.templates, after, size, |entry| entry.1.wire.clone())
    }

    pub(crate) fn list_prompts(&self, after: Option<&str>, size: usize) -> Page<types::Prompt> {
        Page::of(&self.prompts, after, size, |entry| entry.wire.clone())
    }

    fn complete(&mut self, component: Completed, completions: Completions) {
        if !completions.is_empty() {
            self.completions.insert(component, completions);
        }
    }
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

/// Adds an entry under a name that no other one has.
fn add<E>(
    kind: &'static str,
    entries: &mut BTreeMap<String, Arc<E>>,
    name: String,
    entry: E,
) -> Result<()> {
    match entries.entry(name) {
        Entry::Vacant(place) => {
            place.insert(Arc::new(entry));
            Ok(())
        }
        Entry::Occupied(taken) => Err(Error::Duplicate {
            kind,
            name: taken.key().clone(),
        }),
    }
}

/// Checks a tool's or prompt's name: 1 to 128 of `A-Z a-z 0-9 _ - . /`, as MCP advises (SEP-986).
fn check_name(kind: &'static str, name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if (1..=128).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    let reason = "a name has 1 to 128 characters of A-Z, a-z, 0-9, `_`, `-`, `.` and `/`";
    Err(Error::InvalidComponent {
        kind,
        name: name.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Checks that clients may load the icons.
fn check_icons(kind: &'static str, name: &str, icons: &[types::Icon]) -> Result<()> {
    icon::check(icons).map_err(|reason| Error::InvalidComponent {
        kind,
        name: name.to_owned(),
        reason,
    })
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
        Some(argument) => Err(Error::InvalidComponent {
            kind,
            name: name.to_owned(),
            reason: format!("it completes `{argument}`, which is none of its arguments"),
        }),
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
