//! How much there is in a JSON body, counted before anything is made of it.
//!
//! serde makes a value of every `{}` before anybody can count them: 11 million of them, 31 MiB,
//! became 5.4 GiB. So one pass over the bytes comes first. It knows brackets, commas and strings,
//! which is enough to count exactly in whatever is valid JSON; the rest serde refuses at the place
//! up to which this has counted.

use std::ops::Range;

use super::json_value::pointer_token;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

/// Levels of arrays and objects inside one another; serde_json stops there, too.
const MAX_DEPTH: usize = 128;
/// Bytes that one byte of a string may take as JSON: `\u0041`.
const MAX_ESCAPED_BYTES: usize = 6;

// What is made of the parts of JSON at most, bytes, with what the allocator adds and with room that
// vectors keep. A map is a B-tree, whose smallest node has room for eleven entries; nodes that are
// filled in order stay half full.
const VALUE_BYTES: usize = 56;
const STRING_BYTES: usize = 32;
const LIST_BYTES: usize = 128;
const MAP_BYTES: usize = 640;
const ENTRY_BYTES: usize = 144;

/// The most items that a list of a request may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListLimit {
    /// Where the list stands, as a JSON pointer; `*` is any place in a list.
    pub(crate) pointer: &'static str,
    /// Its items in the plural, such as `searches`.
    pub(crate) items: &'static str,
    pub(crate) max: usize,
    /// The name of the limit.
    pub(crate) limit: &'static str,
    /// Whether numbers count as items.
    pub(crate) counts_numbers: bool,
}

impl ListLimit {
    /// A limit on items of any kind.
    pub(crate) fn new(
        pointer: &'static str,
        items: &'static str,
        max: usize,
        limit: &'static str,
    ) -> Self {
        Self {
            pointer,
            items,
            max,
            limit,
            counts_numbers: true,
        }
    }
}

/// What holds for every body, and for the lists of one.
#[derive(Debug)]
pub(super) struct CensusLimits {
    /// The most keys and values, and what is said before that number.
    max_values: (&'static str, usize),
    /// The longest string that any field may have, and the name of that limit.
    max_string: (&'static str, usize),
    lists: Vec<ListLimit>,
}

impl CensusLimits {
    pub(super) fn new(limits: &Limits, lists: Vec<ListLimit>) -> Self {
        let strings = [
            ("limits.max_text_bytes", limits.max_text_bytes),
            ("limits.max_query_bytes", limits.max_query_bytes),
            ("limits.max_title_bytes", limits.max_title_bytes),
            ("limits.max_metadata_bytes", limits.max_metadata_bytes),
            ("limits.max_filter_text_bytes", limits.max_filter_text_bytes),
        ];
        let longest = strings.into_iter().rev().max_by_key(|(_, max)| *max);
        Self {
            max_values: ("limits.max_json_values = ", limits.max_json_values),
            max_string: longest.unwrap_or(strings[0]),
            lists,
        }
    }

    /// The same with fewer keys and values, unless the settings allow fewer still.
    pub(super) fn with_values(mut self, max_values: usize) -> Self {
        if max_values < self.max_values.1 {
            self.max_values = ("", max_values);
        }
        self
    }
}

/// Counts what is in `json`. Returns the memory, in bytes, that values made of it may take.
///
/// # Errors
/// 422 with a pointer for more than a limit allows, 400 for too many levels.
pub(super) fn census(json: &[u8], limits: &CensusLimits) -> Result<usize, ApiError> {
    let mut census = Census::new(json, limits);
    while let Some(byte) = census.json.get(census.place) {
        census.place += 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b':' => census.colon(),
            b',' => census.comma(),
            b'[' | b'{' => {
                census.value(false)?;
                census.open(*byte == b'[')?;
            }
            b']' | b'}' => {
                census.levels.pop();
            }
            b'"' => {
                census.value(false)?;
                census.string()?;
            }
            _ => {
                census.value(true)?;
                census.skip_plain()?;
            }
        }
    }
    Ok(census.memory_bytes)
}

struct Census<'a> {
    json: &'a [u8],
    /// The next byte.
    place: usize,
    limits: &'a CensusLimits,
    patterns: Vec<Vec<&'static str>>,
    levels: Vec<Level>,
    values: usize,
    memory_bytes: usize,
}

/// Any integer of so many digits has at most 64 bits.
const MAX_SAFE_DIGITS: usize = 18;

/// An array or object that is open.
struct Level {
    is_list: bool,
    /// Whether a colon has come since the last comma.
    after_colon: bool,
    /// Values of a list, or keys of an object, up to here.
    entries: usize,
    /// The last string that was a key, with its quotes.
    key: Range<usize>,
    /// The limits whose pointers lead here or further.
    leading: Vec<usize>,
    /// The one that is about this list.
    limit: Option<ListLimit>,
}

impl Level {
    /// Whether a value that begins now is a key.
    fn is_key_next(&self) -> bool {
        !self.is_list && !self.after_colon
    }
}

impl<'a> Census<'a> {
    fn new(json: &'a [u8], limits: &'a CensusLimits) -> Self {
        let pointers = limits.lists.iter().map(|list| list.pointer);
        Self {
            json,
            place: 0,
            limits,
            patterns: pointers
                .map(|pointer| pointer.split('/').skip(1).collect())
                .collect(),
            levels: Vec::new(),
            values: 0,
            memory_bytes: 0,
        }
    }

    fn colon(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.after_colon = true;
        }
    }

    fn comma(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.after_colon = false;
        }
    }

    /// Counts a value or a key that begins here; a plain one is a number or a literal.
    fn value(&mut self, is_plain: bool) -> Result<(), ApiError> {
        self.values += 1;
        let (limit, max_values) = self.limits.max_values;
        if self.values > max_values {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("the body has over {limit}{max_values} keys and values; send it in parts"),
            ));
        }
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let is_key = level.is_key_next();
        level.entries += usize::from(level.is_list || is_key);
        self.memory_bytes += match (is_key, level.entries) {
            (true, 1) => MAP_BYTES,
            (true, _) => ENTRY_BYTES,
            (false, 1) if level.is_list => LIST_BYTES,
            (false, _) => VALUE_BYTES,
        };
        match level.limit {
            Some(list) if level.entries > list.max && (list.counts_numbers || !is_plain) => {
                // The pointer is that of the list, not of its item.
                Err(self.too_many(&list))
            }
            _ => Ok(()),
        }
    }

    fn too_many(&self, list: &ListLimit) -> ApiError {
        let detail = format!(
            "there are more {} than {} = {}",
            list.items, list.limit, list.max
        );
        ApiError::invalid(self.pointer(self.levels.len() - 1), detail)
    }

    fn open(&mut self, is_list: bool) -> Result<(), ApiError> {
        let depth = self.levels.len();
        if depth >= MAX_DEPTH {
            return Err(ApiError::new(
                ErrorCode::MalformedJson,
                format!("the body is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let leading = self.leading();
        let ends_here = |place: &&usize| self.patterns[**place].len() == depth;
        let limit = leading.iter().find(ends_here).filter(|_| is_list);
        let limit = limit.map(|place| self.limits.lists[*place]);
        self.levels.push(Level {
            is_list,
            after_colon: false,
            entries: 0,
            key: 0..0,
            leading,
            limit,
        });
        Ok(())
    }

    /// The limits whose pointers lead to the value that begins here or further.
    fn leading(&self) -> Vec<usize> {
        let Some(level) = self.levels.last() else {
            return (0..self.patterns.len()).collect();
        };
        if level.leading.is_empty() {
            return Vec::new();
        }
        let key = (!level.is_list).then(|| self.key(level));
        let leads_on = |place: &usize| {
            let token = self.patterns[*place].get(self.levels.len() - 1);
            match &key {
                Some(key) => token.is_some_and(|token| *token != "*" && *token == key),
                None => token == Some(&"*"),
            }
        };
        level.leading.iter().copied().filter(leads_on).collect()
    }

    /// The key of the member that an object is at; empty when it is no string.
    fn key(&self, level: &Level) -> String {
        serde_json::from_slice(&self.json[level.key.clone()]).unwrap_or_default()
    }

    /// Passes over the string whose opening quote was just read.
    fn string(&mut self) -> Result<(), ApiError> {
        let start = self.place;
        let end = end_of_string(self.json, start);
        let bytes = end - start;
        self.place = (end + 1).min(self.json.len());
        self.memory_bytes += STRING_BYTES + bytes;
        let depth = self.levels.len();
        let object = self.levels.last_mut().filter(|level| level.is_key_next());
        let (limit, max) = self.limits.max_string;
        if bytes > max.saturating_mul(MAX_ESCAPED_BYTES) {
            // A key that is too long is no part of a pointer.
            let depth = depth - usize::from(object.is_some());
            let detail =
                format!("the string has {bytes} bytes; no text is longer than {limit} = {max}");
            return Err(ApiError::invalid(self.pointer(depth), detail));
        }
        if let Some(object) = object {
            object.key = start - 1..self.place;
        }
        Ok(())
    }

    /// Passes over the rest of a number, a literal, or what should be one.
    fn skip_plain(&mut self) -> Result<(), ApiError> {
        let start = self.place - 1;
        let rest = &self.json[self.place..];
        let ends = |byte: &u8| b",:]}[{\" \t\n\r".contains(byte);
        self.place += rest.iter().position(ends).unwrap_or(rest.len());
        let plain = &self.json[start..self.place];
        if plain.len() <= MAX_SAFE_DIGITS || is_kept(plain) {
            return Ok(());
        }
        Err(ApiError::invalid(
            self.pointer(self.levels.len()),
            "the integer has more than 64 bits and would be rounded; send it as a string",
        ))
    }

    /// The place within the first `levels` levels as a JSON pointer.
    fn pointer(&self, levels: usize) -> String {
        let tokens = self.levels[..levels].iter().map(|level| {
            if level.is_list {
                format!("/{}", level.entries.saturating_sub(1))
            } else {
                format!("/{}", pointer_token(&self.key(level)))
            }
        });
        tokens.collect()
    }
}

/// Whether a number comes back as it is: integers of more than 64 bits become the nearest f64. Of a
/// number with a fraction or an exponent nothing else is expected.
fn is_kept(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_integer = digits.iter().all(u8::is_ascii_digit);
    let Some(number) = str::from_utf8(number).ok().filter(|_| is_integer) else {
        return true;
    };
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    // All digits of the f64, which has at most 309 of them.
    let nearest = number.parse::<f64>().unwrap_or(f64::INFINITY);
    nearest.is_infinite() || format!("{nearest:.0}") == number
}

/// Where the closing quote of a string stands, or the end of the bytes when it is missing.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut place = start;
    loop {
        let rest = json.get(place..).unwrap_or_default();
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            None => return json.len(),
            Some(offset) if rest[offset] == b'"' => return place + offset,
            // What is escaped may be a quote.
            Some(offset) => place += offset + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_values: usize, max_string: usize) -> CensusLimits {
        let list = |pointer, max| ListLimit::new(pointer, "things", max, "limits.max_things");
        let texts = ListLimit {
            counts_numbers: false,
            ..list("/e", 2)
        };
        CensusLimits {
            max_values: ("limits.max_json_values = ", max_values),
            max_string: ("limits.max_text_bytes", max_string),
            lists: vec![list("/a", 2), list("/b/c", 1), list("/d/*", 2), texts],
        }
    }

    fn refusal(json: &str, limits: &CensusLimits) -> Option<(String, String)> {
        let problem = census(json.as_bytes(), limits).err()?.problem(None);
        Some((problem.pointer.unwrap_or_default(), problem.detail))
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_pointed_at() {
        let limits = limits(1000, 100);
        for kept in [
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000",
            "12345678901234567890.5",
            "0.1234567890123456789",
            "1e400",
        ] {
            assert_eq!(refusal(&format!(r#"{{"x": [{kept}]}}"#), &limits), None);
        }
        for rounded in [
            "18446744073709551617",
            "-9223372036854775809",
            "123456789012345678901234567890",
        ] {
            let (pointer, detail) =
                refusal(&format!(r#"{{"x": [1, {rounded}]}}"#), &limits).unwrap();
            assert_eq!(pointer, "/x/1");
            assert!(detail.contains("more than 64 bits"), "{detail}");
        }
    }

    fn pointer(json: &str) -> Option<String> {
        refusal(json, &limits(1000, 100)).map(|(pointer, _)| pointer)
    }

    #[test]
    fn lists_are_counted_where_they_stand_and_nowhere_else() {
        for (json, expected) in [
            (r#"{"a":[1,{"x":[1,2,3]}]}"#, None),
            (r#"{"a":[1,2,3]}"#, Some("/a")),
            (r#"{"\u0061" : [ {}, "]", [] ] }"#, Some("/a")),
            (r#"{"b":{"c":[1]},"c":[1,2,3]}"#, None),
            (r#"{"b":{"a":[1,2,3],"c":[1,2]}}"#, Some("/b/c")),
            (r#"{"d":[[1,2],[1,2]]}"#, None),
            (r#"{"d":[[1,2],[1,2,3]]}"#, Some("/d/1")),
            (r#"{"d":{"*":[1,2,3]}}"#, None),
            (r#"{"x":{"a":[1,2,3]},"y":"\"a\":[1,2,3]"}"#, None),
            (r#"[[1,2,3],[1,2,3]]"#, None),
            (r#"{"e":[1,2,3]}"#, None),
            (r#"{"e":[[1,2,3],[1,2,3]]}"#, None),
            (r#"{"e":[[],[],[]]}"#, Some("/e")),
            (r#"{"e":[1,2,"a"]}"#, Some("/e")),
        ] {
            assert_eq!(pointer(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_list_is_refused_at_the_first_item_too_many_whatever_follows() {
        let (pointer, detail) = refusal(r#"{"a":[{},{},{},#"#, &limits(1000, 9)).unwrap();
        assert_eq!(pointer, "/a");
        assert_eq!(detail, "there are more things than limits.max_things = 2");
    }

    #[test]
    fn keys_and_values_are_counted_up_to_the_limit() {
        let json = r#"{"x": [1, "two", {"y": null}], "z": {}}"#;
        assert_eq!(refusal(json, &limits(10, 9)), None);
        let (_, detail) = refusal(json, &limits(9, 9)).unwrap();
        assert!(detail.contains("limits.max_json_values = 9"), "{detail}");
    }

    #[test]
    fn a_string_that_no_field_takes_is_pointed_at_and_not_quoted() {
        let json = |bytes: usize| format!(r#"{{"x":[0,"{}"]}}"#, "y".repeat(bytes));
        assert_eq!(refusal(&json(60), &limits(9, 10)), None);
        let (pointer, detail) = refusal(&json(61), &limits(9, 10)).unwrap();
        assert_eq!(pointer, "/x/1");
        assert!(detail.contains("limits.max_text_bytes = 10"), "{detail}");
        assert!(!detail.contains("yy"), "{detail}");
    }

    #[test]
    fn levels_are_limited_where_serde_limits_them() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(refusal(&nested(128), &limits(999, 9)), None);
        assert!(refusal(&nested(129), &limits(999, 9)).is_some());
    }

    #[test]
    fn broken_json_is_counted_without_a_panic() {
        for json in [
            "", "]", "}{", "[\"", "[\"\\", "{:,}", ",,[", "{\"a", "\u{0}[", "{[1:2,",
        ] {
            drop(census(json.as_bytes(), &limits(99, 9)));
        }
    }

    #[test]
    fn the_estimate_covers_what_maps_and_lists_take() {
        // One entry in a map of its own costs the most for its bytes.
        let json = format!("[{}0]", r#"{"":1},"#.repeat(1000));
        let bytes = census(json.as_bytes(), &limits(9999, 9)).unwrap();
        assert!((640_000..900_000).contains(&bytes), "{bytes}");
    }
}
