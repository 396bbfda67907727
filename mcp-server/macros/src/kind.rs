//! [`Kind`]: which attribute is at work.

/// Which attribute is at work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Resource,
    Prompt,
}

impl Kind {
    /// Returns the options that the attribute knows.
    pub(crate) const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &[
                "name",
                "title",
                "version",
                "description",
                "tags",
                "scopes",
                "icons",
                "annotations",
                "meta",
                "output_schema",
                "timeout",
                "cache",
                "enabled",
                "inline",
                "task",
            ],
            Self::Resource => &[
                "name",
                "title",
                "version",
                "description",
                "mime_type",
                "size",
                "tags",
                "scopes",
                "icons",
                "annotations",
                "meta",
                "unchecked",
            ],
            Self::Prompt => &[
                "name",
                "title",
                "version",
                "description",
                "tags",
                "scopes",
                "icons",
                "meta",
            ],
        }
    }
}
