//! [`ResourceDefinition`]: what a resource says of itself.

use std::collections::BTreeSet;

use crate::completion::Completions;
use crate::component::{RequiredStates, meta_of, title_of};
use crate::types::{self, Annotations, Icon, MetaObject};
use crate::{Complete, FromContext};

/// What a resource says of itself: its URI or URI template, and what is found there.
///
/// In a template, `{name}` stands for one or more characters but `/`, `{name*}` for one or more of
/// any, and `{?a,b}` at the end for query parameters, each of which may be missing. Values are
/// percent-decoded. A URI of more than 64 KiB matches no template, nor does one with a value that
/// holds a NUL, is an absolute path or has a `..` segment; see
/// [`with_unchecked`](Self::with_unchecked).
///
/// A URI that is that of a resource reads this one. Of several templates that match, those without
/// `{name*}` go before those with, then the one with more text outside of braces, then the first by
/// the alphabet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResourceDefinition {
    /// The URI, or the URI template.
    pub uri: String,
    /// The name for programs.
    pub name: String,
    /// The name for people; when `None`, `name` in words.
    pub title: Option<String>,
    /// What is found there.
    pub description: Option<String>,
    /// The media type of the content.
    pub mime_type: Option<String>,
    /// How many bytes the content has, before any encoding. Clients see it of resources, not of
    /// templates.
    pub size: Option<u64>,
    /// The version, when there may be others of the same URI.
    pub version: Option<String>,
    /// Labels to filter by.
    pub tags: BTreeSet<String>,
    /// The OAuth scopes that a caller needs to see it and to read it.
    pub scopes: BTreeSet<String>,
    /// Pictures that stand for it.
    pub icons: Vec<Icon>,
    /// Whom the content is for, how much it matters and when it was last changed.
    pub annotations: Option<Annotations>,
    /// What else clients can read of it, beside its tags and its version.
    pub meta: MetaObject,
    unchecked: BTreeSet<String>,
    completions: Completions,
    required_states: RequiredStates,
}

impl ResourceDefinition {
    /// Describes what is found at `uri`, a URI or a URI template.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
            size: None,
            version: None,
            tags: BTreeSet::new(),
            scopes: BTreeSet::new(),
            icons: Vec::new(),
            annotations: None,
            meta: MetaObject::new(),
            unchecked: BTreeSet::new(),
            completions: Completions::default(),
            required_states: RequiredStates::default(),
        }
    }

    /// Sets the name for people. Defaults to `name` in words.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets what is found there. Defaults to none.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the media type of the content. Defaults to none.
    #[must_use]
    pub fn with_mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Sets how many bytes the content has. Defaults to unknown.
    #[must_use]
    pub const fn with_size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Sets the version. Defaults to none.
    ///
    /// Any number of different versions of one URI can be there at once, if all of them have one:
    /// lists show the highest, and that is used unless a request asks for another by
    /// `_meta.fastmcp.version`, as [`Client::at_version`](crate::Client::at_version) and FastMCP's
    /// client do. They are in the order of PEP 440, with texts that are no such version after all
    /// others. A version has at most 64 visible ASCII characters, and no `@`.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the labels to filter by. Defaults to none.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the OAuth scopes that a caller needs, all of them, to see it and to read it. Defaults to
    /// none.
    ///
    /// Those of a caller are its [`Principal`](crate::Principal)'s. The one user of stdio, of an
    /// in-memory connection or of a loopback listener without authentication needs none.
    /// A caller who lacks one and reads the URI is told which are needed. It is the URI that is
    /// guarded, and what RFC 3986 calls equivalent: what a template of another resource makes of other
    /// URIs is its own.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the pictures that stand for it. Defaults to none.
    #[must_use]
    pub fn with_icons(mut self, icons: impl IntoIterator<Item = Icon>) -> Self {
        self.icons = icons.into_iter().collect();
        self
    }

    /// Sets whom the content is for, how much it matters (0 to 1) and when it was last changed.
    /// Defaults to none of these.
    #[must_use]
    pub fn with_annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Sets what else clients can read of it, its `_meta`; the tags and the version are added to it. Defaults to
    /// nothing.
    #[must_use]
    pub fn with_meta(mut self, meta: MetaObject) -> Self {
        self.meta = meta;
        self
    }

    /// Lets the value of a parameter of the template be an absolute path or have `..` segments: for
    /// text that never names a file. Defaults to none such.
    #[must_use]
    pub fn with_unchecked(mut self, name: impl Into<String>) -> Self {
        self.unchecked.insert(name.into());
        self
    }

    /// Sets what suggests values for a parameter of the template. Defaults to nothing.
    #[must_use]
    pub fn with_completion(mut self, name: impl Into<String>, source: impl Complete) -> Self {
        self.completions.set(name.into(), source);
        self
    }

    /// Says that the resource takes a `P` out of its context, so that building the server fails
    /// when nothing provides it.
    #[must_use]
    pub fn with_injected<P: FromContext>(mut self) -> Self {
        self.required_states.add::<P>();
        self
    }

    /// Tells whether `uri` is a template.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.uri.contains('{')
    }

    /// Returns the parameters whose values are not checked as paths.
    pub(crate) const fn unchecked(&self) -> &BTreeSet<String> {
        &self.unchecked
    }

    /// Returns what suggests values.
    pub(crate) fn completions(&self) -> &Completions {
        &self.completions
    }

    /// Returns the state types that the resource takes.
    pub(crate) fn required_states(&self) -> &RequiredStates {
        &self.required_states
    }

    /// Returns the resource as `resources/list` shows it.
    pub(crate) fn to_wire_resource(&self) -> types::Resource {
        let mut resource = types::Resource::new(self.uri.clone(), self.name.clone());
        resource.title = Some(self.wire_title());
        resource.description.clone_from(&self.description);
        resource.mime_type.clone_from(&self.mime_type);
        resource.size = self.size;
        resource.icons = self.wire_icons();
        resource.annotations.clone_from(&self.annotations);
        resource.meta = meta_of(&self.meta, &self.tags, self.version.as_deref());
        resource
    }

    /// Returns the template as `resources/templates/list` shows it.
    pub(crate) fn to_wire_template(&self) -> types::ResourceTemplate {
        let mut template = types::ResourceTemplate::new(self.uri.clone(), self.name.clone());
        template.title = Some(self.wire_title());
        template.description.clone_from(&self.description);
        template.mime_type.clone_from(&self.mime_type);
        template.icons = self.wire_icons();
        template.annotations.clone_from(&self.annotations);
        template.meta = meta_of(&self.meta, &self.tags, self.version.as_deref());
        template
    }

    fn wire_icons(&self) -> Option<Vec<Icon>> {
        (!self.icons.is_empty()).then(|| self.icons.clone())
    }

    fn wire_title(&self) -> String {
        self.title.clone().unwrap_or_else(|| title_of(&self.name))
    }
}

/// Describes what is found at a URI, with the end of its path as name.
impl From<&str> for ResourceDefinition {
    fn from(uri: &str) -> Self {
        let path = uri.split(['?', '#']).next().unwrap_or(uri);
        let path = path.trim_end_matches('/');
        let name = path.rsplit(['/', ':']).next().unwrap_or(path);
        Self::new(uri, name)
    }
}

/// Describes what is found at a URI, with the end of its path as name.
impl From<String> for ResourceDefinition {
    fn from(uri: String) -> Self {
        uri.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_uri_alone_is_a_definition() {
        for (uri, name) in [
            ("text://motd", "motd"),
            ("docs://app/config.json", "config.json"),
            ("docs://app/manual/?lang=de/en", "manual"),
            ("urn:isbn:1234", "1234"),
        ] {
            let definition = ResourceDefinition::from(uri);
            assert_eq!((&*definition.uri, &*definition.name), (uri, name));
        }
    }

    #[test]
    fn the_wire_forms_carry_everything() {
        let definition = ResourceDefinition::new("user://{id}", "user_profile")
            .with_description("A user")
            .with_mime_type("text/plain")
            .with_tags(["users"])
            .with_icons([Icon::new("https://example.com/a.png")])
            .with_annotations(Annotations::default().with_priority(0.5))
            .with_meta(MetaObject(types::object(json!({"owner": "ops"}))))
            .with_size(3);
        assert!(definition.is_template());
        let template = serde_json::to_value(definition.to_wire_template()).unwrap();
        let mut expected = json!({
            "uriTemplate": "user://{id}",
            "name": "user_profile",
            "title": "User Profile",
            "description": "A user",
            "mimeType": "text/plain",
            "icons": [{"src": "https://example.com/a.png"}],
            "annotations": {"priority": 0.5},
            "_meta": {"owner": "ops", "fastmcp": {"tags": ["users"]}},
        });
        assert_eq!(template, expected);
        let resource = serde_json::to_value(definition.to_wire_resource()).unwrap();
        let uri = expected.as_object_mut().unwrap().remove("uriTemplate");
        expected["uri"] = uri.unwrap();
        expected["size"] = 3.into();
        assert_eq!(resource, expected);
    }
}
