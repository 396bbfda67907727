//! [`ToolExt`]: a tool under another name, with other arguments.

use std::fmt;

use futures_util::future::{FutureExt as _, ready};
use serde_json::Value;

use super::schema::Schema;
use crate::middleware::{Chain, Middleware};
use crate::types::JsonObject;
use crate::{BoxFuture, Context, Tool, ToolDefinition, ToolError, ToolResult};

/// Makes another tool of a tool, by one change. The last change is the first that a call meets.
///
/// An argument is one that stands in the `properties` of the tool's input schema. A change that
/// names another one makes building the server fail.
///
/// # Examples
///
/// ```
/// use mcp_server::{Server, ToolExt, tool};
///
/// /// Searches an index.
/// #[tool]
/// async fn search(index: String, query: String, limit: u32) -> String {
///     format!("{limit} of {query} in {index}")
/// }
///
/// let server = Server::builder("Library")
///     .tool(
///         search
///             .renamed("find_book")
///             .hide_argument("index", "books")
///             .rename_argument("query", "title")
///             .default_argument("limit", 10),
///     )
///     .build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
pub trait ToolExt: Tool + Sized {
    /// Calls the tool `name`.
    fn renamed(self, name: impl Into<String>) -> Transformed<Self> {
        Transformed::new(self, Change::Name(name.into()))
    }

    /// Calls the argument `from` `to`.
    fn rename_argument(self, from: impl Into<String>, to: impl Into<String>) -> Transformed<Self> {
        let (from, to) = (from.into(), to.into());
        Transformed::new(self, Change::Rename { from, to })
    }

    /// Fills the argument `name` with `value`, and shows it to no client.
    fn hide_argument(self, name: impl Into<String>, value: impl Into<Value>) -> Transformed<Self> {
        let (name, value) = (name.into(), value.into());
        Transformed::new(self, Change::Hide { name, value })
    }

    /// Fills the argument `name` with `value` when a client does not.
    fn default_argument(
        self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Transformed<Self> {
        let (name, value) = (name.into(), value.into());
        Transformed::new(self, Change::Default { name, value })
    }

    /// Changes the arguments of each call by `map`, or refuses the call. They fit the input schema
    /// before it; nothing but the tool itself checks them after it. The schema stays: give the
    /// arguments that `map` takes by [`ToolExt::map_definition`].
    fn map_arguments(
        self,
        map: impl Fn(JsonObject) -> Result<JsonObject, ToolError> + Send + Sync + 'static,
    ) -> Transformed<Self> {
        Transformed::new(self, Change::Arguments(Box::new(map)))
    }

    /// Puts middleware around the calls of this tool alone: within that of the server, and within
    /// that which was put around the tool before. It sees arguments as clients send them, before all
    /// other changes.
    fn with_middleware(self, middleware: impl Middleware) -> Transformed<Self> {
        let mut chain = Chain::default();
        chain.push(middleware);
        Transformed::new(self, Change::Middleware(chain))
    }

    /// Changes what the tool says of itself by `map`.
    fn map_definition(
        self,
        map: impl Fn(ToolDefinition) -> ToolDefinition + Send + Sync + 'static,
    ) -> Transformed<Self> {
        Transformed::new(self, Change::Definition(Box::new(map)))
    }
}

impl<T: Tool> ToolExt for T {}

/// A tool with one change. Made by [`ToolExt`].
pub struct Transformed<T> {
    tool: T,
    change: Change,
}

type Map<V, E> = Box<dyn Fn(V) -> E + Send + Sync>;

enum Change {
    Name(String),
    Rename { from: String, to: String },
    Hide { name: String, value: Value },
    Default { name: String, value: Value },
    Arguments(Map<JsonObject, Result<JsonObject, ToolError>>),
    Middleware(Chain),
    Definition(Map<ToolDefinition, ToolDefinition>),
}

impl<T> Transformed<T> {
    const fn new(tool: T, change: Change) -> Self {
        Self { tool, change }
    }
}

impl Change {
    fn define(&self, mut definition: ToolDefinition) -> ToolDefinition {
        match self {
            Self::Name(name) => name.clone_into(&mut definition.name),
            Self::Rename { from, to } => {
                let was_required = optional(&mut definition.input_schema, from);
                if let Some(schema) = remove(&mut definition, from)
                    && let Some(properties) = properties(&mut definition.input_schema)
                {
                    if properties.insert(to.clone(), schema).is_some() {
                        definition.refuse(format!("two arguments are called `{to}`"));
                    }
                    if was_required {
                        require(&mut definition.input_schema, to);
                    }
                }
            }
            Self::Hide { name, value } => {
                check_value(&mut definition, name, value);
                optional(&mut definition.input_schema, name);
                remove(&mut definition, name);
            }
            Self::Default { name, value } => {
                check_value(&mut definition, name, value);
                optional(&mut definition.input_schema, name);
                let schema = properties(&mut definition.input_schema);
                match schema.and_then(|properties| properties.get_mut(name)) {
                    Some(Value::Object(schema)) => {
                        schema.insert("default".to_owned(), value.clone());
                    }
                    Some(_) => {}
                    None => definition.refuse(no_argument(name)),
                }
            }
            Self::Arguments(_) => {}
            Self::Middleware(chain) => definition.add_middleware(chain),
            Self::Definition(map) => definition = map(definition),
        }
        definition
    }

    fn apply(&self, mut arguments: JsonObject) -> Result<JsonObject, ToolError> {
        match self {
            Self::Name(_) | Self::Middleware(_) | Self::Definition(_) => {}
            Self::Rename { from, to } => {
                if let Some(value) = arguments.remove(to) {
                    arguments.insert(from.clone(), value);
                }
            }
            Self::Hide { name, value } => {
                arguments.insert(name.clone(), value.clone());
            }
            Self::Default { name, value } => {
                let place = arguments.entry(name.clone());
                place.or_insert_with(|| value.clone());
            }
            Self::Arguments(map) => arguments = map(arguments)?,
        }
        Ok(arguments)
    }
}

fn properties(schema: &mut JsonObject) -> Option<&mut JsonObject> {
    schema.get_mut("properties")?.as_object_mut()
}

/// Takes the argument `name` out, which must be there.
fn remove(definition: &mut ToolDefinition, name: &str) -> Option<Value> {
    let schema =
        properties(&mut definition.input_schema).and_then(|properties| properties.remove(name));
    if schema.is_none() {
        definition.refuse(no_argument(name));
    }
    schema
}

/// Refuses a `value` that does not fit the argument `name`.
fn check_value(definition: &mut ToolDefinition, name: &str, value: &Value) {
    let schema = Schema::compile(&definition.input_schema, true);
    let problem = schema.and_then(|schema| schema.check_one(name, value));
    if let Err(problem) = problem {
        definition.refuse(problem);
    }
}

fn no_argument(name: &str) -> String {
    format!("it has no argument `{name}` to change")
}

/// Makes the argument `name` optional; tells whether it was required.
fn optional(schema: &mut JsonObject, name: &str) -> bool {
    let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = required.len();
    required.retain(|other| other != name);
    required.len() < before
}

fn require(schema: &mut JsonObject, name: &str) {
    let required = schema
        .entry("required")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(required) = required {
        required.push(name.into());
    }
}

#[diagnostic::do_not_recommend]
impl<T: Tool> Tool for Transformed<T> {
    fn definition(&self) -> ToolDefinition {
        self.change.define(self.tool.definition())
    }

    fn run(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        match self.change.apply(arguments) {
            Ok(arguments) => self.tool.run(cx, arguments),
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl<T> fmt::Debug for Transformed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match &self.change {
            Change::Name(_) => "renamed",
            Change::Rename { .. } => "rename_argument",
            Change::Hide { .. } => "hide_argument",
            Change::Default { .. } => "default_argument",
            Change::Arguments(_) => "map_arguments",
            Change::Middleware(_) => "with_middleware",
            Change::Definition(_) => "map_definition",
        };
        f.debug_struct("Transformed")
            .field("change", &change)
            .finish_non_exhaustive()
    }
}
