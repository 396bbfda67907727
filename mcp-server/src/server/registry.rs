//! [`Registry`]: the components of a server, by name, with what clients read of them.

use std::any::TypeId;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::component::RequiredStates;
use crate::resources::UriTemplate;
use crate::tools::Checked;
use crate::{Error, Prompt, Resource, ResourceRequest, Result, Tool, types};

/// A component with what clients read of it.
pub(crate) struct Registered<C: ?Sized, W> {
    pub(crate) component: Arc<C>,
    pub(crate) wire: W,
}

/// The components of a server, by name. Lists come in the order of names.
pub(crate) struct Registry {
    tools: BTreeMap<String, Registered<dyn Tool, types::Tool>>,
    resources: BTreeMap<String, Registered<dyn Resource, types::Resource>>,
    templates: Vec<(
        UriTemplate,
        Registered<dyn Resource, types::ResourceTemplate>,
    )>,
    prompts: BTreeMap<String, Registered<dyn Prompt, types::Prompt>>,
}

impl Registry {
    /// Collects the components. With `strict_arguments` tools take no value for one of another type;
    /// `provided` tells which state types components may take.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`], [`Error::InvalidComponent`] and [`Error::MissingState`], as
    /// [`ServerBuilder::build`](crate::ServerBuilder::build).
    pub(crate) fn new(
        tools: Vec<Arc<dyn Tool>>,
        resources: Vec<Arc<dyn Resource>>,
        prompts: Vec<Arc<dyn Prompt>>,
        strict_arguments: bool,
        provided: impl Fn(TypeId) -> bool,
    ) -> Result<Self> {
        let mut registry = Self {
            tools: BTreeMap::new(),
            resources: BTreeMap::new(),
            templates: Vec::new(),
            prompts: BTreeMap::new(),
        };
        for component in tools {
            let definition = component.definition();
            check_name("tool", &definition.name)?;
            check_states(&definition.name, definition.required_states(), &provided)?;
            let component = Checked::new(component, &definition, strict_arguments);
            let component = Arc::new(component.map_err(|reason| Error::InvalidComponent {
                kind: "tool",
                name: definition.name.clone(),
                reason,
            })?);
            if !definition.enabled {
                continue;
            }
            let wire = definition.to_wire();
            add(
                "tool",
                &mut registry.tools,
                definition.name,
                Registered { component, wire },
            )?;
        }
        for component in resources {
            let definition = component.definition();
            check_states(&definition.name, definition.required_states(), &provided)?;
            if definition.is_template() {
                let wire = definition.to_wire_template();
                registry.add_template(definition.uri, Registered { component, wire })?;
            } else {
                let wire = definition.to_wire_resource();
                let entry = Registered { component, wire };
                add("resource", &mut registry.resources, definition.uri, entry)?;
            }
        }
        for component in prompts {
            let definition = component.definition();
            check_name("prompt", &definition.name)?;
            check_states(&definition.name, definition.required_states(), &provided)?;
            let wire = definition.to_wire();
            add(
                "prompt",
                &mut registry.prompts,
                definition.name,
                Registered { component, wire },
            )?;
        }
        registry
            .templates
            .sort_by_cached_key(|(_, entry)| breadth(&entry.wire.uri_template));
        Ok(registry)
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Registered<dyn Tool, types::Tool>> {
        self.tools.get(name)
    }

    pub(crate) fn prompt(&self, name: &str) -> Option<&Registered<dyn Prompt, types::Prompt>> {
        self.prompts.get(name)
    }

    /// Finds the resource of `uri`, or the first template that it matches.
    pub(crate) fn resource(&self, uri: &str) -> Option<(&dyn Resource, ResourceRequest)> {
        let request = ResourceRequest::new(uri);
        if let Some(entry) = self.resources.get(uri) {
            return Some((&*entry.component, request));
        }
        self.templates.iter().find_map(|(template, entry)| {
            let parameters = template.matches(uri)?;
            Some((
                &*entry.component,
                request.clone().with_parameters(parameters),
            ))
        })
    }

    pub(crate) fn list_tools(&self) -> Vec<types::Tool> {
        self.tools
            .values()
            .map(|entry| entry.wire.clone())
            .collect()
    }

    pub(crate) fn list_resources(&self) -> Vec<types::Resource> {
        self.resources
            .values()
            .map(|entry| entry.wire.clone())
            .collect()
    }

    pub(crate) fn list_templates(&self) -> Vec<types::ResourceTemplate> {
        self.templates
            .iter()
            .map(|(_, entry)| entry.wire.clone())
            .collect()
    }

    pub(crate) fn list_prompts(&self) -> Vec<types::Prompt> {
        self.prompts
            .values()
            .map(|entry| entry.wire.clone())
            .collect()
    }

    fn add_template(
        &mut self,
        uri: String,
        entry: Registered<dyn Resource, types::ResourceTemplate>,
    ) -> Result<()> {
        if self
            .templates
            .iter()
            .any(|(_, other)| other.wire.uri_template == uri)
        {
            return Err(Error::Duplicate {
                kind: "resource",
                name: uri,
            });
        }
        let template = UriTemplate::parse(&uri).map_err(|reason| Error::InvalidComponent {
            kind: "resource",
            name: uri,
            reason,
        })?;
        self.templates.push((template, entry));
        Ok(())
    }
}

/// Orders templates by how much they match, so that the one that says most is asked first: those
/// without `{x*}` before those with, then the one with more text of its own, then by the alphabet.
fn breadth(template: &str) -> (usize, Reverse<usize>, String) {
    let folders = template.matches("*}").count();
    let mut inside = false;
    let text = template.chars().filter(|c| {
        inside = (inside || *c == '{') && *c != '}';
        !inside && *c != '}'
    });
    (folders, Reverse(text.count()), template.to_owned())
}

/// Adds an entry under a name that no other one has.
fn add<E>(
    kind: &'static str,
    entries: &mut BTreeMap<String, E>,
    name: String,
    entry: E,
) -> Result<()> {
    match entries.entry(name) {
        Entry::Vacant(place) => {
            place.insert(entry);
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

/// Checks that everything a component takes is provided.
fn check_states(
    component: &str,
    required: &RequiredStates,
    provided: impl Fn(TypeId) -> bool,
) -> Result<()> {
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
        templates.sort_by_cached_key(|template| breadth(template));
        assert_eq!(
            templates,
            ["x://users/{id}", "x://{z}/tail", "x://{b}", "x://{a*}"]
        );
    }
}
