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
                "description",
                "tags",
                "icons",
                "annotations",
                "meta",
                "output_schema",
                "timeout",
                "enabled",
                "inline",
                "task",
            ],
            Self::Resource => &[
                "name",
                "title",
                "description",
                "mime_type",
                "size",
                "tags",
                "icons",
                "annotations",
                "meta",
                "unchecked",
            ],
            Self::Prompt => &["name", "title", "description", "tags", "icons", "meta"],
        }
    }
}
