//! Filters as bodies have them, and what they say of the metadata of a document: a line each.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siamese_server::config::{Limits, Overrides, Settings};
use siamese_server::fuzzing::filter;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    let settings = Settings::load(&Overrides::default());
    settings.expect("the defaults are settings").limits
});

fuzz_target!(|input: &[u8]| {
    let place = input.iter().position(|byte| *byte == b'\n');
    let (wanted, metadata) = input.split_at(place.unwrap_or(input.len()));
    let said = filter(wanted, metadata, &LIMITS);
    let negated = [br#"{"$not":"#, wanted, b"}"].concat();
    // One deeper, it may be over a limit.
    if let (Some(said), Some(opposite)) = (said, filter(&negated, metadata, &LIMITS)) {
        assert_ne!(said, opposite, "a filter and its negation say the same");
    }
});
