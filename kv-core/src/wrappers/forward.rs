//! [`forward!`]: the operations that a wrapper passes on as they are.

/// Writes methods of [`Store`](crate::Store) that hand the call to `self.inner`.
///
/// `forward!(get, clock)` stands inside an `#[async_trait]` impl. It writes the methods in the form
/// that `async_trait` gives them, because an attribute does not see into a macro; so a forwarded
/// call returns the inner store's future itself and costs no allocation.
macro_rules! forward {
    ($($method:ident),+ $(,)?) => { $(forward!(@$method);)+ };

    (@get) => {
        forward!(@async get<'c, 'k>(
            collection: &'c str, key: &'k str
        ) -> Option<$crate::Entry>);
    };
    (@get_fresh) => {
        forward!(@async get_fresh<'c, 'k>(
            collection: &'c str, key: &'k str
        ) -> Option<$crate::Entry>);
    };
    (@put) => {
        forward!(@async put<'c, 'k>(
            collection: &'c str, key: &'k str, entry: $crate::Entry, mode: $crate::PutMode
        ) -> $crate::Revision);
    };
    (@delete) => {
        forward!(@async delete<'c, 'k>(collection: &'c str, key: &'k str) -> bool);
    };
    (@take) => {
        forward!(@async take<'c, 'k>(
            collection: &'c str, key: &'k str
        ) -> Option<$crate::Entry>);
    };
    (@get_many) => {
        forward!(@async get_many<'c, 'k, 's>(
            collection: &'c str, keys: &'k [&'s str]
        ) -> Vec<$crate::Result<Option<$crate::Entry>>>);
    };
    (@put_many) => {
        forward!(@async put_many<'c>(
            collection: &'c str, entries: Vec<(String, $crate::Entry)>
        ) -> Vec<$crate::Revision>);
    };
    (@delete_many) => {
        forward!(@async delete_many<'c, 'k, 's>(
            collection: &'c str, keys: &'k [&'s str]
        ) -> Vec<bool>);
    };
    (@keys) => {
        forward!(@async keys<'c>(
            collection: &'c str, query: $crate::KeyQuery
        ) -> $crate::KeyPage);
    };
    (@collections) => {
        forward!(@async collections<>(query: $crate::KeyQuery) -> $crate::CollectionPage);
    };
    (@cull) => { forward!(@async cull<>() -> u64); };
    (@clear) => { forward!(@async clear<'c>(collection: &'c str) -> u64); };
    (@destroy) => { forward!(@async destroy<>() -> ()); };
    (@flush) => { forward!(@async flush<>() -> ()); };
    (@watch) => {
        fn watch(&self, prefix: &str) -> $crate::Result<$crate::Watch> {
            self.inner.watch(prefix)
        }
    };
    (@clock) => {
        fn clock(&self) -> &dyn $crate::Clock {
            self.inner.clock()
        }
    };
    (@info) => {
        fn info(&self) -> $crate::StoreInfo {
            self.inner.info()
        }
    };

    (@async $method:ident<$($life:lifetime),*>($($arg:ident: $type:ty),*) -> $output:ty) => {
        fn $method<'s0, $($life,)* 'async_trait>(
            &'s0 self,
            $($arg: $type),*
        ) -> futures_util::future::BoxFuture<'async_trait, $crate::Result<$output>>
        where
            's0: 'async_trait,
            $($life: 'async_trait,)*
            Self: 'async_trait,
        {
            self.inner.$method($($arg),*)
        }
    };
}

pub(crate) use forward;
