//! Whole requests to a service with a tiny model: a line such as `POST /search`, which ends with ` ndjson` where the
//! body has lines, then the body. Whatever is asked, the service does not fail.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siamese_fuzz::SmallService;

fuzz_target!(|input: &[u8]| {
    let place = input.iter().position(|byte| *byte == b'\n');
    let (line, body) = input.split_at(place.unwrap_or(input.len()));
    let Some((method, address)) = str::from_utf8(line)
        .ok()
        .and_then(|line| line.split_once(' '))
    else {
        return;
    };
    let body = body.get(1..).unwrap_or_default();
    let (address, media_type) = match address.strip_suffix(" ndjson") {
        Some(address) => (address, "application/x-ndjson"),
        None => (address, "application/json"),
    };
    SmallService::get().ask(method, address, media_type, body);
});
