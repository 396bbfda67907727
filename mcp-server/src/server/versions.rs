//! [`Versions`]: a component in all its versions, of which clients see one.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter::once;
use std::sync::Arc;

use crate::auth::Caller;
use crate::component::show_versions;
use crate::types::{self, MetaObject};
use crate::version::{Version, Wanted};

/// A component with what clients read of it.
pub(crate) struct Registered<C: ?Sized, W, D = ()> {
    pub(crate) component: Arc<C>,
    pub(crate) wire: W,
    pub(crate) version: Option<Version>,
    /// What a caller must be allowed to do, to see it and to use it.
    pub(crate) scopes: BTreeSet<String>,
    /// What only components of its kind have.
    pub(crate) details: D,
    /// Labels to filter by.
    pub(crate) tags: BTreeSet<String>,
}

/// A component in all its versions, the highest first: one without a version, or any number of
/// different ones with.
pub(crate) struct Versions<C: ?Sized, W, D = ()> {
    highest: Arc<Registered<C, W, D>>,
    lower: Vec<Arc<Registered<C, W, D>>>,
    /// Nobody sees it or can use it, but it keeps its place.
    is_hidden: bool,
}

/// Why a version cannot be added to others.
pub(crate) enum Clash {
    /// It is there.
    Same,
    /// Only some have a version.
    Mixed,
}

impl<C: ?Sized, W, D> Versions<C, W, D> {
    pub(crate) fn new(only: Registered<C, W, D>) -> Self {
        Self {
            highest: Arc::new(only),
            lower: Vec::new(),
            is_hidden: false,
        }
    }

    fn of_sorted(mut all: Vec<Arc<Registered<C, W, D>>>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let lower = all.split_off(1);
        let highest = all.pop()?;
        Some(Self {
            highest,
            lower,
            is_hidden: false,
        })
    }

    /// Returns the highest version.
    pub(crate) fn highest(&self) -> &Registered<C, W, D> {
        &self.highest
    }

    /// Tells whether nobody sees it.
    pub(crate) const fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// Lets nobody see it or use it, but keep its place. Tells whether it was not so before.
    pub(crate) fn hide(&mut self) -> bool {
        !std::mem::replace(&mut self.is_hidden, true)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Registered<C, W, D>>> {
        once(&self.highest).chain(&self.lower)
    }

    /// Adds a version.
    pub(crate) fn add(&mut self, added: Registered<C, W, D>) -> Result<(), Clash> {
        if self.highest.version.is_some() != added.version.is_some() {
            return Err(Clash::Mixed);
        }
        let mut all: Vec<_> = self.iter().map(Arc::clone).collect();
        if all.iter().any(|entry| entry.version == added.version) {
            return Err(Clash::Same);
        }
        let place = all.partition_point(|entry| entry.version > added.version);
        all.insert(place, Arc::new(added));
        if let Some(all) = Self::of_sorted(all) {
            *self = all;
        }
        Ok(())
    }

    /// Takes out `version`, or all. Returns what is left, and what is not.
    pub(crate) fn split(self, version: Option<&Version>) -> (Option<Self>, Removed<C, W, D>) {
        let (removed, left) = self.iter().map(Arc::clone).partition(|entry| {
            version.is_none_or(|version| entry.version.as_ref() == Some(version))
        });
        (Self::of_sorted(left), removed)
    }

    /// Finds the highest version of those that are wanted: one that the caller may use, or else one
    /// that it may not.
    pub(crate) fn find(
        &self,
        wanted: Option<&Wanted>,
        caller: &Caller,
    ) -> Option<&Arc<Registered<C, W, D>>> {
        if self.is_hidden {
            return None;
        }
        let mut will_do = self
            .iter()
            .filter(|entry| wanted.is_none_or(|wanted| wanted.takes(entry.version.as_ref())));
        let first = will_do.next()?;
        if first.is_for(caller) {
            return Some(first);
        }
        Some(will_do.find(|entry| entry.is_for(caller)).unwrap_or(first))
    }

    /// Returns what a list shows a caller: the highest version that it may use, with the names of
    /// all that it may.
    pub(crate) fn show(&self, caller: &Caller) -> Option<W>
    where
        W: Clone + HasMeta,
    {
        if self.is_hidden {
            return None;
        }
        let mut visible = self.iter().filter(|entry| entry.is_for(caller));
        let highest = visible.next()?;
        let mut wire = highest.wire.clone();
        if let Some(version) = &highest.version {
            let lower = visible.filter_map(|entry| entry.version.as_ref());
            let versions = once(version).chain(lower).map(Version::as_str);
            show_versions(wire.meta_mut(), &versions.collect::<Vec<_>>());
        }
        Some(wire)
    }
}

/// What was taken out of a registry.
pub(crate) type Removed<C, W, D> = Vec<Arc<Registered<C, W, D>>>;

impl<C: ?Sized, W, D> Registered<C, W, D> {
    /// Tells whether a caller may see it and use it.
    pub(crate) fn is_for(&self, caller: &Caller) -> bool {
        self.scopes.is_empty() || caller.may(&self.scopes)
    }

    /// Returns what tells the component from others of its name: the name, and its version if it has
    /// one.
    pub(crate) fn identity<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match &self.version {
            // A URI may end like a version, which has no `@` itself.
            None if name.contains('@') => format!("{name}@").into(),
            None => name.into(),
            Some(version) => format!("{name}@{version}").into(),
        }
    }
}

impl<C: ?Sized, W, D> Clone for Versions<C, W, D> {
    fn clone(&self) -> Self {
        Self {
            highest: Arc::clone(&self.highest),
            lower: self.lower.clone(),
            is_hidden: self.is_hidden,
        }
    }
}

/// What clients read of a component.
pub(crate) trait HasMeta {
    fn meta_mut(&mut self) -> &mut Option<MetaObject>;
}

macro_rules! has_meta {
    ($($wire:ident),*) => {$(
        impl HasMeta for types::$wire {
            fn meta_mut(&mut self) -> &mut Option<MetaObject> {
                &mut self.meta
            }
        }
    )*};
}

has_meta!(Tool, Resource, ResourceTemplate, Prompt);
