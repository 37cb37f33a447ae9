//! Who may use what: keys, what each of them is for, and what was done with them.
//!
//! A request passes `authenticate`, which makes a `Principal` of its key, and at its route `authorize`, which asks
//! the table in `routes.rs` what the route needs. Handlers get a collection only as a `CollectionName`, which the
//! principal gives out.

mod audit;
mod budget;
mod collection_name;
mod credential;
mod door;
mod gate;
mod key;
mod key_collections;
mod key_record;
mod key_ring;
mod keys_file;
mod meter;
mod principal;
mod routes;
mod scope;
#[cfg(test)]
mod walk_tests;

pub use self::gate::AccessError;
pub use self::key::SecretKey;
pub use self::key_collections::{KeyCollections, KeyCollectionsError};
pub use self::keys_file::{KeyRecord, KeysError, KeysFile, NewKey};
pub use self::scope::{Scope, ScopeError};

pub(crate) use self::budget::{RATE_LIMIT, RATE_LIMIT_POLICY};
pub(crate) use self::collection_name::CollectionName;
pub(crate) use self::credential::logged_path;
pub(crate) use self::door::{authenticate, authorize, on_behalf_of};
pub(crate) use self::gate::Access;
pub(crate) use self::meter::{charge_tokens, check_tokens, metered, refund_tokens};
pub(crate) use self::principal::Principal;
pub(crate) use self::routes::{COLLECTION_PREFIX, Need, need_of};
