//! [`Complete`]: suggestions for what a person types into an argument.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::{BoxError, BoxFuture, Context};

/// Suggests values for an argument of a prompt, or for a parameter of a resource template, while a
/// person types.
///
/// A function of a [`Context`] and a [`CompletionRequest`] is one, and so is [`Choices`]. It belongs
/// to a component by `#[complete(..)]` on a parameter, or by
/// [`with_completion`](crate::PromptDefinition::with_completion).
///
/// # Examples
///
/// ```
/// use mcp_server::{BoxError, CompletionRequest, Context, prompt};
///
/// /// Reviews a repository.
/// #[prompt]
/// async fn review(
///     #[complete(owners)] owner: String,
///     #[complete("brief", "thorough")] style: String,
/// ) -> String {
///     format!("Give the repositories of {owner} a {style} review.")
/// }
///
/// async fn owners(cx: Context, request: CompletionRequest) -> Result<Vec<String>, BoxError> {
///     let known: Vec<String> = cx.server_state().get_or("owners", Vec::new()).await?;
///     Ok(known.into_iter().filter(|owner| request.fits(owner)).collect())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not suggest values",
    note = "give an `async fn(Context, CompletionRequest) -> Result<Vec<String>, E>`, or `Choices`"
)]
pub trait Complete: Send + Sync + 'static {
    /// Returns the values that fit, the best first. The first 100 of them reach the client.
    ///
    /// `cx` has nobody to ask or to tell.
    ///
    /// # Errors
    ///
    /// Any; it is logged and masked.
    fn complete(
        &self,
        cx: Context,
        request: CompletionRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, BoxError>>;
}

impl<F, A, E> Complete for F
where
    F: Fn(Context, CompletionRequest) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Vec<String>, E>> + Send + 'static,
    E: Into<BoxError>,
{
    fn complete(
        &self,
        cx: Context,
        request: CompletionRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, BoxError>> {
        let values = self(cx, request);
        async { values.await.map_err(Into::into) }.boxed()
    }
}

/// What a person is typing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionRequest {
    /// The argument.
    pub argument: String,
    /// What stands there so far.
    pub typed: String,
    /// The other arguments, as far as they are known.
    pub others: BTreeMap<String, String>,
}

impl CompletionRequest {
    /// Asks for values of `argument` that go on from `typed`.
    pub fn new(argument: impl Into<String>, typed: impl Into<String>) -> Self {
        Self {
            argument: argument.into(),
            typed: typed.into(),
            others: BTreeMap::new(),
        }
    }

    /// Sets the other arguments. Default: none is known.
    #[must_use]
    pub fn with_others(mut self, others: BTreeMap<String, String>) -> Self {
        self.others = others;
        self
    }

    /// Tells whether `value` goes on from what is typed, in letters of any case.
    #[must_use]
    pub fn fits(&self, value: &str) -> bool {
        let mut value = value.chars().flat_map(char::to_lowercase);
        let mut typed = self.typed.chars().flat_map(char::to_lowercase);
        typed.all(|letter| value.next() == Some(letter))
    }
}

/// Suggests those of a few fixed values that go on from what is typed.
///
/// # Examples
///
/// ```
/// use mcp_server::{Choices, PromptDefinition};
/// use mcp_server::types::PromptArgument;
///
/// let definition = PromptDefinition::new("translate")
///     .with_argument(PromptArgument::new("language"))
///     .with_completion("language", Choices::new(["English", "Español"]));
/// ```
#[derive(Clone, Debug)]
pub struct Choices(Vec<String>);

impl Choices {
    /// Suggests `values`, in this order.
    pub fn new(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl Complete for Choices {
    fn complete(
        &self,
        _cx: Context,
        request: CompletionRequest,
    ) -> BoxFuture<'_, Result<Vec<String>, BoxError>> {
        let fitting = self.0.iter().filter(|value| request.fits(value));
        let fitting = fitting.cloned().collect();
        async { Ok(fitting) }.boxed()
    }
}

/// What suggests values for the arguments of one component, by their names.
#[derive(Clone, Default)]
pub(crate) struct Completions(BTreeMap<String, Arc<dyn Complete>>);

impl Completions {
    pub(crate) fn set(&mut self, argument: String, source: impl Complete) {
        self.0.insert(argument, Arc::new(source));
    }

    pub(crate) fn get(&self, argument: &str) -> Option<&Arc<dyn Complete>> {
        self.0.get(argument)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names of the arguments.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.arguments()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_prefix_in_letters_of_any_case() {
        for (typed, value, fits) in [
            ("", "Ada", true),
            ("aD", "Ada", true),
            ("Ada", "Ada", true),
            ("Adam", "Ada", false),
            ("da", "Ada", false),
            ("é", "École", true),
        ] {
            let request = CompletionRequest::new("name", typed);
            assert_eq!(request.fits(value), fits, "{typed} {value}");
        }
    }
}
